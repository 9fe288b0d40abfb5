//! Sends the records of a spool, batch after batch, as its only sender on this
//! machine.
//!
//! Spans and log records are sent independently of each other, each by its own
//! thread if there are both: a collector that accepts no logs, or whose
//! endpoint for logs does not answer, still gets the spans. After a failure of
//! a signal, all processes wait before they retry it. No lock is held while
//! waiting: a process that holds the lock sends, or ends.
//!
//! Knows when to send. Must not know what is sent.

use std::io;
use std::path::Path;
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
use uilog_spool::CHANNELS;
use uilog_spool::Error;
use uilog_spool::Sender;
use uilog_spool::Spool;

use crate::otlp::accepted::Accepted;
use crate::otlp::backoff::Backoff;
use crate::otlp::http::RequestSender;
use crate::otlp::losses;
use crate::otlp::losses::Due;
use crate::otlp::losses::Reports;
use crate::otlp::request::SignalType;
use crate::otlp::ship::BatchObserver;
use crate::otlp::ship::BatchResult;
use crate::otlp::ship::Outcome;
use crate::otlp::ship::Shipper;
use crate::otlp::unnoted;

/// Records of a batch at most: some requests, so that one can be made while
/// another is looked at.
const MAX_RECORDS: usize = 2048;
/// Maximum bytes of payloads in a batch: less than three complete requests,
/// which are never quite full, so that no fourth one has only a few records.
/// The whole batch is in memory, and the contents of two requests, for each
/// signal.
const MAX_BYTES: usize = 704 * 1024;
/// What comes within this time is sent together.
const LINGER: Duration = Duration::from_secs(1);
/// How long another sender is left alone before it is made sure that it lives.
const BUSY: Duration = Duration::from_secs(5);
/// How long a spool is left alone that cannot be read.
const UNREADABLE: Duration = Duration::from_secs(10);
/// Why nothing is sent although the collector takes it.
pub const UNNOTED: &str = "sent records cannot be marked as sent";
/// How often it is looked once more in one go.
const MAX_LOOKS: u32 = 16;

/// How it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing is left.
    Drained,
    /// Another process is sending.
    Busy,
    /// Delivery fails at present, at least of one signal.
    Later {
        /// How long to wait before the next attempt.
        wait: Duration,
        /// Why.
        reason: String,
    },
    /// The spool cannot be read or locked.
    Failed(String),
}

/// The progress so far.
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
    /// The progress.
    pub progress: Progress,
    /// Why something is left, if it is.
    pub end: Round,
    /// For each channel, why records of that signal are left.
    pub waiting: [Option<String>; CHANNELS],
    /// Why something has been rejected, of the first.
    pub rejection: Option<String>,
}

/// Sends the records of a spool.
#[derive(Debug)]
pub struct Sending<P> {
    spool: Spool,
    /// Of each signal; who sends it has it locked.
    shippers: [Mutex<Shipper<P>>; CHANNELS],
    progress: Progress,
    rejection: Option<String>,
    /// Why each signal waits since the last round, by its channel.
    waits: [Option<Wait>; CHANNELS],
    reports: Option<Reports>,
}

/// Why a signal waits, and for how long.
#[derive(Clone, Debug)]
struct Wait {
    time: Duration,
    reason: String,
}

/// Shared by the threads that send the signals: the spool's sender, and the
/// progress.
struct Desk<'a> {
    spool: &'a Spool,
    sender: Sender,
    is_forced: bool,
    progress: Progress,
    rejection: Option<String>,
    /// Why progress cannot be saved. This sender sends no record twice, and
    /// what it removes makes room; but the next sender would.
    unnoted: Option<Error>,
    /// Appended once the collector has accepted something.
    report: Option<Due>,
    tell: &'a mut (dyn FnMut(Progress) + Send),
}

impl<P: RequestSender> Sending<P> {
    /// Sends the records in `spool` to the collector of each signal.
    pub fn new(
        spool: &Spool,
        collector: impl Fn(SignalType) -> P,
        resource: &[(String, String)],
    ) -> Self {
        let shipper = |kind| {
            let collector = collector(kind);
            Mutex::new(Shipper::new(collector, kind, resource.to_vec()))
        };
        Self {
            spool: spool.clone(),
            shippers: SignalType::ALL.map(shipper),
            progress: Progress::default(),
            rejection: None,
            waits: [const { None }; CHANNELS],
            reports: None,
        }
    }

    /// Reports losses to the collector, too.
    #[must_use]
    pub fn reporting(mut self, reports: Option<Reports>) -> Self {
        self.reports = reports;
        self
    }

