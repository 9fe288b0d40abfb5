//! Takes records out of the spool in batches, and stores the results.
//!
//! There is one sender at a time. Its lock ends with its process, and no
//! process waits for the lock.
//!
//! The sender stores its position after each batch, but syncs only as often as
//! writers do. Sent segments are removed after that, so that a power cut cannot
//! undo the count but not the removal.

mod results;
mod saving;
mod taking;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::channel::CHANNELS;
use crate::channel::ChannelProgress;
use crate::channel::SegmentProgress;
use crate::counts::AcknowledgedLosses;
use crate::counts::Evicted;
use crate::counts::Losses;
use crate::counts::Progress;
use crate::counts::SenderState;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::evict;
use crate::files::Files;
use crate::files::System;
use crate::files::retry;
use crate::frame::FrameKind;
use crate::name::Class;
use crate::name::Name;
use crate::records;
use crate::records::Record;
use crate::records::RecordId;
use crate::segment::Damage;
use crate::segment::Reader;
use crate::segment::Step;
use crate::spool::Spool;
use crate::stats::LossCounts;
use crate::writer::Writer;

/// The name of the file that the sender has locked. Its time of modification
/// is when that was.
pub const LOCK: &str = "sender.lock";

/// Records of one channel, to be sent together and in order. The caller reports
/// the result to the sender that returned the batch; otherwise the records are
/// returned again.
#[derive(Debug)]
pub struct Batch {
    records: Vec<Record>,
    bytes: usize,
    channel: usize,
    /// Only the last batch of a channel can be completed.
    number: u64,
}

/// The records of a channel's last batch without a result.
#[derive(Debug, Default)]
struct PendingBatch {
    /// The positions in the segments, record by record.
    parts: VecDeque<Part>,
    /// How many of the records have a result.
    settled: usize,
}

/// How far a segment is done when a record is, or what comes after the last.
#[derive(Clone, Copy, Debug)]
struct Part {
    name: Name,
    place: SegmentProgress,
    /// Damage since the previous part.
    damage: Damage,
    is_record: bool,
    /// Its writer has ended or left it, and no record remains in it.
    is_finished: bool,
}

impl Batch {
    /// The records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Bytes of their payloads.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What a receiver says of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has everything.
    Accepted,
    /// It has everything except these, which it will never accept.
    Rejected {
        /// Their indices in the batch.
        indices: Vec<usize>,
        /// Why.
        reason: Vec<u8>,
    },
    /// It has nothing, now.
    Retry,
}

/// The process that sends the spool's records.
#[derive(Debug)]
pub struct Sender<F: Files = System> {
    spool: Spool<F>,
    sent: SenderState,
    /// Where that is written down since it has been saved.
    progress: Option<Progress<F>>,
    /// When it was saved, by the clock that does not jump.
    saved_ms: Option<u64>,
    /// When records that are too old were last looked for, by the same clock.
    aged_ms: Option<u64>,
    /// What had been lost when it was saved.
    saved_losses: Losses,
    /// It has changed since it was saved.
    is_unsaved: bool,
    /// Segments that are done and will be removed.
    finished: BTreeMap<Name, SegmentProgress>,
    /// Those that have been removed, and would be back after a power cut.
    removed: BTreeSet<Name>,
    /// Of the last batch of each channel.
    numbers: [u64; CHANNELS],
    unsettled: [PendingBatch; CHANNELS],
    /// The segment in whose middle the last batch of each channel ended.
    readers: [Option<Reader<F>>; CHANNELS],
    _file: F::File,
    _lock: F::Lock,
}

impl<F: Files> Sender<F> {
    /// Becomes the sender, unless another process is.
    ///
    /// # Errors
    ///
    /// The lock cannot be opened, or the counts not be read.
    pub fn try_lock(spool: &Spool<F>) -> Result<Option<Self>, Error> {
        let file = spool.open_lock(LOCK)?;
        let lock = retry(|| spool.files().lock(&file))
            .context(Operation::Lock, spool.dir().join(LOCK))?;
        let Some(lock) = lock else {
            return Ok(None);
        };
        // If that is refused, it is not known since when.
        let _ = spool.files().touch(&file);
        let sent = SenderState::load(spool)?;
        Ok(Some(Self {
            spool: spool.clone(),
            saved_losses: sent.losses(),
            sent,
            progress: None,
            saved_ms: None,
            aged_ms: None,
            is_unsaved: false,
            finished: BTreeMap::new(),
            removed: BTreeSet::new(),
            numbers: [0; CHANNELS],
            unsettled: Default::default(),
            readers: std::array::from_fn(|_| None),
            _file: file,
            _lock: lock,
        }))
    }

