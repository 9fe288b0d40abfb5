//! Sinks `otlp:`: a collector of OpenTelemetry, over HTTP.
//!
//! A record is acknowledged into the sink's own spool before any network is
//! tried, and leaves it when the collector has accepted it: see docs/otlp.md.
//!
//! - `settings` is what is configured, `endpoint` the URLs in it, and `proxy`
//!   what the environment says of proxies; `reported` is which trouble with
//!   them is known already.
//! - `mapping` is a record in OpenTelemetry's terms, `request` what is sent of
//!   it, `json` the same for files, `http` how it is sent, `connector` that in
//!   TLS, `explain` why it could not be, `verdict` what the answer means, and
//!   `retry_after` when it wants to be asked again.
//! - `ship` is what becomes of a batch, `sender` who sends batch after batch,
//!   and `backoff` when.
//!
//! Here is what the dispatcher's thread does: it appends, and never waits for
//! a collector.

pub mod backoff;
pub(crate) mod connect;
mod connector;
mod endpoint;
mod explain;
pub mod http;
pub mod json;
pub mod mapping;
mod proxy;
mod reported;
pub mod request;
mod retry_after;
pub mod sender;
pub mod settings;
pub mod ship;
pub mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use uilog_core::sinks::Definition;
use uilog_spool::Limits;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Spool;
use uilog_spool::Writer;

use crate::globals::Globals;
use crate::otlp::http::Collector;
use crate::otlp::sender::Flushed;
use crate::otlp::sender::Progress;
use crate::otlp::sender::Sending;
use crate::otlp::sender::Worker;
use crate::otlp::settings::Settings;
use crate::otlp::settings::Surroundings;
use crate::outlet::Lost;
use crate::outlet::Outlet;
use crate::outlet::Undelivered;
use crate::record::Record;

/// A sink `otlp:`.
#[derive(Debug)]
pub struct Otlp {
    spool: Spool,
    writer: Writer,
    /// Why nothing can be sent, if it cannot.
    settings: Result<Settings, String>,
    /// What is wrong with the settings, until it has been reported.
    trouble: Option<String>,
    worker: Option<Worker>,
}

/// Opens the sink. Nothing is sent before something is delivered. Settings are
/// needed to send: without them records wait in the spool.
///
/// # Errors
///
/// The spool's directory is not safe, or there is no place for it.
pub fn open(
    definition: &Definition,
    globals: &Globals,
) -> Result<Otlp, String> {
    let settings = Settings::new(definition, globals);
    let spool = spool(definition, globals)?;
    Ok(Otlp::new(spool, settings))
}

/// The spool of a sink `otlp:`.
///
/// # Errors
///
/// There is no place for it, or its directory is not safe.
pub fn spool(
    definition: &Definition,
    globals: &Globals,
) -> Result<Spool, String> {
    let dir = spool_dir(&definition.name, globals)?;
    let spool = Spool::open(&dir, spool_options(globals));
    spool.map_err(|error| error.to_string())
}

/// The spool of the sink of this name, if it is there. Creates nothing.
///
/// # Errors
///
/// As [`spool`].
pub fn find_spool(
    name: &str,
    globals: &Globals,
) -> Result<Option<Spool>, String> {
    let dir = spool_dir(name, globals)?;
    let spool = Spool::find(&dir, spool_options(globals));
    spool.map_err(|error| error.to_string())
}

/// Where the spool of the sink of this name is, or will be.
///
/// # Errors
///
/// There is no place for it.
pub fn spool_dir(name: &str, globals: &Globals) -> Result<PathBuf, String> {
    let spools = globals.spool.as_ref().map_err(Clone::clone)?;
    // A name has letters, digits, `-` and `_` only.
    Ok(spools.join(name))
}

fn spool_options(globals: &Globals) -> Options {
    let max_bytes = globals.spool_max_bytes;
    Options {
        limits: Limits {
            max_bytes,
            max_age: globals.spool_max_age,
            max_rejected_bytes: max_bytes / 8,
        },
        home: globals.home.clone(),
        ..Options::default()
    }
}

/// Appends a record to the spool of a sink, and sends nothing.
///
/// # Errors
///
/// As [`open`], or the spool cannot take it.
pub fn append(
    definition: &Definition,
    globals: &Globals,
    record: &Record,
) -> Result<(), String> {
    let mut writer = Writer::new(&spool(definition, globals)?);
    append_to(&mut writer, record)?;
    writer.close().map_err(|error| error.to_string())
}

