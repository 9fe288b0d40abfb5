//! Dates as Mercurial reads them from a configuration or a command line.
//!
//! The current time and the local zone are parameters.

use chrono::Days;
use chrono::NaiveDate;
use chrono::NaiveDateTime;
use chrono::NaiveTime;

use crate::value::parse_int;
use crate::value::trimmed;

/// A time and its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
    /// The zone's offset from UTC in seconds, *positive west of it*, as in
    /// Mercurial.
    pub offset: i64,
}

/// The time to which an incomplete date is relative.
pub struct Clock<'a> {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub now: i64,
    /// Seconds that local time is ahead of UTC at a moment.
    pub local_offset: &'a dyn Fn(i64) -> i64,
}

// hg: dateutil.defaultdateformats
const FORMATS: [&str; 31] = [
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H%M%S",
    "%Y-%m-%dT%H%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H%M%S",
    "%Y-%m-%d %H%M",
    "%Y-%m-%d %I:%M:%S%p",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %I:%M%p",
    "%Y-%m-%d",
    "%m-%d",
    "%m/%d",
    "%m/%d/%y",
    "%m/%d/%Y",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %I:%M:%S%p %Y",
    "%a, %d %b %Y %H:%M:%S",
    "%b %d %H:%M:%S %Y",
    "%b %d %I:%M:%S%p %Y",
    "%b %d %H:%M:%S",
    "%b %d %I:%M:%S%p",
    "%b %d %H:%M",
    "%b %d %I:%M%p",
    "%b %d %Y",
    "%b %d",
    "%H:%M:%S",
    "%I:%M:%S%p",
    "%H:%M",
    "%I:%M%p",
];

/// Additional formats, for time spans.
// hg: dateutil.extendeddateformats
const EXTENDED: [&str; 4] = ["%Y", "%Y-%m", "%b", "%b %Y"];

/// How a day, an hour or a minute becomes a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The first second of it.
    First,
    /// The last second of it.
    Last,
}

/// The maximum length of a date, in bytes.
const MAX_LENGTH: usize = 256;

/// A date: `SECONDS OFFSET`, `now`, `today`, `yesterday`, or in one of
/// Mercurial's layouts. Nothing is the beginning of 1970.
// hg: dateutil.parsedate
pub fn parse_date(text: &[u8], clock: &Clock<'_>) -> Option<Date> {
    let formats = FORMATS.iter().copied();
    parse(text, clock, formats, Rounding::First, "1")
}

/// The first or the last second of the span of time that a text names: a date,
/// or a year or a month alone.
// hg: dateutil.matchdate
pub fn parse_bound(
    text: &[u8],
    clock: &Clock<'_>,
    rounding: Rounding,
) -> Option<Date> {
    let days: &[&str] = match rounding {
        Rounding::First => &["1"],
        // The last one that the month has.
        Rounding::Last => &["31", "30", "29", "28"],
    };
    days.iter().find_map(|day| {
        let formats = EXTENDED.iter().chain(&FORMATS).copied();
        parse(text, clock, formats, rounding, day)
    })
}

fn parse<'f>(
    text: &[u8],
    clock: &Clock<'_>,
    mut formats: impl Iterator<Item = &'f str>,
    rounding: Rounding,
    day: &str,
) -> Option<Date> {
    const LIMITS: std::ops::RangeInclusive<i64> =
        i32::MIN as i64..=i32::MAX as i64;
    const OFFSETS: std::ops::RangeInclusive<i64> = -50_400..=43_200;
    if text.is_empty() {
        return Some(Date {
            seconds: 0,
            offset: 0,
        });
    }
    let text = trimmed(text);
    if text.len() > MAX_LENGTH {
        return None;
    }
    let local_now = clock.now + (clock.local_offset)(clock.now);
    let now = chrono::DateTime::from_timestamp(local_now, 0)?.naive_utc();
    let month_and_day =
        |day: NaiveDate| day.format("%b %d").to_string().into_bytes();
    let text = match text {
        b"now" => {
            return Some(Date {
                seconds: clock.now,
                offset: clock.now - local_now,
            });
        }
        b"today" => month_and_day(now.date()),
        b"yesterday" => {
            month_and_day(now.date().checked_sub_days(Days::new(1))?)
        }
        text => text.to_vec(),
    };
    let date = match pair(&text) {
        Some(date) => date,
        None => formats.find_map(|format| {
            in_format(&text, format, &now, clock, rounding, day)
        })?,
    };
    let is_possible =
        LIMITS.contains(&date.seconds) && OFFSETS.contains(&date.offset);
    is_possible.then_some(date)
}

