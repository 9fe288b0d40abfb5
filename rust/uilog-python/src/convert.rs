//! Converts Python values to Rust, and the status to Python.
//!
//! Nothing here fails: a value whose methods raise is replaced by a text that
//! says so, and counted.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::types::PyByteArray;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyFloat;
use pyo3::types::PyInt;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;
use uilog_channel::agent_address::QueueLocations;
use uilog_channel::journal::ScriptFailure;
use uilog_channel::journal::grouped;
use uilog_channel::record_queues;
use uilog_channel::record_queues::Agent;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Value;
use uilog_logger::account::Counters;
use uilog_logger::account::FaultKind;
use uilog_logger::dispatcher;
use uilog_logger::host::Host;
use uilog_logger::logger::Logger;
use uilog_logger::record_queue;
use uilog_peer::Outcome;

use crate::host;
use crate::peer;

/// The keyword arguments of a `ui.log` call.
pub(crate) fn options(opts: &Bound<'_, PyDict>) -> Vec<EventOption<'static>> {
    let pairs = opts.iter();
    pairs
        .map(|(key, value)| EventOption {
            key: Cow::Owned(option_key(&key)),
            value: option_value(&value),
        })
        .collect()
}

/// What `ui.configitems` returns: bytes, unless an extension has set
/// something else.
pub(crate) type Items<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// The items of a section; items whose value is `None` are skipped.
pub(crate) fn items(
    items: &[(Bound<'_, PyAny>, Bound<'_, PyAny>)],
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let set = items.iter().filter(|(_, value)| !value.is_none());
    set.map(|(name, value)| (text(name), text(value))).collect()
}

/// A key, which is a `str` from `**opts` or bytes from another logger's hand.
// hg: pycompat.byteskwargs encodes keys as Latin-1
fn option_key(key: &Bound<'_, PyAny>) -> Vec<u8> {
    let Ok(key) = key.cast::<PyString>() else {
        return text(key);
    };
    let key = string(key);
    let Ok(text) = std::str::from_utf8(&key) else {
        return key;
    };
    let latin1 = text.chars().map(|c| u8::try_from(u32::from(c)).ok());
    latin1.collect::<Option<Vec<u8>>>().unwrap_or(key)
}

fn option_value(value: &Bound<'_, PyAny>) -> Value<'static> {
    let owned = |bytes: Vec<u8>| Text(Cow::Owned(bytes));
    if value.is_none() {
        Value::Null
    } else if let Ok(value) = value.cast_exact::<PyBool>() {
        Value::Bool(value.is_true())
    } else if value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
    {
        Value::Bytes(owned(text(value)))
    } else if value.is_instance_of::<PyInt>() {
        Value::Int(owned(text(value)))
    } else if value.is_instance_of::<PyFloat>() {
        Value::Float(owned(text(value)))
    } else {
        Value::Str(owned(text(value)))
    }
}

/// Any object as bytes: bytes unchanged, `str` as UTF-8, objects with
/// `__bytes__` by calling that, anything else as `str` prints it.
// hg: pycompat.bytestr
pub(crate) fn text(value: &Bound<'_, PyAny>) -> Vec<u8> {
    try_text(value).unwrap_or_else(|error| {
        let of = type_name(value);
        let error = describe(error.value(value.py()).as_any());
        let detail = format!("a {of} could not be printed: {error}");
        host::fault(FaultKind::Unprintable, detail);
        format!("<unprintable {of}>").into_bytes()
    })
}

fn try_text(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(bytes.to_vec());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(string(text));
    }
    // To look for an attribute that is not there makes an exception.
    let is_number = value.is_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyFloat>();
    let bytes_method = intern!(value.py(), "__bytes__");
    if !is_number && value.hasattr(bytes_method)? {
        let bytes = value.call_method0(bytes_method)?;
        return Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec());
    }
    Ok(string(&value.str()?))
}

/// A `str` as UTF-8; what came from undecodable bytes becomes these again.
fn string(text: &Bound<'_, PyString>) -> Vec<u8> {
    let encode = |errors: &str| {
        let name = intern!(text.py(), "encode");
        let bytes = text.call_method1(name, ("utf-8", errors)).ok()?;
        Some(bytes.cast::<PyBytes>().ok()?.as_bytes().to_vec())
    };
    if let Ok(text) = text.to_cow() {
        return text.as_bytes().to_vec();
    }
    encode("surrogateescape")
        .or_else(|| encode("backslashreplace"))
        .unwrap_or_default()
}

