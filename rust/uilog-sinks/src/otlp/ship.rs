//! What becomes of a batch: who is asked, and what the answers mean for each
//! record.
//!
//! A record that a collector will never take must not keep the others from
//! it. Which one that is, it does not say, so the batch is divided until the
//! record stands alone.
//!
//! Of a batch that is more than one request the next one is made while the
//! collector looks at the one before: a collector that is as fast as we are
//! would else leave each of us waiting for half the time.
//!
//! Knows neither the spool's files nor any network.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::slice;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use uilog_spool::Batch;
use uilog_spool::RecordId;

use crate::otlp::http::Post;
use crate::otlp::request;
use crate::otlp::request::Kind;
use crate::otlp::request::Mapped;
use crate::otlp::verdict::Verdict;
use crate::record::Record;

/// Records of a request at most.
const MAX_RECORDS: usize = 512;
/// Bytes of their payloads.
const MAX_BYTES: usize = 256 * 1024;
/// Requests in a row that a collector may fail over, and take none, before it
/// is taken for the collector's own failure.
const MAX_PROBES: u32 = 64;

/// What has become of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The collector has all that it will ever take.
    Done {
        /// The indices of those that it will never take.
        rejected: Vec<usize>,
        /// How many more it has not taken, without telling which.
        unknown: u64,
        /// Why, of the first.
        reason: Option<String>,
    },
    /// It is to be sent again, later; what the collector has of it is
    /// remembered.
    Later {
        /// Not before that.
        after: Option<Duration>,
        /// Why.
        reason: String,
        /// The collector has failed, and might over what it was sent.
        is_broken: bool,
    },
}

/// Sends batches.
#[derive(Debug)]
pub struct Shipper<P> {
    collector: P,
    resource: Vec<(String, String)>,
    fates: Fates,
    /// Requests that the collector failed over since the batch began.
    probes: u32,
    /// What it failed over although it was alone, and why.
    suspects: Vec<(RecordId, String)>,
}

/// What has become of records of a batch, which may come again.
#[derive(Debug, Default)]
struct Fates {
    /// Why they are rejected, or nothing if they are not.
    settled: HashMap<RecordId, Option<String>>,
    /// Of requests that are accepted but for some records, without it being
    /// told which.
    unknown: Vec<Unknown>,
}

/// Records of a request that are rejected, without it being told which.
#[derive(Debug)]
struct Unknown {
    /// One of the request's records: what is known of a batch ends with it.
    of: RecordId,
    count: u64,
    reason: String,
}

impl Fates {
    fn settle(&mut self, request: &Request, rejection: Option<String>) {
        for (id, _) in &request.records {
            self.settled.insert(*id, rejection.clone());
        }
    }

    /// Notes an answer that settles a request; returns any other.
    fn note(&mut self, request: &Request, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            Verdict::Accepted => self.settle(request, None),
            Verdict::Partly { rejected, reason } => {
                // Of one record, or of all, it is known which.
                let count = request.records.len();
                let parts = request.records.iter().map(|it| it.1.parts()).sum();
                if rejected >= parts || count == 1 {
                    self.settle(request, Some(reason));
                } else {
                    self.settle(request, None);
                    let first = request.records.first();
                    self.unknown.extend(first.map(|(id, _)| Unknown {
                        of: *id,
                        count: rejected.min(count as u64),
                        reason,
                    }));
                }
            }
            verdict => return Some(verdict),
        }
        None
    }

    /// Forgets what is not of these records: another process has sent it
    /// meanwhile, or it has been evicted.
    fn retain(&mut self, ids: &HashSet<RecordId>) {
        self.settled.retain(|id, _| ids.contains(id));
        self.unknown.retain(|it| ids.contains(&it.of));
    }

    fn has_taken_any(&self) -> bool {
        self.settled.values().any(Option::is_none)
    }
}

/// Records that are sent together.
#[derive(Debug)]
struct Request {
    kind: Kind,
    records: Vec<(RecordId, Mapped)>,
    /// Of their payloads.
    bytes: usize,
}

impl Request {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            records: Vec::new(),
            bytes: 0,
        }
    }

    fn body(&self, resource: &[(String, String)]) -> Vec<u8> {
        request::encode(self.records.iter().map(|it| &it.1), resource)
    }
}

