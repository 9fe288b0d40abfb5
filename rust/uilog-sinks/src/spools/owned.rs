//! A spool, identified by its sink or its directory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::iter;
use std::time::SystemTime;

use uilog_channel::sink_config::SinkConfig;
use uilog_spool::Sender;

use super::facts::SpoolFacts;
use crate::globals::Globals;
use crate::otlp;
use crate::otlp::losses;
use crate::otlp::settings::Settings;

/// What the URL of a sink with a spool begins with.
const SCHEME: &[u8] = b"otlp:";

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
    /// Reads its state.
    pub fn facts(&self, globals: &Globals, now: SystemTime) -> SpoolFacts {
        let dir = otlp::spool_dir(&self.sink, globals);
        let mut facts = SpoolFacts {
            sink: self.sink.clone(),
            url: self.definition.as_ref().map(SinkConfig::shown_url),
            dir: dir.ok().map(|it| it.display().to_string()),
            ..SpoolFacts::default()
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

    /// Appends the stored rejected records to the waiting ones; returns how
    /// many, or `None` if another process is sending.
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
