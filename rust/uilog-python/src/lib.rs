//! The native module of the uilog extension: conversions only.
//!
//! `convert` converts Python values; uilog-logger makes all decisions. Nothing
//! here raises into hg: a panic is caught and counted, and no lock is held
//! while Python code may run.

#[cfg(target_os = "linux")]
mod claim;
mod convert;
mod costs;
mod exit;
mod history;
mod host;
mod locks;
mod log;
mod peer;

use std::borrow::Cow;
use std::sync::Arc;

use history::DATE_EXAMPLES;
use history::History;
use log::BlackboxSettings;
use log::LogFile;
use peer::Peer;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyFloat;
use pyo3::types::PyList;
use pyo3::types::PyString;
use pyo3::types::PyTuple;
use uilog_channel::commandlost;
use uilog_channel::phase::Phase;
use uilog_channel::settings::Settings;
use uilog_config::items;
use uilog_event::event::Text;
use uilog_event::spans::Activity;
use uilog_event::starters;
use uilog_event::starters::Terminal;
use uilog_event::trace::Context;
use uilog_logger::account::FaultKind;
use uilog_logger::hints;
use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::host::RecursionGuard;
use uilog_logger::logger;

use crate::convert::Items;
use crate::costs::Cost;

/// The sinks of one ui, as a logger for `ui.setlogger`.
#[pyclass(frozen, module = "hgext3rd.uilog._native")]
struct Logger {
    inner: Arc<logger::Logger>,
    root: Option<Vec<u8>>,
    /// Where that comes from.
    url: Option<Vec<u8>>,
}

impl Logger {
    fn settings(&self) -> &Settings {
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
            convert::Status::of(
                host,
                &self.inner,
                queue_dir.as_deref(),
                problem,
            )
        });
        convert::status_dict(py, &status).map(Bound::unbind)
    }
}

impl Logger {
    fn tell_repository(&self, host: &mut Host) {
        if let Some(root) = &self.root {
            host.set_repository(root, self.url.as_deref());
        }
    }
}

fn traceparent(py: Python<'_>, context: Context) -> Py<PyBytes> {
    PyBytes::new(py, context.to_string().as_bytes()).unbind()
}

/// Makes functions of Python's of these and gives them to the module.
macro_rules! add_functions {
    ($module:ident: $($name:ident)*) => {
        $(
            let function = wrap_pyfunction!(functions::$name, $module)?;
            $module.setattr(stringify!($name), function)?;
        )*
    };
}

/// The function of Python's that is asked for, if it is one of these.
macro_rules! find_function {
    ($module:ident, $wanted:ident: $($name:ident)*) => {
        match $wanted {
            $(stringify!($name) => {
                wrap_pyfunction!(functions::$name, $module)?.into_any()
            })*
            _ => return Err(PyAttributeError::new_err($wanted.to_owned())),
        }
    };
}

/// What the extension's Python half needs.
///
/// Each command that logs anything pays for what is made here, and few need
/// more than this; `find` makes the rest. Not by `PyModule::add`: that looks for
/// `__all__`, which is not there, and PyO3's first exception makes the class of
/// another one.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.setattr("Logger", module.py().get_type::<Logger>())?;
    add_functions!(module:
        claim_command
        end_command
        enter_outermost
        finish
        internal_fault
        is_chg_server
        set_umask
        setup
        steal_lock
        taken_by_run
        trylock
    );
    module.setattr("__getattr__", wrap_pyfunction!(find, module)?)
}

/// An attribute of the module that is asked for for the first time.
#[pyfunction]
#[pyo3(name = "__getattr__", pass_module)]
fn find<'py>(
    module: &Bound<'py, PyModule>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let py = module.py();
    let found = match name {
        "VERSION" => PyString::new(py, env!("CARGO_PKG_VERSION")).into_any(),
        "DATE_EXAMPLES" => PyString::new(py, DATE_EXAMPLES).into_any(),
        "ITEMS" => {
            let own = items::ITEMS.iter().filter(|item| item.is_own);
            let own = own.map(|item| (item.name, item.default));
            PyList::new(py, own.collect::<Vec<_>>())?.into_any()
        }
        "BlackboxSettings" => py.get_type::<BlackboxSettings>().into_any(),
        "History" => py.get_type::<History>().into_any(),
        "LogFile" => py.get_type::<LogFile>().into_any(),
        "Peer" => py.get_type::<Peer>().into_any(),
        "relative_date" => {
            wrap_pyfunction!(history::relative_date, module)?.into_any()
        }
        _ => find_function!(module, name:
            add_cost
            add_wire_commands
            become_another
            begin_phase
            close_peers
            command_peers
            command_root
            config_hints
            current_traceparent
            end_hook
            end_phase
            enter_command
            foreign_fault
            is_in_container
            leave_command
            line_fault
            orphan_peer
            orphaned_peers
            part_off
            register_peer
            repair
            running_hg
            set_head
            starter
            take_unseen
            unregister_peer
        ),
    };
    module.setattr(name, &found)?;
    Ok(found)
}

