//! Times in hg's formats: strftime and hg's own directives.
//!
//! Must not know where a time comes from, or what it is written to.

use chrono::DateTime;
use chrono::Datelike;
use chrono::NaiveDateTime;
use chrono::Timelike;
use chrono::Utc;
use uilog_sys::clock;

use crate::event::Timestamp;

const MICROS: i64 = 1_000_000;

/// How times are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DateFormat {
    /// `2026-01-02 03:04:05.678`.
    Millis,
    /// `2026/01/02 03:04:05`.
    Seconds,
    /// Strftime's directives, and hg's: `%1` and `%2` for the zone's hours and
    /// minutes, `%f` for the microseconds.
    Custom(Vec<u8>),
}

impl DateFormat {
    /// Appends a time.
    // hg: dateutil.datestr
    pub fn write(&self, time: Timestamp, out: &mut Vec<u8>) {
        let civil = civil(time);
        match self {
            Self::Millis => {
                write_seconds(&civil, b'-', out);
                out.push(b'.');
                write_digits::<3>(
                    civil.and_utc().timestamp_subsec_millis(),
                    out,
                );
            }
            Self::Seconds => write_seconds(&civil, b'/', out),
            Self::Custom(format) => {
                let format = with_zone(format, time.offset);
                let format = with_micros(&format, &civil);
                clock::strftime(&format, &fields(&civil), out);
            }
        }
    }
}

/// Local time. What does not fit into 32 bits of seconds is shown as the
/// nearest time that does, as by hg.
fn civil(time: Timestamp) -> NaiveDateTime {
    let least = i64::from(i32::MIN) * MICROS;
    let most = i64::from(i32::MAX) * MICROS;
    let local = time
        .micros
        .saturating_add(i64::from(time.offset) * MICROS)
        .clamp(least, most);
    DateTime::<Utc>::from_timestamp_micros(local)
        .unwrap_or_default()
        .naive_utc()
}

fn fields(civil: &NaiveDateTime) -> clock::Civil {
    clock::Civil {
        year: civil.year(),
        month: civil.month(),
        day: civil.day(),
        hour: civil.hour(),
        minute: civil.minute(),
        second: civil.second(),
        weekday: civil.weekday().num_days_from_sunday(),
        day_of_year: civil.ordinal0(),
    }
}

fn write_seconds(civil: &NaiveDateTime, separator: u8, out: &mut Vec<u8>) {
    write_digits::<4>(civil.year().unsigned_abs(), out);
    out.push(separator);
    write_digits::<2>(civil.month(), out);
    out.push(separator);
    write_digits::<2>(civil.day(), out);
    out.push(b' ');
    write_digits::<2>(civil.hour(), out);
    out.push(b':');
    write_digits::<2>(civil.minute(), out);
    out.push(b':');
    write_digits::<2>(civil.second(), out);
}

/// The last `N` decimal digits.
fn write_digits<const N: usize>(mut value: u32, out: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

/// The format with the zone filled in. hg replaces these directives everywhere,
/// even after a `%`.
fn with_zone(format: &[u8], offset: i32) -> Vec<u8> {
    // hg counts seconds that UTC is ahead, and UTC itself as `+`.
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    let hours = format!("{sign}{:02}", minutes / 60);
    let minutes = format!("{:02}", minutes % 60);
    let mut out = Vec::with_capacity(format.len() + 8);
    let mut rest = format;
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [b'%', b'1', tail @ ..] => {
                out.extend_from_slice(hours.as_bytes());
                rest = tail;
            }
            [b'%', b'2', tail @ ..] => {
                out.extend_from_slice(minutes.as_bytes());
                rest = tail;
            }
            [b'%', b'z', tail @ ..] => {
                out.extend_from_slice(hours.as_bytes());
                out.extend_from_slice(minutes.as_bytes());
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

/// The format with what Python's datetime adds to strftime: the microseconds,
/// and no name for the zone.
// Python: wrap_strftime of datetime
fn with_micros(format: &[u8], civil: &NaiveDateTime) -> Vec<u8> {
    let mut out = Vec::with_capacity(format.len() + 8);
    let mut rest = format;
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [b'%', b'f', tail @ ..] => {
                let micros = civil.and_utc().timestamp_subsec_micros();
                write_digits::<6>(micros, &mut out);
                rest = tail;
            }
            [b'%', b'Z', tail @ ..] => rest = tail,
            [b'%', next, tail @ ..] => {
                out.extend_from_slice(&[b'%', *next]);
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(format: &DateFormat, micros: i64, offset: i32) -> String {
        let mut out = Vec::new();
        format.write(Timestamp { micros, offset }, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn custom(format: &str, micros: i64, offset: i32) -> String {
        let format = DateFormat::Custom(format.as_bytes().to_vec());
        written(&format, micros, offset)
    }

    #[test]
    fn fixed_formats_are_what_strftime_makes() {
        let micros = 1_334_347_993_006_999;
        let (millis, seconds) = (DateFormat::Millis, DateFormat::Seconds);
        assert_eq!(written(&millis, micros, 0), "2012-04-13 20:13:13.006");
        assert_eq!(written(&seconds, micros, -7200), "2012/04/13 18:13:13");
        assert_eq!(written(&millis, -1, 0), "1969-12-31 23:59:59.999");
    }

    #[test]
    fn hgs_own_directives_stand_for_the_zone() {
        assert_eq!(custom("%1%2", 0, 5 * 3600 + 1800), "+0530");
        assert_eq!(custom("%z", 0, -3600), "-0100");
        assert_eq!(custom("%1:%2 %Z|", 0, 0), "+00:00 |");
        assert_eq!(custom("%%1", 0, 0), "%+00");
        assert_eq!(custom("%f", 1_000_042, 0), "000042");
    }

    #[test]
    fn times_beyond_32_bits_are_shown_as_the_nearest() {
        let format = DateFormat::Seconds;
        assert_eq!(written(&format, i64::MAX, 0), "2038/01/19 03:14:07");
        assert_eq!(written(&format, i64::MIN, 0), "1901/12/13 20:45:52");
    }

    proptest! {
        #[test]
        fn any_format_makes_some_text(
            format in prop::collection::vec(any::<u8>(), 0..40),
            micros in any::<i64>(),
            offset in any::<i32>(),
        ) {
            let mut out = b"before".to_vec();
            let time = Timestamp { micros, offset };
            DateFormat::Custom(format).write(time, &mut out);
            prop_assert!(out.starts_with(b"before"));
        }

        #[test]
        fn fixed_formats_agree_with_strftime(
            micros in -(1_i64 << 52)..(1_i64 << 52),
            offset in -50_000..50_000,
        ) {
            let fixed = written(&DateFormat::Seconds, micros, offset);
            let same = custom("%Y/%m/%d %H:%M:%S", micros, offset);
            prop_assert_eq!(fixed, same);
            let fixed = written(&DateFormat::Millis, micros, offset);
            let long = custom("%Y-%m-%d %H:%M:%S.%f", micros, offset);
            prop_assert_eq!(&fixed, &long[..long.len() - 3]);
        }
    }
}
