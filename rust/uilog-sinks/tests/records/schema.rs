//! Records match docs/schema.md and docs/schema-v1.json.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::Value as Json;
use serde_json::json;
use uilog_event::event::Value;
use uilog_event::events::KNOWN;
use uilog_sinks::record::Record;
use uilog_sinks::record::SCHEMA;

use crate::events;

fn documentation(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    fs::read_to_string(path).expect("the documentation is here")
}

pub(crate) fn schema() -> Json {
    let text = documentation("schema-v1.json");
    serde_json::from_str(&text).expect("the schema is JSON")
}

/// The schema as readers have it, for whom there may be more.
fn open_validator() -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema())
        .expect("the schema is one")
}

/// The schema as writers have it: what is not documented is wrong.
pub(crate) fn validator() -> Validator {
    let mut schema = schema();
    close(&mut schema);
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("the schema is one")
}

/// Forbids properties that are not named.
fn close(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            if map.contains_key("properties") {
                map.insert("additionalProperties".to_owned(), false.into());
            }
            map.values_mut().for_each(close);
        }
        Json::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

pub(crate) fn check(validator: &Validator, record: &Json) {
    let errors: Vec<_> = validator
        .iter_errors(record)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{record:#}");
}

/// The names of fields, with dots for what is inside another.
fn fields_of_schema(schema: &Json, prefix: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for (name, inner) in properties {
        assert!(inner["description"].is_string(), "{name}: no description");
        found.insert(format!("{prefix}{name}"));
        fields_of_schema(inner, &format!("{prefix}{name}."), found);
    }
}

fn fields_of_record(record: &Json, prefix: &str, found: &mut BTreeSet<String>) {
    // These have names that are not ours.
    const OPEN: [&str; 4] = ["options", "blocked", "truncated", "base64"];
    let Some(map) = record.as_object() else {
        return;
    };
    for (name, inner) in map {
        found.insert(format!("{prefix}{name}"));
        if !OPEN.contains(&name.as_str()) {
            fields_of_record(inner, &format!("{prefix}{name}."), found);
        }
    }
}

/// A record in which there is everything.
fn full() -> Json {
    let message = b"exthook-a: b finished in 0.50 seconds\xff\n".repeat(2);
    let event = events::event("exthook", &message);
    let record = events::compose(&[], &event);
    let mut record = serde_json::to_value(record).expect("it is a record");
    let more = json!({
        "options": {"text": "a", "count": 1, "part": 0.5, "is": true,
            "none": null},
        "options_left_out": 1,
        "trace_state": "ot=th:c",
        "sample_rate": 0.25,
        "sink": {"name": "a", "stream": "0123456789abcdef", "number": 1},
        "blocked": {"stdio": 0.5},
        "rollup": {"commands": 2, "failures": 1,
            "since": "2026-01-02T03:04:05.678901+01:00", "is_others": true,
            "duration": {"count": 2, "sum": 0.5, "min": 0.1, "max": 0.4,
                "explicit_bounds": [0.25], "bucket_counts": [1, 1]}},
        "truncated": {"message": 1, "options": {"text": 2}},
    });
    let inner = [
        (
            "counts",
            json!({"incoming_changes": 1, "common_heads": 1,
                "unknown_heads": 1, "roundtrips": 1, "cache_hits": 1,
                "cache_lookups": 1}),
        ),
        (
            "process",
            json!({"program": "a", "command": "a", "command_line": "a",
                "exit_code": -1,
                "signal": 9}),
        ),
        (
            "host",
            // Not every machine has these.
            json!({"id": "fdbf79e8af94cb7f9e8df36789187052"}),
        ),
        (
            "cicd",
            json!({"pipeline_name": "a", "run_id": "1", "run_url": "https://a",
                "task_name": "a", "task_run_id": "1",
                "task_run_url": "https://a", "worker_id": "1",
                "worker_name": "a"}),
        ),
    ];
    for (name, value) in more.as_object().into_iter().flatten() {
        record[name] = value.clone();
    }
    for (object, values) in &inner {
        for (name, value) in values.as_object().into_iter().flatten() {
            record[*object][name] = value.clone();
        }
    }
    record
}

/// Whoever adds a field to the types must add it to [`full`], or the
/// compiler says so here.
#[test]
fn the_full_record_is_full() {
    let record: Record = serde_json::from_value(full()).expect("a record");
    let written = serde_json::to_value(&record).expect("a record");
    assert_eq!(written, full());
    let shown = format!("{record:?}");
    for absent in ["None", "{}"] {
        assert!(!shown.contains(absent), "{absent} in {shown}");
    }
}

#[test]
fn every_field_is_in_the_schema_and_nothing_else() {
    let mut in_schema = BTreeSet::new();
    fields_of_schema(&schema(), "", &mut in_schema);
    let mut in_record = BTreeSet::new();
    fields_of_record(&full(), "", &mut in_record);
    assert_eq!(in_schema, in_record);
    check(&validator(), &full());
    assert_eq!(schema()["properties"]["schema"]["const"], SCHEMA);
}

#[test]
fn every_field_is_documented_and_nothing_else() {
    let text = documentation("schema.md");
    // Tables of options have other heads.
    let documented: BTreeSet<String> = text
        .split("\n\n")
        .filter(|table| table.starts_with("| field |"))
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .flat_map(|(names, _)| names.split("`, `"))
        .map(str::to_owned)
        .collect();
    let mut in_schema = BTreeSet::new();
    fields_of_schema(&schema(), "", &mut in_schema);
    assert_eq!(documented, in_schema);
}

/// The examples in the documentation are records.
#[test]
fn the_examples_are_valid() {
    let text = documentation("schema.md");
    let mut examples = text.split("```json\n").skip(1).peekable();
    assert!(examples.peek().is_some(), "there is no example");
    for example in examples {
        let (example, _) = example.split_once("```").expect("an end");
        let json: Json = serde_json::from_str(example).expect("it is JSON");
        check(&validator(), &json);
        let record: Record =
            serde_json::from_value(json.clone()).expect("it is a record");
        assert_eq!(serde_json::to_value(record).ok(), Some(json));
    }
}

#[test]
fn readers_may_find_more() {
    let mut record = full();
    record["new"] = json!({"a": 1});
    record["process"]["new"] = json!(1);
    check(&open_validator(), &record);
    let read: Result<Record, _> = serde_json::from_value(record.clone());
    assert!(read.is_ok(), "{read:?}");
    assert!(!validator().is_valid(&record));
}

#[test]
fn what_is_wrong_is_found() {
    let is_valid = |change: &dyn Fn(&mut Json)| {
        let mut record = full();
        change(&mut record);
        validator().is_valid(&record)
    };
    assert!(is_valid(&|_| {}));
    assert!(!is_valid(&|it| it["schema"] = json!(2)));
    assert!(!is_valid(
        &|it| it["time"] = json!("2026-13-01T00:00:00.000000+00:00")
    ));
    assert!(!is_valid(&|it| it["duration"] = json!(null)));
    assert!(!is_valid(&|it| it["options"] = json!({"a": []})));
    assert!(!is_valid(&|it| it["process"]["exit_code"] = json!("0")));
}

#[test]
fn every_known_event_is_a_valid_record() {
    let validator = validator();
    for known in KNOWN {
        let record = events::compose(&[], &events::known(known));
        assert_eq!(record.event, known.name);
        let json = serde_json::to_value(&record).expect("it is a record");
        check(&validator, &json);
        // What is written is what is read.
        let line = events::line(&record);
        let read: Record = serde_json::from_str(&line).expect("a record");
        assert_eq!(read, record);
        let takes_time = matches!(
            known.name,
            "exthook"
                | "pythonhook"
                | "discovery"
                | "tagscache"
                | "watchman"
                | "uiblocked"
        );
        assert!(!takes_time || record.duration.is_some(), "{}", known.name);
    }
}

#[test]
fn a_commands_end_tells_all_of_it() {
    let mut event = events::finished(
        "ci -m x exited 255 after 1.25 seconds\n",
        "commit",
        "255",
    );
    let signal = events::option("signal", Value::Int(events::text(b"15")));
    event.event.options.push(signal);
    let record = events::compose(&[], &event);
    check(
        &validator(),
        &serde_json::to_value(&record).expect("a record"),
    );
    assert_eq!(
        record.message,
        "ci -m <redacted:message> exited 255 after 1.25 seconds"
    );
    let process = &record.process;
    assert_eq!(process.command.as_deref(), Some("commit"));
    assert_eq!(
        process.command_line.as_deref(),
        Some("ci -m <redacted:message>")
    );
    assert_eq!((process.exit_code, process.signal), (Some(255), Some(15)));
    assert_eq!(record.id, format!("{}-7", record.session));
    assert_eq!(record.time, "2023-11-15T03:43:20.000001+05:30");
    assert_eq!(
        record.trace_id.as_deref(),
        Some("00000000000000000000000000000011")
    );
    assert_eq!(record.parent_span_id.as_deref(), Some("0000000000000033"));
    assert_eq!(record.trace_flags, Some(1));
    let usage = record.usage.expect("it was told");
    assert_eq!(usage.user_cpu_seconds, 1.000001);
    let repository = record.repository.expect("it was told");
    assert_eq!(repository.name, "work");
}

#[test]
fn what_uilog_run_measures_is_usage() {
    let mut event = events::finished("x exited 0 after 1.25 seconds", "x", "0");
    event.event.usage = None;
    event.event.options.extend([
        events::option("peak_memory_bytes", Value::Int(events::text(b"4096"))),
        events::option("user_cpu_seconds", Value::Float(events::text(b"0.5"))),
        events::option(
            "system_cpu_seconds",
            Value::Float(events::text(b"9e-06")),
        ),
    ]);
    let usage = events::compose(&[], &event).usage.expect("it was told");
    assert_eq!(usage.peak_memory_bytes, 4096);
    assert_eq!(usage.user_cpu_seconds, 0.5);
    assert_eq!(usage.system_cpu_seconds, 9e-6);
}