/// Makes requests of what is not settled of a batch, one by one.
struct Requests<'a> {
    records: slice::Iter<'a, uilog_spool::Record>,
    begun: VecDeque<Request>,
}

impl<'a> Requests<'a> {
    fn new(batch: &'a Batch) -> Self {
        Self {
            records: batch.records().iter(),
            begun: VecDeque::from([Kind::Traces, Kind::Logs].map(Request::new)),
        }
    }

    fn next(&mut self, fates: &mut Fates) -> Option<Request> {
        for record in self.records.by_ref() {
            if fates.settled.contains_key(&record.id) {
                continue;
            }
            let mapped = match read(&record.payload) {
                Ok(mapped) => mapped,
                Err(why) => {
                    fates.settled.insert(record.id, Some(why));
                    continue;
                }
            };
            let kind = mapped.kind();
            let begun = self.begun.iter_mut().find(|it| it.kind == kind);
            let Some(request) = begun else {
                continue;
            };
            let bytes = request.bytes + record.payload.len();
            let is_full = request.records.len() >= MAX_RECORDS
                || bytes > MAX_BYTES && !request.records.is_empty();
            let full =
                is_full.then(|| std::mem::replace(request, Request::new(kind)));
            request.bytes += record.payload.len();
            request.records.push((record.id, mapped));
            if full.is_some() {
                return full;
            }
        }
        let mut rest = std::mem::take(&mut self.begun).into_iter();
        let next = rest.find(|it| !it.records.is_empty());
        self.begun = rest.collect();
        next
    }
}

impl<P: Post> Shipper<P> {
    /// Sends to `collector`, with what is configured of the resource.
    pub fn new(collector: P, resource: Vec<(String, String)>) -> Self {
        Self {
            collector,
            resource,
            fates: Fates::default(),
            probes: 0,
            suspects: Vec::new(),
        }
    }

    /// Sends a batch. If `is_to_divide`, it is found out what the collector
    /// fails over: a record that it fails over alone is rejected, if it has
    /// taken another one of the batch. Else it may be failing over anything.
    pub fn ship(&mut self, batch: &Batch, is_to_divide: bool) -> Outcome {
        self.probes = 0;
        self.suspects.clear();
        let ids: HashSet<RecordId> =
            batch.records().iter().map(|it| it.id).collect();
        self.fates.retain(&ids);
        let mut requests = Requests::new(batch);
        let mut left = VecDeque::new();
        if batch.bytes() > MAX_BYTES || batch.records().len() > MAX_RECORDS {
            let failed = self.send_ahead(&mut requests, &mut left);
            if let Some((request, verdict)) = failed {
                let judged = self.judge(request, verdict, is_to_divide);
                if let Err(later) = judged {
                    return later;
                }
            }
        }
        while let Some(request) =
            left.pop_front().or_else(|| requests.next(&mut self.fates))
        {
            let sent = self.send(request, is_to_divide);
            if let Err(later) = sent {
                return later;
            }
        }
        if let Some(outcome) = self.try_suspects() {
            return outcome;
        }
        let Fates { settled, unknown } = std::mem::take(&mut self.fates);
        let mut reason = unknown.first().map(|it| it.reason.clone());
        let unknown = unknown.iter().map(|it| it.count).sum();
        let mut rejected = Vec::new();
        for (index, record) in batch.records().iter().enumerate() {
            if let Some(Some(why)) = settled.get(&record.id) {
                rejected.push(index);
                reason.get_or_insert_with(|| why.clone());
            }
        }
        Outcome::Done {
            rejected,
            unknown,
            reason,
        }
    }

