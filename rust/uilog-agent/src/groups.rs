//! The configurations whose sinks are open: a limited number at a time.
//!
//! Responsible for opening and closing them. If the limit is reached, further
//! records wait in their queues, and the least recently used group delivers
//! what it has and closes. Must not know queues.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_sinks::sink::Open;

use crate::configuration::Configuration;
use crate::group::Group;
use crate::group::State;
use crate::ids::GroupId;

/// Groups that are there at a time, with those that end.
const MAX_GROUPS: usize = 8;
/// How long a group in use stays open while others wait, because opening sinks
/// takes time, too.
const TENURE: Duration = Duration::from_millis(200);
/// The time limit for closing the sinks of a group for which another one waits.
const REPLACED_BOUND: Duration = Duration::from_secs(10);

/// All groups.
#[derive(Debug)]
pub(crate) struct Groups {
    open: Open,
    all: Vec<Group>,
    next_id: GroupId,
    /// Configurations that have found no place since they were counted last.
    waiting: Vec<Arc<Configuration>>,
    /// There were such when they were counted last.
    is_crowded: bool,
}

impl Groups {
    pub(crate) fn new(open: Open) -> Self {
        Self {
            open,
            all: Vec::new(),
            next_id: 0,
            waiting: Vec::new(),
            is_crowded: false,
        }
    }

    /// The group of this configuration, if one more record may be offered to
    /// it now; it is opened if there is a place.
    pub(crate) fn of(
        &mut self,
        configuration: &Arc<Configuration>,
        now: Instant,
    ) -> Option<&mut Group> {
        let is_it = |it: &Group| {
            it.state == State::Open
                && Arc::ptr_eq(&it.configuration, configuration)
        };
        if let Some(index) = self.all.iter().position(is_it) {
            return Some(&mut self.all[index]).filter(|it| it.has_room());
        }
        if self.all.len() >= MAX_GROUPS {
            let mut waiting = self.waiting.iter();
            if !waiting.any(|it| Arc::ptr_eq(it, configuration)) {
                self.waiting.push(Arc::clone(configuration));
            }
            return None;
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let configuration = Arc::clone(configuration);
        self.all.push(Group::new(id, configuration, self.open, now));
        self.all.last_mut()
    }

    /// Makes places for those that have found none.
    pub(crate) fn make_places(&mut self, now: Instant) {
        let wanted = std::mem::take(&mut self.waiting).len();
        self.is_crowded = wanted > 0;
        let mut leaving =
            self.all.iter().filter(|it| it.state != State::Open).count();
        while leaving < wanted {
            let may_go = |it: &&mut Group| {
                it.state == State::Open
                    && (it.is_drained() || now >= it.opened_at + TENURE)
            };
            let open = self.all.iter_mut().filter(may_go);
            let Some(group) = open.min_by_key(|it| it.used_at) else {
                break;
            };
            group.state = State::Closing;
            leaving += 1;
        }
        for group in &mut self.all {
            if group.state == State::Closing && group.is_drained() {
                group.finish(now + REPLACED_BOUND);
            }
        }
    }

    /// All of them, to let them go on.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.all.iter_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.all.iter()
    }

    /// Delivers the records offered to these groups at once; returns the
    /// progress. The result of a group that has ended is unknown.
    pub(crate) fn hurry(&mut self, ids: &[GroupId]) -> Delivery {
        let mut all = Delivery::Done;
        for id in ids {
            let group = self.all.iter_mut().find(|it| it.id == *id);
            all = all.and(group.map_or(Delivery::Deferred, Group::hurry));
        }
        all
    }

    /// Rollups must be sent now, because their records take up room.
    pub(crate) fn press(&mut self) {
        self.all.iter_mut().for_each(Group::press);
    }

    /// Removes groups whose sinks have ended.
    pub(crate) fn remove_finished(&mut self) {
        self.all.retain(|it| !it.is_finished());
    }

    /// Nothing will be offered to any of them any more.
    pub(crate) fn finish(&mut self, deadline: Instant) {
        for group in &mut self.all {
            group.finish(deadline);
        }
    }

    /// Whether no record is on its way.
    pub(crate) fn is_drained(&self) -> bool {
        self.all.iter().all(Group::is_drained)
    }

    /// Whether there are some, and all of them end.
    pub(crate) fn are_ending(&self) -> bool {
        let mut all = self.all.iter();
        !self.is_empty() && all.all(|it| it.state == State::Ending)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What becomes readable when there is news.
    pub(crate) fn wakeups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.all.iter().filter_map(Group::wakeup)
    }

    /// When to look after them at the latest.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let deadlines = self.all.iter().filter_map(Group::deadline);
        let tenure = self.is_crowded.then_some(now + TENURE);
        deadlines.chain(tenure).min()
    }
}
