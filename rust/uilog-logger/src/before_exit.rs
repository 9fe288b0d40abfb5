//! How long a process waits at its end until what it has logged is delivered.
//!
//! Responsible for the time limit and the polling interval. Must not know what
//! a delivery is. The caller does the sleeping, since a caller that runs Python
//! has to handle signals meanwhile.

use std::time::Duration;
use std::time::Instant;

use uilog_channel::agent_address;
use uilog_channel::settings::BeforeExit;

/// How long is waited where the place ends with the process.
const AUTO_BOUND: Duration = Duration::from_secs(1);
/// As good as for ever.
const MAX_BOUND: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long to sleep before the first look, and before those after a while.
const FIRST_STEP: Duration = Duration::from_micros(500);
const LAST_STEP: Duration = Duration::from_millis(10);
/// How often to wake the delivering process again, which may have died.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What the configurations say for which something was logged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WaitLimit {
    /// The longest of the times that they name.
    longest: Duration,
    /// One of them has a collector, and leaves it to us.
    is_auto: bool,
}

impl WaitLimit {
    /// An event was logged; `has_collector` says whether one of its sinks is a
    /// collector.
    pub(crate) fn note(&mut self, setting: BeforeExit, has_collector: bool) {
        match setting {
            BeforeExit::Auto => self.is_auto |= has_collector,
            BeforeExit::For(time) => self.longest = self.longest.max(time),
        }
    }
}

/// Whether a process's namespace ends with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamespaceRole {
    pid: u32,
    parent: u32,
}

impl NamespaceRole {
    pub(crate) fn now() -> Self {
        Self {
            pid: std::process::id(),
            parent: std::os::unix::process::parent_id(),
        }
    }

    /// Whether it is the first process of a container, or that one's child.
    fn is_last(self) -> bool {
        const FIRST: u32 = 1;
        (self.pid == FIRST || self.parent == FIRST)
            && agent_address::is_in_container()
    }
}

/// A wait in progress.
#[derive(Clone, Copy, Debug)]
pub struct ExitWait {
    deadline: Instant,
    /// Every sink and script is waited for, not collectors alone.
    pub(crate) is_for_all: bool,
    ask_at: Instant,
    step: Duration,
}

impl ExitWait {
    /// Begins the configured wait, if any.
    pub(crate) fn begin(
        wanted: WaitLimit,
        standing: NamespaceRole,
    ) -> Option<Self> {
        let is_for_all = !wanted.longest.is_zero();
        let mut bound = wanted.longest;
        if bound < AUTO_BOUND && wanted.is_auto && standing.is_last() {
            bound = AUTO_BOUND;
        }
        let now = Instant::now();
        let deadline = now.checked_add(bound.min(MAX_BOUND))?;
        (!bound.is_zero()).then_some(Self {
            deadline,
            is_for_all,
            ask_at: now,
            step: FIRST_STEP,
        })
    }

    /// The remaining time.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether it is time to ask, first at once.
    pub(crate) fn is_to_ask(&mut self) -> bool {
        let now = Instant::now();
        let is_due = now >= self.ask_at;
        if is_due {
            self.ask_at = now + ASK_EVERY;
        }
        is_due
    }

    /// How long to sleep before the next look.
    pub(crate) fn next_step(&mut self) -> Duration {
        let step = self.step;
        self.step = LAST_STEP.min(2 * step);
        step.min(self.left())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: NamespaceRole = NamespaceRole { pid: 7, parent: 70 };

    #[test]
    fn the_longest_time_counts_that_any_configuration_names() {
        let mut wanted = WaitLimit::default();
        assert!(ExitWait::begin(wanted, NOBODY).is_none());
        for seconds in [0, 90, 5] {
            let time = Duration::from_secs(seconds);
            wanted.note(BeforeExit::For(time), true);
        }
        let wait = ExitWait::begin(wanted, NOBODY).unwrap();
        assert!(wait.is_for_all && wait.left() > Duration::from_secs(60));
    }

    #[test]
    fn by_default_a_process_waits_only_where_all_ends_with_it() {
        let mut wanted = WaitLimit::default();
        wanted.note(BeforeExit::Auto, false);
        let first = NamespaceRole { pid: 1, parent: 0 };
        assert!(ExitWait::begin(wanted, first).is_none());
        wanted.note(BeforeExit::Auto, true);
        assert!(ExitWait::begin(wanted, NOBODY).is_none());
        let is_in_container = agent_address::is_in_container();
        for last in [first, NamespaceRole { pid: 7, parent: 1 }] {
            let wait = ExitWait::begin(wanted, last);
            assert_eq!(wait.is_some(), is_in_container);
            assert!(wait.is_none_or(|it| !it.is_for_all));
        }
    }

    #[test]
    fn a_time_without_end_is_no_panic() {
        let mut wanted = WaitLimit::default();
        wanted.note(BeforeExit::For(Duration::MAX), true);
        let wait = ExitWait::begin(wanted, NOBODY).unwrap();
        assert!(wait.left() > Duration::from_secs(3600));
    }

    #[test]
    fn looks_become_rarer_and_asking_goes_on() {
        let mut wanted = WaitLimit::default();
        wanted.note(BeforeExit::For(Duration::from_secs(90)), true);
        let mut wait = ExitWait::begin(wanted, NOBODY).unwrap();
        assert!(wait.is_to_ask());
        assert!(!wait.is_to_ask());
        let steps: Vec<_> = (0..8).map(|_| wait.next_step()).collect();
        assert_eq!((steps[0], steps[7]), (FIRST_STEP, LAST_STEP));
        wait.deadline = Instant::now();
        assert_eq!(wait.next_step(), Duration::ZERO);
    }
}