/// The module's functions.
mod functions {
    use super::*;

    /// Tells where this module is installed and how to ask for hg's
    /// executable; once, when the extension is loaded.
    #[pyfunction]
    pub(super) fn setup(module_path: Vec<u8>, hgexecutable: Py<PyAny>) {
        host::setup(&module_path, hgexecutable);
    }

    /// Claims the running command, if `uilog run` has started it. Returns
    /// whether UILOG_RUN was set; the caller must then unset it, so that child
    /// processes do not inherit it.
    #[pyfunction]
    pub(super) fn claim_command() -> bool {
        #[cfg(target_os = "linux")]
        let is_there = {
            let mut is_there = true;
            host::guarded(|| is_there = claim::claim());
            is_there
        };
        #[cfg(not(target_os = "linux"))]
        let is_there = false;
        is_there
    }

    /// Notes that the outermost command already runs in this thread.
    #[pyfunction]
    pub(super) fn enter_outermost() {
        host::with(|host| host.enter_command(false));
    }

    /// Notes that this process is about to execute another program, or that it
    /// could not: then it was not killed.
    #[pyfunction]
    pub(super) fn become_another(is_about_to: bool) {
        host::with(|host| host.become_another(is_about_to));
    }

    /// Notes that this thread's innermost command has ended.
    #[pyfunction]
    pub(super) fn end_command() {
        locks::tell_held();
        costs::begin();
        host::with(Host::end_command);
    }

    /// Adds to this option of `commandfinish`: a number, or seconds.
    #[pyfunction]
    pub(super) fn add_cost(
        option: &str,
        cost: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let cost = if cost.is_instance_of::<PyFloat>() {
            Cost::Seconds(cost.extract()?)
        } else {
            Cost::Count(cost.extract()?)
        };
        costs::add(option, cost);
        Ok(())
    }

    /// Adds wire commands to `commandfinish`, each with how often it was sent
    /// and how many seconds hg has waited. Returns a text of them.
    #[pyfunction]
    pub(super) fn add_wire_commands(
        py: Python<'_>,
        commands: Vec<(Vec<u8>, u64, f64)>,
    ) -> Py<PyBytes> {
        PyBytes::new(py, &costs::add_wire_commands(commands)).unbind()
    }

