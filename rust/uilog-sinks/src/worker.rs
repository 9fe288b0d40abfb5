//! One sink's thread: takes events from the dispatcher, makes records, numbers
//! and delivers them, and counts the results.
//!
//! The dispatcher's loop and the thread share a [`Mailbox`], whose lock is held
//! only as long as it takes to move a pointer.

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::sinks::Definition;
use uilog_channel::wire::Frame;

use crate::compose::Composer;
use crate::globals::Globals;
use crate::numbering::Numbering;
use crate::outlet::Open;
use crate::outlet::Outlet;
use crate::outlet::Undelivered;
use crate::record::Record;
use crate::rollup::Rollup;

/// How long one delivery may take.
const DELIVERY_BOUND: Duration = Duration::from_secs(10);
/// How long a sink is idle before it lets go of what others may want.
const REST_AFTER: Duration = Duration::from_secs(1);
/// Records that are delivered at a time.
const MAX_BATCH: usize = 32;
/// Records that wait for a sink, and their bytes: more do not fit.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// How often it is looked whether a receiver has answered for whom somebody
/// waits: at first, and after a while.
const SOONEST_LOOK: Duration = Duration::from_millis(1);
const LATEST_LOOK: Duration = Duration::from_millis(32);

/// Why a sink has ended whose thread has.
const PANICKED: &str = "it panicked";

/// An event on its way: as the queue holds it, and hg's environment.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) frame: Arc<[u8]>,
    pub(crate) environment: Arc<[u8]>,
}

/// What a sink's thread and the dispatcher's loop share.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the dispatcher's loop.
    bell: Arc<UnixStream>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Parcel>,
    waiting_bytes: usize,
    /// Parcels that had no room, and will not come.
    missed: u64,
    /// Parcels done with, and not reported yet.
    done: u64,
    /// Which of those a rollup counts, by their places among them.
    held: Vec<u64>,
    /// Parcels whose rollup has been sent: the oldest of those that were held.
    released: u64,
    /// Rollups are to be sent before their time.
    is_pressed: bool,
    losses: Vec<Undelivered>,
    /// A process waits until all records are delivered.
    is_awaited: bool,
    /// How that has ended, unless more has been put in since.
    delivery: Option<Delivery>,
    /// Nothing more will come; until then there is time.
    deadline: Option<Instant>,
    has_ended: bool,
}

/// What has become of a sink's parcels since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) done: u64,
    /// Which of those must stay in the queue, by their places among them.
    pub(crate) held: Vec<u64>,
    /// So many need not stay any more, the oldest of those that were held.
    pub(crate) released: u64,
    pub(crate) losses: Vec<Undelivered>,
    pub(crate) has_ended: bool,
}

impl Mailbox {
    pub(crate) fn new(bell: Arc<UnixStream>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            bell,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more fits.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        // The first one fits however long it is.
        state.waiting.is_empty()
            || state.waiting.len() < MAX_WAITING
                && state.waiting_bytes < MAX_WAITING_BYTES
    }

    /// Puts one in; [`Self::announce`] wakes the thread, once for many.
    pub(crate) fn put(&self, parcel: Parcel) {
        let mut state = self.lock();
        state.waiting_bytes += parcel.frame.len();
        state.waiting.push_back(parcel);
        state.delivery = None;
    }

    /// Somebody waits until all is delivered that has been put in; how far it
    /// is.
    pub(crate) fn hurry(&self) -> Delivery {
        let mut state = self.lock();
        if state.has_ended {
            // It is not known any more.
            return Delivery::Deferred;
        }
        if let Some(delivery) = state.delivery {
            return delivery;
        }
        if !std::mem::replace(&mut state.is_awaited, true) {
            self.changed.notify_one();
        }
        Delivery::Pending
    }

    /// What has become of all that has been put in, if it has all been taken
    /// out.
    fn answer(&self, delivery: Delivery) {
        let mut state = self.lock();
        state.is_awaited = false;
        if state.waiting.is_empty() {
            state.delivery = Some(delivery);
        }
        drop(state);
        self.ring();
    }

    /// Waits for so long, unless there is something else to do.
    fn pause(&self, time: Duration) {
        let state = self.lock();
        let is_idle = |state: &mut State| {
            state.waiting.is_empty() && state.deadline.is_none()
        };
        drop(self.changed.wait_timeout_while(state, time, is_idle));
    }

    /// So many are lost that had no room.
    pub(crate) fn miss(&self, count: u64) {
        self.lock().missed += count;
    }

