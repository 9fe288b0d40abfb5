//! How a child process has ended, whatever the signal.
//!
//! `waitid` of nix fails for a signal that it has no name for, such as all
//! real-time signals. Then the child is not reaped, or is reaped and its status
//! is lost. Here a signal is a number.
//!
//! Nothing here blocks.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By a signal.
    Killed {
        /// Its number.
        signal: i32,
        /// Whether a core was dumped.
        has_core: bool,
    },
}

impl Ended {
    /// What a status of waitpid(2) means.
    pub(crate) fn of_wait_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            return Self::Killed {
                signal: libc::WTERMSIG(status),
                has_core: libc::WCOREDUMP(status),
            };
        }
        Self::Exited(libc::WEXITSTATUS(status))
    }
}

/// Which child is asked about.
#[derive(Clone, Copy, Debug)]
pub enum ChildSelector<'fd> {
    /// Any.
    Any,
    /// The one of this number.
    Pid(Pid),
    /// The one of this pidfd.
    Pidfd(BorrowedFd<'fd>),
}

/// A child that has ended, which stays unreaped: its number remains its own.
///
/// # Errors
///
/// `ECHILD`: there is no such child.
pub fn peek(which: ChildSelector<'_>) -> io::Result<Option<(Pid, Ended)>> {
    wait(which, libc::WNOWAIT)
}

/// Reaps a child that has ended.
///
/// # Errors
///
/// `ECHILD`: there is no such child.
pub fn reap(which: ChildSelector<'_>) -> io::Result<Option<(Pid, Ended)>> {
    wait(which, 0)
}

fn wait(
    which: ChildSelector<'_>,
    more: libc::c_int,
) -> io::Result<Option<(Pid, Ended)>> {
    let (kind, id) = match which {
        ChildSelector::Any => (libc::P_ALL, 0),
        ChildSelector::Pid(pid) => (libc::P_PID, pid.as_raw().unsigned_abs()),
        ChildSelector::Pidfd(fd) => (PIDFD, fd.as_raw_fd().unsigned_abs()),
    };
    loop {
        // SAFETY: all zeros are valid, and mean that no child has ended.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WEXITED | libc::WNOHANG | more;
        // SAFETY: writes to a live local.
        let result = unsafe { libc::waitid(kind, id, &raw mut info, flags) };
        match Errno::result(result) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        // SAFETY: waitid has filled in what it fills in for a child, or
        // nothing.
        let pid = unsafe { info.si_pid() };
        if pid == 0 {
            return Ok(None);
        }
        // SAFETY: the same.
        let status = unsafe { info.si_status() };
        let ended = match info.si_code {
            libc::CLD_EXITED => Ended::Exited(status),
            code => Ended::Killed {
                signal: status,
                has_core: code == libc::CLD_DUMPED,
            },
        };
        return Ok(Some((Pid::from_raw(pid), ended)));
    }
}

#[cfg(target_os = "linux")]
const PIDFD: libc::idtype_t = libc::P_PIDFD;
/// Other systems have no pidfds.
#[cfg(not(target_os = "linux"))]
const PIDFD: libc::idtype_t = libc::P_PID;

/// A signal's name: `SIGTERM`, `SIGRTMIN+3`, or its number if it has none.
pub fn signal_name(signal: i32) -> String {
    if let Ok(known) = Signal::try_from(signal) {
        return known.as_str().to_owned();
    }
    #[cfg(target_os = "linux")]
    {
        let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
        if signal == first {
            return "SIGRTMIN".to_owned();
        }
        if (first..=last).contains(&signal) {
            return format!("SIGRTMIN+{}", signal - first);
        }
    }
    format!("signal {signal}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;
    use std::time::Instant;

    use super::*;

    /// A shell that runs this, as it ends.
    #[expect(
        clippy::zombie_processes,
        reason = "it is reaped by what is tested"
    )]
    fn ended(script: &str) -> Ended {
        let mut command = Command::new("/bin/sh");
        let child = command.args(["-c", script]).spawn().expect("a shell");
        let pid = Pid::from_raw(child.id().cast_signed());
        let deadline = Instant::now() + Duration::from_secs(60);
        let peeked = loop {
            if let Some(peeked) =
                peek(ChildSelector::Pid(pid)).expect("our child")
            {
                break peeked;
            }
            assert!(Instant::now() < deadline, "{script} does not end");
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(peeked.0, pid);
        let reaped = reap(ChildSelector::Pid(pid)).expect("our child");
        assert_eq!(reaped, Some(peeked));
        let error =
            reap(ChildSelector::Pid(pid)).expect_err("it has been reaped");
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
        peeked.1
    }

    #[test]
    fn every_signal_is_told() {
        assert_eq!(ended("exit 7"), Ended::Exited(7));
        // All that end a process by default, and can be sent to it.
        for signal in (1..=64).filter(|signal| {
            let ignored_or_stops = [17, 18, 19, 20, 21, 22, 23, 28];
            !ignored_or_stops.contains(signal) && ![32, 33].contains(signal)
        }) {
            // A shell cannot undo what it was told to ignore, as SIGINT is in
            // the background of another one: so another program is told to.
            let script = format!(
                "ulimit -c 0; exec env --default-signal sh -c \
                 'kill -{signal} $$; sleep 60'"
            );
            let Ended::Killed { signal: told, .. } = ended(&script) else {
                panic!("signal {signal} has not ended it");
            };
            assert_eq!(told, signal);
        }
    }

    #[test]
    fn signals_have_names() {
        let names = [9, 34, 35, 64, 33, 65].map(signal_name);
        let expected = [
            "SIGKILL",
            "SIGRTMIN",
            "SIGRTMIN+1",
            "SIGRTMIN+30",
            "signal 33",
            "signal 65",
        ];
        assert_eq!(names, expected);
    }
}
