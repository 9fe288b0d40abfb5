//! The `uilog` binary: arguments and output over the libraries.
//!
//! Each subcommand has a module of its name; none of them decides anything
//! about events or configuration.

mod config;
mod emit;
mod known;
mod native;
mod place;
#[cfg(target_os = "linux")]
mod run;

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::Subcommand;
use uilog_core::dispatch;

/// Mercurial's event logging.
///
/// The hg extension `uilog` hands events to scripts as `[logtoprocess]` says;
/// this program is what runs them. `hg help uilog` tells how to configure it,
/// `hg debuguilog` shows what it does.
#[derive(Debug, Parser)]
#[command(name = "uilog", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(config::Arguments),
    /// Run the scripts of one hg process (started by hg itself)
    ///
    /// hg starts this at the first event that has a script, with a private
    /// socket as standard input and a queue in memory as standard output. It
    /// ends when its last script has ended and
    /// no hg process holds the other end of that socket.
    Dispatch,
    /// Log an event of your own
    ///
    /// It goes through the sinks that the hgrc names: scripts of
    /// `[logtoprocess]`, and the blackbox of a repository.
    Emit(emit::Arguments),
    /// Run a program and log it as hg logs its commands
    #[cfg(target_os = "linux")]
    Run(run::Arguments),
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(arguments) = run::Arguments::plain(std::env::args_os()) {
        return finished(run::run(&arguments));
    }
    finished(execute(Arguments::parse()))
}

fn finished(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // A reader that has gone away has seen enough.
        if !is_broken_pipe(&error) {
            eprintln!("uilog: {error:#}");
        }
        ExitCode::FAILURE
    })
}

fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Config(arguments) => config::run(&arguments),
        Command::Emit(arguments) => emit::run(&arguments),
        Command::Dispatch => {
            let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned();
            let socket = own(io::stdin().as_fd()).context("standard input")?;
            let queue = own(io::stdout().as_fd()).context("standard output")?;
            dispatch::run(socket, queue).context("dispatch")?;
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
