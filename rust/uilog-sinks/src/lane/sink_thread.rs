//! A sink's thread, as its lane sees it: its records in hand, and its results.
//!
//! Must not know the queue.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::queue::Delivery;

use crate::mailbox::Mailbox;
use crate::mailbox::MailboxResults;
use crate::rollup;
use crate::setup::Setup;
use crate::sink::Open;
use crate::worker;

/// How long a sink may have no room before it loses the records that it has
/// missed.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How long the records of a sink without progress stay in the queue, too:
/// longer than the maximum time of a delivery.
pub(super) const HELD_FOR: Duration = Duration::from_secs(15);
/// How long the records of a rollup stay in a queue that needs the room.
const PRESSED_FOR: Duration = Duration::from_secs(1);
/// How long a thread may not move before a newer one of the same sink starts.
pub(super) const OVERTAKEN_AFTER: Duration = Duration::from_secs(1);

/// The position of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPosition {
    /// How many there have been, itself included.
    pub(crate) number: u64,
    /// Where in the queue.
    pub(crate) position: u64,
}

/// What is needed to start a sink's thread.
#[derive(Debug)]
pub(crate) struct Starter {
    pub(crate) open: Open,
    /// Whether ends of commands are added up for sinks with that option.
    pub(crate) rolls_up: bool,
    /// The socket through which a thread wakes the event loop; or why there is
    /// none.
    pub(crate) bell: Result<Arc<UnixStream>, String>,
}

#[derive(Debug)]
pub(super) enum Current {
    /// It is not there, or has got nothing yet.
    None,
    Running(Running),
    /// It could not be opened, or its thread has ended before its time.
    Broken(String),
}

/// A thread.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) mailbox: Arc<Mailbox>,
    /// The records that it has and is not done with.
    pub(super) pending: VecDeque<RecordPosition>,
    /// Those that a rollup counts which has not been sent.
    pub(super) held: VecDeque<RecordPosition>,
    /// How many of those, the oldest, do not stay in the queue any more
    /// because the rollup should have been sent long ago.
    pub(super) given_up: usize,
    /// When the rollup should have been sent.
    pub(super) held_until: Option<Instant>,
    /// It has new records of which its thread was not notified.
    pub(super) has_news: bool,
    /// When it last reported something, or got something after it had nothing.
    pub(super) moved_at: Instant,
    /// The deadline for its end, once it has been told to end.
    pub(super) ends_by: Option<Instant>,
}

/// What a thread has reported since the last call.
#[derive(Debug)]
pub(super) struct ThreadResults {
    pub(super) news: MailboxResults,
    /// Records that a rollup counts.
    pub(super) held: Vec<RecordPosition>,
    /// Records whose rollup has been sent, or is lost.
    pub(super) released: Vec<RecordPosition>,
}

pub(super) fn stuck() -> String {
    format!("it has been stuck for {} s", STUCK_AFTER.as_secs())
}

pub(super) fn start(
    wanted: &crate::setup::TrackedSink,
    setup: &Setup,
    starter: &Starter,
    now: Instant,
) -> Current {
    let started = match &starter.bell {
        Ok(bell) => {
            let mailbox = Arc::new(Mailbox::new(Arc::clone(bell)));
            let definition = wanted.definition.clone();
            let globals = Arc::clone(setup.globals());
            let for_thread = Arc::clone(&mailbox);
            let (open, rolls_up) = (starter.open, starter.rolls_up);
            worker::start(definition, globals, for_thread, open, rolls_up)
                .map(|()| mailbox)
                .map_err(|error| error.to_string())
        }
        Err(error) => Err(error.clone()),
    };
    match started {
        Ok(mailbox) => Current::Running(Running {
            mailbox,
            pending: VecDeque::new(),
            held: VecDeque::new(),
            given_up: 0,
            held_until: None,
            has_news: false,
            moved_at: now,
            ends_by: None,
        }),
        Err(error) => {
            Current::Broken(format!("cannot start a thread: {error}"))
        }
    }
}

impl Running {
    pub(super) fn announce(&mut self) {
        if std::mem::take(&mut self.has_news) {
            self.mailbox.announce();
        }
    }

    pub(super) fn hurry(&self) -> Delivery {
        match self.pending.is_empty() {
            true => self.mailbox.hurry(),
            false => self.mailbox.hurry().and(Delivery::Pending),
        }
    }

    /// It gets nothing more. A deadline only comes nearer.
    pub(super) fn finish(&mut self, deadline: Instant) {
        if self.ends_by.is_none_or(|before| deadline < before) {
            self.ends_by = Some(deadline);
            self.mailbox.finish(deadline);
        }
    }

    pub(super) fn collect_results(&mut self, now: Instant) -> ThreadResults {
        let news = self.mailbox.news();
        let mut held = Vec::new();
        if news.done > 0 {
            let at = |place: &u64| usize::try_from(*place).ok();
            let places = news.held.iter().filter_map(at);
            held = places
                .filter_map(|at| self.pending.get(at).copied())
                .collect();
            self.hold(&held, now);
            let count = usize::try_from(news.done).unwrap_or(usize::MAX);
            self.pending.drain(..count.min(self.pending.len()));
            self.moved_at = now;
        }
        let released = self.release(news.released, now);
        ThreadResults {
            held,
            released,
            news,
        }
    }

    /// A rollup counts these.
    fn hold(&mut self, places: &[RecordPosition], now: Instant) {
        if !places.is_empty() {
            let until = now + rollup::WINDOW + HELD_FOR;
            self.held_until.get_or_insert(until);
            self.held.extend(places);
        }
    }

    /// The records counted by rollups take up room that is needed.
    pub(super) fn press(&mut self) {
        self.mailbox.press();
        if let Some(until) = &mut self.held_until {
            *until = (*until).min(Instant::now() + PRESSED_FOR);
        }
    }

    /// A rollup of so many records has been sent. Returns the records that may
    /// leave the queue: these, and those that have waited for too long.
    fn release(&mut self, count: u64, now: Instant) -> Vec<RecordPosition> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let count = count.min(self.held.len());
        let before = self.given_up.min(count);
        let mut released: Vec<_> =
            self.held.drain(..count).skip(before).collect();
        self.given_up -= before;
        if count > 0 {
            // Those that are left belong to the next rollup.
            self.held_until = (!self.held.is_empty())
                .then_some(now + rollup::WINDOW + HELD_FOR);
        }
        if self.held_until.is_some_and(|it| now >= it) {
            released.extend(self.held.iter().skip(self.given_up));
            self.given_up = self.held.len();
        }
        released
    }

    /// What a rollup counts and what must still leave the queue.
    pub(super) fn still_held(
        &mut self,
    ) -> impl Iterator<Item = RecordPosition> {
        let given_up = std::mem::take(&mut self.given_up);
        std::mem::take(&mut self.held).into_iter().skip(given_up)
    }

    /// Whether it has something in hand, and does it.
    pub(super) fn is_moving(&self, now: Instant) -> bool {
        !self.pending.is_empty() && now < self.moved_at + OVERTAKEN_AFTER
    }

    /// How many of the records that it has in hand have numbers up to this.
    pub(super) fn up_to(&self, number: u64) -> usize {
        self.pending.partition_point(|place| place.number <= number)
    }

    /// The first one in hand after that number.
    pub(super) fn after(&self, number: u64) -> Option<RecordPosition> {
        self.pending.get(self.up_to(number)).copied()
    }
}
