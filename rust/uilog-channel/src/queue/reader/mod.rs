//! The dispatcher's end of the queue.
//!
//! Responsible for reading frames, for the positions up to which they are done,
//! and for releasing memory before these. Must not know how a frame is
//! processed.

mod keeping;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use super::layout::AWAITED_AT;
use super::layout::DEFERRED;
use super::layout::FAILURE_AT;
use super::layout::FIRST_FRAME;
use super::layout::LENGTH_BYTES;
use super::layout::MAX_BYTES_AT;
use super::layout::MAX_FAILURE_BYTES;
use super::layout::MAX_ORIGIN_BYTES;
use super::layout::MAX_PROGRAM_BYTES;
use super::layout::OPEN_AT;
use super::layout::ORIGIN_AT;
use super::layout::OUTCOME_AT;
use super::layout::PHASE_AT;
use super::layout::READER_AT;
use super::layout::REFUSED_BY_AT;
use super::layout::RELEASE_STEP;
use super::layout::TOLD_AT;
use super::layout::WRITER_AT;
use super::layout::WRITER_WORDS;
use super::layout::protocol_of;
use super::layout::read_failure;
use super::layout::read_words;
use super::layout::write_words;
use super::making::Origin;
use super::page::Page;
use super::progress::Committed;
use super::progress::Delivery;
use super::progress::OpenCommand;
use super::progress::Progress;
use crate::wire::PROTOCOL;
use crate::wire::is_readable;

/// What later frames refer to by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An environment.
    Environment,
    /// Which sinks there are.
    Items,
}

/// The frame of a command that has begun, and the frames to which it refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunCommand {
    /// Its position.
    pub at: u64,
    /// The word of the enclosing command.
    pub outer: u64,
    /// The positions of its environment and its items.
    pub refers_to: [u64; 2],
}

/// The dispatcher's end.
///
/// Each reader has its own position, and none waits for another:
/// [`Progress::scripts_at`] and [`Progress::records_at`] have the positions.
/// Memory is released up to the slower one.
#[derive(Debug)]
pub struct Reader {
    page: File,
    /// `None` if the frames follow the page in the same file.
    frames: Option<File>,
    protocol: u16,
    progress: Progress,
    /// It is known that the frames up to here are committed.
    end: u64,
    /// Everything before this position has been released, except `pinned`.
    released: u64,
    /// The environments and items from `low` on that have been seen, in order,
    /// each with its beginning and its end.
    references: VecDeque<(Reference, u64, u64)>,
    /// The last ones before `low`, to which later frames may refer.
    pinned: Vec<(Reference, u64, u64)>,
    /// The frames of commands that have begun, as far as they may not have
    /// ended.
    begun: Vec<BegunCommand>,
    /// How many bytes may still be appended for a dead writer, once asked.
    room_for_dead: Option<u64>,
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
        // In another protocol the words have other meanings, and there may be
        // fewer.
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
            room_for_dead: None,
        };
        // In another protocol the words have other meanings.
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

    /// The first position that any reader may still read.
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
        // If the limit cannot be read, no record is dropped.
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

    /// Appends the event of a command that was killed with the writer, even if
    /// the queue is full; afterwards the page refers to the enclosing command,
    /// `outer`. The caller must know that the writer is dead and that there is
    /// no other reader.
    ///
    /// # Errors
    ///
    /// The queue cannot be written, or is damaged. Nothing has then been
    /// appended.
    pub fn append_for_dead(
        &mut self,
        frames: &[u8],
        jobs: u64,
        outer: u64,
    ) -> io::Result<()> {
        if frames.is_empty() {
            return write_words(&self.page, OPEN_AT, [outer]);
        }
        let mut words: [u64; WRITER_WORDS] = read_words(&self.page, WRITER_AT)?;
        let [end, all_jobs, _, _, _, _, open, _] = &mut words;
        let length = self.data().metadata()?.len().max(FIRST_FRAME);
        let added = frames.len() as u64;
        if *end < self.low() || *end > length || added > self.room_for_dead()? {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.data().write_all_at(frames, *end)?;
        self.room_for_dead = self.room_for_dead.map(|room| room - added);
        *end += added;
        *all_jobs = all_jobs.saturating_add(jobs);
        *open = outer;
        write_words(&self.page, WRITER_AT, words)
    }

    /// How many bytes may still be appended for a dead writer. Each event
    /// repeats a frame of the queue, so all of them together fit into the
    /// memory that the queue has before the first one, and a little more for
    /// what is added to each. In a damaged queue, one frame can stand for many
    /// commands.
    fn room_for_dead(&mut self) -> io::Result<u64> {
        if let Some(room) = self.room_for_dead {
            return Ok(room);
        }
        let room = self.bytes()?.saturating_add(RELEASE_STEP);
        self.room_for_dead = Some(room);
        Ok(room)
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
    pub fn reported(&self) -> io::Result<ReportedLosses> {
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
