//! A connection through a child process, and the steps of closing it.
//!
//! Responsible for one connection. Must not know other connections.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::FcntlArg;
use nix::fcntl::OFlag;
use nix::fcntl::fcntl;
use nix::sys::signal::Signal;
use uilog_sys::child::Child;
use uilog_sys::descendants::Descendant;
use uilog_sys::fd::VerifiedFd;

use crate::lines::Lines;
use crate::outcome::CloseError;
use crate::outcome::CloseReport;
use crate::outcome::Limits;
use crate::outcome::Outcome;
use crate::poll_set::PollSet;

/// How long a process that got SIGTERM has before it gets SIGKILL.
pub const TERM_GRACE: Duration = Duration::from_millis(500);

/// How long a process is waited for that got SIGKILL: the kernel may hold it.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// How long a process may go on after the end of its standard error if there
/// is no limit: stock hg does not wait for it at all.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// How much is read from standard error at a time, in bytes.
const READ_BYTES: usize = 64 << 10;

/// What to do next on a connection's way to its end.
#[derive(Debug)]
pub(crate) enum Advance {
    /// Show this line of its standard error.
    Line(Vec<u8>),
    /// Wait for its descriptors, until this moment at the latest.
    Wait(Option<Instant>),
    /// It has ended.
    Closed(CloseReport),
}

#[derive(Debug)]
enum State {
    Open,
    /// Its standard input is closed.
    Draining {
        since: Instant,
        /// Since when nothing has come.
        idle: Option<Instant>,
    },
    /// It got a signal to end.
    Ending(Ending),
    Closed(CloseReport),
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    since: Instant,
    outcome: Outcome,
    is_stderr_held: bool,
    is_cut: bool,
    is_killed: bool,
    deadline: Instant,
}

/// A connection through a child process.
///
/// Dropping an open one closes it with the default [`Limits`] and logs its
/// remaining output.
#[derive(Debug)]
pub struct Peer {
    creator: u32,
    process: Child,
    /// Its descendants, once they got a signal to end.
    below: Vec<Descendant>,
    stdin: Option<VerifiedFd>,
    stdout: Option<VerifiedFd>,
    stderr: Option<VerifiedFd>,
    lines: Lines,
    /// Nothing is read any more.
    is_deaf: bool,
    state: State,
}

