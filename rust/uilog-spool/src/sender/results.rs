//! Noting what has become of a batch.
//!
//! Must not know when that is written down.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use super::Batch;
use super::Sender;
use crate::error::Error;
use crate::evict;
use crate::files::Files;
use crate::frame::FrameKind;
use crate::name::Class;
use crate::records;
use crate::records::Record;
use crate::writer::Writer;

impl<F: Files> Sender<F> {
    /// The receiver has accepted the whole batch, which is not returned again.
    /// Only the last batch can be completed, once; another one is ignored.
    ///
    /// # Errors
    ///
    /// It could not be saved. This sender does not return the records again,
    /// but a later one may.
    pub fn accept(&mut self, batch: Batch) -> Result<(), Error> {
        self.reject(batch, &[], b"")
    }

    /// The receiver has the batch except the records with these indices, which
    /// it will never accept: they are kept separately, with the reason.
    ///
    /// # Errors
    ///
    /// Like [`Sender::accept`]. A rejected record that cannot be kept is
    /// counted as deleted.
    pub fn reject(
        &mut self,
        batch: Batch,
        indices: &[usize],
        reason: &[u8],
    ) -> Result<(), Error> {
        self.reject_with_unknown(batch, indices, reason, 0)
    }

    /// Like [`Sender::reject`], and the receiver has rejected `unknown` more
    /// records without identifying them: those are counted as rejected and are
    /// not kept.
    ///
    /// # Errors
    ///
    /// Like [`Sender::reject`].
    pub fn reject_with_unknown(
        &mut self,
        batch: Batch,
        indices: &[usize],
        reason: &[u8],
        unknown: u64,
    ) -> Result<(), Error> {
        let end = batch.records.len();
        self.finish_up_to(&batch, end, indices, reason, unknown)
    }

    /// Like [`Sender::reject_with_unknown`], for those records of the batch before
    /// `end` that have no result yet: they are not returned again, whatever the
    /// result of the others is.
    ///
    /// # Errors
    ///
    /// Like [`Sender::reject`].
    pub fn finish_up_to(
        &mut self,
        batch: &Batch,
        end: usize,
        indices: &[usize],
        reason: &[u8],
        unknown: u64,
    ) -> Result<(), Error> {
        let channel = batch.channel;
        if batch.number != self.numbers[channel] {
            return Ok(());
        }
        let start = self.unsettled[channel].settled;
        let settled = start..end.clamp(start, batch.records.len());
        if settled.end == batch.records.len() {
            // What comes now is another batch.
            self.numbers[channel] += 1;
        }
        self.unsettled[channel].settled = settled.end;
        let rejected: BTreeSet<usize> = indices
            .iter()
            .copied()
            .filter(|index| settled.contains(index))
            .collect();
        if !rejected.is_empty() {
            let records = rejected.iter().map(|it| &batch.records[*it]);
            let kept = self.keep_rejected(records, reason);
            let count = rejected.len() as u64;
            self.sent.rejected += count;
            self.sent.rejected_dropped += count - kept;
        }
        let others = (settled.len() - rejected.len()) as u64;
        // Some of them may have been completed before, as accepted.
        let unknown = unknown.min(self.sent.records + others);
        self.sent.rejected += unknown;
        self.sent.rejected_dropped += unknown;
        self.sent.records = self.sent.records + others - unknown;
        let mut left = settled.len();
        let mut parts = VecDeque::new();
        let all = &mut self.unsettled[channel].parts;
        while let Some(part) = all.pop_front() {
            if part.is_record && left == 0 {
                all.push_front(part);
                break;
            }
            left -= usize::from(part.is_record);
            parts.push_back(part);
        }
        self.save_progress(channel, parts)
    }

    /// The receiver has not accepted the rest of the batch, which is returned
    /// again.
    pub fn retry(&mut self, batch: Batch) {
        let channel = batch.channel;
        if batch.number == self.numbers[channel] {
            self.numbers[channel] += 1;
            self.readers[channel] = None;
        }
    }

    /// Returns how many are kept.
    fn keep_rejected<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Record>,
        reason: &[u8],
    ) -> u64 {
        let mut kept = 0;
        let mut writer = Writer::of_class(&self.spool, Class::Rejected);
        let payloads: Vec<_> = records
            .map(|it| (it.id, records::join_reason(reason, &it.payload)))
            .collect();
        let bytes = payloads.iter().map(|it| it.1.len() as u64).sum();
        if let Ok(dropped) = evict::drop_rejected(&self.spool, bytes) {
            self.sent.rejected_dropped += dropped;
        }
        for (id, payload) in payloads {
            let kind = FrameKind::Rejected;
            let max = payload.len();
            kept += u64::from(
                writer.append_frame(kind, &id, &payload, max).is_ok(),
            );
        }
        if self.spool.is_synced() {
            // They are as safe as they can be made.
            let _ = writer.sync();
        }
        kept
    }
}
