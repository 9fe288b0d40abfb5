//! IDs and times in OpenTelemetry's form.

use std::ops::Range;

use chrono::DateTime;

/// From March of the year 0 to 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

/// `ScopeSpans.spans` and `ScopeLogs.log_records`.
pub(super) const RECORDS: u32 = 2;

/// A record that OpenTelemetry has no place for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record's {0} makes no sense")]
pub struct Unmappable(pub(super) &'static str);

/// The bytes of an ID; empty if there is none.
pub(super) fn id_bytes(id: &Option<[u8; 8]>) -> &[u8] {
    id.as_ref().map_or(&[], |it| &it[..])
}

/// Nanoseconds since 1970.
pub(super) fn nanos(time: &str) -> Option<u64> {
    if let Some(nanos) = nanos_of_ours(time.as_bytes()) {
        return Some(nanos);
    }
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    u64::try_from(time.timestamp_nanos_opt()?).ok()
}

/// The same of a time as this program writes it, where that is simple: the last
/// days of months are left to the other.
pub(super) fn nanos_of_ours(time: &[u8]) -> Option<u64> {
    let time: &[u8; 32] = time.try_into().ok()?;
    let number = |at: usize, digits: usize, range: Range<i64>| {
        let mut value = 0;
        for byte in &time[at..at + digits] {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            value = value * 10 + i64::from(digit);
        }
        range.contains(&value).then_some(value)
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let marks = marks.into_iter().chain([(19, b'.'), (29, b':')]);
    if marks.into_iter().any(|(at, mark)| time[at] != mark) {
        return None;
    }
    let sign = match time[26] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (year, month) = (number(0, 4, 1971..2200)?, number(5, 2, 1..13)?);
    let day = number(8, 2, 1..29)?;
    let seconds = number(11, 2, 0..24)? * 3600
        + number(14, 2, 0..60)? * 60
        + number(17, 2, 0..60)?;
    let offset = number(27, 2, 0..24)? * 3600 + number(30, 2, 0..60)? * 60;
    let micros = number(20, 6, 0..1_000_000)?;
    // Years that begin with March have the day of leap years at their end.
    let years = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let days = years * 365 + years / 4 - years / 100
        + years / 400
        + (months * 153 + 2) / 5
        + day
        - 1
        - DAYS_BEFORE_1970;
    let seconds = days * 86_400 + seconds - sign * offset;
    u64::try_from(seconds * 1_000_000_000 + micros * 1000).ok()
}

pub(super) fn duration_nanos(secs: Option<f64>) -> Option<u64> {
    let secs = secs.filter(|it| it.is_finite() && *it >= 0.0)?;
    // Durations beyond a clock's range are clamped.
    Some((secs * 1e9).round() as u64)
}

/// The bytes of so many hexadecimal digits; none if all are zero, which is no
/// id.
pub(crate) fn hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != 2 * BYTES {
        return None;
    }
    let mut id = [0; BYTES];
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    (id != [0; BYTES]).then_some(id)
}
