//! Stores the results of a batch in the spool.
//!
//! Must not know how a batch is sent.

use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use uilog_spool::Batch;
use uilog_spool::Error;
use uilog_spool::Sender;
use uilog_spool::Spool;

use crate::otlp::accepted::Accepted;
use crate::otlp::backoff::Backoff;
use crate::otlp::losses;
use crate::otlp::losses::DueReport;
use crate::otlp::request::SignalType;
use crate::otlp::ship::BatchObserver;
use crate::otlp::ship::BatchResult;
use crate::otlp::unsaved_progress;

/// The progress so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that the collector has accepted.
    pub sent: u64,
    /// Records that it has rejected.
    pub rejected: u64,
}

/// Shared by the threads that send the signals: the spool's sender, and the
/// progress.
pub(super) struct SharedSender<'a> {
    pub(super) spool: &'a Spool,
    pub(super) sender: Sender,
    pub(super) is_forced: bool,
    pub(super) progress: Progress,
    pub(super) rejection: Option<String>,
    /// Why progress cannot be saved. This sender sends no record twice, and
    /// what it removes makes room; but the next sender would.
    pub(super) unsaved: Option<Error>,
    /// Appended once the collector has accepted something.
    pub(super) report: Option<DueReport>,
    pub(super) tell: &'a mut (dyn FnMut(Progress) + Send),
}

/// Where it is written down what becomes of a batch.
pub(super) struct Page<'a, 'b> {
    pub(super) desk: &'a Mutex<SharedSender<'b>>,
    pub(super) batch: &'a Batch,
    /// How many of its records have a result.
    pub(super) settled: usize,
    pub(super) dir: &'a Path,
    pub(super) kind: SignalType,
    pub(super) settings: u64,
    pub(super) accepted: Accepted,
    pub(super) backoff: &'a mut Backoff,
}

impl BatchObserver for Page<'_, '_> {
    fn finish(&mut self, it: BatchResult) {
        let all = it.end.saturating_sub(self.settled) as u64;
        self.settled = it.end;
        let rejected = it.rejected.len() as u64 + it.unknown;
        let mut guard = lock(self.desk);
        let desk = &mut *guard;
        if rejected > 0 {
            let reason = || it.reason.clone();
            desk.rejection.get_or_insert_with(reason);
        }
        let reason = it.reason.as_bytes();
        let BatchResult { end, unknown, .. } = it;
        let settled = desk.sender.finish_up_to(
            self.batch,
            end,
            &it.rejected,
            reason,
            unknown,
        );
        desk.unsaved = settled.err();
        if desk.unsaved.is_none() && desk.is_forced {
            for kind in SignalType::ALL {
                unsaved_progress::clear(self.dir, kind);
            }
        }
        let records = self.batch.records();
        let reports = it.rejected.iter().filter_map(|at| records.get(*at));
        let reports = reports.filter(|it| losses::is_report(&it.payload));
        losses::forget_rejected(desk.spool, reports.count() as u64);
        if all > rejected
            && let Some(report) = desk.report.take()
        {
            report.append(desk.spool);
        }
        desk.progress.rejected += rejected;
        let sent = desk.progress.sent + all;
        desk.progress.sent = sent.saturating_sub(rejected);
        (desk.tell)(desk.progress);
    }

    fn note_accepted(&mut self) {
        self.accepted.note(self.dir, self.kind, self.settings);
        if *self.backoff != Backoff::default() {
            self.backoff.clear(self.dir, self.kind);
        }
    }

    fn has_accepted(&self) -> bool {
        self.accepted.has_accepted(self.settings)
    }

    fn may_reject(&mut self, count: u64) -> bool {
        let may =
            self.accepted
                .may_reject(self.dir, self.kind, self.settings, count);
        // The collector has answered.
        if may && *self.backoff != Backoff::default() {
            self.backoff.clear(self.dir, self.kind);
        }
        may
    }
}

pub(super) fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
