//! Reaping children of the clone scheme, and orphans that the kernel gives back.

use std::ptr;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use super::signals::last_errno;

/// Orphans that the kernel has made children of this process, because it is
/// process 1 or a subreaper. If the table is full, a new one is not noted, and
/// remains a zombie.
static ADOPTED: [AtomicI32; 16] = [const { AtomicI32::new(0) }; 16];

pub(super) fn adopt_if_reaper(pid: i32) {
    let mut is_subreaper: i32 = 0;
    // SAFETY: writes one int to a live local.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper) };
    if is_subreaper == 0 && own_pid() != 1 {
        return;
    }
    for slot in &ADOPTED {
        if slot
            .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

pub(super) fn reap_adopted() {
    for slot in &ADOPTED {
        let pid = slot.load(Ordering::Acquire);
        if pid == 0 {
            continue;
        }
        // SAFETY: a null status is allowed.
        let reaped =
            unsafe { libc::waitpid(pid, ptr::null_mut(), libc::WNOHANG) };
        if reaped != 0 {
            slot.store(0, Ordering::Release);
        }
    }
}

/// Reaps a child of the clone scheme; its raw status, unless other code has
/// reaped it.
pub(super) fn wait_for(pid: i32) -> Option<i32> {
    let mut status = 0;
    loop {
        // __WALL: the middle child has no exit signal, which makes it a
        // "clone child" that waitpid ignores by default.
        // SAFETY: writes one int to a live local.
        let waited =
            unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if waited == pid {
            return Some(status);
        }
        if last_errno() != libc::EINTR {
            return None;
        }
    }
}

pub(super) fn own_pid() -> i32 {
    std::process::id() as i32
}
