//! The queue between hg and its dispatcher: frames, and a page of counters.
//!
//! hg appends, and never waits for the reader. The dispatcher reads, and
//! releases the memory of what it has read. Committed frames survive hg. Both
//! ends have their counters in one page, so each can be read after the other
//! has ended, and a second dispatcher can continue where the first one died.
//!
//! The frames contain hg's environment, so they are in a memory file without a
//! name. The counter page is the first page of that file, or a file of its own,
//! which may have a name (`page`): then it shows what was lost if both ends
//! were killed.
//!
//! The page also refers to the command that has begun and not ended: a process
//! that finds the writer dead knows from it that the command was killed. That
//! word is written together with the committed position, so the end of a
//! command and its record are stored by one write.
//!
//! Must not know what a frame contains, except for the byte that marks a
//! command's beginning as void. Must not know names or locks.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Whence;
use nix::unistd::lseek;
use serde::Deserialize;
use serde::Serialize;
use uilog_event::event::SessionId;
use uilog_sys::clock;
use uilog_sys::memory_file;

use crate::bound::Descriptors;
use crate::bound::NO_DESCRIPTOR;
use crate::wire::HAS_ENDED_AT;
use crate::wire::PROTOCOL;
use crate::wire::is_readable;

/// Where the frames begin: after the page of counts.
const FIRST_FRAME: u64 = 4096;
/// Bytes of a frame's length, which precedes it.
const LENGTH_BYTES: u64 = 4;
/// Memory is given back in steps of this many bytes.
const RELEASE_STEP: u64 = 256 * 1024;
/// Memory can be given back in whole pages only.
const PAGE_BYTES: u64 = 4096;
/// Bytes of one unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 64 * 1024;

/// Where in the first page the queue says that it is one, and of which
/// protocol. This stays the same in every version.
const MAGIC_AT: u64 = 0;
/// The file's first bytes, followed by the protocol in two bytes.
const MAGIC: [u8; 6] = *b"uilog\0";
/// Where the page says how the queue is kept.
const FLAGS_AT: u64 = 8;
/// The frames are in a separate file.
const APART: u64 = 1;
/// Offset of the writer's words: the committed position, the memory limit, the
/// reader, unreported losses, the running command, and the time of the last
/// write.
const WRITER_AT: u64 = 64;
/// How many words these are.
const WRITER_WORDS: usize = 8;
/// Offset of the memory limit.
const MAX_BYTES_AT: u64 = WRITER_AT + 16;
/// Offset of the reader's process ID.
const READER_PID_AT: u64 = WRITER_AT + 24;
/// Offset of the number of lost events that the writer has not reported to the
/// journal.
const WRITER_UNTOLD_AT: u64 = WRITER_AT + 40;
/// Offset of the running command, followed by the time of the writer's last
/// write, in microseconds of the monotonic clock.
const OPEN_AT: u64 = WRITER_AT + 48;
/// Where [`OpenCommand::depth`] begins in that word.
const DEPTH_SHIFT: u32 = 48;
/// Commands that run within each other at most, as far as is noted.
const MAX_OPEN: usize = 64;
/// Offset of the page's creator: [`Creator`].
const MAKER_AT: u64 = 128;
/// Offset of the name of the reader's program, as length and text.
const PROGRAM_AT: u64 = 176;
/// Bytes of that at most.
const MAX_PROGRAM_BYTES: usize = 330;
/// Offset of the writer's phase in a queue with a name, as length and text;
/// such a queue has no reader's program.
const PHASE_AT: u64 = PROGRAM_AT;
/// Offset of the reader's words.
const READER_AT: u64 = 512;
/// Offset of `refused_by`, in every version.
const REFUSED_BY_AT: u64 = READER_AT + 7 * 8;
/// Offset of the number of reported losses, which only [`ReportedLosses`]
/// writes.
const TOLD_AT: u64 = 960;
/// Offset of the mark that a finder counts the rest as lost.
const CLAIMED_AT: u64 = 968;
/// Where the writer says of how many of its records it waits for the delivery;
/// 0: of none.
const AWAITED_AT: u64 = 1008;
/// Where the reader says of how many of them it knows the outcome.
const OUTCOME_AT: u64 = 1016;
/// Set in that word if some of them are not delivered, and stay where they are.
const DEFERRED: u64 = 1 << 63;
/// Offset of the reader's last failure, as length and text.
const FAILURE_AT: u64 = 1024;
/// Bytes of that text at most.
const MAX_FAILURE_BYTES: usize = 2048;
/// Offset of the page's own path, as length and text.
const PATH_AT: u64 = 3080;
/// Bytes of that at most.
const MAX_PATH_BYTES: usize = 496;
/// The first protocol whose page has its words where they are now. Later ones
/// may append words, and move none.
const FIRST_OF_LAYOUT: u16 = 6;
/// A page that says of more jobs than this is damaged.
const MAX_JOBS: u64 = 1 << 48;

/// How much a writer may take beyond what its queue contains, before it asks
/// for more room, so that few ask often.
const ALLOWANCE_BYTES: u64 = 64 * 1024;
/// How much of that it may keep: it need not ask again while a reader releases
/// a part of this at a time.
const KEPT_BYTES: u64 = 2 * RELEASE_STEP;

/// Offset of the creator of a queue with a name, in the first page, as length
/// and text.
const ORIGIN_AT: u64 = 3584;
/// Bytes of that text at most.
const MAX_ORIGIN_BYTES: usize = 500;
/// Where scripts begin in a queue that has none.
const NO_SCRIPTS: u64 = u64::MAX;

/// Whether logged events have reached their sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It may still.
    Pending,
    /// Each receiver has it, and has answered if it answers at all; or it is
    /// lost, and counted.
    Done,
    /// Not now: some of it stays where it is for a later command, because a
    /// receiver takes nothing.
    Deferred,
}

impl Delivery {
    /// Combines the states of two parts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
            (Self::Deferred, _) | (_, Self::Deferred) => Self::Deferred,
            (Self::Done, Self::Done) => Self::Done,
        }
    }
}

