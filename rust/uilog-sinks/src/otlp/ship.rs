//! Sends the records of one signal, and decides what an answer means for each
//! record.
//!
//! A record that a collector will never accept must not block the others. The
//! collector does not identify it, so a refused request is divided until the
//! record is alone. But an endpoint that refuses everything may not be a
//! collector: a refused record is rejected only if the same endpoint accepts
//! others, and only a few requests in a row are made to find some.
//!
//! Each result is reported at once, in the order of the records: an accepted
//! record is not sent again by any process.
//!
//! If a batch has several requests, the next one is made while the collector
//! processes the previous one; otherwise each of the two would wait for the
//! other half of the time.
//!
//! Must not know the spool's files, or networks.

use std::collections::VecDeque;
use std::slice;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::otlp::http::RequestSender;
use crate::otlp::request;
use crate::otlp::request::Mapped;
use crate::otlp::request::SignalType;
use crate::otlp::verdict::Refusal;
use crate::otlp::verdict::Verdict;

/// Records of a request at most.
const MAX_RECORDS: usize = 512;
/// Bytes of their payloads.
const MAX_BYTES: usize = 256 * 1024;
/// Requests in a row that may be refused, before it is the endpoint that is
/// taken for wrong, and not the records.
const MAX_REFUSALS: u32 = 8;
/// Into how many parts a request is divided that is refused.
const PARTS: usize = 4;
/// Records of a request that is divided into single ones.
const FEW: usize = 7;

/// What has become of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The collector has all that it will ever take.
    Done,
    /// What has not been settled is to be sent again, later.
    Later {
        /// Not before that.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
}

/// What has become of records of a batch: of all before `end` that have not
/// been settled before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchResult {
    /// The index behind the last one.
    pub end: usize,
    /// The indices of those that the collector will never take.
    pub rejected: Vec<usize>,
    /// How many more it has not taken, without telling which.
    pub unknown: u64,
    /// Why.
    pub reason: String,
}

/// Who is told what becomes of a batch's records.
pub trait BatchObserver {
    /// This is settled, and is not sent again.
    fn settle(&mut self, settlement: BatchResult);

    /// The endpoint has accepted a request.
    fn note_accepted(&mut self);

    /// Whether the endpoint has accepted anything, ever.
    fn has_accepted(&self) -> bool;

    /// Whether so many records may be rejected that the endpoint refuses one
    /// by one, although it has accepted nothing of this batch.
    fn may_reject(&mut self, count: u64) -> bool;
}

/// Sends batches of one signal.
#[derive(Debug)]
pub struct Shipper<P> {
    collector: P,
    kind: SignalType,
    resource: Vec<(String, String)>,
}

/// Records that are sent together, and those among them that are none.
#[derive(Debug, Default)]
struct Request {
    /// With their indices in the batch.
    records: Vec<(usize, Mapped)>,
    unreadable: Vec<(usize, String)>,
    /// Of their payloads.
    bytes: usize,
    /// The index behind the last one.
    end: usize,
}

impl Request {
    fn body(&self, resource: &[(String, String)]) -> Vec<u8> {
        request::encode(self.records.iter().map(|it| &it.1), resource)
    }

    /// Smaller ones, in order.
    fn divide(self) -> VecDeque<Self> {
        let count = self.records.len();
        let size = if count <= FEW {
            1
        } else {
            count.div_ceil(PARTS)
        };
        let mut parts = VecDeque::new();
        let mut records = self.records.into_iter().peekable();
        let mut unreadable = self.unreadable.into_iter().peekable();
        while records.peek().is_some() {
            let records_of_it: Vec<_> = records.by_ref().take(size).collect();
            let end = records.peek().map_or(self.end, |it| it.0);
            let mut part = Self {
                records: records_of_it,
                end,
                ..Self::default()
            };
            while let Some(it) = unreadable.next_if(|it| it.0 < end) {
                part.unreadable.push(it);
            }
            parts.push_back(part);
        }
        parts
    }
}

/// Makes requests of the records of a batch, one by one.
struct Requests<'a> {
    records: std::iter::Enumerate<slice::Iter<'a, uilog_spool::Record>>,
    kind: SignalType,
    begun: Request,
}

impl<'a> Requests<'a> {
    fn new(records: &'a [uilog_spool::Record], kind: SignalType) -> Self {
        Self {
            records: records.iter().enumerate(),
            kind,
            begun: Request::default(),
        }
    }

