//! Sending what is in a spool, batch after batch, as its one sender on this
//! machine.
//!
//! A collector that takes nothing is left alone for a while, by all processes.
//! No lock is held meanwhile: who has one sends, or ends.
//!
//! Knows when to send, and nothing of what.

use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use uilog_spool::Batch;
use uilog_spool::Error;
use uilog_spool::HoldBack;
use uilog_spool::Sender;
use uilog_spool::Spool;

use crate::otlp::backoff::Backoff;
use crate::otlp::http::Post;
use crate::otlp::losses;
use crate::otlp::losses::Reports;
use crate::otlp::ship::Outcome;
use crate::otlp::ship::Shipper;
use crate::otlp::unnoted;
use crate::record;

/// Records of a batch at most: some requests, so that one can be made while
/// another is looked at. A batch is written down when it is done.
const MAX_RECORDS: usize = 2048;
/// Bytes of their payloads: less than four whole requests, which are never
/// quite full, so that no fifth one has a few records. All of a batch is in
/// memory, and of two requests what is made of them.
const MAX_BYTES: usize = 960 * 1024;
/// What comes within this time is sent together.
const LINGER: Duration = Duration::from_secs(1);
/// How long another sender is left alone before it is made sure that it lives.
const BUSY: Duration = Duration::from_secs(5);
/// How long a spool is left alone that cannot be read.
const UNREADABLE: Duration = Duration::from_secs(10);
/// Why nothing is sent although the collector takes it.
pub const UNNOTED: &str = "what has been sent cannot be written down";
/// How often it is looked once more in one go.
const MAX_LOOKS: u32 = 16;

/// How it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing is left.
    Drained,
    /// Another process is sending.
    Busy,
    /// The collector takes nothing now.
    Later {
        /// For how long it is to be left alone.
        wait: Duration,
        /// Why.
        reason: String,
    },
    /// The spool cannot be read or locked.
    Failed(String),
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that the collector has accepted.
    pub sent: u64,
    /// Records that it has rejected.
    pub rejected: u64,
}

/// How a flush has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// What has been done.
    pub progress: Progress,
    /// Why something is left, if it is.
    pub end: Round,
    /// Why something has been rejected, of the first.
    pub rejection: Option<String>,
}

/// Who sends what is in a spool.
#[derive(Debug)]
pub struct Sending<P> {
    spool: Spool,
    shipper: Shipper<P>,
    progress: Progress,
    rejection: Option<String>,
    reports: Option<Reports>,
}

impl<P: Post> Sending<P> {
    /// Sends what is in `spool` to `collector`.
    pub fn new(
        spool: &Spool,
        collector: P,
        resource: Vec<(String, String)>,
    ) -> Self {
        Self {
            spool: spool.holding_back(HoldBack(record::is_of_later_schema)),
            shipper: Shipper::new(collector, resource),
            progress: Progress::default(),
            rejection: None,
            reports: None,
        }
    }

    /// Tells the collector of losses, too.
    #[must_use]
    pub fn reporting(mut self, reports: Option<Reports>) -> Self {
        self.reports = reports;
        self
    }

    /// Sends all that waits, whatever the collector has asked for before.
    pub fn flush(mut self, progress: &mut dyn FnMut(Progress)) -> Flushed {
        let end = self.look_again(true, progress, &mut || {});
        Flushed {
            progress: self.progress,
            end,
            rejection: self.rejection,
        }
    }

    /// Sends all that waits, if the collector may be asked.
    pub fn round(&mut self) -> Round {
        self.look_again(false, &mut |_| {}, &mut || {})
    }

