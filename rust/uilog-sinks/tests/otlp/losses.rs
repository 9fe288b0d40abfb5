//! What a receiver learns of losses: by numbers, and by records of them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_sinks::spools::Owned;

use crate::support::*;

const REPORT: &str = "hg.uilogloss";

fn number(all: &[KeyValue], key: &str) -> Option<i64> {
    let value = all.iter().find(|it| it.key == key)?.value.clone()?;
    match value.value? {
        Value::IntValue(number) => Some(number),
        other => panic!("{key} is {other:?}"),
    }
}

/// The attributes of all that has come.
fn attributes(request: &Request) -> Vec<Vec<KeyValue>> {
    if request.target.ends_with("traces") {
        let spans = request.traces().resource_spans.into_iter();
        let spans = spans.flat_map(|it| it.scope_spans);
        let spans = spans.flat_map(|it| it.spans);
        return spans.map(|it| it.attributes).collect();
    }
    logs(request).into_iter().map(|it| it.attributes).collect()
}

fn logs(request: &Request) -> Vec<LogRecord> {
    if request.target.ends_with("traces") {
        return Vec::new();
    }
    let logs = request.logs().resource_logs.into_iter();
    let logs = logs.flat_map(|it| it.scope_logs);
    logs.flat_map(|it| it.log_records).collect()
}

fn reports(server: &Server) -> Vec<LogRecord> {
    let requests = server.requests();
    let logs = requests.iter().flat_map(logs);
    logs.filter(|it| it.event_name == REPORT).collect()
}

/// Lets the next record of losses be due, as if a minute had passed.
fn pass_a_minute(sink: &TestSink) {
    let path = sink.dir.path().join("fleet").join("losses");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.split_once(' ') {
        Some(("time", _)) => "time 1".to_owned(),
        _ => line.to_owned(),
    });
    let lines: Vec<_> = lines.collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn records_are_numbered_without_gaps_by_all_who_append() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    for session in 0..3 {
        let records: Vec<_> =
            (1..=4).map(|seq| numbered(session, seq)).collect();
        deliver(&sink, &records);
    }
    let requests = server.requests();
    let all: Vec<_> = requests.iter().flat_map(attributes).collect();
    let streams: BTreeSet<_> = all
        .iter()
        .map(|it| text(it, "hg.sink.stream").unwrap())
        .collect();
    assert_eq!(streams.len(), 1);
    let numbers: BTreeSet<_> = all
        .iter()
        .map(|it| number(it, "hg.sink.number").unwrap())
        .collect();
    assert_eq!(
        numbers.into_iter().collect::<Vec<_>>(),
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!(text(&all[0], "hg.sink.name").unwrap(), "fleet");
}

/// A collector, and what makes it refuse everything.
fn server_that_may_refuse() -> (Server, Arc<AtomicBool>) {
    let refuses = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&refuses);
    let server = Server::start(move |_| {
        if refused.load(Ordering::Relaxed) {
            status(400)
        } else {
            accepted()
        }
    });
    (server, refuses)
}

#[test]
fn what_is_rejected_is_told_once_and_leaves_a_gap() {
    let (server, refuses) = server_that_may_refuse();
    let sink = TestSink::new(&server.url(), &[]);
    let logs = |numbers: [u64; 2]| numbers.map(|it| numbered(0, 2 * it - 1));
    deliver(&sink, &logs([1, 2]));
    refuses.store(true, Ordering::Relaxed);
    deliver(&sink, &logs([3, 4]));
    assert_eq!(sink.stats().rejected, 2);
    assert!(reports(&server).is_empty());
    refuses.store(false, Ordering::Relaxed);
    let before = server.requests().len();
    deliver(&sink, &logs([5, 6]));
    let told = reports(&server);
    assert_eq!(told.len(), 1);
    let told = &told[0];
    assert_eq!(told.severity_text, "WARN");
    assert_eq!(number(&told.attributes, "hg.loss.rejected"), Some(2));
    assert_eq!(number(&told.attributes, "hg.loss.total"), Some(2));
    assert_eq!(number(&told.attributes, "hg.loss.evicted"), None);
    assert_eq!(text(&told.attributes, "hg.loss.sink").unwrap(), "fleet");
    let requests = &server.requests()[before..];
    let numbers: Vec<_> = requests
        .iter()
        .flat_map(attributes)
        .filter(|it| text(it, "hg.event").unwrap() == "command")
        .map(|it| number(&it, "hg.sink.number").unwrap())
        .collect();
    assert_eq!(numbers, [5, 6]);
    // What has been told is not told again.
    pass_a_minute(&sink);
    deliver(&sink, &logs([7, 8]));
    assert_eq!(reports(&server).len(), 1);
}

