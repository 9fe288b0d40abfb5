//! Time spans as people write them: `7d`, `last week`, hg's dates.
//!
//! Responsible for the first and the last moment of a span. The current time
//! and the local zone are parameters. Must not know what happened then.

use chrono::DateTime;
use chrono::Datelike;
use chrono::Days;
use chrono::Months;
use chrono::NaiveDate;
use chrono::NaiveTime;

use crate::date;
use crate::date::Clock;
use crate::date::Rounding;

const MICROS: i64 = 1_000_000;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The longest time that is counted back. hg's dates reach no further, either.
const MAX_AGO: i64 = 68 * 366 * DAY;

/// Examples for an error message.
pub const EXAMPLES: &str = "7d, 2h, 30min, today, yesterday, 'last week', \
                            'this month', 2026-11-30, '2026-11-30 14:00', or \
                            any other date of 'hg help dates'";

/// A span of time in microseconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
}

impl Span {
    /// All of time.
    pub const EVER: Self = Self {
        from: i64::MIN,
        to: i64::MAX,
    };

    /// Whether a moment is in it.
    pub fn contains(&self, micros: i64) -> bool {
        (self.from..=self.to).contains(&micros)
    }
}

/// The span that a text names: of `7d` the last seven days until now, of
/// `last week` Monday to Sunday, of a date all of the day, hour or minute.
///
/// # Errors
///
/// It names none; the text says what would.
pub fn span(text: &str, clock: &Clock<'_>) -> Result<Span, String> {
    let trimmed = text.trim();
    let span = relative(trimmed, clock).or_else(|| {
        let bound =
            |rounding| date::parse_bound(trimmed.as_bytes(), clock, rounding);
        let is_given = !trimmed.is_empty();
        let first = bound(Rounding::First).filter(|_| is_given)?;
        Some((first.seconds, bound(Rounding::Last)?.seconds))
    });
    let (first, last) =
        span.ok_or_else(|| format!("'{text}' is not a date: try {EXAMPLES}"))?;
    Ok(Span {
        from: first.saturating_mul(MICROS),
        to: last.saturating_mul(MICROS).saturating_add(MICROS - 1),
    })
}

/// The first and the last second of a span that is named by how far away it is
/// from now: `7d`, `last week`, `yesterday`.
pub fn relative(text: &str, clock: &Clock<'_>) -> Option<(i64, i64)> {
    let text = text.trim();
    ago(text)
        .map(|seconds| (clock.now - seconds, clock.now))
        .or_else(|| calendar(text, clock))
}

/// Whether a text names a moment in the past and not a span: `7d`.
pub fn is_moment(text: &str) -> bool {
    ago(text.trim()).is_some()
}

/// `--since` and `--until` together: from the first moment of the one to the
/// last of the other, where `7d` is a moment.
///
/// # Errors
///
/// As for [`span`], with the option's name.
pub fn between(
    since: Option<&str>,
    until: Option<&str>,
    clock: &Clock<'_>,
) -> Result<Span, String> {
    let mut all = Span::EVER;
    if let Some(text) = since {
        let from = span(text, clock).map_err(|why| format!("--since {why}"))?;
        all.from = from.from;
    }
    if let Some(text) = until {
        let to = span(text, clock).map_err(|why| format!("--until {why}"))?;
        all.to = if is_moment(text) { to.from } else { to.to };
    }
    Ok(all)
}

