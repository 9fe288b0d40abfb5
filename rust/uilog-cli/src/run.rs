//! `uilog run`: arguments, and the order in which things happen.
//!
//! The command is started before anything else is done: what we need to know
//! for logging it, we find out while it runs.

use std::ffi::CString;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use nix::errno::Errno;
use uilog_config::Environment;
use uilog_config::Request;
use uilog_core::claim::Outer;
use uilog_core::claim::RUN_VARIABLE;
use uilog_core::command::CommandLine;
use uilog_core::command::Kind;
use uilog_core::command::options;
use uilog_core::command::options::Early;
use uilog_core::event::Timestamp;
use uilog_core::event::Trace;
use uilog_core::pipeline::Host;
use uilog_core::pipeline::Loss;
use uilog_core::pipeline::SESSION_VARIABLE;
use uilog_core::trace;
use uilog_core::watch;
use uilog_core::watch::Ended;
use uilog_core::watch::Watch;
use uilog_sys::foreground;
use uilog_sys::foreground::End;
use uilog_sys::foreground::How;

use crate::native as own;
use crate::place::Place;

/// What `uilog run --install-hint` prints.
const INSTALL_HINT: &str = include_str!("install_hint.txt");

/// The status if there is no process to be had, as for what cannot be run.
const EXIT_NO_PROCESS: u8 = 126;

/// What `uilog run` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
The command runs as if it were alone: same terminal, same process group, same
standard input, output and error. Signals reach it, Ctrl-Z stops it, and uilog
ends as it ends. `command` and `commandfinish` go wherever the hgrc says, the
one that the command itself would read if it is hg, rhg or chg. An hg with uilog
enabled logs itself, and is not logged twice.

Exit status: the command's; 127 if it cannot be found, 126 if it cannot be
executed. If a signal ends it, the same signal ends uilog.

Examples:
  uilog run -- rhg files
  uilog run -- make -j4
  uilog run --install-hint")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Print how to make `hg` be `uilog run -- rhg`
    #[arg(long, exclusive = true)]
    install_hint: bool,
    /// The program and its arguments
    #[arg(
        required_unless_present = "install_hint",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

impl Arguments {
    /// Those of `uilog run -- COMMAND...`, the whole command line given. To
    /// prepare for every other one takes a tenth of a millisecond, which the
    /// command would wait for.
    pub(crate) fn plain(
        mut words: impl Iterator<Item = OsString>,
    ) -> Option<Self> {
        let _program = words.next()?;
        if words.next()? != "run" || words.next()? != "--" {
            return None;
        }
        let command: Vec<_> = words.collect();
        (!command.is_empty()).then(|| Self {
            place: Place::default(),
            install_hint: false,
            command,
        })
    }
}

/// Runs the command, and ends as it ends.
///
/// # Errors
///
/// Nothing can be written, where that is all there is to do.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.install_hint {
        io::stdout().write_all(INSTALL_HINT.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    // A panic is caught (see `guarded`); standard error is the command's.
    panic::set_hook(Box::new(|_| {}));
    let block = own::environment_block();
    let args = arguments.command.iter().map(|arg| arg.as_bytes().to_vec());
    let args: Vec<_> = args.collect();
    let path = variable(&block, b"PATH").unwrap_or_default();
    let kind = Kind::of(&args[0], path);
    // Without a session the command is run, but not logged.
    let mut host = own::host(&block).ok();
    let outer = host.as_ref().and_then(|host| {
        let has_blackbox = !kind.is_mercurial();
        Outer::new(host.session(), host.parent(), has_blackbox).ok()
    });
    // The command is a span, in whatever words it comes to be logged.
    let trace = host.as_mut().and_then(|host| host.begin_span(true, true));
    let env =
        environment_for(&block, kind, host.as_ref().zip(trace), outer.as_ref());
    let words = args.iter().cloned();
    let words = words.filter_map(|word| CString::new(word).ok()).collect();
    let started = Timestamp::now();
    let began = Instant::now();
    let mut running = match foreground::Command::new(words, env).start() {
        Ok(running) => running,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or_default();
            say_not_run(&arguments.command[0], errno);
            return Ok(ExitCode::from(EXIT_NO_PROCESS));
        }
    };
    let line = CommandLine::new(kind, args);
    let pid = running.pid().unsigned_abs();
    let watch = guarded(&mut host, |host| {
        let watch = prepare(host, arguments, line, pid, started, outer)?;
        watch.prepare(host);
        Some(watch)
    });
    let watch = watch.flatten();
    let mut has_begun = false;
    let mut end = running.wait(Some(began + watch::BEGIN_DELAY));
    if let (None, Some(watch)) = (&end, &watch) {
        has_begun = true;
        guarded(&mut host, |host| watch.begin(host));
    }
    let end = loop {
        match end {
            Some(end) => break end,
            None => end = running.wait(None),
        }
    };
    if let How::NotStarted(errno) = end.how {
        say_not_run(&arguments.command[0], errno);
    }
    guarded(&mut host, |host| {
        if let Some(watch) = &watch {
            watch.end(host, &ended(&end), has_begun);
        }
        host.finish();
    });
    end.mirror()
}

