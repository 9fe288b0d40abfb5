//! What becomes of jobs: whether they are done, and what to do at an ordinary end
//! of hg if they are not.
//!
//! Must not know how a dispatcher is started.

use std::time::Duration;
use std::time::Instant;

use uilog_channel::loss::Loss;
use uilog_channel::queue::Delivery;

use super::Dispatcher;
use super::starting::MAX_BARREN;

/// When hg ends, a dispatcher that replaces one that did nothing has so long to
/// claim its first job.
const BARREN_GRACE: Duration = Duration::from_millis(20);
/// How often to check for a verdict.
const VERDICT_STEP: Duration = Duration::from_millis(1);
/// How often to check whether the dispatcher still runs.
const LOOK_STEP: Duration = Duration::from_millis(50);
impl Dispatcher {
    /// Waits at most `bound` until the result of every job is known; returns
    /// whether it is. hg never calls this.
    ///
    /// # Errors
    ///
    /// What was lost because no dispatcher could be kept running.
    pub fn await_verdict(&mut self, bound: Duration) -> Result<bool, Loss> {
        let deadline = Instant::now() + bound;
        let mut look_at = Instant::now() + LOOK_STEP;
        while let Some(status) = self.own_status() {
            if status.progress.done() >= status.jobs {
                break;
            }
            let now = Instant::now();
            if now > deadline {
                return Ok(false);
            }
            if now > look_at {
                look_at = now + LOOK_STEP;
                if self.link.as_ref().is_some_and(|link| !link.ring()) {
                    self.replace()?;
                }
            }
            std::thread::sleep(VERDICT_STEP);
        }
        match &mut self.for_records {
            Some(others) => others.await_verdict(
                deadline.saturating_duration_since(Instant::now()),
            ),
            None => Ok(true),
        }
    }

    /// Whether there may be jobs that are not done; `answers` as for
    /// [`crate::record_queue::RecordQueue::may_be_undelivered`], `is_for_all`
    /// whether scripts count that have not ended.
    pub(crate) fn may_be_undelivered(
        &self,
        answers: bool,
        is_for_all: bool,
    ) -> bool {
        let Some(link) = self.link.as_ref().filter(|it| it.is_intact()) else {
            return false;
        };
        let jobs = link.queue.committed().jobs;
        let progress = link.progress();
        let has_records = jobs > progress.scripts;
        let waits = progress.done() < jobs;
        has_records && answers
            || waits && (is_for_all || answers)
            || is_for_all && progress.running() > 0
    }

    /// Asks the dispatcher to deliver everything without delay, and to answer
    /// afterwards. A dead one is replaced.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub(crate) fn ask_for_delivery(&mut self) -> Result<(), Loss> {
        let Some(link) = self.link.as_ref().filter(|it| it.is_intact()) else {
            return Ok(());
        };
        // If it cannot be written, no answer comes.
        let _ = link.queue.ask_for_delivery();
        if link.ring() { Ok(()) } else { self.replace() }
    }

    /// How far the delivery is; with `is_for_all`, until every script has
    /// ended.
    pub(crate) fn delivery(&self, is_for_all: bool) -> Delivery {
        let Some(link) = self.link.as_ref().filter(|it| it.is_intact()) else {
            return Delivery::Done;
        };
        let progress = link.progress();
        let jobs = link.queue.committed().jobs;
        if is_for_all && (progress.done() < jobs || progress.running() > 0) {
            return Delivery::Pending;
        }
        link.queue.delivery()
    }

    /// The last check of the dispatcher, at an ordinary end of hg: if it has
    /// died with jobs waiting, no other process will notice.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub fn finish(&mut self) -> Result<(), Loss> {
        let own = self.finish_own();
        let others = match &mut self.for_records {
            Some(others) => others.finish(),
            None => Ok(()),
        };
        match (own, others) {
            (Err(own), Err(others)) => Err(Loss {
                events: own.events + others.events,
                reason: own.reason,
            }),
            (own, others) => own.and(others),
        }
    }

    fn finish_own(&mut self) -> Result<(), Loss> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        if !link.is_intact() {
            return Ok(());
        }
        // After a dispatcher that did nothing, the next one gets a moment to
        // begin; one that works costs no wait.
        let deadline = Instant::now() + BARREN_GRACE;
        while link.is_served() {
            let is_doubtful = self.barren > 0 && link.is_barren();
            if !is_doubtful || Instant::now() > deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // There will be no other chance to see that one more does nothing.
        if link.is_barren() {
            self.barren = MAX_BARREN;
        }
        self.replace()
    }
}