/// What the writer has committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The position after the last whole frame.
    pub end: u64,
    /// How many jobs there are among the frames: scripts and records.
    pub jobs: u64,
}

/// The innermost command that has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCommand {
    /// The position of its frame.
    pub at: u64,
    /// How many there are, with those around it.
    pub depth: u16,
}

impl OpenCommand {
    fn word(self) -> u64 {
        u64::from(self.depth) << DEPTH_SHIFT | self.at
    }

    /// What a word of the page, or of a frame within another one, says.
    pub fn of(word: u64) -> Option<Self> {
        let at = word & ((1 << DEPTH_SHIFT) - 1);
        let depth = (word >> DEPTH_SHIFT) as u16;
        (at != 0).then_some(Self { at, depth })
    }
}

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What the reader has done so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Progress {
            $($(#[$meta])* pub $name: u64,)*
            /// Reported losses: events whose scripts were not started, and lost
            /// records. Only [`ReportedLosses`] writes it.
            pub told: u64,
        }

        impl Progress {
            const WORDS: usize = [$(stringify!($name)),*].len();

            fn to_words(self) -> [u64; Self::WORDS] {
                [$(self.$name),*]
            }

            fn from_words(words: [u64; Self::WORDS], told: u64) -> Self {
                let [$($name),*] = words;
                Self { $($name,)* told }
            }
        }
    };
}

words! {
    /// The first frame that scripts have not been taken from. Those before it
    /// are never run again.
    scripts_at,
    /// Jobs that have been looked at, scripts and records.
    taken,
    /// Scripts started.
    started,
    /// Scripts that ended with status 0.
    succeeded,
    /// Scripts that ended otherwise of their own accord.
    failed,
    /// Scripts that could not be started.
    not_started,
    /// Scripts ended by the time limit.
    timed_out,
    /// The reader has refused the writer's protocol: its own version. This
    /// stays in its place in every version, for the writer to find it.
    refused_by,
    /// How many readers have begun to serve the queue.
    readers,
    /// Scripts taken from the queue.
    scripts,
    /// The first frame whose record some sink may not be done with. The next
    /// reader hands on what stands from there on.
    records_at,
    /// Records before `records_at`: every sink is done with them, or has been
    /// given up.
    records,
    /// Records that did not arrive, once for each sink that they were for.
    records_lost,
    /// Records before `records_at` that a sink which does not move has in
    /// hand: they are lost if the reader dies.
    at_risk,
    /// The last environment before `scripts_at` and `records_at`, 0 if there is
    /// none: the frames from there on may refer to it.
    environment_at,
    /// The last items before both, 0 if there are none.
    items_at,
    /// Scripts started whose end no reader will see, because the one that has
    /// started them ended first, and they went on.
    unseen,
}

impl Progress {
    /// Jobs of which it is known what has become of them.
    pub fn done(&self) -> u64 {
        let done = self.started.saturating_add(self.not_started);
        done.saturating_add(self.records)
    }

    /// What nobody will ever tell of, should the reader have died: losses that
    /// the journal has not been told of.
    pub fn untold(&self) -> u64 {
        let lost = self.records_lost.saturating_add(self.not_started);
        lost.saturating_sub(self.told).saturating_add(self.at_risk)
    }

    /// Scripts that have been taken, and of which nobody knows whether they
    /// have been started, should the reader have died.
    pub fn uncertain(&self) -> u64 {
        let known = self.started.saturating_add(self.not_started);
        self.scripts.saturating_sub(known)
    }

    /// Scripts that have been started and whose end may still be seen.
    pub fn running(&self) -> u64 {
        let ended = [self.succeeded, self.failed, self.timed_out, self.unseen];
        let ended = ended.into_iter().fold(0, u64::saturating_add);
        self.started.saturating_sub(ended)
    }

    /// What two readers of two queues have done together; positions mean
    /// nothing then.
    pub fn plus(self, other: Self) -> Self {
        let mut sum = self.to_words();
        for (sum, more) in sum.iter_mut().zip(other.to_words()) {
            *sum = sum.saturating_add(more);
        }
        Self::from_words(sum, self.told.saturating_add(other.told))
    }

    fn read(file: &File) -> io::Result<Self> {
        const ALL: usize = ((TOLD_AT - READER_AT) / 8 + 1) as usize;
        let words: [u64; ALL] = read_words(file, READER_AT)?;
        Ok(Self::from_all(&words))
    }

    /// Of all words from the first one to `told`.
    fn from_all(words: &[u64]) -> Self {
        let mut own = [0; Self::WORDS];
        for (own, word) in own.iter_mut().zip(words) {
            *own = *word;
        }
        Self::from_words(own, words.last().copied().unwrap_or(0))
    }
}

