//! `uilog open`: the commands that are running.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anstyle::Style;
use serde_json::Value as Json;
use serde_json::json;
use uilog_history::open;
use uilog_history::open::Open;
use uilog_sinks::redact;

use crate::output;
use crate::output::HEADLINE;
use crate::output::PLACE;
use crate::output::Presentation;
use crate::output::WARNING;
use crate::output::duration;
use crate::output::local;
use crate::output::visible;
use crate::select;
use crate::select::Sources;

const DIM: Style = Style::new().dimmed();

/// Show the commands that have begun and have not ended, on this machine
///
/// Each is shown with its duration, the last event that it has logged, what it
/// has started (a hook, ssh, an editor), the locks of its repository that it
/// holds, and below it those that seem to wait for them. Found are commands
/// whose beginning a sink `file:` or the history has been told, and that still
/// have a process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog open                            what runs now
  watch -n 1 uilog open                 again each second
  uilog open -T json | jq '.[] | select(.seconds > 60) | .command'

Exit status:
  0  it is done, whether or not anything runs
  1  a file cannot be read")]
pub(crate) struct Arguments {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    presentation: Presentation,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let opened = arguments.sources.open()?;
    let host = uilog_sinks::globals::host_name();
    let (commands, problems) = open::find(&opened.sources, &host);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let json: Vec<_> = commands.iter().map(as_json).collect();
        output::write_json(&mut output, &json)?;
    } else {
        arguments.sources.say_where_records_come_from(&opened);
        write_tree(&mut output, &commands)?;
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// For how many seconds it has been running.
fn seconds(command: &Open) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |it| it.as_micros() as i64);
    (now - command.start).max(0) as f64 / 1e6
}

fn as_json(command: &Open) -> Json {
    let children = command.children.iter().map(|(depth, pid, line)| {
        json!({"depth": depth, "pid": pid, "command": redact::shown(line)})
    });
    let others = command.held_by_others.iter();
    let others = others.map(|(lock, pid)| json!({"lock": lock, "pid": pid}));
    json!({
        "pid": command.pid,
        "command": command.command,
        "user": command.user,
        "root": command.root,
        "trace": command.trace,
        "start": local(command.start),
        "seconds": seconds(command),
        "state": command.state,
        "last_event": command.last_event,
        "holds": command.holds,
        "held_by_others": others.collect::<Vec<_>>(),
        "waits_for_lock": command.waits_for_lock,
        "children": children.collect::<Vec<_>>(),
    })
}

fn write_tree(output: &mut impl Write, commands: &[Open]) -> io::Result<()> {
    if commands.is_empty() {
        return writeln!(output, "no command is running");
    }
    // Those that wait stand below whoever holds the lock.
    let mut waiting: BTreeMap<u64, Vec<&Open>> = BTreeMap::new();
    let mut others = Vec::new();
    for command in commands {
        let holder = command.held_by_others.first().map(|it| it.1);
        let is_shown = |pid: &u64| commands.iter().any(|it| it.pid == *pid);
        match holder.filter(is_shown).filter(|_| command.waits_for_lock) {
            Some(pid) => waiting.entry(pid).or_default().push(command),
            None => others.push(command),
        }
    }
    for command in others {
        write_command(output, command, "")?;
        for waiter in waiting.remove(&command.pid).unwrap_or_default() {
            write_command(output, waiter, "    ")?;
        }
    }
    // Two that wait for each other's locks are below nobody.
    for waiter in waiting.into_values().flatten() {
        write_command(output, waiter, "")?;
    }
    Ok(())
}

fn write_command(
    output: &mut impl Write,
    command: &Open,
    before: &str,
) -> io::Result<()> {
    let line = visible(&command.command);
    let root = visible(&command.root);
    let time = duration(seconds(command));
    writeln!(
        output,
        "{before}{time:>9}  {HEADLINE}hg {line}{HEADLINE:#}  \
         {PLACE}{root}{PLACE:#}  {DIM}pid {}, {}{DIM:#}",
        command.pid, command.state
    )?;
    let indent = format!("{before}           ");
    for lock in &command.holds {
        writeln!(output, "{indent}holds {lock}")?;
    }
    for (lock, pid) in &command.held_by_others {
        let verb = if command.waits_for_lock {
            "waits for"
        } else {
            "without"
        };
        writeln!(
            output,
            "{indent}{WARNING}{verb} {lock}, which {pid} holds{WARNING:#}"
        )?;
    }
    for (depth, pid, line) in &command.children {
        let space = "  ".repeat(*depth);
        let line = visible(&redact::shown(line));
        writeln!(output, "{indent}{space}{line}  {DIM}pid {pid}{DIM:#}")?;
    }
    if command.children.is_empty() && command.last_event != "command" {
        let event = visible(&command.last_event);
        writeln!(output, "{indent}{DIM}after {event}{DIM:#}")?;
    }
    Ok(())
}
