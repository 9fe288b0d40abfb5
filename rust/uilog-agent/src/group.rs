//! The sinks of one configuration, and the records of many queues on their way
//! to them.
//!
//! Responsible for making one source of many queues: each record that a sink
//! may still need has a running number, which stands for its queue and its
//! number there. Sinks that are behind continue by these numbers. Must not know
//! which queues there are.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::record_delivery::Queued;
use uilog_channel::record_delivery::RecordDelivery;
use uilog_channel::record_delivery::RecordLoss;
use uilog_channel::record_delivery::Source;
use uilog_sinks::sink::Open;
use uilog_sinks::sink_threads::SinkThreads;

use crate::client::Client;
use crate::configuration::Configuration;
use crate::ids::ClientId;
use crate::ids::GroupId;

/// All queues that the agent serves.
pub(crate) type Clients = HashMap<ClientId, Client>;

/// Maximum number of a group's records in memory.
const MAX_ENTRIES: usize = 1 << 18;

/// Groups that are remembered of a client: it is rare that it has two.
const MAX_GROUPS_OF_CLIENT: usize = 16;

/// Whether a group accepts records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Open,
    /// Closing, because another one needs its place. It finishes its records.
    Closing,
    /// Its sinks end.
    Ending,
}

/// The sinks of one configuration.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) state: State,
    pub(crate) opened_at: Instant,
    pub(crate) used_at: Instant,
    threads: SinkThreads,
    /// The records that some sink may still need, in order.
    entries: VecDeque<Entry>,
    /// The running number of the first of them.
    first: u64,
    /// Records that a rollup counts which has not been sent, by their running
    /// numbers. They stay in their queues.
    held: HashMap<u64, Entry>,
    /// The client whose page counts the records in the hands of sinks that do
    /// not move.
    keeper: Option<ClientId>,
    at_risk: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    client: ClientId,
    number: u32,
}

/// The result of a group's records.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) losses: Vec<RecordLoss>,
    /// The client whose page counts them, if any.
    pub(crate) client: Option<ClientId>,
    pub(crate) has_moved: bool,
}

impl Group {
    pub(crate) fn new(
        id: GroupId,
        configuration: Arc<Configuration>,
        open: Open,
        now: Instant,
    ) -> Self {
        Self {
            id,
            configuration,
            state: State::Open,
            opened_at: now,
            used_at: now,
            threads: SinkThreads::of_many(open),
            entries: VecDeque::new(),
            first: 1,
            held: HashMap::new(),
            keeper: None,
            at_risk: 0,
        }
    }

    /// Whether one more record may be offered.
    pub(crate) fn has_room(&self) -> bool {
        self.state == State::Open && self.entries.len() < MAX_ENTRIES
    }