/// Who makes a page that has a name, for whoever finds it.
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
fn new_page(max_bytes: u64, flags: u64, scripts_at: u64) -> Vec<u8> {
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

/// What the page of an empty queue says whose frames are in a file of their
/// own, for [`Writer::open_apart`].
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

fn put(page: &mut [u8], at: u64, bytes: &[u8]) {
    page[at as usize..][..bytes.len()].copy_from_slice(bytes);
}

fn put_words(page: &mut [u8], at: u64, words: &[u64]) {
    for (word, at) in words.iter().zip((at..).step_by(size_of::<u64>())) {
        put(page, at, &word.to_le_bytes());
    }
}

fn put_text(page: &mut [u8], at: u64, text: &[u8], max_bytes: usize) {
    let text = &text[..text.len().min(max_bytes)];
    put(page, at, &(text.len() as u32).to_le_bytes());
    put(page, at + LENGTH_BYTES, text);
}

/// hg's end.
#[derive(Debug)]
pub struct Writer {
    page: File,
    /// None if they are behind the page.
    frames: Option<File>,
    committed: Committed,
    /// Bytes that the queue's memory may take.
    max_bytes: u64,
    /// Of these, how many it may take for now: others share what there is.
    allowed: u64,
    /// How many more the last append would have needed.
    missing: u64,
    /// Up to which position it is known that no bound is exceeded.
    room_until: u64,
    /// Who reads, and how many readers had begun before that one was started.
    reader: (u64, u64),
    /// Events that the writer has lost and the journal has not been told of.
    untold: u64,
    /// The commands that run, the innermost last: by what the caller knows
    /// them, and the word that names them.
    open: Vec<(u64, OpenCommand)>,
    /// The page is to name none of them for the moment.
    is_hidden: bool,
}

impl Writer {
    /// Creates a queue that takes at most `max_bytes` of memory.
    ///
    /// # Errors
    ///
    /// The system has no descriptor or no memory left.
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

    /// Writes to a file that [`lay_out_for_records`] has just made a queue.
    pub fn over(file: File, max_bytes: u64) -> Self {
        Self::new(file, None, max_bytes)
    }

    /// A queue whose page says what [`page_apart`] has made, and whose frames
    /// go into an empty file of their own.
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
            untold: 0,
            open: Vec::new(),
            is_hidden: false,
        }
    }

    /// Where the counters are.
    pub fn page(&self) -> &File {
        &self.page
    }

    /// Where the frames are, if not behind the page.
    pub fn frames(&self) -> Option<&File> {
        self.frames.as_ref()
    }

    fn data(&self) -> &File {
        self.frames.as_ref().unwrap_or(&self.page)
    }

    /// Changes how much memory the queue may take.
    pub fn set_max_bytes(&mut self, max_bytes: u64) {
        if self.max_bytes != max_bytes {
            self.max_bytes = max_bytes;
            self.room_until = 0;
        }
    }

    /// The queue may take so many bytes more than what it has been allowed
    /// before; as long as nobody calls this, that is no bound.
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

    /// Tells whoever finds the page who reads from now on: the process, and how
    /// many readers had begun before. It is shown with what is appended next.
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

    /// The last value of [`Self::set_untold`].
    pub fn untold(&self) -> u64 {
        self.untold
    }

    /// Stores how many lost events are not in the journal, for a process that
    /// finds the page.
    ///
    /// # Errors
    ///
    /// The page cannot be written.
    pub fn set_untold(&mut self, untold: u64) -> io::Result<()> {
        write_words(&self.page, WRITER_UNTOLD_AT, [untold])?;
        self.untold = untold;
        Ok(())
    }

    /// Asks the reader to deliver all that has been appended so far at once,
    /// and to say when it is delivered: [`Self::delivery`].
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

    /// Appends frames, which [`begin_frame`] and [`end_frame`] have made, with
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

    /// What the page says of it, and when that was.
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
        // What the reader has given back no longer counts as allocated.
        let used = self.bytes()?;
        let added = end - self.committed.end;
        let wanted = used + added;
        if wanted > self.max_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.allowed != u64::MAX {
            // What the reader has given back has to be allowed again.
            let kept = (used + KEPT_BYTES).max(wanted);
            self.allowed = self.allowed.min(kept);
        }
        if wanted > self.allowed {
            self.missing = wanted - self.allowed;
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
        let (max_bytes, untold) = (self.max_bytes, self.untold);
        let words = [end, jobs, max_bytes, pid, begun, untold, open, seen];
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

    /// The memory that the queue takes, in bytes.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.data().metadata()?.blocks() * BLOCK_BYTES)
    }

    /// Goes on in another file, to which [`copy`] has copied the queue.
    pub fn go_on_in(&self, file: File) -> Self {
        Self {
            committed: self.committed,
            reader: self.reader,
            untold: self.untold,
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
    /// Events that the writer has lost and the journal does not know of.
    pub writer_untold: u64,
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
    /// Reads a page; of one whose words are elsewhere only the protocol.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no page or a damaged one, which is
    /// `InvalidData`.
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
            writer_untold,
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
            writer_untold,
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

    /// Whether the words of its protocol are where ours are.
    pub fn has_words(&self) -> bool {
        self.protocol >= FIRST_OF_LAYOUT
    }

    /// Jobs that are not done.
    pub fn undone(&self) -> u64 {
        self.committed.jobs.saturating_sub(self.progress.done())
    }

    /// Losses that are not in the journal.
    pub fn untold(&self) -> u64 {
        self.progress.untold().saturating_add(self.writer_untold)
    }

    /// Events that are lost if both ends have been killed.
    pub fn lost(&self) -> u64 {
        let running = self.progress.running();
        self.undone()
            .saturating_add(running)
            .saturating_add(self.untold())
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
    file.write_all_at(&new_page(max_bytes, 0, NO_SCRIPTS), MAGIC_AT)?;
    let text = postcard::to_stdvec(origin).map_err(io::Error::other)?;
    if text.len() > MAX_ORIGIN_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&text);
    file.write_all_at(&bytes, ORIGIN_AT)
}

/// What later frames refer to by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An environment.
    Environment,
    /// Which sinks there are.
    Items,
}

/// The dispatcher's end.
///
/// Each reader has its own position, and none waits for another:
/// [`Progress::scripts_at`] and [`Progress::records_at`] have the positions.
/// Memory is released up to the slower one.
#[derive(Debug)]
pub struct Reader {
    page: File,
    /// None if they are behind the page.
    frames: Option<File>,
    protocol: u16,
    progress: Progress,
    /// It is known that the frames up to here are committed.
    end: u64,
    /// Everything before this position has been given back, but for `pinned`.
    released: u64,
    /// The environments and items from `low` on that have been seen, in order,
    /// each with its beginning and its end.
    references: VecDeque<(Reference, u64, u64)>,
    /// The last ones before `low`, to which later frames may refer.
    pinned: Vec<(Reference, u64, u64)>,
    /// The frames of commands that have begun, as far as they may not have
    /// ended.
    begun: Vec<BegunCommand>,
}

/// The frame of a command that has begun, and the frames to which it refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunCommand {
    /// Its position.
    pub at: u64,
    /// The word that names the command around it.
    pub outer: u64,
    /// The positions of its environment and its items.
    pub refers_to: [u64; 2],
}

