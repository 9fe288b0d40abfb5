//! Takes records out of the spool in batches, and stores the results.
//!
//! There is one sender at a time. Its lock ends with its process, and no
//! process waits for the lock.
//!
//! The sender stores its position after each batch, but syncs only as often as
//! writers do. Sent segments are removed after that, so that a power cut cannot
//! undo the count but not the removal.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;

use crate::channel::CHANNELS;
use crate::channel::Places;
use crate::channel::SegmentProgress;
use crate::counts::AcknowledgedLosses;
use crate::counts::Evicted;
use crate::counts::Losses;
use crate::counts::Progress;
use crate::counts::Sent;
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
use crate::spool::Segment;
use crate::spool::Spool;
use crate::spool::SyncPolicy;
use crate::writer::Writer;

/// The name of the file that the sender has locked. Its time of modification
/// is when that was.
pub const LOCK: &str = "sender.lock";
/// Segments that have been sent and may wait for being removed.
const MAX_FINISHED: usize = 16;

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
struct Unsettled {
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
    sent: Sent,
    /// Where that is written down since it has been saved.
    progress: Option<Progress<F>>,
    /// When it was saved, by the clock that does not jump.
    saved_ms: Option<u64>,
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
    unsettled: [Unsettled; CHANNELS],
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
        let sent = Sent::load(spool)?;
        Ok(Some(Self {
            spool: spool.clone(),
            saved_losses: sent.losses(),
            sent,
            progress: None,
            saved_ms: None,
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

    /// The next records of the first channel; see [`Sender::next_batch_of`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn next_batch(
        &mut self,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Batch, Error> {
        self.next_batch_of(0, max_records, max_bytes)
    }

    /// The next records of a channel, the oldest first: at most `max_records`
    /// and `max_bytes` of payload, but at least one if there is any. Removes
    /// records that are too old first.
    ///
    /// A segment that cannot be read does not block the others.
    ///
    /// # Errors
    ///
    /// Only unreadable segments remain; or the directory cannot be read.
    pub fn next_batch_of(
        &mut self,
        channel: usize,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Batch, Error> {
        let batch = self.take_batch(channel, (max_records, max_bytes))?;
        if batch.is_empty() && self.is_unsaved {
            self.save()?;
        }
        Ok(batch)
    }

    /// The next records of each of these channels, like
    /// [`Sender::next_batch_of`]. If one batch is empty, its progress is saved
    /// with the result of the other.
    ///
    /// # Errors
    ///
    /// Like [`Sender::next_batch_of`], for each.
    pub fn next_batches(
        &mut self,
        channels: [bool; CHANNELS],
        max_records: usize,
        max_bytes: usize,
    ) -> [Option<Result<Batch, Error>>; CHANNELS] {
        let limits = (max_records, max_bytes);
        let mut batches = std::array::from_fn(|channel| {
            channels[channel].then(|| self.take_batch(channel, limits))
        });
        let is_any = batches.iter().flatten().any(|it: &Result<Batch, _>| {
            it.as_ref().is_ok_and(|it| !it.is_empty())
        });
        if !is_any
            && self.is_unsaved
            && let Err(error) = self.save()
            && let Some(batch) = batches.iter_mut().flatten().next()
        {
            *batch = Err(error);
        }
        batches
    }

    /// The next records of a channel. If there are none, progress is not
    /// stored.
    fn take_batch(
        &mut self,
        channel: usize,
        limits: (usize, usize),
    ) -> Result<Batch, Error> {
        let channel = channel.min(CHANNELS - 1);
        self.numbers[channel] += 1;
        let mut batch = Batch {
            records: Vec::new(),
            bytes: 0,
            channel,
            number: self.numbers[channel],
        };
        self.unsettled[channel] = Unsettled::default();
        let mut segments = self.spool.segments(Class::Pending)?;
        // A sender that cannot remove old records can still send them.
        if evict::remove_old(&self.spool, &segments).is_ok_and(|it| it > 0) {
            segments = self.spool.segments(Class::Pending)?;
        }
        let names: BTreeSet<Name> = segments.iter().map(|it| it.name).collect();
        let is_known =
            |name: &Name| names.contains(name) || self.removed.contains(name);
        self.sent.places.retain(|name, _| is_known(name));
        // Segments of idle writers would have to be opened each time, so they
        // are read last.
        let (idle, busy): (Vec<Segment>, Vec<Segment>) =
            segments.into_iter().partition(|segment| {
                let places = self.sent.places.get(&segment.name);
                places
                    .is_some_and(|it| it.of(channel).position >= segment.length)
            });
        let mut failure = None;
        for segment in busy {
            match self.take_from(segment.name, limits, &mut batch) {
                Ok(true) => return Ok(batch),
                Ok(false) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !batch.is_empty() {
            return Ok(batch);
        }
        // Segments that will be removed need not be read.
        let idle = idle.into_iter().map(|it| it.name);
        let idle: Vec<Name> =
            idle.filter(|it| !self.finished.contains_key(it)).collect();
        for name in idle {
            match self.take_from(name, limits, &mut batch) {
                Ok(true) => return Ok(batch),
                Ok(false) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if batch.is_empty() {
            let passed = std::mem::take(&mut self.unsettled[channel]);
            self.take_over(channel, passed.parts);
        }
        match failure {
            Some(error) if batch.is_empty() => Err(error),
            _ => Ok(batch),
        }
    }

    /// Reads records from a segment into the batch; returns whether the batch
    /// is full.
    fn take_from(
        &mut self,
        name: Name,
        (max_records, max_bytes): (usize, usize),
        batch: &mut Batch,
    ) -> Result<bool, Error> {
        let spool = &self.spool;
        let channel = batch.channel;
        let places = self.sent.places.get(&name).copied().unwrap_or_default();
        let start = places.of(channel);
        let kept = self.readers[channel].take();
        let kept = kept.filter(|it| it.name() == name && it.place() == start);
        let reader = match kept {
            Some(reader) => Some(reader),
            None => Reader::open(spool, name, start)?,
        };
        let Some(mut reader) = reader else {
            return Ok(false);
        };
        let head = reader.head(spool)?;
        let mut lock = None;
        let mut is_full = false;
        let mut damage = Damage::default();
        let mut is_finished = false;
        let mut failure = None;
        let mut done = start;
        let parts = &mut self.unsettled[channel].parts;
        loop {
            let before = reader.place();
            match reader.step(spool, lock.is_some()) {
                // Later records wait as well, since records keep their order.
                Ok(Step::Frame(frame)) if spool.holds_back(&frame) => {
                    reader.set_place(before);
                    break;
                }
                Ok(Step::Frame(frame))
                    if frame.kind == FrameKind::Record
                        && spool.channels().of(frame.payload) == channel =>
                {
                    let bytes = batch.bytes + frame.payload.len();
                    let has_room = batch.records.len() < max_records
                        && bytes <= max_bytes
                        || batch.is_empty();
                    if !has_room {
                        reader.set_place(before);
                        is_full = true;
                        break;
                    }
                    if let Some(id) = RecordId::new(frame.id) {
                        batch.bytes = bytes;
                        batch.records.push(Record {
                            id,
                            time: records::time_of(name, head, frame.age_ms),
                            payload: frame.payload.to_vec(),
                        });
                        done = reader.place();
                        parts.push_back(Part {
                            name,
                            place: done,
                            damage: std::mem::take(&mut damage),
                            is_record: true,
                            is_finished: false,
                        });
                    }
                }
                Ok(Step::Frame(_)) => {}
                // It is counted once, by the first channel.
                Ok(Step::Damaged(more)) if channel == 0 => damage += more,
                Ok(Step::Damaged(_)) => {}
                Ok(Step::End) if lock.is_some() => {
                    is_finished = true;
                    break;
                }
                // It has no writer, and while it is locked no other one will
                // continue it.
                Ok(Step::End) => match reader.lock(spool) {
                    Ok(Some(guard)) => lock = Some(guard),
                    _ => break,
                },
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let place = reader.place();
        // Records that were read before that are valid.
        if let Some(error) = failure.filter(|_| place == start) {
            return Err(error);
        }
        if place != done || is_finished {
            parts.push_back(Part {
                name,
                place,
                damage,
                is_record: false,
                is_finished,
            });
        }
        if is_full {
            self.readers[channel] = Some(reader);
        }
        Ok(is_full)
    }

    /// The receiver has accepted the whole batch, which is not returned again.
    /// Only the last batch can be completed, once; another one is ignored.
    ///
    /// # Errors
    ///
    /// It could not be saved. This sender does not return the records again,
    /// but a later one may.
    pub fn accept(&mut self, batch: Batch) -> Result<(), Error> {
        self.reject(batch, &[], b"")
    }

    /// The receiver has the batch except the records with these indices, which
    /// it will never accept: they are kept separately, with the reason.
    ///
    /// # Errors
    ///
    /// Like [`Sender::accept`]. A rejected record that cannot be kept is
    /// counted as deleted.
    pub fn reject(
        &mut self,
        batch: Batch,
        indices: &[usize],
        reason: &[u8],
    ) -> Result<(), Error> {
        self.settle_partly(batch, indices, reason, 0)
    }

    /// Like [`Sender::reject`], and the receiver has rejected `unknown` more
    /// records without identifying them: those are counted as rejected and are
    /// not kept.
    ///
    /// # Errors
    ///
    /// Like [`Sender::reject`].
    pub fn settle_partly(
        &mut self,
        batch: Batch,
        indices: &[usize],
        reason: &[u8],
        unknown: u64,
    ) -> Result<(), Error> {
        let end = batch.records.len();
        self.settle_up_to(&batch, end, indices, reason, unknown)
    }

    /// Like [`Sender::settle_partly`], for those records of the batch before
    /// `end` that have no result yet: they are not returned again, whatever the
    /// result of the others is.
    ///
    /// # Errors
    ///
    /// Like [`Sender::reject`].
    pub fn settle_up_to(
        &mut self,
        batch: &Batch,
        end: usize,
        indices: &[usize],
        reason: &[u8],
        unknown: u64,
    ) -> Result<(), Error> {
        let channel = batch.channel;
        if batch.number != self.numbers[channel] {
            return Ok(());
        }
        let start = self.unsettled[channel].settled;
        let settled = start..end.clamp(start, batch.records.len());
        if settled.end == batch.records.len() {
            // What comes now is another batch.
            self.numbers[channel] += 1;
        }
        self.unsettled[channel].settled = settled.end;
        let rejected: BTreeSet<usize> = indices
            .iter()
            .copied()
            .filter(|index| settled.contains(index))
            .collect();
        if !rejected.is_empty() {
            let records = rejected.iter().map(|it| &batch.records[*it]);
            let kept = self.keep_aside(records, reason);
            let count = rejected.len() as u64;
            self.sent.rejected += count;
            self.sent.rejected_dropped += count - kept;
        }
        let others = (settled.len() - rejected.len()) as u64;
        // Some of them may have been completed before, as accepted.
        let unknown = unknown.min(self.sent.records + others);
        self.sent.rejected += unknown;
        self.sent.rejected_dropped += unknown;
        self.sent.records = self.sent.records + others - unknown;
        let mut left = settled.len();
        let mut parts = VecDeque::new();
        let all = &mut self.unsettled[channel].parts;
        while let Some(part) = all.pop_front() {
            if part.is_record && left == 0 {
                all.push_front(part);
                break;
            }
            left -= usize::from(part.is_record);
            parts.push_back(part);
        }
        self.settle(channel, parts)
    }

    /// The receiver has not accepted the rest of the batch, which is returned
    /// again.
    pub fn retry(&mut self, batch: Batch) {
        let channel = batch.channel;
        if batch.number == self.numbers[channel] {
            self.numbers[channel] += 1;
            self.readers[channel] = None;
        }
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

    /// Returns how many are kept.
    fn keep_aside<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
        reason: &[u8],
    ) -> u64 {
        let mut kept = 0;
        let mut writer = Writer::of_class(&self.spool, Class::Rejected);
        let payloads: Vec<_> = records
            .map(|it| (it.id, records::join_reason(reason, &it.payload)))
            .collect();
        let bytes = payloads.iter().map(|it| it.1.len() as u64).sum();
        if let Ok(dropped) = evict::drop_rejected(&self.spool, bytes) {
            self.sent.rejected_dropped += dropped;
        }
        for (id, payload) in payloads {
            let kind = FrameKind::Rejected;
            let max = payload.len();
            kept += u64::from(
                writer.append_frame(kind, &id, &payload, max).is_ok(),
            );
        }
        if self.spool.is_synced() {
            // They are as safe as they can be made.
            let _ = writer.sync();
        }
        kept
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
        let forgotten = AcknowledgedLosses {
            evicted: evicted.records,
            rejected: self.sent.rejected,
            damaged: self.sent.damage.records + evicted.damage.records,
            counts_lost: self.sent.lost + evicted.lost,
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
                *places = Places::all(part.place);
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

    /// Writes down how far everything is.
    fn settle(
        &mut self,
        channel: usize,
        parts: VecDeque<Part>,
    ) -> Result<(), Error> {
        self.take_over(channel, parts);
        if self.is_save_due() || self.append_progress().is_err() {
            return self.save();
        }
        Ok(())
    }

    fn is_save_due(&self) -> bool {
        let Some(saved_ms) = self.saved_ms else {
            return true;
        };
        let is_late = match self.spool.sync_policy() {
            SyncPolicy::Each => true,
            SyncPolicy::Every(interval) => {
                let now = self.spool.files().now();
                let since = now.boot_ms.saturating_sub(saved_ms);
                Duration::from_millis(since) >= interval
            }
            SyncPolicy::OnRequest => false,
        };
        is_late
            || self.finished.len() >= MAX_FINISHED
            || self.progress.as_ref().is_some_and(Progress::is_full)
            || self.sent.losses() != self.saved_losses
    }

    fn append_progress(&mut self) -> Result<(), Error> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => Progress::begin(&self.spool)?,
        };
        self.sent.has_progress = true;
        progress.append(&self.spool, &mut self.sent)?;
        self.progress = Some(progress);
        Ok(())
    }

    /// Saves all progress, and removes segments that are done.
    fn save(&mut self) -> Result<(), Error> {
        let saved = self.save_counts();
        let mut removed = Ok(());
        for (name, place) in std::mem::take(&mut self.finished) {
            let result = self.remove(name, place);
            if self.spool.is_synced() {
                self.removed.insert(name);
            }
            removed = removed.and(result);
        }
        match saved {
            // There may be room now.
            Err(_) => self.save_counts(),
            Ok(()) => removed,
        }
    }

    fn save_counts(&mut self) -> Result<(), Error> {
        // Until that has worked nothing is appended, and so not removed either.
        self.saved_ms = None;
        self.sent.save(&self.spool)?;
        // After a power cut, the removal of the records must not be on the disk
        // without the count of losses, and one of the two files must be there.
        let losses = self.sent.losses();
        let is_needed = self.spool.sync_policy() == SyncPolicy::Each
            || self.sent.has_progress
            || losses != self.saved_losses;
        if is_needed && self.spool.is_synced() {
            self.spool.sync_directory()?;
            self.removed.clear();
        }
        self.progress = None;
        if self.sent.has_progress {
            // If it stays, it is the older one.
            let removed = Progress::remove(&self.spool);
            self.sent.has_progress = removed.is_err();
        }
        self.saved_ms = Some(self.spool.files().now().boot_ms);
        self.saved_losses = losses;
        self.is_unsaved = false;
        Ok(())
    }

    /// Removes a segment, unless another writer has continued it.
    fn remove(&self, name: Name, place: SegmentProgress) -> Result<(), Error> {
        let spool = &self.spool;
        let reader = Reader::open(spool, name, place)?;
        let Some(reader) = reader else {
            return Ok(());
        };
        let Some(_lock) = reader.lock(spool)? else {
            return Ok(());
        };
        if reader.length(spool)? <= place.position {
            spool.remove(name)?;
        }
        Ok(())
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
