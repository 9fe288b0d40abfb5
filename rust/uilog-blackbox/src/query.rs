//! Which events are wanted.
//!
//! Responsible for testing one event, and for texts that every wanted event
//! contains, so that most of a log is skipped without being parsed. Must not
//! know files, except for positions in one.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;

use memchr::memmem::Finder;
use uilog_event::command;

use super::dates;
use super::dates::Date;
use super::dates::DateFormat;
use super::dates::Minute;
use super::dates::Moment;
use super::dates::OutsideRange;
use super::event;
use super::event::Event;
use super::glob::Glob;
use super::hits;
use super::line;
use super::message;
use super::span;
use super::span::Span;

/// How far the local time may be from a date's own zone: dates that are
/// further away are out of range in any zone. Seconds.
const MAX_SHIFT: i64 = 26 * 3600;

/// More parents than these are not searched for one by one.
const MAX_NEEDLES: usize = 4;

/// Where a line's `@` is if no torn date can be before it: a date, a fraction,
/// a short name, and no room for a second date.
const NEAR: usize = 2 * dates::DEFAULT_LEN;

/// The options of `hg blackbox`; empty ones and `None` exclude nothing.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Not before this moment's second.
    pub since: Option<Moment>,
    /// Not after this moment's second.
    pub until: Option<Moment>,
    /// One of these events.
    pub events: Vec<Vec<u8>>,
    /// By one of these users.
    pub users: Vec<Vec<u8>>,
    /// By one of these processes.
    pub pids: Vec<u64>,
    /// Of a command that one of these matches.
    pub commands: Vec<Glob>,
    /// Of a command that has failed.
    pub failed: bool,
    /// That took so many seconds or longer.
    pub slower: Option<f64>,
    /// Where one of these was a parent of the working directory: full hashes
    /// in small letters.
    pub revs: Option<HashSet<Vec<u8>>>,
}

/// Filters, and how dates are read.
#[derive(Debug)]
pub struct Query {
    filters: Filters,
    format: DateFormat,
    search: Search,
}

/// What the judgement on an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It matches.
    Wanted,
    /// It is not.
    Unwanted,
    /// It would be, but its date cannot be read and there are bounds.
    Undated,
}

/// What to look at in a text.
#[derive(Debug)]
enum Search {
    /// Every event.
    Everything,
    /// Nothing: no event can match.
    Nothing,
    /// Events that hold one of these.
    Needles(Vec<Finder<'static>>),
    /// Events that may mean a failure.
    Failures,
    /// Events that may mean a duration of at least so many seconds.
    Durations(f64),
    /// Events whose dates may be between these times.
    Between(Minute, Minute),
}

impl Query {
    /// A query for what passes all of the filters.
    pub fn new(filters: Filters, format: DateFormat) -> Self {
        let search = Search::new(&filters);
        Self {
            filters,
            format,
            search,
        }
    }

    /// How dates are read.
    pub fn format(&self) -> &DateFormat {
        &self.format
    }

    /// The part of the first `len` bytes of a file in which wanted events
    /// begin.
    pub(crate) fn part_of(
        &self,
        file: &File,
        len: u64,
    ) -> io::Result<Range<u64>> {
        let filters = &self.filters;
        if filters.since.is_none() && filters.until.is_none() {
            return Ok(0..len);
        }
        span::find(file, len, filters.span(), &self.format)
    }

