//! A running command, with what uilog knows about it.
//!
//! Responsible for joining the commands of record files with the queues and
//! dispatchers of this machine. Must not know how commands are shown.

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
use crate::output::local;

/// A command, and what uilog does for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub(super) command: Open,
    /// Since when it has been running, in seconds.
    pub(super) seconds: f64,
    /// Scripts that run, by their processes, with their events.
    pub(super) scripts: Vec<(i32, String)>,
    /// Events whose scripts wait.
    pub(super) scripts_waiting: u64,
    /// Records that are not delivered yet.
    pub(super) records_waiting: u64,
}

impl Running {
    /// All commands that run now.
    pub(super) fn now(watch: &Watch) -> Vec<Self> {
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
    pub(super) fn waits_for(&self) -> Option<u64> {
        let command = &self.command;
        let named = command.phase.as_ref().and_then(|it| it.holder);
        let found = command.held_by_others.first().map(|it| it.1);
        named.or(found).filter(|_| command.waits_for_lock)
    }

    pub(super) fn as_json(&self) -> Json {
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
