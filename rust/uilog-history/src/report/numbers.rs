//! Statistics of any amount of numbers in limited memory: count, sum,
//! percentiles, and a random sample for tests.
//!
//! The result does not depend on the order of the numbers, or on which thread
//! has read which. Must not know what the numbers are.

use crate::rank::quantile;
use crate::stats::Sample;

/// How many numbers are kept as they are. Percentiles of more than these come
/// from the histogram.
pub(super) const KEPT: usize = 1024;

/// By how much the bounds of a bucket differ: percentiles are wrong by half of
/// that at most.
// Masson and others, "DDSketch", 2019
const GROWTH: f64 = 1.02;
/// The upper bound of the first bucket: a tenth of a millisecond.
const FIRST: f64 = 1e-4;
/// The last bucket takes what is longer: 300 years.
const MAX_BUCKETS: usize = 1600;

/// The numbers of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) count: u64,
    pub(super) failures: u64,
    pub(super) total: f64,
    pub(super) max: f64,
    /// How many numbers are known.
    known: u64,
    buckets: Vec<u32>,
    /// The records whose ids have the least hashes: a random sample, the same
    /// one whoever reads first.
    kept: Vec<Kept>,
    /// The greatest hash that is kept, if not all are.
    bound: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    hash: u64,
    number: Option<f64>,
    is_failure: bool,
}

/// What is told of a group's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Numbers {
    /// Adds a record, by the hash of its id.
    pub(super) fn add(
        &mut self,
        hash: u64,
        number: Option<f64>,
        is_failure: bool,
    ) {
        self.count += 1;
        self.failures += u64::from(is_failure);
        let number = number.filter(|it| it.is_finite() && *it >= 0.0);
        if let Some(number) = number {
            self.known += 1;
            self.total += number;
            self.max = self.max.max(number);
            let bucket = bucket(number);
            if self.buckets.len() <= bucket {
                self.buckets.resize(bucket + 1, 0);
            }
            self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
        }
        if self.bound.is_none_or(|bound| hash <= bound) {
            self.kept.push(Kept {
                hash,
                number,
                is_failure,
            });
            if self.kept.len() >= 2 * KEPT {
                self.shrink();
            }
        }
    }

    /// Adds another group's.
    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.failures += other.failures;
        self.total += other.total;
        self.max = self.max.max(other.max);
        self.known += other.known;
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own = own.saturating_add(other);
        }
        self.bound = match (self.bound, other.bound) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.kept.extend(other.kept);
        if let Some(bound) = self.bound {
            self.kept.retain(|it| it.hash <= bound);
        }
        if self.kept.len() >= 2 * KEPT {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        if self.kept.len() <= KEPT {
            return;
        }
        let by_hash = |it: &Kept| it.hash;
        self.kept.select_nth_unstable_by_key(KEPT - 1, by_hash);
        self.kept.truncate(KEPT);
        self.bound = self.kept.iter().map(by_hash).max();
    }

    /// A random sample of all records, at most [`KEPT`].
    pub(super) fn samples(&self) -> Vec<Sample> {
        let mut kept = self.kept.clone();
        kept.sort_by_key(|it| it.hash);
        kept.truncate(KEPT);
        kept.into_iter()
            .map(|it| Sample::of(it.number, it.is_failure))
            .collect()
    }

    /// Exact if the numbers are few.
    pub(super) fn percentiles(&self) -> Percentiles {
        let is_exact = self.count <= KEPT as u64;
        let mut numbers: Vec<_> = match is_exact {
            true => self.kept.iter().filter_map(|it| it.number).collect(),
            false => Vec::new(),
        };
        numbers.sort_by(f64::total_cmp);
        let part = |part: f64| match is_exact {
            true => quantile(&numbers, part),
            false => self.quantile(part),
        };
        Percentiles {
            p50: part(0.50),
            p95: part(0.95),
            p99: part(0.99),
        }
    }

    /// From the histogram.
    fn quantile(&self, part: f64) -> f64 {
        let rank = part * self.known.saturating_sub(1) as f64;
        let mut below = 0.0;
        for (index, count) in self.buckets.iter().enumerate() {
            below += f64::from(*count);
            if below > rank {
                return middle(index).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(number: f64) -> usize {
    if number <= FIRST {
        return 0;
    }
    let index = ((number / FIRST).ln() / GROWTH.ln()).ceil() as usize;
    index.min(MAX_BUCKETS - 1)
}

/// The number that all in a bucket stand for.
fn middle(bucket: usize) -> f64 {
    match bucket {
        0 => FIRST / 2.0,
        _ => FIRST * GROWTH.powi(bucket as i32) * 2.0 / (1.0 + GROWTH),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same each time.
    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn numbers(range: std::ops::Range<u64>) -> Numbers {
        let mut numbers = Numbers::default();
        for number in range {
            let seconds = (number * 7919 % 10_000) as f64 / 100.0;
            numbers.add(hash(number), Some(seconds), number % 10 == 0);
        }
        numbers
    }

    #[test]
    fn few_numbers_are_exact_and_many_nearly() {
        let few = numbers(0..1000);
        let mut sorted: Vec<_> = (0..1000)
            .map(|it: u64| (it * 7919 % 10_000) as f64 / 100.0)
            .collect();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(few.percentiles().p95, quantile(&sorted, 0.95));
        let many = numbers(0..10_000).percentiles();
        for (own, exact) in
            [(many.p50, 50.0), (many.p95, 95.0), (many.p99, 99.0)]
        {
            assert!((own / exact - 1.0).abs() < 0.011, "{own} {exact}");
        }
    }

    #[test]
    fn it_does_not_matter_who_reads_what() {
        let all = numbers(0..10_000);
        for cut in [1, 700, 5000, 9999] {
            let mut parts = numbers(cut..10_000);
            parts.merge(numbers(0..cut));
            assert_eq!(parts.count, all.count);
            assert_eq!(parts.failures, 1000);
            assert!((parts.total - all.total).abs() < 1e-6);
            assert_eq!(parts.max, all.max);
            assert_eq!(parts.percentiles(), all.percentiles());
            let keys = |it: &Numbers| -> Vec<_> {
                it.samples().iter().map(|it| it.number).collect()
            };
            assert_eq!(keys(&parts), keys(&all));
        }
    }

    #[test]
    fn memory_is_bounded_and_nonsense_is_no_number() {
        let mut numbers = numbers(0..100_000);
        assert!(numbers.kept.len() <= 2 * KEPT);
        for nonsense in [f64::NAN, f64::INFINITY, -1.0] {
            numbers.add(1, Some(nonsense), false);
        }
        numbers.add(2, Some(1e300), false);
        assert!(numbers.buckets.len() <= MAX_BUCKETS);
        assert_eq!(numbers.max, 1e300);
        assert_eq!(numbers.known + 3, numbers.count);
    }
}