/// How many seconds ago: `7d`, `90 min`, `2 hours ago`, `last 3 days`, and
/// `-7`, which is days.
fn ago(text: &str) -> Option<i64> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    let rest = text.strip_prefix("last ").map_or(text, str::trim_start);
    let (is_negative, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.');
    let (number, unit) = rest.split_at(end.unwrap_or(rest.len()));
    let seconds = match unit.trim() {
        "" if is_negative => DAY,
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => MINUTE,
        "h" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => WEEK,
        "month" | "months" => 30 * DAY,
        "y" | "year" | "years" => 365 * DAY,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let all = number * seconds as f64;
    (all <= MAX_AGO as f64).then_some(all as i64)
}

/// `this week`, `last month`: whole weeks, which begin on Mondays, months and
/// years of the local calendar.
fn calendar(text: &str, clock: &Clock<'_>) -> Option<(i64, i64)> {
    let words: Vec<_> = text.split_whitespace().collect();
    let (back, unit) = match words[..] {
        ["today"] => (0, "day"),
        // hg's is of the current year on the first of January, too.
        ["yesterday"] => (1, "day"),
        ["this", unit] => (0, unit),
        ["last" | "previous", unit] => (1, unit),
        _ => return None,
    };
    let local = clock.now + (clock.local_offset)(clock.now);
    let today = DateTime::from_timestamp(local, 0)?.date_naive();
    let (first, next) = match unit {
        "day" => {
            let day = today.checked_sub_days(Days::new(back))?;
            (day, day.succ_opt()?)
        }
        "week" => {
            let monday = u64::from(today.weekday().num_days_from_monday());
            let first = today.checked_sub_days(Days::new(monday + 7 * back))?;
            (first, first.checked_add_days(Days::new(7))?)
        }
        "month" => {
            let months = Months::new(u32::try_from(back).ok()?);
            let first = today.with_day(1)?.checked_sub_months(months)?;
            (first, first.checked_add_months(Months::new(1))?)
        }
        "year" => {
            let year = today.year() - i32::try_from(back).ok()?;
            let first = |year| NaiveDate::from_ymd_opt(year, 1, 1);
            (first(year)?, first(year + 1)?)
        }
        _ => return None,
    };
    Some((midnight(first, clock), midnight(next, clock) - 1))
}

/// When a day begins.
fn midnight(day: NaiveDate, clock: &Clock<'_>) -> i64 {
    let local = day.and_time(NaiveTime::MIN).and_utc().timestamp();
    date::from_local(local, clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30 14:00:00, a Monday, in a zone two hours ahead.
    const NOW: i64 = 1_796_040_000;

    fn clock() -> Clock<'static> {
        Clock {
            now: NOW,
            local_offset: &|_| 7200,
        }
    }

    fn shown(text: &str) -> String {
        let Span { from, to } = span(text, &clock()).unwrap();
        let shown = |micros: i64| {
            let local = micros / MICROS + 7200;
            let date = DateTime::from_timestamp(local, 0).unwrap();
            date.format("%Y-%m-%d %H:%M:%S").to_string()
        };
        format!("{} .. {}", shown(from), shown(to))
    }

    #[test]
    fn spans_are_named_as_people_do() {
        let now = "2026-11-30 14:00:00";
        for (text, expected) in [
            ("7d", format!("2026-11-23 14:00:00 .. {now}")),
            ("-7", format!("2026-11-23 14:00:00 .. {now}")),
            ("last 7 days", format!("2026-11-23 14:00:00 .. {now}")),
            ("2h", format!("2026-11-30 12:00:00 .. {now}")),
            ("1.5 hours ago", format!("2026-11-30 12:30:00 .. {now}")),
            ("30min", format!("2026-11-30 13:30:00 .. {now}")),
            ("1w", format!("2026-11-23 14:00:00 .. {now}")),
            ("90 s", format!("2026-11-30 13:58:30 .. {now}")),
            ("15m", format!("2026-11-30 13:45:00 .. {now}")),
            ("1 month", format!("2026-10-31 14:00:00 .. {now}")),
            ("1y", format!("2025-11-30 14:00:00 .. {now}")),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        for (text, expected) in [
            ("today", "2026-11-30 00:00:00 .. 2026-11-30 23:59:59"),
            ("yesterday", "2026-11-29 00:00:00 .. 2026-11-29 23:59:59"),
            ("last week", "2026-11-23 00:00:00 .. 2026-11-29 23:59:59"),
            ("this week", "2026-11-30 00:00:00 .. 2026-12-06 23:59:59"),
            ("last month", "2026-10-01 00:00:00 .. 2026-10-31 23:59:59"),
            (
                "previous month",
                "2026-10-01 00:00:00 .. 2026-10-31 23:59:59",
            ),
            ("this month", "2026-11-01 00:00:00 .. 2026-11-30 23:59:59"),
            ("this year", "2026-01-01 00:00:00 .. 2026-12-31 23:59:59"),
            ("last year", "2025-01-01 00:00:00 .. 2025-12-31 23:59:59"),
            ("this day", "2026-11-30 00:00:00 .. 2026-11-30 23:59:59"),
            ("2026-02", "2026-02-01 00:00:00 .. 2026-02-28 23:59:59"),
            (
                "2026-11-30 13:05",
                "2026-11-30 13:05:00 .. 2026-11-30 13:05:59",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn yesterday_may_be_in_another_year() {
        // 2026-01-01 01:00:00
        let clock = Clock {
            now: 1_767_222_000,
            local_offset: &|_| 7200,
        };
        let day = span("yesterday", &clock).unwrap();
        assert_eq!(day.to, (1_767_222_000 - HOUR) * MICROS - 1);
    }

    #[test]
    fn a_week_begins_on_monday_on_whichever_day_it_is() {
        for days in 0..7 {
            let clock = Clock {
                now: NOW + days * DAY,
                local_offset: &|_| 7200,
            };
            let monday = NOW - 14 * HOUR;
            for (text, first) in
                [("this week", monday), ("last week", monday - WEEK)]
            {
                let span = relative(text, &clock);
                assert_eq!(span, Some((first, first + WEEK - 1)), "{text}");
            }
        }
    }

    #[test]
    fn a_day_has_23_hours_when_clocks_are_set_forward() {
        // 2026-03-29 01:00 UTC
        const CHANGE: i64 = 1_774_746_000;
        let clock = Clock {
            now: CHANGE,
            local_offset: &|at| if at < CHANGE { 3600 } else { 7200 },
        };
        let midnight = CHANGE - 2 * HOUR;
        let expected = Some((midnight, midnight + 23 * HOUR - 1));
        assert_eq!(relative("today", &clock), expected);
    }

    #[test]
    fn nothing_is_further_away_than_hgs_dates() {
        assert_eq!(ago("24888d"), Some(24_888 * DAY));
        assert_eq!(ago("24889d"), None);
        assert_eq!(ago("68y"), Some(68 * 365 * DAY));
    }

    #[test]
    fn a_time_ago_is_a_moment() {
        assert!(is_moment(" 7d "));
        assert!(!is_moment("today"));
    }

    #[test]
    fn what_is_none_says_what_would_be() {
        for text in [
            "soon",
            "",
            "7",
            "7x",
            "-7x",
            "last fortnight",
            "2026-13-01",
            "9e9y",
        ] {
            let error = span(text, &clock()).unwrap_err();
            assert!(error.contains("try 7d, 2h"), "{error}");
        }
    }

    #[test]
    fn bounds_take_the_whole_of_what_they_name() {
        let all = between(Some("yesterday"), None, &clock()).unwrap();
        // What happens today is since yesterday, too.
        assert!(all.contains(NOW * MICROS));
        assert_eq!(all.to, i64::MAX);
        let day = between(Some("yesterday"), Some("yesterday"), &clock());
        assert!(!day.unwrap().contains(NOW * MICROS));
        let until = between(None, Some("2h"), &clock()).unwrap();
        assert_eq!(until.to, (NOW - 2 * HOUR) * MICROS);
        let error = between(None, Some("x"), &clock()).unwrap_err();
        assert!(error.starts_with("--until 'x' is not a date"), "{error}");
    }
}
