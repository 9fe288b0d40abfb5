//! What there is to know of a spool.
//!
//! Must not know where the spool is.

use std::fs;
use std::iter;
use std::time::Duration;
use std::time::SystemTime;

use serde::Serialize;
use uilog_channel::lock_holder;
use uilog_channel::lock_holder::LockHolder;
use uilog_event::event::Timestamp;
use uilog_spool::EVICT_LOCK;
use uilog_spool::SENDER_LOCK;
use uilog_spool::Spool;

use crate::otlp::backoff::Backoff;
use crate::otlp::request::SignalType;
use crate::otlp::sender::Refused;
use crate::otlp::sender::UNNOTED;
use crate::otlp::unsaved_progress;
use crate::redact;

/// How many reasons of rejections are shown.
const MAX_REASONS: usize = 5;
/// How long a sending process may show no progress: longer than the answers to
/// all attempts for a batch can take.
const HANGS_AFTER: Duration = Duration::from_secs(10 * 60);
/// The files that a sender writes: its progress, and the times of the next
/// requests.
const SENDERS_FILES: [&str; 4] = [
    "sender.counts",
    "sender.progress",
    "retry-traces",
    "retry-logs",
];
const EVICTORS_FILES: [&str; 1] = ["evicted.counts"];

/// The state of a spool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SpoolFacts {
    /// The name of its sink.
    pub sink: String,
    /// Where that leads; nowhere, if it is not configured here.
    pub url: Option<String>,
    /// Its directory.
    pub dir: Option<String>,
    /// Whether that is there.
    pub exists: bool,
    /// Why it cannot be used, if so.
    pub problem: Option<String>,
    /// Records that wait.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// For how many seconds the oldest of them has waited.
    pub oldest: Option<f64>,
    /// Bytes of the files.
    pub file_bytes: u64,
    /// Records that have been accepted.
    pub sent: u64,
    /// Records that were removed unsent because of the limits. These and the
    /// other losses count since they were last acknowledged.
    pub evicted: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// How many of them are still stored.
    pub rejected_kept: u64,
    /// Why the last ones were rejected, each reason once, the last one last.
    pub reasons: Vec<String>,
    /// Records that are lost because a file was damaged.
    pub damaged: u64,
    /// Files that are empty, because another program has truncated them.
    pub empty: u64,
    /// Files that cannot be read.
    pub unreadable: u64,
    /// How often the counts were damaged and restarted.
    pub counts_lost: u64,
    /// Records that this program cannot send, because a later one has written
    /// them, or some before them in the same file.
    pub held_back: u64,
    /// Set while delivery fails.
    pub retry: Option<Retry>,
    /// Why nothing can be sent as the sink is configured here, if so.
    pub unsendable: Option<String>,
    /// What of its configuration is ignored here, or was probably not meant.
    pub warnings: Vec<String>,
    /// Set while a process sends: no other process can.
    pub sender: Option<Holder>,
    /// Set while a process evicts records: no other process can.
    pub evictor: Option<Holder>,
}

/// The process that holds one of the spool's locks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Holder {
    /// The process.
    #[serde(flatten)]
    pub process: LockHolder,
    /// For how many seconds it has done nothing that can be seen.
    pub idle: f64,
    /// Since when that is: RFC 3339.
    pub since: String,
    /// It is stopped, or has done nothing for so long that it hangs.
    pub is_stuck: bool,
}

impl Holder {
    /// The process that has locked this file of a spool; the modification times
    /// of `files` show when it last did something.
    fn of(
        spool: &Spool,
        lock: &str,
        files: &[&str],
        now: SystemTime,
    ) -> Option<Self> {
        let process = lock_holder::of(&spool.dir().join(lock))?;
        let idle_of = |name: &&str| {
            let metadata = fs::symlink_metadata(spool.dir().join(name)).ok()?;
            let modified = metadata.modified().ok()?;
            Some(now.duration_since(modified).unwrap_or_default())
        };
        let age = process
            .age
            .and_then(|it| Duration::try_from_secs_f64(it).ok());
        let names = iter::once(&lock).chain(files);
        let idle = names.filter_map(idle_of).chain(age).min();
        let idle = idle.unwrap_or_default();
        Some(Self {
            is_stuck: process.is_stopped() || idle > HANGS_AFTER,
            idle: idle.as_secs_f64(),
            since: ago(idle).to_rfc3339(),
            process,
        })
    }

    /// The process, its state and since when, for people.
    pub fn describe(&self) -> String {
        let LockHolder {
            pid,
            program,
            state,
            ..
        } = &self.process;
        format!("process {pid} ({program}), {state} since {}", self.since)
    }
}

/// The state of a failing delivery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retry {
    /// Seconds until the next request, if there is something to send; 0 if it
    /// is due.
    pub due_in: f64,
    /// How often it has failed in a row.
    pub failures: u32,
    /// Why the last time.
    pub reason: String,
    /// Which signals wait: `traces`, `logs`.
    pub signals: Vec<&'static str>,
    /// The signal that waits, if the collector accepts the other one.
    #[serde(skip)]
    pub only: Option<&'static str>,
}

