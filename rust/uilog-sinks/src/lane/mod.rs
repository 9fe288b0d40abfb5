//! One sink's position in the queue, while `[uilog]` may change.
//!
//! A record goes into the mailbox of the sink's thread (`worker`). If the
//! mailbox is full, the lane is behind: it notes its position and reads from
//! the queue when there is room, so that nothing waits for it. A sink without
//! room for too long loses the records that it has missed, and they are
//! counted. If the sink's definition changes, a new thread takes over, and the
//! old one finishes its records.
//!
//! Must not know other sinks. Nothing here blocks.

mod sink_thread;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::record_delivery::Queued;
use uilog_channel::record_delivery::RecordLoss;
use uilog_channel::record_delivery::Source;

use self::sink_thread::Current;
use self::sink_thread::HELD_FOR;
use self::sink_thread::OVERTAKEN_AFTER;
pub(crate) use self::sink_thread::RecordPosition;
use self::sink_thread::Running;
use self::sink_thread::STUCK_AFTER;
pub(crate) use self::sink_thread::Starter;
use self::sink_thread::ThreadResults;
use self::sink_thread::start;
use self::sink_thread::stuck;
use crate::mailbox;
use crate::mailbox::QueuedEvent;
use crate::setup::Setup;
use crate::setup::Setups;

/// Threads that a sink may have besides its newest, because the configuration
/// has changed and they are not done yet.
const MAX_OLD: usize = 4;

/// How many records a sink that is behind reads at a time.
const MAX_READ: usize = 256;

/// Why what a sink did not do until the end is lost.
const NOT_IN_TIME: &str = "it did not end in time";

/// Why what a sink has not come to is lost when the queue is nearly full.
const TOO_SLOW: &str = "it is too slow, and the queue is nearly full";

/// One sink's way.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    /// As it was opened last.
    setup: Option<Arc<Setup>>,
    current: Current,
    /// Threads that get no more records, because the sink's definition has
    /// changed.
    old: Vec<Running>,
    behind: Option<Backlog>,
    /// Since when it has had no room and done nothing.
    full_since: Option<Instant>,
    losses: Vec<RecordLoss>,
    /// Records that a rollup has counted since the last call.
    held: Vec<RecordPosition>,
    /// Records of rollups that have been sent, or lost, since then.
    released: Vec<RecordPosition>,
}

/// How far it has come, of one that has not come as far as others.
#[derive(Debug)]
struct Backlog {
    /// The next record.
    next: RecordPosition,
    /// How many it wants, from there on.
    wanted: u64,
}

impl Lane {
    /// One that nothing has come to yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            setup: None,
            current: Current::None,
            old: Vec::new(),
            behind: None,
            full_since: None,
            losses: Vec::new(),
            held: Vec::new(),
            released: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A new record. If there is no room for it, it stays in the queue; if
    /// there has been none for long, it is lost.
    pub(crate) fn offer(
        &mut self,
        place: RecordPosition,
        record: &Queued,
        setup: &Arc<Setup>,
        starter: &Starter,
        now: Instant,
    ) {
        if let Some(behind) = &mut self.behind {
            behind.wanted += u64::from(setup.wants(&self.name, &record.event));
        } else if !self.offer_now(place, record, setup, starter, now) {
            if self.is_stuck(now) {
                self.miss(1, &stuck());
            } else {
                let next = place;
                self.behind = Some(Backlog { next, wanted: 1 });
            }
        }
    }

    /// Reads on from the queue, as far as there is room, up to the record of
    /// the number `last`.
    pub(crate) fn catch_up(
        &mut self,
        queue: &mut dyn Source,
        last: u64,
        setups: &mut Setups,
        starter: &Starter,
        now: Instant,
    ) -> io::Result<()> {
        for _ in 0..MAX_READ {
            let Some(behind) = &self.behind else {
                return Ok(());
            };
            let (next, wanted) = (behind.next, behind.wanted);
            if wanted > 0 && self.is_stuck(now) {
                self.miss(wanted, &stuck());
            }
            if wanted == 0 || self.is_stuck(now) || next.number > last {
                self.behind = None;
                return Ok(());
            }
            let Some((record, end)) = queue.record_from(next.position)? else {
                self.behind = None;
                return Ok(());
            };
            let setup = setups.of(&record);
            let place = RecordPosition {
                position: record.position,
                ..next
            };
            let is_wanted = setup.wants(&self.name, &record.event);
            if queue.is_too_far_behind(record.position) {
                // Otherwise there would be no room for any record.
                if is_wanted {
                    self.miss(1, TOO_SLOW);
                }
            } else if !self.offer_now(place, &record, &setup, starter, now) {
                return Ok(());
            }
            self.behind = Some(Backlog {
                next: RecordPosition {
                    number: next.number + 1,
                    position: end,
                },
                wanted: wanted - u64::from(is_wanted),
            });
        }
        // There are more records and room for them, so the thread must not
        // sleep.
        self.wake(starter);
        Ok(())
    }