impl Peer {
    /// Takes a connection: the child `pid` of this process, not reaped yet, and
    /// our ends of its standard input, output and error.
    pub fn adopt(
        pid: u32,
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Self {
        Self {
            creator: std::process::id(),
            process: Child::adopt(pid),
            below: Vec::new(),
            stdin: Some(VerifiedFd::new(stdin)),
            stdout: Some(VerifiedFd::new(stdout)),
            stderr: Some(VerifiedFd::new(stderr)),
            lines: Lines::default(),
            is_deaf: false,
            state: State::Open,
        }
    }

    /// Whether this is the process that has opened the connection.
    pub fn is_own(&self) -> bool {
        self.creator == std::process::id()
    }

    /// The numbers of our ends of standard input, output and error, as long
    /// as they are open.
    pub fn descriptors(&self) -> [Option<RawFd>; 3] {
        [&self.stdin, &self.stdout, &self.stderr]
            .map(|pipe| pipe.as_ref().map(AsRawFd::as_raw_fd))
    }

    /// Closes our descriptor of this number, unless the number belongs to
    /// another file by now.
    pub fn close_descriptor(&mut self, raw: RawFd) {
        let pipes = [&mut self.stdin, &mut self.stdout, &mut self.stderr];
        for pipe in pipes {
            pipe.take_if(|pipe| pipe.as_raw_fd() == raw);
        }
    }

    /// What came of closing it, once it is closed.
    pub fn closed(&self) -> Option<CloseReport> {
        match self.state {
            State::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Closes the connection: blocks within the limits, and shows each line of
    /// its standard error. Closing it again returns the same.
    ///
    /// # Errors
    ///
    /// Its process did not end even after SIGKILL. Our side is closed
    /// nevertheless.
    pub fn close(
        &mut self,
        limits: Limits,
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<CloseReport, CloseError> {
        loop {
            match self.advance(limits) {
                Advance::Line(line) => show(&line),
                Advance::Wait(until) => {
                    let mut awaited = PollSet::default();
                    self.await_in(&mut awaited);
                    awaited.wait(until);
                }
                Advance::Closed(closed) => return self.verdict(closed),
            }
        }
    }

    /// An error if closing it left its process running.
    fn verdict(&self, closed: CloseReport) -> Result<CloseReport, CloseError> {
        if closed.exit.is_none() && self.is_own() {
            let pid = self.process.pid();
            return Err(CloseError { pid });
        }
        Ok(closed)
    }

    /// Waits no longer: what follows is the end of its process.
    pub(crate) fn interrupt(&mut self) {
        match self.state {
            State::Open => self.end(Instant::now(), Outcome::Interrupted),
            State::Draining { since, .. } => {
                self.end(since, Outcome::Interrupted);
            }
            State::Ending(_) | State::Closed(_) => {}
        }
    }

    /// Closes our descriptors of a connection that is another process's.
    fn abandon(&mut self) -> CloseReport {
        self.drop_pipes();
        let closed = CloseReport {
            outcome: Outcome::ForeignFork,
            exit: None,
            duration: Duration::ZERO,
            is_stderr_held: false,
            is_cut: false,
        };
        self.process.close_pidfd();
        self.below.clear();
        self.state = State::Closed(closed);
        closed
    }

    /// Begins to close it: the server learns that nothing more will come.
    pub(crate) fn begin(&mut self) {
        if !matches!(self.state, State::Open) {
            return;
        }
        if !self.is_own() {
            self.abandon();
            return;
        }
        // hg: _cleanuppipes closes standard input first
        self.stdin = None;
        self.stdout = None;
        self.state = State::Draining {
            since: Instant::now(),
            idle: None,
        };
    }

    /// Goes as far as it can without waiting.
    pub(crate) fn advance(&mut self, limits: Limits) -> Advance {
        match self.state {
            State::Closed(closed) => Advance::Closed(closed),
            // Forked since it began.
            _ if !self.is_own() => Advance::Closed(self.abandon()),
            State::Open => {
                self.begin();
                self.advance(limits)
            }
            State::Draining { since, idle } => self.drain(limits, since, idle),
            State::Ending(ending) => self.force(ending),
        }
    }

    /// Waits for the end of processes that got a signal.
    fn force(&mut self, mut ending: Ending) -> Advance {
        let exit = self.process.try_wait();
        self.below.retain(|process| !process.has_ended());
        let is_overdue = Instant::now() >= ending.deadline;
        let has_ended = exit.is_some() && self.below.is_empty();
        if has_ended || (is_overdue && ending.is_killed) {
            return self.finish(CloseReport {
                outcome: ending.outcome,
                exit,
                duration: ending.since.elapsed(),
                is_stderr_held: ending.is_stderr_held,
                is_cut: ending.is_cut,
            });
        }
        if is_overdue {
            self.signal(Signal::SIGKILL);
            ending.is_killed = true;
            ending.deadline = Instant::now() + KILL_GRACE;
            if matches!(ending.outcome, Outcome::Timeout | Outcome::Cut) {
                ending.outcome = Outcome::Killed;
            }
            self.state = State::Ending(ending);
        }
        Advance::Wait(Some(ending.deadline))
    }

    fn drain(
        &mut self,
        limits: Limits,
        since: Instant,
        mut idle: Option<Instant>,
    ) -> Advance {
        let last = limits.total.and_then(|total| since.checked_add(total));
        if last.is_some_and(|last| Instant::now() >= last) {
            self.read_the_last();
        }
        if let Some(line) = self.next_line(&mut idle) {
            self.state = State::Draining { since, idle };
            return Advance::Line(line);
        }
        let exit = self.process.try_wait();
        if let (None, Some(_)) = (&self.stderr, exit) {
            return self.finish(CloseReport {
                outcome: Outcome::Closed,
                exit,
                duration: since.elapsed(),
                is_stderr_held: false,
                is_cut: false,
            });
        }
        if self.is_deaf {
            self.end(since, Outcome::Cut);
            return self.advance(limits);
        }
        let now = Instant::now();
        let idle_since = *idle.get_or_insert(now);
        self.state = State::Draining { since, idle };
        let bound = match (&self.stderr, limits.idle) {
            (_, Some(bound)) => bound,
            (None, None) => EXIT_GRACE,
            (Some(_), None) => return Advance::Wait(last),
        };
        let deadline = idle_since.checked_add(bound);
        if deadline.is_none_or(|deadline| now < deadline) {
            return Advance::Wait(deadline.into_iter().chain(last).min());
        }
        if let Some(rest) = self.lines.rest() {
            return Advance::Line(rest);
        }
        self.end(since, Outcome::Timeout);
        self.advance(limits)
    }

    /// The next line of standard error that is there; `idle` is no longer if
    /// anything has come.
    fn next_line(&mut self, idle: &mut Option<Instant>) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Some(line);
            }
            if self.is_deaf {
                return self.lines.rest();
            }
            let stderr = self.stderr.as_ref()?;
            match read_available(stderr) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    *idle = None;
                    self.lines.push(&bytes);
                    continue;
                }
                Err(error) if is_nothing_yet(&error) => return None,
                // A broken pipe cannot be read on: its end, for us.
                Err(error) => log::warn!("standard error: {error}"),
            }
            *idle = None;
            self.stderr = None;
            return self.lines.rest();
        }
    }

    /// Reads once more, as much as a pipe has at a time, and then no more:
    /// this process may have been stopped while the other one ended.
    fn read_the_last(&mut self) {
        if std::mem::replace(&mut self.is_deaf, true) {
            return;
        }
        let Some(stderr) = &self.stderr else {
            return;
        };
        match read_available(stderr) {
            Ok(bytes) => self.lines.push(&bytes),
            Err(error) if is_nothing_yet(&error) => return,
            Err(error) => log::warn!("standard error: {error}"),
        }
        match read_available(stderr) {
            // No process holds it any more.
            Ok(bytes) if bytes.is_empty() => self.stderr = None,
            Ok(bytes) => self.lines.push(&bytes),
            Err(_) => {}
        }
    }

    /// Sends the process a signal to end.
    fn end(&mut self, since: Instant, outcome: Outcome) {
        let is_stderr_held = self.stderr.is_some();
        // Its messages about being killed are not the remote side's, so its
        // output is not read any more.
        self.drop_pipes();
        if self.process.try_wait().is_none() {
            self.below = Descendant::all_of(self.process.pid());
        }
        self.signal(Signal::SIGTERM);
        self.state = State::Ending(Ending {
            since,
            outcome,
            is_stderr_held,
            is_cut: outcome == Outcome::Cut,
            is_killed: false,
            deadline: Instant::now() + TERM_GRACE,
        });
    }

    fn drop_pipes(&mut self) {
        self.stdin = None;
        self.stdout = None;
        self.stderr = None;
    }

    fn signal(&self, signal: Signal) {
        let below = self.below.iter().map(|process| process.signal(signal));
        for result in below.chain([self.process.signal(signal)]) {
            if let Err(error) = result {
                let pid = self.process.pid();
                log::warn!("{signal} to process {pid} and below: {error}");
            }
        }
    }

    fn finish(&mut self, closed: CloseReport) -> Advance {
        self.process.close_pidfd();
        self.below.clear();
        self.state = State::Closed(closed);
        Advance::Closed(closed)
    }

    /// Adds the descriptors for which it waits.
    pub(crate) fn await_in<'p>(&'p self, awaited: &mut PollSet<'p>) {
        if let Some(stderr) = &self.stderr {
            awaited.add(stderr.as_fd());
        } else if self.process.exit().is_none() {
            match self.process.pidfd() {
                Some(pidfd) => awaited.add(pidfd),
                None => awaited.must_ask(),
            }
        }
        self.below.iter().for_each(|it| awaited.add(it.as_fd()));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.closed().is_some() {
            return;
        }
        if self.is_own() {
            log::warn!("a connection was dropped before it was closed");
        }
        let mut show = |line: &[u8]| {
            log::info!("remote: {}", String::from_utf8_lossy(line).trim_end());
        };
        if let Err(error) = self.close(Limits::default(), &mut show) {
            log::warn!("{error}");
        }
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What can be read at once; empty at the end.
fn read_available(pipe: &VerifiedFd) -> io::Result<Vec<u8>> {
    if !pipe.is_intact() {
        // Other code has closed it, and may have opened another file.
        return Err(Errno::EBADF.into());
    }
    // Each time, because hg resets it after each of its own reads. The flag
    // only affects our end.
    let flags = fcntl(pipe, FcntlArg::F_GETFL)?;
    let flags = OFlag::from_bits_retain(flags);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(pipe, FcntlArg::F_SETFL(flags.union(OFlag::O_NONBLOCK)))?;
    }
    let mut bytes = vec![0; READ_BYTES];
    let count = nix::unistd::read(pipe, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}
