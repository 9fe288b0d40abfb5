//! The spool as a whole: where it is, how much it may hold, what it holds.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::channel::CHANNELS;
use crate::channel::Channels;
use crate::channel::Places;
use crate::counts::Evicted;
use crate::counts::Forgotten;
use crate::counts::Sent;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::evict::Segment;
use crate::files::Files;
use crate::files::System;
use crate::files::retry;
use crate::frame::Frame;
use crate::frame::Kind;
use crate::frame::MAX_ID_BYTES;
use crate::frame::MIN_ID_BYTES;
use crate::name::Class;
use crate::name::Name;
use crate::place;
use crate::segment::Head;
use crate::segment::Reader;
use crate::segment::Step;

/// Bytes of all records by default.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Their age by default.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Segments that a full spool consists of, if all are full.
const SEGMENTS: u64 = 64;
/// Bytes of a segment at least and at most, unless one record is longer.
const SEGMENT_BYTES: (u64, u64) = (4 * 1024, 1024 * 1024);
/// A segment is written to for at most this part of the age of a record.
const AGE_PARTS: u64 = 24;
/// And for no longer than this.
const MAX_SEGMENT_AGE_MS: u64 = 60 * 60 * 1000;
/// How far clocks of machines that share a home may differ.
const MAX_SKEW_MS: u64 = 60 * 60 * 1000;
/// No segment is older than this format: January 2025. A clock that says so
/// had not been set yet.
const EARLIEST_MS: u64 = 1_735_689_600_000;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of what is waiting. If there is no room for more, the oldest go.
    pub max_bytes: u64,
    /// No record is kept for longer. They go in groups, so one may go up to
    /// an hour, or a 24th of this, earlier.
    pub max_age: Duration,
    /// Bytes of what has been rejected.
    pub max_rejected_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: MAX_BYTES,
            max_age: MAX_AGE,
            max_rejected_bytes: MAX_BYTES / 8,
        }
    }
}

impl Limits {
    /// The bytes at which a new segment is begun.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let (min, max) = SEGMENT_BYTES;
        (self.max_bytes / SEGMENTS).clamp(min, max)
    }

    pub(crate) fn max_age_ms(&self) -> u64 {
        u64::try_from(self.max_age.as_millis()).unwrap_or(u64::MAX)
    }

    /// The age at which a new segment is begun.
    pub(crate) fn segment_age_ms(&self) -> u64 {
        (self.max_age_ms() / AGE_PARTS).min(MAX_SEGMENT_AGE_MS)
    }
}

/// When records are made to survive a power cut. Whatever it is, they survive
/// the end of the process that wrote them, however it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When [`Writer::sync`](crate::Writer::sync) is called, or a file is full.
    /// A power cut costs what has been appended since, and what has been sent
    /// may be sent again.
    OnRequest,
    /// With the first record that is appended this much later than the last
    /// sync, and when the writer is dropped. A power cut costs what has been
    /// appended since, and what has been sent since the sender's last sync may
    /// be sent again.
    Every(Duration),
    /// With each record. A power cut costs nothing.
    Each,
}

/// Tells by its payload whether a record is to wait for another program: this
/// one cannot send it. Those behind it in the same file wait as well.
#[derive(Clone, Copy)]
pub struct HoldBack(pub fn(&[u8]) -> bool);

impl Default for HoldBack {
    /// All can be sent.
    fn default() -> Self {
        Self(|_| false)
    }
}

impl PartialEq for HoldBack {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for HoldBack {}

impl std::fmt::Debug for HoldBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HoldBack")
    }
}

/// Where a spool is and how it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How much may be kept.
    pub limits: Limits,
    /// When records are made to survive a power cut.
    pub sync: SyncPolicy,
    /// Directories above this one are not looked at to find out whether the
    /// spool is safe: the user's home.
    pub home: Option<PathBuf>,
    /// Which records are sent independently of which others.
    pub channels: Channels,
    /// Which records wait for another program.
    pub hold_back: HoldBack,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            sync: SyncPolicy::Every(Duration::from_secs(1)),
            home: None,
            channels: Channels::ONE,
            hold_back: HoldBack::default(),
        }
    }
}

/// What tells a record from all others: 16 to 24 bytes, made by whoever
/// appends it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    bytes: [u8; MAX_ID_BYTES],
    length: u8,
}

