//! What stands around hg's functions that take a lock: for how long this
//! process holds any, and where to ask who holds one that is refused.
//!
//! Most commands that take a lock get it at once, so no Python code is read for
//! it: the part `locks` is loaded when a lock is found held.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::types::PyTuple;
use uilog_logger::account::FaultKind;

use crate::convert;
use crate::costs;
use crate::costs::Cost;
use crate::host;

/// The option of `commandfinish` that tells for how long.
const LOCK_HELD: &str = "lock_held";
/// The part of the extension that finds out who holds a lock.
const PART: &str = "locks";

/// Locked only while no Python code can run.
static HELD: Mutex<Held> = Mutex::new(Held {
    count: 0,
    since: None,
});

struct Held {
    /// How many of hg's locks this process holds.
    count: u64,
    /// Since when it holds any, as far as that has not been told.
    since: Option<Instant>,
}

fn with<T>(body: impl FnOnce(&mut Held) -> T) -> T {
    body(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Tells for how long locks have been held that still are.
pub(crate) fn tell_held() {
    with(|held| {
        if let Some(since) = held.since {
            let now = Instant::now();
            let seconds = (now - since).as_secs_f64();
            costs::add(LOCK_HELD, Cost::Seconds(seconds));
            held.since = Some(now);
        }
    });
}

/// The function that hg calls when it has released a lock that is counted.
#[pyfunction]
#[pyo3(signature = (*_args))]
fn released(_args: &Bound<'_, PyTuple>) {
    with(|held| {
        held.count = held.count.saturating_sub(1);
        if held.count == 0
            && let Some(since) = held.since.take()
        {
            let seconds = since.elapsed().as_secs_f64();
            costs::add(LOCK_HELD, Cost::Seconds(seconds));
        }
    });
}

/// Lets hg tell when it releases this lock.
fn await_release(lock: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = lock.py();
    let callbacks = lock.getattr(intern!(py, "postrelease"))?;
    let released = wrap_pyfunction!(released, py)?;
    callbacks.call_method1(intern!(py, "insert"), (0, released))?;
    Ok(())
}

/// Counts a fault of the extension, which must not affect hg. Ctrl-C and what
/// hg's signal handlers raise are no faults: they are returned.
fn tolerate(py: Python<'_>, result: PyResult<()>) -> PyResult<()> {
    match result {
        Err(err) if err.is_instance_of::<PyException>(py) => {
            let detail = convert::describe(err.value(py).as_any());
            host::fault(FaultKind::Internal, detail);
            Ok(())
        }
        other => other,
    }
}

/// Wraps hg's `trylock`. `part` loads a part of the extension; `parts` are
/// those that are loaded.
pub(crate) fn trylock<'py>(
    part: &Bound<'py, PyAny>,
    parts: &Bound<'py, PyDict>,
    orig: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = orig.py();
    let began = Instant::now();
    let result = orig.call(args, kwargs);
    let logged = match &result {
        Ok(lock) => tell_got(part, parts, args, lock, began).and_then(|()| {
            await_release(lock)?;
            with(|held| {
                held.since.get_or_insert_with(Instant::now);
                held.count += 1;
            });
            Ok(())
        }),
        Err(err) => tell_failed(parts, err.value(py).as_any()),
    };
    if let Err(interrupt) = tolerate(py, logged) {
        // The caller never gets the lock, so nobody else would release it.
        if let Ok(lock) = &result {
            let _ = lock.call_method1(intern!(py, "release"), (false,));
        }
        return Err(interrupt);
    }
    result
}

fn tell_got<'py>(
    part: &Bound<'py, PyAny>,
    parts: &Bound<'py, PyDict>,
    args: &Bound<'py, PyTuple>,
    lock: &Bound<'py, PyAny>,
    began: Instant,
) -> PyResult<()> {
    let py = lock.py();
    let is_late = lock.getattr(intern!(py, "delay"))?.is_truthy()?;
    if is_late || parts.contains(PART)? {
        let waited = began.elapsed().as_secs_f64();
        let locks = part.call1((PART,))?;
        locks.call_method1("get", (args, lock, waited))?;
    }
    Ok(())
}

fn tell_failed(
    parts: &Bound<'_, PyDict>,
    err: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // If the part is not loaded, the lock was never found held.
    if let Some(locks) = parts.get_item(PART)? {
        locks.call_method1("fail", (err,))?;
    }
    Ok(())
}

/// Wraps hg's `steal_lock`: a lock that replaces a counted one counts as well.
// hg: lock.steal_lock(ui, vfs, lockname, stolen_lock, ...); the stolen one is
// never released
pub(crate) fn steal_lock<'py>(
    orig: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = orig.py();
    let lock = orig.call(args, kwargs)?;
    let inherit = || -> PyResult<()> {
        let stolen = args.get_item(3)?;
        let callbacks = stolen.getattr(intern!(py, "postrelease"))?;
        if callbacks.contains(wrap_pyfunction!(released, py)?)? {
            await_release(&lock)?;
        }
        Ok(())
    };
    tolerate(py, inherit())?;
    Ok(lock)
}
