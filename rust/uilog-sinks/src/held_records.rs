//! Records that sinks have delivered, but that must stay in the queue, because
//! a rollup counts them that was not sent yet.
//!
//! Responsible for which records these are, for any number of sinks that hold
//! one. Must not know what a rollup is.

use std::collections::BTreeMap;

use crate::lane::RecordPosition;

/// All of them, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct HeldRecords {
    all: BTreeMap<u64, HeldRecord>,
    /// Records before this one are done, except for held ones.
    passed: u64,
}

#[derive(Debug)]
struct HeldRecord {
    position: u64,
    /// How many sinks hold it.
    sinks: usize,
    /// It has left the queue: it was given up before any sink held it.
    is_gone: bool,
}

impl HeldRecords {
    /// A sink holds these records. Those up to the number `settled` have left
    /// the queue, unless another sink holds them.
    pub(crate) fn add(&mut self, places: Vec<RecordPosition>, settled: u64) {
        for RecordPosition { number, position } in places {
            let hold = self.all.entry(number).or_insert(HeldRecord {
                position,
                sinks: 0,
                is_gone: number <= settled,
            });
            hold.sinks += 1;
        }
    }

    /// A sink releases these records. Returns the positions of those that no
    /// other sink holds and that were waited for.
    pub(crate) fn remove(&mut self, places: Vec<RecordPosition>) -> Vec<u64> {
        let mut released = Vec::new();
        for RecordPosition { number, .. } in places {
            let Some(hold) = self.all.get_mut(&number) else {
                continue;
            };
            hold.sinks -= 1;
            if hold.sinks > 0 {
                continue;
            }
            if number <= self.passed && !hold.is_gone {
                released.push(hold.position);
            }
            self.all.remove(&number);
        }
        released
    }

    /// All records up to the number `settled` are done; returns the positions
    /// of the held ones among those that were not done before.
    pub(crate) fn pass(&mut self, settled: u64) -> Vec<u64> {
        let first = self.passed + 1;
        self.passed = self.passed.max(settled);
        if first > self.passed {
            return Vec::new();
        }
        let held = self.all.range(first..=self.passed);
        held.map(|(_, hold)| hold.position).collect()
    }

    /// How many are not in the queue any more.
    pub(crate) fn removed(&self) -> u64 {
        self.all.values().filter(|it| it.is_gone).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[u64]) -> Vec<RecordPosition> {
        let place = |number: &u64| RecordPosition {
            number: *number,
            position: number * 10,
        };
        numbers.iter().map(place).collect()
    }

    #[test]
    fn what_two_sinks_hold_is_released_by_the_second() {
        let mut holds = HeldRecords::default();
        holds.add(places(&[2, 3]), 0);
        holds.add(places(&[3]), 0);
        assert_eq!(holds.pass(2), [20]);
        assert_eq!(holds.pass(4), [30]);
        assert!(holds.pass(4).is_empty());
        assert_eq!(holds.remove(places(&[2, 3])), [20]);
        assert_eq!(holds.remove(places(&[3])), [30]);
        assert!(holds.remove(places(&[3])).is_empty());
    }

    #[test]
    fn what_is_released_before_it_is_settled_was_never_held() {
        let mut holds = HeldRecords::default();
        holds.add(places(&[2]), 0);
        assert!(holds.remove(places(&[2])).is_empty());
        assert!(holds.pass(3).is_empty());
    }

    #[test]
    fn what_has_been_given_up_is_at_risk_until_it_is_released() {
        let mut holds = HeldRecords::default();
        assert!(holds.pass(3).is_empty());
        holds.add(places(&[2, 4]), 3);
        assert_eq!(holds.removed(), 1);
        assert_eq!(holds.pass(4), [40]);
        assert_eq!(holds.remove(places(&[2, 4])), [40]);
        assert_eq!(holds.removed(), 0);
    }
}
