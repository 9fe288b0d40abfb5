//! `uilog spool forget`: acknowledges losses.

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use uilog_sinks::globals::Globals;
use uilog_sinks::spools::Owned;

use crate::output;
use crate::output::counted;
use crate::output::visible;
use crate::place::ConfigArguments;
use crate::spool::selected::LOOK_EVERY;
use crate::spool::selected::PATIENCE;
use crate::spool::selected::Spools;

/// Acknowledge rejected, evicted and damaged records
///
/// `uilog spool` and `uilog status` report each loss, and exit with 1, until it
/// is acknowledged. From then on, losses are counted from 0 again. Waiting
/// records stay and will be sent. Rejected records stay, too, unless --rejected
/// is given. If another process is sending, the command waits up to 30 seconds
/// for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
    0    all losses are acknowledged
  1    a spool cannot be used, or another process is still sending
  2    there is no such spool
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  Acknowledge the losses of all sinks:
    uilog spool forget

  Move rejected records to a file:
    uilog spool export --rejected -o rejected.jsonl && \\
        uilog spool forget --rejected")]
pub(super) struct Arguments {
    /// Names of sinks; all sinks if none is given
    sinks: Vec<String>,
    /// Also remove rejected records
    #[arg(long)]
    rejected: bool,
    #[command(flatten)]
    place: ConfigArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spools = match Spools::named(&arguments.place, &arguments.sinks)? {
        Ok(spools) => spools,
        Err(status) => return Ok(status),
    };
    let mut status = ExitCode::SUCCESS;
    for owned in &spools.all {
        match forget(owned, &spools.globals, arguments.rejected) {
            Ok(0) => {}
            Ok(removed) => {
                let removed = counted(removed, "rejected record");
                let sink = visible(&owned.sink);
                writeln!(io::stdout(), "{sink}: {removed} removed")?;
            }
            Err(problem) => {
                output::say(&format!("uilog: {}: {problem}", owned.sink));
                status = ExitCode::FAILURE;
            }
        }
    }
    Ok(status)
}

fn forget(
    owned: &Owned,
    globals: &Globals,
    is_rejected: bool,
) -> Result<u64, String> {
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(removed) = owned.forget(globals, is_rejected)? {
            return Ok(removed);
        }
        if Instant::now() > patience {
            return Err("another process is sending".to_owned());
        }
        thread::sleep(LOOK_EVERY);
    }
}
