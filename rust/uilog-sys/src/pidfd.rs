//! Descriptors that are processes.
//!
//! In a process that others' code shares: a number that is another process's
//! by now must not be signalled or reaped. Before Linux 6.9 all pidfds look the
//! same, so `/proc` is asked which process it is.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::fd::Held;

/// How /proc shows a process that has been reaped.
const REAPED: i32 = -1;

/// A process.
#[derive(Debug)]
pub struct Pidfd {
    fd: Held,
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
    let fd = Held::new(unsafe { OwnedFd::from_raw_fd(raw) });
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
