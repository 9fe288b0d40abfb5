//! `uilog agent`: the process that delivers the records of all of a user's hg
//! processes.

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_agent::Options;
use uilog_core::agent_address::Whereabouts;
use uilog_core::record_queues;
use uilog_core::record_queues::Agent;
use uilog_core::record_queues::Overview;
use uilog_sinks::open::open;
use uilog_sys::malloc;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::status;

/// Show or end the process that delivers the records of all of a user's hg
/// processes
///
/// hg starts it at the first record that finds none, if `uilog.agent` is set.
/// It ends when there has been nothing to do for `uilog.agent-idle` seconds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve the queues of records of this user (started by hg itself)
    ///
    /// Its standard input is the lock of whoever starts it. There is no use for
    /// it by hand.
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
    /// Show the agents that run, and the queues of records
    #[command(after_help = "\
Exit status:
  0  all is well
  1  an agent is stopped, or nobody delivers what waits in a queue")]
    Status {
        #[command(flatten)]
        presentation: Presentation,
    },
    /// End the agent of these namespaces
    ///
    /// What it has not delivered stays in the queues; the next command that
    /// logs a record starts another one.
    #[command(after_help = "\
Exit status:
  0  there is no agent any more
  1  it has not ended within ten seconds")]
    Stop,
}

/// How long an agent may take to end.
const STOP_BOUND: Duration = Duration::from_secs(10);
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Serve { directory, queue } => serve(directory, queue),
        Command::Status { presentation } => show(presentation),
        Command::Stop => stop(),
    }
}

fn show(presentation: Presentation) -> anyhow::Result<ExitCode> {
    let records = Overview::read(&native::usual_whereabouts());
    let mut output = presentation.stdout();
    if presentation.is_json() {
        output::write_json(&mut output, &records)?;
    } else if records.is_empty() {
        writeln!(output, "no agent runs, and no queue waits for one")?;
    } else {
        status::write_records(&mut output, &records)?;
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(records.is_troubled())))
}

fn stop() -> anyhow::Result<ExitCode> {
    let whereabouts = native::usual_whereabouts();
    let near = || -> Vec<Agent> {
        let mut agents = record_queues::agents(&whereabouts);
        agents.retain(|it| it.is_near);
        agents
    };
    let deadline = Instant::now() + STOP_BOUND;
    for agent in near() {
        if let Some(pid) = agent.pid {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
    while !near().is_empty() {
        if Instant::now() > deadline {
            output::say("uilog: the agent has not ended; is it stopped?");
            return Ok(ExitCode::FAILURE);
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(
    directory: PathBuf,
    queue: Option<OsString>,
) -> anyhow::Result<ExitCode> {
    let lock = io::stdin().as_fd().try_clone_to_owned().ok();
    // There is a thread for each sink.
    malloc::share_arenas();
    let environment = native::environment_block();
    let options = Options {
        directory,
        lock,
        queue,
        environment: uilog_agent::with_home(environment),
        // Its own directory is that of `uilog.queue-dir`, if there is one.
        elsewhere: || {
            let block = native::environment_block();
            Whereabouts::new(&block, None).directories()
        },
        writers_grace: uilog_agent::WRITERS_GRACE,
        scan_every: uilog_agent::SCAN_EVERY,
        open,
    };
    uilog_agent::serve(options).context("agent")?;
    Ok(ExitCode::SUCCESS)
}
