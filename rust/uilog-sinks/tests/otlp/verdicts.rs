//! The results of records for every answer of a collector.

mod rejected;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use nix::sys::socket::AddressFamily;
use nix::sys::socket::Backlog;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::bind;
use nix::sys::socket::connect;
use nix::sys::socket::getsockname;
use nix::sys::socket::listen;
use nix::sys::socket::socket;
use uilog_sinks::otlp::backoff::Backoff;
use uilog_sinks::otlp::request::SignalType;
use uilog_sinks::otlp::sender::SendResult;
use uilog_sinks::record::Record;
use uilog_sinks::sink::Sink;

use crate::support::*;

fn records(count: u64) -> Vec<Arc<Record>> {
    (1..=count).map(|seq| numbered(0, seq)).collect()
}

/// Log records only, so that there is one request.
fn logs(count: u64) -> Vec<Arc<Record>> {
    (1..=count).map(|seq| numbered(0, 2 * seq - 1)).collect()
}

fn answer(status: u16, name: &'static str, value: &str) -> Reply {
    Reply::Answer {
        status,
        headers: vec![(name, value.to_owned())],
        body: Vec::new(),
    }
}

fn reason(end: &SendResult) -> &str {
    match end {
        SendResult::Later { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_may_be_taken_later_is_sent_again() {
    let page = Reply::Answer {
        status: 200,
        headers: vec![("Content-Type", "text/html".to_owned())],
        body: b"<html>log in</html>".to_vec(),
    };
    let mut cases = vec![
        (page, "HTML"),
        (Reply::Bytes(b"\xff\xfe\0nonsense\r\n\r\n".to_vec()), ""),
        (Reply::Bytes(b"HTTP/1.1 20".to_vec()), ""),
        (Reply::HalfWay, "body"),
        (Reply::Close, ""),
        (answer(301, "Location", "http://127.0.0.1:1/"), "status 301"),
    ];
    for code in [401, 403, 404, 405, 407, 408, 415, 425, 429, 502, 503, 504] {
        cases.push((status(code), ""));
    }
    for (reply, expected) in cases {
        let is_first = AtomicUsize::new(0);
        let shown = format!("{reply:?}");
        let server = Server::start(move |_| {
            match is_first.fetch_add(1, Ordering::SeqCst) {
                0 => reply.clone(),
                _ => accepted(),
            }
        });
        let sink = TestSink::new(&server.url(), &[]);
        sink.append(&logs(4));
        let flushed = sink.flush();
        assert!(reason(&flushed.end).contains(expected), "{flushed:?}");
        assert_eq!(flushed.progress.sent, 0, "{shown}");
        assert_eq!(sink.stats().pending, 4, "{shown}");
        let flushed = sink.flush();
        assert_eq!(flushed.end, SendResult::Drained, "{shown}");
        assert_eq!(flushed.progress.sent, 4, "{shown}");
        let stats = sink.stats();
        assert_eq!((stats.pending, stats.rejected), (0, 0), "{shown}");
    }
}

#[test]
fn a_collector_that_is_not_there_or_does_not_answer_costs_the_timeout() {
    // Nobody listens.
    let (_bound, address) = bound();
    let sink = TestSink::new(&format!("otlp:http://{address}"), &[]);
    sink.append(&records(2));
    assert!(reason(&sink.flush().end).contains("refused"));
    // Nobody answers.
    let server = Server::start(|_| Reply::Hang);
    let sink = TestSink::new(&server.url(), &[("timeout", "0.2")]);
    sink.append(&records(2));
    assert!(reason(&sink.flush().end).contains("no answer within"));
    // Nobody accepts, and there is no room to wait for that.
    let (_listener, url) = full_queue();
    let sink = TestSink::new(&url, &[("timeout", "0.2")]);
    sink.append(&records(2));
    assert!(reason(&sink.flush().end).contains("no answer within"));
    assert_eq!(sink.stats().pending, 2);
}

fn open_socket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    socket(family, kind, flags, None).unwrap()
}

/// A socket that has a port, which nobody else gets, and does not listen.
fn bound() -> (OwnedFd, SockaddrIn) {
    let socket = open_socket();
    let any = SockaddrIn::new(127, 0, 0, 1, 0);
    bind(socket.as_raw_fd(), &any).unwrap();
    let address = getsockname(socket.as_raw_fd()).unwrap();
    (socket, address)
}

/// A socket whose queue of connections is full.
fn full_queue() -> (impl Sized, String) {
    let (listener, address) = bound();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let socket = open_socket();
            let _ = connect(socket.as_raw_fd(), &address);
            socket
        })
        .collect();
    ((listener, waiting), format!("otlp:http://{address}"))
}

