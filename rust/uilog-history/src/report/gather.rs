//! What a thread has collected from records for a report, and merging the
//! results of all threads.
//!
//! Responsible for what each event contributes, and for limits: the number of
//! groups of a kind is limited, and further ones are counted. Must not know the
//! rows of the report.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::groups::Both;
use super::groups::Era;
use super::groups::Groups;
use super::groups::Names;
use super::numbers::Numbers;
use crate::record::Record;
use crate::scan::Match;

/// How many of the slowest commands are kept.
pub(super) const SLOWEST: usize = 20;
/// How many characters a name has at most.
const MAX_NAME: usize = 300;
/// How many an error or a command has. They are kept so long that no secret in
/// them is cut in two before it is redacted.
const MAX_TEXT: usize = 8192;

/// All of a period.
#[derive(Debug, Default)]
pub(super) struct All {
    pub(super) commands: Numbers,
    pub(super) users: Names,
    pub(super) hosts: Names,
    pub(super) repositories: Names,
    pub(super) waits: Waits,
    /// Hooks that refused.
    pub(super) refusals: u64,
}

/// For how many seconds commands have waited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    pub(super) locks: f64,
    pub(super) hooks: f64,
    pub(super) network: f64,
    pub(super) people: f64,
}

/// One user.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) commands: u64,
    pub(super) failures: u64,
    pub(super) seconds: f64,
    pub(super) waits: Waits,
}

/// Failures of one kind.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) now: u64,
    pub(super) before: u64,
    pub(super) users: Names,
    /// The newest one.
    pub(super) last: i64,
    pub(super) error: String,
    pub(super) repository: String,
}

/// One hook.
#[derive(Debug, Default)]
pub(super) struct Hook {
    pub(super) runs: Numbers,
    pub(super) refusals: u64,
    pub(super) before: u64,
    pub(super) refusals_before: u64,
    /// Why it was refused, if it has not run.
    pub(super) reason: String,
}

/// Waiting for something.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) waits: Numbers,
    /// Waits that ended without what was waited for.
    pub(super) in_vain: u64,
    pub(super) users: Names,
}

/// One command that took long.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slow {
    pub(super) seconds: f64,
    pub(super) time: i64,
    pub(super) command: String,
    pub(super) user: String,
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) trace: String,
    pub(super) exit: Option<i64>,
}

/// What a version of Mercurial has done.
#[derive(Debug, Default)]
pub(super) struct Version {
    pub(super) users: Names,
    pub(super) hosts: Names,
}

/// How the time of a report is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Where the period begins, in microseconds; the one before ends there.
    pub(super) from: i64,
    /// How long a slot is.
    pub(super) slot: i64,
}

/// What has been read.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) records: u64,
    pub(super) all: Both<All>,
    pub(super) commands: Groups<String, Both<Numbers>>,
    /// By version and command.
    pub(super) by_version: Groups<(String, String), Numbers>,
    pub(super) versions: Groups<String, Version>,
    /// By class of the error, command and wording.
    pub(super) failures: Groups<(String, String, String), Failures>,
    pub(super) hooks: Groups<String, Hook>,
    /// By repository and lock.
    pub(super) locks: Groups<(String, String), Waiting>,
    /// By who held it.
    pub(super) holders: Groups<(String, String), Waiting>,
    /// By what a person was waited for.
    pub(super) people: Groups<String, Waiting>,
    pub(super) users: Groups<String, User>,
    pub(super) slowest: Vec<Slow>,
    /// How many commands and failures there were in each slot.
    pub(super) slots: BTreeMap<i64, (u64, u64)>,
    /// How many commands there were in each hour of each day of the week.
    pub(super) hours: Hours,
}

/// Of each day of the week, from Monday, and hour.
#[derive(Debug, Default)]
pub(super) struct Hours(pub(super) [[u64; 24]; 7]);

