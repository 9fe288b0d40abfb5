//! Inherited state that Rust's runtime alters before `main`.
//!
//! Rust's runtime ignores SIGPIPE and opens `/dev/null` for each closed
//! standard descriptor, and uilog ignores SIGXFSZ. A program started by `uilog
//! run` must get the original state. So a function in `.init_array`, which the
//! C library calls before the runtime starts, records it.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// Whether SIGPIPE was ignored.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);
/// Whether SIGXFSZ was ignored.
static FILE_SIZE_IGNORED: AtomicBool = AtomicBool::new(false);
/// Bit `n`: standard descriptor `n` was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn() = record_descriptors;

/// Runs before anything is set up: only makes system calls and stores their
/// results.
extern "C" fn record_descriptors() {
    for fd in 0..3 {
        // SAFETY: touches no memory.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
    PIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    let is_file_size_ignored = is_ignored(libc::SIGXFSZ);
    FILE_SIZE_IGNORED.store(is_file_size_ignored, Ordering::Relaxed);
}

/// Whether this process ignores a signal now.
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null action changes nothing; the old one is written to a live
    // local.
    let asked =
        unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros are a valid action, and the call may have filled it.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Whether SIGPIPE was ignored when this process began.
pub(super) fn is_pipe_ignored() -> bool {
    PIPE_IGNORED.load(Ordering::Relaxed)
}

/// Whether SIGXFSZ was ignored when this process began.
pub(super) fn is_file_size_ignored() -> bool {
    FILE_SIZE_IGNORED.load(Ordering::Relaxed)
}

/// Bit `n`: standard descriptor `n` was closed then.
pub(super) fn closed() -> u8 {
    CLOSED.load(Ordering::Relaxed)
}
