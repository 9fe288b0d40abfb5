//! Runs a program in the foreground, as if this process were that program.
//!
//! The program is a child in the same session and process group, and inherits
//! everything unchanged: arguments, environment, working directory, umask,
//! descriptors, limits, the signal mask and ignored signals. This process waits
//! for it, forwards signals, stops when it stops, and ends as it ends.
//! [`Command::start`] starts it, [`Running::wait`] waits for it,
//! [`End::mirror`] ends this process in the same way. A [`Companion`] does work
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
mod inherited;
mod signals;

use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_void;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use child::Outcome;
use child::Plan;
pub use companion::Companion;
pub use companion::Inbox;
pub use companion::Message;
pub use companion::Received;
pub use companion::WaitResult;

use crate::spawn::Region;
use crate::spawn::SignalsBlocked;
use crate::valgrind;

/// The directories that are searched for programs if there is no `PATH`.
// glibc: confstr(_CS_PATH)
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A shell's exit status for what cannot be found.
const EXIT_NOT_FOUND: i32 = 127;
/// A shell's exit status for what cannot be executed.
const EXIT_NOT_EXECUTABLE: i32 = 126;
/// The exit status if the end was not seen.
const EXIT_UNKNOWN: i32 = 255;
/// What a shell adds to the number of the signal that has ended a command.
const EXIT_SIGNALLED: i32 = 128;

/// A program to run in our place.
#[derive(Clone, Debug)]
pub struct Command {
    args: Vec<CString>,
    env: Vec<CString>,
}

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
    pub fn replace_us(&self) -> End {
        let started = Instant::now();
        let blocked = SignalsBlocked::new();
        let is_chld_ignored = inherited::is_ignored(libc::SIGCHLD);
        let program = Program::new(self, blocked.before(), is_chld_ignored);
        let errno = match program {
            Ok(program) => child::become_program(&program.plan).into_raw(),
            Err(error) => error.raw_os_error().unwrap_or(libc::ENOMEM),
        };
        End {
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

/// The paths at which a program may be, in the order to try them.
// glibc: execvpe
fn candidates(name: &CString, env: &[CString]) -> Vec<CString> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&b'/') {
        return vec![name.clone()];
    }
    let path = env
        .iter()
        .find_map(|it| it.to_bytes().strip_prefix(b"PATH="));
    let dirs = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
    let in_dir = |dir: &[u8]| {
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        CString::new([dir, slash, bytes].concat()).ok()
    };
    dirs.filter_map(in_dir).collect()
}

/// A program to execute, as the child finds it in our memory.
struct Program {
    plan: Box<Plan>,
    outcome: Shared,
    _strings: Strings,
}

/// What the pointers in the plan point at.
struct Strings {
    _paths: Vec<CString>,
    _args: Vec<CString>,
    _env: Vec<CString>,
    _pointers: [Vec<*const c_char>; 4],
}

impl Program {
    fn new(
        command: &Command,
        mask: u64,
        is_chld_ignored: bool,
    ) -> io::Result<Self> {
        let Command { args, env } = command.clone();
        let Some(name) = args.first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let paths = candidates(name, &env);
        let pointers = |strings: &[CString]| {
            let pointers = strings.iter().map(|string| string.as_ptr());
            pointers.chain([ptr::null()]).collect::<Vec<_>>()
        };
        let argv = pointers(&args);
        let mut shell_argv = vec![c"sh".as_ptr(), ptr::null()];
        shell_argv.extend_from_slice(&argv[1..]);
        let mut pointers = [pointers(&paths), argv, pointers(&env), shell_argv];
        let outcome = Shared::new()?;
        let plan = Box::new(Plan {
            paths: pointers[0].as_ptr(),
            argv: pointers[1].as_ptr(),
            envp: pointers[2].as_ptr(),
            shell_argv: pointers[3].as_mut_ptr(),
            parent: std::process::id() as i32,
            mask,
            is_pipe_ignored: inherited::is_pipe_ignored(),
            is_file_size_ignored: inherited::is_file_size_ignored(),
            is_chld_ignored,
            closed: inherited::closed(),
            outcome: outcome.0.as_ptr(),
        });
        Ok(Self {
            plan,
            outcome,
            _strings: Strings {
                _paths: paths,
                _args: args,
                _env: env,
                _pointers: pointers,
            },
        })
    }
}

/// The memory that the child shares with this process. It is kept until the
/// child has ended.
struct Launch {
    region: Region,
    program: Program,
}

impl Launch {
    fn new(program: Program) -> io::Result<Self> {
        let region = Region::new()?;
        Ok(Self { region, program })
    }

    /// Makes the child; its process id.
    fn start(&self) -> io::Result<i32> {
        if valgrind::is_there() {
            return self.fork();
        }
        let plan = (&raw const *self.program.plan).cast_mut();
        let plan = plan.cast::<c_void>();
        // Memory is shared and we go on at once: who waited for the exec, as
        // CLONE_VFORK does, could not be stopped with the child if Ctrl-Z
        // came first.
        // SAFETY: the stack and the plan belong to this launch, which is kept
        // until the child has ended.
        let pid = unsafe {
            libc::clone(
                child::run,
                self.region.child_stack(),
                libc::CLONE_VM | libc::SIGCHLD,
                plan,
            )
        };
        if pid > 0 {
            // Whatever else we have to do can wait: on a busy machine both
            // are on one processor.
            // SAFETY: touches no memory.
            unsafe { libc::sched_yield() };
            return Ok(pid);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // By a seccomp filter (EPERM, ENOSYS) or an emulator (EINVAL).
            Some(libc::EPERM | libc::ENOSYS | libc::EINVAL) => self.fork(),
            _ => Err(error),
        }
    }

