//! One line of the blackbox, taken apart.
//!
//! `DATE USER @PARENTS[+] (PID)[ [EVENT]]> MESSAGE`, where DATE may have any
//! format and PARENTS may be `???` (rhg's); and the older forms that stock's
//! `hg blackbox` counts, or that Mercurial's other loggers write: `DATE USER>`,
//! `DATE USER (PID)>`, `DATE (PID)>`.
//!
//! Responsible for telling lines that begin an event from those that continue
//! one, and for finding a whole record behind the rest of a torn one. Must not
//! know where lines come from, nor what a message means.

use memchr::memmem;

use super::anchor::Anchor;
use super::anchor::HASH_LEN;
use super::anchor::HEAD_LEN;
use super::anchor::anchor_after;
use super::anchor::find_pair;
use super::anchor::parenthesized_pid;
use super::dates;
use super::dates::DateFormat;

/// Maximum length of DATE and USER together, if nothing separates them.
const MAX_PREFIX: usize = 256;

/// The least length of two dates in one of hg's fixed layouts, the first of
/// which is torn where it has no more than `2026-11-02 12:00:` in common with
/// what a date looks like.
const TWO_DATES: usize = dates::DEFAULT_LEN - 2 + dates::DEFAULT_LEN;

/// What a line says before its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The date, in any format.
    pub date: &'a [u8],
    /// Who ran hg.
    pub user: Option<&'a [u8]>,
    /// The working directory's parents: full hashes with `+` between.
    pub parents: &'a [u8],
    /// Whether the working directory had changes (`blackbox.dirty`).
    pub is_dirty: bool,
    /// hg's process.
    pub pid: Option<u64>,
    /// The event's name (`blackbox.logsource`).
    pub event: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The hashes of the parents; none if they are not known.
    pub fn parents(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let parents = self.parents.split(|byte| *byte == b'+');
        parents.filter(|parent| parent.len() == HASH_LEN)
    }
}

/// Where a record is in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The beginning, including the rest of an incomplete record before it.
    pub start: usize,
    /// Where its own first byte is.
    pub own: usize,
    /// Where its message begins.
    pub message: usize,
    /// Where the next record or the line ends.
    pub end: usize,
    /// Whether it is incomplete, or follows the rest of an incomplete one.
    pub is_damaged: bool,
    /// The fields before its message.
    pub header: Header<'a>,
}

impl Record<'_> {
    /// The same record in a line that has `len` bytes more before it.
    fn behind(self, len: usize) -> Self {
        Self {
            start: self.start + len,
            own: self.own + len,
            message: self.message + len,
            end: self.end + len,
            ..self
        }
    }
}

/// Whether stock's `hg blackbox` counts this line as an event's.
// hg: blackbox.blackbox:
// ^\d{4}[-/]\d{2}[-/]\d{2} \d{2}:\d{2}:\d{2}(.\d*)? .*> .*
pub fn is_counted_by_stock(line: &[u8]) -> bool {
    if !dates::has_default_shape(line) {
        return false;
    }
    let line = &line[..line.len().min(HEAD_LEN)];
    let rest = &line[dates::DEFAULT_LEN..];
    let closes = |rest: &[u8]| find_pair(rest, *b"> ").is_some();
    let Some((first, after)) = rest.split_first() else {
        return false;
    };
    let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
    let after_fraction = &after[digits..];
    (after_fraction.first() == Some(&b' ') && closes(&after_fraction[1..]))
        || (*first == b' ' && closes(after))
}

/// Whether `hg blackbox` without new options counts this line: like stock hg,
/// and if it begins an event with another date format.
pub fn is_counted(line: &[u8], format: &DateFormat) -> bool {
    is_counted_by_stock(line)
        || anchored(line)
            .is_some_and(|anchor| torn_len(&line[..anchor.at], format) == 0)
}

/// Whether this line begins an event, possibly after the rest of an incomplete
/// one. Any other line continues the event before it.
pub fn is_beginning(line: &[u8]) -> bool {
    is_counted_by_stock(line) || anchored(line).is_some()
}

/// The records of a line, which are more than one if a write was torn. None
/// if the line does not begin an event.
///
/// Where one begins, the rest of the line is what the same line without
/// everything before it would be.
pub fn records<'a>(line: &'a [u8], format: &DateFormat) -> Vec<Record<'a>> {
    let mut records: Vec<Record<'a>> = Vec::with_capacity(1);
    let mut base = 0;
    while let Some(record) = first_record(&line[base..], format) {
        let end = base + record.end;
        records.push(record.behind(base));
        if end == line.len() {
            break;
        }
        base = end;
    }
    records
}

