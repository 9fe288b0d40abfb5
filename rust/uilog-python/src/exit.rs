//! Waits at hg's end until its records are delivered.
//!
//! Only Python handles Ctrl-C. So no lock is held while this sleeps, and
//! signals are handled in between. An exception of a signal handler ends the
//! wait, and nothing else, since the command is over.

use std::time::Duration;

use pyo3::prelude::*;
use uilog_logger::before_exit::ExitWait;
use uilog_logger::host::Host;

use crate::host;

/// Waits, if configured, at most the configured time.
pub(crate) fn deliver(py: Python<'_>) {
    let mut wait: Option<ExitWait> = None;
    host::guarded(|| wait = host::with(|host| Host::begin_exit_wait(host)));
    let Some(mut wait) = wait else { return };
    loop {
        let mut step: Option<Duration> = None;
        host::guarded(|| {
            step = host::with(|host| host.look_after_delivery(&mut wait));
        });
        let Some(step) = step else { return };
        py.detach(|| std::thread::sleep(step));
        if py.check_signals().is_err() {
            return;
        }
    }
}
