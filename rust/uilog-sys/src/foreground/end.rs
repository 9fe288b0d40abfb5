//! The end of a program, and ending in the same way.

use std::time::Duration;

use super::signals;

/// A shell's exit status for what cannot be found.
const EXIT_NOT_FOUND: i32 = 127;
/// A shell's exit status for what cannot be executed.
const EXIT_NOT_EXECUTABLE: i32 = 126;
/// The exit status if the end was not seen.
pub(super) const EXIT_UNKNOWN: i32 = 255;
/// What a shell adds to the number of the signal that has ended a command.
const EXIT_SIGNALLED: i32 = 128;

/// How a program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// With this exit status.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// It could not be executed, for this error of the system's.
    NotStarted(i32),
}

/// What a program and the processes that it has waited for have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory that one of them had at a time, in bytes; never less
    /// than what we had when we started it.
    pub max_rss_bytes: u64,
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Self {
        let time = |time: libc::timeval| {
            let micros = time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
            Duration::from_micros(micros)
        };
        Self {
            max_rss_bytes: usage.ru_maxrss as u64 * 1024,
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
        }
    }
}

/// The end of a program.
#[derive(Clone, Copy, Debug)]
pub struct ProgramEnd {
    /// How.
    pub how: ExitKind,
    /// How long it ran.
    pub duration: Duration,
    /// Its resource usage.
    pub usage: Usage,
}

impl ProgramEnd {
    /// The exit status that a shell reports for this end.
    pub fn shell_status(&self) -> i32 {
        match self.how {
            ExitKind::Exited(status) => status,
            ExitKind::Killed(signal) => EXIT_SIGNALLED + signal,
            ExitKind::NotStarted(libc::ENOENT) => EXIT_NOT_FOUND,
            ExitKind::NotStarted(_) => EXIT_NOT_EXECUTABLE,
        }
    }

    /// Ends this process in the same way.
    pub fn mirror(&self) -> ! {
        if let ExitKind::Killed(signal) = self.how {
            signals::die_by(signal);
        }
        // Process 1 of a container does not die by a signal.
        std::process::exit(self.shell_status())
    }
}
