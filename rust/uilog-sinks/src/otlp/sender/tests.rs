//! Tests of [`super`].

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use uilog_spool::HoldBack;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Spool;
use uilog_spool::Writer;

use super::page::Progress;
use super::sending::BUSY;
use super::sending::SendResult;
use super::sending::Sending;
use super::sending::UNNOTED;
use super::worker::Worker;
use crate::otlp::http::RequestSender;
use crate::otlp::request::SignalType;
use crate::otlp::signal::CHANNELS_OF_SPOOL;
use crate::otlp::verdict::Verdict;
use crate::record::is_of_later_schema;

struct Nobody;

impl RequestSender for Nobody {
    fn post(&mut self, _: SignalType, _: Vec<u8>) -> Verdict {
        Verdict::Accepted
    }

    fn settings(&self, _: SignalType) -> u64 {
        0
    }
}

fn sending(spool: &Spool) -> Sending<Nobody> {
    Sending::new(spool, |_| Nobody, &[])
}

/// Appends a record; this one is rejected, which is as good as sent.
fn append(spool: &Spool, number: u8) {
    let id = RecordId::new(&[number; 16]).unwrap();
    Writer::new(spool).append(&id, b"x").unwrap();
}

/// Another process appends just when the sender has seen that nothing is
/// left, and still has the lock: that process gives up.
#[test]
fn what_comes_between_the_last_look_and_the_lock_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), Options::default()).unwrap();
    append(&spool, 1);
    let mut looks = 0;
    let round =
        sending(&spool).send_and_recheck(false, &mut |_| {}, &mut || {
            looks += 1;
            if looks <= 2 {
                append(&spool, 1 + looks);
                assert_eq!(sending(&spool).round(), SendResult::Busy);
            }
        });
    assert_eq!((round, looks), (SendResult::Drained, 3));
    let stats = spool.stats().unwrap();
    assert_eq!((stats.pending, stats.rejected), (0, 3));
}

/// Whatever is woken when, nothing that was appended before stays.
#[test]
fn who_is_woken_while_it_sends_sends_again() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), Options::default()).unwrap();
    for number in 0..50 {
        let worker = Worker::start(sending(&spool)).unwrap();
        append(&spool, 2 * number);
        worker.wake();
        if number % 2 == 0 {
            thread::yield_now();
        }
        append(&spool, 2 * number + 1);
        worker.wake();
        worker.finish(Instant::now() + Duration::from_secs(60));
        assert_eq!(spool.stats().unwrap().pending, 0, "{number}");
    }
}

/// Takes everything, and counts the requests.
struct Counting<'a>(&'a AtomicU32);

impl RequestSender for Counting<'_> {
    fn post(&mut self, _: SignalType, _: Vec<u8>) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        Verdict::Accepted
    }

    fn settings(&self, _: SignalType) -> u64 {
        0
    }
}

fn counting<'a>(spool: &Spool, posts: &'a AtomicU32) -> Sending<Counting<'a>> {
    Sending::new(spool, |_| Counting(posts), &[])
}

fn asked(posts: &AtomicU32) -> u32 {
    posts.load(Ordering::Relaxed)
}

fn spool_of_signals(dir: &Path) -> Spool {
    let options = Options {
        channels: CHANNELS_OF_SPOOL,
        hold_back: HoldBack(is_of_later_schema),
        ..Options::default()
    };
    Spool::open(dir, options).unwrap()
}

/// A record of this version of the schema, or of a later one.
fn append_record(writer: &mut Writer, number: u8, schema: u32) {
    let session = format!("{number:032x}");
    let record = serde_json::json!({
        "schema": schema,
        "id": format!("{session}-1"),
        "event": "x",
        "time": "2026-01-02T03:04:05.000006+01:00",
        "session": session,
        "seq": 1,
        "message": "",
        "process": {"pid": 1, "executable": "/usr/bin/hg"},
        "host": {"name": "here"},
    });
    let id = RecordId::new(&[number; 16]).unwrap();
    let payload = serde_json::to_vec(&record).unwrap();
    writer.append(&id, &payload).unwrap();
}

/// Whatever is in the way of the counts does as well as a full disk.
#[test]
fn what_cannot_be_written_down_is_not_sent_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool_of_signals(dir.path());
    // It lives, so that nothing can be removed.
    let mut writer = Writer::new(&spool);
    append_record(&mut writer, 1, 1);
    let in_the_way = dir.path().join("sender.counts.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let posts = AtomicU32::new(0);
    for _ in 0..3 {
        let round = counting(&spool, &posts).round();
        let SendResult::Later { wait, reason } = round else {
            panic!("{round:?}");
        };
        assert!(wait > BUSY, "{wait:?}");
        assert!(reason.starts_with(UNNOTED), "{reason}");
    }
    assert_eq!(asked(&posts), 1);
    std::fs::remove_dir(&in_the_way).unwrap();
    let flushed = counting(&spool, &posts).flush(&mut |_| {});
    assert_eq!(flushed.end, SendResult::Drained);
    assert_eq!(asked(&posts), 2);
    append_record(&mut writer, 2, 1);
    let round = counting(&spool, &posts).round();
    assert_eq!((round, asked(&posts)), (SendResult::Drained, 3));
}

#[test]
fn what_a_later_program_has_written_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool_of_signals(dir.path());
    let mut writer = Writer::new(&spool);
    append_record(&mut writer, 1, 1);
    append_record(&mut writer, 2, 2);
    let posts = AtomicU32::new(0);
    let flushed = counting(&spool, &posts).flush(&mut |_| {});
    assert_eq!(flushed.end, SendResult::Drained);
    let sent = Progress {
        sent: 1,
        ..Progress::default()
    };
    assert_eq!((flushed.progress, asked(&posts)), (sent, 1));
    let stats = spool.stats().unwrap();
    assert_eq!((stats.pending, stats.rejected), (1, 0));
}
