//! How a connection may end, and how it has ended.
//!
//! Must not know how it is closed.

use std::time::Duration;

use uilog_sys::child::Exit;

/// How long the end of a connection may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long nothing may come from standard error before the process
    /// is ended; `None` is without end.
    pub idle: Option<Duration>,
    /// For how long it may take at all, before what still comes is cut and
    /// the process is ended; `None` is without end.
    pub total: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(5)),
            total: Some(Duration::from_secs(30)),
        }
    }
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, once its standard input was closed.
    Closed,
    /// Something held its standard error, or it went on, beyond the limit.
    Timeout,
    /// It was still talking at the end of all the time that it had.
    Cut,
    /// As one of the two before, and SIGTERM was not enough.
    Killed,
    /// The caller did not want to wait.
    Interrupted,
    /// It is another process's connection, and goes on there.
    ForeignFork,
}

impl Outcome {
    /// Every outcome, in the order of [`crate::Counters::outcomes`].
    pub const ALL: [Self; 6] = [
        Self::Closed,
        Self::Timeout,
        Self::Cut,
        Self::Killed,
        Self::Interrupted,
        Self::ForeignFork,
    ];

    /// A name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Killed => "killed",
            Self::Interrupted => "interrupted",
            Self::ForeignFork => "foreign-fork",
        }
    }
}

/// What came of closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseReport {
    /// How it ended.
    pub outcome: Outcome,
    /// How its process ended; `None` if that is not ours to know, or if it
    /// did not end even after SIGKILL.
    pub exit: Option<Exit>,
    /// How long closing it took.
    pub duration: Duration,
    /// Whether a process still held its standard error when the wait ended.
    pub is_stderr_held: bool,
    /// Whether the wait ended because it had taken [`Limits::total`].
    pub is_cut: bool,
}

/// A connection's process that cannot be ended.
#[derive(Debug, thiserror::Error)]
#[error("process {pid} has not ended, in spite of SIGKILL")]
pub struct CloseError {
    pub(crate) pid: u32,
}

impl CloseError {
    /// The process that goes on.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_name() {
        assert_eq!(
            Outcome::ALL.map(Outcome::name),
            [
                "closed",
                "timeout",
                "cut",
                "killed",
                "interrupted",
                "foreign-fork"
            ]
        );
    }

    #[test]
    fn a_process_that_goes_on_is_named() {
        let error = CloseError { pid: 4242 };
        assert_eq!(error.pid(), 4242);
        let text = "process 4242 has not ended, in spite of SIGKILL";
        assert_eq!(error.to_string(), text);
    }
}
