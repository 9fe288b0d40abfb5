//! The module's functions: each tells the process's host something, or asks
//! it.
//!
//! Must not know what becomes of it.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyFloat;
use pyo3::types::PyTuple;
use uilog_channel::phase::Phase;
use uilog_event::event::Text;
use uilog_event::starters;
use uilog_event::starters::Terminal;
use uilog_logger::account::FaultKind;
use uilog_logger::hints;
use uilog_logger::host::Host;

#[cfg(target_os = "linux")]
use crate::claim;
use crate::convert;
use crate::convert::Items;
use crate::costs;
use crate::costs::Cost;
use crate::exit;
use crate::host;
use crate::locks;
use crate::logger::Logger;
use crate::logger::traceparent;
use crate::peer;
use crate::peer::Peer;

/// Tells where this module is installed and how to ask for hg's
/// executable; once, when the extension is loaded.
#[pyfunction]
pub(crate) fn setup(module_path: Vec<u8>, hgexecutable: Py<PyAny>) {
    host::setup(&module_path, hgexecutable);
}

/// Claims the running command, if `uilog run` has started it. Returns
/// whether UILOG_RUN was set; the caller must then unset it, so that child
/// processes do not inherit it.
#[pyfunction]
pub(crate) fn claim_command() -> bool {
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
pub(crate) fn enter_outermost() {
    host::with(|host| host.enter_command(false));
}

/// Notes that this process is about to execute another program, or that it
/// could not: then it was not killed.
#[pyfunction]
pub(crate) fn become_another(is_about_to: bool) {
    host::with(|host| host.become_another(is_about_to));
}

/// Notes that this thread's innermost command has ended.
#[pyfunction]
pub(crate) fn end_command() {
    locks::tell_held();
    costs::begin();
    host::with(Host::end_command);
}

/// Adds to this option of `commandfinish`: a number, or seconds.
#[pyfunction]
pub(crate) fn add_cost(option: &str, cost: &Bound<'_, PyAny>) -> PyResult<()> {
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
pub(crate) fn add_wire_commands(
    py: Python<'_>,
    commands: Vec<(Vec<u8>, u64, f64)>,
) -> Py<PyBytes> {
    PyBytes::new(py, &costs::add_wire_commands(commands)).unbind()
}

/// Wraps hg's `trylock`. `part` loads a part of the extension;
/// `parts` are those that are loaded.
#[pyfunction]
#[pyo3(signature = (part, parts, orig, /, *args, **kwargs))]
pub(crate) fn trylock<'py>(
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
pub(crate) fn steal_lock<'py>(
    orig: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    locks::steal_lock(orig, args, kwargs)
}

/// Notes that the command begins something that may take long, of this
/// kind.
#[pyfunction]
pub(crate) fn begin_phase(kind: &[u8], options: &Bound<'_, PyDict>) {
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
pub(crate) fn end_phase() {
    host::with(Host::end_phase);
}

/// Notes that this thread's innermost hook has ended.
#[pyfunction]
pub(crate) fn end_hook() {
    host::with(Host::end_hook);
}

/// The root of the repository of this thread's innermost command.
#[pyfunction]
pub(crate) fn command_root(py: Python<'_>) -> Option<Py<PyBytes>> {
    let root = host::with(|host| host.command_root().map(<[u8]>::to_vec));
    root.map(|root| PyBytes::new(py, &root).unbind())
}

/// Sets the bookmark or branch and the node of the working directory of the
/// repository at `root`.
#[pyfunction]
pub(crate) fn set_head(root: &[u8], name: Option<&[u8]>, node: Option<&[u8]>) {
    host::with(|host| host.set_head(root, name, node));
}

/// Who runs hg, by the environment: kind and name. `is_used` and `is_there`
/// say whether hg uses a terminal, and whether it has one.
#[pyfunction]
pub(crate) fn starter(
    is_used: bool,
    is_there: bool,
) -> (Option<&'static str>, Option<&'static str>) {
    let mut environment = Vec::new();
    uilog_sys::environ::append_to(&mut environment);
    let terminal = Terminal { is_used, is_there };
    let starter = starters::of(&environment, terminal);
    (starter.map(|it| it.kind), starter.and_then(|it| it.name))
}

/// Whether this process runs in a container, by its pid namespace.
#[pyfunction]
pub(crate) fn is_in_container() -> bool {
    uilog_channel::agent_address::is_in_container()
}

/// The session of the hg with this process ID, and the full name of the
/// command that it runs, as far as they can be seen.
#[pyfunction]
pub(crate) fn running_hg(pid: u32) -> (Option<String>, Option<String>) {
    #[cfg(target_os = "linux")]
    let running = {
        let mut running = None;
        host::guarded(|| running = uilog_channel::running_hg::of(pid));
        running.map(|it| (it.session, it.command))
    };
    #[cfg(not(target_os = "linux"))]
    let running = {
        let _ = pid;
        None
    };
    running.unwrap_or_default()
}

/// What programs that this thread starts are to find in `TRACEPARENT`, if
/// a command or a hook has a span.
#[pyfunction]
pub(crate) fn current_traceparent(py: Python<'_>) -> Option<Py<PyBytes>> {
    let context = host::with(|host| host.context());
    context.map(|context| traceparent(py, context))
}

/// Whether `uilog run` has logged a command's beginning or end already:
/// to scripts, and to the blackbox.
#[pyfunction]
pub(crate) fn taken_by_run(event: &[u8], depth: usize) -> (bool, bool) {
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
pub(crate) fn is_chg_server() -> bool {
    host::is_chg_server()
}

/// Notes that hg has changed its umask.
#[pyfunction]
pub(crate) fn set_umask(umask: u32) {
    host::with(|host| host.set_umask(umask));
}

/// Probable mistakes in `[uilog]` and `[logtoprocess]`, as (section, name,
/// problem).
#[pyfunction]
pub(crate) fn config_hints(
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
pub(crate) fn repair<'py>(
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
pub(crate) fn foreign_fault(
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
pub(crate) fn line_fault(detail: &[u8], error: &Bound<'_, PyAny>) {
    let detail = String::from_utf8_lossy(detail);
    let error = convert::describe(error);
    host::fault(FaultKind::LogFile, format!("{detail}: {error}"));
}

/// Counts a fault of the extension itself.
#[pyfunction]
pub(crate) fn internal_fault(error: &Bound<'_, PyAny>) {
    host::fault(FaultKind::Internal, convert::describe(error));
}

/// Counts a part of the extension that is off.
#[pyfunction]
pub(crate) fn part_off(detail: String) {
    host::fault(FaultKind::Internal, detail);
}

/// Closes connections, within the limit of this logger's configuration.
/// `show` is called with a connection and a line of its standard error.
/// All that a command has `leaked` shares one limit.
#[pyfunction]
pub(crate) fn close_peers(
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
pub(crate) fn register_peer(handle: Py<PyAny>) -> u64 {
    peer::register(handle)
}

/// Marks a peer as unused, although it was not closed.
#[pyfunction]
pub(crate) fn orphan_peer(id: u64) {
    peer::orphan(id);
}

/// Takes a peer that is closed out of the registry. If it is a
/// `connection` of ours, that knows how it has ended.
#[pyfunction]
#[pyo3(signature = (id, leaked, connection=None))]
pub(crate) fn unregister_peer(
    id: u64,
    leaked: bool,
    connection: Option<&Peer>,
) {
    peer::unregister(id, leaked, connection);
}

/// The open peers that the innermost command has opened, in the order of
/// their creation.
#[pyfunction]
pub(crate) fn command_peers(py: Python<'_>) -> Vec<Py<PyAny>> {
    peer::of_command(py)
}

/// The open peers that are no longer used.
#[pyfunction]
pub(crate) fn orphaned_peers(py: Python<'_>) -> Vec<Py<PyAny>> {
    peer::orphans(py)
}

/// Notes that a command begins within another; if it `is_served`, a client
/// of this process, a server, has requested it.
#[pyfunction]
pub(crate) fn enter_command(is_served: bool) {
    peer::enter_command();
    costs::enter();
    host::with(|host| host.enter_command(is_served));
}

/// Notes that the innermost command has ended.
#[pyfunction]
pub(crate) fn leave_command() {
    peer::leave_command();
    costs::leave();
    host::with(Host::leave_command);
}

/// When hg ends: waits for delivery, if configured, and handles losses that
/// no other process would notice.
#[pyfunction]
pub(crate) fn finish(py: Python<'_>) {
    exit::deliver(py);
    host::guarded(|| host::with(Host::finish));
}

/// The problems that have not been taken yet.
#[pyfunction]
pub(crate) fn take_unseen() -> Vec<String> {
    host::with(|host| {
        host.look_for_failures();
        host.take_unseen()
    })
}
