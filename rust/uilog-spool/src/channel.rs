//! Channels: parts of one stream of records that are sent independently.
//!
//! A record belongs to one channel, which follows from its payload. Each
//! channel has its own position in each segment, so that a receiver that
//! accepts only one kind of records gets these once.
//!
//! Must not know files, or what a channel is for.

use std::fmt;

/// How many channels a spool has at most.
pub const CHANNELS: usize = 2;

/// To which channel a record belongs.
#[derive(Clone, Copy)]
pub struct Channels {
    version: u32,
    of: fn(&[u8]) -> usize,
}

impl Channels {
    /// A spool of one channel.
    pub const ONE: Self = Self {
        version: 0,
        of: |_| 0,
    };

    /// A spool with two channels, 0 and 1: `of` returns the channel of a
    /// payload.
    ///
    /// `version` is not 0, and must change if `of` may return another channel
    /// for some payload. Positions that were stored with another version only
    /// count up to the lowest one, because sending twice is better than not
    /// sending.
    pub const fn two(version: u32, of: fn(&[u8]) -> usize) -> Self {
        Self { version, of }
    }

    /// The channel of a payload.
    pub(crate) fn of(self, payload: &[u8]) -> usize {
        (self.of)(payload).min(CHANNELS - 1)
    }

    pub(crate) fn version(self) -> u32 {
        self.version
    }

    pub(crate) fn is_one(self) -> bool {
        self.version == Self::ONE.version
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self::ONE
    }
}

// The address of a function is not of interest.
impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channels").field(&self.version).finish()
    }
}

impl PartialEq for Channels {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl Eq for Channels {}

/// How far each channel has been dealt with in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChannelProgress([SegmentProgress; CHANNELS]);

impl ChannelProgress {
    /// The same for all channels.
    pub(crate) fn all(place: SegmentProgress) -> Self {
        Self([place; CHANNELS])
    }

    pub(crate) fn of(&self, channel: usize) -> SegmentProgress {
        self.0[channel]
    }

    pub(crate) fn set(&mut self, channel: usize, place: SegmentProgress) {
        self.0[channel] = place;
    }

    /// Up to where nothing is left for any channel.
    pub(crate) fn lowest(&self) -> SegmentProgress {
        let lowest = self.0.iter().min_by_key(|place| place.position);
        lowest.copied().unwrap_or_default()
    }

    /// No channel is ahead of another.
    pub(crate) fn are_equal(&self) -> bool {
        self.0.iter().all(|place| *place == self.0[0])
    }

    /// The channels that are beyond the lowest place, and how far.
    pub(crate) fn ahead(
        &self,
    ) -> impl Iterator<Item = (usize, SegmentProgress)> {
        let lowest = self.lowest();
        let all = self.0.into_iter().enumerate();
        all.filter(move |(_, place)| *place != lowest)
    }

    /// No channel before `place`.
    pub(crate) fn at_least(mut self, place: SegmentProgress) -> Self {
        for own in &mut self.0 {
            if own.position < place.position {
                *own = place;
            }
        }
        self
    }

    /// Whether the frame of this channel that ends there has been dealt with.
    pub(crate) fn is_done(&self, channel: usize, end: u64) -> bool {
        end <= self.0[channel].position
    }
}

/// How far a segment has been dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentProgress {
    /// The byte at which the next frame begins.
    pub(crate) position: u64,
    /// The sequence number that it should have.
    pub(crate) sequence: u32,
}