/// `SECONDS OFFSET`.
fn pair(text: &[u8]) -> Option<Date> {
    let mut words = text.split(|byte| *byte == b' ');
    let mut number = || i64::try_from(parse_int(words.next()?)?).ok();
    let seconds = number()?;
    let offset = number()?;
    words.next().is_none().then_some(Date { seconds, offset })
}

// hg: dateutil.strdate
fn in_format(
    text: &[u8],
    format: &str,
    now: &NaiveDateTime,
    clock: &Clock<'_>,
    rounding: Rounding,
    day: &str,
) -> Option<Date> {
    // The parts of a date from the smallest to the largest: their directives,
    // minimum and maximum, and their value in the current time.
    let parts = [
        ("S", "00", "59", "%S"),
        ("M", "00", "59", "%M"),
        ("HI", "00", "23", "%H"),
        ("d", day, day, "%d"),
        ("mb", "1", "12", "%m"),
        ("yY", "1", "1", "%y"),
    ];
    let (zone, text) = time_zone(text);
    let mut text = std::str::from_utf8(text).ok()?.to_owned();
    let mut format = format.to_owned();
    let mut uses_now = false;
    for (directives, least, most, current) in parts {
        let unknown = match rounding {
            Rounding::First => least,
            Rounding::Last => most,
        };
        let mut known = directives.chars();
        if known.any(|it| format.contains(&format!("%{it}"))) {
            uses_now = true;
            continue;
        }
        text.push('@');
        if uses_now {
            text.push_str(&now.format(current).to_string());
        } else {
            text.push_str(unknown);
        }
        format.push_str("@%");
        format.extend(directives.chars().next());
    }
    let civil = strptime(text.as_bytes(), &format)?;
    let local = civil.and_utc().timestamp();
    let date = match zone {
        Some(offset) => Date {
            seconds: local + offset,
            offset,
        },
        None => {
            let seconds = from_local(local, clock);
            let offset = seconds - local;
            Date { seconds, offset }
        }
    };
    Some(date)
}

/// The moment of a local time. When the clock is set back, one of the two; when
/// it is set forward, one beside the gap. C: mktime
pub(crate) fn from_local(local: i64, clock: &Clock<'_>) -> i64 {
    let first = local - (clock.local_offset)(local);
    local - (clock.local_offset)(first)
}

/// A time zone at the end, in seconds behind UTC, and the text before it.
// hg: dateutil.parsetimezone
fn time_zone(text: &[u8]) -> (Option<i64>, &[u8]) {
    for name in [b"GMT", b"UTC"] {
        if let Some(rest) = text.strip_suffix(name) {
            return (Some(0), trimmed_end(rest));
        }
    }
    let two = |digits: &[u8]| match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    };
    let behind = |sign: u8, hours: &[u8], minutes: &[u8]| {
        let seconds = (two(hours)? * 60 + two(minutes)?) * 60;
        match sign {
            b'+' => Some(-seconds),
            b'-' => Some(seconds),
            _ => None,
        }
    };
    if let [rest @ .., sign, h1, h2, m1, m2] = text
        && let Some(offset) = behind(*sign, &[*h1, *h2], &[*m1, *m2])
    {
        return (Some(offset), trimmed_end(rest));
    }
    if let [rest @ .., b'Z'] = text
        && rest.last().is_some_and(u8::is_ascii_digit)
    {
        return (Some(0), rest);
    }
    if let [rest @ .., sign, h1, h2, b':', m1, m2] = text
        && let Some(offset) = behind(*sign, &[*h1, *h2], &[*m1, *m2])
    {
        return (Some(offset), rest);
    }
    (None, text)
}