    /// Sends all waiting records, even if the collector has asked to wait.
    pub fn flush(
        mut self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Flushed {
        let end = self.look_again(true, progress, &mut || {});
        Flushed {
            progress: self.progress,
            end,
            waiting: self.waits.map(|it| it.map(|it| it.reason)),
            rejection: self.rejection,
        }
    }

    /// Sends all that waits, if the collector may be asked.
    pub fn round(&mut self) -> Round {
        self.look_again(false, &mut |_| {}, &mut || {})
    }

    /// Sends, and then checks once more: a process that has appended after the
    /// last check has found the lock taken, and relies on its holder.
    /// `unlocking` is called in between.
    fn look_again(
        &mut self,
        is_forced: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
        unlocking: &mut dyn FnMut(),
    ) -> Round {
        self.waits = [const { None }; CHANNELS];
        for _ in 0..MAX_LOOKS {
            let now = SystemTime::now();
            let mut is_due = [true; CHANNELS];
            for kind in SignalType::ALL {
                let channel = kind.channel();
                if self.waits[channel].is_none() && !is_forced {
                    self.waits[channel] = self.backoff(kind, now);
                }
                is_due[channel] = self.waits[channel].is_none();
            }
            if !is_due.contains(&true) {
                break;
            }
            let sender = match Sender::try_lock(&self.spool) {
                Ok(Some(sender)) => sender,
                Ok(None) => return Round::Busy,
                Err(error) => return Round::Failed(error.to_string()),
            };
            let drained =
                self.drain(sender, is_due, is_forced, progress, unlocking);
            match drained {
                Ok(new) => {
                    for (wait, new) in self.waits.iter_mut().zip(new) {
                        *wait = wait.take().or(new);
                    }
                }
                Err(error) => return Round::Failed(error.to_string()),
            }
            let is_due: [bool; CHANNELS] =
                std::array::from_fn(|it| self.waits[it].is_none());
            if !self.spool.has_pending(is_due).unwrap_or(false) {
                break;
            }
        }
        joined(self.spool.dir(), &self.waits)
    }

    fn backoff(&self, kind: SignalType, now: SystemTime) -> Option<Wait> {
        let dir = self.spool.dir();
        let backoff = Backoff::load(dir, kind, now);
        if let Some(time) = backoff.wait(now) {
            let reason = backoff.reason;
            return Some(Wait { time, reason });
        }
        let time = unnoted::wait(dir, kind, now)?;
        let reason = UNNOTED.to_owned();
        Some(Wait { time, reason })
    }

    /// Sends what waits of the signals that are due; returns why and for how
    /// long each of them has to wait, if so.
    fn drain(
        &mut self,
        sender: Sender,
        is_due: [bool; CHANNELS],
        is_forced: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
        unlocking: &mut dyn FnMut(),
    ) -> Result<[Option<Wait>; CHANNELS], Error> {
        let reports = self.reports.as_ref();
        let desk = Mutex::new(Desk {
            spool: &self.spool,
            report: reports.and_then(|it| it.due(&self.spool)),
            sender,
            is_forced,
            progress: self.progress,
            rejection: self.rejection.take(),
            unnoted: None,
            tell: progress,
        });
        let dir = self.spool.dir();
        // Each signal's records are read once, even if there are none.
        let batches =
            lock(&desk)
                .sender
                .next_batches(is_due, MAX_RECORDS, MAX_BYTES);
        let is_some = |batch: &Option<Result<Batch, Error>>| {
            let batch = batch.as_ref().and_then(|it| it.as_ref().ok());
            batch.is_some_and(|it| !it.is_empty())
        };
        let are_both = batches.iter().all(is_some);
        let batches = batches.map(Mutex::new);
        let drain = |kind: SignalType| {
            let Some(batch) = lock(&batches[kind.channel()]).take() else {
                return Ok(None);
            };
            let mut shipper = lock(&self.shippers[kind.channel()]);
            let drained = drain_signal(&mut shipper, &desk, dir, batch?);
            shipper.rest();
            drained
        };
        let [first, second] = SignalType::ALL;
        let results = if are_both {
            thread::scope(|scope| {
                let thread =
                    thread::Builder::new().name("uilog-signal".to_owned());
                let thread = thread.spawn_scoped(scope, || drain(first));
                let of_second = drain(second);
                let of_first = match thread {
                    // If it has panicked, that was reported.
                    Ok(thread) => thread.join().unwrap_or(Ok(None)),
                    Err(_) => drain(first),
                };
                [of_first, of_second]
            })
        } else {
            [drain(first), drain(second)]
        };
        unlocking();
        let desk = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.progress = desk.progress;
        self.rejection = desk.rejection;
        let Some(error) = desk.unnoted else {
            let [of_first, of_second] = results;
            return Ok([of_first?, of_second?]);
        };
        // The next sender would send the same records again, so it has to wait.
        let now = SystemTime::now();
        let mut waits = results.map(|it| it.unwrap_or(None));
        for kind in SignalType::ALL {
            let time = unnoted::mark(dir, kind, now, random());
            waits[kind.channel()].get_or_insert_with(|| Wait {
                time,
                reason: format!("{UNNOTED}: {error}"),
            });
        }
        Ok(waits)
    }
}

/// What a round has come to.
fn joined(spool: &Path, waits: &[Option<Wait>; CHANNELS]) -> Round {
    let of = |kind: SignalType| {
        let wait = waits[kind.channel()].as_ref()?;
        Some((kind, &*wait.reason))
    };
    let times = waits.iter().flatten().map(|it| it.time);
    let Some(wait) = times.min() else {
        return Round::Drained;
    };
    let waiting: Vec<_> = SignalType::ALL.into_iter().filter_map(of).collect();
    let reason = Refused::new(spool, &waiting).reason;
    Round::Later { wait, reason }
}

/// What a collector does not take now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The signal, if it takes the other one.
    pub only: Option<SignalType>,
    /// Why.
    pub reason: String,
}