    fn take_missed(&self) -> u64 {
        std::mem::take(&mut self.lock().missed)
    }

    pub(crate) fn announce(&self) {
        self.changed.notify_one();
    }

    /// Nothing will come any more. A deadline only comes nearer.
    pub(crate) fn finish(&self, deadline: Instant) {
        let mut state = self.lock();
        let before = state.deadline.unwrap_or(deadline);
        state.deadline = Some(before.min(deadline));
        self.changed.notify_one();
    }

    pub(crate) fn news(&self) -> News {
        let mut state = self.lock();
        News {
            done: std::mem::take(&mut state.done),
            held: std::mem::take(&mut state.held),
            released: std::mem::take(&mut state.released),
            losses: std::mem::take(&mut state.losses),
            has_ended: state.has_ended,
        }
    }

    /// What rollups count is to be sent now: it takes up room.
    pub(crate) fn press(&self) {
        self.lock().is_pressed = true;
        self.changed.notify_one();
    }

    /// Waits for parcels, or until a rollup is due.
    fn take(&self, due: Option<Instant>) -> Work {
        let mut state = self.lock();
        let mut is_rested = false;
        loop {
            let is_pressed = std::mem::take(&mut state.is_pressed);
            let is_due = |at| is_pressed || Instant::now() >= at;
            if due.is_some_and(is_due) {
                return Work::RollUp;
            }
            if !state.waiting.is_empty() {
                let count = state.waiting.len().min(MAX_BATCH);
                let parcels: Vec<_> = state.waiting.drain(..count).collect();
                let bytes: usize =
                    parcels.iter().map(|it| it.frame.len()).sum();
                state.waiting_bytes -= bytes;
                return Work::Parcels(parcels);
            }
            if let Some(deadline) = state.deadline {
                return Work::Finish(deadline);
            }
            if state.is_awaited {
                return Work::Hurry;
            }
            if is_rested {
                return Work::Rest;
            }
            let left =
                due.map(|at| at.saturating_duration_since(Instant::now()));
            let bound = left.map_or(REST_AFTER, |it| it.min(REST_AFTER));
            let waited = self.changed.wait_timeout(state, bound);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            is_rested = timeout.timed_out() && bound == REST_AFTER;
        }
    }

    /// Waits, however long it takes, until there is something to do or a
    /// rollup is due.
    fn wait(&self, due: Option<Instant>) {
        let state = self.lock();
        let is_idle = |state: &mut State| {
            state.waiting.is_empty()
                && state.deadline.is_none()
                && !state.is_awaited
                && !state.is_pressed
        };
        let Some(due) = due else {
            drop(self.changed.wait_while(state, is_idle));
            return;
        };
        let left = due.saturating_duration_since(Instant::now());
        drop(self.changed.wait_timeout_while(state, left, is_idle));
    }

    fn report(&self, done: u64, loss: Option<Undelivered>) {
        self.report_held(done, &[], loss);
    }

    /// The same; a rollup counts those that have these places among the parcels
    /// that are done now.
    fn report_held(&self, done: u64, held: &[u64], loss: Option<Undelivered>) {
        let mut state = self.lock();
        let before = state.done;
        state.held.extend(held.iter().map(|it| before + it));
        state.done += done;
        state.losses.extend(loss);
        drop(state);
        self.ring();
    }

    /// So many that a rollup has counted need not stay in the queue.
    fn release(&self, count: u64, losses: Vec<Undelivered>) {
        let mut state = self.lock();
        state.released += count;
        state.losses.extend(losses);
        drop(state);
        self.ring();
    }

    /// The thread ends; what waits is lost for that reason, if there is one.
    fn end(&self, reason: Option<String>) {
        let mut state = self.lock();
        let count = state.waiting.len() as u64;
        state.waiting.clear();
        state.done += count;
        if let Some(reason) = reason {
            state.losses.push(Undelivered { count, reason });
        }
        state.has_ended = true;
        drop(state);
        self.ring();
    }

    fn ring(&self) {
        ring(&self.bell);
    }
}

/// Wakes the dispatcher's loop.
pub(crate) fn ring(mut bell: &UnixStream) {
    // A full socket means that there is enough to wake up from.
    let _ = bell.write(b"!");
}

enum Work {
    Parcels(Vec<Parcel>),
    Hurry,
    RollUp,
    Rest,
    Finish(Instant),
}

