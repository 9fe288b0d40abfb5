//! Real processes: many append at once and are killed, a sender is killed
//! again and again, the disk is full.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;
use uilog_testing::example;

fn start(arguments: &[&str], output: &Path) -> Child {
    let output = File::options()
        .append(true)
        .create(true)
        .open(output)
        .unwrap();
    Command::new(example("spool_probe"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(output)
        .spawn()
        .unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn drain(spool: &Spool) -> Vec<String> {
    let mut sender = Sender::try_lock(spool).unwrap().unwrap();
    let mut texts = Vec::new();
    loop {
        let batch = sender.next_batch(100, 1 << 20).unwrap();
        if batch.is_empty() {
            return texts;
        }
        for record in batch.records() {
            let text = String::from_utf8(record.payload.clone()).unwrap();
            texts.push(text.split(' ').next().unwrap().to_owned());
        }
        // On a full disk it may not be possible to write that down.
        match sender.accept(batch) {
            Err(error) if error.is_full() => {}
            result => result.unwrap(),
        }
    }
}

#[test]
fn killed_writers_and_senders_lose_nothing() {
    const WRITERS: usize = 6;
    const COUNT: usize = 2000;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("spool");
    let spool = Spool::open(&dir, Options::default()).unwrap();
    let dir = dir.to_str().unwrap();
    let sent = directory.path().join("sent");
    let output = |tag: &str| directory.path().join(tag);

    let tags: Vec<_> = (0..WRITERS).map(|it| format!("w{it}")).collect();
    let mut writers: Vec<_> = tags
        .iter()
        .map(|tag| start(&["append", dir, tag, "2000"], &output(tag)))
        .collect();
    for writer in &mut writers {
        drop(writer.stdin.take());
    }
    // Half of them are killed when they have done something; meanwhile
    // senders come, send something and are killed.
    let mut kills = 0;
    let mut is_done = false;
    while !is_done {
        let before = lines(&sent).len();
        let mut sender = start(&["send", dir], &sent);
        drop(sender.stdin.take());
        // It ends by itself if nothing is there at the moment.
        while lines(&sent).len() < before + 120 {
            if sender.try_wait().unwrap().is_some() {
                break;
            }
        }
        kills += usize::from(sender.try_wait().unwrap().is_none());
        sender.kill().unwrap();
        sender.wait().unwrap();
        for (writer, tag) in writers.iter_mut().zip(&tags).step_by(2) {
            if lines(&output(tag)).len() > COUNT / 4 {
                writer.kill().unwrap();
            }
        }
        is_done = writers
            .iter_mut()
            .all(|writer| writer.try_wait().unwrap().is_some());
    }
    assert!(kills > 0, "no sender was killed");
    let mut delivered = lines(&sent);
    delivered.extend(drain(&spool));
    assert!(!delivered.contains(&"busy".to_owned()));

    let first: HashSet<&String> = delivered.iter().collect();
    for (index, tag) in tags.iter().enumerate() {
        let acknowledged = lines(&output(tag));
        for text in &acknowledged {
            assert!(first.contains(text), "{text} is lost");
        }
        if index % 2 == 1 {
            assert_eq!(acknowledged.len(), COUNT);
        }
    }
    // In order, but for what comes again.
    let mut latest: HashMap<&str, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for text in &delivered {
        let (tag, number) = text.split_once('-').unwrap();
        let number = number.parse().unwrap();
        if seen.insert(text) {
            let before = latest.insert(tag, number);
            assert!(before.is_none_or(|it| it < number), "{text}");
        }
    }
    let stats = spool.stats().unwrap();
    assert_eq!((stats.pending, stats.files), (0, 0));
    assert_eq!((stats.evicted, stats.counts_lost), (0, 0));
}

#[test]
fn short_commands_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("spool");
    let spool = Spool::open(&dir, Options::default()).unwrap();
    let output = directory.path().join("output");
    for number in 0..20 {
        let tag = format!("c{number}");
        let dir = dir.to_str().unwrap();
        let mut child = start(&["append", dir, &tag, "3"], &output);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    let stats = spool.stats().unwrap();
    assert_eq!((stats.pending, stats.files), (60, 1));
    assert_eq!(drain(&spool), lines(&output));
}

#[test]
fn there_is_one_sender() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("spool");
    let spool = Spool::open(&dir, Options::default()).unwrap();
    let sender = Sender::try_lock(&spool).unwrap().unwrap();
    let output = directory.path().join("output");
    let run = || {
        let mut child = start(&["send", dir.to_str().unwrap()], &output);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        lines(&output).len()
    };
    assert_eq!(run(), 1);
    assert_eq!(lines(&output), ["busy"]);
    drop(sender);
    assert_eq!(run(), 1);
}

/// Mounts a file system of `bytes` bytes for whatever `test` of this binary
/// does; returns whether that could be done.
fn on_a_small_disk(test: &str, bytes: &str) -> bool {
    if std::env::var_os("SPOOL_SMALL_DISK").is_some() {
        return true;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=$1,mode=0700 tmpfs \"$2\" || exit 77
        export SPOOL_SMALL_DISK=\"$2\"
        exec \"$3\" --exact \"$4\" --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .args(["sh", bytes])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .output();
    uilog_testing::judge_inside(test, output);
    false
}

#[test]
fn a_disk_that_is_really_full_loses_nothing() {
    let test = "processes::a_disk_that_is_really_full_loses_nothing";
    if !on_a_small_disk(test, "512k") {
        return;
    }
    let disk = std::env::var_os("SPOOL_SMALL_DISK").unwrap();
    let dir = Path::new(&disk).join("spool");
    let options = Options {
        sync: SyncPolicy::Each,
        home: Some(disk.into()),
        ..Options::default()
    };
    let spool = Spool::open(&dir, options).unwrap();
    let mut writer = Writer::new(&spool);
    let mut acknowledged = Vec::new();
    let mut failures = 0;
    let append = |writer: &mut Writer, number: u32| {
        let text = format!("r-{number}");
        let id = RecordId::new(format!("{text:0>20}").as_bytes()).unwrap();
        let padding = "x".repeat(3000);
        writer
            .append(&id, format!("{text} {padding}").as_bytes())
            .map(|_| text)
    };
    for number in 0..300 {
        match append(&mut writer, number) {
            Ok(text) => acknowledged.push(text),
            Err(error) => {
                assert!(error.is_full(), "{error}");
                failures += 1;
            }
        }
    }
    assert!(failures > 0 && acknowledged.len() > 100);
    drop(writer);
    // The disk is still full: that does not keep it from being emptied.
    assert_eq!(drain(&spool), acknowledged);
    let stats = spool.stats().unwrap();
    assert_eq!((stats.files, stats.damaged_bytes), (0, 0));
    let mut writer = Writer::new(&spool);
    append(&mut writer, 1000).unwrap();
    assert_eq!(drain(&spool).len(), 1);
}

#[test]
fn what_is_printed_is_whole() {
    // The tests above rely on it.
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("spool");
    let mut child = Command::new(example("spool_probe"))
        .args(["append", dir.to_str().unwrap(), "t", "3"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut output = child.stdout.take().unwrap();
    output.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(text, "t-0\nt-1\nt-2\n");
}
