//! What arrives, and by which requests.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use uilog_channel::queue::Delivery;
use uilog_sinks::otlp;
use uilog_sinks::otlp::Otlp;
use uilog_sinks::sink::Sink;
use uilog_spool::Sender;

use crate::support::*;

#[test]
fn what_is_delivered_arrives_and_leaves_the_spool() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    let records: Vec<_> = (1..=4).map(|seq| numbered(0, seq)).collect();
    deliver(&sink, &records);
    let requests = server.requests();
    let of = |target: &str| {
        let one: Vec<_> =
            requests.iter().filter(|it| it.target == target).collect();
        assert_eq!(one.len(), 1, "{target}");
        one[0].clone()
    };
    let (traces, logs) = (of("/v1/traces"), of("/v1/logs"));
    let id = |at: usize| records[at].id.clone();
    assert_eq!(traces.ids(), [id(1), id(3)]);
    assert_eq!(logs.ids(), [id(0), id(2)]);
    for request in [traces, logs] {
        assert_eq!(request.method, "POST");
        let header = |name| request.header(name);
        assert_eq!(header("content-type"), Some("application/x-protobuf"));
        assert_eq!(header("content-encoding"), Some("gzip"));
        let agent = concat!("uilog/", env!("CARGO_PKG_VERSION"));
        assert_eq!(header("user-agent"), Some(agent));
    }
    let stats = sink.stats();
    assert_eq!((stats.pending, stats.sent), (0, 4));
}

/// Asks until it is known what has become of what was delivered.
fn outcome(sink: &mut Otlp) -> Delivery {
    let mut outcome = Delivery::Pending;
    wait_until(|| {
        outcome = sink.hurry();
        outcome != Delivery::Pending
    });
    outcome
}

#[test]
fn who_waits_is_told_when_the_collector_has_answered() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    let mut open = sink.open();
    // Nothing is waited for where nothing was delivered.
    assert_eq!(open.hurry(), Delivery::Done);
    for session in 0..3 {
        let records: Vec<_> = (1..=4).map(|it| numbered(session, it)).collect();
        open.deliver(&records, soon()).unwrap();
        assert_eq!(open.hurry(), Delivery::Pending);
        assert_eq!(outcome(&mut open), Delivery::Done);
        let stats = sink.stats();
        assert_eq!((stats.pending, stats.sent), (0, 4 * (session + 1)));
    }
}

#[test]
fn in_the_spool_is_not_delivered() {
    let closed = Mutex::new(false);
    let gate = Arc::new((closed, Condvar::new(), AtomicBool::new(false)));
    let at_gate = Arc::clone(&gate);
    let server = Server::start(move |_| {
        let (is_open, changed, asked) = &*at_gate;
        asked.store(true, Ordering::SeqCst);
        let is_open = is_open.lock().unwrap();
        drop(changed.wait_while(is_open, |it| !*it).unwrap());
        accepted()
    });
    let sink = TestSink::new(&server.url(), &[]);
    let mut open = sink.open();
    open.deliver(&[numbered(0, 2)], soon()).unwrap();
    wait_until(|| {
        assert_eq!(open.hurry(), Delivery::Pending);
        gate.2.load(Ordering::SeqCst)
    });
    assert_eq!(open.hurry(), Delivery::Pending);
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(outcome(&mut open), Delivery::Done);
}

#[test]
fn who_waits_for_what_is_not_taken_is_told_at_once() {
    let answers = [
        ("both", 503, 503),
        ("logs", 200, 404),
        ("rejected", 200, 200),
    ];
    for (what, traces, logs) in answers {
        let server = Server::start(move |request| {
            match (request.target.ends_with("traces"), traces, logs) {
                (true, 200, _) | (false, _, 200) => accepted(),
                (true, other, _) | (false, _, other) => status(other),
            }
        });
        let sink = TestSink::new(&server.url(), &[]);
        let mut open = sink.open();
        let records = [numbered(0, 1), numbered(0, 2)];
        open.deliver(&records, soon()).unwrap();
        let is_taken = traces == 200 && logs == 200;
        let expected = match is_taken {
            true => Delivery::Done,
            false => Delivery::Deferred,
        };
        assert_eq!(outcome(&mut open), expected, "{what}");
        let left = u64::from(traces != 200) + u64::from(logs != 200);
        assert_eq!(sink.stats().pending, left, "{what}");
        // The collector is not to be asked again so soon: that is known.
        open.deliver(&[numbered(1, 1)], soon()).unwrap();
        assert_eq!(outcome(&mut open), expected, "{what}");
    }
}

/// Another process has the spool's lock: what becomes of the records is seen in
/// the spool.
#[test]
fn whoever_sends_the_records_they_are_delivered() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    let spool = otlp::spool(&sink.definition, &sink.globals).unwrap();
    let mut other = Sender::try_lock(&spool).unwrap().unwrap();
    let mut open = sink.open();
    open.deliver(&[numbered(0, 1), numbered(0, 2)], soon())
        .unwrap();
    assert_eq!(open.hurry(), Delivery::Pending);
    for channel in 0..2 {
        let batch = other.next_batch_of(channel, 8, usize::MAX).unwrap();
        assert_eq!(batch.records().len(), 1);
        assert_eq!(open.hurry(), Delivery::Pending);
        other.accept(batch).unwrap();
    }
    assert_eq!(outcome(&mut open), Delivery::Done);
    assert_eq!(server.requests().len(), 0);
}
