//! What the spool stores in addition to the records: how far they have been
//! sent, and how many were sent, rejected, evicted or damaged.
//!
//! There are two files, `sender.counts` and `evicted.counts`, because two
//! processes write them, each under its own lock. Each is text, and is replaced
//! as a whole by a `rename`: a line with the format, lines with a key and its
//! values, and a line with the checksum of all lines before.
//!
//! A damaged file counts as absent, and that is counted. Then the sent records
//! of segments that still exist are sent again.
//!
//! While the sender sends, it appends to `sender.progress` after each batch,
//! because replacing and syncing `sender.counts` each time would be slow. Each
//! line is a complete `sender.counts` with a number; the highest complete one
//! of both files counts. So after a power cut, damage to the second file only
//! means that more records are sent again.
//!
//! For each segment, `segment` has the position before which nothing is left,
//! and `ahead` which channel is further. Earlier versions only know the former,
//! and send the records of a channel that was ahead again.
//!
//! `forgotten.counts` has the number of losses that the user has acknowledged.

mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use self::file::LINE_END;
use self::file::Loaded;
use self::file::Text;
pub(crate) use self::file::append_all;
use self::file::checked;
use self::file::items;
use self::file::load;
use self::file::load_file;
use self::file::number;
use self::file::place;
use self::file::save;
use crate::channel::CHANNELS;
use crate::channel::ChannelProgress;
use crate::channel::SegmentProgress;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::files::Files;
use crate::files::retry;
use crate::name::Name;
use crate::segment::Damage;
use crate::spool::Spool;

const SENDER: &str = "sender.counts";

const PROGRESS: &str = "sender.progress";

const EVICTED: &str = "evicted.counts";

const FORGOTTEN: &str = "forgotten.counts";

/// At this size no more progress is appended.
const MAX_PROGRESS_BYTES: usize = 256 * 1024;

/// What the sender remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SenderState {
    /// How often this has been written down.
    number: u64,
    /// Records that have been accepted.
    pub(crate) records: u64,
    /// Records that have been rejected.
    pub(crate) rejected: u64,
    /// How many of them have been deleted.
    pub(crate) rejected_dropped: u64,
    /// Damage that was found in reading.
    pub(crate) damage: Damage,
    /// How often this file was damaged.
    pub(crate) lost: u64,
    /// How far each segment has been sent.
    pub(crate) places: BTreeMap<Name, ChannelProgress>,
    /// Whether there is a file of progress; that is not written down.
    pub(crate) has_progress: bool,
}

/// Losses: records that were accepted and are gone, or were not accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    rejected: u64,
    rejected_dropped: u64,
    damage: Damage,
}

impl SenderState {
    pub(crate) fn load<F: Files>(spool: &Spool<F>) -> Result<Self, Error> {
        // First the file that is removed once the other is newer.
        let progress = load_file(spool, PROGRESS)?;
        let has_progress = progress.is_some();
        let version = spool.channels().version();
        let progress = progress.and_then(|it| Self::latest(&it, version));
        let (saved, is_lost) = match load(spool, SENDER)? {
            Loaded::Absent => (None, false),
            Loaded::Damaged => (None, true),
            Loaded::Text(text) => (Some(Self::parse(&text, version)), false),
        };
        let newest = progress.into_iter().chain(saved);
        let mut sent = newest.max_by_key(|it| it.number).unwrap_or_default();
        sent.lost += u64::from(is_lost);
        sent.has_progress = has_progress;
        Ok(sent)
    }

    pub(crate) fn losses(&self) -> Losses {
        Losses {
            rejected: self.rejected,
            rejected_dropped: self.rejected_dropped,
            damage: self.damage,
        }
    }

    /// The latest complete line. An incomplete line was not written to its end,
    /// or was lost in a power cut.
    fn latest(progress: &[u8], version: u32) -> Option<Self> {
        let mut lines = progress.rsplit(|byte| *byte == b'\n');
        let text = lines.find_map(|line| checked(from_line(line)))?;
        Some(Self::parse(&text, version))
    }

