//! The dates of the blackbox's lines: where they end, and which time they mean.
//!
//! Responsible for hg's two fixed formats and, as far as chrono can, for the
//! format in `blackbox.date-format`. A date without a zone is the local time of
//! the process that logged it. It is not converted; it is cheaper to convert
//! the one bound that it is compared with. Must not know the local zone, or the
//! rest of a line.

use chrono::DateTime;
use chrono::format::Parsed;
use chrono::format::StrftimeItems;

/// The length of `2026-11-02 13:45:00`.
pub const DEFAULT_LEN: usize = 19;

/// No zone is further from UTC, anywhere.
const MAX_ZONE_HOURS: i32 = 24;

const SECONDS_PER_DAY: i64 = 86_400;

/// The date of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// What the clock on the wall showed, as seconds since 1970-01-01 00:00
    /// on that clock, rounded down.
    pub civil: i64,
    /// How far that clock was ahead of UTC, if the line says so: seconds.
    pub offset: Option<i32>,
}

/// A moment to compare dates with, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the epoch.
    pub unix: i64,
    /// The same moment on the local clock, as [`Date::civil`].
    pub civil: i64,
}

impl Date {
    /// Whether it is at or after the bound, to the second.
    pub fn is_since(&self, bound: &Moment) -> bool {
        match self.offset {
            Some(offset) => self.civil - i64::from(offset) >= bound.unix,
            None => self.civil >= bound.civil,
        }
    }

    /// Whether it is at or before the bound, to the second.
    pub fn is_until(&self, bound: &Moment) -> bool {
        match self.offset {
            Some(offset) => self.civil - i64::from(offset) <= bound.unix,
            None => self.civil <= bound.civil,
        }
    }
}

/// What `blackbox.date-format` says, as far as dates can be read by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateFormat {
    /// chrono's form of it; `None` for hg's default, or if chrono does not
    /// support all of it.
    custom: Option<String>,
}

impl DateFormat {
    /// Reads the setting; empty is hg's default.
    pub fn new(setting: &[u8]) -> Self {
        let format = translate(&String::from_utf8_lossy(setting));
        let is_known =
            !format.is_empty() && StrftimeItems::new(&format).parse().is_ok();
        Self {
            custom: is_known.then_some(format),
        }
    }

    /// The date that is the whole of `text`, in the configured format.
    pub fn read_custom(&self, text: &[u8]) -> Option<Date> {
        let format = self.custom.as_ref()?;
        let text = std::str::from_utf8(text).ok()?;
        let mut parsed = Parsed::new();
        let items = StrftimeItems::new(format);
        chrono::format::parse(&mut parsed, text, items).ok()?;
        date_of(parsed)
    }

    /// The date that is the whole of `text`, in any known format.
    pub fn read(&self, text: &[u8]) -> Option<Date> {
        self.read_custom(text).or_else(|| {
            let (date, len) = read_default(text)?;
            (len == text.len()).then_some(date)
        })
    }
}

/// Python's directives as chrono's.
// hg: dateutil.datestr replaces %z, %1 and %2 itself; the rest is Python's
// strftime of a date without a zone, where %f has six digits and %Z is empty
fn translate(format: &str) -> String {
    let mut translated = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        translated.push_str(&rest[..at]);
        let directive = &rest[at + 1..];
        let (text, len) = if directive.starts_with("1%2") {
            ("%z", 3)
        } else {
            match directive.chars().next() {
                Some('f') => ("%6f", 1),
                Some('Z') => ("", 1),
                Some('%') => ("%%", 1),
                _ => ("%", 0),
            }
        };
        translated.push_str(text);
        rest = &directive[len..];
    }
    translated.push_str(rest);
    translated
}

fn date_of(mut parsed: Parsed) -> Option<Date> {
    let date = if parsed.timestamp().is_some() {
        parsed.to_naive_datetime_with_offset(0).ok()?
    } else {
        // A date alone is its first second.
        if parsed.hour_div_12().is_none() {
            parsed.set_hour(0).ok()?;
        }
        if parsed.minute().is_none() {
            parsed.set_minute(0).ok()?;
        }
        let day = parsed.to_naive_date().ok()?;
        day.and_time(parsed.to_naive_time().ok()?)
    };
    Some(Date {
        civil: date.and_utc().timestamp(),
        offset: parsed.offset(),
    })
}

