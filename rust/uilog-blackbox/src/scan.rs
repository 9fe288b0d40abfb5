//! Searches a part of one file for wanted events.
//!
//! Responsible for reading block by block, for events that cross the borders of
//! blocks and parts, and for limiting memory: at most [`MAX_KEPT`] bytes of an
//! event are read. Must not know what is wanted, or other files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::anchor::HEAD_LEN;
use super::event;
use super::line;
use super::query::Query;
use super::query::Verdict;

/// How much is read at a time. It stays in the processor's cache while it is
/// searched, with which reading costs half of searching a map of the file.
const BLOCK: usize = 128 * 1024;

/// Maximum number of bytes of an event that are read.
pub(crate) const MAX_KEPT: usize = 1024 * 1024;

/// What happens to lines at the beginning of a part that continue an earlier
/// event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeadingLines {
    /// They belong to an event of the part before.
    Skip,
    /// They belong to none, and the query decides.
    Judge,
}

/// The position of a wanted event in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventPosition {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) is_damaged: bool,
}

/// What a search has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) found: Vec<EventPosition>,
    /// Events that would match if their dates were valid.
    pub(crate) undated: u64,
    /// Where the part's first event begins, if lines before it were skipped.
    pub(crate) first: Option<u64>,
}

/// Where the search is in its part.
enum State {
    /// The buffer's first line begins an event, or the part.
    Events,
    /// Everything up to the next event's beginning is passed over. Whether
    /// the buffer begins inside of a line that has been judged already.
    Passing { is_inside_line: bool },
}

/// The wanted events of a file that begin in a part of it; `len` is the length
/// up to which the file is read. The content of `buffer` does not matter.
pub(crate) fn scan(
    file: &File,
    part: Range<u64>,
    len: u64,
    lead: LeadingLines,
    query: &Query,
    buffer: &mut Vec<u8>,
) -> io::Result<Findings> {
    let mut scan = Scan {
        buffer,
        filled: 0,
        base: part.start,
        len,
        limit: part.end,
        query,
        findings: Findings::default(),
        is_pending: false,
    };
    let mut state = State::Events;
    if lead == LeadingLines::Skip {
        let is_inside_line = !begins_line(file, part.start)?;
        state = State::Passing { is_inside_line };
    }
    loop {
        let is_end = scan.fill(file)?;
        loop {
            let next = match state {
                State::Events => scan.take_events(is_end),
                State::Passing { is_inside_line } => {
                    scan.pass(is_inside_line, is_end)
                }
            };
            match next {
                Next::More(same) => {
                    state = same;
                    break;
                }
                Next::Other(other) => state = other,
                Next::End => return Ok(scan.findings),
            }
        }
    }
}

fn begins_line(file: &File, at: u64) -> io::Result<bool> {
    let Some(before) = at.checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    let read = file.read_at(&mut byte, before)?;
    Ok(read == 1 && byte == *b"\n")
}

/// What a step has led to.
enum Next {
    /// It needs more of the file.
    More(State),
    /// Continues in another state.
    Other(State),
    End,
}

struct Scan<'a> {
    /// Never made shorter, because filling new bytes with zeros takes a good
    /// part of the time of reading them.
    buffer: &'a mut Vec<u8>,
    /// How many bytes of it are valid.
    filled: usize,
    /// Where the buffer is in the file.
    base: u64,
    len: u64,
    /// Events that begin here or later are not of this part.
    limit: u64,
    query: &'a Query,
    findings: Findings,
    /// Whether the end of the event that was found last is not known yet.
    is_pending: bool,
}

