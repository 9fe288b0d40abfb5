//! Taking the next records out of the spool's segments.
//!
//! Must not know what becomes of them.

use std::collections::BTreeSet;

use super::Batch;
use super::Part;
use super::PendingBatch;
use super::Sender;
use crate::channel::CHANNELS;
use crate::error::Error;
use crate::evict;
use crate::files::Files;
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
}
