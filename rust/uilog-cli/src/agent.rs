//! `uilog agent`: the process that delivers the records of all of a user's hg
//! processes.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use uilog_agent::Options;
use uilog_core::agent_address;
use uilog_sinks::open::open;
use uilog_sys::malloc;

use crate::native;

/// Deliver the records of all of a user's hg processes (started by hg itself)
///
/// hg starts this at the first record that finds no agent, if `uilog.agent` is
/// set, with its lock as standard input. It ends when there has been nothing
/// to do for `uilog.agent-idle` seconds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve the queues of records of this user
    #[command(after_help = "\
Exit status:
  0  it has done its work, or SIGTERM has ended it
  1  there is an agent already, or it could not begin")]
    Serve {
        /// The runtime directory in which its socket and its lock are
        directory: PathBuf,
        /// The queue there of whoever starts it
        queue: Option<OsString>,
    },
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Command::Serve { directory, queue } = arguments.command;
    let lock = io::stdin().as_fd().try_clone_to_owned().ok();
    // There is a thread for each sink.
    malloc::share_arenas();
    let environment = native::environment_block();
    let options = Options {
        directory,
        lock,
        queue,
        environment: uilog_agent::with_home(environment),
        elsewhere: || agent_address::directories(&native::environment_block()),
        writers_grace: uilog_agent::WRITERS_GRACE,
        open,
    };
    uilog_agent::serve(options).context("agent")?;
    Ok(ExitCode::SUCCESS)
}
