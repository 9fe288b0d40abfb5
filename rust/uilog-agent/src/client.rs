//! One queue that the agent serves: how far it was read, and which of its
//! records are still needed.
//!
//! Responsible for the progress that is stored in the queue's first page, from
//! which the next reader continues. Trusts nothing in the file, because any
//! process of this user may have written it. Must not know sinks.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use uilog_channel::cached_reader::CachedReader;
use uilog_channel::commandlost;
use uilog_channel::commandlost::Inquiry;
use uilog_channel::commandlost::Verdict;
use uilog_channel::queue::Delivery;
use uilog_channel::queue::Progress;
use uilog_channel::queue::Reader;
use uilog_channel::record_delivery::Queued;
use uilog_channel::wire::Frame;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;
use uilog_sys::pidfd::Pidfd;

use crate::configuration::Configuration;
use crate::ids::ClientId;
use crate::ids::GroupId;
use crate::ledger::Page;
use crate::outstanding::Outstanding;
use crate::slow::SlowCommands;
use crate::trust::WriterTrust;

/// Scripts begin here in a queue that has none.
const NO_SCRIPTS: u64 = u64::MAX;
/// The minimum size of a record.
const MIN_FRAME_BYTES: u64 = 16;
/// Maximum number of a client's records in memory: the others stay in its
/// queue.
const MAX_OUTSTANDING: usize = 1 << 18;

/// A queue, and how far it is.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) dir: Arc<OwnDir>,
    pub(crate) name: OsString,
    pub(crate) feed: CachedReader,
    pub(crate) trust: WriterTrust,
    /// Becomes readable when the writer has ended.
    pub(crate) process: Option<Pidfd>,
    /// There may be unread frames.
    pub(crate) is_rung: bool,
    /// The writer may have asked for delivery since the last check.
    pub(crate) may_await: bool,
    /// The number of jobs for whose delivery the writer waits; 0 if it does
    /// not.
    pub(crate) awaited: u64,
    /// The groups that have got its records.
    pub(crate) groups: Vec<GroupId>,
    /// What its next record waits for.
    pub(crate) waits_for: Option<WaitsFor>,
    /// The same process, after its end was reported.
    pub(crate) ended_process: Option<Pidfd>,
    /// The writer may have ended.
    pub(crate) may_have_ended: bool,
    /// The writer was seen alive.
    pub(crate) was_alive: bool,
    /// The query about the writer's end, if a command has not ended.
    inquiry: Inquiry,
    /// Its result is not known yet.
    pub(crate) is_inquiring: bool,
    /// The group that got its last record, and when.
    pub(crate) last_group: Option<(GroupId, Instant)>,
    /// The configuration of its last record.
    pub(crate) last: Option<Arc<Configuration>>,
    /// The number of its losses that are not in the journal.
    pub(crate) page: Arc<Page>,
    /// Losses of an earlier agent that are not reported yet.
    pub(crate) left: Option<InheritedLosses>,
    /// What was logged about its slow commands.
    pub(crate) slow: SlowCommands,
    /// The environment of its records, which determines the journal.
    pub(crate) environment: Option<Arc<[u8]>>,
    /// The next frame to read.
    position: u64,
    /// The records that were read, up to the last one that is still needed.
    outstanding: Outstanding,
    /// The writer has ended, and everything has been read.
    pub(crate) has_ended: bool,
    published: Option<Progress>,
    /// Nothing more can be read.
    is_damaged: bool,
}

/// What a record that was read waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// A place in the group of its sinks.
    Place,
    /// That it is known for which sinks it may be delivered.
    Trust,
}

/// The result for a process that has released its queue.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// Nothing.
    Nothing,
    /// Not known yet.
    Unknown,
    /// It has been appended, but for so many commands.
    Told(Option<(u64, io::Error)>),
}

/// What an agent that was killed has left.
#[derive(Clone, Debug)]
pub(crate) struct InheritedLosses {
    /// Lost records that it has not reported, or had in hand.
    pub(crate) records: u64,
    pub(crate) last_failure: Option<String>,
}

/// The frame at a client's position.
#[derive(Debug)]
pub(crate) enum NextFrame {
    /// Nothing more.
    Nothing,
    /// A record, and the position of the next frame.
    Record(Box<Queued>, u64),
    /// So many records that cannot be read; they have been passed.
    Unreadable(u64),
    /// There is more, but other clients have their turn first.
    Later,
}

