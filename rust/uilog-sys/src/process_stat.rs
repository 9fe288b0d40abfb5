//! Parses /proc/PID/stat.
//!
//! Responsible for the file's format. Must not know how the result is used.

use std::fs;
use std::io;

// proc_pid_stat(5), counted from the field after the program's name.
const PARENT: usize = 1;
const SESSION: usize = 3;
const FLAGS: usize = 6;
const START: usize = 19;
const EXIT_CODE: usize = 49;

/// A process, as far as anybody here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// A letter for its state.
    pub state: u8,
    /// Its parent's process ID.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// The kernel's `PF_` flags.
    pub flags: u64,
    /// When it was started, in clock ticks since the system was. Together with
    /// the process ID, this is unique.
    pub start: u64,
    /// How it has ended, as waitpid(2) returns it; 0 if it runs, or if this
    /// process may not know.
    pub wait_status: i32,
}

impl ProcessStat {
    /// Reads that of a process.
    ///
    /// # Errors
    ///
    /// The process has gone, or /proc is not mounted.
    pub fn read(pid: i32) -> io::Result<Self> {
        let text = fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Whether a signal or a debugger has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Whether it has ended, and its parent has not waited for it.
    pub fn is_zombie(&self) -> bool {
        self.state == b'Z'
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // The program's name, in parentheses, may contain anything.
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(&text[end + 1..]).ok()?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(PARENT)?.parse().ok()?,
            session: fields.get(SESSION)?.parse().ok()?,
            flags: fields.get(FLAGS)?.parse().ok()?,
            start: fields.get(START)?.parse().ok()?,
            wait_status: fields.get(EXIT_CODE)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_process_is_read() {
        let text = b"7 (a) b (c) S 3 7 8 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 \
                     0 4711 1 1 18446744073709551615 1 1 1 0 0 0 0 0 0 0 0 0 \
                     17 1 0 0 0 0 0 1 1 1 1 1 1 1 256\n";
        let stat = ProcessStat::parse(text).unwrap();
        let expected = ProcessStat {
            state: b'S',
            parent: 3,
            session: 8,
            flags: 4_194_304,
            start: 4711,
            wait_status: 256,
        };
        assert_eq!(stat, expected);
        assert!(ProcessStat::parse(b"7 (a) S").is_none());
        assert!(ProcessStat::parse(b"").is_none());
    }

    #[test]
    fn this_process_is_read() {
        let stat = ProcessStat::read(std::process::id() as i32).unwrap();
        // SAFETY: touches no memory.
        assert_eq!(stat.parent, unsafe { libc::getppid() });
        assert!(!stat.is_zombie() && !stat.is_stopped());
    }
}
