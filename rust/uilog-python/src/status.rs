//! What `hg debuguilog` shows of this process, as nested dicts.
//!
//! Must not know how it is shown.

use std::os::unix::ffi::OsStrExt;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use uilog_channel::agent_address::QueueLocations;
use uilog_channel::journal::Group;
use uilog_channel::journal::ScriptFailure;
use uilog_channel::journal::grouped;
use uilog_channel::record_queues;
use uilog_channel::record_queues::Agent;
use uilog_logger::account::Counters;
use uilog_logger::account::FaultKind;
use uilog_logger::dispatcher;
use uilog_logger::host::Host;
use uilog_logger::logger::Logger;
use uilog_logger::record_queue;
use uilog_peer::Outcome;

use crate::peer;

/// What `hg debuguilog` shows of this process.
pub(crate) struct Status {
    session: String,
    program: Vec<u8>,
    starts: u64,
    problem: Option<String>,
    dispatcher: Option<dispatcher::Status>,
    records: Records,
    causes: Vec<(String, u64)>,
    counters: Counters,
    /// How many are open, and what became of the others.
    peers: (usize, uilog_peer::Counters),
    recent: Vec<String>,
    journal: Option<Journal>,
}

/// The way of records out of this process.
struct Records {
    /// The process that delivers them, if there are sinks.
    way: Option<&'static str>,
    /// The agent that there is, and whether it is stopped.
    agent: Option<Agent>,
    queue: Option<record_queue::Status>,
    /// Why there is no queue, although an agent is configured.
    unusable: Option<String>,
}

impl Records {
    fn of(host: &Host, logger: &Logger, queue_dir: Option<&[u8]>) -> Self {
        let has_agent = logger.settings().has_agent;
        let unusable = host.records().why_unusable().filter(|_| has_agent);
        let way = match has_agent && unusable.is_none() {
            true => "agent",
            false => "dispatcher",
        };
        let mut block = Vec::new();
        uilog_sys::environ::append_to(&mut block);
        let whereabouts = QueueLocations::new(&block, queue_dir);
        let agents = match has_agent {
            true => record_queues::agents(&whereabouts),
            false => Vec::new(),
        };
        Self {
            way: logger.has_structured().then_some(way),
            agent: agents.into_iter().find(|it| it.is_near),
            queue: host.records().status(),
            unusable,
        }
    }

    fn agent(&self) -> Option<String> {
        if self.way != Some("agent") {
            return None;
        }
        Some(match &self.agent {
            None => "not running; the first record starts one".to_owned(),
            Some(Agent {
                pid: None, path, ..
            }) => format!("is starting, or cannot be seen: {path}"),
            Some(Agent {
                pid: Some(pid),
                is_stopped,
                ..
            }) => match is_stopped {
                true => format!("process {pid}, stopped by a signal"),
                false => format!("process {pid}"),
            },
        })
    }

    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let records = PyDict::new(py);
        let queue = self.queue.as_ref();
        let progress = queue.map(|it| it.progress).unwrap_or_default();
        let appended = queue.map_or(0, |it| it.records);
        let path = queue.map(|it| it.name.as_os_str().as_bytes());
        records.set_item("way", self.way.unwrap_or("none"))?;
        records.set_item("agent", self.agent())?;
        records.set_item("queue", path.map(|it| PyBytes::new(py, it)))?;
        records.set_item("no-queue-because", &self.unusable)?;
        records.set_item("appended", appended)?;
        let waiting = appended.saturating_sub(progress.records);
        records.set_item("waiting", waiting)?;
        records.set_item("done", progress.records)?;
        records.set_item("lost", progress.records_lost)?;
        records.set_item("bytes", queue.map_or(0, |it| it.queue_bytes))?;
        records.set_item("starts", queue.map_or(0, |it| it.starts))?;
        let failure = queue.and_then(|it| it.last_failure.as_deref());
        records.set_item("last-failure", failure)?;
        Ok(records)
    }
}

struct Journal {
    path: Vec<u8>,
    problem: Option<String>,
    fallback: Option<Vec<u8>>,
    failures: Vec<uilog_channel::journal::Failure>,
}

impl Status {
    pub(crate) fn of(
        host: &mut Host,
        logger: &Logger,
        queue_dir: Option<&[u8]>,
        problem: Option<String>,
    ) -> Self {
        let records = Records::of(host, logger, queue_dir);
        let causes = host.causes().to_vec();
        let dispatcher = host.dispatcher();
        let bytes =
            |path: &std::path::Path| path.as_os_str().as_bytes().to_vec();
        Self {
            problem,
            records,
            causes,
            program: bytes(dispatcher.program()),
            starts: dispatcher.starts(),
            dispatcher: dispatcher.status(),
            session: host.session().to_string(),
            counters: host.counters(),
            peers: peer::counts(),
            recent: host.recent().map(str::to_owned).collect(),
            journal: host.journal().map(|journal| Journal {
                path: bytes(journal.path()),
                problem: journal.problem(),
                fallback: journal.fallback().map(|path| bytes(&path)),
                failures: journal.read(),
            }),
        }
    }
}