/// Starts a sink's thread. It opens the sink itself, for that may read files
/// that are far away. `rolls_up` tells whether it has the records of many
/// commands, so that it makes sense to add them up.
///
/// # Errors
///
/// The system has none to give.
pub(crate) fn start(
    definition: Definition,
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
        let (composer, outlet) = match made {
            Ok(made) => made,
            Err(reason) => return refuse(&mailbox, numbering, &reason),
        };
        let mut worker = Worker {
            mailbox: Arc::clone(&mailbox),
            rollup: rolls_up.then(Rollup::default),
            composer,
            numbering,
            outlet,
            in_hand: 0,
            held: 0,
        };
        let run = AssertUnwindSafe(|| worker.run());
        let reason = catch_unwind(run).err().map(|_| PANICKED.to_owned());
        // What it had in hand may have arrived, or not.
        if let Some(reason) = &reason {
            let lost = |count| {
                let reason = reason.clone();
                Undelivered { count, reason }
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

/// Loses whatever comes, for the reason that the sink could not be opened.
fn refuse(mailbox: &Mailbox, mut numbering: Option<Numbering>, reason: &str) {
    loop {
        let count = match mailbox.take(None) {
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
        // If there is no number, the sink's own trouble is reported all the same.
        let _ = numbering.as_mut().map(|it| it.number(&mut [], lost));
        let reason = reason.to_owned();
        mailbox.report(count, Some(Undelivered { count, reason }));
    }
}

struct Worker {
    mailbox: Arc<Mailbox>,
    composer: Composer,
    /// What is added up, where that makes sense.
    rollup: Option<Rollup>,
    /// None if the outlet numbers records itself.
    numbering: Option<Numbering>,
    outlet: Box<dyn Outlet>,
    /// Parcels taken and not reported.
    in_hand: u64,
    /// Parcels that a rollup counts, reported as such.
    held: u64,
}

impl Worker {
    fn run(&mut self) {
        let mut pause = SOONEST_LOOK;
        loop {
            let work = self.mailbox.take(self.due());
            if !matches!(work, Work::Hurry) {
                pause = SOONEST_LOOK;
            }
            match work {
                Work::Parcels(parcels) => self.deliver(&parcels),
                Work::RollUp => self.roll_up(Instant::now() + DELIVERY_BOUND),
                Work::Hurry => {
                    self.roll_up(Instant::now() + DELIVERY_BOUND);
                    match self.outlet.hurry() {
                        Delivery::Pending => {
                            self.mailbox.pause(pause);
                            pause = LATEST_LOOK.min(2 * pause);
                        }
                        delivery => self.mailbox.answer(delivery),
                    }
                }
                Work::Rest => {
                    self.outlet.rest();
                    self.numbering.iter().for_each(Numbering::rest);
                    self.mailbox.wait(self.due());
                }
                Work::Finish(deadline) => {
                    self.roll_up(deadline);
                    self.number(&mut [], 0);
                    let loss = self.outlet.finish(deadline).err();
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
                .report(0, Some(Undelivered { count: 0, reason }));
        }
    }

    /// When what is added up is to be sent.
    fn due(&self) -> Option<Instant> {
        self.rollup.as_ref().and_then(Rollup::due)
    }

    /// Sends what has been added up, if there is anything. What is lost of that
    /// is told as so many commands as were counted.
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
            let result = self.outlet.deliver(&[Arc::new(record)], deadline);
            losses.extend(result.err().map(|mut loss| {
                loss.count *= count;
                loss
            }));
        }
        self.mailbox.release(std::mem::take(&mut self.held), losses);
    }

    fn deliver(&mut self, parcels: &[Parcel]) {
        self.in_hand = parcels.len() as u64;
        let mut records = Vec::with_capacity(parcels.len());
        let mut held = Vec::new();
        let mut unreadable = 0;
        for (place, Parcel { frame, environment }) in (0..).zip(parcels) {
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
        let mut loss = (unreadable > 0).then(|| Undelivered {
            count: unreadable,
            reason: "unreadable record in the queue".to_owned(),
        });
        self.number(&mut records, unreadable);
        if !records.is_empty() {
            let records: Vec<_> = records.into_iter().map(Arc::new).collect();
            let deadline = Instant::now() + DELIVERY_BOUND;
            if let Err(mut more) = self.outlet.deliver(&records, deadline) {
                more.count += loss.map_or(0, |loss| loss.count);
                loss = Some(more);
            }
        }
        let done = std::mem::take(&mut self.in_hand);
        self.held += held.len() as u64;
        self.mailbox.report_held(done, &held, loss);
    }
}
