//! One sink's thread: takes events from the dispatcher, makes records, numbers
//! and delivers them, and counts the results.
//!
//! Must not know the dispatcher's loop, with which it shares a [`Mailbox`].

use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire::Frame;

use crate::compose::Composer;
use crate::globals::Globals;
use crate::mailbox::Mailbox;
use crate::mailbox::QueuedEvent;
use crate::mailbox::Work;
use crate::numbering::Numbering;
use crate::record::Record;
use crate::rollup::Rollup;
use crate::sink::LossReport;
use crate::sink::Open;
use crate::sink::Sink;

/// Time limit for one delivery.
const DELIVERY_BOUND: Duration = Duration::from_secs(10);
/// How often to check for a receiver's answer while a process waits: at first,
/// and after a while.
const SOONEST_LOOK: Duration = Duration::from_millis(1);
const LATEST_LOOK: Duration = Duration::from_millis(32);

/// Why a sink has ended whose thread panicked.
const PANICKED: &str = "it panicked";

/// Starts a sink's thread. It opens the sink itself, because that may read
/// files on a network. `rolls_up` says whether it gets the records of many
/// commands, so that rollups are useful.
///
/// # Errors
///
/// No thread can be created.
pub(crate) fn start(
    definition: SinkConfig,
    globals: Arc<Globals>,
    mailbox: Arc<Mailbox>,
    open: Open,
    rolls_up: bool,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(definition.name.clone());
    let body = move || {
        let made = AssertUnwindSafe(|| {
            Ok((
                Composer::new(&definition, &globals)?,
                open(&definition, &globals)?,
            ))
        });
        let made =
            catch_unwind(made).unwrap_or_else(|_| Err(PANICKED.to_owned()));
        let numbering = Numbering::new(&definition, &globals);
        let (composer, opened) = match made {
            Ok(made) => made,
            Err(reason) => return refuse(&mailbox, numbering, &reason),
        };
        let mut worker = Worker {
            mailbox: Arc::clone(&mailbox),
            rollup: rolls_up.then(Rollup::default),
            composer,
            numbering,
            opened,
            in_hand: 0,
            held: 0,
        };
        let run = AssertUnwindSafe(|| worker.run());
        let reason = catch_unwind(run).err().map(|_| PANICKED.to_owned());
        // The record in hand may have arrived, or not.
        if let Some(reason) = &reason {
            let lost = |count| {
                let reason = reason.clone();
                LossReport { count, reason }
            };
            let count = worker.in_hand;
            mailbox.report(count, Some(lost(count)));
            let count = worker.held;
            mailbox.release(count, vec![lost(count)]);
        }
        mailbox.end(reason);
    };
    thread.spawn(body).map(drop)
}

/// Loses all records, because the sink could not be opened.
fn refuse(mailbox: &Mailbox, mut numbering: Option<Numbering>, reason: &str) {
    loop {
        let count = match mailbox.next_work(None) {
            Work::Parcels(parcels) => parcels.len() as u64,
            // All that came is lost, and counted.
            Work::Hurry => {
                mailbox.answer(Delivery::Done);
                continue;
            }
            Work::Rest => {
                numbering.iter().for_each(Numbering::rest);
                mailbox.wait(None);
                continue;
            }
            Work::RollUp => continue,
            Work::Finish(_) => return mailbox.end(None),
        };
        let lost = count + mailbox.take_missed();
        // If there is no number, the sink's own problem is reported
        // nevertheless.
        let _ = numbering.as_mut().map(|it| it.number(&mut [], lost));
        let reason = reason.to_owned();
        mailbox.report(count, Some(LossReport { count, reason }));
    }
}

struct Worker {
    mailbox: Arc<Mailbox>,
    composer: Composer,
    /// The rollup, if there is one.
    rollup: Option<Rollup>,
    /// None if the sink numbers records itself.
    numbering: Option<Numbering>,
    opened: Box<dyn Sink>,
    /// Parcels whose result has not been reported.
    in_hand: u64,
    /// Parcels that a rollup counts, reported as such.
    held: u64,
}