    /// Sends, and then looks once more: who has appended after the last look
    /// has found the lock taken, and relies on its holder. `unlocking` is
    /// called in between.
    fn look_again(
        &mut self,
        is_forced: bool,
        progress: &mut dyn FnMut(Progress),
        unlocking: &mut dyn FnMut(),
    ) -> Round {
        for _ in 0..MAX_LOOKS {
            let backoff = Backoff::load(self.spool.dir(), SystemTime::now());
            if let Some(wait) = backoff.wait(SystemTime::now()) {
                if !is_forced {
                    let reason = backoff.reason;
                    return Round::Later { wait, reason };
                }
            }
            let unnoted = unnoted::wait(self.spool.dir(), SystemTime::now());
            if let Some(wait) = unnoted.filter(|_| !is_forced) {
                let reason = UNNOTED.to_owned();
                return Round::Later { wait, reason };
            }
            let sender = match Sender::try_lock(&self.spool) {
                Ok(Some(sender)) => sender,
                Ok(None) => return Round::Busy,
                Err(error) => return Round::Failed(error.to_string()),
            };
            match self.drain(sender, is_forced, progress, unlocking) {
                Ok(None) => {}
                Ok(Some(later)) => return later,
                Err(error) => return Round::Failed(error.to_string()),
            }
            if !self.spool.has_pending() {
                break;
            }
        }
        Round::Drained
    }

    fn drain(
        &mut self,
        mut sender: Sender,
        is_forced: bool,
        progress: &mut dyn FnMut(Progress),
        unlocking: &mut dyn FnMut(),
    ) -> Result<Option<Round>, Error> {
        let dir = self.spool.dir().to_owned();
        // Again, since it is ours to write only now.
        let mut backoff = Backoff::load(&dir, SystemTime::now());
        // Told once the collector has taken something.
        let mut report =
            self.reports.as_ref().and_then(|it| it.due(&self.spool));
        // Why it is not written down how far this is. Nothing comes twice from
        // this sender, and what it removes makes room; but from the next one.
        let mut unnoted: Option<Error> = None;
        loop {
            let batch = match sender.next_batch(MAX_RECORDS, MAX_BYTES) {
                Ok(batch) if !batch.is_empty() => batch,
                Err(error) if unnoted.is_none() => return Err(error),
                _ => {
                    unlocking();
                    return Ok(unnoted.map(|error| self.unnoted(&error)));
                }
            };
            match self.shipper.ship(&batch, backoff.is_to_divide()) {
                Outcome::Done {
                    rejected,
                    unknown,
                    reason,
                } => {
                    if backoff != Backoff::default() {
                        backoff.clear(&dir);
                    }
                    self.count(&batch, rejected.len() as u64 + unknown);
                    let count = rejected.len() as u64 + unknown;
                    let has_taken = batch.records().len() as u64 > count;
                    let reports = rejected.iter().filter(|it| {
                        losses::is_report(&batch.records()[**it].payload)
                    });
                    let reports = reports.count() as u64;
                    let why = reason.unwrap_or_default();
                    if !why.is_empty() {
                        self.rejection.get_or_insert_with(|| why.clone());
                    }
                    let why = why.as_bytes();
                    let settled =
                        sender.settle_partly(batch, &rejected, why, unknown);
                    unnoted = settled.err();
                    if unnoted.is_none() && is_forced {
                        unnoted::clear(&dir);
                    }
                    losses::forget_rejected(&self.spool, reports);
                    if has_taken && let Some(report) = report.take() {
                        report.append(&self.spool);
                    }
                    progress(self.progress);
                }
                Outcome::Later {
                    after,
                    reason,
                    is_broken,
                } => {
                    sender.retry(batch);
                    if let Some(error) = &unnoted {
                        self.unnoted(error);
                    }
                    // Who asks for it by hand does not use up the attempts.
                    if !is_broken {
                        backoff.broken = 0;
                    } else if !is_forced {
                        backoff.broken = backoff.broken.saturating_add(1);
                    }
                    let now = SystemTime::now();
                    backoff.fail(now, after, &reason, random());
                    // Who cannot write it down remembers it all the same; but
                    // the next process does not.
                    let wait = backoff.wait(now).unwrap_or_default();
                    let reason = match backoff.save(&dir) {
                        Ok(()) => reason,
                        Err(error) => {
                            let marked = unnoted::mark_until(&dir, now + wait);
                            match marked {
                                Ok(()) => reason,
                                Err(_) => format!(
                                    "{reason}; when to ask again cannot be \
                                     written to {}: {error}",
                                    dir.display()
                                ),
                            }
                        }
                    };
                    return Ok(Some(Round::Later { wait, reason }));
                }
            }
        }
    }