impl RecordId {
    /// The id of these bytes, unless they are too few or too many.
    pub fn new(id: &[u8]) -> Option<Self> {
        if !(MIN_ID_BYTES..=MAX_ID_BYTES).contains(&id.len()) {
            return None;
        }
        let mut bytes = [0; MAX_ID_BYTES];
        bytes[..id.len()].copy_from_slice(id);
        let length = id.len() as u8;
        Some(Self { bytes, length })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A record that has been appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// When it was appended, if the clock was right.
    pub time: SystemTime,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// A record that its receiver has rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The record; its time is that of the rejection.
    pub record: Record,
    /// Why.
    pub reason: Vec<u8>,
}

/// What has been lost, counted from the spool's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounts {
    /// Records that have gone unsent because of the limits.
    pub evicted: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// Records that are lost because a file was damaged.
    pub damaged: u64,
    /// How often the counts themselves were damaged and began anew.
    pub counts_lost: u64,
}

/// What a spool holds, and what has become of what it held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that wait.
    pub pending: u64,
    /// Bytes of their payloads.
    pub pending_bytes: u64,
    /// How many of them wait for another program, or behind one that does.
    pub held_back: u64,
    /// How long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// Bytes of the files, without those of rejected records.
    pub file_bytes: u64,
    /// Their number.
    pub files: u64,
    /// Those of them that are empty: cut off, unless their writer has only just
    /// created them or ended at that moment.
    pub empty: u64,
    /// Those of them that cannot be read, whose records are not in the
    /// numbers.
    pub unreadable: u64,
    /// Records that have been accepted.
    pub sent: u64,
    /// Records that have gone unsent because of the limits. If a sender was
    /// just sending some of them, those may have been sent all the same.
    pub evicted: u64,
    /// Their bytes in the files.
    pub evicted_bytes: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// Those of them that are no longer kept.
    pub rejected_dropped: u64,
    /// Records that are lost because a file was damaged. Where the end of a
    /// file is, it is not known how many those are, and counted as one.
    pub damaged: u64,
    /// Bytes that are damaged.
    pub damaged_bytes: u64,
    /// How often the counts themselves were damaged and began anew.
    pub counts_lost: u64,
}

impl Stats {
    /// Without the losses that somebody has been told of. Where the counts
    /// have begun anew since, it cannot be said which those are, and none is
    /// left out.
    fn without(&mut self, forgotten: Forgotten) {
        if self.counts_lost == forgotten.counts_lost {
            self.counts_lost = 0;
            self.evicted = self.evicted.saturating_sub(forgotten.evicted);
            self.rejected = self.rejected.saturating_sub(forgotten.rejected);
            self.damaged = self.damaged.saturating_sub(forgotten.damaged);
        }
    }
}

#[derive(Debug)]
struct Inner<F> {
    files: F,
    dir: PathBuf,
    options: Options,
}

/// A spool. Copies are the same one.
#[derive(Debug)]
pub struct Spool<F = System>(Arc<Inner<F>>);

impl<F> Clone for Spool<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Spool {
    /// The spool in the directory `dir`, which is created if need be.
    ///
    /// # Errors
    ///
    /// The directory cannot be created, or it is not safe: it belongs to
    /// somebody else, or others can write there or put another one in its
    /// place.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        Self::open_with(System, dir, options)
    }

    /// The spool in the directory `dir`, if that is there. Creates nothing.
    ///
    /// # Errors
    ///
    /// The directory, or one on the way as far as that leads, is not safe.
    pub fn find(dir: &Path, options: Options) -> Result<Option<Self>, Error> {
        let is_there = place::find(dir, options.home.as_deref())?;
        is_there.then(|| Self::open(dir, options)).transpose()
    }
}

impl<F: Files> Spool<F> {
    /// [`Spool::open`] on another system than the real one.
    ///
    /// # Errors
    ///
    /// As [`Spool::open`].
    pub fn open_with(
        files: F,
        dir: &Path,
        options: Options,
    ) -> Result<Self, Error> {
        files.prepare(dir, options.home.as_deref())?;
        let dir = dir.to_owned();
        Ok(Self(Arc::new(Inner {
            files,
            dir,
            options,
        })))
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// What it holds now, without a lock: what others do meanwhile may be seen
    /// in one number and not in the other. Reads everything that waits.
    ///
    /// # Errors
    ///
    /// The directory or the counts cannot be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        let sent = Sent::load(self)?;
        let evicted = Evicted::load(self)?;
        let mut stats = Stats {
            sent: sent.records,
            evicted: evicted.records,
            evicted_bytes: evicted.bytes,
            rejected: sent.rejected,
            rejected_dropped: sent.rejected_dropped,
            damaged: sent.damage.records + evicted.damage.records,
            damaged_bytes: sent.damage.bytes + evicted.damage.bytes,
            counts_lost: sent.lost + evicted.lost,
            ..Stats::default()
        };
        let segments = self.segments(Class::Pending)?;
        stats.files = segments.len() as u64;
        stats.file_bytes = segments.iter().map(|it| it.length).sum();
        for segment in segments {
            stats.empty += u64::from(segment.length == 0);
            let name = segment.name;
            let places = sent.places.get(&name).copied().unwrap_or_default();
            match Reader::open(self, name, places.lowest()) {
                Ok(Some(reader)) => {
                    if self.count(reader, places, &mut stats).is_err() {
                        stats.unreadable += 1;
                    }
                }
                Ok(None) => {}
                Err(_) => stats.unreadable += 1,
            }
        }
        Ok(stats)
    }

