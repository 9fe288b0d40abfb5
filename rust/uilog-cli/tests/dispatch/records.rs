//! Records and scripts of the same events, through dispatchers that die.

use std::collections::HashSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_testing::until;
use uilog_testing::write_program;

use crate::Hg;
use crate::PROGRAM;
use crate::is_running;
use crate::whole_lines;

/// The id of the record in a line; that of the session's event.
fn id(line: &str) -> serde_json::Result<u64> {
    let record: serde_json::Value = serde_json::from_str(line)?;
    let id = record["id"].as_str().unwrap();
    assert!(id.ends_with(&format!("-{}", record["seq"])), "{id}");
    Ok(record["seq"].as_u64().unwrap())
}

/// Those of these lines.
fn ids(lines: &[String]) -> HashSet<u64> {
    let id = |line: &String| {
        id(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    lines.iter().map(id).collect()
}

/// How many dispatchers die.
const KILLED: usize = 20;

fn end(hg: &mut Hg, signal: Signal) {
    let pid = hg.status().pid;
    kill(Pid::from_raw(pid), signal).unwrap();
    until("the dispatcher to be gone", || {
        (!is_running(pid)).then_some(())
    });
}

#[test]
fn what_a_dead_dispatcher_had_in_hand_is_delivered_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let url = format!("unix:{}", socket.display());
    let settings = [("sink.agent", &*url)];
    let mut hg = Hg::new(PROGRAM, &settings, "echo $MSG1 >> $DIR/ran");
    // More than a socket takes whose other end does not read; so few that their
    // scripts have ended long before it is given up.
    let long = " long".repeat(6_400);
    for number in 1..=10 {
        hg.log(&format!("{number}{long}"));
    }
    // Else it might be killed before it has connected.
    let (first, _) = listener.accept().unwrap();
    until("scripts and records to be taken", || {
        let progress = hg.status().progress;
        let is_stuck = progress.records < 10 && progress.taken == 20;
        (is_stuck && progress.succeeded == 10).then_some(())
    });
    end(&mut hg, Signal::SIGKILL);
    let reader = std::thread::spawn(move || {
        let mut seen = HashSet::new();
        let second = std::iter::once_with(|| listener.accept().unwrap().0);
        for stream in std::iter::once(first).chain(second) {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            // The first connection ends in the middle of a line.
            while stream.read_line(&mut line).is_ok() && line.ends_with('\n') {
                seen.insert(id(&line).unwrap());
                line.clear();
            }
        }
        seen
    });
    hg.log("11");
    assert_eq!(hg.host.dispatcher().starts(), 2);
    until("the records to be done", || {
        (hg.status().progress.records >= 11).then_some(())
    });
    let progress = hg.status().progress;
    let journal = hg.read(".local/state/uilog/failures.jsonl");
    assert_eq!(progress.records_lost, 0, "{journal}");
    drop(hg);
    assert_eq!(reader.join().unwrap(), (1..=11).collect());
}

#[test]
fn dispatchers_that_die_again_and_again_lose_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.jsonl");
    let url = format!("file:{}", file.display());
    let settings = [("sink.audit", &*url), ("max-scripts", "2")];
    let script = "printf '%s\\n' \"$MSG1\" >> $DIR/ran";
    let mut hg = Hg::new(PROGRAM, &settings, script);
    let mut logged = 0;
    let mut log = |hg: &mut Hg| {
        logged += 1;
        // Now and then what frames refer to changes.
        let variable = format!("ROUND={}\0", logged / 7);
        hg.log_with(&logged.to_string(), &variable);
    };
    for _ in 0..KILLED {
        let before = hg.host.dispatcher().status().map(|it| it.progress.taken);
        for _ in 0..25 {
            log(&mut hg);
        }
        // A script that was just being started still holds the socket for a
        // moment, so that it may take more events to find its dispatcher dead.
        until("some of them to be taken", || {
            let taken = hg.status().progress.taken;
            if taken > before.unwrap_or(0) {
                return Some(());
            }
            log(&mut hg);
            None
        });
        end(&mut hg, Signal::SIGKILL);
    }
    // The last one stays.
    until("a dispatcher that lives", || {
        log(&mut hg);
        is_running(hg.status().pid).then_some(())
    });
    until("all to be done", || {
        let status = hg.status();
        let ended = status.progress.succeeded + status.progress.failed;
        // A script whose dispatcher was killed ends unseen.
        (status.progress.done() >= status.jobs && ended > 0).then_some(())
    });
    until("all records", || {
        let lines = whole_lines(&file);
        let ids: Vec<_> = lines.iter().map(|line| id(line)).collect();
        // Who is killed may leave the half of a line, which the next one ends.
        let torn = ids.iter().filter(|id| id.is_err()).count();
        assert!(torn <= KILLED, "{lines:?}");
        let seen: HashSet<_> = ids.into_iter().flatten().collect();
        (seen == (1..=logged).collect()).then_some(())
    });
    // One whose dispatcher died while starting it counts as not started, and
    // may have run.
    let progress = hg.status().progress;
    until("all scripts", || {
        let ran = hg.lines("ran").len() as u64;
        (ran >= progress.started).then_some(())
    });
    let ran = hg.lines("ran");
    let once: HashSet<_> = ran.iter().collect();
    assert_eq!(once.len(), ran.len(), "a script ran twice");
    assert_eq!(progress.started + progress.not_started, logged);
    assert_eq!(hg.host.counters().lost, 0);
}

