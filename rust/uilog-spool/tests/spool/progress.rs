//! A long run of a sender: it stores its progress without waiting for the disk,
//! and syncs it from time to time. Whatever happens to either file, the records
//! arrive, and duplicates are known.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::Stats;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;
use uilog_spool::files::Files;

use crate::disk::Disk;
use crate::disk::Left;
use crate::disk::Plan;
use crate::disk::Process;
use crate::disk::Random;
use crate::ledger::open;
use crate::ledger::options;

const POLICIES: [SyncPolicy; 3] =
    [SyncPolicy::Each, SECOND, SyncPolicy::OnRequest];
const SECOND: SyncPolicy = SyncPolicy::Every(Duration::from_secs(1));
/// Room for all; a segment is of 4 KB.
const MAX_BYTES: u64 = 100_000;
const RECORDS: u64 = 13;
const RECORD_BYTES: usize = 900;
const BATCH: usize = 2;
/// The batch of which the first record is rejected.
const REJECTED_OF: usize = 2;
/// The batch after which time passes.
const PAUSE_AFTER: usize = 3;

fn id(number: u64) -> RecordId {
    let mut id = *b"0123456789abcdef";
    id[..8].copy_from_slice(&number.to_le_bytes());
    RecordId::new(&id).unwrap()
}

/// How often each record has been delivered.
type Delivered = BTreeMap<RecordId, usize>;

fn repeated(delivered: &Delivered) -> usize {
    delivered.values().map(|count| count - 1).sum()
}

/// A disk with records that survive a power cut, in four segments.
fn filled(options: &Options) -> Disk {
    let disk = Disk::new();
    let spool = open(&disk.process(), options);
    let mut writer = Writer::new(&spool);
    for number in 0..RECORDS {
        let payload = [number as u8; RECORD_BYTES];
        writer.append(&id(number), &payload).unwrap();
    }
    writer.sync().unwrap();
    drop(writer);
    disk
}

/// One sender, batch after batch, until it is to stop or nothing is left.
fn send(
    disk: &Disk,
    spool: &Spool<Process>,
    delivered: &mut Delivered,
    max_batches: usize,
) -> Option<Sender<Process>> {
    let mut sender = Sender::try_lock(spool).ok()??;
    for number in 0..max_batches {
        let batch = sender.next_batch(BATCH, 100_000).ok()?;
        if batch.is_empty() {
            break;
        }
        for record in batch.records() {
            *delivered.entry(record.id).or_default() += 1;
        }
        let rejected: &[usize] = match number {
            REJECTED_OF => &[0],
            _ => &[],
        };
        sender.reject(batch, rejected, b"reason").ok()?;
        if number == PAUSE_AFTER {
            disk.advance(1000);
        }
    }
    Some(sender)
}

/// Another sender takes what is left.
fn finish(disk: &Disk, options: &Options, delivered: &mut Delivered) -> Stats {
    let spool = open(&disk.process(), options);
    let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
    loop {
        let batch = sender.next_batch(BATCH, 100_000).unwrap();
        if batch.is_empty() {
            break;
        }
        for record in batch.records() {
            *delivered.entry(record.id).or_default() += 1;
        }
        sender.accept(batch).unwrap();
    }
    drop(sender);
    assert_eq!(disk.files(".seg1"), []);
    assert_eq!(delivered.len() as u64, RECORDS, "all have come");
    spool.stats().unwrap()
}

/// The calls of a run that nothing happens to.
fn calls(options: &Options) -> Vec<(&'static str, usize)> {
    let disk = filled(options);
    let process = disk.process();
    let mut delivered = Delivered::new();
    drop(send(
        &disk,
        &open(&process, options),
        &mut delivered,
        usize::MAX,
    ));
    assert_eq!(disk.files(".progress"), [], "it is removed");
    let stats = finish(&disk, options, &mut delivered);
    assert_eq!(repeated(&delivered), 0);
    assert_eq!((stats.sent, stats.rejected), (RECORDS - 1, 1));
    process.calls()
}

