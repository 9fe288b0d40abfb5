//! Taking the next records out of the spool's segments.
//!
//! Must not know what becomes of them.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use super::Batch;
use super::Part;
use super::PendingBatch;
use super::Sender;
use crate::channel::CHANNELS;
use crate::channel::SegmentProgress;
use crate::error::Error;
use crate::evict;
use crate::files::Files;
use crate::frame::Frame;
use crate::frame::FrameKind;
use crate::head::Head;
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

/// Milliseconds between two searches for records that are too old.
const AGE_EVERY_MS: u64 = 1000;

impl<F: Files> Sender<F> {
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
        self.unsettled[channel] = PendingBatch::default();
        let mut segments = self.spool.segments(Class::Pending)?;
        // A sender that cannot remove old records can still send them.
        if self.is_age_due()
            && evict::remove_old(&self.spool, &segments).is_ok_and(|it| it > 0)
        {
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

    /// Whether to look for records that are too old: that opens the oldest
    /// segment, so not for each batch.
    fn is_age_due(&mut self) -> bool {
        let now = self.spool.files().now().boot_ms;
        let is_due = self
            .aged_ms
            .is_none_or(|it| now.saturating_sub(it) >= AGE_EVERY_MS);
        if is_due {
            self.aged_ms = Some(now);
        }
        is_due
    }

    /// Reads records from a segment into the batch; returns whether the batch
    /// is full.
    fn take_from(
        &mut self,
        name: Name,
        limits: (usize, usize),
        batch: &mut Batch,
    ) -> Result<bool, Error> {
        let channel = batch.channel;
        let places = self.sent.places.get(&name).copied().unwrap_or_default();
        let start = places.of(channel);
        let Some(mut reader) = self.reader(channel, name, start)? else {
            return Ok(false);
        };
        let spool = &self.spool;
        let mut reading = Reading {
            name,
            head: reader.head(spool)?,
            limits,
            batch,
            parts: &mut self.unsettled[channel].parts,
            done: start,
            damage: Damage::default(),
        };
        let end = reading.read(spool, &mut reader);
        let place = reader.place();
        if let End::Failed(error) = end {
            // Records that were read before that are valid.
            if place == start {
                return Err(error);
            }
            reading.note_rest(place, false);
            return Ok(false);
        }
        reading.note_rest(place, matches!(end, End::Finished));
        let is_full = matches!(end, End::Full);
        if is_full {
            self.readers[channel] = Some(reader);
        }
        Ok(is_full)
    }

    /// A reader of this segment at this place: the one of the batch before, if
    /// it is there.
    fn reader(
        &mut self,
        channel: usize,
        name: Name,
        start: SegmentProgress,
    ) -> Result<Option<Reader<F>>, Error> {
        let last = self.readers[channel].take();
        match last.filter(|it| it.name() == name && it.place() == start) {
            Some(reader) => Ok(Some(reader)),
            None => Reader::open(&self.spool, name, start),
        }
    }
}

/// Why the reading of a segment has ended.
enum End {
    /// The batch is full.
    Full,
    /// There are no further records yet, or none that may be sent.
    Paused,
    /// Its writer has ended or left it, and no record remains in it.
    Finished,
    Failed(Error),
}

/// The reading of one segment into a batch.
struct Reading<'b> {
    name: Name,
    head: Option<Head>,
    limits: (usize, usize),
    batch: &'b mut Batch,
    parts: &'b mut VecDeque<Part>,
    /// The end of the last record in the batch.
    done: SegmentProgress,
    /// Damage since then.
    damage: Damage,
}

impl Reading<'_> {
    fn read<F: Files>(
        &mut self,
        spool: &Spool<F>,
        reader: &mut Reader<F>,
    ) -> End {
        let channel = self.batch.channel;
        let mut lock = None;
        loop {
            let before = reader.place();
            match reader.step(spool, lock.is_some()) {
                // Later records wait as well, since records keep their order.
                Ok(Step::Frame(frame)) if spool.holds_back(&frame) => {
                    reader.set_place(before);
                    return End::Paused;
                }
                Ok(Step::Frame(frame))
                    if frame.kind == FrameKind::Record
                        && spool.channels().of(frame.payload) == channel =>
                {
                    if !self.has_room(&frame) {
                        reader.set_place(before);
                        return End::Full;
                    }
                    if let Some(id) = RecordId::new(frame.id) {
                        let record = self.record(id, &frame);
                        self.take(record, reader.place());
                    }
                }
                Ok(Step::Frame(_)) => {}
                // It is counted once, by the first channel.
                Ok(Step::Damaged(more)) if channel == 0 => self.damage += more,
                Ok(Step::Damaged(_)) => {}
                Ok(Step::End) if lock.is_some() => return End::Finished,
                // It has no writer, and while it is locked no other one will
                // continue it.
                Ok(Step::End) => match reader.lock(spool) {
                    Ok(Some(guard)) => lock = Some(guard),
                    _ => return End::Paused,
                },
                Err(error) => return End::Failed(error),
            }
        }
    }

    fn has_room(&self, frame: &Frame<'_>) -> bool {
        let (max_records, max_bytes) = self.limits;
        let bytes = self.batch.bytes + frame.payload.len();
        self.batch.is_empty()
            || self.batch.records.len() < max_records && bytes <= max_bytes
    }

    fn record(&self, id: RecordId, frame: &Frame<'_>) -> Record {
        Record {
            id,
            time: records::time_of(self.name, self.head, frame.age_ms),
            payload: frame.payload.to_vec(),
        }
    }

    /// Adds a record that ends at this place.
    fn take(&mut self, record: Record, place: SegmentProgress) {
        self.batch.bytes += record.payload.len();
        self.batch.records.push(record);
        self.done = place;
        self.parts.push_back(Part {
            name: self.name,
            place,
            damage: std::mem::take(&mut self.damage),
            is_record: true,
            is_finished: false,
        });
    }

    /// Notes what comes after the last record, up to this place.
    fn note_rest(self, place: SegmentProgress, is_finished: bool) {
        if place != self.done || is_finished {
            self.parts.push_back(Part {
                name: self.name,
                place,
                damage: self.damage,
                is_record: false,
                is_finished,
            });
        }
    }
}
