//! What was lost or went wrong: counts it, remembers it, tells the journal.

use std::io;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::journal;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::loss::Loss;

use super::Host;
use crate::account::Counters;
use crate::account::FaultKind;

/// Maximum number of recent problems.
const MAX_RECENT: usize = 16;

/// Maximum number of different causes of losses.
const MAX_CAUSES: usize = 16;

/// What all others are called.
const OTHER_CAUSES: &str = "other causes";

/// The journal gets at most one line in this time, unless the number of lost
/// events doubles.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

impl Host {
    /// Counts the result of an event at a sink that tracks it.
    pub fn account(&mut self, event: &[u8], delivered: Result<(), Loss>) {
        self.counters.events += 1;
        match delivered {
            Ok(()) => self.counters.delivered += 1,
            // All but this one had been delivered, as it seemed.
            Err(loss) => {
                let others = loss.events.saturating_sub(1);
                self.lose(event, others, loss);
            }
        }
        if let Some(problem) = self.dispatcher.take_no_page() {
            self.page_missing(&problem);
        }
        self.show_untold();
    }

    /// Stores unreported losses for others, in case this process is killed.
    pub(super) fn show_untold(&mut self) {
        let unreported = self.counters.lost.saturating_sub(self.journaled);
        self.dispatcher.set_unreported(unreported);
    }

    /// Counts and reports lost events, some of which have been counted as
    /// delivered before.
    pub(crate) fn lose(&mut self, event: &[u8], delivered: u64, loss: Loss) {
        self.counters.lost += loss.events;
        let still = self.counters.delivered.saturating_sub(delivered);
        self.counters.delivered = still;
        self.count_cause(&loss);
        let name = String::from_utf8_lossy(event);
        self.remember(format!(
            "lost {} event(s) at {name}: {}",
            loss.events, loss.reason
        ));
        if let Some(page) = self.dispatcher.take_given_up() {
            self.journal_given_up(event, page, loss);
            return;
        }
        // A process that loses everything need not write a line for each:
        // one whenever the number has doubled or a second has passed.
        let unreported = self.counters.lost - self.journaled;
        let is_recent = self
            .journaled_at
            .is_some_and(|at| at.elapsed() < JOURNAL_PAUSE);
        let is_soon = is_recent && unreported < self.journaled.max(1);
        if is_soon || journal::is_busy() {
            self.unreported_reason = loss.reason;
        } else {
            self.journal_losses(event, loss.reason);
        }
    }

    pub(super) fn count_cause(&mut self, loss: &Loss) {
        let is_full = self.causes.len() >= MAX_CAUSES;
        let reason = match self.causes.iter().any(|it| it.0 == loss.reason) {
            false if is_full => OTHER_CAUSES,
            _ => &loss.reason,
        };
        match self.causes.iter_mut().find(|it| it.0 == reason) {
            Some((_, count)) => *count = count.saturating_add(loss.events),
            None => self.causes.push((reason.to_owned(), loss.events)),
        }
    }

    /// Why deliveries were lost in this process, and how many for each reason.
    pub fn causes(&self) -> &[(String, u64)] {
        &self.causes
    }

    /// Reports the losses of a dispatcher that was given up to the journal. A
    /// program that finds its page reports the same, and readers count only one
    /// of the two lines, so this one may fail.
    pub(super) fn journal_given_up(
        &mut self,
        event: &[u8],
        page: String,
        loss: Loss,
    ) {
        self.journaled += loss.events;
        if journal::is_busy() {
            return;
        }
        let session = self.session.to_string();
        let kind = FailureKind::Lost;
        let failure = Failure {
            page: Some(page),
            ..Failure::now(session, event, kind, loss.events, loss.reason)
        };
        self.append_fault(&failure);
    }

    /// Reports new losses to the journal.
    pub(super) fn journal_losses(&mut self, event: &[u8], reason: String) {
        let unreported = self.counters.lost - self.journaled;
        self.journaled_at = Some(Instant::now());
        let failure = Failure::now(
            self.session.to_string(),
            event,
            FailureKind::Lost,
            unreported,
            reason.clone(),
        );
        match self.append(&failure) {
            Ok(()) => self.journaled = self.counters.lost,
            // It may work later: there may have been no free descriptor.
            Err(_) => self.unreported_reason = reason,
        }
    }

