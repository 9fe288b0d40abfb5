//! Numbers of sinks without a spool, as their receivers see them.
//!
//! A separate process is this program again, with its task in variables.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Instant;

use uilog_event::event::SessionId;
use uilog_sinks::open;
use uilog_sinks::record::Numbered;
use uilog_sinks::record::Record;

use crate::BOUND;
use crate::Dispatcher;

const HOME: &str = "UILOG_TEST_HOME";
const SESSION: &str = "UILOG_TEST_SESSION";
const EVENTS: &str = "UILOG_TEST_EVENTS";

/// A dispatcher of the user with this home, with a sink `file:` in it and
/// further items.
fn dispatcher(home: &Path, items: &[(&str, &str)]) -> Dispatcher {
    let url = format!("file:{}", file(home).display());
    let items = [&[("x", &*url)], items].concat();
    with_items(home, &items)
}

fn with_items(home: &Path, items: &[(&str, &str)]) -> Dispatcher {
    let mut it = Dispatcher::with(open::open, items);
    let block = format!("HOME={}\0", home.display());
    it.environment = block.into_bytes().into();
    it
}

fn file(home: &Path) -> PathBuf {
    home.join("x.jsonl")
}

/// The directory of the numbers.
fn numbers_dir(home: &Path) -> PathBuf {
    home.join(".local/state/uilog/numbers")
}

fn parse(line: &str) -> Record {
    serde_json::from_str(line).unwrap()
}

fn records(home: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file(home)).unwrap_or_default();
    text.lines().map(parse).collect()
}

fn numbered(record: &Record) -> Numbered {
    record.sink.clone().unwrap()
}

/// The numbers of each stream.
fn streams(records: &[Record]) -> BTreeMap<String, BTreeSet<u64>> {
    let mut streams: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for it in records.iter().map(numbered) {
        assert_eq!(it.name, "x");
        assert!(streams.entry(it.stream).or_default().insert(it.number));
    }
    streams
}

/// The numbers, if all are of one stream.
fn numbers(records: &[Record]) -> Vec<u64> {
    let mut streams = streams(records).into_values();
    let numbers = streams.next().unwrap();
    assert_eq!(streams.next(), None);
    numbers.into_iter().collect()
}

/// What such a process does; nothing, unless it is one.
#[test]
fn child() {
    let Ok(home) = env::var(HOME) else { return };
    let number = |name| env::var(name).unwrap().parse().unwrap();
    let mut it = dispatcher(home.as_ref(), &[]);
    it.session = SessionId(number(SESSION));
    for _ in 0..number(EVENTS) {
        it.send("commandfinish");
    }
    it.finish(BOUND);
    assert_eq!(it.lost("x"), 0, "{:?}", it.losses);
}

fn start(home: &Path, session: u32, events: u32) -> Child {
    start_by("exec \"$0\" \"$@\"", home, session, events)
}

/// Lets a shell start such a process.
fn start_by(script: &str, home: &Path, session: u32, events: u32) -> Child {
    Command::new("/bin/sh")
        .args(["-e", "-c", script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "numbers::child"])
        .env(HOME, home)
        .env(SESSION, session.to_string())
        .env(EVENTS, events.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_share_a_stream_and_one_that_is_killed_costs_what_it_had() {
    const EVENTS: u32 = 150;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    // So that there is one stream.
    assert!(start(home, 1, 1).wait().unwrap().success());
    let children = (2..6).map(|session| start(home, session, EVENTS));
    for mut child in children.collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let count = u64::from(1 + 4 * EVENTS);
    assert_eq!(numbers(&records(home)), Vec::from_iter(1..=count));

    // Fewer than are looked through for what is delivered again.
    let mut killed = start(home, 6, 7000);
    let deadline = Instant::now() + BOUND;
    while records_as_far_as_whole(home).len() < 700 {
        assert!(Instant::now() < deadline);
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = records_as_far_as_whole(home);
    // Its successor has the same events, as far as nobody is done with them.
    assert!(start(home, 6, 2000).wait().unwrap().success());
    assert!(start(home, 7, 1).wait().unwrap().success());
    let after = records_as_far_as_whole(home);
    let by_id: BTreeMap<_, _> =
        before.iter().map(|it| (&it.id, numbered(it))).collect();
    let again: Vec<_> = after[before.len()..]
        .iter()
        .filter(|it| by_id.contains_key(&it.id))
        .collect();
    assert!(!again.is_empty());
    for record in again {
        assert_eq!(numbered(record), by_id[&record.id]);
    }
    let numbers: BTreeSet<_> =
        after.iter().map(|it| numbered(it).number).collect();
    let last = *numbers.last().unwrap();
    // No more than the batch that it had taken numbers for.
    let missing = last - numbers.len() as u64;
    assert!(missing <= 32, "{missing} of {last}");
}

/// Whoever is killed may leave half a line.
fn records_as_far_as_whole(home: &Path) -> Vec<Record> {
    let text = fs::read_to_string(file(home)).unwrap_or_default();
    text.lines()
        .filter_map(|it| serde_json::from_str(it).ok())
        .collect()
}

#[test]
fn what_could_not_be_delivered_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let mut it = dispatcher(home, &[]);
    it.send("commandfinish");
    it.until_done();
    let kept = home.join("kept");
    fs::rename(file(home), &kept).unwrap();
    fs::create_dir(file(home)).unwrap();
    for _ in 0..5 {
        it.send("commandfinish");
    }
    it.until_done();
    assert_eq!(it.lost("x"), 5);
    fs::remove_dir(file(home)).unwrap();
    fs::rename(&kept, file(home)).unwrap();
    it.send("commandfinish");
    it.finish(BOUND);
    assert_eq!(numbers(&records(home)), [1, 7]);
}

#[test]
fn what_came_while_a_sink_could_not_be_opened_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let key = home.join("key");
    let key = key.display().to_string();
    let items = [("x:user", "hash"), ("x:user-key-file", &key)];
    let mut it = dispatcher(home, &items);
    for _ in 0..3 {
        it.send("commandfinish");
        it.until_done();
    }
    it.finish(BOUND);
    assert_eq!(it.lost("x"), 3);
    fs::write(&key, "0123456789abcdef").unwrap();
    let mut it = dispatcher(home, &items);
    it.send("commandfinish");
    it.finish(BOUND);
    assert_eq!(numbers(&records(home)), [4]);
}

#[test]
fn what_is_left_out_on_purpose_is_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let mut it = dispatcher(
        home,
        &[("x:sample", "0.5"), ("x:track", "commandfinish, exthook")],
    );
    for session in 1..=64 {
        it.session = SessionId(session << 64 | session << 55);
        it.send("commandfinish");
        it.send("commandalias");
    }
    it.finish(BOUND);
    let records = records(home);
    let kept = records.len() as u64;
    assert!((1..64).contains(&kept), "{kept}");
    assert_eq!(numbers(&records), Vec::from_iter(1..=kept));
}

