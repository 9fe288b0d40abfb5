//! hg's end of the queue.
//!
//! Responsible for appending without waiting, within the queue's memory limit,
//! and for recording the running commands. Must not know when, or whether,
//! frames are read.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::unistd::Whence;
use nix::unistd::lseek;
use uilog_sys::clock;

use super::layout::AWAITED_AT;
use super::layout::BLOCK_BYTES;
use super::layout::DEFERRED;
use super::layout::FIRST_FRAME;
use super::layout::LENGTH_BYTES;
use super::layout::MAGIC_AT;
use super::layout::MAX_PROGRAM_BYTES;
use super::layout::OPEN_AT;
use super::layout::OUTCOME_AT;
use super::layout::PHASE_AT;
use super::layout::READER_PID_AT;
use super::layout::RELEASE_STEP;
use super::layout::WRITER_AT;
use super::layout::WRITER_UNTOLD_AT;
use super::layout::WRITER_WORDS;
use super::layout::read_failure;
use super::layout::read_words;
use super::layout::write_words;
use super::making::new_page;
use super::memory::frames_file;
use super::progress::Committed;
use super::progress::Delivery;
use super::progress::OpenCommand;
use super::progress::Progress;
use crate::bound::Descriptors;
use crate::bound::NO_DESCRIPTOR;
use crate::wire::HAS_ENDED_AT;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 64 * 1024;
/// Commands that run within each other at most, as far as is noted.
const MAX_OPEN: usize = 64;

/// How much memory a writer reserves beyond the content of its queue, so that
/// it seldom has to reserve more.
const ALLOWANCE_BYTES: u64 = 64 * 1024;
/// How much of that it may keep, so that it need not reserve again each time a
/// reader releases a part.
const KEPT_BYTES: u64 = 2 * RELEASE_STEP;

/// hg's end.
#[derive(Debug)]
pub struct Writer {
    page: File,
    /// `None` if the frames follow the page in the same file.
    frames: Option<File>,
    committed: Committed,
    /// The maximum size of the queue's memory in bytes.
    max_bytes: u64,
    /// The part of `max_bytes` that is reserved now; queues share the rest.
    allowed: u64,
    /// How many more the last append would have needed.
    missing: u64,
    /// Up to which position it is known that no bound is exceeded.
    room_until: u64,
    /// Who reads, and how many readers had begun before that one was started.
    reader: (u64, u64),
    /// Events that the writer has lost and that are not in the journal.
    unreported: u64,
    /// The running commands, the innermost last: the caller's identifier and
    /// the word of each.
    open: Vec<(u64, OpenCommand)>,
    /// The page is to name none of them for the moment.
    is_hidden: bool,
}

impl Writer {
    /// Creates a queue with at most `max_bytes` of memory.
    ///
    /// # Errors
    ///
    /// The system has no descriptor or memory left.
    pub fn create(max_bytes: u64) -> io::Result<Self> {
        Self::lay_out(frames_file()?, max_bytes)
    }

