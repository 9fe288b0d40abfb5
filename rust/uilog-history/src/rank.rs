//! Whether two sets of numbers differ, and by how much.
//!
//! Responsible for the rank test of Mann and Whitney with ties, for the ratio
//! of two sets with its confidence interval, for Fisher's exact test of two
//! shares, and for Holm's correction. Must not know what the numbers are.

/// The two-sided probability that two sets of numbers of the same kind differ
/// by chance as much as these, by their ranks: the normal approximation with
/// ties and continuity. 1 if there is nothing to compare.
// Mann and Whitney, "On a Test of Whether one of Two Random Variables is
// Stochastically Larger than the Other", 1947
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let (count_a, count_b) = (a.len() as f64, b.len() as f64);
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let of_a = a.iter().map(|number| (*number, true));
    let of_b = b.iter().map(|number| (*number, false));
    let mut all: Vec<_> = of_a.chain(of_b).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let count = all.len() as f64;
    let (mut rank_sum, mut ties, mut start) = (0.0, 0.0, 0);
    while start < all.len() {
        let same = all[start..].iter().take_while(|it| it.0 == all[start].0);
        let len = same.count();
        let rank = start as f64 + (len as f64 + 1.0) / 2.0;
        let group = &all[start..start + len];
        rank_sum += rank * group.iter().filter(|it| it.1).count() as f64;
        ties += (len as f64).powi(3) - len as f64;
        start += len;
    }
    let u = rank_sum - count_a * (count_a + 1.0) / 2.0;
    let mean = count_a * count_b / 2.0;
    let variance = count_a * count_b / 12.0
        * (count + 1.0 - ties / (count * (count - 1.0)).max(1.0));
    if variance <= 0.0 {
        return 1.0;
    }
    let distance = ((u - mean).abs() - 0.5).max(0.0);
    2.0 * upper_tail(distance / variance.sqrt())
}

/// A ratio, and where it is with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio.
    pub ratio: f64,
    /// The least that it may be.
    pub low: f64,
    /// The most that it may be.
    pub high: f64,
}

/// How many of each set are compared in pairs.
const MAX_PAIRED: usize = 400;
/// The part of the normal distribution that 95 % are within.
const Z_95: f64 = 1.959_964;

/// By what numbers of `a` have to be multiplied to be like those of `b`: the
/// median of the ratios of all pairs. `None` without positive numbers.
// Hodges and Lehmann, "Estimates of Location Based on Rank Tests", 1963, of
// logarithms; the interval is the one that belongs to the rank test
pub fn ratio(a: &[f64], b: &[f64]) -> Option<Ratio> {
    let logs = |numbers: &[f64]| {
        let positive = numbers.iter().filter(|it| **it > 0.0);
        let mut logs: Vec<_> = positive.map(|it| it.ln()).collect();
        logs.sort_by(f64::total_cmp);
        logs
    };
    let (a, b) = (logs(a), logs(b));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (count_a, count_b) = (a.len() as f64, b.len() as f64);
    let (a, b) = (thinned(a), thinned(b));
    let mut differences = Vec::with_capacity(a.len() * b.len());
    for x in &a {
        differences.extend(b.iter().map(|y| y - x));
    }
    differences.sort_by(f64::total_cmp);
    // The part of all pairs that may be on either side.
    let spread =
        Z_95 * ((count_a + count_b + 1.0) / (12.0 * count_a * count_b)).sqrt();
    Some(Ratio {
        ratio: quantile(&differences, 0.5).exp(),
        low: quantile(&differences, (0.5 - spread).max(0.0)).exp(),
        high: quantile(&differences, (0.5 + spread).min(1.0)).exp(),
    })
}

/// As many of sorted numbers as are compared in pairs, spread evenly.
fn thinned(numbers: Vec<f64>) -> Vec<f64> {
    if numbers.len() <= MAX_PAIRED {
        return numbers;
    }
    let part = |index: usize| (index as f64 + 0.5) / MAX_PAIRED as f64;
    let parts = (0..MAX_PAIRED).map(part);
    parts.map(|part| quantile(&numbers, part)).collect()
}

