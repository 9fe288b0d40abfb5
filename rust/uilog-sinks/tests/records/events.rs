//! Events and composers to try.

use std::borrow::Cow;

use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SCHEMA;
use uilog_event::event::SessionId;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Trace;
use uilog_event::event::Usage;
use uilog_event::event::Value;
use uilog_event::events::KnownEvent;
use uilog_event::events::Sample;
use uilog_sinks::compose::Composer;
use uilog_sinks::globals::Globals;
use uilog_sinks::record::Record;

/// A sink that wants everything, with these options besides.
pub(crate) fn definition(options: &[(&str, &str)]) -> SinkConfig {
    let all = [("ignore", "")];
    let options = all.iter().chain(options);
    SinkConfig {
        name: "fleet".to_owned(),
        url: b"file:/nowhere".to_vec(),
        options: options
            .map(|(name, value)| {
                (name.as_bytes().into(), value.as_bytes().into())
            })
            .collect(),
    }
}

pub(crate) fn globals() -> Globals {
    let items = [(b"redact-config".to_vec(), b"corp.*".to_vec())];
    Globals::new(&items, b"HOME=/home/joe\0")
}

pub(crate) fn composer(options: &[(&str, &str)]) -> Composer {
    Composer::new(&definition(options), &globals()).expect("options are good")
}

pub(crate) fn text(bytes: &[u8]) -> Text<'_> {
    Text(Cow::Borrowed(bytes))
}

pub(crate) fn option<'e>(key: &'e str, value: Value<'e>) -> EventOption<'e> {
    EventOption {
        key: Cow::Borrowed(key.as_bytes()),
        value,
    }
}

/// An event of which as much is known as can be.
pub(crate) fn event<'e>(
    name: &'e str,
    message: &'e [u8],
) -> wire::RecordFrame<'e> {
    wire::RecordFrame {
        event: Event {
            schema: SCHEMA,
            session: SessionId(0xabc),
            parent: Some(SessionId(0xdef)),
            seq: 7,
            name: Cow::Borrowed(name.as_bytes()),
            time: Timestamp {
                micros: 1_700_000_000_000_001,
                offset: 19_800,
            },
            duration: Some(1.25),
            pid: 42,
            user: Some(text(b"joe")),
            uid: 1000,
            root: Some(text(b"/home/joe/work")),
            message: Cow::Borrowed(message),
            options: Vec::new(),
            lost: 3,
            trace: Some(Trace {
                id: 0x11,
                span: 0x22,
                parent: 0x33,
                flags: 1,
            }),
            ends_span: true,
            usage: Some(Usage {
                peak_memory_bytes: 50_000_000,
                user_cpu_micros: 1_000_001,
                system_cpu_micros: 20,
            }),
        },
        environment_at: 0,
        items_at: 0,
        cwd: Some(text(b"/home/joe/src/dir")),
        hg: Cow::Borrowed(b"/usr/bin/hg"),
        hg_version: Some(text(b"7.2.4")),
        program: None,
        trace_state: None,
        repository: wire::Repository {
            url: Some(text(b"https://joe:hunter2@hg.example/main")),
            head: Some(text(b"default")),
            revision: Some(text(b"00112233445566778899aabbccddeeff00112233")),
        },
    }
}

/// An event as it is known.
pub(crate) fn known(known: &'static KnownEvent) -> wire::RecordFrame<'static> {
    let mut record = event(known.name, known.message.as_bytes());
    record.event.duration = None;
    let options = known.options.iter().map(|(key, sample)| {
        let value = match sample {
            Sample::Bool(value) => Value::Bool(*value),
            Sample::Int(digits) => Value::Int(text(digits.as_bytes())),
            Sample::Float(digits) => Value::Float(text(digits.as_bytes())),
            Sample::Bytes(bytes) => Value::Bytes(text(bytes.as_bytes())),
        };
        option(key, value)
    });
    record.event.options = options.collect();
    record
}

/// The end of a command.
pub(crate) fn finished<'e>(
    message: &'e str,
    command: &'e str,
    code: &'e str,
) -> wire::RecordFrame<'e> {
    let mut record = event("commandfinish", message.as_bytes());
    record.event.options = vec![
        option("return_code", Value::Int(text(code.as_bytes()))),
        option("duration", Value::Float(text(b"1.25"))),
        option("canonical_command", Value::Bytes(text(command.as_bytes()))),
    ];
    record
}

pub(crate) fn compose(
    options: &[(&str, &str)],
    record: &wire::RecordFrame<'_>,
) -> Record {
    let composed = composer(options).compose(record, b"");
    composed.expect("the sink wants everything")
}

/// The line of JSON, without its newline.
pub(crate) fn line(record: &Record) -> String {
    serde_json::to_string(record).expect("a record has text for names")
}
