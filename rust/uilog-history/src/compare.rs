//! What has become slower, or fails more often, between two sets of commands.
//!
//! Responsible for deciding about each group: a change is reported only if it
//! is unlikely to be chance, however many groups are compared. Must not know
//! how that is shown, or what the two sets are.

use std::collections::BTreeSet;

use crate::rank;
use crate::rank::Ratio;
use crate::stats::Groups;
use crate::stats::Sample;
use crate::stats::numbers;

/// The chance of a false alarm in one comparison, for any number of groups.
pub const ALPHA: f64 = 0.001;
/// Groups with fewer numbers on a side are not judged: the rank test's
/// approximation needs as many.
pub const LEAST: usize = 10;

/// How a group has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It takes longer, or more.
    Slower,
    /// It takes less.
    Faster,
    /// It fails more often.
    FailsMore,
    /// It fails less often.
    FailsLess,
}

impl Change {
    /// A word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::FailsMore => "fails more",
            Self::FailsLess => "fails less",
        }
    }
}

/// One group, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The group.
    pub name: String,
    /// How many there were.
    pub before: u64,
    /// How many there are.
    pub after: u64,
    /// The median before.
    pub p50_before: f64,
    /// The median after.
    pub p50_after: f64,
    /// The factor by which the numbers have grown, if known.
    pub ratio: Option<Ratio>,
    /// The corrected probability that chance makes a difference like this.
    pub p_numbers: f64,
    /// How many failed before.
    pub failures_before: u64,
    /// How many fail.
    pub failures_after: u64,
    /// The corrected probability that chance makes a difference like this.
    pub p_failures: f64,
    /// How much more all of them take than they would have taken before: of
    /// durations, seconds.
    pub harm: f64,
    /// How many more fail than would have failed before.
    pub more_failures: f64,
    /// The significant changes.
    pub changes: Vec<Change>,
}

/// Compares all groups. Significant changes come last, the most harmful at the
/// end.
pub fn compare(before: &Groups, after: &Groups) -> Vec<Row> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let none = Vec::new();
    let sides = |name: &String| {
        let of = |groups: &'_ Groups| groups.get(name).map(|it| it.len());
        (of(before), of(after))
    };
    let mut rows: Vec<_> = names
        .into_iter()
        .filter(|name| sides(name) != (None, None))
        .map(|name| {
            let before = before.get(name).unwrap_or(&none);
            let after = after.get(name).unwrap_or(&none);
            Row::new(name, before, after)
        })
        .collect();
    let both = rows.iter().flat_map(|it| [it.p_numbers, it.p_failures]);
    // Groups that were not tested need no correction.
    let both: Vec<_> = both.collect();
    let judged: Vec<_> =
        both.iter().copied().filter(|it| !it.is_nan()).collect();
    let mut corrected = rank::holm(&judged).into_iter();
    let mut next = |p: f64| match p.is_nan() {
        true => 1.0,
        false => corrected.next().unwrap_or(1.0),
    };
    for row in &mut rows {
        row.p_numbers = next(row.p_numbers);
        row.p_failures = next(row.p_failures);
        row.judge();
    }
    rows.sort_by(|a, b| {
        let order = |row: &Row| {
            let is_worse = row.changes.contains(&Change::Slower)
                || row.changes.contains(&Change::FailsMore);
            (is_worse, !row.changes.is_empty())
        };
        let harm = |row: &Row| (row.harm, row.more_failures);
        order(a)
            .cmp(&order(b))
            .then(harm(a).0.total_cmp(&harm(b).0))
            .then(harm(a).1.total_cmp(&harm(b).1))
    });
    rows
}

impl Row {
    /// Without corrections; NaN means not tested.
    fn new(name: &str, before: &[Sample], after: &[Sample]) -> Self {
        let (mut a, mut b) = (numbers(before), numbers(after));
        a.sort_by(f64::total_cmp);
        b.sort_by(f64::total_cmp);
        let is_enough = a.len() >= LEAST && b.len() >= LEAST;
        let ratio = rank::ratio(&a, &b).filter(|_| is_enough);
        let p50 = |numbers| rank::quantile(numbers, 0.5);
        let failures = |samples: &[Sample]| {
            samples.iter().filter(|it| it.is_failure).count() as u64
        };
        let (failed_a, failed_b) = (failures(before), failures(after));
        let (count_a, count_b) = (before.len() as u64, after.len() as u64);
        let may_fail = failed_a + failed_b > 0
            && before.len() >= LEAST
            && after.len() >= LEAST;
        let expected = failed_a as f64 / (count_a as f64).max(1.0);
        // Each takes so much longer as the middle one does.
        let growth = ratio.map_or(0.0, |it| it.ratio - 1.0);
        Self {
            name: name.to_owned(),
            before: count_a,
            after: count_b,
            p50_before: p50(&a),
            p50_after: p50(&b),
            ratio,
            p_numbers: match is_enough {
                true => rank::mann_whitney(&a, &b),
                false => f64::NAN,
            },
            failures_before: failed_a,
            failures_after: failed_b,
            p_failures: match may_fail {
                true => rank::fisher(failed_a, count_a, failed_b, count_b),
                false => f64::NAN,
            },
            harm: growth * p50(&a) * count_b as f64,
            more_failures: failed_b as f64 - expected * count_b as f64,
            changes: Vec::new(),
        }
    }

