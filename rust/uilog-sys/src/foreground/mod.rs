//! Runs a program in the foreground, as if this process were that program.
//!
//! The program is a child in the same session and process group, and inherits
//! everything unchanged: arguments, environment, working directory, umask,
//! descriptors, limits, the signal mask and ignored signals. This process waits
//! for it, forwards signals, stops when it stops, and ends as it ends.
//! [`Command::start`] starts it, [`Running::wait`] waits for it,
//! [`ProgramEnd::mirror`] ends this process in the same way. A [`Companion`] does work
//! that may take long. If a second process cannot be started,
//! [`Command::replace_us`] executes the program in this process.
//!
//! Must not know why the end of a program is of interest.
//!
//! # Signals
//!
//! All signals are blocked from the start and fetched one by one. So no handler
//! is needed, and no signal ends this process before the program. Signals of
//! the terminal (Ctrl-C, Ctrl-Z, a new size) go to the whole process group,
//! which includes the program, so they are not forwarded. Signals of other
//! processes are forwarded, except those of the program and its descendants,
//! which are meant for the group.
//!
//! It is not possible to find out whether a signal was sent to this process or
//! to the whole group. In the latter case, the program gets it twice, but only
//! if it has handled the first one by then, because pending signals are merged.
//!
//! # Known differences
//!
//! Compared with the program alone: its parent is this process; it is killed if
//! this process is killed by SIGKILL (`PR_SET_PDEATHSIG`), but continues if
//! this process is stopped by SIGSTOP; it writes a core dump, but the exit
//! status of this process does not say so; `getrusage(RUSAGE_CHILDREN)` of the
//! parent includes this process.

mod child;
mod companion;
mod end;
mod inherited;
mod program;
mod signals;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::time::Instant;

pub use companion::Companion;
pub use companion::Inbox;
pub use companion::Message;
pub use companion::Received;
pub use companion::WaitResult;

use self::end::EXIT_UNKNOWN;
pub use self::end::ExitKind;
pub use self::end::ProgramEnd;
pub use self::end::Usage;
pub use self::program::Command;
use self::program::Launch;
use self::program::Program;
use crate::spawn::SignalsBlocked;

impl Command {
    /// Runs `args[0]` with these arguments and this environment. `PATH` is
    /// searched unless `args[0]` has a directory.
    pub fn new(args: Vec<CString>, env: Vec<CString>) -> Self {
        Self { args, env }
    }

    /// Starts it, without waiting for the exec: [`Running::wait`] returns its
    /// error.
    ///
    /// From then on all signals are blocked in this thread, which must be the
    /// only one.
    ///
    /// # Errors
    ///
    /// No process can be created, or there is no memory.
    pub fn start(&self) -> io::Result<Running> {
        let started = Instant::now();
        let mut blocked = SignalsBlocked::new();
        let is_chld_ignored = inherited::is_ignored(libc::SIGCHLD);
        if is_chld_ignored {
            // Otherwise its exit status would not be known.
            signals::set_default(libc::SIGCHLD)?;
        }
        let program = Program::new(self, blocked.before(), is_chld_ignored);
        let launch = program.and_then(Launch::new);
        let started_as = launch.and_then(|launch| {
            let pid = launch.start()?;
            Ok((launch, pid))
        });
        let (launch, pid) = started_as.inspect_err(|_| {
            if is_chld_ignored {
                signals::ignore(libc::SIGCHLD);
            }
        })?;
        blocked.keep();
        Ok(Running {
            pid,
            started,
            launch,
            is_stopped: false,
            is_resumed: false,
        })
    }

    /// Makes this process the program. It returns only if that cannot be
    /// executed, and says how a program ends that cannot.
    pub fn replace_us(&self) -> ProgramEnd {
        let started = Instant::now();
        let blocked = SignalsBlocked::new();
        let is_chld_ignored = inherited::is_ignored(libc::SIGCHLD);
        let program = Program::new(self, blocked.before(), is_chld_ignored);
        let errno = match program {
            Ok(program) => child::become_program(&program.plan).into_raw(),
            Err(error) => error.raw_os_error().unwrap_or(libc::ENOMEM),
        };
        ProgramEnd {
            how: ExitKind::NotStarted(errno),
            duration: started.elapsed(),
            usage: Usage::default(),
        }
    }
}

