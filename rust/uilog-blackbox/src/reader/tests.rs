//! Tests of the reader, with files that the tests write.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use super::super::line;
use super::super::query::Verdict;
use super::super::query::tests::queries;
use super::Entry;
use super::Options;
use super::Reader;
use super::TRUNCATED;
use super::search::search;
use crate::dates::DateFormat;
use crate::event;
use crate::files::LogFile;
use crate::query::Filters;
use crate::query::Query;
use crate::scan;
use crate::scan::EventPosition;
use crate::scan::LeadingLines;

const NULL: &str = "0000000000000000000000000000000000000000";

fn line_of(minute: u32, user: &str, pid: u32, message: &str) -> String {
    let date = format!("2026-11-02 12:{minute:02}:00.000");
    format!("{date} {user} @{NULL} ({pid})> {message}\n")
}

fn log_in(dir: &TempDir) -> PathBuf {
    dir.path().join("blackbox.log")
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_ref()).unwrap();
}

fn rotate(path: &Path) {
    let name = |number| path.with_extension(format!("log.{number}"));
    let _ = fs::rename(name(1), name(2));
    fs::rename(path, name(1)).unwrap();
}

fn rest_of(reader: &mut Reader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(text) = reader.next_text().unwrap() {
        all.extend_from_slice(&text);
    }
    all
}

fn text_of(path: &Path, options: Options) -> Vec<u8> {
    rest_of(&mut Reader::open(path, options).unwrap())
}

fn last(limit: usize) -> Options {
    Options {
        limit,
        ..Options::default()
    }
}

fn entries_of(path: &Path, options: Options) -> Vec<Entry> {
    let options = Options {
        as_events: true,
        ..options
    };
    let mut reader = Reader::open(path, options).unwrap();
    let mut all = Vec::new();
    while let Some(entries) = reader.next_events().unwrap() {
        all.extend(entries);
    }
    all
}

#[test]
fn the_last_events_are_read_through_rotated_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = log_in(&dir);
    assert_eq!(text_of(&path, last(3)), b"");
    let lines: Vec<String> =
        (0..6).map(|n| line_of(n, "bob", 1, "x\nmore")).collect();
    append(&path, lines[..2].concat());
    rotate(&path);
    append(&path, &lines[2..4].concat()[30..]);
    rotate(&path);
    append(&path, lines[4].clone() + lines[5].trim_end());
    assert_eq!(text_of(&path, last(1)), lines[5].trim_end().as_bytes());
    let all = text_of(&path, last(100));
    assert_eq!(text_of(&path, last(0)), all);
    assert_eq!(all.len(), lines.concat().len() - 31);
    assert_eq!(text_of(&path, last(4)), &all[lines[0].len()..]);
    assert_eq!(entries_of(&path, last(2))[0].message, b"x\nmore");
}

fn every_way() -> Vec<Options> {
    let by_user = |limit| Options {
        filters: Filters {
            users: vec![b"bob".to_vec()],
            ..Filters::default()
        },
        ..last(limit)
    };
    vec![last(0), last(10_000), by_user(0), by_user(10_000)]
}

#[test]
fn a_file_that_is_cut_off_while_it_is_followed_begins_anew() {
    for options in every_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = log_in(&dir);
        let lines: Vec<String> =
            (0..9).map(|n| line_of(n, "bob", n, "x")).collect();
        append(&path, lines[..3].concat());
        let follow = true;
        let options = Options { follow, ..options };
        let mut reader = Reader::open(&path, options).unwrap();
        assert_eq!(rest_of(&mut reader), lines[..3].concat().as_bytes());
        // To nothing, then to a part, each time with less behind it than was
        // there, and what is there was read before.
        for (kept, more) in [(0, 3..5), (1, 5..6), (0, 6..7)] {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_len(kept).unwrap();
            reader.poll().unwrap();
            assert_eq!(rest_of(&mut reader), b"");
            file.set_len(0).unwrap();
            append(&path, lines[more.clone()].concat());
            reader.poll().unwrap();
            assert_eq!(rest_of(&mut reader), lines[more].concat().as_bytes());
        }
    }
}

