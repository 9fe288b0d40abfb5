//! What this process and its children have used.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

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

/// The peak that the system told of when [`begin`] was called.
static AT_FIRST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Looks at what there was before anything is done. What `getrusage` calls the
/// peak has the memory in it that was there before the exec, which may have
/// been that of a large editor.
// Linux: exec_mmap calls setmax_mm_hiwater_rss with the old memory
pub(crate) fn begin() {
    AT_FIRST.store(used().peak_memory_bytes, Ordering::Relaxed);
}

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
    let mut peak = now.peak_memory_bytes;
    // What has grown since then is our own.
    if peak <= AT_FIRST.load(Ordering::Relaxed) {
        peak = peak_since_exec().unwrap_or(peak);
    }
    Usage {
        peak_memory_bytes: peak,
        user_cpu_micros: spent(now.user_cpu_micros, before.user_cpu_micros),
        system_cpu_micros: spent(
            now.system_cpu_micros,
            before.system_cpu_micros,
        ),
    }
}

/// The most memory that this process has had since its program began, where
/// the system tells. It takes twenty times as long as `getrusage`.
fn peak_since_exec() -> Option<u64> {
    let mut status = [0; 4096];
    let mut file = File::open("/proc/self/status").ok()?;
    let length = file.read(&mut status).ok()?;
    let status = std::str::from_utf8(&status[..length]).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    let kilobytes = line.trim().strip_suffix(" kB")?;
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_was_there_before_the_exec_does_not_count() {
        let name =
            "rusage::tests::what_was_there_before_the_exec_does_not_count";
        fn touched(megabytes: usize) -> Vec<u8> {
            let mut memory = vec![0_u8; megabytes << 20];
            memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            memory
        }
        if std::env::var_os("UILOG_TEST_CHILD").is_some() {
            begin();
            let peak = since(used()).peak_memory_bytes;
            assert!((1 << 20..200 << 20).contains(&peak), "{peak}");
            // Beyond what was there before, it is our own.
            let larger = touched(400);
            let peak = since(used()).peak_memory_bytes;
            assert!(peak >= larger.len() as u64, "{peak}");
            return;
        }
        let large = touched(300);
        let done = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact"])
            .env("UILOG_TEST_CHILD", "1")
            .output()
            .unwrap();
        assert!(large.contains(&1));
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }

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
