//! Blocking every signal of a thread while it clones.

use std::io;

pub(super) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Blocks every signal of this thread, the C library's own included, until
/// dropped: the children inherit that, and so run no handler of the caller.
pub(crate) struct SignalsBlocked {
    before: u64,
    is_kept: bool,
}

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        Self {
            before: set_signal_mask(u64::MAX),
            is_kept: false,
        }
    }

    /// The mask before.
    pub(crate) fn before(&self) -> u64 {
        self.before
    }

    /// Leaves them blocked.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if !self.is_kept {
            set_signal_mask(self.before);
        }
    }
}

/// Sets this thread's signal mask and returns the one before.
///
/// Not `pthread_sigmask`, which leaves the C library's internal signals
/// deliverable.
fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: both are live locals of the kernel's size of a signal set.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        )
    };
    before
}
