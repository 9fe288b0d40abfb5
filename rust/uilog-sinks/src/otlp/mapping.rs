//! What a record is in the terms of OpenTelemetry.
//!
//! docs/otlp.md has the table. A record becomes spans or one log record, never
//! both, so that it is accepted or rejected as a whole. The same record always
//! becomes the same: what is sent again has the same ids.
//!
//! Knows nothing of how that is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::DateTime;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::KeyValueList;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use crate::otlp::losses;
use crate::record::Record;
use crate::repository as origin;

/// The version of the semantic conventions that the names are from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// W3C Trace Context's flag of a trace that is recorded.
const SAMPLED: u32 = 1;
/// Options that are told in other words.
const TOLD_ELSEWHERE: &[(&str, &[&str])] = &[
    (
        "commandfinish",
        &["return_code", "duration", "canonical_command", "signal"],
    ),
    ("peerclose", &["url", "duration"]),
];

/// What a record becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Of what has taken time.
    Spans(Vec<Span>),
    /// Of all else.
    Log(Box<LogRecord>),
}

/// A record that OpenTelemetry has no place for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record's {0} makes no sense")]
pub struct Nonsense(&'static str);

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

/// Maps a record.
///
/// # Errors
///
/// Its ids or its time are none. What this program writes has both; what is
/// in a spool may have been written by another.
pub fn map(record: &Record) -> Result<Signal, Nonsense> {
    let end = nanos(&record.time).ok_or(Nonsense("time"))?;
    let place = Place::of(record)?;
    if record.event == "commandfinish" {
        return Ok(Signal::Spans(vec![command(record, &place, end)]));
    }
    let blocked = blocked(record, &place, end);
    if !blocked.is_empty() {
        return Ok(Signal::Spans(blocked));
    }
    if let Some(duration) = duration_nanos(record.duration) {
        let span = part(record, &place, end, duration);
        return Ok(Signal::Spans(vec![span]));
    }
    Ok(Signal::Log(Box::new(log(record, &place, end))))
}

/// Where in a trace a record stands.
struct Place {
    trace: Vec<u8>,
    /// The command's or the hook's; empty if there is none.
    span: Vec<u8>,
    /// What that is a part of.
    parent: Vec<u8>,
    /// W3C Trace Context's.
    flags: u32,
    /// The record tells no trace, and what is here is made up.
    is_made_up: bool,
}

impl Place {
    fn of(record: &Record) -> Result<Self, Nonsense> {
        let id = |text: &Option<String>, bytes, name| match text {
            Some(text) => hex(text, bytes).ok_or(Nonsense(name)),
            None => Ok(Vec::new()),
        };
        let mut place = Self {
            trace: id(&record.trace_id, 16, "trace id")?,
            span: id(&record.span_id, 8, "span id")?,
            parent: id(&record.parent_span_id, 8, "parent span id")?,
            flags: record.trace_flags.map_or(SAMPLED, u32::from),
            is_made_up: false,
        };
        if place.trace.is_empty() {
            place.trace =
                hex(&record.session, 16).ok_or(Nonsense("session"))?;
            place.span.clear();
            place.parent.clear();
            place.is_made_up = true;
        }
        Ok(place)
    }

    fn part_flags(&self) -> u32 {
        self.flags | SpanFlags::ContextHasIsRemoteMask as u32
    }

    fn command_flags(&self) -> u32 {
        if self.parent.is_empty() {
            return self.part_flags();
        }
        self.part_flags() | SpanFlags::ContextIsRemoteMask as u32
    }
}

/// The span of a command.
fn command(record: &Record, place: &Place, end: u64) -> Span {
    let process = &record.process;
    let name = process.command.as_deref();
    let duration = duration_nanos(record.duration).unwrap_or(0);
    let mut attributes = attributes(record);
    attributes.message(record);
    let failure = failure(record);
    if let Some(failure) = &failure {
        attributes.text("error.type", failure);
    }
    let message = failure.map(|it| match process.signal {
        Some(_) => format!("ended by {it}"),
        None => format!("exit status {it}"),
    });
    Span {
        trace_id: place.trace.clone(),
        span_id: if place.span.is_empty() {
            span_id(record, "")
        } else {
            place.span.clone()
        },
        trace_state: record.trace_state.clone().unwrap_or_default(),
        parent_span_id: place.parent.clone(),
        flags: place.command_flags(),
        name: match (&process.program, name) {
            (Some(program), _) => program.clone(),
            (None, Some(name)) => format!("hg {name}"),
            (None, None) => "hg".to_owned(),
        },
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: end.saturating_sub(duration),
        end_time_unix_nano: end,
        attributes: attributes.0,
        status: message.map(|message| Status {
            message,
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

/// Why a command has failed, if it has. The semantic conventions' rule for
/// programs, but that some of hg's say with 1 that there was nothing.
fn failure(record: &Record) -> Option<String> {
    let process = &record.process;
    let failure = match (process.signal, process.exit_code) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => code.to_string(),
        (None, None) => return None,
    };
    record.is_failure().then_some(failure)
}

/// The span of something within a command.
fn part(record: &Record, place: &Place, end: u64, duration: u64) -> Span {
    let event = record.event.as_str();
    let (name, kind) = match event {
        "exthook" | "pythonhook" => {
            let hook = record.hook.as_ref();
            let name = hook.map_or_else(
                || "hook".to_owned(),
                |hook| format!("hook {}", hook.name),
            );
            (name, SpanKind::Internal)
        }
        "peerclose" => ("peer".to_owned(), SpanKind::Client),
        "discovery" | "remotefilefetchlog" => {
            (event.to_owned(), SpanKind::Client)
        }
        _ => (event.to_owned(), SpanKind::Internal),
    };
    let mut attributes = attributes(record);
    attributes.message(record);
    if event == "peerclose" {
        attributes.peer(record);
    }
    let has_span = record.hook.as_ref().is_some_and(|hook| hook.has_span);
    let (span_id, parent_span_id) = if has_span && !place.span.is_empty() {
        (place.span.clone(), place.parent.clone())
    } else {
        (span_id(record, ""), place.span.clone())
    };
    Span {
        span_id,
        parent_span_id,
        name,
        kind: kind.into(),
        start_time_unix_nano: end.saturating_sub(duration),
        end_time_unix_nano: end,
        attributes: attributes.0,
        ..part_of(record, place)
    }
}

fn part_of(record: &Record, place: &Place) -> Span {
    Span {
        trace_id: place.trace.clone(),
        trace_state: record.trace_state.clone().unwrap_or_default(),
        parent_span_id: place.span.clone(),
        flags: place.part_flags(),
        ..Span::default()
    }
}

/// The spans of what a command has waited for: hg tells how long in all, and
/// not when, so each is put before the end.
fn blocked(record: &Record, place: &Place, end: u64) -> Vec<Span> {
    let waits = record
        .blocked
        .iter()
        .filter_map(|(what, secs)| Some((what, duration_nanos(Some(*secs))?)));
    waits
        .map(|(what, duration)| {
            let mut attributes = attributes(record);
            attributes.text("hg.blocked.on", what);
            Span {
                span_id: span_id(record, what),
                name: format!("blocked {what}"),
                kind: SpanKind::Internal.into(),
                start_time_unix_nano: end.saturating_sub(duration),
                end_time_unix_nano: end,
                attributes: attributes.0,
                ..part_of(record, place)
            }
        })
        .collect()
}

fn log(record: &Record, place: &Place, time: u64) -> LogRecord {
    let mut attributes = attributes(record);
    attributes.text("log.record.uid", &record.id);
    if record.event == "peerclose" {
        attributes.peer(record);
    }
    let (number, text) = match record.event.as_str() {
        "commandexception" => (SeverityNumber::Error, "ERROR"),
        "develwarn" | losses::EVENT => (SeverityNumber::Warn, "WARN"),
        "debug" => (SeverityNumber::Debug, "DEBUG"),
        _ => (SeverityNumber::Info, "INFO"),
    };
    let (trace_id, span_id, flags) = if place.is_made_up {
        (Vec::new(), Vec::new(), 0)
    } else {
        (place.trace.clone(), place.span.clone(), place.flags)
    };
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: number.into(),
        severity_text: text.to_owned(),
        body: Some(text_value(&record.message)),
        attributes: attributes.0,
        flags,
        trace_id,
        span_id,
        event_name: format!("hg.{}", record.event),
        ..LogRecord::default()
    }
}

/// What every span and log record is told.
fn attributes(record: &Record) -> Attributes {
    let process = &record.process;
    let mut all = Attributes(Vec::with_capacity(24));
    all.text("hg.id", &record.id);
    all.text("hg.event", &record.event);
    all.text("hg.session.id", &record.session);
    all.maybe("hg.session.parent_id", record.parent_session.as_deref());
    all.number("hg.seq", record.seq);
    all.number("process.pid", process.pid.into());
    let program = match process.executable.rsplit('/').next() {
        Some(name) if !name.is_empty() => name,
        _ => "hg",
    };
    all.text("process.executable.name", program);
    all.text("process.executable.path", &process.executable);
    all.maybe("process.working_directory", process.cwd.as_deref());
    all.maybe("process.owner", process.user.as_deref());
    if let Some(uid) = process.uid {
        all.number("process.real_user.id", uid.into());
    }
    if let Some(line) = &process.command_line {
        // Another program's line begins with its name.
        let name = process.program.is_none().then_some(program);
        let words = uilog_redact::arguments(line.as_bytes());
        let words = words.iter().map(|it| String::from_utf8_lossy(it));
        let args = name.map(Cow::from).into_iter().chain(words);
        all.texts("process.command_args", args);
    }
    if process.program.is_none() {
        all.maybe("hg.command", process.command.as_deref());
    }
    if let Some(code) = process.exit_code {
        all.add("process.exit.code", any_value::Value::IntValue(code));
    }
    if let Some(signal) = process.signal {
        all.add("hg.exit.signal", any_value::Value::IntValue(signal));
    }
    if let Some(repository) = &record.repository {
        all.text("hg.repository.root", &repository.root);
        if let Some(url) = &repository.url {
            all.text("vcs.repository.url.full", url);
            all.maybe("vcs.repository.name", origin::name(url));
        }
        let head = repository.head_name.as_deref();
        all.maybe("vcs.ref.head.name", head);
        let revision = repository.head_revision.as_deref();
        all.maybe("vcs.ref.head.revision", revision);
    }
    if let Some(usage) = record.usage {
        all.number("hg.memory.peak_bytes", usage.peak_memory_bytes);
        all.float("hg.cpu.user_seconds", usage.user_cpu_seconds);
        all.float("hg.cpu.system_seconds", usage.system_cpu_seconds);
    }
    if let Some(hook) = &record.hook {
        all.text("hg.hook.name", &hook.name);
        all.text("hg.hook.command", &hook.command);
    }
    if let Some(counts) = record.counts {
        let counts = [
            ("hg.incoming.changes", counts.incoming_changes),
            ("hg.discovery.common_heads", counts.common_heads),
            ("hg.discovery.unknown_heads", counts.unknown_heads),
            ("hg.discovery.roundtrips", counts.roundtrips),
            ("hg.cache.hits", counts.cache_hits),
            ("hg.cache.lookups", counts.cache_lookups),
        ];
        for (key, count) in counts {
            if let Some(count) = count {
                all.number(key, count);
            }
        }
    }
    if !record.truncated.is_empty() {
        all.number("hg.truncated", record.truncated.len() as u64);
    }
    if record.options_left_out > 0 {
        all.number("hg.options_left_out", record.options_left_out);
    }
    if record.lost > 0 {
        all.number("hg.lost", record.lost);
    }
    if let Some(sink) = &record.sink {
        all.text("hg.sink.name", &sink.name);
        all.text("hg.sink.stream", &sink.stream);
        all.number("hg.sink.number", sink.number);
    }
    if let Some(rate) = record.sample_rate {
        all.float("hg.sample_rate", rate);
    }
    let told = TOLD_ELSEWHERE.iter().find(|it| it.0 == record.event);
    let told = told.map_or(&[][..], |it| it.1);
    let prefix = if record.event == losses::EVENT {
        "hg.loss"
    } else {
        "hg.option"
    };
    for (key, value) in &record.options {
        if told.contains(&key.as_str()) {
            continue;
        }
        if let Some(value) = any(value) {
            all.add(&format!("{prefix}.{key}"), value);
        }
    }
    all
}

struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, key: &str, value: any_value::Value) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    }

    fn text(&mut self, key: &str, value: &str) {
        self.add(key, any_value::Value::StringValue(value.to_owned()));
    }

    fn texts<'t>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = Cow<'t, str>>,
    ) {
        let values = values.map(|value| text_value(&value)).collect();
        self.add(key, any_value::Value::ArrayValue(ArrayValue { values }));
    }

    fn maybe(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.add(key, any_value::Value::IntValue(value));
    }

    fn float(&mut self, key: &str, value: f64) {
        self.add(key, any_value::Value::DoubleValue(value));
    }

    fn message(&mut self, record: &Record) {
        if !record.message.is_empty() {
            self.text("hg.message", &record.message);
        }
    }

    /// Whom a connection was to.
    fn peer(&mut self, record: &Record) {
        let url = record.options.get("url").and_then(Value::as_str);
        let Some(url) = url else {
            return;
        };
        self.text("url.full", url);
        let Some((host, port)) = server(url) else {
            return;
        };
        self.text("server.address", host);
        if let Some(port) = port {
            self.number("server.port", port.into());
        }
    }
}

