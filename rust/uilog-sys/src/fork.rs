//! What must not survive into a forked child: descriptors, and the parent's
//! process id.
//!
//! Close-on-exec covers programs; it does not cover `fork` alone, which hg
//! uses for its workers and its command server. A forked child that kept the
//! parent's end of a socket would keep its reader waiting for an end of file.
//!
//! Only `fork(3)` runs the handler; a child made by a raw `clone` is noticed
//! by its process id wherever a descriptor is used.

use std::os::fd::RawFd;
use std::sync::Once;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// The most descriptors that can be guarded at a time.
const SLOTS: usize = 8;

const EMPTY: i32 = -1;

static GUARDED: [AtomicI32; SLOTS] = [const { AtomicI32::new(EMPTY) }; SLOTS];

/// 0 until somebody asks, in each process.
static PROCESS_ID: AtomicU32 = AtomicU32::new(0);

/// A descriptor that is closed in every forked child, until this is dropped.
///
/// It does not own the descriptor: the owner drops this before it closes it.
#[derive(Debug)]
pub struct CloseInChild {
    slot: Option<usize>,
    raw: RawFd,
}

/// This process's id, as [`std::process::id`] tells it, but without a system
/// call each time. A child that a raw `clone` has made and that goes on
/// without an exec is told its parent's.
pub fn process_id() -> u32 {
    let known = PROCESS_ID.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    install_handler();
    let id = std::process::id();
    PROCESS_ID.store(id, Ordering::Relaxed);
    id
}

fn install_handler() {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: the handler only uses atomics and calls close(2), both of
        // which are async-signal-safe.
        unsafe { libc::pthread_atfork(None, None, Some(after_fork)) };
    });
}

impl CloseInChild {
    /// Guards `raw`. Beyond eight guarded descriptors it does nothing: the
    /// descriptor then lives as long as the child, which is wasteful but
    /// harmless.
    pub fn new(raw: RawFd) -> Self {
        install_handler();
        let slot = GUARDED.iter().position(|slot| {
            slot.compare_exchange(
                EMPTY,
                raw,
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
        });
        Self { slot, raw }
    }
}

impl Drop for CloseInChild {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.and_then(|index| GUARDED.get(index)) {
            // In a forked child the handler has emptied the slot already, and
            // it may hold another descriptor by now: hence no plain store.
            let _ = slot.compare_exchange(
                self.raw,
                EMPTY,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
    }
}

/// # Async-signal-safety
///
/// Calls `close` and nothing else.
unsafe extern "C" fn after_fork() {
    PROCESS_ID.store(0, Ordering::Relaxed);
    for slot in &GUARDED {
        let raw = slot.swap(EMPTY, Ordering::AcqRel);
        if raw != EMPTY {
            // SAFETY: the owner of the descriptor keeps it open while it is
            // guarded, and in the child it learns from its process id that
            // the descriptor is gone.
            unsafe { libc::close(raw) };
        }
    }
}
