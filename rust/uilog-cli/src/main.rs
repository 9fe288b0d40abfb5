//! The `uilog` binary: arguments and output over the libraries.
//!
//! Each subcommand has a module of its name. Must not decide anything about
//! events or configuration.

#[cfg(target_os = "linux")]
mod agent;
mod check;
mod complete;
mod config;
mod configured;
mod emit;
mod encoding;
mod export;
mod flush;
mod generate;
mod help;
mod history;
mod journal;
mod known;
mod log;
mod manual;
mod native;
mod open;
mod output;
mod place;
mod report;
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
use uilog_channel::journal as core_journal;
use uilog_dispatcher::serve;
use uilog_dispatcher::stderr;
use uilog_event::user;
use uilog_sinks::open::open;
use uilog_sinks::redact;
use uilog_sinks::sink_threads::SinkThreads;
#[cfg(target_os = "linux")]
use uilog_sys::foreground;
use uilog_sys::malloc;

/// Mercurial's event logging
///
/// The hg extension `uilog` logs what hg does: it runs the scripts of
/// `[logtoprocess]`, sends records to the sinks of `[uilog]`, and writes the
/// blackbox. This program checks the configuration, shows what is running and
/// what has failed, and logs programs other than hg. `uilog help` describes the
/// configuration.
#[derive(Debug, Parser)]
#[command(
    name = "uilog",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
    uilog check                           find errors in the configuration
  uilog check --run commandfinish       try the script of an event
  uilog status                          show what is running or has failed
  uilog log --failed --since yesterday  which commands have failed, and why
  uilog trace last                      what the last command spent its time on
  uilog report                          what was slow, failed, or waited
  uilog journal forget                  acknowledge all failures
  uilog spool                           show records that wait for a collector
  uilog flush                           deliver them before a job ends
  uilog config --source logtoprocess    list scripts, with file and line
  uilog run -- rhg files                log a command that is not hg
  uilog help agent-idle                 describe a setting, a topic or an event

Files:
  the hgrc files listed in `hg help config`
  $XDG_STATE_HOME/uilog/failures.jsonl    journal of losses and failures
  $XDG_STATE_HOME/uilog/spool             records that wait for collectors
  If $XDG_STATE_HOME is not set, ~/.local/state is used."
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
    #[command(hide = true)]
    Complete(complete::Arguments),
    Config(config::Arguments),
    /// Run scripts and deliver records for one hg process (internal)
    ///
    /// Started by hg, not by hand. hg starts it at the first event that has a
    /// sink. At the first event that only has a script, hg starts
    /// `uilog-dispatcher` instead, which runs scripts only; if that is missing,
    /// hg starts this command. Standard input is a private socket, standard
    /// output a queue in memory. The command exits when its last script has
    /// ended, its records are delivered or counted as lost, and no hg process
    /// holds the other end of the socket.
    #[command(after_help = "\
Exit status:
  0  all work is done, or SIGTERM was received
  1  the command was not started by hg, or the queue is damaged

Files:
  $XDG_STATE_HOME/uilog/failures.jsonl    the user's journal
  If $XDG_STATE_HOME is not set, ~/.local/state is used.")]
    Dispatch,
    /// Log a custom event
    ///
    /// The event goes wherever the configuration sends events of its name: to
    /// the script in `[logtoprocess]`, to the sinks in `[uilog]`, and to the
    /// blackbox of the repository.
    Emit(emit::Arguments),
    Export(export::Arguments),
    /// Run a program and log it as hg logs its commands
    #[cfg(target_os = "linux")]
    Run(run::Arguments),
    Flush(flush::Arguments),
    Help(help::Arguments),
    #[command(hide = true)]
    Generate(generate::Arguments),
    /// Redact NUL-terminated texts from standard input (internal, started by
    /// `hg debuguilog`)
    #[command(hide = true)]
    Redact,
    History(history::Arguments),
    Journal(journal::Arguments),
    Log(log::Arguments),
    Open(open::Arguments),
    Report(report::Arguments),
    Spool(spool::Arguments),
    Status(status::Arguments),
    /// Keep the last part of the standard error of scripts (internal, started
    /// by `uilog dispatch`)
    #[command(hide = true)]
    Stderr,
    Trace(trace::Arguments),
    /// Print a user's login name (internal, started by `uilog-dispatcher`,
    /// which cannot query the user database)
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

/// Copies NUL-terminated texts from standard input to standard output, with
/// secrets removed.
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
        Command::Complete(arguments) => {
            complete::run(&arguments, &Arguments::command())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(arguments) => config::run(&arguments),
        Command::Emit(arguments) => emit::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Flush(arguments) => flush::run(&arguments),
        Command::Generate(arguments) => {
            generate::run(&arguments, &Arguments::command())
                .map(|()| ExitCode::SUCCESS)
        }
        Command::Help(arguments) => {
            help::run(&arguments, &Arguments::command())
        }
        Command::History(arguments) => history::run(&arguments),
        Command::Journal(arguments) => journal::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Open(arguments) => open::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Spool(arguments) => spool::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Redact => {
            redact_input().context("standard input")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Dispatch => {
            // There is a thread for each sink, and a dispatcher for each hg.
            malloc::share_arenas();
            let records = Box::new(SinkThreads::new(open));
            let callbacks = serve::Callbacks {
                redact: redact::text,
                name_of: user::name_of,
            };
            serve::run_by_standard(records, callbacks).context("dispatch")?;
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
