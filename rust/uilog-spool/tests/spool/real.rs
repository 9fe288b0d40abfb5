//! The real file system, with one process: damage, foreign files, and what is
//! shown.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use uilog_spool::Limits;
use uilog_spool::MAX_PAYLOAD_BYTES;
use uilog_spool::Options;
use uilog_spool::Record;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Verdict;
use uilog_spool::Writer;

struct TestSpool {
    _directory: tempfile::TempDir,
    spool: Spool,
}

fn place(limits: Limits) -> TestSpool {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        limits,
        sync: SyncPolicy::OnRequest,
        ..Options::default()
    };
    let dir = directory.path().join("spool");
    let spool = Spool::open(&dir, options).unwrap();
    TestSpool {
        _directory: directory,
        spool,
    }
}

impl TestSpool {
    fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(self.spool.dir())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "seg1"))
            .collect();
        paths.sort();
        paths
    }

    fn drain(&self) -> Vec<Record> {
        let mut sender = Sender::try_lock(&self.spool).unwrap().unwrap();
        let mut records = Vec::new();
        loop {
            let batch = sender.next_batch(9, 1 << 30).unwrap();
            if batch.is_empty() {
                return records;
            }
            records.extend_from_slice(batch.records());
            sender.accept(batch).unwrap();
        }
    }
}

fn id(number: usize) -> RecordId {
    RecordId::new(format!("{number:020}").as_bytes()).unwrap()
}

#[test]
fn an_id_has_sixteen_to_twenty_four_bytes() {
    for length in [0, 15, 25, 300] {
        assert_eq!(RecordId::new(&vec![1; length]), None);
    }
    for length in [16, 20, 24] {
        let bytes = vec![7; length];
        assert_eq!(RecordId::new(&bytes).unwrap().as_bytes(), bytes);
    }
}

#[test]
fn the_longest_record_goes_and_a_longer_one_does_not() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    let payload = vec![0xf5; MAX_PAYLOAD_BYTES];
    writer.append(&id(1), &payload).unwrap();
    writer.append(&id(2), b"").unwrap();
    let error = writer.append(&id(3), &[&payload[..], b"x"].concat());
    let error = error.unwrap_err();
    assert!(error.is_too_large() && !error.is_full());
    // With the longest of reasons it still fits.
    let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
    let batch = sender.next_batch(10, 10).unwrap();
    assert_eq!(batch.records()[0].payload, payload);
    sender.reject(batch, &[0], &[b'r'; 5000]).unwrap();
    let rejected: Vec<_> = place.spool.rejected().unwrap().collect();
    let rejected = rejected.into_iter().next().unwrap().unwrap();
    assert!(rejected.record.payload == payload);
    assert_eq!(rejected.reason, [b'r'; 1024]);
    drop(sender);
    assert_eq!(place.drain().len(), 1);
}

/// Whatever their lengths, and however many of them are written together.
#[test]
fn records_that_come_together_are_appended_as_one_by_one() {
    let lengths = [
        [0, 10, 2_000, 10, 4_100, 9_000].repeat(20),
        vec![60_000, 10, 5_000, 70_000, 10, MAX_PAYLOAD_BYTES, 3],
        vec![10, MAX_PAYLOAD_BYTES + 1, 20, MAX_PAYLOAD_BYTES + 1],
    ]
    .concat();
    let records: Vec<_> = lengths
        .iter()
        .enumerate()
        .map(|(number, length)| (id(number), vec![number as u8; *length]))
        .collect();
    for max_bytes in [64 << 20, 4 << 20] {
        let limits = Limits {
            max_bytes,
            ..Limits::default()
        };
        let (alone, together) = (place(limits), place(limits));
        let mut writer = Writer::new(&alone.spool);
        let of_one: Vec<_> = records
            .iter()
            .map(|(id, payload)| writer.append(id, payload).is_ok())
            .collect();
        drop(writer);
        let mut writer = Writer::new(&together.spool);
        let (mut of_all, mut most) = (Vec::new(), 0);
        while of_all.len() < records.len() {
            let result = writer.append_some(&records[of_all.len()..]);
            let count = result.as_ref().map_or(1, |it| it.0);
            assert!(count > 0);
            most = most.max(count);
            of_all.extend(vec![result.is_ok(); count]);
        }
        drop(writer);
        assert_eq!(of_all, of_one);
        assert_eq!(of_all.iter().filter(|it| !**it).count(), 2);
        assert!(most > 5, "{most}");
        let lengths_of = |place: &TestSpool| -> Vec<_> {
            let paths = place.segments().into_iter();
            paths.map(|it| it.metadata().unwrap().len()).collect()
        };
        assert_eq!(lengths_of(&alone), lengths_of(&together));
        let plain = |place: &TestSpool| -> Vec<_> {
            let all = place.drain().into_iter();
            all.map(|it| (it.id, it.payload)).collect()
        };
        assert!(plain(&alone) == plain(&together));
    }
}

