//! The process environment as the C library holds it.
//!
//! Knows nothing of what the variables mean. Python's `os.environ` writes
//! every change through to `putenv`, so this is also what hg would pass on.

use std::ffi::CStr;
use std::os::raw::c_char;

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// Appends each `NAME=value` of the environment to `block`, each followed by a
/// NUL byte.
///
/// Safe for the same reason as `std::env::vars_os`: reading is harmless, and
/// code that changes the environment must ensure that no other code reads it
/// meanwhile. Under CPython the GIL does that, for both sides.
pub fn append_to(block: &mut Vec<u8>) {
    // SAFETY: reading the pointer itself; nobody changes it meanwhile, see
    // above.
    let mut entry = unsafe { environ };
    if entry.is_null() {
        return;
    }
    loop {
        // SAFETY: `environ` is an array that ends in a null pointer
        // (environ(7)), and the loop below stops there.
        let string = unsafe { *entry };
        if string.is_null() {
            return;
        }
        // SAFETY: each non-null entry is a NUL-terminated string.
        let string = unsafe { CStr::from_ptr(string) };
        block.extend_from_slice(string.to_bytes_with_nul());
        // SAFETY: the terminating null pointer has not been reached, so the
        // next element exists.
        entry = unsafe { entry.add(1) };
    }
}
