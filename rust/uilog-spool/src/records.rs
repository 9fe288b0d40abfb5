//! The waiting and rejected records of a spool, to show or export them.
//!
//! Read-only; takes no lock.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::channel::ChannelProgress;
use crate::counts::SenderState;
use crate::error::Error;
use crate::files::Files;
use crate::files::System;
use crate::frame::FrameKind;
use crate::frame::MAX_ID_BYTES;
use crate::frame::MIN_ID_BYTES;
use crate::head::Head;
use crate::name::Class;
use crate::name::Name;
use crate::segment::Reader;
use crate::segment::Step;
use crate::spool::Segment;
use crate::spool::Spool;

/// A record's unique ID: 16 to 24 bytes, chosen by the process that appends it.
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
    /// The payload.
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
    sent: SenderState,
    /// How far the current segment has been sent.
    places: ChannelProgress,
    current: Option<(Reader<F>, Option<Head>)>,
}

impl<F: Files> Cursor<F> {
    fn next(&mut self, wanted: FrameKind) -> Result<Option<Rejected>, Error> {
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
                        FrameKind::Rejected => split_reason(frame.payload),
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
        let next = self.0.next(FrameKind::Record).transpose()?;
        Some(next.map(|it| it.record))
    }
}

/// Records that have been rejected; see [`Spool::rejected`].
#[derive(Debug)]
pub struct RejectedRecords<F: Files = System>(Cursor<F>);

impl<F: Files> Iterator for RejectedRecords<F> {
    type Item = Result<Rejected, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(FrameKind::Rejected).transpose()
    }
}

impl<F: Files> Spool<F> {
    /// The waiting records, the oldest first, to show or to export them. This
    /// changes nothing and takes no lock.
    ///
    /// # Errors
    ///
    /// The directory or the counts cannot be read.
    pub fn records(&self) -> Result<Records<F>, Error> {
        let sent = SenderState::load(self)?;
        Ok(Records(Cursor {
            spool: self.clone(),
            segments: self.segments(Class::Pending)?.into_iter(),
            sent,
            places: ChannelProgress::default(),
            current: None,
        }))
    }

    /// The rejected records that are kept, the oldest first.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn rejected(&self) -> Result<RejectedRecords<F>, Error> {
        Ok(RejectedRecords(Cursor {
            spool: self.clone(),
            segments: self.segments(Class::Rejected)?.into_iter(),
            sent: SenderState::default(),
            places: ChannelProgress::default(),
            current: None,
        }))
    }
}
