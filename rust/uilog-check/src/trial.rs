//! Tries a script: runs it for a sample event, exactly as the dispatcher would,
//! except that its output is shown.
//!
//! Nothing is logged to sinks, queue or journal. [`VARIABLE`] is set in the
//! script's environment.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use serde::Serialize;
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;
use signal_hook::consts::SIGINT;
use signal_hook::low_level;
use uilog_channel::frames::Script;
use uilog_channel::poll::timeout_until;
use uilog_channel::settings::Settings;
use uilog_channel::wire::Job;
use uilog_dispatcher::running;
use uilog_dispatcher::script;
use uilog_dispatcher::script::Outputs;
use uilog_dispatcher::script_env;
use uilog_event::event::Text;
use uilog_event::sample;
use uilog_event::user;
use uilog_sys::ended;
use uilog_sys::ended::ChildSelector;
use uilog_sys::ended::Ended;
use uilog_sys::wakeup;

/// What tells a script that nothing has happened; its value is `1`.
pub const VARIABLE: &[u8] = b"UILOG_CHECK";

/// Maximum number of bytes of a script's output.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// What is tried, and where.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The event's name.
    pub event: &'a [u8],
    /// Its script.
    pub script: &'a Script,
    /// What `[uilog]` says.
    pub settings: &'a Settings,
    /// The environment, as a block.
    pub block: &'a [u8],
    /// hg's executable.
    pub hg: &'a [u8],
    /// The directory that hg would run in.
    pub cwd: &'a Path,
    /// The repository's root, if there is one.
    pub root: Option<&'a Path>,
}

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the script found in its environment beside hg's own variables, as
    /// `NAME=value`.
    pub variables: Vec<Vec<u8>>,
    /// What it printed, of both its outputs, up to [`MAX_OUTPUT_BYTES`].
    pub output: Vec<u8>,
    /// How much it printed.
    pub output_bytes: u64,
    /// How it ended.
    pub ending: Ending,
    /// How long it ran.
    pub duration: Duration,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(String),
    /// Its time was over.
    TimedOut,
    /// A user pressed Ctrl-C.
    Interrupted,
    /// It did not begin, for this reason.
    NotStarted(String),
}

impl Ending {
    /// Whether all went well.
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Self::Exited(code) => script::explain_exit(*code),
            Self::Killed(signal) => format!("killed by {signal}"),
            Self::TimedOut => "it timed out (uilog.script-timeout)".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
            Self::NotStarted(reason) => format!("not started: {reason}"),
        }
    }
}

/// Runs the script and waits for its end, within `uilog.script-timeout`.
///
/// # Errors
///
/// The system refuses a pipe or a signal handler.
pub fn run(trial: &Trial<'_>) -> io::Result<Outcome> {
    let mut block = trial.block.to_vec();
    block.extend_from_slice(VARIABLE);
    block.extend_from_slice(b"=1\0");
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let job = Job {
        event: sample::of(trial.event, trial.block, trial.root),
        script: Cow::Borrowed(&trial.script.text),
        source: None,
        stdin: trial.script.stdin,
        environment_at: 0,
        traceparent: None,
        cwd: Some(Text(Cow::Owned(bytes(trial.cwd)))),
        umask: None,
        hg: Cow::Borrowed(trial.hg),
        depth: 0,
        limits: trial.settings.run_limits(),
    };
    let variables = additions(&job, &block, trial.block);
    let signals = Signals::new()?;
    let (output, input) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(
        &output,
        nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK),
    )?;
    let begin = Instant::now();
    let mut captured = Captured {
        pipe: File::from(output),
        kept: Vec::new(),
        bytes: 0,
    };
    let started = script::start_script(
        &job,
        &block,
        false,
        Outputs {
            stdout: Some(input.as_fd()),
            stderr: Some(input.as_fd()),
        },
        user::name_of,
    );
    drop(input);
    let ending = match started {
        Ok(pid) => {
            let timeout = trial.settings.script_timeout;
            let deadline =
                (!timeout.is_zero()).then(|| begin.checked_add(timeout));
            watch(pid, deadline.flatten(), &signals, &mut captured)?
        }
        Err(error) => Ending::NotStarted(error.to_string()),
    };
    Ok(Outcome {
        variables,
        output: captured.kept,
        output_bytes: captured.bytes,
        ending,
        duration: begin.elapsed(),
    })
}

/// What the script finds that the user's environment does not have.
fn additions(job: &Job<'_>, block: &[u8], base: &[u8]) -> Vec<Vec<u8>> {
    let input = script::script_input(job, block);
    let limits = script::script_limits();
    let base: HashSet<&[u8]> = base.split(|byte| *byte == 0).collect();
    script_env::build(&input, limits)
        .into_iter()
        .map(std::ffi::CString::into_bytes)
        .filter(|variable| !base.contains(variable.as_slice()))
        .collect()
}

/// What a script prints.
struct Captured {
    pipe: File,
    kept: Vec<u8>,
    bytes: u64,
}

impl Captured {
    /// Reads what is available. False at the end.
    fn take(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.pipe.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => {
                    self.bytes += length as u64;
                    let room = MAX_OUTPUT_BYTES - self.kept.len();
                    let kept = &buffer[..length.min(room)];
                    self.kept.extend_from_slice(kept);
                    // A script that prints without end must not keep this loop
                    // running.
                    if self.bytes % (1 << 20) < length as u64 {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return error.kind() == io::ErrorKind::WouldBlock;
                }
            }
        }
    }
}