    fn judge(&mut self) {
        if self.p_numbers < ALPHA {
            match self.ratio {
                Some(it) if it.ratio > 1.0 => self.changes.push(Change::Slower),
                Some(it) if it.ratio < 1.0 => self.changes.push(Change::Faster),
                _ => {}
            }
        }
        if self.p_failures < ALPHA {
            self.changes.push(match self.more_failures > 0.0 {
                true => Change::FailsMore,
                false => Change::FailsLess,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are the same each time.
    // Steele and others, "Fast Splittable Pseudorandom Number Generators"
    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Box and Muller.
        fn normal(&mut self) -> f64 {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        }

        fn durations(&mut self, median: f64, count: usize) -> Vec<Sample> {
            (0..count)
                .map(|_| {
                    let seconds = median * (0.15 * self.normal()).exp();
                    Sample::of(Some(seconds), self.uniform() < 0.02)
                })
                .collect()
        }
    }

    fn groups(samples: Vec<Sample>) -> Groups {
        Groups::from([("pull".to_owned(), samples)])
    }

    const RUNS: usize = 1000;

    #[test]
    fn a_slowdown_of_a_tenth_is_found() {
        let found = (0..100).filter(|seed| {
            let mut random = Random(*seed);
            let before = groups(random.durations(2.0, RUNS));
            let after = groups(random.durations(2.2, RUNS));
            let row = &compare(&before, &after)[0];
            let ratio = row.ratio.unwrap();
            assert!((1.05..1.15).contains(&ratio.ratio), "{ratio:?}");
            row.changes == [Change::Slower]
        });
        let found = found.count();
        assert!(found >= 99, "{found} of 100");
    }

    #[test]
    fn there_is_no_alarm_without_a_change() {
        let alarms = (0..1000).filter(|seed| {
            let mut random = Random(1_000_000 + *seed);
            let before = groups(random.durations(2.0, RUNS));
            let after = groups(random.durations(2.0, RUNS));
            !compare(&before, &after)[0].changes.is_empty()
        });
        let alarms = alarms.count();
        assert!(alarms <= 10, "{alarms} of 1000");
    }

    #[test]
    fn nor_with_many_groups() {
        let alarms = (0..20).filter(|seed| {
            let mut random = Random(2_000_000 + *seed);
            let mut side = || -> Groups {
                (0..50)
                    .map(|it| (it.to_string(), random.durations(2.0, 100)))
                    .collect()
            };
            let (before, after) = (side(), side());
            let rows = compare(&before, &after);
            rows.iter().any(|row| !row.changes.is_empty())
        });
        assert_eq!(alarms.count(), 0);
    }

    #[test]
    fn the_greatest_harm_comes_last() {
        let mut random = Random(7);
        let mut side = |factor: f64, fails: bool| {
            let mut all = Groups::new();
            all.insert("often".into(), random.durations(1.0 * factor, 2000));
            all.insert("seldom".into(), random.durations(2.0 * factor, 50));
            all.insert("same".into(), random.durations(3.0, 500));
            all.insert("few".into(), random.durations(3.0 * factor, 3));
            all.insert("faster".into(), random.durations(3.0 / factor, 500));
            let failing =
                (0..200).map(|it| Sample::of(Some(1.0), fails && it < 60));
            all.insert("failing".into(), failing.collect());
            all
        };
        let rows = compare(&side(1.0, false), &side(1.3, true));
        let last: Vec<_> =
            rows.iter().rev().map(|row| &row.name[..]).take(4).collect();
        assert_eq!(last, ["often", "seldom", "failing", "faster"]);
        let of = |name: &str| rows.iter().find(|it| it.name == name).unwrap();
        assert_eq!(of("failing").changes, [Change::FailsMore]);
        assert_eq!(of("faster").changes, [Change::Faster]);
        assert!(of("few").changes.is_empty());
        assert!(of("same").changes.is_empty());
        assert_eq!(of("few").ratio, None);
    }
}