impl Reader {
    /// Opens a queue, and continues where its last reader stopped.
    ///
    /// # Errors
    ///
    /// The descriptor is not a queue, which is `InvalidData`.
    pub fn open(fd: OwnedFd) -> io::Result<Self> {
        Self::open_apart(fd, None)
    }

    /// The same for a queue whose frames may be in a separate file.
    ///
    /// # Errors
    ///
    /// Like [`Reader::open`].
    pub fn open_apart(
        page: OwnedFd,
        frames: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let page = File::from(page);
        let protocol = protocol_of(&page)?;
        // Another protocol's words mean something else, and may be fewer.
        let progress = if is_readable(protocol) {
            Progress::read(&page)?
        } else {
            Progress::default()
        };
        let mut reader = Self {
            page,
            frames: frames.map(File::from),
            protocol,
            progress,
            end: 0,
            released: FIRST_FRAME,
            references: VecDeque::new(),
            pinned: Vec::new(),
            begun: Vec::new(),
        };
        // Another protocol's words mean something else.
        if is_readable(protocol) {
            if reader.low() < FIRST_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            reader.pin_predecessors()?;
        }
        Ok(reader)
    }

    fn data(&self) -> &File {
        self.frames.as_ref().unwrap_or(&self.page)
    }

    /// What the page says now.
    ///
    /// # Errors
    ///
    /// As of [`Page::read`].
    pub fn page(&self) -> io::Result<Page> {
        Page::read(&self.page)
    }

    /// The file with the counters, for its locks.
    pub fn page_file(&self) -> &File {
        &self.page
    }

    /// Keeps what the reader before has kept.
    fn pin_predecessors(&mut self) -> io::Result<()> {
        let Progress {
            environment_at,
            items_at,
            ..
        } = self.progress;
        for (kind, at) in [
            (Reference::Environment, environment_at),
            (Reference::Items, items_at),
        ] {
            if at > 0 {
                let length = self.frame_at(at)?.len() as u64;
                self.pinned.push((kind, at, at + LENGTH_BYTES + length));
            }
        }
        Ok(())
    }

    /// The first position that anybody may still read from.
    pub fn low(&self) -> u64 {
        self.progress.scripts_at.min(self.progress.records_at)
    }

    /// The writer's protocol. If it is another one, nothing else in the queue
    /// can be interpreted.
    pub fn protocol(&self) -> u16 {
        self.protocol
    }

    /// The frame at `position`, where a frame begins, and where the next one
    /// does; none if it has not been committed.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or is damaged.
    pub fn frame(
        &mut self,
        position: u64,
    ) -> io::Result<Option<(Vec<u8>, u64)>> {
        if position >= self.end {
            self.end = self.committed()?.end;
        }
        if position >= self.end {
            return Ok(None);
        }
        let frame = self.read(position, self.end)?;
        let next = position + LENGTH_BYTES + frame.len() as u64;
        Ok(Some((frame, next)))
    }

    /// Whether the frames after this position take nearly as much memory as the
    /// queue may.
    pub fn is_nearly_full_from(&self, position: u64) -> bool {
        let used = self.end.saturating_sub(position);
        // If that cannot be read, no record is dropped for it.
        let limit = read_words(&self.page, MAX_BYTES_AT);
        limit.is_ok_and(|[limit]| limit > 0 && used > limit / 8 * 7)
    }

    /// The frame at a position that an earlier frame was appended at.
    ///
    /// # Errors
    ///
    /// As [`Reader::frame`].
    pub fn frame_at(&self, position: u64) -> io::Result<Vec<u8>> {
        self.read(position, self.committed()?.end)
    }

    fn read(&self, position: u64, end: u64) -> io::Result<Vec<u8>> {
        let mut length = [0; LENGTH_BYTES as usize];
        self.data().read_exact_at(&mut length, position)?;
        let length = u64::from(u32::from_le_bytes(length));
        let begin = position + LENGTH_BYTES;
        if length == 0 || begin + length > end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // A damaged length may be any number, so memory is allocated here only
        // if the file is as large.
        if length > RELEASE_STEP && length > self.bytes()? {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut frame = vec![0; length as usize];
        self.data().read_exact_at(&mut frame, begin)?;
        Ok(frame)
    }

    /// The position of the last environment before all frames that are still
    /// needed, or the first one.
    pub fn environment_at(&self) -> u64 {
        self.progress.environment_at.max(FIRST_FRAME)
    }

    /// Later frames refer to the frame from `begin` to `end`. Must be called
    /// for each, in order, before any reader has passed it.
    pub fn refer(&mut self, kind: Reference, begin: u64, end: u64) {
        self.references.push_back((kind, begin, end));
    }

    /// The slowest reader may have moved: of all earlier frames, only the last
    /// environment and items can still be referred to.
    pub fn pass(&mut self) {
        let low = self.low();
        while self.references.front().is_some_and(|it| it.2 <= low) {
            let Some(passed) = self.references.pop_front() else {
                return;
            };
            let (kind, begin, _) = passed;
            match kind {
                Reference::Environment => self.progress.environment_at = begin,
                Reference::Items => self.progress.items_at = begin,
            }
            let before = self.pinned.iter().position(|it| it.0 == kind);
            let before = before.map(|index| self.pinned.remove(index));
            self.pinned.push(passed);
            if let Some((_, begin, end)) = before {
                self.unpin(begin, end);
            }
        }
    }

    /// Releases a pinned frame whose neighbours were released; pages that it
    /// shares with unreleased or pinned frames stay.
    fn unpin(&self, begin: u64, end: u64) {
        let (mut begin, mut end) = (page_of(begin), page_after(end));
        for (other_begin, other_end) in self.pinned_ranges() {
            if other_end > begin && other_begin < end {
                if other_begin <= begin {
                    begin = page_after(other_end);
                } else {
                    end = page_of(other_begin);
                }
            }
        }
        self.punch(begin, end.min(self.released));
    }

    /// Keeps the frame of a command that has begun until the page refers
    /// neither to it nor to a nested one. Must be called for each before any
    /// reader has passed it.
    pub fn keep_begun(&mut self, begun: BegunCommand) {
        self.begun.push(begun);
    }

    /// Drops the frames of commands that have ended; returns which.
    fn forget_ended(&mut self) -> Vec<BegunCommand> {
        if self.begun.is_empty() {
            return Vec::new();
        }
        // If that is unknown they stay: a command that was not read yet may be
        // nested in one of these.
        let Ok(open) = self.open_command() else {
            return Vec::new();
        };
        let mut open = open.map(|it| it.at);
        let is_known = |at: u64| self.begun.iter().any(|it| it.at == at);
        if open.is_some_and(|at| !is_known(at)) {
            return Vec::new();
        }
        // Each frame names one before it, so there is an end.
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for begun in std::mem::take(&mut self.begun).into_iter().rev() {
            if open == Some(begun.at) {
                let outer = OpenCommand::of(begun.outer);
                open = outer.map(|it| it.at).filter(|it| *it < begun.at);
                kept.push(begun);
            } else {
                ended.push(begun);
            }
        }
        kept.reverse();
        self.begun = kept;
        ended
    }

    /// The positions of a command's frames: beginnings and ends.
    fn ranges(&self, begun: &BegunCommand) -> Vec<(u64, u64)> {
        let [environment_at, items_at] = begun.refers_to;
        let range = |at: u64| {
            let mut length = [0; LENGTH_BYTES as usize];
            self.data().read_exact_at(&mut length, at).ok()?;
            let length = u64::from(u32::from_le_bytes(length));
            Some((at, at + LENGTH_BYTES + length))
        };
        let all = [begun.at, environment_at, items_at].into_iter();
        all.filter_map(range).collect()
    }

    /// All that is kept before what may be read: beginnings and ends.
    fn pinned_ranges(&self) -> Vec<(u64, u64)> {
        let pinned = self.pinned.iter().map(|(_, begin, end)| (*begin, *end));
        let begun = self.begun.iter().flat_map(|it| self.ranges(it));
        pinned.chain(begun).collect()
    }

    /// The innermost command that has begun and not ended.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn open_command(&self) -> io::Result<Option<OpenCommand>> {
        let [word] = read_words(&self.page, OPEN_AT)?;
        Ok(OpenCommand::of(word))
    }