    /// Sends requests, each of them made while the one before is looked at,
    /// until one is not settled by its answer: that is returned. What has been
    /// made and not been sent is left.
    fn send_ahead(
        &mut self,
        requests: &mut Requests<'_>,
        left: &mut VecDeque<Request>,
    ) -> Option<(Request, Verdict)> {
        let Self {
            collector,
            resource,
            fates,
            ..
        } = self;
        thread::scope(|scope| {
            let (bodies, to_send) = mpsc::sync_channel(0);
            let (answer, answers) = mpsc::sync_channel(0);
            let posting = move || {
                for (kind, body) in to_send {
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
                let next = requests.next(fates);
                let body = next.as_ref().map(|it| it.body(resource));
                if let Some(request) = asked.take() {
                    let verdict = answers.recv().ok()?;
                    if let Some(verdict) = fates.note(&request, verdict) {
                        left.extend(next);
                        return Some((request, verdict));
                    }
                }
                let next = next?;
                bodies.send((next.kind, body?)).ok()?;
                // On one processor it would else be sent only when the next
                // one has been made, and nothing would be gained.
                thread::yield_now();
                asked = Some(next);
            }
        })
    }

    fn send(
        &mut self,
        request: Request,
        is_to_divide: bool,
    ) -> Result<(), Outcome> {
        let body = request.body(&self.resource);
        let verdict = self.collector.post(request.kind, body);
        self.judge(request, verdict, is_to_divide)
    }

    fn judge(
        &mut self,
        mut request: Request,
        verdict: Verdict,
        is_to_divide: bool,
    ) -> Result<(), Outcome> {
        let later = |after, reason, is_broken| Outcome::Later {
            after,
            reason,
            is_broken,
        };
        let reason = match self.fates.note(&request, verdict) {
            None | Some(Verdict::Accepted | Verdict::Partly { .. }) => {
                return Ok(());
            }
            Some(Verdict::Later { after, reason }) => {
                return Err(later(after, reason, false));
            }
            Some(Verdict::Broken { reason }) if !is_to_divide => {
                return Err(later(None, reason, true));
            }
            Some(Verdict::Broken { reason }) => {
                self.probes += 1;
                if self.probes >= MAX_PROBES && !self.fates.has_taken_any() {
                    return Err(later(None, reason, true));
                }
                if let [(id, _)] = request.records[..] {
                    self.suspects.push((id, reason));
                    return Ok(());
                }
                reason
            }
            Some(Verdict::Refused { reason }) => reason,
        };
        if request.records.len() == 1 {
            self.fates.settle(&request, Some(reason));
            return Ok(());
        }
        let half = request.records.len() / 2;
        let second = Request {
            records: request.records.split_off(half),
            ..Request::new(request.kind)
        };
        self.send(request, is_to_divide)?;
        self.send(second, is_to_divide)
    }

    /// Rejects what the collector has failed over, unless it has failed over
    /// everything.
    fn try_suspects(&mut self) -> Option<Outcome> {
        if !self.fates.has_taken_any() {
            let (_, reason) = self.suspects.drain(..).next()?;
            return Some(Outcome::Later {
                after: None,
                reason,
                is_broken: true,
            });
        }
        for (id, reason) in self.suspects.drain(..) {
            self.fates.settled.insert(id, Some(reason));
        }
        None
    }
}

fn read(payload: &[u8]) -> Result<Mapped, String> {
    let record: Record = serde_json::from_slice(payload)
        .map_err(|error| format!("it is no record: {error}"))?;
    Mapped::new(&record).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message;
    use serde_json::json;
    use uilog_spool::Options;
    use uilog_spool::Sender;
    use uilog_spool::Spool;
    use uilog_spool::Writer;

    use super::*;

    const RECORDS: usize = 3 * MAX_RECORDS;

    /// Answers by the messages of the records that it is asked to take.
    struct Asked<F>(Vec<Vec<usize>>, F);

    impl<F: FnMut(&[usize]) -> Verdict + Send> Post for &mut Asked<F> {
        fn post(&mut self, _: Kind, body: Vec<u8>) -> Verdict {
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
    }

    fn append(writer: &mut Writer, number: usize) {
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
        let id = RecordId::new(&(number as u128).to_le_bytes()).unwrap();
        let payload = serde_json::to_vec(&record).unwrap();
        writer.append(&id, &payload).unwrap();
    }

    /// All records, as one batch.
    fn batch(work: impl FnOnce(&Batch)) {
        batch_of(0..RECORDS, work);
    }

    /// As many, and none of the same.
    fn another_batch(work: impl FnOnce(&Batch)) {
        batch_of(RECORDS..2 * RECORDS, work);
    }

    fn batch_of(numbers: Range<usize>, work: impl FnOnce(&Batch)) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Options::default()).unwrap();
        let mut writer = Writer::new(&spool);
        numbers.for_each(|number| append(&mut writer, number));
        let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
        let batch = sender.next_batch(RECORDS, usize::MAX).unwrap();
        assert_eq!(batch.records().len(), RECORDS);
        work(&batch);
    }