fn say_not_run(name: &OsStr, errno: i32) {
    let name = name.to_string_lossy();
    let why = Errno::from_raw(errno).desc();
    let text = format!("uilog: cannot run '{name}': {why}\n");
    // Whoever has closed standard error hears nothing.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What concerns logging alone: if it panics, the command does not end with
/// us, and the journal is told.
fn guarded<T>(
    host: &mut Option<Host>,
    body: impl FnOnce(&mut Host) -> T,
) -> Option<T> {
    let host = host.as_mut()?;
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(host)));
    if result.is_err() {
        let reason = "uilog panicked".to_owned();
        let loss = Loss { events: 1, reason };
        host.account(b"commandfinish", Err(loss));
    }
    result.ok()
}

fn variable<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    uilog_core::script_env::lookup(block, name)
}

/// The environment of the command: ours, and by what others know of us.
fn environment_for(
    block: &[u8],
    kind: Kind,
    host: Option<(&Host, Trace)>,
    outer: Option<&Outer>,
) -> Vec<CString> {
    let session = String::from_utf8_lossy(SESSION_VARIABLE);
    let mut own = Vec::new();
    if let Some((host, trace)) = host {
        let id = host.session().to_string();
        own.push((session.into_owned(), id.into_bytes()));
        let value = trace::run_value(trace, block);
        own.push((trace::RUN_VARIABLE.to_owned(), value));
    }
    if let Some(outer) = outer {
        let variable = outer.variable(kind == Kind::Chg);
        own.push((RUN_VARIABLE.to_owned(), variable.into_bytes()));
    }
    let is_own = |entry: &&[u8]| {
        let names = own.iter().map(|(name, _)| name).any(|name| {
            entry
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b"="))
        });
        names || entry.starts_with(format!("{RUN_VARIABLE}=").as_bytes())
    };
    let inherited = block
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty() && !is_own(entry))
        .map(<[u8]>::to_vec);
    let added = own
        .iter()
        .map(|(name, value)| [name.as_bytes(), b"=", value].concat());
    let all = inherited.chain(added);
    all.filter_map(|entry| CString::new(entry).ok()).collect()
}

/// Reads the configuration; `None` if that cannot be done, which the command
/// has to say, and the journal notes.
fn prepare(
    host: &mut Host,
    arguments: &Arguments,
    line: CommandLine,
    pid: u32,
    started: Timestamp,
    outer: Option<Outer>,
) -> Option<Watch> {
    let environment = match Environment::current() {
        Ok(environment) => environment,
        Err(error) => {
            let detail = format!("there is no working directory: {error}");
            host.config_unreadable(b"command", detail);
            return None;
        }
    };
    let request = request(arguments, &line, &environment);
    let loaded = match uilog_config::load(&request, &environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            let detail = error.to_bytes();
            let detail = String::from_utf8_lossy(&detail).into_owned();
            host.config_unreadable(b"command", detail);
            return None;
        }
    };
    let config = &loaded.trusted;
    let root = loaded.root.as_deref();
    Some(Watch {
        logger: Watch::logger(config, root, line.kind),
        canonical: line.canonical(config),
        hg: own::hg_program(&environment),
        root: root.map(|root| root.as_os_str().as_bytes().to_vec()),
        line,
        outer,
        started,
        pid,
    })
}

/// What the command line says about configuration.
fn request(
    arguments: &Arguments,
    line: &CommandLine,
    environment: &Environment,
) -> Request {
    let early = if line.kind.is_mercurial() {
        let is_strict = options::is_strict(
            environment.var(b"HGPLAIN"),
            environment.var(b"HGPLAINEXCEPT"),
        );
        Early::parse(line.arguments(), is_strict)
    } else {
        Early::default()
    };
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let mut own = arguments.place.request();
    let cwd = early.cwd.as_deref().filter(|cwd| !cwd.is_empty());
    let files = early.config_files.iter().map(|it| path(it));
    Request {
        cwd: own.cwd.or(cwd.map(path)),
        repository: own.repository.or(early.repository),
        config: chained(early.config, &mut own.config),
        config_files: chained(files.collect(), &mut own.config_files),
    }
}

fn chained<T>(mut first: Vec<T>, second: &mut Vec<T>) -> Vec<T> {
    first.append(second);
    first
}

fn ended(end: &End) -> Ended {
    Ended {
        code: end.shell_status(),
        signal: match end.how {
            How::Killed(signal) => Some(signal),
            How::Exited(_) | How::NotStarted(_) => None,
        },
        duration: end.duration,
        peak_memory_bytes: end.usage.max_rss_bytes,
        user_cpu: end.usage.user,
        system_cpu: end.usage.system,
    }
}