    /// Appends to the journal by a child process, because a home directory that
    /// does not answer must not block hg.
    pub(super) fn append(&mut self, failure: &Failure) -> io::Result<()> {
        self.note_append_trouble();
        match self.journal() {
            Some(journal) => journal.append_apart(failure),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Appends to the journal what costs no event, and remembers if it cannot.
    pub(super) fn append_fault(&mut self, failure: &Failure) {
        if let Err(error) = self.append(failure) {
            self.remember(format!("the journal cannot be written: {error}"));
        }
    }

    /// Notes failures of earlier children that were to append.
    pub(super) fn note_append_trouble(&mut self) {
        if let Some(error) = journal::append_trouble() {
            self.remember(format!("the journal cannot be written: {error}"));
        }
    }

    /// Reports to the journal, once, that losses cannot be counted if this
    /// process and its dispatcher are killed together.
    pub(super) fn page_missing(&mut self, problem: &str) {
        let detail = format!(
            "if hg and its dispatcher are killed together, losses cannot be \
             counted: no counter page can be created: {problem}"
        );
        let session = self.session.to_string();
        let kind = FailureKind::NotStarted;
        let failure = Failure::now(session, b"", kind, 0, detail.clone());
        self.fault(FaultKind::Internal, detail);
        self.append_fault(&failure);
    }

    /// Counts a peer that did not close in time, and reports it to the journal,
    /// because a needless wait cannot be seen afterwards.
    pub fn peer_overdue(&mut self, detail: String) {
        let failure = Failure::now(
            self.session.to_string(),
            b"peerclose",
            FailureKind::Peer,
            0,
            detail.clone(),
        );
        self.fault(FaultKind::Peer, detail);
        self.append_fault(&failure);
    }

    /// Counts a configuration that could not be read, and reports it to the
    /// journal: it is unknown what should have been logged.
    pub fn config_unreadable(&mut self, event: &[u8], detail: String) {
        let session = self.session.to_string();
        let kind = FailureKind::Config;
        let failure = Failure::now(session, event, kind, 0, detail.clone());
        self.fault(FaultKind::Internal, detail);
        self.append_fault(&failure);
    }

    /// Checks for new failures of scripts and records, as far as known; for
    /// debug output.
    pub fn look_for_failures(&mut self) {
        let (mut scripts, mut lost) = (0, 0);
        let mut last_failure = None;
        if let Some(status) = self.dispatcher.status() {
            let progress = status.progress;
            scripts =
                progress.failed + progress.not_started + progress.timed_out;
            lost = progress.records_lost;
            last_failure = status.last_failure;
        }
        if let Some(status) = self.records.status() {
            lost += status.progress.records_lost;
            last_failure = last_failure.or(status.last_failure);
        }
        let failures = scripts + lost;
        if failures <= self.seen_failures {
            return;
        }
        self.seen_failures = failures;
        let mut text =
            format!("so far: scripts failed: {scripts}, records lost: {lost}");
        if let Some(last) = last_failure {
            text = format!("{text}; the last failure: {last}");
        }
        self.remember(text);
    }

    /// Counts a problem that costs no event.
    pub fn fault(&mut self, kind: FaultKind, detail: String) {
        self.counters.faults[kind as usize] += 1;
        self.remember(detail);
    }

    pub(super) fn remember(&mut self, problem: String) {
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(problem);
        self.unseen = (self.unseen + 1).min(MAX_RECENT);
    }

    /// The problems since the last call, for debug output.
    pub fn take_unseen(&mut self) -> Vec<String> {
        let from = self.recent.len() - self.unseen.min(self.recent.len());
        self.unseen = 0;
        self.recent.range(from..).cloned().collect()
    }

    /// Runs `body`, which reports its own problems: debug output does not
    /// repeat them.
    pub fn with_own_report<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let is_seen = self.unseen == 0;
        let result = body(self);
        if is_seen {
            self.unseen = 0;
        }
        result
    }

    /// Whether there are new problems.
    pub fn has_unseen(&self) -> bool {
        self.unseen > 0
    }

    /// The last few problems.
    pub fn recent(&self) -> impl Iterator<Item = &str> {
        self.recent.iter().map(String::as_str)
    }

    /// What happened to this process's events.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