impl Refused {
    /// Of the signals that wait, and why each does.
    pub fn new(spool: &Path, waiting: &[(SignalType, &str)]) -> Self {
        let named =
            |it: &(SignalType, &str)| format!("{}: {}", it.0.name(), it.1);
        let is_taken = |kind: SignalType| {
            let is_other = waiting.iter().all(|it| it.0 != kind);
            is_other && Accepted::load(spool, kind).is_any()
        };
        let is_other_taken = SignalType::ALL.into_iter().any(is_taken);
        match waiting {
            [one] if is_other_taken => Self {
                only: Some(one.0),
                reason: named(one),
            },
            [first, others @ ..] if others.iter().all(|it| it.1 == first.1) => {
                Self {
                    only: None,
                    reason: first.1.to_owned(),
                }
            }
            all => Self {
                only: None,
                reason: all.iter().map(named).collect::<Vec<_>>().join("; "),
            },
        }
    }
}

/// Sends what waits of a signal, this batch first; returns why and for how long
/// the signal has to wait, if so.
fn drain_signal<P: RequestSender>(
    shipper: &mut Shipper<P>,
    desk: &Mutex<Desk<'_>>,
    dir: &Path,
    mut batch: Batch,
) -> Result<Option<Wait>, Error> {
    let kind = shipper.kind();
    let mut backoff = Backoff::load(dir, kind, SystemTime::now());
    while !batch.is_empty() {
        let mut page = Page {
            desk,
            batch: &batch,
            settled: 0,
            dir,
            kind,
            settings: shipper.settings(),
            accepted: Accepted::load(dir, kind),
            backoff: &mut backoff,
        };
        match shipper.ship(batch.records(), &mut page) {
            Outcome::Done => {}
            Outcome::Later { after, reason } => {
                lock(desk).sender.retry(batch);
                let now = SystemTime::now();
                backoff.fail(now, after, &reason, random());
                let time = backoff.wait(now).unwrap_or_default();
                // If the delay cannot be saved, this process observes it
                // nevertheless, but the next one does not.
                let noted = backoff.save(dir, kind).or_else(|error| {
                    let marked = unnoted::mark_until(dir, kind, now + time);
                    marked.map_err(|_| error)
                });
                let reason = match noted {
                    Ok(()) => reason,
                    Err(error) => format!(
                        "{reason}; the time of the next attempt cannot be \
                         written to \
                         {}: {error}",
                        dir.display()
                    ),
                };
                return Ok(Some(Wait { time, reason }));
            }
        }
        batch = lock(desk).sender.next_batch_of(
            kind.channel(),
            MAX_RECORDS,
            MAX_BYTES,
        )?;
    }
    Ok(None)
}

/// Where it is written down what becomes of a batch.
struct Page<'a, 'b> {
    desk: &'a Mutex<Desk<'b>>,
    batch: &'a Batch,
    /// How many of its records have a result.
    settled: usize,
    dir: &'a Path,
    kind: SignalType,
    settings: u64,
    accepted: Accepted,
    backoff: &'a mut Backoff,
}

