//! The sinks of this machine and of syslog, with real files, sockets and
//! daemons: arrived and lost records are counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod connect;
mod file;
mod rsyslog;
mod syslog;
mod unix;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_sinks::globals::Globals;
use uilog_sinks::open::open;
use uilog_sinks::record::Record;
use uilog_sinks::sink::Sink;

/// Longer than anything takes that is not stuck.
const LONG: Duration = Duration::from_secs(60);

fn soon() -> Instant {
    Instant::now() + LONG
}

fn definition(url: &str, options: &[(&str, &str)]) -> SinkConfig {
    let mut items = vec![("sink.x".to_owned(), url)];
    items.extend(options.iter().map(|(n, v)| (format!("sink.x:{n}"), *v)));
    let items = items.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    let (mut sinks, faults) = sink_config::read(items);
    assert_eq!(faults, []);
    sinks.remove(0)
}

fn try_sink(
    url: &str,
    options: &[(&str, &str)],
) -> Result<Box<dyn Sink>, String> {
    let globals = Globals::new(&[], b"HOME=/nonexistent\0");
    open(&definition(url, options), &globals)
}

fn sink(url: &str, options: &[(&str, &str)]) -> Box<dyn Sink> {
    try_sink(url, options).unwrap()
}

/// A record with this id and these fields besides those that all have.
fn record_with(id: &str, fields: Value) -> Arc<Record> {
    let mut record = json!({
        "schema": 1,
        "id": id,
        "event": "commandfinish",
        "time": "2026-01-02T03:04:05.678901+01:00",
        "session": "5e5510",
        "seq": 1,
        "message": "status exited 0",
        "process": {"pid": 7, "executable": "/hg", "uid": 3},
        "host": {"name": "h.example"},
    });
    let Value::Object(fields) = fields else {
        panic!("no object")
    };
    record.as_object_mut().unwrap().extend(fields);
    Arc::new(serde_json::from_value(record).unwrap())
}

fn record(id: &str) -> Arc<Record> {
    record_with(id, json!({}))
}

fn records(prefix: &str, count: usize) -> Vec<Arc<Record>> {
    (0..count)
        .map(|it| record(&format!("{prefix}-{it}")))
        .collect()
}

/// The ids in lines of JSON, each of which must be whole.
fn ids(text: &str) -> Vec<String> {
    let id = |line: &str| {
        let record: Record = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{error}: {line}"));
        record.id
    };
    text.lines().map(id).collect()
}

/// How many are lost, and why.
fn lost(result: Result<(), uilog_sinks::sink::LossReport>) -> (u64, String) {
    result.map_or_else(|it| (it.count, it.reason), |()| Default::default())
}
