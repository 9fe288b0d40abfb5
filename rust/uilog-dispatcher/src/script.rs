//! Starts a script: its environment, its working directory, and the errors that
//! may occur.
//!
//! Must not know the queue.

use std::borrow::Cow;
use std::ffi::CString;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use uilog_channel::queue::anonymous_file;
use uilog_channel::wire::Job;
use uilog_channel::wire::StdinFormat;
use uilog_event::event::Event;
use uilog_event::event::Text;
use uilog_event::json;
use uilog_event::user::UserNameLookup;
use uilog_sys::ended;
use uilog_sys::ended::Ended;
use uilog_sys::spawn;
use uilog_sys::spawn::Stage;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Stdio;

use crate::script_env;

/// The shell that runs scripts, as in stock hg.
const SHELL: &str = "/bin/sh";
/// Maximum time of an exec before the next script is started.
const EXEC_BOUND: Duration = Duration::from_secs(1);

/// How a script has ended, in words.
pub(crate) fn explain_end(ended: Ended) -> String {
    match ended {
        Ended::Exited(code) => explain_exit(code),
        Ended::Killed { signal, has_core } => {
            let core = if has_core { ", with a core dump" } else { "" };
            format!("killed by {}{core}", ended::signal_name(signal))
        }
    }
}

/// What a shell's exit status says.
pub fn explain_exit(code: i32) -> String {
    let hint = match code {
        126 => ": the script is not executable",
        127 => ": the script was not found",
        _ => "",
    };
    format!("exit status {code}{hint}")
}

/// Why a script did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No argument can hold one.
    #[error("the script contains a NUL byte")]
    Nul,
    /// It is no argument any more.
    #[error("the script is longer than the system's limit of 128 KiB")]
    TooLong,
    /// There is nothing to read the event from.
    #[error("cannot prepare its standard input: {0}")]
    Stdin(io::Error),
    /// The shell did not start.
    #[error(transparent)]
    Spawn(spawn::Error),
}

impl StartError {
    /// The system had no free process, descriptor or memory.
    pub fn is_exhausted(&self) -> bool {
        match self {
            Self::Nul | Self::TooLong => false,
            Self::Stdin(error) => matches!(
                error.raw_os_error().map(Errno::from_raw),
                Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
            ),
            Self::Spawn(error) => error.is_exhausted(),
        }
    }
}

/// The input of a job's script, in hg's environment.
pub fn script_input<'a>(
    job: &'a Job<'_>,
    environment: &'a [u8],
) -> script_env::Input<'a> {
    script_env::Input {
        event: &job.event,
        hg: &job.hg,
        depth: job.depth,
        base: environment,
        traceparent: job.traceparent.as_ref().map(|it| &*it.0),
        argument_bytes: job.script.len() + ARGUMENT_OVERHEAD,
    }
}

/// The limits of its environment.
pub fn script_limits() -> script_env::Limits {
    let stack = getrlimit(Resource::RLIMIT_STACK).map_or(0, |(soft, _)| soft);
    script_env::Limits::for_stack(stack)
}

/// Where a script's output goes; `None` is `/dev/null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outputs<'fd> {
    /// Of standard output.
    pub stdout: Option<BorrowedFd<'fd>>,
    /// Of standard error.
    pub stderr: Option<BorrowedFd<'fd>>,
}

/// Starts a job's script, as a child.
pub fn start_script(
    job: &Job<'_>,
    environment: &[u8],
    leave_batch: bool,
    outputs: Outputs<'_>,
    name_of: UserNameLookup,
) -> Result<Pid, StartError> {
    let script = CString::new(&*job.script).map_err(|_| StartError::Nul)?;
    if script.as_bytes_with_nul().len() > spawn::MAX_STRING_BYTES {
        return Err(StartError::TooLong);
    }
    let stdin = match job.stdin {
        StdinFormat::Null => None,
        StdinFormat::Json => {
            let user = user_name(&job.event, name_of);
            let line = json::line(&job.event, user.as_deref());
            Some(readable(&line).map_err(StartError::Stdin)?)
        }
    };
    let input = script_input(job, environment);
    let cwd = job.cwd.as_ref().and_then(|cwd| CString::new(&*cwd.0).ok());
    let mut limits = script_limits();
    let mut cwd = cwd;
    loop {
        let mut command = spawn::Command::new(Path::new(SHELL))
            .map_err(|_| StartError::Nul)?;
        command.arg(c"-c".to_owned()).arg(script.clone());
        command.env(script_env::build(&input, limits));
        command.cwd(cwd.clone()).umask(job.umask);
        command.leave_batch(leave_batch);
        // Stock hg runs scripts as background jobs of a shell, which ignore
        // SIGINT and SIGQUIT.
        command.ignore_signal(Signal::SIGINT as i32);
        command.ignore_signal(Signal::SIGQUIT as i32);
        if let Some(stdin) = &stdin {
            command.stdin(Stdio::Fd(stdin.as_fd()));
        }
        if let Some(stdout) = outputs.stdout {
            command.stdout(Stdio::Fd(stdout));
        }
        if let Some(stderr) = outputs.stderr {
            command.stderr(Stdio::Fd(stderr));
        }
        match command.spawn_child(Start::Wait(EXEC_BOUND)) {
            Ok(process) => return Ok(Pid::from_raw(process.pid)),
            // The limits are the kernel's, except for what it may add.
            Err(error) if error.is_too_big() && limits.total > 4096 => {
                limits = limits.halved();
            }
            // hg's directory has been removed, or its user may not enter it:
            // the script still runs, in the dispatcher's directory.
            Err(error) if error.stage() == Stage::Chdir && cwd.is_some() => {
                cwd = None;
            }
            Err(error) => return Err(StartError::Spawn(error)),
        }
    }
}

/// The size of `/bin/sh -c` as arguments without the script, with all pointers.
const ARGUMENT_OVERHEAD: usize = 64;

/// A descriptor from which these bytes can be read; no process has to write
/// them while the script reads, and nothing blocks if it does not.
fn readable(bytes: &[u8]) -> io::Result<std::fs::File> {
    let mut file = anonymous_file()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// The event's user: from the environment, otherwise from the user database.
fn user_name<'a>(
    event: &'a Event<'_>,
    name_of: UserNameLookup,
) -> Option<Cow<'a, [u8]>> {
    if let Some(Text(name)) = &event.user {
        return Some(Cow::Borrowed(name));
    }
    name_of(event.uid).map(Cow::Owned)
}
