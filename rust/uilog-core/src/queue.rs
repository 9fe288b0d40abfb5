//! The queue between hg and its dispatcher: an anonymous file in memory.
//!
//! hg appends, and never waits for whoever reads; the dispatcher reads, and
//! gives back the memory behind it. What hg has committed survives hg. Both
//! ends keep their counts in the file's first page, so that either can be
//! asked after the other has gone, and a second dispatcher can go on where
//! the first one died.
//!
//! Knows nothing of what a frame holds.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

use serde::Deserialize;
use serde::Serialize;

use crate::wire::PROTOCOL;

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

/// Where in the first page the queue says that it is one, and of which
/// protocol. This stays the same in every version.
const MAGIC_AT: u64 = 0;
/// What it says, with the protocol in the last two bytes.
const MAGIC: [u8; 6] = *b"uilog\0";
/// Where in the first page the writer's words stand.
const WRITER_AT: u64 = 64;
/// Where it stands behind them how much memory the queue may take.
const MAX_BYTES_AT: u64 = WRITER_AT + 16;
/// Where in the first page the writer names its note, as the length and the
/// path: the reader that begins removes it.
const NOTE_AT: u64 = 128;
/// Bytes of that path at most.
const MAX_NOTE_BYTES: usize = 380;
/// Where in the first page the reader's words stand.
const READER_AT: u64 = 512;
/// Where `refused_by` stands among them, in every version.
const REFUSED_BY_AT: u64 = READER_AT + 7 * 8;
/// Where in the first page the reader's last failure stands, as its length
/// and its text.
const FAILURE_AT: u64 = 1024;
/// Bytes of that text at most.
const MAX_FAILURE_BYTES: usize = 2048;

/// Where in the first page of a queue that has a name it stands who has made
/// it, as the length and the text.
const ORIGIN_AT: u64 = 3584;
/// Bytes of that text at most.
const MAX_ORIGIN_BYTES: usize = 500;
/// Where scripts begin in a queue that has none.
const NO_SCRIPTS: u64 = u64::MAX;