    /// Counts what waits in a segment.
    fn count(
        &self,
        mut reader: Reader<F>,
        places: Places,
        stats: &mut Stats,
    ) -> Result<(), Error> {
        let head = reader.head(self)?;
        let age_ms = self.age_ms(reader.name(), head).unwrap_or(0);
        // Of each channel: what is behind such a record waits with it.
        let mut is_held_back = [false; CHANNELS];
        loop {
            match reader.step(self, false)? {
                Step::Frame(frame) => {
                    let bytes = frame.payload.len() as u64;
                    let age = age_ms.saturating_sub(frame.age_ms.into());
                    let channel = self.channel_in(places, frame.payload);
                    let holds_back = self.holds_back(&frame);
                    let end = reader.place().position;
                    for (channel, held) in is_held_back.iter_mut().enumerate() {
                        *held |= holds_back && !places.is_done(channel, end);
                    }
                    if channel.is_some_and(|it| places.is_done(it, end)) {
                        continue;
                    }
                    let is_held_back = is_held_back[channel.unwrap_or(0)];
                    stats.held_back += u64::from(is_held_back);
                    stats.pending += 1;
                    stats.pending_bytes += bytes;
                    let age = Some(Duration::from_millis(age));
                    stats.oldest = stats.oldest.max(age);
                }
                Step::Damaged(_) => {}
                Step::End => return Ok(()),
            }
        }
    }

    /// The channel of a record, where that matters: some are ahead.
    fn channel_in(&self, places: Places, payload: &[u8]) -> Option<usize> {
        (!places.are_equal()).then(|| self.channels().of(payload))
    }

    /// Whether anything of these channels waits that this program can send;
    /// what cannot be read does not.
    ///
    /// # Errors
    ///
    /// The directory or the counts cannot be read.
    pub fn has_pending(
        &self,
        channels: [bool; CHANNELS],
    ) -> Result<bool, Error> {
        let sent = Sent::load(self)?;
        let segments = self.segments(Class::Pending)?;
        for (channel, _) in channels.iter().enumerate().filter(|it| *it.1) {
            for segment in &segments {
                let places = sent.places.get(&segment.name).copied();
                let place = places.unwrap_or_default().of(channel);
                let opened = Reader::open(self, segment.name, place);
                let Ok(Some(mut reader)) = opened else {
                    continue;
                };
                while let Ok(step) = reader.step(self, false) {
                    match step {
                        Step::Frame(frame) if self.holds_back(&frame) => break,
                        Step::Frame(frame)
                            if frame.kind == Kind::Record
                                && self.channels().of(frame.payload)
                                    == channel =>
                        {
                            return Ok(true);
                        }
                        Step::Frame(_) | Step::Damaged(_) => {}
                        Step::End => break,
                    }
                }
            }
        }
        Ok(false)
    }

    /// Whether a record waits that stands before this place of a segment.
    /// `sent` tells how far that has been sent.
    pub(crate) fn is_pending_before(
        &self,
        name: Name,
        end: u64,
        sent: &Sent,
    ) -> Result<bool, Error> {
        let places = sent.places.get(&name).copied().unwrap_or_default();
        if places.lowest().position >= end {
            return Ok(false);
        }
        // One that is not there has been sent, or evicted, which is counted.
        let Some(mut reader) = Reader::open(self, name, places.lowest())?
        else {
            return Ok(false);
        };
        loop {
            let at = match reader.step(self, false)? {
                Step::Frame(frame) if frame.kind == Kind::Record => {
                    self.channel_in(places, frame.payload).unwrap_or(0)
                }
                Step::Frame(_) | Step::Damaged(_) => continue,
                Step::End => return Ok(false),
            };
            let position = reader.place().position;
            if position > end {
                return Ok(false);
            }
            if !places.is_done(at, position) {
                return Ok(true);
            }
        }
    }