#[test]
fn a_sender_waits_for_the_disk_now_and_then() {
    let syncs = |sync| {
        let calls = calls(&options(sync, MAX_BYTES));
        let of_file = calls.iter().filter(|it| it.0 == "sync").count();
        let of_names = calls.iter().filter(|it| it.0 == "sync_directory");
        (of_file, of_names.count())
    };
    let batches = RECORDS.div_ceil(BATCH as u64) as usize;
    // With the record that is rejected.
    assert!(syncs(SyncPolicy::Each).0 > batches);
    // At first, for what is rejected (twice), when a second is over, and in
    // the end. The names: for what is rejected (twice), and where there are
    // two files.
    assert_eq!(syncs(SECOND), (5, 4));
    assert_eq!(syncs(SyncPolicy::OnRequest), (0, 0));
}

/// Lets the sender end in each call, and after some bytes of it.
fn die_everywhere(
    sync: SyncPolicy,
    is_every_byte: bool,
    then: impl Fn(&Disk, &Options, Delivered, usize),
) {
    let options = options(sync, MAX_BYTES);
    for (call, (_, length)) in calls(&options).into_iter().enumerate() {
        let few = [0, length / 2, length];
        let cuts = (0..=length).filter(|it| is_every_byte || few.contains(it));
        for bytes in cuts {
            let disk = filled(&options);
            let process = disk.process();
            process.plan(Plan::Die { call, bytes });
            let mut delivered = Delivered::new();
            let spool = open(&process, &options);
            drop(send(&disk, &spool, &mut delivered, usize::MAX));
            assert!(process.is_dead());
            then(&disk, &options, delivered, call);
        }
    }
}

/// What it had been told before is written down.
#[test]
fn a_killed_sender_repeats_its_last_batch_only() {
    for sync in POLICIES {
        let is_every_byte = sync == SECOND;
        die_everywhere(sync, is_every_byte, |disk, options, found, call| {
            let mut delivered = found;
            let stats = finish(disk, options, &mut delivered);
            let twice = repeated(&delivered);
            assert!(twice <= BATCH, "{sync:?}, call {call}: {twice} twice");
            assert_eq!(stats.sent + stats.rejected, RECORDS, "call {call}");
            assert_eq!((stats.counts_lost, stats.damaged_bytes), (0, 0));
        });
    }
}

/// What comes twice is not more than what was sent since it was saved, and
/// each record is counted.
#[test]
fn a_power_cut_costs_no_record_and_no_count() {
    for sync in [SyncPolicy::Each, SECOND] {
        let lefts = [Left::Nothing, Left::Everything];
        for left in lefts.into_iter().chain((0..4).map(Left::Some)) {
            die_everywhere(sync, false, |disk, options, found, call| {
                let mut delivered = found;
                disk.power_cut(match left {
                    Left::Some(seed) => Left::Some(seed << 32 | call as u64),
                    left => left,
                });
                let stats = finish(disk, options, &mut delivered);
                let counted = stats.sent + stats.rejected;
                assert!(counted >= RECORDS, "{left:?}, {call}: {stats:?}");
                assert_eq!((stats.counts_lost, stats.damaged), (0, 0));
                let twice = repeated(&delivered);
                // Up to the pause after the fourth batch, or after that.
                let max = if sync == SECOND { 4 * BATCH } else { BATCH };
                assert!(twice <= max, "{left:?}, {call}: {twice} twice");
            });
        }
    }
}

/// A sender that has been killed after so many batches, of which the first
/// was saved.
fn killed_after(batches: usize) -> (Disk, Options, Delivered) {
    let options = options(SECOND, MAX_BYTES);
    let disk = filled(&options);
    let process = disk.process();
    let mut delivered = Delivered::new();
    let spool = open(&process, &options);
    let sender = send(&disk, &spool, &mut delivered, batches);
    assert!(sender.is_some());
    process.kill();
    (disk, options, delivered)
}

fn path(name: &str) -> PathBuf {
    Path::new("/spool").join(name)
}

/// The number of records that come twice, and of the counts that are lost.
fn outcome(
    (disk, options, mut delivered): (Disk, Options, Delivered),
) -> (usize, u64) {
    let stats = finish(&disk, &options, &mut delivered);
    assert_eq!(stats.damaged_bytes, 0);
    if stats.counts_lost == 0 {
        assert_eq!(stats.sent + stats.rejected, RECORDS);
    }
    (repeated(&delivered), stats.counts_lost)
}

