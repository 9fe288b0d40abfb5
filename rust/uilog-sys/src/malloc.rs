//! Options of the C library's allocator.

/// Has all threads of this process share two arenas of memory.
///
/// By default glibc gives each thread one of its own, which keeps what that
/// thread has freed from all others. With a single one they wait for each
/// other.
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
