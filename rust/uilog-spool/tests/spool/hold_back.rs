//! Records that this program cannot send: they wait, and delay only those after
//! them in their file.

use uilog_spool::CHANNELS;
use uilog_spool::HoldBack;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::disk::Process;
use crate::ledger::open;
use crate::ledger::options;

fn id(number: u8) -> RecordId {
    RecordId::new(&[number; 16]).unwrap()
}

fn drain(spool: &Spool<Process>) -> Vec<RecordId> {
    let mut sender = Sender::try_lock(spool).unwrap().unwrap();
    let mut sent = Vec::new();
    loop {
        let batch = sender.next_batch(2, 1000).unwrap();
        if batch.is_empty() {
            return sent;
        }
        sent.extend(batch.records().iter().map(|it| it.id));
        sender.accept(batch).unwrap();
    }
}

#[test]
fn what_another_program_can_send_waits_for_it() {
    let disk = Disk::new();
    let newer = options(SyncPolicy::Each, 100_000);
    let older = Options {
        hold_back: HoldBack(|payload| payload.starts_with(b"new")),
        ..newer.clone()
    };
    let of_newer = open(&disk.process(), &newer);
    let of_older = open(&disk.process(), &older);
    let mut writer = Writer::new(&of_newer);
    writer.append(&id(1), b"old").unwrap();
    writer.append(&id(2), b"new").unwrap();
    writer.append(&id(3), b"old").unwrap();
    drop(writer);
    // It does not go on in the file where what it appends would have to wait.
    Writer::new(&of_older).append(&id(4), b"old").unwrap();
    assert!(of_older.has_pending([true; CHANNELS]).unwrap());
    assert_eq!(drain(&of_older), [id(1), id(4)]);
    assert!(!of_older.has_pending([true; CHANNELS]).unwrap());
    assert_eq!(drain(&of_older), []);
    let stats = of_older.stats().unwrap();
    assert_eq!((stats.pending, stats.held_back), (2, 2));
    assert_eq!((stats.sent, stats.rejected), (2, 0));
    Writer::new(&of_older).append(&id(5), b"old").unwrap();
    assert_eq!(drain(&of_older), [id(5)]);
    assert!(of_newer.has_pending([true; CHANNELS]).unwrap());
    assert_eq!(drain(&of_newer), [id(2), id(3)]);
    assert_eq!(of_newer.stats().unwrap().pending, 0);
}