impl Scan<'_> {
    /// Reads one more block; returns whether the file ends.
    fn fill(&mut self, file: &File) -> io::Result<bool> {
        let at = self.base + self.filled as u64;
        let left = self.len.saturating_sub(at);
        let want = BLOCK.min(usize::try_from(left).unwrap_or(BLOCK));
        let end = self.filled + want;
        if self.buffer.len() < end {
            self.buffer.resize(end.max(2 * BLOCK), 0);
        }
        while self.filled < end {
            let at = self.base + self.filled as u64;
            let into = &mut self.buffer[self.filled..end];
            match file.read_at(into, at) {
                Ok(0) => {
                    // The file was truncated.
                    self.len = at;
                    break;
                }
                Ok(more) => self.filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.base + self.filled as u64 >= self.len)
    }

    fn text(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Processes the complete events in the buffer.
    fn take_events(&mut self, is_end: bool) -> Next {
        let whole = if is_end {
            self.filled
        } else {
            self.last_beginning()
        };
        if whole > 0 && self.judge(whole) {
            return Next::End;
        }
        self.drop_front(whole);
        if is_end || self.base >= self.limit {
            return Next::End;
        }
        if self.filled < MAX_KEPT {
            return Next::More(State::Events);
        }
        // An event without end: what there is must do, but for a line that
        // may yet turn out to begin another one.
        let last = event::line_start(self.text(), self.filled);
        let cut = if self.filled - last < HEAD_LEN {
            last
        } else {
            self.filled
        };
        self.judge(cut);
        let end = self.base + cut as u64;
        let last_found = self.findings.found.last();
        self.is_pending = last_found.is_some_and(|found| found.end == end);
        self.drop_front(cut);
        Next::Other(State::Passing {
            is_inside_line: cut != last,
        })
    }

    /// Passes over everything up to the next event's beginning.
    fn pass(&mut self, is_inside_line: bool, is_end: bool) -> Next {
        let text = self.text();
        let mut at = 0;
        let mut is_inside_line = is_inside_line;
        while at < text.len() {
            let end = event::line_end(text, at);
            let is_whole =
                is_end || end < text.len() || text.len() - at >= HEAD_LEN;
            if !is_inside_line {
                if !is_whole {
                    break;
                }
                if line::is_beginning(&text[at..end]) {
                    self.finish_pending(self.base + at as u64);
                    self.drop_front(at);
                    self.findings.first.get_or_insert(self.base);
                    return if self.base >= self.limit {
                        Next::End
                    } else {
                        Next::Other(State::Events)
                    };
                }
            }
            is_inside_line = end == text.len();
            at = (end + 1).min(text.len());
        }
        self.drop_front(at);
        let begins_line = !is_inside_line;
        if is_end {
            self.finish_pending(self.base + self.filled as u64);
            return Next::End;
        }
        // If the end of an event is missing, reading must continue.
        if begins_line && self.base >= self.limit && !self.is_pending {
            return Next::End;
        }
        Next::More(State::Passing { is_inside_line })
    }

    fn finish_pending(&mut self, end: u64) {
        if std::mem::take(&mut self.is_pending)
            && let Some(last) = self.findings.found.last_mut()
        {
            last.end = end;
        }
    }

    fn drop_front(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
        self.base += count as u64;
    }

    /// The beginning of the last event in the buffer; earlier events are
    /// complete.
    fn last_beginning(&self) -> usize {
        let text = self.text();
        let mut end = text.len();
        while end > 0 {
            let start = event::line_start(text, end);
            let line = &text[start..event::line_end(text, start)];
            // A line is not judged before its head is there.
            let is_whole =
                start + line.len() < text.len() || line.len() >= HEAD_LEN;
            if start > 0 && is_whole && line::is_beginning(line) {
                return start;
            }
            end = start.saturating_sub(1);
        }
        0
    }

    /// Tests the events in the first `whole` bytes of the buffer; returns
    /// whether one begins after the part.
    fn judge(&mut self, whole: usize) -> bool {
        let Self {
            buffer,
            findings,
            base,
            limit,
            query,
            ..
        } = self;
        let (base, limit) = (*base, *limit);
        let text = &buffer[..whole];
        let mut is_over = false;
        query.candidates(text, |start, chunk| {
            if base + start as u64 >= limit {
                is_over = true;
                return;
            }
            for event in event::of_chunk(chunk, query.format()) {
                match query.judge(&event) {
                    Verdict::Wanted => findings.found.push(EventPosition {
                        start: base + (start + event.start) as u64,
                        end: base + (start + event.end) as u64,
                        is_damaged: event.is_damaged,
                    }),
                    Verdict::Undated => findings.undated += 1,
                    Verdict::Unwanted => {}
                }
            }
        });
        is_over
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::dates::DateFormat;
    use crate::query::Filters;

    /// Whether a line begins an event is not known before all of it is read.
    #[test]
    fn an_event_whose_beginning_is_cut_by_a_block_is_found() {
        let parents = "0".repeat(40);
        let line = format!("2026-11-02 12:00:00 bob @{parents} (5)> status\n");
        let query = Query::new(Filters::default(), DateFormat::default());
        for cut in 1..line.len() {
            let start = BLOCK - cut;
            let text = [vec![b'\n'; start], line.clone().into()].concat();
            let len = text.len() as u64;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&text).unwrap();
            let skip = LeadingLines::Skip;
            let scanned =
                scan(&file, 0..len, len, skip, &query, &mut Vec::new());
            let findings = scanned.unwrap();
            let starts = findings.found.iter().map(|it| it.start);
            assert_eq!(starts.collect::<Vec<_>>(), [start as u64], "{cut}");
            assert_eq!(findings.first, Some(start as u64));
        }
    }
}
