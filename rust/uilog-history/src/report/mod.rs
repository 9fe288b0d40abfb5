//! A report on a period: overview, what is slow, what fails and why, hooks,
//! locks, waiting for people, versions, and changes since the previous period.
//!
//! Responsible for reading each record once and for limited memory, for any
//! number of records. Must not know how a report is shown.

mod changes;
mod gather;
mod groups;
mod numbers;
mod rows;
mod tables;
mod timestamp;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

pub use self::rows::Change;
pub use self::rows::Command;
pub use self::rows::Failure;
pub use self::rows::Hook;
pub use self::rows::Lock;
pub use self::rows::LockHolder;
pub use self::rows::Person;
pub use self::rows::Regression;
pub use self::rows::Slowest;
pub use self::rows::Table;
pub use self::rows::User;
pub use self::rows::Version;
use crate::filter::Filters;
use crate::filter::Query;
use crate::report::gather::All;
use crate::report::gather::Clock;
use crate::report::gather::Gathered;
use crate::scan;
use crate::scan::Match;
use crate::scan::Problems;
use crate::scan::Source;
use crate::when::Span;

/// The events that a report is made from.
pub const EVENTS: [&str; 8] = [
    "commandfinish",
    "commandlost",
    "exthook",
    "pythonhook",
    "hookrefused",
    "lockwait",
    "peerclose",
    "userwait",
];

/// How many parts the time line has at most.
pub const SLOTS: usize = 84;

/// So many slots are counted while records are read: the period may have begun
/// long before the first record.
const FINE_SLOTS: i64 = 1 << 14;

/// Of so many records the ids are remembered, to leave out what has been read
/// already. One takes 18 bytes.
const MAX_IDS: usize = 4 << 20;

/// The ids are shared by all threads, in so many parts.
const ID_PARTS: usize = 64;

const SECOND: i64 = 1_000_000;

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What it is about.
    pub period: Period,
    /// As long, and what it is compared with.
    pub before: Period,
    /// Records that have been read, of both periods.
    pub records: u64,
    /// Whether there were so many that some may have been counted twice.
    pub may_count_twice: bool,
    /// The figures of the period.
    pub overview: Figures,
    /// The same of the period before.
    pub overview_before: Figures,
    /// Commands and failures over time.
    pub timeline: Vec<Slot>,
    /// Commands by the day of the week, from Monday, and the hour, on the
    /// clocks of their machines.
    pub hours: Vec<Vec<u64>>,
    /// What has changed for certain since the period before, the greatest harm
    /// first.
    pub changes: Vec<Change>,
    /// Commands, the greatest total first.
    pub commands: Table<Command>,
    /// The slowest commands.
    pub slowest: Vec<Slowest>,
    /// Failures by what failed and why, the most frequent first.
    pub failures: Table<Failure>,
    /// Hooks, the greatest total first.
    pub hooks: Table<Hook>,
    /// Waits for locks by repository, the greatest total first.
    pub locks: Table<Lock>,
    /// The same by who held them.
    pub lock_holders: Table<LockHolder>,
    /// What people were waited for, the greatest total first.
    pub people: Table<Person>,
    /// What users waited for, the greatest total first.
    pub users: Table<User>,
    /// Versions of Mercurial, the newest first.
    pub versions: Table<Version>,
    /// What has changed for certain from one version to the next.
    pub regressions: Vec<Regression>,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Microseconds since 1970.
    #[serde(serialize_with = "timestamp::serialize")]
    pub from: i64,
    /// Microseconds since 1970.
    #[serde(serialize_with = "timestamp::serialize")]
    pub to: i64,
}

/// The figures of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Commands that ended.
    pub commands: u64,
    /// How many of these failed.
    pub failures: u64,
    /// Who ran them.
    pub users: u64,
    /// On how many machines.
    pub hosts: u64,
    /// In how many repositories.
    pub repositories: u64,
    /// How long they took, all together.
    pub seconds: f64,
    /// Half of them took less.
    pub p50: f64,
    /// 95 % of them took less.
    pub p95: f64,
    /// Seconds of waiting for locks.
    pub lock_seconds: f64,
    /// Seconds in hooks.
    pub hook_seconds: f64,
    /// Seconds of waiting for other repositories.
    pub network_seconds: f64,
    /// Seconds of waiting for people.
    pub people_seconds: f64,
    /// Hooks that refused what hg was to do.
    pub refusals: u64,
}

/// A part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// Where it begins: microseconds since 1970.
    #[serde(serialize_with = "timestamp::serialize")]
    pub from: i64,
    /// Commands that ended.
    pub commands: u64,
    /// How many of these failed.
    pub failures: u64,
}

