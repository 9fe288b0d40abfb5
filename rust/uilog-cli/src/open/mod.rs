//! `uilog open`: the commands that are running.

mod follow;
mod screen;
mod tree;

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value as Json;
use serde_json::json;
use uilog_channel::record_queues;
use uilog_channel::record_queues::RecordQueue;
use uilog_channel::status;
use uilog_channel::status::Dispatcher;
use uilog_history::open::Open;
use uilog_history::open::Watch;
use uilog_sinks::redact;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::output::local;
use crate::output::say;
use crate::select;
use crate::select::EXIT_USAGE;
use crate::select::Sources;

/// The width if the output is not a terminal: nothing is truncated.
const ENDLESS: usize = usize::MAX;

/// Show the commands that have begun and have not ended, on this machine
///
/// Each command is shown with its duration, its activity (waiting for a lock,
/// another repository or an editor, running a hook), its child processes, the
/// locks that it holds, and below it the commands that wait for these; also its
/// running scripts and its undelivered records. uilog finds your own commands
/// that log through it, and running commands of other users whose beginning is
/// in a file of records.
///
/// With --follow, the terminal is updated until q or Ctrl-C is pressed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog open                            what runs now
  uilog open --follow                   kept up to date, until q
  uilog open -T json | jq '.[] | select(.seconds > 60) | .command'
  uilog open -T json | jq '.[] | select(.phase == \"lock\")'

Exit status:
  0  it is done, whether or not anything runs
  1  a file cannot be read
  2  --follow without a terminal")]
pub(crate) struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// Update the terminal until q, Ctrl-C or SIGTERM
    #[arg(short, long, conflicts_with = "template")]
    follow: bool,
    #[command(flatten)]
    presentation: Presentation,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.follow {
        if screen::has_terminal() {
            return follow::run(&arguments.sources);
        }
        say("uilog: --follow: standard output is no terminal");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let opened = arguments.sources.open()?;
    let mut watch = Watch::new(&uilog_sinks::globals::host_name());
    let problems = watch.read(&opened.sources, &vec![0; opened.sources.len()]);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    let running = Running::now(&watch);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let json: Vec<_> = running.iter().map(Running::as_json).collect();
        output::write_json(&mut output, &json)?;
    } else {
        if running.is_empty() {
            arguments.sources.say_where_records_come_from(&opened);
        }
        for line in tree::lines(&running) {
            writeln!(output, "{}", line.shown(ENDLESS))?;
        }
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// A command, and what uilog does for it.
#[derive(Clone, Debug, Default)]
struct Running {
    command: Open,
    /// Since when it has been running, in seconds.
    seconds: f64,
    /// Scripts that run, by their processes, with their events.
    scripts: Vec<(i32, String)>,
    /// Events whose scripts wait.
    scripts_waiting: u64,
    /// Records that are not delivered yet.
    records_waiting: u64,
}

impl Running {
    /// All commands that run now.
    fn now(watch: &Watch) -> Vec<Self> {
        let block = native::environment_block();
        let status = status::read(&block).map(|it| it.dispatchers);
        let dispatchers = status.unwrap_or_default();
        let mut queues = record_queues::find(&native::usual_whereabouts());
        queues.retain(|it| it.is_alive && it.is_near);
        let of_queues = queues.iter().map(|it| u64::from(it.pid));
        let hgs = dispatchers.iter().flat_map(|it| &it.hg);
        let of_hgs = hgs.filter_map(|it| u64::try_from(it.pid).ok());
        let processes: Vec<_> = of_queues.chain(of_hgs).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |it| it.as_micros() as i64);
        let commands = watch.commands(&processes).into_iter();
        commands
            .map(|command| {
                let micros = (now - command.start).max(0);
                let mut running = Self {
                    seconds: micros as f64 / 1e6,
                    command,
                    ..Self::default()
                };
                running.add(&dispatchers, &queues);
                running
            })
            .collect()
    }

    fn add(&mut self, dispatchers: &[Dispatcher], queues: &[RecordQueue]) {
        let pid = self.command.pid;
        let is_of_this = |it: &&Dispatcher| {
            it.hg.iter().any(|hg| u64::try_from(hg.pid) == Ok(pid))
        };
        for dispatcher in dispatchers.iter().filter(is_of_this) {
            self.scripts_waiting += dispatcher.waiting;
            let scripts = dispatcher
                .scripts
                .iter()
                .map(|it| (it.pid, it.event.clone().unwrap_or_default()));
            self.scripts.extend(scripts);
            self.records_waiting += dispatcher.records_waiting;
        }
        let queues = queues.iter().filter(|it| u64::from(it.pid) == pid);
        self.records_waiting += queues.map(RecordQueue::waiting).sum::<u64>();
    }

    /// The process of this machine that it waits for, to get a lock.
    fn waits_for(&self) -> Option<u64> {
        let command = &self.command;
        let named = command.phase.as_ref().and_then(|it| it.holder);
        let found = command.held_by_others.first().map(|it| it.1);
        named.or(found).filter(|_| command.waits_for_lock)
    }

    fn as_json(&self) -> Json {
        let command = &self.command;
        let children = command.children.iter().map(|(depth, pid, line)| {
            json!({"depth": depth, "pid": pid, "command": redact::shown(line)})
        });
        let others = command.held_by_others.iter();
        let others =
            others.map(|(lock, pid)| json!({"lock": lock, "pid": pid}));
        let scripts = self.scripts.iter();
        let scripts =
            scripts.map(|(pid, event)| json!({"pid": pid, "event": event}));
        json!({
            "pid": command.pid,
            "command": command.command,
            "user": command.user,
            "root": command.root,
            "trace": command.trace,
            "start": local(command.start),
            "seconds": self.seconds,
            "state": command.state,
            "last_event": command.last_event,
            "phase": command.phase.as_ref().map(|it| &it.kind),
            "does": command.phase.as_ref().map(|it| &it.text),
            "holds": command.holds,
            "held_by_others": others.collect::<Vec<_>>(),
            "waits_for_lock": command.waits_for_lock,
            "waits_for_pid": self.waits_for(),
            "children": children.collect::<Vec<_>>(),
            "scripts": scripts.collect::<Vec<_>>(),
            "scripts_waiting": self.scripts_waiting,
            "records_waiting": self.records_waiting,
        })
    }
}
