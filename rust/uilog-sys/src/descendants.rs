//! The descendants of a process.
//!
//! hg starts a shell, and the program that matters may be the shell's child:
//! some shells replace themselves by the last command of `sh -c`, others fork.
//! So to terminate the program, its descendants have to be found.
//!
//! A process that has started its own session has detached on purpose, as the
//! master of ssh's shared connections does, and is left out.
//!
//! Works only with pidfds (Linux 5.3), because a process ID may have been
//! reused by the time it is signalled. Processes that are started meanwhile may
//! be missing.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::pidfd;
use crate::pidfd::Pidfd;
use crate::process_stat::ProcessStat;

/// A process that need not be a child of this one.
#[derive(Debug)]
pub struct Descendant {
    pidfd: Pidfd,
}

impl Descendant {
    /// The living processes below `pid` in its session, nearest first.
    pub fn all_of(pid: u32) -> Vec<Self> {
        let Ok(root) = i32::try_from(pid) else {
            return Vec::new();
        };
        let mut processes = everyone();
        let session = processes.get(&root).map(|stat| stat.session);
        processes.retain(|_, stat| Some(stat.session) == session);
        let mut found = vec![root];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            let children = processes.iter().filter(|(number, stat)| {
                stat.parent == parent && !found.contains(number)
            });
            let children: Vec<_> =
                children.map(|(number, _)| *number).collect();
            found.extend(children);
            at += 1;
        }
        let below = found.into_iter().skip(1);
        below
            .filter_map(|number| {
                let before = processes.get(&number)?;
                let pidfd = pidfd::open(Pid::from_raw(number))?;
                // Still the one that was seen.
                let start = ProcessStat::read(number).ok()?.start;
                (start == before.start).then_some(Self { pidfd })
            })
            .collect()
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Errors
    ///
    /// `EPERM` if it runs as another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        pidfd::send(&self.pidfd, signal)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        if self.pidfd.get().is_none() {
            // It is not known any more.
            return true;
        }
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Descendant {
    /// A descriptor that becomes readable when it ends.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn everyone() -> HashMap<i32, ProcessStat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter_map(|number| Some((number, ProcessStat::read(number).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::process::Command;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn children_and_their_children_are_found_and_nobody_else() {
        // The last one has a session of its own when it says something.
        let script = "sh -c 'sleep 100 &
            setsid sh -c \"echo; read x\" <&3 & wait' 3<&0; exit 1";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let out = shell.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let below = Descendant::all_of(shell.id());
        assert_eq!(below.len(), 2, "a shell and sleep");
        for process in &below {
            assert!(!process.has_ended());
            process.signal(Signal::SIGKILL).expect("it is ours");
        }
        let status = shell.wait().expect("our child");
        assert_eq!(status.code(), Some(1));
        assert!(below.iter().all(|process| {
            let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(60_000_u16));
            ready == Ok(1) && process.has_ended()
        }));
    }
}
