//! A page as another process reads it, when both ends may be dead.
//!
//! Trusts nothing that it reads, because any process of the user may have
//! written it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use uilog_event::event::SessionId;

use super::layout::APART;
use super::layout::CLAIMED_AT;
use super::layout::FAILURE_AT;
use super::layout::FIRST_FRAME;
use super::layout::FLAGS_AT;
use super::layout::LENGTH_BYTES;
use super::layout::MAGIC;
use super::layout::MAGIC_AT;
use super::layout::MAKER_AT;
use super::layout::MAX_FAILURE_BYTES;
use super::layout::MAX_PATH_BYTES;
use super::layout::MAX_PROGRAM_BYTES;
use super::layout::PATH_AT;
use super::layout::PROGRAM_AT;
use super::layout::READER_AT;
use super::layout::TOLD_AT;
use super::layout::WRITER_AT;
use super::layout::WRITER_WORDS;
use super::layout::read_words;
use super::layout::write_words;
use super::progress::Committed;
use super::progress::OpenCommand;
use super::progress::Progress;

/// The first protocol with today's positions of the words. Later ones may
/// append words, but must not move any.
const FIRST_OF_LAYOUT: u16 = 6;
/// A page that says of more jobs than this is damaged.
const MAX_JOBS: u64 = 1 << 48;

/// What a page says, read at once and never believed: any process of this user
/// may have written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The creator's protocol.
    pub protocol: u16,
    /// What the writer has committed.
    pub committed: Committed,
    /// Who reads.
    pub reader_pid: u64,
    /// How many readers had begun before that one.
    pub begun_before: u64,
    /// Events that the writer has lost and has not reported to the journal.
    pub writer_unreported: u64,
    /// How many commands had begun and not ended.
    pub open: u16,
    /// The creator's process ID.
    pub maker_pid: u64,
    /// When, in microseconds since the epoch.
    pub maker_micros: i64,
    /// In which session.
    pub session: SessionId,
    /// The program that is to read.
    pub program: String,
    /// What the reader has done.
    pub progress: Progress,
    /// A process counts the rest as lost.
    pub is_claimed: bool,
    /// Its reader's last failure.
    pub last_failure: Option<String>,
    /// Where it is.
    pub path: PathBuf,
}

impl Page {
    /// Reads a page; only the protocol if that has the words elsewhere.
    ///
    /// # Errors
    ///
    /// The file cannot be read. `InvalidData` if it is not a page, or a damaged
    /// one.
    pub fn read(file: &File) -> io::Result<Self> {
        let damaged = || io::Error::from(io::ErrorKind::InvalidData);
        let mut page = [0; FIRST_FRAME as usize];
        let mut filled = 0;
        while filled < page.len() {
            match file.read_at(&mut page[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        let words = |at: u64, count: usize| -> Vec<u64> {
            let words = page[at as usize..].chunks_exact(size_of::<u64>());
            let value =
                |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
            words.take(count).map(value).collect()
        };
        let text = |at: u64, max_bytes: usize| -> &[u8] {
            let (length, text) =
                page[at as usize..].split_at(LENGTH_BYTES as usize);
            let length = length.try_into().map_or(0, u32::from_le_bytes);
            &text[..(length as usize).min(max_bytes).min(text.len())]
        };
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let protocol = u16::from_le_bytes([page[6], page[7]]);
        if page[..MAGIC.len()] != MAGIC {
            return Err(damaged());
        }
        let writer = words(WRITER_AT, WRITER_WORDS);
        let maker = words(MAKER_AT, 4);
        let [
            end,
            jobs,
            _,
            reader_pid,
            begun_before,
            writer_unreported,
            open,
            _,
        ] = writer[..]
        else {
            return Err(damaged());
        };
        let [maker_pid, maker_micros, low, high] = maker[..] else {
            return Err(damaged());
        };
        let all = ((TOLD_AT - READER_AT) / 8 + 1) as usize;
        let failure = text(FAILURE_AT, MAX_FAILURE_BYTES);
        let read = Self {
            protocol,
            committed: Committed { end, jobs },
            reader_pid,
            begun_before,
            writer_unreported,
            open: OpenCommand::of(open).map_or(0, |it| it.depth),
            maker_pid,
            maker_micros: maker_micros as i64,
            session: SessionId(u128::from(high) << 64 | u128::from(low)),
            program: lossy(text(PROGRAM_AT, MAX_PROGRAM_BYTES)),
            progress: Progress::from_all(&words(READER_AT, all)),
            is_claimed: words(CLAIMED_AT, 1) != [0],
            last_failure: Some(lossy(failure)).filter(|it| !it.is_empty()),
            path: OsStr::from_bytes(text(PATH_AT, MAX_PATH_BYTES)).into(),
        };
        let is_known = read.has_words();
        if is_known && (jobs > MAX_JOBS || read.lost() > 2 * MAX_JOBS) {
            return Err(damaged());
        }
        Ok(read)
    }

    /// Whether its protocol has the words at today's positions.
    pub fn has_words(&self) -> bool {
        self.protocol >= FIRST_OF_LAYOUT
    }

    /// Jobs that are not done.
    pub fn pending(&self) -> u64 {
        self.committed.jobs.saturating_sub(self.progress.done())
    }

    /// Losses that are not in the journal.
    pub fn unreported(&self) -> u64 {
        self.progress
            .unreported()
            .saturating_add(self.writer_unreported)
    }

    /// Events that are lost if both ends have been killed.
    pub fn lost(&self) -> u64 {
        let running = self.progress.running();
        self.pending()
            .saturating_add(running)
            .saturating_add(self.unreported())
            .saturating_add(self.open.into())
    }
}

/// Says in a page that its events are counted as lost from now on: a reader
/// that begins later must not serve it.
///
/// # Errors
///
/// The page cannot be written.
pub fn claim(page: &File) -> io::Result<()> {
    write_words(page, CLAIMED_AT, [1])
}

/// Whether the frames of the queue with this page are in a separate file.
pub fn is_apart(page: &File) -> bool {
    let magic: io::Result<[u64; 1]> = read_words(page, MAGIC_AT);
    let is_page = magic.is_ok_and(|[it]| it.to_le_bytes().starts_with(&MAGIC));
    let flags: io::Result<[u64; 1]> = read_words(page, FLAGS_AT);
    is_page && flags.is_ok_and(|[flags]| flags & APART != 0)
}
