//! The attributes of spans and log records.
//!
//! docs/otlp.md has the table. Knows which field of a record is which
//! attribute. Must not know whether it belongs to a span or a log record.

use crate::otlp::protobuf::put_bytes;
use crate::otlp::protobuf::put_head;
use crate::otlp::protobuf::put_joined;
use crate::otlp::protobuf::put_message;
use crate::otlp::protobuf::put_set_bytes;
use crate::otlp::protobuf::put_set_fixed64;
use crate::otlp::protobuf::put_set_number;
use crate::otlp::protobuf::sized_bytes;
use crate::otlp::protobuf::varint_bytes;
use crate::otlp::stored::LOSS_EVENT;
use crate::otlp::stored::Process;
use crate::otlp::stored::Stored;
use crate::otlp::stored::Value;
use crate::record::Rollup;
use crate::repository as origin;

/// Options that have their own attribute.
const IN_OTHER_ATTRIBUTES: &[(&str, &[&str])] = &[
    (
        "commandfinish",
        &["return_code", "duration", "canonical_command", "signal"],
    ),
    ("commandlost", &["duration", "canonical_command", "signal"]),
    ("peerclose", &["url", "duration"]),
    ("exthook", &["duration"]),
    (
        "pythonhook",
        &["duration", "exception_type", "exception_message"],
    ),
    ("hookrefused", &["exception_type", "exception_message"]),
    ("userwait", &["duration"]),
    (
        "commandexception",
        &[
            "exception_type",
            "exception_message",
            "exception_stacktrace",
        ],
    ),
    ("lockwait", &["waited"]),
    (
        "wirefinish",
        &["duration", "remote_address", "remote_user", "error_type"],
    ),
    ("wirerequest", &["remote_address", "remote_user"]),
];

/// Options that the semantic conventions have names for, of these events.
const EXCEPTION: [(&str, &str); 3] = [
    ("exception_type", "exception.type"),
    ("exception_message", "exception.message"),
    ("exception_stacktrace", "exception.stacktrace"),
];

/// The numbers of the fields of `KeyValue`.
mod key_value {
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
}

/// The numbers of the fields of `AnyValue`.
mod any_value {
    pub(super) const TEXT: u32 = 1;
    pub(super) const BOOL: u32 = 2;
    pub(super) const INT: u32 = 3;
    pub(super) const DOUBLE: u32 = 4;
    pub(super) const ARRAY: u32 = 5;
    pub(super) const MAP: u32 = 6;
    /// Of `ArrayValue` and `KeyValueList`.
    pub(super) const VALUES: u32 = 1;
}

/// Commands that have been added up.
fn put_rollup(rollup: &Rollup, all: &mut Attributes<'_>) {
    all.number("hg.rollup.commands", rollup.commands);
    all.number("hg.rollup.failures", rollup.failures);
    all.text("hg.rollup.since", &rollup.since);
    if rollup.is_others {
        all.put(["hg.rollup.is_others", ""], AnyValue::Bool(true));
    }
    let Some(duration) = &rollup.duration else {
        return;
    };
    all.number("hg.rollup.duration.count", duration.count);
    all.float("hg.rollup.duration.sum", duration.sum);
    all.float("hg.rollup.duration.min", duration.min);
    all.float("hg.rollup.duration.max", duration.max);
    let bounds = duration.explicit_bounds.iter();
    let bounds = bounds.map(|it| AnyValue::Double(*it));
    all.array("hg.rollup.duration.explicit_bounds", bounds);
    let counts = duration.bucket_counts.iter();
    let counts = counts.map(|it| i64::try_from(*it).unwrap_or(i64::MAX));
    let counts = counts.map(AnyValue::Int);
    all.array("hg.rollup.duration.bucket_counts", counts);
}

/// The attributes that every span and log record has.
pub(crate) fn common(record: &Stored<'_>, all: &mut Attributes<'_>) {
    put_event(record, all);
    put_process(&record.process, all);
    put_repository(record, all);
    put_measurements(record, all);
    if let Some(rollup) = &record.rollup {
        put_rollup(rollup, all);
    }
    put_delivery(record, all);
    put_options(record, all);
}

