//! `uilog spool forget`: what is lost is known, and not told of again.

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use uilog_sinks::globals::Globals;
use uilog_sinks::spools::Owned;

use super::Spools;
use super::flush::LOOK_EVERY;
use super::flush::PATIENCE;
use crate::output;
use crate::output::counted;
use crate::output::visible;
use crate::place::Place;

/// Tell no more of what has been rejected, evicted or damaged so far
///
/// `uilog spool` and `uilog status` tell of each loss, and exit with 1, until
/// somebody says so that it is known: from then on they count anew. What waits
/// stays and is sent. So do the records that a collector has rejected, unless
/// --rejected is given. If another process is just sending, it is waited for,
/// half a minute at most.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0    it is done
  1    a spool cannot be used, or somebody sends for too long
  2    there is no such spool
  255  the configuration cannot be read (or what hg has for that reason, with
       ui.detailed-exit-code)

Examples:
  uilog spool forget                    of all sinks
  uilog spool export --rejected -o rejected.jsonl && \\
      uilog spool forget --rejected     keep elsewhere what was rejected")]
pub(super) struct Arguments {
    /// The names of sinks; all if there are none
    sinks: Vec<String>,
    /// Remove the records that collectors have rejected
    #[arg(long)]
    rejected: bool,
    #[command(flatten)]
    place: Place,
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
