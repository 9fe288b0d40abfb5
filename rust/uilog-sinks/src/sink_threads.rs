//! All structured sinks of a dispatcher, as its loop sees them.
//!
//! Each sink has a lane (`lane`), which reads the queue at its own pace. This
//! module only knows which lanes there are, and what all of them have done.
//! Nothing here blocks.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::record_delivery::DeliveryResults;
use uilog_channel::record_delivery::Queued;
use uilog_channel::record_delivery::RecordDelivery;
use uilog_channel::record_delivery::Source;
use uilog_sys::wakeup;

use crate::held_records::HeldRecords;
use crate::lane::Lane;
use crate::lane::RecordPosition;
use crate::lane::Starter;
use crate::setup::Setups;
use crate::sink::Open;

/// How long to wait for a sink after its deadline before it is given up.
const GRACE: Duration = Duration::from_secs(1);

/// All structured sinks of a dispatcher.
#[derive(Debug)]
pub struct SinkThreads {
    open: Open,
    /// Whether ends of commands are added up for sinks with that option.
    rolls_up: bool,
    holds: HeldRecords,
    /// The sockets by which a sink wakes the loop.
    bell: Option<(Arc<UnixStream>, UnixStream)>,
    setups: Setups,
    lanes: Vec<Lane>,
    /// The numbers of records offered and done so far.
    offered: u64,
    settled: u64,
    settled_at: Option<Instant>,
    /// The deadline for all remaining records.
    deadline: Option<Instant>,
}

impl SinkThreads {
    /// None yet; `open` opens those that there will be.
    pub fn new(open: Open) -> Self {
        Self {
            open,
            rolls_up: false,
            holds: HeldRecords::default(),
            bell: None,
            setups: Setups::default(),
            lanes: Vec::new(),
            offered: 0,
            settled: 0,
            settled_at: None,
            deadline: None,
        }
    }

    /// Like `new`, for the records of many commands: ends of commands are added
    /// up for sinks with that option.
    pub fn of_many(open: Open) -> Self {
        Self {
            rolls_up: true,
            ..Self::new(open)
        }
    }

    /// Rollups must be sent now, because their records take up room.
    pub fn press(&mut self) {
        self.lanes.iter_mut().for_each(Lane::press);
    }

    fn bell(&mut self) -> io::Result<Arc<UnixStream>> {
        if self.bell.is_none() {
            let (listener, ringer) = wakeup::pair()?;
            self.bell = Some((Arc::new(ringer), listener));
        }
        match &self.bell {
            Some((ringer, _)) => Ok(Arc::clone(ringer)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn starter(&mut self) -> Starter {
        let bell = self.bell();
        Starter {
            open: self.open,
            rolls_up: self.rolls_up,
            bell: bell.map_err(|error| error.to_string()),
        }
    }
}

impl RecordDelivery for SinkThreads {
    fn offer(&mut self, record: &Queued) {
        let now = Instant::now();
        let starter = self.starter();
        self.offered += 1;
        let place = RecordPosition {
            number: self.offered,
            position: record.position,
        };
        let setup = self.setups.of(record);
        for name in setup.names() {
            if !self.lanes.iter().any(|lane| lane.name() == name) {
                self.lanes.push(Lane::new(name));
            }
        }
        for lane in &mut self.lanes {
            lane.offer(place, record, &setup, &starter, now);
        }
    }

    fn collect_results(
        &mut self,
        queue: &mut dyn Source,
    ) -> io::Result<DeliveryResults> {
        if let Some((_, listener)) = &self.bell {
            wakeup::drain(listener);
        }
        if self.lanes.is_empty() {
            let before = std::mem::replace(&mut self.settled, self.offered);
            return Ok(DeliveryResults {
                done: self.offered - before,
                ..DeliveryResults::default()
            });
        }
        let now = Instant::now();
        self.settled_at = Some(now);
        let is_over = self.deadline.is_some_and(|it| now > it + GRACE);
        let starter = self.starter();
        let mut losses = Vec::new();
        for lane in &mut self.lanes {
            lane.collect_results(now);
            if is_over {
                lane.expire();
            }
            let setups = &mut self.setups;
            lane.catch_up(queue, self.offered, setups, &starter, now)?;
            lane.announce();
            if let Some(deadline) = self.deadline {
                lane.finish(deadline);
            }
            losses.append(&mut lane.take_losses());
            self.holds.add(lane.take_held(), self.settled);
        }
        let mut released = Vec::new();
        for lane in &mut self.lanes {
            released.extend(self.holds.remove(lane.take_released()));
        }
        let before = self.settled;
        let oldest = self
            .lanes
            .iter()
            .filter_map(|lane| lane.oldest(before, now))
            .min_by_key(|place| place.number);
        self.settled = oldest.map_or(self.offered, |place| place.number - 1);
        let at_risk = self.lanes.iter().map(|it| it.at_risk(self.settled));
        let at_risk: u64 = at_risk.sum();
        let settled = DeliveryResults {
            done: self.settled - before,
            oldest: oldest.map(|place| place.position),
            at_risk: at_risk + self.holds.removed(),
            losses,
            held: self.holds.pass(self.settled),
            released,
        };
        self.lanes.retain(|lane| !lane.is_initial());
        Ok(settled)
    }

    fn hurry(&mut self) -> Delivery {
        let lanes = self.lanes.iter_mut();
        lanes.map(Lane::hurry).fold(Delivery::Done, Delivery::and)
    }

    fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        let (_, listener) = self.bell.as_ref()?;
        Some(listener.as_fd())
    }

    fn deadline(&self) -> Option<Instant> {
        // Work that was due then has been done; later work has not.
        let since = self.settled_at?;
        let lanes = self.lanes.iter().filter_map(|lane| lane.deadline(since));
        let over = self.deadline.map(|it| it + GRACE);
        lanes.chain(over).min()
    }

    fn finish(&mut self, deadline: Instant) {
        let before = self.deadline.unwrap_or(deadline);
        self.deadline = Some(before.min(deadline));
        for lane in &mut self.lanes {
            lane.finish(before.min(deadline));
        }
    }

    fn is_finished(&self) -> bool {
        !self.lanes.iter().any(Lane::is_busy)
    }
}
