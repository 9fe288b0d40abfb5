//! The rows of a report's tables.
//!
//! Responsible for their maximum number. Must not know what they are made of,
//! or how they are shown.

use serde::Serialize;

use super::timestamp;

/// How many rows a table has at most.
const MAX_ROWS: usize = 100;

/// Rows, as far as there is room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table<R> {
    /// The first rows.
    pub rows: Vec<R>,
    /// How many more there are.
    pub more: u64,
    /// Records that belong to no row, because there would be too many.
    pub left_out: u64,
}

impl<R> Table<R> {
    pub(super) fn new(mut rows: Vec<R>, left_out: u64) -> Self {
        let more = rows.len().saturating_sub(MAX_ROWS) as u64;
        rows.truncate(MAX_ROWS);
        Self {
            rows,
            more,
            left_out,
        }
    }
}

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    /// Its full name.
    pub name: String,
    /// How often it ended.
    pub count: u64,
    /// How often it failed.
    pub failures: u64,
    /// Seconds, all together.
    pub total: f64,
    /// Half of them took less.
    pub p50: f64,
    /// 95 % of them took less.
    pub p95: f64,
    /// 99 % of them took less.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// How often it ended in the period before.
    pub count_before: u64,
    /// Half of those took less.
    pub p50_before: f64,
    /// 95 % of those took less.
    pub p95_before: f64,
}

/// One command that took long.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slowest {
    /// How long it took.
    pub seconds: f64,
    /// When it ended: microseconds since 1970.
    #[serde(serialize_with = "timestamp::serialize")]
    pub time: i64,
    /// As it was called.
    pub command: String,
    /// Who ran it.
    pub user: String,
    /// On which machine.
    pub host: String,
    /// In which repository.
    pub repository: String,
    /// Its trace.
    pub trace: String,
    /// Its exit status.
    pub exit: Option<i64>,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The class of the error.
    pub error_type: String,
    /// The command.
    pub command: String,
    /// What the newest said.
    pub error: String,
    /// How many there were.
    pub count: u64,
    /// How many there were in the period before.
    pub count_before: u64,
    /// How many users had it.
    pub users: u64,
    /// When the newest was: microseconds since 1970.
    #[serde(serialize_with = "timestamp::serialize")]
    pub last: i64,
    /// In which repository the newest was.
    pub repository: String,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// How often it ended, or was refused.
    pub count: u64,
    /// How often hg gave up because of it.
    pub refusals: u64,
    /// Seconds, all together.
    pub total: f64,
    /// Half of them took less.
    pub p50: f64,
    /// 95 % of them took less.
    pub p95: f64,
    /// The longest.
    pub max: f64,
    /// How often in the period before.
    pub count_before: u64,
    /// How often hg gave up then.
    pub refusals_before: u64,
    /// Why it has not run, if it has not.
    pub reason: String,
}

/// Waits for a lock of a repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lock {
    /// The repository.
    pub repository: String,
    /// `lock` or `wlock`.
    pub lock: String,
    /// How many waits.
    pub count: u64,
    /// How many ended without the lock.
    pub in_vain: u64,
    /// Seconds, all together.
    pub total: f64,
    /// 95 % of them took less.
    pub p95: f64,
    /// The longest.
    pub max: f64,
    /// How many users waited.
    pub users: u64,
}

/// Waits for who held a lock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LockHolder {
    /// The machine, and the process where its command is not known.
    pub holder: String,
    /// What it ran, if that is known.
    pub command: String,
    /// How many waits.
    pub count: u64,
    /// Seconds, all together.
    pub total: f64,
    /// The longest.
    pub max: f64,
    /// How many users waited.
    pub users: u64,
}

/// Waits for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Person {
    /// What for: `editor`, `prompt`, `pager`, ...
    pub kind: String,
    /// How many waits.
    pub count: u64,
    /// Seconds, all together.
    pub total: f64,
    /// Half of them took less.
    pub p50: f64,
    /// The longest.
    pub max: f64,
    /// How many users.
    pub users: u64,
}

/// What a user waited for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// Who.
    pub user: String,
    /// How many commands.
    pub commands: u64,
    /// How many of these failed.
    pub failures: u64,
    /// How long they took.
    pub seconds: f64,
    /// Seconds of waiting for locks.
    pub locks: f64,
    /// Seconds in hooks.
    pub hooks: f64,
    /// Seconds of waiting for other repositories.
    pub network: f64,
    /// Seconds in editors, prompts and pagers.
    pub people: f64,
}

/// A version of Mercurial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Version {
    /// It.
    pub version: String,
    /// How many commands.
    pub count: u64,
    /// How many of these failed.
    pub failures: u64,
    /// Half of them took less.
    pub p50: f64,
    /// 95 % of them took less.
    pub p95: f64,
    /// How many users.
    pub users: u64,
    /// On how many machines.
    pub hosts: u64,
}

/// A command that has changed for certain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The command.
    pub command: String,
    /// `slower`, `faster`, `fails more`, `fails less`.
    pub changes: Vec<&'static str>,
    /// How many there were.
    pub count_before: u64,
    /// How many there are.
    pub count: u64,
    /// The median before.
    pub p50_before: f64,
    /// The median now.
    pub p50: f64,
    /// By what it has grown.
    pub ratio: Option<f64>,
    /// The least that this may be, with 95 % confidence.
    pub ratio_low: Option<f64>,
    /// The most that it may be.
    pub ratio_high: Option<f64>,
    /// The part that failed before.
    pub failing_before: f64,
    /// The part that fails.
    pub failing: f64,
    /// How many seconds more all of them take.
    pub harm: f64,
}

impl Change {
    /// Whether it is a change for the worse.
    pub fn is_worse(&self) -> bool {
        let is_bad = |it: &&str| ["slower", "fails more"].contains(it);
        self.changes.iter().any(is_bad)
    }
}

/// What a version has changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// The version before.
    pub from: String,
    /// The version.
    pub to: String,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}