    /// Passes all waiting records to `deliver`, batch by batch, until none are
    /// left or `deliver` returns that it wants to be called later. Returns
    /// whether none are left.
    ///
    /// # Errors
    ///
    /// Like [`Sender::next_batch`] and [`Sender::accept`].
    pub fn flush(
        &mut self,
        max_records: usize,
        max_bytes: usize,
        mut deliver: impl FnMut(&Batch) -> Verdict,
    ) -> Result<bool, Error> {
        loop {
            let batch = self.next_batch(max_records, max_bytes)?;
            if batch.is_empty() {
                return Ok(true);
            }
            match deliver(&batch) {
                Verdict::Accepted => self.accept(batch)?,
                Verdict::Rejected { indices, reason } => {
                    self.reject(batch, &indices, &reason)?;
                }
                Verdict::Retry => {
                    self.retry(batch);
                    return Ok(false);
                }
            }
        }
    }

    /// Notes that all losses were acknowledged: [`Spool::new_stats`] leaves
    /// them out. With `is_rejected` the rejected records are removed; returns
    /// how many.
    ///
    /// # Errors
    ///
    /// The counts cannot be read or written, or the records cannot be removed.
    pub fn forget(&mut self, is_rejected: bool) -> Result<u64, Error> {
        let mut removed = 0;
        if is_rejected {
            removed = evict::remove_rejected(&self.spool)?;
            self.sent.rejected_dropped += removed;
        }
        // What the others remember must not be newer than the counts.
        self.save()?;
        let evicted = Evicted::load(&self.spool)?;
        let losses = LossCounts::of(&self.sent, &evicted);
        let forgotten = AcknowledgedLosses {
            evicted: losses.evicted,
            rejected: losses.rejected,
            damaged: losses.damaged,
            counts_lost: losses.counts_lost,
        };
        forgotten.save(&self.spool)?;
        Ok(removed)
    }

    /// Appends the rejected records to the waiting ones, to be sent again;
    /// returns how many. They no longer count as rejected.
    ///
    /// # Errors
    ///
    /// They cannot be read, there is no room for them, or the counts cannot be
    /// written. Records that were appended by then may be appended again.
    pub fn requeue(&mut self) -> Result<u64, Error> {
        let mut requeued = 0;
        for segment in self.spool.segments(Class::Rejected)? {
            requeued += self.requeue_segment(segment.name)?;
        }
        // Acknowledged losses that no longer exist must not hide others.
        let mut forgotten = AcknowledgedLosses::load(&self.spool)?;
        if forgotten.rejected > self.sent.rejected {
            forgotten.rejected = self.sent.rejected;
            forgotten.save(&self.spool)?;
        }
        Ok(requeued)
    }

    fn requeue_segment(&mut self, name: Name) -> Result<u64, Error> {
        let spool = &self.spool;
        let reader = Reader::open(spool, name, SegmentProgress::default())?;
        let Some(mut reader) = reader else {
            return Ok(0);
        };
        let mut writer = Writer::new(spool);
        let (mut requeued, mut damage) = (0, Damage::default());
        loop {
            match reader.step(spool, true)? {
                Step::Frame(frame) if frame.kind == FrameKind::Rejected => {
                    let payload = records::split_reason(frame.payload).1;
                    if let Some(id) = RecordId::new(frame.id) {
                        writer.append(&id, payload)?;
                        requeued += 1;
                    }
                }
                Step::Frame(_) => {}
                Step::Damaged(more) => damage += more,
                Step::End => break,
            }
        }
        writer.close()?;
        self.sent.rejected = self.sent.rejected.saturating_sub(requeued);
        self.sent.rejected_dropped += damage.records;
        self.save()?;
        self.spool.remove(name)?;
        Ok(requeued)
    }

    fn take_over(&mut self, channel: usize, parts: VecDeque<Part>) {
        self.is_unsaved |= !parts.is_empty();
        for part in parts {
            let places = self.sent.places.entry(part.name).or_default();
            if self.spool.channels().is_one() {
                *places = ChannelProgress::all(part.place);
            } else {
                places.set(channel, part.place);
            }
            self.sent.damage += part.damage;
            let lowest = places.lowest().position;
            if part.is_finished && lowest >= part.place.position {
                self.finished.insert(part.name, part.place);
            }
        }
    }
}

impl<F: Files> Drop for Sender<F> {
    fn drop(&mut self) {
        // Accepted records are saved already; this protects against a power
        // cut, and makes room.
        if self.is_unsaved {
            let _ = self.save();
        }
    }
}
