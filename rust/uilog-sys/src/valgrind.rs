//! Whether this process runs under Valgrind.
//!
//! Valgrind knows `fork`, `vfork` and the clone that makes a thread. It ends a
//! process that asks for any other, instead of refusing the call.

use std::sync::OnceLock;

/// By what Valgrind's libraries begin, which it has the system preload. It
/// takes them out of the environment of programs that it does not run itself.
const PRELOADED: &[u8] = b"vgpreload_";

/// Whether it does; the environment is read once.
pub(crate) fn is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    *IS_THERE.get_or_init(|| {
        use std::os::unix::ffi::OsStrExt;
        std::env::var_os("LD_PRELOAD").is_some_and(|preloaded| {
            let mut parts = preloaded.as_bytes().windows(PRELOADED.len());
            parts.any(|part| part == PRELOADED)
        })
    })
}