#[test]
fn sigterm_gives_what_is_in_hand_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.jsonl");
    let url = format!("file:{}", file.display());
    let mut hg = Hg::new(PROGRAM, &[("sink.audit", &url)], "");
    hg.log("1");
    until("the first record", || {
        (hg.status().progress.records == 1).then_some(())
    });
    for number in 2..=200 {
        hg.log(&number.to_string());
    }
    end(&mut hg, Signal::SIGTERM);
    let seen = ids(&whole_lines(&file)).len() as u64;
    let progress = hg.status().progress;
    // All that it had taken has arrived; the rest is counted.
    assert_eq!(progress.records, seen);
    assert_eq!(progress.records + progress.not_started, 200);
    assert_eq!(progress.records_lost, 0);
}

#[test]
fn a_limit_on_files_costs_records_and_no_dispatcher() {
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full");
    fs::write(&full, [b'\n'; 100_000]).unwrap();
    let other = dir.path().join("other");
    // In units of 512 bytes.
    let limited = dir.path().join("limited");
    let text = format!("#!/bin/sh\nulimit -f 100\nexec {PROGRAM} \"$@\"\n");
    write_program(&limited, text.as_bytes());
    let urls = [&full, &other].map(|it| format!("file:{}", it.display()));
    let settings = [("sink.full", &*urls[0]), ("sink.other", &*urls[1])];
    let mut hg = Hg::new(limited.to_str().unwrap(), &settings, "");
    hg.log("1");
    until("the record to be done", || {
        (hg.status().progress.records == 1).then_some(())
    });
    assert_eq!(hg.status().progress.records_lost, 1);
    until("the journal", || {
        (hg.status().progress.told == 1).then_some(())
    });
    let journal = hg.read(".local/state/uilog/failures.jsonl");
    assert!(journal.contains("File too large"), "{journal}");
    assert_eq!(ids(&whole_lines(&other)), HashSet::from([1]));
    assert_eq!(hg.host.dispatcher().starts(), 1);
}

/// Runs until there is a file `go`, or the test has ended.
const WAITS: &str =
    "until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done";

/// The whole lines of a file, as soon as there are so many.
fn until_lines(path: &Path, count: usize) {
    until("the records", || {
        (whole_lines(path).len() == count).then_some(())
    });
}

#[test]
fn scripts_at_their_limit_hold_up_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.jsonl");
    let other = dir.path().join("other.jsonl");
    let urls = [&file, &other].map(|it| format!("file:{}", it.display()));
    let one = ("max-scripts", "1");
    let mut hg = Hg::new(PROGRAM, &[("sink.a", &urls[0]), one], WAITS);
    hg.log("first");
    hg.log("second");
    until_lines(&file, 2);
    hg.log_with("another environment", "MORE=1\0");
    until_lines(&file, 3);
    hg.configure(&[("sink.a", &urls[0]), ("sink.b", &urls[1]), one], WAITS);
    hg.log_with("other sinks", "MORE=1\0");
    until_lines(&file, 4);
    until_lines(&other, 1);
    // Many more than were ever taken at a time.
    for _ in 0..10_000 {
        hg.log("");
    }
    until_lines(&file, 10_004);
    // All that while the second script has waited for the first.
    let progress = hg.status().progress;
    assert_eq!((progress.started, progress.succeeded), (1, 0));
    hg.log_with("the last one", "MORE=2\0");
    end(&mut hg, Signal::SIGTERM);
    assert_eq!(whole_lines(&file).len(), 10_005);
    let progress = hg.status().progress;
    assert_eq!((progress.records, progress.records_lost), (10_005, 0));
    assert_eq!((progress.started, progress.not_started), (1, 10_004));
    let journal = hg.host.journal().unwrap().read();
    let lost: u64 = journal.iter().map(|failure| failure.lost).sum();
    assert_eq!(lost, 10_004, "{journal:?}");
}