#[test]
fn files_that_are_removed_and_other_sinks_have_streams_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let run = |items: &[(&str, &str)]| {
        let mut it = dispatcher(home, items);
        it.session = SessionId(getrandom::u64().unwrap().into());
        it.send("commandfinish");
        it.finish(BOUND);
        assert!(it.losses.is_empty(), "{:?}", it.losses);
    };
    run(&[("x:argv", "none")]);
    let other = home.join("other");
    let url = format!("file:{}", other.display());
    run(&[("y", &url)]);
    assert_eq!(numbers(&records(home)), [1, 2]);
    let others = fs::read_to_string(&other).unwrap();
    assert_eq!(numbered(&parse(&others)).number, 1);
    for entry in fs::read_dir(numbers_dir(home)).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    run(&[]);
    let streams: Vec<_> = streams(&records(home)).into_values().collect();
    let mut counts: Vec<_> = streams.iter().map(BTreeSet::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn a_sink_that_has_nothing_to_do_lets_go_of_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let place = numbers_dir(home);
    let is_open = || {
        let entries = fs::read_dir("/proc/self/fd").unwrap();
        let mut links =
            entries.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
        links.any(|it| it.starts_with(&place))
    };
    let mut it = dispatcher(home, &[]);
    it.send("commandfinish");
    it.until_done();
    it.until("nothing to be open", |_| (!is_open()).then_some(()));
    fs::remove_dir_all(&place).unwrap();
    it.send("commandfinish");
    it.finish(BOUND);
    // What is still open would go on with 2.
    let streams = streams(&records(home));
    let all: Vec<_> = streams.into_values().flatten().collect();
    assert_eq!(all, [1, 1]);
}

/// What has no place for its numbers is delivered all the same.
#[test]
fn records_without_numbers_arrive_and_that_is_reported_once() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let place = numbers_dir(home);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "").unwrap();
    let mut it = dispatcher(home, &[]);
    for _ in 0..3 {
        it.send("commandfinish");
        it.until_done();
    }
    it.until("a report", |it| it.losses.keys().next().map(drop));
    let reports: Vec<_> = it.losses.iter().collect();
    let [((sink, why), 0)] = reports[..] else {
        panic!("{reports:?}");
    };
    assert_eq!(sink, "x");
    assert!(why.starts_with("its records have no numbers, so"), "{why}");
    assert!(
        why.ends_with("uilog/numbers: it is not a directory"),
        "{why}"
    );
    // As soon as there is a place, there are numbers.
    fs::remove_file(&place).unwrap();
    it.send("commandfinish");
    it.finish(BOUND);
    let records = records(home);
    assert_eq!(records.len(), 4);
    assert!(records[..3].iter().all(|it| it.sink.is_none()));
    assert_eq!(numbers(&records[3..]), [1]);
}

