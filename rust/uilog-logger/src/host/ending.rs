//! The end of a process: how long it waits for what it has logged, and the last
//! look at what nobody else would notice.

use std::time::Duration;
use std::time::Instant;

use uilog_channel::journal;
use uilog_channel::queue::Delivery;

use super::Host;
use super::Verdict;
use crate::before_exit::ExitWait;
use crate::record_queue::NotQueued;

/// How long hg waits at its end for children that append to the journal. They
/// need a hundredth of it, unless the home directory does not answer; then they
/// continue alone.
const APPEND_GRACE: Duration = Duration::from_millis(200);

/// The same where hg is the first process of its namespace: with it all end.
const FIRST_PROCESS_GRACE: Duration = Duration::from_secs(1);

impl Host {
    /// Waits until the results of all logged events are known, but at most
    /// `bound`. Never called by hg.
    pub fn await_verdict(&mut self, bound: Duration) -> Verdict {
        let deadline = Instant::now() + bound;
        match self.dispatcher.await_verdict(bound) {
            Err(loss) => self.lose(b"", loss.events, loss),
            Ok(false) => return Verdict::Open,
            Ok(true) => {}
        }
        if !self.records.await_verdict(deadline) {
            return Verdict::Open;
        }
        let status = self.dispatcher.status();
        let lost = status
            .as_ref()
            .map_or(0, |it| it.progress.not_started + it.progress.records_lost);
        let records = self.records.status();
        let lost_records =
            records.as_ref().map_or(0, |it| it.progress.records_lost);
        if lost + lost_records == 0 {
            return Verdict::Taken;
        }
        let reason = status.and_then(|it| it.last_failure);
        let reason = reason.or(records.and_then(|it| it.last_failure));
        Verdict::Lost(reason.unwrap_or_else(|| "no reason given".to_owned()))
    }

    /// When hg ends: how long to wait for delivery; none if it does not wait,
    /// or if there is nothing to wait for. Then [`Self::look_after_delivery`]
    /// must be called until that is done.
    pub fn begin_exit_wait(&self) -> Option<ExitWait> {
        if self.owner != std::process::id() {
            return None;
        }
        let has_collector = self.has_collector;
        let wait = ExitWait::begin(self.wanted_wait, self.standing)?;
        let (dispatcher, records) = (&self.dispatcher, &self.records);
        let is_needed = dispatcher
            .may_be_undelivered(has_collector, wait.is_for_all)
            || records.may_be_undelivered(has_collector);
        is_needed.then_some(wait)
    }

    /// Waits until this wait is over; for callers that do not run Python.
    pub fn deliver(&mut self, mut wait: ExitWait) {
        while let Some(step) = self.look_after_delivery(&mut wait) {
            std::thread::sleep(step);
        }
    }

    /// How long to sleep before calling this again; none if the wait is over.
    pub fn look_after_delivery(
        &mut self,
        wait: &mut ExitWait,
    ) -> Option<Duration> {
        if wait.is_to_ask() {
            if let Err(loss) = self.dispatcher.ask_for_delivery() {
                self.lose(b"", loss.events, loss);
            }
            let program = self.dispatcher.program();
            if let Err(reason) = self.records.ask_for_delivery(program) {
                self.records_troubled(reason);
                return None;
            }
        }
        let delivery = self.dispatcher.delivery(wait.is_for_all);
        match delivery.and(self.records.delivery()) {
            Delivery::Pending => {
                Some(wait.next_step()).filter(|it| !it.is_zero())
            }
            Delivery::Done | Delivery::Deferred => None,
        }
    }

    /// At an ordinary end of hg: handles losses that no other process would
    /// notice. Nothing depends on it: children that leave through `os._exit`
    /// skip it.
    pub fn finish(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        self.records.end_commands();
        self.dispatcher.end_commands();
        if let Err(loss) = self.dispatcher.finish() {
            self.lose(b"", loss.events, loss);
        }
        match self.records.finish(self.dispatcher.program()) {
            Err(NotQueued::Lost(loss)) => self.lose(b"", loss.events, loss),
            Err(NotQueued::Waits(reason)) => self.records_troubled(reason),
            Ok(()) | Err(NotQueued::Unusable(_)) => {}
        }
        // If the place ends with its first process, so do those that append.
        let is_first = self.owner == 1;
        let bound = if is_first {
            FIRST_PROCESS_GRACE
        } else {
            APPEND_GRACE
        };
        if journal::is_busy() {
            journal::wait_for_appending(bound);
        }
        if self.counters.lost > self.journaled {
            let reason = std::mem::take(&mut self.unreported_reason);
            self.journal_losses(b"", reason);
        }
        journal::wait_for_appending(bound);
        self.note_append_trouble();
        self.show_untold();
    }
}
