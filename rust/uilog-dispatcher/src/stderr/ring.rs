//! The last bytes of a text, in a memory file that two processes can share.
//!
//! Must not know where the bytes come from.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;

use uilog_channel::queue::anonymous_file;

/// Bytes that are kept. More than is shown, since a truncated secret may not be
/// recognized.
pub(super) const KEPT_BYTES: u64 = 8192;

/// Offset of the flag that the text is being changed.
const BUSY_AT: u64 = 0;
/// Offset of the length of the whole text.
const LENGTH_AT: u64 = 8;
/// Offset of the ring with the last bytes.
const TEXT_AT: u64 = 16;

/// The end of one text. If there is no memory for it, only the text is lost.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Made when the first text comes: most scripts say nothing, and to make
    /// and to free it costs as much as starting a program costs hg.
    file: OnceCell<File>,
}

impl Ring {
    /// One that another process has begun.
    pub(super) fn received(file: OwnedFd) -> Self {
        Self {
            file: OnceCell::from(File::from(file)),
        }
    }

    /// For another process.
    pub(super) fn raw_fd(&self) -> io::Result<RawFd> {
        self.file().map(AsRawFd::as_raw_fd)
    }

    fn file(&self) -> io::Result<&File> {
        match self.file.get() {
            Some(file) => Ok(file),
            None => anonymous_file().map(|it| self.file.get_or_init(|| it)),
        }
    }

    /// Bytes are being read that are not in the text yet.
    pub(super) fn begin(&self) {
        self.write(BUSY_AT, &1_u64.to_le_bytes());
    }

    /// Adds bytes that were read.
    pub(super) fn add(&self, bytes: &[u8]) {
        let length = self.read_word(LENGTH_AT);
        let skipped = bytes.len().saturating_sub(KEPT_BYTES as usize);
        let mut rest = &bytes[skipped..];
        let mut at = length + skipped as u64;
        while !rest.is_empty() {
            let begin = at % KEPT_BYTES;
            let room = (KEPT_BYTES - begin) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.write(TEXT_AT + begin, now);
            at += now.len() as u64;
            rest = later;
        }
        let words = [0, at].map(u64::to_le_bytes);
        self.write(BUSY_AT, words.as_flattened());
    }

    /// Whether bytes have been read that are not in the text yet.
    pub(super) fn is_busy(&self) -> bool {
        self.read_word(BUSY_AT) != 0
    }

    /// The last bytes; whether there were more before.
    pub(super) fn text(&self) -> (Vec<u8>, bool) {
        let length = self.read_word(LENGTH_AT);
        let kept = length.min(KEPT_BYTES);
        let mut text = vec![0; kept as usize];
        let file = self.file.get();
        let read = file.map(|it| it.read_exact_at(&mut text, TEXT_AT));
        if read.is_none_or(|it| it.is_err()) {
            return (Vec::new(), false);
        }
        if length > kept {
            text.rotate_left((length % KEPT_BYTES) as usize);
        }
        (text, length > kept)
    }

    /// Unreadable words are 0: nothing is stored.
    fn read_word(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        let file = self.file.get();
        let read = file.map(|it| it.read_exact_at(&mut word, at));
        let is_read = read.is_some_and(|it| it.is_ok());
        if is_read { u64::from_le_bytes(word) } else { 0 }
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        let _ = self.file().and_then(|it| it.write_all_at(bytes, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_in_their_order() {
        let ring = Ring::default();
        assert_eq!(ring.text(), (Vec::new(), false));
        assert!(!ring.is_busy());
        assert!(ring.file.get().is_none(), "nothing has come");
        let mut written: Vec<u8> = Vec::new();
        for length in [1, 3000, 5191, 1, 20_000, 8192, 7, 0, 50_000] {
            let piece: Vec<_> = (0..length)
                .map(|n| u8::try_from((written.len() + n) % 251).unwrap())
                .collect();
            ring.begin();
            assert!(ring.is_busy());
            ring.add(&piece);
            assert!(!ring.is_busy());
            written.extend(&piece);
            let kept = written.len().min(8192);
            let (last, is_cut) = ring.text();
            assert!(last == written[written.len() - kept..]);
            assert_eq!(is_cut, written.len() > 8192);
        }
    }
}