    fn wake(&self, starter: &Starter) {
        if let Ok(bell) = &starter.bell {
            mailbox::wake(bell);
        }
    }

    /// Processes a record; false if there is no room for it now.
    fn offer_now(
        &mut self,
        place: RecordPosition,
        record: &Queued,
        setup: &Arc<Setup>,
        starter: &Starter,
        now: Instant,
    ) -> bool {
        let Some(wanted) = setup.sink(&self.name) else {
            if self.old.len() < MAX_OLD {
                self.retire(now);
            }
            return true;
        };
        if !wanted.tracked.contains(&record.event) {
            return true;
        }
        if !self.is_opened_as(setup) {
            let is_running = matches!(self.current, Current::Running(_));
            if is_running && self.old.len() >= MAX_OLD {
                self.full_since.get_or_insert(now);
                return false;
            }
            self.retire(now);
            self.full_since = None;
            // In order, unless the one before does not move.
            if self.old.iter().any(|it| it.is_moving(now)) {
                return false;
            }
            self.current = start(wanted, setup, starter, now);
        }
        self.setup = Some(Arc::clone(setup));
        match &mut self.current {
            Current::Running(running) if running.mailbox.has_room() => {
                if running.pending.is_empty() {
                    running.moved_at = now;
                }
                running.pending.push_back(place);
                running.mailbox.put(QueuedEvent {
                    frame: Arc::clone(&record.frame),
                    environment: Arc::clone(&record.environment),
                });
                running.has_news = true;
                self.full_since = None;
                true
            }
            Current::Running(_) => {
                self.full_since.get_or_insert(now);
                false
            }
            Current::Broken(reason) => {
                let reason = reason.clone();
                self.lose(1, &reason);
                true
            }
            Current::None => true,
        }
    }

    fn is_opened_as(&self, setup: &Setup) -> bool {
        let opened = self.setup.as_ref();
        !matches!(self.current, Current::None)
            && opened.is_some_and(|it| it.is_same_for(&self.name, setup))
    }

    /// Replaces the current thread.
    fn retire(&mut self, now: Instant) {
        let before = std::mem::replace(&mut self.current, Current::None);
        if let Current::Running(mut running) = before {
            running.announce();
            running.finish(now + STUCK_AFTER);
            self.old.push(running);
        }
    }

    fn is_stuck(&self, now: Instant) -> bool {
        self.full_since.is_some_and(|at| now >= at + STUCK_AFTER)
    }

    /// Counts records as lost that the thread has not got, and tells the
    /// thread, so that the receiver can notice the gap.
    fn miss(&mut self, count: u64, reason: &str) {
        if let Current::Running(running) = &self.current {
            running.mailbox.miss(count);
        }
        self.lose(count, reason);
    }

    fn lose(&mut self, count: u64, reason: &str) {
        match self.losses.iter_mut().find(|it| it.reason == reason) {
            Some(loss) => loss.count += count,
            None => self.losses.push(RecordLoss {
                sink: self.name.clone(),
                count,
                reason: reason.to_owned(),
            }),
        }
    }

    /// Sends rollups early.
    pub(crate) fn press(&mut self) {
        if let Current::Running(running) = &mut self.current {
            running.press();
        }
    }

    /// What must stay in the queue since it was asked last, until it is
    /// released: a rollup counts it.
    pub(crate) fn take_held(&mut self) -> Vec<RecordPosition> {
        std::mem::take(&mut self.held)
    }

    /// The records that were released since the last call.
    pub(crate) fn take_released(&mut self) -> Vec<RecordPosition> {
        std::mem::take(&mut self.released)
    }

    /// The losses since the last call.
    pub(crate) fn take_losses(&mut self) -> Vec<RecordLoss> {
        std::mem::take(&mut self.losses)
    }

    /// Notifies its thread of new records.
    pub(crate) fn announce(&mut self) {
        if let Current::Running(running) = &mut self.current {
            running.announce();
        }
    }

    /// Delivers offered records at once; returns the progress.
    pub(crate) fn hurry(&mut self) -> Delivery {
        self.announce();
        let current = match &self.current {
            Current::Running(running) => Some(running),
            Current::None | Current::Broken(_) => None,
        };
        let behind = match &self.behind {
            Some(_) => Delivery::Pending,
            None => Delivery::Done,
        };
        let running = self.old.iter().chain(current);
        running.map(Running::hurry).fold(behind, Delivery::and)
    }

    /// Nothing will be offered any more.
    pub(crate) fn finish(&mut self, deadline: Instant) {
        for running in &mut self.old {
            running.finish(deadline);
        }
        if let (Current::Running(running), None) =
            (&mut self.current, &self.behind)
        {
            running.announce();
            running.finish(deadline);
        }
    }

