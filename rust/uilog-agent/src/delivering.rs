//! Reads each record of a queue once, and offers it to the sinks that may get
//! it.
//!
//! Responsible for the order of a queue's records, and for counting records
//! that are lost here. Must not know what the sinks do with them.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::journal::FailureKind;
use uilog_channel::record_delivery::Queued;
use uilog_channel::record_delivery::RecordLoss;
use uilog_channel::wire::Frame;

use crate::admission::Admission;
use crate::admission::Decision;
use crate::client::NextFrame;
use crate::client::WaitsFor;
use crate::configuration::Configuration;
use crate::ids::ClientId;
use crate::server::Server;
use crate::trust::WriterTrust;

/// Maximum number of frames that are read from a queue before other queues have
/// their turn.
const MAX_LOOKED_AT: usize = 256;
/// How long records of a queue wait for older ones of the same queue that have
/// other sinks: the order of a process holds, unless a sink hangs.
const ORDER_BOUND: Duration = Duration::from_secs(1);
/// Why what an unproven queue holds is lost.
const NOT_CONFIGURED: &str = "an untrusted queue names this sink, and it is \
    not configured in the same way here";

impl Server {
    /// Reads queues that may have more; returns whether some were not read to
    /// their ends, so that others have their turn.
    pub(crate) fn look_ahead(&mut self) -> bool {
        self.retry_at = None;
        let rung = self.clients.values().filter(|it| it.is_rung);
        let mut rung: Vec<_> = rung.map(|it| it.id).collect();
        // In the order in which they came.
        rung.sort_unstable();
        let mut has_more = false;
        for id in rung {
            has_more |= self.look_into(id);
        }
        self.groups.make_places(Instant::now());
        if self.admission.has_learnt() && self.is_doubtful() {
            self.look_again();
        }
        has_more
    }

    /// Checks clients at once for which decisions must be repeated.
    pub(crate) fn look_again(&mut self) {
        self.retry_at = Some(Instant::now());
    }

