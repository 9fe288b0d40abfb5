//! ssh peers: the interface for Python.
//!
//! Python owns the objects, uilog-peer the connections. A connection is taken
//! out of its object while it is being closed, so that no lock is held while
//! the GIL is released, and a finalizer that closes it again finds nothing to
//! do.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use uilog_channel::settings::Settings;
use uilog_peer::CloseReport;
use uilog_peer::Counters;
use uilog_peer::Exit;
use uilog_peer::Id;
use uilog_peer::Limits;
use uilog_peer::Outcome;
use uilog_peer::Registry;
use uilog_peer::Shutdown;
use uilog_peer::Step;

use crate::host;

/// Locked only while no Python code can run, as the host is.
static REGISTRY: Mutex<Registry<Py<PyAny>>> = Mutex::new(Registry::new());

/// How long leaked connections of the current command have taken to end: a
/// command that leaks many does not wait the full time for each.
static SPENT: Mutex<Duration> = Mutex::new(Duration::ZERO);

/// The minimum time for each nevertheless: a process that ends by itself needs
/// less.
const LEAST_TOTAL: Duration = Duration::from_secs(1);

/// How long a signal may go unnoticed that comes just before a wait begins.
/// One that comes later ends the wait.
const SIGNAL_PAUSE: Duration = Duration::from_millis(100);

/// A connection through a child process.
#[pyclass(frozen, subclass, module = "hgext3rd.uilog._native")]
pub(crate) struct Peer {
    url: Vec<u8>,
    /// Empty while the connection is being closed.
    inner: Mutex<Option<uilog_peer::Peer>>,
}

fn with_registry<T>(body: impl FnOnce(&mut Registry<Py<PyAny>>) -> T) -> T {
    let registry = REGISTRY.lock();
    body(&mut registry.unwrap_or_else(PoisonError::into_inner))
}

impl Peer {
    fn with<T>(
        &self,
        body: impl FnOnce(&mut Option<uilog_peer::Peer>) -> T,
    ) -> T {
        let inner = self.inner.lock();
        body(&mut inner.unwrap_or_else(PoisonError::into_inner))
    }

    /// What came of closing it, if it is closed.
    fn result(&self) -> Option<CloseReport> {
        self.with(|inner| inner.as_ref()?.closed())
    }

    /// The connection, to be closed, unless it is already being closed.
    fn take(&self) -> Option<uilog_peer::Peer> {
        self.with(|inner| inner.take_if(|peer| peer.closed().is_none()))
    }
}

#[pymethods]
impl Peer {
    /// Takes a connection to `url`: the process and, as duplicates, the
    /// descriptors of its standard input, output and error.
    #[new]
    #[pyo3(signature = (url, pid, stdin, stdout, stderr))]
    fn new(
        url: Vec<u8>,
        pid: u32,
        stdin: i32,
        stdout: i32,
        stderr: i32,
    ) -> PyResult<Self> {
        let duplicate =
            |raw| uilog_sys::fd::duplicate(raw).map_err(PyOSError::new_err);
        let inner = uilog_peer::Peer::adopt(
            pid,
            duplicate(stdin)?,
            duplicate(stdout)?,
            duplicate(stderr)?,
        );
        Ok(Self {
            url,
            inner: Mutex::new(Some(inner)),
        })
    }

    /// Where it leads, without a password.
    #[getter]
    fn url(&self) -> &[u8] {
        &self.url
    }

    /// Whether this process has opened it.
    #[getter]
    fn is_own(&self) -> bool {
        self.with(|inner| inner.as_ref().is_none_or(uilog_peer::Peer::is_own))
    }

    /// The numbers of the open descriptors.
    fn descriptors(&self) -> [Option<i32>; 3] {
        self.with(|inner| {
            let descriptors = uilog_peer::Peer::descriptors;
            inner.as_ref().map(descriptors).unwrap_or_default()
        })
    }

    /// Closes the one of the descriptors that has this number.
    fn close_descriptor(&self, fd: i32) {
        self.with(|inner| {
            if let Some(peer) = inner {
                peer.close_descriptor(fd);
            }
        });
    }

    /// What came of closing it: the outcome, the seconds it took, and the
    /// exit code as `subprocess` has it, if known. None if it is not closed.
    fn closed(&self) -> Option<(Cow<'static, [u8]>, f64, Option<i32>)> {
        let closed = self.result()?;
        let code = match closed.exit {
            Some(Exit::Code(code)) => Some(code),
            Some(Exit::Signal(signal)) => Some(-signal),
            Some(Exit::Unknown) | None => None,
        };
        let outcome = Cow::Borrowed(closed.outcome.name().as_bytes());
        Some((outcome, closed.duration.as_secs_f64(), code))
    }
}

