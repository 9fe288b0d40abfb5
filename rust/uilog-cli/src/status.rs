//! `uilog status`: shows what is running, waiting, lost and failed.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use uilog_channel::journal::Group;
use uilog_channel::journal::grouped;
use uilog_channel::record_queues::Overview;
use uilog_channel::status;
use uilog_channel::status::Dispatcher;
use uilog_channel::status::JournalFacts;
use uilog_channel::status::Running;
use uilog_channel::status::Status;
use uilog_config::Config;
use uilog_config::brake;
use uilog_sinks::spools::SpoolFacts;

use crate::native;
use crate::output;
use crate::output::HEADLINE;
use crate::output::PLACE;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::duration;
use crate::output::styled;
use crate::output::visible;
use crate::spool;
use crate::spool::selected::Spools;

/// How many groups of failures the text output shows.
const SHOWN_FAILURES: usize = 10;
/// How many causes of losses the text output shows.
const SHOWN_CAUSES: usize = 5;

/// Show dispatchers, queues, losses and failures
///
/// A dispatcher is the process that runs scripts and delivers records for one
/// hg process. Each is shown with its hg, the number of events that wait, its
/// counters, and the scripts that it is running. With `uilog.agent`, the agents
/// and the queues that they read are shown as well.
///
/// Records that wait for collectors are summarized; `uilog spool` has the
/// details. The journal keeps losses and failures of all processes until
/// `uilog journal forget`. The last ten groups of failures are shown; -T json
/// has all failures. Losses are added up by cause.
///
/// If UILOG=off or `uilog.enabled = no` switches uilog off here, the first line
/// says so.
///
/// Only your own processes can be inspected; dispatchers of other users are
/// counted. Read-only; never blocks.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
    0  no problem was found
  1  the journal has losses or failures; or a dispatcher is stopped or cannot
     be inspected; or `uilog spool` reports a problem; or the status cannot be
     determined

Examples:
  uilog status
  uilog status -T json | jq '.dispatchers | map(.waiting) | add'

Files:
  $XDG_STATE_HOME/uilog/failures.jsonl      the journal, one failure per line
  $XDG_STATE_HOME/uilog/failures.jsonl.1    older lines of the journal
  /proc                                     to find processes
  If $XDG_STATE_HOME is not set, ~/.local/state is used.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    presentation: Presentation,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let block = native::environment_block();
    let status = status::read(&block).context("cannot list processes")?;
    let config = native::usual_config();
    let causes = native::switched_off().into_iter();
    let causes = causes.chain(brake::of_config(&config));
    let switched_off: Vec<_> = causes.map(|it| it.to_string()).collect();
    let spools = spools(&config);
    let records = Overview::read(&native::whereabouts(&config));
    let losses = losses(&status.journal, &spools);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let shown = Shown {
            switched_off: &switched_off,
            status: &status,
            records: &records,
            spools: &spools,
            losses: &losses,
        };
        output::write_json(&mut output, &shown)?;
    } else {
        output::write_switched_off(&mut output, &switched_off)?;
        write_dispatchers(&mut output, &status)?;
        write_records(&mut output, &records)?;
        spool::write_brief(&mut output, &spools)?;
        write_journal(&mut output, &status.journal, SHOWN_FAILURES)?;
        write_losses(&mut output, &losses)?;
    }
    output.flush()?;
    let is_troubled = status.is_troubled()
        || records.is_troubled()
        || spools.iter().any(SpoolFacts::is_troubled);
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// The losses of one cause.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Lost {
    /// How many events, or records of a sink.
    count: u64,
    cause: String,
    /// Who knows: the journal, or a sink's spool.
    told_by: String,
}

/// What the journal and the spools say is lost, by cause, the most first.
fn losses(journal: &JournalFacts, spools: &[SpoolFacts]) -> Vec<Lost> {
    let mut losses: Vec<Lost> = Vec::new();
    let mut add = |count: u64, cause: &str, told_by: &str| {
        if count == 0 {
            return;
        }
        let is_it = |it: &&mut Lost| it.cause == cause && it.told_by == told_by;
        match losses.iter_mut().find(is_it) {
            Some(known) => known.count = known.count.saturating_add(count),
            None => losses.push(Lost {
                count,
                cause: cause.to_owned(),
                told_by: told_by.to_owned(),
            }),
        }
    };
    for failure in &journal.failures {
        add(failure.lost, &failure.detail, "journal");
    }
    for spool in spools {
        let told_by = format!("spool of {}", spool.sink);
        add(spool.evicted, "evicted: too old, or no room", &told_by);
        add(spool.rejected, "rejected by the collector", &told_by);
        add(spool.damaged, "damaged files", &told_by);
    }
    losses.sort_by_key(|it| std::cmp::Reverse(it.count));
    losses
}

