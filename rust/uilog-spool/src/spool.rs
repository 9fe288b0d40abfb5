//! The spool as a directory: its path, its limits, its segments and locks.
//!
//! Must not know counts, or what is in a segment.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::ChannelProgress;
use crate::channel::Channels;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::files::Files;
use crate::files::System;
use crate::files::retry;
use crate::frame::Frame;
use crate::frame::FrameKind;
use crate::head::Head;
use crate::name::Class;
use crate::name::Name;
use crate::place;

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

/// The limits of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of waiting records. If there is no room for more, the
    /// oldest are evicted.
    pub max_bytes: u64,
    /// The maximum age of a record. Records are removed in groups, so one may
    /// be removed up to an hour, or a 24th of this, earlier.
    pub max_age: Duration,
    /// Maximum bytes of rejected records.
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

/// When records are synced, so that they survive a power cut. With each policy,
/// they survive the end of the process that wrote them, however it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When [`Writer::sync`](crate::Writer::sync) is called, or a file is full.
    /// A power cut loses what was appended since, and sent records may be sent
    /// again.
    OnRequest,
    /// With the first record that is appended this long after the last sync,
    /// and when the writer is dropped. A power cut loses what was appended
    /// since, and records that were sent since the sender's last sync may be
    /// sent again.
    Every(Duration),
    /// With each record. A power cut costs nothing.
    Each,
}

/// Returns for a payload whether the record has to wait for another program,
/// because this one cannot send it. Later records in the same file wait as
/// well.
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

/// The location of a spool and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The spool's limits.
    pub limits: Limits,
    /// When records are made to survive a power cut.
    pub sync: SyncPolicy,
    /// Directories above this one, the user's home, are not examined to decide
    /// whether the spool is safe.
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
    /// The spool in the directory `dir`, which is created if needed.
    ///
    /// # Errors
    ///
    /// The directory cannot be created, or it is not safe: it belongs to
    /// another user, or other users can write there or replace it.
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

    /// The channel of a record, where that matters: some are ahead.
    pub(crate) fn channel_in(
        &self,
        places: ChannelProgress,
        payload: &[u8],
    ) -> Option<usize> {
        (!places.are_equal()).then(|| self.channels().of(payload))
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

    /// The age of a segment; none if the clock was wrong: if it was created in
    /// the future, or before uilog existed.
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
        frame.kind == FrameKind::Record
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

    /// Removes a segment; it is no error if it does not exist.
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

/// A segment and the bytes of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) name: Name,
    pub(crate) length: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spool has many segments: what is removed is a small part of it.
    #[test]
    fn segments_are_parts_of_what_the_limits_allow() {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        for (max_bytes, segment_bytes) in [
            (0, 4 * KIB),
            (MIB, 16 * KIB),
            (32 * MIB, 512 * KIB),
            (1024 * MIB, MIB),
        ] {
            let limits = Limits {
                max_bytes,
                ..Limits::default()
            };
            assert_eq!(limits.segment_bytes(), segment_bytes);
        }
        for (hours, segment_minutes) in [(2, 5), (12, 30), (24, 60), (48, 60)] {
            let limits = Limits {
                max_age: Duration::from_secs(hours * 3600),
                ..Limits::default()
            };
            assert_eq!(limits.segment_age_ms(), segment_minutes * 60_000);
        }
    }
}