#[test]
fn a_damaged_record_costs_itself() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    let mut ends = Vec::new();
    // What looks like a frame is none, and is not taken for one.
    let payload = |it: usize| format!("\u{f5}ul1 {it} \u{f5}ul1").into_bytes();
    for number in 0..10 {
        writer.append(&id(number), &payload(number)).unwrap();
        let path = &place.segments()[0];
        ends.push(fs::metadata(path).unwrap().len() as usize);
    }
    drop(writer);
    let path = &place.segments()[0];
    let whole = fs::read(path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        let place = self::place(Limits::default());
        let path = place.spool.dir().join(path.file_name().unwrap());
        fs::write(path, &bytes).unwrap();
        let lost = ends.iter().position(|end| at < *end).unwrap();
        let head = ends[0] - (ends[1] - ends[0]);
        let expected: Vec<_> = (0..10)
            .filter(|it| *it != lost || at < head)
            .map(|it| (id(it), payload(it)))
            .collect();
        let found: Vec<_> = place
            .drain()
            .into_iter()
            .map(|it| (it.id, it.payload))
            .collect();
        assert!(found == expected, "byte {at}: {} records", found.len());
        let stats = place.spool.stats().unwrap();
        assert_eq!(stats.sent + stats.damaged, 10, "byte {at}");
        assert!(stats.damaged_bytes > 0 && stats.files == 0);
    }
}

/// The sequence numbers say whether a record is missing.
#[test]
fn what_is_missing_or_added_between_records_is_counted() {
    for (removed, added, damaged) in [(1, 0, 1), (0, 10, 0), (1, 10, 1)] {
        let place = place(Limits::default());
        let mut writer = Writer::new(&place.spool);
        let mut ends = Vec::new();
        for number in 0..4 {
            writer.append(&id(number), b"payload").unwrap();
            let length = fs::metadata(&place.segments()[0]).unwrap().len();
            ends.push(length as usize);
        }
        drop(writer);
        let path = &place.segments()[0];
        let whole = fs::read(path).unwrap();
        let (before, rest) = (&whole[..ends[0]], &whole[ends[removed]..]);
        fs::write(path, [before, &vec![b'x'; added], rest].concat()).unwrap();
        let found = place.drain().into_iter().map(|it| it.id);
        let expected = [0].into_iter().chain(1 + removed..4).map(id);
        assert!(found.eq(expected), "{removed} removed, {added} added");
        let stats = place.spool.stats().unwrap();
        assert_eq!(
            (stats.damaged, stats.damaged_bytes),
            (damaged, added as u64)
        );
    }
}

#[test]
fn a_batch_has_one_result() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    for number in 0..4 {
        writer.append(&id(number), b"payload").unwrap();
    }
    let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
    let batch = sender.next_batch(2, 100).unwrap();
    sender.finish_up_to(&batch, 2, &[], b"", 0).unwrap();
    sender.finish_up_to(&batch, 2, &[0, 1], b"no", 2).unwrap();
    let stats = place.spool.stats().unwrap();
    assert_eq!((stats.sent, stats.rejected, stats.pending), (2, 0, 2));
}

#[test]
fn files_that_are_empty_are_shown() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    writer.append(&id(1), b"payload").unwrap();
    for time in [1, 2] {
        let name = format!("{time:012x}-0123456789abcdef.seg1");
        fs::write(place.spool.dir().join(name), b"").unwrap();
    }
    let stats = place.spool.stats().unwrap();
    assert_eq!((stats.files, stats.empty, stats.pending), (3, 2, 1));
}

#[test]
fn a_frame_in_a_payload_is_not_delivered() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    writer.append(&id(1), b"inner").unwrap();
    let stolen = fs::read(&place.segments()[0]).unwrap();
    drop(writer);
    place.drain();
    // In another segment, whose salt is another one.
    let mut writer = Writer::new(&place.spool);
    writer.append(&id(2), &stolen).unwrap();
    writer.append(&id(3), b"after").unwrap();
    drop(writer);
    let path = &place.segments()[0];
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - stolen.len() - 120;
    bytes[at..at + 40].fill(0);
    fs::write(path, &bytes).unwrap();
    let found: Vec<_> = place.drain().into_iter().map(|it| it.id).collect();
    assert_eq!(found, [id(3)]);
}

