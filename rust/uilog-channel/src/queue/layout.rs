//! The positions of all words and texts in a queue's first page, and how they
//! are read and written.
//!
//! Responsible for what both ends and all versions must agree on. Must not know
//! who writes or reads, or what a frame contains.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where the frames begin: after the page of counts.
pub(super) const FIRST_FRAME: u64 = 4096;
/// Bytes of a frame's length, which precedes it.
pub(super) const LENGTH_BYTES: u64 = 4;
/// Memory is released in steps of this many bytes.
pub(super) const RELEASE_STEP: u64 = 256 * 1024;
/// Memory can only be released in whole pages.
pub(super) const PAGE_BYTES: u64 = 4096;
/// Bytes of one unit of `st_blocks`.
pub(super) const BLOCK_BYTES: u64 = 512;

/// Where in the first page the queue says that it is one, and of which
/// protocol. This stays the same in every version.
pub(super) const MAGIC_AT: u64 = 0;
/// The file's first bytes, followed by the protocol in two bytes.
pub(super) const MAGIC: [u8; 6] = *b"uilog\0";
/// The word with the flags of the queue.
pub(super) const FLAGS_AT: u64 = 8;
/// The frames are in a separate file.
pub(super) const APART: u64 = 1;
/// Offset of the writer's words: the committed position, the memory limit, the
/// reader, unreported losses, the running command, and the time of the last
/// write.
pub(super) const WRITER_AT: u64 = 64;
/// How many words these are.
pub(super) const WRITER_WORDS: usize = 8;
/// Offset of the memory limit.
pub(super) const MAX_BYTES_AT: u64 = WRITER_AT + 16;
/// Offset of the reader's process ID.
pub(super) const READER_PID_AT: u64 = WRITER_AT + 24;
/// Offset of the number of lost events that the writer has not reported to the
/// journal.
pub(super) const WRITER_UNTOLD_AT: u64 = WRITER_AT + 40;
/// Offset of the running command, followed by the time of the writer's last
/// write, in microseconds of the monotonic clock.
pub(super) const OPEN_AT: u64 = WRITER_AT + 48;
/// Offset of the page's creator: [`Creator`](super::Creator).
pub(super) const MAKER_AT: u64 = 128;
/// Offset of the name of the reader's program, as length and text.
pub(super) const PROGRAM_AT: u64 = 176;
/// Bytes of that at most.
pub(super) const MAX_PROGRAM_BYTES: usize = 330;
/// Offset of the writer's phase in a queue with a name, as length and text;
/// such a queue has no reader's program.
pub(super) const PHASE_AT: u64 = PROGRAM_AT;
/// Offset of the reader's words.
pub(super) const READER_AT: u64 = 512;
/// Offset of `refused_by`, in every version.
pub(super) const REFUSED_BY_AT: u64 = READER_AT + 7 * 8;
/// Offset of the number of reported losses, which only [`ReportedLosses`]
/// writes.
pub(super) const TOLD_AT: u64 = 960;
/// Offset of the mark that a finder counts the rest as lost.
pub(super) const CLAIMED_AT: u64 = 968;
/// Where the writer says of how many of its records it waits for the delivery;
/// 0: of none.
pub(super) const AWAITED_AT: u64 = 1008;
/// The word in which the reader counts those with a known outcome.
pub(super) const OUTCOME_AT: u64 = 1016;
/// Set in that word if some of them are not delivered, and stay where they are.
pub(super) const DEFERRED: u64 = 1 << 63;
/// Offset of the reader's last failure, as length and text.
pub(super) const FAILURE_AT: u64 = 1024;
/// Bytes of that text at most.
pub(super) const MAX_FAILURE_BYTES: usize = 2048;
/// Offset of the page's own path, as length and text.
pub(super) const PATH_AT: u64 = 3080;
/// Bytes of that at most.
pub(super) const MAX_PATH_BYTES: usize = 496;

