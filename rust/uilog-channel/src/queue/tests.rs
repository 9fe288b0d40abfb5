//! Tests of [`super`].

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uilog_event::event::SessionId;

use super::layout::FIRST_FRAME;
use super::layout::OPEN_AT;
use super::layout::PAGE_BYTES;
use super::layout::RELEASE_STEP;
use super::layout::WRITER_AT;
use super::layout::begin_frame;
use super::layout::end_frame;
use super::layout::write_words;
use super::making::Creator;
use super::making::page_apart;
use super::page::Page;
use super::page::is_apart;
use super::progress::OpenCommand;
use super::progress::Progress;
use super::reader::BegunCommand;
use super::reader::Reader;
use super::reader::Reference;
use super::writer::Writer;
use super::writer::copy;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    let begin = begin_frame(&mut buffer).unwrap();
    buffer.extend_from_slice(payload);
    end_frame(&mut buffer, begin).unwrap();
    buffer
}

fn pair(max_bytes: u64) -> (Writer, Reader) {
    let writer = Writer::create(max_bytes).unwrap();
    let fd = OwnedFd::from(writer.page().try_clone().unwrap());
    (writer, Reader::open(fd).unwrap())
}

/// Moves both readers' positions.
fn move_to(reader: &mut Reader, position: u64) {
    reader.progress_mut().scripts_at = position;
    reader.progress_mut().records_at = position;
    reader.pass();
    reader.release();
}

#[test]
fn a_second_reader_goes_on_where_the_first_stopped() {
    let (mut writer, mut reader) = pair(1 << 20);
    for payload in [&b"one"[..], b"two", b"three"] {
        writer.append(&framed(payload), 1).unwrap();
    }
    let (first, next) = reader.frame(reader.low()).unwrap().unwrap();
    assert_eq!(first, b"one");
    move_to(&mut reader, next);
    reader.publish().unwrap();
    drop(reader);
    let fd = OwnedFd::from(writer.page().try_clone().unwrap());
    let mut second = Reader::open(fd).unwrap();
    let (frame, _) = second.frame(second.low()).unwrap().unwrap();
    assert_eq!(frame, b"two");
    assert_eq!(second.committed().unwrap().jobs, 3);
}

#[test]
fn a_frame_that_was_not_committed_is_not_there() {
    let (mut writer, mut reader) = pair(1 << 20);
    let position = writer.append(&framed(b"whole"), 1).unwrap();
    let torn = framed(b"torn");
    writer.page().write_all_at(&torn, position + 9).unwrap();
    let (_, next) = reader.frame(position).unwrap().unwrap();
    assert_eq!(reader.frame(next).unwrap(), None);
}

