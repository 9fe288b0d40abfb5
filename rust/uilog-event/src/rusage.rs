//! The resource usage of this process and its children.

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

/// What the system counts in addition to memory and processor time; for
/// children, only those that were waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pages that had to be read.
    major_faults: u64,
    /// Blocks of 512 bytes that were read from storage, not from the cache.
    blocks_read: u64,
    blocks_written: u64,
    /// How often a process has waited for something.
    voluntary_switches: u64,
    /// How often another process has had its turn.
    involuntary_switches: u64,
}

impl Counts {
    /// Each with its name as an option.
    pub fn named(self) -> [(&'static str, u64); 5] {
        [
            ("major_faults", self.major_faults),
            ("blocks_read", self.blocks_read),
            ("blocks_written", self.blocks_written),
            ("voluntary_context_switches", self.voluntary_switches),
            ("involuntary_context_switches", self.involuntary_switches),
        ]
    }

    fn since(self, before: Self) -> Self {
        let sub = u64::saturating_sub;
        Self {
            major_faults: sub(self.major_faults, before.major_faults),
            blocks_read: sub(self.blocks_read, before.blocks_read),
            blocks_written: sub(self.blocks_written, before.blocks_written),
            voluntary_switches: sub(
                self.voluntary_switches,
                before.voluntary_switches,
            ),
            involuntary_switches: sub(
                self.involuntary_switches,
                before.involuntary_switches,
            ),
        }
    }
}

/// All numbers of the system at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceUsage {
    /// Memory and processor time.
    pub usage: Usage,
    /// Reads, writes and switches.
    pub counts: Counts,
}

impl ResourceUsage {
    /// What a process has used that has just begun.
    pub const NOTHING: Self = Self {
        usage: Usage {
            peak_memory_bytes: 0,
            user_cpu_micros: 0,
            system_cpu_micros: 0,
        },
        counts: Counts {
            major_faults: 0,
            blocks_read: 0,
            blocks_written: 0,
            voluntary_switches: 0,
            involuntary_switches: 0,
        },
    };
}

/// The unit of memory in the system's numbers, in bytes.
#[cfg(not(target_os = "macos"))]
const MEMORY_UNIT: u64 = 1024;
#[cfg(target_os = "macos")]
const MEMORY_UNIT: u64 = 1;

/// The peak at the time when [`begin`] was called.
static AT_FIRST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Reads the values at the start of a process. The peak of `getrusage` includes
/// the memory before the exec, which may have been that of a large editor.
// Linux: exec_mmap calls setmax_mm_hiwater_rss with the old memory
pub fn begin() {
    let peak = used().usage.peak_memory_bytes;
    AT_FIRST.store(peak, Ordering::Relaxed);
}

/// What has been used so far; for children, only those that were waited for.
pub fn used() -> ResourceUsage {
    let own = getrusage(UsageWho::RUSAGE_SELF).ok();
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
    let micros = |time: fn(&Rusage) -> TimeVal| -> u64 {
        let all = own.iter().chain(&children);
        all.map(|it| time(it).num_microseconds() as u64).sum()
    };
    let sum = |count: fn(&Rusage) -> i64| -> u64 {
        let all = own.iter().chain(&children);
        all.map(|it| u64::try_from(count(it)).unwrap_or(0)).sum()
    };
    let peak = own.as_ref().map_or(0, |it| it.max_rss() as u64);
    ResourceUsage {
        usage: Usage {
            peak_memory_bytes: peak * MEMORY_UNIT,
            user_cpu_micros: micros(Rusage::user_time),
            system_cpu_micros: micros(Rusage::system_time),
        },
        counts: Counts {
            major_faults: sum(Rusage::major_page_faults),
            blocks_read: sum(Rusage::block_reads),
            blocks_written: sum(Rusage::block_writes),
            voluntary_switches: sum(Rusage::voluntary_context_switches),
            involuntary_switches: sum(Rusage::involuntary_context_switches),
        },
    }
}

/// What has been used since `before`. The peak of memory is known only for the
/// whole process.
pub fn since(before: ResourceUsage) -> ResourceUsage {
    let ResourceUsage { usage: now, counts } = used();
    let counts = counts.since(before.counts);
    let before = before.usage;
    let spent = |now: u64, before: u64| now.saturating_sub(before);
    let mut peak = now.peak_memory_bytes;
    // Growth since then is our own.
    if peak <= AT_FIRST.load(Ordering::Relaxed) {
        peak = peak_since_exec().unwrap_or(peak);
    }
    ResourceUsage {
        usage: Usage {
            peak_memory_bytes: peak,
            user_cpu_micros: spent(now.user_cpu_micros, before.user_cpu_micros),
            system_cpu_micros: spent(
                now.system_cpu_micros,
                before.system_cpu_micros,
            ),
        },
        counts,
    }
}

/// The peak of memory since this process executed its program, if the system
/// reports it. It takes twenty times as long as `getrusage`.
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
            let peak = since(used()).usage.peak_memory_bytes;
            assert!((1 << 20..200 << 20).contains(&peak), "{peak}");
            // Beyond what was there before, it is our own.
            let larger = touched(400);
            let peak = since(used()).usage.peak_memory_bytes;
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
        assert!(before.usage.peak_memory_bytes > 1 << 20);
        let mut sum = 0_u64;
        let spent = || {
            let Usage {
                user_cpu_micros,
                system_cpu_micros,
                ..
            } = since(before).usage;
            user_cpu_micros + system_cpu_micros
        };
        while spent() < 2_000 {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        let now = used().usage.user_cpu_micros;
        assert!(now >= before.usage.user_cpu_micros, "{sum}");
    }

    #[test]
    fn waits_are_counted() {
        let before = used();
        let waits = |used: ResourceUsage| used.counts.named()[3].1;
        // A thread that sleeps gives its turn away, whatever the clock says.
        while waits(since(before)) == 0 {
            std::thread::sleep(std::time::Duration::from_micros(1));
        }
        assert!(waits(used()) > waits(before));
        assert_eq!(before.counts.since(used().counts), Counts::default());
    }
}