    /// When the writer has written last, in microseconds of its monotonic
    /// clock.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn written_at(&self) -> io::Result<u64> {
        let [micros] = read_words(&self.page, OPEN_AT + 8)?;
        Ok(micros)
    }

    /// Appends the event of a command that was killed with the writer; from
    /// then on the page refers to the enclosing command, `outer`. The caller
    /// knows that the writer is dead, and that there is no other reader.
    ///
    /// # Errors
    ///
    /// The queue cannot be written. Nothing has then been appended.
    pub fn append_for_dead(
        &mut self,
        frames: &[u8],
        jobs: u64,
        outer: u64,
    ) -> io::Result<()> {
        let mut words: [u64; WRITER_WORDS] = read_words(&self.page, WRITER_AT)?;
        let [end, all_jobs, _, _, _, _, open, _] = &mut words;
        self.data().write_all_at(frames, *end)?;
        *end += frames.len() as u64;
        *all_jobs = all_jobs.saturating_add(jobs);
        *open = outer;
        write_words(&self.page, WRITER_AT, words)
    }

    /// What the writer has committed.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn committed(&self) -> io::Result<Committed> {
        let [end, jobs] = read_words(&self.page, WRITER_AT)?;
        Ok(Committed { end, jobs })
    }

    /// The progress, in which the caller counts.
    pub fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// The progress.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Stores the progress for the writer and for a later reader.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn publish(&self) -> io::Result<()> {
        write_words(&self.page, READER_AT, self.progress.to_words())
    }

    /// Counts reported losses.
    ///
    /// # Errors
    ///
    /// There is no free descriptor.
    pub fn told(&self) -> io::Result<ReportedLosses> {
        Ok(ReportedLosses {
            page: self.page.try_clone()?,
            count: self.progress.told,
        })
    }

    /// Of how many jobs the writer waits for the delivery; 0 if of none.
    pub fn awaited(&self) -> u64 {
        read_words(&self.page, AWAITED_AT).map_or(0, |[it]| it)
    }

    /// Answers the writer's question about so many jobs.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn answer(&self, jobs: u64, delivery: Delivery) -> io::Result<()> {
        let outcome = match delivery {
            Delivery::Pending => return Ok(()),
            Delivery::Done => jobs & !DEFERRED,
            Delivery::Deferred => jobs | DEFERRED,
        };
        write_words(&self.page, OUTCOME_AT, [outcome])
    }

    /// Stores only that the writer has another protocol.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn refuse(&self) -> io::Result<()> {
        write_words(&self.page, REFUSED_BY_AT, [PROTOCOL.into()])
    }

    /// Shows a failure to the writer, in place of the one before.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn publish_failure(&self, text: &str) -> io::Result<()> {
        let mut text = text.as_bytes();
        text = &text[..text.len().min(MAX_FAILURE_BYTES)];
        let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(text);
        self.page.write_all_at(&bytes, FAILURE_AT)
    }

    /// The queue's creator, if it is stored.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or the entry is invalid.
    pub fn origin(&self) -> io::Result<Origin> {
        let mut length = [0; LENGTH_BYTES as usize];
        self.page.read_exact_at(&mut length, ORIGIN_AT)?;
        let length = u32::from_le_bytes(length) as usize;
        let mut text = vec![0; length.min(MAX_ORIGIN_BYTES)];
        self.page
            .read_exact_at(&mut text, ORIGIN_AT + LENGTH_BYTES)?;
        postcard::from_bytes(&text)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// What the writer says that it does at the moment; of a queue that has a
    /// name.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn phase(&self) -> io::Result<Vec<u8>> {
        let mut bytes = [0; LENGTH_BYTES as usize + MAX_PROGRAM_BYTES];
        // At once: half of one and half of another says nothing.
        self.page.read_exact_at(&mut bytes, PHASE_AT)?;
        let (length, text) = bytes.split_at(LENGTH_BYTES as usize);
        let length = length.try_into().map_or(0, u32::from_le_bytes);
        Ok(text[..(length as usize).min(text.len())].to_vec())
    }

    /// The last failure that a reader has shown, if any.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn last_failure(&self) -> io::Result<Option<String>> {
        read_failure(&self.page)
    }

    /// The memory that the queue takes, in bytes.
    ///
    /// # Errors
    ///
    /// The queue cannot be looked at.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.data().metadata()?.blocks() * BLOCK_BYTES)
    }

    /// Releases the memory that is no longer needed, except for pinned frames,
    /// if it is worth a system call.
    pub fn release(&mut self) {
        let until = page_of(self.low());
        if until < self.released + RELEASE_STEP {
            return;
        }
        let ended = self.forget_ended();
        let mut pinned = self.pinned_ranges();
        pinned.sort_unstable();
        let mut begin = self.released;
        for (pin_begin, pin_end) in pinned {
            self.punch(begin, until.min(page_of(pin_begin)));
            begin = begin.max(page_after(pin_end));
        }
        self.punch(begin, until);
        self.released = until;
        for range in ended.iter().flat_map(|it| self.ranges(it)) {
            self.unpin(range.0, range.1);
        }
    }

    /// Where it fails, memory stays in use until the queue is closed.
    fn punch(&self, begin: u64, end: u64) {
        #[cfg(target_os = "linux")]
        if begin < end {
            use nix::fcntl::FallocateFlags;
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE
                | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let (begin, length) = (begin as i64, (end - begin) as i64);
            let _ = nix::fcntl::fallocate(self.data(), flags, begin, length);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (begin, end);
    }
}