    /// Wraps hg's `trylock`. `part` loads a part of the extension;
    /// `parts` are those that are loaded.
    #[pyfunction]
    #[pyo3(signature = (part, parts, orig, /, *args, **kwargs))]
    pub(super) fn trylock<'py>(
        part: &Bound<'py, PyAny>,
        parts: &Bound<'py, PyDict>,
        orig: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        locks::trylock(part, parts, orig, args, kwargs)
    }

    /// Wraps hg's `steal_lock`.
    #[pyfunction]
    #[pyo3(signature = (orig, /, *args, **kwargs))]
    pub(super) fn steal_lock<'py>(
        orig: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        locks::steal_lock(orig, args, kwargs)
    }

    /// Notes that the command begins something that may take long, of this
    /// kind.
    #[pyfunction]
    pub(super) fn begin_phase(kind: &[u8], options: &Bound<'_, PyDict>) {
        host::guarded(|| {
            let phase = Phase {
                kind: Text(Cow::Borrowed(kind)),
                options: convert::options(options),
            };
            host::with(|host| host.begin_phase(&phase));
        });
    }

    /// Notes that the last phase is over.
    #[pyfunction]
    pub(super) fn end_phase() {
        host::with(Host::end_phase);
    }

    /// Notes that this thread's innermost hook has ended.
    #[pyfunction]
    pub(super) fn end_hook() {
        host::with(Host::end_hook);
    }

    /// The root of the repository of this thread's innermost command.
    #[pyfunction]
    pub(super) fn command_root(py: Python<'_>) -> Option<Py<PyBytes>> {
        let root = host::with(|host| host.command_root().map(<[u8]>::to_vec));
        root.map(|root| PyBytes::new(py, &root).unbind())
    }

    /// Sets the bookmark or branch and the node of the working directory of the
    /// repository at `root`.
    #[pyfunction]
    pub(super) fn set_head(
        root: &[u8],
        name: Option<&[u8]>,
        node: Option<&[u8]>,
    ) {
        host::with(|host| host.set_head(root, name, node));
    }

    /// Who runs hg, by the environment: kind and name. `is_used` and `is_there`
    /// say whether hg uses a terminal, and whether it has one.
    #[pyfunction]
    pub(super) fn starter(
        is_used: bool,
        is_there: bool,
    ) -> (Option<&'static str>, Option<&'static str>) {
        let mut environment = Vec::new();
        uilog_sys::environ::append_to(&mut environment);
        let terminal = Terminal { is_used, is_there };
        let found = starters::of(&environment, terminal);
        (found.map(|it| it.kind), found.and_then(|it| it.name))
    }

    /// Whether this process runs in a container, by its pid namespace.
    #[pyfunction]
    pub(super) fn is_in_container() -> bool {
        uilog_channel::agent_address::is_in_container()
    }

    /// The session of the hg with this process ID, and the full name of the
    /// command that it runs, as far as they can be seen.
    #[pyfunction]
    pub(super) fn running_hg(pid: u32) -> (Option<String>, Option<String>) {
        #[cfg(target_os = "linux")]
        let known = {
            let mut known = None;
            host::guarded(|| known = uilog_channel::running_hg::of(pid));
            known.map(|it| (it.session, it.command))
        };
        #[cfg(not(target_os = "linux"))]
        let known = {
            let _ = pid;
            None
        };
        known.unwrap_or_default()
    }

    /// What programs that this thread starts are to find in `TRACEPARENT`, if
    /// a command or a hook has a span.
    #[pyfunction]
    pub(super) fn current_traceparent(py: Python<'_>) -> Option<Py<PyBytes>> {
        let context = host::with(|host| host.context());
        context.map(|context| traceparent(py, context))
    }

    /// Whether `uilog run` has logged a command's beginning or end already:
    /// to scripts, and to the blackbox.
    #[pyfunction]
    pub(super) fn taken_by_run(event: &[u8], depth: usize) -> (bool, bool) {
        #[cfg(target_os = "linux")]
        let taken = {
            let mut taken = claim::ClaimedByRun::default();
            host::guarded(|| taken = claim::taken(event, depth));
            (taken.scripts, taken.blackbox)
        };
        #[cfg(not(target_os = "linux"))]
        let taken = {
            let _ = (event, depth);
            (false, false)
        };
        taken
    }

    /// Whether this process is chg's server, and not one of its workers.
    #[pyfunction]
    pub(super) fn is_chg_server() -> bool {
        host::is_chg_server()
    }

    /// Notes that hg has changed its umask.
    #[pyfunction]
    pub(super) fn set_umask(umask: u32) {
        host::with(|host| host.set_umask(umask));
    }

    /// Probable mistakes in `[uilog]` and `[logtoprocess]`, as (section, name,
    /// problem).
    #[pyfunction]
    pub(super) fn config_hints(
        uilog: Items<'_>,
        logtoprocess: Items<'_>,
    ) -> Vec<(String, String, String)> {
        let uilog = convert::items(&uilog);
        let logtoprocess = convert::items(&logtoprocess);
        let faults = hints::of(&uilog, &logtoprocess).into_iter();
        faults
            .map(|it| (it.section.to_owned(), it.name, it.problem))
            .collect()
    }

    /// The message to log for a format that its arguments do not fit.
    #[pyfunction]
    pub(super) fn repair<'py>(
        py: Python<'py>,
        event: &Bound<'py, PyAny>,
        msgfmt: &Bound<'py, PyAny>,
        msgargs: &Bound<'py, PyTuple>,
        error: &Bound<'py, PyAny>,
    ) -> Bound<'py, PyBytes> {
        let mut message = Vec::new();
        host::guarded(|| message = convert::repair(msgfmt, msgargs));
        let event = convert::lossy(event);
        let error = convert::describe(error);
        let detail = format!("{event}: message does not fit: {error}");
        host::fault(FaultKind::Format, detail);
        PyBytes::new(py, &message)
    }

    /// Counts that another extension's logger raised.
    #[pyfunction]
    pub(super) fn foreign_fault(
        logger: &Bound<'_, PyAny>,
        event: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
    ) {
        let logger = convert::lossy(logger);
        let event = convert::lossy(event);
        let error = convert::describe(error);
        let detail = format!("{event}: logger {logger} failed: {error}");
        host::fault(FaultKind::ForeignLogger, detail);
    }

    /// Counts a line of a log that lacks something.
    #[pyfunction]
    pub(super) fn line_fault(detail: &[u8], error: &Bound<'_, PyAny>) {
        let detail = String::from_utf8_lossy(detail);
        let error = convert::describe(error);
        host::fault(FaultKind::LogFile, format!("{detail}: {error}"));
    }

    /// Counts a fault of the extension itself.
    #[pyfunction]
    pub(super) fn internal_fault(error: &Bound<'_, PyAny>) {
        host::fault(FaultKind::Internal, convert::describe(error));
    }

    /// Counts a part of the extension that is off.
    #[pyfunction]
    pub(super) fn part_off(detail: String) {
        host::fault(FaultKind::Internal, detail);
    }

    /// Closes connections, within the limit of this logger's configuration.
    /// `show` is called with a connection and a line of its standard error.
    /// All that a command has `leaked` shares one limit.
    #[pyfunction]
    pub(super) fn close_peers(
        py: Python<'_>,
        logger: Option<&Bound<'_, Logger>>,
        peers: Vec<Py<Peer>>,
        show: &Bound<'_, PyAny>,
        leaked: bool,
    ) -> PyResult<()> {
        let settings = logger.map(|it| *it.get().settings());
        let settings = settings.unwrap_or_default();
        peer::close(py, &settings, &peers, show, leaked)
    }

    /// Puts a peer that has just been opened into the registry.
    #[pyfunction]
    pub(super) fn register_peer(handle: Py<PyAny>) -> u64 {
        peer::register(handle)
    }

    /// Marks a peer as unused, although it was not closed.
    #[pyfunction]
    pub(super) fn orphan_peer(id: u64) {
        peer::orphan(id);
    }

    /// Takes a peer that is closed out of the registry. If it is a
    /// `connection` of ours, that knows how it has ended.
    #[pyfunction]
    #[pyo3(signature = (id, leaked, connection=None))]
    pub(super) fn unregister_peer(
        id: u64,
        leaked: bool,
        connection: Option<&Peer>,
    ) {
        peer::unregister(id, leaked, connection);
    }

    /// The open peers that the innermost command has opened, in the order of
    /// their creation.
    #[pyfunction]
    pub(super) fn command_peers(py: Python<'_>) -> Vec<Py<PyAny>> {
        peer::of_command(py)
    }

    /// The open peers that are no longer used.
    #[pyfunction]
    pub(super) fn orphaned_peers(py: Python<'_>) -> Vec<Py<PyAny>> {
        peer::orphans(py)
    }

    /// Notes that a command begins within another; if it `is_served`, a client
    /// of this process, a server, has requested it.
    #[pyfunction]
    pub(super) fn enter_command(is_served: bool) {
        peer::enter_command();
        costs::enter();
        host::with(|host| host.enter_command(is_served));
    }

    /// Notes that the innermost command has ended.
    #[pyfunction]
    pub(super) fn leave_command() {
        peer::leave_command();
        costs::leave();
        host::with(Host::leave_command);
    }

    /// When hg ends: waits for delivery, if configured, and handles losses that
    /// no other process would notice.
    #[pyfunction]
    pub(super) fn finish(py: Python<'_>) {
        exit::deliver(py);
        host::guarded(|| host::with(Host::finish));
    }

    /// The problems that have not been taken yet.
    #[pyfunction]
    pub(super) fn take_unseen() -> Vec<String> {
        host::with(|host| {
            host.look_for_failures();
            host.take_unseen()
        })
    }
}
