//! Two channels: each is sent at its own pace, and no process sends again what
//! one has received; earlier versions share the spool.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use uilog_spool::Channels;
use uilog_spool::HoldBack;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;
use uilog_spool::files::Files;

use crate::disk::Disk;
use crate::disk::Process;
use crate::disk::Random;
use crate::ledger::open;
use crate::ledger::options;

const MAX_BYTES: u64 = 100_000;
const RECORDS: u64 = 24;
const RECORD_BYTES: usize = 900;

/// By its last byte.
const TWO: Channels = Channels::two(1, |payload| {
    usize::from(payload.last().is_some_and(|it| it % 2 == 1))
});

fn two_channels(sync: SyncPolicy, max_bytes: u64) -> Options {
    Options {
        channels: TWO,
        ..options(sync, max_bytes)
    }
}

fn every_second(max_bytes: u64) -> Options {
    two_channels(SyncPolicy::Every(Duration::from_secs(1)), max_bytes)
}

fn id(number: u64) -> RecordId {
    let mut id = *b"0123456789abcdef";
    id[..8].copy_from_slice(&number.to_le_bytes());
    RecordId::new(&id).unwrap()
}

/// Those with even numbers belong to the first channel, the others to the
/// second one.
fn append(spool: &Spool<Process>, numbers: std::ops::Range<u64>) {
    let mut writer = Writer::new(spool);
    for number in numbers {
        let payload = [number as u8; RECORD_BYTES];
        writer.append(&id(number), &payload).unwrap();
    }
}

fn filled(options: &Options) -> Disk {
    let disk = Disk::new();
    append(&open(&disk.process(), options), 0..RECORDS);
    disk
}

fn sender(disk: &Disk, options: &Options) -> Sender<Process> {
    let spool = open(&disk.process(), options);
    Sender::try_lock(&spool).unwrap().unwrap()
}

/// Takes all of a channel; returns the numbers.
fn drain(sender: &mut Sender<Process>, channel: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let batch = sender.next_batch_of(channel, 3, MAX_BYTES as usize);
        let batch = batch.unwrap();
        if batch.is_empty() {
            return numbers;
        }
        let ids = batch.records().iter().map(|it| it.id);
        numbers.extend(ids.map(number_of));
        sender.accept(batch).unwrap();
    }
}

fn number_of(id: RecordId) -> u64 {
    u64::from_le_bytes(id.as_bytes()[..8].try_into().unwrap())
}

fn numbers(from: u64) -> Vec<u64> {
    (from..RECORDS).step_by(2).collect()
}

fn pending(disk: &Disk, options: &Options) -> (u64, Vec<u64>) {
    let spool = open(&disk.process(), options);
    let records = spool.records().unwrap();
    let waiting = records.map(|it| number_of(it.unwrap().id)).collect();
    (spool.stats().unwrap().pending, waiting)
}

#[test]
fn one_channel_is_sent_while_the_other_waits() {
    for channel in [0, 1] {
        let options = every_second(MAX_BYTES);
        let disk = filled(&options);
        let other = 1 - channel;
        assert_eq!(
            drain(&mut sender(&disk, &options), channel),
            numbers(channel as u64)
        );
        let left = numbers(other as u64);
        assert_eq!(pending(&disk, &options), (left.len() as u64, left.clone()));
        let spool = open(&disk.process(), &options);
        let mut only = [false; 2];
        only[channel] = true;
        assert!(!spool.has_pending(only).unwrap());
        only[other] = true;
        assert!(spool.has_pending(only).unwrap());
        // Another process does not send it again.
        let mut next = sender(&disk, &options);
        assert_eq!(drain(&mut next, channel), []);
        assert!(!disk.files(".seg1").is_empty());
        assert_eq!(drain(&mut next, other), left);
        drop(next);
        assert_eq!(disk.files(".seg1"), []);
        let stats = spool.stats().unwrap();
        assert_eq!((stats.sent, stats.pending), (RECORDS, 0));
    }
}

#[test]
fn a_part_of_a_batch_that_has_been_settled_does_not_come_again() {
    let options = every_second(MAX_BYTES);
    let disk = filled(&options);
    let process = disk.process();
    let spool = open(&process, &options);
    let mut first = Sender::try_lock(&spool).unwrap().unwrap();
    let batch = first.next_batch_of(1, 8, 100_000).unwrap();
    first.finish_up_to(&batch, 3, &[1], b"no", 0).unwrap();
    // What is settled is not settled again.
    first.finish_up_to(&batch, 4, &[0], b"no", 1).unwrap();
    process.kill();
    drop((batch, first));
    let mut next = sender(&disk, &options);
    assert_eq!(drain(&mut next, 1), numbers(1)[4..]);
    drop(next);
    let stats = open(&disk.process(), &options).stats().unwrap();
    let counts = (stats.sent, stats.rejected, stats.rejected_dropped);
    assert_eq!(counts, (RECORDS / 2 - 2, 2, 1));
}

