//! Finds the events of a time span in a large file.
//!
//! Responsible for doing that by bisection, and for recognizing files whose
//! events are not in the order of their dates, which are searched completely.
//! Must not know which events are wanted.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::dates::DateFormat;
use super::event;
use super::line;

/// Files that are smaller are searched as a whole, which is as fast.
const LARGE: u64 = 16 * 1024 * 1024;
/// How much is read to see of what time it is.
const SAMPLE: usize = 16 * 1024;
/// How many samples must be in order for the file to count as sorted.
const SAMPLES: u64 = 64;
/// By how much the clocks of two events may disagree with their order: they
/// may have been logged in different zones, or while the clock was being set.
/// Seconds.
pub(super) const DISORDER: i64 = 26 * 3600;

/// Readings of the local clock, both included; seconds as in
/// [`super::dates::Date::civil`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The part of the first `len` bytes of a file that holds all events of a
/// span, if no event is further than [`DISORDER`] from its place in the order
/// of time. It may begin and end inside of a line.
///
/// # Errors
///
/// The file cannot be read.
pub(super) fn find(
    file: &File,
    len: u64,
    span: Span,
    format: &DateFormat,
) -> io::Result<Range<u64>> {
    let whole = 0..len;
    if len < LARGE {
        return Ok(whole);
    }
    let mut samples = Vec::new();
    let mut latest = i64::MIN;
    for number in 0..SAMPLES {
        let at = (len - SAMPLE as u64) / (SAMPLES - 1) * number;
        let Some(time) = time_at(file, at, format)? else {
            return Ok(whole);
        };
        if time < latest.saturating_sub(DISORDER) {
            return Ok(whole);
        }
        latest = latest.max(time);
        samples.push((at, time));
    }
    let from = span.from.saturating_sub(DISORDER);
    let to = span.to.saturating_add(DISORDER);
    let start = first(file, len, &samples, format, |time| time >= from)?.start;
    let end = first(file, len, &samples, format, |time| time > to)?.end;
    Ok(start..end.max(start))
}

/// The position from which times are late enough, within the returned range.
fn first(
    file: &File,
    len: u64,
    samples: &[(u64, i64)],
    format: &DateFormat,
    is_late: impl Fn(i64) -> bool,
) -> io::Result<Range<u64>> {
    let at = samples.partition_point(|(_, time)| !is_late(*time));
    let before = at.checked_sub(1).and_then(|before| samples.get(before));
    let mut low = before.map_or(0, |(at, _)| *at);
    let mut high = samples.get(at).map_or(len, |(at, _)| at + SAMPLE as u64);
    while high - low > 4 * SAMPLE as u64 {
        let middle = low + (high - low) / 2;
        match time_at(file, middle, format)? {
            Some(time) if is_late(time) => high = middle + SAMPLE as u64,
            Some(_) => low = middle,
            None => break,
        }
    }
    Ok(low..high.min(len))
}

