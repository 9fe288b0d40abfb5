//! The state of all spools, seen from outside: their sinks, their records, and
//! why delivery fails.
//!
//! Read-only: creates no directory and takes no lock. Must not know how the
//! state is shown.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::iter;
use std::time::Duration;
use std::time::SystemTime;

use serde::Serialize;
use uilog_channel::lock_holder;
use uilog_channel::lock_holder::LockHolder;
use uilog_channel::sink_config::SinkConfig;
use uilog_event::event::Timestamp;
use uilog_spool::EVICT_LOCK;
use uilog_spool::SENDER_LOCK;
use uilog_spool::Sender;
use uilog_spool::Spool;

use crate::globals::Globals;
use crate::otlp;
use crate::otlp::backoff::Backoff;
use crate::otlp::json;
use crate::otlp::losses;
use crate::otlp::request::Mapped;
use crate::otlp::request::SignalType;
use crate::otlp::sender::Refused;
use crate::otlp::sender::UNNOTED;
use crate::otlp::settings;
use crate::otlp::settings::Settings;
use crate::otlp::unnoted;
use crate::redact;

/// What the URL of a sink with a spool begins with.
const SCHEME: &[u8] = b"otlp:";
/// How many reasons of rejections are shown.
const MAX_REASONS: usize = 5;
/// For how long a process that sends may do nothing that can be seen: longer
/// than a collector takes to answer, however often it is asked for a batch.
const HANGS_AFTER: Duration = Duration::from_secs(10 * 60);
/// What a sender writes: how far it is, and when the collector is asked again.
const SENDERS_FILES: [&str; 4] = [
    "sender.counts",
    "sender.progress",
    "retry-traces",
    "retry-logs",
];
const EVICTORS_FILES: [&str; 1] = ["evicted.counts"];

/// What a spool holds.
pub type Payloads = Box<dyn Iterator<Item = Result<Vec<u8>, String>>>;

/// A spool, or the place of one.
#[derive(Debug)]
pub struct Owned {
    /// The name of its sink.
    pub sink: String,
    /// The sink, unless it is configured no longer, or not here.
    pub definition: Option<SinkConfig>,
}

/// What there is to know of a spool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
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
    /// Records that have gone unsent because of the limits. These and the
    /// other losses count from when they were forgotten.
    pub evicted: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// Those of them that are kept.
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
    /// In how many seconds it is asked again, if there is something to send;
    /// 0 if at once.
    pub due_in: f64,
    /// How often it has failed in a row.
    pub failures: u32,
    /// Why the last time.
    pub reason: String,
    /// Which signals wait: `traces`, `logs`.
    pub signals: Vec<&'static str>,
    /// The one that waits, if the collector takes the other one.
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
            wait: unnoted::wait(spool.dir(), kind, now)?,
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

impl Facts {
    /// Whether it has a problem that a user should know.
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

impl Facts {
    /// The processes that hold a lock and do nothing, and the consequence.
    pub fn stuck(&self) -> impl Iterator<Item = (&Holder, &'static str)> {
        let sender = self.sender.iter().map(|it| (it, "nothing is sent"));
        let evictor = self.evictor.iter();
        let evictor = evictor.map(|it| (it, "nothing is evicted"));
        sender.chain(evictor).filter(|it| it.0.is_stuck)
    }
}

/// The spools of these sinks, and those whose sinks are not among them, by
/// their names.
///
/// # Errors
///
/// The directory of spools cannot be listed.
pub fn find(
    definitions: &[SinkConfig],
    globals: &Globals,
) -> Result<Vec<Owned>, String> {
    let has_spool = |it: &&SinkConfig| it.url.starts_with(SCHEME);
    let mut spools: Vec<Owned> = definitions
        .iter()
        .filter(has_spool)
        .map(|it| Owned {
            sink: it.name.clone(),
            definition: Some(it.clone()),
        })
        .collect();
    let Ok(dir) = &globals.spool else {
        return Ok(spools);
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(spools);
        }
        Err(error) => {
            return Err(format!("cannot list {}: {error}", dir.display()));
        }
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let entry = entry
            .map_err(|error| format!("cannot list {}: {error}", dir.display()));
        let entry = entry?;
        let is_dir = entry.file_type().is_ok_and(|it| it.is_dir());
        if let (true, Ok(name)) = (is_dir, entry.file_name().into_string()) {
            names.insert(name);
        }
    }
    for name in names {
        if !spools.iter().any(|it| it.sink == name) {
            spools.push(Owned {
                sink: name,
                definition: None,
            });
        }
    }
    spools.sort_by(|a, b| a.sink.cmp(&b.sink));
    Ok(spools)
}

