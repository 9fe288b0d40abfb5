//! Numbers of a spool's waiting and lost records.
//!
//! Reads the segments and the counts; read-only.

use std::time::Duration;

use crate::channel::CHANNELS;
use crate::channel::ChannelProgress;
use crate::counts::AcknowledgedLosses;
use crate::counts::Evicted;
use crate::counts::SenderState;
use crate::error::Error;
use crate::files::Files;
use crate::frame::FrameKind;
use crate::name::Class;
use crate::name::Name;
use crate::segment::Reader;
use crate::segment::Step;
use crate::spool::Spool;

/// The losses since the spool was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounts {
    /// Records that were removed unsent because of the limits.
    pub evicted: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// Records that are lost because a file was damaged.
    pub damaged: u64,
    /// How often the counts themselves were damaged and restarted.
    pub counts_lost: u64,
}

impl LossCounts {
    /// What the sender and the evictors remember together.
    pub(crate) fn of(sent: &SenderState, evicted: &Evicted) -> Self {
        Self {
            evicted: evicted.records,
            rejected: sent.rejected,
            damaged: sent.damage.records + evicted.damage.records,
            counts_lost: sent.lost + evicted.lost,
        }
    }
}

/// The records in a spool, and the results of earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that wait.
    pub pending: u64,
    /// Bytes of their payloads.
    pub pending_bytes: u64,
    /// How many of them wait for another program, or for a record that does.
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
    /// How many of them cannot be read; the numbers do not include their
    /// records.
    pub unreadable: u64,
    /// Records that have been accepted.
    pub sent: u64,
    /// Records that were not sent because of the limits. A sender that was just
    /// sending some of them may have sent them.
    pub evicted: u64,
    /// Their bytes in the files.
    pub evicted_bytes: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// How many of them have been deleted.
    pub rejected_dropped: u64,
    /// Records that are lost because a file was damaged. Where the end of a
    /// file is, it is not known how many those are, and counted as one.
    pub damaged: u64,
    /// Bytes that are damaged.
    pub damaged_bytes: u64,
    /// How often the counts themselves were damaged and restarted.
    pub counts_lost: u64,
}

impl Stats {
    /// What the counts say; nothing of what waits.
    fn of(sent: &SenderState, evicted: &Evicted) -> Self {
        let losses = LossCounts::of(sent, evicted);
        Self {
            sent: sent.records,
            evicted: losses.evicted,
            evicted_bytes: evicted.bytes,
            rejected: losses.rejected,
            rejected_dropped: sent.rejected_dropped,
            damaged: losses.damaged,
            damaged_bytes: sent.damage.bytes + evicted.damage.bytes,
            counts_lost: losses.counts_lost,
            ..Self::default()
        }
    }

    /// Subtracts the losses that the user has acknowledged. If the counts have
    /// restarted since, these are unknown, and nothing is subtracted.
    fn without(&mut self, forgotten: AcknowledgedLosses) {
        if self.counts_lost == forgotten.counts_lost {
            self.counts_lost = 0;
            self.evicted = self.evicted.saturating_sub(forgotten.evicted);
            self.rejected = self.rejected.saturating_sub(forgotten.rejected);
            self.damaged = self.damaged.saturating_sub(forgotten.damaged);
        }
    }
}

impl<F: Files> Spool<F> {
    /// The current numbers, without a lock, so changes by other processes may
    /// be in one number and not in another. Reads all waiting records.
    ///
    /// # Errors
    ///
    /// The directory or the counts cannot be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        let sent = SenderState::load(self)?;
        let evicted = Evicted::load(self)?;
        let mut stats = Stats::of(&sent, &evicted);
        let segments = self.segments(Class::Pending)?;
        stats.files = segments.len() as u64;
        stats.file_bytes = segments.iter().map(|it| it.length).sum();
        for segment in segments {
            stats.empty += u64::from(segment.length == 0);
            let name = segment.name;
            let places = sent.places.get(&name).copied().unwrap_or_default();
            let counted = Reader::open(self, name, places.lowest())
                .and_then(|it| self.count(it, places, &mut stats));
            stats.unreadable += u64::from(counted.is_err());
        }
        Ok(stats)
    }

    /// Counts what waits in a segment, if that is still there.
    fn count(
        &self,
        reader: Option<Reader<F>>,
        places: ChannelProgress,
        stats: &mut Stats,
    ) -> Result<(), Error> {
        let Some(mut reader) = reader else {
            return Ok(());
        };
        let head = reader.head(self)?;
        let age_ms = self.age_ms(reader.name(), head).unwrap_or(0);
        // For each channel: records after such a record wait with it.
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
        let sent = SenderState::load(self)?;
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
                            if frame.kind == FrameKind::Record
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

    /// Whether a record before this position of a segment is waiting. `sent`
    /// has the position up to which it was sent.
    pub(crate) fn is_pending_before(
        &self,
        name: Name,
        end: u64,
        sent: &SenderState,
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
                Step::Frame(frame) if frame.kind == FrameKind::Record => {
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

    /// The losses so far, without reading the waiting records.
    ///
    /// # Errors
    ///
    /// The counts cannot be read.
    pub fn losses(&self) -> Result<LossCounts, Error> {
        let sent = SenderState::load(self)?;
        let evicted = Evicted::load(self)?;
        Ok(LossCounts::of(&sent, &evicted))
    }

    /// As [`Spool::stats`], without the losses that were there when
    /// [`Sender::forget`](crate::Sender::forget) was called.
    ///
    /// # Errors
    ///
    /// As [`Spool::stats`].
    pub fn new_stats(&self) -> Result<Stats, Error> {
        // Losses acknowledged after this are reported once more.
        let forgotten = AcknowledgedLosses::load(self)?;
        let mut stats = self.stats()?;
        stats.without(forgotten);
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Damage;

    /// Two processes count, each in a file of its own.
    #[test]
    fn losses_are_those_of_both_files() {
        let mut sent = SenderState::default();
        sent.records = 1;
        sent.rejected = 2;
        sent.rejected_dropped = 4;
        sent.damage.records = 8;
        sent.damage.bytes = 16;
        sent.lost = 32;
        let evicted = Evicted {
            records: 64,
            bytes: 128,
            damage: Damage {
                records: 256,
                bytes: 512,
            },
            lost: 1024,
            ..Evicted::default()
        };
        let losses = LossCounts {
            evicted: 64,
            rejected: 2,
            damaged: 8 + 256,
            counts_lost: 32 + 1024,
        };
        assert_eq!(LossCounts::of(&sent, &evicted), losses);
        let stats = Stats {
            sent: 1,
            evicted: 64,
            evicted_bytes: 128,
            rejected: 2,
            rejected_dropped: 4,
            damaged: 8 + 256,
            damaged_bytes: 16 + 512,
            counts_lost: 32 + 1024,
            ..Stats::default()
        };
        assert_eq!(Stats::of(&sent, &evicted), stats);
    }
}