    /// Collects its threads' results.
    pub(crate) fn collect_results(&mut self, now: Instant) {
        let mut has_moved = false;
        for mut running in std::mem::take(&mut self.old) {
            let heard = running.collect_results(now);
            if self.account(&mut running, heard).is_none() {
                self.old.push(running);
            } else {
                has_moved = true;
            }
        }
        if let Current::Running(mut running) =
            std::mem::replace(&mut self.current, Current::None)
        {
            let heard = running.collect_results(now);
            has_moved |= heard.news.done > 0;
            self.current = match self.account(&mut running, heard) {
                None => Current::Running(running),
                // Before its time: what comes now is lost for that reason.
                Some(Some(reason)) => Current::Broken(reason),
                Some(None) => Current::None,
            };
        }
        if has_moved || !matches!(self.current, Current::Running(_)) {
            self.full_since = None;
        }
    }

    /// Counts a thread's losses; and the reason, if it has ended with one.
    fn account(
        &mut self,
        running: &mut Running,
        heard: ThreadResults,
    ) -> Option<Option<String>> {
        self.held.extend(&heard.held);
        self.released.extend(heard.released);
        let heard = heard.news;
        let reason = heard.losses.last().map(|loss| loss.reason.clone());
        for loss in heard.losses {
            self.lose(loss.count, &loss.reason);
        }
        if !heard.has_ended {
            return None;
        }
        // Records that it got after its last check.
        let left = running.pending.len() + running.held.len();
        if left > 0 {
            let why = reason.as_deref().unwrap_or("its thread has ended");
            self.lose(left as u64, why);
        }
        self.released.extend(running.still_held());
        Some(reason.filter(|_| running.ends_by.is_none()))
    }

    /// Its time is over: undelivered records are lost.
    pub(crate) fn expire(&mut self) {
        let current = std::mem::replace(&mut self.current, Current::None);
        let current = match current {
            Current::Running(running) => Some(running),
            _ => None,
        };
        let old = std::mem::take(&mut self.old);
        for mut running in old.into_iter().chain(current) {
            let left = running.pending.len() + running.held.len();
            self.lose(left as u64, NOT_IN_TIME);
            self.released.extend(running.still_held());
        }
        if let Some(behind) = self.behind.take() {
            self.lose(behind.wanted, NOT_IN_TIME);
        }
    }

    /// The oldest record after the number `settled` that must stay in the queue
    /// for it.
    pub(crate) fn oldest(
        &self,
        settled: u64,
        now: Instant,
    ) -> Option<RecordPosition> {
        let is_stuck = self.is_stuck(now);
        let current = match &self.current {
            Current::Running(running) if !is_stuck => Some(running),
            _ => None,
        };
        let in_hand = self
            .old
            .iter()
            .chain(current)
            .filter(|running| now < running.moved_at + HELD_FOR);
        let in_hand = in_hand.filter_map(|it| it.after(settled));
        let behind = self.behind.as_ref().map(|behind| behind.next);
        in_hand.chain(behind).min_by_key(|place| place.number)
    }

    /// How many records up to the number `settled` it has in hand.
    pub(crate) fn at_risk(&self, settled: u64) -> u64 {
        let current = match &self.current {
            Current::Running(running) => Some(running),
            _ => None,
        };
        let all = self.old.iter().chain(current);
        all.map(|it| (it.up_to(settled) + it.given_up) as u64).sum()
    }

    /// The time at which something must be decided if nothing happens before.
    pub(crate) fn deadline(&self, since: Instant) -> Option<Instant> {
        let stuck = self.full_since.map(|at| at + STUCK_AFTER);
        let current = match &self.current {
            Current::Running(running) => Some(running),
            _ => None,
        };
        let all = self.old.iter().chain(current);
        let held = all.clone().filter(|it| !it.pending.is_empty());
        let held = held.map(|it| it.moved_at + HELD_FOR);
        let rolled_up = all.filter_map(|it| it.held_until);
        let overtaken = self.old.iter().filter(|_| self.behind.is_some());
        let overtaken = overtaken.map(|it| it.moved_at + OVERTAKEN_AFTER);
        let all = held.chain(overtaken).chain(stuck).chain(rolled_up);
        all.filter(|at| *at > since).min()
    }

    /// Whether anything is left to be done.
    pub(crate) fn is_busy(&self) -> bool {
        let is_running = matches!(self.current, Current::Running(_));
        is_running || !self.old.is_empty() || self.behind.is_some()
    }

    /// Whether its state is the initial one, so that it can be dropped.
    pub(crate) fn is_initial(&self) -> bool {
        let is_none = matches!(self.current, Current::None);
        let is_told = self.losses.is_empty() && self.released.is_empty();
        is_none && !self.is_busy() && is_told
    }
}