#[test]
fn memory_is_bounded_and_given_back() {
    let limit = 1 << 20;
    let (mut writer, mut reader) = pair(limit);
    let pinned = writer.append(&framed(b"pinned"), 0).unwrap();
    let (_, mut at) = reader.frame(pinned).unwrap().unwrap();
    reader.refer(Reference::Environment, pinned, at);
    let payload = framed(&[7; 10_000]);
    let mut appended = 0;
    let error = loop {
        match writer.append(&payload, 1) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(appended >= 90, "{appended}");
    for _ in 0..20 * appended {
        while let Some((_, next)) = reader.frame(at).unwrap() {
            at = next;
            move_to(&mut reader, at);
        }
        writer.append(&payload, 1).unwrap();
        assert!(writer.bytes().unwrap() <= limit + 4096);
    }
    assert_eq!(reader.frame_at(pinned).unwrap(), b"pinned");
    // A later reader keeps it as well.
    reader.publish().unwrap();
    let fd = OwnedFd::from(writer.page().try_clone().unwrap());
    let mut second = Reader::open(fd).unwrap();
    while let Some((_, next)) = second.frame(at).unwrap() {
        at = next;
    }
    move_to(&mut second, at);
    assert_eq!(second.frame_at(pinned).unwrap(), b"pinned");
    // Until there is a newer one.
    let newer = writer.append(&framed(&[8; 10_000]), 0).unwrap();
    let (_, next) = second.frame(newer).unwrap().unwrap();
    second.refer(Reference::Environment, newer, next);
    move_to(&mut second, next);
    assert!(second.frame_at(pinned).is_err());
    assert_eq!(second.frame_at(newer).unwrap().len(), 10_000);
}

#[test]
fn a_frame_that_is_longer_than_the_queue_may_be_is_refused() {
    let (mut writer, mut reader) = pair(1 << 20);
    let end = writer.committed().end;
    let error = writer.append(&framed(&[7; 1 << 21]), 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(writer.committed().end, end);
    let long = vec![8; 300_000];
    for payload in [&long[..], b"short"] {
        let at = writer.append(&framed(payload), 1).unwrap();
        assert_eq!(reader.frame(at).unwrap().unwrap().0, payload);
    }
}

#[test]
fn a_page_says_whether_its_frames_are_in_another_file() {
    let (writer, _) = pair(1 << 20);
    assert!(!is_apart(writer.page()));
    let page = tempfile::tempfile().unwrap();
    assert!(!is_apart(&page));
    let creator = Creator {
        pid: 1,
        micros: 2,
        session: SessionId(3),
        program: Path::new("/bin/uilog"),
        path: Path::new("/run/page"),
    };
    let text = page_apart(1 << 20, &creator);
    page.write_all_at(&text, 0).unwrap();
    assert!(is_apart(&page));
    let read = Page::read(&page).unwrap();
    assert_eq!((read.maker_pid, read.maker_micros), (1, 2));
    assert_eq!((read.session, read.is_claimed), (SessionId(3), false));
    assert_eq!(read.program, "/bin/uilog");
    assert_eq!(read.path, Path::new("/run/page"));
    page.write_all_at(b"x", 0).unwrap();
    assert!(!is_apart(&page), "it is no page");
}

#[test]
fn a_writer_takes_what_it_is_allowed() {
    let (mut writer, mut reader) = pair(16 << 20);
    writer.allow(16 * 1024);
    let payload = framed(&[7; 10_000]);
    writer.append(&payload, 1).unwrap();
    let refused = writer.append(&payload, 1).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
    assert_eq!(writer.committed().jobs, 1);
    let mut asked = 0;
    let mut append = |writer: &mut Writer| {
        if let Err(error) = writer.append(&payload, 1) {
            assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
            writer.allow(writer.missing());
            writer.append(&payload, 1).unwrap();
            asked += 1;
        }
        asked
    };
    let grown: Vec<_> = (0..100).map(|_| append(&mut writer)).collect();
    assert!(grown[99] > 10 && grown[99] < 20, "{grown:?}");
    // As long as somebody reads, nothing is to be allowed any more.
    let mut at = reader.low();
    let mut asked = Vec::new();
    for _ in 0..100 {
        while let Some((_, next)) = reader.frame(at).unwrap() {
            at = next;
        }
        move_to(&mut reader, at);
        asked.push(append(&mut writer));
    }
    assert!(asked[99] < grown[99] + 5, "{asked:?}");
    assert!(writer.bytes().unwrap() < 600 * 1024);
    // What was given back has to be allowed again.
    for _ in 0..200 {
        append(&mut writer);
    }
    assert!(append(&mut writer) > asked[99] + 5);
}

#[test]
fn a_copy_of_a_queue_goes_on_where_it_was() {
    let (mut writer, mut reader) = pair(16 << 20);
    let environment = writer.append(&framed(b"A=b"), 0).unwrap();
    let (_, next) = reader.frame(environment).unwrap().unwrap();
    reader.refer(Reference::Environment, environment, next);
    for _ in 0..100 {
        writer.append(&framed(&[1; 10_000]), 1).unwrap();
    }
    let mut at = reader.low();
    for _ in 0..90 {
        (_, at) = reader.frame(at).unwrap().unwrap();
    }
    move_to(&mut reader, at);
    reader.publish().unwrap();
    let file = tempfile::tempfile().unwrap();
    copy(writer.page(), &file).unwrap();
    let mut copied = writer.go_on_in(file);
    assert!(copied.bytes().unwrap() <= writer.bytes().unwrap() + 8192);
    copied.append(&framed(b"more"), 1).unwrap();
    let fd = OwnedFd::from(copied.page().try_clone().unwrap());
    let mut second = Reader::open(fd).unwrap();
    assert_eq!(second.low(), at);
    assert_eq!(second.frame_at(environment).unwrap(), b"A=b");
    let mut last = Vec::new();
    let mut count = 0;
    while let Some((frame, next)) = second.frame(at).unwrap() {
        (last, at) = (frame, next);
        count += 1;
    }
    assert_eq!((last, count), (b"more".to_vec(), 12));
}

#[test]
fn what_the_slower_one_refers_to_stays() {
    let (mut writer, mut reader) = pair(100 << 20);
    let environments = [[1; 5000], [2; 5000], [3; 5000]];
    let filler = framed(&[0; 400_000]);
    let mut at = Vec::new();
    for environment in &environments {
        let begin = writer.append(&framed(environment), 0).unwrap();
        let (_, end) = reader.frame(begin).unwrap().unwrap();
        reader.refer(Reference::Environment, begin, end);
        writer.append(&filler, 1).unwrap();
        at.push((begin, end));
    }
    let committed = writer.committed().end;
    let bytes = writer.bytes().unwrap();
    // Scripts stand still behind the first, records run to the end.
    reader.progress_mut().scripts_at = at[0].1;
    reader.progress_mut().records_at = committed;
    reader.pass();
    reader.release();
    for ((begin, _), environment) in at.iter().zip(&environments) {
        assert_eq!(reader.frame_at(*begin).unwrap(), environment);
    }
    assert_eq!(writer.bytes().unwrap(), bytes);
    // And now the other way round, two of them further on.
    reader.progress_mut().scripts_at = committed;
    reader.progress_mut().records_at = at[2].1;
    reader.pass();
    reader.release();
    assert_eq!(reader.frame_at(at[2].0).unwrap(), environments[2]);
    assert!(reader.frame_at(at[0].0).is_err());
    assert!(writer.bytes().unwrap() < bytes - 700_000);
    assert_eq!(reader.progress().environment_at, at[2].0);
}

#[test]
fn the_page_names_the_innermost_command_that_runs() {
    let (mut writer, reader) = pair(1 << 20);
    let open = || reader.open_command().unwrap();
    assert_eq!(open(), None);
    let begin = |writer: &mut Writer, id: u64| {
        let at = writer.committed().end;
        writer.append_beginning(&framed(b"\x04\0"), at, id).unwrap();
        at
    };
    let ats = [1, 2, 3].map(|id| begin(&mut writer, id));
    let named = |depth: u16| {
        let at = ats[usize::from(depth) - 1];
        Some(OpenCommand { at, depth })
    };
    assert_eq!(open(), named(3));
    assert_eq!(reader.committed().unwrap().jobs, 0);
    assert_eq!(Page::read(reader.page_file()).unwrap().lost(), 3);
    assert!(reader.written_at().unwrap() > 0);
    // It ends with the record that says so, and only if that is there.
    writer.set_max_bytes(1);
    writer.append_ending(&framed(b"end"), 1, 3).unwrap_err();
    assert_eq!(open(), named(3));
    writer.set_max_bytes(1 << 20);
    writer.append_ending(&framed(b"end"), 1, 3).unwrap();
    assert_eq!(open(), named(2));
    // One around it has ended before it.
    let has_ended = || reader.frame_at(ats[0]).unwrap() == [4, 1];
    assert!(!has_ended());
    writer.end(1).unwrap();
    assert!(has_ended());
    assert_eq!(open(), named(2));
    writer.hide_open(true).unwrap();
    writer.append(&framed(b"meanwhile"), 1).unwrap();
    assert_eq!(open(), None);
    writer.hide_open(false).unwrap();
    assert_eq!(open(), named(2));
    writer.end(7).unwrap();
    writer.end_all().unwrap();
    assert_eq!(open(), None);
}

#[test]
fn what_tells_of_a_running_command_is_kept_as_long_as_that() {
    let (mut writer, mut reader) = pair(100 << 20);
    let environment = writer.append(&framed(&[1; 5000]), 0).unwrap();
    let at = writer.committed().end;
    writer.append_beginning(&framed(&[2; 5000]), at, 1).unwrap();
    let begun = BegunCommand {
        at,
        outer: 0,
        refers_to: [environment; 2],
    };
    reader.keep_open_command(begun);
    let filler = framed(&[0; 400_000]);
    let read_all = |writer: &mut Writer, reader: &mut Reader| {
        writer.append(&filler, 1).unwrap();
        move_to(reader, writer.committed().end);
    };
    read_all(&mut writer, &mut reader);
    assert_eq!(reader.frame_at(at).unwrap(), [2; 5000]);
    // One within it that has not been looked at changes nothing.
    let inner = writer.committed().end;
    writer
        .append_beginning(&framed(&[3; 50]), inner, 2)
        .unwrap();
    read_all(&mut writer, &mut reader);
    assert_eq!(reader.frame_at(at).unwrap(), [2; 5000]);
    assert_eq!(reader.frame_at(environment).unwrap(), [1; 5000]);
    writer.end(2).unwrap();
    writer.end(1).unwrap();
    read_all(&mut writer, &mut reader);
    assert!(reader.frame_at(at).is_err());
    assert!(reader.frame_at(environment).is_err());
    assert!(writer.bytes().unwrap() <= 3 * PAGE_BYTES);
}

#[test]
fn whoever_reads_ends_the_commands_of_a_dead_writer() {
    let (mut writer, mut reader) = pair(1 << 20);
    let [outer, at] = [1, 2].map(|id| {
        let at = writer.committed().end;
        writer.append_beginning(&framed(b"\x04\0"), at, id).unwrap();
        at
    });
    drop(writer);
    let open = reader.open_command().unwrap();
    assert_eq!(open, Some(OpenCommand { at, depth: 2 }));
    let end = reader.committed().unwrap().end;
    let outer = OpenCommand {
        at: outer,
        depth: 1,
    };
    reader
        .append_for_dead(&framed(b"lost"), 1, outer.word())
        .unwrap();
    let (frame, _) = reader.frame(end).unwrap().unwrap();
    assert_eq!(frame, b"lost");
    assert_eq!(reader.committed().unwrap().jobs, 1);
    assert_eq!(reader.open_command().unwrap(), Some(outer));
    reader.append_for_dead(&[], 0, 0).unwrap();
    assert_eq!(reader.open_command().unwrap(), None);
}

#[test]
fn nothing_is_appended_at_a_damaged_end() {
    let (mut writer, mut reader) = pair(1 << 20);
    let at = writer.append(&framed(b"one"), 1).unwrap();
    let (_, next) = reader.frame(at).unwrap().unwrap();
    move_to(&mut reader, next);
    let file = writer.page().try_clone().unwrap();
    write_words(&file, OPEN_AT, [1 << 48 | at]).unwrap();
    let length = file.metadata().unwrap().len();
    let beyond = [length + 1, 1 << 40, i64::MAX as u64, u64::MAX - 3, u64::MAX];
    let before = [0, 1, WRITER_AT, FIRST_FRAME - 1, FIRST_FRAME];
    for end in beyond.into_iter().chain(before) {
        write_words(&file, WRITER_AT, [end]).unwrap();
        let content = || {
            let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        let untouched = content();
        let error = reader.append_for_dead(&framed(b"lost"), 1, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{end}");
        assert!(content() == untouched, "{end}");
    }
    // The page can be told nevertheless that no command runs.
    reader.append_for_dead(&[], 0, 0).unwrap();
    assert_eq!(reader.open_command().unwrap(), None);
}

#[test]
fn events_of_a_dead_writer_take_no_more_memory_than_its_frames() {
    let (mut writer, mut reader) = pair(1 << 20);
    let frame = framed(&[7; 300_000]);
    writer.append(&frame, 1).unwrap();
    let before = reader.bytes().unwrap();
    reader.append_for_dead(&frame, 1, 0).unwrap();
    let error = reader.append_for_dead(&frame, 1, 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(reader.bytes().unwrap() <= 2 * before + RELEASE_STEP);
    assert_eq!(reader.committed().unwrap().jobs, 2);
}

#[test]
fn a_writer_of_another_protocol_finds_that_it_was_refused() {
    let refused = Progress {
        refused_by: 5,
        ..Progress::default()
    };
    assert_eq!(refused.to_words()[7], 5);
}

#[test]
fn a_reader_knows_when_there_is_hardly_any_room() {
    let (mut writer, mut reader) = pair(1 << 20);
    let begin = writer.committed().end;
    let mut second = 0;
    for number in 0..95 {
        let at = writer.append(&framed(&[7; 10_000]), 1).unwrap();
        if number == 40 {
            second = at;
        }
    }
    reader.frame(begin).unwrap();
    assert!(reader.is_nearly_full_from(begin));
    assert!(!reader.is_nearly_full_from(second));
    writer.set_max_bytes(2 << 20);
    writer.append(&framed(b"more"), 1).unwrap();
    assert!(!reader.is_nearly_full_from(begin));
}

#[test]
fn the_writer_sees_what_the_reader_says() {
    let (writer, mut reader) = pair(1 << 20);
    assert_eq!(writer.last_failure().unwrap(), None);
    reader.progress_mut().failed = 3;
    reader.reported().unwrap().add(5);
    reader.publish().unwrap();
    assert_eq!(writer.progress().unwrap().told, 5);
    reader.publish_failure("exit status 127").unwrap();
    reader.publish_failure("gone").unwrap();
    assert_eq!(writer.progress().unwrap().failed, 3);
    assert_eq!(writer.last_failure().unwrap().as_deref(), Some("gone"));
}
