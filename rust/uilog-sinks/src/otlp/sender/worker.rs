//! The thread that sends whenever there are records.
//!
//! Must not know what is sent, or how.

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

use super::sending::BUSY;
use super::sending::SendResult;
use super::sending::Sending;
use super::sending::UNREADABLE;
use crate::otlp::http::RequestSender;

/// What comes within this time is sent together.
const LINGER: Duration = Duration::from_secs(1);
/// How long after sending the compressor is kept: to create one takes longer
/// than to compress a few records.
const PREPARED: Duration = Duration::from_secs(3);

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

impl State {
    /// Whether there is nothing to do.
    fn is_idle(&mut self) -> bool {
        !self.is_woken && !self.is_finishing && !self.is_hurried
    }
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

    /// Waits for something to do, but no longer than this; returns whether
    /// there is.
    fn has_work_within(&self, time: Duration) -> bool {
        let state = self.state();
        let waited =
            self.changed.wait_timeout_while(state, time, State::is_idle);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits for records to send, or so long; returns whether to continue.
    /// Before the end, appended records are sent.
    fn wait_for_work(&self, time: Option<Duration>) -> bool {
        let state = self.state();
        let state = match time {
            None => self.changed.wait_while(state, State::is_idle),
            Some(time) => {
                let waited = self.changed.wait_timeout_while(
                    state,
                    time,
                    State::is_idle,
                );
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
struct EndNotifier(Arc<Shared>);

impl Drop for EndNotifier {
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
        let ending = EndNotifier(Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("uilog-otlp".to_owned())
            .spawn(move || {
                send_always(&mut sending, &ending.0);
            })?;
        Ok(Self { shared, thread })
    }

    /// There is something to send.
    pub fn wake(&self) {
        let was_woken =
            std::mem::replace(&mut self.shared.state().is_woken, true);
        // The thread knows it: while it waits for more, each record would wake
        // it for nothing.
        if !was_woken {
            self.shared.changed.notify_all();
        }
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
        if is_hurried
            && matches!(round, SendResult::Later { .. } | SendResult::Failed(_))
        {
            shared.state().is_refused = true;
        }
        time = match round {
            SendResult::Drained => None,
            // The process that is sending checks once more before it ends.
            SendResult::Busy => Some(BUSY),
            SendResult::Later { wait, .. } => Some(wait),
            SendResult::Failed(_) => Some(UNREADABLE),
        };
        if time.is_some() || !shared.has_work_within(PREPARED) {
            sending.rest();
        }
    }
}
