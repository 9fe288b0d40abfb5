//! Every call of a small scenario fails once, and every call and every byte of
//! a write is the last one before the process or the power goes.

use std::time::Duration;

use nix::libc;
use uilog_spool::Options;
use uilog_spool::Sender;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::disk::Left;
use crate::disk::Plan;
use crate::disk::Process;
use crate::ledger::Ledger;
use crate::ledger::open;
use crate::ledger::options;

/// Some of everything: two writers, one of them after the other's segment,
/// records that come one by one and together, segments that become full,
/// batches that are accepted, rejected in part and retried, evictions. Whatever
/// fails, the next thing is done.
fn scenario(process: &Process, options: &Options, ledger: &mut Ledger) {
    let spool = open(process, options);
    let mut first = Writer::new(&spool);
    let mut second = Writer::new(&spool);
    ledger.append_all(&mut first, 1, &[10, 20, 1900]);
    let _ = ledger.append(&mut second, 2, 30);
    send(process, options, ledger, 2, &[1]);
    // The segment is full.
    let _ = ledger.append(&mut first, 1, 2500);
    if second.close().is_ok() && options.sync != SyncPolicy::OnRequest {
        ledger.synced(2);
    }
    drop(second);
    // This one goes on with what the second has left.
    let mut third = Writer::new(&spool);
    let _ = ledger.append(&mut third, 3, 40);
    send(process, options, ledger, 100, &[]);
    // More than there is room for, and each more than a segment takes.
    ledger.append_all(&mut third, 3, &[3000; 4]);
    if third.sync().is_ok() {
        ledger.synced(3);
    }
    send(process, options, ledger, 1, &[]);
}

fn send(
    process: &Process,
    options: &Options,
    ledger: &mut Ledger,
    max_records: usize,
    rejected: &[usize],
) {
    let spool = open(process, options);
    let Ok(Some(mut sender)) = Sender::try_lock(&spool) else {
        return;
    };
    // The first one is not accepted, and comes again.
    if let Ok(batch) = sender.next_batch(max_records, 100_000) {
        let before = batch.records().to_vec();
        sender.retry(batch);
        if let Ok(batch) = sender.next_batch(max_records, 100_000) {
            if !ledger.may_repeat && !process.is_dead() {
                assert!(before == batch.records(), "another batch");
            }
            settle(&mut sender, batch, ledger, rejected);
        }
    }
}

fn settle(
    sender: &mut Sender<Process>,
    batch: uilog_spool::Batch,
    ledger: &mut Ledger,
    rejected: &[usize],
) {
    // The receiver has them, whatever becomes of us.
    for (index, record) in batch.records().iter().enumerate() {
        if rejected.contains(&index) {
            ledger.reject(record);
        } else {
            ledger.accept(record);
        }
    }
    let _ = sender.reject(batch, rejected, b"reason");
}

const POLICIES: [SyncPolicy; 3] = [
    SyncPolicy::Each,
    SyncPolicy::Every(Duration::from_secs(1)),
    SyncPolicy::OnRequest,
];

/// Room for some four records of the longer ones.
const MAX_BYTES: u64 = 12_000;

/// The calls of the scenario, if nothing goes wrong.
fn calls(sync: SyncPolicy) -> Vec<(&'static str, usize)> {
    let disk = Disk::new();
    let options = options(sync, MAX_BYTES);
    let process = disk.process();
    let mut ledger = Ledger::default();
    scenario(&process, &options, &mut ledger);
    process.kill();
    let stats = ledger.finish(&disk, &options);
    assert!(stats.evicted > 0 && stats.rejected > 0, "{stats:#?}");
    process.calls()
}

#[test]
fn the_scenario_does_everything() {
    let names: Vec<_> = calls(SyncPolicy::Each)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for name in [
        "append",
        "create",
        "length",
        "list",
        "lock",
        "open",
        "random",
        "read",
        "remove",
        "rename",
        "status",
        "sync",
        "sync_directory",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

/// Where a write is cut: at every byte of a short one; of a long one at its
/// beginning, where its headers are, and at its end.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..=length).filter(move |at| {
        length < 600
            || *at < 100
            || *at + 10 > length
            || *at == length / 2
            || at % 97 == 0
    })
}

fn crash_everywhere(
    sync: SyncPolicy,
    is_every_byte: bool,
    then: impl Fn(&Disk, &mut Ledger, usize),
) {
    let options = options(sync, MAX_BYTES);
    for (call, (name, length)) in calls(sync).into_iter().enumerate() {
        let few = [0, length / 2, length];
        let cuts = cuts(length).filter(|it| is_every_byte || few.contains(it));
        for bytes in cuts {
            let disk = Disk::new();
            let process = disk.process();
            process.plan(Plan::Die { call, bytes });
            let mut ledger = Ledger::default();
            scenario(&process, &options, &mut ledger);
            assert!(process.is_dead());
            ledger.may_repeat = true;
            ledger.what = format!("{sync:?}, call {call}, {name}, {bytes}");
            then(&disk, &mut ledger, call);
            // Another one goes on, before everything is counted.
            let process = disk.process();
            let spool = open(&process, &options);
            let mut writer = Writer::new(&spool);
            ledger.append(&mut writer, 4, 50).unwrap();
            drop(writer);
            ledger.finish(&disk, &options);
        }
    }
}

#[test]
fn a_process_may_die_at_every_byte() {
    for sync in POLICIES {
        crash_everywhere(sync, true, |_, _, _| {});
    }
}

