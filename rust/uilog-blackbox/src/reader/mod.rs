//! Reads a blackbox: the last events, wanted events, and new ones.
//!
//! Responsible for the order of the files, for distributing the work over
//! threads, and for returning the results. Works in short steps, so that the
//! caller can interrupt it. Must not know which events are wanted, or who shows
//! them.

mod ahead;
mod following;
mod search;
mod searching;
mod source;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;

use self::ahead::ReadAhead;
use self::search::MAX_TEXT;
use self::search::Piece;
use self::source::Part;
use self::source::Source;
use super::dates::Date;
use super::dates::DateFormat;
use super::event;
use super::event::Event;
use super::files;
use super::files::ReadError;
use super::message;
use super::parsed_message::ParsedMessage;
use super::query::Filters;
use super::query::Query;
use super::scan;
use super::tail::Tail;

/// The most parts in one step.
const MAX_STEP: usize = 32;

/// The most events that are handed out at once.
const MAX_EVENTS: usize = 1000;

/// What is at the end of a message of which the rest is left out.
const TRUNCATED: &[u8] = b" (truncated)";

/// What to read.
#[derive(Debug, Default)]
pub struct Options {
    /// Which events.
    pub filters: Filters,
    /// How dates are read.
    pub format: DateFormat,
    /// How many events, the newest; 0 is all.
    pub limit: usize,
    /// Whether single events are asked for ([`Reader::next_events`]) and not
    /// text.
    pub as_events: bool,
    /// Whether more will be asked for as it comes ([`Reader::poll`]).
    pub follow: bool,
    /// Whether [`Reader::damaged`] counts without filters, too.
    pub count_damaged: bool,
}

/// An event, with what its line and its message say.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it was logged.
    pub date: Option<Date>,
    /// Who ran hg.
    pub user: Option<Vec<u8>>,
    /// hg's process.
    pub pid: Option<u64>,
    /// The working directory's parents, full hashes.
    pub parents: Vec<Vec<u8>>,
    /// Whether the working directory had changes.
    pub is_dirty: bool,
    /// The event's name.
    pub event: Option<Vec<u8>>,
    /// The command, without `hg`.
    pub command: Option<Vec<u8>>,
    /// The command's return code.
    pub return_code: Option<i64>,
    /// Seconds.
    pub duration: Option<f64>,
    /// What else an event of uilog's own says, by the names of its options.
    pub options: Vec<(&'static str, Vec<u8>)>,
    /// The message with its continuation lines and without its last newline.
    pub message: Vec<u8>,
    /// Whether a write was torn here.
    pub is_damaged: bool,
    /// The file it is in.
    pub path: PathBuf,
}

/// A blackbox that is being read.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// The oldest first.
    sources: Vec<Source>,
    unreadable: Vec<ReadError>,
    query: Query,
    limit: usize,
    /// Whether what is shown is the files as they are.
    is_plain: bool,
    count_damaged: bool,
    stage: Stage,
    /// What was found and not yet handed out.
    ready: VecDeque<Piece>,
    ahead: ReadAhead,
    damaged: u64,
    undated: u64,
    /// What was found beyond the limit, and what was not searched then.
    surplus: u64,
    unsearched: Vec<Part>,
}

/// What is left to do with the files as they were at the beginning.
#[derive(Debug)]
enum Stage {
    /// Count lines backwards. The number of sources that are left, and the
    /// search through the last of them.
    Tail {
        left: usize,
        tail: Option<Tail>,
        want: usize,
    },
    /// Search from the end. The parts that are left, and how many at once.
    Backwards {
        parts: Vec<Part>,
        step: usize,
        found: VecDeque<Piece>,
    },
    /// Search from the beginning. The parts that are left, the last first.
    Forwards {
        parts: Vec<Part>,
    },
    Done,
}

impl Reader {
    /// Opens the blackbox at `path`. There may be none.
    ///
    /// # Errors
    ///
    /// The current file is there and cannot be read.
    pub fn open(path: &Path, options: Options) -> Result<Self, ReadError> {
        let opened = files::open(path, &[])?;
        let mut sources: Vec<Source> =
            opened.files.into_iter().map(Source::whole).collect();
        if let Some(newest) = sources.last_mut().filter(|_| options.follow) {
            // A line that is just being written is left to poll().
            newest.read_to = newest.last_line_end(0)?;
        }
        let is_plain = options.filters.is_empty() && !options.as_events;
        let query = Query::new(options.filters, options.format);
        let stage = if is_plain {
            Stage::Tail {
                left: sources.len(),
                tail: None,
                want: options.limit,
            }
        } else {
            let mut parts: Vec<Part> = Vec::new();
            for source in &sources {
                parts.extend(source.parts(&query)?);
            }
            if options.limit > 0 {
                let found = VecDeque::new();
                Stage::Backwards {
                    parts,
                    step: 1,
                    found,
                }
            } else {
                parts.reverse();
                Stage::Forwards { parts }
            }
        };
        let mut reader = Self {
            path: path.to_owned(),
            sources,
            unreadable: opened.unreadable,
            query,
            limit: options.limit,
            is_plain,
            count_damaged: options.count_damaged,
            stage,
            ready: VecDeque::new(),
            ahead: ReadAhead::default(),
            damaged: 0,
            undated: 0,
            surplus: 0,
            unsearched: Vec::new(),
        };
        if is_plain && (options.limit == 0 || reader.sources.is_empty()) {
            reader.stage = Stage::Done;
            reader.hand_out_from(0, 0)?;
        }
        Ok(reader)
    }