/// Closes connections, within the limits of these settings.
/// `show` is called with a connection and a line of its standard error.
///
/// An exception, in `show` or from a signal's handler, ends the connections
/// at once and passes.
pub(crate) fn close(
    py: Python<'_>,
    settings: &Settings,
    peers: &[Py<Peer>],
    show: &Bound<'_, PyAny>,
    leaked: bool,
) -> PyResult<()> {
    let mut result = Ok(());
    let began = Instant::now();
    host::guarded(|| result = try_close(py, settings, peers, show, leaked));
    if leaked {
        let mut spent = SPENT.lock().unwrap_or_else(PoisonError::into_inner);
        *spent = spent.saturating_add(began.elapsed());
    }
    result
}

fn try_close(
    py: Python<'_>,
    settings: &Settings,
    peers: &[Py<Peer>],
    show: &Bound<'_, PyAny>,
    leaked: bool,
) -> PyResult<()> {
    let limit = |time: Duration| (!time.is_zero()).then_some(time);
    let mut limits = Limits {
        idle: limit(settings.peer_timeout),
        total: limit(settings.peer_close_max),
    };
    if leaked {
        let spent = *SPENT.lock().unwrap_or_else(PoisonError::into_inner);
        let remaining = |total: Duration| {
            let remaining = total.saturating_sub(spent);
            remaining.max(LEAST_TOTAL.min(total))
        };
        limits.total = limits.total.map(remaining);
    }
    let (handles, inner): (Vec<_>, Vec<_>) = peers
        .iter()
        .filter_map(|peer| Some((peer, peer.get().take()?)))
        .unzip();
    let mut shutdown = Shutdown::new(inner, limits);
    let mut result = Ok(());
    loop {
        let called = match shutdown.step() {
            Step::Done => break,
            Step::Line { .. } if result.is_err() => continue,
            Step::Line { peer, line } => {
                let line = PyBytes::new(py, &line);
                show.call1((handles.get(peer), line)).map(drop)
            }
            Step::Wait => {
                py.detach(|| shutdown.wait(SIGNAL_PAUSE));
                if result.is_err() {
                    continue;
                }
                py.check_signals()
            }
        };
        if called.is_err() {
            result = called;
            shutdown.interrupt();
        }
    }
    for (handle, inner) in handles.into_iter().zip(shutdown.into_peers()) {
        count_overdue(&handle.get().url, &inner, limits);
        handle.get().with(|slot| *slot = Some(inner));
    }
    result
}

/// Counts a connection that did not end by itself.
fn count_overdue(url: &[u8], peer: &uilog_peer::Peer, limits: Limits) {
    let Some(closed) = peer.closed() else {
        return;
    };
    let how = match (closed.outcome, closed.exit) {
        (Outcome::Timeout | Outcome::Cut | Outcome::Killed, None) => {
            "could not kill it"
        }
        (Outcome::Timeout | Outcome::Cut, _) => "stopped waiting",
        (Outcome::Killed, _) => "killed it, as it ignored SIGTERM",
        _ => return,
    };
    let what = if closed.is_stderr_held {
        "its standard error is still held open"
    } else {
        "its process still runs"
    };
    let url = String::from_utf8_lossy(url);
    let seconds =
        |limit: Option<Duration>| limit.unwrap_or_default().as_secs_f64();
    let detail = if closed.is_cut {
        let total = seconds(limits.total);
        format!(
            "{url}: it still sent output {total} s after it was closed: \
             {how} (uilog.peer-close-max)"
        )
    } else {
        let idle = seconds(limits.idle);
        format!(
            "{url}: {what}, {idle} s after it was closed or after its last \
             output: {how} (uilog.peer-timeout)"
        )
    };
    host::with_environment(|host| host.peer_overdue(detail));
}

/// Registers a connection that has just been opened, whatever object holds it.
pub(crate) fn register(handle: Py<PyAny>) -> u64 {
    with_registry(|registry| registry.add(handle)).0
}

/// Marks it as unused, although it was not closed.
pub(crate) fn orphan(id: u64) {
    with_registry(|registry| registry.orphan(Id(id)));
}

/// Removes a closed connection; ignores those of other processes.
pub(crate) fn unregister(id: u64, is_leaked: bool, connection: Option<&Peer>) {
    let closed = connection.and_then(Peer::result);
    let outcome = closed.map_or(Outcome::Closed, |it| it.outcome);
    // Dropped here, when the registry is free again.
    let _handle =
        with_registry(|registry| registry.remove(Id(id), outcome, is_leaked));
}

/// The open connections that the innermost command has opened.
pub(crate) fn of_command(py: Python<'_>) -> Vec<Py<PyAny>> {
    with_registry(|r| r.of_command().map(|p| p.clone_ref(py)).collect())
}

/// The open connections that are no longer used.
pub(crate) fn orphans(py: Python<'_>) -> Vec<Py<PyAny>> {
    with_registry(|r| r.orphans().map(|p| p.clone_ref(py)).collect())
}

/// A command begins.
pub(crate) fn enter_command() {
    with_registry(Registry::enter_command);
    *SPENT.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
}

/// The innermost command has ended.
pub(crate) fn leave_command() {
    with_registry(Registry::leave_command);
}

/// How many connections are open, and what became of the others.
pub(crate) fn counts() -> (usize, Counters) {
    with_registry(|registry| (registry.open(), registry.counters()))
}