impl Gathered {
    /// Adds a record that is not known yet.
    pub(super) fn add(&mut self, clock: Clock, found: &Match<'_>, id: u64) {
        let record = &found.record;
        let era = match found.time < clock.from {
            true => Era::Before,
            false => Era::Now,
        };
        self.records += 1;
        match record.event.as_str() {
            "commandfinish" | "commandlost" => {
                self.add_command(clock, found, id, era);
            }
            "exthook" | "pythonhook" | "hookrefused" => {
                self.add_hook(record, id, era);
            }
            "lockwait" => self.add_lock(record, id, era),
            "peerclose" => {
                let seconds = record.number("wire_time").or(record.duration);
                self.add_wait(record, era, seconds, |it| &mut it.network);
            }
            "userwait" => self.add_person(record, id, era),
            _ => {}
        }
    }

    fn add_command(
        &mut self,
        clock: Clock,
        found: &Match<'_>,
        id: u64,
        era: Era,
    ) {
        let record = &found.record;
        let seconds = record.duration;
        let is_failure = record.is_failure();
        let command = cut(record.command());
        let process = &record.process;
        let all = self.all.of(era);
        all.commands.add(id, seconds, is_failure);
        all.users.add(process.user.as_str());
        all.hosts.add(record.host.name.as_str());
        all.repositories.add(record.root());
        if is_failure {
            self.add_failure(found, &command, era);
        }
        if let Some(both) = self.commands.get(command.clone().into_owned()) {
            both.of(era).add(id, seconds, is_failure);
        }
        if era == Era::Before {
            return;
        }
        if let Some(user) = self.users.get(name(process.user.as_str())) {
            user.commands += 1;
            user.failures += u64::from(is_failure);
            user.seconds += seconds.unwrap_or(0.0);
        }
        let version = name(process.hg_version.as_str());
        if let Some(of) = self.versions.get(version.clone()) {
            of.users.add(process.user.as_str());
            of.hosts.add(record.host.name.as_str());
        }
        let key = (version, command.into_owned());
        if let Some(numbers) = self.by_version.get(key) {
            numbers.add(id, seconds, is_failure);
        }
        let slot = (found.time - clock.from).div_euclid(clock.slot);
        let slot = self.slots.entry(slot).or_default();
        slot.0 += 1;
        slot.1 += u64::from(is_failure);
        let (day, hour) = hour_of(found.time, found.offset);
        self.hours.0[day][hour] += 1;
        self.add_slow(found);
    }

    fn add_slow(&mut self, found: &Match<'_>) {
        let record = &found.record;
        let Some(seconds) = record.duration.filter(|it| it.is_finite()) else {
            return;
        };
        let is_slower = |it: &Slow| it.seconds < seconds;
        if self.slowest.len() >= SLOWEST
            && !self.slowest.last().is_some_and(is_slower)
        {
            return;
        }
        self.slowest.push(Slow {
            seconds,
            time: found.time,
            command: cut_at(record.command_line(), MAX_TEXT).into_owned(),
            user: cut(record.process.user.as_str()).into_owned(),
            host: cut(record.host.name.as_str()).into_owned(),
            repository: cut(record.repository()).into_owned(),
            trace: cut(record.trace_id.as_str()).into_owned(),
            exit: record.process.exit_code,
        });
        self.order_slowest();
    }

    fn order_slowest(&mut self) {
        self.slowest.sort_by(|a, b| {
            let by_time = a.time.cmp(&b.time);
            b.seconds.total_cmp(&a.seconds).then(by_time)
        });
        self.slowest.truncate(SLOWEST);
    }

    fn add_failure(&mut self, found: &Match<'_>, command: &str, era: Era) {
        let record = &found.record;
        let error = record.error().trim();
        let first = error.lines().next().unwrap_or_default();
        let kind = cut(&record.error_type()).into_owned();
        let key = (kind, command.to_owned(), wording(first));
        let Some(failures) = self.failures.get(key) else {
            return;
        };
        if era == Era::Before {
            failures.before += 1;
            return;
        }
        failures.now += 1;
        failures.users.add(record.process.user.as_str());
        if failures.now == 1 || failures.last < found.time {
            failures.last = found.time;
            failures.error = cut_at(error, MAX_TEXT).into_owned();
            failures.repository = cut(record.repository()).into_owned();
        }
    }