    fn next(&mut self) -> Option<Request> {
        for (index, record) in self.records.by_ref() {
            let before = self.begun.records.last().map(|it| &it.1);
            let mapped = match read(&record.payload, self.kind, before) {
                Ok(mapped) => mapped,
                Err(why) => {
                    self.begun.unreadable.push((index, why));
                    self.begun.end = index + 1;
                    continue;
                }
            };
            let bytes = self.begun.bytes + record.payload.len();
            let is_full = self.begun.records.len() >= MAX_RECORDS
                || bytes > MAX_BYTES && !self.begun.records.is_empty();
            let full = is_full.then(|| std::mem::take(&mut self.begun));
            self.begun.bytes += record.payload.len();
            self.begun.records.push((index, mapped));
            self.begun.end = index + 1;
            if full.is_some() {
                return full;
            }
        }
        let rest = std::mem::take(&mut self.begun);
        (rest.end > 0).then_some(rest)
    }
}

/// What is known of a batch and cannot be told yet.
#[derive(Debug, Default)]
struct Known {
    /// The collector has accepted something of the batch.
    has_accepted: bool,
    /// Requests in a row that it has refused.
    refusals: u32,
    /// Why the first of them.
    refusal: Option<Refusal>,
    /// Records in a row that are to be rejected if it is no wrong endpoint.
    refused: Vec<(usize, String)>,
    /// What is among these and is no record.
    unreadable: Vec<(usize, String)>,
    /// The index behind the last one of them.
    end: usize,
}

impl Known {
    /// All before `end` has been accepted but for what is to be rejected, and
    /// of the last request so many as the collector says.
    fn settle(
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
        all.into_iter().for_each(|it| book.settle(it));
    }

    /// Notes an answer that settles a request; gives both back otherwise.
    fn note(
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
        self.settle(unknown, why, book);
        None
    }

    /// A request that is refused although it is a single record, or that has
    /// none in it.
    fn hold(
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
            self.settle(0, String::new(), book);
        }
    }

    fn not_accepted(&self, book: &impl BatchObserver) -> Outcome {
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
        let mut known = Known::default();
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
            known.settle(0, String::new(), book);
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
        known: &mut Known,
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
                // On one processor it would else be sent only when the next
                // one has been made, and nothing would be gained.
                thread::yield_now();
                asked = Some(next);
            }
        })
    }
}

