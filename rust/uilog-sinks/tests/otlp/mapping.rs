//! What arrives, field by field.

mod failures;
mod parts;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::json;
use uilog_sinks::otlp::request::Mapped;
use uilog_sinks::otlp::request::SignalType;
use uilog_sinks::otlp::request::encode;
use uilog_sinks::record::Record;

use crate::support::*;

/// 2026-01-02T03:04:05.678901+01:00.
const TIME: u64 = 1_767_319_445_678_901_000;
const ID: &str = "00000000000000000000000000000001-7";

/// Attributes in a form that can be compared.
fn plain(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let shown = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => format!("{number}"),
        Value::DoubleValue(number) => format!("{number:?}"),
        Value::BoolValue(value) => format!("{value}"),
        other => format!("{other:?}"),
    };
    let all: BTreeMap<_, _> = attributes
        .iter()
        .map(|it| {
            let value = it.value.as_ref().unwrap().value.as_ref().unwrap();
            (it.key.clone(), shown(value))
        })
        .collect();
    assert_eq!(all.len(), attributes.len(), "a key comes twice");
    all
}

fn map(
    pairs: &[(&str, &str)],
    more: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let own =
        |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().chain(more).map(own).collect()
}

/// What all have.
fn common(event: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("hg.event", event),
        ("hg.id", ID),
        ("hg.seq", "7"),
        ("hg.session.id", "00000000000000000000000000000001"),
        ("process.executable.name", "hg"),
        ("process.executable.path", "/usr/bin/hg"),
        ("process.pid", "17"),
        ("process.real_user.id", "1000"),
    ]
}

/// Whose work it is.
const SDK: [(&str, &str); 3] = [
    ("telemetry.sdk.language", "rust"),
    ("telemetry.sdk.name", "uilog"),
    ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
];

fn mapped(record: &Record) -> Mapped {
    Mapped::new(record).unwrap()
}

fn request(kind: SignalType, record: &Record) -> Request {
    let target = match kind {
        SignalType::Traces => "/v1/traces",
        SignalType::Logs => "/v1/logs",
    };
    let mapped = mapped(record);
    assert_eq!(mapped.kind(), kind);
    Request {
        method: "POST".to_owned(),
        target: target.to_owned(),
        headers: Default::default(),
        body: encode(std::iter::once(&mapped), &[]),
    }
}

fn spans(record: &Record) -> Vec<Span> {
    let request = request(SignalType::Traces, record);
    let (body, request) = (request.body.clone(), request.traces());
    let [resource] = &request.resource_spans[..] else {
        panic!("{request:?}");
    };
    let [scope] = &resource.scope_spans[..] else {
        panic!("{request:?}");
    };
    assert_eq!(scope.scope.as_ref().unwrap().name, "uilog");
    let resource = resource.resource.as_ref().unwrap();
    let expected = [
        ("host.name", "there"),
        ("service.name", "hg"),
        ("service.version", "7.2.4"),
    ];
    let expected = map(&SDK, &expected);
    assert_eq!(plain(&resource.attributes), expected);
    assert_written_as_others_do(&body, &scope.spans);
    scope.spans.clone()
}

/// Who reads and writes it again, as a collector does, gets the same bytes.
fn assert_written_as_others_do(body: &[u8], records: &[impl Message]) {
    let mut again = Vec::new();
    for record in records {
        prost::encoding::message::encode(2, record, &mut again);
    }
    // What is sent of the resource and the scope stands before it.
    assert!(body.ends_with(&again), "not as prost writes it");
}

