//! Descriptors that are processes.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A descriptor for this process, close-on-exec, if the kernel has such and
/// there is such a process.
pub(crate) fn open(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: creates a descriptor and touches no memory.
    let raw =
        unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0_u32) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
    // SAFETY: the kernel has just created it for us.
    Some(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Sends a signal to the process, unless it has ended.
pub(crate) fn send(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
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
