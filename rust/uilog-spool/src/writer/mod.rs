//! Appending to the spool.
//!
//! Each writer has its own segment, and holds a lock on it, which shows that
//! the writer is alive. So writers do not wait for each other, and need no lock
//! to append. If a writer has ended, the next one continues its segment, so
//! that a thousand short commands do not leave a thousand files. It does so
//! only if the segment is complete and of the same boot, since a power cut may
//! have removed records that a sender has already read.

mod segments;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::counts::SenderState;
use crate::counts::append_all;
use crate::error::Cause;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::files::Files;
use crate::files::Now;
use crate::files::System;
use crate::files::retry;
use crate::frame::Frame;
use crate::frame::FrameKind;
use crate::frame::MAX_PAYLOAD_BYTES;
use crate::head::Head;
use crate::name::Class;
use crate::name::Name;
use crate::records::RecordId;
use crate::spool::Spool;
use crate::spool::SyncPolicy;

/// Attempts at an operation that another process may undo at the same time.
const MAX_ATTEMPTS: usize = 3;

/// The size of the buffer that is kept for the next record.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// A record is in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// It survives a power cut; if not, it survives the end of the process.
    pub is_durable: bool,
}

/// A segment that is being written.
#[derive(Debug)]
struct Current<F: Files> {
    path: PathBuf,
    file: F::File,
    _lock: F::Lock,
    head: Head,
    length: u64,
    sequence: u32,
    /// Holds what would not survive a power cut.
    is_dirty: bool,
    /// So may its name.
    is_name_dirty: bool,
}

/// A frame whose sequence and age are not known yet.
fn frame<'r>(kind: FrameKind, record: (&'r RecordId, &'r [u8])) -> Frame<'r> {
    let (id, payload) = record;
    Frame {
        kind,
        sequence: 0,
        age_ms: 0,
        id: id.as_bytes(),
        payload,
    }
}

/// Appends records.
#[derive(Debug)]
pub struct Writer<F: Files = System> {
    spool: Spool<F>,
    class: Class,
    current: Option<Current<F>>,
    may_adopt: bool,
    /// A segment that is no longer written to was not synced, and should have.
    is_behind_unsynced: bool,
    /// When there was a sync, by the clock that does not jump.
    synced_ms: u64,
    buffer: Vec<u8>,
    /// The segments that it has appended to and of which it is not known that
    /// all has been sent, and up to where it has appended.
    unsent: BTreeMap<Name, u64>,
}

impl<F: Files> Writer<F> {
    /// A writer. Nothing is created before the first record.
    pub fn new(spool: &Spool<F>) -> Self {
        Self::of_class(spool, Class::Pending)
    }

    pub(crate) fn of_class(spool: &Spool<F>, class: Class) -> Self {
        Self {
            spool: spool.clone(),
            class,
            current: None,
            may_adopt: true,
            is_behind_unsynced: false,
            synced_ms: spool.files().now().boot_ms,
            buffer: Vec::new(),
            unsent: BTreeMap::new(),
        }
    }

    /// Whether nothing waits any more of what this writer has appended: a
    /// receiver has accepted or rejected it, or it is lost and counted.
    /// Another process may send it.
    ///
    /// # Errors
    ///
    /// The counts or a segment cannot be read.
    pub fn is_sent(&mut self) -> Result<bool, Error> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let sent = SenderState::load(&self.spool)?;
        let mut failed = None;
        let spool = &self.spool;
        self.unsent.retain(|name, end| {
            let is_pending = spool.is_pending_before(*name, *end, &sent);
            is_pending.unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(self.unsent.is_empty()),
        }
    }

    /// Notes up to where it has appended to a segment.
    fn note_unsent(&mut self, path: &Path, end: u64) {
        let Some(name) = path.file_name().and_then(Name::parse) else {
            return;
        };
        if self.unsent.insert(name, end).is_none() && self.unsent.len() > 1 {
            // Segments are full only rarely, so the state of earlier ones need
            // not be remembered.
            let _ = self.is_sent();
        }
    }

