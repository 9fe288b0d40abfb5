//! Reads files of records, with all processors.
//!
//! Responsible for dividing files into blocks, for whole lines, and for what
//! could not be read. A block is read into memory and not mapped: if the file
//! were truncated meanwhile, a mapping would end the process, and reading
//! cached data is as fast. Must not know what is wanted.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use memchr::memchr;
use memchr::memrchr;
use uilog_blackbox::line;
use uilog_sys::foreign_file;

use crate::filter;
use crate::filter::Query;
use crate::record::Record;
use crate::record::Unreadable;

/// How much a thread reads at a time.
const BLOCK: u64 = 1 << 20;
/// How much more is read if the last line of a block goes on.
const MORE: usize = 64 << 10;
/// How many bytes of a file are read to recognize its kind.
const FIRST: usize = 4 << 10;
/// A line that is longer is damaged: a message has 10 MB at most.
const MAX_LINE: usize = 64 << 20;

/// A text with lines.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is, for messages.
    pub path: PathBuf,
    text: Text,
    len: u64,
}

#[derive(Clone, Debug)]
enum Text {
    File(Arc<File>),
    Memory(Arc<Vec<u8>>),
}

impl Source {
    /// A file; its present length counts.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no regular file.
    pub fn open(path: &Path) -> Result<Self, foreign_file::Error> {
        let (file, metadata) = foreign_file::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            text: Text::File(Arc::new(file)),
            len: metadata.len(),
        })
    }

    /// A text that is in memory.
    pub fn memory(path: &Path, text: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            len: text.len() as u64,
            text: Text::Memory(Arc::new(text)),
        }
    }

    /// Whether it is a blackbox, and holds no records.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn is_blackbox(&self) -> io::Result<bool> {
        let mut text = Vec::new();
        self.read(0, FIRST, &mut text)?;
        let end = memchr(b'\n', &text).unwrap_or(text.len());
        Ok(line::is_beginning(&text[..end]))
    }

    /// Its length.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same without a line at the end that is not whole yet.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn until_line_end(mut self) -> io::Result<Self> {
        let mut end = self.len;
        let mut text = Vec::new();
        while end > 0 {
            let start = end.saturating_sub(MORE as u64);
            text.clear();
            let len = usize::try_from(end - start).unwrap_or(MORE);
            self.read(start, len, &mut text)?;
            if let Some(at) = memrchr(b'\n', &text) {
                self.len = start + at as u64 + 1;
                return Ok(self);
            }
            end = start;
        }
        self.len = 0;
        Ok(self)
    }

    /// Device and inode, if it is a file.
    pub fn id(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let Text::File(file) = &self.text else {
            return None;
        };
        let metadata = file.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Appends up to `len` bytes at a position.
    fn read(&self, at: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        match &self.text {
            Text::Memory(text) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                let start = start.min(text.len());
                let end = start.saturating_add(len).min(text.len());
                out.extend_from_slice(&text[start..end]);
            }
            Text::File(file) => {
                let before = out.len();
                out.resize(before + len, 0);
                let mut filled = before;
                while filled < out.len() {
                    let place = at + (filled - before) as u64;
                    match file.read_at(&mut out[filled..], place) {
                        // The file was truncated.
                        Ok(0) => break,
                        Ok(more) => filled += more,
                        Err(error)
                            if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            out.truncate(filled);
                            return Err(error);
                        }
                    }
                }
                out.truncate(filled);
            }
        }
        Ok(())
    }
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinePosition {
    /// The number of its source.
    pub source: usize,
    /// Where it begins there.
    pub at: u64,
    /// How long it is.
    pub len: usize,
}

/// Reads a line that has been found.
///
/// # Errors
///
/// It cannot be read any more.
pub fn line_at(sources: &[Source], place: LinePosition) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    sources[place.source].read(place.at, place.len, &mut line)?;
    Ok(line)
}