    /// Rotated files that cannot be read.
    pub fn unreadable(&self) -> &[ReadError] {
        &self.unreadable
    }

    /// How many torn writes there were among what was handed out.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// How many events were kept out because their dates cannot be read.
    pub fn undated(&self) -> u64 {
        self.undated
    }

    /// How many wanted events there were beyond the limit: searches all that
    /// has not been searched. For when all has been taken, and nothing is
    /// followed.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn left_out(&mut self) -> Result<u64, ReadError> {
        let parts = std::mem::take(&mut self.unsearched);
        let undated = self.undated;
        for parts in parts.chunks(MAX_STEP) {
            self.surplus += self.search_parts(parts)?.len() as u64;
        }
        self.undated = undated;
        Ok(self.surplus)
    }

    /// The next piece of the wanted events' text; empty if there may be some
    /// but none has been found yet, `None` if there is no more.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn next_text(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        if !self.is_ready()? {
            return Ok(None);
        }
        let mut text = Vec::new();
        while text.len() < MAX_TEXT {
            let Some(piece) = self.ready.front_mut() else {
                break;
            };
            let room = MAX_TEXT - text.len();
            let found = &mut piece.found;
            let left = usize::try_from(found.end - found.start);
            let count = left.map_or(room, |left| left.min(room));
            let read =
                self.ahead.read(&piece.log, found.start, count, &mut text)?;
            found.start += read as u64;
            // The file may have been cut off.
            if found.start < found.end && read == count {
                continue;
            }
            if piece.ends_line && text.last().is_some_and(|b| *b != b'\n') {
                text.push(b'\n');
            }
            self.damaged += u64::from(piece.found.is_damaged);
            self.ready.pop_front();
        }
        Ok(Some(text))
    }

    /// The next of the wanted events; none if there may be some but none has
    /// been found yet, `None` if there are no more.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn next_events(&mut self) -> Result<Option<Vec<Entry>>, ReadError> {
        if !self.is_ready()? {
            return Ok(None);
        }
        let mut entries = Vec::new();
        let mut total = 0;
        while entries.len() < MAX_EVENTS && total < MAX_TEXT {
            let Some(piece) = self.ready.pop_front() else {
                break;
            };
            let found = piece.found;
            let len = usize::try_from(found.end - found.start);
            let count = len.map_or(scan::MAX_KEPT, |l| l.min(scan::MAX_KEPT));
            let mut text = Vec::new();
            self.ahead.read(&piece.log, found.start, count, &mut text)?;
            total += text.len();
            let format = self.query.format();
            let mut entry = Entry::new(&text, format, &piece.log.path);
            if len.is_ok_and(|len| len > count) {
                entry.message.extend_from_slice(TRUNCATED);
            }
            entry.is_damaged = found.is_damaged;
            self.damaged += u64::from(found.is_damaged);
            entries.push(entry);
        }
        Ok(Some(entries))
    }

    /// Whether there is or may be something to hand out.
    fn is_ready(&mut self) -> Result<bool, ReadError> {
        if !self.ready.is_empty() {
            return Ok(true);
        }
        if matches!(self.stage, Stage::Done) {
            return Ok(false);
        }
        self.advance()?;
        Ok(true)
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Tail { left, tail, want } => {
                self.count_back(left, tail, want)?
            }
            Stage::Backwards { parts, step, found } => {
                self.search_back(parts, step, found)?
            }
            Stage::Forwards { parts } => self.search_on(parts)?,
            Stage::Done => Stage::Done,
        };
        Ok(())
    }
}

impl Entry {
    fn new(text: &[u8], format: &DateFormat, path: &Path) -> Self {
        let events = event::of_chunk(text, format);
        let nothing = Event {
            start: 0,
            end: text.len(),
            header: None,
            message: text,
            is_damaged: false,
        };
        let event = events.into_iter().next().unwrap_or(nothing);
        let header = event.header.as_ref();
        let own = |bytes: &[u8]| bytes.to_vec();
        let facts = match header {
            Some(header) => message::facts(event.message, header.event),
            None => ParsedMessage::default(),
        };
        Self {
            date: header.and_then(|header| format.read(header.date)),
            user: header.and_then(|header| header.user).map(own),
            pid: header.and_then(|header| header.pid),
            parents: header
                .map(|header| header.parents().map(own).collect())
                .unwrap_or_default(),
            is_dirty: header.is_some_and(|header| header.is_dirty),
            event: facts.event.map(own),
            command: facts.command.map(own),
            return_code: facts.return_code,
            duration: facts.duration,
            options: facts
                .options
                .iter()
                .map(|(name, value)| (*name, value.to_vec()))
                .collect(),
            message: own(event.message),
            is_damaged: event.is_damaged,
            path: path.to_owned(),
        }
    }
}