/// The status as nested dicts; the keys are part of `hg debuguilog -T json`.
pub(crate) fn dict<'py>(
    py: Python<'py>,
    status: &Status,
) -> PyResult<Bound<'py, PyDict>> {
    let journal = status.journal.as_ref();
    let path = journal.map(|it| PyBytes::new(py, &it.path));
    let fallback = journal.and_then(|it| it.fallback.as_ref());
    let fallback = fallback.map(|it| PyBytes::new(py, it));
    let problem = journal.and_then(|it| it.problem.as_deref());
    let failures = PyList::empty(py);
    for group in journal.map_or_else(Vec::new, |it| grouped(&it.failures)) {
        failures.append(failure_dict(py, &group)?)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("session", &status.session)?;
    dict.set_item("dispatcher", status.dispatcher_dict(py)?)?;
    dict.set_item("records", status.records.dict(py)?)?;
    dict.set_item("causes", &status.causes)?;
    dict.set_item("counters", counters_dict(py, &status.counters)?)?;
    dict.set_item("peers", peers_dict(py, &status.peers)?)?;
    dict.set_item("recent", &status.recent)?;
    dict.set_item("journal", path)?;
    dict.set_item("journal-problem", problem)?;
    dict.set_item("journal-fallback", fallback)?;
    dict.set_item("failures", failures)?;
    Ok(dict)
}

impl Status {
    fn dispatcher_dict<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("program", PyBytes::new(py, &self.program))?;
        dict.set_item("starts", self.starts)?;
        dict.set_item("problem", &self.problem)?;
        let Some(running) = &self.dispatcher else {
            return Ok(dict);
        };
        let progress = running.progress;
        let waiting = running.jobs.saturating_sub(progress.taken);
        dict.set_item("pid", running.pid)?;
        dict.set_item("jobs", running.jobs)?;
        dict.set_item("waiting", waiting)?;
        dict.set_item("started", progress.started)?;
        dict.set_item("succeeded", progress.succeeded)?;
        dict.set_item("failed", progress.failed)?;
        dict.set_item("not-started", progress.not_started)?;
        dict.set_item("timed-out", progress.timed_out)?;
        dict.set_item("records", progress.records)?;
        dict.set_item("records-lost", progress.records_lost)?;
        dict.set_item("queue-bytes", running.queue_bytes)?;
        dict.set_item("last-failure", &running.last_failure)?;
        Ok(dict)
    }
}

fn counters_dict<'py>(
    py: Python<'py>,
    counters: &Counters,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("events", counters.events)?;
    dict.set_item("delivered", counters.delivered)?;
    dict.set_item("lost", counters.lost)?;
    for (kind, count) in FaultKind::ALL.iter().zip(counters.faults) {
        dict.set_item(format!("fault-{}", kind.name()), count)?;
    }
    Ok(dict)
}

fn peers_dict<'py>(
    py: Python<'py>,
    (open, counters): &(usize, uilog_peer::Counters),
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("opened", counters.opened)?;
    dict.set_item("open", open)?;
    for (outcome, count) in Outcome::ALL.iter().zip(counters.outcomes) {
        dict.set_item(outcome.name(), count)?;
    }
    dict.set_item("leaked", counters.leaked)?;
    Ok(dict)
}

/// Failures of one kind that follow each other in the journal.
fn failure_dict<'py>(
    py: Python<'py>,
    group: &Group<'_>,
) -> PyResult<Bound<'py, PyDict>> {
    let failure = group.last;
    let script = failure.script.as_deref();
    let lines = script.map(ScriptFailure::lines).unwrap_or_default();
    let script = script.cloned().unwrap_or_default();
    let dict = PyDict::new(py);
    dict.set_item("first", group.first_time)?;
    dict.set_item("count", group.count)?;
    dict.set_item("time", &failure.time)?;
    dict.set_item("session", &failure.session)?;
    dict.set_item("event", &failure.event)?;
    dict.set_item("kind", failure.kind.name())?;
    dict.set_item("lost", group.lost)?;
    dict.set_item("detail", &failure.detail)?;
    dict.set_item("lines", lines)?;
    dict.set_item("source", script.source)?;
    dict.set_item("repository", script.repository)?;
    dict.set_item("cwd", script.cwd)?;
    dict.set_item("status", script.status)?;
    dict.set_item("signal", script.signal)?;
    dict.set_item("duration", script.duration)?;
    dict.set_item("stderr", script.stderr)?;
    Ok(dict)
}
