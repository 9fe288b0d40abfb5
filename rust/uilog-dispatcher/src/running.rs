//! The running scripts: reaps those that have ended, and terminates those that
//! exceed their time limit.
//!
//! Must not know the queue, or how the results are used.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use uilog_channel::journal::ScriptFailure;
use uilog_channel::wire::Job;
use uilog_event::event::Text;
use uilog_sys::ended;
use uilog_sys::ended::ChildSelector;
use uilog_sys::ended::Ended;

use crate::stderr::Capture;

/// How long a script has between SIGTERM and SIGKILL.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// A script that runs, or has just ended.
pub(crate) struct Script {
    pid: Pid,
    /// The event that it runs for.
    pub(crate) event: Vec<u8>,
    /// The session of that.
    pub(crate) session: String,
    /// hg's environment at that event.
    pub(crate) environment: Arc<[u8]>,
    /// Facts for the journal if it fails.
    pub(crate) facts: ScriptFailure,
    /// Its standard error.
    pub(crate) capture: Option<Capture>,
    pub(crate) started_at: Instant,
    /// When it gets the next signal.
    deadline: Option<Instant>,
    /// Its time is over: it has been sent SIGTERM.
    pub(crate) is_ending: bool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Running(Vec<Script>);

impl Running {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a job's script that has been started as our child, and leads a
    /// process group.
    pub(crate) fn add(
        &mut self,
        pid: Pid,
        job: &Job<'_>,
        environment: Arc<[u8]>,
        capture: Option<Capture>,
    ) {
        let timeout = job.limits.timeout_ms;
        let deadline = (timeout > 0).then(|| {
            Instant::now().checked_add(Duration::from_millis(timeout))
        });
        self.0.push(Script {
            pid,
            event: job.event.name.to_vec(),
            session: job.event.session.to_string(),
            environment,
            facts: facts(job),
            capture,
            started_at: Instant::now(),
            deadline: deadline.flatten(),
            is_ending: false,
        });
    }

    /// Reaps one that has ended, if any has.
    pub(crate) fn reap(&mut self) -> Option<(Script, Ended)> {
        loop {
            let (pid, _) = ended::peek(ChildSelector::Any).ok().flatten()?;
            let index = self.0.iter().position(|it| it.pid == pid);
            if index.is_some_and(|index| self.0[index].is_ending) {
                // Sent again: a shell that was just forking has kept the first
                // signal from its child. It has not been waited for yet, so the
                // number is still its group's.
                let _ = killpg(pid, Signal::SIGTERM);
            }
            let (_, ended) =
                ended::reap(ChildSelector::Pid(pid)).ok().flatten()?;
            if let Some(index) = index {
                return Some((self.0.swap_remove(index), ended));
            }
        }
    }

    /// Signals those that have reached their timeout.
    pub(crate) fn enforce_deadlines(&mut self) {
        let now = Instant::now();
        for script in &mut self.0 {
            if script.deadline.is_none_or(|deadline| now < deadline) {
                continue;
            }
            let signal = if script.is_ending {
                script.deadline = None;
                Signal::SIGKILL
            } else {
                script.deadline = Some(now + KILL_GRACE);
                Signal::SIGTERM
            };
            script.is_ending = true;
            // Each script leads a process group; it is our child and not
            // reaped yet, so that the number is its own.
            let _ = killpg(script.pid, signal);
        }
    }

    /// When the next one gets a signal.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|it| it.deadline).min()
    }
}

/// What is known about a job's script before it has begun.
pub(crate) fn facts(job: &Job<'_>) -> ScriptFailure {
    let text = |text: &Text<'_>| String::from_utf8_lossy(&text.0).into_owned();
    ScriptFailure {
        source: job.source.as_ref().map(text).unwrap_or_default(),
        repository: job.event.root.as_ref().map(text),
        cwd: job.cwd.as_ref().map(text),
        ..ScriptFailure::default()
    }
}
