//! `uilog spool requeue`: sends rejected records again.

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
use crate::spool::flush;
use crate::spool::selected::LOOK_EVERY;
use crate::spool::selected::PATIENCE;
use crate::spool::selected::Spools;

/// Send rejected records again
///
/// Moves the rejected records that the spool still has back among the waiting
/// ones, and sends them at once. The collector may reject them again. If
/// another process is sending, the command waits up to 30 seconds for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
    0    everything was sent
  1    records are left, or were rejected again
  2    there is no such spool
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  uilog spool export --rejected | jq .  look at the rejected records
  uilog spool requeue fleet             send those of the sink `fleet` again")]
pub(super) struct Arguments {
    /// Names of sinks; all sinks if none is given
    sinks: Vec<String>,
    #[command(flatten)]
    place: ConfigArguments,
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
            let patience = Instant::now() + PATIENCE;
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
