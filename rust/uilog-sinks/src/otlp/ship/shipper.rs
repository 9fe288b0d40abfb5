//! Sends the records of a batch: to which collector, and when to stop.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;

use super::request::MAX_BYTES;
use super::request::MAX_RECORDS;
use super::request::Request;
use super::request::Requests;
use super::results::BatchObserver;
use super::results::Outcome;
use super::results::PendingResults;
use crate::otlp::http::RequestSender;
use crate::otlp::request::SignalType;
use crate::otlp::verdict::Verdict;

/// How many requests in a row may be refused before the cause is assumed to be
/// the endpoint and not the records.
const MAX_REFUSALS: u32 = 8;

/// Sends batches of one signal.
#[derive(Debug)]
pub struct Shipper<P> {
    collector: P,
    kind: SignalType,
    resource: Vec<(String, String)>,
}

impl<P: RequestSender> Shipper<P> {
    /// Sends records of this kind to `collector`, with the configured resource.
    pub fn new(
        collector: P,
        kind: SignalType,
        resource: Vec<(String, String)>,
    ) -> Self {
        Self {
            collector,
            kind,
            resource,
        }
    }

    /// Which signal it sends.
    pub fn kind(&self) -> SignalType {
        self.kind
    }

    /// With which settings; see [`RequestSender::settings`].
    pub fn settings(&self) -> u64 {
        self.collector.settings(self.kind)
    }

    /// Nothing is sent for a while.
    pub fn rest(&mut self) {
        self.collector.rest();
    }

    /// Sends the records of a batch, which are of its kind, and reports the
    /// results.
    pub fn ship(
        &mut self,
        records: &[uilog_spool::Record],
        book: &mut impl BatchObserver,
    ) -> Outcome {
        let mut known = PendingResults::default();
        let mut requests = Requests::new(records, self.kind);
        let mut left = VecDeque::new();
        let bytes: usize = records.iter().map(|it| it.payload.len()).sum();
        let mut failed = None;
        if bytes > MAX_BYTES || records.len() > MAX_RECORDS {
            failed =
                self.send_ahead(&mut requests, &mut left, &mut known, book);
        }
        loop {
            if let Some((request, verdict)) = failed.take() {
                let (after, reason) = match verdict {
                    Verdict::Refused(refusal) => {
                        known.refusals += 1;
                        let reason = refusal.reason();
                        known.refusal.get_or_insert(refusal);
                        if request.records.len() == 1 {
                            known.hold(request, &reason, book);
                        } else {
                            let mut parts = request.divide();
                            parts.append(&mut left);
                            left = parts;
                        }
                        continue;
                    }
                    Verdict::Later { after, reason } => (after, reason),
                    // These have been noted.
                    Verdict::Accepted | Verdict::Partly { .. } => continue,
                };
                return Outcome::Later { after, reason };
            }
            let next = left.pop_front().or_else(|| requests.next());
            let Some(request) = next else {
                break;
            };
            if request.records.is_empty() {
                known.hold(request, "", book);
                continue;
            }
            if known.refusals >= MAX_REFUSALS {
                return known.not_accepted(book);
            }
            let body = request.body(&self.resource);
            let verdict = self.collector.post(self.kind, body);
            failed = known.note(request, verdict, book);
        }
        if !known.refused.is_empty() {
            if !book.may_reject(known.refused.len() as u64) {
                return known.not_accepted(book);
            }
            known.report_finished(0, String::new(), book);
        }
        Outcome::Done
    }

    /// Sends requests, and makes each while the previous one is processed,
    /// until an answer does not complete its request: that request is returned.
    /// Requests that were made and not sent are dropped.
    fn send_ahead(
        &mut self,
        requests: &mut Requests<'_>,
        left: &mut VecDeque<Request>,
        known: &mut PendingResults,
        book: &mut impl BatchObserver,
    ) -> Option<(Request, Verdict)> {
        let Self {
            collector,
            kind,
            resource,
        } = self;
        thread::scope(|scope| {
            let (bodies, to_send) = mpsc::sync_channel(0);
            let (answer, answers) = mpsc::sync_channel(0);
            let kind = *kind;
            let posting = move || {
                for body in to_send {
                    if answer.send(collector.post(kind, body)).is_err() {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name("uilog-post".to_owned());
            // Without a thread each is sent after the other.
            thread.spawn_scoped(scope, posting).ok()?;
            let mut asked: Option<Request> = None;
            loop {
                let next = requests.next();
                let body = next.as_ref().map(|it| it.body(resource));
                if let Some(request) = asked.take() {
                    let verdict = answers.recv().ok()?;
                    let failed = known.note(request, verdict, book);
                    if failed.is_some() {
                        left.extend(next);
                        return failed;
                    }
                }
                let next = next?;
                if next.records.is_empty() {
                    left.push_back(next);
                    return None;
                }
                bodies.send(body?).ok()?;
                // With a single processor it would otherwise only be sent when
                // the next request has been composed, and nothing would be
                // gained.
                thread::yield_now();
                asked = Some(next);
            }
        })
    }
}