    /// What has been sent would be sent again: not before a while.
    fn unnoted(&self, error: &Error) -> Round {
        let wait = unnoted::mark(self.spool.dir(), SystemTime::now(), random());
        let reason = format!("{UNNOTED}: {error}");
        Round::Later { wait, reason }
    }

    fn count(&mut self, batch: &Batch, rejected: u64) {
        let all = batch.records().len() as u64;
        self.progress.rejected += rejected;
        self.progress.sent += all.saturating_sub(rejected);
    }
}

/// From 0 to 1.
fn random() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / f64::from(u32::MAX)
}

/// What a worker and whoever it works for tell each other.
#[derive(Debug, Default)]
struct State {
    /// Something has been appended.
    is_woken: bool,
    /// Nothing more will be.
    is_finishing: bool,
    /// The thread is about to end.
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is to end, or so long; returns whether it is to end.
    fn wait(&self, time: Duration) -> bool {
        let state = self.state();
        let state = self
            .changed
            .wait_timeout_while(state, time, |it| !it.is_finishing);
        state.unwrap_or_else(PoisonError::into_inner).0.is_finishing
    }

    /// Waits for something to send; returns whether there is.
    fn wait_for_work(&self) -> bool {
        let state = self.state();
        let mut state = self
            .changed
            .wait_while(state, |it| !it.is_woken && !it.is_finishing)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.is_woken)
    }
}

/// Tells that the thread ends, however it does.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.state().has_ended = true;
        self.0.changed.notify_all();
    }
}

/// A thread that sends whenever there is something.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub fn start<P: Post + 'static>(
        mut sending: Sending<P>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ending = Ending(Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("uilog-otlp".to_owned())
            .spawn(move || {
                let shared = Arc::clone(&ending.0);
                while shared.wait_for_work() {
                    shared.wait(LINGER);
                    // What has come since, is sent with the rest.
                    shared.state().is_woken = false;
                    if send_all(&mut sending, &shared) {
                        return;
                    }
                }
            })?;
        Ok(Self { shared, thread })
    }

    /// There is something to send.
    pub fn wake(&self) {
        self.shared.state().is_woken = true;
        self.shared.changed.notify_all();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.state().has_ended
    }

    /// Lets it go on while it gets somewhere, and waits for its end until
    /// `deadline`. After that it is left to itself and ends with the process;
    /// what it was about to send is sent again by another.
    pub fn finish(self, deadline: Instant) {
        let mut state = self.shared.state();
        state.is_finishing = true;
        self.shared.changed.notify_all();
        let time = deadline.saturating_duration_since(Instant::now());
        let state = self
            .shared
            .changed
            .wait_timeout_while(state, time, |it| !it.has_ended)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let has_ended = state.has_ended;
        drop(state);
        if has_ended {
            // If it has panicked, that has been said.
            let _ = self.thread.join();
        }
    }
}