fn put_event(record: &Stored<'_>, all: &mut Attributes<'_>) {
    all.text("hg.id", &record.id);
    all.text("hg.event", &record.event);
    all.text("hg.session.id", &record.session);
    all.maybe("hg.session.parent_id", record.parent_session.as_deref());
    all.number("hg.seq", record.seq);
}

fn put_process(process: &Process<'_>, all: &mut Attributes<'_>) {
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
        put_command_args(name, line, all);
    }
    if process.program.is_none() {
        all.maybe("hg.command", process.command.as_deref());
    }
    if let Some(code) = process.exit_code {
        all.int("process.exit.code", code);
    }
    if let Some(signal) = process.signal {
        all.int("hg.exit.signal", signal);
    }
}

fn put_command_args(name: Option<&str>, line: &str, all: &mut Attributes<'_>) {
    let words = uilog_redact::arguments(line.as_bytes());
    all.value("process.command_args", |out| {
        put_message(any_value::ARRAY, out, |out| {
            let mut put = |text: &str| {
                put_message(any_value::VALUES, out, |out| {
                    put_set_bytes(any_value::TEXT, text.as_bytes(), out);
                });
            };
            name.into_iter().for_each(&mut put);
            let words = words.iter().map(|it| String::from_utf8_lossy(it));
            words.for_each(|it| put(&it));
        });
    });
}

fn put_repository(record: &Stored<'_>, all: &mut Attributes<'_>) {
    let Some(repository) = &record.repository else {
        return;
    };
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

/// What the event has used, run and counted.
fn put_measurements(record: &Stored<'_>, all: &mut Attributes<'_>) {
    if let Some(usage) = record.usage {
        all.number("hg.memory.peak_bytes", usage.peak_memory_bytes);
        all.float("hg.cpu.user_seconds", usage.user_cpu_seconds);
        all.float("hg.cpu.system_seconds", usage.system_cpu_seconds);
    }
    if let Some(hook) = &record.hook {
        all.text("hg.hook.name", &hook.name);
        all.text("hg.hook.command", &hook.command);
    }
    let Some(counts) = record.counts else {
        return;
    };
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

/// What is missing from the record or before it, and its sink.
fn put_delivery(record: &Stored<'_>, all: &mut Attributes<'_>) {
    if record.truncated.0 > 0 {
        all.number("hg.truncated", record.truncated.0);
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
}

/// The event's options: under the names of the semantic conventions, if these
/// have one, or under our own.
fn put_options(record: &Stored<'_>, all: &mut Attributes<'_>) {
    let elsewhere = IN_OTHER_ATTRIBUTES
        .iter()
        .find(|(event, _)| *record.event == **event)
        .map_or(&[][..], |(_, options)| options);
    for (option, key) in EXCEPTION {
        if elsewhere.contains(&option) {
            all.maybe(key, record.options.text(option));
        }
    }
    let prefix = if *record.event == *LOSS_EVENT {
        "hg.loss."
    } else {
        "hg.option."
    };
    for (key, value) in record.options.iter() {
        if elsewhere.contains(&key) {
            continue;
        }
        let key = [prefix, key];
        match value {
            Value::Null => {}
            Value::Bool(value) => all.put(key, AnyValue::Bool(*value)),
            Value::Int(value) => all.put(key, AnyValue::Int(*value)),
            Value::Float(value) => all.put(key, AnyValue::Double(*value)),
            Value::Text(text) => all.put(key, AnyValue::Text(text)),
            Value::Other(value) => {
                all.put_with(key, |out| put_json(value, out));
            }
        }
    }
}

/// A value without others in it.
#[derive(Clone, Copy)]
pub(crate) enum AnyValue<'r> {
    Text(&'r str),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl AnyValue<'_> {
    /// Bytes of the message.
    fn bytes(self) -> usize {
        match self {
            Self::Text(text) => sized_bytes(any_value::TEXT, text.len()),
            Self::Bool(_) => 2,
            Self::Int(value) => 1 + varint_bytes(value as u64),
            Self::Double(_) => 9,
        }
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                put_set_bytes(any_value::TEXT, text.as_bytes(), out);
            }
            Self::Bool(value) => {
                put_set_number(any_value::BOOL, value.into(), out);
            }
            Self::Int(value) => {
                put_set_number(any_value::INT, value as u64, out);
            }
            Self::Double(value) => {
                put_set_fixed64(any_value::DOUBLE, value.to_bits(), out);
            }
        }
    }
}

/// Appends a value of JSON; nothing of `null`.
fn put_json(value: &serde_json::Value, out: &mut Vec<u8>) {
    use serde_json::Value;
    match value {
        Value::Null => {}
        Value::Bool(value) => AnyValue::Bool(*value).put(out),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => AnyValue::Int(value).put(out),
            (None, Some(value)) => AnyValue::Double(value).put(out),
            (None, None) => {}
        },
        Value::String(text) => AnyValue::Text(text).put(out),
        Value::Array(values) => put_message(any_value::ARRAY, out, |out| {
            for value in values {
                put_message(any_value::VALUES, out, |out| put_json(value, out));
            }
        }),
        Value::Object(map) => put_message(any_value::MAP, out, |out| {
            for (key, value) in map {
                put_message(any_value::VALUES, out, |out| {
                    put_bytes(key_value::KEY, key.as_bytes(), out);
                    put_message(key_value::VALUE, out, |out| {
                        put_json(value, out);
                    });
                });
            }
        }),
    }
}

/// Appends attributes, each as this field.
pub(crate) struct Attributes<'o> {
    field: u32,
    out: &'o mut Vec<u8>,
}