/// A record that is wanted.
#[derive(Debug)]
pub struct Match<'a> {
    /// It.
    pub record: Record<'a>,
    /// Its line.
    pub line: &'a [u8],
    /// Microseconds since 1970.
    pub time: i64,
    /// Seconds that its zone is ahead of UTC.
    pub offset: i32,
    /// Where it is.
    pub place: LinePosition,
}

/// What could not be read.
#[derive(Debug, Default)]
pub struct Problems {
    /// Lines that are no records.
    pub damaged: u64,
    /// Records of a later uilog.
    pub later: u64,
    /// Files, and why.
    pub files: Vec<(PathBuf, String)>,
}

/// A part of a source whose lines begin in it.
#[derive(Clone, Copy, Debug)]
struct Block {
    source: usize,
    start: u64,
    end: u64,
}

/// Calls `each` with every wanted record. Each thread has its own state; all
/// are returned.
pub fn scan<S: Default + Send>(
    sources: &[Source],
    query: &Query,
    each: impl Fn(&mut S, Match<'_>) + Sync,
) -> (Vec<S>, Problems) {
    scan_from(sources, &vec![0; sources.len()], query, each)
}

/// The same from these places on, one for each source.
pub fn scan_from<S: Default + Send>(
    sources: &[Source],
    from: &[u64],
    query: &Query,
    each: impl Fn(&mut S, Match<'_>) + Sync,
) -> (Vec<S>, Problems) {
    let blocks: Vec<_> = sources
        .iter()
        .zip(from)
        .enumerate()
        .flat_map(|(source, (it, from))| blocks(source, *from, it.len))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut state = S::default();
        let mut problems = Problems::default();
        let mut buffer = Vec::new();
        while let Some(block) =
            blocks.get(next.fetch_add(1, Ordering::Relaxed)).copied()
        {
            let is_first = block.start == from[block.source];
            let read = read_block(
                &sources[block.source],
                block,
                is_first,
                &mut buffer,
                |at, line| {
                    let place = LinePosition {
                        source: block.source,
                        at,
                        len: line.len(),
                    };
                    judge(query, line, place, &mut problems, |found| {
                        each(&mut state, found);
                    });
                },
            );
            if let Err(error) = read {
                let path = sources[block.source].path.clone();
                problems.files.push((path, error.to_string()));
            }
        }
        (state, problems)
    };
    let threads = thread::available_parallelism().map_or(1, |it| it.get());
    let threads = threads.min(blocks.len()).max(1);
    let results = thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .filter_map(|_| {
                thread::Builder::new().spawn_scoped(scope, work).ok()
            })
            .collect();
        let mut results = vec![work()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    let mut states = Vec::new();
    let mut problems = Problems::default();
    for (state, own) in results {
        states.push(state);
        problems.damaged += own.damaged;
        problems.later += own.later;
        problems.files.extend(own.files);
    }
    problems.files.sort();
    problems.files.dedup_by(|a, b| a.0 == b.0);
    (states, problems)
}

fn blocks(source: usize, from: u64, len: u64) -> impl Iterator<Item = Block> {
    (0..len.saturating_sub(from).div_ceil(BLOCK)).map(move |number| {
        let start = from + number * BLOCK;
        Block {
            source,
            start,
            end: (start + BLOCK).min(len),
        }
    })
}

/// Calls `each` with the lines that begin in a block, and where.
fn read_block(
    source: &Source,
    block: Block,
    is_first: bool,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(u64, &[u8]),
) -> io::Result<()> {
    buffer.clear();
    // A line begins behind the end of another one, which may be in the block
    // before.
    let from = block.start - u64::from(!is_first);
    let len = usize::try_from(block.end - from).unwrap_or(usize::MAX);
    source.read(from, len, buffer)?;
    // All that is beyond the block belongs to its last line.
    let last = memrchr(b'\n', buffer).map_or(0, |at| at + 1);
    let mut at = buffer.len();
    let goes_on = last < buffer.len() && block.end < source.len;
    while goes_on && at - last <= MAX_LINE {
        source.read(from + at as u64, MORE, buffer)?;
        if buffer.len() == at {
            break;
        }
        if let Some(end) = memchr(b'\n', &buffer[at..]) {
            buffer.truncate(at + end);
            break;
        }
        at = buffer.len();
    }
    let mut start = match is_first {
        true => 0,
        false => match memchr(b'\n', buffer) {
            Some(end) => end + 1,
            None => return Ok(()),
        },
    };
    while start < buffer.len() {
        let end = memchr(b'\n', &buffer[start..]);
        let end = end.map_or(buffer.len(), |len| start + len);
        let line = &buffer[start..end];
        if !line.trim_ascii().is_empty() {
            each(from + start as u64, line);
        }
        start = end + 1;
    }
    Ok(())
}

#[inline]
fn judge(
    query: &Query,
    line: &[u8],
    place: LinePosition,
    problems: &mut Problems,
    each: impl FnOnce(Match<'_>),
) {
    if !query.may_want(line) {
        return;
    }
    match filter::read(query, line) {
        Ok(None) => {}
        Ok(Some((record, time, offset))) => each(Match {
            record,
            line,
            time,
            offset,
            place,
        }),
        Err(Unreadable::Damaged) => problems.damaged += 1,
        Err(Unreadable::Later) => problems.later += 1,
    }
}

/// All of a source.
#[cfg(test)]
pub(crate) fn text(source: &Source) -> io::Result<String> {
    let mut text = Vec::new();
    source.read(0, usize::try_from(source.len).unwrap(), &mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;

    use super::*;
    use crate::filter::Filters;

    fn line(number: usize, padding: usize) -> String {
        format!(
            r#"{{"schema":1,"id":"a-{number}","event":"command","time":"2026-11-30T09:12:44.120733+01:00","session":"a","seq":1,"message":"{}","process":{{"pid":1}},"host":{{"name":"h"}}}}"#,
            "x".repeat(padding)
        )
    }

    fn ids(sources: &[Source]) -> (Vec<String>, Problems) {
        let query = Query::new(Filters::default());
        let each = |ids: &mut Vec<String>, found: Match<'_>| {
            let again = line_at(sources, found.place).unwrap();
            assert_eq!(again, found.line);
            ids.push(found.record.id.as_str().to_owned());
        };
        let (ids, problems) = scan(sources, &query, each);
        (ids.concat(), problems)
    }

    #[test]
    fn each_line_is_read_once_wherever_blocks_end() {
        let mut text = Vec::new();
        let count = 5000;
        for number in 0..count {
            // Lines of many lengths, one of them longer than two blocks.
            let padding = match number {
                77 => 3 << 20,
                _ => number * 37 % 2000,
            };
            writeln!(text, "{}", line(number, padding)).unwrap();
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&text).unwrap();
        let in_memory = Source::memory(Path::new("-"), text);
        for source in [Source::open(file.path()).unwrap(), in_memory] {
            let (ids, problems) = ids(&[source]);
            let all: BTreeSet<_> = ids.iter().collect();
            assert_eq!((ids.len(), all.len()), (count, count));
            assert_eq!(problems.damaged, 0);
        }
    }

    #[test]
    fn a_line_that_ends_with_a_block_is_read_once() {
        let first = line(0, 0).len();
        for more in [0, 1, 2] {
            let padding = BLOCK as usize - first - more;
            let text = format!("{}\n{}\n", line(0, padding), line(1, 0));
            let source = Source::memory(Path::new("-"), text.into_bytes());
            assert_eq!(ids(&[source]).0.len(), 2, "{more}");
        }
    }

    #[test]
    fn what_is_no_record_is_counted() {
        let text = format!("x\n\n{}\n{{\"schema\":9}}\n{{", line(1, 0));
        let source = Source::memory(Path::new("-"), text.into_bytes());
        let (ids, problems) = ids(&[source]);
        assert_eq!(ids, ["a-1"]);
        assert_eq!((problems.damaged, problems.later), (2, 1));
    }
}
