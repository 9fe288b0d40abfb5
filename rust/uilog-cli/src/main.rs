//! The `uilog` binary: argument parsing over `uilog-core`.

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
    /// Run the scripts of one hg process (started by hg itself)
    ///
    /// hg starts this at the first event that has a script, with a private
    /// socket as standard input and a queue in memory as standard output. It
    /// ends when its last script has ended and
    /// no hg process holds the other end of that socket.
    Dispatch,
    /// Run a program and log it as hg logs its commands
    #[cfg(target_os = "linux")]
    Run(run::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("uilog: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Dispatch => {
            let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned();
            let socket = own(io::stdin().as_fd()).context("standard input")?;
            let queue = own(io::stdout().as_fd()).context("standard output")?;
            dispatch::run(socket, queue).context("dispatch")
        }
        #[cfg(target_os = "linux")]
        Command::Run(arguments) => run::run(arguments),
    }
}
