//! What is to be started, and how that can fail.
//!
//! Must not know how a program is started.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Where a standard descriptor of the started program comes from.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'fd> {
    /// `/dev/null`.
    Null,
    /// The caller's own descriptor of that number.
    Inherit,
    /// A copy of this descriptor.
    Fd(BorrowedFd<'fd>),
}

/// Whether to wait until the program has been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Return at once: an error of the exec itself stays unknown.
    NoWait,
    /// Wait until the exec has succeeded or failed, but not longer than this.
    Wait(Duration),
}

/// How far a program has come when its spawn returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It has been executed.
    Executed,
    /// It exists; whether the exec succeeds is not known yet.
    Pending,
}

/// A started program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id, which is also its session and process group id.
    /// After [`Command::spawn_detached`] it is a hint only: nothing keeps the
    /// id from being used again once the program has ended.
    pub pid: i32,
    /// How far it has come.
    pub started: Started,
}

/// Which scheme starts programs in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `clone` with shared memory, where the system allows it.
    Auto,
    /// `posix_spawn`, always.
    PosixSpawn,
}

/// What an attempt to start a program failed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Stage {
    /// Preparing memory or descriptors, before any process was made.
    Prepare = 1,
    /// Making the process.
    Clone = 2,
    /// Setting up standard input, output and error.
    Stdio = 3,
    /// Changing to the working directory.
    Chdir = 4,
    /// Executing the program.
    Exec = 5,
    /// Appending a line, without any program.
    Append = 6,
}

impl Stage {
    pub(super) fn from_raw(raw: i32) -> Self {
        match raw {
            2 => Stage::Clone,
            3 => Stage::Stdio,
            4 => Stage::Chdir,
            5 => Stage::Exec,
            6 => Stage::Append,
            _ => Stage::Prepare,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Prepare => "preparing",
            Stage::Clone => "making the process",
            Stage::Stdio => "opening standard input or output",
            Stage::Chdir => "changing directory",
            Stage::Exec => "executing",
            Stage::Append => "appending a line",
        })
    }
}

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {stage}: {source}", program.display())]
pub struct Error {
    program: PathBuf,
    stage: Stage,
    source: io::Error,
}

impl Error {
    /// What failed.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The system's error number.
    pub fn errno(&self) -> i32 {
        self.source.raw_os_error().unwrap_or(0)
    }

    /// The program, or a file that it needs, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.stage == Stage::Exec && self.errno() == libc::ENOENT
    }

    /// Arguments and environment are longer than the system takes.
    pub fn is_too_big(&self) -> bool {
        self.errno() == libc::E2BIG
    }

    /// The system ran out of processes, descriptors or memory: trying again
    /// later may help.
    pub fn is_exhausted(&self) -> bool {
        matches!(
            self.errno(),
            libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::ENOMEM
        )
    }
}

/// What to start, and how.
///
/// Everything is bytes; there is no search in `PATH`.
#[derive(Clone, Debug)]
pub struct Command<'fd> {
    pub(super) program: CString,
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) cwd: Option<CString>,
    pub(super) umask: Option<u32>,
    pub(super) stdio: [Stdio<'fd>; 3],
    pub(super) ignored: u64,
    pub(super) leave_batch: bool,
    pub(super) scheme: Scheme,
}

impl<'fd> Command<'fd> {
    /// Starts `program` (a path) with that path as its only argument, an
    /// empty environment, and `/dev/null` for all three descriptors.
    ///
    /// # Errors
    ///
    /// The path holds a NUL byte.
    pub fn new(program: &Path) -> Result<Self, std::ffi::NulError> {
        let program = CString::new(program.as_os_str().as_bytes())?;
        Ok(Self {
            args: vec![program.clone()],
            program,
            env: Vec::new(),
            cwd: None,
            umask: None,
            stdio: [Stdio::Null; 3],
            ignored: 0,
            leave_batch: false,
            scheme: Scheme::Auto,
        })
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: CString) -> &mut Self {
        self.args.push(arg);
        self
    }

    /// Replaces the whole environment; each string is `NAME=value`.
    pub fn env(&mut self, env: Vec<CString>) -> &mut Self {
        self.env = env;
        self
    }

    /// Runs the program in `cwd` instead of the caller's directory.
    pub fn cwd(&mut self, cwd: Option<CString>) -> &mut Self {
        self.cwd = cwd;
        self
    }

    /// Runs the program with this umask instead of the caller's.
    pub fn umask(&mut self, umask: Option<u32>) -> &mut Self {
        self.umask = umask;
        self
    }

    /// Sets standard input.
    pub fn stdin(&mut self, stdio: Stdio<'fd>) -> &mut Self {
        self.stdio[0] = stdio;
        self
    }

    /// Sets standard output.
    pub fn stdout(&mut self, stdio: Stdio<'fd>) -> &mut Self {
        self.stdio[1] = stdio;
        self
    }

    /// Sets standard error.
    pub fn stderr(&mut self, stdio: Stdio<'fd>) -> &mut Self {
        self.stdio[2] = stdio;
        self
    }

    /// Starts the program with this signal ignored instead of at its default.
    pub fn ignore_signal(&mut self, signal: i32) -> &mut Self {
        if (1..=64).contains(&signal) {
            self.ignored |= 1 << (signal - 1);
        }
        self
    }

    /// Runs the program under the normal scheduling policy, for a caller
    /// that has used [`crate::sched::enter_batch`] itself. `posix_spawn`
    /// cannot: there the program stays a batch process.
    pub fn leave_batch(&mut self, leave_batch: bool) -> &mut Self {
        self.leave_batch = leave_batch;
        self
    }

    /// Chooses the scheme; for tests and benchmarks.
    pub fn scheme(&mut self, scheme: Scheme) -> &mut Self {
        self.scheme = scheme;
        self
    }

    pub(super) fn error(&self, stage: Stage, errno: i32) -> Error {
        use std::os::unix::ffi::OsStringExt;
        let program = self.program.as_bytes().to_vec();
        Error {
            program: std::ffi::OsString::from_vec(program).into(),
            stage,
            source: io::Error::from_raw_os_error(errno),
        }
    }
}