/// Waits for the script's end, and brings it about where it has to.
fn watch(
    pid: Pid,
    mut deadline: Option<Instant>,
    signals: &Signals,
    captured: &mut Captured,
) -> io::Result<Ending> {
    let mut ended_by_us = None;
    let mut is_open = true;
    loop {
        is_open = is_open && captured.take();
        if ended_by_us.is_some() {
            end_group(pid);
        }
        let reaped = ended::reap(ChildSelector::Pid(pid))?;
        let ending = reaped.map(|(_, ended)| match ended {
            Ended::Exited(code) => Ending::Exited(code),
            Ended::Killed { signal, .. } => {
                Ending::Killed(ended::signal_name(signal))
            }
        });
        if let Some(ending) = ending {
            // Reads the rest of its output; remaining processes may hold the
            // pipe open.
            captured.take();
            return Ok(ended_by_us.unwrap_or(ending));
        }
        let now = Instant::now();
        let is_late = deadline.is_some_and(|deadline| now >= deadline);
        let presses = signals.interrupts.swap(0, Ordering::Relaxed);
        if is_late || presses > 0 {
            // The group is that of our child, who has not been reaped.
            let signal = if ended_by_us.is_some() {
                deadline = None;
                Signal::SIGKILL
            } else {
                deadline = Some(now + running::KILL_GRACE);
                Signal::SIGTERM
            };
            let _ = killpg(pid, signal);
            ended_by_us.get_or_insert(if presses > 0 {
                Ending::Interrupted
            } else {
                Ending::TimedOut
            });
        }
        signals.wait(deadline, is_open.then_some(&captured.pipe))?;
    }
}

/// If the script has ended, kills the rest of its process group: a shell that
/// was just forking may have kept the signal from its child.
fn end_group(pid: Pid) {
    let has_ended = matches!(ended::peek(ChildSelector::Pid(pid)), Ok(Some(_)));
    // It has not been reaped, so the number is still its group's.
    if has_ended {
        let _ = killpg(pid, Signal::SIGKILL);
    }
}

/// SIGCHLD and SIGINT, until dropped.
struct Signals {
    wakeup: UnixStream,
    interrupts: Arc<AtomicUsize>,
    handlers: Vec<SigId>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (wakeup, signalled) = wakeup::pair()?;
        let interrupts = Arc::new(AtomicUsize::new(0));
        let mut handlers = vec![signal_hook::flag::register_usize(
            SIGINT,
            Arc::clone(&interrupts),
            1,
        )?];
        for signal in [SIGINT, SIGCHLD] {
            let signalled = signalled.try_clone()?;
            handlers.push(low_level::pipe::register(signal, signalled)?);
        }
        Ok(Self {
            wakeup,
            interrupts,
            handlers,
        })
    }

    /// Waits for a signal, output, or the deadline.
    fn wait(
        &self,
        deadline: Option<Instant>,
        output: Option<&File>,
    ) -> io::Result<()> {
        let mut wanted =
            vec![PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN)];
        wanted.extend(
            output.map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)),
        );
        let timeout = timeout_until(deadline);
        match nix::poll::poll(&mut wanted, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        wakeup::drain(&self.wakeup);
        Ok(())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}

#[cfg(test)]
mod tests {
    use uilog_channel::wire::StdinFormat;

    use super::*;

    fn tried(text: &str, stdin: StdinFormat, seconds: f64) -> Outcome {
        let script = Script {
            text: text.as_bytes().to_vec(),
            source: Vec::new(),
            stdin,
        };
        let settings = Settings {
            script_timeout: Duration::from_secs_f64(seconds),
            ..Settings::default()
        };
        run(&Trial {
            event: b"commandfinish",
            script: &script,
            settings: &settings,
            block: b"PATH=/usr/bin:/bin\0EVENT=mine\0",
            hg: b"/bin/hg",
            cwd: Path::new("/"),
            root: None,
        })
        .unwrap()
    }

    #[test]
    fn a_script_sees_an_event_and_is_seen() {
        let script = "echo $EVENT $OPT_RETURN_CODE $UILOG_CHECK; pwd >&2; \
                      exit 3";
        let outcome = tried(script, StdinFormat::Null, 60.0);
        assert_eq!(
            String::from_utf8_lossy(&outcome.output),
            "commandfinish 0 1\n/\n"
        );
        assert_eq!(outcome.ending, Ending::Exited(3));
        let names: Vec<_> = outcome
            .variables
            .iter()
            .map(|it| String::from_utf8_lossy(it).into_owned())
            .collect();
        assert!(names.contains(&"EVENT=commandfinish".to_owned()));
        assert!(names.contains(&"UILOG_CHECK=1".to_owned()));
        assert!(!names.iter().any(|name| name.starts_with("PATH=")));
    }

    #[test]
    fn output_is_bounded_and_standard_input_is_given() {
        let script = "head -c 300000 /dev/zero; cat; kill -9 $$";
        let outcome = tried(script, StdinFormat::Json, 60.0);
        assert_eq!(outcome.output.len(), MAX_OUTPUT_BYTES);
        assert!(outcome.output_bytes > 300_000);
        assert_eq!(outcome.ending, Ending::Killed("SIGKILL".into()));
    }

    #[test]
    fn a_script_may_end_by_a_signal_without_a_name() {
        for (number, name) in [(34, "SIGRTMIN"), (64, "SIGRTMIN+30")] {
            let script = format!("kill -{number} $$");
            let outcome = tried(&script, StdinFormat::Null, 60.0);
            assert_eq!(outcome.ending, Ending::Killed(name.into()));
        }
    }

    #[test]
    fn a_script_that_hangs_is_ended() {
        let outcome = tried("sleep 600", StdinFormat::Null, 0.01);
        assert_eq!(outcome.ending, Ending::TimedOut);
    }
}
