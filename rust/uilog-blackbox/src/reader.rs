//! Reads a blackbox: the last events, wanted events, and new ones.
//!
//! Responsible for the order of the files, for distributing the work over
//! threads, and for returning the results. Works in short steps, so that the
//! caller can interrupt it. Must not know which events are wanted, or who shows
//! them.

mod ahead;
#[cfg(test)]
mod tests;
use std::collections::VecDeque;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use self::ahead::READ_AHEAD;
use self::ahead::ReadAhead;
use super::dates::Date;
use super::dates::DateFormat;
use super::event;
use super::event::Event;
use super::files;
use super::files::FileId;
use super::files::LogFile;
use super::files::ReadError;
use super::message;
use super::query::Filters;
use super::query::Query;
use super::scan;
use super::scan::Findings;
use super::scan::Found;
use super::scan::LeadingLines;
use super::tail;
use super::tail::Tail;

/// What one thread searches at a time.
const PART: u64 = 2 * 1024 * 1024;
/// The most parts in one step.
const MAX_STEP: usize = 32;
/// The most threads. More would wait for memory.
const MAX_THREADS: usize = 8;
/// The most text that is handed out at once.
const MAX_TEXT: usize = 1024 * 1024;
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

/// A file, and how far it has been read.
#[derive(Debug)]
struct Source {
    log: Arc<LogFile>,
    /// What is before has been searched or is about to be.
    read_to: u64,
    /// Its size when it was last looked at.
    size: u64,
    /// Whether the last event in it was handed out, so that lines which
    /// continue it are to follow.
    is_last_shown: bool,
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

/// Part of a file.
#[derive(Debug)]
struct Part {
    log: Arc<LogFile>,
    range: Range<u64>,
    /// What is to be read of the file.
    len: u64,
}

/// Something to hand out.
#[derive(Clone, Debug)]
struct Piece {
    log: Arc<LogFile>,
    found: Found,
    /// Whether a newline is added if it has none.
    ends_line: bool,
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

    fn count_back(
        &mut self,
        left: usize,
        tail: Option<Tail>,
        want: usize,
    ) -> Result<Stage, ReadError> {
        let Some(source) = left.checked_sub(1).map(|at| &self.sources[at])
        else {
            return self.hand_out_from(0, 0).map(|()| Stage::Done);
        };
        let mut tail = tail.unwrap_or_else(|| Tail::new(source.read_to));
        let step = tail
            .step(&source.log.file, want, self.query.format())
            .map_err(|error| ReadError::new(&source.log.path, error))?;
        Ok(match step {
            tail::Step::Counted(count) => Stage::Tail {
                left,
                tail: Some(tail),
                want: want - count,
            },
            tail::Step::All(count) => Stage::Tail {
                left: left - 1,
                tail: None,
                want: want - count,
            },
            tail::Step::Found(start) => {
                self.hand_out_from(left - 1, start)?;
                Stage::Done
            }
        })
    }

    /// Hands out everything from a place on, as it is.
    fn hand_out_from(
        &mut self,
        first: usize,
        start: u64,
    ) -> Result<(), ReadError> {
        let newest = self.sources.len().saturating_sub(1);
        let mut from = start;
        for at in first..self.sources.len() {
            let source = &mut self.sources[at];
            let end = source.read_to;
            source.is_last_shown = true;
            let found = Found {
                start: std::mem::take(&mut from),
                end,
                is_damaged: false,
            };
            if self.count_damaged {
                let all =
                    Query::new(Filters::default(), self.query.format().clone());
                let range = found.start..end;
                let log = &source.log;
                let findings =
                    search(log, range, end, LeadingLines::Judge, &all)
                        .map_err(|error| ReadError::new(&log.path, error))?;
                let found = findings.found.iter();
                self.damaged +=
                    found.filter(|found| found.is_damaged).count() as u64;
            }
            self.ready.push_back(Piece {
                log: Arc::clone(&source.log),
                found,
                ends_line: at < newest,
            });
        }
        Ok(())
    }