impl Owned {
    /// Looks at it.
    pub fn facts(&self, globals: &Globals, now: SystemTime) -> Facts {
        let dir = otlp::spool_dir(&self.sink, globals);
        let mut facts = Facts {
            sink: self.sink.clone(),
            url: self.definition.as_ref().map(SinkConfig::shown_url),
            dir: dir.ok().map(|it| it.display().to_string()),
            ..Facts::default()
        };
        let result = otlp::find_spool(&self.sink, globals)
            .and_then(|spool| spool.map_or(Ok(()), |it| facts.add(&it, now)));
        facts.problem = result.err();
        if let Some(definition) = &self.definition {
            match Settings::new(definition, globals) {
                Ok(settings) => {
                    facts.unsendable = settings.proxy_problem();
                    facts.warnings = settings.warnings;
                }
                Err(problem) => facts.unsendable = Some(problem),
            }
        }
        facts
    }

    /// Acknowledges losses, and removes the rejected records if requested;
    /// returns how many, or None if another process is sending.
    ///
    /// # Errors
    ///
    /// The spool is not safe, or cannot be read or written.
    pub fn forget(
        &self,
        globals: &Globals,
        is_rejected: bool,
    ) -> Result<Option<u64>, String> {
        let Some(spool) = otlp::find_spool(&self.sink, globals)? else {
            return Ok(Some(0));
        };
        let sender = Sender::try_lock(&spool);
        let forgotten = sender.and_then(|sender| {
            sender.map(|mut it| it.forget(is_rejected)).transpose()
        });
        forgotten.map_err(|error| error.to_string())
    }

    /// Appends the rejected records that are kept to the waiting ones; returns
    /// how many, or None if another process is sending.
    ///
    /// # Errors
    ///
    /// The spool is not safe, or cannot be read or written.
    pub fn requeue(&self, globals: &Globals) -> Result<Option<u64>, String> {
        let Some(spool) = otlp::find_spool(&self.sink, globals)? else {
            return Ok(Some(0));
        };
        let sender = Sender::try_lock(&spool);
        let requeue = |mut sender: Sender| {
            let requeued = sender.requeue();
            losses::forget_requeued(&spool);
            requeued
        };
        let requeued =
            sender.and_then(|sender| sender.map(requeue).transpose());
        requeued.map_err(|error| error.to_string())
    }

    /// The waiting or rejected records, the oldest first: each a line of JSON
    /// without its end, or why it cannot be read.
    ///
    /// # Errors
    ///
    /// The spool is not safe or cannot be read.
    pub fn payloads(
        &self,
        globals: &Globals,
        is_rejected: bool,
    ) -> Result<Payloads, String> {
        let Some(spool) = otlp::find_spool(&self.sink, globals)? else {
            return Ok(Box::new(iter::empty()));
        };
        let text = |error: uilog_spool::Error| error.to_string();
        Ok(if is_rejected {
            let rejected = spool.rejected().map_err(text)?;
            Box::new(rejected.map(move |it| match it {
                Ok(it) => Ok(it.record.payload),
                Err(error) => Err(text(error)),
            }))
        } else {
            let records = spool.records().map_err(text)?;
            Box::new(records.map(move |it| match it {
                Ok(it) => Ok(it.payload),
                Err(error) => Err(text(error)),
            }))
        })
    }
}

