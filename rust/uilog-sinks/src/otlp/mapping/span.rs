//! Spans: of a command, of what happens within one, and of what it waits for.
//!
//! Must not know what the message around them is.

use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sha2::Digest;
use sha2::Sha256;

use super::values::RECORDS;
use super::values::Unmappable;
use super::values::duration_nanos;
use super::values::hex;
use super::values::id_bytes;
use crate::otlp::attributes::Attributes;
use crate::otlp::attributes::common;
use crate::otlp::protobuf::put_bytes;
use crate::otlp::protobuf::put_choice;
use crate::otlp::protobuf::put_fixed32;
use crate::otlp::protobuf::put_fixed64;
use crate::otlp::protobuf::put_joined;
use crate::otlp::protobuf::put_message;
use crate::otlp::stored::Stored;
use crate::record::is_failure;

/// W3C Trace Context's flag of a trace that is recorded.
const SAMPLED: u32 = 1;

/// The numbers of the fields of `Span`.
mod field {
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

/// A record's position in a trace.
pub(super) struct TracePosition {
    pub(super) trace: [u8; 16],
    /// The command's or the hook's span, if there is one.
    pub(super) span: Option<[u8; 8]>,
    /// What that is a part of.
    parent: Option<[u8; 8]>,
    /// W3C Trace Context's.
    pub(super) flags: u32,
    /// The record has no trace; these IDs are derived.
    pub(super) is_made_up: bool,
}

impl TracePosition {
    pub(super) fn of(record: &Stored<'_>) -> Result<Self, Unmappable> {
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
        place: &TracePosition,
        end: u64,
        attributes: impl FnOnce(&mut Attributes<'_>),
        out: &mut Vec<u8>,
    ) {
        put_bytes(field::TRACE_ID, &place.trace, out);
        put_bytes(field::SPAN_ID, &self.id, out);
        let state = record.trace_state.as_deref().unwrap_or_default();
        put_bytes(field::TRACE_STATE, state.as_bytes(), out);
        put_bytes(field::PARENT_SPAN_ID, id_bytes(&self.parent), out);
        put_joined(field::NAME, self.name, out);
        put_choice(field::KIND, self.kind.into(), out);
        let start = end.saturating_sub(self.duration);
        put_fixed64(field::START_TIME, start, out);
        put_fixed64(field::END_TIME, end, out);
        let mut all = Attributes::new(field::ATTRIBUTES, out);
        common(record, &mut all);
        attributes(&mut all);
        if let Some(failure) = &self.failure {
            put_message(field::STATUS, out, |out| {
                put_bytes(field::STATUS_MESSAGE, failure.text.as_bytes(), out);
                put_choice(field::STATUS_CODE, StatusCode::Error.into(), out);
            });
        }
        put_fixed32(field::FLAGS, self.flags, out);
    }
}

/// The span of a command.
pub(super) fn command(
    record: &Stored<'_>,
    place: &TracePosition,
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
pub(super) fn part(
    record: &Stored<'_>,
    place: &TracePosition,
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
pub(super) fn blocked(
    record: &Stored<'_>,
    place: &TracePosition,
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
