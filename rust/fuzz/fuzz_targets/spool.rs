//! A segment may hold any bytes: nothing panics, every byte is either a
//! record's or counted as damaged, and nothing is delivered that was not
//! appended.
//!
//! The input changes a segment that the spool has written: its first byte
//! tells how many records that has, the others are commands of four bytes,
//! each of which changes a place. An input that begins with 255 is the
//! segment.
#![no_main]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

const NAME: &str = "000000000001-0123456789abcdef.seg1";

fn segment(dir: &Path) -> Option<PathBuf> {
    fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "seg1"))
}

fn payload(number: usize) -> Vec<u8> {
    vec![number as u8; number * 37 % 300]
}

fn id(number: usize) -> RecordId {
    RecordId::new(format!("{number:016}").as_bytes()).expect("16 bytes")
}

fn change(bytes: &mut Vec<u8>, command: [u8; 4]) {
    let [kind, low, high, value] = command;
    if bytes.is_empty() {
        return;
    }
    let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
    let end = (at + usize::from(value)).min(bytes.len());
    match kind % 5 {
        0 => bytes[at] ^= value,
        1 => bytes[at..end].fill(0),
        2 => drop(bytes.drain(at..end)),
        3 => drop(bytes.splice(at..at, vec![value; 5])),
        _ => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [first, rest @ ..] = data else {
        return;
    };
    let directory = uilog_fuzz::directory();
    let dir = directory.path().join("spool");
    let options = Options {
        sync: SyncPolicy::OnRequest,
        ..Options::default()
    };
    let spool = Spool::open(&dir, options).expect("a spool");
    let count = usize::from(first % 16);
    if *first == 255 {
        fs::write(dir.join(NAME), rest).expect("a segment");
    } else {
        let mut writer = Writer::new(&spool);
        for number in 0..count {
            writer.append(&id(number), &payload(number)).expect("room");
        }
        drop(writer);
        if let Some(path) = segment(&dir) {
            let mut bytes = fs::read(&path).expect("a segment");
            for command in rest.as_chunks().0 {
                change(&mut bytes, *command);
            }
            fs::write(&path, bytes).expect("a segment");
        }
    }
    let length = segment(&dir)
        .map_or(0, |path| fs::metadata(path).expect("a segment").len());

    let exported = spool.records().expect("records").count();
    let mut sender = Sender::try_lock(&spool).expect("a lock").expect("alone");
    let mut delivered = 0;
    let mut bytes = 0;
    loop {
        let batch = sender.next_batch(3, 400).expect("a batch");
        if batch.is_empty() {
            break;
        }
        for record in batch.records() {
            let known = (0..count).find(|it| id(*it) == record.id);
            let number = known.expect("it was appended");
            assert_eq!(record.payload, payload(number));
            bytes += 28 + 16 + record.payload.len() as u64;
        }
        delivered += batch.records().len();
        sender.accept(batch).expect("it is written down");
    }
    assert!(exported <= delivered);
    let stats = spool.stats().expect("numbers");
    assert_eq!((stats.pending, stats.files), (0, 0));
    assert_eq!(stats.sent, delivered as u64);
    // But for heads, which are neither.
    let counted = bytes + stats.damaged_bytes;
    assert!(counted <= length);
    assert_eq!((length - counted) % 64, 0);
});
