//! The blackbox's reader must take any bytes: nothing panics, the events make
//! up the log, and searching finds what looking at every event does.
//!
//! The input's first two bytes choose the filters and the limit.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use uilog_blackbox::dates::DateFormat;
use uilog_blackbox::dates::Moment;
use uilog_blackbox::event;
use uilog_blackbox::glob::Glob;
use uilog_blackbox::query::Filters;
use uilog_blackbox::query::Query;
use uilog_blackbox::query::Verdict;
use uilog_blackbox::reader::Options;
use uilog_blackbox::reader::Reader;

/// 2026-11-02 12:00, on a clock that is right.
const MOMENT: Moment = Moment {
    unix: 1_793_620_800,
    civil: 1_793_620_800,
};

fn filters(choice: u8) -> Filters {
    let mut filters = Filters::default();
    match choice % 9 {
        1 => filters.since = Some(MOMENT),
        2 => filters.until = Some(MOMENT),
        3 => filters.users = vec![b"bob".to_vec()],
        4 => filters.pids = vec![5],
        5 => filters.failed = true,
        6 => filters.slower = Some(1.0),
        7 => filters.commands = vec![Glob::new(b"pull*")],
        8 => filters.events = vec![b"incoming".to_vec()],
        _ => {}
    }
    filters
}

fn format(choice: u8) -> DateFormat {
    DateFormat::new(if choice < 128 {
        b""
    } else {
        b"%a %d %H:%M:%S %z"
    })
}

fuzz_target!(|data: &[u8]| {
    let [choice, limit, log @ ..] = data else {
        return;
    };
    let query = Query::new(filters(*choice), format(*choice));
    let mut wanted = Vec::new();
    let mut at = 0;
    event::chunks(log, |start, chunk| {
        assert_eq!(start, at);
        at += chunk.len();
        let mut inside = 0;
        for event in event::of_chunk(chunk, query.format()) {
            assert_eq!(event.start, inside);
            inside = event.end;
            if query.judge(&event) == Verdict::Wanted {
                wanted.push(event.message.to_vec());
            }
        }
        assert_eq!(inside, chunk.len());
    });
    assert_eq!(at, log.len());

    let dir = uilog_fuzz::directory();
    let path = dir.path().join("blackbox.log");
    fs::write(&path, log).expect("a log");
    let limit = usize::from(*limit);
    let options = |as_events| Options {
        filters: filters(*choice),
        format: format(*choice),
        limit,
        as_events,
        ..Options::default()
    };
    let mut reader = Reader::open(&path, options(true)).expect("a reader");
    let mut found = Vec::new();
    while let Some(entries) = reader.next_events().expect("events") {
        found.extend(entries.into_iter().map(|entry| entry.message));
    }
    if limit > 0 {
        wanted.drain(..wanted.len().saturating_sub(limit));
    }
    assert_eq!(found, wanted);

    let mut reader = Reader::open(&path, options(false)).expect("a reader");
    let mut text = Vec::new();
    while let Some(piece) = reader.next_text().expect("text") {
        text.extend(piece);
    }
    if choice % 9 == 0 {
        assert!(log.ends_with(&text));
    }
});