impl BatchObserver for Page<'_, '_> {
    fn settle(&mut self, it: BatchResult) {
        let all = it.end.saturating_sub(self.settled) as u64;
        self.settled = it.end;
        let rejected = it.rejected.len() as u64 + it.unknown;
        let mut guard = lock(self.desk);
        let desk = &mut *guard;
        if rejected > 0 {
            let reason = || it.reason.clone();
            desk.rejection.get_or_insert_with(reason);
        }
        let reason = it.reason.as_bytes();
        let BatchResult { end, unknown, .. } = it;
        let settled = desk.sender.settle_up_to(
            self.batch,
            end,
            &it.rejected,
            reason,
            unknown,
        );
        desk.unnoted = settled.err();
        if desk.unnoted.is_none() && desk.is_forced {
            for kind in SignalType::ALL {
                unnoted::clear(self.dir, kind);
            }
        }
        let records = self.batch.records();
        let reports = it.rejected.iter().filter_map(|at| records.get(*at));
        let reports = reports.filter(|it| losses::is_report(&it.payload));
        losses::forget_rejected(desk.spool, reports.count() as u64);
        if all > rejected
            && let Some(report) = desk.report.take()
        {
            report.append(desk.spool);
        }
        desk.progress.rejected += rejected;
        let sent = desk.progress.sent + all;
        desk.progress.sent = sent.saturating_sub(rejected);
        (desk.tell)(desk.progress);
    }

    fn note_accepted(&mut self) {
        self.accepted.note(self.dir, self.kind, self.settings);
        if *self.backoff != Backoff::default() {
            self.backoff.clear(self.dir, self.kind);
        }
    }

    fn has_accepted(&self) -> bool {
        self.accepted.has_accepted(self.settings)
    }

    fn may_reject(&mut self, count: u64) -> bool {
        let may =
            self.accepted
                .may_reject(self.dir, self.kind, self.settings, count);
        // The collector has answered.
        if may && *self.backoff != Backoff::default() {
            self.backoff.clear(self.dir, self.kind);
        }
        may
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From 0 to 1.
fn random() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / f64::from(u32::MAX)
}

/// The state that a worker shares with its owner.
#[derive(Debug, Default)]
struct State {
    /// Something has been appended.
    is_woken: bool,
    /// A process waits until all is sent.
    is_hurried: bool,
    /// Not all has been sent since, and not all will be soon.
    is_refused: bool,
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

    /// Waits so long for more records, unless it has to end or a process waits.
    fn linger(&self, time: Duration) {
        let is_idle = |it: &mut State| !it.is_finishing && !it.is_hurried;
        let state = self.state();
        drop(self.changed.wait_timeout_while(state, time, is_idle));
    }

    /// Begins a round with what was appended so far; returns whether a process
    /// waits for it.
    fn begin_round(&self) -> bool {
        let mut state = self.state();
        state.is_woken = false;
        std::mem::take(&mut state.is_hurried)
    }

    /// Waits for records to send, or so long; returns whether to continue.
    /// Before the end, appended records are sent.
    fn wait_for_work(&self, time: Option<Duration>) -> bool {
        let is_idle =
            |it: &mut State| !it.is_woken && !it.is_finishing && !it.is_hurried;
        let state = self.state();
        let state = match time {
            None => self.changed.wait_while(state, is_idle),
            Some(time) => {
                let waited =
                    self.changed.wait_timeout_while(state, time, is_idle);
                waited
                    .map(|it| it.0)
                    .map_err(|it| PoisonError::new(it.into_inner().0))
            }
        };
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.is_woken || state.is_hurried || !state.is_finishing
    }
}

/// Notifies the owner when the thread ends, in whatever way.
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
    pub fn start<P: RequestSender + 'static>(
        mut sending: Sending<P>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ending = Ending(Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("uilog-otlp".to_owned())
            .spawn(move || {
                send_always(&mut sending, &ending.0);
            })?;
        Ok(Self { shared, thread })
    }

    /// There is something to send.
    pub fn wake(&self) {
        self.shared.state().is_woken = true;
        self.shared.changed.notify_all();
    }

    /// A process waits until everything that was appended so far is sent.
    pub fn hurry(&self) {
        let mut state = self.shared.state();
        state.is_hurried = true;
        state.is_refused = false;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Whether the awaited records are not sent now, because the collector
    /// refuses them or must not be contacted yet.
    pub fn is_refused(&self) -> bool {
        self.shared.state().is_refused
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.state().has_ended
    }

    /// Lets it continue while it makes progress, and waits for its end until
    /// `deadline`. After that it is left running and ends with the process;
    /// another process sends its current records again.
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
            // If it has panicked, that was reported.
            let _ = self.thread.join();
        }
    }
}

