//! Local time, as the C library knows it.

use std::mem::MaybeUninit;

/// Seconds that local time is ahead of UTC at this moment, in seconds since
/// 1970; 0 if the C library does not know.
///
/// Python has had the C library read the zone when it started, and again
/// whenever `time.tzset` was called, so this reads no file.
pub fn local_offset(seconds: i64) -> i32 {
    let seconds: libc::time_t = seconds;
    let mut fields = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: reads a live local and fills another one.
    let filled =
        unsafe { libc::localtime_r(&raw const seconds, fields.as_mut_ptr()) };
    if filled.is_null() {
        return 0;
    }
    // SAFETY: all zeros are valid fields, and the call has filled them.
    let fields = unsafe { fields.assume_init() };
    i32::try_from(fields.tm_gmtoff).unwrap_or(0)
}
