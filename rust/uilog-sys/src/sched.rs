//! Scheduling policies.

/// The policy of this process, where there is such a thing.
pub(crate) fn policy() -> Option<i32> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: touches no memory.
        let policy = unsafe { libc::sched_getscheduler(0) };
        (policy >= 0).then_some(policy)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Makes this process one that never preempts the process that
/// wakes it (SCHED_BATCH); its share stays the same. True if it was a normal
/// process before and no longer is; others are left alone.
pub fn enter_batch() -> bool {
    #[cfg(target_os = "linux")]
    if policy() == Some(libc::SCHED_OTHER) {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: reads the parameters from a live local.
        let done = unsafe {
            libc::sched_setscheduler(
                0,
                libc::SCHED_BATCH,
                &raw const parameters,
            )
        };
        return done == 0;
    }
    false
}