/// Sends whenever there are records, until it has to end. While one signal
/// waits, new records of the other are sent.
fn send_always<P: RequestSender>(sending: &mut Sending<P>, shared: &Shared) {
    let mut time = None;
    while shared.wait_for_work(time) {
        if shared.state().is_woken {
            shared.linger(LINGER);
        }
        // Records that were appended since are sent, too.
        let is_hurried = shared.begin_round();
        let round = sending.round();
        if is_hurried && matches!(round, Round::Later { .. } | Round::Failed(_))
        {
            shared.state().is_refused = true;
        }
        time = match round {
            Round::Drained => None,
            // The process that is sending checks once more before it ends.
            Round::Busy => Some(BUSY),
            Round::Later { wait, .. } => Some(wait),
            Round::Failed(_) => Some(UNREADABLE),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;

    use uilog_spool::HoldBack;
    use uilog_spool::Options;
    use uilog_spool::RecordId;
    use uilog_spool::Writer;

    use super::*;
    use crate::otlp::request::SignalType;
    use crate::otlp::signal::CHANNELS_OF_SPOOL;
    use crate::otlp::verdict::Verdict;
    use crate::record::is_of_later_schema;

    struct Nobody;

    impl RequestSender for Nobody {
        fn post(&mut self, _: SignalType, _: Vec<u8>) -> Verdict {
            Verdict::Accepted
        }

        fn settings(&self, _: SignalType) -> u64 {
            0
        }
    }

    fn sending(spool: &Spool) -> Sending<Nobody> {
        Sending::new(spool, |_| Nobody, &[])
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
    struct Counting<'a>(&'a AtomicU32);

    impl RequestSender for Counting<'_> {
        fn post(&mut self, _: SignalType, _: Vec<u8>) -> Verdict {
            self.0.fetch_add(1, Ordering::Relaxed);
            Verdict::Accepted
        }

        fn settings(&self, _: SignalType) -> u64 {
            0
        }
    }

    fn counting<'a>(
        spool: &Spool,
        posts: &'a AtomicU32,
    ) -> Sending<Counting<'a>> {
        Sending::new(spool, |_| Counting(posts), &[])
    }

    fn asked(posts: &AtomicU32) -> u32 {
        posts.load(Ordering::Relaxed)
    }

    fn spool_of_signals(dir: &Path) -> Spool {
        let options = Options {
            channels: CHANNELS_OF_SPOOL,
            hold_back: HoldBack(is_of_later_schema),
            ..Options::default()
        };
        Spool::open(dir, options).unwrap()
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
        let spool = spool_of_signals(dir.path());
        // It lives, so that nothing can be removed.
        let mut writer = Writer::new(&spool);
        append_record(&mut writer, 1, 1);
        let in_the_way = dir.path().join("sender.counts.new");
        std::fs::create_dir(&in_the_way).unwrap();
        let posts = AtomicU32::new(0);
        for _ in 0..3 {
            let round = counting(&spool, &posts).round();
            let Round::Later { wait, reason } = round else {
                panic!("{round:?}");
            };
            assert!(wait > BUSY, "{wait:?}");
            assert!(reason.starts_with(UNNOTED), "{reason}");
        }
        assert_eq!(asked(&posts), 1);
        std::fs::remove_dir(&in_the_way).unwrap();
        let flushed = counting(&spool, &posts).flush(&mut |_| {});
        assert_eq!(flushed.end, Round::Drained);
        assert_eq!(asked(&posts), 2);
        append_record(&mut writer, 2, 1);
        let round = counting(&spool, &posts).round();
        assert_eq!((round, asked(&posts)), (Round::Drained, 3));
    }

    #[test]
    fn what_a_later_program_has_written_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool_of_signals(dir.path());
        let mut writer = Writer::new(&spool);
        append_record(&mut writer, 1, 1);
        append_record(&mut writer, 2, 2);
        let posts = AtomicU32::new(0);
        let flushed = counting(&spool, &posts).flush(&mut |_| {});
        assert_eq!(flushed.end, Round::Drained);
        let sent = Progress {
            sent: 1,
            ..Progress::default()
        };
        assert_eq!((flushed.progress, asked(&posts)), (sent, 1));
        let stats = spool.stats().unwrap();
        assert_eq!((stats.pending, stats.rejected), (1, 0));
    }
}