/// The number of losses that are in the journal, for the thread that writes it.
#[derive(Debug)]
pub struct ReportedLosses {
    page: File,
    count: u64,
}

impl ReportedLosses {
    /// So many more.
    pub fn add(&mut self, losses: u64) {
        self.count = self.count.saturating_add(losses);
        // If that fails they may be reported a second time.
        let _ = write_words(&self.page, TOLD_AT, [self.count]);
    }
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
fn page_of(position: u64) -> u64 {
    position / PAGE_BYTES * PAGE_BYTES
}

/// The beginning of the first whole page at or after this position.
fn page_after(position: u64) -> u64 {
    page_of(position + PAGE_BYTES - 1)
}

/// What memory there is for a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Memory without a name.
    Anonymous,
    /// An unlinked file in the directory for temporary files.
    Temporary,
}

/// Returns what a queue would be stored in now.
///
/// # Errors
///
/// The system has neither.
pub fn probe() -> io::Result<Memory> {
    match memory_file::create(c"uilog") {
        Ok(_) => Ok(Memory::Anonymous),
        Err(_) => tempfile::tempfile().map(|_| Memory::Temporary),
    }
}

/// A file without a name: in memory where the system can, else in the
/// directory for temporary files.
pub fn anonymous_file() -> io::Result<File> {
    in_memory(c"uilog")
}

/// How a link in /proc begins to a file in memory that holds frames.
pub(crate) const FRAMES_LINK: &[u8] = b"/memfd:uilog-queue";

/// The same for a queue's frames.
pub fn frames_file() -> io::Result<File> {
    in_memory(c"uilog-queue")
}

fn in_memory(name: &CStr) -> io::Result<File> {
    memory_file::create(name).or_else(|_| tempfile::tempfile())
}

/// The writer's protocol; if it is another one, nothing else can be
/// interpreted.
///
/// # Errors
///
/// It is not a page, which is `InvalidData`.
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

