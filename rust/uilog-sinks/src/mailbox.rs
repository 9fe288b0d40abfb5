//! What a sink's thread and the dispatcher's loop share.
//!
//! Responsible for a lock that is held only while a pointer is moved. Must not
//! know how the thread uses what it gets.

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::queue::Delivery;

use crate::sink::LossReport;

/// How long a sink is idle before it closes what other processes may need.
const REST_AFTER: Duration = Duration::from_secs(1);
/// Records that are delivered at a time.
const MAX_BATCH: usize = 32;
/// Records that wait for a sink, and their bytes: more do not fit.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// An event on its way: as the queue holds it, and hg's environment.
#[derive(Clone, Debug)]
pub(crate) struct QueuedEvent {
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
    waiting: VecDeque<QueuedEvent>,
    waiting_bytes: usize,
    /// Parcels that had no room, and will not come.
    missed: u64,
    /// Parcels done with, and not reported yet.
    done: u64,
    /// Which of those a rollup counts, by their places among them.
    held: Vec<u64>,
    /// The number of parcels whose rollup has been sent: the oldest of the held
    /// ones.
    released: u64,
    /// Rollups must be sent early.
    is_pressed: bool,
    losses: Vec<LossReport>,
    /// A process waits until all records are delivered.
    is_awaited: bool,
    /// How that has ended, unless more has been put in since.
    delivery: Option<Delivery>,
    /// Nothing more will come; until then there is time.
    deadline: Option<Instant>,
    has_ended: bool,
}

/// The results of a sink's parcels since the last call.
#[derive(Debug, Default)]
pub(crate) struct MailboxResults {
    pub(crate) done: u64,
    /// Which of those must stay in the queue, by their places among them.
    pub(crate) held: Vec<u64>,
    /// So many need not stay any more, the oldest of those that were held.
    pub(crate) released: u64,
    pub(crate) losses: Vec<LossReport>,
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
    pub(crate) fn put(&self, parcel: QueuedEvent) {
        let mut state = self.lock();
        state.waiting_bytes += parcel.frame.len();
        state.waiting.push_back(parcel);
        state.delivery = None;
    }

    /// A process waits until all is delivered; returns the progress.
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

    /// The result for all records that were taken out, if none are left.
    pub(crate) fn answer(&self, delivery: Delivery) {
        let mut state = self.lock();
        state.is_awaited = false;
        if state.waiting.is_empty() {
            state.delivery = Some(delivery);
        }
        drop(state);
        self.wake();
    }

    /// Waits this long, or until there is something else to do.
    pub(crate) fn pause(&self, time: Duration) {
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

    pub(crate) fn take_missed(&self) -> u64 {
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

    pub(crate) fn news(&self) -> MailboxResults {
        let mut state = self.lock();
        MailboxResults {
            done: std::mem::take(&mut state.done),
            held: std::mem::take(&mut state.held),
            released: std::mem::take(&mut state.released),
            losses: std::mem::take(&mut state.losses),
            has_ended: state.has_ended,
        }
    }

    /// Rollups must be sent now, because their records take up room.
    pub(crate) fn press(&self) {
        self.lock().is_pressed = true;
        self.changed.notify_one();
    }

    /// Waits for parcels, or until a rollup is due.
    pub(crate) fn next_work(&self, due: Option<Instant>) -> Work {
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

    /// Waits, without a limit, until there is something to do or a rollup is
    /// due.
    pub(crate) fn wait(&self, due: Option<Instant>) {
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

    pub(crate) fn report(&self, done: u64, loss: Option<LossReport>) {
        self.report_held(done, &[], loss);
    }

    /// The same; a rollup counts those that have these places among the parcels
    /// that are done now.
    pub(crate) fn report_held(
        &self,
        done: u64,
        held: &[u64],
        loss: Option<LossReport>,
    ) {
        let mut state = self.lock();
        let before = state.done;
        state.held.extend(held.iter().map(|it| before + it));
        state.done += done;
        state.losses.extend(loss);
        drop(state);
        self.wake();
    }

    /// So many that a rollup has counted need not stay in the queue.
    pub(crate) fn release(&self, count: u64, losses: Vec<LossReport>) {
        let mut state = self.lock();
        state.released += count;
        state.losses.extend(losses);
        drop(state);
        self.wake();
    }

    /// The thread ends; what waits is lost for that reason, if there is one.
    pub(crate) fn end(&self, reason: Option<String>) {
        let mut state = self.lock();
        let count = state.waiting.len() as u64;
        state.waiting.clear();
        state.done += count;
        if let Some(reason) = reason {
            state.losses.push(LossReport { count, reason });
        }
        state.has_ended = true;
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        wake(&self.bell);
    }
}

/// Wakes the dispatcher's loop.
pub(crate) fn wake(mut bell: &UnixStream) {
    // A full socket means that there is enough to wake up from.
    let _ = bell.write(b"!");
}

/// What there is to do.
pub(crate) enum Work {
    Parcels(Vec<QueuedEvent>),
    Hurry,
    RollUp,
    Rest,
    Finish(Instant),
}
