//! Converts a record to OpenTelemetry.
//!
//! docs/otlp.md has the table. A record becomes spans or one log record, never
//! both, so that it is accepted or rejected as a whole. The same record always
//! gives the same result, so a record that is sent again has the same IDs.
//!
//! Spans and log records are written field by field, in the order of the field
//! numbers. Must not know how they are sent.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::DateTime;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sha2::Digest;
use sha2::Sha256;

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
use crate::record::is_failure;

/// The version of the semantic conventions that the names are from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// W3C Trace Context's flag of a trace that is recorded.
const SAMPLED: u32 = 1;
/// From March of the year 0 to 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

/// `ScopeSpans.spans` and `ScopeLogs.log_records`.
const RECORDS: u32 = 2;

/// The numbers of the fields of `Span`.
mod span {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START_TIME: u32 = 7;
    pub(super) const END_TIME: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
    pub(super) const STATUS_MESSAGE: u32 = 2;
    pub(super) const STATUS_CODE: u32 = 3;
}

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

/// A record that OpenTelemetry has no place for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record's {0} makes no sense")]
pub struct Unmappable(&'static str);

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
    let place = RecordPosition::of(record)?;
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

/// A record's position in a trace.
struct RecordPosition {
    trace: [u8; 16],
    /// The command's or the hook's span, if there is one.
    span: Option<[u8; 8]>,
    /// What that is a part of.
    parent: Option<[u8; 8]>,
    /// W3C Trace Context's.
    flags: u32,
    /// The record has no trace; these IDs are derived.
    is_made_up: bool,
}

/// The bytes of an ID; empty if there is none.
fn id_bytes(id: &Option<[u8; 8]>) -> &[u8] {
    id.as_ref().map_or(&[], |it| &it[..])
}

impl RecordPosition {
    fn of(record: &Stored<'_>) -> Result<Self, Unmappable> {
        fn id<const BYTES: usize>(
            text: Option<&str>,
            name: &'static str,
        ) -> Result<Option<[u8; BYTES]>, Unmappable> {
            let id = text.map(|it| hex(it).ok_or(Unmappable(name)));
            id.transpose()
        }
        let trace = id(record.trace_id.as_deref(), "trace id")?;
        let span = id(record.span_id.as_deref(), "span id")?;
        let parent = id(record.parent_span_id.as_deref(), "parent span id")?;
        let flags = record.trace_flags.map_or(SAMPLED, u32::from);
        Ok(match trace {
            Some(trace) => Self {
                trace,
                span,
                parent,
                flags,
                is_made_up: false,
            },
            None => Self {
                trace: hex(&record.session).ok_or(Unmappable("session"))?,
                span: None,
                parent: None,
                flags,
                is_made_up: true,
            },
        })
    }

    fn part_flags(&self) -> u32 {
        self.flags | SpanFlags::ContextHasIsRemoteMask as u32
    }

    fn command_flags(&self) -> u32 {
        if self.parent.is_none() {
            return self.part_flags();
        }
        self.part_flags() | SpanFlags::ContextIsRemoteMask as u32
    }
}

/// What a span is, but for its attributes.
struct Span<'r> {
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    /// The parts of its name.
    name: [&'r str; 2],
    kind: SpanKind,
    duration: u64,
    flags: u32,
    /// Why it has failed, if it has.
    failure: Option<Failure>,
}

impl Span<'_> {
    /// Appends the fields of the span, which ends then.
    fn put(
        &self,
        record: &Stored<'_>,
        place: &RecordPosition,
        end: u64,
        attributes: impl FnOnce(&mut Attributes<'_>),
        out: &mut Vec<u8>,
    ) {
        put_bytes(span::TRACE_ID, &place.trace, out);
        put_bytes(span::SPAN_ID, &self.id, out);
        let state = record.trace_state.as_deref().unwrap_or_default();
        put_bytes(span::TRACE_STATE, state.as_bytes(), out);
        put_bytes(span::PARENT_SPAN_ID, id_bytes(&self.parent), out);
        put_joined(span::NAME, self.name, out);
        put_choice(span::KIND, self.kind.into(), out);
        let start = end.saturating_sub(self.duration);
        put_fixed64(span::START_TIME, start, out);
        put_fixed64(span::END_TIME, end, out);
        let mut all = Attributes::new(span::ATTRIBUTES, out);
        common(record, &mut all);
        attributes(&mut all);
        if let Some(failure) = &self.failure {
            put_message(span::STATUS, out, |out| {
                put_bytes(span::STATUS_MESSAGE, failure.text.as_bytes(), out);
                put_choice(span::STATUS_CODE, StatusCode::Error.into(), out);
            });
        }
        put_fixed32(span::FLAGS, self.flags, out);
    }
}

/// The span of a command.
fn command(
    record: &Stored<'_>,
    place: &RecordPosition,
    end: u64,
    out: &mut Vec<u8>,
) {
    let process = &record.process;
    let failure = failure(record);
    let error = failure.as_ref().map(|it| it.kind.clone());
    let span = Span {
        id: place.span.unwrap_or_else(|| span_id(record, "")),
        parent: place.parent,
        name: match (&process.program, &process.command) {
            (Some(program), _) => [program, ""],
            (None, Some(name)) => ["hg ", name],
            (None, None) => ["hg", ""],
        },
        kind: SpanKind::Internal,
        duration: duration_nanos(record.duration).unwrap_or(0),
        flags: place.command_flags(),
        failure,
    };
    let attributes = |all: &mut Attributes<'_>| {
        all.message(record);
        all.maybe("error.type", error.as_deref());
    };
    span.put(record, place, end, attributes, out);
}

