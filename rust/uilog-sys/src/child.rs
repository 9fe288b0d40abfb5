//! Child processes that another part of the process has started.
//!
//! If the kernel has pidfds (Linux 5.4), a [`Child`] waits for and signals
//! exactly that process, even if other code has reaped it and its process ID
//! has been reused. Without them it uses the process ID, and signals only a
//! child that is not reaped yet.
//!
//! Nothing here blocks.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::ended;
use crate::ended::ChildSelector;
use crate::ended::Ended;
use crate::pidfd;
use crate::pidfd::Pidfd;

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this exit status.
    Code(i32),
    /// By the signal of this number.
    Signal(i32),
    /// Other code has reaped it.
    Unknown,
}

/// A child process, to be waited for and signalled.
///
/// Dropping it leaves the process as it is.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: Option<Pidfd>,
    exit: Option<Exit>,
}

impl Child {
    /// Takes the child `pid` of this process, which must not have been reaped.
    pub fn adopt(pid: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
        Self {
            pid,
            pidfd: pidfd::open(pid),
            exit: None,
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// A descriptor that becomes readable when the process ends, if the
    /// kernel has such.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// How it has ended, as far as is known.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// Reaps the process if it has ended, and returns how.
    pub fn try_wait(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = self.ask(ended::reap);
        }
        self.exit
    }

    /// Closes its pidfd, when it is not needed any more.
    pub fn close_pidfd(&mut self) {
        self.pidfd = None;
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Errors
    ///
    /// `EPERM` if it now runs as another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        // An unreaped child keeps its number; a reaped one is not a child any
        // more, and is not queried.
        let is_gone = self.exit.is_some() || self.ask(ended::peek).is_some();
        if is_gone {
            return Ok(());
        }
        // Without a pidfd that is ours, the number will do: see above.
        let is_in_vain = |error: &io::Error| {
            [libc::ENOSYS, libc::EBADF]
                .map(Some)
                .contains(&error.raw_os_error())
        };
        match self.pidfd.as_ref().map(|pidfd| pidfd::send(pidfd, signal)) {
            Some(Err(error)) if !is_in_vain(&error) => Err(error),
            Some(Ok(())) => Ok(()),
            _ => Ok(kill(self.pid, signal)?),
        }
    }

    fn ask(
        &self,
        call: impl Fn(ChildSelector<'_>) -> io::Result<Option<(Pid, Ended)>>,
    ) -> Option<Exit> {
        let by_pidfd = self
            .pidfd
            .as_ref()
            .and_then(Pidfd::get)
            .map(|pidfd| call(ChildSelector::Pidfd(pidfd)));
        let is_refused = |error: &io::Error| {
            // Linux 5.3 can open a pidfd, but not wait for it.
            error.raw_os_error() == Some(libc::EINVAL)
        };
        let ended = match by_pidfd {
            Some(Err(error)) if is_refused(&error) => {
                call(ChildSelector::Pid(self.pid))
            }
            Some(ended) => ended,
            None => call(ChildSelector::Pid(self.pid)),
        };
        match ended {
            Ok(ended) => ended.map(|(_, ended)| match ended {
                Ended::Exited(code) => Exit::Code(code),
                Ended::Killed { signal, .. } => Exit::Signal(signal),
            }),
            // ECHILD: it is no child of ours any more.
            Err(_) => Some(Exit::Unknown),
        }
    }
}