    fn search_back(
        &mut self,
        mut parts: Vec<Part>,
        step: usize,
        mut found: VecDeque<Piece>,
    ) -> Result<Stage, ReadError> {
        let taken = parts.split_off(parts.len().saturating_sub(step));
        for piece in self.search_parts(&taken)?.into_iter().rev() {
            found.push_front(piece);
        }
        if parts.is_empty() || found.len() >= self.limit {
            let surplus = found.len().saturating_sub(self.limit);
            found.drain(..surplus);
            self.surplus = surplus as u64;
            self.unsearched = parts;
            self.ready.append(&mut found);
            return Ok(Stage::Done);
        }
        let step = (step * 2).min(MAX_STEP);
        Ok(Stage::Backwards { parts, step, found })
    }

    fn search_on(&mut self, mut parts: Vec<Part>) -> Result<Stage, ReadError> {
        let mut taken = parts.split_off(parts.len().saturating_sub(MAX_STEP));
        taken.reverse();
        let pieces = self.search_parts(&taken)?;
        self.ready.extend(pieces);
        Ok(if parts.is_empty() {
            Stage::Done
        } else {
            Stage::Forwards { parts }
        })
    }

    /// What is wanted in these parts, in their order.
    fn search_parts(
        &mut self,
        parts: &[Part],
    ) -> Result<Vec<Piece>, ReadError> {
        let mut pieces = Vec::new();
        let newest = self.sources.last().map(|newest| newest.log.id);
        for (part, findings) in parts.iter().zip(search_all(parts, &self.query))
        {
            let findings = findings
                .map_err(|error| ReadError::new(&part.log.path, error))?;
            self.undated += findings.undated;
            if findings.found.last().is_some_and(|f| f.end == part.len) {
                let mut sources = self.sources.iter_mut();
                if let Some(source) = sources.find(|s| s.log.id == part.log.id)
                {
                    source.is_last_shown = true;
                }
            }
            let is_newest = newest == Some(part.log.id);
            pieces.extend(findings.found.into_iter().map(|found| Piece {
                log: Arc::clone(&part.log),
                ends_line: !(is_newest && found.end == part.len),
                found,
            }));
        }
        Ok(pieces)
    }

    /// Looks for events that have been logged since the last look; they can
    /// then be had as before. All that was ready must have been taken.
    ///
    /// Every file is read on to its end, also when it has been rotated: a
    /// writer that has opened it before still writes to it.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn poll(&mut self) -> Result<(), ReadError> {
        let known: Vec<FileId> =
            self.sources.iter().map(|s| s.log.id).collect();
        let opened = files::open(&self.path, &known)?;
        // Somebody may have cut a file off and begun it anew.
        self.ahead.forget();
        self.sources
            .extend(opened.files.into_iter().map(|log| Source {
                read_to: 0,
                ..Source::whole(log)
            }));
        let newest = self.sources.len().saturating_sub(1);
        for at in 0..self.sources.len() {
            let source = &mut self.sources[at];
            let log = Arc::clone(&source.log);
            let Some(range) = source.news(at == newest)? else {
                continue;
            };
            let end = range.end;
            let piece = |found| Piece {
                log: Arc::clone(&log),
                found,
                ends_line: true,
            };
            if self.is_plain {
                self.ready.push_back(piece(Found {
                    start: range.start,
                    end,
                    is_damaged: false,
                }));
                continue;
            }
            let lead = if range.start == 0 {
                LeadingLines::Judge
            } else {
                LeadingLines::Skip
            };
            let findings = search(&log, range.clone(), end, lead, &self.query)
                .map_err(|error| ReadError::new(&log.path, error))?;
            self.undated += findings.undated;
            let first = findings.first.unwrap_or(end);
            if lead == LeadingLines::Skip
                && source.is_last_shown
                && first > range.start
            {
                self.ready.push_back(piece(Found {
                    start: range.start,
                    end: first,
                    is_damaged: false,
                }));
            }
            if lead == LeadingLines::Judge || first < end {
                source.is_last_shown =
                    findings.found.last().is_some_and(|f| f.end == end);
            }
            self.ready.extend(findings.found.into_iter().map(piece));
        }
        let mut at = 0;
        self.sources.retain(|source| {
            at += 1;
            at > newest || !source.is_gone()
        });
        Ok(())
    }
}

