//! An event of the blackbox: the line of its record, and the lines that
//! continue it.
//!
//! Responsible for dividing a text into events. Must not know files.

use super::dates::DateFormat;
use super::line;
use super::line::Header;

/// An event, or lines that belong to none.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Where it begins in its text, and where the next one does.
    pub start: usize,
    /// Where the next one begins, or the text ends.
    pub end: usize,
    /// The fields before its message; `None` for lines before the first event.
    pub header: Option<Header<'a>>,
    /// The message, continuation lines included, without its last newline.
    pub message: &'a [u8],
    /// Whether a write was torn here.
    pub is_damaged: bool,
}

/// The events of a text in which only the first line may begin one.
pub fn of_chunk<'a>(chunk: &'a [u8], format: &DateFormat) -> Vec<Event<'a>> {
    let first = &chunk[..line_end(chunk, 0)];
    let records = line::records(first, format);
    let message = |from: usize, to: usize| {
        let message = &chunk[from..to];
        message.strip_suffix(b"\n").unwrap_or(message)
    };
    if records.is_empty() {
        return vec![Event {
            start: 0,
            end: chunk.len(),
            header: None,
            message: message(0, chunk.len()),
            is_damaged: true,
        }];
    }
    let last = records.len() - 1;
    let of_record = |(number, record): (usize, line::Record<'a>)| {
        let is_last = number == last;
        let end = if is_last { chunk.len() } else { record.end };
        Event {
            start: record.start,
            end,
            message: message(record.message, end),
            header: Some(record.header),
            is_damaged: record.is_damaged,
        }
    };
    records.into_iter().enumerate().map(of_record).collect()
}

/// Calls `each` with every chunk of a text: the lines of one beginning, in
/// which only the first begins an event, or the first lines, if they belong
/// to none.
pub fn chunks<'a>(text: &'a [u8], mut each: impl FnMut(usize, &'a [u8])) {
    let mut start = 0;
    while start < text.len() {
        let end = chunk_end(text, start);
        each(start, &text[start..end]);
        start = end;
    }
}

/// Where the first event begins after the line that begins at `start`.
pub(crate) fn chunk_end(text: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        let end = line_end(text, at);
        if end == text.len() {
            return end;
        }
        at = end + 1;
        if at < text.len() && line::is_beginning(&text[at..line_end(text, at)])
        {
            return at;
        }
    }
}

/// Where the event begins that holds the byte at `at`, or 0.
pub(crate) fn chunk_start(text: &[u8], at: usize) -> usize {
    let mut start = line_start(text, at);
    while start > 0 {
        if line::is_beginning(&text[start..line_end(text, start)]) {
            break;
        }
        start = line_start(text, start - 1);
    }
    start
}

/// Where the line begins that holds the byte at `at`.
pub(crate) fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1)
}

/// Where the newline is that ends the line with the byte at `at`, or the end.
pub(crate) fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |len| at + len)
}
