//! What the C library's allocator is told.

/// Has all threads of this process share one arena of memory.
///
/// By default glibc gives each thread one of its own, which keeps what that
/// thread has freed from all others.
pub fn share_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