#[test]
fn what_is_newer_counts() {
    let world = killed_after(2);
    assert_eq!(world.0.files(".progress").len(), 1);
    assert_eq!(outcome(world), (0, 0));
    // Whoever only looks, sees the same.
    let (disk, options, _) = killed_after(2);
    let spool = open(&disk.process(), &options);
    let stats = spool.stats().unwrap();
    assert_eq!((stats.sent, stats.pending), (4, RECORDS - 4));
    assert_eq!(spool.records().unwrap().count() as u64, RECORDS - 4);
}

#[test]
fn progress_of_another_boot_counts() {
    let world = killed_after(2);
    world.0.power_cut(Left::Everything);
    assert_eq!(outcome(world), (0, 0));
}

#[test]
fn absent_progress_costs_what_it_told_of() {
    let world = killed_after(2);
    let process = world.0.process();
    process.remove(&path("sender.progress")).unwrap();
    assert_eq!(outcome(world), (BATCH, 0));
}

#[test]
fn damaged_progress_costs_what_it_told_of() {
    let length = killed_after(2).0.files(".progress")[0].1.len();
    let mut random = Random::new(1);
    for at in 0..length {
        for end in [at + 1, length] {
            let world = killed_after(2);
            let value = random.next() as u8 | 1;
            world.0.damage(&path("sender.progress"), |data| {
                data[at..end].iter_mut().for_each(|it| *it ^= value);
            });
            assert_eq!(outcome(world), (BATCH, 0), "{at} to {end}");
        }
    }
}

/// A sender that has been killed after five records, each a batch; it has
/// saved the first, and written down four more.
fn killed_after_five() -> (Disk, Options, Delivered) {
    let options = options(SECOND, MAX_BYTES);
    let disk = filled(&options);
    let process = disk.process();
    let spool = open(&process, &options);
    let mut delivered = Delivered::new();
    let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
    for _ in 0..5 {
        let batch = sender.next_batch(1, 100_000).unwrap();
        delivered.insert(batch.records()[0].id, 1);
        sender.accept(batch).unwrap();
    }
    process.kill();
    (disk, options, delivered)
}

#[test]
fn the_latest_whole_line_counts() {
    let (disk, _, _) = killed_after_five();
    let progress = disk.files(".progress").remove(0).1;
    let is_end = |at: &usize| progress[*at] == b'\n';
    let ends: Vec<usize> = (0..progress.len()).filter(is_end).collect();
    assert_eq!(ends.len(), 4);
    for at in 0..progress.len() {
        let world = killed_after_five();
        world
            .0
            .damage(&path("sender.progress"), |data| data[at] = 0);
        let twice = if at == ends[2] {
            // It was between the last two.
            2
        } else {
            usize::from(at > ends[2])
        };
        assert_eq!(outcome(world), (twice, 0), "{at}");
    }
    // What was being appended, and is not whole.
    for cut in ends[2] + 1..ends[3] {
        let world = killed_after_five();
        world
            .0
            .damage(&path("sender.progress"), |data| data[cut..].fill(0));
        assert_eq!(outcome(world), (1, 0), "{cut}");
    }
}

/// The sender could not remove it after the other one was saved.
#[test]
fn older_progress_does_not_count() {
    let options = options(SECOND, MAX_BYTES);
    let calls = calls(&options);
    let removals = calls.iter().enumerate().filter(|it| it.1.0 == "remove");
    for (call, _) in removals {
        let disk = filled(&options);
        let process = disk.process();
        let (errno, bytes) = (nix::libc::EIO, 0);
        process.plan(Plan::Fail { call, errno, bytes });
        let mut delivered = Delivered::new();
        let spool = open(&process, &options);
        let _ = send(&disk, &spool, &mut delivered, usize::MAX);
        process.kill();
        assert_eq!(outcome((disk, options.clone(), delivered)), (0, 0));
    }
}

#[test]
fn damaged_counts_are_told_of_and_progress_counts() {
    let world = killed_after(2);
    world.0.damage(&path("sender.counts"), |data| data[20] ^= 1);
    assert_eq!(outcome(world), (0, 1));
}

#[test]
fn where_both_are_damaged_all_that_is_there_comes_again() {
    let world = killed_after(2);
    for name in ["sender.counts", "sender.progress"] {
        world.0.damage(&path(name), |data| data[20] ^= 1);
    }
    // The first segment is still there.
    assert_eq!(outcome(world), (2 * BATCH, 1));
}