#[test]
fn scripts_that_wait_find_their_own_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.jsonl");
    let url = format!("file:{}", file.display());
    let script = format!("{WAITS}; echo $MSG1 $MORE >> $DIR/ran");
    let one = ("max-scripts", "1");
    let mut hg = Hg::new(PROGRAM, &[("sink.a", &url), one], &script);
    let filler = "x".repeat(100_000);
    let mut expected = Vec::new();
    for number in 0..20 {
        let more = format!("MORE={number}\0FILLER={filler}{number}\0");
        hg.log_with(&number.to_string(), &more);
        expected.push(format!("{number} {number}"));
    }
    // Sinks are done with all of it, and a dispatcher dies.
    until_lines(&file, 20);
    until("the records to be done", || {
        (hg.status().progress.records == 20).then_some(())
    });
    end(&mut hg, Signal::SIGKILL);
    hg.log_with("20", "MORE=20\0");
    expected.push("20 20".to_owned());
    fs::write(hg.path("go"), "").unwrap();
    let mut ran = until("all scripts", || {
        let lines = hg.lines("ran");
        (lines.len() == expected.len()).then_some(lines)
    });
    // The first one was the dead dispatcher's, and ran beside the others.
    ran.sort_by_key(|line| {
        let number = line.split(' ').next().unwrap();
        number.parse::<u64>().unwrap()
    });
    assert_eq!(ran, expected);
    until_lines(&file, 21);
    assert_eq!(hg.host.counters().lost, 0);
}

#[test]
fn a_sink_that_takes_nothing_holds_up_neither_scripts_nor_others() {
    const EVENTS: usize = 240;
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    // Nobody accepts.
    let _listener = UnixListener::bind(&socket).unwrap();
    let file = dir.path().join("events.jsonl");
    let stalled = format!("unix:{}", socket.display());
    let url = format!("file:{}", file.display());
    let sinks = [("sink.agent", &*stalled), ("sink.audit", &*url)];
    let script = "echo $MORE >> $DIR/ran";
    let mut hg = Hg::new(PROGRAM, &sinks, script);
    // More than a mailbox takes, before the environment changes and after that.
    let long = "x".repeat(20_000);
    for number in 0..EVENTS {
        let more = format!("MORE={}\0", number / (EVENTS / 2));
        hg.log_with(&long, &more);
    }
    until_lines(&file, EVENTS);
    until("all scripts", || {
        (hg.lines("ran").len() == EVENTS).then_some(())
    });
    // While the one has lost nothing and has not been given up.
    let progress = hg.status().progress;
    assert_eq!(progress.records_lost, 0);
    assert!(progress.records < EVENTS as u64, "{progress:?}");
    // It gets 2 seconds at the end, and what it has not done is counted.
    end(&mut hg, Signal::SIGTERM);
    let progress = hg.status().progress;
    assert_eq!(progress.records, EVENTS as u64);
    assert!(progress.records_lost > 0);
    let journal = hg.host.journal().unwrap().read();
    let lost: u64 = journal.iter().map(|failure| failure.lost).sum();
    assert_eq!(lost, progress.records_lost, "{journal:?}");
}

#[test]
fn losses_of_a_sink_are_not_forgotten_with_the_dispatcher() {
    const EVENTS: u64 = 1000;
    const KILLS: u64 = 25;
    let sink = [("sink.lost", "file:/proc/no/such/file")];
    let mut hg = Hg::new(PROGRAM, &sink, "");
    for number in 1..=EVENTS {
        hg.log(&number.to_string());
        if number % (EVENTS / KILLS) == 0 {
            let pid = hg.status().pid;
            // Each at another moment of its work.
            until("something to be lost", || {
                let lost = hg.status().progress.records_lost;
                (lost + number % 13 >= number - 20).then_some(())
            });
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            until("the dispatcher to be gone", || {
                (!is_running(pid)).then_some(())
            });
        }
    }
    // The last one has died as well: what it has not told, hg tells.
    hg.host.finish();
    let journal = hg.host.journal().unwrap();
    until("all to be told", || {
        let status = hg.host.dispatcher().status();
        let is_told = status.is_none_or(|it| {
            it.progress.told >= EVENTS && it.progress.records_lost == EVENTS
        });
        is_told.then_some(())
    });
    let lost: u64 = journal.read().iter().map(|it| it.lost).sum();
    assert!(lost >= EVENTS, "{lost}");
}

#[test]
fn losses_that_a_dead_dispatcher_has_not_told_are_told_by_hg() {
    let sink = [("sink.lost", "file:/proc/no/such/file")];
    let mut hg = Hg::new(PROGRAM, &sink, "");
    let lost = |hg: &Hg| -> u64 {
        let journal = hg.host.journal().unwrap().read();
        journal.iter().map(|failure| failure.lost).sum()
    };
    hg.log("told at once");
    until("the first", || {
        (hg.status().progress.told == 1).then_some(())
    });
    assert_eq!(lost(&hg), 1);
    for _ in 0..200 {
        hg.log("not told at once");
    }
    until("all to be lost", || {
        (hg.status().progress.records_lost == 201).then_some(())
    });
    end(&mut hg, Signal::SIGKILL);
    hg.host.finish();
    assert_eq!(lost(&hg), 201);
}