/// Looks whether a sink can be what it is configured to be: at the settings,
/// and at the files, which may still be mended. Asks nobody, and creates
/// nothing.
///
/// # Errors
///
/// What is wrong.
pub fn check(definition: &Definition, globals: &Globals) -> Result<(), String> {
    let settings = Settings::new(definition, globals)?;
    globals.spool.as_ref().map_err(Clone::clone)?;
    Collector::new(settings).check()
}

/// Sends what waits in the spool of a sink, now: without regard to what the
/// collector has asked for. `progress` is told after each batch.
///
/// # Errors
///
/// As [`open`], or the settings make no sense.
pub fn flush(
    definition: &Definition,
    globals: &Globals,
    progress: &mut dyn FnMut(Progress),
) -> Result<Flushed, String> {
    let settings = Settings::new(definition, globals)?;
    let spool = spool(definition, globals)?;
    Ok(sending(&spool, &settings).flush(progress))
}

fn sending(spool: &Spool, settings: &Settings) -> Sending<Collector> {
    let collector = Collector::new(settings.clone());
    Sending::new(spool, collector, settings.resource.clone())
}

fn append_to(writer: &mut Writer, record: &Record) -> Result<(), String> {
    let id = id(record).ok_or("the record has no id")?;
    let payload = serde_json::to_vec(record)
        .map_err(|error| format!("the record as JSON: {error}"))?;
    let appended = writer.append(&id, &payload);
    appended.map(drop).map_err(|error| error.to_string())
}

/// What becomes of records as long as the settings make no sense.
pub(crate) fn unsendable(problem: &str) -> String {
    format!("everything waits in the spool, and nothing is sent: {problem}")
}

impl Surroundings for Globals {
    fn variable(&self, name: &str) -> Option<String> {
        let value = Self::variable(self, name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn path(&self, text: &[u8]) -> Result<PathBuf, String> {
        Self::path(self, text)
    }
}

impl Otlp {
    /// A sink with this spool, and these settings or what is wrong with them.
    pub fn new(spool: Spool, settings: Result<Settings, String>) -> Self {
        let trouble = match &settings {
            Ok(settings) => settings.warnings.join("; "),
            Err(problem) => unsendable(problem),
        };
        Self {
            writer: Writer::new(&spool),
            spool,
            settings,
            trouble: Some(trouble).filter(|it| !it.is_empty()),
            worker: None,
        }
    }

    /// There is something to send. If there can be no thread, the next command
    /// sends it.
    fn wake(&mut self) {
        let Ok(settings) = &self.settings else {
            return;
        };
        if self.worker.as_ref().is_none_or(Worker::has_ended) {
            let sending = sending(&self.spool, settings);
            self.worker = Worker::start(sending).ok();
        }
        if let Some(worker) = &self.worker {
            worker.wake();
        }
    }
}

impl Outlet for Otlp {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        _deadline: Instant,
    ) -> Result<(), Undelivered> {
        let mut lost = Lost::default();
        let mut is_any = false;
        for record in records {
            match append_to(&mut self.writer, record) {
                Ok(()) => is_any = true,
                Err(reason) => lost.add(1, || reason),
            }
        }
        if is_any {
            self.wake();
        }
        let trouble = self.trouble.take().filter(|trouble| {
            reported::is_due(self.spool.dir(), trouble, SystemTime::now())
        });
        if let Some(trouble) = trouble {
            lost.note(trouble);
        }
        lost.result()
    }

    fn rest(&mut self) {
        // What could not be synced is still there unless the power fails.
        let _ = self.writer.close();
    }

    /// What has not been sent by then waits for the next command's.
    fn finish(&mut self, deadline: Instant) -> Result<(), Undelivered> {
        self.rest();
        if let Some(worker) = self.worker.take() {
            worker.finish(deadline);
        }
        Ok(())
    }
}

/// A record's id in the spool: the session's and the number in it.
pub fn id(record: &Record) -> Option<RecordId> {
    let session = mapping::hex(&record.session, 16)?;
    let seq = record.seq.to_be_bytes();
    RecordId::new(&[&session[..], &seq].concat())
}
