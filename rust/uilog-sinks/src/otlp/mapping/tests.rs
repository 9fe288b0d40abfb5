//! Tests of [`super`].

use chrono::DateTime;
use chrono::TimeDelta;

use super::values::nanos;
use super::values::nanos_of_ours;

#[test]
fn a_time_is_the_same_however_it_is_read() {
    let first = DateTime::parse_from_rfc3339("1971-01-02T00:00:00Z");
    let step = TimeDelta::microseconds(40_003_000_001);
    let mut simple = 0;
    for (number, offset) in (0..120_000).zip([0, 3600, -34_200].repeat(40_000))
    {
        let offset = chrono::FixedOffset::east_opt(offset).unwrap();
        let time = (first.unwrap() + step * number).with_timezone(&offset);
        let text = time.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string();
        let expected = time.timestamp_nanos_opt().unwrap();
        assert_eq!(nanos(&text), u64::try_from(expected).ok(), "{text}");
        simple += u64::from(nanos_of_ours(text.as_bytes()).is_some());
    }
    assert!(simple > 100_000, "{simple}");
    for text in [
        "2026-02-30T03:04:05.000006+01:00",
        "2026-13-02T03:04:05.000006+01:00",
        "2026-01-02T24:04:05.000006+01:00",
        "2026-01-02T03:04:05.00000x+01:00",
        "2026-01-02T03:04:05.000006+24:00",
        "1960-01-02T03:04:05.000006+01:00",
    ] {
        assert_eq!(nanos(text), None, "{text}");
    }
    let short = nanos("2026-01-02T03:04:05Z").unwrap();
    assert_eq!(nanos("2026-01-02T04:04:05.000000+01:00"), Some(short));
}