fn write_losses(output: &mut impl Write, losses: &[Lost]) -> io::Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    writeln!(output, "{}", styled(HEADLINE, "Lost, by cause"))?;
    for it in losses.iter().take(SHOWN_CAUSES) {
        let count = styled(output::ERROR, &it.count.to_string());
        let (cause, told_by) = (visible(&it.cause), visible(&it.told_by));
        writeln!(output, "  {count}: {cause} ({told_by})")?;
    }
    Ok(())
}

/// Everything, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    switched_off: &'a [String],
    #[serde(flatten)]
    status: &'a Status,
    #[serde(flatten)]
    records: &'a Overview,
    spools: &'a [SpoolFacts],
    losses: &'a [Lost],
}

/// The spools, as far as they can be found; `uilog check` reports what is wrong
/// with the configuration.
fn spools(config: &Config) -> Vec<SpoolFacts> {
    let spools = Spools::of(config);
    spools.map(|it| it.facts()).unwrap_or_default()
}

fn write_dispatchers(
    output: &mut impl Write,
    status: &Status,
) -> io::Result<()> {
    let none = if status.dispatchers.is_empty() {
        ": none"
    } else {
        ""
    };
    let headline = styled(HEADLINE, "Dispatchers");
    writeln!(output, "{headline}{none}")?;
    for dispatcher in &status.dispatchers {
        write_dispatcher(output, dispatcher)?;
    }
    if status.foreign > 0 {
        let count = counted(status.foreign, "dispatcher");
        writeln!(output, "  {count} of other users")?;
    }
    if status.unreadable > 0 {
        let count = counted(status.unreadable, "dispatcher");
        let text = format!("{count} of your own cannot be read");
        writeln!(output, "  {}", styled(output::WARNING, &text))?;
    }
    Ok(())
}

/// The agents, and the queues from which they deliver; nothing where there
/// are none.
pub(crate) fn write_records(
    output: &mut impl Write,
    records: &Overview,
) -> io::Result<()> {
    let Overview { agents, queues } = records;
    if records.is_empty() {
        return Ok(());
    }
    writeln!(output, "{}", styled(HEADLINE, "Agents"))?;
    for agent in agents {
        let path = visible(&agent.path);
        let far = match (agent.is_near, agent.is_of_other_version) {
            (true, _) => "",
            (false, true) => ", of another version",
            (false, false) => ", of a container",
        };
        let pid = agent.pid.map_or(String::new(), |pid| format!("{pid}  "));
        let age = agent
            .age
            .map_or(String::new(), |age| format!(", for {}", duration(age)));
        writeln!(output, "  {pid}{}{far}{age}", styled(PLACE, &path))?;
        if agent.is_stopped {
            let text = "stopped by a signal: its records wait";
            writeln!(output, "    {}", styled(output::WARNING, text))?;
        }
    }
    for queue in queues {
        let waiting = counted(queue.waiting(), "record");
        let age = duration(queue.age);
        let writer = match queue.is_alive {
            true => "which runs",
            false => "which has ended",
        };
        let pid = queue.pid;
        writeln!(
            output,
            "  queue of process {pid}, {writer}: {waiting} waiting, for {age}"
        )?;
        if queue.waiting() > 0 {
            let path = visible(&queue.path);
            writeln!(output, "    in {}", styled(PLACE, &path))?;
        }
        if queue.is_abandoned() {
            let text = "no process delivers it; `uilog flush` does";
            writeln!(output, "    {}", styled(output::WARNING, text))?;
        }
    }
    Ok(())
}

