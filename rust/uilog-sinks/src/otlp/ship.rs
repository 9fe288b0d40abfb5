//! What becomes of a batch: who is asked, and what the answers mean for each
//! record.
//!
//! A record that a collector will never take must not keep the others from
//! it. Which one that is, it does not say, so the batch is divided until the
//! record stands alone. Knows neither the spool's files nor any network.

use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use uilog_spool::Batch;
use uilog_spool::RecordId;

use crate::otlp::http::Post;
use crate::otlp::request;
use crate::otlp::request::Kind;
use crate::otlp::request::Mapped;
use crate::otlp::verdict::Verdict;
use crate::record::Record;

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
    /// What has become of records of the batch that comes again: why they are
    /// rejected, or nothing if they are not.
    settled: HashMap<RecordId, Option<String>>,
    unknown: u64,
    /// Why, of these.
    unknown_reason: Option<String>,
    /// Requests that the collector failed over since the batch began.
    probes: u32,
    /// What it failed over although it was alone, and why.
    suspects: Vec<(RecordId, String)>,
}

impl<P: Post> Shipper<P> {
    /// Sends to `collector`, with what is configured of the resource.
    pub fn new(collector: P, resource: Vec<(String, String)>) -> Self {
        Self {
            collector,
            resource,
            settled: HashMap::new(),
            unknown: 0,
            unknown_reason: None,
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
        self.settled.retain(|id, _| ids.contains(id));
        let mut pending = Vec::new();
        for record in batch.records() {
            if self.settled.contains_key(&record.id) {
                continue;
            }
            match read(&record.payload) {
                Ok(mapped) => pending.push((record.id, mapped)),
                Err(why) => {
                    self.settled.insert(record.id, Some(why));
                }
            }
        }
        for kind in [Kind::Traces, Kind::Logs] {
            let of_kind: Vec<&(RecordId, Mapped)> =
                pending.iter().filter(|it| it.1.kind() == kind).collect();
            let sent = self.send(kind, &of_kind, is_to_divide);
            if let Err(later) = sent {
                return later;
            }
        }
        if let Some(outcome) = self.try_suspects() {
            return outcome;
        }
        let settled = std::mem::take(&mut self.settled);
        let mut rejected = Vec::new();
        let mut reason = self.unknown_reason.take();
        for (index, record) in batch.records().iter().enumerate() {
            if let Some(Some(why)) = settled.get(&record.id) {
                rejected.push(index);
                reason.get_or_insert_with(|| why.clone());
            }
        }
        Outcome::Done {
            rejected,
            unknown: std::mem::take(&mut self.unknown),
            reason,
        }
    }

    fn send(
        &mut self,
        kind: Kind,
        records: &[&(RecordId, Mapped)],
        is_to_divide: bool,
    ) -> Result<(), Outcome> {
        if records.is_empty() {
            return Ok(());
        }
        let mapped = records.iter().map(|it| &it.1);
        let body = request::encode(mapped, &self.resource);
        let later = |after, reason, is_broken| Outcome::Later {
            after,
            reason,
            is_broken,
        };
        let reason = match self.collector.post(kind, body) {
            Verdict::Accepted => {
                self.settle(records, None);
                return Ok(());
            }
            Verdict::Partly { rejected, reason } => {
                // Of one record, or of all, it is known which.
                let parts = records.iter().map(|it| it.1.parts()).sum();
                if rejected >= parts || records.len() == 1 {
                    self.settle(records, Some(reason));
                } else {
                    self.settle(records, None);
                    self.unknown += rejected.min(records.len() as u64);
                    self.unknown_reason.get_or_insert(reason);
                }
                return Ok(());
            }
            Verdict::Later { after, reason } => {
                return Err(later(after, reason, false));
            }
            Verdict::Broken { reason } if !is_to_divide => {
                return Err(later(None, reason, true));
            }
            Verdict::Broken { reason } => {
                self.probes += 1;
                if self.probes >= MAX_PROBES && !self.has_taken_any() {
                    return Err(later(None, reason, true));
                }
                if let [(id, _)] = records {
                    self.suspects.push((*id, reason));
                    return Ok(());
                }
                reason
            }
            Verdict::Refused { reason } => reason,
        };
        if records.len() == 1 {
            self.settle(records, Some(reason));
            return Ok(());
        }
        let (first, second) = records.split_at(records.len() / 2);
        self.send(kind, first, is_to_divide)?;
        self.send(kind, second, is_to_divide)
    }

    fn has_taken_any(&self) -> bool {
        self.settled.values().any(Option::is_none)
    }

    /// Rejects what the collector has failed over, unless it has failed over
    /// everything.
    fn try_suspects(&mut self) -> Option<Outcome> {
        if !self.has_taken_any() {
            let (_, reason) = self.suspects.drain(..).next()?;
            return Some(Outcome::Later {
                after: None,
                reason,
                is_broken: true,
            });
        }
        for (id, reason) in self.suspects.drain(..) {
            self.settled.insert(id, Some(reason));
        }
        None
    }

    fn settle(
        &mut self,
        records: &[&(RecordId, Mapped)],
        rejection: Option<String>,
    ) {
        for (id, _) in records {
            self.settled.insert(*id, rejection.clone());
        }
    }
}

fn read(payload: &[u8]) -> Result<Mapped, String> {
    let record: Record = serde_json::from_slice(payload)
        .map_err(|error| format!("it is no record: {error}"))?;
    Mapped::new(&record).map_err(|error| error.to_string())
}