#[test]
fn a_file_may_be_cut_off_while_it_is_read() {
    let lines: String =
        (0..5_000).map(|n| line_of(n % 60, "bob", n, "x")).collect();
    let known: HashSet<&[u8]> =
        lines.split_inclusive('\n').map(str::as_bytes).collect();
    for kept in [0, 1, lines.len() as u64 / 2] {
        for options in every_way() {
            let dir = tempfile::tempdir().unwrap();
            let path = log_in(&dir);
            append(&path, &lines);
            let mut reader = Reader::open(&path, options).unwrap();
            let mut text = Vec::new();
            while text.is_empty() {
                text = reader.next_text().unwrap().expect("some are there");
            }
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_len(kept).unwrap();
            text.extend_from_slice(&rest_of(&mut reader));
            // What is shown is whole lines, but for the one that was cut.
            let whole = text.split_inclusive(|byte| *byte == b'\n');
            let cut = whole.filter(|line| !known.contains(line));
            assert!(cut.count() <= 1);
        }
    }
}

#[test]
fn an_entry_has_what_its_line_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = log_in(&dir);
    let finish = "pull\n-r 5 exited 1 after 2.50 seconds";
    append(&path, "torn\n".to_owned() + &line_of(1, "bob", 7, finish));
    let entries = entries_of(&path, last(0));
    assert_eq!(entries.len(), 2);
    assert!(entries[0].is_damaged);
    assert_eq!(entries[0].message, b"torn");
    let entry = &entries[1];
    assert_eq!(entry.user.as_deref(), Some(&b"bob"[..]));
    assert_eq!(entry.pid, Some(7));
    assert_eq!(entry.command.as_deref(), Some(&b"pull\n-r 5"[..]));
    assert_eq!(entry.return_code, Some(1));
    assert_eq!(entry.duration, Some(2.5));
    assert!(!entry.is_damaged);
}

#[test]
fn what_is_glued_to_a_torn_record_is_found_by_filters() {
    let dir = tempfile::tempdir().unwrap();
    let path = log_in(&dir);
    let torn = &line_of(1, "al", 5, "pull exited 0 after")[..90];
    append(&path, torn.to_owned() + &line_of(2, "bob", 6, "status"));
    let by = |user: &str| Options {
        filters: Filters {
            users: vec![user.as_bytes().to_vec()],
            ..Filters::default()
        },
        ..Options::default()
    };
    let mut reader = Reader::open(&path, by("bob")).unwrap();
    assert_eq!(
        rest_of(&mut reader),
        line_of(2, "bob", 6, "status").as_bytes()
    );
    assert_eq!(reader.damaged(), 0);
    let mut reader = Reader::open(&path, by("al")).unwrap();
    assert_eq!(rest_of(&mut reader), format!("{torn}\n").as_bytes());
    assert_eq!(reader.damaged(), 1);
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = log_in(&dir);
    let long = line_of(1, "bob", 1, &"x".repeat(5 * scan::MAX_KEPT));
    append(
        &path,
        line_of(0, "al", 1, "a") + &long + &line_of(2, "al", 1, "b"),
    );
    let by_bob = || Filters {
        users: vec![b"bob".to_vec()],
        ..Filters::default()
    };
    for limit in [0, 1] {
        let options = Options {
            filters: by_bob(),
            limit,
            ..Options::default()
        };
        assert!(text_of(&path, options) == long.as_bytes());
    }
    let options = Options {
        filters: by_bob(),
        ..Options::default()
    };
    let entries = entries_of(&path, options);
    assert!(entries[0].message.ends_with(TRUNCATED));
    assert!(entries[0].message.len() <= scan::MAX_KEPT);
    assert!(
        text_of(&path, last(2))
            == (long + &line_of(2, "al", 1, "b")).as_bytes()
    );
}

