//! Which process has locked a file, and whether it makes progress.
//!
//! Reads /proc. It does not try the lock, which would hold it for a moment and
//! turn away a process that does not wait for it. Only finds locks by `flock`,
//! on this machine and in this PID namespace. Must not know what the lock is
//! for.

use std::fs;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::major;
use nix::sys::stat::minor;
use serde::Serialize;
use uilog_sys::process_stat::ProcessStat;

use crate::status::Clock;
use crate::status::command_line;

/// The kernel's list of all locks.
const LOCKS: &str = "/proc/locks";

/// A process that has locked a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LockHolder {
    /// Its id.
    pub pid: i32,
    /// Its program's name.
    pub program: String,
    /// Its state in a word: `running`, `sleeping`, `waiting` (for a disk or a
    /// file server, uninterruptible), `stopped`, `ended`.
    pub state: &'static str,
    /// For how many seconds it has been there.
    pub age: Option<f64>,
}

impl LockHolder {
    /// Whether it is stopped until it gets a signal.
    pub fn is_stopped(&self) -> bool {
        self.state == STOPPED
    }
}

const STOPPED: &str = "stopped";

/// The process that has locked this file, if it can be seen.
pub fn of(path: &Path) -> Option<LockHolder> {
    let locked = fs::symlink_metadata(path).ok()?;
    let locks = fs::read_to_string(LOCKS).ok()?;
    let held = locks.lines().filter_map(HeldLock::parse);
    let held = held.filter(|it| it.inode == locked.ino());
    held.filter(|it| it.is_of(path, &locked))
        .find_map(|it| look_at(it.pid))
}

/// A line of /proc/locks.
// proc(5)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeldLock {
    pid: i32,
    device: (u64, u64),
    inode: u64,
}

impl HeldLock {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().skip(1);
        // Who waits has `->` here.
        if words.next()? != "FLOCK" {
            return None;
        }
        let pid = words.nth(2)?.parse().ok()?;
        let mut file = words.next()?.split(':');
        let mut device = || u64::from_str_radix(file.next()?, 16).ok();
        let device = (device()?, device()?);
        let inode = file.next()?.parse().ok()?;
        Some(Self { pid, device, inode })
    }

    /// Whether it is this file that it has locked: its number may be that of
    /// another on another disk, and some file systems have two numbers for the
    /// disk.
    fn is_of(&self, path: &Path, locked: &Metadata) -> bool {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.pid)) else {
            let device = (major(locked.dev()), minor(locked.dev()));
            return self.device == device;
        };
        // The link is read first: another file may be on a disk that hangs.
        let is_named = |entry: &fs::DirEntry| {
            fs::read_link(entry.path())
                .is_ok_and(|it| it.as_os_str().as_bytes().ends_with(name))
        };
        let is_it = |entry: &fs::DirEntry| {
            fs::metadata(entry.path()).is_ok_and(|it| {
                (it.dev(), it.ino()) == (locked.dev(), locked.ino())
            })
        };
        entries.flatten().any(|it| is_named(&it) && is_it(&it))
    }
}

fn look_at(pid: i32) -> Option<LockHolder> {
    let stat = match ProcessStat::read(pid) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        stat => stat.ok(),
    };
    Some(LockHolder {
        pid,
        program: command_line(pid)
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
        state: match stat.as_ref().map(|it| it.state) {
            Some(b'R') => "running",
            Some(b'D') => "waiting",
            Some(b'T' | b't') => STOPPED,
            Some(b'Z' | b'X') => "ended",
            _ => "sleeping",
        },
        age: stat.and_then(|it| Clock::now().age(&it)),
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Duration;
    use std::time::Instant;

    use nix::sys::signal::Signal;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn lines_of_locks_are_read() {
        let line = "7: FLOCK  ADVISORY  WRITE 4711 08:1f:123 0 EOF";
        let held = HeldLock {
            pid: 4711,
            device: (8, 31),
            inode: 123,
        };
        assert_eq!(HeldLock::parse(line), Some(held));
        for line in [
            "",
            "7: POSIX  ADVISORY  WRITE 4711 08:1f:123 0 EOF",
            "7: -> FLOCK  ADVISORY  WRITE 4711 08:1f:123 0 EOF",
            "7: FLOCK  ADVISORY  WRITE",
        ] {
            assert_eq!(HeldLock::parse(line), None, "{line}");
        }
    }

    #[test]
    fn of_a_process_that_cannot_be_looked_at_the_disk_must_be_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let locked = file.as_file().metadata().unwrap();
        let (disk, number) = (major(locked.dev()), minor(locked.dev()));
        for (device, expected) in [
            ((disk, number), true),
            ((disk + 1, number), false),
            ((disk, number + 1), false),
        ] {
            let held = HeldLock {
                pid: i32::MAX,
                device,
                inode: locked.ino(),
            };
            assert_eq!(held.is_of(file.path(), &locked), expected);
        }
    }

    #[test]
    fn who_holds_a_lock_is_seen_and_whether_it_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        assert_eq!(of(&path), None);
        fs::write(&path, "").unwrap();
        assert_eq!(of(&path), None);
        let mut child = Command::new("flock")
            .arg("--no-fork")
            .arg(&path)
            .args(["sleep", "60"])
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        let until = |what: &str, is_so: &dyn Fn(&LockHolder) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                if let Some(holder) = of(&path).filter(is_so) {
                    return holder;
                }
                assert!(Instant::now() < deadline, "{what}: {:?}", of(&path));
                thread::sleep(Duration::from_millis(5));
            }
        };
        let holder = until("locked", &|it| it.program == "sleep");
        assert_eq!(holder.pid, pid);
        assert_eq!(holder.program, "sleep");
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        until("stopped", &LockHolder::is_stopped);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