fn trimmed_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| !crate::syntax::is_space(b));
    &text[..end.map_or(0, |end| end + 1)]
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
    "nov", "dec",
];

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What a layout has found.
#[derive(Clone, Copy, Debug, Default)]
struct Fields {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    is_pm: Option<bool>,
}

/// Parses a date in a format, which must cover the whole text. Letters may be
/// of any case, and white space matches any white space.
// Python: _strptime._strptime, a regular expression that tries the longer
// numbers first
fn strptime(text: &[u8], format: &str) -> Option<NaiveDateTime> {
    let (fields, rest) = matched(text, format.as_bytes(), Fields::default())?;
    if !rest.is_empty() {
        return None;
    }
    let hour = match fields.is_pm {
        Some(false) if fields.hour == 12 => 0,
        Some(true) if fields.hour != 12 => fields.hour + 12,
        _ => fields.hour,
    };
    let day = NaiveDate::from_ymd_opt(fields.year, fields.month, fields.day)?;
    let time = NaiveTime::from_hms_opt(hour, fields.minute, 0)?;
    // A leap second, or two.
    let seconds = chrono::TimeDelta::seconds(i64::from(fields.second));
    day.and_time(time).checked_add_signed(seconds)
}

/// The first way in which the layout covers the beginning of the text, and
/// the rest of the text.
fn matched<'a>(
    text: &'a [u8],
    format: &[u8],
    fields: Fields,
) -> Option<(Fields, &'a [u8])> {
    let (directive, rest) = match format {
        [] => return Some((fields, text)),
        [b'%', directive, rest @ ..] => (*directive, rest),
        [b' ', rest @ ..] => {
            let spaces = text
                .iter()
                .take_while(|b| crate::syntax::is_space(b))
                .count();
            return (1..=spaces)
                .rev()
                .find_map(|count| matched(&text[count..], rest, fields));
        }
        [byte, rest @ ..] => {
            let (first, text) = text.split_first()?;
            if !first.eq_ignore_ascii_case(byte) {
                return None;
            }
            return matched(text, rest, fields);
        }
    };
    let name_at = |names: &[&str]| {
        let word = text.get(..names[0].len())?;
        names
            .iter()
            .position(|name| name.as_bytes().eq_ignore_ascii_case(word))
    };
    match directive {
        b'b' => {
            let month = name_at(&MONTHS)? as u32 + 1;
            return matched(&text[3..], rest, Fields { month, ..fields });
        }
        b'a' => {
            name_at(&WEEKDAYS)?;
            return matched(&text[3..], rest, fields);
        }
        b'p' => {
            let is_pm = Some(name_at(&["am", "pm"])? == 1);
            return matched(&text[2..], rest, Fields { is_pm, ..fields });
        }
        _ => {}
    }
    let lengths: &[usize] = match directive {
        b'Y' => &[4],
        b'y' => &[2],
        _ => &[2, 1],
    };
    lengths.iter().find_map(|length| {
        let number = number_at(text, *length, directive)?;
        let mut fields = fields;
        match directive {
            b'Y' => fields.year = number as i32,
            // POSIX: 69 to 99 are the last century's
            b'y' if number < 69 => fields.year = 2000 + number as i32,
            b'y' => fields.year = 1900 + number as i32,
            b'm' => fields.month = number,
            b'd' => fields.day = number,
            b'H' | b'I' => fields.hour = number,
            b'M' => fields.minute = number,
            b'S' => fields.second = number,
            _ => return None,
        }
        matched(&text[*length..], rest, fields)
    })
}

/// The number of so many digits that begins the text, if it may be that of
/// the directive.
fn number_at(text: &[u8], length: usize, directive: u8) -> Option<u32> {
    let digits = text.get(..length)?;
    // C's asctime has a space before a day of one digit.
    let digits = match (directive, digits) {
        (b'd', [b' ', digit]) => std::slice::from_ref(digit),
        _ => digits,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    // What ends after two digits in any case, such as a day, needs no limit: it is
    // no date, then.
    let limits = match directive {
        b'm' | b'I' => 1..=12,
        b'H' => 0..=23,
        b'M' => 0..=59,
        b'S' => 0..=61,
        _ => 0..=9999,
    };
    limits.contains(&number).then_some(number)
}

#[cfg(test)]
mod tests;