#[test]
fn the_power_may_go_at_every_byte() {
    for sync in POLICIES {
        let mut lefts = vec![Left::Nothing, Left::Everything];
        lefts.extend((0..8).map(Left::Some));
        for left in lefts {
            // What is cut off somewhere need not end everywhere before.
            let is_every_byte = matches!(left, Left::Everything);
            crash_everywhere(sync, is_every_byte, |disk, ledger, call| {
                // Another selection each time.
                disk.power_cut(match left {
                    Left::Some(seed) => Left::Some(seed << 32 | call as u64),
                    left => left,
                });
                ledger.power_cut(sync);
            });
        }
    }
}

#[test]
fn every_call_may_fail() {
    for sync in POLICIES {
        let options = options(sync, MAX_BYTES);
        for (call, (name, length)) in calls(sync).into_iter().enumerate() {
            let errnos = [libc::EIO, libc::ENOSPC, libc::EMFILE, libc::EINTR];
            for errno in errnos {
                for bytes in [0, 1, length / 2] {
                    let plan = Plan::Fail { call, errno, bytes };
                    fail(plan, &options, &format!("{name}: {errno}"));
                }
            }
            let plan = Plan::Short { call, bytes: 3 };
            fail(plan, &options, name);
        }
    }
}

fn fail(plan: Plan, options: &Options, what: &str) {
    let disk = Disk::new();
    let process = disk.process();
    process.plan(plan);
    let mut ledger = Ledger::of_a_faulty_system();
    ledger.what = format!("{:?}, {plan:?}, {what}", options.sync);
    scenario(&process, options, &mut ledger);
    assert!(!process.is_dead(), "{what}");
    process.kill();
    ledger.finish(&disk, options);
}

/// Nobody knows how many records are lost with a segment that cannot be read.
#[test]
fn a_segment_that_cannot_be_read_is_not_evicted() {
    let options = options(SyncPolicy::Each, MAX_BYTES);
    for ahead in 0..60 {
        let disk = Disk::new();
        let mut ledger = Ledger::of_a_faulty_system();
        let mut first = Writer::new(&open(&disk.process(), &options));
        ledger.append_all(&mut first, 1, &[50; 6]);
        drop(first);
        let process = disk.process();
        let mut second = Writer::new(&open(&process, &options));
        ledger.append_all(&mut second, 2, &[3000]);
        process.plan_from_now(|now| Plan::Fail {
            call: now + ahead,
            errno: libc::EIO,
            bytes: 0,
        });
        ledger.append_all(&mut second, 2, &[3000; 4]);
        process.kill();
        ledger.what = format!("after {ahead} calls");
        let stats = ledger.finish(&disk, &options);
        assert!(stats.evicted > 0 && stats.damaged == 0, "{stats:?}");
    }
}

/// A disk that is full from some call on, and has room again.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let options = options(SyncPolicy::Each, MAX_BYTES);
    for first in 0..calls(SyncPolicy::Each).len() {
        let disk = Disk::new();
        let process = disk.process();
        process.fill_disk_from(first);
        let mut ledger = Ledger::of_a_faulty_system();
        scenario(&process, &options, &mut ledger);
        process.kill();
        ledger.finish(&disk, &options);
    }
}

/// Users are told to make room, or what else to do.
#[test]
fn a_file_that_cannot_be_created_is_told_with_the_reason() {
    let options = options(SyncPolicy::Each, MAX_BYTES);
    let process = Disk::new().process();
    let mut writer = Writer::new(&open(&process, &options));
    process.fill_disk_from(0);
    let mut ledger = Ledger::default();
    let error = ledger.append(&mut writer, 1, 10).unwrap_err();
    assert!(error.is_full(), "{error}");
    process.plan(Plan::Work);
    ledger.append(&mut writer, 1, 10).unwrap();
}

#[test]
fn rejected_records_that_cannot_be_kept_are_counted_as_deleted() {
    let options = options(SyncPolicy::Each, MAX_BYTES);
    let process = Disk::new().process();
    let spool = open(&process, &options);
    let mut ledger = Ledger::default();
    ledger.append_all(&mut Writer::new(&spool), 1, &[10; 4]);
    let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
    for rejected in [&[0][..], &[0, 1]] {
        let batch = sender.next_batch(2, 1000).unwrap();
        process.fill_disk_from(0);
        // The counts cannot be written either, until there is room.
        sender.reject(batch, rejected, b"no").unwrap_err();
        process.plan(Plan::Work);
    }
    drop(sender);
    let stats = spool.stats().unwrap();
    assert_eq!((stats.sent, stats.pending), (1, 0));
    assert_eq!((stats.rejected, stats.rejected_dropped), (3, 3));
}

/// A power cut takes away what has been sent. A writer must not put something
/// in its place that would count as sent.
#[test]
fn what_was_sent_is_not_gone_on_with_after_a_power_cut() {
    let sync = SyncPolicy::Every(Duration::from_secs(3600));
    let options = options(sync, MAX_BYTES);
    for seed in 0..1000 {
        let disk = Disk::new();
        let process = disk.process();
        let spool = open(&process, &options);
        let mut ledger = Ledger::default();
        let mut writer = Writer::new(&spool);
        ledger.append(&mut writer, 1, 10).unwrap();
        writer.sync().unwrap();
        for _ in 0..3 {
            ledger.append(&mut writer, 1, 10).unwrap();
        }
        send(&process, &options, &mut ledger, 100, &[]);
        process.kill();
        disk.power_cut(Left::Some(seed));
        ledger.power_cut(sync);
        let process = disk.process();
        let mut writer = Writer::new(&open(&process, &options));
        for _ in 0..3 {
            ledger.append(&mut writer, 2, 10).unwrap();
        }
        drop(writer);
        ledger.finish(&disk, &options);
    }
}
