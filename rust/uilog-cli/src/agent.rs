//! `uilog agent`: the command line of the agent, which delivers the records of
//! all hg processes of a user.

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
use uilog_channel::agent_address::QueueLocations;
use uilog_channel::record_queues;
use uilog_channel::record_queues::Agent;
use uilog_channel::record_queues::Overview;
use uilog_sinks::open::open;
use uilog_sys::malloc;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::status;

/// Show or stop the agent
///
/// The agent is one process per user that delivers the records of all the
/// user's hg processes to sinks. If `uilog.agent` is set, hg starts it when
/// there is a record and no agent. It exits after `uilog.agent-idle` seconds
/// without a record.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the agent (internal)
    ///
    /// Started by hg, not by hand. Standard input is the lock file of the
    /// process that starts it.
    #[command(after_help = "\
Exit status:
  0  all work is done, or SIGTERM was received
  1  another agent is running, or this one could not start")]
    Serve {
        /// The runtime directory, which has the agent's socket and lock
        directory: PathBuf,
        /// The queue, in that directory, of the process that starts the agent
        queue: Option<OsString>,
    },
    /// Show running agents, and the queues of records
    #[command(after_help = "\
Exit status:
  0  no problem was found
  1  an agent is stopped, or no process delivers the records of a queue")]
    Status {
        #[command(flatten)]
        presentation: Presentation,
    },
    /// Stop the agent
    ///
    /// Stops your agent in the current container or namespaces. Undelivered
    /// records stay in the queues; the next command that logs a record starts
    /// a new agent.
    #[command(after_help = "\
Exit status:
  0  no agent is running any more
  1  the agent is still running after ten seconds")]
    Stop,
}

/// How long to wait for an agent to exit.
const STOP_BOUND: Duration = Duration::from_secs(10);
/// Interval between checks whether it has.
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
            QueueLocations::new(&block, None).directories()
        },
        writers_grace: uilog_agent::WRITERS_GRACE,
        scan_every: uilog_agent::SCAN_EVERY,
        open,
    };
    uilog_agent::serve(options).context("agent")?;
    Ok(ExitCode::SUCCESS)
}
