//! Wrong clocks at the creation of a segment: it is not kept for ever, and does
//! not keep others.

use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::disk::Left;
use crate::disk::Process;
use crate::ledger::open;
use crate::ledger::options;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Ten years.
const FAR_MS: u64 = 3650 * DAY_MS;

fn append(spool: &Spool<Process>, number: u8) {
    let id = RecordId::new(&[number; 16]).unwrap();
    Writer::new(spool).append(&id, b"payload").unwrap();
}

/// What is evicted and what is left when a sender has looked.
fn evicted(spool: &Spool<Process>) -> (u64, u64) {
    let mut sender = Sender::try_lock(spool).unwrap().unwrap();
    let batch = sender.next_batch(100, 10_000).unwrap();
    let left = batch.records().len() as u64;
    sender.retry(batch);
    (spool.stats().unwrap().evicted, left)
}

/// A spool with a record from a boot in which the clock was wrong.
fn world(change: fn(u64) -> u64, back: fn(u64) -> u64) -> (Disk, Options) {
    let disk = Disk::new();
    let options = options(SyncPolicy::Each, 100_000);
    disk.set_wall(change);
    append(&open(&disk.process(), &options), 1);
    disk.power_cut(Left::Everything);
    disk.set_wall(back);
    (disk, options)
}

fn forward() -> (Disk, Options) {
    world(|wall| wall + FAR_MS, |wall| wall - FAR_MS)
}

#[test]
fn a_segment_of_the_future_does_not_keep_those_behind_it() {
    let (disk, options) = forward();
    let spool = open(&disk.process(), &options);
    append(&spool, 2);
    disk.power_cut(Left::Everything);
    let spool = open(&disk.process(), &options);
    disk.advance(3 * DAY_MS);
    append(&spool, 3);
    assert_eq!(evicted(&spool), (0, 3));
    // The second is too old, so the first, which is older, is, too.
    disk.advance(5 * DAY_MS);
    assert_eq!(evicted(&spool), (2, 1));
    disk.advance(5 * DAY_MS);
    assert_eq!(evicted(&spool), (3, 0));
}

#[test]
fn a_segment_of_the_future_goes_when_there_is_no_room() {
    let (disk, options) = forward();
    let spool = open(&disk.process(), &options);
    let mut writer = Writer::new(&spool);
    for number in 2..250 {
        let id = RecordId::new(&[number; 16]).unwrap();
        writer.append(&id, &[0; 1000]).unwrap();
    }
    assert!(evicted(&spool).0 > 1);
}

/// A machine without a battery for its clock, before it has asked for the time.
#[test]
fn what_was_logged_before_the_clock_was_set_is_not_too_old() {
    let (disk, options) = world(|_| 60_000, |_| 1_800_000_000_000);
    let spool = open(&disk.process(), &options);
    append(&spool, 2);
    assert_eq!(evicted(&spool), (0, 2));
    disk.advance(8 * DAY_MS);
    assert_eq!(evicted(&spool), (2, 0));
}
