//! Acknowledged losses: not reported again, and no others.

use std::path::Path;

use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::disk::Left;
use crate::disk::Plan;
use crate::disk::Process;
use crate::ledger::open;
use crate::ledger::options;

const MAX_BYTES: u64 = 100_000;

fn id(number: u8) -> RecordId {
    RecordId::new(&[number; 16]).unwrap()
}

/// Appends a record, which is rejected.
fn reject(spool: &Spool<Process>, number: u8) {
    let mut writer = Writer::new(spool);
    writer.append(&id(number), b"payload").unwrap();
    drop(writer);
    let mut sender = Sender::try_lock(spool).unwrap().unwrap();
    let batch = sender.next_batch(1, 1000).unwrap();
    sender.reject(batch, &[0], b"no").unwrap();
    assert!(sender.next_batch(1, 1000).unwrap().is_empty());
}

fn forget(spool: &Spool<Process>, is_rejected: bool) -> u64 {
    let mut sender = Sender::try_lock(spool).unwrap().unwrap();
    sender.forget(is_rejected).unwrap()
}

fn rejected(spool: &Spool<Process>) -> (u64, usize) {
    let new = spool.new_stats().unwrap().rejected;
    (new, spool.rejected().unwrap().count())
}

fn world() -> (Disk, Options, Spool<Process>) {
    let disk = Disk::new();
    let options = options(SyncPolicy::Each, MAX_BYTES);
    let spool = open(&disk.process(), &options);
    reject(&spool, 1);
    reject(&spool, 2);
    (disk, options, spool)
}

#[test]
fn what_is_forgotten_is_not_told_again() {
    let (_disk, _, spool) = world();
    assert_eq!(rejected(&spool), (2, 2));
    assert_eq!(forget(&spool, false), 0);
    assert_eq!(rejected(&spool), (0, 2));
    reject(&spool, 3);
    assert_eq!(rejected(&spool), (1, 3));
    assert_eq!(forget(&spool, true), 3);
    assert_eq!(rejected(&spool), (0, 0));
    let stats = spool.stats().unwrap();
    assert_eq!((stats.rejected, stats.rejected_dropped), (3, 3));
}

#[test]
fn where_the_counts_begin_anew_all_is_told() {
    let (disk, _, spool) = world();
    forget(&spool, false);
    let counts = Path::new("/spool/sender.counts");
    disk.damage(counts, |data| data[20] ^= 1);
    reject(&spool, 3);
    let stats = spool.new_stats().unwrap();
    assert_eq!((stats.rejected, stats.counts_lost), (1, 1));
    forget(&spool, false);
    let stats = spool.new_stats().unwrap();
    assert_eq!((stats.rejected, stats.counts_lost), (0, 0));
}

#[test]
fn damaged_memory_lets_all_be_told_again() {
    let (disk, _, spool) = world();
    forget(&spool, false);
    let forgotten = Path::new("/spool/forgotten.counts");
    disk.damage(forgotten, |data| data[20] ^= 1);
    assert_eq!(rejected(&spool), (2, 2));
}

/// Wherever it ends: all is told again, or nothing, and what comes later is.
#[test]
fn who_forgets_may_die_and_the_power_may_go() {
    for is_rejected in [false, true] {
        for call in 0.. {
            let lefts = [Left::Nothing, Left::Everything, Left::Some(call)];
            let mut is_done = false;
            for left in lefts.map(Some).into_iter().chain([None]) {
                let (disk, options, _) = world();
                let process = disk.process();
                let spool = open(&process, &options);
                process.plan(Plan::Die {
                    call: call as usize,
                    bytes: 5,
                });
                if let Ok(Some(mut sender)) = Sender::try_lock(&spool) {
                    is_done = sender.forget(is_rejected).is_ok();
                }
                process.kill();
                if let Some(left) = left {
                    disk.power_cut(left);
                }
                let spool = open(&disk.process(), &options);
                let (told, kept) = rejected(&spool);
                assert!([0, 2].contains(&told), "call {call}: {told}");
                assert!(is_rejected || kept == 2, "call {call}: {kept}");
                reject(&spool, 3);
                assert_eq!(rejected(&spool).0, told + 1, "call {call}");
            }
            if is_done {
                break;
            }
        }
    }
}
