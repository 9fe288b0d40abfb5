//! Local time and the formatting of times, as the C library does them, and a
//! clock that several processes share.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::LazyLock;

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

/// Microseconds of the monotonic clock, which is the same in all processes
/// until the next boot; 0 if there is none.
pub fn monotonic_micros() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: fills a live local.
    let told = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr())
    };
    // SAFETY: all zeros are a valid time, whether or not it has been filled.
    let time = unsafe { time.assume_init() };
    if told < 0 {
        return 0;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanos / 1_000)
}

/// The longest text of a format, for each of its bytes. Python: time.strftime
/// gives up at the same length
const MAX_EXPANSION: usize = 256;

/// A civil time for [`strftime`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Civil {
    /// The year, such as 2026.
    pub year: i32,
    /// The month, from 1.
    pub month: u32,
    /// The day of the month, from 1.
    pub day: u32,
    /// The hour, from 0.
    pub hour: u32,
    /// The minute.
    pub minute: u32,
    /// The second.
    pub second: u32,
    /// The day of the week, Sunday being 0.
    pub weekday: u32,
    /// The day of the year, from 0.
    pub day_of_year: u32,
}

/// The locale in which dates are written, independent of the process's locale;
/// null if there is no memory for it.
struct PosixLocale(libc::locale_t);

// SAFETY: nobody changes or frees it, and the C library reads it only.
unsafe impl Send for PosixLocale {}
// SAFETY: the same.
unsafe impl Sync for PosixLocale {}

static POSIX_LOCALE: LazyLock<PosixLocale> = LazyLock::new(|| {
    // SAFETY: a NUL-terminated constant, and no locale to be changed.
    let locale = unsafe {
        libc::newlocale(libc::LC_ALL_MASK, c"C".as_ptr(), ptr::null_mut())
    };
    PosixLocale(locale)
});

/// Appends strftime(3)'s text for a time, of which it is not known whether
/// daylight saving applies. A NUL byte ends the format.
///
/// Names of days and months are English, because other people read the log.
///
/// Any format is accepted: the C library copies or omits unknown directives,
/// and a text that is too long becomes empty.
pub fn strftime(format: &[u8], time: &Civil, out: &mut Vec<u8>) {
    let end = format.iter().position(|byte| *byte == 0);
    let format = &format[..end.unwrap_or(format.len())];
    let Ok(format) = CString::new(format) else {
        return;
    };
    // SAFETY: all zeros are valid fields: numbers, and a null pointer for the
    // zone's name, which stands for none.
    let mut fields = unsafe { MaybeUninit::<libc::tm>::zeroed().assume_init() };
    let field = |value: u32| i32::try_from(value).unwrap_or(0);
    fields.tm_year = time.year.saturating_sub(1900);
    fields.tm_mon = field(time.month) - 1;
    fields.tm_mday = field(time.day);
    fields.tm_hour = field(time.hour);
    fields.tm_min = field(time.minute);
    fields.tm_sec = field(time.second);
    fields.tm_wday = field(time.weekday);
    fields.tm_yday = field(time.day_of_year);
    fields.tm_isdst = -1;
    let locale = POSIX_LOCALE.0;
    let start = out.len();
    let longest = MAX_EXPANSION * format.as_bytes().len();
    let mut room = 1024;
    loop {
        out.resize(start + room, 0);
        let target = &mut out[start..];
        let (begin, size) = (target.as_mut_ptr().cast(), target.len());
        let format = format.as_ptr();
        let length = if locale.is_null() {
            // SAFETY: writes at most as many bytes as the slice has, and reads
            // a NUL-terminated string and a live local.
            unsafe { libc::strftime(begin, size, format, &raw const fields) }
        } else {
            // SAFETY: the same, and the locale lives for ever.
            unsafe {
                libc::strftime_l(begin, size, format, &raw const fields, locale)
            }
        };
        if length > 0 || room > longest {
            out.truncate(start + length);
            return;
        }
        room *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &[u8]) -> String {
        let time = Civil {
            year: 2012,
            month: 4,
            day: 13,
            hour: 20,
            minute: 13,
            second: 5,
            weekday: 5,
            day_of_year: 103,
        };
        let mut out = b"> ".to_vec();
        strftime(text, &time, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_shared_clock_goes_on() {
        let before = monotonic_micros();
        assert!(before > 0);
        assert!(monotonic_micros() >= before);
    }

    #[test]
    fn formats_are_the_c_librarys() {
        assert_eq!(formatted(b"%Y-%m-%d %H:%M:%S"), "> 2012-04-13 20:13:05");
        assert_eq!(formatted(b"%a %j %-S %%"), "> Fri 104 5 %");
    }

    #[test]
    fn no_format_is_an_error() {
        assert_eq!(formatted(b""), "> ");
        assert_eq!(formatted(b"%"), "> %");
        assert_eq!(formatted(b"a\0b"), "> a");
        assert_eq!(formatted(b"%999999999d"), "> ");
        let long = "%c".repeat(1000);
        assert!(formatted(long.as_bytes()).len() > 20_000);
    }
}
