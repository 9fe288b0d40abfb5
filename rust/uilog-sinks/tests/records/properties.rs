//! Every event becomes a record, within limits.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use uilog_channel::wire;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SessionId;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Trace;
use uilog_event::event::Usage;
use uilog_event::event::Value;
use uilog_sinks::compose::Composer;
use uilog_sinks::compose::MAX_RECORD_BYTES;
use uilog_sinks::record::Record;

use crate::events;
use crate::schema;

/// Bytes that are text, secrets, escapes, long, or anything.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"password=hunter2 ".to_vec()),
        Just(b"https://a:b@c/".to_vec()),
        Just(b" exited 1 after 0.10 seconds".to_vec()),
        Just(b"exthook-a: b finished in 0.10 seconds".to_vec()),
        Just(b"\x00\x01\x1b\"\\\n".to_vec()),
        Just("é\u{10ffff}".as_bytes().to_vec()),
        Just(b"\xff\xc3".to_vec()),
        vec(any::<u8>(), 0..20),
        "[ -~]{0,20}".prop_map(String::into_bytes),
    ];
    let repeated = (
        vec(pieces, 0..6),
        prop_oneof![
            20 => Just(1_usize),
            1 => Just(3_000_usize),
        ],
    );
    repeated.prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn text() -> impl Strategy<Value = Text<'static>> {
    bytes().prop_map(|bytes| Text(Cow::Owned(bytes)))
}

fn digits() -> impl Strategy<Value = Text<'static>> {
    prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        any::<f64>().prop_map(|it| format!("{it:?}")),
        Just("nan".to_owned()),
        "[0-9]{1,40}",
    ]
    .prop_map(|digits| Text(Cow::Owned(digits.into_bytes())))
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        digits().prop_map(Value::Int),
        digits().prop_map(Value::Float),
        text().prop_map(Value::Bytes),
        text().prop_map(Value::Str),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<_> = uilog_event::events::KNOWN
        .iter()
        .map(|known| known.name.as_bytes().to_vec())
        .collect();
    prop_oneof![8 => prop::sample::select(known), 1 => bytes()]
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "return_code",
        "duration",
        "canonical_command",
        "signal",
        "url",
        "stdio_blocked",
        "peak_memory_bytes",
        "user_cpu_seconds",
        "token",
    ];
    let known = known.map(|name| name.as_bytes().to_vec()).to_vec();
    prop_oneof![4 => prop::sample::select(known), 1 => bytes()]
}

fn option() -> impl Strategy<Value = EventOption<'static>> {
    (key(), value()).prop_map(|(key, value)| EventOption {
        key: Cow::Owned(key),
        value,
    })
}

fn event() -> impl Strategy<Value = wire::RecordFrame<'static>> {
    let options = |len| vec(option(), len);
    let options = prop_oneof![
        9 => options(0..6_usize),
        1 => options(200..201),
    ];
    let texts = (
        name(),
        bytes(),
        prop::option::of(text()),
        prop::option::of(text()),
        prop::option::of(text()),
        bytes(),
        options,
    );
    let numbers = (
        any::<u128>(),
        any::<Option<u128>>(),
        any::<[u64; 2]>(),
        any::<(i64, i32)>(),
        any::<Option<f64>>(),
        any::<(u32, u32)>(),
        any::<Option<(u128, u64, u64, u8)>>(),
        any::<Option<[u64; 3]>>(),
    );
    (texts, numbers).prop_map(|(texts, numbers)| {
        let (name, message, user, root, cwd, hg, options) = texts;
        let (session, parent, [seq, lost], time, duration, ids, trace, usage) =
            numbers;
        wire::RecordFrame {
            event: Event {
                schema: 1,
                session: SessionId(session),
                parent: parent.map(SessionId),
                seq,
                name: Cow::Owned(name),
                time: Timestamp {
                    micros: time.0,
                    offset: time.1,
                },
                duration,
                pid: ids.0,
                user,
                uid: ids.1,
                root,
                message: Cow::Owned(message),
                options,
                lost,
                trace: trace.map(|(id, span, parent, flags)| Trace {
                    id,
                    span,
                    parent,
                    flags,
                }),
                ends_span: usage.is_some(),
                usage: usage.map(|[peak, user, system]| Usage {
                    peak_memory_bytes: peak,
                    user_cpu_micros: user,
                    system_cpu_micros: system,
                }),
            },
            environment_at: 0,
            items_at: 0,
            cwd: cwd.clone(),
            hg: Cow::Owned(hg),
            hg_version: cwd,
            trace_state: None,
            repository: wire::Repository::default(),
            program: None,
        }
    })
}

fn composers() -> Vec<Composer> {
    let options: [&[(&str, &str)]; 3] = [
        &[],
        &[("argv", "canonical"), ("sample", "0.5")],
        &[("redact", "no")],
    ];
    options.map(events::composer).into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_event_is_a_valid_record(event in event()) {
        thread_local! {
            static TOOLS: (Vec<Composer>, jsonschema::Validator) =
                (composers(), schema::validator());
        }
        TOOLS.with(|(composers, validator)| {
            for composer in composers {
                let Some(record) = composer.compose(&event, b"") else {
                    continue;
                };
                let line = events::line(&record);
                prop_assert!(line.len() <= MAX_RECORD_BYTES, "{}", line.len());
                prop_assert!(!line.contains('\n'));
                let json = serde_json::from_str(&line).expect("it is JSON");
                schema::check(validator, &json);
                let read: Result<Record, _> = serde_json::from_str(&line);
                prop_assert!(read.is_ok());
            }
            Ok(())
        })?;
    }
}

/// The worst that can be thought of: all is as long as it may be, and grows.
#[test]
fn the_longest_record_fits_into_a_spool() {
    for piece in [&b"\x01"[..], b"\xff", b"\x01\x01\x01\xff", b"?key=x "] {
        let long = piece.repeat(1 << 20);
        for name in ["commandfinish", "exthook", "mine"] {
            let mut event = events::event(name, &long);
            event.event.message = Cow::Owned(
                [b"exthook-", &long[..20_000], b": ", &long].concat(),
            );
            event.event.user = Some(events::text(&long));
            event.event.root = Some(events::text(&long));
            event.cwd = Some(events::text(&long));
            event.hg = Cow::Borrowed(&long);
            event.hg_version = Some(events::text(&long));
            event.event.options = (0..1000_u32)
                .map(|number| EventOption {
                    key: Cow::Owned(
                        [&number.to_le_bytes()[..], &long[..300]].concat(),
                    ),
                    value: Value::Bytes(events::text(&long[..2000])),
                })
                .collect();
            let name = Value::Bytes(events::text(&long));
            event
                .event
                .options
                .insert(0, events::option("canonical_command", name));
            let record = events::compose(&[], &event);
            let line = events::line(&record);
            assert!(line.len() <= MAX_RECORD_BYTES, "{}", line.len());
            assert!(record.options_left_out > 0);
        }
    }
    const { assert!(MAX_RECORD_BYTES <= uilog_spool::MAX_PAYLOAD_BYTES) }
}
