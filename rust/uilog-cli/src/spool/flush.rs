//! `uilog spool flush`: sends waiting records now.

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use std::time::SystemTime;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;
use uilog_sinks::globals::Globals;
use uilog_sinks::otlp;
use uilog_sinks::otlp::sender::Progress;
use uilog_sinks::otlp::sender::SendResult;
use uilog_sinks::spools::Owned;
use uilog_sinks::spools::SpoolFacts;

use crate::output;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::styled;
use crate::output::visible;
use crate::place::ConfigArguments;
use crate::spool::selected::LOOK_EVERY;
use crate::spool::selected::PATIENCE;
use crate::spool::selected::Spools;

/// Send waiting records now
///
/// Sends the records of all sinks, or of the named ones, even if the collector
/// has asked for a later retry. Records that the collector does not accept stay
/// in the spool, and the reason is shown. If another process is sending, the
/// command waits up to 30 seconds for it. Interrupting the command loses
/// nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
    0    everything was sent
  1    records are left, were rejected, or are lost in a damaged file
  2    there is no such spool
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  uilog spool flush                 send the records of all sinks
  uilog spool flush fleet           send the records of the sink `fleet`
  uilog spool flush && shutdown     shut down if everything was sent")]
pub(super) struct Arguments {
    /// Names of sinks; all sinks if none is given
    sinks: Vec<String>,
    #[command(flatten)]
    presentation: Presentation,
    #[command(flatten)]
    place: ConfigArguments,
}

/// Result for one sink, as in the JSON output.
#[derive(Serialize)]
pub(crate) struct Flushed {
    sink: String,
    sent: u64,
    rejected: u64,
    /// Why the first of them was rejected.
    rejection: Option<String>,
    /// Records lost in damaged files.
    damaged: u64,
    /// Files that were found empty; how many records they held is not known.
    emptied: u64,
    pub(crate) left: u64,
    /// Why something is left.
    reason: Option<String>,
}

impl Flushed {
    /// The result if nothing was tried: the state `before`.
    fn untried(before: SpoolFacts) -> Self {
        Self {
            sink: before.sink,
            sent: 0,
            rejected: 0,
            rejection: None,
            damaged: 0,
            emptied: before.empty,
            left: before.pending,
            reason: before.problem,
        }
    }

    /// What a collector has accepted.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Rejected and damaged records.
    pub(crate) fn lost(&self) -> u64 {
        self.rejected + self.damaged
    }

    /// Where something is left, how much, and why.
    pub(crate) fn what_is_left(&self) -> (String, u64, Option<&str>) {
        (visible(&self.sink), self.left, self.reason.as_deref())
    }

