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
use uilog_spool::Sender;
use uilog_spool::Spool;

use crate::otlp::backoff::Backoff;
use crate::otlp::http::Post;
use crate::otlp::ship::Outcome;
use crate::otlp::ship::Shipper;

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
}

impl<P: Post> Sending<P> {
    /// Sends what is in `spool` to `collector`.
    pub fn new(
        spool: &Spool,
        collector: P,
        resource: Vec<(String, String)>,
    ) -> Self {
        Self {
            spool: spool.clone(),
            shipper: Shipper::new(collector, resource),
            progress: Progress::default(),
            rejection: None,
        }
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
            if !self.has_pending() {
                break;
            }
        }
        Round::Drained
    }

    /// Whether anything waits; what cannot be read does not.
    fn has_pending(&self) -> bool {
        let records = self.spool.records();
        records.is_ok_and(|mut it| it.any(|record| record.is_ok()))
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
        loop {
            let batch = sender.next_batch(MAX_RECORDS, MAX_BYTES)?;
            if batch.is_empty() {
                unlocking();
                return Ok(None);
            }
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
                    let why = reason.unwrap_or_default();
                    if !why.is_empty() {
                        self.rejection.get_or_insert_with(|| why.clone());
                    }
                    let why = why.as_bytes();
                    sender.settle_partly(batch, &rejected, why, unknown)?;
                    progress(self.progress);
                }
                Outcome::Later {
                    after,
                    reason,
                    is_broken,
                } => {
                    sender.retry(batch);
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
                    let reason = match backoff.save(&dir) {
                        Ok(()) => reason,
                        Err(error) => format!(
                            "{reason}; when to ask again cannot be written \
                             to {}: {error}",
                            dir.display()
                        ),
                    };
                    let wait = backoff.wait(now).unwrap_or_default();
                    return Ok(Some(Round::Later { wait, reason }));
                }
            }
        }
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
}