    /// Appends a record, and returns as soon as it is in a file. Never blocks.
    ///
    /// # Errors
    ///
    /// The record is too long, there is no room for it, or the system cannot
    /// write it. The record is then not in the spool; only after a failed sync
    /// it may be.
    pub fn append(
        &mut self,
        id: &RecordId,
        payload: &[u8],
    ) -> Result<Ack, Error> {
        self.append_frame(FrameKind::Record, id, payload, MAX_PAYLOAD_BYTES)
    }

    /// Appends the first of these records and, with the same write, those after
    /// it that fit into the segment; returns the number. Each is then
    /// acknowledged, like with [`Writer::append`].
    ///
    /// # Errors
    ///
    /// Like [`Writer::append`], for the first record; none of the others is in
    /// the spool then.
    pub fn append_some<P: AsRef<[u8]>>(
        &mut self,
        records: &[(RecordId, P)],
    ) -> Result<(usize, Ack), Error> {
        let Some((id, payload)) = records.first() else {
            return Ok((0, Ack { is_durable: true }));
        };
        let max_bytes = MAX_PAYLOAD_BYTES;
        let short = records.iter().map(|(id, payload)| (id, payload.as_ref()));
        let short: Vec<_> =
            short.take_while(|it| it.1.len() <= max_bytes).collect();
        if short.len() > 1
            && let Ok(appended) = self.append_frames(FrameKind::Record, &short)
        {
            return Ok(appended);
        }
        // Where there is no room for all there may be some for one.
        let ack = self.append(id, payload.as_ref())?;
        Ok((1, ack))
    }

    pub(crate) fn append_frame(
        &mut self,
        kind: FrameKind,
        id: &RecordId,
        payload: &[u8],
        max_bytes: usize,
    ) -> Result<Ack, Error> {
        if payload.len() > max_bytes {
            let bytes = payload.len();
            let cause = Cause::TooLarge { bytes, max_bytes };
            return Err(Error::new(Operation::Append, self.spool.dir(), cause));
        }
        Ok(self.append_frames(kind, &[(id, payload)])?.1)
    }

