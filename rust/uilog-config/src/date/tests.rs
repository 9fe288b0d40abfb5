//! Tests of [`super`].

use super::*;

/// What the text means in a zone that is two hours ahead, at 2026-01-02
/// 03:04:05 there.
fn parsed(text: &str) -> Option<(i64, i64)> {
    let clock = Clock {
        now: 1_767_315_845,
        local_offset: &|_| 7200,
    };
    parse_date(text.as_bytes(), &clock).map(|date| (date.seconds, date.offset))
}

#[test]
fn layouts_of_hg() {
    let zero = Some((0, 0));
    for text in [
        "",
        "0 0",
        "1970-01-01T00:00:00Z",
        "Thu Jan 01 00:00:00 1970 +0000",
        "thu jan  1 12:00:00am 1970 UTC",
        "1970-01-01 0000-00:00",
        "1/1/70 GMT",
    ] {
        assert_eq!(parsed(text), zero, "{text}");
    }
    assert_eq!(parsed("now"), Some((1_767_315_845, -7200)));
    assert_eq!(parsed("3:04"), Some((1_767_315_840, -7200)));
    assert_eq!(parsed("today"), Some((1_767_304_800, -7200)));
    assert_eq!(parsed("Jan 2"), parsed("today"));
    // Of the current year, which is what hg makes of it, too.
    assert_eq!(parsed("yesterday"), parsed("2026-01-01"));
}

#[test]
fn halves_of_days_and_centuries() {
    for (text, same) in [
        ("12:30am", "00:30"),
        ("1:30am", "01:30"),
        ("12:30PM", "12:30"),
        ("1:30pm", "13:30"),
        ("1/2/38", "2038-01-02"),
        ("1/2/69", "1969-01-02"),
        ("1/2/99", "1999-01-02"),
        ("1/2/00", "2000-01-02"),
    ] {
        assert!(parsed(same).is_some(), "{same}");
        assert_eq!(parsed(text), parsed(same), "{text}");
    }
    for text in ["00:30am", "13:30am", "13:30pm", "1:30xm", "1/2/68"] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

// Python: _strptime, whose regular expressions know which numbers there are
#[test]
fn a_number_ends_where_it_would_be_too_large() {
    for (text, same) in [
        // hg tries the layout with seconds first.
        ("2026-01-02 0304", "2026-01-02 03:00:04"),
        ("2026-01-02 30405", "2026-01-02 03:04:05"),
        ("2026-01-02 03704", "2026-01-02 03:07:04"),
        ("2026-01- 2", "2026-01-02"),
        // A leap second, or two.
        ("2026-01-02 03:04:60", "2026-01-02 03:05:00"),
        ("2026-01-02 03:04:61", "2026-01-02 03:05:01"),
    ] {
        assert_eq!(parsed(text), parsed(same), "{text}");
    }
    for text in [
        "2026-01-02 03:04:62",
        "2026-01-02 03:60",
        "2026-01-02 24:00",
        "2026-01-32",
        "2026-01- 0",
        "2026-01-00",
        "2026-00-01",
    ] {
        assert_eq!(parsed(text), None, "{text}");
    }
}

#[test]
fn zones_are_counted_westwards() {
    for (text, expected) in [
        ("1970-01-01 12:34 +1234", Some((0, -45_240))),
        ("1969-12-31 22:30 -0130", Some((0, 5400))),
        ("1970-01-01T01:30+01:30", Some((0, -5400))),
        ("1969-12-31T22:30-01:30", Some((0, 5400))),
        ("1970-01-01 00:00   UTC", Some((0, 0))),
        ("12:00am 0130", None),
        ("12:00amZ", None),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn dates_have_32_bits_zones_those_there_are_and_texts_256_bytes() {
    for (text, is_date) in [
        ("2147483647 0", true),
        ("2147483648 0", false),
        ("-2147483648 0", true),
        ("-2147483649 0", false),
        ("0 43200", true),
        ("0 43201", false),
        ("0 -50400", true),
        ("0 -50401", false),
    ] {
        assert_eq!(parsed(text).is_some(), is_date, "{text}");
    }
    let padded = |spaces| format!("2026-01-02{}03:04", " ".repeat(spaces));
    let longest = padded(MAX_LENGTH - "2026-01-0203:04".len());
    assert_eq!(parsed(&longest), parsed("2026-01-02 03:04"));
    assert_eq!(parsed(&longest.replacen(' ', "  ", 1)), None);
}

#[test]
fn clocks_are_set_forward_in_spring() {
    // 2026-03-29 01:00 UTC
    const CHANGE: i64 = 1_774_746_000;
    let clock = Clock {
        now: CHANGE,
        local_offset: &|at| if at < CHANGE { 3600 } else { 7200 },
    };
    let parsed = |text: &str| {
        let date = parse_date(text.as_bytes(), &clock).unwrap();
        (date.seconds - CHANGE, date.offset)
    };
    assert_eq!(parsed("2026-03-29 01:59:59"), (-1, -3600));
    // There is no such time, as an hour is left out.
    assert_eq!(parsed("2026-03-29 02:30"), (1800, -5400 + 1800));
    assert_eq!(parsed("2026-03-29 03:00"), (0, -7200));
    assert_eq!(parsed("2026-03-29 12:00"), (9 * 3600, -7200));
}

#[test]
fn a_span_has_a_first_and_a_last_second() {
    let clock = Clock {
        now: 1_767_315_845,
        local_offset: &|_| 7200,
    };
    let bound = |text: &str, rounding| {
        let date = parse_bound(text.as_bytes(), &clock, rounding);
        date.map(|date| date.seconds)
    };
    for (text, first, last) in [
        ("2026-01-02", "2026-01-02 00:00:00", "2026-01-02 23:59:59"),
        ("yesterday", "2026-01-01 00:00:00", "2026-01-01 23:59:59"),
        (
            "2026-01-02 03:04",
            "2026-01-02 03:04:00",
            "2026-01-02 03:04:59",
        ),
        ("2025", "2025-01-01 00:00:00", "2025-12-31 23:59:59"),
        ("2025-02", "2025-02-01 00:00:00", "2025-02-28 23:59:59"),
        ("2024-02", "2024-02-01 00:00:00", "2024-02-29 23:59:59"),
        ("Nov 2025", "2025-11-01 00:00:00", "2025-11-30 23:59:59"),
    ] {
        let (first, last) = (parsed(first), parsed(last));
        assert_eq!(bound(text, Rounding::First), first.map(|it| it.0));
        assert_eq!(bound(text, Rounding::Last), last.map(|it| it.0));
    }
    assert_eq!(bound("2026-13", Rounding::Last), None);
}

#[test]
fn what_is_no_date() {
    for text in [
        "soon",
        "1 2 3",
        "2026-02-30",
        "99999999999 0",
        "0 99999",
        "2026-01-01 25:00",
        "2026-01-01x",
    ] {
        assert_eq!(parsed(text), None, "{text}");
    }
}