    fn parse(text: &str, version: u32) -> Self {
        let mut sent = Self::default();
        let mut is_of_version = false;
        for (key, value) in items(text) {
            match key {
                "number" => sent.number = number(value),
                "records" => sent.records = number(value),
                "rejected" => sent.rejected = number(value),
                "rejected-dropped" => sent.rejected_dropped = number(value),
                "damaged-records" => sent.damage.records = number(value),
                "damaged-bytes" => sent.damage.bytes = number(value),
                "lost" => sent.lost = number(value),
                "segment" => {
                    let place = place(value);
                    let place =
                        place.map(|it| (it.0, ChannelProgress::all(it.1)));
                    sent.places.extend(place);
                }
                "channels" => {
                    is_of_version = number(value) == u64::from(version);
                }
                "ahead" if is_of_version => sent.set_ahead(value),
                _ => {}
            }
        }
        sent
    }

    /// Reads a line of a channel that is ahead.
    fn set_ahead(&mut self, value: &str) {
        let words = value.split_once(' ');
        let Some((channel, (name, place))) = words.and_then(|it| {
            let channel = it.0.parse().ok()?;
            Some((channel, place(it.1)?))
        }) else {
            return;
        };
        if let Some(places) = self.places.get_mut(&name)
            && channel < CHANNELS
        {
            places.set(channel, place);
        }
    }

    fn to_text(&self, version: u32) -> Text {
        let mut text = Text::default();
        text.item("number", self.number);
        text.item("records", self.records);
        text.item("rejected", self.rejected);
        text.item("rejected-dropped", self.rejected_dropped);
        text.item("damaged-records", self.damage.records);
        text.item("damaged-bytes", self.damage.bytes);
        text.item("lost", self.lost);
        for (name, places) in &self.places {
            text.place("segment", *name, places.lowest());
        }
        text.item("channels", version);
        for (name, places) in &self.places {
            for (channel, place) in places.ahead() {
                text.place(&format!("ahead {channel}"), *name, place);
            }
        }
        text
    }

    /// Writes it down to stay, as far as anything is made to.
    pub(crate) fn save<F: Files>(
        &mut self,
        spool: &Spool<F>,
    ) -> Result<(), Error> {
        self.number += 1;
        let version = spool.channels().version();
        save(spool, SENDER, self.to_text(version))
    }
}

/// Where the sender writes down, without a sync, how far it is. For the sender
/// only.
#[derive(Debug)]
pub(crate) struct Progress<F: Files> {
    file: F::File,
    bytes: usize,
}

impl<F: Files> Progress<F> {
    /// Starts a new file. All earlier progress must have been saved.
    pub(crate) fn begin(spool: &Spool<F>) -> Result<Self, Error> {
        Self::remove(spool)?;
        let path = spool.dir().join(PROGRESS);
        let file = retry(|| spool.files().create(&path))
            .context(Operation::Create, &path)?;
        Ok(Self { file, bytes: 0 })
    }