    /// What has been lost so far, without reading what waits.
    ///
    /// # Errors
    ///
    /// The counts cannot be read.
    pub fn losses(&self) -> Result<LossCounts, Error> {
        let sent = Sent::load(self)?;
        let evicted = Evicted::load(self)?;
        Ok(LossCounts {
            evicted: evicted.records,
            rejected: sent.rejected,
            damaged: sent.damage.records + evicted.damage.records,
            counts_lost: sent.lost + evicted.lost,
        })
    }

    /// As [`Spool::stats`], without the losses that were there when
    /// [`Sender::forget`](crate::Sender::forget) was called.
    ///
    /// # Errors
    ///
    /// As [`Spool::stats`].
    pub fn new_stats(&self) -> Result<Stats, Error> {
        // What is forgotten after this is told once more.
        let forgotten = Forgotten::load(self)?;
        let mut stats = self.stats()?;
        stats.without(forgotten);
        Ok(stats)
    }

    /// What waits, the oldest first, to look at or to export. Nothing changes
    /// by that, and no lock is taken.
    ///
    /// # Errors
    ///
    /// The directory or the counts cannot be read.
    pub fn records(&self) -> Result<Records<F>, Error> {
        let sent = Sent::load(self)?;
        Ok(Records(Cursor {
            spool: self.clone(),
            segments: self.segments(Class::Pending)?.into_iter(),
            sent,
            places: Places::default(),
            current: None,
        }))
    }

    /// What has been rejected and is still kept, the oldest first.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn rejected(&self) -> Result<RejectedRecords<F>, Error> {
        Ok(RejectedRecords(Cursor {
            spool: self.clone(),
            segments: self.segments(Class::Rejected)?.into_iter(),
            sent: Sent::default(),
            places: Places::default(),
            current: None,
        }))
    }

    pub(crate) fn files(&self) -> &F {
        &self.0.files
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.options.limits
    }

    pub(crate) fn channels(&self) -> Channels {
        self.0.options.channels
    }

    pub(crate) fn sync_policy(&self) -> SyncPolicy {
        self.0.options.sync
    }

    /// Whether anything is made to survive a power cut unasked.
    pub(crate) fn is_synced(&self) -> bool {
        self.sync_policy() != SyncPolicy::OnRequest
    }

    pub(crate) fn path_of(&self, name: Name) -> PathBuf {
        self.dir().join(name.to_string())
    }

    /// The segments there are, the oldest first.
    pub(crate) fn segments(&self, class: Class) -> Result<Vec<Segment>, Error> {
        let names = retry(|| self.files().list(self.dir()))
            .context(Operation::List, self.dir())?;
        let mut segments = Vec::new();
        for name in names.iter().filter_map(|it| Name::parse(OsStr::new(it))) {
            if name.class() != class {
                continue;
            }
            let path = self.path_of(name);
            match retry(|| self.files().length(&path)) {
                Ok(length) => segments.push(Segment { name, length }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Error::new(Operation::Read, path, error));
                }
            }
        }
        segments.sort_unstable_by_key(|segment| segment.name);
        Ok(segments)
    }

    /// How long ago a segment was created; none if the clock that tells it
    /// cannot be believed: it was created in the future, or before there was
    /// such a thing.
    pub(crate) fn age_ms(&self, name: Name, head: Option<Head>) -> Option<u64> {
        let now = self.files().now();
        if let Some(head) = head.filter(|it| it.is_of_this_boot(&now)) {
            return Some(head.age_ms(&now));
        }
        let stamp = head.map_or(name.wall_ms(), |head| head.now.wall_ms);
        let latest = now.wall_ms.saturating_add(MAX_SKEW_MS);
        let is_believable = (EARLIEST_MS..=latest).contains(&stamp);
        is_believable.then(|| now.wall_ms.saturating_sub(stamp))
    }

    /// Whether a record waits for another program.
    pub(crate) fn holds_back(&self, frame: &Frame<'_>) -> bool {
        frame.kind == Kind::Record
            && (self.0.options.hold_back.0)(frame.payload)
    }

    /// Opens a file that is there only to be locked.
    pub(crate) fn open_lock(&self, name: &str) -> Result<F::File, Error> {
        let path = self.dir().join(name);
        let files = self.files();
        let mut result = retry(|| files.open(&path));
        if is_kind(&result, io::ErrorKind::NotFound) {
            result = retry(|| files.create(&path));
        }
        if is_kind(&result, io::ErrorKind::AlreadyExists) {
            result = retry(|| files.open(&path));
        }
        result.context(Operation::Open, path)
    }

    pub(crate) fn sync_directory(&self) -> Result<(), Error> {
        retry(|| self.files().sync_directory(self.dir()))
            .context(Operation::Sync, self.dir())
    }

    /// Removes a segment, which may have gone.
    pub(crate) fn remove(&self, name: Name) -> Result<(), Error> {
        let path = self.path_of(name);
        match retry(|| self.files().remove(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.context(Operation::Remove, path),
        }
    }
}