#[test]
fn files_of_others_stay() {
    let place = place(Limits {
        max_bytes: 20_000,
        ..Limits::default()
    });
    let notes = place.spool.dir().join("notes.txt");
    let newer = "00000000ffff-0123456789abcdef.seg2";
    let newer = place.spool.dir().join(newer);
    fs::write(&notes, b"notes").unwrap();
    fs::write(&newer, vec![0; 100_000]).unwrap();
    let mut writer = Writer::new(&place.spool);
    for number in 0..100 {
        writer.append(&id(number), &[0; 1000]).unwrap();
    }
    drop(writer);
    let stats = place.spool.stats().unwrap();
    assert!(stats.evicted > 0 && stats.file_bytes <= 20_000, "{stats:?}");
    let drained = place.drain().len() as u64;
    assert_eq!(drained + stats.evicted, 100);
    assert_eq!(fs::read(&notes).unwrap(), b"notes");
    assert_eq!(fs::read(&newer).unwrap().len(), 100_000);
}

#[test]
fn what_stands_in_the_way_is_not_waited_for() {
    let place = place(Limits::default());
    let fifo = place.spool.dir().join("sender.lock");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = Sender::try_lock(&place.spool).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let name = place.spool.dir().join("000000000001-0123456789abcdef.seg1");
    nix::unistd::mkfifo(&name, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::remove_file(&fifo).unwrap();
    let mut writer = Writer::new(&place.spool);
    writer.append(&id(1), b"payload").unwrap();
    let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
    let batch = sender.next_batch(10, 100).unwrap();
    assert_eq!(batch.records().len(), 1);
    sender.accept(batch).unwrap();
    assert!(sender.next_batch(10, 100).is_err());
}

#[test]
fn a_writer_whose_file_is_removed_begins_another() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    writer.append(&id(1), b"payload").unwrap();
    fs::remove_file(&place.segments()[0]).unwrap();
    writer.append(&id(2), b"payload").unwrap();
    drop(writer);
    let found: Vec<_> = place.drain().into_iter().map(|it| it.id).collect();
    assert_eq!(found, [id(2)]);
}

#[test]
fn the_numbers_are_shown() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    for number in 0..10 {
        writer.append(&id(number), b"12345").unwrap();
    }
    let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
    let batch = sender.next_batch(4, 100).unwrap();
    assert_eq!(batch.bytes(), 20);
    sender.reject(batch, &[1, 3, 77], b"bad").unwrap();
    let stats = place.spool.stats().unwrap();
    assert_eq!((stats.pending, stats.pending_bytes), (6, 30));
    assert_eq!((stats.sent, stats.rejected), (2, 2));
    assert_eq!((stats.files, stats.evicted), (1, 0));
    assert!(stats.oldest.unwrap() < Duration::from_secs(600));
    let records: Vec<_> = place
        .spool
        .records()
        .unwrap()
        .map(|it| it.unwrap().id)
        .collect();
    assert_eq!(records, (4..10).map(id).collect::<Vec<_>>());
    let rejected: Vec<_> = place
        .spool
        .rejected()
        .unwrap()
        .map(|it| it.unwrap().record.id)
        .collect();
    assert_eq!(rejected, [id(1), id(3)]);
}

#[test]
fn damaged_counts_begin_anew_and_say_so() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    writer.append(&id(1), b"payload").unwrap();
    assert_eq!(place.drain().len(), 1);
    let path = place.spool.dir().join("sender.counts");
    let mut text = fs::read(&path).unwrap();
    text[20] ^= 1;
    fs::write(&path, text).unwrap();
    // The writer lives, so its segment is still there.
    assert_eq!(place.drain().len(), 1);
    assert_eq!(place.spool.stats().unwrap().counts_lost, 1);
}