/// Two batches are on their way at a time, and each is settled by itself.
#[test]
fn channels_do_not_wait_for_each_other() {
    let options = every_second(MAX_BYTES);
    let disk = filled(&options);
    let mut sender = sender(&disk, &options);
    let first = sender.next_batch_of(0, 100, 100_000).unwrap();
    let second = sender.next_batch_of(1, 100, 100_000).unwrap();
    sender.retry(first);
    sender.accept(second).unwrap();
    assert_eq!(drain(&mut sender, 0), numbers(0));
    assert_eq!(drain(&mut sender, 1), []);
    drop(sender);
    assert_eq!(disk.files(".seg1"), []);
}

/// An earlier version knows one place of each segment, the lowest.
#[test]
fn an_earlier_version_loses_nothing() {
    let new = every_second(MAX_BYTES);
    let old = Options {
        channels: Channels::ONE,
        ..new.clone()
    };
    // It goes on with a spool of ours.
    let disk = filled(&new);
    let mut ours = sender(&disk, &new);
    assert_eq!(drain(&mut ours, 1), numbers(1));
    let batch = ours.next_batch_of(0, 5, 100_000).unwrap();
    ours.accept(batch).unwrap();
    drop(ours);
    let mut theirs = sender(&disk, &old);
    let rest = drain(&mut theirs, 0);
    drop(theirs);
    assert_eq!(rest, (10..RECORDS).collect::<Vec<_>>());
    assert_eq!(pending(&disk, &new), (0, vec![]));
    // We go on with what it has left.
    let disk = filled(&old);
    let mut theirs = sender(&disk, &old);
    let batch = theirs.next_batch(9, 100_000).unwrap();
    theirs.accept(batch).unwrap();
    drop(theirs);
    let mut ours = sender(&disk, &new);
    assert_eq!(drain(&mut ours, 0), numbers(0)[5..]);
    assert_eq!(drain(&mut ours, 1), numbers(1)[4..]);
}

/// What is a record of the other channel now, has not been sent by it.
#[test]
fn another_version_of_the_channels_loses_nothing() {
    let new = every_second(MAX_BYTES);
    let disk = filled(&new);
    drain(&mut sender(&disk, &new), 0);
    let swapped = Options {
        channels: Channels::two(2, |payload| {
            usize::from(payload.last().is_some_and(|it| it % 2 == 0))
        }),
        ..new
    };
    let mut next = sender(&disk, &swapped);
    assert_eq!(drain(&mut next, 0), numbers(1));
    assert_eq!(drain(&mut next, 1), numbers(0));
}

#[test]
fn what_has_been_sent_is_not_evicted() {
    // Room for some six segments.
    let options = every_second(24_000);
    let disk = filled(&options);
    let spool = open(&disk.process(), &options);
    let before = spool.stats().unwrap();
    let mut ours = sender(&disk, &options);
    let sent = drain(&mut ours, 0).len() as u64;
    drop(ours);
    append(&spool, RECORDS..3 * RECORDS);
    let stats = spool.stats().unwrap();
    let all = 3 * RECORDS;
    assert!(stats.evicted > before.evicted + 4, "{stats:?}");
    assert_eq!(stats.sent + stats.pending + stats.evicted, all);
    assert_eq!(stats.sent, sent);
}

/// What is damaged is counted once.
#[test]
fn damage_is_counted_once() {
    for order in [[0, 1], [1, 0]] {
        let options = every_second(MAX_BYTES);
        let disk = filled(&options);
        let (path, _) = disk.files(".seg1").remove(1);
        disk.damage(&path, |data| data[1200..1300].fill(0));
        let mut sender = sender(&disk, &options);
        let got: usize =
            order.iter().map(|it| drain(&mut sender, *it).len()).sum();
        drop(sender);
        let stats = open(&disk.process(), &options).stats().unwrap();
        assert_eq!(got as u64, RECORDS - stats.damaged, "{stats:?}");
        assert_eq!((stats.damaged, stats.pending), (1, 0));
    }
}

