//! Variables of other programs, and invalid settings: neither costs a record,
//! and no receiver gets data for another one.

use std::fs;
use std::time::SystemTime;

use serde_json::json;
use uilog_sinks::otlp;
use uilog_sinks::otlp::sender::SendResult;
use uilog_sinks::sink::LossReport;
use uilog_sinks::sink::Sink;
use uilog_sinks::spools;
use uilog_sinks::spools::SpoolFacts;

use crate::support::*;

/// What a CI plugin sets for its own collector.
const FOREIGN: &str = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1\0\
    OTEL_EXPORTER_OTLP_HEADERS=x-vendor-key=s3cret,authorization=Basic%20x\0\
    OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-vendor-key=s3cret\0\
    OTEL_EXPORTER_OTLP_LOGS_HEADERS=x-vendor-key=s3cret\0\
    OTEL_EXPORTER_OTLP_TIMEOUT=30000ms\0\
    OTEL_EXPORTER_OTLP_COMPRESSION=none\0\
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/nonexistent\0\
    OTEL_EXPORTER_OTLP_CLIENT_KEY=/nonexistent\0\
    OTEL_SERVICE_NAME=plugin\0\
    OTEL_RESOURCE_ATTRIBUTES=team=plugin\0\
    OTEL_SDK_DISABLED=true\0";

/// The value of the resource's attribute in the only request.
fn resource(request: &Request, key: &str) -> Option<String> {
    let resource = match request.target.ends_with("traces") {
        true => request.traces().resource_spans[0].resource.clone(),
        false => request.logs().resource_logs[0].resource.clone(),
    };
    text(&resource.unwrap().attributes, key)
}

fn facts(sink: &TestSink) -> SpoolFacts {
    let sinks = [sink.definition.clone()];
    let owned = spools::find(&sinks, &sink.globals).unwrap().remove(0);
    owned.facts(&sink.globals, SystemTime::now())
}

/// Delivers a record and ends; what is to be reported of it.
fn report(sink: &TestSink, seq: u64) -> Result<(), LossReport> {
    let mut opened = sink.open();
    let report = opened.deliver(&[numbered(0, seq)], soon());
    opened.finish(soon()).unwrap();
    report
}

#[test]
fn variables_of_others_do_not_go_to_a_collector_that_the_hgrc_names() {
    let server = Server::start(|_| accepted());
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "own").unwrap();
    let path = token.display().to_string();
    let options = [("token-file", &*path)];
    let sink = TestSink::with_environment(&server.url(), &options, FOREIGN);
    assert_eq!(report(&sink, 1), Ok(()));
    assert_eq!(report(&sink, 2), Ok(()));
    for request in server.requests() {
        let header = |name| request.header(name);
        assert_eq!(header("authorization"), Some("Bearer own"));
        assert_eq!(header("x-vendor-key"), None);
        assert_eq!(header("content-encoding"), Some("gzip"));
        assert_eq!(resource(&request, "service.name").as_deref(), Some("hg"));
        assert_eq!(resource(&request, "team"), None);
    }
    assert_eq!(server.requests().len(), 2);
    assert!(!facts(&sink).is_troubled());
    // Where they are asked for, the token still is the only one.
    let options = [options[0], ("environment", "yes")];
    let sink = TestSink::with_environment(&server.url(), &options, FOREIGN);
    report(&sink, 1).unwrap_err();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer own"));
    assert_eq!(request.header("x-vendor-key"), Some("s3cret"));
    let service = resource(&request, "service.name");
    assert_eq!(service.as_deref(), Some("plugin"));
}

#[test]
fn an_invalid_variable_costs_nothing_and_is_reported() {
    let server = Server::start(|_| accepted());
    for invalid in [
        "OTEL_EXPORTER_OTLP_TIMEOUT=30000ms",
        "OTEL_EXPORTER_OTLP_COMPRESSION=zstd",
        "OTEL_EXPORTER_OTLP_HEADERS=s3cret",
        "OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY=/key",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=collector:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        "OTEL_RESOURCE_ATTRIBUTES=team",
    ] {
        let environment = format!(
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://{}\0{invalid}\0",
            server.address
        );
        let sink = TestSink::with_environment("otlp:", &[], &environment);
        let told = report(&sink, 2).unwrap_err();
        let name = invalid.split('=').next().unwrap();
        assert_eq!(told.count, 0, "{invalid}");
        assert!(told.reason.contains(name), "{told}");
        assert!(!told.reason.contains("s3cret"), "{told}");
        assert_eq!(sink.stats().sent, 1, "{invalid}");
        // The next command does not say it again.
        assert_eq!(report(&sink, 4), Ok(()), "{invalid}");
        assert_eq!(sink.stats().sent, 2, "{invalid}");
        let warnings = facts(&sink).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(name), "{warnings:?}");
    }
}