    /// Nothing is left, nothing has been rejected, and nothing is lost.
    pub(crate) fn is_done(&self) -> bool {
        let undone = self.left + self.rejected + self.damaged + self.emptied;
        undone == 0 && self.reason.is_none()
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spools = match Spools::named(&arguments.place, &arguments.sinks)? {
        Ok(spools) => spools,
        Err(status) => return Ok(status),
    };
    let mut output = arguments.presentation.stdout();
    let mut all = Vec::new();
    for owned in &spools.all {
        let patience = Instant::now() + PATIENCE;
        let flushed = flush(owned, &spools.globals, patience);
        if !arguments.presentation.is_json() {
            write_one(&mut output, &flushed)?;
        }
        all.push(flushed);
    }
    if arguments.presentation.is_json() {
        output::write_json(&mut output, &all)?;
    } else if all.is_empty() {
        writeln!(output, "no sink sends to a collector")?;
    }
    output.flush()?;
    let is_done = all.iter().all(Flushed::is_done);
    Ok(ExitCode::from(u8::from(!is_done)))
}

/// Sends what waits for a sink. Another process that is sending is waited for
/// until `patience`.
pub(super) fn flush(
    owned: &Owned,
    globals: &Globals,
    patience: Instant,
) -> Flushed {
    let before = owned.facts(globals, SystemTime::now());
    let is_empty = before.pending + before.file_bytes + before.empty == 0;
    let pending = before.pending;
    let damaged = before.damaged;
    let mut flushed = Flushed::untried(before);
    // If nothing waits, there may have been damage.
    if flushed.reason.is_some() || is_empty {
        return flushed;
    }
    let Some(definition) = &owned.definition else {
        if pending > 0 {
            flushed.reason = Some("the sink is not configured here".to_owned());
        }
        return flushed;
    };
    let bar = bar(&owned.sink, pending);
    let end = loop {
        let base = flushed.sent + flushed.rejected;
        let mut told = |it: Progress| {
            bar.set_position(base + it.sent + it.rejected);
        };
        let round = match otlp::flush(definition, globals, &mut told) {
            Ok(round) => round,
            Err(problem) => break SendResult::Failed(problem),
        };
        flushed.sent += round.progress.sent;
        flushed.rejected += round.progress.rejected;
        flushed.rejection = flushed.rejection.or(round.rejection);
        if round.end != SendResult::Busy || Instant::now() > patience {
            break round.end;
        }
        // A stopped process does not end by waiting.
        let facts = owned.facts(globals, SystemTime::now());
        if facts.sender.is_some_and(|it| it.is_stuck) {
            break round.end;
        }
        bar.set_message("another process is sending");
        thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    let after = owned.facts(globals, SystemTime::now());
    flushed.reason = match end {
        SendResult::Drained if after.held_back > 0 => Some(format!(
            "only a later version of uilog can send {}",
            counted(after.held_back, "record")
        )),
        SendResult::Drained => None,
        SendResult::Busy => Some(match after.sender {
            Some(sender) => {
                format!("another process is sending: {}", sender.describe())
            }
            None => "another process is sending".to_owned(),
        }),
        SendResult::Later { reason, .. } | SendResult::Failed(reason) => {
            Some(reason)
        }
    };
    flushed.damaged = after.damaged.saturating_sub(damaged);
    flushed.left = after.pending;
    flushed
}

/// Sends the waiting records of each sink, one after the other, until the
/// deadline. A request in progress continues as long as this process lives.
pub(crate) fn flush_until(spools: Spools, deadline: Instant) -> Vec<Flushed> {
    let spools = Arc::new(spools);
    let (told, results) = mpsc::channel();
    let flushing = Arc::clone(&spools);
    thread::spawn(move || {
        for owned in &flushing.all {
            let flushed = flush(owned, &flushing.globals, deadline);
            if told.send(flushed).is_err() {
                return;
            }
        }
    });
    let mut all = Vec::new();
    while all.len() < spools.all.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        match results.recv_timeout(left) {
            Ok(flushed) => all.push(flushed),
            Err(_) => break,
        }
    }
    for owned in &spools.all[all.len()..] {
        let facts = owned.facts(&spools.globals, SystemTime::now());
        let mut flushed = Flushed::untried(facts);
        if flushed.left > 0 {
            let late = || "the time is over".to_owned();
            flushed.reason.get_or_insert_with(late);
        }
        all.push(flushed);
    }
    all
}

/// A bar on a terminal; nothing in a pipe.
fn bar(sink: &str, records: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{prefix} {wide_bar} {pos}/{len} {per_sec} {msg}";
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new(records).with_prefix(visible(sink));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

pub(crate) fn write_one(
    output: &mut impl Write,
    it: &Flushed,
) -> std::io::Result<()> {
    let sink = visible(&it.sink);
    writeln!(output, "{sink}: {} sent", counted(it.sent, "record"))?;
    if it.rejected > 0 {
        let why = it.rejection.as_deref().unwrap_or_default();
        let text =
            format!("{} rejected: {why}", counted(it.rejected, "record"));
        writeln!(output, "  {}", styled(output::ERROR, &text))?;
    }
    if it.damaged > 0 {
        let text = format!(
            "{} or more lost in damaged files",
            counted(it.damaged, "record")
        );
        writeln!(output, "  {}", styled(output::ERROR, &text))?;
    }
    if it.emptied > 0 {
        let text = format!(
            "{} empty: their records are lost",
            counted(it.emptied, "file")
        );
        writeln!(output, "  {}", styled(output::ERROR, &text))?;
    }
    if it.left > 0 || it.reason.is_some() {
        let why = it.reason.as_deref().unwrap_or("they were logged meanwhile");
        let text = format!("{} left: {why}", counted(it.left, "record"));
        writeln!(output, "  {}", styled(output::WARNING, &text))?;
    }
    Ok(())
}