    /// Offers the record at a client's position; `next` is the position of the
    /// next frame.
    pub(crate) fn offer(
        &mut self,
        client: &mut Client,
        mut record: Queued,
        next: u64,
        now: Instant,
    ) {
        let number = client.assign_number(next);
        record.position = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry {
            client: client.id,
            number,
        });
        self.used_at = now;
        client.last_group = Some((self.id, now));
        if !client.groups.contains(&self.id) {
            client.groups.push(self.id);
            if client.groups.len() > MAX_GROUPS_OF_CLIENT {
                // The first one represents all that have ended long ago.
                client.groups.remove(1);
            }
        }
        record.items = Arc::clone(&self.configuration.items);
        record.environment = Arc::clone(&self.configuration.environment);
        self.threads.offer(&record);
        if client.is_held_and_nearly_full() {
            self.press();
        }
    }

    /// Rollups must be sent now, because their records take up room.
    pub(crate) fn press(&mut self) {
        if !self.held.is_empty() {
            self.threads.press();
        }
    }

    /// Lets the sinks continue, and reports to the queues which records are not
    /// needed any more.
    pub(crate) fn collect_results(
        &mut self,
        clients: &mut Clients,
    ) -> io::Result<Outcome> {
        let mut merged = Merged {
            configuration: &self.configuration,
            entries: &self.entries,
            first: self.first,
            clients,
            unreadable: 0,
        };
        let settled = self.threads.collect_results(&mut merged)?;
        let unreadable = merged.unreadable;
        let mut last = None;
        let mut losses = settled.losses;
        let mut held = settled.held.into_iter().peekable();
        for _ in 0..settled.done {
            let Some(entry) = self.entries.pop_front() else {
                break;
            };
            let number = self.first;
            self.first += 1;
            if let Some(client) = clients.get_mut(&entry.client) {
                if held.next_if_eq(&number).is_some() {
                    client.hold();
                    self.held.insert(number, entry);
                } else {
                    client.done(entry.number);
                }
                last = Some(entry.client);
            }
        }
        for number in &settled.released {
            let Some(entry) = self.held.remove(number) else {
                continue;
            };
            if let Some(client) = clients.get_mut(&entry.client) {
                client.release(entry.number);
            }
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(64);
        }
        if unreadable > 0 {
            losses.push(RecordLoss {
                sink: "*".to_owned(),
                count: unreadable,
                reason: "records in the queue have become unreadable".into(),
            });
        }
        let client = self.assign_losses(settled.at_risk, last, clients);
        Ok(Outcome {
            has_moved: settled.done > 0 || !losses.is_empty(),
            losses,
            client,
        })
    }

    /// Chooses the page that counts the group's losses, present and possible.
    fn assign_losses(
        &mut self,
        at_risk: u64,
        last: Option<ClientId>,
        clients: &Clients,
    ) -> Option<ClientId> {
        self.at_risk = at_risk;
        let is_there = |id: &ClientId| clients.contains_key(id);
        let known = self.keeper.filter(is_there).or(last);
        self.keeper = known.filter(|_| at_risk > 0);
        let waiting = self.entries.front().map(|it| it.client);
        known.or(waiting).filter(is_there)
    }

    /// Who must stay because of what sinks have in hand, and how much that is.
    pub(crate) fn at_risk(&self) -> Option<(ClientId, u64)> {
        self.keeper.map(|keeper| (keeper, self.at_risk))
    }

    /// Delivers offered records at once; returns the progress.
    pub(crate) fn hurry(&mut self) -> Delivery {
        self.threads.hurry()
    }

    /// Whether no record is on its way; those that a rollup counts wait for its
    /// time, or for the end.
    pub(crate) fn is_drained(&self) -> bool {
        self.entries.is_empty()
    }

    /// Nothing will be offered any more: the sinks end until then.
    pub(crate) fn finish(&mut self, deadline: Instant) {
        self.state = State::Ending;
        self.threads.finish(deadline);
    }

    /// Whether its sinks have ended, and all is known of its records.
    pub(crate) fn is_finished(&self) -> bool {
        self.state == State::Ending
            && self.entries.is_empty()
            && self.held.is_empty()
            && self.threads.is_finished()
    }

    /// Becomes readable when its sinks have news.
    pub(crate) fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        self.threads.wakeup()
    }

    /// When to look after it at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.threads.deadline()
    }
}

/// The queues of a group's records, as one.
struct Merged<'a> {
    configuration: &'a Configuration,
    entries: &'a VecDeque<Entry>,
    first: u64,
    clients: &'a mut Clients,
    unreadable: u64,
}

impl Merged<'_> {
    fn entry(&self, number: u64) -> Option<Entry> {
        let index = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?).copied()
    }
}

impl Source for Merged<'_> {
    fn record_from(
        &mut self,
        position: u64,
    ) -> io::Result<Option<(Queued, u64)>> {
        let Some(entry) = self.entry(position) else {
            return Ok(None);
        };
        let client = self.clients.get_mut(&entry.client);
        let read = client.and_then(|it| it.record(entry.number));
        let mut record = read.unwrap_or_else(|| {
            // It could be read before: another process has changed the file.
            self.unreadable += 1;
            Queued {
                position,
                event: Vec::new(),
                frame: Arc::default(),
                environment: Arc::default(),
                items: Arc::default(),
            }
        });
        record.position = position;
        record.items = Arc::clone(&self.configuration.items);
        record.environment = Arc::clone(&self.configuration.environment);
        Ok(Some((record, position + 1)))
    }

    fn is_too_far_behind(&self, position: u64) -> bool {
        let Some(entry) = self.entry(position) else {
            return false;
        };
        let client = self.clients.get(&entry.client);
        client.is_some_and(|it| it.is_nearly_full_from(entry.number))
    }
}