    pub(crate) fn look_into(&mut self, id: ClientId) -> bool {
        for _ in 0..MAX_LOOKED_AT {
            let Some(client) = self.clients.get_mut(&id) else {
                return false;
            };
            client.waits_for = None;
            match client.read_next(MAX_LOOKED_AT) {
                NextFrame::Nothing => {
                    client.is_rung = !client.is_at_end();
                    return false;
                }
                NextFrame::Later => return true,
                NextFrame::Unreadable(count) => {
                    self.idle.is_used(Instant::now());
                    self.lose_unreadable(id, count);
                }
                NextFrame::Record(record, next) => {
                    let waits_for = self.deliver(id, *record, next);
                    if waits_for.is_some() {
                        if let Some(client) = self.clients.get_mut(&id) {
                            client.waits_for = waits_for;
                        }
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Offers a record to its sinks; returns what it waits for, if that is not
    /// possible now.
    pub(crate) fn deliver(
        &mut self,
        id: ClientId,
        record: Queued,
        next: u64,
    ) -> Option<WaitsFor> {
        let now = Instant::now();
        let client = self.clients.get_mut(&id)?;
        let own = match client.last.take() {
            Some(last) if is_of(&last, &record) => last,
            _ => self.configurations.of(&record.items, &record.environment),
        };
        client.last = Some(Arc::clone(&own));
        let is_proven = matches!(client.trust, WriterTrust::Proven);
        let root = match is_proven {
            true => None,
            false => root_of(&record.frame),
        };
        let decision = self.admission.decide(
            client.trust,
            &own,
            root.as_deref(),
            &mut self.configurations,
        );
        let (chosen, refused) = match decision {
            Decision::Wait
                if !Arc::ptr_eq(&client.dir, &self.directories.own)
                    && !self.admission.is_asking(now) =>
            {
                // The agent of that directory may be able to decide.
                self.decline(id);
                return Some(WaitsFor::Trust);
            }
            Decision::Wait => {
                self.retry_at =
                    [self.retry_at, Admission::deadline(client.trust)]
                        .into_iter()
                        .flatten()
                        .min();
                return Some(WaitsFor::Trust);
            }
            Decision::Refuse(refused) => {
                client.pass(next);
                (None, refused)
            }
            Decision::Deliver(chosen, refused) => (Some(chosen), refused),
        };
        let event = record.event.clone();
        if let Some(chosen) = chosen {
            let Some(group) = self.groups.of(&chosen, now) else {
                return Some(WaitsFor::Place);
            };
            if let Some((last, at)) = client.last_group
                && last != group.id
                && !client.is_at_rest()
                && now < at + ORDER_BOUND
            {
                let until = at + ORDER_BOUND;
                let before = self.retry_at.unwrap_or(until);
                self.retry_at = Some(before.min(until));
                return Some(WaitsFor::Place);
            }
            group.offer(client, record, next, now);
            self.idle.serve(&chosen);
            if is_proven {
                client.environment = Some(Arc::clone(&own.environment));
            }
            self.idle.is_used(now);
        }
        self.report_inherited_losses(id);
        self.lose_refused(id, &own, &event, &refused);
        None
    }

    /// Records are lost for sinks that their queue may not choose.
    pub(crate) fn lose_refused(
        &mut self,
        id: ClientId,
        own: &Configuration,
        event: &[u8],
        refused: &[String],
    ) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let journal = self.journals.of(&self.environment);
        for sink in &own.sinks {
            let name = &sink.definition.name;
            if refused.contains(name) && sink.tracked.contains(event) {
                client.count_lost(1);
                let loss = RecordLoss {
                    sink: name.clone(),
                    count: 1,
                    reason: NOT_CONFIGURED.to_owned(),
                };
                journal.lose(&client.page, loss);
            }
        }
    }

    pub(crate) fn lose_unreadable(&mut self, id: ClientId, count: u64) {
        let detail = "unreadable record in the queue".to_owned();
        self.lose_of_client(id, count, detail);
    }

    /// So many events of a queue are lost, for this reason.
    pub(crate) fn lose_of_client(
        &mut self,
        id: ClientId,
        count: u64,
        detail: String,
    ) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.count_lost(count);
        let own = &self.environment;
        let environment = client.environment.as_ref().unwrap_or(own);
        let page = Some(&client.page);
        let journal = self.journals.of(environment);
        journal.report(page, FailureKind::Lost, count, detail);
    }

    /// Reports losses that an earlier agent has not reported.
    pub(crate) fn report_inherited_losses(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(left) = client.left.take() else {
            return;
        };
        let last = match client.trust {
            WriterTrust::Proven => left.last_failure,
            WriterTrust::Unproven(_) => None,
        };
        let last = last
            .map_or(String::new(), |it| format!("; its last failure: {it}"));
        let detail = format!(
            "records that were lost, or being delivered, when the agent was \
             killed{last}"
        );
        let own = &self.environment;
        let environment = client.environment.as_ref().unwrap_or(own);
        let page = Some(&client.page);
        let journal = self.journals.of(environment);
        journal.report(page, FailureKind::Lost, left.records, detail);
    }
}

/// Whether a record has this configuration, by a quick comparison.
fn is_of(configuration: &Configuration, record: &Queued) -> bool {
    let is_same = |a: &[u8], b: &[u8]| std::ptr::eq(a, b) || a == b;
    is_same(&configuration.environment, &record.environment)
        && (Arc::ptr_eq(&configuration.items, &record.items)
            || configuration.items == record.items)
}

/// The root of the repository that a record is about.
fn root_of(frame: &[u8]) -> Option<Vec<u8>> {
    match postcard::from_bytes::<Frame<'_>>(frame) {
        Ok(Frame::Record(record)) => Some(record.event.root?.0.into_owned()),
        _ => None,
    }
}
