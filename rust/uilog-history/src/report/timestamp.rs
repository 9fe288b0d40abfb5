//! A time in a report as JSON.

use serde::Serialize;
use serde::Serializer;

/// RFC 3339, in UTC.
pub(super) fn serialize<S: Serializer>(
    micros: &i64,
    to: S,
) -> Result<S::Ok, S::Error> {
    let time = chrono::DateTime::from_timestamp_micros(*micros);
    let time = time.map(|it| it.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    time.serialize(to)
}
