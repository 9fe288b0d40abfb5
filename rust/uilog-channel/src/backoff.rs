//! When to try again what has failed.

use std::time::Duration;
use std::time::Instant;

/// After a failed start the next attempt waits this long, then twice that.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// ... but never longer than this.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// When to retry after a process could not be started.
#[derive(Debug, Default)]
pub struct Backoff {
    retry_at: Option<Instant>,
    delay: Duration,
    reason: String,
}

impl Backoff {
    /// Why there must be no attempt now.
    pub fn reason(&self) -> Option<String> {
        let is_early = self.retry_at.is_some_and(|at| Instant::now() < at);
        is_early.then(|| self.reason.clone())
    }

    /// An attempt has failed, for this reason, which it returns.
    pub fn failed(&mut self, reason: String) -> String {
        self.delay = (self.delay * 2).clamp(FIRST_BACKOFF, MAX_BACKOFF);
        self.retry_at = Some(Instant::now() + self.delay);
        self.reason = reason.clone();
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_and_never_end() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.reason(), None);
        let delays: Vec<_> = (0..12)
            .map(|_| {
                assert_eq!(backoff.failed("why".to_owned()), "why");
                backoff.delay
            })
            .collect();
        assert_eq!(delays[..2], [FIRST_BACKOFF, 2 * FIRST_BACKOFF]);
        assert_eq!(delays[10..], [MAX_BACKOFF; 2]);
        assert_eq!(backoff.reason().as_deref(), Some("why"));
        backoff.retry_at = Some(Instant::now());
        assert_eq!(backoff.reason(), None);
    }
}
