//! What this process and its children have used.

use nix::sys::resource::Usage as Rusage;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;
use nix::sys::time::TimeValLike;

use crate::event::Usage;

/// Bytes of the unit in which the system tells of memory.
#[cfg(not(target_os = "macos"))]
const MEMORY_UNIT: u64 = 1024;
#[cfg(target_os = "macos")]
const MEMORY_UNIT: u64 = 1;

/// What has been used so far; of children, what has been waited for.
pub(crate) fn used() -> Usage {
    let own = getrusage(UsageWho::RUSAGE_SELF).ok();
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
    let micros = |time: fn(&Rusage) -> TimeVal| -> u64 {
        let all = own.iter().chain(&children);
        all.map(|it| time(it).num_microseconds() as u64).sum()
    };
    let peak = own.as_ref().map_or(0, |it| it.max_rss() as u64);
    Usage {
        peak_memory_bytes: peak * MEMORY_UNIT,
        user_cpu_micros: micros(Rusage::user_time),
        system_cpu_micros: micros(Rusage::system_time),
    }
}

/// What has been used since `before`. Memory has a peak only for the whole
/// process.
pub(crate) fn since(before: Usage) -> Usage {
    let now = used();
    let spent = |now: u64, before: u64| now.saturating_sub(before);
    Usage {
        peak_memory_bytes: now.peak_memory_bytes,
        user_cpu_micros: spent(now.user_cpu_micros, before.user_cpu_micros),
        system_cpu_micros: spent(
            now.system_cpu_micros,
            before.system_cpu_micros,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_grows() {
        let before = used();
        assert!(before.peak_memory_bytes > 1 << 20);
        let mut sum = 0_u64;
        while since(before).user_cpu_micros + since(before).system_cpu_micros
            < 2_000
        {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        assert!(used().user_cpu_micros >= before.user_cpu_micros, "{sum}");
    }
}