fn span(record: &Record) -> Span {
    let mut all = spans(record);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn log(record: &Record) -> LogRecord {
    let request = request(SignalType::Logs, record);
    let (body, request) = (request.body.clone(), request.logs());
    let logs = &request.resource_logs[0].scope_logs[0].log_records;
    assert_written_as_others_do(&body, logs);
    logs[0].clone()
}

#[test]
fn a_rollup_is_a_log_record() {
    let more = json!({
        "event": "commandrollup",
        "message": "status: 3 commands, 1 failed",
        "rollup": {
            "commands": 3,
            "failures": 1,
            "since": "2026-01-02T03:04:00+01:00",
            "is_others": true,
            "duration": {"count": 3, "sum": 0.5, "min": 0.1, "max": 0.3,
                "explicit_bounds": [0.25, 0.5], "bucket_counts": [2, 1, 0]},
        },
    });
    let record = record(1, 7, more);
    let log = log(&record);
    assert_eq!(log.event_name, "hg.commandrollup");
    let all = plain(&log.attributes);
    for (key, expected) in [
        ("hg.rollup.commands", "3"),
        ("hg.rollup.failures", "1"),
        ("hg.rollup.since", "2026-01-02T03:04:00+01:00"),
        ("hg.rollup.is_others", "true"),
        ("hg.rollup.duration.count", "3"),
        ("hg.rollup.duration.sum", "0.5"),
        ("hg.rollup.duration.min", "0.1"),
        ("hg.rollup.duration.max", "0.3"),
    ] {
        assert_eq!(all[key], expected, "{key}");
    }
    let array = |key: &str| {
        let found = log.attributes.iter().find(|it| it.key == key).unwrap();
        match found.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::ArrayValue(array) => {
                let values = array.values.iter();
                values
                    .map(|it| it.value.clone().unwrap())
                    .collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let bounds = [0.25, 0.5].map(Value::DoubleValue);
    assert_eq!(array("hg.rollup.duration.explicit_bounds"), bounds);
    let counts = [2, 1, 0].map(Value::IntValue);
    assert_eq!(array("hg.rollup.duration.bucket_counts"), counts);
}

#[test]
fn a_command_is_a_span() {
    let record = record(
        0,
        7,
        json!({
            "event": "commandfinish",
            "duration": 1.25,
            "parent_span_id": "00000000000000aa",
            "trace_flags": 3,
            "trace_state": "ot=th:8",
            "parent_session": "000000000000000000000000000000ff",
            "message": "pull exited 255 after 1.25 seconds",
            "options": {
                "return_code": 255,
                "duration": 1.25,
                "canonical_command": "pull",
                "more": true,
                "list": [1, "a"],
                "none": null,
            },
            "process": {
                "pid": 17,
                "executable": "/usr/bin/hg",
                "hg_version": "7.2.4",
                "uid": 1000,
                "cwd": "/home/me/repo",
                "user": "me",
                "command": "pull",
                "command_line": "pull '--date=0 0' <redacted:x>",
                "exit_code": 255,
            },
            "repository": {
                "root": "/home/me/repo",
                "name": "repo",
                "url": "https://hg.example/a/main",
                "head_name": "stable",
                "head_revision": "00112233445566778899aabbccddeeff00112233",
            },
            "usage": {
                "peak_memory_bytes": 5000,
                "user_cpu_seconds": 0.5,
                "system_cpu_seconds": 0.25,
            },
            "lost": 3,
            "sample_rate": 0.5,
        }),
    );
    let span = span(&record);
    assert_eq!(span.name, "hg pull");
    assert_eq!(span.trace_id, 0x100_u128.to_be_bytes());
    assert_eq!(span.span_id, 0x200_u64.to_be_bytes());
    assert_eq!(span.parent_span_id, 0xaa_u64.to_be_bytes());
    assert_eq!(span.trace_state, "ot=th:8");
    // Its own flags, and that the parent is elsewhere.
    assert_eq!(span.flags, 0x303);
    assert_eq!(span.kind, SpanKind::Internal as i32);
    assert_eq!(span.end_time_unix_nano, TIME);
    assert_eq!(span.start_time_unix_nano, TIME - 1_250_000_000);
    let status = span.status.unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, "exit status 255");
    let list = "ArrayValue(ArrayValue { values: [AnyValue { value: \
                Some(IntValue(1)) }, AnyValue { value: \
                Some(StringValue(\"a\")) }] })";
    let arguments = "ArrayValue(ArrayValue { values: [AnyValue { value: \
                     Some(StringValue(\"hg\")) }, AnyValue { value: \
                     Some(StringValue(\"pull\")) }, AnyValue { value: \
                     Some(StringValue(\"--date=0 0\")) }, AnyValue { value: \
                     Some(StringValue(\"<redacted:x>\")) }] })";
    let expected = [
        ("error.type", "255"),
        ("hg.command", "pull"),
        ("hg.cpu.system_seconds", "0.25"),
        ("hg.cpu.user_seconds", "0.5"),
        ("hg.lost", "3"),
        ("hg.memory.peak_bytes", "5000"),
        ("hg.message", "pull exited 255 after 1.25 seconds"),
        ("hg.option.list", list),
        ("hg.option.more", "true"),
        ("hg.repository.root", "/home/me/repo"),
        ("hg.sample_rate", "0.5"),
        ("hg.session.parent_id", "000000000000000000000000000000ff"),
        ("process.command_args", arguments),
        ("process.exit.code", "255"),
        ("process.owner", "me"),
        ("process.working_directory", "/home/me/repo"),
        (
            "vcs.ref.head.revision",
            "00112233445566778899aabbccddeeff00112233",
        ),
        ("vcs.ref.head.name", "stable"),
        ("vcs.repository.name", "main"),
        ("vcs.repository.url.full", "https://hg.example/a/main"),
    ];
    let expected = map(&common("commandfinish"), &expected);
    assert_eq!(plain(&span.attributes), expected);
}

#[test]
fn a_resource_tells_the_machine_and_the_run() {
    let record = record(
        0,
        7,
        json!({
            "host": {
                "name": "there", "id": "fdbf79e8af94cb7f9e8df36789187052",
                "arch": "amd64", "os": "linux",
            },
            "cicd": {
                "pipeline_name": "Build and Test", "run_id": "9753",
                "run_url": "https://ci.example/9753", "task_name": "lint",
                "task_run_id": "8", "task_run_url": "https://ci.example/8",
                "worker_id": "w", "worker_name": "Worker",
            },
        }),
    );
    let all = request(SignalType::Logs, &record).logs();
    let resource = all.resource_logs[0].resource.as_ref().unwrap();
    let expected = [
        ("cicd.pipeline.name", "Build and Test"),
        ("cicd.pipeline.run.id", "9753"),
        ("cicd.pipeline.run.url.full", "https://ci.example/9753"),
        ("cicd.pipeline.task.name", "lint"),
        ("cicd.pipeline.task.run.id", "8"),
        ("cicd.pipeline.task.run.url.full", "https://ci.example/8"),
        ("cicd.worker.id", "w"),
        ("cicd.worker.name", "Worker"),
        ("host.arch", "amd64"),
        ("host.id", "fdbf79e8af94cb7f9e8df36789187052"),
        ("host.name", "there"),
        ("os.type", "linux"),
        ("service.name", "hg"),
        ("service.version", "7.2.4"),
    ];
    assert_eq!(plain(&resource.attributes), map(&SDK, &expected));
    let url = "https://opentelemetry.io/schemas/1.44.0";
    assert_eq!(all.resource_logs[0].schema_url, url);
}

#[test]
fn a_repository_of_unknown_origin_has_no_name() {
    let repository = json!({"root": "/home/me/clone", "name": "clone"});
    let record = record(0, 7, json!({"repository": repository}));
    let told = plain(&log(&record).attributes);
    assert_eq!(told["hg.repository.root"], "/home/me/clone");
    assert!(!told.keys().any(|it| it.starts_with("vcs.")), "{told:?}");
}

#[test]
fn another_program_is_named_as_it_is() {
    let process = json!({
        "pid": 1, "executable": "/usr/bin/cat", "program": "cat",
        "hg_version": "7.2.4",
        "command": "cat", "command_line": "cat x", "exit_code": 1,
    });
    let usage = json!({
        "peak_memory_bytes": 1, "user_cpu_seconds": 0.5,
        "system_cpu_seconds": 0.5,
    });
    let options = json!({"return_code": 1, "signal": 2});
    let all = json!({
        "event": "commandfinish", "process": process, "usage": usage,
        "options": options,
    });
    let span = span(&record(0, 7, all));
    assert_eq!(span.name, "cat");
    // Of hg's command of that name it would say that there was nothing.
    let status = span.status.map(|it| it.message);
    assert_eq!(status.as_deref(), Some("exit status 1"));
    let attribute = |key| text(&span.attributes, key);
    let is = |key, expected: Option<&str>| {
        assert_eq!(attribute(key).as_deref(), expected, "{key}");
    };
    is("process.executable.name", Some("cat"));
    is("process.executable.path", Some("/usr/bin/cat"));
    let arguments = &plain(&span.attributes)["process.command_args"];
    assert_eq!(arguments.matches("StringValue").count(), 2, "{arguments}");
    assert!(arguments.contains("\"cat\"") && arguments.contains("\"x\""));
    is("process.command_line", None);
    is("hg.command", None);
    is("hg.option.signal", None);
}

#[test]
fn all_else_is_a_log_record() {
    let cases = [
        ("command", SeverityNumber::Info, "INFO"),
        ("commandexception", SeverityNumber::Error, "ERROR"),
        ("develwarn", SeverityNumber::Warn, "WARN"),
        ("debug", SeverityNumber::Debug, "DEBUG"),
        ("somebody's own", SeverityNumber::Info, "INFO"),
    ];
    for (event, number, name) in cases {
        let log = log(&record(0, 7, json!({"event": event})));
        assert_eq!(log.event_name, format!("hg.{event}"));
        assert_eq!(log.severity_number, number as i32);
        assert_eq!(log.severity_text, name);
        assert_eq!(log.time_unix_nano, TIME);
        assert_eq!(log.observed_time_unix_nano, TIME);
        assert_eq!(log.trace_id, 0x100_u128.to_be_bytes());
        assert_eq!(log.span_id, 0x200_u64.to_be_bytes());
        assert_eq!(log.flags, 1);
        let body = log.body.unwrap().value.unwrap();
        assert_eq!(body, Value::StringValue("status".to_owned()));
        let mut expected = map(&common(event), &[]);
        expected.insert("log.record.uid".to_owned(), ID.to_owned());
        assert_eq!(plain(&log.attributes), expected);
    }
}

#[test]
fn outside_of_a_trace_a_log_record_has_none_and_a_span_its_sessions() {
    let without = |event: &str| {
        let mut all = record(0, 7, json!({"event": event, "duration": 1.0}));
        (all.trace_id, all.span_id) = (None, None);
        all
    };
    let mut plain = without("command");
    plain.duration = None;
    let log = log(&plain);
    assert_eq!((log.trace_id, log.span_id, log.flags), (vec![], vec![], 0));
    let span = span(&without("commandfinish"));
    assert_eq!(span.trace_id, 1_u128.to_be_bytes());
    assert_eq!((span.span_id.len(), span.parent_span_id.len()), (8, 0));
}

#[test]
fn what_makes_no_sense_is_said_and_not_sent() {
    let change = |change: fn(&mut Record)| {
        let mut all = record(0, 7, json!({}));
        change(&mut all);
        Mapped::new(&all).unwrap_err()
    };
    let sense = |what| format!("the record's {what} makes no sense");
    assert_eq!(change(|it| it.time = "now".into()), sense("time"));
    let zeros = |it: &mut Record| it.trace_id = Some("0".repeat(32));
    assert_eq!(change(zeros), sense("trace id"));
    let signed = |it: &mut Record| it.span_id = Some("+000000000000001".into());
    assert_eq!(change(signed), sense("span id"));
    for secs in [f64::NAN, f64::INFINITY, -1.0] {
        let mut all = record(0, 7, json!({"event": "exthook"}));
        all.duration = Some(secs);
        assert_eq!(mapped(&all).kind(), SignalType::Logs, "{secs}");
    }
    let mut all = record(0, 7, json!({"event": "commandfinish"}));
    all.duration = Some(1e300);
    assert_eq!(span(&all).start_time_unix_nano, 0);
}

#[test]
fn records_are_grouped_by_whom_they_are_from() {
    let mut there = record(0, 7, json!({}));
    let here = {
        let mut it = there.clone();
        it.host.name = "here".to_owned();
        it
    };
    there.id.push('1');
    let all = [&there, &here, &there].map(mapped);
    let configured = [
        ("service.name".to_owned(), "ours".to_owned()),
        ("team".to_owned(), "vcs".to_owned()),
    ];
    let request = Request {
        method: "POST".to_owned(),
        target: "/v1/logs".to_owned(),
        headers: Default::default(),
        body: encode(all.iter(), &configured),
    };
    let groups = request.logs().resource_logs;
    let seen: Vec<_> = groups
        .iter()
        .map(|it| {
            let resource = it.resource.as_ref().unwrap();
            let host = text(&resource.attributes, "host.name").unwrap();
            let service = text(&resource.attributes, "service.name").unwrap();
            assert_eq!(service, "ours");
            assert!(text(&resource.attributes, "team").is_some());
            (host, it.scope_logs[0].log_records.len())
        })
        .collect();
    assert_eq!(seen, [("there".to_owned(), 2), ("here".to_owned(), 1)]);
}