/// The time of the events around a position: the median of a sample, so that a
/// single wrong date does not matter.
fn time_at(
    file: &File,
    at: u64,
    format: &DateFormat,
) -> io::Result<Option<i64>> {
    let mut sample = vec![0; SAMPLE];
    let mut filled = 0;
    while filled < SAMPLE {
        match file.read_at(&mut sample[filled..], at + filled as u64) {
            // The file was truncated.
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let sample = &sample[..filled];
    let mut times = Vec::new();
    // The first line begins before the sample, the last one continues after it.
    let mut start = event::line_end(sample, 0) + 1;
    while start < sample.len() {
        let end = event::line_end(sample, start);
        if end == sample.len() {
            break;
        }
        let line = &sample[start..end];
        if line::is_beginning(line) {
            let events = event::of_chunk(line, format);
            let headers = events.iter().filter_map(|it| it.header.as_ref());
            let dates = headers.filter_map(|header| format.read(header.date));
            times.extend(dates.map(|date| date.civil));
        }
        start = end + 1;
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::dates;
    use super::*;

    /// 2026-11-02 12:00:00
    const BEGIN: i64 = 1_793_620_800;
    /// Between two events.
    const STEP: i64 = 60;

    /// A large log of so many events, the times of which are `time_of` their
    /// numbers.
    fn log(time_of: impl Fn(i64) -> i64) -> (File, u64) {
        let mut text = Vec::new();
        let message = "x".repeat(200);
        let mut number = 0;
        while text.len() < usize::try_from(LARGE).unwrap() {
            let time = time_of(number);
            let date = chrono::DateTime::from_timestamp(time, 0).unwrap();
            let date = date.format("%Y-%m-%d %H:%M:%S");
            writeln!(text, "{date} al @{number:040x} (1)> {message}").unwrap();
            number += 1;
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        (file, text.len() as u64)
    }

    fn time_of(number: i64) -> i64 {
        BEGIN + number * STEP
    }

    fn found(log: &(File, u64), span: Span) -> Range<u64> {
        find(&log.0, log.1, span, &DateFormat::default()).unwrap()
    }

    /// The first and the last time in part of a log.
    fn times(log: &(File, u64), part: Range<u64>) -> (i64, i64) {
        let len = usize::try_from(part.end - part.start).unwrap();
        let mut text = vec![0; len];
        log.0.read_exact_at(&mut text, part.start).unwrap();
        let lines = text.split(|b| *b == b'\n');
        let times: Vec<i64> = lines
            .filter_map(|line| Some(dates::read_default(line)?.0.civil))
            .collect();
        (times[0], *times.last().unwrap())
    }

    #[test]
    fn what_is_in_order_is_found_without_searching_all() {
        let log = log(time_of);
        let (first, last) = times(&log, 0..log.1);
        let days = |count: i64| count * 86_400;
        for from in [first, first + days(10), last - days(5), last - 10] {
            for to in [from, from + days(2), last] {
                let part = found(&log, Span { from, to });
                let (start, end) = times(&log, part.clone());
                assert!(start <= from.saturating_sub(DISORDER).max(first));
                assert!(end >= (to + DISORDER).min(last - STEP), "{end} {to}");
                let extra = (from - start).max(0) + (end - to).max(0);
                assert!(extra < days(4), "{part:?}");
            }
        }
        let none = Span {
            from: last + days(30),
            to: i64::MAX,
        };
        let part = found(&log, none);
        assert!(part.end - part.start < 20 * SAMPLE as u64, "{part:?}");
        let all = Span {
            from: i64::MIN,
            to: i64::MAX,
        };
        assert_eq!(found(&log, all), 0..log.1);
    }

    #[test]
    fn single_wrong_dates_do_not_lead_astray() {
        let log = log(|number| match number % 10 {
            3 => 0,
            7 => 4_000_000_000,
            _ => time_of(number),
        });
        let span = Span {
            from: time_of(30_000),
            to: time_of(30_001),
        };
        let part = found(&log, span);
        let mut text = vec![0; usize::try_from(part.end - part.start).unwrap()];
        log.0.read_exact_at(&mut text, part.start).unwrap();
        for number in [30_000, 30_001] {
            let node = format!("@{number:040x} ");
            let finder = memchr::memmem::Finder::new(&node);
            assert!(finder.find(&text).is_some(), "{part:?}");
        }
        assert!(part.end - part.start < log.1 / 2, "{part:?}");
    }

    #[test]
    fn what_is_out_of_order_or_has_no_dates_is_searched_as_a_whole() {
        let span = Span {
            from: time_of(1000),
            to: time_of(2000),
        };
        // For a tenth of the log the clock was set to another year.
        let wrong = log(|number| match number / 5000 {
            3 => time_of(number) - 400 * 86_400,
            _ => time_of(number),
        });
        assert_eq!(found(&wrong, span), 0..wrong.1);
        let file = tempfile::tempfile().unwrap();
        file.set_len(LARGE).unwrap();
        assert_eq!(found(&(file, LARGE), span), 0..LARGE);
    }
}
