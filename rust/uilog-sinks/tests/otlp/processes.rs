//! Separate processes that send: what a kill costs, and their memory.
//!
//! Such a process is this program again, with its task in a variable.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use uilog_sinks::otlp::sender::SendResult;
use uilog_sinks::sink::Sink;

use crate::support::*;

const URL: &str = "UILOG_TEST_URL";
const SPOOL: &str = "UILOG_TEST_SPOOL";
const COUNT: &str = "UILOG_TEST_COUNT";
/// What stands before such a process's peak memory.
const PEAK: &str = "peak memory in kB: ";

/// What such a process does; nothing, unless it is one.
#[test]
fn child() {
    let (Ok(url), Ok(spool)) = (env::var(URL), env::var(SPOOL)) else {
        return;
    };
    let mut sink = TestSink::new(&url, &[]);
    sink.globals = globals(spool.as_ref(), "");
    let count = env::var(COUNT).map_or(0, |it| it.parse().unwrap());
    if count == 0 {
        sink.flush();
        return;
    }
    let mut opened = sink.open();
    for seq in 1..=count {
        opened.deliver(&[numbered(0, seq)], soon()).unwrap();
    }
    while sink.stats().pending > 0 {
        opened.finish(soon()).unwrap();
        opened.deliver(&[], soon()).unwrap();
        sink.flush();
    }
    println!("{PEAK}{}", peak_of_its_own());
}

/// In kB; without the pages of its program, how many of which there are is the
/// compiler's choice.
fn peak_of_its_own() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kb = |name: &str| -> u64 {
        let value = status.lines().find_map(|it| it.strip_prefix(name));
        let value = value.unwrap().trim().trim_end_matches(" kB");
        value.parse().unwrap()
    };
    kb("VmHWM:") - kb("RssFile:")
}

fn start(sink: &TestSink, count: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture"])
        .env(URL, std::str::from_utf8(&sink.definition.url).unwrap())
        .env(SPOOL, sink.dir.path())
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_sender_that_is_killed_loses_nothing() {
    const RECORDS: u64 = 5_000;
    let arrived: Arc<Mutex<HashSet<String>>> = Arc::default();
    let server = Server::start({
        let arrived = arrived.clone();
        move |request| {
            arrived.lock().unwrap().extend(request.ids());
            accepted()
        }
    });
    let sink = TestSink::new(&server.url(), &[]);
    let all: Vec<_> = (1..=RECORDS).map(|seq| numbered(0, seq)).collect();
    sink.append(&all);
    for requests in [1, 3, 4, 7, 8] {
        let mut child = start(&sink, 0);
        let before = server.requests().len();
        // It may have sent everything before.
        wait_until(|| {
            server.requests().len() >= before + requests
                || child.try_wait().unwrap().is_some()
        });
        let _ = child.kill();
        child.wait().unwrap();
    }
    wait_until(|| sink.flush().end == SendResult::Drained);
    assert_eq!(arrived.lock().unwrap().len() as u64, RECORDS);
    assert_eq!(sink.stats().pending, 0);
}

#[test]
fn two_processes_do_not_send_the_same() {
    let server = Server::start(|_| accepted());
    let sink = TestSink::new(&server.url(), &[]);
    let all: Vec<_> = (1..=3_000).map(|seq| numbered(0, seq)).collect();
    sink.append(&all);
    let children: Vec<_> = (0..4).map(|_| start(&sink, 0)).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    sink.flush();
    let ids: Vec<_> = server.requests().iter().flat_map(Request::ids).collect();
    let unique: HashSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (3_000, 3_000));
}

#[test]
fn memory_is_bounded_whatever_waits() {
    const RECORDS: u64 = 100_000;
    const MAX_KB: u64 = 10 * 1024;
    let server = Server::start(|_| {
        // It is slow.
        thread::sleep(Duration::from_millis(2));
        accepted()
    });
    let sink = TestSink::new(&server.url(), &[]);
    let child = start(&sink, RECORDS);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    let peak = output.lines().find_map(|it| it.strip_prefix(PEAK)).unwrap();
    let peak: u64 = peak.parse().unwrap();
    println!("peak memory: {peak} kB");
    assert!(peak < MAX_KB, "{peak} kB");
    let stats = sink.stats();
    assert_eq!(stats.pending, 0);
    assert_eq!(stats.sent + stats.evicted, RECORDS, "{stats:?}");
}
