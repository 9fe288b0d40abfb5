//! The native module of the uilog extension: conversions only.
//!
//! `logger` and `functions` are what Python sees, `convert` converts its values;
//! uilog-logger makes all decisions. Nothing here raises into hg: a panic is
//! caught and counted, and no lock is held while Python code may run.

#[cfg(target_os = "linux")]
mod claim;
mod convert;
mod costs;
mod exit;
mod functions;
mod history;
mod host;
mod locks;
mod log;
mod logger;
mod peer;
mod status;

use history::DATE_EXAMPLES;
use history::History;
use log::BlackboxSettings;
use log::LogFile;
use logger::Logger;
use peer::Peer;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3::types::PyString;
use uilog_config::items;

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
    let attribute = match name {
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
    module.setattr(name, &attribute)?;
    Ok(attribute)
}