#[test]
fn nothing_in_the_settings_keeps_a_record_out_of_the_spool() {
    let server = Server::start(|_| accepted());
    let url = server.url();
    let mut all: Vec<(&str, Vec<(&str, &str)>)> = [
        "otlp:collector:4318",
        "otlp://collector:4318",
        "otlp:grpc://collector",
        "otlp:http://127.0.0.1:70000",
        "otlp:http://127.0.0.1:0",
        "otlp:http://127.0.0.1:",
        "otlp:http://",
        "otlp:http://me:s3cret@collector",
        "otlp:http://collector/?token=s3cret",
        "otlp:http://[::1",
    ]
    .into_iter()
    .map(|url| (url, Vec::new()))
    .collect();
    for option in [
        ("headers", "Authorization: s3cret"),
        ("headers", "a=s3cret%0A"),
        ("resource", "team"),
        ("ca-file", "ca.pem"),
        ("cert-file", "/cert"),
        ("key-file", "key"),
        ("token-file", "token"),
    ] {
        all.push((&url, vec![option]));
    }
    for (url, options) in all {
        let mut sink = TestSink::new(url, &options);
        let text = report(&sink, 2).unwrap_err();
        assert_eq!(text.count, 0, "{url} {options:?}");
        assert!(text.reason.contains("wait in the spool"), "{text}");
        assert!(!text.reason.contains("s3cret"), "{text}");
        otlp::append(&sink.definition, &sink.globals, &numbered(1, 1)).unwrap();
        let known = facts(&sink);
        assert_eq!(known.pending, 2, "{url} {options:?}");
        assert!(known.is_troubled());
        assert!(text.reason.contains(&known.unsendable.unwrap()));
        // Once it is mended, all is sent, and at once.
        sink.definition.url = server.url().into_bytes();
        sink.definition.options.clear();
        assert_eq!(report(&sink, 3), Ok(()));
        assert_eq!(sink.stats().sent, 3, "{url} {options:?}");
    }
    let binary = TestSink::new(&url, &[]);
    let mut definition = binary.definition.clone();
    definition.url = b"otlp:http://\xff".to_vec();
    let opened = uilog_sinks::open::open(&definition, &binary.globals);
    let report = opened.unwrap().deliver(&[numbered(0, 1)], soon());
    assert_eq!(report.unwrap_err().count, 0);
    assert_eq!(binary.stats().pending, 1);
}

#[test]
fn who_switches_others_off_switches_nothing_off_here() {
    let server = Server::start(|_| accepted());
    let environment = format!(
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://{}\0OTEL_SDK_DISABLED=true\0\
         OTEL_TRACES_EXPORTER=none\0OTEL_LOGS_EXPORTER=none\0\
         OTEL_TRACES_SAMPLER=always_off\0OTEL_CONFIG_FILE=/nonexistent\0",
        server.address
    );
    let sink = TestSink::with_environment("otlp:", &[], &environment);
    // Its parent is not sampled.
    let more = json!({
        "event": "commandfinish", "duration": 0.5, "trace_flags": 0,
        "parent_span_id": "00000000000000ff",
    });
    let records = [std::sync::Arc::new(record(0, 1, more)), numbered(0, 3)];
    deliver(&sink, &records);
    assert_eq!(sink.flush().end, SendResult::Drained);
    assert_eq!(sink.stats().sent, 2);
    let requests = server.requests();
    let traces = requests.iter().find(|it| it.target == "/v1/traces");
    let traces = traces.unwrap().traces();
    let span = &traces.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.flags & 1, 0, "it says that its parent is not sampled");
}