/// The ids of what has been read.
struct Known(Vec<Mutex<HashSet<u64>>>);

impl Known {
    fn new() -> Self {
        Self((0..ID_PARTS).map(|_| Mutex::default()).collect())
    }

    /// Whether an id is new. All are, once there are too many.
    fn add(&self, id: u64) -> bool {
        let part = &self.0[(id >> 58) as usize % ID_PARTS];
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        if part.len() >= MAX_IDS / ID_PARTS {
            return !part.contains(&id);
        }
        part.insert(id)
    }

    fn is_full(&self) -> bool {
        self.0.iter().any(|part| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.len() >= MAX_IDS / ID_PARTS
        })
    }
}

/// The report on a period. `filters` say what else counts; their events and
/// their period do not.
pub fn make(
    sources: &[Source],
    filters: &Filters,
    period: Span,
) -> (Report, Problems) {
    let length = period.to.saturating_sub(period.from).max(SECOND);
    let before = Span {
        from: period.from.saturating_sub(length),
        to: period.from.saturating_sub(1),
    };
    let query = Query::new(Filters {
        span: Span {
            from: before.from,
            to: period.to,
        },
        events: EVENTS.map(str::to_owned).to_vec(),
        ..filters.clone()
    });
    let clock = Clock {
        from: period.from,
        slot: (length / FINE_SLOTS).max(SECOND),
    };
    let known = Known::new();
    let each = |gathered: &mut Gathered, found: Match<'_>| {
        let id = groups::hash(found.record.id.as_str());
        if known.add(id) {
            gathered.add(clock, &found, id);
        }
    };
    let (parts, problems) = scan::scan(sources, &query, each);
    let mut gathered = Gathered::default();
    for part in parts {
        gathered.merge(part);
    }
    let report = Report {
        period: Period {
            from: period.from,
            to: period.to,
        },
        before: Period {
            from: before.from,
            to: before.to,
        },
        records: gathered.records,
        may_count_twice: known.is_full(),
        overview: figures(&gathered.all.now),
        overview_before: figures(&gathered.all.before),
        timeline: timeline(&gathered, clock, period),
        hours: hours(&gathered),
        changes: changes::changes(&gathered),
        commands: tables::commands(&gathered),
        slowest: tables::slowest(&gathered),
        failures: tables::failures(&gathered),
        hooks: tables::hooks(&gathered),
        locks: tables::locks(&gathered),
        lock_holders: tables::lock_holders(&gathered),
        people: tables::people(&gathered),
        users: tables::users(&gathered),
        versions: tables::versions(&gathered),
        regressions: changes::regressions(&gathered),
    };
    (report, problems)
}

fn figures(all: &All) -> Figures {
    let percentiles = all.commands.percentiles();
    Figures {
        commands: all.commands.count,
        failures: all.commands.failures,
        users: all.users.count(),
        hosts: all.hosts.count(),
        repositories: all.repositories.count(),
        seconds: all.commands.total,
        p50: percentiles.p50,
        p95: percentiles.p95,
        lock_seconds: all.waits.locks,
        hook_seconds: all.waits.hooks,
        network_seconds: all.waits.network,
        people_seconds: all.waits.people,
        refusals: all.refusals,
    }
}

fn hours(gathered: &Gathered) -> Vec<Vec<u64>> {
    gathered.hours.0.iter().map(|day| day.to_vec()).collect()
}

/// From the first command on, if the period begins earlier than that by far.
fn timeline(gathered: &Gathered, clock: Clock, period: Span) -> Vec<Slot> {
    let Some((first, _)) = gathered.slots.first_key_value() else {
        return Vec::new();
    };
    let last = (period.to - period.from).div_euclid(clock.slot);
    let is_late = *first > last / 2;
    let first = if is_late { *first } else { 0 };
    let all = usize::try_from(last - first + 1).unwrap_or(1);
    let width = all.div_ceil(SLOTS);
    let mut slots: Vec<_> = (0..all.div_ceil(width))
        .map(|number| Slot {
            from: clock.from + (first + (number * width) as i64) * clock.slot,
            ..Slot::default()
        })
        .collect();
    for (slot, (commands, failures)) in &gathered.slots {
        let index = usize::try_from(slot - first).unwrap_or(0) / width;
        let index = index.min(slots.len() - 1);
        slots[index].commands += commands;
        slots[index].failures += failures;
    }
    slots
}

#[cfg(test)]
mod tests;