    /// Whether it matches.
    pub fn judge(&self, event: &Event<'_>) -> Verdict {
        let filters = &self.filters;
        if matches!(self.search, Search::Everything) && filters.is_empty() {
            return Verdict::Wanted;
        }
        let Some(header) = &event.header else {
            return Verdict::Unwanted;
        };
        let is_one = |wanted: &[Vec<u8>], own: Option<&[u8]>| {
            wanted.is_empty()
                || own.is_some_and(|own| wanted.iter().any(|w| w == own))
        };
        let is_by = is_one(&filters.users, header.user)
            && (filters.pids.is_empty()
                || header.pid.is_some_and(|pid| filters.pids.contains(&pid)))
            && filters.revs.as_ref().is_none_or(|revs| {
                header.parents().any(|parent| revs.contains(parent))
            });
        if !is_by {
            return Verdict::Unwanted;
        }
        let is_bound = filters.since.is_some() || filters.until.is_some();
        let date = is_bound.then(|| self.format.read(header.date)).flatten();
        if date.is_some_and(|date| !filters.hold(&date)) {
            return Verdict::Unwanted;
        }
        if filters.need_facts() {
            let facts = message::facts(event.message, header.event);
            let is_wanted = is_one(&filters.events, facts.event)
                && (filters.commands.is_empty()
                    || facts.command.is_some_and(|command| {
                        let spellings = command::spellings(command, b"");
                        filters.commands.iter().any(|glob| {
                            spellings.iter().any(|it| glob.matches(it))
                        })
                    }))
                && (!filters.failed || facts.is_failure())
                && filters.slower.is_none_or(|seconds| {
                    facts.duration.is_some_and(|own| own >= seconds)
                });
            if !is_wanted {
                return Verdict::Unwanted;
            }
        }
        if is_bound && date.is_none() {
            Verdict::Undated
        } else {
            Verdict::Wanted
        }
    }

    /// Calls `each` with the chunks of a text (see [`event::chunks`]) that may
    /// contain a wanted event, in order, with their positions.
    pub(crate) fn candidates<'a>(
        &self,
        text: &'a [u8],
        each: impl FnMut(usize, &'a [u8]),
    ) {
        match &self.search {
            Search::Everything => event::chunks(text, each),
            Search::Nothing => {}
            Search::Between(from, to) => between(text, *from, *to, each),
            Search::Needles(needles) => {
                let mut hits = Vec::new();
                for needle in needles {
                    hits.extend(needle.find_iter(text));
                }
                if needles.len() > 1 {
                    hits.sort_unstable();
                }
                lines_at(text, &hits, each);
            }
            Search::Failures => {
                let mut hits = Vec::new();
                hits::failures(text, &mut hits);
                lines_at(text, &hits, each);
            }
            Search::Durations(seconds) => {
                let mut hits = Vec::new();
                hits::durations(text, *seconds, &mut hits);
                lines_at(text, &hits, each);
            }
        }
    }
}

impl Filters {
    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        let Self {
            since,
            until,
            events,
            users,
            pids,
            commands,
            failed,
            slower,
            revs,
        } = self;
        since.is_none()
            && until.is_none()
            && events.is_empty()
            && users.is_empty()
            && pids.is_empty()
            && commands.is_empty()
            && !failed
            && slower.is_none()
            && revs.is_none()
    }
}

impl Filters {
    /// Whether a date is within the bounds.
    fn hold(&self, date: &Date) -> bool {
        self.since.is_none_or(|since| date.is_since(&since))
            && self.until.is_none_or(|until| date.is_until(&until))
    }

    /// The range of clock times of the wanted events.
    fn span(&self) -> Span {
        let from = self.since.map_or(i64::MIN, |since| {
            since.civil.min(since.unix).saturating_sub(MAX_SHIFT)
        });
        let to = self.until.map_or(i64::MAX, |until| {
            until.civil.max(until.unix).saturating_add(MAX_SHIFT)
        });
        Span { from, to }
    }

    /// Whether what a message says matters.
    fn need_facts(&self) -> bool {
        !self.events.is_empty()
            || !self.commands.is_empty()
            || self.failed
            || self.slower.is_some()
    }
}

