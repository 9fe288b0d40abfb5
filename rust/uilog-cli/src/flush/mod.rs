//! `uilog flush`: delivers all events and records before a job ends.
//!
//! Responsible for the order (dispatchers and queues first, because their
//! records move on into spools), for the time limit, and for the output.

mod dispatchers;
mod part;
mod queues;

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use uilog_channel::journal::Journal;
use uilog_channel::sink_config;

use crate::flush::part::Part;
use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::styled;
use crate::place::ConfigArguments;
use crate::spool::flush::Flushed;
use crate::spool::flush::flush_until;
use crate::spool::flush::write_one;
use crate::spool::selected::Spools;

/// Deliver all waiting events and records, before a machine or container ends
///
/// Waits until the scripts of your commands have ended and their records have
/// reached the sinks. Then sends the records that wait for collectors, as
/// `uilog spool flush` does. Starts an agent if records wait and none is
/// running. Never takes longer than --wait. The last line says what has been
/// delivered, what is left, and why.
///
/// Run it as the last step of a CI job, or as the last command in a container.
/// Records that are left stay on disk, and are lost if the container is
/// removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
    0    everything is delivered
  1    something is left, was rejected or is lost
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  uilog flush                       deliver for 30 seconds at most
  uilog flush --wait 5              deliver for 5 seconds at most
  uilog flush -T json | jq .left    print the number that is left

As the last step of a job of GitHub Actions. The step also runs if the job has
failed. If the step itself fails, it only prints a warning:

  - name: Deliver hg's log
    if: always()
    run: uilog flush --wait 20 || echo \"::warning::hg's log is incomplete\"

docs/ci.md has recipes for GitLab, Jenkins, containers and Kubernetes.")]
pub(crate) struct Arguments {
    /// Time limit in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    wait: f64,
    /// Include commands with another HOME, and commands in other containers
    /// that share the queue directories
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    presentation: Presentation,
    #[command(flatten)]
    place: ConfigArguments,
}

/// The JSON output.
#[derive(Serialize)]
struct Shown<'a> {
    /// How many scripts, and records in queues and spools, are left.
    left: u64,
    /// How many are lost or were rejected.
    lost: u64,
    dispatchers: &'a Part,
    queues: &'a Part,
    spools: &'a [Flushed],
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wait = Duration::try_from_secs_f64(arguments.wait)
        .context("--wait: not a number of seconds")?;
    let deadline = Instant::now()
        .checked_add(wait)
        .context("--wait: too many seconds")?;
    let loaded = match arguments.place.load()? {
        Ok(loaded) => loaded,
        Err(error) => return Ok(ExitCode::from(error.exit_status())),
    };
    let spools = Spools::of(&loaded.trusted)?;
    let whereabouts = native::whereabouts(&loaded.trusted);
    let environment = &whereabouts.environment;
    let is_all = arguments.all;
    let dispatchers = dispatchers::wait(environment, is_all, deadline);
    let items = sink_config::items_of(&loaded.trusted);
    let queues = queues::drain(&whereabouts, &items, is_all, deadline)?;
    if let Some(journal) = Journal::for_environment(environment) {
        let left = deadline.saturating_duration_since(Instant::now());
        // Reports scripts that were not run, because later there may be no
        // other chance.
        journal.claim_abandoned(left);
    }
    let flushed = flush_until(spools, deadline);
    let shown = Shown {
        left: dispatchers.left
            + queues.left
            + flushed.iter().map(|it| it.left).sum::<u64>(),
        lost: dispatchers.lost
            + queues.lost
            + flushed.iter().map(Flushed::lost).sum::<u64>(),
        dispatchers: &dispatchers,
        queues: &queues,
        spools: &flushed,
    };
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        output::write_json(&mut output, &shown)?;
    } else {
        write_part(&mut output, "dispatchers", "event", &dispatchers)?;
        write_part(&mut output, "queues", "record", &queues)?;
        for it in &flushed {
            write_one(&mut output, it)?;
        }
        write_end(&mut output, &shown)?;
    }
    output.flush()?;
    let is_done = shown.left + shown.lost == 0
        && shown.spools.iter().all(Flushed::is_done);
    Ok(ExitCode::from(u8::from(!is_done)))
}

fn write_part(
    output: &mut impl Write,
    name: &str,
    noun: &str,
    part: &Part,
) -> io::Result<()> {
    writeln!(output, "{name}: {} done", counted(part.done, noun))?;
    if part.lost > 0 {
        let text = format!("{} lost", counted(part.lost, noun));
        writeln!(output, "  {}", styled(output::ERROR, &text))?;
    }
    if let Some(reason) = &part.reason {
        let left = counted(part.left, noun);
        let text = format!("{left} left: {reason}");
        writeln!(output, "  {}", styled(output::WARNING, &text))?;
    }
    Ok(())
}

/// A summary in one line.
fn write_end(output: &mut impl Write, shown: &Shown<'_>) -> io::Result<()> {
    let sent: u64 = shown.spools.iter().map(Flushed::sent).sum();
    let done = counted(shown.dispatchers.done + shown.queues.done, "event");
    let sent = format!("{} sent to collectors", counted(sent, "record"));
    write!(output, "{done} done, {sent}")?;
    if shown.lost > 0 {
        let lost = format!("{} lost or rejected", shown.lost);
        write!(output, "; {}", styled(output::ERROR, &lost))?;
    }
    let of_parts =
        [("dispatchers", shown.dispatchers), ("queues", shown.queues)];
    let of_parts = of_parts.into_iter().map(|(name, part)| {
        (name.to_owned(), part.left, part.reason.as_deref())
    });
    let of_spools = shown.spools.iter().map(Flushed::what_is_left);
    let reasons = of_parts.chain(of_spools);
    let reasons = reasons.filter_map(|(name, left, reason)| {
        let is_fine = left == 0 && reason.is_none();
        let reason = reason.unwrap_or("it was logged meanwhile");
        (!is_fine).then(|| format!("{left} in {name}: {reason}"))
    });
    let reasons: Vec<_> = reasons.collect();
    match reasons.is_empty() {
        true => writeln!(output, "; nothing is left"),
        false => {
            let text = format!("{} left ({})", shown.left, reasons.join("; "));
            writeln!(output, "; {}", styled(output::WARNING, &text))
        }
    }
}
