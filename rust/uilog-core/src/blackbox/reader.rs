//! Reading a blackbox: the last events, wanted events, and new ones.
//!
//! Responsible for going through the files in their order, for spreading the
//! work over threads, and for handing out what was found. Works in steps that
//! are short enough for whoever wants to interrupt it. Must not know which
//! events are wanted, nor who shows them.

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
use super::scan::Lead;
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
/// How much is read at once for many short events.
const READ_AHEAD: usize = 64 * 1024;

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
    ahead: Ahead,
    damaged: u64,
    undated: u64,
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
        let stage = if is_plain {
            Stage::Tail {
                left: sources.len(),
                tail: None,
                want: options.limit,
            }
        } else {
            let mut parts: Vec<Part> =
                sources.iter().flat_map(Source::parts).collect();
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
            query: Query::new(options.filters, options.format),
            limit: options.limit,
            is_plain,
            count_damaged: options.count_damaged,
            stage,
            ready: VecDeque::new(),
            ahead: Ahead::default(),
            damaged: 0,
            undated: 0,
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
                let findings = search(log, range, end, Lead::Judge, &all)
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
                Lead::Judge
            } else {
                Lead::Skip
            };
            let findings = search(&log, range.clone(), end, lead, &self.query)
                .map_err(|error| ReadError::new(&log.path, error))?;
            self.undated += findings.undated;
            let first = findings.first.unwrap_or(end);
            if lead == Lead::Skip && source.is_last_shown && first > range.start
            {
                self.ready.push_back(piece(Found {
                    start: range.start,
                    end: first,
                    is_damaged: false,
                }));
            }
            if lead == Lead::Judge || first < end {
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

    fn parts(&self) -> impl Iterator<Item = Part> {
        let end = self.read_to;
        let count = end.div_ceil(PART);
        (0..count).map(move |number| Part {
            log: Arc::clone(&self.log),
            range: number * PART..((number + 1) * PART).min(end),
            len: end,
        })
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
            message: own(event.message),
            is_damaged: event.is_damaged,
            path: path.to_owned(),
        }
    }
}

/// What was read last, of which the next event may be a part.
#[derive(Debug, Default)]
struct Ahead {
    id: Option<FileId>,
    start: u64,
    block: Vec<u8>,
}

impl Ahead {
    /// Appends what is in a file at `start`; how much that is, less than
    /// `count` only if the file ends there.
    fn read(
        &mut self,
        log: &LogFile,
        start: u64,
        count: usize,
        into: &mut Vec<u8>,
    ) -> Result<usize, ReadError> {
        let wrong = |error| ReadError::new(&log.path, error);
        if count >= READ_AHEAD {
            let filled = into.len();
            into.resize(filled + count, 0);
            let read = read_at(log, &mut into[filled..], start);
            into.truncate(filled + *read.as_ref().unwrap_or(&0));
            return read.map_err(wrong);
        }
        let end = self.start + self.block.len() as u64;
        let is_in = self.id == Some(log.id)
            && (self.start..=end).contains(&start)
            && start + count as u64 <= end;
        if !is_in {
            self.block.resize(READ_AHEAD, 0);
            self.id = None;
            let read = read_at(log, &mut self.block, start).map_err(wrong)?;
            self.block.truncate(read);
            self.start = start;
            self.id = Some(log.id);
        }
        let from = usize::try_from(start - self.start).unwrap_or(usize::MAX);
        let rest = self.block.get(from..).unwrap_or_default();
        let found = &rest[..rest.len().min(count)];
        into.extend_from_slice(found);
        Ok(found.len())
    }
}

fn read_at(log: &LogFile, into: &mut [u8], start: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        let at = start + filled as u64;
        match log.file.read_at(&mut into[filled..], at) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Searches a part on this thread.
fn search(
    log: &LogFile,
    range: Range<u64>,
    len: u64,
    lead: Lead,
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
                Lead::Judge
            } else {
                Lead::Skip
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use proptest::prelude::*;
    use proptest::sample::Index;
    use tempfile::TempDir;

    use super::super::line;
    use super::super::query::Verdict;
    use super::super::query::tests::queries;
    use super::*;

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
        let event =
            proptest::sample::select(vec!["", "", " [mine]", " [command]"]);
        let record = (date, user, hash, 0..20_u32, event, message).prop_map(
            |(date, user, hash, pid, event, message)| {
                format!("{date} {user} @{hash} ({pid}){event}> {message}\n")
            },
        );
        let old = Just("2026/11/02 12:00:07 bob (5)> x\n".to_owned());
        let other =
            proptest::sample::select(vec!["\n", "x\n", "\0\n", "@ > \n"]);
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
    fn naive(text: &[u8], query: &Query) -> (Vec<Found>, u64) {
        let mut found = Vec::new();
        let mut undated = 0;
        event::chunks(text, |at, chunk| {
            for event in event::of_chunk(chunk, query.format()) {
                match query.judge(&event) {
                    Verdict::Wanted => found.push(Found {
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
                search(&log, 0..log.len, log.len, Lead::Judge, &query).unwrap();
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
                let lead = if is_first { Lead::Judge } else { Lead::Skip };
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
}