fn is_kind<T>(result: &io::Result<T>, kind: io::ErrorKind) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == kind)
}

/// When a record of a segment was appended.
pub(crate) fn time_of(
    name: Name,
    head: Option<Head>,
    age_ms: u32,
) -> SystemTime {
    let start = head.map_or(name.wall_ms(), |head| head.now.wall_ms);
    let time = Duration::from_millis(start.saturating_add(age_ms.into()));
    UNIX_EPOCH.checked_add(time).unwrap_or(UNIX_EPOCH)
}

/// Reads segment after segment.
#[derive(Debug)]
struct Cursor<F: Files> {
    spool: Spool<F>,
    segments: std::vec::IntoIter<Segment>,
    sent: Sent,
    /// How far the current segment has been sent.
    places: Places,
    current: Option<(Reader<F>, Option<Head>)>,
}

impl<F: Files> Cursor<F> {
    fn next(&mut self, wanted: Kind) -> Result<Option<Rejected>, Error> {
        loop {
            let Some((reader, head)) = &mut self.current else {
                let Some(segment) = self.segments.next() else {
                    return Ok(None);
                };
                let name = segment.name;
                let places = self.sent.places.get(&name).copied();
                self.places = places.unwrap_or_default();
                let place = self.places.lowest();
                let reader = Reader::open(&self.spool, name, place)?;
                if let Some(mut reader) = reader {
                    let head = reader.head(&self.spool)?;
                    self.current = Some((reader, head));
                }
                continue;
            };
            let (name, head) = (reader.name(), *head);
            match reader.step(&self.spool, false) {
                Ok(Step::Frame(frame)) if frame.kind == wanted => {
                    let channel =
                        self.spool.channel_in(self.places, frame.payload);
                    let (reason, payload) = match wanted {
                        Kind::Rejected => split_reason(frame.payload),
                        _ => (&[][..], frame.payload),
                    };
                    let Some(id) = RecordId::new(frame.id) else {
                        continue;
                    };
                    let record = Record {
                        id,
                        time: time_of(name, head, frame.age_ms),
                        payload: payload.to_vec(),
                    };
                    let reason = reason.to_vec();
                    let end = reader.place().position;
                    if channel.is_some_and(|it| self.places.is_done(it, end)) {
                        continue;
                    }
                    return Ok(Some(Rejected { record, reason }));
                }
                Ok(Step::Frame(_) | Step::Damaged(_)) => {}
                Ok(Step::End) => self.current = None,
                Err(error) => {
                    self.current = None;
                    return Err(error);
                }
            }
        }
    }
}

/// What a rejected record's payload is in the file: the reason's length, the
/// reason, and the record's own payload.
pub(crate) fn join_reason(reason: &[u8], payload: &[u8]) -> Vec<u8> {
    let reason = &reason[..reason.len().min(crate::MAX_REASON_BYTES)];
    let length = (reason.len() as u16).to_le_bytes();
    [&length[..], reason, payload].concat()
}

pub(crate) fn split_reason(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return (&[], bytes);
    };
    let length = usize::from(u16::from_le_bytes(*length));
    rest.split_at(length.min(rest.len()))
}

/// Records that wait; see [`Spool::records`].
#[derive(Debug)]
pub struct Records<F: Files = System>(Cursor<F>);

impl<F: Files> Iterator for Records<F> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.0.next(Kind::Record).transpose()?;
        Some(next.map(|it| it.record))
    }
}

/// Records that have been rejected; see [`Spool::rejected`].
#[derive(Debug)]
pub struct RejectedRecords<F: Files = System>(Cursor<F>);

impl<F: Files> Iterator for RejectedRecords<F> {
    type Item = Result<Rejected, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Kind::Rejected).transpose()
    }
}
