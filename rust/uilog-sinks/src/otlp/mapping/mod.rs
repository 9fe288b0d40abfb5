//! Converts a record to OpenTelemetry.
//!
//! docs/otlp.md has the table. A record becomes spans or one log record, never
//! both, so that it is accepted or rejected as a whole. The same record always
//! gives the same result, so a record that is sent again has the same IDs.
//!
//! Spans and log records are written field by field, in the order of the field
//! numbers. Must not know how they are sent.

mod span;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;

use self::span::TracePosition;
use self::span::blocked;
use self::span::command;
use self::span::part;
use self::values::RECORDS;
pub use self::values::Unmappable;
use self::values::duration_nanos;
pub(crate) use self::values::hex;
use self::values::id_bytes;
use self::values::nanos;
use crate::otlp::attributes::AnyValue;
use crate::otlp::attributes::Attributes;
use crate::otlp::attributes::common;
use crate::otlp::protobuf::put_bytes;
use crate::otlp::protobuf::put_choice;
use crate::otlp::protobuf::put_fixed32;
use crate::otlp::protobuf::put_fixed64;
use crate::otlp::protobuf::put_joined;
use crate::otlp::protobuf::put_message;
use crate::otlp::stored::LOSS_EVENT;
use crate::otlp::stored::Stored;

/// The version of the semantic conventions that the names are from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The numbers of the fields of `LogRecord`.
mod log_record {
    pub(super) const TIME: u32 = 1;
    pub(super) const SEVERITY_NUMBER: u32 = 2;
    pub(super) const SEVERITY_TEXT: u32 = 3;
    pub(super) const BODY: u32 = 5;
    pub(super) const ATTRIBUTES: u32 = 6;
    pub(super) const FLAGS: u32 = 8;
    pub(super) const TRACE_ID: u32 = 9;
    pub(super) const SPAN_ID: u32 = 10;
    pub(super) const OBSERVED_TIME: u32 = 11;
    pub(super) const EVENT_NAME: u32 = 12;
}

/// What a record has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// So many spans, for durations.
    Spans(u64),
    /// A log record, of all else.
    Log,
}

/// Whether a record with these fields becomes spans, and no log record.
///
/// Spools have a place for each of the two: where an answer changes, so must
/// [`crate::otlp::signal::VERSION`].
pub fn becomes_spans(
    event: &str,
    duration: Option<f64>,
    blocked: &BTreeMap<String, f64>,
) -> bool {
    let is_told = |secs: f64| duration_nanos(Some(secs)).is_some();
    event == "commandfinish"
        || blocked.values().any(|secs| is_told(*secs))
        || duration.is_some_and(is_told)
}

/// Maps a record: appends its spans or log record, each as a field of the
/// scope's message.
///
/// # Errors
///
/// Its IDs or its time are invalid. Records of this program have both; a spool
/// may contain others.
pub(crate) fn map(
    record: &Stored<'_>,
    out: &mut Vec<u8>,
) -> Result<Signal, Unmappable> {
    let end = nanos(&record.time).ok_or(Unmappable("time"))?;
    let place = TracePosition::of(record)?;
    // Which of the two signals a record belongs to depends on its duration,
    // as with any other event.
    let is_lost = *record.event == *"commandlost"
        && duration_nanos(record.duration).is_some();
    if is_lost || *record.event == *"commandfinish" {
        put_message(RECORDS, out, |out| command(record, &place, end, out));
        return Ok(Signal::Spans(1));
    }
    let count = blocked(record, &place, end, out);
    if count > 0 {
        return Ok(Signal::Spans(count));
    }
    if let Some(duration) = duration_nanos(record.duration) {
        put_message(RECORDS, out, |out| {
            part(record, &place, end, duration, out);
        });
        return Ok(Signal::Spans(1));
    }
    put_message(RECORDS, out, |out| log(record, &place, end, out));
    Ok(Signal::Log)
}

/// The fields of a log record.
fn log(
    record: &Stored<'_>,
    place: &TracePosition,
    time: u64,
    out: &mut Vec<u8>,
) {
    let (number, text) = match &*record.event {
        "commandexception" => (SeverityNumber::Error, "ERROR"),
        "develwarn" | "hookrefused" | LOSS_EVENT => {
            (SeverityNumber::Warn, "WARN")
        }
        "debug" => (SeverityNumber::Debug, "DEBUG"),
        _ => (SeverityNumber::Info, "INFO"),
    };
    put_fixed64(log_record::TIME, time, out);
    put_choice(log_record::SEVERITY_NUMBER, number.into(), out);
    put_bytes(log_record::SEVERITY_TEXT, text.as_bytes(), out);
    put_message(log_record::BODY, out, |out| {
        AnyValue::Text(&record.message).put(out);
    });
    let mut all = Attributes::new(log_record::ATTRIBUTES, out);
    common(record, &mut all);
    all.text("log.record.uid", &record.id);
    all.other_side(record);
    if !place.is_made_up {
        put_fixed32(log_record::FLAGS, place.flags, out);
        put_bytes(log_record::TRACE_ID, &place.trace, out);
        put_bytes(log_record::SPAN_ID, id_bytes(&place.span), out);
    }
    put_fixed64(log_record::OBSERVED_TIME, time, out);
    put_joined(log_record::EVENT_NAME, ["hg.", &record.event], out);
}
