//! Records that a collector refuses, and answers that accept a part.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use uilog_sinks::otlp::sender::SendResult;
use uilog_sinks::record::Record;
use uilog_sinks::spools::Owned;

use super::answering;
use super::logs;
use super::reason;
use super::records;
use super::rejected;
use crate::support::*;

/// Refuses, with a status, what has one of these records in it.
fn refusing(code: u16, poison: &[&Arc<Record>]) -> Server {
    let poison: Vec<_> = poison.iter().map(|it| it.id.clone()).collect();
    Server::start(move |request| {
        match request.ids().iter().any(|id| poison.contains(id)) {
            true => Reply::Answer {
                status: code,
                headers: vec![("Content-Type", "text/plain".to_owned())],
                body: b"I do not like\nthis".to_vec(),
            },
            false => accepted(),
        }
    })
}

#[test]
fn records_that_are_refused_are_found_and_kept_aside() {
    for code in [400, 413, 422] {
        let all = records(41);
        let poison = [&all[3], &all[4], &all[39]];
        let server = refusing(code, &poison);
        let sink = TestSink::new(&server.url(), &[]);
        sink.append(&all);
        let flushed = sink.flush();
        assert_eq!(flushed.end, SendResult::Drained);
        let progress = flushed.progress;
        assert_eq!((progress.sent, progress.rejected), (38, 3));
        let why = format!("status {code}: I do not like this");
        assert_eq!(flushed.rejection.as_deref(), Some(&*why));
        let mut expected: Vec<_> = poison
            .iter()
            .map(|it| (it.id.clone(), why.clone()))
            .collect();
        expected.sort();
        let mut found = rejected(&sink);
        found.sort();
        assert_eq!(found, expected);
        let stats = sink.stats();
        let counts = (stats.pending, stats.sent, stats.rejected);
        assert_eq!(counts, (0, 38, 3));
    }
}

#[test]
fn a_batch_that_is_too_large_is_divided() {
    let server = Server::start(|request| match request.ids().len() {
        0..=10 => accepted(),
        _ => status(413),
    });
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(100));
    assert_eq!(sink.flush().progress.sent, 100);
    assert_eq!(sink.stats().rejected, 0);
}

#[test]
fn a_collector_that_fails_over_everything_costs_nothing() {
    for code in [400, 500, 501] {
        let server = Server::start(move |_| status(code));
        for count in [1, 500] {
            let sink = TestSink::new(&server.url(), &[]);
            sink.append(&logs(count));
            let before = server.requests().len();
            let why =
                format!("not accepted: {code} (is this an OTLP endpoint?)");
            assert_eq!(reason(&sink.flush().end), why);
            let asked = server.requests().len() - before;
            assert!(asked <= 8, "{asked}");
            let stats = sink.stats();
            assert_eq!((stats.pending, stats.rejected), (count, 0));
        }
    }
}

#[test]
fn what_is_refused_is_rejected_once_the_endpoint_has_accepted_something() {
    for code in [400, 406, 409, 413, 422, 500, 501, 505] {
        let server =
            answering(vec![status(code), accepted(), status(code), accepted()]);
        let sink = TestSink::new(&server.url(), &[]);
        sink.append(&logs(1));
        let why = format!("not accepted: {code} (is this an OTLP endpoint?)");
        assert_eq!(reason(&sink.flush().end), why);
        assert_eq!(sink.flush().end, SendResult::Drained);
        sink.append(&logs(2)[1..]);
        // Another process knows of it.
        let flushed = sink.flush();
        assert_eq!(flushed.end, SendResult::Drained);
        assert_eq!(flushed.progress.rejected, 1, "{code}");
        // It is not sent again.
        sink.append(&logs(3)[2..]);
        assert_eq!(sink.flush().end, SendResult::Drained);
        let mut ids: Vec<_> =
            server.requests().iter().flat_map(Request::ids).collect();
        // Without the record that tells of the rejection.
        ids.retain(|it| it.starts_with(&session(0)));
        let id = |at: usize| logs(3)[at].id.clone();
        assert_eq!(ids, [id(0), id(0), id(1), id(2)]);
    }
}