/// A message whose arguments do not fit its format: the format unchanged, and
/// each argument's `repr`.
pub(crate) fn repair(
    msgfmt: &Bound<'_, PyAny>,
    msgargs: &Bound<'_, PyTuple>,
) -> Vec<u8> {
    let mut message = text(msgfmt);
    if msgargs.is_empty() {
        // Finished text that happens to hold a '%'.
        return message;
    }
    while message.last() == Some(&b'\n') {
        message.pop();
    }
    for argument in msgargs.iter() {
        message.push(b' ');
        match argument.repr() {
            Ok(repr) => message.extend_from_slice(&string(&repr)),
            Err(_) => message.extend_from_slice(
                format!("<unprintable {}>", type_name(&argument)).as_bytes(),
            ),
        }
    }
    message.push(b'\n');
    message
}

/// An exception in one line: its type and its text.
pub(crate) fn describe(error: &Bound<'_, PyAny>) -> String {
    let said = try_text(error).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let said = said.lines().next().unwrap_or_default();
    format!("{}: {said}", type_name(error))
}

/// Any object as text, in any encoding.
pub(crate) fn lossy(value: &Bound<'_, PyAny>) -> String {
    String::from_utf8_lossy(&text(value)).into_owned()
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name();
    name.map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

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
pub(crate) fn status_dict<'py>(
    py: Python<'py>,
    status: &Status,
) -> PyResult<Bound<'py, PyDict>> {
    let counters = PyDict::new(py);
    counters.set_item("events", status.counters.events)?;
    counters.set_item("delivered", status.counters.delivered)?;
    counters.set_item("lost", status.counters.lost)?;
    for (kind, count) in FaultKind::ALL.iter().zip(status.counters.faults) {
        counters.set_item(format!("fault-{}", kind.name()), count)?;
    }
    let peers = PyDict::new(py);
    let (open, counts) = &status.peers;
    peers.set_item("opened", counts.opened)?;
    peers.set_item("open", open)?;
    for (outcome, count) in Outcome::ALL.iter().zip(counts.outcomes) {
        peers.set_item(outcome.name(), count)?;
    }
    peers.set_item("leaked", counts.leaked)?;
    let dispatcher = PyDict::new(py);
    dispatcher.set_item("program", PyBytes::new(py, &status.program))?;
    dispatcher.set_item("starts", status.starts)?;
    dispatcher.set_item("problem", &status.problem)?;
    if let Some(running) = &status.dispatcher {
        let progress = running.progress;
        dispatcher.set_item("pid", running.pid)?;
        dispatcher.set_item("jobs", running.jobs)?;
        dispatcher
            .set_item("waiting", running.jobs.saturating_sub(progress.taken))?;
        dispatcher.set_item("started", progress.started)?;
        dispatcher.set_item("succeeded", progress.succeeded)?;
        dispatcher.set_item("failed", progress.failed)?;
        dispatcher.set_item("not-started", progress.not_started)?;
        dispatcher.set_item("timed-out", progress.timed_out)?;
        dispatcher.set_item("records", progress.records)?;
        dispatcher.set_item("records-lost", progress.records_lost)?;
        dispatcher.set_item("queue-bytes", running.queue_bytes)?;
        dispatcher.set_item("last-failure", &running.last_failure)?;
    }
    let failures = PyList::empty(py);
    let (mut path, mut problem, mut fallback) = (None, None, None);
    if let Some(journal) = &status.journal {
        path = Some(PyBytes::new(py, &journal.path));
        problem = journal.problem.as_deref();
        fallback = journal.fallback.as_ref().map(|it| PyBytes::new(py, it));
        for group in grouped(&journal.failures) {
            let failure = group.last;
            let entry = PyDict::new(py);
            entry.set_item("first", group.first_time)?;
            entry.set_item("count", group.count)?;
            entry.set_item("time", &failure.time)?;
            entry.set_item("session", &failure.session)?;
            entry.set_item("event", &failure.event)?;
            entry.set_item("kind", failure.kind.name())?;
            entry.set_item("lost", group.lost)?;
            entry.set_item("detail", &failure.detail)?;
            let script = failure.script.as_deref();
            let lines = script.map(ScriptFailure::lines).unwrap_or_default();
            entry.set_item("lines", lines)?;
            let script = script.cloned().unwrap_or_default();
            entry.set_item("source", script.source)?;
            entry.set_item("repository", script.repository)?;
            entry.set_item("cwd", script.cwd)?;
            entry.set_item("status", script.status)?;
            entry.set_item("signal", script.signal)?;
            entry.set_item("duration", script.duration)?;
            entry.set_item("stderr", script.stderr)?;
            failures.append(entry)?;
        }
    }
    let dict = PyDict::new(py);
    dict.set_item("session", &status.session)?;
    dict.set_item("dispatcher", dispatcher)?;
    dict.set_item("records", status.records.dict(py)?)?;
    dict.set_item("causes", &status.causes)?;
    dict.set_item("counters", counters)?;
    dict.set_item("peers", peers)?;
    dict.set_item("recent", &status.recent)?;
    dict.set_item("journal", path)?;
    dict.set_item("journal-problem", problem)?;
    dict.set_item("journal-fallback", fallback)?;
    dict.set_item("failures", failures)?;
    Ok(dict)
}
