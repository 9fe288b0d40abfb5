//! A queue's file may hold any bytes: nothing panics, every frame lies behind
//! the one before it and within what is committed, a frame can be read again by
//! its position, and the events of commands that were killed are appended within
//! a bound, after which the page refers to no command.
//!
//! The input changes a queue that hg's side has written: its first byte tells
//! how many frames that has, the others are commands of four bytes, each of
//! which changes a place. An input that begins with 255 is the file.
#![no_main]

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;

use libfuzzer_sys::fuzz_target;
use uilog_channel::commandlost;
use uilog_channel::commandlost::Death;
use uilog_channel::phase::Phase;
use uilog_channel::queue;
use uilog_channel::queue::Page;
use uilog_channel::queue::Reader;
use uilog_channel::queue::Writer;
use uilog_channel::wire::Frame;
use uilog_channel::wire::Open;
use uilog_channel::wire::RecordFrame;
use uilog_event::event::Event;
use uilog_event::event::Text;

const MAX_BYTES: u64 = 1 << 20;
const MAX_FRAMES: usize = 4096;
/// What the events of killed commands may take besides a copy of the queue.
const MAX_ADDED_BYTES: u64 = 512 << 10;

fn frame(number: usize, outer: u64) -> Vec<u8> {
    let text = |bytes| Text(Cow::Borrowed(bytes));
    let record = RecordFrame::bare(Event::bare(b"command"));
    let frame = match number % 4 {
        0 => Frame::Environment(text(b"HOME=/home/alice\0PATH=/bin\0")),
        1 => Frame::Items(vec![(text(b"sink.x"), text(b"file:/x"))]),
        2 => Frame::Record(record),
        _ => Frame::Open(Open {
            has_ended: false,
            outer,
            began: 1,
            record,
        }),
    };
    let mut buffer = Vec::new();
    let begin = queue::begin_frame(&mut buffer).expect("memory");
    postcard::to_io(&frame, &mut buffer).expect("memory");
    queue::end_frame(&mut buffer, begin).expect("a short frame");
    buffer
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
        2 => bytes[at..end].fill(0xff),
        3 => bytes.truncate(at),
        _ => bytes[at] = value,
    }
}

fn read(file: File) {
    if let Ok(page) = Page::read(&file) {
        assert!(page.lost() >= page.pending());
    }
    let Ok(mut reader) = Reader::open(file.into()) else {
        return;
    };
    let _ = (reader.open_command(), reader.origin(), reader.awaited());
    let _ = reader.last_failure();
    if let Ok(phase) = reader.phase()
        && let Some(phase) = Phase::parse(&phase)
    {
        assert_eq!(Phase::parse(&phase.to_bytes()), Some(phase));
    }
    let mut position = reader.low();
    for _ in 0..MAX_FRAMES {
        let Ok(Some((bytes, next))) = reader.frame(position) else {
            break;
        };
        assert!(position < next);
        assert!(next <= reader.committed().expect("a page").end);
        assert_eq!(reader.frame_at(position).expect("the same"), bytes);
        let _ = Open::parse(&bytes);
        if let Ok(Frame::Record(record)) = postcard::from_bytes(&bytes) {
            for at in [record.environment_at, record.items_at] {
                let _ = reader.frame_at(at);
            }
        }
        position = next;
    }
    let length =
        |reader: &Reader| reader.page_file().metadata().expect("a file").len();
    let before = length(&reader);
    let death = Death {
        signal: Some(9),
        noticed_at: None,
    };
    let _ = commandlost::conclude(&mut reader, &death);
    assert_eq!(reader.open_command().expect("a page"), None);
    assert!(length(&reader) <= 2 * before + MAX_ADDED_BYTES);
}

fuzz_target!(|data: &[u8]| {
    let [first, rest @ ..] = data else {
        return;
    };
    let mut file = queue::anonymous_file().expect("a file");
    if *first == 255 {
        file.write_all(rest).expect("room");
    } else {
        let page = file.try_clone().expect("a descriptor");
        let mut writer = Writer::lay_out(page, MAX_BYTES).expect("a queue");
        for number in 0..usize::from(first % 16) {
            let frame = frame(number, writer.open_word());
            let at = writer.committed().end;
            let appended = match number % 4 {
                3 => writer.append_beginning(&frame, at, number as u64),
                _ => writer.append(&frame, 1).map(drop),
            };
            appended.expect("room");
        }
        let mut bytes = Vec::new();
        file.rewind().expect("a file");
        file.read_to_end(&mut bytes).expect("a file");
        for command in rest.as_chunks().0 {
            change(&mut bytes, *command);
        }
        file = queue::anonymous_file().expect("a file");
        file.write_all(&bytes).expect("room");
    }
    read(file);
});
