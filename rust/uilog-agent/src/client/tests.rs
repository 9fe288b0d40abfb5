//! A queue that is read, damaged and read again.

use std::borrow::Cow;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Writer;
use uilog_channel::queue::begin_frame;
use uilog_channel::queue::end_frame;
use uilog_channel::queue::lay_out_for_records;
use uilog_channel::wire::RecordFrame;
use uilog_event::event::Event;
use uilog_event::event::Text;

use super::*;

const NAME: &str = "records-0-0a";
const MAX_BYTES: u64 = 1 << 20;

fn framed(bytes: &mut Vec<u8>, frame: &Frame<'_>) {
    let begin = begin_frame(bytes).unwrap();
    bytes.extend_from_slice(&postcard::to_stdvec(frame).unwrap());
    end_frame(bytes, begin).unwrap();
}

/// A queue of so many records, and its file.
fn queue(records: u64) -> (tempfile::TempDir, Writer, File) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let file = options.open(dir.path().join(NAME)).unwrap();
    let origin = Origin::default();
    lay_out_for_records(&file, MAX_BYTES, &origin).unwrap();
    let mut writer = Writer::over(file.try_clone().unwrap(), MAX_BYTES);
    let mut bytes = Vec::new();
    let at = writer.committed().end;
    framed(
        &mut bytes,
        &Frame::Environment(Text(Cow::Borrowed(b"A=b\0"))),
    );
    let items_at = at + bytes.len() as u64;
    framed(&mut bytes, &Frame::Items(Vec::new()));
    for seq in 0..records {
        let record = RecordFrame {
            environment_at: at,
            items_at,
            ..RecordFrame::bare(Event {
                seq,
                ..Event::bare(b"foo")
            })
        };
        framed(&mut bytes, &Frame::Record(record));
    }
    writer.append(&bytes, records).unwrap();
    (dir, writer, file)
}

fn client(dir: &tempfile::TempDir) -> io::Result<Client> {
    client_of(dir, File::options().read(true).write(true))
}

fn client_of(
    dir: &tempfile::TempDir,
    options: &std::fs::OpenOptions,
) -> io::Result<Client> {
    let file = options.open(dir.path().join(NAME))?;
    let queue = Reader::open(OwnedFd::from(file))?;
    let own = Arc::new(OwnDir::beside_users_file(dir.path())?);
    Client::new(0, own, NAME.into(), queue, WriterTrust::Proven)
}

/// Looks at all there is; how many records, and how many are unreadable.
fn look_at_all(client: &mut Client) -> (u64, u64) {
    let (mut records, mut unreadable) = (0, 0);
    for _ in 0..100_000 {
        match client.read_next(64) {
            NextFrame::Nothing => return (records, unreadable),
            NextFrame::Record(_, next) => {
                let number = client.assign_number(next);
                client.record(number);
                client.done(number);
                records += 1;
            }
            NextFrame::Unreadable(count) => {
                client.count_lost(count);
                unreadable += count;
            }
            NextFrame::Later => {}
        }
    }
    panic!("it never ends");
}

#[test]
fn records_that_are_needed_stay_whatever_comes_after_them() {
    let (dir, writer, _) = queue(3);
    let mut client = client(&dir).unwrap();
    let mut numbers = Vec::new();
    while let NextFrame::Record(_, next) = client.read_next(64) {
        numbers.push(client.assign_number(next));
    }
    client.publish();
    let before = writer.progress().unwrap();
    assert_eq!((before.records, before.taken), (0, 3));
    client.done(numbers[1]);
    client.publish();
    let same = writer.progress().unwrap();
    assert_eq!((same.records, same.records_at), (0, before.records_at));
    client.done(numbers[0]);
    client.publish();
    let after = writer.progress().unwrap();
    assert_eq!(after.records, 2);
    assert!(after.records_at > before.records_at);
    assert!(!client.is_drained());
    client.done(numbers[2]);
    client.publish();
    let end = writer.progress().unwrap();
    assert_eq!((end.records, end.records_at), (3, client.end()));
    assert!(client.is_drained() && client.is_at_end());
}