    /// The same where sharing memory is refused.
    fn fork(&self) -> io::Result<i32> {
        // SAFETY: this thread is the only one, so the child may go on with
        // anything.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let plan = (&raw const *self.program.plan).cast_mut();
                let status = child::run(plan.cast());
                // SAFETY: ends this process.
                unsafe { libc::_exit(status) }
            }
            pid => Ok(pid),
        }
    }
}

/// An [`Outcome`] in memory that a forked child shares, too.
struct Shared(NonNull<Outcome>);

impl Shared {
    fn new() -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Outcome>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(base.cast::<Outcome>()) {
            Some(outcome) if base != libc::MAP_FAILED => Ok(Self(outcome)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn errno(&self) -> i32 {
        // SAFETY: mapped by `new`; zeros are a valid outcome.
        let errno: &AtomicI32 = unsafe { &self.0.as_ref().errno };
        errno.load(Ordering::Acquire)
    }
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
    pub fn wait(&mut self, until: Option<Instant>) -> Option<End> {
        loop {
            if let Some(end) = self.look() {
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
    fn look(&mut self) -> Option<End> {
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

    fn end(&self, status: i32, usage: &libc::rusage) -> End {
        let how = match self.launch.program.outcome.errno() {
            0 if libc::WIFSIGNALED(status) => {
                ExitKind::Killed(libc::WTERMSIG(status))
            }
            0 => ExitKind::Exited(libc::WEXITSTATUS(status)),
            errno => ExitKind::NotStarted(errno),
        };
        End {
            how,
            duration: self.started.elapsed(),
            usage: Usage::from(usage),
        }
    }
}

/// How a program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// With this exit status.
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// It could not be executed, for this error of the system's.
    NotStarted(i32),
}

/// What a program and the processes that it has waited for have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory that one of them had at a time, in bytes; never less
    /// than what we had when we started it.
    pub max_rss_bytes: u64,
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
}

impl From<&libc::rusage> for Usage {
    fn from(usage: &libc::rusage) -> Self {
        let time = |time: libc::timeval| {
            let micros = time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
            Duration::from_micros(micros)
        };
        Self {
            max_rss_bytes: usage.ru_maxrss as u64 * 1024,
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
        }
    }
}

/// The end of a program.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// How.
    pub how: ExitKind,
    /// How long it ran.
    pub duration: Duration,
    /// Its resource usage.
    pub usage: Usage,
}

impl End {
    /// The exit status that a shell reports for this end.
    pub fn shell_status(&self) -> i32 {
        match self.how {
            ExitKind::Exited(status) => status,
            ExitKind::Killed(signal) => EXIT_SIGNALLED + signal,
            ExitKind::NotStarted(libc::ENOENT) => EXIT_NOT_FOUND,
            ExitKind::NotStarted(_) => EXIT_NOT_EXECUTABLE,
        }
    }

    /// Ends this process in the same way.
    pub fn mirror(&self) -> ! {
        if let ExitKind::Killed(signal) = self.how {
            signals::die_by(signal);
        }
        // Process 1 of a container does not die by a signal.
        std::process::exit(self.shell_status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<CString> {
        let strings = texts.iter().map(|text| CString::new(*text).unwrap());
        strings.collect()
    }

    #[test]
    fn programs_are_looked_for_as_by_execvp() {
        let found = |name: &str, env: &[&str]| {
            let paths = candidates(&CString::new(name).unwrap(), &strings(env));
            paths
                .iter()
                .map(|path| path.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("a", &["PATH=/x:/y", "A=1"]), ["/x/a", "/y/a"]);
        assert_eq!(found("a", &["PATH=:/y:"]), ["a", "/y/a", "a"]);
        assert_eq!(found("a", &["PATHS=/x"]), ["/bin/a", "/usr/bin/a"]);
        assert_eq!(found("./a", &["PATH=/x"]), ["./a"]);
        assert_eq!(found("", &["PATH=/x"]), [""]);
        assert_eq!(found("a", &["PATH="]), ["a"]);
    }

    #[test]
    fn ends_are_told_as_by_a_shell() {
        let status = |how| {
            let usage = Usage::default();
            let duration = Duration::ZERO;
            let end = End {
                how,
                duration,
                usage,
            };
            end.shell_status()
        };
        assert_eq!(status(ExitKind::Exited(3)), 3);
        assert_eq!(status(ExitKind::Killed(libc::SIGKILL)), 137);
        assert_eq!(status(ExitKind::NotStarted(libc::ENOENT)), 127);
        assert_eq!(status(ExitKind::NotStarted(libc::ENOTDIR)), 126);
        assert_eq!(status(ExitKind::NotStarted(libc::EACCES)), 126);
    }
}
