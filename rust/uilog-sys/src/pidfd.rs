//! Descriptors of processes (pidfds).
//!
//! Other code in hg's process may close a pidfd, and its number may now be the
//! pidfd of another process, which must not be signalled or reaped. Before
//! Linux 6.9, `fstat` cannot tell pidfds apart, so `/proc` is read.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::ended::Ended;
use crate::fd::VerifiedFd;
use crate::process_stat::ProcessStat;

/// How /proc shows a process that has been reaped.
const REAPED: i32 = -1;

/// Linux: `PF_EXITING` among the flags of a process, as /proc shows them.
const IS_EXITING: u64 = 0x4;

/// The state of a process that is not a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs, with any program.
    Runs,
    /// It is about to end.
    Ends,
    /// It has ended; how, if the kernel reports it.
    Ended(Option<Ended>),
}

/// A process.
#[derive(Debug)]
pub struct Pidfd {
    fd: VerifiedFd,
    pid: Pid,
}

impl Pidfd {
    /// It, if the number is still that of the process.
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        self.is_intact().then(|| self.fd.as_fd())
    }

    fn is_intact(&self) -> bool {
        let told = self.told_pid();
        let is_same = |it| it == self.pid.as_raw() || it == REAPED;
        self.fd.is_intact() && told.is_none_or(is_same)
    }

    /// The process that it is, as /proc has it.
    fn told_pid(&self) -> Option<i32> {
        let path = format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd());
        let text = std::fs::read_to_string(path).ok()?;
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("Pid:"))?;
        line.trim().parse().ok()
    }
}

impl Pidfd {
    /// The state of the process. How it has ended is known until it has been
    /// reaped, and from Linux 6.15 on also after that.
    pub fn state(&self) -> ProcessState {
        let Some(fd) = self.get() else {
            return ProcessState::Ended(None);
        };
        let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
        let has_ended = nix::poll::poll(&mut polled, PollTimeout::ZERO);
        let has_ended = has_ended.is_ok_and(|count| count > 0);
        let stat = || ProcessStat::read(self.pid.as_raw()).ok();
        if !has_ended {
            let flags = stat().map_or(0, |it| it.flags);
            return match flags & IS_EXITING {
                0 => ProcessState::Runs,
                _ => ProcessState::Ends,
            };
        }
        let status = exit_info(fd).or_else(|| {
            let stat = stat()?;
            // A number is only reused after its process has been reaped.
            (stat.is_zombie() && self.told_pid()? == self.pid.as_raw())
                .then_some(stat.wait_status)
        });
        ProcessState::Ended(status.map(Ended::of_wait_status))
    }
}

/// The status of a process that has been reaped, as of waitpid(2).
// Linux: include/uapi/linux/pidfd.h, struct pidfd_info, 6.15
fn exit_info(pidfd: BorrowedFd<'_>) -> Option<i32> {
    const GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
    const INFO_EXIT: u64 = 1 << 3;
    /// The first version of the structure: the mask, the control group, eleven
    /// IDs, and the status.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    let mut info = Info {
        mask: INFO_EXIT,
        ..Info::default()
    };
    // SAFETY: the number of the request holds the size of the structure, and
    // the kernel writes no more than that.
    let told =
        unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &raw mut info) };
    (told == 0 && info.mask & INFO_EXIT != 0).then_some(info.exit_code)
}

impl AsFd for Pidfd {
    /// To wait for; it may be another's by now.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A descriptor for this process, close-on-exec, if the kernel has such and
/// there is such a process.
pub fn open(pid: Pid) -> Option<Pidfd> {
    // SAFETY: creates a descriptor and touches no memory.
    let raw =
        unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0_u32) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
    // SAFETY: the kernel has just created it for us.
    let fd = VerifiedFd::new(unsafe { OwnedFd::from_raw_fd(raw) });
    Some(Pidfd { fd, pid })
}

/// Sends a signal to the process, unless it has ended.
pub(crate) fn send(pidfd: &Pidfd, signal: Signal) -> io::Result<()> {
    let Some(pidfd) = pidfd.get() else {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    };
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the kernel makes up the information if it is given none, and
    // the descriptor is a live one.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as i32,
            info,
            0_u32,
        )
    };
    if sent < 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ESRCH) {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::process::Stdio;
    use std::time::Duration;
    use std::time::Instant;

    use super::*;

    fn open_child(child: &std::process::Child) -> Pidfd {
        open(Pid::from_raw(child.id() as i32)).expect("it is there")
    }

    #[track_caller]
    fn ends(pidfd: &Pidfd) -> Option<Ended> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let ProcessState::Ended(how) = pidfd.state() {
                return how;
            }
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether the kernel reports the exit status of a reaped process.
    fn tells_of_reaped() -> bool {
        let release = nix::sys::utsname::uname().expect("known");
        let release = release.release().to_string_lossy().into_owned();
        let mut numbers = release.split('.').map(|it| it.parse().unwrap_or(0));
        let version: (u32, u32) =
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        version >= (6, 15)
    }

    #[test]
    fn it_is_told_how_a_process_has_ended() {
        let killed = Some(Ended::Killed {
            signal: 9,
            has_core: false,
        });
        let script = |text: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", text]).stdin(Stdio::piped());
            command.spawn().expect("started")
        };
        let mut child = script("read line");
        let pidfd = open_child(&child);
        assert_eq!(pidfd.state(), ProcessState::Runs);
        child.kill().expect("killed");
        // Nobody has waited for it.
        assert_eq!(ends(&pidfd), killed);
        child.wait().expect("reaped");
        let told = tells_of_reaped().then_some(killed).flatten();
        assert_eq!(pidfd.state(), ProcessState::Ended(told));
        let mut child = script("read line; exit 3");
        let pidfd = open_child(&child);
        drop(child.stdin.take());
        assert_eq!(ends(&pidfd), Some(Ended::Exited(3)));
        child.wait().expect("reaped");
    }
}