/// Why something has failed.
struct Failure {
    /// The value of `error.type`.
    kind: String,
    /// What people read.
    text: String,
}

/// Why a command has failed, if it has. The semantic conventions' rule for
/// programs, but that some of hg's say with 1 that there was nothing.
fn failure(record: &Stored<'_>) -> Option<Failure> {
    let process = &record.process;
    // 1 has this meaning only for Mercurial's commands.
    let command = process.command.as_deref();
    let command = command.filter(|_| process.program.is_none());
    let (code, signal) = (process.exit_code, process.signal);
    if !is_failure(&record.event, code, signal, command) {
        return None;
    }
    let (kind, text) = match (signal, code) {
        (None, None) if *record.event == *"commandlost" => {
            ("lost".to_owned(), "lost".to_owned())
        }
        (Some(signal), _) => (
            format!("signal {signal}"),
            format!("ended by signal {signal}"),
        ),
        (None, code) => {
            let code = code?;
            (code.to_string(), format!("exit status {code}"))
        }
    };
    let told = |name: &str| record.options.text(name).map(str::to_owned);
    // Of another program, options of these names may be anything.
    let is_of_hg = process.program.is_none();
    Some(Failure {
        kind: told("error_type").filter(|_| is_of_hg).unwrap_or(kind),
        text: told("error").filter(|_| is_of_hg).unwrap_or(text),
    })
}

/// Why a hook has refused, if it has.
fn refusal(record: &Stored<'_>) -> Option<Failure> {
    let options = &record.options;
    if record.hook.is_none() || !options.is_true("vetoed") {
        return None;
    }
    if let Some(kind) = options.text("exception_type") {
        let text = options.text("exception_message").unwrap_or_default();
        return Some(Failure {
            kind: kind.to_owned(),
            text: format!("{kind}: {text}"),
        });
    }
    let (kind, text) = match (options.int("exit_code"), options.int("signal")) {
        (Some(code), _) => (code.to_string(), format!("exit status {code}")),
        (None, Some(signal)) => (
            format!("signal {signal}"),
            format!("ended by signal {signal}"),
        ),
        (None, None) => ("vetoed".to_owned(), "vetoed".to_owned()),
    };
    Some(Failure { kind, text })
}