    fn all_of(asked: &[Vec<usize>]) -> Vec<usize> {
        let mut all = asked.concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_batch_is_sent_in_parts_and_in_order() {
        let mut asked = Asked(Vec::new(), |_: &[usize]| Verdict::Accepted);
        batch(|batch| {
            let mut shipper = Shipper::new(&mut asked, Vec::new());
            let outcome = shipper.ship(batch, false);
            let is_done = matches!(
                outcome,
                Outcome::Done { ref rejected, unknown: 0, .. }
                    if rejected.is_empty()
            );
            assert!(is_done, "{outcome:?}");
        });
        assert!(asked.0.len() >= 3);
        assert_eq!(asked.0.concat(), (0..RECORDS).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_taken_before_a_failure_is_not_sent_again() {
        let mut answers = 0;
        let mut asked = Asked(Vec::new(), |_: &[usize]| {
            answers += 1;
            match answers {
                2 => Verdict::Later {
                    after: Some(Duration::from_secs(7)),
                    reason: "busy".to_owned(),
                },
                _ => Verdict::Accepted,
            }
        });
        batch(|batch| {
            let mut shipper = Shipper::new(&mut asked, Vec::new());
            let later = Outcome::Later {
                after: Some(Duration::from_secs(7)),
                reason: "busy".to_owned(),
                is_broken: false,
            };
            assert_eq!(shipper.ship(batch, false), later);
            // Nothing is sent after it.
            assert_eq!(shipper.collector.0.len(), 2);
            let done = shipper.ship(batch, false);
            assert!(matches!(done, Outcome::Done { .. }), "{done:?}");
        });
        let refused = asked.0.remove(1);
        assert!(!refused.is_empty());
        assert_eq!(all_of(&asked.0), (0..RECORDS).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_refused_in_the_middle_is_found() {
        const BAD: usize = MAX_RECORDS + 7;
        let mut taken = Vec::new();
        let mut asked = Asked(Vec::new(), |numbers: &[usize]| {
            if numbers.contains(&BAD) {
                return Verdict::Refused {
                    reason: "no".to_owned(),
                };
            }
            taken.extend_from_slice(numbers);
            Verdict::Accepted
        });
        batch(|batch| {
            let mut shipper = Shipper::new(&mut asked, Vec::new());
            let outcome = Outcome::Done {
                rejected: vec![BAD],
                unknown: 0,
                reason: Some("no".to_owned()),
            };
            assert_eq!(shipper.ship(batch, false), outcome);
        });
        let others = (0..RECORDS).filter(|it| *it != BAD);
        taken.sort_unstable();
        assert_eq!(taken, others.collect::<Vec<_>>());
    }

    #[test]
    fn what_is_counted_only_is_added_up() {
        let mut asked = Asked(Vec::new(), |_: &[usize]| Verdict::Partly {
            rejected: 2,
            reason: "two".to_owned(),
        });
        batch(|batch| {
            let mut shipper = Shipper::new(&mut asked, Vec::new());
            let outcome = shipper.ship(batch, false);
            let requests = shipper.collector.0.len() as u64;
            let expected = Outcome::Done {
                rejected: Vec::new(),
                unknown: 2 * requests,
                reason: Some("two".to_owned()),
            };
            assert_eq!(outcome, expected);
            assert!(requests >= 3);
        });
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
        let mut shipper = Shipper::new(&mut asked, Vec::new());
        batch(|batch| {
            let outcome = shipper.ship(batch, false);
            assert!(matches!(outcome, Outcome::Later { .. }), "{outcome:?}");
        });
        another_batch(|batch| {
            let outcome = Outcome::Done {
                rejected: Vec::new(),
                unknown: 0,
                reason: None,
            };
            assert_eq!(shipper.ship(batch, false), outcome);
        });
    }
}
