//! Keeps the spool within its limits: the oldest segments are removed first,
//! and their records are counted as evicted.
//!
//! A writer that needs room does that. A lock, for which no process waits,
//! allows one evictor at a time. A segment is removed as a whole, and only
//! under its own lock, so never while its writer is alive.
//!
//! Records are counted before their segment is removed, and the count names the
//! segments. So if the process dies in between, they are neither lost nor
//! counted twice.

use crate::channel::ChannelProgress;
use crate::channel::SegmentProgress;
use crate::counts::Evicted;
use crate::counts::SenderState;
use crate::error::Cause;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::files::Files;
use crate::files::retry;
use crate::name::Class;
use crate::name::Name;
use crate::segment::Damage;
use crate::segment::Reader;
use crate::segment::Step;
use crate::spool::Segment;
use crate::spool::Spool;

/// The name of the evictor's lock file.
pub const LOCK: &str = "evict.lock";
/// Segments that are removed together; each needs two descriptors.
const GROUP: usize = 16;

/// Makes room for `reserve` bytes, as far as possible, and removes records that
/// are too old.
///
/// # Errors
///
/// There is no room, even if another process is just making some.
pub(crate) fn make_room<F: Files>(
    spool: &Spool<F>,
    segments: &[Segment],
    reserve: u64,
) -> Result<(), Error> {
    let max_bytes = spool.limits().max_bytes;
    let before: u64 = segments.iter().map(|it| it.length).sum();
    // If eviction fails, only the hard limit counts.
    let freed = evict(spool, segments, before + reserve).unwrap_or(0);
    let after = before - freed.min(before) + reserve;
    if after > max_bytes.saturating_add(max_bytes / 4) {
        return Err(Error::new(Operation::Append, spool.dir(), Cause::Full));
    }
    Ok(())
}

/// Removes records that are too old; returns how many bytes have been freed.
///
/// # Errors
///
/// Not all of them could be removed.
pub(crate) fn remove_old<F: Files>(
    spool: &Spool<F>,
    segments: &[Segment],
) -> Result<u64, Error> {
    evict(spool, segments, 0)
}

/// Returns how many bytes have been freed.
fn evict<F: Files>(
    spool: &Spool<F>,
    segments: &[Segment],
    total: u64,
) -> Result<u64, Error> {
    let max_bytes = spool.limits().max_bytes;
    let is_due = |segment: &Segment, total: u64| {
        if total > max_bytes {
            Age::TooOld
        } else {
            age(spool, segment.name)
        }
    };
    let mut ages = segments.iter().map(|segment| is_due(segment, total));
    let first = ages.find(|it| matches!(it, Age::TooOld | Age::Young));
    if first != Some(Age::TooOld) {
        return Ok(0);
    }
    let lock = spool.open_lock(LOCK)?;
    let path = spool.dir().join(LOCK);
    let guard = retry(|| spool.files().lock(&lock));
    let Some(_guard) = guard.context(Operation::Lock, path)? else {
        return Ok(0);
    };
    let _ = spool.files().touch(&lock);
    let mut freed = 0;
    let mut group = None;
    let mut undated = Vec::new();
    for segment in segments {
        match is_due(segment, total.saturating_sub(freed)) {
            Age::TooOld => {}
            // All later segments are younger.
            Age::Young => break,
            Age::Undated => {
                undated.push(segment);
                continue;
            }
            Age::Unreadable => continue,
        }
        // Those before it were created earlier.
        for segment in undated.drain(..).chain([segment]) {
            // A segment that cannot be read or locked does not prevent the
            // removal of others.
            match Reader::open(spool, segment.name, SegmentProgress::default())
            {
                // Another process has removed it, which makes room as well.
                Ok(None) => freed += segment.length,
                Ok(Some(reader)) => {
                    let Ok(Some(lock)) = reader.lock(spool) else {
                        continue;
                    };
                    let counting = match &mut group {
                        Some(counting) => counting,
                        None => group.insert(Group::load(spool, segments)?),
                    };
                    if counting.add(spool, reader, lock).is_ok() {
                        freed += segment.length;
                    }
                }
                Err(_) => {}
            }
            if let Some(full) = group.take_if(|it| it.is_full()) {
                full.remove(spool)?;
            }
        }
    }
    if let Some(group) = group {
        group.remove(spool)?;
    }
    Ok(freed)
}

/// What a segment's time says of its oldest records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    TooOld,
    Young,
    /// The clock was wrong when the segment was created, or is now.
    Undated,
    Unreadable,
}

fn age<F: Files>(spool: &Spool<F>, name: Name) -> Age {
    let reader = Reader::open(spool, name, SegmentProgress::default());
    let Ok(Some(mut reader)) = reader else {
        return Age::Unreadable;
    };
    let Ok(head) = reader.head(spool) else {
        return Age::Unreadable;
    };
    match spool.age_ms(name, head) {
        None => Age::Undated,
        Some(age_ms) if age_ms > spool.limits().max_age_ms() => Age::TooOld,
        Some(_) => Age::Young,
    }
}

/// Segments that are removed together, each of which is locked.
struct Group<F: Files> {
    evicted: Evicted,
    sent: SenderState,
    segments: Vec<(Name, F::Lock)>,
}