/// A date at the beginning of `text` in one of hg's fixed layouts, and its
/// length: `2026-11-02 13:45:00`, or with `/`, then perhaps a fraction (which
/// is passed over) and a zone.
pub fn read_default(text: &[u8]) -> Option<(Date, usize)> {
    let civil = civil_at(text)?;
    let mut len = DEFAULT_LEN;
    if let Some(b'.' | b',') = text.get(len) {
        let digits = count_digits(&text[len + 1..]);
        len += if digits > 0 { 1 + digits } else { 0 };
    }
    let (offset, zone_len) = zone_at(&text[len..]);
    len += zone_len;
    Some((Date { civil, offset }, len))
}

/// ` +0130`, with or without the space or a colon: the offset, and how long
/// that is.
fn zone_at(text: &[u8]) -> (Option<i32>, usize) {
    let space = usize::from(text.first() == Some(&b' '));
    let sign = match text.get(space) {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (None, 0),
    };
    let digits = &text[space + 1..];
    let two = |at: usize| {
        let pair = digits.get(at..at + 2)?;
        pair.iter()
            .all(u8::is_ascii_digit)
            .then(|| i32::from(pair[0] - b'0') * 10 + i32::from(pair[1] - b'0'))
    };
    let colon = usize::from(digits.get(2) == Some(&b':'));
    let (Some(hours), Some(minutes)) = (two(0), two(2 + colon)) else {
        return (None, 0);
    };
    if hours > MAX_ZONE_HOURS {
        return (None, 0);
    }
    let len = space + 1 + 4 + colon;
    match text.get(len) {
        None | Some(b' ') => (Some(sign * (hours * 3600 + minutes * 60)), len),
        Some(_) => (None, 0),
    }
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Whether `text` begins with a date as stock's regular expression defines it:
/// digits and separators at their positions, even if there is no such day.
// hg: blackbox.blackbox: \d{4}[-/]\d{2}[-/]\d{2} \d{2}:\d{2}:\d{2}
pub fn has_default_shape(text: &[u8]) -> bool {
    minute_word(text).is_some()
}

/// The first 16 bytes of a date in one of hg's fixed layouts as a number,
/// with `-` for any `/`: dates compare as these numbers do.
fn minute_word(text: &[u8]) -> Option<u128> {
    let text = text.first_chunk::<DEFAULT_LEN>()?;
    let (head, tail) = text.split_first_chunk::<16>()?;
    let mut word = u128::from_be_bytes(*head);
    for at in [4, 7] {
        if head[at] != b'-' {
            if head[at] != b'/' {
                return None;
            }
            word = word & !byte_at(0xff, at) | byte_at(b'-', at);
        }
    }
    // All digits at once: their high nibble is 3, also with 6 added.
    let is_date = (word & NOT_DIGITS) == SEPARATORS
        && (word & HIGH_NIBBLES) == THREES
        && ((word + SIXES) & HIGH_NIBBLES) == THREES
        && tail[0] == b':'
        && tail[1].is_ascii_digit()
        && tail[2].is_ascii_digit();
    is_date.then_some(word)
}

const fn byte_at(byte: u8, at: usize) -> u128 {
    (byte as u128) << (8 * (15 - at))
}

const fn at_digits(byte: u8) -> u128 {
    let mut word = 0;
    let mut at = 0;
    while at < 16 {
        if !matches!(at, 4 | 7 | 10 | 13) {
            word |= byte_at(byte, at);
        }
        at += 1;
    }
    word
}

const NOT_DIGITS: u128 = !at_digits(0xff);
const SEPARATORS: u128 =
    byte_at(b'-', 4) | byte_at(b'-', 7) | byte_at(b' ', 10) | byte_at(b':', 13);
const HIGH_NIBBLES: u128 = at_digits(0xf0);
const THREES: u128 = at_digits(0x30);
const SIXES: u128 = at_digits(0x06);

/// The fields of a date that has the default shape, if there is such a date.
fn fields(text: &[u8]) -> Option<[i64; 6]> {
    let two = |at: usize| {
        i64::from(text[at] & 0xf) * 10 + i64::from(text[at + 1] & 0xf)
    };
    let (year, month, day) = (two(0) * 100 + two(2), two(5), two(8));
    let (hour, minute, second) = (two(11), two(14), two(17));
    let is_date = (1..=12).contains(&month)
        && day >= 1
        && (day <= 28 || day <= month_len(year, month))
        && hour < 24
        && minute < 60
        && second < 62;
    is_date.then_some([year, month, day, hour, minute, second])
}

fn month_len(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The clock's reading at the beginning of a text in one of hg's fixed
/// layouts.
fn civil_at(text: &[u8]) -> Option<i64> {
    minute_word(text)?;
    let [year, month, day, hour, minute, second] = fields(text)?;
    let seconds = hour * 3600 + minute * 60 + second;
    Some(days(year, month, day) * SECONDS_PER_DAY + seconds)
}

/// A minute of the local clock, for comparing many lines with it cheaply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minute(u128);

impl Minute {
    pub(crate) const MIN: Self = Self(0);
    pub(crate) const MAX: Self = Self(u128::MAX);

    /// The minute of a clock's reading.
    pub(crate) fn of_civil(civil: i64) -> Self {
        let text = DateTime::from_timestamp(civil, 0)
            .map(|date| date.format("%Y-%m-%d %H:%M:%S").to_string());
        let word = text.and_then(|text| minute_word(text.as_bytes()));
        match word {
            Some(word) => Self(word),
            // Years of more than four digits, or before the first one.
            None if civil < 0 => Self::MIN,
            None => Self::MAX,
        }
    }
}

/// Whether lines begin with a date, in one of hg's fixed formats, outside of a
/// range of minutes.
#[derive(Debug)]
pub(crate) struct OutsideRange {
    from: Minute,
    to: Minute,
    /// The last question and answer: lines of the same minute are adjacent.
    last: Option<(u128, bool)>,
}

impl OutsideRange {
    pub(crate) fn new(from: Minute, to: Minute) -> Self {
        let last = None;
        Self { from, to, last }
    }

    pub(crate) fn holds(&mut self, line: &[u8]) -> bool {
        let Some(word) = minute_word(line) else {
            return false;
        };
        let is_out = match self.last {
            Some((last, is_out)) if last == word => is_out,
            _ => {
                let minute = Minute(word);
                let is_out = minute < self.from || minute > self.to;
                // Text without a date is parsed each time.
                if fields(line).is_none() {
                    return false;
                }
                self.last = Some((word, is_out));
                is_out
            }
        };
        // 60 and 61 are no reason to look closer, but allowed.
        is_out && line[DEFAULT_LEN - 2] < b'6'
    }
}

/// Days since 1970-01-01, in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March here, so that leap days are its last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let of_era = year * 365 + year / 4 - year / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_793_620_800; // 2026-11-02 12:00:00

    fn local(civil: i64) -> Option<Date> {
        Some(Date {
            civil,
            offset: None,
        })
    }

    #[test]
    fn fixed_layouts_are_read_with_fraction_and_zone() {
        let read = |text: &[u8]| read_default(text);
        let date = |offset| Date {
            civil: NOON,
            offset,
        };
        for (text, offset, len) in [
            (&b"2026-11-02 12:00:00.123 bob"[..], None, 23),
            (b"2026/11/02 12:00:00 bob", None, 19),
            (b"2026-11-02 12:00:00 +0130 bob", Some(5400), 25),
            (b"2026-11-02 12:00:00.5-02:00", Some(-7200), 27),
            (b"2026-11-02 12:00:00. bob", None, 19),
            (b"2026-11-02 12:00:00 +01300 bob", None, 19),
        ] {
            assert_eq!(read(text), Some((date(offset), len)), "{text:?}");
        }
        assert_eq!(read(b"2026-13-02 12:00:00"), None);
        assert_eq!(read(b"2026-11-02 12:0:000"), None);
        assert_eq!(read(b"2026-11-02 12:00:0"), None);
    }

    #[test]
    fn configured_formats_are_read_as_python_writes_them() {
        for (format, text, date) in [
            (
                &b"%Y-%m-%d @ %H:%M:%S.%f"[..],
                &b"2026-11-02 @ 12:00:00.000123"[..],
                local(NOON),
            ),
            (b"%d.%m.%y %H:%M", b"02.11.26 12:00", local(NOON)),
            (b"%a %b %d %Y", b"Mon Nov 02 2026", local(NOON - 43_200)),
            (
                b"%H:%M:%S %d/%m/%Y %1%2",
                b"12:00:00 02/11/2026 +0100",
                Some(Date {
                    civil: NOON,
                    offset: Some(3600),
                }),
            ),
            (b"%s", b"1793620800", local(NOON)),
            (b"", b"2026-11-02 12:00:00.000", local(NOON)),
            (b"%d.%m.%y", b"2026-11-02 12:00:00.000", local(NOON)),
            (b"%H:%M", b"12:00", None),
            (b"%Q", b"12:00", None),
            (b"%", b"%", None),
        ] {
            let read = DateFormat::new(format).read(text);
            assert_eq!(read, date, "{}", format.escape_ascii());
        }
    }

    #[test]
    fn minutes_of_the_bounds_are_within_the_range() {
        let minute = |number: i64| Minute::of_civil(NOON + 60 * number);
        let mut range = OutsideRange::new(minute(0), minute(5));
        for (line, is_outside) in [
            ("2026-11-02 11:59:59.999 bob", true),
            ("2026-11-02 12:00:00.000 bob", false),
            ("2026-11-02 12:05:59.999 bob", false),
            ("2026/11/02 12:06:00 bob", true),
            ("2026/11/02 12:06:59 bob", true),
            // It is looked at more closely, or is no date.
            ("2026/11/02 12:06:60 bob", false),
            ("2026-13-02 12:06:00 bob", false),
            ("12:06:00 bob", false),
        ] {
            assert_eq!(range.holds(line.as_bytes()), is_outside, "{line}");
        }
    }

    #[test]
    fn bounds_are_compared_on_the_clock_that_the_date_shows() {
        let bound = Moment {
            unix: NOON - 3600,
            civil: NOON,
        };
        let at = |civil, offset| Date { civil, offset };
        assert!(at(NOON, None).is_since(&bound));
        assert!(at(NOON, None).is_until(&bound));
        assert!(!at(NOON - 1, None).is_since(&bound));
        assert!(at(NOON, Some(3600)).is_since(&bound));
        assert!(!at(NOON, Some(3601)).is_since(&bound));
        assert!(!at(NOON, Some(0)).is_until(&bound));
    }

    proptest! {
        #[test]
        fn days_agree_with_chrono(number in -700_000..2_900_000_i32) {
            use chrono::Datelike;
            let date = NaiveDate::from_epoch_days(number).unwrap();
            let (month, day) = (date.month().into(), date.day().into());
            let found = days(date.year().into(), month, day);
            prop_assert_eq!(found, i64::from(number));
        }

        #[test]
        fn the_shape_is_that_of_stock_hg(
            text in concat!(
                "[0-9:-?]{4}[-/.][0-9]{2}[-/][0-9a]{2}[ T]",
                "[0-9]{2}:[0-9]{2}:[0-9:]{2}",
            ),
        ) {
            let text = text.as_bytes();
            let is_like = text.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => matches!(byte, b'-' | b'/'),
                10 => *byte == b' ',
                13 | 16 => *byte == b':',
                _ => byte.is_ascii_digit(),
            });
            prop_assert_eq!(has_default_shape(text), is_like);
        }

        #[test]
        fn nothing_panics(
            format in any::<Vec<u8>>(),
            text in any::<Vec<u8>>(),
        ) {
            let _ = DateFormat::new(&format).read(&text);
        }
    }
}
