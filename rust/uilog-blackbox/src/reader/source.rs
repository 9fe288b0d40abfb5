//! A file of the blackbox, and how far it has been read.
//!
//! Must not know which events are wanted.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::files::LogFile;
use crate::files::ReadError;
use crate::query::Query;
use crate::reader::ahead::READ_AHEAD;

/// What one thread searches at a time.
const PART: u64 = 2 * 1024 * 1024;

/// A file, and how far it has been read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) log: Arc<LogFile>,
    /// What is before has been searched or is about to be.
    pub(super) read_to: u64,
    /// Its size when it was last looked at.
    pub(super) size: u64,
    /// Whether the last event in it was handed out, so that lines which
    /// continue it are to follow.
    pub(super) is_last_shown: bool,
}

/// Part of a file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) log: Arc<LogFile>,
    pub(super) range: Range<u64>,
    /// What is to be read of the file.
    pub(super) len: u64,
}

impl Source {
    pub(super) fn whole(log: LogFile) -> Self {
        Self {
            read_to: log.len,
            size: log.len,
            log: Arc::new(log),
            is_last_shown: false,
        }
    }

    /// What is to be searched.
    pub(super) fn parts(
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
    pub(super) fn news(
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
    pub(super) fn last_line_end(&self, from: u64) -> Result<u64, ReadError> {
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
    pub(super) fn is_gone(&self) -> bool {
        let metadata = self.log.file.metadata();
        metadata.is_ok_and(|it| it.nlink() == 0 && it.len() <= self.read_to)
    }
}