/// What the writer has committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The position after the last whole frame.
    pub end: u64,
    /// How many jobs there are among the frames: scripts and records.
    pub jobs: u64,
}

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What the reader has done so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Progress {
            $($(#[$meta])* pub $name: u64,)*
        }

        impl Progress {
            const WORDS: usize = [$(stringify!($name)),*].len();

            fn to_words(self) -> [u64; Self::WORDS] {
                [$(self.$name),*]
            }

            fn from_words(words: [u64; Self::WORDS]) -> Self {
                let [$($name),*] = words;
                Self { $($name),* }
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
    /// As many lost records as the journal has been told of. This word is
    /// written by [`Told`] alone.
    records_told,
}

impl Progress {
    const BYTES: usize = Self::WORDS * size_of::<u64>();

    /// Jobs of which it is known what has become of them.
    pub fn done(&self) -> u64 {
        self.started + self.not_started + self.records
    }

    /// What nobody will ever tell of, should the reader have died: lost
    /// records that the journal has not been told of.
    pub fn untold(&self) -> u64 {
        let untold = self.records_lost.saturating_sub(self.records_told);
        untold.saturating_add(self.at_risk)
    }
}

impl Committed {
    fn to_words(self) -> [u64; 2] {
        [self.end, self.jobs]
    }
}

/// hg's end.
#[derive(Debug)]
pub struct Writer {
    file: File,
    committed: Committed,
    /// Bytes that the queue's memory may take.
    max_bytes: u64,
    /// Up to which position it is known that `max_bytes` are not exceeded.
    room_until: u64,
}

impl Writer {
    /// Creates a queue that takes at most `max_bytes` of memory.
    ///
    /// # Errors
    ///
    /// The system has no descriptor or no memory left.
    pub fn create(max_bytes: u64) -> io::Result<Self> {
        Self::lay_out(anonymous_file()?, max_bytes)
    }

    /// Makes a queue of an empty file, as [`Self::create`] does.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn lay_out(file: File, max_bytes: u64) -> io::Result<Self> {
        write_first_page(&file, max_bytes, FIRST_FRAME)?;
        Ok(Self::over(file, max_bytes))
    }

    /// Writes to a file that [`lay_out_for_records`] has just made a queue.
    pub fn over(file: File, max_bytes: u64) -> Self {
        Self {
            file,
            committed: Committed {
                end: FIRST_FRAME,
                jobs: 0,
            },
            max_bytes,
            room_until: FIRST_FRAME + max_bytes,
        }
    }

    /// Changes how much memory the queue may take.
    pub fn set_max_bytes(&mut self, max_bytes: u64) {
        if self.max_bytes != max_bytes {
            self.max_bytes = max_bytes;
            self.room_until = 0;
        }
    }

    /// Appends frames, each of which [`begin_frame`] and [`end_frame`] have
    /// made, with `jobs` jobs among them; returns the first one's position.
    ///
    /// # Errors
    ///
    /// `StorageFull` if the queue holds `max_bytes` that nobody has read;
    /// other errors of the file. Nothing has then been appended.
    pub fn append(&mut self, frames: &[u8], jobs: u64) -> io::Result<u64> {
        let position = self.committed.end;
        let end = position + frames.len() as u64;
        self.make_room(end)?;
        self.file.write_all_at(frames, position)?;
        let before = self.committed;
        self.committed = Committed {
            end,
            jobs: before.jobs + jobs,
        };
        self.commit().inspect_err(|_| self.committed = before)?;
        Ok(position)
    }

    /// Fails if the frames up to `end` would take more memory than allowed.
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        if end <= self.room_until {
            return Ok(());
        }
        // What the reader has given back no longer counts as allocated.
        let used = self.file.metadata()?.blocks() * BLOCK_BYTES;
        let added = end - self.committed.end;
        if used + added > self.max_bytes {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room_until = self.committed.end + (self.max_bytes - used);
        Ok(())
    }

    fn commit(&self) -> io::Result<()> {
        let [end, jobs] = self.committed.to_words();
        write_words(&self.file, WRITER_AT, [end, jobs, self.max_bytes])
    }

    /// Names the note that says what is lost if no reader begins, by its path
    /// or by several.
    ///
    /// # Errors
    ///
    /// That is too long, or the queue cannot be written.
    pub fn publish_note(&self, path: &[u8]) -> io::Result<()> {
        if path.len() > MAX_NOTE_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = (path.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(path);
        self.file.write_all_at(&bytes, NOTE_AT)
    }

    /// What has been committed.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// What the reader has done.
    pub fn progress(&self) -> io::Result<Progress> {
        read_words(&self.file, READER_AT).map(Progress::from_words)
    }

    /// The reader's last failure, if it had one.
    pub fn last_failure(&self) -> io::Result<Option<String>> {
        read_failure(&self.file)
    }

    /// The memory that the queue takes, in bytes.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * BLOCK_BYTES)
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<Writer> for OwnedFd {
    fn from(writer: Writer) -> Self {
        writer.file.into()
    }
}

/// Who has made a queue that has a name. Whoever reads it may be a process that
/// knows nothing else of that one, and cannot rely on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The process.
    pub pid: u32,
    /// The user.
    pub uid: u32,
    /// The inode number of its pid namespace.
    pub pid_namespace: u64,
    /// What stands for all its namespaces, as agents are told apart by it.
    pub namespaces: String,
    /// Which start of the system it belongs to: `boot_id`, as the kernel
    /// writes it.
    pub boot: String,
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
    write_first_page(file, max_bytes, NO_SCRIPTS)?;
    let text = postcard::to_stdvec(origin).map_err(io::Error::other)?;
    if text.len() > MAX_ORIGIN_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&text);
    file.write_all_at(&bytes, ORIGIN_AT)
}

/// Writes what a queue begins with, all at once: this is on the way of a
/// command's first event.
fn write_first_page(
    file: &File,
    max_bytes: u64,
    scripts_at: u64,
) -> io::Result<()> {
    let progress = Progress {
        scripts_at,
        records_at: FIRST_FRAME,
        ..Progress::default()
    };
    let mut page = [0; READER_AT as usize + Progress::BYTES];
    let (writers, readers) = page.split_at_mut(READER_AT as usize);
    let [low, high] = PROTOCOL.to_le_bytes();
    let magic = [&MAGIC[..], &[low, high]].concat();
    writers[..magic.len()].copy_from_slice(&magic);
    let words = [FIRST_FRAME, 0, max_bytes].map(u64::to_le_bytes);
    let words = words.as_flattened();
    writers[WRITER_AT as usize..][..words.len()].copy_from_slice(words);
    let words = progress.to_words().map(u64::to_le_bytes);
    readers.copy_from_slice(words.as_flattened());
    file.write_all_at(&page, MAGIC_AT)
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
/// Whoever reads has a position of its own, and none waits for another:
/// [`Progress::scripts_at`] and [`Progress::records_at`] tell how far each is
/// done. Memory is given back up to the slower one.
#[derive(Debug)]
pub struct Reader {
    file: File,
    protocol: u16,
    progress: Progress,
    /// It is known that the frames up to here are committed.
    end: u64,
    /// Everything before this position has been given back, but for `pinned`.
    released: u64,
    /// The environments and items from `low` on that have been seen, in order,
    /// each with its beginning and its end.
    references: VecDeque<(Reference, u64, u64)>,
    /// The last ones before `low`, which what stands behind it may refer to.
    pinned: Vec<(Reference, u64, u64)>,
}

impl Reader {
    /// Takes over a queue, where its last reader stopped.
    ///
    /// # Errors
    ///
    /// The descriptor is no queue, which is `InvalidData`.
    pub fn open(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        let mut magic = [0; MAGIC.len() + 2];
        file.read_exact_at(&mut magic, MAGIC_AT)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        let [name @ .., low, high] = magic;
        if name != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let protocol = u16::from_le_bytes([low, high]);
        // Another protocol's words mean something else, and may be fewer.
        let progress = if protocol == PROTOCOL {
            read_words(&file, READER_AT).map(Progress::from_words)?
        } else {
            Progress::default()
        };
        let mut reader = Self {
            file,
            protocol,
            progress,
            end: 0,
            released: FIRST_FRAME,
            references: VecDeque::new(),
            pinned: Vec::new(),
        };
        // Another protocol's words mean something else.
        if protocol == PROTOCOL {
            if reader.low() < FIRST_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            reader.pin_predecessors()?;
        }
        Ok(reader)
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

    /// The file, for its locks.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The first position that anybody may still read from.
    pub fn low(&self) -> u64 {
        self.progress.scripts_at.min(self.progress.records_at)
    }

    /// The protocol of whoever writes. Nothing else in the queue means
    /// anything unless that is our own.
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

    /// Whether what has been appended since this position takes nearly as much
    /// memory as the queue may.
    pub fn is_nearly_full_from(&self, position: u64) -> bool {
        let used = self.end.saturating_sub(position);
        // Where that cannot be read, nobody is to lose anything for it.
        let limit = read_words(&self.file, MAX_BYTES_AT);
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
        self.file.read_exact_at(&mut length, position)?;
        let length = u64::from(u32::from_le_bytes(length));
        let begin = position + LENGTH_BYTES;
        if length == 0 || begin + length > end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // Whoever has damaged it may claim anything; it takes memory here only
        // for what takes memory there.
        if length > RELEASE_STEP && length > self.bytes()? {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut frame = vec![0; length as usize];
        self.file.read_exact_at(&mut frame, begin)?;
        Ok(frame)
    }

    /// The frame from `begin` to `end` is one that later ones refer to. To be
    /// told of each, in their order, before anybody has read past it.
    pub fn refer(&mut self, kind: Reference, begin: u64, end: u64) {
        self.references.push_back((kind, begin, end));
    }

    /// Notes that whoever was slowest may have moved: of what stands before
    /// all, only the last environment and items can still be referred to.
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

    /// Gives back what has been kept of what was released around it; pages
    /// that it shares with what has not, or with what is pinned, stay.
    fn unpin(&self, begin: u64, end: u64) {
        let (mut begin, mut end) = (page_of(begin), page_after(end));
        for (_, other_begin, other_end) in &self.pinned {
            if *other_end > begin && *other_begin < end {
                if *other_begin <= begin {
                    begin = page_after(*other_end);
                } else {
                    end = page_of(*other_begin);
                }
            }
        }
        self.punch(begin, end.min(self.released));
    }

    /// What the writer has committed.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn committed(&self) -> io::Result<Committed> {
        let [end, jobs] = read_words(&self.file, WRITER_AT)?;
        Ok(Committed { end, jobs })
    }

    /// What has been done; the caller counts in it.
    pub fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// What has been done.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Shows what has been done to the writer and to a later reader.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn publish(&self) -> io::Result<()> {
        let words = self.progress.to_words().map(u64::to_le_bytes);
        // All but the last, which somebody else writes.
        let (_, words) = words.split_last().unwrap_or((&[0; 8], &[]));
        self.file.write_all_at(words.as_flattened(), READER_AT)
    }

    /// Counts what the journal is told of.
    ///
    /// # Errors
    ///
    /// The system has no descriptor to give.
    pub fn told(&self) -> io::Result<Told> {
        Ok(Told {
            file: self.file.try_clone()?,
            count: self.progress.records_told,
        })
    }

    /// Tells the writer that its protocol is not ours, and nothing else.
    ///
    /// # Errors
    ///
    /// The queue cannot be written.
    pub fn refuse(&self) -> io::Result<()> {
        write_words(&self.file, REFUSED_BY_AT, [PROTOCOL.into()])
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
        self.file.write_all_at(&bytes, FAILURE_AT)
    }

    /// The path of the note that the writer has left, if any.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn note(&self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; LENGTH_BYTES as usize];
        self.file.read_exact_at(&mut length, NOTE_AT)?;
        let length = u32::from_le_bytes(length) as usize;
        let mut path = vec![0; length.min(MAX_NOTE_BYTES)];
        self.file.read_exact_at(&mut path, NOTE_AT + LENGTH_BYTES)?;
        Ok((!path.is_empty()).then_some(path))
    }

    /// Who has made the queue, if it says so.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or it says nothing that makes sense.
    pub fn origin(&self) -> io::Result<Origin> {
        let mut length = [0; LENGTH_BYTES as usize];
        self.file.read_exact_at(&mut length, ORIGIN_AT)?;
        let length = u32::from_le_bytes(length) as usize;
        let mut text = vec![0; length.min(MAX_ORIGIN_BYTES)];
        self.file
            .read_exact_at(&mut text, ORIGIN_AT + LENGTH_BYTES)?;
        postcard::from_bytes(&text)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The last failure that a reader has shown, if any.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn last_failure(&self) -> io::Result<Option<String>> {
        read_failure(&self.file)
    }

    /// The memory that the queue takes, in bytes.
    ///
    /// # Errors
    ///
    /// The queue cannot be looked at.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * BLOCK_BYTES)
    }

    /// Gives back the memory of what is done with, but for pinned frames, if it
    /// is worth a system call.
    pub fn release(&mut self) {
        let until = page_of(self.low());
        if until < self.released + RELEASE_STEP {
            return;
        }
        let mut pinned = self.pinned.clone();
        pinned.sort_unstable_by_key(|it| it.1);
        let mut begin = self.released;
        for (_, pin_begin, pin_end) in pinned {
            self.punch(begin, until.min(page_of(pin_begin)));
            begin = begin.max(page_after(pin_end));
        }
        self.punch(begin, until);
        self.released = until;
    }

    /// Where it fails, memory stays in use until the queue is closed.
    fn punch(&self, begin: u64, end: u64) {
        #[cfg(target_os = "linux")]
        if begin < end {
            use nix::fcntl::FallocateFlags;
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE
                | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let (begin, length) = (begin as i64, (end - begin) as i64);
            let _ = nix::fcntl::fallocate(&self.file, flags, begin, length);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (begin, end);
    }
}

/// How many lost records the journal has been told of, for whoever tells it.
#[derive(Debug)]
pub struct Told {
    file: File,
    count: u64,
}

impl Told {
    /// So many more.
    pub fn add(&mut self, records: u64) {
        self.count = self.count.saturating_add(records);
        let at = READER_AT + (Progress::BYTES - size_of::<u64>()) as u64;
        // If that fails they are told a second time, should it come to that.
        let _ = write_words(&self.file, at, [self.count]);
    }
}

/// Begins a frame in `buffer`; what is appended until [`end_frame`] is its
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

/// Where the first page begins that lies wholly at or after this position.
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

/// Tells what a queue would be kept in now.
///
/// # Errors
///
/// The system has neither.
pub fn probe() -> io::Result<Memory> {
    match in_memory() {
        Some(_) => Ok(Memory::Anonymous),
        None => tempfile::tempfile().map(|_| Memory::Temporary),
    }
}

/// A file without a name: in memory where the system can, else in the
/// directory for temporary files.
pub fn anonymous_file() -> io::Result<File> {
    match in_memory() {
        Some(file) => Ok(file),
        None => tempfile::tempfile(),
    }
}

fn in_memory() -> Option<File> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::memfd::MFdFlags;
        let flags = MFdFlags::MFD_CLOEXEC;
        let created = nix::sys::memfd::memfd_create(c"uilog", flags);
        created.ok().map(File::from)
    }
    #[cfg(not(target_os = "linux"))]
    None
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
        let fd = writer.as_fd().try_clone_to_owned().unwrap();
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
        let fd = writer.as_fd().try_clone_to_owned().unwrap();
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
        writer.file.write_all_at(&torn, position + 9).unwrap();
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
        let fd = writer.as_fd().try_clone_to_owned().unwrap();
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
    fn the_reader_finds_the_writers_note() {
        let (mut writer, reader) = pair(1 << 20);
        assert_eq!(reader.note().unwrap(), None);
        writer.append(&framed(b"one"), 1).unwrap();
        writer.publish_note(b"/run/note").unwrap();
        assert_eq!(reader.note().unwrap().as_deref(), Some(&b"/run/note"[..]));
        assert_eq!(reader.committed().unwrap().jobs, 1);
        assert_eq!(reader.progress(), writer.progress().unwrap());
        writer.publish_note(&[b'x'; 400]).unwrap_err();
    }

    #[test]
    fn the_writer_sees_what_the_reader_says() {
        let (writer, mut reader) = pair(1 << 20);
        assert_eq!(writer.last_failure().unwrap(), None);
        reader.progress_mut().failed = 3;
        reader.told().unwrap().add(5);
        reader.publish().unwrap();
        assert_eq!(writer.progress().unwrap().records_told, 5);
        reader.publish_failure("exit status 127").unwrap();
        reader.publish_failure("gone").unwrap();
        assert_eq!(writer.progress().unwrap().failed, 3);
        assert_eq!(writer.last_failure().unwrap().as_deref(), Some("gone"));
    }
}