    /// Makes a queue of an empty file, as [`Self::create`] does.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn lay_out(file: File, max_bytes: u64) -> io::Result<Self> {
        // All at once: this is on the way of a command's first event.
        let page = new_page(max_bytes, 0, FIRST_FRAME);
        file.write_all_at(&page, MAGIC_AT)?;
        Ok(Self::over(file, max_bytes))
    }

    /// Writes to a file that [`lay_out_for_records`](super::lay_out_for_records) has just made a queue.
    pub fn over(file: File, max_bytes: u64) -> Self {
        Self::new(file, None, max_bytes)
    }

    /// A queue with a page from [`page_apart`](super::page_apart), and frames in a separate, empty
    /// file.
    pub fn open_apart(page: File, frames: File, max_bytes: u64) -> Self {
        Self::new(page, Some(frames), max_bytes)
    }

    fn new(page: File, frames: Option<File>, max_bytes: u64) -> Self {
        Self {
            page,
            frames,
            committed: Committed {
                end: FIRST_FRAME,
                jobs: 0,
            },
            max_bytes,
            allowed: u64::MAX,
            missing: 0,
            room_until: FIRST_FRAME + max_bytes,
            reader: (0, 0),
            unreported: 0,
            open: Vec::new(),
            is_hidden: false,
        }
    }

    /// Where the counters are.
    pub fn page(&self) -> &File {
        &self.page
    }

    /// The file with the frames, unless they follow the page.
    pub fn frames(&self) -> Option<&File> {
        self.frames.as_ref()
    }

    fn data(&self) -> &File {
        self.frames.as_ref().unwrap_or(&self.page)
    }

    /// Changes the maximum size of the queue's memory.
    pub fn set_max_bytes(&mut self, max_bytes: u64) {
        if self.max_bytes != max_bytes {
            self.max_bytes = max_bytes;
            self.room_until = 0;
        }
    }

    /// Allows the queue so many bytes more. If this is never called, there is
    /// no such limit.
    pub fn allow(&mut self, bytes: u64) {
        self.allowed = match self.allowed {
            u64::MAX => bytes,
            before => before.saturating_add(bytes),
        };
        self.room_until = 0;
    }

    /// How many bytes have to be allowed for the append that has failed with
    /// `QuotaExceeded`, and a few that come after it.
    pub fn missing(&self) -> u64 {
        self.missing.saturating_add(ALLOWANCE_BYTES)
    }

    /// Stores the reader for a finder of the page: its process, and how many
    /// readers had begun before. Written with the next frame.
    pub fn set_reader(&mut self, pid: i32, begun_before: u64) {
        self.reader = (pid as u64, begun_before);
    }

    /// Shows what [`Self::set_reader`] says, though nothing is appended.
    ///
    /// # Errors
    ///
    /// The page cannot be written.
    pub fn publish_reader(&self) -> io::Result<()> {
        let (pid, begun) = self.reader;
        write_words(&self.page, READER_PID_AT, [pid, begun])
    }

    /// The last value of [`Self::set_unreported`].
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    /// Stores how many lost events are not in the journal, for a process that
    /// finds the page.
    ///
    /// # Errors
    ///
    /// The page cannot be written.
    pub fn set_unreported(&mut self, unreported: u64) -> io::Result<()> {
        write_words(&self.page, WRITER_UNTOLD_AT, [unreported])?;
        self.unreported = unreported;
        Ok(())
    }

    /// Asks the reader to deliver everything appended so far without delay, and
    /// to confirm it in [`Self::delivery`].
    ///
    /// # Errors
    ///
    /// The page cannot be written.
    pub fn ask_for_delivery(&self) -> io::Result<()> {
        write_words(&self.page, AWAITED_AT, [self.committed.jobs])
    }

    /// The reader's answer. An answer about fewer jobs does not count.
    pub fn delivery(&self) -> Delivery {
        let outcome = read_words(&self.page, OUTCOME_AT);
        let outcome = outcome.map_or(0, |[it]| it);
        if outcome & !DEFERRED < self.committed.jobs {
            Delivery::Pending
        } else if outcome & DEFERRED != 0 {
            Delivery::Deferred
        } else {
            Delivery::Done
        }
    }

    /// Appends frames, which [`begin_frame`](super::begin_frame) and [`end_frame`](super::end_frame) have made, with
    /// `jobs` jobs among them; returns the first one's position.
    ///
    /// # Errors
    ///
    /// `StorageFull`, without an error number, if the queue contains
    /// `max_bytes` of unread frames; `QuotaExceeded` if it has not reserved so
    /// much yet; other errors of the file. Nothing has then been appended.
    pub fn append(&mut self, frames: &[u8], jobs: u64) -> io::Result<u64> {
        let position = self.committed.end;
        let end = position + frames.len() as u64;
        self.make_room(end)?;
        self.data().write_all_at(frames, position)?;
        let before = self.committed;
        self.committed = Committed {
            end,
            jobs: before.jobs + jobs,
        };
        self.commit().inspect_err(|_| self.committed = before)?;
        Ok(position)
    }

    /// Like [`Self::append`], if the last frame, at the position `at`, is the
    /// beginning of a command that the caller calls `id`.
    ///
    /// # Errors
    ///
    /// Like [`Self::append`], or commands are nested too deeply.
    pub fn append_beginning(
        &mut self,
        frames: &[u8],
        at: u64,
        id: u64,
    ) -> io::Result<()> {
        if self.open.len() >= MAX_OPEN {
            let problem = "too many commands run within each other";
            return Err(io::Error::other(problem));
        }
        let depth = self.open.len() as u16 + 1;
        self.open.push((id, OpenCommand { at, depth }));
        let appended = self.append(frames, 0);
        appended.map(drop).inspect_err(|_| {
            self.open.pop();
        })
    }

    /// Like [`Self::append`], if the command that the caller calls `id` ends
    /// with these frames.
    ///
    /// # Errors
    ///
    /// Like [`Self::append`]; the command has ended nevertheless, so
    /// [`Self::end`] must be called.
    pub fn append_ending(
        &mut self,
        frames: &[u8],
        jobs: u64,
        id: u64,
    ) -> io::Result<u64> {
        let is_last = self.open.last().is_some_and(|it| it.0 == id);
        let last = if is_last { self.open.pop() } else { None };
        let appended = self.append(frames, jobs).inspect_err(|_| {
            self.open.extend(last);
        })?;
        // The frames are committed, even if this fails.
        let _ = self.end(id);
        Ok(appended)
    }

    /// The command that the caller calls `id` has ended, if it is in this
    /// queue.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn end(&mut self, id: u64) -> io::Result<()> {
        let index = self.open.iter().position(|it| it.0 == id);
        let Some(index) = index else {
            return Ok(());
        };
        let (_, ended) = self.open.remove(index);
        if index == self.open.len() {
            return self.publish_open();
        }
        // Others run that have begun later, as other threads' may: the frames
        // of those lead to this one.
        let at = ended.at + LENGTH_BYTES + HAS_ENDED_AT;
        self.data().write_all_at(&[1], at)
    }

    /// All commands have ended.
    ///
    /// # Errors
    ///
    /// The page cannot be written.
    pub fn end_all(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.open.clear();
        self.publish_open()
    }

    /// Says that no command runs, though some do, or no longer so: this
    /// process is about to become another program.
    ///
    /// # Errors
    ///
    /// The page cannot be written.
    pub fn hide_open(&mut self, is_hidden: bool) -> io::Result<()> {
        if self.is_hidden == is_hidden || self.open.is_empty() {
            return Ok(());
        }
        self.is_hidden = is_hidden;
        self.publish_open()
    }

    /// Says what the innermost command does at the moment, in a queue that has
    /// a name; nothing in particular if that is empty.
    ///
    /// # Errors
    ///
    /// The page cannot be written, or the text is too long.
    pub fn set_phase(&self, phase: &[u8]) -> io::Result<()> {
        if phase.len() > MAX_PROGRAM_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = (phase.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(phase);
        self.page.write_all_at(&bytes, PHASE_AT)
    }

    /// Whether any command runs.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The word that names the innermost command that runs; 0 for none.
    pub fn open_word(&self) -> u64 {
        self.open.last().map_or(0, |it| it.1.word())
    }

    /// The word and the time of the innermost command in the page.
    fn open_words(&self) -> [u64; 2] {
        let word = if self.is_hidden { 0 } else { self.open_word() };
        [word, clock::monotonic_micros()]
    }

    fn publish_open(&self) -> io::Result<()> {
        write_words(&self.page, OPEN_AT, self.open_words())
    }

    /// Fails if the frames up to `end` would take more memory than allowed.
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        if end <= self.room_until {
            return Ok(());
        }
        // What the reader has released no longer counts as used.
        let used = self.bytes()?;
        let added = end - self.committed.end;
        let needed = used + added;
        if needed > self.max_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.allowed != u64::MAX {
            // What the reader has released has to be reserved again.
            let reserved = (used + KEPT_BYTES).max(needed);
            self.allowed = self.allowed.min(reserved);
        }
        if needed > self.allowed {
            self.missing = needed - self.allowed;
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let bound = self.max_bytes.min(self.allowed);
        self.room_until = self.committed.end + (bound - used);
        Ok(())
    }

    fn commit(&self) -> io::Result<()> {
        let Committed { end, jobs } = self.committed;
        let (pid, begun) = self.reader;
        let [open, seen] = self.open_words();
        let (max_bytes, unreported) = (self.max_bytes, self.unreported);
        let words = [end, jobs, max_bytes, pid, begun, unreported, open, seen];
        write_words::<WRITER_WORDS>(&self.page, WRITER_AT, words)
    }

    /// The committed counts.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// What the reader has done.
    pub fn progress(&self) -> io::Result<Progress> {
        Progress::read(&self.page)
    }

    /// The reader's last failure, if it had one.
    pub fn last_failure(&self) -> io::Result<Option<String>> {
        read_failure(&self.page)
    }

    /// The queue's memory in bytes.
    ///
    /// # Errors
    ///
    /// The file's status cannot be read.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.data().metadata()?.blocks() * BLOCK_BYTES)
    }

    /// Continues in another file, to which [`copy`] has copied the queue.
    pub fn go_on_in(&self, file: File) -> Self {
        Self {
            committed: self.committed,
            reader: self.reader,
            unreported: self.unreported,
            open: self.open.clone(),
            is_hidden: self.is_hidden,
            ..Self::over(file, self.max_bytes)
        }
    }
}

impl Descriptors for Writer {
    fn raw_fds(&self) -> [RawFd; 2] {
        let frames = self.frames().map(AsRawFd::as_raw_fd);
        [self.page().as_raw_fd(), frames.unwrap_or(NO_DESCRIPTOR)]
    }
}

/// Copies a queue to an empty file, without released memory.
///
/// # Errors
///
/// One of the two files cannot be used, or is full.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    let length = i64::try_from(from.metadata()?.len())
        .map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < length {
        let begin = match lseek(from, at, Whence::SeekData) {
            Err(Errno::ENXIO) => break,
            begin => begin?,
        };
        let end = lseek(from, begin, Whence::SeekHole)?.min(length);
        let mut position = begin as u64;
        while position < end as u64 {
            let left = (end as u64 - position).min(COPY_BYTES as u64);
            let part = &mut buffer[..left as usize];
            from.read_exact_at(part, position)?;
            to.write_all_at(part, position)?;
            position += left;
        }
        at = end.max(begin + 1);
    }
    to.set_len(length as u64)
}