/// The host and the port of a URL.
fn server(url: &str) -> Option<(&str, Option<u16>)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|it| it.is_ascii_digit()) => {
            (host, port.parse().ok())
        }
        _ => (host, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

fn text_value(text: &str) -> AnyValue {
    AnyValue {
        value: Some(any_value::Value::StringValue(text.to_owned())),
    }
}

/// A value of JSON; none of `null`.
fn any(value: &Value) -> Option<any_value::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => any_value::Value::BoolValue(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => any_value::Value::IntValue(number),
            None => any_value::Value::DoubleValue(number.as_f64()?),
        },
        Value::String(text) => any_value::Value::StringValue(text.clone()),
        Value::Array(values) => any_value::Value::ArrayValue(ArrayValue {
            values: values
                .iter()
                .map(|value| AnyValue { value: any(value) })
                .collect(),
        }),
        Value::Object(map) => any_value::Value::KvlistValue(KeyValueList {
            values: map
                .iter()
                .map(|(key, value)| KeyValue {
                    key: key.clone(),
                    value: Some(AnyValue { value: any(value) }),
                    ..KeyValue::default()
                })
                .collect(),
        }),
    })
}

/// The id of a span that the record has none for: of the record's, so that
/// what is sent again is the same span.
fn span_id(record: &Record, what: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(b"uilog span\0");
    hash.update(record.id.as_bytes());
    hash.update(b"\0");
    hash.update(what.as_bytes());
    let mut id = hash.finalize()[..8].to_vec();
    // All zeros would be none.
    id[7] |= u8::from(id.iter().all(|byte| *byte == 0));
    id
}

fn nanos(time: &str) -> Option<u64> {
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    u64::try_from(time.timestamp_nanos_opt()?).ok()
}

fn duration_nanos(secs: Option<f64>) -> Option<u64> {
    let secs = secs.filter(|it| it.is_finite() && *it >= 0.0)?;
    // Far beyond what a clock can tell, it is as long as can be told.
    Some((secs * 1e9).round() as u64)
}

/// The bytes of so many hexadecimal digits; none if all are zero, which is no
/// id.
pub(crate) fn hex(text: &str, bytes: usize) -> Option<Vec<u8>> {
    if text.len() != 2 * bytes || !text.is_ascii() {
        return None;
    }
    let value: Option<Vec<u8>> = (0..bytes)
        .map(|at| {
            let digits = &text[2 * at..2 * at + 2];
            let is_plain = digits.bytes().all(|it| it.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|_| is_plain)
        })
        .collect();
    value.filter(|it| it.iter().any(|byte| *byte != 0))
}
