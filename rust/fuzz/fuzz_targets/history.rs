//! The files of records may hold any lines: nothing panics, each line is
//! either a record's, or counted, or not wanted, and each span of a trace is in
//! its tree once.
//!
//! The input's first byte chooses the filters.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use uilog_history::filter::Filters;
use uilog_history::filter::Query;
use uilog_history::record::Record;
use uilog_history::record::Unreadable;
use uilog_history::record::parse_time;
use uilog_history::scan::Source;
use uilog_history::scan::scan;
use uilog_history::trace::Builder;
use uilog_history::trace::Trace;
use uilog_history::when::Span;

fn filters(choice: u8) -> Filters {
    let mut filters = Filters::default();
    match choice % 8 {
        1 => filters.events = vec!["command".to_owned()],
        2 => filters.failed = true,
        3 => filters.slower = Some(1.0),
        4 => filters.traces = vec!["4bf9".to_owned()],
        5 => filters.sessions = vec!["0".to_owned()],
        6 => {
            filters.span = Span {
                from: 1_793_620_800_000_000,
                to: 1_793_707_199_999_999,
            }
        }
        _ => {}
    }
    filters
}

fn count(trace: &Trace, spans: &[usize]) -> usize {
    spans
        .iter()
        .map(|it| 1 + count(trace, &trace.spans[*it].children))
        .sum()
}

fuzz_target!(|data: &[u8]| {
    let [choice, text @ ..] = data else {
        return;
    };
    let source = Source::memory(Path::new("x.jsonl"), text.to_vec());
    let query = Query::new(filters(*choice));
    let (found, problems) =
        scan(&[source], &query, |lines: &mut Vec<Vec<u8>>, found| {
            assert_eq!(
                parse_time(found.record.time.as_str()),
                Some((found.time, found.offset))
            );
            lines.push(found.line.to_vec());
        });
    assert!(problems.files.is_empty());
    let lines: Vec<_> = found.concat();
    let all = text.split(|it| *it == b'\n').filter(|it| !it.is_empty());
    let all: Vec<_> = all.collect();
    let counted = problems.damaged + problems.later;
    assert!(lines.len() as u64 + counted <= all.len() as u64);
    if choice % 8 == 0 {
        let later = all.iter().filter(|line| {
            matches!(Record::parse(line), Err(Unreadable::Later))
        });
        assert_eq!(problems.later, later.count() as u64);
    }
    let mut builder = Builder::default();
    for line in &lines {
        let record = Record::parse(line).expect("it was found");
        let _ = (record.is_failure(), record.error_type(), record.error());
        let _ = (record.command_line(), record.repository(), record.hook());
        let time = parse_time(record.time.as_str()).expect("it was found");
        builder.add(&record, time.0);
    }
    let trace = builder.finish();
    assert_eq!(count(&trace, &trace.roots), trace.spans.len());
});
