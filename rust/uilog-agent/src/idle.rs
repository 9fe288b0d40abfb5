//! How long the agent has had no work, and how long it waits for more.
//!
//! Responsible for the time limit that the configurations ask for. Must not
//! know what work there is, or how the agent ends.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::agent_address;

use crate::configuration::Configuration;

/// How long an agent waits for more records by default.
const USUAL_IDLE: Duration = Duration::from_secs(10);
/// How long it waits for the first one, should there be none yet.
const FIRST_IDLE: Duration = Duration::from_secs(2);

/// How long there has been nothing to do.
#[derive(Debug)]
pub(crate) struct Idle {
    used_at: Instant,
    /// The longest time that any client has asked for.
    bound: Duration,
    /// What holds for those who ask for nothing.
    usual: Duration,
    last: Option<Arc<Configuration>>,
    has_served: bool,
    writers_grace: Duration,
}

impl Idle {
    pub(crate) fn new(now: Instant, writers_grace: Duration) -> Self {
        // Where the place ends with its first process, an agent ends early.
        let is_private = agent_address::is_in_container();
        Self {
            used_at: now,
            bound: FIRST_IDLE,
            has_served: false,
            writers_grace,
            usual: if is_private {
                Duration::ZERO
            } else {
                USUAL_IDLE
            },
            last: None,
        }
    }

    /// There was something to do.
    pub(crate) fn is_used(&mut self, now: Instant) {
        self.used_at = now;
    }

    /// When there was something to do last.
    pub(crate) fn used_at(&self) -> Instant {
        self.used_at
    }

    /// A record of this configuration has come.
    pub(crate) fn serve(&mut self, configuration: &Arc<Configuration>) {
        let is_it = |it: &Arc<Configuration>| Arc::ptr_eq(it, configuration);
        if self.last.as_ref().is_some_and(is_it) {
            return;
        }
        self.last = Some(Arc::clone(configuration));
        let usual = match configuration.is_of_ci() {
            true => Duration::ZERO,
            false => self.usual,
        };
        let wanted = configuration.idle().unwrap_or(usual);
        self.bound = match self.has_served {
            true => self.bound.max(wanted),
            false => wanted,
        };
        self.has_served = true;
    }

    /// When the agent ends if nothing happens; `has_writers` says whether a
    /// process lives that may write.
    pub(crate) fn deadline(&self, has_writers: bool) -> Instant {
        let least = match has_writers {
            true => self.writers_grace,
            false => Duration::ZERO,
        };
        self.used_at + self.bound.max(least)
    }
}
