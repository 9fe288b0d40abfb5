//! State that a forked child must not keep: descriptors, and the parent's
//! process ID.
//!
//! Close-on-exec covers programs; it does not cover `fork` alone, which hg
//! uses for its workers and its command server. A forked child that kept the
//! parent's end of a socket would keep its reader waiting for an end of file.
//!
//! A descriptor is closed only if it still refers to the same file as when it
//! was registered, because other code may have closed it, and opened another
//! file that has got its number.
//!
//! Only `fork(3)` runs the handler; a child made by a raw `clone` is noticed
//! by its process id wherever a descriptor is used.

use std::os::fd::RawFd;
use std::sync::Once;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::fd::Identity;

/// The most descriptors that can be guarded at a time.
const SLOTS: usize = 16;

const EMPTY: i32 = -1;
/// A descriptor is about to be stored there.
const TAKEN: i32 = -2;

static GUARDED: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];

struct Slot {
    /// A descriptor, [`EMPTY`] or [`TAKEN`]; it is set last.
    raw: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Self {
            raw: AtomicI32::new(EMPTY),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
        }
    }

    /// Replaces its value, if that is `from`.
    fn change(&self, from: i32, to: i32) -> bool {
        self.raw
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// 0 until it is first requested in each process.
static PROCESS_ID: AtomicU32 = AtomicU32::new(0);

/// A descriptor that is closed in every forked child, until this is dropped.
///
/// It does not own the descriptor: the owner drops this before it closes it.
/// If other code has closed it, the file that has its number now is left alone.
#[derive(Debug)]
pub struct CloseInChild {
    slot: Option<usize>,
    raw: RawFd,
}

/// This process's ID, like [`std::process::id`], but without a system call each
/// time. A child of a raw `clone` without an exec gets its parent's.
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
        // SAFETY: the handler only uses atomics and calls fstat(2) and
        // close(2), all of which are async-signal-safe.
        unsafe { libc::pthread_atfork(None, None, Some(after_fork)) };
    });
}

impl CloseInChild {
    /// Guards `raw`. Beyond sixteen guarded descriptors it does nothing: the
    /// descriptor then lives as long as the child, as does a lock that it
    /// holds.
    pub fn new(raw: RawFd) -> Self {
        install_handler();
        let slot = Identity::of(raw).and_then(|identity| {
            let index =
                GUARDED.iter().position(|slot| slot.change(EMPTY, TAKEN))?;
            let slot = &GUARDED[index];
            slot.device.store(identity.device, Ordering::Relaxed);
            slot.inode.store(identity.inode, Ordering::Relaxed);
            slot.raw.store(raw, Ordering::Release);
            Some(index)
        });
        Self { slot, raw }
    }
}

impl Drop for CloseInChild {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.and_then(|index| GUARDED.get(index)) {
            // In a forked child the handler has emptied the slot already, and
            // it may hold another descriptor by now: hence no plain store.
            slot.change(self.raw, EMPTY);
        }
    }
}

/// # Async-signal-safety
///
/// Calls `fstat` and `close` and nothing else.
unsafe extern "C" fn after_fork() {
    PROCESS_ID.store(0, Ordering::Relaxed);
    for slot in &GUARDED {
        let raw = slot.raw.swap(EMPTY, Ordering::AcqRel);
        if raw < 0 {
            continue;
        }
        let guarded = Identity {
            device: slot.device.load(Ordering::Relaxed),
            inode: slot.inode.load(Ordering::Relaxed),
        };
        if Identity::of(raw) == Some(guarded) {
            // SAFETY: it is still what its owner has guarded, who learns in
            // the child from its process id that the descriptor is gone.
            unsafe { libc::close(raw) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What the numbers refer to in a forked child, if it is what is expected.
    fn in_a_child(raws: [RawFd; 2], expected: [Option<Identity>; 2]) -> bool {
        // SAFETY: the child calls nothing but fstat and _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_expected = raws.map(Identity::of) == expected;
            // SAFETY: ends the process and returns nowhere.
            unsafe { libc::_exit(i32::from(!is_expected)) };
        }
        let mut status = 0;
        // SAFETY: our child, and memory of ours.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        waited == child && status == 0
    }

    #[test]
    fn a_number_that_has_been_given_away_is_left_alone() {
        let (ours, _far) = UnixStream::pair().expect("sockets");
        let (lost, theirs) = UnixStream::pair().expect("sockets");
        let raws = [ours.as_raw_fd(), lost.as_raw_fd()];
        let _guards = raws.map(CloseInChild::new);
        let both = raws.map(Identity::of);
        assert!(both.iter().all(Option::is_some));
        assert!(in_a_child(raws, [None, None]));
        // As an extension that closes what it finds, and opens something.
        // SAFETY: nobody uses the descriptor but this test.
        let copied = unsafe { libc::dup2(theirs.as_raw_fd(), raws[1]) };
        assert_eq!(copied, raws[1]);
        let theirs = Identity::of(theirs.as_raw_fd());
        assert!(in_a_child(raws, [None, theirs]));
    }
}
