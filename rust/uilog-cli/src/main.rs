//! The `uilog` binary: arguments and output over the libraries.
//!
//! Each subcommand has a module of its name; none of them decides anything
//! about events or configuration.

#[cfg(target_os = "linux")]
mod agent;
mod check;
mod config;
mod emit;
mod encoding;
mod flush;
mod generate;
mod history;
mod journal;
mod known;
mod log;
mod native;
mod open;
mod output;
mod place;
#[cfg(target_os = "linux")]
mod run;
mod select;
mod spool;
mod status;
mod suggest;
mod trace;

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use uilog_core::dispatch;
use uilog_core::journal as core_journal;
use uilog_core::stderr;
use uilog_core::user;
use uilog_sinks::fleet::Fleet;
use uilog_sinks::open::open;
use uilog_sinks::redact;
#[cfg(target_os = "linux")]
use uilog_sys::foreground;
use uilog_sys::malloc;

/// Mercurial's event logging
///
/// The hg extension `uilog` hands events to scripts as `[logtoprocess]` says,
/// to structured sinks as `[uilog]` says, and writes the blackbox; this program
/// runs the scripts, feeds the sinks, and shows what is configured, what runs
/// and what has gone wrong. `hg help uilog` tells how to
/// configure it.
#[derive(Debug, Parser)]
#[command(
    name = "uilog",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  uilog check                           what is wrong with the configuration
  uilog check --run commandfinish       try the script of an event
  uilog status                          what runs, and what has failed
  uilog journal forget                  acknowledge what has failed
  uilog spool                           what waits for a collector
  uilog flush                           deliver it before a job ends
  uilog config --source logtoprocess    which scripts there are, and where
  uilog run -- rhg files                log a command that is not hg

Files:
  the hgrc files of `hg help config`: what is read
  $XDG_STATE_HOME/uilog/failures.jsonl, or below ~/.local/state: the journal
  of what has been lost or has failed
  $XDG_STATE_HOME/uilog/spool, likewise: what waits for collectors"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(target_os = "linux")]
    Agent(agent::Arguments),
    #[command(visible_alias = "doctor")]
    Check(check::Arguments),
    Config(config::Arguments),
    /// Run the scripts and feed the sinks of one hg process (started by hg
    /// itself)
    ///
    /// hg starts this at the first event that has a sink, or a script where
    /// `uilog-dispatcher` is missing, which runs scripts alone; with a private
    /// socket as standard input and a queue in memory as standard output. It
    /// ends when its last script has ended, its sinks have got what they can
    /// get, and no hg process holds the other end of that socket. There is no use for it by hand.
    #[command(after_help = "\
Exit status:
  0  it has done its work, or SIGTERM has ended it
  1  it was not started by hg, or the queue is damaged

Files:
  $XDG_STATE_HOME/uilog/failures.jsonl, or below ~/.local/state: the journal
  of the user whose hg it is")]
    Dispatch,
    /// Log an event of your own
    ///
    /// It goes through the sinks that the hgrc names: scripts of
    /// `[logtoprocess]`, structured sinks of `[uilog]`, and the blackbox of a
    /// repository.
    Emit(emit::Arguments),
    /// Run a program and log it as hg logs its commands
    #[cfg(target_os = "linux")]
    Run(run::Arguments),
    Flush(flush::Arguments),
    #[command(hide = true)]
    Generate(generate::Arguments),
    /// Take secrets out of texts on standard input, each with a NUL behind it
    /// (started by `hg debuguilog`)
    #[command(hide = true)]
    Redact,
    History(history::Arguments),
    Journal(journal::Arguments),
    Log(log::Arguments),
    Open(open::Arguments),
    Spool(spool::Arguments),
    Status(status::Arguments),
    /// Keep the last of what scripts write to standard error (started by
    /// `uilog dispatch`)
    #[command(hide = true)]
    Stderr,
    Trace(trace::Arguments),
    /// Print what the user database calls a user (started by
    /// `uilog-dispatcher`, which cannot ask it)
    #[command(hide = true)]
    UserName {
        /// The user's number
        uid: u32,
    },
}

fn main() -> ExitCode {
    core_journal::redact_with(redact::text);
    // `ulimit -f` is an error of a write, and counted like any other.
    #[cfg(target_os = "linux")]
    foreground::survive_file_size_limit();
    #[cfg(target_os = "linux")]
    if let Some(arguments) = run::Arguments::plain(std::env::args_os()) {
        return finished(run::run(&arguments));
    }
    finished(execute(Arguments::parse()))
}

/// Standard input, each of its texts without secrets, as standard output.
fn redact_input() -> io::Result<()> {
    const MAX_BYTES: u64 = 16 << 20;
    let mut input = Vec::new();
    io::stdin().take(MAX_BYTES).read_to_end(&mut input)?;
    let texts = input.strip_suffix(b"\0").unwrap_or(&input);
    let texts: Vec<_> = texts.split(|it| *it == 0).map(redact::text).collect();
    io::stdout().write_all(&texts.join(&0))
}

fn finished(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // A reader that has gone away has seen enough.
        if !is_broken_pipe(&error) {
            output::say(&format!("uilog: {error:#}"));
        }
        ExitCode::FAILURE
    })
}

fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        #[cfg(target_os = "linux")]
        Command::Agent(arguments) => agent::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Emit(arguments) => emit::run(&arguments),
        Command::Flush(arguments) => flush::run(&arguments),
        Command::Generate(arguments) => {
            generate::run(&arguments, &Arguments::command())
                .map(|()| ExitCode::SUCCESS)
        }
        Command::History(arguments) => history::run(&arguments),
        Command::Journal(arguments) => journal::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Open(arguments) => open::run(&arguments),
        Command::Spool(arguments) => spool::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Redact => {
            redact_input().context("standard input")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Dispatch => {
            // There is a thread for each sink, and a dispatcher for each hg.
            malloc::share_arenas();
            let records = Box::new(Fleet::new(open));
            let callbacks = dispatch::Callbacks {
                redact: redact::text,
                name_of: user::name_of,
            };
            dispatch::run_by_standard(records, callbacks)
                .context("dispatch")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Stderr => {
            let socket = io::stdin().as_fd().try_clone_to_owned();
            stderr::run(socket.context("standard input")?)
                .context("stderr: this is started by uilog dispatch")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::UserName { uid } => {
            let name = user::name_of(uid).unwrap_or_default();
            io::stdout().write_all(&name).context("standard output")?;
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(target_os = "linux")]
        Command::Run(arguments) => run::run(&arguments),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
