//! Sinks `otlp:`: a collector of OpenTelemetry, over HTTP.
//!
//! A record is written to the sink's spool before any network is used, and is
//! removed when the collector has accepted it: see docs/otlp.md.
//!
//! - `settings` has the configuration, `endpoint` its URLs, and `proxy` the
//!   proxies in the environment; `reported` remembers which problems with them
//!   were reported.
//! - `stored` is a record in the spool, `signal` decides to which of the two
//!   signals it belongs. `mapping` converts it to OpenTelemetry, with
//!   `attributes`, in the encoding of `protobuf`. `request` is the body of a
//!   request, `json` the same for files. `http` sends it, `connector` by TLS,
//!   and `explain` describes errors.
//! - `verdict` is the meaning of an answer, `body` decides whether it comes
//!   from a collector, and `retry_after` when to retry.
//! - `losses` reports losses to the collector.
//! - `ship` sends a batch and handles the results, `sender` sends batch after
//!   batch. `backoff` decides when, `unsaved_progress` does so if nothing can be
//!   written, and `accepted` remembers what an endpoint has accepted.
//! - `appender` appends records to the spool, `printable` makes lines of the text
//!   of others.
//! - `memo` is a small file by which these inform the next process.
//!
//! This module has the sink's thread, which appends and never waits for a
//! collector.

pub mod accepted;
pub mod appender;
mod attributes;
pub mod backoff;
pub mod body;
mod cache_file;
pub(crate) mod connect;
mod connector;
mod endpoint;
mod explain;
pub mod http;
pub mod json;
pub mod losses;
pub mod mapping;
mod printable;
mod protobuf;
mod proxy;
mod reported;
pub mod request;
mod resolver;
mod retry_after;
pub mod sender;
pub mod settings;
pub mod ship;
pub mod signal;
mod stored;
pub mod unsaved_progress;
pub mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use uilog_channel::queue::Delivery;
use uilog_channel::sink_config::SinkConfig;
use uilog_spool::HoldBack;
use uilog_spool::Limits;
use uilog_spool::Options;
use uilog_spool::Spool;

use crate::globals::Globals;
use crate::otlp::appender::Appender;
use crate::otlp::http::Collector;
use crate::otlp::losses::Reports;
use crate::otlp::sender::Flushed;
use crate::otlp::sender::Progress;
use crate::otlp::sender::Sending;
use crate::otlp::sender::Worker;
use crate::otlp::settings::Settings;
use crate::otlp::settings::VariableLookup;
use crate::record;
use crate::record::Record;
use crate::sink::LossReport;
use crate::sink::LossSum;
use crate::sink::Sink;

/// A sink `otlp:`.
#[derive(Debug)]
pub struct Otlp {
    spool: Spool,
    appender: Appender,
    /// Why nothing can be sent, if it cannot.
    settings: Result<Settings, String>,
    /// A problem with the settings, until it has been reported.
    trouble: Option<String>,
    reports: Option<Reports>,
    worker: Option<Worker>,
    /// The thread knows that a process waits.
    is_hurried: bool,
}

/// Opens the sink. Nothing is sent before something is delivered. Settings are
/// needed to send: without them records wait in the spool.
///
/// # Errors
///
/// The spool's directory is not safe, or there is no place for it.
pub fn open(
    definition: &SinkConfig,
    globals: &Globals,
) -> Result<Otlp, String> {
    let settings = Settings::new(definition, globals);
    let spool = spool(definition, globals)?;
    Ok(Otlp {
        reports: Some(Reports::new(globals)),
        ..Otlp::new(spool, settings)
    })
}

/// The spool of a sink `otlp:`.
///
/// # Errors
///
/// There is no place for it, or its directory is not safe.
pub fn spool(
    definition: &SinkConfig,
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
        channels: signal::CHANNELS_OF_SPOOL,
        hold_back: HoldBack(record::is_of_later_schema),
        ..Options::default()
    }
}

/// Appends a record to the spool of a sink, and sends nothing.
///
/// # Errors
///
/// As [`open`], or the spool cannot take it.
pub fn append(
    definition: &SinkConfig,
    globals: &Globals,
    record: &Record,
) -> Result<(), String> {
    let mut appender = Appender::new(&spool(definition, globals)?);
    appender.append(record)?;
    appender.close().map_err(|error| error.to_string())
}