#[test]
fn what_the_collector_asks_for_is_done_by_all() {
    for form in ["seconds", "date"] {
        let at = SystemTime::now() + Duration::from_secs(600);
        let value = match form {
            "seconds" => "600".to_owned(),
            _ => chrono::DateTime::<chrono::Utc>::from(at)
                .format("%a, %d %b %Y %H:%M:%S GMT")
                .to_string(),
        };
        let server = Server::start(move |_| answer(429, "Retry-After", &value));
        let sink = TestSink::new(&server.url(), &[]);
        deliver(&sink, &logs(2));
        assert_eq!(server.requests().len(), 1);
        let now = SystemTime::now();
        let spool = sink.dir.path().join("fleet");
        let known = Backoff::load(&spool, SignalType::Logs, now);
        let wait = known.wait(now).unwrap().as_secs();
        assert!((500..=660).contains(&wait), "{form}: {wait}");
        assert_eq!(known.reason, "status 429");
        // Another process, with more: the collector is left alone.
        deliver(&sink, &logs(4));
        assert_eq!(server.requests().len(), 1);
        assert_eq!(sink.stats().pending, 6);
    }
}

#[test]
fn a_wait_that_a_jumping_clock_has_made_does_not_hold() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    let mut backoff = Backoff::default();
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    backoff.fail(SystemTime::now() + year, None, "later", 0.5);
    let spool = sink.dir.path().join("fleet");
    backoff.save(&spool, SignalType::Logs).unwrap();
    deliver(&sink, &logs(2)[1..]);
    assert_eq!(sink.stats().sent, 2);
}

#[test]
fn a_worker_that_lives_tries_again_and_sends_nothing_twice() {
    let failures = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let is_log = request.target == "/v1/logs";
        match is_log && failures.fetch_add(1, Ordering::SeqCst) < 2 {
            true => status(503),
            false => accepted(),
        }
    });
    let sink = TestSink::new(&server.url(), &[]);
    let mut opened = sink.open();
    opened.deliver(&records(4), soon()).unwrap();
    let requests = server.wait_for(4);
    opened.finish(soon()).unwrap();
    let mut targets: Vec<_> =
        requests.iter().map(|it| it.target.as_str()).collect();
    targets.sort_unstable();
    let expected = ["/v1/logs", "/v1/logs", "/v1/logs", "/v1/traces"];
    assert_eq!(targets, expected);
    let stats = sink.stats();
    assert_eq!((stats.pending, stats.sent), (0, 4));
}

#[test]
fn who_is_finishing_stops_at_the_first_failure() {
    let server = Server::start(|_| status(503));
    let sink = TestSink::new(&server.url(), &[]);
    deliver(&sink, &records(4));
    // One of each signal.
    assert_eq!(server.requests().len(), 2);
    assert_eq!(sink.stats().pending, 4);
    // Nor does it wait for a collector that does not answer.
    let server = Server::start(|_| Reply::Hang);
    let sink = TestSink::new(&server.url(), &[("timeout", "3600")]);
    let mut opened = sink.open();
    opened.deliver(&records(4), soon()).unwrap();
    opened.finish(std::time::Instant::now()).unwrap();
    assert_eq!(sink.stats().pending, 4);
}

/// A server of one signal: what has been sent of it is not sent again, by
/// whatever process, and what is not taken waits by itself.
#[test]
fn each_signal_goes_its_own_way() {
    for (taken, other) in
        [("/v1/traces", "/v1/logs"), ("/v1/logs", "/v1/traces")]
    {
        let replies: [fn() -> Reply; 5] = [
            || status(404),
            || status(400),
            || status(503),
            || Reply::Close,
            || Reply::Hang,
        ];
        for reply in replies {
            let server =
                Server::start(move |request| match request.target == taken {
                    true => accepted(),
                    false => reply(),
                });
            let shown = format!("{:?} to {other}", reply());
            let sink = TestSink::new(&server.url(), &[("timeout", "0.3")]);
            sink.append(&records(6));
            for round in 0..3 {
                let flushed = sink.flush();
                let name = &other[4..];
                let why = reason(&flushed.end);
                assert!(why.starts_with(&format!("{name}: ")), "{why}");
                let sent = if round == 0 { 3 } else { 0 };
                assert_eq!(flushed.progress.sent, sent, "{shown}");
            }
            let stats = sink.stats();
            let counts = (stats.sent, stats.pending, stats.rejected);
            assert_eq!(counts, (3, 3, 0), "{shown}");
            let of = |target| {
                let all = server.requests();
                all.iter().filter(|it| it.target == target).count()
            };
            assert_eq!(of(taken), 1, "{shown}");
            // A process that follows: each has a back-off of its own.
            let before = of(other);
            let more: Vec<_> = (7..=8).map(|it| numbered(0, it)).collect();
            deliver(&sink, &more);
            assert_eq!((of(taken), of(other)), (2, before), "{shown}");
            assert_eq!(sink.stats().pending, 4, "{shown}");
        }
    }
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(3000));
    assert_eq!(sink.flush().end, SendResult::Drained);
    assert!(server.requests().len() > 4);
    assert_eq!(server.connections(), 1);
}