fn read(
    payload: &[u8],
    kind: SignalType,
    before: Option<&Mapped>,
) -> Result<Mapped, String> {
    let mapped = Mapped::read(payload, before)?;
    if mapped.kind() == kind {
        Ok(mapped)
    } else {
        // `signal` and `mapping` have one opinion; a test sees to that.
        Err(format!("it is not one of the {}", kind.name()))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message;
    use serde_json::json;
    use uilog_spool::Record;
    use uilog_spool::RecordId;

    use super::*;

    const RECORDS: usize = 3 * MAX_RECORDS;

    /// Answers by the messages of the records that it is asked to take.
    struct Asked<F>(Vec<Vec<usize>>, F);

    impl<F: FnMut(&[usize]) -> Verdict + Send> RequestSender for &mut Asked<F> {
        fn post(&mut self, _: SignalType, body: Vec<u8>) -> Verdict {
            let request = ExportLogsServiceRequest::decode(&body[..]).unwrap();
            let scopes = request.resource_logs.into_iter();
            let scopes = scopes.flat_map(|it| it.scope_logs);
            let numbers: Vec<usize> = scopes
                .flat_map(|it| it.log_records)
                .map(|it| it.event_name[4..].parse().unwrap())
                .collect();
            let verdict = self.1(&numbers);
            self.0.push(numbers);
            verdict
        }

        fn settings(&self, _: SignalType) -> u64 {
            0
        }
    }

    /// What it has been told.
    #[derive(Default)]
    struct Told {
        end: usize,
        rejected: Vec<usize>,
        unknown: u64,
        reasons: Vec<String>,
        has_accepted: bool,
    }

    impl BatchObserver for Told {
        fn settle(&mut self, it: BatchResult) {
            assert!(it.end >= self.end, "{it:?}");
            let is_new = |index: &usize| (self.end..it.end).contains(index);
            assert!(it.rejected.iter().all(is_new), "{it:?}");
            self.end = it.end;
            self.unknown += it.unknown;
            if it.unknown > 0 || !it.rejected.is_empty() {
                self.reasons.push(it.reason);
            }
            self.rejected.extend(it.rejected);
        }

        fn note_accepted(&mut self) {
            self.has_accepted = true;
        }

        fn has_accepted(&self) -> bool {
            self.has_accepted
        }

        fn may_reject(&mut self, count: u64) -> bool {
            self.has_accepted && count <= 16
        }
    }

    fn payload(number: usize) -> Vec<u8> {
        let session = format!("{:032x}", number + 1);
        let record = json!({
            "schema": 1,
            "id": format!("{session}-1"),
            "event": format!("x{number}"),
            "time": "2026-01-02T03:04:05.000006+01:00",
            "session": session,
            "seq": 1,
            "message": "",
            "process": {"pid": 1, "executable": "/usr/bin/hg"},
            "host": {"name": "here"},
        });
        serde_json::to_vec(&record).unwrap()
    }

    fn records(count: usize) -> Vec<Record> {
        let record = |number: usize| Record {
            id: RecordId::new(&(number as u128).to_le_bytes()).unwrap(),
            time: std::time::UNIX_EPOCH,
            payload: payload(number),
        };
        (0..count).map(record).collect()
    }

    fn refused() -> Verdict {
        Verdict::Refused(Refusal {
            status: 400,
            text: "no".to_owned(),
        })
    }

    /// Ships so many records to whoever answers so, once they were asked; and
    /// returns what was asked.
    fn ship(
        records: &[Record],
        told: &mut Told,
        answer: impl FnMut(&[usize]) -> Verdict + Send,
    ) -> (Outcome, Vec<Vec<usize>>) {
        let mut asked = Asked(Vec::new(), answer);
        let mut shipper =
            Shipper::new(&mut asked, SignalType::Logs, Vec::new());
        let outcome = shipper.ship(records, told);
        (outcome, asked.0)
    }

    fn later(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Later { reason, .. } => reason,
            Outcome::Done => panic!("it is done"),
        }
    }

    #[test]
    fn a_batch_is_sent_in_parts_and_in_order() {
        let mut told = Told::default();
        let (outcome, asked) =
            ship(&records(RECORDS), &mut told, |_| Verdict::Accepted);
        assert_eq!(outcome, Outcome::Done);
        assert_eq!((told.end, told.rejected), (RECORDS, vec![]));
        assert!(asked.len() >= 3);
        assert_eq!(asked.concat(), (0..RECORDS).collect::<Vec<_>>());
    }

    /// It is told before the failure, so no process sends it again.
    #[test]
    fn what_was_taken_before_a_failure_is_settled() {
        let mut answers = 0;
        let mut told = Told::default();
        let (outcome, asked) = ship(&records(RECORDS), &mut told, |_| {
            answers += 1;
            match answers {
                2 => Verdict::Later {
                    after: Some(Duration::from_secs(7)),
                    reason: "busy".to_owned(),
                },
                _ => Verdict::Accepted,
            }
        });
        let expected = Outcome::Later {
            after: Some(Duration::from_secs(7)),
            reason: "busy".to_owned(),
        };
        assert_eq!(outcome, expected);
        // Nothing is sent after it.
        assert_eq!(asked.len(), 2);
        assert_eq!(told.end, asked[0].len());
    }

    #[test]
    fn what_is_refused_in_the_middle_is_found() {
        const BAD: usize = MAX_RECORDS + 7;
        let mut taken = Vec::new();
        let mut told = Told::default();
        let (outcome, asked) = ship(&records(RECORDS), &mut told, |numbers| {
            if numbers.contains(&BAD) {
                return refused();
            }
            taken.extend_from_slice(numbers);
            Verdict::Accepted
        });
        assert_eq!(outcome, Outcome::Done);
        assert_eq!((told.end, told.rejected), (RECORDS, vec![BAD]));
        assert_eq!(told.reasons, ["status 400: no"]);
        let others = (0..RECORDS).filter(|it| *it != BAD);
        assert_eq!(taken, others.collect::<Vec<_>>());
        assert!(asked.len() < 30, "{}", asked.len());
    }

    #[test]
    fn what_refuses_everything_rejects_nothing_and_is_asked_a_few_times() {
        for has_accepted in [false, true] {
            let mut told = Told {
                has_accepted,
                ..Told::default()
            };
            let (outcome, asked) =
                ship(&records(RECORDS), &mut told, |_| refused());
            let hint = match has_accepted {
                false => "is this an OTLP endpoint?",
                true => "others were, earlier",
            };
            let reason = format!("not accepted: 400 ({hint}): no");
            assert_eq!(later(&outcome), reason);
            assert_eq!((told.end, told.rejected), (0, vec![]));
            assert!(asked.len() <= 8, "{}", asked.len());
        }
    }

    #[test]
    fn a_few_are_rejected_by_what_has_accepted_others_before() {
        for count in 1..=7 {
            let mut told = Told::default();
            let (outcome, _) = ship(&records(count), &mut told, |_| refused());
            assert!(later(&outcome).starts_with("not accepted: 400"));
            assert_eq!((told.end, told.rejected), (0, vec![]));
            let mut told = Told {
                has_accepted: true,
                ..Told::default()
            };
            let (outcome, asked) =
                ship(&records(count), &mut told, |_| refused());
            assert_eq!(outcome, Outcome::Done);
            assert_eq!(told.end, count);
            assert_eq!(told.rejected, (0..count).collect::<Vec<_>>());
            assert!(asked.len() <= 8);
        }
    }

    /// The first is refused, and rejected when another one is accepted.
    #[test]
    fn a_refused_record_waits_for_evidence() {
        let mut told = Told::default();
        let (outcome, _) =
            ship(&records(3), &mut told, |numbers| match numbers {
                [0] => refused(),
                [1] => Verdict::Later {
                    after: None,
                    reason: "busy".to_owned(),
                },
                _ => refused(),
            });
        assert_eq!(later(&outcome), "busy");
        assert_eq!((told.end, told.rejected), (0, vec![]));
        let mut told = Told::default();
        let (outcome, _) =
            ship(&records(3), &mut told, |numbers| match numbers {
                [0] | [2] => refused(),
                [1] => Verdict::Accepted,
                _ => refused(),
            });
        assert_eq!(outcome, Outcome::Done);
        assert_eq!((told.end, told.rejected), (3, vec![0, 2]));
    }

    #[test]
    fn what_is_no_record_is_rejected_whoever_answers() {
        let mut all = records(9);
        for at in [0, 4, 8] {
            all[at].payload = b"{".to_vec();
        }
        let mut told = Told::default();
        let (outcome, asked) = ship(&all, &mut told, |_| Verdict::Accepted);
        assert_eq!((outcome, asked.len()), (Outcome::Done, 1));
        assert_eq!((told.end, told.rejected), (9, vec![0, 4, 8]));
        assert!(told.reasons[0].starts_with("it is not a record"));
        let mut told = Told::default();
        let (outcome, asked) = ship(&all[..1], &mut told, |_| refused());
        assert_eq!((outcome, asked.len()), (Outcome::Done, 0));
        assert_eq!((told.end, told.rejected), (1, vec![0]));
        // Among what is refused it waits, since order is kept.
        let mut told = Told::default();
        let (outcome, _) = ship(&all, &mut told, |_| refused());
        assert!(later(&outcome).starts_with("not accepted"));
        // Divided, it is found all the same.
        let mut told = Told::default();
        let (outcome, _) = ship(&all, &mut told, |numbers| {
            match numbers.contains(&5) || numbers.contains(&3) {
                true => refused(),
                false => Verdict::Accepted,
            }
        });
        assert_eq!(outcome, Outcome::Done);
        told.rejected.sort_unstable();
        assert_eq!((told.end, told.rejected), (9, vec![0, 3, 4, 5, 8]));
    }

    #[test]
    fn what_is_counted_only_is_added_up() {
        let mut told = Told::default();
        let (outcome, asked) =
            ship(&records(RECORDS), &mut told, |_| Verdict::Partly {
                rejected: 2,
                reason: "two".to_owned(),
            });
        assert_eq!(outcome, Outcome::Done);
        assert_eq!(told.unknown, 2 * asked.len() as u64);
        assert_eq!((told.end, told.rejected), (RECORDS, vec![]));
        assert_eq!(told.reasons[0], "two");
    }

    /// Another process has sent the batch whose answer told of rejections.
    #[test]
    fn what_is_counted_only_does_not_survive_into_another_batch() {
        let mut answers = 0;
        let mut asked = Asked(Vec::new(), |_: &[usize]| {
            answers += 1;
            match answers {
                1 => Verdict::Partly {
                    rejected: 2,
                    reason: "two".to_owned(),
                },
                2 => Verdict::Later {
                    after: None,
                    reason: "busy".to_owned(),
                },
                _ => Verdict::Accepted,
            }
        });
        let mut shipper =
            Shipper::new(&mut asked, SignalType::Logs, Vec::new());
        let all = records(2 * RECORDS);
        let mut told = Told::default();
        let outcome = shipper.ship(&all[..RECORDS], &mut told);
        assert_eq!(later(&outcome), "busy");
        // That is told at once, with the records that it is about.
        assert_eq!(told.unknown, 2);
        assert!(told.end > 0 && told.end < RECORDS, "{}", told.end);
        let mut told = Told::default();
        let outcome = shipper.ship(&all[RECORDS..], &mut told);
        assert_eq!(outcome, Outcome::Done);
        assert_eq!((told.end, told.unknown), (RECORDS, 0));
        assert_eq!(told.reasons, [""; 0]);
    }
}