#[test]
fn following_loses_nothing_through_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let path = log_in(&dir);
    let options = Options {
        limit: 1,
        follow: true,
        ..Options::default()
    };
    let mut reader = Reader::open(&path, options).unwrap();
    let mut next = || {
        reader.poll().unwrap();
        String::from_utf8(rest_of(&mut reader)).unwrap()
    };
    assert_eq!(next(), "");
    append(&path, line_of(1, "bob", 1, "a"));
    assert_eq!(next(), line_of(1, "bob", 1, "a"));
    let mut late = fs::OpenOptions::new().append(true).open(&path).unwrap();
    append(&path, line_of(2, "bob", 1, "b"));
    rotate(&path);
    append(&path, line_of(3, "bob", 1, "c"));
    rotate(&path);
    append(&path, line_of(4, "bob", 1, "d"));
    let expected: Vec<String> = ["b", "c", "d"]
        .into_iter()
        .zip(2..)
        .map(|(message, minute)| line_of(minute, "bob", 1, message))
        .collect();
    assert_eq!(next(), expected.concat());
    late.write_all(line_of(5, "bob", 1, "late").as_bytes())
        .unwrap();
    assert_eq!(next(), line_of(5, "bob", 1, "late"));
    // A line that is only half there waits for its rest.
    append(&path, "Traceback\n  ha");
    assert_eq!(next(), "Traceback\n");
    append(&path, "lf\n");
    assert_eq!(next(), "  half\n");
    fs::write(&path, line_of(6, "bob", 1, "anew")).unwrap();
    assert_eq!(next(), line_of(6, "bob", 1, "anew"));
}

/// Logs out of whole and torn records, with lines between.
fn logs() -> impl Strategy<Value = Vec<u8>> {
    let hash = prop_oneof![Just("a".repeat(40)), Just(NULL.to_owned())];
    let date = prop_oneof![
        6 => (0..3_u32, 0..60_u32).prop_map(|(day, second)| {
            format!("2026-11-{:02} 12:00:{second:02}.000", day + 1)
        }),
        1 => Just("Mon Nov 02 2026".to_owned()),
        1 => Just("2026-13-02 12:00:00".to_owned()),
        1 => Just("2026-11-02 12:00:00 -0500".to_owned()),
    ];
    let message = proptest::sample::select(vec![
        "pull -r 5",
        "pull exited 0 after 0.10 seconds",
        "status x exited 1 after 12.50 seconds",
        "commit -m 'a\nb' exited 255 after 0.50 seconds",
        "(rust) status exited 0 after 0.500 seconds",
        "1 incoming changes - new heads: d02f48003e62",
        "found 2 common and 1 unknown server heads, 3 roundtrips in 0.9s",
        "** Unknown exception encountered\nTraceback (most\n\n",
        "updated branch cache in 1.0000 seconds",
        "",
    ]);
    let user = proptest::sample::select(vec!["bob", "al", "joe@x"]);
    let event = proptest::sample::select(vec!["", "", " [mine]", " [command]"]);
    let record = (date, user, hash, 0..20_u32, event, message).prop_map(
        |(date, user, hash, pid, event, message)| {
            format!("{date} {user} @{hash} ({pid}){event}> {message}\n")
        },
    );
    let old = Just("2026/11/02 12:00:07 bob (5)> x\n".to_owned());
    let other = proptest::sample::select(vec!["\n", "x\n", "\0\n", "@ > \n"]);
    let piece = prop_oneof![
        8 => record.clone(),
        1 => old,
        1 => other.prop_map(str::to_owned),
        1 => (record, 0..100_usize).prop_map(|(mut record, len)| {
            record.truncate(len);
            record
        }),
    ];
    proptest::collection::vec(piece, 0..12)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

/// What a reader should find, by looking at every event.
fn naive(text: &[u8], query: &Query) -> (Vec<EventPosition>, u64) {
    let mut found = Vec::new();
    let mut undated = 0;
    event::chunks(text, |at, chunk| {
        for event in event::of_chunk(chunk, query.format()) {
            match query.judge(&event) {
                Verdict::Wanted => found.push(EventPosition {
                    start: (at + event.start) as u64,
                    end: (at + event.end) as u64,
                    is_damaged: event.is_damaged,
                }),
                Verdict::Undated => undated += 1,
                Verdict::Unwanted => {}
            }
        }
    });
    (found, undated)
}

fn file_of(text: &[u8]) -> LogFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    LogFile {
        file,
        path: PathBuf::new(),
        id: (0, 0),
        len: text.len() as u64,
    }
}

