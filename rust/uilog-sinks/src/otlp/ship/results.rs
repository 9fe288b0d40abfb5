//! The known results of a batch's records, and who gets them.
//!
//! Must not know how records are sent.

use std::time::Duration;

use super::request::Request;
use crate::otlp::verdict::Refusal;
use crate::otlp::verdict::Verdict;

/// The result of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The collector has everything that it will ever accept.
    Done,
    /// The other records will be sent again later.
    Later {
        /// Not before that.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
}

/// The result of some records of a batch: of all before `end` without an
/// earlier result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchResult {
    /// The index after the last one.
    pub end: usize,
    /// The indices of those that the collector will never accept.
    pub rejected: Vec<usize>,
    /// How many more records were rejected, without being identified.
    pub unknown: u64,
    /// Why.
    pub reason: String,
}

/// Gets the results of a batch's records.
pub trait BatchObserver {
    /// These records are finished, and are not sent again.
    fn finish(&mut self, settlement: BatchResult);

    /// The endpoint has accepted a request.
    fn note_accepted(&mut self);

    /// Whether the endpoint has accepted anything, ever.
    fn has_accepted(&self) -> bool;

    /// Whether so many records may be rejected that the endpoint refuses one
    /// by one, although it has accepted nothing of this batch.
    fn may_reject(&mut self, count: u64) -> bool;
}

/// Results of a batch that cannot be reported yet.
#[derive(Debug, Default)]
pub(super) struct PendingResults {
    /// The collector has accepted something of the batch.
    has_accepted: bool,
    /// Requests in a row that it has refused.
    pub(super) refusals: u32,
    /// Why the first of them.
    pub(super) refusal: Option<Refusal>,
    /// Consecutive records to be rejected, if the endpoint is the right one.
    pub(super) refused: Vec<(usize, String)>,
    /// Those of them that are invalid records.
    unreadable: Vec<(usize, String)>,
    /// The index after the last one of them.
    end: usize,
}

impl PendingResults {
    /// All before `end` has been accepted, except for records to be rejected,
    /// and of the last request as many as the collector says.
    pub(super) fn report_finished(
        &mut self,
        unknown: u64,
        reason: String,
        book: &mut impl BatchObserver,
    ) {
        let mut rejected = std::mem::take(&mut self.refused);
        rejected.append(&mut self.unreadable);
        rejected.sort_by_key(|it| it.0);
        let of_one_reason = rejected.chunk_by(|a, b| a.1 == b.1);
        let mut all: Vec<_> = of_one_reason
            .filter_map(|chunk| {
                let (last, reason) = chunk.last()?;
                Some(BatchResult {
                    end: last + 1,
                    rejected: chunk.iter().map(|it| it.0).collect(),
                    unknown: 0,
                    reason: reason.clone(),
                })
            })
            .collect();
        match all.last_mut().filter(|it| it.end == self.end) {
            Some(last) => last.unknown = unknown,
            None => all.push(BatchResult {
                end: self.end,
                rejected: Vec::new(),
                unknown,
                reason,
            }),
        }
        all.into_iter().for_each(|it| book.finish(it));
    }

    /// Notes an answer that settles a request; returns both otherwise.
    pub(super) fn note(
        &mut self,
        mut request: Request,
        verdict: Verdict,
        book: &mut impl BatchObserver,
    ) -> Option<(Request, Verdict)> {
        let (mut unknown, mut why) = (0, String::new());
        match verdict {
            Verdict::Accepted => {}
            Verdict::Partly { rejected, reason } => {
                // Of one record, or of all, it is known which.
                let count = request.records.len();
                let parts = request.records.iter().map(|it| it.1.parts()).sum();
                if rejected >= parts || count == 1 {
                    let all = request.records.iter();
                    let all = all.map(|it| (it.0, reason.clone()));
                    self.refused.extend(all);
                } else {
                    unknown = rejected.min(count as u64);
                    why = reason;
                }
            }
            verdict => return Some((request, verdict)),
        }
        self.has_accepted = true;
        self.refusals = 0;
        self.refusal = None;
        self.unreadable.append(&mut request.unreadable);
        self.end = request.end;
        book.note_accepted();
        self.report_finished(unknown, why, book);
        None
    }

    /// A request that is refused although it is a single record, or that has
    /// none in it.
    pub(super) fn hold(
        &mut self,
        mut request: Request,
        reason: &str,
        book: &mut impl BatchObserver,
    ) {
        let all = request.records.iter();
        self.refused.extend(all.map(|it| (it.0, reason.to_owned())));
        self.unreadable.append(&mut request.unreadable);
        self.end = request.end;
        // Invalid records are refused by every collector.
        if self.refused.is_empty() || self.has_accepted {
            self.report_finished(0, String::new(), book);
        }
    }

    pub(super) fn not_accepted(&self, book: &impl BatchObserver) -> Outcome {
        let has_accepted = book.has_accepted();
        let refusal = self.refusal.as_ref();
        Outcome::Later {
            after: None,
            reason: refusal
                .map(|it| it.not_accepted(has_accepted))
                .unwrap_or_default(),
        }
    }
}