/// The quantile of sorted numbers, interpolated if needed; 0 if there are none.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = part.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The two-sided probability that shares differ by chance as much as these:
/// `a_hits` of `a` and `b_hits` of `b`.
// Fisher, "On the Interpretation of chi-squared from Contingency Tables", 1922
pub fn fisher(a_hits: u64, a: u64, b_hits: u64, b: u64) -> f64 {
    // More is shrunk to that: the exact test takes time, and so many say
    // enough.
    const MAX: u64 = 200_000;
    let all = a + b;
    if all > MAX {
        let shrunk =
            |it: u64| (it as f64 * MAX as f64 / all as f64).round() as u64;
        let (a, b) = (shrunk(a), shrunk(b));
        return fisher(shrunk(a_hits).min(a), a, shrunk(b_hits).min(b), b);
    }
    let hits = a_hits + b_hits;
    let mut factorials = vec![0.0; all as usize + 1];
    for number in 1..factorials.len() {
        factorials[number] = factorials[number - 1] + (number as f64).ln();
    }
    let choose = |n: u64, k: u64| {
        factorials[n as usize]
            - factorials[k as usize]
            - factorials[(n - k) as usize]
    };
    let log = |in_a: u64| {
        choose(a, in_a) + choose(b, hits - in_a) - choose(all, hits)
    };
    let own = log(a_hits) + 1e-7;
    let possible = hits.saturating_sub(b)..=hits.min(a);
    let rare = possible.map(log).filter(|log| *log <= own);
    rare.map(f64::exp).sum::<f64>().min(1.0)
}

/// The probabilities of several tests, each as it counts among all: the chance
/// that any of them is wrong is at most the least of these.
// Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<_> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut corrected = vec![1.0; probabilities.len()];
    let mut least: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let tests = (probabilities.len() - rank) as f64;
        least = least.max(probabilities[index] * tests).min(1.0);
        corrected[index] = least;
    }
    corrected
}

/// The part of the normal distribution above `z`.
// W. J. Cody's rational approximations, as in Numerical Recipes' erfc: a
// relative error below 1.2e-7 everywhere
fn upper_tail(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    const TERMS: [f64; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let sum = TERMS.iter().fold(0.0, |sum, term| sum * t + term);
    let erfc = t * (-x * x + sum).exp();
    if x >= 0.0 {
        erfc / 2.0
    } else {
        1.0 - erfc / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_test_is_as_by_hand() {
        // By hand: U = 4.5, mean 18, variance 38.59 with three ties of two,
        // z = (13.5 - 0.5) / 6.212 = 2.0927.
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let p = mann_whitney(&a, &b);
        assert!((p - 0.036_38).abs() < 0.000_05, "{p}");
        assert!((mann_whitney(&b, &a) - p).abs() < 1e-12);
        assert_eq!(mann_whitney(&[1.0; 9], &[1.0; 9]), 1.0);
        assert_eq!(mann_whitney(&[], &[1.0]), 1.0);
    }

    #[test]
    fn the_normal_distribution_has_its_tails() {
        for (z, part) in [
            (0.0, 0.5),
            (1.0, 0.158_655_25),
            (1.959_964, 0.025),
            (5.0, 2.866_5e-7),
            (-1.0, 0.841_344_75),
        ] {
            let tail = upper_tail(z);
            assert!((tail / part - 1.0).abs() < 1e-4, "{z}: {tail}");
        }
    }

    #[test]
    fn a_ratio_is_found_whatever_the_scale() {
        let a: Vec<_> = (1..=900).map(f64::from).collect();
        let b: Vec<_> = a.iter().map(|it| it * 1.5).collect();
        let found = ratio(&a, &b).unwrap();
        assert!((found.ratio - 1.5).abs() < 0.01, "{found:?}");
        assert!(found.low < 1.5 && found.high > 1.5);
        assert!(found.low > 1.3 && found.high < 1.7, "{found:?}");
        assert_eq!(ratio(&a, &[]), None);
        assert_eq!(ratio(&[0.0], &[1.0]), None);
    }

    #[test]
    fn shares_are_compared_exactly() {
        // R: fisher.test(matrix(c(3, 1, 1, 3), 2))
        let p = fisher(3, 4, 1, 4);
        assert!((p - 0.485_714).abs() < 1e-5, "{p}");
        let p = fisher(1, 1000, 20, 1000);
        assert!(p < 1e-4, "{p}");
        assert!(fisher(0, 5, 0, 5) > 0.999);
        assert!(fisher(1, 1_000_000, 20_000, 1_000_000) < 1e-9);
    }

    #[test]
    fn many_tests_need_more_evidence() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.5]);
        let expected = [0.04, 0.09, 0.09, 0.5];
        for (own, expected) in corrected.iter().zip(expected) {
            assert!((own - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    #[test]
    fn quantiles_lie_between_numbers() {
        let numbers = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&numbers, 0.5), 2.5);
        assert_eq!(quantile(&numbers, 1.0), 4.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