    fn add_hook(&mut self, record: &Record<'_>, id: u64, era: Era) {
        let named = match record.hook() {
            "" => record.text("hook"),
            hook => hook,
        };
        // One that has not run has refused, unless hg has passed over it.
        let is_refusal = record.options.get("vetoed")
            == Some(&serde_json::Value::Bool(true));
        let has_run = record.event.as_str() != "hookrefused";
        if has_run {
            let seconds = record.duration;
            self.add_wait(record, era, seconds, |it| &mut it.hooks);
        }
        self.all.of(era).refusals += u64::from(is_refusal);
        let Some(hook) = self.hooks.get(name(named)) else {
            return;
        };
        match era {
            Era::Before => {
                hook.before += 1;
                hook.refusals_before += u64::from(is_refusal);
            }
            Era::Now => {
                hook.runs.add(id, record.duration, is_refusal);
                hook.refusals += u64::from(is_refusal);
                if !has_run {
                    hook.reason = cut(record.text("reason")).into_owned();
                }
            }
        }
    }

    fn add_lock(&mut self, record: &Record<'_>, id: u64, era: Era) {
        let seconds = record.number("waited").or(record.duration);
        self.add_wait(record, era, seconds, |it| &mut it.locks);
        if era == Era::Before {
            return;
        }
        let in_vain = !matches!(record.text("outcome"), "" | "got");
        let user = record.process.user.as_str();
        let add = |waiting: &mut Waiting| {
            waiting.waits.add(id, seconds, in_vain);
            waiting.in_vain += u64::from(in_vain);
            waiting.users.add(user);
        };
        let lock = name(record.text("lock"));
        let repository = name(record.repository());
        let holder = name(record.text("holder"));
        let command = cut(record.text("holder_command")).into_owned();
        if let Some(waiting) = self.locks.get((repository, lock)) {
            add(waiting);
        }
        // Each run of a command is a holder of its own; their names are few.
        let key = match command.is_empty() {
            true => (holder, command),
            false => (cut(record.text("holder_host")).into_owned(), command),
        };
        if let Some(waiting) = self.holders.get(key) {
            add(waiting);
        }
    }

    fn add_person(&mut self, record: &Record<'_>, id: u64, era: Era) {
        let seconds = record.number("waited").or(record.duration);
        self.add_wait(record, era, seconds, |it| &mut it.people);
        if era == Era::Before {
            return;
        }
        let in_vain = !matches!(record.text("outcome"), "" | "done");
        if let Some(waiting) = self.people.get(name(record.text("kind"))) {
            waiting.waits.add(id, seconds, in_vain);
            waiting.in_vain += u64::from(in_vain);
            waiting.users.add(record.process.user.as_str());
        }
    }

    fn add_wait(
        &mut self,
        record: &Record<'_>,
        era: Era,
        seconds: Option<f64>,
        of: impl Fn(&mut Waits) -> &mut f64,
    ) {
        let seconds = seconds.filter(|it| it.is_finite() && *it >= 0.0);
        let seconds = seconds.unwrap_or(0.0);
        *of(&mut self.all.of(era).waits) += seconds;
        if era == Era::Now
            && let Some(user) =
                self.users.get(name(record.process.user.as_str()))
        {
            *of(&mut user.waits) += seconds;
        }
    }