fn write_dispatcher(
    output: &mut impl Write,
    dispatcher: &Dispatcher,
) -> io::Result<()> {
    let it = dispatcher;
    let age = it.age.map(duration).unwrap_or_default();
    let program = styled(PLACE, &it.program);
    writeln!(output, "  {}  {program}, for {age}", it.pid)?;
    if it.stopped {
        let text = "stopped by a signal: its scripts wait";
        writeln!(output, "    {}", styled(output::WARNING, text))?;
    }
    if it.hg.is_empty() {
        writeln!(output, "    hg: has ended")?;
    }
    for hg in &it.hg {
        writeln!(output, "    hg: {}  {}", hg.pid, visible(&hg.command))?;
    }
    if let Some(protocol) = it.protocol {
        let text = format!(
            "speaks protocol {protocol}, of another version of uilog: \
             nothing else is known"
        );
        return writeln!(output, "    {}", styled(output::WARNING, &text));
    }
    writeln!(
        output,
        "    events: {} waiting, {} taken, {} in all; queue: {} bytes",
        it.waiting, it.taken, it.events, it.queue_bytes
    )?;
    writeln!(
        output,
        "    scripts: {} started, {} succeeded, {} failed, {} timed out",
        it.started, it.succeeded, it.failed, it.timed_out
    )?;
    if it.records_waiting + it.records_done + it.records_lost > 0 {
        writeln!(
            output,
            "    records: {} waiting, {} done",
            it.records_waiting, it.records_done
        )?;
    }
    if it.records_lost > 0 {
        let text = format!("lost: {}", counted(it.records_lost, "record"));
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    if it.lost > 0 {
        let text = format!("lost: {}", counted(it.lost, "event"));
        writeln!(output, "    {}", styled(output::ERROR, &text))?;
    }
    if let Some(failure) = &it.last_failure {
        writeln!(output, "    last failure: {}", visible(failure))?;
    }
    for script in &it.scripts {
        let Running { pid, event, age } = script;
        let event = event.as_deref().unwrap_or("(beginning)");
        let age = age.map(duration).unwrap_or_default();
        let event = visible(event);
        writeln!(output, "    running: {pid}  {event}, for {age}")?;
    }
    Ok(())
}

/// The journal, with so many kinds of failures at most.
pub(crate) fn write_journal(
    output: &mut impl Write,
    journal: &JournalFacts,
    shown: usize,
) -> io::Result<()> {
    let headline = styled(HEADLINE, "Journal");
    let Some(path) = &journal.path else {
        return writeln!(output, "{headline}: none");
    };
    writeln!(output, "{headline}: {}", styled(PLACE, path))?;
    if let Some(problem) = &journal.problem {
        let text = format!("cannot be used: {}", visible(problem));
        writeln!(output, "  {}", styled(output::WARNING, &text))?;
        match &journal.fallback {
            Some(path) => {
                let path = visible(path);
                writeln!(output, "  meanwhile: {}", styled(PLACE, &path))?;
            }
            None => writeln!(output, "  failures are not recorded")?,
        }
    }
    let lost = counted(journal.lost, "event");
    let style = if journal.lost > 0 {
        output::ERROR
    } else {
        output::PLAIN
    };
    let lost = styled(style, &format!("{lost} lost"));
    let failures = counted(journal.failures.len() as u64, "failure");
    writeln!(output, "  {lost}, {failures}")?;
    let groups = grouped(&journal.failures);
    let first = groups.len().saturating_sub(shown);
    if first > 0 {
        writeln!(output, "  the last {shown} kinds:")?;
    }
    for group in &groups[first..] {
        write_failures(output, group)?;
    }
    Ok(())
}

/// Failures of the same kind: the last one's time, and how many there are.
fn write_failures(
    output: &mut impl Write,
    group: &Group<'_>,
) -> io::Result<()> {
    let it = group.last;
    let kind = styled(output::WARNING, it.kind.name());
    let (time, event) = (visible(&it.time), visible(&it.event));
    write!(output, "  {time}  {kind}")?;
    if !event.is_empty() {
        write!(output, "  {event}")?;
    }
    if group.lost > 0 {
        write!(output, "  ({})", counted(group.lost, "event"))?;
    }
    write!(output, "  {}", visible(&it.detail))?;
    if group.count > 1 {
        write!(output, "  ({} times)", group.count)?;
    }
    writeln!(output)?;
    for line in it.script.iter().flat_map(|script| script.lines()) {
        writeln!(output, "    {}", visible(&line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uilog_channel::journal::Failure;
    use uilog_channel::journal::FailureKind;

    use super::*;

    #[test]
    fn losses_are_added_up_by_cause() {
        let failure = |lost, detail: &str| {
            let (session, detail) = (String::new(), detail.to_owned());
            Failure::now(session, b"x", FailureKind::Lost, lost, detail)
        };
        let journal = JournalFacts {
            failures: vec![
                failure(2, "full"),
                failure(0, "no loss"),
                failure(7, "killed"),
                failure(3, "full"),
            ],
            ..JournalFacts::default()
        };
        let found = losses(&journal, &[]);
        let found: Vec<_> =
            found.iter().map(|it| (it.count, &*it.cause)).collect();
        assert_eq!(found, [(7, "killed"), (5, "full")]);
    }
}
