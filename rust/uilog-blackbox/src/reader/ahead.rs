//! Reads events at known positions in a file, one after the other.
//!
//! Responsible for reading each block once for many of them. Must not know what
//! an event is.

use std::io;
use std::os::unix::fs::FileExt;

use crate::files::FileId;
use crate::files::LogFile;
use crate::files::ReadError;

/// How much is read at once for many short events.
pub(super) const READ_AHEAD: usize = 64 * 1024;

/// The last block that was read, which may contain the next event.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    id: Option<FileId>,
    start: u64,
    block: Vec<u8>,
}

impl ReadAhead {
    /// Drops the block, because the file may have changed.
    pub(super) fn forget(&mut self) {
        self.id = None;
    }

    /// Appends bytes of a file from `start`; returns how many: less than
    /// `count` only at the end of the file.
    pub(super) fn read(
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_block_is_read_once_until_it_is_forgotten() {
        const LEN: usize = 4 * READ_AHEAD;
        let log = LogFile {
            file: tempfile::tempfile().unwrap(),
            path: PathBuf::new(),
            id: (0, 0),
            len: LEN as u64,
        };
        let write = |byte| log.file.write_all_at(&[byte; LEN], 0).unwrap();
        let read = |ahead: &mut ReadAhead, start, count| {
            let mut into = Vec::new();
            let read = ahead.read(&log, start, count, &mut into).unwrap();
            assert_eq!(read, into.len());
            into
        };
        let mut ahead = ReadAhead::default();
        write(b'a');
        assert_eq!(read(&mut ahead, 10, 5), b"aaaaa");
        write(b'b');
        let end = 10 + READ_AHEAD as u64;
        for start in [10, 11, end - 5] {
            assert_eq!(read(&mut ahead, start, 5), b"aaaaa", "{start}");
        }
        // Not all of it is there, or not any more.
        assert_eq!(read(&mut ahead, end - 4, 5), b"bbbbb");
        assert_eq!(read(&mut ahead, 10, 5), b"bbbbb");
        write(b'c');
        ahead.forget();
        assert_eq!(read(&mut ahead, 10, 5), b"ccccc");
        assert_eq!(read(&mut ahead, 1, 2 * READ_AHEAD).len(), 2 * READ_AHEAD);
        assert_eq!(read(&mut ahead, LEN as u64 - 3, 5), b"ccc");
        let all = read(&mut ahead, LEN as u64 - 3, READ_AHEAD);
        assert_eq!(all, b"ccc");
    }
}
