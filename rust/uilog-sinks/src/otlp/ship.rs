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
    /// How many others are, without it being told which.
    unknown: u64,
    /// Why, of these.
    unknown_reason: Option<String>,
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
                    self.unknown += rejected.min(count as u64);
                    self.unknown_reason.get_or_insert(reason);
                }
            }
            verdict => return Some(verdict),
        }
        None
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
        self.fates.settled.retain(|id, _| ids.contains(id));
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
        let Fates {
            settled,
            unknown,
            unknown_reason: mut reason,
        } = std::mem::take(&mut self.fates);
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