impl Client {
    /// Opens a queue that the caller has locked as its reader.
    ///
    /// # Errors
    ///
    /// What the queue says about itself is invalid.
    pub(crate) fn new(
        id: ClientId,
        dir: Arc<OwnDir>,
        name: OsString,
        mut queue: Reader,
        trust: WriterTrust,
    ) -> io::Result<Self> {
        let last_failure = queue.last_failure().ok().flatten();
        let end = end_of(&queue)?;
        let page = Page::new(queue.reported()?);
        let progress = queue.progress_mut();
        if progress.records_at > end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let unreported = progress.unreported();
        let in_hand = progress.at_risk;
        // With the first published progress, so that an agent that is killed
        // later leaves the same state.
        progress.records_lost = progress.records_lost.saturating_add(in_hand);
        progress.at_risk = 0;
        progress.scripts_at = NO_SCRIPTS;
        progress.readers = progress.readers.saturating_add(1);
        let position = progress.records_at;
        page.add(unreported);
        let mut feed = CachedReader::new(queue);
        feed.keep_open_commands();
        Ok(Self {
            id,
            dir,
            name,
            trust,
            process: None,
            ended_process: None,
            is_rung: true,
            may_await: true,
            awaited: 0,
            groups: Vec::new(),
            waits_for: None,
            may_have_ended: true,
            was_alive: false,
            inquiry: Inquiry::default(),
            is_inquiring: false,
            last_group: None,
            last: None,
            page: Arc::new(page),
            left: (unreported > 0).then_some(InheritedLosses {
                records: unreported,
                last_failure,
            }),
            slow: SlowCommands::default(),
            environment: None,
            position,
            outstanding: Outstanding::default(),
            has_ended: false,
            published: None,
            is_damaged: false,
            feed,
        })
    }

    /// Reads the frame at its position.
    pub(crate) fn read_next(&mut self, max_frames: usize) -> NextFrame {
        match self.try_read_next(max_frames) {
            Ok(ahead) => ahead,
            Err(_) => self.pass_damage(),
        }
    }

    fn try_read_next(&mut self, max_frames: usize) -> io::Result<NextFrame> {
        if self.is_damaged || self.outstanding.len() >= MAX_OUTSTANDING {
            return Ok(NextFrame::Nothing);
        }
        for _ in 0..max_frames {
            let position = self.position;
            let Some((bytes, next)) = self.feed.queue.frame(position)? else {
                return Ok(NextFrame::Nothing);
            };
            let frame = postcard::from_bytes::<Frame<'_>>(&bytes);
            if let Ok(frame) = &frame {
                self.feed.note(frame, position, next);
            }
            match frame {
                Ok(
                    Frame::Environment(_) | Frame::Items(_) | Frame::Open(_),
                ) => {}
                Ok(Frame::Record(_)) => {
                    if let Ok(Some(queued)) = self.feed.queued(position, bytes)
                    {
                        return Ok(NextFrame::Record(Box::new(queued), next));
                    }
                    self.pass(next);
                    return Ok(NextFrame::Unreadable(1));
                }
                // There are no scripts in such a queue.
                Ok(Frame::Job(_)) | Err(_) => {
                    self.pass(next);
                    return Ok(NextFrame::Unreadable(1));
                }
            }
            self.position = next;
        }
        Ok(NextFrame::Later)
    }

    /// Continues after damage, if there may be another frame.
    fn pass_damage(&mut self) -> NextFrame {
        let before = self.position;
        let looked_at = self.seen();
        let committed = self.feed.queue.committed();
        let end = end_of(&self.feed.queue);
        let (Ok(committed), Ok(end)) = (committed, end) else {
            // Its end is outside of the file, so nothing is known about it.
            self.is_damaged = true;
            self.pass(before);
            return NextFrame::Unreadable(1);
        };
        let most = end.saturating_sub(before) / MIN_FRAME_BYTES;
        let lost = committed.jobs.saturating_sub(looked_at);
        let lost = lost.min(most).max(1);
        self.pass(end.max(before));
        let progress = self.feed.queue.progress_mut();
        progress.records = progress.records.saturating_add(lost - 1);
        NextFrame::Unreadable(lost)
    }

    /// The record at its position is needed from now on; returns its number.
    pub(crate) fn assign_number(&mut self, next: u64) -> u32 {
        let number = self.outstanding.push(self.position);
        self.position = next;
        number
    }

    /// The record at its position is not needed.
    pub(crate) fn pass(&mut self, next: u64) {
        let number = self.assign_number(next);
        self.done(number);
    }

    /// The record of this number is not needed any more.
    pub(crate) fn done(&mut self, number: u32) {
        let removed = self.outstanding.done(number);
        self.count_done(removed);
    }

    fn count_done(&mut self, count: u64) {
        let progress = self.feed.queue.progress_mut();
        progress.records = progress.records.saturating_add(count);
    }

    /// A rollup counts one of its records, which stays until the rollup has
    /// been sent.
    pub(crate) fn hold(&mut self) {
        self.outstanding.hold();
    }

    /// The same record is not needed any more.
    pub(crate) fn release(&mut self, number: u32) {
        let removed = self.outstanding.release(number);
        self.count_done(removed);
    }

