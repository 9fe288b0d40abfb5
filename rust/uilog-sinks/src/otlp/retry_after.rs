//! `Retry-After`: parses the header's value.
//!
//! Must not know the result of the request, or the longest delay.
// RFC 9110, sections 5.6.7 and 10.2.3

use std::time::Duration;
use std::time::SystemTime;

use chrono::DateTime;
use chrono::Datelike;
use chrono::NaiveDateTime;
use chrono::Utc;

/// IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`, without the day of the week.
const FIXDATE: &str = "%d %b %Y %H:%M:%S GMT";
/// RFC 850, `Sunday, 06-Nov-94 08:49:37 GMT`.
const RFC_850: &str = "%d-%b-%y %H:%M:%S GMT";
/// C's asctime, `Sun Nov  6 08:49:37 1994`.
const ASCTIME: &str = "%b %e %H:%M:%S %Y";
/// A year of two digits that is further off is one of the last century.
const MAX_YEARS_AHEAD: i32 = 50;

/// The delay from now: a number of seconds, or a date. A time in the past is no
/// delay; an invalid value is ignored.
pub(crate) fn parse(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let now = DateTime::<Utc>::from(now);
    let date = date(text, now.year())?.and_utc();
    Some((date - now).to_std().unwrap_or_default())
}

fn date(text: &str, this_year: i32) -> Option<NaiveDateTime> {
    let parse = |text: &str, format| {
        NaiveDateTime::parse_from_str(text.trim(), format).ok()
    };
    let Some((_, rest)) = text.split_once(',') else {
        // Some say UTC, which RFC 9110 allows a recipient to understand.
        let (_, rest) = text.split_once(' ')?;
        return parse(rest, ASCTIME);
    };
    let rest = rest.trim().to_ascii_uppercase().replace("UTC", "GMT");
    if let Some(date) = parse(&rest, FIXDATE) {
        return Some(date);
    }
    let date = parse(&rest, RFC_850)?;
    if date.year() > this_year + MAX_YEARS_AHEAD {
        return date.with_year(date.year() - 100);
    }
    if date.year() < this_year - MAX_YEARS_AHEAD {
        return date.with_year(date.year() + 100);
    }
    Some(date)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 1994-11-06T08:49:37Z, the date of HTTP's examples.
    const NOW: Duration = Duration::from_secs(784_111_777);
    /// 2068-01-01T00:00:00Z.
    const LATER: Duration = Duration::from_secs(3_092_601_600);

    fn seconds(text: &str, now: Duration) -> Option<u64> {
        parse(text, UNIX_EPOCH + now).map(|it| it.as_secs())
    }

    #[test]
    fn it_is_seconds_or_one_of_three_dates() {
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("3600", Some(3600)),
            ("100000000000000000000", Some(u64::MAX)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun Nov 06 08:50:37 1994", Some(60)),
            ("Wed Nov 16 08:49:37 1994", Some(10 * 86_400)),
            // Not as they should be, and clear all the same.
            ("sun, 06 nov 1994 08:50:37 gmt", Some(60)),
            ("Mon, 06 Nov 1994 08:50:37 UTC", Some(60)),
            ("Sun, 6 Nov 1994 08:50:37 GMT", Some(60)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("120 s", None),
            ("soon", None),
            ("Sun, 31 Feb 1994 08:50:37 GMT", None),
            ("Sun, 06 Nov 1994 25:50:37 GMT", None),
            ("Sun, 06 Nov 1994 08:50:37 PST", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text, NOW), expected, "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_the_nearest_one() {
        let wait = seconds("Friday, 01-Jan-99 00:00:00 GMT", NOW).unwrap();
        assert!((4..5).contains(&(wait / (365 * 86_400))), "{wait}");
        // Of 2068, which is further off than fifty years.
        let before = "Monday, 01-Jan-68 00:00:00 GMT";
        assert_eq!(seconds(before, NOW), Some(0));
        let minute = "Sunday, 01-Jan-68 00:01:00 GMT";
        assert_eq!(seconds(minute, LATER), Some(60));
        let next = "Tuesday, 01-Jan-69 00:00:00 GMT";
        assert_eq!(seconds(next, LATER), Some(366 * 86_400));
        // Of 1999, since 2099 is not within fifty years, or is it?
        let century = "Thursday, 01-Jan-99 00:00:00 GMT";
        assert!(seconds(century, LATER).unwrap() > 30 * 365 * 86_400);
    }
}
