//! `uilog spool`: shows the records that wait for collectors, and those that
//! were lost or rejected.

mod export;
pub(crate) mod flush;
mod forget;
mod requeue;
pub(crate) mod selected;

use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use uilog_sinks::globals::Globals;
use uilog_sinks::otlp::sender::UNNOTED;
use uilog_sinks::spools::SpoolFacts;

use crate::output;
use crate::output::HEADLINE;
use crate::output::PLACE;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::duration;
use crate::output::styled;
use crate::output::visible;
use crate::place::ConfigArguments;
use crate::spool::selected::Spools;

/// Show, send or export records that wait for a collector
///
/// A sink `otlp:` keeps each record in a directory on disk, its spool, until
/// the collector has accepted the record. Records that one command has left
/// are sent by the next. If delivery fails, it is retried after 1 second, then
/// less and less often, up to every five minutes.
///
/// For each sink, shows how many records wait and since when, how many were
/// sent, rejected by the collector, evicted (because of uilog.spool-max-size
/// or uilog.spool-max-age) or lost in damaged files, and why delivery fails,
/// if it does. Also shows spools whose sinks are not configured here.
/// Read-only; never blocks.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit status:
    0    no problem was found
  1    records were rejected, evicted or damaged; or delivery fails; or the
       process that sends is stopped or hangs; or records wait that no process
       will send; or a spool cannot be used
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  uilog spool                           show what waits, and why
  uilog spool -T json | jq '.spools | map(.pending) | add'
  uilog spool flush                     send it now
  uilog spool export --rejected | jq .  look at rejected records
  uilog spool requeue fleet             send them again
  uilog spool forget                    acknowledge all losses

Files:
  $XDG_STATE_HOME/uilog/spool/SINK      a spool; uilog.spool sets another
                                        directory instead of uilog/spool
  Counts start when the spool is created; counts of losses restart with
  `uilog spool forget`. To reset a spool, remove its directory; this also
  discards the records in it.
  If $XDG_STATE_HOME is not set, ~/.local/state is used."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    presentation: Presentation,
    #[command(flatten)]
    place: ConfigArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    Flush(flush::Arguments),
    Export(export::Arguments),
    Forget(forget::Arguments),
    Requeue(requeue::Arguments),
}

/// The JSON output.
#[derive(Serialize)]
struct Shown<'a> {
    dir: Option<String>,
    spools: &'a [SpoolFacts],
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        None => list(arguments),
        Some(Action::Flush(arguments)) => flush::run(arguments),
        Some(Action::Export(arguments)) => export::run(arguments),
        Some(Action::Forget(arguments)) => forget::run(arguments),
        Some(Action::Requeue(arguments)) => requeue::run(arguments),
    }
}

fn list(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spools = match Spools::load(&arguments.place)? {
        Ok(spools) => spools,
        Err(status) => return Ok(status),
    };
    let facts = spools.facts();
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let dir = spools.globals.spool.as_ref().ok();
        let shown = Shown {
            dir: dir.map(|it| it.display().to_string()),
            spools: &facts,
        };
        output::write_json(&mut output, &shown)?;
    } else {
        write_all(&mut output, &spools.globals, &facts)?;
    }
    output.flush()?;
    let is_troubled = facts.iter().any(SpoolFacts::is_troubled);
    Ok(ExitCode::from(u8::from(is_troubled)))
}

fn write_all(
    output: &mut impl Write,
    globals: &Globals,
    facts: &[SpoolFacts],
) -> io::Result<()> {
    let headline = styled(HEADLINE, "Spools");
    match &globals.spool {
        Ok(dir) => {
            let dir = styled(PLACE, &dir.display().to_string());
            writeln!(output, "{headline}: {dir}")?;
        }
        Err(problem) => {
            let problem = styled(output::WARNING, problem);
            writeln!(output, "{headline}: {problem}")?;
        }
    }
    if facts.is_empty() {
        writeln!(output, "  none: no sink sends to a collector")?;
    }
    for it in facts {
        write_one(output, it)?;
    }
    Ok(())
}

