//! A reader that reads while a record is being written.

use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::ledger::open;
use crate::ledger::options;

/// Whatever part of it a reader sees, and for how many reads: what has been
/// acknowledged meanwhile comes, and nothing counts as damaged.
#[test]
fn a_record_that_was_half_written_when_it_was_read_is_not_damaged() {
    let options = options(SyncPolicy::OnRequest, 1 << 20);
    let ids = [1, 2, 3].map(|it| RecordId::new(&[it; 16]).unwrap());
    let mut seen_half = 0;
    for reads in 1..12 {
        for missing in (1..1200).step_by(7) {
            let disk = Disk::new();
            let process = disk.process();
            let spool = open(&process, &options);
            let mut writer = Writer::new(&spool);
            for id in &ids {
                writer.append(id, &[7; 300]).unwrap();
            }
            let (path, data) = disk.files(".seg1").remove(0);
            let visible = data.len().saturating_sub(missing);
            disk.hide(&path, visible, reads);
            let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
            let mut got = Vec::new();
            // The last look is after all has been written.
            for _ in 0..12 {
                let batch = sender.next_batch(10, 1 << 20).unwrap();
                seen_half += usize::from(batch.records().len() < 3);
                got.extend(batch.records().iter().map(|it| it.id));
                sender.accept(batch).unwrap();
            }
            let what = format!("{missing} bytes unseen by {reads} reads");
            assert_eq!(got, ids, "{what}");
            let stats = spool.stats().unwrap();
            assert_eq!((stats.sent, stats.damaged), (3, 0), "{what}");
        }
    }
    assert!(seen_half > 0);
}

/// Whoever sends it, and in however many segments it is; what others have
/// appended, or append to the same segment later, is not waited for.
#[test]
fn a_writer_knows_when_all_that_it_has_appended_is_sent() {
    // A segment has room for a few records only.
    let options = options(SyncPolicy::OnRequest, 1 << 20);
    let id = |it: u8| RecordId::new(&[it; 16]).unwrap();
    let disk = Disk::new();
    let process = disk.process();
    let spool = open(&process, &options);
    let mut writer = Writer::new(&spool);
    assert!(writer.is_sent().unwrap());
    for number in 0..20 {
        writer.append(&id(number), &[7; 9000]).unwrap();
    }
    let mut other = Writer::new(&spool);
    other.append(&id(99), b"another one's").unwrap();
    assert!(disk.files(".seg1").len() > 2, "several segments");
    let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
    let mut own = 0;
    while own < 20 {
        assert!(!writer.is_sent().unwrap(), "{own}");
        let batch = sender.next_batch(1, 1 << 20).unwrap();
        own += u32::from(batch.records()[0].id != id(99));
        // Rejected is known as well as accepted.
        let which = if own % 2 == 0 { &[0][..] } else { &[] };
        sender.reject(batch, which, b"why").unwrap();
    }
    assert!(writer.is_sent().unwrap());
    writer.append(&id(20), &[7; 9000]).unwrap();
    assert!(!writer.is_sent().unwrap());
    writer.close().unwrap();
    while !writer.is_sent().unwrap() {
        let batch = sender.next_batch(1, 1 << 20).unwrap();
        assert_eq!(batch.records().len(), 1);
        sender.accept(batch).unwrap();
    }
}