/// The first record of a line; it ends where another one is glued to it.
fn first_record<'a>(line: &'a [u8], format: &DateFormat) -> Option<Record<'a>> {
    let anchor = anchor_after(line, 0);
    let before = anchor.as_ref().map_or(line, |anchor| &line[..anchor.at]);
    let mut record = match (old_form(line, before), anchor) {
        (Some(old), _) => old,
        (None, Some(anchor)) if is_plausible(before) => {
            let own = torn_len(before, format);
            let rest = &line[own..];
            let mut record = old_form(rest, &before[own..]).map_or_else(
                || anchored_record(line, own, &anchor, format),
                |old| old.behind(own),
            );
            record.start = 0;
            record.is_damaged = own > 0;
            record
        }
        _ => return old_form(line, line),
    };
    let mut from = record.message;
    while let Some(next) = anchor_after(line, from) {
        // In a message an anchor is just text, unless a date leads to it.
        if let Some(at) = last_default_date(&line[from..next.at]) {
            record.end = from + at;
            record.is_damaged = true;
            break;
        }
        from = next.end;
    }
    Some(record)
}

/// The record that has this anchor and begins at `own`.
fn anchored_record<'a>(
    line: &'a [u8],
    own: usize,
    anchor: &Anchor,
    format: &DateFormat,
) -> Record<'a> {
    let (date, user) = date_and_user(&line[own..anchor.at], format);
    Record {
        start: own,
        own,
        message: anchor.end,
        end: line.len(),
        is_damaged: false,
        header: Header {
            date,
            user,
            parents: &line[anchor.parents.clone()],
            is_dirty: anchor.is_dirty,
            pid: anchor.pid,
            event: anchor.event.clone().map(|event| &line[event]),
        },
    }
}

/// The first anchor of a line, if the text before it may be a date and a user.
fn anchored(line: &[u8]) -> Option<Anchor> {
    let anchor = anchor_after(line, 0)?;
    is_plausible(&line[..anchor.at]).then_some(anchor)
}

/// Whether this may be a date and a user, possibly after an incomplete record.
fn is_plausible(prefix: &[u8]) -> bool {
    let tail = &prefix[prefix.len().saturating_sub(MAX_PREFIX)..];
    tail.contains(&b' ')
        && tail.iter().any(u8::is_ascii_digit)
        && (prefix.len() <= MAX_PREFIX || last_default_date(prefix).is_some())
}

/// How much of this is left of a torn record, before a date and a user.
fn torn_len(prefix: &[u8], format: &DateFormat) -> usize {
    if prefix.len() < TWO_DATES && dates::has_default_shape(prefix) {
        return 0;
    }
    if let Some((date, _)) = split_user(prefix)
        && format.read_custom(date).is_some()
    {
        return 0;
    }
    if let Some(at) = last_default_date(prefix) {
        return at;
    }
    let control = prefix.iter().rposition(|b| *b < b' ' && *b != b'\t');
    control.map_or(0, |at| at + 1)
}

/// Where the last date in one of hg's fixed layouts begins.
fn last_default_date(prefix: &[u8]) -> Option<usize> {
    let last = prefix.len().checked_sub(dates::DEFAULT_LEN)?;
    let first = prefix.len().saturating_sub(MAX_PREFIX);
    (first..=last)
        .rev()
        .find(|at| dates::has_default_shape(&prefix[*at..]))
}

fn date_and_user<'a>(
    prefix: &'a [u8],
    format: &DateFormat,
) -> (&'a [u8], Option<&'a [u8]>) {
    let by_last_word = split_user(prefix);
    if let Some((date, user)) = by_last_word
        && format.read_custom(date).is_some()
    {
        return (date, Some(user));
    }
    if let Some((_, len)) = dates::read_default(prefix)
        && prefix.get(len) == Some(&b' ')
    {
        return (&prefix[..len], Some(&prefix[len + 1..]));
    }
    match by_last_word {
        Some((date, user)) => (date, Some(user)),
        None => (prefix, None),
    }
}

fn split_user(prefix: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b' ', prefix)?;
    Some((&prefix[..at], &prefix[at + 1..]))
}

/// A line that stock hg counts, without parents; its message begins in or
/// directly after `head`.
fn old_form<'a>(line: &'a [u8], head: &'a [u8]) -> Option<Record<'a>> {
    if !is_counted_by_stock(head) {
        return None;
    }
    let date_len =
        dates::read_default(line).map_or(dates::DEFAULT_LEN, |(_, len)| len);
    let head = &head[..head.len().min(HEAD_LEN)];
    let close = date_len + find_pair(head.get(date_len..)?, *b"> ")?;
    let mut between = &line[date_len..close];
    let mut event = None;
    if let Some(named) = between.strip_suffix(b"]")
        && let Some(at) = memmem::rfind(named, b" [")
    {
        event = Some(&named[at + 2..]);
        between = &named[..at];
    }
    let mut pid = None;
    if let Some(at) = memmem::rfind(between, b" (")
        && let Some((number, len)) = parenthesized_pid(&between[at..])
        && at + len == between.len()
    {
        pid = number;
        between = &between[..at];
    }
    let user = between.strip_prefix(b" ").filter(|user| !user.is_empty());
    Some(Record {
        start: 0,
        own: 0,
        message: close + 2,
        end: line.len(),
        is_damaged: false,
        header: Header {
            date: &line[..date_len],
            user,
            parents: b"",
            is_dirty: false,
            pid,
            event,
        },
    })
}

#[cfg(test)]
mod tests;