#[test]
fn where_no_number_can_be_written_records_arrive_without() {
    // As on a full disk, a file takes no more than so many blocks.
    const LIMITED: &str = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    assert!(start(home, 1, 1).wait().unwrap().success());
    let entry = fs::read_dir(numbers_dir(home)).unwrap().next().unwrap();
    let taken = 100_000;
    let options = fs::File::options().write(true).open(entry.unwrap().path());
    options.unwrap().set_len(8 * taken).unwrap();
    let mut limited = start_by(LIMITED, home, 2, 3);
    assert!(limited.wait().unwrap().success());
    assert!(start(home, 3, 1).wait().unwrap().success());
    let records = records(home);
    assert_eq!(records.len(), 5);
    let numbers = records.iter().map(|it| it.sink.as_ref());
    let numbers: Vec<_> = numbers.map(|it| it.map(|it| it.number)).collect();
    assert_eq!(numbers, [Some(1), None, None, None, Some(taken + 1)]);
}

/// What the command in docs/fleet.md prints that begins so, in a directory.
fn counted(begins: &str, dir: &Path) -> String {
    let docs = include_str!("../../../../docs/fleet.md");
    let at = docs.find(begins).unwrap();
    let (command, _) = docs[at..].split_once("```").unwrap();
    let output = Command::new("sh")
        .args(["-e", "-c", command])
        .current_dir(dir)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_commands_of_the_documentation_count_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let socket = UnixDatagram::bind(home.join("daemon")).unwrap();
    let url = format!("syslog:{}", home.join("daemon").display());
    let mut it = dispatcher(home, &[("log", &url)]);
    let mut messages = Vec::new();
    for _ in 0..12 {
        it.send("commandfinish");
        let mut bytes = [0; 4096];
        let count = socket.recv(&mut bytes).unwrap();
        messages.push(String::from_utf8_lossy(&bytes[..count]).into_owned());
    }
    it.finish(BOUND);
    let text = fs::read_to_string(file(home)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let write = |name, lines: &[&str]| {
        fs::write(home.join(name), lines.join("\n") + "\n").unwrap();
    };
    write("audit.jsonl", &lines);
    let stream = &numbered(&parse(lines[0])).stream;
    assert_eq!(counted("cat audit", home), format!("x {stream} 0\n"));
    // Two are missing, one has come twice, and there is one of another stream.
    let other = lines[1].replace(stream, "0123456789abcdef");
    write("audit-1.jsonl", &[lines[11], lines[8], lines[8], &other]);
    write("audit.jsonl", &[&lines[1..6], &lines[7..10]].concat());
    let mut found: Vec<_> = counted("cat audit", home)
        .lines()
        .map(str::to_owned)
        .collect();
    found.sort_by_key(|it| it.ends_with('0'));
    assert_eq!(
        found,
        [format!("x {stream} 2"), "x 0123456789abcdef 0".to_owned()]
    );
    messages.remove(4);
    fs::write(home.join("hg.log"), messages.join("\n")).unwrap();
    let (_, rest) = messages[0].split_once("sink.stream=\"").unwrap();
    let stream = &rest[..16];
    assert_eq!(counted("cat hg.log", home), format!("log {stream} 1\n"));
}

#[test]
fn sockets_and_syslog_tell_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let bind = |name| {
        let socket = UnixDatagram::bind(home.join(name)).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        socket
    };
    let (datagrams, daemon) = (bind("datagrams"), bind("daemon"));
    let url = |scheme, name| format!("{scheme}:{}", home.join(name).display());
    let mut it = with_items(
        home,
        &[
            ("x", &url("unix-dgram", "datagrams")),
            ("log", &url("syslog", "daemon")),
        ],
    );
    let receive = |socket: &UnixDatagram| {
        let mut bytes = [0; 4096];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let mut streams = BTreeSet::new();
    for number in 1..=2 {
        it.send("commandfinish");
        let record = parse(&receive(&datagrams));
        assert_eq!(numbered(&record).number, number);
        let message = receive(&daemon);
        let (_, rest) = message
            .split_once(" sink.name=\"log\" sink.stream=\"")
            .unwrap();
        let (stream, rest) = rest.split_once('"').unwrap();
        let expected = format!(" sink.number=\"{number}\"]");
        assert!(rest.starts_with(&expected), "{message}");
        streams.insert(stream.to_owned());
        streams.insert(numbered(&record).stream);
    }
    assert_eq!(streams.len(), 2);
    it.finish(BOUND);
}

/// Who does not read loses records that have never had a number: the sink has
/// had no room for them.
#[test]
fn what_a_sink_has_had_no_room_for_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let path = home.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let url = format!("unix:{}", path.display());
    let mut it = with_items(home, &[("x", &url), ("x:timeout", "1")]);
    it.queue.limit = Some(100);
    for _ in 0..4000 {
        it.send("commandfinish");
    }
    let (connection, _) = listener.accept().unwrap();
    it.until_done();
    assert!(it.lost("x") > 0);
    let (found, numbers) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(connection).lines() {
            let Ok(line) = line else { return };
            let _ = found.send(numbered(&parse(&line)).number);
        }
    });
    let mut all = BTreeSet::new();
    // Once it is known that this one reads, there is room for a last one.
    let last = it.until("a later record", |it| {
        it.send("commandfinish");
        it.until_done();
        all.extend(numbers.try_iter());
        all.last().copied().filter(|last| *last > 4000)
    });
    let missing = last - all.len() as u64;
    assert!(missing > 0 && missing <= it.lost("x"), "{missing}");
    it.finish(BOUND);
}