#[test]
fn what_a_killed_reader_had_in_hand_is_told_once() {
    let (dir, writer, _) = queue(2);
    let mut first = client(&dir).unwrap();
    look_at_all(&mut first);
    first.count_lost(1);
    first.set_at_risk(2);
    first.publish();
    assert_eq!(writer.progress().unwrap().unreported(), 3);
    drop(first);
    let mut second = client(&dir).unwrap();
    assert_eq!(second.left.as_ref().unwrap().records, 3);
    second.publish();
    let progress = writer.progress().unwrap();
    assert_eq!((progress.records_lost, progress.at_risk), (3, 0));
    // It is killed before it has told anybody.
    drop(second);
    assert_eq!(client(&dir).unwrap().left.unwrap().records, 3);
}

#[test]
fn a_page_that_cannot_be_written_is_no_end() {
    let (dir, writer, _) = queue(3);
    let mut client = client_of(&dir, File::options().read(true)).unwrap();
    assert_eq!(look_at_all(&mut client), (3, 0));
    client.publish();
    client.publish();
    assert_eq!(client.published, None);
    assert!(client.is_drained() && client.is_at_end());
    assert_eq!(writer.progress().unwrap().records, 0);
}

#[test]
fn behind_a_damaged_record_the_others_are_read() {
    let (dir, mut writer, file) = queue(0);
    let mut client = client(&dir).unwrap();
    assert_eq!(look_at_all(&mut client), (0, 0));
    let mut bytes = Vec::new();
    let begin = begin_frame(&mut bytes).unwrap();
    bytes.extend_from_slice(b"\xff\xff\xff");
    end_frame(&mut bytes, begin).unwrap();
    writer.append(&bytes, 1).unwrap();
    assert_eq!(look_at_all(&mut client), (0, 1));
    // A length that is invalid spoils all up to the end.
    let at = writer.append(&bytes, 1).unwrap();
    writer.append(&bytes, 1).unwrap();
    file.write_all_at(&[0xff; 4], at).unwrap();
    let (_, unreadable) = look_at_all(&mut client);
    assert!(unreadable >= 1);
    assert!(client.is_at_end());
    writer.append(&bytes, 1).unwrap();
    assert_eq!(look_at_all(&mut client), (0, 1));
}

#[test]
fn an_end_outside_of_the_file_is_told_and_read_no_further() {
    let (dir, _, file) = queue(2);
    let mut client = client(&dir).unwrap();
    file.write_all_at(&(1_u64 << 62).to_le_bytes(), 64).unwrap();
    let (records, unreadable) = look_at_all(&mut client);
    assert_eq!((records, unreadable), (2, 1));
    assert!(client.is_at_end());
    super::tests::client(&dir).expect_err("its end makes no sense");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is written over a queue, nobody panics or hangs.
    #[test]
    fn damage_ends_nobody(
        patches in prop::collection::vec(
            (0_u64..6000, prop::collection::vec(any::<u8>(), 1..64)),
            1..6,
        ),
        words in prop::collection::vec(
            (0_u64..23, prop::sample::select(vec![
                0, 1, 4095, 4096, 4097, 1 << 31, 1 << 62, u64::MAX - 1,
                u64::MAX,
            ])),
            0..4,
        ),
        is_late in any::<bool>(),
    ) {
        let (dir, _, file) = queue(20);
        let before = is_late.then(|| client(&dir).unwrap());
        for (at, bytes) in patches {
            // The magic stays: without it there is no queue.
            file.write_all_at(&bytes, at + 8).unwrap();
        }
        for (word, value) in words {
            // The reader's words, and the writer's three.
            let at = match word {
                20.. => 64 + (word - 20) * 8,
                word => 512 + word * 8,
            };
            file.write_all_at(&value.to_le_bytes(), at).unwrap();
        }
        let client = before.map_or_else(|| client(&dir), Ok);
        if let Ok(mut client) = client {
            look_at_all(&mut client);
            client.publish();
            prop_assert!(client.is_drained());
        }
    }
}
