//! `uilog spool requeue`: sends again what collectors have rejected.

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use uilog_sinks::globals::Globals;
use uilog_sinks::spools::Owned;

use super::Spools;
use super::flush;
use super::flush::LOOK_EVERY;
use super::flush::PATIENCE;
use crate::output;
use crate::output::counted;
use crate::output::visible;
use crate::place::Place;

/// Send again what collectors have rejected
///
/// The records that are kept since a collector has rejected them wait again, as
/// new ones do, and are sent at once. What the collector still does not want is
/// rejected again. If another process is just sending, it is waited for, half a
/// minute at most. Records that were rejected and are no longer kept cannot be
/// sent again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0    all has been sent
  1    something is left, or has been rejected again
  2    there is no such spool
  255  the configuration cannot be read (or what hg has for that reason, with
       ui.detailed-exit-code)

Examples:
  uilog spool export --rejected | jq .  look at what was rejected
  uilog spool requeue fleet             the collector has been mended")]
pub(super) struct Arguments {
    /// The names of sinks; all if there are none
    sinks: Vec<String>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spools = match Spools::named(&arguments.place, &arguments.sinks)? {
        Ok(spools) => spools,
        Err(status) => return Ok(status),
    };
    let mut output = anstream::AutoStream::auto(io::stdout());
    let mut is_done = true;
    for owned in &spools.all {
        let sink = visible(&owned.sink);
        let requeued = match requeue(owned, &spools.globals) {
            Ok(requeued) => requeued,
            Err(problem) => {
                output::say(&format!("uilog: {}: {problem}", owned.sink));
                is_done = false;
                continue;
            }
        };
        let records = counted(requeued, "rejected record");
        writeln!(output, "{sink}: {records} requeued")?;
        if requeued > 0 {
            let patience = Instant::now() + flush::PATIENCE;
            let flushed = flush::flush(owned, &spools.globals, patience);
            flush::write_one(&mut output, &flushed)?;
            is_done &= flushed.is_done();
        }
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(!is_done)))
}

fn requeue(owned: &Owned, globals: &Globals) -> Result<u64, String> {
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(requeued) = owned.requeue(globals)? {
            return Ok(requeued);
        }
        if Instant::now() > patience {
            return Err("another process is sending".to_owned());
        }
        thread::sleep(LOOK_EVERY);
    }
}
