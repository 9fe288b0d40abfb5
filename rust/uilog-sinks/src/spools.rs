//! The spools that there are, as one looks at them from outside: whose they
//! are, what is in them, what keeps it from being sent.
//!
//! Changes nothing: no directory is made, no lock is taken. How it is shown is
//! not known here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::io::Write;
use std::time::SystemTime;

use serde::Serialize;
use uilog_core::sinks::Definition;
use uilog_spool::Spool;

use crate::globals::Globals;
use crate::otlp;
use crate::otlp::backoff::Backoff;
use crate::otlp::mapping;
use crate::otlp::request;
use crate::otlp::request::Kind;
use crate::otlp::request::Mapped;
use crate::otlp::request::Origin;
use crate::otlp::settings::Settings;
use crate::record::Record;

/// What the URL of a sink with a spool begins with.
const SCHEME: &[u8] = b"otlp:";
/// How many reasons of rejections are told.
const MAX_REASONS: usize = 5;

/// A spool, or the place of one.
#[derive(Debug)]
pub struct Owned {
    /// The name of its sink.
    pub sink: String,
    /// The sink, unless it is configured no longer, or not here.
    pub definition: Option<Definition>,
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
    /// Records that have gone unsent because of the limits.
    pub evicted: u64,
    /// Records that have been rejected.
    pub rejected: u64,
    /// Those of them that are kept.
    pub rejected_kept: u64,
    /// Why the last ones were rejected, each reason once, the last one last.
    pub reasons: Vec<String>,
    /// Records that are lost because a file was damaged.
    pub damaged: u64,
    /// Files that cannot be read.
    pub unreadable: u64,
    /// How often the counts were damaged and began anew.
    pub counts_lost: u64,
    /// Set while the collector takes nothing.
    pub retry: Option<Retry>,
}

/// What is known of a collector that takes nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retry {
    /// In how many seconds it is asked again, if there is something to send;
    /// 0 if at once.
    pub due_in: f64,
    /// How often it has failed in a row.
    pub failures: u32,
    /// Why the last time.
    pub reason: String,
}

impl Facts {
    /// Whether there is anything that somebody ought to know.
    pub fn is_troubled(&self) -> bool {
        let is_left = self.url.is_none() && self.pending > 0;
        self.problem.is_some()
            || self.retry.is_some()
            || is_left
            || self.evicted + self.rejected + self.damaged > 0
            || self.unreadable + self.counts_lost > 0
    }
}

/// The spools of these sinks, and those whose sinks are not among them, by
/// their names.
///
/// # Errors
///
/// The directory of spools cannot be listed.
pub fn find(
    definitions: &[Definition],
    globals: &Globals,
) -> Result<Vec<Owned>, String> {
    let has_spool = |it: &&Definition| it.url.starts_with(SCHEME);
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
            url: self.definition.as_ref().map(Definition::shown_url),
            dir: dir.ok().map(|it| it.display().to_string()),
            ..Facts::default()
        };
        let result = otlp::find_spool(&self.sink, globals)
            .and_then(|spool| spool.map_or(Ok(()), |it| facts.add(&it, now)));
        facts.problem = result.err();
        facts
    }

    /// Calls `each` with what waits, or what has been rejected, the oldest
    /// first, each a line of JSON without its end; returns how many records
    /// could not be read.
    ///
    /// # Errors
    ///
    /// The spool is not safe or cannot be read, or `each` fails.
    pub fn for_each(
        &self,
        globals: &Globals,
        is_rejected: bool,
        each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<u64, String> {
        let text = |error: uilog_spool::Error| error.to_string();
        let Some(spool) = otlp::find_spool(&self.sink, globals)? else {
            return Ok(0);
        };
        let mut unreadable = 0;
        if is_rejected {
            for rejected in spool.rejected().map_err(text)? {
                match rejected {
                    Ok(rejected) => each(&rejected.record.payload)?,
                    Err(_) => unreadable += 1,
                }
            }
        } else {
            for record in spool.records().map_err(text)? {
                match record {
                    Ok(record) => each(&record.payload)?,
                    Err(_) => unreadable += 1,
                }
            }
        }
        Ok(unreadable)
    }
}

impl Facts {
    fn add(&mut self, spool: &Spool, now: SystemTime) -> Result<(), String> {
        self.exists = true;
        let stats = spool.stats().map_err(|error| error.to_string())?;
        self.pending = stats.pending;
        self.pending_bytes = stats.pending_bytes;
        self.oldest = stats.oldest.map(|it| it.as_secs_f64());
        self.file_bytes = stats.file_bytes;
        self.sent = stats.sent;
        self.evicted = stats.evicted;
        self.rejected = stats.rejected;
        self.damaged = stats.damaged;
        self.unreadable = stats.unreadable;
        self.counts_lost = stats.counts_lost;
        let rejected = spool.rejected().map_err(|error| error.to_string())?;
        for rejected in rejected.flatten() {
            self.rejected_kept += 1;
            let reason = String::from_utf8_lossy(&rejected.reason);
            self.reasons.retain(|it| *it != reason);
            self.reasons.push(reason.into_owned());
            if self.reasons.len() > MAX_REASONS {
                self.reasons.remove(0);
            }
        }
        let backoff = Backoff::load(spool.dir(), now);
        if backoff.failures > 0 {
            let wait = backoff.wait(now).unwrap_or_default();
            self.retry = Some(Retry {
                due_in: wait.as_secs_f64(),
                failures: backoff.failures,
                reason: backoff.reason,
            });
        }
        Ok(())
    }
}

/// Writes records as OpenTelemetry's file exporter does: a JSON object a line,
/// traces apart from logs.
// OpenTelemetry: "OpenTelemetry Protocol File Exporter"
#[derive(Debug)]
pub struct Exporter<W> {
    traces: W,
    logs: W,
    resource: Vec<(String, String)>,
}

impl<W: Write> Exporter<W> {
    /// Writes to these, with what is configured of the resource.
    pub fn new(
        owned: &Owned,
        globals: &Globals,
        traces: W,
        logs: W,
    ) -> Result<Self, String> {
        let settings = owned.definition.as_ref().map(|it| {
            let settings = Settings::new(it, globals);
            settings.map_err(|why| format!("{}: {why}", it.item()))
        });
        Ok(Self {
            traces,
            logs,
            resource: settings
                .transpose()?
                .map_or(Vec::new(), |it| it.resource),
        })
    }

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// It is none, or cannot be written.
    pub fn write(&mut self, payload: &[u8]) -> Result<(), String> {
        let record: Record = serde_json::from_slice(payload)
            .map_err(|error| format!("it is no record: {error}"))?;
        let mapped = Mapped {
            origin: Origin::of(&record),
            signal: mapping::map(&record).map_err(|it| it.to_string())?,
        };
        let mut line = request::to_json(&mapped, &self.resource)?;
        line.push(b'\n');
        let output = match mapped.kind() {
            Kind::Traces => &mut self.traces,
            Kind::Logs => &mut self.logs,
        };
        output.write_all(&line).map_err(|it| it.to_string())
    }

    /// Gives back what it has written to: traces, then logs.
    pub fn into_inner(self) -> (W, W) {
        (self.traces, self.logs)
    }
}