/// Whoever sends what, and is killed when: each record comes, those of a
/// channel once if it was settled, and each is counted once.
#[test]
fn random_histories_lose_nothing() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let options = every_second(MAX_BYTES);
        let disk = Disk::new();
        let mut appended = 0;
        let mut settled: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..12 {
            let more = random.below(5) as u64;
            let spool = open(&disk.process(), &options);
            append(&spool, appended..appended + more);
            appended += more;
            let process = disk.process();
            let spool = open(&process, &options);
            let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
            for _ in 0..random.below(5) {
                let channel = random.below(2);
                let count = 1 + random.below(4);
                let batch = sender.next_batch_of(channel, count, 100_000);
                let batch = batch.unwrap();
                let end = random.below(batch.records().len() + 1);
                for record in &batch.records()[..end] {
                    let number = number_of(record.id);
                    assert_eq!(number as usize % 2, channel);
                    *settled.entry(number).or_default() += 1;
                }
                sender.finish_up_to(&batch, end, &[], b"", 0).unwrap();
                if random.below(3) == 0 {
                    disk.advance(2000);
                }
                if end < batch.records().len() {
                    sender.retry(batch);
                }
            }
            let waiting = appended - settled.len() as u64;
            if random.below(2) == 0 {
                process.kill();
            }
            drop(sender);
            let stats = open(&disk.process(), &options).stats().unwrap();
            assert_eq!(stats.pending, waiting, "seed {seed}");
            assert_eq!(stats.sent, settled.len() as u64, "seed {seed}");
        }
        assert!(settled.values().all(|count| *count == 1), "{settled:?}");
        let mut last = sender(&disk, &options);
        for channel in [0, 1] {
            for number in drain(&mut last, channel) {
                *settled.entry(number).or_default() += 1;
            }
        }
        drop(last);
        assert_eq!(settled.len() as u64, appended);
        assert!(settled.values().all(|count| *count == 1), "{settled:?}");
        assert_eq!(disk.files(".seg1"), []);
    }
}

#[test]
fn what_was_rejected_is_put_back() {
    let options = every_second(MAX_BYTES);
    let disk = filled(&options);
    let mut first = sender(&disk, &options);
    let batch = first.next_batch_of(0, 5, 100_000).unwrap();
    first.reject(batch, &[0, 1, 2, 3, 4], b"no").unwrap();
    first.forget(false).unwrap();
    let batch = first.next_batch_of(1, 2, 100_000).unwrap();
    first.reject(batch, &[1], b"no").unwrap();
    let spool = open(&disk.process(), &options);
    assert_eq!(spool.rejected().unwrap().count(), 6);
    assert_eq!(first.requeue().unwrap(), 6);
    assert_eq!(first.requeue().unwrap(), 0);
    assert_eq!(spool.rejected().unwrap().count(), 0);
    let stats = spool.new_stats().unwrap();
    let counts = (stats.rejected, stats.rejected_dropped, stats.pending);
    assert_eq!(counts, (0, 0, RECORDS - 1));
    let again = drain(&mut first, 0);
    assert_eq!(again.len() as u64, RECORDS / 2);
    assert!((0..10).step_by(2).all(|it| again.contains(&it)));
    // What is rejected from now on is told of.
    let batch = first.next_batch_of(1, 1, 100_000).unwrap();
    first.reject(batch, &[0], b"no").unwrap();
    assert_eq!(spool.new_stats().unwrap().rejected, 1);
}

/// A file of counts that a killed sender has left names nothing twice.
#[test]
fn the_counts_name_what_is_ahead() {
    let options = two_channels(SyncPolicy::Each, MAX_BYTES);
    let disk = filled(&options);
    drain(&mut sender(&disk, &options), 1);
    let path = Path::new("/spool/sender.counts");
    let process = disk.process();
    let file = process.open(path).unwrap();
    let mut bytes = vec![0; 64 * 1024];
    let length = process.read(&file, &mut bytes, 0).unwrap();
    let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
    let lines =
        |key: &str| text.lines().filter(|it| it.starts_with(key)).count();
    assert_eq!(lines("channels 1"), 1, "{text}");
    assert_eq!(lines("ahead 1 "), lines("segment "), "{text}");
}

/// The order of the records is kept, whatever their channels are.
#[test]
fn what_waits_for_another_program_holds_up_both_channels() {
    let newer = two_channels(SyncPolicy::Each, MAX_BYTES);
    let older = Options {
        hold_back: HoldBack(|payload| payload[0] == 5),
        ..newer.clone()
    };
    let disk = Disk::new();
    let mut writer = Writer::new(&open(&disk.process(), &newer));
    for number in 0..8 {
        writer.append(&id(number), &[number as u8]).unwrap();
    }
    drop(writer);
    let spool = open(&disk.process(), &older);
    let counts = || {
        let stats = spool.stats().unwrap();
        (stats.pending, stats.held_back)
    };
    let has_pending = |channels| spool.has_pending(channels).unwrap();
    let mut of_older = sender(&disk, &older);
    assert_eq!(counts(), (8, 3));
    assert_eq!(drain(&mut of_older, 0), [0, 2, 4]);
    assert_eq!(counts(), (5, 3));
    assert!(!has_pending([true, false]));
    assert!(has_pending([false, true]));
    assert_eq!(drain(&mut of_older, 1), [1, 3]);
    assert_eq!(counts(), (3, 3));
    assert!(!has_pending([true, true]));
    drop(of_older);
    // The other program has sent what it can of one of them.
    let mut of_newer = sender(&disk, &newer);
    assert_eq!(drain(&mut of_newer, 1), [5, 7]);
    drop(of_newer);
    assert_eq!(drain(&mut sender(&disk, &older), 0), [0; 0]);
    assert_eq!(counts(), (1, 1));
    assert_eq!(drain(&mut sender(&disk, &newer), 0), [6]);
    assert_eq!(counts(), (0, 0));
}
