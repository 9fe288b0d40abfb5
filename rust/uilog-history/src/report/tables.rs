//! The tables of a report, made of what has been gathered.
//!
//! Responsible for the order of rows. Must not know how records are read, or how a table is shown.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::LazyLock;

use uilog_redact::Policy;
use uilog_redact::Redactor;

use super::gather::Gathered;
use super::gather::Waiting;
use super::gather::cut_at;
use super::numbers::Numbers;
use super::rows::Command;
use super::rows::Failure;
use super::rows::Hook;
use super::rows::Lock;
use super::rows::LockHolder;
use super::rows::Person;
use super::rows::Slowest;
use super::rows::Table;
use super::rows::User;
use super::rows::Version;

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

/// Sorts with the greatest first, and by name.
pub(super) fn order<R, N: Ord>(
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