/// Makes the system answer a write beyond `ulimit -f` by an error, not by the
/// end of this process. A program that is started in our place does not notice.
pub fn survive_file_size_limit() {
    signals::ignore(libc::SIGXFSZ);
}

/// The running program.
///
/// Must be waited for, and not be dropped before the program has ended: until
/// it is executed, it uses memory of this process.
pub struct Running {
    pid: i32,
    started: Instant,
    launch: Launch,
    /// As far as known.
    is_stopped: bool,
    /// We have been stopped and continued, and the signal that continued us
    /// has not been fetched yet.
    is_resumed: bool,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("pid", &self.pid)
            .field("is_stopped", &self.is_stopped)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The program's process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until the program has ended, or until `until`, and does
    /// meanwhile what its parent has to do; `None` if it still runs then.
    pub fn wait(&mut self, until: Option<Instant>) -> Option<ProgramEnd> {
        loop {
            if let Some(end) = self.poll_state() {
                return Some(end);
            }
            let left =
                until.map(|at| at.saturating_duration_since(Instant::now()));
            match signals::fetch(left) {
                Some(info) => self.handle(&info),
                None if until.is_some_and(|at| Instant::now() >= at) => {
                    return None;
                }
                None => {}
            }
        }
    }

    /// Gets the state of the program; stops this process when it has stopped.
    fn poll_state(&mut self) -> Option<ProgramEnd> {
        loop {
            let mut status = 0;
            let mut usage = MaybeUninit::<libc::rusage>::zeroed();
            // SAFETY: writes to two live locals.
            let waited = unsafe {
                libc::wait4(
                    self.pid,
                    &raw mut status,
                    libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED,
                    usage.as_mut_ptr(),
                )
            };
            if waited == 0 {
                return None;
            }
            if waited < 0 {
                // No other code can have reaped it, since there is one thread.
                // But never wait for a process that does not exist.
                let usage = MaybeUninit::zeroed();
                // SAFETY: all zeros are valid.
                let usage = unsafe { usage.assume_init() };
                return Some(self.end(EXIT_UNKNOWN << 8, &usage));
            }
            if libc::WIFSTOPPED(status) {
                self.is_stopped = true;
                if !self.is_continued() {
                    signals::stop_ourselves(libc::WSTOPSIG(status));
                    self.is_resumed = true;
                }
            } else if libc::WIFCONTINUED(status) {
                self.is_stopped = false;
            } else {
                // SAFETY: all zeros are valid, and the call has filled it.
                let usage = unsafe { usage.assume_init() };
                return Some(self.end(status, &usage));
            }
        }
    }

    /// Whether it has continued before this process has stopped.
    fn is_continued(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: writes to a live local.
        let waited = unsafe {
            libc::waitpid(
                self.pid,
                &raw mut status,
                libc::WNOHANG | libc::WCONTINUED,
            )
        };
        let is_continued = waited == self.pid && libc::WIFCONTINUED(status);
        if is_continued {
            self.is_stopped = false;
        }
        is_continued
    }

    fn handle(&mut self, info: &signals::Info) {
        if info.signal() == libc::SIGCONT {
            // Who continues us means the program; it may be running already,
            // because the group was continued.
            let is_ours = std::mem::take(&mut self.is_resumed);
            if self.is_stopped && !self.is_continued() {
                self.is_stopped = false;
                info.send_to(self.pid);
                return;
            }
            if is_ours {
                return;
            }
        }
        if info.is_for_program(self.pid) {
            info.send_to(self.pid);
        }
    }

    fn end(&self, status: i32, usage: &libc::rusage) -> ProgramEnd {
        let how = match self.launch.program.outcome.errno() {
            0 if libc::WIFSIGNALED(status) => {
                ExitKind::Killed(libc::WTERMSIG(status))
            }
            0 => ExitKind::Exited(libc::WEXITSTATUS(status)),
            errno => ExitKind::NotStarted(errno),
        };
        ProgramEnd {
            how,
            duration: self.started.elapsed(),
            usage: Usage::from(usage),
        }
    }
}