impl<F: Files> Group<F> {
    /// An empty one; `segments` are those that exist.
    fn load(spool: &Spool<F>, segments: &[Segment]) -> Result<Self, Error> {
        let mut evicted = Evicted::load(spool)?;
        let exists = |name: &Name| segments.iter().any(|it| it.name == *name);
        evicted.leaving.retain(|name, _| exists(name));
        Ok(Self {
            evicted,
            // Where that cannot be read, nothing has been sent: too much is
            // counted rather than too little.
            sent: SenderState::load(spool).unwrap_or_default(),
            segments: Vec::new(),
        })
    }

    fn is_full(&self) -> bool {
        self.segments.len() >= GROUP
    }

    /// Counts the remaining records of a segment.
    ///
    /// # Errors
    ///
    /// It cannot be read now, so nobody knows how many it has, and it stays.
    fn add(
        &mut self,
        spool: &Spool<F>,
        mut reader: Reader<F>,
        lock: F::Lock,
    ) -> Result<(), Error> {
        let name = reader.name();
        let counted = self.evicted.leaving.get(&name).copied();
        let places = self.sent.places.get(&name).copied().unwrap_or_default();
        let places = places.at_least(counted.unwrap_or_default());
        reader.set_place(places.lowest());
        let remaining = count(spool, &mut reader, places)?;
        self.evicted.records += remaining.records;
        self.evicted.bytes += remaining.bytes;
        self.evicted.damage += remaining.damage;
        self.evicted.leaving.insert(name, reader.place());
        self.segments.push((name, lock));
        Ok(())
    }

    fn remove(self, spool: &Spool<F>) -> Result<(), Error> {
        if self.segments.is_empty() {
            return Ok(());
        }
        self.evicted.save(spool)?;
        if spool.is_synced() {
            spool.sync_directory()?;
        }
        for (name, _lock) in self.segments {
            spool.remove(name)?;
        }
        Ok(())
    }
}

/// What of a segment has not been sent.
#[derive(Default)]
struct Remaining {
    records: u64,
    bytes: u64,
    damage: Damage,
}

/// Counts the remaining records of a segment without a writer, after these
/// positions. Damaged ones are counted apart.
///
/// # Errors
///
/// It cannot be read.
fn count<F: Files>(
    spool: &Spool<F>,
    reader: &mut Reader<F>,
    places: ChannelProgress,
) -> Result<Remaining, Error> {
    let mut remaining = Remaining::default();
    let mut done_bytes = 0;
    let start = reader.place().position;
    loop {
        let before = reader.place().position;
        match reader.step(spool, true)? {
            Step::Frame(_) if places.are_equal() => remaining.records += 1,
            Step::Frame(frame) => {
                let bytes = frame.bytes() as u64;
                let channel = spool.channels().of(frame.payload);
                if places.is_done(channel, reader.place().position) {
                    done_bytes += bytes;
                } else {
                    remaining.records += 1;
                }
            }
            // The first channel has counted it.
            Step::Damaged(more) if before < places.of(0).position => {
                done_bytes += more.bytes;
            }
            Step::Damaged(more) => remaining.damage += more,
            Step::End => break,
        }
    }
    // The place moves back if the file has been truncated.
    let passed = reader.place().position.saturating_sub(start);
    let other = remaining.damage.bytes + done_bytes;
    remaining.bytes = passed.saturating_sub(other);
    Ok(remaining)
}

/// Removes all rejected records; returns how many. For the sender, while it
/// writes none.
pub(crate) fn remove_rejected<F: Files>(
    spool: &Spool<F>,
) -> Result<u64, Error> {
    let mut removed = 0;
    for segment in spool.segments(Class::Rejected)? {
        removed += remove_rejected_segment(spool, segment)?.unwrap_or(0);
    }
    Ok(removed)
}

/// Returns how many records are lost by that; none of one that cannot be read.
fn remove_rejected_segment<F: Files>(
    spool: &Spool<F>,
    segment: Segment,
) -> Result<Option<u64>, Error> {
    let reader = Reader::open(spool, segment.name, SegmentProgress::default());
    let Ok(Some(mut reader)) = reader else {
        return Ok(None);
    };
    let remaining = count(spool, &mut reader, ChannelProgress::default());
    let Ok(remaining) = remaining else {
        return Ok(None);
    };
    spool.remove(segment.name)?;
    Ok(Some(remaining.records + remaining.damage.records))
}

/// Removes the oldest segments of rejected records until `reserve` more bytes
/// fit; returns how many records are lost by that. For
/// the sender, who alone writes them, and while it writes none.
pub(crate) fn drop_rejected<F: Files>(
    spool: &Spool<F>,
    reserve: u64,
) -> Result<u64, Error> {
    let segments = spool.segments(Class::Rejected)?;
    let mut total: u64 = segments.iter().map(|it| it.length).sum();
    let max_bytes = spool.limits().max_rejected_bytes;
    let mut dropped = 0;
    for segment in segments {
        if total + reserve <= max_bytes {
            match age(spool, segment.name) {
                Age::TooOld => {}
                Age::Young => break,
                Age::Undated | Age::Unreadable => continue,
            }
        }
        if let Some(records) = remove_rejected_segment(spool, segment)? {
            dropped += records;
            total -= segment.length;
        }
    }
    Ok(dropped)
}