impl Worker {
    fn run(&mut self) {
        let mut pause = SOONEST_LOOK;
        loop {
            let work = self.mailbox.next_work(self.due());
            if !matches!(work, Work::Hurry) {
                pause = SOONEST_LOOK;
            }
            match work {
                Work::Parcels(parcels) => self.deliver(&parcels),
                Work::RollUp => self.roll_up(Instant::now() + DELIVERY_BOUND),
                Work::Hurry => {
                    self.roll_up(Instant::now() + DELIVERY_BOUND);
                    match self.opened.hurry() {
                        Delivery::Pending => {
                            self.mailbox.pause(pause);
                            pause = LATEST_LOOK.min(2 * pause);
                        }
                        delivery => self.mailbox.answer(delivery),
                    }
                }
                Work::Rest => {
                    self.opened.rest();
                    self.numbering.iter().for_each(Numbering::rest);
                    self.mailbox.wait(self.due());
                }
                Work::Finish(deadline) => {
                    self.roll_up(deadline);
                    self.number(&mut [], 0);
                    let loss = self.opened.finish(deadline).err();
                    self.mailbox.report(0, loss);
                    return;
                }
            }
        }
    }

    /// Numbers records, before which so many were lost besides those that had
    /// no room.
    fn number(&mut self, records: &mut [Record], lost: u64) {
        let lost = lost + self.mailbox.take_missed();
        let numbering = self.numbering.as_mut();
        let trouble = numbering.and_then(|it| it.number(records, lost));
        if let Some(reason) = trouble {
            self.mailbox
                .report(0, Some(LossReport { count: 0, reason }));
        }
    }

    /// When the rollup must be sent.
    fn due(&self) -> Option<Instant> {
        self.rollup.as_ref().and_then(Rollup::due)
    }

    /// Sends the rollup, if there is one. If it is lost, the number of its
    /// commands is reported.
    fn roll_up(&mut self, deadline: Instant) {
        let Some(rollup) = &mut self.rollup else {
            return;
        };
        if rollup.due().is_none() {
            return;
        }
        let mut records = rollup.take();
        self.number(&mut records, 0);
        let mut losses = Vec::new();
        for record in records {
            let count = record.rollup.as_ref().map_or(0, |it| it.commands);
            let result = self.opened.deliver(&[Arc::new(record)], deadline);
            losses.extend(result.err().map(|mut loss| {
                loss.count *= count;
                loss
            }));
        }
        self.mailbox.release(std::mem::take(&mut self.held), losses);
    }

    fn deliver(&mut self, parcels: &[QueuedEvent]) {
        self.in_hand = parcels.len() as u64;
        let mut records = Vec::with_capacity(parcels.len());
        let mut held = Vec::new();
        let mut unreadable = 0;
        for (place, QueuedEvent { frame, environment }) in (0..).zip(parcels) {
            match postcard::from_bytes(frame) {
                Ok(Frame::Record(record)) => {
                    let composer = &self.composer;
                    if let Some(rollup) = &mut self.rollup
                        && let Some(command) =
                            composer.command_to_roll_up(&record)
                    {
                        if command.is_failure {
                            records
                                .push(composer.failure(&record, environment));
                        }
                        let row = || composer.row(&record, environment);
                        rollup.add(&command, row);
                        held.push(place);
                        continue;
                    }
                    records.extend(composer.compose(&record, environment));
                }
                _ => unreadable += 1,
            }
        }
        let mut loss = (unreadable > 0).then(|| LossReport {
            count: unreadable,
            reason: "unreadable record in the queue".to_owned(),
        });
        self.number(&mut records, unreadable);
        if !records.is_empty() {
            let records: Vec<_> = records.into_iter().map(Arc::new).collect();
            let deadline = Instant::now() + DELIVERY_BOUND;
            if let Err(mut more) = self.opened.deliver(&records, deadline) {
                more.count += loss.map_or(0, |loss| loss.count);
                loss = Some(more);
            }
        }
        let done = std::mem::take(&mut self.in_hand);
        self.held += held.len() as u64;
        self.mailbox.report_held(done, &held, loss);
    }
}
