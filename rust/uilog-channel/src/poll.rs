//! Timeouts for `poll`.

use std::time::Duration;
use std::time::Instant;

use nix::poll::PollTimeout;

/// The timeout of a `poll` that is to return at `deadline` at the latest; none
/// is for ever.
pub fn timeout_until(deadline: Option<Instant>) -> PollTimeout {
    deadline.map_or(PollTimeout::NONE, |deadline| {
        let remaining = deadline.saturating_duration_since(Instant::now());
        // Up to the next millisecond, or the caller would spin in the last.
        let remaining = remaining + Duration::from_millis(1);
        PollTimeout::try_from(remaining).unwrap_or(PollTimeout::MAX)
    })
}
