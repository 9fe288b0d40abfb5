//! Finds where the last events of a file begin.
//!
//! Responsible for reading a file backwards, and not further than needed.
//! Counts lines, as stock's `hg blackbox` does. Must not know other files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::anchor::HEAD_LEN;
use super::dates::DateFormat;
use super::event;
use super::line;

/// How much is read at a time.
const BLOCK: u64 = 128 * 1024;

/// How many blocks a step reads, so that the caller can be interrupted.
const STEP: usize = 256;

/// A search backwards through one file.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Lines that begin here or later have been counted.
    at: u64,
    len: u64,
}

/// What a step has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many of the wanted events were counted, and there may be more.
    Counted(usize),
    /// The file has only so many.
    All(usize),
    /// The position of the last wanted event.
    Found(u64),
}

impl Tail {
    /// A search in the first `len` bytes of a file.
    pub(crate) fn new(len: u64) -> Self {
        Self { at: len, len }
    }

    /// Continues; `want` more events are wanted, at least one.
    pub(crate) fn step(
        &mut self,
        file: &File,
        want: usize,
        format: &DateFormat,
    ) -> io::Result<Step> {
        let mut counted = 0;
        let mut buffer = Vec::new();
        for _ in 0..STEP {
            if self.at == 0 {
                return Ok(Step::All(counted));
            }
            let from = self.at.saturating_sub(BLOCK);
            // The byte before shows whether the first line begins there; the
            // heads of lines that begin just before the end are needed, too.
            let first = from.saturating_sub(1);
            let last = (self.at + HEAD_LEN as u64).min(self.len);
            read(file, first, last, &mut buffer)?;
            let own = usize::try_from(self.at - first).unwrap_or(0);
            let mut end = own.min(buffer.len());
            while end > 0 {
                let start = match memchr::memrchr(b'\n', &buffer[..end - 1]) {
                    Some(newline) => newline + 1,
                    None if from == 0 => 0,
                    None => break,
                };
                let this = &buffer[start..event::line_end(&buffer, start)];
                if line::is_counted(this, format) {
                    counted += 1;
                    if counted == want {
                        self.at = first + start as u64;
                        return Ok(Step::Found(self.at));
                    }
                }
                end = start;
            }
            self.at = from;
        }
        Ok(Step::Counted(counted))
    }
}

fn read(
    file: &File,
    from: u64,
    to: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.resize(usize::try_from(to - from).unwrap_or(0), 0);
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], from + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(())
}
