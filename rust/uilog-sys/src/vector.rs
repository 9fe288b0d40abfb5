//! The processor's widest vectors, for loops that the compiler turns into
//! vector instructions.
//!
//! Responsible for choosing among compiled versions of one loop when the
//! program runs: what is built for any x86-64 uses 16 bytes at a time, most
//! processors have 32. Must not know what the loop does.

/// A loop that is compiled more than once.
pub trait Loop {
    /// What comes out of it.
    type Output;

    /// Runs it. This and everything that its inner loop calls must be
    /// `#[inline(always)]`: only inlined code is compiled for wider vectors.
    fn run(self) -> Self::Output;
}

/// Runs a loop with the widest vectors that this processor has.
pub fn run<L: Loop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has AVX2.
        return unsafe { with_avx2(work) };
    }
    work.run()
}

/// # Safety
///
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2<L: Loop>(work: L) -> L::Output {
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [u8]);

    impl Loop for Sum<'_> {
        type Output = u64;

        #[inline(always)]
        fn run(self) -> u64 {
            self.0.iter().map(|byte| u64::from(*byte)).sum()
        }
    }

    #[test]
    fn every_version_gives_the_same() {
        let numbers: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let expected = Sum(&numbers).run();
        assert_eq!(expected, 124_716);
        assert_eq!(run(Sum(&numbers)), expected);
    }
}
