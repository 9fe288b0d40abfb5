//! Trying to reach a collector, for `uilog check --connect`.

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;

use uilog_sinks::connect;
use uilog_sinks::connect::Attempt;

use crate::security::Certificates;
use crate::support::*;
use crate::trust::self_signed;

fn tried(url: &str, options: &[(&str, &str)], environment: &str) -> Attempt {
    let sink = TestSink::new(url, options);
    let globals = Arc::new(globals(sink.dir.path(), environment));
    let attempt = connect::run(vec![sink.definition.clone()], &globals);
    // Neither a spool nor anything else has been made.
    assert_eq!(fs::read_dir(sink.dir.path()).unwrap().count(), 0);
    let [attempt] = <[Attempt; 1]>::try_from(attempt).unwrap();
    attempt
}

/// The steps, each as its name and what was seen.
fn steps(attempt: &Attempt) -> Vec<String> {
    let steps = attempt.steps.iter();
    steps
        .map(|it| format!("{}: {}", it.step, it.text))
        .collect()
}

fn last(attempt: &Attempt) -> String {
    assert!(!attempt.works, "{attempt:?}");
    steps(attempt).pop().unwrap()
}

#[test]
fn each_step_to_a_collector_is_told() {
    let pair = self_signed(|it| {
        it.not_before = rcgen::date_time_ymd(2001, 2, 3);
        it.not_after = rcgen::date_time_ymd(2101, 2, 3);
    });
    let server = pair.server(&[&rustls::version::TLS13]);
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, &pair.certificate).unwrap();
    let ca = ca.display().to_string();
    let port = server.address.port();
    let url = format!("otlp:https://localhost:{port}");
    let attempt = tried(&url, &[("ca-file", &ca)], "");
    assert!(attempt.works, "{attempt:?}");
    assert_eq!(attempt.url, url);
    let all = steps(&attempt);
    let base = format!("https://localhost:{port}");
    assert_eq!(
        all[0],
        format!(
            "settings: spans go to {base}/v1/traces, log records to \
             {base}/v1/logs"
        )
    );
    assert_eq!(all[1], "files: all configured files can be read");
    assert!(all[2].starts_with("dns: localhost is "), "{all:?}");
    assert_eq!(all[3], format!("tcp: connected to 127.0.0.1:{port}"));
    assert_eq!(
        all[4],
        "tls: TLS 1.3; the server's certificate is for localhost, valid until \
         2101-02-03"
    );
    assert_eq!(
        all[5..],
        [
            "export-traces: HTTP/1.1 200 OK",
            "export-logs: HTTP/1.1 200 OK"
        ]
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|it| it.body.is_empty()), "{requests:?}");
}

#[test]
fn the_answer_is_told_and_what_may_be_wrong() {
    let server = Server::start(|request| match &*request.target {
        "/v1/traces" => accepted(),
        _ => Reply::Answer {
            status: 404,
            headers: vec![("Content-Type", "text/plain".to_owned())],
            body: b"\n404 page not found\nmore\n".to_vec(),
        },
    });
    let attempt = tried(&server.url(), &[], "");
    let all = steps(&attempt);
    assert!(!attempt.works);
    assert_eq!(all[4], "export-traces: HTTP/1.1 200 OK");
    assert_eq!(
        all[5],
        "export-logs: HTTP/1.1 404 Not Found: 404 page not found (check the \
         path in the URL, and whether the collector accepts this kind)"
    );
    // What was sent as a header is not shown.
    let echo = Server::start(|request| Reply::Answer {
        status: 401,
        headers: Vec::new(),
        body: format!("no: {:?}", request.header("x-key")).into_bytes(),
    });
    let attempt = tried(&echo.url(), &[("headers", "x-key=abcd-1234")], "");
    let told = last(&attempt);
    assert!(
        told.contains("HTTP/1.1 401 Unauthorized: no: Some("),
        "{told}"
    );
    assert!(!told.contains("abcd"), "{told}");
    // A page to log in.
    let page = Server::start(|_| Reply::Answer {
        status: 200,
        headers: vec![("Content-Type", "text/html".to_owned())],
        body: b"<html><title>Login</title>".to_vec(),
    });
    let told = last(&tried(&page.url(), &[], ""));
    assert!(
        told.ends_with("(this is not a collector: check the URL)"),
        "{told}"
    );
}

#[test]
fn the_step_that_fails_is_the_last() {
    let told = last(&tried("otlp:http://127.0.0.1:1", &[], ""));
    let is = "tcp: 127.0.0.1:1: Connection refused";
    assert!(told.starts_with(is), "{told}");
    let told = last(&tried("otlp:http://no-such-host.invalid", &[], ""));
    assert!(told.starts_with("dns: no-such-host.invalid: "), "{told}");
    let told = last(&tried("otlp:ftp://h", &[], ""));
    assert!(told.starts_with("settings: "), "{told}");
    let plain = Server::start(|_| accepted());
    let url = plain.url().replace("http://", "https://");
    let told = last(&tried(&url, &[], ""));
    assert!(told.starts_with("tls: "), "{told}");
    assert!(
        told.ends_with("if the port has no TLS, use http://"),
        "{told}"
    );
    let options = [("ca-file", "/missing/ca.pem")];
    let told = last(&tried("otlp:https://127.0.0.1:1", &options, ""));
    let is = "files: https://127.0.0.1:1/v1/traces: ca-file /missing/ca.pem";
    assert!(told.starts_with(is), "{told}");
}

#[test]
fn who_accepts_and_says_nothing_is_not_waited_for_for_ever() {
    // The kernel accepts, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = [("timeout", "0.3")];
    let attempt = tried(&format!("otlp:http://{address}"), &options, "");
    let all = steps(&attempt);
    assert_eq!(all.len(), 6, "{all:?}");
    let is = "export-logs: ";
    assert!(all[5].starts_with(is), "{all:?}");
    assert!(all[5].contains("no answer within 0.3 s"), "{all:?}");
    drop(listener);
}

#[test]
fn a_server_that_wants_to_know_us_says_so() {
    let certificates = Certificates::new(true);
    let server = certificates.server();
    let text = |name| certificates.path(name).display().to_string();
    let (ca, cert, key) = (text("ca"), text("client"), text("client-key"));
    let url = format!("otlp:https://localhost:{}", server.address.port());
    let told = last(&tried(&url, &[("ca-file", &ca)], ""));
    let is = "tls: the server wants a client certificate: set cert-file and \
              key-file";
    assert_eq!(told, is);
    let options = [
        ("ca-file", &*ca),
        ("cert-file", &*cert),
        ("key-file", &*key),
    ];
    let attempt = tried(&url, &options, "");
    assert!(attempt.works, "{attempt:?}");
}

#[test]
fn a_proxy_is_connected_to_instead() {
    let environment = "http_proxy=http://bob:hunter2@127.0.0.1:1\0";
    let url = "otlp:http://collector.invalid:4318";
    let all = steps(&tried(url, &[], environment));
    assert_eq!(
        all[2..4],
        [
            "proxy: collector.invalid:4318 is reached through 127.0.0.1:1",
            "dns: 127.0.0.1 is an address"
        ]
    );
    assert!(all[4].starts_with("tcp: 127.0.0.1:1: Connection refused"));
    assert!(!all.concat().contains("hunter2"), "{all:?}");
}
