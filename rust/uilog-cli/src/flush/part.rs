//! The result of flushing one dispatcher, queue or spool.
//!
//! Must not know which of these it is.

use std::time::Duration;

use serde::Serialize;

/// Interval between checks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Result for one place where events or records wait.
#[derive(Default, Serialize)]
pub(super) struct Part {
    /// Scripts that have ended, and records that are delivered or in a spool.
    pub(super) done: u64,
    pub(super) left: u64,
    pub(super) lost: u64,
    /// Why something is left.
    pub(super) reason: Option<String>,
}