/// Checks the settings and the files of a sink, without connecting or creating
/// anything.
///
/// # Errors
///
/// What is wrong.
pub fn check(definition: &SinkConfig, globals: &Globals) -> Result<(), String> {
    let settings = Settings::new(definition, globals)?;
    globals.spool.as_ref().map_err(Clone::clone)?;
    Collector::new(settings).check()
}

/// Sends the waiting records of a sink's spool now, even if the collector has
/// asked to wait. `progress` is called after each batch.
///
/// # Errors
///
/// Like [`open`], or the settings are invalid.
pub fn flush(
    definition: &SinkConfig,
    globals: &Globals,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Flushed, String> {
    let settings = Settings::new(definition, globals)?;
    let spool = spool(definition, globals)?;
    let reports = Some(Reports::new(globals));
    Ok(sending(&spool, &settings, reports).flush(progress))
}

fn sending(
    spool: &Spool,
    settings: &Settings,
    reports: Option<Reports>,
) -> Sending<Collector> {
    let collector = |_| Collector::new(settings.clone());
    Sending::new(spool, collector, &settings.resource).reporting(reports)
}

/// What becomes of records as long as the settings are invalid.
pub(crate) fn unsendable(problem: &str) -> String {
    format!("records wait in the spool, and nothing is sent: {problem}")
}

impl VariableLookup for Globals {
    fn variable(&self, name: &str) -> Option<String> {
        let value = Self::variable(self, name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn path(&self, text: &[u8]) -> Result<PathBuf, String> {
        Self::path(self, text)
    }
}

impl Otlp {
    /// A sink with this spool, and these settings or their error.
    pub fn new(spool: Spool, settings: Result<Settings, String>) -> Self {
        let trouble = match &settings {
            Ok(settings) => settings.warnings.join("; "),
            Err(problem) => unsendable(problem),
        };
        Self {
            appender: Appender::new(&spool),
            spool,
            settings,
            trouble: Some(trouble).filter(|it| !it.is_empty()),
            reports: None,
            worker: None,
            is_hurried: false,
        }
    }

    /// There is something to send. If there can be no thread, the next command
    /// sends it.
    fn wake(&mut self) {
        let Ok(settings) = &self.settings else {
            return;
        };
        if self.worker.as_ref().is_none_or(Worker::has_ended) {
            let reports = self.reports.clone();
            let sending = sending(&self.spool, settings, reports);
            self.worker = Worker::start(sending).ok();
        }
        if let Some(worker) = &self.worker {
            worker.wake();
        }
    }
}

impl Sink for Otlp {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        _deadline: Instant,
    ) -> Result<(), LossReport> {
        let mut lost = LossSum::default();
        self.is_hurried = false;
        let reasons = self.appender.append_all(records.iter().map(|it| &**it));
        if reasons.len() < records.len() {
            self.wake();
        }
        for reason in reasons {
            lost.add(1, || reason);
        }
        let trouble = self.trouble.take().filter(|trouble| {
            reported::is_due(self.spool.dir(), trouble, SystemTime::now())
        });
        if let Some(trouble) = trouble {
            lost.note(trouble);
        }
        lost.result()
    }

    /// In the spool is not delivered: a collector has answered, or it waits.
    fn hurry(&mut self) -> Delivery {
        match self.appender.writer.is_sent() {
            Ok(true) => return Delivery::Done,
            Ok(false) => {}
            Err(_) => return Delivery::Deferred,
        }
        let Some(worker) = self.worker.as_ref().filter(|it| !it.has_ended())
        else {
            return Delivery::Deferred;
        };
        if !std::mem::replace(&mut self.is_hurried, true) {
            worker.hurry();
        }
        match worker.is_refused() {
            true => Delivery::Deferred,
            false => Delivery::Pending,
        }
    }

    fn rest(&mut self) {
        // What could not be synced is still there unless the power fails.
        let _ = self.appender.close();
    }

    /// Records that are not sent by then are sent with the next command.
    fn finish(&mut self, deadline: Instant) -> Result<(), LossReport> {
        self.rest();
        if let Some(worker) = self.worker.take() {
            worker.finish(deadline);
        }
        Ok(())
    }
}