#[test]
fn what_cannot_be_read_keeps_nothing_from_being_evicted() {
    let place = place(Limits {
        max_bytes: 20_000,
        max_rejected_bytes: 10_000,
        ..Limits::default()
    });
    for name in [
        "000000000001-0123456789abcdef.seg1",
        "000000000001-0123456789abcdef.rej1",
    ] {
        let path = place.spool.dir().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let mut writer = Writer::new(&place.spool);
    for number in 0..100 {
        writer.append(&id(number), &[0; 1000]).unwrap();
        let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
        if number % 2 == 0 {
            let batch = sender.next_batch(1, 10_000).unwrap();
            sender.reject(batch, &[0], b"no").unwrap();
        }
    }
    let stats = place.spool.stats().unwrap();
    assert_eq!((stats.unreadable, stats.rejected), (1, 50));
    assert!(stats.evicted > 0 && stats.rejected_dropped > 0, "{stats:?}");
    assert_eq!(stats.pending + stats.evicted + stats.rejected, 100);
    let kept = place
        .spool
        .rejected()
        .unwrap()
        .filter(Result::is_ok)
        .count();
    assert_eq!(kept as u64, 50 - stats.rejected_dropped);
}

#[test]
fn a_flush_ends_with_the_records_or_the_receiver() {
    let place = place(Limits::default());
    let mut writer = Writer::new(&place.spool);
    for number in 0..10 {
        writer.append(&id(number), b"12345").unwrap();
    }
    let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
    let mut verdicts = vec![
        Verdict::Retry,
        Verdict::Accepted,
        Verdict::Rejected {
            indices: vec![0],
            reason: b"no".to_vec(),
        },
    ];
    let mut sizes = Vec::new();
    let is_empty = sender.flush(3, 100, |batch| {
        sizes.push(batch.records().len());
        verdicts.pop().unwrap()
    });
    assert!(!is_empty.unwrap());
    assert_eq!(sizes, [3, 3, 3]);
    let stats = place.spool.stats().unwrap();
    assert_eq!((stats.sent, stats.rejected, stats.pending), (5, 1, 4));
    let is_empty = sender.flush(3, 100, |_| Verdict::Accepted);
    assert!(is_empty.unwrap());
    assert_eq!(place.spool.stats().unwrap().pending, 0);
}

/// Somebody cuts off a segment that a writer, a sender and a reader have open;
/// each goes on, and what has gone is counted.
#[test]
fn a_segment_may_be_cut_off_under_everybody() {
    const RECORDS: usize = 300;
    for (kept, is_written_on) in [0, 100, 5_000, 150_000]
        .into_iter()
        .flat_map(|it| [(it, true), (it, false)])
    {
        let place = place(Limits::default());
        let mut writer = Writer::new(&place.spool);
        for number in 0..RECORDS {
            writer.append(&id(number), &[0; 1000]).unwrap();
        }
        let mut sender = Sender::try_lock(&place.spool).unwrap().unwrap();
        let batch = sender.next_batch(10, 1 << 20).unwrap();
        let mut reader = place.spool.records().unwrap();
        assert_eq!(reader.next().unwrap().unwrap().id, id(0));
        let path = &place.segments()[0];
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(kept).unwrap();
        let read = reader.filter(Result::is_ok).count();
        assert!(read < RECORDS);
        sender.accept(batch).unwrap();
        let mut written = RECORDS;
        if is_written_on {
            writer.append(&id(written), &[0; 1000]).unwrap();
            written += 1;
        }
        drop(writer);
        let mut delivered = 10;
        let mut last = None;
        loop {
            let batch = sender.next_batch(50, 1 << 20).unwrap();
            let Some(record) = batch.records().last() else {
                break;
            };
            last = Some(record.id);
            delivered += batch.records().len();
            sender.accept(batch).unwrap();
        }
        drop(sender);
        let rest = place.drain().len();
        let stats = place.spool.stats().unwrap();
        assert_eq!(stats.pending, 0);
        assert_eq!(stats.sent as usize, delivered + rest);
        assert!(delivered + rest < written);
        if is_written_on {
            // What is written afterwards is not lost.
            assert_eq!(last, Some(id(RECORDS)));
        }
        assert!(stats.damaged > 0, "{stats:?}");
    }
}

#[test]
fn a_writer_continues_the_segment_of_one_that_has_gone() {
    let place = place(Limits::default());
    let append = |writer: &mut Writer, number| {
        writer.append(&id(number), b"text").unwrap();
    };
    let mut gone = Writer::new(&place.spool);
    append(&mut gone, 1);
    drop(gone);
    let mut first = Writer::new(&place.spool);
    append(&mut first, 2);
    assert_eq!(place.segments().len(), 1);
    // That of a living one is its own.
    let mut second = Writer::new(&place.spool);
    append(&mut second, 3);
    assert_eq!(place.segments().len(), 2);
    append(&mut first, 4);
    append(&mut second, 5);
    drop((first, second));
    assert_eq!(place.segments().len(), 2);
    let mut ids: Vec<_> = place.drain().iter().map(|it| it.id).collect();
    ids.sort_unstable_by_key(|it| it.as_bytes().to_vec());
    assert_eq!(ids, (1..=5).map(id).collect::<Vec<_>>());
}
