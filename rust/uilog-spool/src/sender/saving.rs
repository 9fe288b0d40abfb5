//! Writing down how far everything is, and removing what is done.

use std::collections::VecDeque;
use std::time::Duration;

use super::Part;
use super::Sender;
use crate::channel::SegmentProgress;
use crate::counts::Progress;
use crate::error::Error;
use crate::files::Files;
use crate::name::Name;
use crate::segment::Reader;
use crate::spool::SyncPolicy;

/// Segments that have been sent and may wait for being removed.
const MAX_FINISHED: usize = 16;

impl<F: Files> Sender<F> {
    /// Writes down how far everything is.
    pub(super) fn save_progress(
        &mut self,
        channel: usize,
        parts: VecDeque<Part>,
    ) -> Result<(), Error> {
        self.take_over(channel, parts);
        if self.is_save_due() || self.append_progress().is_err() {
            return self.save();
        }
        Ok(())
    }

    fn is_save_due(&self) -> bool {
        let Some(saved_ms) = self.saved_ms else {
            return true;
        };
        let is_late = match self.spool.sync_policy() {
            SyncPolicy::Each => true,
            SyncPolicy::Every(interval) => {
                let now = self.spool.files().now();
                let since = now.boot_ms.saturating_sub(saved_ms);
                Duration::from_millis(since) >= interval
            }
            SyncPolicy::OnRequest => false,
        };
        is_late
            || self.finished.len() >= MAX_FINISHED
            || self.progress.as_ref().is_some_and(Progress::is_full)
            || self.sent.losses() != self.saved_losses
    }

    fn append_progress(&mut self) -> Result<(), Error> {
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => Progress::begin(&self.spool)?,
        };
        self.sent.has_progress = true;
        progress.append(&self.spool, &mut self.sent)?;
        self.progress = Some(progress);
        Ok(())
    }

    /// Saves all progress, and removes segments that are done.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        let saved = self.save_counts();
        let mut removed = Ok(());
        for (name, place) in std::mem::take(&mut self.finished) {
            let result = self.remove(name, place);
            if self.spool.is_synced() {
                self.removed.insert(name);
            }
            removed = removed.and(result);
        }
        match saved {
            // There may be room now.
            Err(_) => self.save_counts(),
            Ok(()) => removed,
        }
    }

    fn save_counts(&mut self) -> Result<(), Error> {
        // Until that has worked nothing is appended, and so not removed either.
        self.saved_ms = None;
        self.sent.save(&self.spool)?;
        // After a power cut, the removal of the records must not be on the disk
        // without the count of losses, and one of the two files must be there.
        let losses = self.sent.losses();
        let is_needed = self.spool.sync_policy() == SyncPolicy::Each
            || self.sent.has_progress
            || losses != self.saved_losses;
        if is_needed && self.spool.is_synced() {
            self.spool.sync_directory()?;
            self.removed.clear();
        }
        self.progress = None;
        if self.sent.has_progress {
            // If it stays, it is the older one.
            let removed = Progress::remove(&self.spool);
            self.sent.has_progress = removed.is_err();
        }
        self.saved_ms = Some(self.spool.files().now().boot_ms);
        self.saved_losses = losses;
        self.is_unsaved = false;
        Ok(())
    }

    /// Removes a segment, unless another writer has continued it.
    fn remove(&self, name: Name, place: SegmentProgress) -> Result<(), Error> {
        let spool = &self.spool;
        let reader = Reader::open(spool, name, place)?;
        let Some(reader) = reader else {
            return Ok(());
        };
        let Some(_lock) = reader.lock(spool)? else {
            return Ok(());
        };
        if reader.length(spool)? <= place.position {
            spool.remove(name)?;
        }
        Ok(())
    }
}
