//! The initial content of a new queue's first page.
//!
//! Responsible for all three kinds of queues: with the frames after the page,
//! with the frames in a separate file, and for records only. Must not know the
//! reader.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;
use uilog_event::event::SessionId;

use super::layout::APART;
use super::layout::CLAIMED_AT;
use super::layout::FIRST_FRAME;
use super::layout::FLAGS_AT;
use super::layout::MAGIC;
use super::layout::MAGIC_AT;
use super::layout::MAKER_AT;
use super::layout::MAX_ORIGIN_BYTES;
use super::layout::MAX_PATH_BYTES;
use super::layout::MAX_PROGRAM_BYTES;
use super::layout::ORIGIN_AT;
use super::layout::PATH_AT;
use super::layout::PROGRAM_AT;
use super::layout::READER_AT;
use super::layout::WRITER_AT;
use super::layout::put;
use super::layout::put_text;
use super::layout::put_words;
use super::progress::Progress;
use crate::wire::PROTOCOL;

/// Where scripts begin in a queue that has none.
const NO_SCRIPTS: u64 = u64::MAX;

/// The creator of a page with a name, for a finder.
#[derive(Clone, Copy, Debug)]
pub struct Creator<'a> {
    /// Its process id.
    pub pid: u32,
    /// When the page was made, in microseconds since the epoch.
    pub micros: i64,
    /// Its session.
    pub session: SessionId,
    /// The program that is to read.
    pub program: &'a Path,
    /// Where the page will be.
    pub path: &'a Path,
}

/// What an empty queue's page says at first, up to its last word.
pub(super) fn new_page(max_bytes: u64, flags: u64, scripts_at: u64) -> Vec<u8> {
    let mut page = vec![0; CLAIMED_AT as usize + size_of::<u64>()];
    let [low, high] = PROTOCOL.to_le_bytes();
    put(&mut page, MAGIC_AT, &[&MAGIC[..], &[low, high]].concat());
    put_words(&mut page, FLAGS_AT, &[flags]);
    put_words(&mut page, WRITER_AT, &[FIRST_FRAME, 0, max_bytes]);
    let progress = Progress {
        scripts_at,
        records_at: FIRST_FRAME,
        ..Progress::default()
    };
    put_words(&mut page, READER_AT, &progress.to_words());
    page
}

/// The page of an empty queue whose frames are in a separate file, for
/// [`Writer::open_apart`](super::Writer::open_apart).
pub fn page_apart(max_bytes: u64, maker: &Creator<'_>) -> Vec<u8> {
    let mut page = new_page(max_bytes, APART, FIRST_FRAME);
    page.resize(FIRST_FRAME as usize, 0);
    let SessionId(session) = maker.session;
    let words = [
        u64::from(maker.pid),
        maker.micros as u64,
        session as u64,
        (session >> 64) as u64,
    ];
    put_words(&mut page, MAKER_AT, &words);
    let program = maker.program.as_os_str().as_bytes();
    put_text(&mut page, PROGRAM_AT, program, MAX_PROGRAM_BYTES);
    let path = maker.path.as_os_str().as_bytes();
    // Half a path would be another one.
    if path.len() <= MAX_PATH_BYTES {
        put_text(&mut page, PATH_AT, path, MAX_PATH_BYTES);
    }
    page
}

/// The creator of a queue with a name. The reader may not know that process
/// otherwise, and must not trust this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The process.
    pub pid: u32,
    /// A key for all its namespaces, which is part of an agent's name.
    pub namespaces: String,
    /// Its session.
    pub session: String,
    /// When the queue was made, in microseconds since 1970.
    pub micros: i64,
}

/// Makes a queue for records of an empty file that has no name yet: it holds
/// no scripts, and says who makes it.
///
/// # Errors
///
/// The file cannot be written.
pub fn lay_out_for_records(
    file: &File,
    max_bytes: u64,
    origin: &Origin,
) -> io::Result<()> {
    let text = postcard::to_stdvec(origin).map_err(io::Error::other)?;
    if text.len() > MAX_ORIGIN_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // All at once: this is on the way of a command's first record.
    let mut page = new_page(max_bytes, 0, NO_SCRIPTS);
    page.resize(FIRST_FRAME as usize, 0);
    put_text(&mut page, ORIGIN_AT, &text, MAX_ORIGIN_BYTES);
    file.write_all_at(&page, MAGIC_AT)
}
