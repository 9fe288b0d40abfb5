//! `uilog flush`: nothing is to be left when a job ends.
//!
//! Responsible for the order (dispatchers and queues first, since what they
//! have goes on into spools), for the bound on all of it, and for what is said.

mod dispatchers;
mod queues;

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use uilog_core::journal::Journal;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::styled;
use crate::place::Place;
use crate::spool::Spools;
use crate::spool::flush::Flushed;
use crate::spool::flush::flush_until;
use crate::spool::flush::write_one;

/// How often it is looked what is left.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Deliver what waits, before this machine or container goes away
///
/// Waits until the scripts of your commands have ended and every record that
/// they have logged has got to its sink, and sends what waits for collectors,
/// as `uilog spool flush` does. If no process runs that delivers records, one
/// is started. It never waits for longer than it is told. The last line says
/// what has been delivered, what is left, and why.
///
/// Run it as the last step of a CI job, or as the last command of a container.
/// What is left stays where it is. If the container goes away, so does that.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0    nothing is left
  1    something is left, has been rejected or is lost
  255  the configuration cannot be read (or what hg has for that reason, with
       ui.detailed-exit-code)

Examples:
  uilog flush                       what your commands have logged
  uilog flush --wait 5              five seconds at most
  uilog flush -T json | jq .left    how many events and records are left

The last step of a CI job (GitHub Actions). It runs whether the job has failed
or not, and its own failure is a warning:

  - name: Deliver what hg has logged
    if: always()
    run: uilog flush --wait 20 || echo \"::warning::hg's log is incomplete\"

docs/ci.md has the same for GitLab, Jenkins, containers and Kubernetes.")]
pub(crate) struct Arguments {
    /// For how long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    wait: f64,
    /// Also what commands with another HOME have left, and what commands in
    /// other containers have left in the same directories
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    presentation: Presentation,
    #[command(flatten)]
    place: Place,
}

/// What there was and what is left, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    /// Scripts, and records in queues and spools, that are left.
    left: u64,
    /// What is lost, or has been rejected.
    lost: u64,
    dispatchers: &'a Part,
    queues: &'a Part,
    spools: &'a [Flushed],
}

/// What has become of a part of what waits.
#[derive(Default, Serialize)]
struct Part {
    /// What nothing more is to be done about: scripts that have ended, records
    /// that have been delivered or are in spools now.
    done: u64,
    left: u64,
    lost: u64,
    /// Why something is left.
    reason: Option<String>,
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
    let queues = queues::drain(&whereabouts, is_all, deadline)?;
    if let Some(journal) = Journal::for_environment(environment) {
        let left = deadline.saturating_duration_since(Instant::now());
        // What scripts have not been run may be told nowhere else soon.
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

/// All of it in a line, for whoever reads nothing else.
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
        let reason = reason.unwrap_or("it came meanwhile");
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
