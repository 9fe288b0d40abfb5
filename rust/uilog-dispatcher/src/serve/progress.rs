//! What has been done and what was lost: shows it in the queue's counters, and
//! tells the journal.

use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_channel::page;
use uilog_channel::queue::Progress;

use super::Error;
use super::Predecessor;
use super::Server;
use super::reading;
use super::system;

/// The time limit for appending to the journal at the end: a home directory may
/// not answer.
const APPEND_BOUND: Duration = Duration::from_secs(2);

impl Server {
    /// Begins: counts what the predecessor has not done.
    pub(super) fn take_over(&mut self) -> Result<(), Error> {
        let uncertain = self.predecessor.uncertain;
        let progress = self.progress();
        progress.readers += 1;
        progress.not_started += uncertain;
        progress.records_lost += progress.at_risk;
        progress.at_risk = 0;
        progress.unseen += progress.running();
        self.publish()
    }

    /// Reports the predecessor's losses, as soon as the journal is known. They
    /// were counted already.
    pub(super) fn report_predecessor(&mut self) {
        let Predecessor {
            uncertain,
            unreported,
            ..
        } = self.predecessor;
        if self.environment.is_empty() {
            return;
        }
        if uncertain > 0 {
            // It is unknown whether they ran.
            let detail = "the dispatcher died while starting its script";
            self.report(FailureKind::Lost, uncertain, detail);
        }
        if unreported > 0 {
            let failure = self.predecessor.failure.take();
            let last = failure.map_or(String::new(), |it| {
                format!("; its last failure: {it}")
            });
            let detail = format!(
                "they were lost, or being delivered, when the dispatcher was \
                 killed{last}"
            );
            self.report(FailureKind::Lost, unreported, &detail);
        }
        self.predecessor.uncertain = 0;
        self.predecessor.unreported = 0;
    }

    pub(super) fn progress(&mut self) -> &mut Progress {
        self.feed.queue.progress_mut()
    }

    /// Removes the page, unless jobs are left for a finder to count, or hg,
    /// which may append more, still has it.
    pub(super) fn remove_page(&self) {
        let queue = &self.feed.queue;
        let file = queue.page_file();
        let has_gone = match self.socket {
            // After SIGTERM the dispatcher has closed it, and hg may live on.
            None if !self.terminated.load(Ordering::Relaxed) => {
                page::await_maker(file)
            }
            _ => page::holders(file).map(|it| !it.maker),
        };
        let Ok(page) = queue.page() else { return };
        if has_gone.unwrap_or(true) && page.lost() == 0 {
            // One that stays says that nothing has been lost.
            let _ = page::remove(queue.page_file(), &page.path);
        }
    }

    /// Reports losses of processes that were killed to the journal.
    pub(super) fn claim_abandoned(&self) {
        let block = &self.environment;
        let journal = Journal::for_environment(block);
        if let Some(journal) = journal.filter(|_| !block.is_empty()) {
            journal.claim_abandoned(APPEND_BOUND);
        }
    }

    /// Stores the results of records, and releases memory that is no longer
    /// needed.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        let settled = self
            .records
            .collect_results(&mut self.feed)
            .map_err(reading)?;
        let position = self.position;
        let progress = self.feed.queue.progress_mut();
        progress.records += settled.done;
        let oldest = settled.oldest.unwrap_or(position);
        progress.records_at = progress.records_at.max(oldest);
        progress.at_risk = settled.at_risk;
        let mut reason = None;
        for loss in settled.losses {
            progress.records_lost += loss.count;
            reason = Some(loss.explain());
            self.losses.add(loss);
        }
        if let Some(reason) = reason {
            // The reason must be visible together with the count.
            let _ = self.feed.queue.publish_failure(&reason);
        }
        self.feed.queue.pass();
        self.publish()?;
        self.feed.queue.release();
        self.tell(false);
        Ok(())
    }

    /// Reports losses of sinks to the journal: the first at once, then at a
    /// limited rate. They have been counted already.
    pub(super) fn tell(&mut self, is_last: bool) {
        let is_alone = self.socket.is_none();
        let losses = self.losses.due(Instant::now(), is_alone, is_last);
        for loss in losses {
            self.report(loss.kind(), loss.count, &loss.explain());
        }
    }

    /// Publishes the progress, if it has changed.
    pub(super) fn publish(&mut self) -> Result<(), Error> {
        let progress = self.feed.queue.progress();
        if progress != self.published {
            let publish = self.feed.queue.publish();
            publish.map_err(system("write to the queue"))?;
            self.published = progress;
        }
        Ok(())
    }

    /// Counts the remaining jobs, which will not be run, as lost.
    pub(super) fn move_past_the_rest(&mut self) -> Result<(), Error> {
        let committed = self.feed.queue.committed().map_err(reading)?;
        let seen = self.seen;
        let progress = self.progress();
        let done = seen + progress.scripts;
        let left = committed.jobs.saturating_sub(done);
        let progress = self.progress();
        progress.scripts_at = committed.end;
        progress.records_at = committed.end;
        // Claimed by this one, so that no later one counts them again.
        progress.scripts += left;
        progress.taken += left;
        progress.not_started += left;
        self.publish()?;
        if left > 0 {
            let detail = "the dispatcher was ended by SIGTERM";
            self.report(FailureKind::Lost, left, detail);
        }
        Ok(())
    }

    /// Reports losses that do not belong to a single event, to hg and the
    /// journal. They were counted in the page already.
    pub(super) fn report(
        &mut self,
        kind: FailureKind,
        lost: u64,
        detail: &str,
    ) {
        let detail = detail.to_owned();
        let failure = Failure::now(String::new(), b"", kind, lost, detail);
        self.show(&failure);
        self.reporter.report(failure, &self.environment);
    }

    /// Shows hg the failure. If neither this nor the journal can be written, it
    /// is not reported.
    pub(super) fn show(&self, failure: &Failure) {
        let subject = if failure.event.is_empty() {
            String::new()
        } else {
            format!("{}: ", failure.event)
        };
        let text = format!("{subject}{}", failure.detail);
        let _ = self.feed.queue.publish_failure(&text);
    }

    /// At the end, writes all that is not in the journal yet.
    pub(super) fn finish_journal(&mut self, bound: Duration) {
        self.journal_failed(true);
        self.tell(true);
        self.reporter.finish(Instant::now() + bound);
    }
}