    /// Whether it is long enough.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MAX_PROGRESS_BYTES
    }

    /// Appends it. After an error nothing more may be appended, because it
    /// would count as a part of the incomplete line.
    pub(crate) fn append(
        &mut self,
        spool: &Spool<F>,
        sent: &mut SenderState,
    ) -> Result<(), Error> {
        sent.number += 1;
        let line = to_line(sent.to_text(spool.channels().version()));
        self.bytes += line.len();
        append_all(spool.files(), &self.file, &line)
            .context(Operation::Append, spool.dir().join(PROGRESS))
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(spool: &Spool<F>) -> Result<(), Error> {
        let path = spool.dir().join(PROGRESS);
        match retry(|| spool.files().remove(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.context(Operation::Remove, path),
        }
    }
}

fn to_line(text: Text) -> Vec<u8> {
    let mut line = text.finish().into_bytes();
    let ends = line.iter_mut().filter(|byte| **byte == b'\n');
    ends.for_each(|byte| *byte = LINE_END);
    line.push(b'\n');
    line
}

fn from_line(line: &[u8]) -> Vec<u8> {
    let mut text = line.to_vec();
    let ends = text.iter_mut().filter(|byte| **byte == LINE_END);
    ends.for_each(|byte| *byte = b'\n');
    text
}

/// What those who evict remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    /// Records that have been evicted before they were sent.
    pub(crate) records: u64,
    /// Their bytes in the spool.
    pub(crate) bytes: u64,
    /// Damage among them.
    pub(crate) damage: Damage,
    /// How often this file was damaged.
    pub(crate) lost: u64,
    /// Segments that have been counted and are about to be removed, with the
    /// position up to which they were counted. If a segment still exists, it is
    /// not counted again.
    pub(crate) leaving: BTreeMap<Name, SegmentProgress>,
}

impl Evicted {
    pub(crate) fn load<F: Files>(spool: &Spool<F>) -> Result<Self, Error> {
        Ok(match load(spool, EVICTED)? {
            Loaded::Absent => Self::default(),
            Loaded::Damaged => Self {
                lost: 1,
                ..Self::default()
            },
            Loaded::Text(text) => Self::parse(&text),
        })
    }

    fn parse(text: &str) -> Self {
        let mut evicted = Self::default();
        for (key, value) in items(text) {
            match key {
                "records" => evicted.records = number(value),
                "bytes" => evicted.bytes = number(value),
                "damaged-records" => evicted.damage.records = number(value),
                "damaged-bytes" => evicted.damage.bytes = number(value),
                "lost" => evicted.lost = number(value),
                "leaving" => evicted.leaving.extend(place(value)),
                _ => {}
            }
        }
        evicted
    }

    fn to_text(&self) -> Text {
        let mut text = Text::default();
        text.item("records", self.records);
        text.item("bytes", self.bytes);
        text.item("damaged-records", self.damage.records);
        text.item("damaged-bytes", self.damage.bytes);
        text.item("lost", self.lost);
        for (name, place) in &self.leaving {
            text.place("leaving", *name, *place);
        }
        text
    }

    pub(crate) fn save<F: Files>(&self, spool: &Spool<F>) -> Result<(), Error> {
        save(spool, EVICTED, self.to_text())
    }
}

/// Losses that the user has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AcknowledgedLosses {
    pub(crate) evicted: u64,
    pub(crate) rejected: u64,
    pub(crate) damaged: u64,
    pub(crate) counts_lost: u64,
}

impl AcknowledgedLosses {
    /// None, if it is damaged: reporting twice is better than not at all.
    pub(crate) fn load<F: Files>(spool: &Spool<F>) -> Result<Self, Error> {
        Ok(match load(spool, FORGOTTEN)? {
            Loaded::Absent | Loaded::Damaged => Self::default(),
            Loaded::Text(text) => Self::parse(&text),
        })
    }

    fn parse(text: &str) -> Self {
        let mut forgotten = Self::default();
        for (key, value) in items(text) {
            match key {
                "evicted" => forgotten.evicted = number(value),
                "rejected" => forgotten.rejected = number(value),
                "damaged" => forgotten.damaged = number(value),
                "lost" => forgotten.counts_lost = number(value),
                _ => {}
            }
        }
        forgotten
    }

    fn to_text(self) -> Text {
        let mut text = Text::default();
        text.item("evicted", self.evicted);
        text.item("rejected", self.rejected);
        text.item("damaged", self.damaged);
        text.item("lost", self.counts_lost);
        text
    }

    /// For the sender only.
    pub(crate) fn save<F: Files>(self, spool: &Spool<F>) -> Result<(), Error> {
        save(spool, FORGOTTEN, self.to_text())
    }
}