impl Search {
    /// The rarest text that every wanted event contains.
    fn new(filters: &Filters) -> Self {
        let any = |needles: Vec<Vec<u8>>| {
            let finder = |needle: &Vec<u8>| Finder::new(needle).into_owned();
            Self::Needles(needles.iter().map(finder).collect())
        };
        if let Some(revs) = &filters.revs {
            if revs.is_empty() {
                return Self::Nothing;
            }
            if revs.len() <= MAX_NEEDLES {
                return any(revs.iter().cloned().collect());
            }
        }
        if !filters.pids.is_empty() {
            let needle = |pid| format!("{pid})").into_bytes();
            return any(filters.pids.iter().map(needle).collect());
        }
        if !filters.users.is_empty() {
            let needle = |user: &Vec<u8>| [b" ", user.as_slice()].concat();
            return any(filters.users.iter().map(needle).collect());
        }
        if filters.failed {
            return Self::Failures;
        }
        if let Some(seconds) = filters.slower {
            return Self::Durations(seconds);
        }
        if let Some(needles) = command_needles(&filters.commands) {
            return any(needles);
        }
        // Half of a log is ends of commands; dates are cheaper to look at.
        let is_bound = filters.since.is_some() || filters.until.is_some();
        let is_common =
            filters.events.iter().any(|event| event == message::FINISH);
        if !(is_bound && is_common)
            && let Some(needles) = event_needles(&filters.events)
        {
            return any(needles);
        }
        if is_bound {
            let Span { from, to } = filters.span();
            return Self::Between(Minute::of_civil(from), Minute::of_civil(to));
        }
        Self::Everything
    }
}

/// Texts that every event about one of these commands contains.
fn command_needles(commands: &[Glob]) -> Option<Vec<Vec<u8>>> {
    let mut needles = Vec::new();
    for command in commands {
        // Global options may precede it, and be between its words.
        let literal = command.longest_literal();
        let words = literal.split(|byte| *byte == b' ');
        let longest = words.max_by_key(|word| word.len())?;
        if longest.is_empty() {
            return None;
        }
        needles.push(longest.to_vec());
    }
    (!needles.is_empty()).then_some(needles)
}

/// Texts that every event with one of these names contains.
fn event_needles(events: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let mut needles = Vec::new();
    for event in events {
        // Nothing marks the beginning of a command.
        if event == message::COMMAND {
            return None;
        }
        needles.extend(message::needles(event));
    }
    (!needles.is_empty()).then_some(needles)
}

/// [`Query::candidates`] by places inside of them, in their order.
fn lines_at<'a>(
    text: &'a [u8],
    hits: &[usize],
    mut each: impl FnMut(usize, &'a [u8]),
) {
    let mut done = 0;
    for hit in hits {
        if *hit >= done {
            let start = event::chunk_start(text, *hit);
            done = event::chunk_end(text, start);
            each(start, &text[start..done]);
        }
    }
}

/// [`Query::candidates`] by dates. A line costs little as long as it has
/// hg's own layout, is out of range and can hold nothing but one record.
fn between<'a>(
    text: &'a [u8],
    from: Minute,
    to: Minute,
    mut each: impl FnMut(usize, &'a [u8]),
) {
    let mut out = OutsideRange::new(from, to);
    let mut at = 0;
    while at < text.len() {
        if out.holds(&text[at..])
            && let Some(end) = end_of_single(text, at)
        {
            at = end + 1;
            continue;
        }
        let end = event::line_end(text, at);
        if !line::is_beginning(&text[at..end]) {
            at = end + 1;
            continue;
        }
        let end = event::chunk_end(text, at);
        each(at, &text[at..end]);
        at = end;
    }
}

/// Where the line ends that begins at `start` with a date, unless it may hold
/// the beginning of another record.
fn end_of_single(text: &[u8], start: usize) -> Option<usize> {
    let mut from = start + dates::DEFAULT_LEN;
    let mut is_first = true;
    loop {
        let Some(len) = memchr::memchr2(b'\n', b'@', &text[from..]) else {
            return Some(text.len());
        };
        let at = from + len;
        if text[at] == b'\n' {
            return Some(at);
        }
        // A text like ` @0123` may belong to a record, unless it is the first
        // and has no room for a date before it.
        let is_like = text[at - 1] == b' '
            && text
                .get(at + 1)
                .is_some_and(|next| next.is_ascii_hexdigit() || *next == b'?');
        let is_own = is_first && at - start < NEAR;
        if is_like && !is_own {
            return None;
        }
        is_first = false;
        from = at + 1;
    }
}

#[cfg(test)]
pub(crate) mod tests;
