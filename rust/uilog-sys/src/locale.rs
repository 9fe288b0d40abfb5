//! The character set of the locale that the environment names.
//!
//! Knows nothing of what is written in it.

use std::ffi::CStr;
use std::ptr;

/// What the C library calls the character set of `LC_CTYPE`, as the variables
/// of this process say; that of the locale `C` if they name none that there is.
pub fn codeset() -> String {
    // SAFETY: both are literals that end in NUL, and no locale is handed over.
    let named = unsafe {
        libc::newlocale(libc::LC_CTYPE_MASK, c"".as_ptr(), ptr::null_mut())
    };
    let locale = if named.is_null() {
        // SAFETY: as above.
        unsafe {
            libc::newlocale(libc::LC_CTYPE_MASK, c"C".as_ptr(), ptr::null_mut())
        }
    } else {
        named
    };
    if locale.is_null() {
        return String::new();
    }
    // SAFETY: the locale is a live one that nobody else knows of.
    let text = unsafe { libc::nl_langinfo_l(libc::CODESET, locale) };
    let codeset = if text.is_null() {
        String::new()
    } else {
        // SAFETY: a string that ends in NUL, and lives as long as the locale.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_string_lossy().into_owned()
    };
    // SAFETY: nothing refers to the locale any more.
    unsafe { libc::freelocale(locale) };
    codeset
}