#[test]
fn with_other_settings_it_has_accepted_nothing() {
    let server = answering(vec![accepted(), status(400)]);
    let mut sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    assert_eq!(sink.flush().end, SendResult::Drained);
    let option = (b"headers".to_vec(), b"x-tenant=other".to_vec());
    sink.definition.options.push(option);
    sink.append(&logs(3)[1..]);
    assert!(reason(&sink.flush().end).contains("is this an OTLP endpoint?"));
    assert_eq!(sink.stats().rejected, 0);
    sink.definition.options.clear();
    assert_eq!(sink.flush().end, SendResult::Drained);
    assert_eq!(sink.stats().rejected, 2);
}

/// A proxy or a certificate is missing since a while: whatever is sent is
/// refused, of one command after the other.
#[test]
fn an_endpoint_that_has_changed_destroys_no_backlog() {
    let server = answering(vec![accepted(), status(400)]);
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    sink.flush();
    for number in 1..40 {
        sink.append(&logs(number + 1)[number as usize..]);
        sink.flush();
    }
    let stats = sink.stats();
    assert_eq!(stats.rejected + stats.pending, 39);
    assert!(stats.rejected <= 16, "{stats:?}");
}

/// What was rejected is sent again when somebody asks for it.
#[test]
fn what_was_rejected_is_sent_again_by_requeue() {
    let server = answering(vec![accepted(), status(422), accepted()]);
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    sink.flush();
    sink.append(&logs(2)[1..]);
    sink.flush();
    assert_eq!(rejected(&sink).len(), 1);
    let owned = Owned {
        sink: "fleet".to_owned(),
        definition: Some(sink.definition.clone()),
    };
    assert_eq!(owned.requeue(&sink.globals), Ok(Some(1)));
    assert_eq!(rejected(&sink), []);
    let flushed = sink.flush();
    assert_eq!(
        (flushed.end, flushed.progress.sent),
        (SendResult::Drained, 1)
    );
    let stats = sink.stats();
    assert_eq!((stats.sent, stats.rejected, stats.pending), (2, 0, 0));
}

#[test]
fn a_partial_success_is_counted_and_not_sent_again() {
    let partial = |request: &Request| {
        let text = "too old".to_owned();
        let body = match &*request.target {
            "/v1/traces" => ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: 2,
                    error_message: text,
                }),
            }
            .encode_to_vec(),
            _ => ExportLogsServiceResponse {
                partial_success: Some(ExportLogsPartialSuccess {
                    rejected_log_records: 3,
                    error_message: text,
                }),
            }
            .encode_to_vec(),
        };
        Reply::Answer {
            status: 200,
            headers: vec![(
                "Content-Type",
                "application/x-protobuf".to_owned(),
            )],
            body,
        }
    };
    let server = Server::start(partial);
    let sink = TestSink::new(&server.url(), &[]);
    // Of five log records three, of five spans two.
    sink.append(&records(10));
    let flushed = sink.flush();
    assert_eq!((flushed.progress.sent, flushed.progress.rejected), (5, 5));
    let why = "partial success: too old";
    assert_eq!(flushed.rejection.as_deref(), Some(why));
    assert_eq!(server.requests().len(), 2);
    let stats = sink.stats();
    assert_eq!((stats.sent, stats.rejected, stats.pending), (5, 5, 0));
    // It is not known which they are.
    assert_eq!((stats.rejected_dropped, rejected(&sink).len()), (5, 0));
    // Where none is taken, it is.
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(3));
    sink.flush();
    assert_eq!(rejected(&sink).len(), 3);
}

#[test]
fn what_is_no_record_is_rejected_without_asking() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(2));
    let spool = uilog_sinks::otlp::spool(&sink.definition, &sink.globals);
    let mut writer = uilog_spool::Writer::new(&spool.unwrap());
    let id = uilog_spool::RecordId::new(&[7; 16]).unwrap();
    writer.append(&id, b"{").unwrap();
    writer.close().unwrap();
    let flushed = sink.flush();
    assert_eq!((flushed.progress.sent, flushed.progress.rejected), (2, 1));
    assert!(flushed.rejection.unwrap().starts_with("it is not a record"));
}