    /// Whether no record that was read is on its way, except for those that
    /// wait for a rollup.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.outstanding.is_at_rest()
    }

    /// Whether it waits for nothing but for a rollup to be sent.
    pub(crate) fn waits_for_rollup_only(&self) -> bool {
        self.has_ended && self.outstanding.has_held() && self.is_at_rest()
    }

    /// Whether what waits for a rollup leaves hardly any room for more.
    pub(crate) fn is_held_and_nearly_full(&self) -> bool {
        let oldest = self.outstanding.oldest();
        self.outstanding.has_held()
            && oldest.is_some_and(|it| self.feed.queue.is_nearly_full_from(it))
    }

    /// The record of this number, if it can still be read.
    pub(crate) fn record(&mut self, number: u32) -> Option<Queued> {
        let position = self.outstanding.position(number)?;
        let (bytes, _) = self.feed.queue.frame(position).ok()??;
        self.feed.queued(position, bytes).ok()?
    }

    /// Whether so much waits from this record on that there is hardly room for
    /// more.
    pub(crate) fn is_nearly_full_from(&self, number: u32) -> bool {
        let position = self.outstanding.position(number);
        position.is_some_and(|it| self.feed.queue.is_nearly_full_from(it))
    }

    /// The number of records that were read.
    fn seen(&self) -> u64 {
        let records = self.feed.queue.progress().records;
        records.saturating_add(self.outstanding.len() as u64)
    }

    /// So many of its records are lost, once for each sink that they were for.
    pub(crate) fn count_lost(&mut self, count: u64) {
        let progress = self.feed.queue.progress_mut();
        progress.records_lost = progress.records_lost.saturating_add(count);
        self.page.add(count);
    }

    /// So many records that it is done with are still in the hands of sinks.
    pub(crate) fn set_at_risk(&mut self, count: u64) {
        self.feed.queue.progress_mut().at_risk = count;
    }

    /// Whether the writer waits, and only the delivery of its records is still
    /// unknown.
    pub(crate) fn is_awaited(&mut self) -> bool {
        if std::mem::take(&mut self.may_await) {
            self.awaited = self.feed.queue.awaited();
        }
        self.awaited > 0
            && self.waits_for.is_none()
            && self.is_at_rest()
            && self.is_at_end()
    }

    /// Answers the writer, which waits for its records.
    pub(crate) fn answer(&mut self, delivery: Delivery) {
        // If it cannot be written, it waits for as long as it may.
        let _ = self.feed.queue.answer(self.awaited, delivery);
        self.awaited = 0;
        self.groups.clear();
    }

    /// Whether no record that was read is needed any more.
    pub(crate) fn is_drained(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Whether everything has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_damaged || self.position >= self.end()
    }

    /// The end of the written frames.
    pub(crate) fn end(&self) -> u64 {
        let end = self.feed.queue.committed().map(|it| it.end);
        end.unwrap_or(self.position)
    }

    /// The number of its records that somebody still needs.
    pub(crate) fn undone(&self) -> u64 {
        let committed = self.feed.queue.committed().map(|it| it.jobs);
        let done = self.feed.queue.progress().records;
        committed.unwrap_or(0).saturating_sub(done)
    }

    /// Whether a command has begun and not ended.
    pub(crate) fn has_open_command(&self) -> bool {
        // Damage is handled when it has ended.
        let open = self.feed.queue.open_command();
        open.is_ok_and(|open| open.is_some())
    }

    /// The writer has released the queue: appends the events of commands that
    /// have not ended, as far as that is known.
    pub(crate) fn conclude(&mut self) -> Conclusion {
        self.is_inquiring = false;
        if !self.has_open_command() {
            return Conclusion::Nothing;
        }
        let process = self.ended_process.as_ref().or(self.process.as_ref());
        let was_watched = self.was_alive || process.is_some();
        let queue = &mut self.feed.queue;
        match self.inquiry.ask(process, was_watched) {
            Verdict::Unknown => {
                self.is_inquiring = true;
                Conclusion::Unknown
            }
            Verdict::Lives => {
                // If it cannot be written, it is found again.
                let _ = commandlost::dismiss(queue);
                Conclusion::Nothing
            }
            Verdict::Dead(death) => {
                Conclusion::Told(commandlost::conclude(queue, &death).err())
            }
        }
    }

    /// Whether the writer lives.
    pub(crate) fn is_alive(&self) -> bool {
        living_file::is_held(self.feed.queue.page_file(), Holder::Maker)
            .unwrap_or(true)
    }

    /// Publishes the progress, if it has changed, and releases memory. If that
    /// fails, it is written with the next one.
    pub(crate) fn publish(&mut self) {
        let oldest = self.outstanding.oldest().unwrap_or(self.position);
        let seen = self.seen();
        let progress = self.feed.queue.progress_mut();
        progress.records_at = progress.records_at.max(oldest);
        progress.taken = progress.taken.max(seen);
        self.feed.queue.pass();
        let progress = self.feed.queue.progress();
        if self.published == Some(progress) {
            return;
        }
        if self.feed.queue.publish().is_ok() {
            self.published = Some(progress);
            self.feed.queue.release();
        }
    }

    /// Whether others can find it: a logout may have removed its directory.
    pub(crate) fn has_name(&self) -> bool {
        let file = self.feed.queue.page_file();
        living_file::has_name(file, &self.dir, &self.name).unwrap_or(false)
    }

    /// Removes the file, if it is still the one of this name.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self.has_name() {
            true => self.dir.unlink(&self.name),
            false => Ok(()),
        }
    }
}

/// The end of the committed frames, if it is within the file.
fn end_of(queue: &Reader) -> io::Result<u64> {
    let end = queue.committed()?.end;
    if end > queue.page_file().metadata()?.len().max(queue.low()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
