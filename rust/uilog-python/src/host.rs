//! The process's only [`Host`], and the guards that protect hg from faults of
//! uilog.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use uilog_channel::loss::Loss;
use uilog_logger::account::FaultKind;
use uilog_logger::host::Host;
use uilog_logger::installation;

/// Locked only while no Python code can run, and never across a fork: both
/// happen under the GIL alone.
static HOST: Mutex<Option<Host>> = Mutex::new(None);

/// Whether there are problems that were not fetched yet.
static UNSEEN: AtomicBool = AtomicBool::new(false);

/// The process that has loaded this module; workers are forked from it.
static LOADED_BY: AtomicU32 = AtomicU32::new(0);

/// Whether chg has started the process that has loaded this module.
static IS_OF_CHG: AtomicBool = AtomicBool::new(false);

/// Set by chg for the server that it starts; hg removes it.
// hg: contrib/chg/chg.c, chgserver.chgunixservice
const CHG_VARIABLE: &str = "CHGINTERNALMARK";

static HG_EXECUTABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Bytes that most environments have at most.
const ENVIRONMENT_BYTES: usize = 4096;

thread_local! {
    /// The environment's bytes, kept so that memory is taken only once.
    static ENVIRONMENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn setup(module_path: &[u8], hgexecutable: Py<PyAny>) {
    // A panic is caught and counted (see `guarded`); hg's stderr is not ours.
    std::panic::set_hook(Box::new(|_| {}));
    LOADED_BY.store(uilog_sys::fork::process_id(), Ordering::Relaxed);
    let is_of_chg = std::env::var_os(CHG_VARIABLE).is_some();
    IS_OF_CHG.store(is_of_chg, Ordering::Relaxed);
    let module = Path::new(OsStr::from_bytes(module_path));
    let program = installation::program_for(module);
    let programs = installation::Programs::of(program);
    Python::attach(|py| {
        let _ = HG_EXECUTABLE.set(py, hgexecutable);
    });
    let mut host = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    if host.is_none() {
        *host = Some(Host::new(programs));
    }
}

/// Whether this process was forked from the one that has loaded this module.
pub(crate) fn is_worker() -> bool {
    let loaded_by = LOADED_BY.load(Ordering::Relaxed);
    loaded_by != 0 && loaded_by != uilog_sys::fork::process_id()
}

/// Whether this process is chg's server, and not one of its workers.
pub(crate) fn is_chg_server() -> bool {
    IS_OF_CHG.load(Ordering::Relaxed) && !is_worker()
}

/// The process's host, locked.
pub(crate) struct Locked(MutexGuard<'static, Option<Host>>);

impl Locked {
    fn new() -> Self {
        Self(HOST.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// With hg's environment as it is now.
    pub(crate) fn in_environment() -> Self {
        let mut block = ENVIRONMENT.take();
        block.clear();
        block.reserve(ENVIRONMENT_BYTES);
        uilog_sys::environ::append_to(&mut block);
        let mut locked = Self::new();
        let host = locked.host();
        host.enter(&mut block);
        if IS_OF_CHG.load(Ordering::Relaxed) && is_worker() {
            host.belong_to_client();
        }
        ENVIRONMENT.set(block);
        locked
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        self.0
            .get_or_insert_with(|| Host::new(PathBuf::from("uilog")))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if self.host().has_unseen() {
            UNSEEN.store(true, Ordering::Relaxed);
        }
    }
}

/// Uses the process's host.
pub(crate) fn with<T>(body: impl FnOnce(&mut Host) -> T) -> T {
    let mut host = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    body(host.get_or_insert_with(|| Host::new(PathBuf::from("uilog"))))
}

/// Uses the process's host with the current environment.
pub(crate) fn with_environment<T>(body: impl FnOnce(&mut Host) -> T) -> T {
    body(Locked::in_environment().host())
}

/// Counts the result of an event at a sink outside of a logger.
pub(crate) fn account(event: &[u8], delivered: Result<(), Loss>) {
    let uncounted = with(|host| {
        if delivered.is_ok() && host.is_own() {
            host.account(event, delivered);
            None
        } else {
            Some(delivered)
        }
    });
    if let Some(delivered) = uncounted {
        // The journal is where the environment says.
        with_environment(|host| {
            host.with_own_report(|host| host.account(event, delivered));
        });
    }
}

/// Runs `body`; a panic in it is counted and goes no further.
pub(crate) fn guarded(body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("unknown panic");
        fault(FaultKind::Internal, format!("uilog panicked: {text}"));
    }
}

/// Counts a fault.
pub(crate) fn fault(kind: FaultKind, detail: String) {
    with(|host| host.fault(kind, detail));
    UNSEEN.store(true, Ordering::Relaxed);
}

/// Counts a fault that is shown to the user in another way.
pub(crate) fn reported_fault(kind: FaultKind, detail: String) {
    with(|host| host.with_own_report(|host| host.fault(kind, detail)));
}

/// Whether there are new problems since the last call.
pub(crate) fn has_unseen() -> bool {
    UNSEEN.swap(false, Ordering::Relaxed)
}

/// hg's executable, from `procutil.hgexecutable`.
pub(crate) fn hg_executable(py: Python<'_>) -> Vec<u8> {
    let called = HG_EXECUTABLE.get(py).map(|call| call.bind(py).call0());
    match called {
        Some(Ok(path)) => path
            .cast::<PyBytes>()
            .map_or_else(|_| b"hg".to_vec(), |path| path.as_bytes().to_vec()),
        _ => b"hg".to_vec(),
    }
}
