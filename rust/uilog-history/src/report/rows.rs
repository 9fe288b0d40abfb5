//! The rows of a report's tables.
//!
//! Responsible for their order and maximum number, and for significant changes.
//! Must not know how they are shown.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Serialize;
use uilog_redact::Policy;
use uilog_redact::Redactor;

use super::gather::Gathered;
use super::gather::Waiting;
use super::gather::cut_at;
use super::numbers::Numbers;
use super::timestamp;
use crate::compare;
use crate::compare::LEAST;
use crate::stats;

/// How many rows a table has at most.
const MAX_ROWS: usize = 100;
/// So many commands are compared with those of the period before, those with
/// the greatest totals. Each comparison takes 10 ms.
const MAX_COMPARED: usize = 40;
/// So many versions are compared with those before them.
const MAX_VERSIONS: usize = 4;
/// And of each so many commands.
const MAX_OF_VERSION: usize = 20;

/// How many characters of an error or of a command are shown.
const MAX_SHOWN: usize = 300;

/// A text as whoever reads the report may see it: a sink may have written
/// secrets.
fn redacted(text: &str) -> String {
    let text = uilog_sinks::redact::shown(text);
    cut_at(&text, MAX_SHOWN).into_owned()
}

/// The same of a command line.
fn redacted_command(line: &str) -> String {
    static REDACTOR: LazyLock<Redactor> =
        LazyLock::new(|| Redactor::new(&Policy::default()));
    let line = REDACTOR.redact_command(line.as_bytes()).text;
    cut_at(&String::from_utf8_lossy(&line), MAX_SHOWN).into_owned()
}

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
    fn new(mut rows: Vec<R>, left_out: u64) -> Self {
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

/// Sorts with the greatest first, and by name.
fn order<R, N: Ord>(
    rows: &mut [R],
    number: impl Fn(&R) -> f64,
    name: impl Fn(&R) -> N,
) {
    rows.sort_by(|a, b| {
        let by_number = number(b).total_cmp(&number(a));
        by_number.then_with(|| name(a).cmp(&name(b)))
    });
}

pub(super) fn commands(gathered: &Gathered) -> Table<Command> {
    let all = gathered.commands.of.iter();
    let now = all.filter(|(_, both)| both.now.count > 0);
    let mut rows: Vec<_> = now
        .map(|(name, both)| {
            let now = both.now.percentiles();
            let before = both.before.percentiles();
            Command {
                name: name.clone(),
                count: both.now.count,
                failures: both.now.failures,
                total: both.now.total,
                p50: now.p50,
                p95: now.p95,
                p99: now.p99,
                max: both.now.max,
                count_before: both.before.count,
                p50_before: before.p50,
                p95_before: before.p95,
            }
        })
        .collect();
    order(&mut rows, |it| it.total, |it| it.name.clone());
    Table::new(rows, gathered.commands.left_out)
}

pub(super) fn slowest(gathered: &Gathered) -> Vec<Slowest> {
    let rows = gathered.slowest.iter().cloned();
    rows.map(|it| Slowest {
        seconds: it.seconds,
        time: it.time,
        command: redacted_command(&it.command),
        user: it.user,
        host: it.host,
        repository: it.repository,
        trace: it.trace,
        exit: it.exit,
    })
    .collect()
}

pub(super) fn failures(gathered: &Gathered) -> Table<Failure> {
    let all = gathered.failures.of.iter();
    let now = all.filter(|(_, failures)| failures.now > 0);
    let mut rows: Vec<_> = now
        .map(|((error_type, command, _), failures)| Failure {
            error_type: error_type.clone(),
            command: command.clone(),
            error: redacted(&failures.error),
            count: failures.now,
            count_before: failures.before,
            users: failures.users.count(),
            last: failures.last,
            repository: failures.repository.clone(),
        })
        .collect();
    let name = |it: &Failure| (Reverse(it.last), it.error.clone());
    order(&mut rows, |it| it.count as f64, name);
    Table::new(rows, gathered.failures.left_out)
}

pub(super) fn hooks(gathered: &Gathered) -> Table<Hook> {
    let all = gathered.hooks.of.iter();
    let now = all.filter(|(_, hook)| hook.runs.count > 0);
    let mut rows: Vec<_> = now
        .map(|(name, hook)| {
            let percentiles = hook.runs.percentiles();
            Hook {
                name: name.clone(),
                count: hook.runs.count,
                refusals: hook.refusals,
                total: hook.runs.total,
                p50: percentiles.p50,
                p95: percentiles.p95,
                max: hook.runs.max,
                count_before: hook.before,
                refusals_before: hook.refusals_before,
                reason: hook.reason.clone(),
            }
        })
        .collect();
    let name = |it: &Hook| (Reverse(it.refusals), it.name.clone());
    order(&mut rows, |it| it.total, name);
    Table::new(rows, gathered.hooks.left_out)
}

pub(super) fn locks(gathered: &Gathered) -> Table<Lock> {
    let row =
        |((repository, lock), waiting): (&(String, String), &Waiting)| Lock {
            repository: repository.clone(),
            lock: lock.clone(),
            count: waiting.waits.count,
            in_vain: waiting.in_vain,
            total: waiting.waits.total,
            p95: waiting.waits.percentiles().p95,
            max: waiting.waits.max,
            users: waiting.users.count(),
        };
    let mut rows: Vec<_> = gathered.locks.of.iter().map(row).collect();
    let name = |it: &Lock| (it.repository.clone(), it.lock.clone());
    order(&mut rows, |it| it.total, name);
    Table::new(rows, gathered.locks.left_out)
}

pub(super) fn lock_holders(gathered: &Gathered) -> Table<LockHolder> {
    let row = |((holder, command), waiting): (&(String, String), &Waiting)| {
        LockHolder {
            holder: holder.clone(),
            command: command.clone(),
            count: waiting.waits.count,
            total: waiting.waits.total,
            max: waiting.waits.max,
            users: waiting.users.count(),
        }
    };
    let mut rows: Vec<_> = gathered.holders.of.iter().map(row).collect();
    let name = |it: &LockHolder| (it.holder.clone(), it.command.clone());
    order(&mut rows, |it| it.total, name);
    Table::new(rows, gathered.holders.left_out)
}

pub(super) fn people(gathered: &Gathered) -> Table<Person> {
    let row = |(kind, waiting): (&String, &Waiting)| Person {
        kind: kind.clone(),
        count: waiting.waits.count,
        total: waiting.waits.total,
        p50: waiting.waits.percentiles().p50,
        max: waiting.waits.max,
        users: waiting.users.count(),
    };
    let mut rows: Vec<_> = gathered.people.of.iter().map(row).collect();
    order(&mut rows, |it| it.total, |it| it.kind.clone());
    Table::new(rows, gathered.people.left_out)
}

pub(super) fn users(gathered: &Gathered) -> Table<User> {
    let all = gathered.users.of.iter();
    let mut rows: Vec<_> = all
        .map(|(name, user)| User {
            user: name.clone(),
            commands: user.commands,
            failures: user.failures,
            seconds: user.seconds,
            locks: user.waits.locks,
            hooks: user.waits.hooks,
            network: user.waits.network,
            people: user.waits.people,
        })
        .collect();
    let waited = |it: &User| it.locks + it.hooks + it.network + it.people;
    let name = |it: &User| (Reverse(it.commands), it.user.clone());
    order(&mut rows, waited, name);
    Table::new(rows, gathered.users.left_out)
}

/// The numbers of all commands of each version.
fn by_version(gathered: &Gathered) -> HashMap<&str, Numbers> {
    let mut all = HashMap::<&str, Numbers>::new();
    for ((version, _), numbers) in &gathered.by_version.of {
        all.entry(version).or_default().merge(numbers.clone());
    }
    all
}

pub(super) fn versions(gathered: &Gathered) -> Table<Version> {
    let mut rows: Vec<_> = by_version(gathered)
        .into_iter()
        .map(|(version, numbers)| {
            let percentiles = numbers.percentiles();
            let of = gathered.versions.of.get(version);
            Version {
                version: version.to_owned(),
                count: numbers.count,
                failures: numbers.failures,
                p50: percentiles.p50,
                p95: percentiles.p95,
                users: of.map_or(0, |it| it.users.count()),
                hosts: of.map_or(0, |it| it.hosts.count()),
            }
        })
        .collect();
    rows.sort_by_cached_key(|it| Reverse(version_key(&it.version)));
    Table::new(rows, gathered.by_version.left_out)
}

/// The numbers in a version, which is later if they are greater.
fn version_key(version: &str) -> (Vec<u64>, String) {
    let parts = version.split(|it: char| !it.is_ascii_digit());
    let numbers = parts.filter_map(|it| it.parse().ok());
    (numbers.collect(), version.to_owned())
}

/// Compares two sets of groups; only what is certain stays, the greatest harm
/// first.
fn compared(
    before: &HashMap<&str, &Numbers>,
    now: &HashMap<&str, &Numbers>,
    max: usize,
) -> Vec<Change> {
    let mut names: Vec<_> = now
        .iter()
        .filter(|(name, now)| {
            let before = before.get(*name).map_or(0, |it| it.count);
            before.min(now.count) >= LEAST as u64
        })
        .map(|(name, now)| (*name, now.total))
        .collect();
    order(&mut names, |it| it.1, |it| it.0);
    names.truncate(max);
    let side = |numbers: &HashMap<&str, &Numbers>| -> stats::Groups {
        let all = names.iter().map(|(name, _)| {
            let samples = numbers.get(name).map(|it| it.samples());
            ((*name).to_owned(), samples.unwrap_or_default())
        });
        all.collect()
    };
    let mut changes: Vec<_> = compare::compare(&side(before), &side(now))
        .into_iter()
        .filter(|row| !row.changes.is_empty())
        .filter_map(|row| {
            let before = before.get(row.name.as_str())?;
            let now = now.get(row.name.as_str())?;
            Some(change(row, before, now))
        })
        .collect();
    order(&mut changes, |it| it.harm, |it| it.command.clone());
    changes.sort_by_key(|it| !it.is_worse());
    changes
}

fn change(row: compare::Row, before: &Numbers, now: &Numbers) -> Change {
    // What was compared is a sample of what there is.
    let part = row.after.max(1) as f64 / now.count.max(1) as f64;
    let failing = |it: &Numbers| it.failures as f64 / it.count.max(1) as f64;
    Change {
        command: row.name,
        changes: row.changes.iter().map(|it| it.word()).collect(),
        count_before: before.count,
        count: now.count,
        p50_before: before.percentiles().p50,
        p50: now.percentiles().p50,
        ratio: row.ratio.map(|it| it.ratio),
        ratio_low: row.ratio.map(|it| it.low),
        ratio_high: row.ratio.map(|it| it.high),
        failing_before: failing(before),
        failing: failing(now),
        harm: row.harm / part,
    }
}

pub(super) fn changes(gathered: &Gathered) -> Vec<Change> {
    let all = || gathered.commands.of.iter();
    let before = all().map(|(name, both)| (name.as_str(), &both.before));
    let now = all().map(|(name, both)| (name.as_str(), &both.now));
    compared(&before.collect(), &now.collect(), MAX_COMPARED)
}

pub(super) fn regressions(gathered: &Gathered) -> Vec<Regression> {
    let is_enough = |it: &&Version| it.count >= LEAST as u64;
    let versions = versions(gathered).rows;
    let versions: Vec<_> = versions.iter().filter(is_enough).collect();
    let of = |version: &str| -> HashMap<&str, &Numbers> {
        let all = gathered.by_version.of.iter();
        all.filter(|((own, _), _)| own == version)
            .map(|((_, command), numbers)| (command.as_str(), numbers))
            .collect()
    };
    let pairs = versions.windows(2).take(MAX_VERSIONS);
    pairs
        .flat_map(|pair| {
            let (to, from) = (&pair[0].version, &pair[1].version);
            let changes = compared(&of(from), &of(to), MAX_OF_VERSION);
            changes.into_iter().map(|change| Regression {
                from: from.clone(),
                to: to.clone(),
                change,
            })
        })
        .collect()
}