    /// Appends the first of these frames and those after it that fit; returns
    /// the number, which is at least one.
    fn append_frames(
        &mut self,
        kind: FrameKind,
        records: &[(&RecordId, &[u8])],
    ) -> Result<(usize, Ack), Error> {
        let first = frame(kind, records[0]).bytes() as u64;
        for attempt in 1..=MAX_ATTEMPTS {
            let now = self.spool.files().now();
            let current = self.take_current(first, &now)?;
            let count = self.fill_buffer(kind, records, &current, &now);
            let mut current = self.write_buffer(current)?;
            current.sequence += count as u32;
            current.is_dirty = true;
            // The file was removed, with the record. If it is removed after
            // this check, the record was there.
            let files = self.spool.files();
            let status = retry(|| files.status(&current.file));
            if status.is_ok_and(|status| !status.is_linked) {
                continue;
            }
            self.note_unsent(&current.path, current.length);
            if !self.is_sync_due(&now) {
                self.current = Some(current);
                return Ok((count, Ack { is_durable: false }));
            }
            match sync(&self.spool, &mut current) {
                Ok(()) => {
                    self.synced_ms = now.boot_ms;
                    self.current = Some(current);
                    return Ok((count, Ack { is_durable: true }));
                }
                // After that, the segment's content is unknown. The record is
                // appended to another one; receivers drop the duplicate by its
                // ID.
                Err(error) => {
                    self.is_behind_unsynced = true;
                    if attempt == MAX_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
        }
        let cause = Cause::Unstable;
        Err(Error::new(Operation::Append, self.spool.dir(), cause))
    }

    /// Encodes the first of these frames and those after it for which the
    /// segment has room; returns the number.
    fn fill_buffer(
        &mut self,
        kind: FrameKind,
        records: &[(&RecordId, &[u8])],
        current: &Current<F>,
        now: &Now,
    ) -> usize {
        let segment_bytes = self.spool.limits().segment_bytes();
        let age_ms = u32::try_from(current.head.age_ms(now));
        let age_ms = age_ms.unwrap_or(u32::MAX);
        let salt = self.salt(current);
        self.buffer.clear();
        let mut count = 0;
        for (record, sequence) in records.iter().zip(current.sequence..) {
            let frame = Frame {
                sequence,
                age_ms,
                ..frame(kind, *record)
            };
            let bytes = self.buffer.len() + frame.bytes();
            let is_full = current.length + bytes as u64 > segment_bytes
                || bytes > KEPT_BUFFER_BYTES;
            if count > 0 && is_full {
                break;
            }
            frame.encode(salt, &mut self.buffer);
            count += 1;
        }
        count
    }

    /// Appends the buffer to the segment, completely or not at all.
    fn write_buffer(
        &mut self,
        mut current: Current<F>,
    ) -> Result<Current<F>, Error> {
        let files = self.spool.files();
        let written = append_all(files, &current.file, &self.buffer);
        let bytes = self.buffer.len() as u64;
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        let Err(error) = written else {
            current.length += bytes;
            return Ok(current);
        };
        let path = current.path.clone();
        // The incomplete record must not stay. If it does, the segment is not
        // continued, and readers find it damaged.
        let length = current.length;
        if retry(|| files.truncate(&current.file, length)).is_ok() {
            self.current = Some(current);
        } else {
            self.leave(current);
        }
        Err(Error::new(Operation::Append, path, error))
    }

    /// Syncs everything that was appended since the writer was created or
    /// closed, so that it survives a power cut.
    ///
    /// # Errors
    ///
    /// The system's. The records then still exist while the system runs.
    pub fn sync(&mut self) -> Result<(), Error> {
        if let Some(mut current) = self.current.take() {
            sync(&self.spool, &mut current)
                .inspect_err(|_| self.is_behind_unsynced = true)?;
            self.synced_ms = self.spool.files().now().boot_ms;
            self.current = Some(current);
        }
        if std::mem::take(&mut self.is_behind_unsynced) {
            let cause = Cause::Unsynced;
            return Err(Error::new(Operation::Sync, self.spool.dir(), cause));
        }
        Ok(())
    }

    /// Releases the segment: it can then be removed when it has been sent,
    /// evicted when it is old, or continued by the next writer. For a writer
    /// that has been idle; it may append again later.
    ///
    /// # Errors
    ///
    /// Like [`Writer::sync`], if the policy syncs.
    pub fn close(&mut self) -> Result<(), Error> {
        let result = if self.spool.is_synced() {
            self.sync()
        } else {
            Ok(())
        };
        self.current = None;
        self.is_behind_unsynced = false;
        result
    }

    /// Continues without this segment. A later sync must include it.
    fn leave(&mut self, mut current: Current<F>) {
        self.is_behind_unsynced |= sync(&self.spool, &mut current).is_err();
    }

    fn salt(&self, current: &Current<F>) -> u64 {
        let name = current.path.file_name().and_then(Name::parse);
        name.map_or(0, Name::salt)
    }

    fn is_sync_due(&self, now: &Now) -> bool {
        match self.spool.sync_policy() {
            SyncPolicy::OnRequest => false,
            SyncPolicy::Each => true,
            SyncPolicy::Every(interval) => {
                let since = now.boot_ms.saturating_sub(self.synced_ms);
                Duration::from_millis(since) >= interval
            }
        }
    }
}

/// After a failure the segment must not be used any more: the system may have
/// dropped data that it could not write.
fn sync<F: Files>(
    spool: &Spool<F>,
    current: &mut Current<F>,
) -> Result<(), Error> {
    if current.is_dirty {
        retry(|| spool.files().sync(&current.file))
            .context(Operation::Sync, &current.path)?;
        current.is_dirty = false;
    }
    if current.is_name_dirty {
        spool.sync_directory()?;
        current.is_name_dirty = false;
    }
    Ok(())
}

impl<F: Files> Drop for Writer<F> {
    fn drop(&mut self) {
        // Callers that need the result call it first.
        let _ = self.close();
    }
}