/// The count of what is rejected is lower after a requeue.
#[test]
fn what_is_rejected_after_a_requeue_is_told() {
    let (server, refuses) = server_that_may_refuse();
    let sink = TestSink::new(&server.url(), &[]);
    let reject = |seq| {
        refuses.store(true, Ordering::Relaxed);
        deliver(&sink, &[numbered(0, seq)]);
        refuses.store(false, Ordering::Relaxed);
    };
    deliver(&sink, &[numbered(0, 1)]);
    reject(3);
    deliver(&sink, &[numbered(0, 5)]);
    assert_eq!(reports(&server).len(), 1);
    let owned = Owned {
        sink: "fleet".to_owned(),
        definition: Some(sink.definition.clone()),
    };
    assert_eq!(owned.requeue(&sink.globals), Ok(Some(1)));
    deliver(&sink, &[numbered(0, 7)]);
    assert_eq!(sink.stats().rejected, 0);
    reject(9);
    pass_a_minute(&sink);
    deliver(&sink, &[numbered(0, 11)]);
    let told = reports(&server);
    assert_eq!(told.len(), 2);
    let attributes = &told[1].attributes;
    assert_eq!(number(attributes, "hg.loss.rejected"), Some(1));
}

#[test]
fn what_never_came_into_the_spool_is_told_too() {
    let server = Server::start(|_| accepted());
    let state = tempfile::tempdir().unwrap();
    let environment = format!("XDG_STATE_HOME={}\0", state.path().display());
    let sink = TestSink::with_environment(&server.url(), &[], &environment);
    let journal = Journal::for_environment(environment.as_bytes()).unwrap();
    for (lost, detail) in [
        (3, "the queue is full"),
        (2, "uilog.sink.lines: no space left on device"),
        (0, "uilog.sink.lines: it cannot be rotated"),
    ] {
        let detail = detail.to_owned();
        let kind = FailureKind::Lost;
        let failure =
            Failure::now(String::new(), b"command", kind, lost, detail);
        journal.append(&failure).unwrap();
    }
    deliver(&sink, &[numbered(0, 1)]);
    let told = reports(&server);
    assert_eq!(told.len(), 1);
    let told = &told[0].attributes;
    assert_eq!(number(told, "hg.loss.events_lost"), Some(3));
    assert_eq!(number(told, "hg.loss.undelivered"), Some(2));
    assert_eq!(number(told, "hg.loss.total"), Some(5));
    assert!(text(told, "hg.loss.since").is_some());
    pass_a_minute(&sink);
    deliver(&sink, &[numbered(0, 3)]);
    assert_eq!(reports(&server).len(), 1);
}

#[test]
fn a_record_of_losses_that_is_rejected_leads_to_no_other() {
    let accepts = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&accepts);
    let server = Server::start(move |request| {
        let is_logs = request.target.ends_with("logs");
        let less = |it: usize| it.checked_sub(1);
        if is_logs
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                .is_err()
        {
            return status(400);
        }
        accepted()
    });
    let sink = TestSink::new(&server.url(), &[]);
    for seq in [1, 3] {
        deliver(&sink, &[numbered(0, seq), numbered(0, seq + 1)]);
    }
    assert_eq!(sink.stats().rejected, 1);
    deliver(&sink, &[numbered(0, 6)]);
    // The record, and what tells of it.
    assert_eq!(sink.stats().rejected, 2);
    let told = reports(&server).len();
    assert!(told > 0);
    for seq in [8, 10, 12] {
        pass_a_minute(&sink);
        deliver(&sink, &[numbered(0, seq)]);
    }
    assert_eq!(reports(&server).len(), told);
    assert_eq!(sink.stats().rejected, 2);
}