fn write_one(output: &mut impl Write, it: &SpoolFacts) -> io::Result<()> {
    write_head(output, it)?;
    if let Some(problem) = &it.problem {
        let text = format!("cannot be used: {problem}");
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
        return Ok(());
    }
    writeln!(output, "    waiting: {}", waiting(it))?;
    writeln!(output, "    sent: {}", counted(it.sent, "record"))?;
    for (holder, consequence) in it.stuck() {
        let holder = visible(&holder.describe());
        let text = format!("{consequence} because of {holder}");
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    if it.held_back > 0 {
        let text = format!(
            "waiting for a later version of uilog: {}",
            counted(it.held_back, "record")
        );
        writeln!(output, "    {}", styled(output::WARNING, &text))?;
    }
    if it.evicted > 0 {
        let text = format!(
            "evicted: {}, unsent, because of spool-max-size or spool-max-age",
            counted(it.evicted, "record")
        );
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    if it.damaged > 0 {
        let text = format!("damaged: {}", counted(it.damaged, "record"));
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    if it.unreadable > 0 {
        let text = format!("{} unreadable", counted(it.unreadable, "file"));
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    if it.counts_lost > 0 {
        let text = "the counts were damaged and restarted";
        writeln!(output, "    {}", styled(output::WARNING, text))?;
    }
    if it.rejected == 0 && it.rejected_kept > 0 {
        let kept = counted(it.rejected_kept, "rejected record");
        writeln!(output, "    kept: {kept}")?;
    }
    if it.rejected > 0 {
        let text = format!(
            "rejected: {}, {} kept",
            counted(it.rejected, "record"),
            it.rejected_kept
        );
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
        for reason in &it.reasons {
            writeln!(output, "      {}", visible(reason))?;
        }
    }
    if let Some(retry) = &it.retry {
        let due = if retry.due_in > 0.0 {
            format!("in {}", duration(retry.due_in))
        } else {
            "with the next record".to_owned()
        };
        let failures = counted(retry.failures.into(), "failure");
        let text = format!("next attempt: {due}, after {failures}");
        writeln!(output, "    {}", styled(output::WARNING, &text))?;
        writeln!(output, "      {}", visible(&retry.reason))?;
    }
    write_settings(output, it)
}

/// What keeps everything from being sent, and what of the settings is ignored.
fn write_settings(output: &mut impl Write, it: &SpoolFacts) -> io::Result<()> {
    if let Some(problem) = &it.unsendable {
        let text = format!("nothing is sent: {}", visible(problem));
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    for warning in &it.warnings {
        let text = format!("warning: {}", visible(warning));
        writeln!(output, "    {}", styled(output::WARNING, &text))?;
    }
    Ok(())
}

fn write_head(output: &mut impl Write, it: &SpoolFacts) -> io::Result<()> {
    match &it.url {
        Some(url) => {
            let url = styled(PLACE, url);
            writeln!(output, "  {}  {url}", visible(&it.sink))
        }
        None => {
            let text = "not configured here: not sent";
            let sink = visible(&it.sink);
            if it.pending > 0 {
                let text = styled(output::WARNING, text);
                writeln!(output, "  {sink}  {text}")
            } else {
                writeln!(output, "  {sink}  not configured here")
            }
        }
    }
}

/// What waits, and since when.
fn waiting(it: &SpoolFacts) -> String {
    let count = counted(it.pending, "record");
    match it.oldest {
        Some(oldest) if it.pending > 0 => format!(
            "{count}, {} bytes, the oldest for {}",
            it.pending_bytes,
            duration(oldest)
        ),
        _ => count,
    }
}

/// In short, for `uilog status`: nothing if there are no spools.
pub(crate) fn write_brief(
    output: &mut impl Write,
    facts: &[SpoolFacts],
) -> io::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    writeln!(output, "{}", styled(HEADLINE, "Spools"))?;
    for it in facts {
        let sink = visible(&it.sink);
        writeln!(output, "  {sink}: {} waiting", waiting(it))?;
        let trouble = trouble(it);
        if !trouble.is_empty() {
            let is_loss = it.evicted + it.damaged + it.rejected > 0;
            let remedy = if is_loss && it.problem.is_none() {
                "see `uilog spool`, then `uilog spool forget`"
            } else {
                "see `uilog spool`"
            };
            let text = format!("{trouble}: {remedy}");
            writeln!(output, "    {}", styled(output::WARNING, &text))?;
        }
        write_settings(output, it)?;
    }
    Ok(())
}

fn trouble(it: &SpoolFacts) -> String {
    if it.problem.is_some() {
        return "cannot be used".to_owned();
    }
    let counts = [
        (it.evicted, "evicted"),
        (it.damaged, "damaged"),
        (it.rejected, "rejected"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<_> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    for (holder, consequence) in it.stuck() {
        let holder = visible(&holder.describe());
        parts.push(format!("{consequence} because of {holder}"));
    }
    if it.held_back > 0 {
        let held_back = it.held_back;
        parts.push(format!("{held_back} need a later version of uilog"));
    }
    match &it.retry {
        Some(retry) if retry.reason == UNNOTED => {
            parts.push(UNNOTED.to_owned());
        }
        Some(retry) => {
            let reason = visible(&retry.reason);
            parts.push(format!("{} ({reason})", retry.failing()));
        }
        None => {}
    }
    if it.url.is_none() && it.pending > 0 {
        parts.push("not configured here".to_owned());
    }
    if it.unreadable + it.counts_lost > 0 {
        parts.push("some cannot be read".to_owned());
    }
    parts.join(", ")
}