/// A signal that waits, for how long, and why.
struct Waiting {
    kind: SignalType,
    wait: Duration,
    failures: u32,
    reason: String,
}

impl Waiting {
    fn of(spool: &Spool, kind: SignalType, now: SystemTime) -> Option<Self> {
        let backoff = Backoff::load(spool.dir(), kind, now);
        if backoff.failures > 0 {
            return Some(Self {
                kind,
                wait: backoff.wait(now).unwrap_or_default(),
                failures: backoff.failures,
                reason: backoff.reason,
            });
        }
        Some(Self {
            kind,
            wait: unsaved_progress::wait(spool.dir(), kind, now)?,
            failures: 1,
            reason: UNNOTED.to_owned(),
        })
    }
}

impl Retry {
    fn of(spool: &Spool, waiting: Vec<Waiting>) -> Option<Self> {
        let soonest = waiting.iter().map(|it| it.wait).min()?;
        let failures = waiting.iter().map(|it| it.failures).max()?;
        let reasons: Vec<_> =
            waiting.iter().map(|it| (it.kind, &*it.reason)).collect();
        let refused = if waiting.iter().all(|it| it.reason == UNNOTED) {
            // The collector refuses nothing.
            Refused {
                only: None,
                reason: UNNOTED.to_owned(),
            }
        } else {
            Refused::new(spool.dir(), &reasons)
        };
        Some(Self {
            due_in: soonest.as_secs_f64(),
            failures,
            reason: redact::shown(&refused.reason),
            only: refused.only.map(SignalType::name),
            signals: waiting.iter().map(|it| it.kind.name()).collect(),
        })
    }

    /// What fails, in words.
    pub fn failing(&self) -> String {
        match self.only {
            Some(signal) => format!("delivery of {signal} failing"),
            None => "delivery failing".to_owned(),
        }
    }
}

impl SpoolFacts {
    /// Whether it has a problem that the user should know about.
    pub fn is_troubled(&self) -> bool {
        let is_left = self.url.is_none() && self.pending > 0;
        self.problem.is_some()
            || self.retry.is_some()
            || self.unsendable.is_some()
            || !self.warnings.is_empty()
            || self.stuck().next().is_some()
            || self.held_back > 0
            || is_left
            || self.evicted + self.rejected + self.damaged > 0
            || self.unreadable + self.counts_lost > 0
    }
}

/// The time that was so long ago.
fn ago(time: Duration) -> Timestamp {
    let now = Timestamp::now();
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Timestamp {
        micros: now.micros.saturating_sub(micros),
        ..now
    }
}

impl SpoolFacts {
    /// The processes that hold a lock and do nothing, and the consequence.
    pub fn stuck(&self) -> impl Iterator<Item = (&Holder, &'static str)> {
        let sender = self.sender.iter().map(|it| (it, "nothing is sent"));
        let evictor = self.evictor.iter();
        let evictor = evictor.map(|it| (it, "nothing is evicted"));
        sender.chain(evictor).filter(|it| it.0.is_stuck)
    }
}

impl SpoolFacts {
    pub(super) fn add(
        &mut self,
        spool: &Spool,
        now: SystemTime,
    ) -> Result<(), String> {
        self.exists = true;
        let stats = spool.new_stats().map_err(|error| error.to_string())?;
        self.pending = stats.pending;
        self.pending_bytes = stats.pending_bytes;
        self.oldest = stats.oldest.map(|it| it.as_secs_f64());
        self.file_bytes = stats.file_bytes;
        self.sent = stats.sent;
        self.evicted = stats.evicted;
        self.rejected = stats.rejected;
        self.damaged = stats.damaged;
        self.empty = stats.empty;
        self.unreadable = stats.unreadable;
        self.counts_lost = stats.counts_lost;
        let rejected = spool.rejected().map_err(|error| error.to_string())?;
        for rejected in rejected.flatten() {
            self.rejected_kept += 1;
            // The collector may have repeated what it was sent.
            let reason = String::from_utf8_lossy(&rejected.reason);
            let reason = redact::shown(&reason);
            self.reasons.retain(|it| *it != reason);
            self.reasons.push(reason);
            if self.reasons.len() > MAX_REASONS {
                self.reasons.remove(0);
            }
        }
        self.held_back = stats.held_back;
        self.sender = Holder::of(spool, SENDER_LOCK, &SENDERS_FILES, now);
        self.evictor = Holder::of(spool, EVICT_LOCK, &EVICTORS_FILES, now);
        let waiting = SignalType::ALL.map(|kind| Waiting::of(spool, kind, now));
        self.retry = Retry::of(spool, waiting.into_iter().flatten().collect());
        Ok(())
    }
}