proptest! {
    #[test]
    fn events_make_up_the_log(text in logs()) {
        let query = Query::new(Filters::default(), DateFormat::default());
        let (found, _) = naive(&text, &query);
        let mut at = 0;
        for event in found {
            prop_assert_eq!(event.start, at);
            at = event.end;
        }
        prop_assert_eq!(at, text.len() as u64);
    }

    #[test]
    fn searching_finds_what_looking_at_every_event_does(
        text in logs(),
        filters in queries(),
    ) {
        let query = Query::new(filters, DateFormat::default());
        let log = file_of(&text);
        let findings =
            search(&log, 0..log.len, log.len, LeadingLines::Judge, &query).unwrap();
        let expected = naive(&text, &query);
        prop_assert_eq!((findings.found, findings.undated), expected);
    }

    #[test]
    fn parts_find_what_the_whole_does(
        text in logs(),
        filters in queries(),
        border in any::<proptest::sample::Index>(),
    ) {
        let query = Query::new(filters, DateFormat::default());
        let log = file_of(&text);
        let border = border.index(text.len() + 1) as u64;
        let part = |range: Range<u64>| {
            let is_first = range.start == 0;
            let lead = if is_first { LeadingLines::Judge } else { LeadingLines::Skip };
            search(&log, range, log.len, lead, &query).unwrap()
        };
        let mut found = part(0..border).found;
        if border > 0 {
            found.extend(part(border..log.len).found);
        } else {
            found = part(0..log.len).found;
        }
        prop_assert_eq!(found, naive(&text, &query).0);
    }

    #[test]
    fn the_last_lines_are_those_that_stock_shows(
        text in logs(),
        limit in 1..8_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = log_in(&dir);
        fs::write(&path, &text).unwrap();
        let format = DateFormat::default();
        let mut left = limit;
        let mut start = text.len();
        while left > 0 && start > 0 {
            start = event::line_start(&text, start - 1);
            let end = event::line_end(&text, start);
            let this = &text[start..end];
            left -= usize::from(line::is_counted(this, &format));
        }
        prop_assert_eq!(text_of(&path, last(limit)), &text[start..]);
    }

    #[test]
    fn following_finds_what_reading_does(
        text in logs(),
        cuts in proptest::collection::vec(any::<Index>(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = log_in(&dir);
        let options = Options { follow: true, ..Options::default() };
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let mut reader = Reader::open(&path, options).unwrap();
        let mut shown = Vec::new();
        let mut from = 0;
        for to in cuts {
            append(&path, &text[from..to]);
            reader.poll().unwrap();
            shown.extend(rest_of(&mut reader));
            from = to;
        }
        // What nobody goes on writing to is shown to its end.
        rotate(&path);
        fs::write(&path, "").unwrap();
        reader.poll().unwrap();
        reader.poll().unwrap();
        shown.extend(rest_of(&mut reader));
        let mut expected = text_of(&path, last(0));
        let is_whole = expected.last().is_none_or(|b| *b == b'\n');
        if !is_whole {
            expected.push(b'\n');
        }
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        prop_assert_eq!(text(&shown), text(&expected));
    }
}
