//! Failed commands: status, class and text, of whatever has ended them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::json;
use uilog_sinks::otlp::request::encode;

use super::TIME;
use super::log;
use super::mapped;
use super::plain;
use super::span;
use crate::support::*;

#[test]
fn a_status_tells_failures() {
    let cases = [
        (json!({"command": "status", "exit_code": 0}), None),
        (json!({"command": "incoming", "exit_code": 1}), None),
        (json!({"command": "resolve", "exit_code": 1}), Some("1")),
        (json!({"command": "status", "signal": 9}), Some("signal 9")),
        (json!({}), None),
    ];
    for (more, expected) in cases {
        let mut process = json!({"pid": 1, "executable": "hg"});
        let more = more.as_object().unwrap().clone();
        process.as_object_mut().unwrap().extend(more);
        let all = json!({"event": "commandfinish", "process": process});
        let record = record(0, 7, all);
        let mapped = mapped(&record);
        let body = encode(std::iter::once(&mapped), &[]);
        let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        let spans = &request.resource_spans[0].scope_spans[0].spans;
        let [span] = &spans[..] else {
            panic!("{spans:?}");
        };
        let is_error = span
            .status
            .as_ref()
            .is_some_and(|it| it.code == StatusCode::Error as i32);
        assert_eq!(is_error, expected.is_some(), "{record:?}");
        let failure = text(&span.attributes, "error.type");
        assert_eq!(failure.as_deref(), expected);
        let name = match &record.process.command {
            Some(command) => format!("hg {command}"),
            None => "hg".to_owned(),
        };
        assert_eq!(span.name, name);
    }
}

#[test]
fn a_failure_has_its_class_and_its_text() {
    let finish = |code: i64, name: &str| {
        let all = json!({
            "event": "commandfinish",
            "process": {
                "pid": 1, "executable": "hg", "hg_version": "7.2.4",
                "command": name, "exit_code": code,
            },
            "options": {"error_type": "HookAbort", "error": "a hook failed"},
        });
        span(&record(0, 7, all))
    };
    let failed = finish(255, "commit");
    let status = failed.status.as_ref().unwrap();
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, "a hook failed");
    let kind = text(&failed.attributes, "error.type");
    assert_eq!(kind.as_deref(), Some("HookAbort"));
    // 1 says that there was nothing to commit.
    let nothing = finish(1, "commit");
    assert_eq!(nothing.status, None);
    assert_eq!(text(&nothing.attributes, "error.type"), None);
    let crash = record(
        0,
        7,
        json!({
            "event": "commandexception",
            "options": {
                "exception_type": "KeyError", "exception_message": "'x'",
                "exception_stacktrace": "Traceback", "fingerprint": "0f",
            },
        }),
    );
    let all = plain(&log(&crash).attributes);
    for (key, expected) in [
        ("exception.type", "KeyError"),
        ("exception.message", "'x'"),
        ("exception.stacktrace", "Traceback"),
        ("hg.option.fingerprint", "0f"),
    ] {
        assert_eq!(all[key], expected, "{key}");
    }
    assert!(!all.contains_key("hg.option.exception_type"));
}

#[test]
fn a_hook_that_refuses_is_an_error() {
    let hook = |event: &str, options: serde_json::Value| {
        let all = json!({
            "event": event, "duration": 0.5, "options": options,
            "hook": {"name": "a", "command": "b", "has_span": true},
        });
        let span = span(&record(0, 7, all));
        let status = span.status.unwrap_or_default();
        let kind = text(&span.attributes, "error.type").unwrap_or_default();
        (
            status.code == StatusCode::Error as i32,
            kind,
            status.message,
        )
    };
    let of = |kind: &str, text: &str| (true, kind.to_owned(), text.to_owned());
    let fine = (false, String::new(), String::new());
    let told = hook("exthook", json!({"exit_code": 3, "vetoed": true}));
    assert_eq!(told, of("3", "exit status 3"));
    let told = hook("exthook", json!({"signal": 9, "vetoed": true}));
    assert_eq!(told, of("signal 9", "ended by signal 9"));
    let told = hook("pythonhook", json!({"result": true, "vetoed": true}));
    assert_eq!(told, of("vetoed", "vetoed"));
    let raised = json!({
        "exception_type": "ValueError", "exception_message": "x",
        "vetoed": true,
    });
    let told = hook("pythonhook", raised);
    assert_eq!(told, of("ValueError", "ValueError: x"));
    let told = hook("exthook", json!({"exit_code": 3, "vetoed": false}));
    assert_eq!(told, fine);
    let told = hook("exthook", json!({}));
    assert_eq!(told, fine);
    let refused = json!({
        "event": "hookrefused",
        "options": {"exception_type": "x", "reason": "not-loaded"},
    });
    let refused = log(&record(0, 7, refused));
    assert_eq!(refused.severity_number, SeverityNumber::Warn as i32);
    let waited = json!({
        "event": "userwait", "duration": 1.5, "options": {"kind": "editor"},
    });
    let waited = span(&record(0, 7, waited));
    assert_eq!(waited.name, "wait for editor");
    assert_eq!(waited.start_time_unix_nano, TIME - 1_500_000_000);
}

#[test]
fn a_command_that_was_killed_is_a_span_that_has_failed() {
    for (signal, error, message) in [
        (Some(9), "signal 9", "ended by signal 9"),
        (None, "lost", "lost"),
    ] {
        let process = json!({
            "pid": 1, "executable": "hg", "hg_version": "7.2.4",
            "command": "pull", "signal": signal,
        });
        let options = json!({
            "duration": 1.5, "canonical_command": "pull", "signal": signal,
            "began": "2026-01-02T03:04:04.178901+01:00", "cause": "unknown",
        });
        let all = json!({
            "event": "commandlost", "duration": 1.5, "process": process,
            "options": options,
        });
        let lost = record(0, 7, all.clone());
        let span = span(&lost);
        assert_eq!(span.name, "hg pull");
        assert_eq!(Some(hex(&span.span_id)), lost.span_id);
        assert_eq!(span.end_time_unix_nano, TIME);
        assert_eq!(span.start_time_unix_nano, TIME - 1_500_000_000);
        let status = span.status.unwrap();
        assert_eq!(status.code, StatusCode::Error as i32);
        assert_eq!(status.message, message);
        let attribute = |key| text(&span.attributes, key);
        assert_eq!(attribute("error.type").as_deref(), Some(error));
        let cause = attribute("hg.option.cause");
        assert_eq!(cause.as_deref(), Some("unknown"));
        assert_eq!(attribute("hg.option.duration"), None);
        assert_eq!(attribute("hg.option.signal"), None);
    }
    // Anybody may log an event of this name.
    let bare = record(0, 7, json!({"event": "commandlost"}));
    assert_eq!(log(&bare).event_name, "hg.commandlost");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
