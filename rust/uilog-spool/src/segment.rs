//! Reads a segment frame by frame, from any position, and skips damage.
//!
//! Must not know counts, or what happens to a record. Its memory is limited by
//! the longest record, whatever the file's length is.

use std::path::PathBuf;

use crate::channel::SegmentProgress;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::files::Files;
use crate::files::retry;
use crate::frame;
use crate::frame::Frame;
use crate::frame::FrameKind;
use crate::frame::HEADER_BYTES;
use crate::frame::Header;
use crate::head::Head;
use crate::name::Name;
use crate::spool::Spool;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Damage in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Damage {
    fn add_assign(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A complete frame other than the head.
    Frame(Frame<'a>),
    /// Damaged bytes, which were skipped.
    Damaged(Damage),
    /// No complete frame.
    End,
}

enum FrameResult {
    Frame(Header),
    Damaged(Damage),
    End,
}

/// A segment that is being read.
#[derive(Debug)]
pub(crate) struct Reader<F: Files> {
    name: Name,
    path: PathBuf,
    file: F::File,
    place: SegmentProgress,
    /// Who began it, once that has been read.
    head: Option<Option<Head>>,
    /// A part of the file, and its position. The buffer has room after it.
    window: Vec<u8>,
    window_bytes: usize,
    window_at: u64,
}

impl<F: Files> Reader<F> {
    /// Opens a segment to read it from `place`; `None` if it has been removed.
    pub(crate) fn open(
        spool: &Spool<F>,
        name: Name,
        place: SegmentProgress,
    ) -> Result<Option<Self>, Error> {
        let path = spool.path_of(name);
        let file = match retry(|| spool.files().open(&path)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            result => result.context(Operation::Open, &path)?,
        };
        Ok(Some(Self {
            name,
            path,
            file,
            place,
            head: None,
            window: Vec::new(),
            window_bytes: 0,
            window_at: 0,
        }))
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }

    pub(crate) fn place(&self) -> SegmentProgress {
        self.place
    }

    /// Returns to an earlier place.
    pub(crate) fn set_place(&mut self, place: SegmentProgress) {
        self.place = place;
    }

    pub(crate) fn file(&self) -> &F::File {
        &self.file
    }

    pub(crate) fn into_file(self) -> F::File {
        self.file
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Locks the segment, unless its writer is alive or another process reads
    /// it.
    pub(crate) fn lock(
        &self,
        spool: &Spool<F>,
    ) -> Result<Option<F::Lock>, Error> {
        retry(|| spool.files().lock(&self.file))
            .context(Operation::Lock, &self.path)
    }

    /// The bytes of the file.
    pub(crate) fn length(&self, spool: &Spool<F>) -> Result<u64, Error> {
        retry(|| spool.files().status(&self.file))
            .map(|status| status.length)
            .context(Operation::Read, &self.path)
    }

    /// Who began the segment, if that is not damaged.
    pub(crate) fn head(
        &mut self,
        spool: &Spool<F>,
    ) -> Result<Option<Head>, Error> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        let head = self
            .whole_at(spool, 0)?
            .map(|header| header.frame(self.from(0)))
            .filter(|frame| frame.kind == FrameKind::Head)
            .and_then(|frame| Head::from_payload(frame.payload));
        self.head = Some(head);
        Ok(head)
    }

    /// Reads the next frame. With `is_ended`, the segment has no writer: then
    /// an incomplete frame at its end is damaged; otherwise it may still be
    /// completed.
    pub(crate) fn step(
        &mut self,
        spool: &Spool<F>,
        is_ended: bool,
    ) -> Result<Step<'_>, Error> {
        loop {
            let at = self.place.position;
            match self.find(spool, is_ended)? {
                FrameResult::Frame(header) => {
                    let bytes = header.frame_bytes() as u64;
                    self.place.position += bytes;
                    // Lower ones have been read before a file was cut off.
                    let next = header.sequence().wrapping_add(1);
                    self.place.sequence = self.place.sequence.max(next);
                    if header.is_head() {
                        continue;
                    }
                    return Ok(Step::Frame(header.frame(self.from(at))));
                }
                FrameResult::Damaged(damage) => {
                    return Ok(Step::Damaged(damage));
                }
                FrameResult::End => {
                    // The writer may truncate what is there now.
                    self.window_bytes = 0;
                    return Ok(Step::End);
                }
            }
        }
    }

    fn find(
        &mut self,
        spool: &Spool<F>,
        is_ended: bool,
    ) -> Result<FrameResult, Error> {
        let start = self.place.position;
        // Before bytes count as damaged they are read again, at once, because
        // the writer may just have truncated an incomplete record and written
        // another one.
        for is_fresh in [false, true] {
            if is_fresh {
                self.window_bytes = 0;
            }
            if let Some(header) = self.whole_at(spool, start)? {
                return Ok(self.frame_after_gap(start, header));
            }
            if self.from(start).is_empty() {
                return self.end_or_cut(spool);
            }
        }
        let mut at = start;
        loop {
            match self.next_header(spool, at + u64::from(at == start))? {
                Ok((found, header)) => {
                    at = found;
                    self.fill(spool, at, header.frame_bytes())?;
                    let bytes = self.from(at);
                    let is_torn = bytes.len() < header.frame_bytes();
                    // A segment that is being written is as good a sign as a
                    // complete one that its writer has continued.
                    if header.is_whole(bytes, self.name.salt())
                        || (is_torn && !is_ended)
                    {
                        // The part before it may have been incomplete when it
                        // was read, but the writer has continued since.
                        self.window_bytes = 0;
                        if let Some(first) = self.whole_at(spool, start)? {
                            return Ok(self.frame_after_gap(start, first));
                        }
                        return Ok(self.frame_after_gap(at, header));
                    }
                    at += 1;
                }
                Err(end) if is_ended && end > start => {
                    self.place.position = end;
                    let bytes = end - start;
                    let records = 1;
                    return Ok(FrameResult::Damaged(Damage { records, bytes }));
                }
                Err(_) => return Ok(FrameResult::End),
            }
        }
    }

    /// There is nothing after the position. If the file is even shorter, it was
    /// truncated: its content is read, perhaps again, because a writer may have
    /// continued it.
    fn end_or_cut(&mut self, spool: &Spool<F>) -> Result<FrameResult, Error> {
        let length = self.length(spool)?;
        let bytes = self.place.position.saturating_sub(length);
        if bytes == 0 {
            return Ok(FrameResult::End);
        }
        self.place.position = 0;
        self.window_bytes = 0;
        let records = 1;
        Ok(FrameResult::Damaged(Damage { records, bytes }))
    }

    /// The header of the frame at `at`, if that is whole.
    fn whole_at(
        &mut self,
        spool: &Spool<F>,
        at: u64,
    ) -> Result<Option<Header>, Error> {
        self.fill(spool, at, HEADER_BYTES)?;
        let header = Header::parse(self.from(at), self.name.salt());
        let Some(header) = header else {
            return Ok(None);
        };
        self.fill(spool, at, header.frame_bytes())?;
        let bytes = self.from(at);
        let is_whole = header.is_whole(bytes, self.name.salt());
        Ok(is_whole.then_some(header))
    }

    /// The frame at `at`, or first the number of missing frames before it.
    fn frame_after_gap(&mut self, at: u64, header: Header) -> FrameResult {
        let bytes = at - self.place.position;
        let expected = self.place.sequence;
        let missing = header.sequence().saturating_sub(expected);
        if bytes == 0 && missing == 0 {
            return FrameResult::Frame(header);
        }
        self.place = SegmentProgress {
            position: at,
            sequence: header.sequence(),
        };
        // The head is not a record.
        let heads = u32::from(expected == 0);
        let records = u64::from(missing.saturating_sub(heads));
        FrameResult::Damaged(Damage { records, bytes })
    }

    /// The first header at or after `at`, or the end of the file.
    fn next_header(
        &mut self,
        spool: &Spool<F>,
        mut at: u64,
    ) -> Result<Result<(u64, Header), u64>, Error> {
        loop {
            self.fill(spool, at, HEADER_BYTES)?;
            let bytes = self.from(at);
            if bytes.len() < HEADER_BYTES {
                return Ok(Err(at + bytes.len() as u64));
            }
            match frame::next_candidate(bytes) {
                0 => match Header::parse(bytes, self.name.salt()) {
                    Some(header) => return Ok(Ok((at, header))),
                    None => at += 1,
                },
                skipped => at += skipped as u64,
            }
        }
    }

    /// Has `bytes` bytes from `at` on in the window, or as many as there are.
    fn fill(
        &mut self,
        spool: &Spool<F>,
        at: u64,
        bytes: usize,
    ) -> Result<(), Error> {
        let end = self.window_at + self.window_bytes as u64;
        if at < self.window_at || at > end {
            self.window_bytes = 0;
            self.window_at = at;
        }
        let done = (at - self.window_at) as usize;
        if self.window_bytes >= done + bytes {
            return Ok(());
        }
        self.window.copy_within(done..self.window_bytes, 0);
        self.window_bytes -= done;
        self.window_at = at;
        while self.window_bytes < bytes {
            let start = self.window_bytes;
            let end = start + CHUNK_BYTES.max(bytes - start);
            if self.window.len() < end {
                // The allocator often has memory that is zero already.
                let mut window = vec![0; end];
                window[..start].copy_from_slice(&self.window[..start]);
                self.window = window;
            }
            let chunk = &mut self.window[start..end];
            let position = at + start as u64;
            let count =
                retry(|| spool.files().read(&self.file, chunk, position))
                    .context(Operation::Read, &self.path)?;
            self.window_bytes += count;
            if count == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The bytes of the window from `at` on.
    fn from(&self, at: u64) -> &[u8] {
        let skipped = (at - self.window_at) as usize;
        self.window
            .get(skipped..self.window_bytes)
            .unwrap_or_default()
    }
}
