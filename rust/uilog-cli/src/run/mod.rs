//! `uilog run`: arguments, and the order of the steps.
//!
//! The command is started first. From then on this process only waits for it:
//! a second process (`logging`) does everything that touches a file. What that
//! process has not done within a time limit after the command's end is counted
//! as lost.

mod logging;
mod watch;

use std::ffi::CString;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use nix::errno::Errno;
use uilog_event::command;
use uilog_event::command::CommandLine;
use uilog_event::command::ProgramKind;
use uilog_event::environment_block::SESSION_VARIABLE;
use uilog_event::event::Timestamp;
use uilog_event::event::Trace;
use uilog_event::trace;
use uilog_logger::claim::OuterClaim;
use uilog_logger::claim::RUN_VARIABLE;
use uilog_logger::host::Host;
use uilog_sys::foreground;
use uilog_sys::foreground::ExitKind;
use uilog_sys::foreground::ProgramEnd;

use self::logging::Logging;
use self::logging::Subject;
use crate::native as own;
use crate::output;
use crate::place::ConfigArguments;

/// What `uilog run --install-hint` prints.
const INSTALL_HINT: &str = include_str!("../install_hint.txt");

/// The arguments of `uilog run`.
#[derive(Debug, Args)]
#[command(after_help = "\
The command runs as if uilog were not there: same terminal, same process group,
same standard input, output and error. Signals reach it, and Ctrl-Z stops it.
Its start is logged as the event `command`, its end as `commandfinish`, as the
configuration says; for hg, rhg and chg, that is the configuration which the
command itself reads. If the command is hg with uilog enabled, hg logs itself,
and it is not logged twice.

If UILOG=off is set, uilog replaces itself by the command (exec). With
`uilog.enabled = no` in an hgrc, the command runs as usual and is not logged.

Exit status: the command's; 127 if it cannot be found, 126 if it cannot be
executed. If a signal kills the command, the same signal kills uilog.

Examples:
  uilog run -- rhg files
  uilog run -- make -j4
  uilog run --install-hint")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: ConfigArguments,
    /// Print how to install `uilog run -- rhg` as `hg`
    #[arg(long, exclusive = true)]
    install_hint: bool,
    /// The program, with its arguments
    #[arg(
        required_unless_present = "install_hint",
        trailing_var_arg = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

impl Arguments {
    /// Parses the common case `uilog run -- COMMAND...` without clap, which
    /// would delay the command by 0.1 ms. `words` is the whole command line.
    pub(crate) fn plain(
        mut words: impl Iterator<Item = OsString>,
    ) -> Option<Self> {
        let _program = words.next()?;
        if words.next()? != "run" || words.next()? != "--" {
            return None;
        }
        let command: Vec<_> = words.collect();
        (!command.is_empty()).then(|| Self {
            place: ConfigArguments::default(),
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
    if own::switched_off().is_some() {
        return Ok(run_bare(&arguments.command[0], &args, &block));
    }
    let path = variable(&block, b"PATH").unwrap_or_default();
    let file = command::locate(&args[0], path);
    let kind = ProgramKind::of(&args[0], file.as_deref());
    // Without a session the command is run, but not logged.
    let mut host = own::host(&block).ok();
    let outer = host.as_ref().and_then(|host| {
        let has_blackbox = !kind.is_mercurial();
        OuterClaim::new(host.session(), host.parent(), has_blackbox).ok()
    });
    // The command is a span, however it will be logged.
    let trace = host.as_mut().and_then(|host| host.begin_span(true, true));
    let env =
        environment_for(&block, kind, host.as_ref().zip(trace), outer.as_ref());
    let started = Timestamp::now();
    let began = Instant::now();
    let mut running = match program(&args, env).start() {
        Ok(running) => running,
        // Without us the program needs no process but this one.
        Err(error) => {
            let reason = format!("cannot start a process: {error}");
            logging::lose_both(host.as_mut(), reason);
            return Ok(run_bare(&arguments.command[0], &args, &block));
        }
    };
    let subject = Subject {
        place: &arguments.place,
        file,
        line: CommandLine::new(kind, args),
        pid: running.pid().unsigned_abs(),
        started,
        began,
        outer,
    };
    let logging = host.map(|host| Logging::start(host, subject));
    let end = loop {
        if let Some(end) = running.wait(None) {
            break end;
        }
    };
    say_not_run(&arguments.command[0], &end);
    if let Some(logging) = logging {
        logging.finish(&end);
    }
    end.mirror()
}

/// Becomes the command, in the environment that there is; the status if that
/// does not work.
fn run_bare(name: &OsStr, args: &[Vec<u8>], block: &[u8]) -> ExitCode {
    let inherited = entries(block).map(<[u8]>::to_vec);
    let inherited = inherited.filter_map(|it| CString::new(it).ok());
    let end = program(args, inherited.collect()).replace_us();
    say_not_run(name, &end);
    end.mirror()
}

fn program(args: &[Vec<u8>], env: Vec<CString>) -> foreground::Command {
    let words = args.iter().cloned();
    let words = words.filter_map(|word| CString::new(word).ok()).collect();
    foreground::Command::new(words, env)
}

/// Says that the command could not be executed, if so.
fn say_not_run(name: &OsStr, end: &ProgramEnd) {
    let ExitKind::NotStarted(errno) = end.how else {
        return;
    };
    let name = name.to_string_lossy();
    let why = Errno::from_raw(errno).desc();
    output::say(&format!("uilog: cannot run '{name}': {why}"));
}

fn variable<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    uilog_event::environment_block::lookup(block, name)
}

/// The environment of the command: ours, and by what others know of us.
fn environment_for(
    block: &[u8],
    kind: ProgramKind,
    host: Option<(&Host, Trace)>,
    outer: Option<&OuterClaim>,
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
        let variable = outer.variable(kind == ProgramKind::Chg);
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
    let inherited = entries(block).filter(|it| !is_own(it)).map(<[u8]>::to_vec);
    let added = own
        .iter()
        .map(|(name, value)| [name.as_bytes(), b"=", value].concat());
    let all = inherited.chain(added);
    all.filter_map(|entry| CString::new(entry).ok()).collect()
}

/// The entries of an environment.
fn entries(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use clap::FromArgMatches;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(words: &[&str]) -> Result<Vec<OsString>, clap::Error> {
        let command = Arguments::augment_args(Command::new("run"));
        let words = ["run"].iter().chain(words);
        let matches = command.try_get_matches_from(words)?;
        Ok(Arguments::from_arg_matches(&matches)?.command)
    }

    #[test]
    fn an_unknown_option_is_an_error_and_no_program() {
        for words in [&["--nonsense", "--", "true"][..], &["-x", "true"]] {
            let error = parse(words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{words:?}");
            assert_eq!(error.exit_code(), 2);
        }
        let text = parse(&["--confg", "a.b=c", "true"]).unwrap_err();
        let text = text.to_string();
        assert!(text.contains("'--confg'"), "{text}");
        assert!(text.contains("similar"), "{text}");
        assert!(text.contains("'--config'"), "{text}");
    }

    #[test]
    fn what_follows_the_program_or_two_dashes_is_the_programs() {
        for (words, program) in [
            (&["echo", "-n", "--config", "x"][..], 0),
            (&["echo", "--", "--nonsense"], 0),
            (&["--", "--odd-program", "-x"], 1),
            (&["--config", "a.b=c", "--", "-odd", "--", "x"], 3),
        ] {
            assert_eq!(parse(words).unwrap(), words[program..], "{words:?}");
        }
    }
}