/// The span of something within a command.
fn part(
    record: &Stored<'_>,
    place: &RecordPosition,
    end: u64,
    duration: u64,
    out: &mut Vec<u8>,
) {
    let event = &*record.event;
    let (name, kind) = match event {
        "exthook" | "pythonhook" => {
            let hook = record.hook.as_ref();
            let name = match hook {
                Some(hook) => ["hook ", &hook.name],
                None => ["hook", ""],
            };
            (name, SpanKind::Internal)
        }
        "peerclose" => (["peer", ""], SpanKind::Client),
        "userwait" => {
            let kind = record.options.text("kind").unwrap_or("user");
            (["wait for ", kind], SpanKind::Internal)
        }
        "wirefinish" => {
            let command = record.options.text("wire_command");
            (["wire ", command.unwrap_or_default()], SpanKind::Server)
        }
        "discovery" | "remotefilefetchlog" => ([event, ""], SpanKind::Client),
        _ => ([event, ""], SpanKind::Internal),
    };
    let has_span = record.hook.as_ref().is_some_and(|hook| hook.has_span);
    let (id, parent) = match place.span.filter(|_| has_span) {
        Some(span) => (span, place.parent),
        None => (span_id(record, ""), place.span),
    };
    // The event's own duration is that of the connection's end.
    let connected = record.options.number("connected");
    let connected = connected.filter(|_| event == "peerclose");
    let failure = refusal(record).or_else(|| part_failure(record));
    let error = failure.as_ref().map(|it| it.kind.clone());
    let span = Span {
        id,
        parent,
        name,
        kind,
        duration: duration_nanos(connected).unwrap_or(duration),
        flags: place.part_flags(),
        failure,
    };
    let attributes = |all: &mut Attributes<'_>| {
        all.message(record);
        all.other_side(record);
        all.maybe("error.type", error.as_deref());
    };
    span.put(record, place, end, attributes, out);
}

/// Why something within a command has failed, if it has.
fn part_failure(record: &Stored<'_>) -> Option<Failure> {
    let outcome = record.options.text("outcome")?;
    let kind = match (&*record.event, outcome) {
        ("peerclose", "timeout" | "killed")
        | ("lockwait", "timeout" | "failed") => outcome,
        ("wirefinish", "failed") => {
            record.options.text("error_type").unwrap_or(outcome)
        }
        _ => return None,
    };
    Some(Failure {
        kind: kind.to_owned(),
        text: kind.to_owned(),
    })
}

/// Spans for what a command has waited for. hg logs the total and not the time,
/// so each span ends at the event. Returns how many.
fn blocked(
    record: &Stored<'_>,
    place: &RecordPosition,
    end: u64,
    out: &mut Vec<u8>,
) -> u64 {
    let mut count = 0;
    for (what, secs) in &record.blocked {
        let Some(duration) = duration_nanos(Some(*secs)) else {
            continue;
        };
        let span = Span {
            id: span_id(record, what),
            parent: place.span,
            name: ["blocked ", what],
            kind: SpanKind::Internal,
            duration,
            flags: place.part_flags(),
            failure: None,
        };
        put_message(RECORDS, out, |out| {
            let on = |all: &mut Attributes<'_>| all.text("hg.blocked.on", what);
            span.put(record, place, end, on, out);
        });
        count += 1;
    }
    count
}

/// The fields of a log record.
fn log(
    record: &Stored<'_>,
    place: &RecordPosition,
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

/// The ID of a span for which the record has none: derived from the record's
/// ID, so that a record that is sent again has the same span.
fn span_id(record: &Stored<'_>, what: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"uilog span\0");
    hash.update(record.id.as_bytes());
    hash.update(b"\0");
    hash.update(what.as_bytes());
    let sum = hash.finalize();
    let mut id: [u8; 8] = std::array::from_fn(|at| sum[at]);
    // All zeros would be none.
    id[7] |= u8::from(id == [0; 8]);
    id
}

/// Nanoseconds since 1970.
fn nanos(time: &str) -> Option<u64> {
    if let Some(nanos) = nanos_of_ours(time.as_bytes()) {
        return Some(nanos);
    }
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    u64::try_from(time.timestamp_nanos_opt()?).ok()
}

/// The same of a time as this program writes it, where that is simple: the last
/// days of months are left to the other.
fn nanos_of_ours(time: &[u8]) -> Option<u64> {
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

fn duration_nanos(secs: Option<f64>) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_time_is_the_same_however_it_is_read() {
        let first = DateTime::parse_from_rfc3339("1971-01-02T00:00:00Z");
        let step = TimeDelta::microseconds(40_003_000_001);
        let mut simple = 0;
        for (number, offset) in
            (0..120_000).zip([0, 3600, -34_200].repeat(40_000))
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
}