fn read_failure(file: &File) -> io::Result<Option<String>> {
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

fn write_words<const N: usize>(
    file: &File,
    at: u64,
    words: [u64; N],
) -> io::Result<()> {
    file.write_all_at(words.map(u64::to_le_bytes).as_flattened(), at)
}

fn read_words<const N: usize>(file: &File, at: u64) -> io::Result<[u64; N]> {
    let mut words = [[0; size_of::<u64>()]; N];
    file.read_exact_at(words.as_flattened_mut(), at)?;
    Ok(words.map(u64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let begin = begin_frame(&mut buffer).unwrap();
        buffer.extend_from_slice(payload);
        end_frame(&mut buffer, begin).unwrap();
        buffer
    }

    fn pair(max_bytes: u64) -> (Writer, Reader) {
        let writer = Writer::create(max_bytes).unwrap();
        let fd = OwnedFd::from(writer.page().try_clone().unwrap());
        (writer, Reader::open(fd).unwrap())
    }

    /// Moves both readers' positions.
    fn move_to(reader: &mut Reader, position: u64) {
        reader.progress_mut().scripts_at = position;
        reader.progress_mut().records_at = position;
        reader.pass();
        reader.release();
    }

    #[test]
    fn a_second_reader_goes_on_where_the_first_stopped() {
        let (mut writer, mut reader) = pair(1 << 20);
        for payload in [&b"one"[..], b"two", b"three"] {
            writer.append(&framed(payload), 1).unwrap();
        }
        let (first, next) = reader.frame(reader.low()).unwrap().unwrap();
        assert_eq!(first, b"one");
        move_to(&mut reader, next);
        reader.publish().unwrap();
        drop(reader);
        let fd = OwnedFd::from(writer.page().try_clone().unwrap());
        let mut second = Reader::open(fd).unwrap();
        let (frame, _) = second.frame(second.low()).unwrap().unwrap();
        assert_eq!(frame, b"two");
        assert_eq!(second.committed().unwrap().jobs, 3);
    }

    #[test]
    fn a_frame_that_was_not_committed_is_not_there() {
        let (mut writer, mut reader) = pair(1 << 20);
        let position = writer.append(&framed(b"whole"), 1).unwrap();
        let torn = framed(b"torn");
        writer.page.write_all_at(&torn, position + 9).unwrap();
        let (_, next) = reader.frame(position).unwrap().unwrap();
        assert_eq!(reader.frame(next).unwrap(), None);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let limit = 1 << 20;
        let (mut writer, mut reader) = pair(limit);
        let pinned = writer.append(&framed(b"pinned"), 0).unwrap();
        let (_, mut at) = reader.frame(pinned).unwrap().unwrap();
        reader.refer(Reference::Environment, pinned, at);
        let payload = framed(&[7; 10_000]);
        let mut appended = 0;
        let error = loop {
            match writer.append(&payload, 1) {
                Ok(_) => appended += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(appended >= 90, "{appended}");
        for _ in 0..20 * appended {
            while let Some((_, next)) = reader.frame(at).unwrap() {
                at = next;
                move_to(&mut reader, at);
            }
            writer.append(&payload, 1).unwrap();
            assert!(writer.bytes().unwrap() <= limit + 4096);
        }
        assert_eq!(reader.frame_at(pinned).unwrap(), b"pinned");
        // A later reader keeps it as well.
        reader.publish().unwrap();
        let fd = OwnedFd::from(writer.page().try_clone().unwrap());
        let mut second = Reader::open(fd).unwrap();
        while let Some((_, next)) = second.frame(at).unwrap() {
            at = next;
        }
        move_to(&mut second, at);
        assert_eq!(second.frame_at(pinned).unwrap(), b"pinned");
        // Until there is a newer one.
        let newer = writer.append(&framed(&[8; 10_000]), 0).unwrap();
        let (_, next) = second.frame(newer).unwrap().unwrap();
        second.refer(Reference::Environment, newer, next);
        move_to(&mut second, next);
        assert!(second.frame_at(pinned).is_err());
        assert_eq!(second.frame_at(newer).unwrap().len(), 10_000);
    }

    #[test]
    fn a_writer_takes_what_it_is_allowed() {
        let (mut writer, mut reader) = pair(16 << 20);
        writer.allow(16 * 1024);
        let payload = framed(&[7; 10_000]);
        writer.append(&payload, 1).unwrap();
        let refused = writer.append(&payload, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
        assert_eq!(writer.committed().jobs, 1);
        let mut asked = 0;
        let mut append = |writer: &mut Writer| {
            if let Err(error) = writer.append(&payload, 1) {
                assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
                writer.allow(writer.missing());
                writer.append(&payload, 1).unwrap();
                asked += 1;
            }
            asked
        };
        let grown: Vec<_> = (0..100).map(|_| append(&mut writer)).collect();
        assert!(grown[99] > 10 && grown[99] < 20, "{grown:?}");
        // As long as somebody reads, nothing is to be allowed any more.
        let mut at = reader.low();
        let mut asked = Vec::new();
        for _ in 0..100 {
            while let Some((_, next)) = reader.frame(at).unwrap() {
                at = next;
            }
            move_to(&mut reader, at);
            asked.push(append(&mut writer));
        }
        assert!(asked[99] < grown[99] + 5, "{asked:?}");
        assert!(writer.bytes().unwrap() < 600 * 1024);
        // What was given back has to be allowed again.
        for _ in 0..200 {
            append(&mut writer);
        }
        assert!(append(&mut writer) > asked[99] + 5);
    }

    #[test]
    fn a_copy_of_a_queue_goes_on_where_it_was() {
        let (mut writer, mut reader) = pair(16 << 20);
        let environment = writer.append(&framed(b"A=b"), 0).unwrap();
        let (_, next) = reader.frame(environment).unwrap().unwrap();
        reader.refer(Reference::Environment, environment, next);
        for _ in 0..100 {
            writer.append(&framed(&[1; 10_000]), 1).unwrap();
        }
        let mut at = reader.low();
        for _ in 0..90 {
            (_, at) = reader.frame(at).unwrap().unwrap();
        }
        move_to(&mut reader, at);
        reader.publish().unwrap();
        let file = tempfile::tempfile().unwrap();
        copy(writer.page(), &file).unwrap();
        let mut copied = writer.go_on_in(file);
        assert!(copied.bytes().unwrap() <= writer.bytes().unwrap() + 8192);
        copied.append(&framed(b"more"), 1).unwrap();
        let fd = OwnedFd::from(copied.page().try_clone().unwrap());
        let mut second = Reader::open(fd).unwrap();
        assert_eq!(second.low(), at);
        assert_eq!(second.frame_at(environment).unwrap(), b"A=b");
        let mut last = Vec::new();
        let mut count = 0;
        while let Some((frame, next)) = second.frame(at).unwrap() {
            (last, at) = (frame, next);
            count += 1;
        }
        assert_eq!((last, count), (b"more".to_vec(), 12));
    }

    #[test]
    fn what_the_slower_one_refers_to_stays() {
        let (mut writer, mut reader) = pair(100 << 20);
        let environments = [[1; 5000], [2; 5000], [3; 5000]];
        let filler = framed(&[0; 400_000]);
        let mut at = Vec::new();
        for environment in &environments {
            let begin = writer.append(&framed(environment), 0).unwrap();
            let (_, end) = reader.frame(begin).unwrap().unwrap();
            reader.refer(Reference::Environment, begin, end);
            writer.append(&filler, 1).unwrap();
            at.push((begin, end));
        }
        let committed = writer.committed().end;
        let bytes = writer.bytes().unwrap();
        // Scripts stand still behind the first, records run to the end.
        reader.progress_mut().scripts_at = at[0].1;
        reader.progress_mut().records_at = committed;
        reader.pass();
        reader.release();
        for ((begin, _), environment) in at.iter().zip(&environments) {
            assert_eq!(reader.frame_at(*begin).unwrap(), environment);
        }
        assert_eq!(writer.bytes().unwrap(), bytes);
        // And now the other way round, two of them further on.
        reader.progress_mut().scripts_at = committed;
        reader.progress_mut().records_at = at[2].1;
        reader.pass();
        reader.release();
        assert_eq!(reader.frame_at(at[2].0).unwrap(), environments[2]);
        assert!(reader.frame_at(at[0].0).is_err());
        assert!(writer.bytes().unwrap() < bytes - 700_000);
        assert_eq!(reader.progress().environment_at, at[2].0);
    }

    #[test]
    fn the_page_names_the_innermost_command_that_runs() {
        let (mut writer, reader) = pair(1 << 20);
        let open = || reader.open_command().unwrap();
        assert_eq!(open(), None);
        let begin = |writer: &mut Writer, id: u64| {
            let at = writer.committed().end;
            writer.append_beginning(&framed(b"\x04\0"), at, id).unwrap();
            at
        };
        let ats = [1, 2, 3].map(|id| begin(&mut writer, id));
        let named = |depth: u16| {
            let at = ats[usize::from(depth) - 1];
            Some(OpenCommand { at, depth })
        };
        assert_eq!(open(), named(3));
        assert_eq!(reader.committed().unwrap().jobs, 0);
        assert_eq!(Page::read(reader.page_file()).unwrap().lost(), 3);
        assert!(reader.written_at().unwrap() > 0);
        // It ends with the record that says so, and only if that is there.
        writer.set_max_bytes(1);
        writer.append_ending(&framed(b"end"), 1, 3).unwrap_err();
        assert_eq!(open(), named(3));
        writer.set_max_bytes(1 << 20);
        writer.append_ending(&framed(b"end"), 1, 3).unwrap();
        assert_eq!(open(), named(2));
        // One around it has ended before it.
        let has_ended = || reader.frame_at(ats[0]).unwrap() == [4, 1];
        assert!(!has_ended());
        writer.end(1).unwrap();
        assert!(has_ended());
        assert_eq!(open(), named(2));
        writer.hide_open(true).unwrap();
        writer.append(&framed(b"meanwhile"), 1).unwrap();
        assert_eq!(open(), None);
        writer.hide_open(false).unwrap();
        assert_eq!(open(), named(2));
        writer.end(7).unwrap();
        writer.end_all().unwrap();
        assert_eq!(open(), None);
    }

    #[test]
    fn what_tells_of_a_running_command_is_kept_as_long_as_that() {
        let (mut writer, mut reader) = pair(100 << 20);
        let environment = writer.append(&framed(&[1; 5000]), 0).unwrap();
        let at = writer.committed().end;
        writer.append_beginning(&framed(&[2; 5000]), at, 1).unwrap();
        let begun = BegunCommand {
            at,
            outer: 0,
            refers_to: [environment; 2],
        };
        reader.keep_begun(begun);
        let filler = framed(&[0; 400_000]);
        let read_all = |writer: &mut Writer, reader: &mut Reader| {
            writer.append(&filler, 1).unwrap();
            move_to(reader, writer.committed().end);
        };
        read_all(&mut writer, &mut reader);
        assert_eq!(reader.frame_at(at).unwrap(), [2; 5000]);
        // One within it that has not been looked at changes nothing.
        let inner = writer.committed().end;
        writer
            .append_beginning(&framed(&[3; 50]), inner, 2)
            .unwrap();
        read_all(&mut writer, &mut reader);
        assert_eq!(reader.frame_at(at).unwrap(), [2; 5000]);
        assert_eq!(reader.frame_at(environment).unwrap(), [1; 5000]);
        writer.end(2).unwrap();
        writer.end(1).unwrap();
        read_all(&mut writer, &mut reader);
        assert!(reader.frame_at(at).is_err());
        assert!(reader.frame_at(environment).is_err());
        assert!(writer.bytes().unwrap() <= 3 * PAGE_BYTES);
    }

    #[test]
    fn whoever_reads_ends_the_commands_of_a_dead_writer() {
        let (mut writer, mut reader) = pair(1 << 20);
        let [outer, at] = [1, 2].map(|id| {
            let at = writer.committed().end;
            writer.append_beginning(&framed(b"\x04\0"), at, id).unwrap();
            at
        });
        drop(writer);
        let open = reader.open_command().unwrap();
        assert_eq!(open, Some(OpenCommand { at, depth: 2 }));
        let end = reader.committed().unwrap().end;
        let outer = OpenCommand {
            at: outer,
            depth: 1,
        };
        reader
            .append_for_dead(&framed(b"lost"), 1, outer.word())
            .unwrap();
        let (frame, _) = reader.frame(end).unwrap().unwrap();
        assert_eq!(frame, b"lost");
        assert_eq!(reader.committed().unwrap().jobs, 1);
        assert_eq!(reader.open_command().unwrap(), Some(outer));
        reader.append_for_dead(&[], 0, 0).unwrap();
        assert_eq!(reader.open_command().unwrap(), None);
    }

    #[test]
    fn a_writer_of_another_protocol_finds_that_it_was_refused() {
        let refused = Progress {
            refused_by: 5,
            ..Progress::default()
        };
        assert_eq!(refused.to_words()[7], 5);
    }

    #[test]
    fn a_reader_knows_when_there_is_hardly_any_room() {
        let (mut writer, mut reader) = pair(1 << 20);
        let begin = writer.committed().end;
        let mut second = 0;
        for number in 0..95 {
            let at = writer.append(&framed(&[7; 10_000]), 1).unwrap();
            if number == 40 {
                second = at;
            }
        }
        reader.frame(begin).unwrap();
        assert!(reader.is_nearly_full_from(begin));
        assert!(!reader.is_nearly_full_from(second));
        writer.set_max_bytes(2 << 20);
        writer.append(&framed(b"more"), 1).unwrap();
        assert!(!reader.is_nearly_full_from(begin));
    }

    #[test]
    fn the_writer_sees_what_the_reader_says() {
        let (writer, mut reader) = pair(1 << 20);
        assert_eq!(writer.last_failure().unwrap(), None);
        reader.progress_mut().failed = 3;
        reader.told().unwrap().add(5);
        reader.publish().unwrap();
        assert_eq!(writer.progress().unwrap().told, 5);
        reader.publish_failure("exit status 127").unwrap();
        reader.publish_failure("gone").unwrap();
        assert_eq!(writer.progress().unwrap().failed, 3);
        assert_eq!(writer.last_failure().unwrap().as_deref(), Some("gone"));
    }
}
