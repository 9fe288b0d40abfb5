//! What this process was started with and has changed before `main`.
//!
//! Rust's runtime ignores SIGPIPE and opens `/dev/null` in the place of a
//! closed standard descriptor, and we ignore SIGXFSZ. A program that we start
//! in our place is to find all that as it was, so it is looked at before: the
//! C library calls the functions in `.init_array` first.

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
static LOOK: extern "C" fn() = look;

/// Nothing is set up yet when this runs: it makes system calls and stores what
/// they say.
extern "C" fn look() {
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

/// Bit `n` tells whether standard descriptor `n` was closed then.
pub(super) fn closed() -> u8 {
    CLOSED.load(Ordering::Relaxed)
}