impl Facts {
    fn add(&mut self, spool: &Spool, now: SystemTime) -> Result<(), String> {
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

/// Translates records into what OpenTelemetry's file exporter writes: one JSON
/// object a line.
// OpenTelemetry: "OpenTelemetry Protocol File Exporter"
#[derive(Debug, Default)]
pub struct Translator {
    resource: Vec<(String, String)>,
}

impl Translator {
    /// For the records of this sink, with its configured resource, if that is
    /// valid: the settings for sending do not matter.
    pub fn new(owned: &Owned, globals: &Globals) -> Self {
        let definition = owned.definition.as_ref();
        let resource = definition.map(|it| settings::resource(it, globals));
        Self {
            resource: resource.unwrap_or_default(),
        }
    }

    /// The line of a record, and to which file it belongs.
    ///
    /// # Errors
    ///
    /// It is no record.
    pub fn line(
        &self,
        payload: &[u8],
    ) -> Result<(SignalType, Vec<u8>), String> {
        let mapped = Mapped::read(payload, None)?;
        let mut line = json::line(&mapped, &self.resource)?;
        line.push(b'\n');
        Ok((mapped.kind(), line))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use uilog_spool::Options;
    use uilog_spool::RecordId;
    use uilog_spool::Writer;

    use super::*;

    fn globals(dir: &Path) -> Globals {
        let dir = dir.to_str().unwrap().as_bytes().to_vec();
        Globals::new(&[(b"spool".to_vec(), dir)], b"")
    }

    fn sink(name: &str, url: &str) -> SinkConfig {
        SinkConfig {
            name: name.to_owned(),
            url: url.as_bytes().to_vec(),
            options: Vec::new(),
        }
    }

    fn append(dir: &Path, payload: &[u8]) {
        let spool = Spool::open(dir, Options::default()).unwrap();
        let id = RecordId::new(&[7; 24]).unwrap();
        Writer::new(&spool).append(&id, payload).unwrap();
    }

    #[test]
    fn spools_are_found_and_none_is_made() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("spools");
        let globals = globals(&dir);
        let sinks = [sink("b", "otlp:"), sink("c", "syslog:")];
        let names = |found: &[Owned]| -> Vec<String> {
            found.iter().map(|it| it.sink.clone()).collect()
        };
        let found = find(&sinks, &globals).unwrap();
        assert_eq!(names(&found), ["b"]);
        let facts = found[0].facts(&globals, SystemTime::now());
        assert!(!facts.exists && !facts.is_troubled(), "{facts:?}");
        assert!(!dir.exists());
        append(&dir.join("a"), b"{}");
        append(&dir.join("c"), b"{}");
        let found = find(&sinks, &globals).unwrap();
        // The spool of a sink with another URL now belongs to no sink, too.
        assert_eq!(names(&found), ["a", "b", "c"]);
        let facts = found[0].facts(&globals, SystemTime::now());
        assert_eq!((facts.pending, facts.pending_bytes), (1, 2));
        assert!(facts.is_troubled(), "nobody sends it");
        let payloads = found[0].payloads(&globals, false).unwrap();
        assert_eq!(payloads.collect::<Vec<_>>(), [Ok(b"{}".to_vec())]);
        assert_eq!(found[0].payloads(&globals, true).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_record_is_not_translated() {
        let temporary = tempfile::tempdir().unwrap();
        let globals = globals(temporary.path());
        let owned = Owned {
            sink: "a".to_owned(),
            definition: Some(sink("a", "otlp:")),
        };
        let translator = Translator::new(&owned, &globals);
        let why = translator.line(b"{}").unwrap_err();
        assert!(why.starts_with("it is not a record"), "{why}");
    }
}