impl<'o> Attributes<'o> {
    pub(crate) fn new(field: u32, out: &'o mut Vec<u8>) -> Self {
        Self { field, out }
    }

    /// Appends an attribute whose name has two parts.
    fn put(&mut self, [prefix, name]: [&str; 2], value: AnyValue<'_>) {
        let key = [prefix, name];
        let key_bytes = prefix.len() + name.len();
        let value_bytes = value.bytes();
        let bytes = sized_bytes(key_value::KEY, key_bytes)
            + sized_bytes(key_value::VALUE, value_bytes);
        put_head(self.field, bytes, self.out);
        put_joined(key_value::KEY, key, self.out);
        put_head(key_value::VALUE, value_bytes, self.out);
        value.put(self.out);
    }

    /// Appends an attribute with a compound value.
    fn put_with(&mut self, key: [&str; 2], value: impl FnOnce(&mut Vec<u8>)) {
        put_message(self.field, self.out, |out| {
            put_joined(key_value::KEY, key, out);
            put_message(key_value::VALUE, out, value);
        });
    }

    fn value(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.put_with([key, ""], value);
    }

    fn array<'v>(
        &mut self,
        key: &str,
        values: impl Iterator<Item = AnyValue<'v>>,
    ) {
        self.value(key, |out| {
            put_message(any_value::ARRAY, out, |out| {
                for value in values {
                    put_message(any_value::VALUES, out, |out| value.put(out));
                }
            });
        });
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.put([key, ""], AnyValue::Text(value));
    }

    pub(crate) fn maybe(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn int(&mut self, key: &str, value: i64) {
        self.put([key, ""], AnyValue::Int(value));
    }

    fn number(&mut self, key: &str, value: u64) {
        self.int(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn float(&mut self, key: &str, value: f64) {
        self.put([key, ""], AnyValue::Double(value));
    }

    pub(crate) fn message(&mut self, record: &Stored<'_>) {
        if !record.message.is_empty() {
            self.text("hg.message", &record.message);
        }
    }

    /// The other side of a connection or a request.
    pub(crate) fn other_side(&mut self, record: &Stored<'_>) {
        match &*record.event {
            "peerclose" => self.peer(record),
            "wirerequest" | "wirefinish" => {
                let address = record.options.text("remote_address");
                self.maybe("client.address", address);
                self.maybe("user.name", record.options.text("remote_user"));
            }
            _ => {}
        }
    }

    fn peer(&mut self, record: &Stored<'_>) {
        let Some(url) = record.options.text("url") else {
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