impl Source {
    fn whole(log: LogFile) -> Self {
        Self {
            read_to: log.len,
            size: log.len,
            log: Arc::new(log),
            is_last_shown: false,
        }
    }

    /// What is to be searched.
    fn parts(
        &self,
        query: &Query,
    ) -> Result<impl Iterator<Item = Part>, ReadError> {
        let log = &self.log;
        let len = self.read_to;
        let range = query
            .part_of(&log.file, len)
            .map_err(|error| ReadError::new(&log.path, error))?;
        let count = (range.end - range.start).div_ceil(PART);
        Ok((0..count).map(move |number| {
            let start = range.start + number * PART;
            Part {
                log: Arc::clone(log),
                range: start..(start + PART).min(range.end),
                len,
            }
        }))
    }

    /// What there is to read since the last time: whole lines, and the rest
    /// as well once nobody writes to it any more.
    fn news(
        &mut self,
        is_newest: bool,
    ) -> Result<Option<Range<u64>>, ReadError> {
        let metadata = self.log.file.metadata();
        let size = metadata
            .map_err(|error| ReadError::new(&self.log.path, error))?
            .len();
        if size < self.read_to {
            // Somebody has cut it off, and it begins anew.
            self.read_to = 0;
        }
        let is_quiet = std::mem::replace(&mut self.size, size) == size;
        let end = if is_quiet && !is_newest {
            size
        } else {
            self.last_line_end(self.read_to)?
        };
        let start = self.read_to;
        self.read_to = end;
        Ok((end > start).then_some(start..end))
    }

    /// Where the last whole line ends that does so behind `from`; else that.
    fn last_line_end(&self, from: u64) -> Result<u64, ReadError> {
        let mut end = self.size;
        let mut block = vec![0; READ_AHEAD];
        while end > from {
            let start = end.saturating_sub(READ_AHEAD as u64).max(from);
            let len = usize::try_from(end - start).unwrap_or(READ_AHEAD);
            let block = &mut block[..len];
            match self.log.file.read_exact_at(block, start) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    // It has just been cut off; the next look tells more.
                    return Ok(from);
                }
                Err(error) => {
                    return Err(ReadError::new(&self.log.path, error));
                }
            }
            if let Some(newline) = memchr::memrchr(b'\n', block) {
                return Ok(start + newline as u64 + 1);
            }
            end = start;
        }
        Ok(from)
    }

    /// Whether it has no name any more and nothing in it that was not read.
    fn is_gone(&self) -> bool {
        let metadata = self.log.file.metadata();
        metadata.is_ok_and(|it| it.nlink() == 0 && it.len() <= self.read_to)
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
            None => message::Facts::default(),
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

/// Searches a part on this thread.
fn search(
    log: &LogFile,
    range: Range<u64>,
    len: u64,
    lead: LeadingLines,
    query: &Query,
) -> io::Result<Findings> {
    scan::scan(&log.file, range, len, lead, query, &mut Vec::new())
}

/// Searches all of these parts, on as many threads as help.
fn search_all(parts: &[Part], query: &Query) -> Vec<io::Result<Findings>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(parts.len()));
    let work = || {
        let mut buffer = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(at) else { break };
            let lead = if part.range.start == 0 {
                LeadingLines::Judge
            } else {
                LeadingLines::Skip
            };
            let range = part.range.clone();
            let file = &part.log.file;
            let findings =
                scan::scan(file, range, part.len, lead, query, &mut buffer);
            let mut results =
                results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((at, findings));
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MAX_THREADS).min(parts.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            // This thread does what others cannot be had for.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results =
        results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, findings)| findings).collect()
}
