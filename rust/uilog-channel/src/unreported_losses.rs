//! Losses of sinks that are not in the journal yet, and when to write them.
//!
//! They are already counted in the queue.

use std::time::Duration;
use std::time::Instant;

use crate::record_delivery::RecordLoss;

/// Losses are reported to the journal at most this often, unless there are as
/// many as were reported before.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The same when no hg is left: if this process is then killed, losses that it
/// has not reported are never reported.
const TELL_ALONE: Duration = Duration::from_millis(100);
/// Maximum number of different reasons until they are reported.
const MAX_UNTOLD: usize = 64;
/// Losses of sinks that are not in the journal.
#[derive(Debug, Default)]
pub struct UnreportedLosses {
    unreported: Vec<RecordLoss>,
    told_at: Option<Instant>,
    /// How many were reported.
    told: u64,
}

impl UnreportedLosses {
    /// Adds one, to those of the same sink and reason if there are any.
    pub fn add(&mut self, loss: RecordLoss) {
        let is_full = self.unreported.len() >= MAX_UNTOLD;
        let mut losses = self.unreported.iter_mut().rev();
        let same = losses.find(|it| {
            it.sink == loss.sink && (is_full || it.reason == loss.reason)
        });
        match same {
            Some(same) => same.count += loss.count,
            None => self.unreported.push(loss),
        }
    }

    /// When the next report is due.
    pub fn deadline(&self, is_alone: bool) -> Option<Instant> {
        let every = if is_alone { TELL_ALONE } else { TELL_EVERY };
        let told_at = self.told_at.filter(|_| !self.unreported.is_empty());
        told_at.map(|at| at + every)
    }

    /// The losses to report now: all, if they are as many as before, or some
    /// time has passed.
    pub fn due(
        &mut self,
        now: Instant,
        is_alone: bool,
        is_last: bool,
    ) -> Vec<RecordLoss> {
        let unreported: u64 = self.unreported.iter().map(|it| it.count).sum();
        let is_early = self.deadline(is_alone).is_some_and(|at| now < at);
        let has_doubled = unreported > 0 && unreported >= self.told;
        if self.unreported.is_empty() || is_early && !has_doubled && !is_last {
            return Vec::new();
        }
        self.told += unreported;
        self.told_at = Some(now);
        std::mem::take(&mut self.unreported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(count: u64, reason: &str) -> RecordLoss {
        RecordLoss {
            sink: "a".to_owned(),
            count,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_at_a_bounded_rate() {
        let mut losses = UnreportedLosses::default();
        let now = Instant::now();
        assert_eq!(losses.due(now, false, false), []);
        losses.add(loss(10, "gone"));
        assert_eq!(losses.due(now, false, false), [loss(10, "gone")]);
        losses.add(loss(4, "gone"));
        losses.add(loss(5, "gone"));
        assert_eq!(losses.due(now, false, false), []);
        // As many as before.
        losses.add(loss(1, "still gone"));
        let all = [loss(9, "gone"), loss(1, "still gone")];
        assert_eq!(losses.due(now, false, false), all);
        losses.add(loss(1, "gone"));
        let at = losses.deadline(false).unwrap();
        assert_eq!(at, now + TELL_EVERY);
        assert!(losses.deadline(true).unwrap() < at);
        assert_eq!(losses.due(at, false, false), [loss(1, "gone")]);
        losses.add(loss(1, "gone"));
        assert_eq!(losses.due(at, false, true), [loss(1, "gone")]);
    }

    #[test]
    fn reasons_without_end_take_no_memory_without_end() {
        let mut losses = UnreportedLosses::default();
        for number in 0..1000 {
            losses.add(loss(1, &number.to_string()));
        }
        let told = losses.due(Instant::now(), false, true);
        assert_eq!(told.len(), MAX_UNTOLD);
        assert_eq!(told.iter().map(|it| it.count).sum::<u64>(), 1000);
    }
}