/// Offset of the creator of a queue with a name, in the first page, as length
/// and text.
pub(super) const ORIGIN_AT: u64 = 3584;
/// Bytes of that text at most.
pub(super) const MAX_ORIGIN_BYTES: usize = 500;

pub(super) fn put(page: &mut [u8], at: u64, bytes: &[u8]) {
    page[at as usize..][..bytes.len()].copy_from_slice(bytes);
}

pub(super) fn put_words(page: &mut [u8], at: u64, words: &[u64]) {
    for (word, at) in words.iter().zip((at..).step_by(size_of::<u64>())) {
        put(page, at, &word.to_le_bytes());
    }
}

pub(super) fn put_text(
    page: &mut [u8],
    at: u64,
    text: &[u8],
    max_bytes: usize,
) {
    let text = &text[..text.len().min(max_bytes)];
    put(page, at, &(text.len() as u32).to_le_bytes());
    put(page, at + LENGTH_BYTES, text);
}

/// Begins a frame in `buffer`; everything appended until [`end_frame`] is its
/// content.
pub fn begin_frame(buffer: &mut Vec<u8>) -> io::Result<usize> {
    let begin = buffer.len();
    buffer
        .try_reserve(LENGTH_BYTES as usize)
        .map_err(|_| io::ErrorKind::OutOfMemory)?;
    buffer.extend_from_slice(&[0; LENGTH_BYTES as usize]);
    Ok(begin)
}

/// Ends the frame that [`begin_frame`] began at `begin`.
///
/// # Errors
///
/// It is longer than 4 GiB.
pub fn end_frame(buffer: &mut [u8], begin: usize) -> io::Result<()> {
    let (length, content) = buffer[begin..].split_at_mut(LENGTH_BYTES as usize);
    let bytes = u32::try_from(content.len())
        .map_err(|_| io::ErrorKind::FileTooLarge)?;
    length.copy_from_slice(&bytes.to_le_bytes());
    Ok(())
}

/// Where the page begins that holds this position.
pub(super) fn page_of(position: u64) -> u64 {
    position / PAGE_BYTES * PAGE_BYTES
}

/// The beginning of the first whole page at or after this position.
pub(super) fn page_after(position: u64) -> u64 {
    page_of(position + PAGE_BYTES - 1)
}

/// The writer's protocol. If it differs from this version's, nothing else can
/// be interpreted.
///
/// # Errors
///
/// `InvalidData` if the file is not a page.
pub fn protocol_of(page: &File) -> io::Result<u16> {
    let mut magic = [0; MAGIC.len() + 2];
    page.read_exact_at(&mut magic, MAGIC_AT)
        .map_err(|_| io::ErrorKind::InvalidData)?;
    let [name @ .., low, high] = magic;
    if name != MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(u16::from_le_bytes([low, high]))
}

pub(super) fn read_failure(file: &File) -> io::Result<Option<String>> {
    let mut length = [0; LENGTH_BYTES as usize];
    if file.metadata()?.len() < FAILURE_AT + LENGTH_BYTES {
        return Ok(None);
    }
    file.read_exact_at(&mut length, FAILURE_AT)?;
    let length = u32::from_le_bytes(length) as usize;
    let mut text = vec![0; length.min(MAX_FAILURE_BYTES)];
    file.read_exact_at(&mut text, FAILURE_AT + LENGTH_BYTES)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok((!text.is_empty()).then_some(text))
}

pub(super) fn write_words<const N: usize>(
    file: &File,
    at: u64,
    words: [u64; N],
) -> io::Result<()> {
    file.write_all_at(words.map(u64::to_le_bytes).as_flattened(), at)
}

pub(super) fn read_words<const N: usize>(
    file: &File,
    at: u64,
) -> io::Result<[u64; N]> {
    let mut words = [[0; size_of::<u64>()]; N];
    file.read_exact_at(words.as_flattened_mut(), at)?;
    Ok(words.map(u64::from_le_bytes))
}
