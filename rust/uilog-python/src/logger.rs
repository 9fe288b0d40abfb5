//! The class `Logger`: the sinks of one ui.
//!
//! Must not know how Python's values are converted, or what a sink does.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use uilog_channel::commandlost;
use uilog_channel::settings::Settings;
use uilog_event::spans::Activity;
use uilog_event::trace::Context;
use uilog_logger::account::FaultKind;
use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::host::RecursionGuard;
use uilog_logger::logger;

#[cfg(target_os = "linux")]
use crate::claim;
use crate::convert;
use crate::convert::Items;
use crate::costs;
use crate::host;
use crate::locks;
use crate::status;
use crate::status::Status;

/// The sinks of one ui, as a logger for `ui.setlogger`.
#[pyclass(frozen, module = "hgext3rd.uilog._native")]
pub(crate) struct Logger {
    inner: Arc<logger::Logger>,
    root: Option<Vec<u8>>,
    /// Where that comes from.
    url: Option<Vec<u8>>,
}

impl Logger {
    pub(crate) fn settings(&self) -> &Settings {
        self.inner.settings()
    }
}

#[pymethods]
impl Logger {
    #[new]
    #[pyo3(signature = (uilog, logtoprocess, root=None, sources=None))]
    fn new(
        uilog: Items<'_>,
        logtoprocess: Items<'_>,
        root: Option<Vec<u8>>,
        sources: Option<Items<'_>>,
    ) -> Self {
        let sources = sources.map(|it| convert::items(&it));
        let uilog = convert::items(&uilog);
        let logtoprocess = convert::items(&logtoprocess);
        let inner = logger::Logger::with_sources(
            &uilog,
            &logtoprocess,
            &sources.unwrap_or_default(),
        );
        let inner = Arc::new(inner);
        Self {
            inner,
            root,
            url: None,
        }
    }