    /// Adds what another thread has read.
    pub(super) fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.all.before.merge(other.all.before);
        self.all.now.merge(other.all.now);
        self.commands.merge(other.commands, Both::merge);
        self.by_version.merge(other.by_version, Numbers::merge);
        self.versions.merge(other.versions, |own, other| {
            own.users.merge(other.users);
            own.hosts.merge(other.hosts);
        });
        self.failures.merge(other.failures, |own, other| {
            if own.now == 0 || (other.now > 0 && own.last < other.last) {
                own.last = other.last;
                own.error = other.error;
                own.repository = other.repository;
            }
            own.now += other.now;
            own.before += other.before;
            own.users.merge(other.users);
        });
        self.hooks.merge(other.hooks, |own, other| {
            own.runs.merge(other.runs);
            own.refusals += other.refusals;
            own.before += other.before;
            own.refusals_before += other.refusals_before;
            if own.reason.is_empty() {
                own.reason = other.reason;
            }
        });
        self.locks.merge(other.locks, Waiting::merge);
        self.holders.merge(other.holders, Waiting::merge);
        self.people.merge(other.people, Waiting::merge);
        self.users.merge(other.users, |own, other| {
            own.commands += other.commands;
            own.failures += other.failures;
            own.seconds += other.seconds;
            own.waits.add(other.waits);
        });
        self.slowest.extend(other.slowest);
        self.order_slowest();
        for (slot, (commands, failures)) in other.slots {
            let own = self.slots.entry(slot).or_default();
            own.0 += commands;
            own.1 += failures;
        }
        for (own, other) in self.hours.0.iter_mut().zip(other.hours.0) {
            for (own, other) in own.iter_mut().zip(other) {
                *own += other;
            }
        }
    }
}

impl All {
    fn merge(&mut self, other: Self) {
        self.commands.merge(other.commands);
        self.users.merge(other.users);
        self.hosts.merge(other.hosts);
        self.repositories.merge(other.repositories);
        self.waits.add(other.waits);
        self.refusals += other.refusals;
    }
}

impl Waits {
    fn add(&mut self, other: Self) {
        self.locks += other.locks;
        self.hooks += other.hooks;
        self.network += other.network;
        self.people += other.people;
    }
}

impl Waiting {
    fn merge(&mut self, other: Self) {
        self.waits.merge(other.waits);
        self.in_vain += other.in_vain;
        self.users.merge(other.users);
    }
}

/// A name, or what stands for none.
fn name(text: &str) -> String {
    match text {
        "" => crate::stats::UNKNOWN.to_owned(),
        text => cut(text).into_owned(),
    }
}

/// The beginning of a long text.
fn cut(text: &str) -> Cow<'_, str> {
    cut_at(text, MAX_NAME)
}

pub(super) fn cut_at(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What errors have in common that differ in numbers, hashes and paths.
fn wording(error: &str) -> String {
    let is_plain = |word: &str| {
        !word.contains('/') && !word.bytes().any(|it| it.is_ascii_digit())
    };
    let words = error.split_whitespace().take(24);
    let words = words.map(|word| if is_plain(word) { word } else { "…" });
    cut(&words.collect::<Vec<_>>().join(" ")).into_owned()
}

/// The day of the week from Monday, and the hour, on the clock of the machine.
fn hour_of(time: i64, offset: i32) -> (usize, usize) {
    let hours =
        (time.div_euclid(1_000_000) + i64::from(offset)).div_euclid(3600);
    // 1970-01-01 was a Thursday.
    let day = (hours.div_euclid(24) + 3).rem_euclid(7);
    (day as usize, hours.rem_euclid(24) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_wording_are_one() {
        let a = wording("abort: no match under directory '/srv/a/b' in 3f2a1");
        let b = wording("abort: no match under directory '/home/c' in 99");
        assert_eq!(a, b);
        assert_ne!(a, wording("abort: no match"));
    }

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall() {
        // Monday, 2026-11-30, 23:30 UTC, and half an hour into Tuesday.
        let time = 1_796_081_400_000_000;
        assert_eq!(hour_of(time, 0), (0, 23));
        assert_eq!(hour_of(time, 3600), (1, 0));
    }
}