/// Sends until nothing is left; returns whether it is to end before that.
fn send_all<P: Post>(sending: &mut Sending<P>, shared: &Shared) -> bool {
    loop {
        let wait = match sending.round() {
            Round::Drained => return false,
            // Who is sending looks once more before it ends.
            Round::Busy => BUSY,
            Round::Later { wait, .. } => wait,
            Round::Failed(_) => UNREADABLE,
        };
        if shared.wait(wait) {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use uilog_spool::Options;
    use uilog_spool::RecordId;
    use uilog_spool::Writer;

    use super::*;
    use crate::otlp::request::Kind;
    use crate::otlp::verdict::Verdict;

    struct Nobody;

    impl Post for Nobody {
        fn post(&mut self, _: Kind, _: Vec<u8>) -> Verdict {
            Verdict::Accepted
        }
    }

    fn sending(spool: &Spool) -> Sending<Nobody> {
        Sending::new(spool, Nobody, Vec::new())
    }

    /// Appends a record; this one is rejected, which is as good as sent.
    fn append(spool: &Spool, number: u8) {
        let id = RecordId::new(&[number; 16]).unwrap();
        Writer::new(spool).append(&id, b"x").unwrap();
    }

    /// Another process appends just when the sender has seen that nothing is
    /// left, and still has the lock: that process gives up.
    #[test]
    fn what_comes_between_the_last_look_and_the_lock_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Options::default()).unwrap();
        append(&spool, 1);
        let mut looks = 0;
        let round = sending(&spool).look_again(false, &mut |_| {}, &mut || {
            looks += 1;
            if looks <= 2 {
                append(&spool, 1 + looks);
                assert_eq!(sending(&spool).round(), Round::Busy);
            }
        });
        assert_eq!((round, looks), (Round::Drained, 3));
        let stats = spool.stats().unwrap();
        assert_eq!((stats.pending, stats.rejected), (0, 3));
    }

    /// Whatever is woken when, nothing that was appended before stays.
    #[test]
    fn who_is_woken_while_it_sends_sends_again() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Options::default()).unwrap();
        for number in 0..50 {
            let worker = Worker::start(sending(&spool)).unwrap();
            append(&spool, 2 * number);
            worker.wake();
            if number % 2 == 0 {
                thread::yield_now();
            }
            append(&spool, 2 * number + 1);
            worker.wake();
            worker.finish(Instant::now() + Duration::from_secs(60));
            assert_eq!(spool.stats().unwrap().pending, 0, "{number}");
        }
    }

    /// Takes everything, and counts the requests.
    struct Counting<'a>(&'a mut u32);

    impl Post for Counting<'_> {
        fn post(&mut self, _: Kind, _: Vec<u8>) -> Verdict {
            *self.0 += 1;
            Verdict::Accepted
        }
    }

    /// A record of this version of the schema, or of a later one.
    fn append_record(writer: &mut Writer, number: u8, schema: u32) {
        let session = format!("{number:032x}");
        let record = serde_json::json!({
            "schema": schema,
            "id": format!("{session}-1"),
            "event": "x",
            "time": "2026-01-02T03:04:05.000006+01:00",
            "session": session,
            "seq": 1,
            "message": "",
            "process": {"pid": 1, "executable": "/usr/bin/hg"},
            "host": {"name": "here"},
        });
        let id = RecordId::new(&[number; 16]).unwrap();
        let payload = serde_json::to_vec(&record).unwrap();
        writer.append(&id, &payload).unwrap();
    }

    /// Whatever is in the way of the counts does as well as a full disk.
    #[test]
    fn what_cannot_be_written_down_is_not_sent_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Options::default()).unwrap();
        // It lives, so that nothing can be removed.
        let mut writer = Writer::new(&spool);
        append_record(&mut writer, 1, 1);
        let in_the_way = dir.path().join("sender.counts.new");
        std::fs::create_dir(&in_the_way).unwrap();
        let mut posts = 0;
        for _ in 0..3 {
            let collector = Counting(&mut posts);
            let round = Sending::new(&spool, collector, Vec::new()).round();
            let Round::Later { wait, reason } = round else {
                panic!("{round:?}");
            };
            assert!(wait > BUSY, "{wait:?}");
            assert!(reason.starts_with(UNNOTED), "{reason}");
        }
        assert_eq!(posts, 1);
        std::fs::remove_dir(&in_the_way).unwrap();
        let collector = Counting(&mut posts);
        let sending = Sending::new(&spool, collector, Vec::new());
        let flushed = sending.flush(&mut |_| {});
        assert_eq!(flushed.end, Round::Drained);
        assert_eq!(posts, 2);
        append_record(&mut writer, 2, 1);
        let collector = Counting(&mut posts);
        let round = Sending::new(&spool, collector, Vec::new()).round();
        assert_eq!((round, posts), (Round::Drained, 3));
    }

    #[test]
    fn what_a_later_program_has_written_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Options::default()).unwrap();
        let mut writer = Writer::new(&spool);
        append_record(&mut writer, 1, 1);
        append_record(&mut writer, 2, 2);
        let mut posts = 0;
        let collector = Counting(&mut posts);
        let sending = Sending::new(&spool, collector, Vec::new());
        let flushed = sending.flush(&mut |_| {});
        assert_eq!(flushed.end, Round::Drained);
        let sent = Progress {
            sent: 1,
            ..Progress::default()
        };
        assert_eq!((flushed.progress, posts), (sent, 1));
        let stats = spool.stats().unwrap();
        assert_eq!((stats.pending, stats.rejected), (1, 0));
    }
}