    /// The same sinks, for a ui that belongs to the repository at `root`,
    /// which comes from `url`.
    #[pyo3(signature = (root, url=None))]
    fn with_root(&self, root: Vec<u8>, url: Option<Vec<u8>>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            root: Some(root),
            url,
        }
    }

    /// The root of the repository that the ui belongs to.
    #[getter]
    fn root(&self) -> Option<Cow<'_, [u8]>> {
        self.root.as_deref().map(Cow::Borrowed)
    }

    /// Notes that a command begins in this ui's repository, even if no sink
    /// tracks it.
    fn begin_command(&self) {
        costs::begin();
        host::with(|host| {
            host.begin_command(self.root.as_deref());
            self.tell_repository(host);
        });
    }

    /// Notes that a command of this name begins: if this process is killed,
    /// sinks get an event. `depth` is the number of enclosing commands.
    fn note_command(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        canonical: Option<Vec<u8>>,
        depth: usize,
    ) {
        host::guarded(|| {
            // The system reports the end to `uilog run`.
            #[cfg(target_os = "linux")]
            if claim::is_of_run(depth) {
                return;
            }
            let message = convert::text(message);
            let hg = host::hg_executable(py);
            let canonical = canonical.as_deref();
            let canonical = canonical.map(|it| commandlost::canonical(it));
            let draft = Draft {
                name: commandlost::NAME,
                message: Cow::Owned(message),
                options: canonical.into_iter().collect(),
                hg: &hg,
                root: self.root.as_deref(),
                time: None,
                pid: None,
            };
            host::with_environment(|host| {
                self.tell_repository(host);
                self.inner.note_command(host, draft);
            });
        });
    }

    /// Begins the span of this thread's innermost command. `version` is
    /// Mercurial's; for the others see `Host::begin_span`.
    ///
    /// Returns the `TRACEPARENT` for the command's children; `None` if the
    /// command has a span already.
    fn begin_span(
        &self,
        py: Python<'_>,
        version: &Bound<'_, PyAny>,
        owns_environment: bool,
        is_new: bool,
    ) -> Option<Py<PyBytes>> {
        let version = version.call0().ok();
        let version = version.map(|version| convert::text(&version));
        let mut trace = None;
        host::guarded(|| {
            trace = host::with_environment(|host| {
                if let Some(version) = version {
                    host.set_hg_version(version);
                }
                host.begin_span(owns_environment, is_new)
            });
        });
        trace.map(|it| traceparent(py, it.context()))
    }

    /// Begins the span of a hook: of a Python function, or of a program.
    /// Returns what its children are to find in `TRACEPARENT`.
    fn begin_hook(
        &self,
        py: Python<'_>,
        is_python: bool,
        owns_environment: bool,
    ) -> Option<Py<PyBytes>> {
        let kind = if is_python {
            Activity::PythonHook
        } else {
            Activity::ShellHook
        };
        let mut trace = None;
        host::guarded(|| {
            trace = Some(host::with_environment(|host| {
                host.begin_hook(kind, owns_environment)
            }));
        });
        trace.map(|it| traceparent(py, it.context()))
    }

    /// Whether there are structured sinks, which need traces.
    #[getter]
    fn tells_traces(&self) -> bool {
        self.inner.has_structured()
    }

    /// Whether any sink wants events of this name. An operator and no method:
    /// every event asks, and a call from Python costs four times as much.
    fn __contains__(&self, event: &Bound<'_, PyAny>) -> bool {
        let bytes = event.cast::<PyBytes>();
        bytes.is_ok_and(|event| self.inner.tracks(event.as_bytes()))
    }

    /// The same, as Mercurial asks its loggers.
    fn tracked(&self, event: &Bound<'_, PyAny>) -> bool {
        self.__contains__(event)
    }

    /// Passes an event to every sink that tracks it; true if there are problems
    /// for debug output (see `take_unseen`).
    fn log(
        &self,
        py: Python<'_>,
        _ui: &Bound<'_, PyAny>,
        event: &Bound<'_, PyAny>,
        msg: &Bound<'_, PyAny>,
        opts: &Bound<'_, PyDict>,
    ) -> bool {
        host::guarded(|| {
            let Some(_depth) = RecursionGuard::enter() else {
                let detail = "an event was logged while logging, too deep";
                host::fault(FaultKind::Recursion, detail.to_owned());
                return;
            };
            let name = convert::text(event);
            let message = convert::text(msg);
            let mut options = convert::options(opts);
            if name == b"commandfinish" {
                locks::tell_held();
                options.extend(costs::of_command());
            }
            let hg = host::hg_executable(py);
            let draft = Draft {
                name: &name,
                message: Cow::Owned(message),
                options,
                hg: &hg,
                root: self.root.as_deref(),
                time: None,
                pid: None,
            };
            let mut locked = host::Locked::in_environment();
            self.tell_repository(locked.host());
            self.inner.log(locked.host(), draft);
        });
        host::has_unseen()
    }

    /// What the configuration says that was not understood, as (section,
    /// name, problem).
    fn faults(&self) -> Vec<(String, String, String)> {
        let faults = self.inner.faults().iter();
        faults
            .map(|f| (f.section.to_owned(), f.name.clone(), f.problem.clone()))
            .collect()
    }

    /// The sinks that this configuration switches on.
    fn sinks(&self) -> Vec<String> {
        self.inner.sinks()
    }

    /// Where the sinks lead that have a URL, without secrets: names and URLs.
    fn urls(&self) -> Vec<(String, String)> {
        self.inner.urls()
    }

    /// The state of this process, for `hg debuguilog`. With `probe` the
    /// dispatcher is started if none runs, to see whether that works.
    /// `queue_dir` is what `uilog.queue-dir` says.
    #[pyo3(signature = (probe=false, queue_dir=None))]
    fn status(
        &self,
        py: Python<'_>,
        probe: bool,
        queue_dir: Option<Vec<u8>>,
    ) -> PyResult<Py<PyDict>> {
        let status = host::with_environment(|host| {
            let problem = probe
                .then(|| self.inner.probe_dispatcher(host).err())
                .flatten();
            Status::of(host, &self.inner, queue_dir.as_deref(), problem)
        });
        status::dict(py, &status).map(Bound::unbind)
    }
}

impl Logger {
    fn tell_repository(&self, host: &mut Host) {
        if let Some(root) = &self.root {
            host.set_repository(root, self.url.as_deref());
        }
    }
}

/// A context as the value of `TRACEPARENT`.
pub(crate) fn traceparent(py: Python<'_>, context: Context) -> Py<PyBytes> {
    PyBytes::new(py, context.to_string().as_bytes()).unbind()
}