/// While one signal waits, the worker that lives sends what comes of the
/// other.
#[test]
fn a_signal_that_waits_holds_up_no_other() {
    let server = Server::start(|request| match &*request.target {
        "/v1/logs" => answer(503, "Retry-After", "600"),
        _ => accepted(),
    });
    let sink = TestSink::new(&server.url(), &[]);
    let mut opened = sink.open();
    opened.deliver(&records(2), soon()).unwrap();
    server.wait_for(2);
    let spool = sink.dir.path().join("fleet");
    let now = SystemTime::now();
    wait_until(|| Backoff::load(&spool, SignalType::Logs, now).failures > 0);
    opened.deliver(&[numbered(0, 4)], soon()).unwrap();
    let requests = server.wait_for(3);
    assert_eq!(requests[2].target, "/v1/traces");
    opened.deliver(&[numbered(0, 6)], soon()).unwrap();
    // What was appended just before the end is sent as well.
    opened.finish(soon()).unwrap();
    let stats = sink.stats();
    assert_eq!((stats.sent, stats.pending), (3, 1));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn the_setting_of_statuses_decides_where_we_wait() {
    for (waiting, code, is_waiting) in [
        ("", 404, false),
        ("404", 404, true),
        ("500, 404", 500, true),
    ] {
        let server = answering(vec![accepted(), status(code)]);
        let sink = TestSink::new(&server.url(), &[("wait-statuses", waiting)]);
        sink.append(&logs(1));
        sink.flush();
        sink.append(&logs(2)[1..]);
        sink.flush();
        let stats = sink.stats();
        let counts = (stats.pending, stats.rejected);
        let expected = if is_waiting { (1, 0) } else { (0, 1) };
        assert_eq!(counts, expected, "{waiting} {code}");
    }
}

#[test]
fn json_is_understood_too() {
    let body = r#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#;
    let server = Server::start(move |_| Reply::Answer {
        status: 200,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: body.into(),
    });
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(3));
    let progress = sink.flush().progress;
    assert_eq!((progress.sent, progress.rejected), (2, 1));
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n".to_vec();
    bytes.resize(9_000_000, b'x');
    let server = Server::start(move |_| Reply::Bytes(bytes.clone()));
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    let why = "not accepted: 200 (is this an OTLP endpoint?): its answer is \
               too large";
    assert!(reason(&sink.flush().end).ends_with(why));
    let mut head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    head.resize(9_000_000, b'x');
    let server = Server::start(move |_| Reply::Bytes(head.clone()));
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    assert!(reason(&sink.flush().end).contains("its answer is too large"));
    assert_eq!(sink.stats().pending, 1);
    // Where others have been accepted it is the record's, and not retried.
    let mut large =
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n".to_vec();
    large.resize(110_000, b'x');
    let server = answering(vec![accepted(), Reply::Bytes(large)]);
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(1));
    sink.flush();
    sink.append(&logs(2)[1..]);
    assert_eq!(sink.flush().end, SendResult::Drained);
    assert_eq!(rejected(&sink).len(), 1);
}

#[test]
fn a_spool_that_cannot_be_used_loses_and_says_so() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    let mut opened = sink.open();
    let dir = sink.dir.path().join("fleet");
    fs::remove_dir(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    let lost = opened.deliver(&logs(3), soon()).unwrap_err();
    assert_eq!(lost.count, 3);
    assert!(lost.reason.contains("fleet"), "{}", lost.reason);
    opened.finish(soon()).unwrap();
    assert!(server.requests().is_empty());
    let dir = sink.dir.path();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    let opened = uilog_sinks::otlp::open(&sink.definition, &sink.globals);
    assert!(opened.unwrap_err().contains("other users can write there"));
}

#[test]
fn progress_is_told_after_each_batch() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    sink.append(&logs(5000));
    let seen = Mutex::new(Vec::new());
    let (definition, globals) = (&sink.definition, &sink.globals);
    uilog_sinks::otlp::flush(definition, globals, &mut |progress| {
        seen.lock().unwrap().push(progress.sent);
    })
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() >= 3 && seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&5000));
}

fn rejected(sink: &TestSink) -> Vec<(String, String)> {
    let spool = uilog_sinks::otlp::spool(&sink.definition, &sink.globals);
    let all = spool.unwrap().rejected().unwrap();
    all.map(|it| {
        let it = it.unwrap();
        let record: Record =
            serde_json::from_slice(&it.record.payload).unwrap();
        (record.id, String::from_utf8(it.reason).unwrap())
    })
    .collect()
}

/// Answers so, one after the other, and the last for ever.
fn answering(replies: Vec<Reply>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |_| {
        let at = asked.fetch_add(1, Ordering::SeqCst);
        replies[at.min(replies.len() - 1)].clone()
    })
}
