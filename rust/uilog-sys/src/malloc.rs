//! Options of the C library's allocator.

/// Lets all threads of this process share two arenas.
///
/// By default glibc creates one for each thread, which keeps the memory that
/// the thread has freed. With a single one they would wait for each other.
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
