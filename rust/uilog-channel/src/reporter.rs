//! Writes failures into the journal, in a separate thread, so that a home
//! directory that hangs does not block scripts and sinks.
//!
//! Must not know the queue.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::journal::Failure;
use crate::journal::Journal;

/// Failures that wait to be written; those that are more are added up.
const MAX_WAITING: usize = 256;
/// How long to wait after the journal could not be written.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Appends a failure to the journal of an environment; whether it could.
pub type Append = fn(&Failure, &[u8]) -> bool;

/// Appends to the journal. Without one, does nothing.
pub fn append(failure: &Failure, environment: &[u8]) -> bool {
    let journal = Journal::for_environment(environment);
    journal.is_none_or(|journal| journal.append(failure).is_ok())
}

/// The thread's handle for the event loop, which must not wait for the thread.
pub struct Reporter {
    append: Append,
    shared: Arc<Shared>,
    /// Counts what was reported, until the thread has it.
    told: Arc<Mutex<Count>>,
    is_started: bool,
}

/// Is called with the number of reported losses.
pub type Count = Box<dyn FnMut(u64) + Send>;

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// One is being written.
    is_busy: bool,
    /// There is no time to try again.
    is_last: bool,
    /// Nothing will be reported any more: the thread ends when it is done.
    is_over: bool,
}

#[derive(Debug)]
struct Entry {
    failure: Failure,
    environment: Arc<[u8]>,
}

impl Reporter {
    /// The thread calls `told` as soon as a line has been written.
    pub fn new(append: Append, told: Count) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Self {
            append,
            shared: Arc::new(shared),
            told: Arc::new(Mutex::new(told)),
            is_started: false,
        }
    }

    /// Passes a failure to the thread. Its losses have been counted already.
    pub fn report(&mut self, failure: Failure, environment: &Arc<[u8]>) {
        let mut state = self.shared.lock();
        let is_full = state.waiting.len() >= MAX_WAITING;
        match state.waiting.back_mut().filter(|_| is_full) {
            Some(last) => last.failure.lost += failure.lost,
            None => state.waiting.push_back(Entry {
                failure,
                environment: Arc::clone(environment),
            }),
        }
        drop(state);
        self.shared.changed.notify_all();
        if !self.is_started {
            self.start();
        }
    }

    fn start(&mut self) {
        let shared = Arc::clone(&self.shared);
        let append = self.append;
        let told = Arc::clone(&self.told);
        let thread = std::thread::Builder::new().name("journal".to_owned());
        // Without a thread it is tried again with the next failure.
        let started = thread.spawn(move || shared.run(append, &told));
        self.is_started = started.is_ok();
    }

    /// Whether all has been written.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.lock();
        !state.is_busy && state.waiting.is_empty()
    }

    /// Waits until all has been written, but no longer than until `deadline`.
    pub fn finish(&mut self, deadline: Instant) {
        let mut state = self.shared.lock();
        state.is_last = true;
        self.shared.changed.notify_all();
        while self.is_started && (state.is_busy || !state.waiting.is_empty()) {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                break;
            }
            let waited = self.shared.changed.wait_timeout(state, remaining);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // There may be more to report nevertheless.
        state.is_last = false;
    }
}

impl Drop for Reporter {
    /// The thread tries once more; this process does not wait for it.
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("is_started", &self.is_started)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, append: Append, told: &Mutex<Count>) {
        let mut state = self.lock();
        loop {
            let Some(entry) = state.waiting.pop_front() else {
                if state.is_over {
                    return;
                }
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.is_busy = true;
            drop(state);
            let is_told = append(&entry.failure, &entry.environment);
            if is_told && entry.failure.lost > 0 {
                let mut told =
                    told.lock().unwrap_or_else(PoisonError::into_inner);
                told(entry.failure.lost);
            }
            state = self.lock();
            state.is_busy = false;
            if !is_told && !state.is_last && !state.is_over {
                // The system may have had no free descriptor.
                state.waiting.push_front(entry);
                let until =
                    |state: &mut State| !state.is_last && !state.is_over;
                let waited =
                    self.changed.wait_timeout_while(state, RETRY_DELAY, until);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::journal::FailureKind;

    fn failure() -> Failure {
        let kind = FailureKind::Lost;
        Failure::now(String::new(), b"", kind, 1, "lost".to_owned())
    }

    /// And how many losses it has told of.
    fn reporter(append: Append) -> (Reporter, Arc<AtomicU64>) {
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let count = move |records| {
            count.fetch_add(records, Ordering::Relaxed);
        };
        (Reporter::new(append, Box::new(count)), told)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_journal_that_hangs_holds_up_nobody_and_nothing_is_forgotten() {
        static RELEASED: AtomicBool = AtomicBool::new(false);
        static LOST: AtomicU64 = AtomicU64::new(0);
        let (mut reporter, told) = reporter(|failure, _| {
            while !RELEASED.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            LOST.fetch_add(failure.lost, Ordering::Relaxed);
            true
        });
        for _ in 0..10_000 {
            reporter.report(failure(), &Arc::default());
        }
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(reporter.shared.lock().waiting.len() <= MAX_WAITING);
        reporter.finish(Instant::now() + Duration::from_millis(10));
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(!reporter.is_idle());
        RELEASED.store(true, Ordering::Relaxed);
        reporter.finish(soon());
        assert!(reporter.is_idle());
        assert_eq!(told.load(Ordering::Relaxed), 10_000);
        assert_eq!(LOST.load(Ordering::Relaxed), 10_000);
    }

    #[test]
    fn what_could_not_be_written_is_tried_again_but_not_at_the_end() {
        static TRIED: AtomicU64 = AtomicU64::new(0);
        let append: Append = |_, _| TRIED.fetch_add(1, Ordering::Relaxed) > 0;
        let (mut first, told) = reporter(append);
        first.report(failure(), &Arc::default());
        let deadline = soon();
        while told.load(Ordering::Relaxed) == 0 {
            assert!(Instant::now() < deadline, "it is not tried again");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (mut second, told) = reporter(|_, _| false);
        second.report(failure(), &Arc::default());
        second.finish(soon());
        assert_eq!(told.load(Ordering::Relaxed), 0);
    }
}
