//! Tries a sink with a sample event, for `uilog check --run`.
//!
//! The event is processed like any other, with two differences: sampling does
//! not apply, and a collector is asked at once. The record has an option
//! `uilog_check`, by which receivers can recognize it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde::Serialize;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Value;
use uilog_event::sample;

use crate::compose::Composer;
use crate::globals::Globals;
use crate::numbering::Numbering;
use crate::open::open;
use crate::otlp;
use crate::otlp::request::Mapped;
use crate::otlp::request::SignalType;
use crate::otlp::sender::Flushed;
use crate::otlp::sender::SendResult;
use crate::record::Record;
use crate::sink::LossReport;
use crate::target::Target;

/// The option that marks a sample event.
pub const OPTION: &[u8] = b"uilog_check";

/// Time limit for a sink.
const BOUND: Duration = Duration::from_secs(10);

/// A trial of a sink.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// The event's name.
    pub event: &'a [u8],
    /// The environment, as a block.
    pub block: &'a [u8],
    /// hg's executable.
    pub hg: &'a [u8],
    /// The directory that hg would run in.
    pub cwd: &'a Path,
    /// The repository's root, if there is one.
    pub root: Option<&'a Path>,
}

/// How a trial went.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The record that the sink was given; `None` if it could not be composed.
    pub record: Option<Box<Record>>,
    /// The result of its delivery.
    pub fate: DeliveryOutcome,
    /// How long that took.
    pub duration: Duration,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryOutcome {
    /// It has arrived.
    Delivered,
    /// It is in the spool, and still there, for this reason.
    Waiting(String),
    /// The collector does not accept it, or a record that waited before it.
    Rejected(String),
    /// It is lost.
    Lost(String),
}

impl DeliveryOutcome {
    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Self::Delivered => "delivered".to_owned(),
            Self::Waiting(why) => format!("waits in the spool: {why}"),
            Self::Rejected(why) => format!("rejected: {why}"),
            Self::Lost(why) => format!("lost: {why}"),
        }
    }
}

/// Gives the sink a sample event, and waits for the result.
pub fn run(
    trial: &Trial<'_>,
    definition: &SinkConfig,
    globals: &Globals,
) -> Outcome {
    let begin = Instant::now();
    let mut record = None;
    let fate = try_one(trial, definition, globals, &mut record);
    Outcome {
        record: record.map(|it| Box::new((*it).clone())),
        fate: fate.unwrap_or_else(DeliveryOutcome::Lost),
        duration: begin.elapsed(),
    }
}

fn try_one(
    trial: &Trial<'_>,
    definition: &SinkConfig,
    globals: &Globals,
    composed: &mut Option<Arc<Record>>,
) -> Result<DeliveryOutcome, String> {
    let mut whole = definition.clone();
    whole.options.retain(|(name, _)| name != b"sample");
    let composer = Composer::new(&whole, globals)?;
    let mut record = composer
        .compose(&sample(trial), trial.block)
        .ok_or("it does not track the event")?;
    if let Some(mut numbering) = Numbering::new(&whole, globals) {
        // That there is no number is no reason not to send it.
        let _ = numbering.number(std::slice::from_mut(&mut record), 0);
    }
    let record = Arc::new(record);
    *composed = Some(Arc::clone(&record));
    let target = Target::parse(&definition.url, globals.environment())?;
    if matches!(target, Target::Otlp(_)) {
        otlp::append(definition, globals, &record)?;
        let flushed = otlp::flush(definition, globals, &mut |_| {});
        let kind = Mapped::new(&record).map(|it| it.kind());
        let kind = kind.map_err(|error| error.to_string())?;
        let fate = |flushed| delivery_outcome(kind, flushed);
        return Ok(flushed.map_or_else(DeliveryOutcome::Waiting, fate));
    }
    let mut opened = open(definition, globals)?;
    let deadline = Instant::now() + BOUND;
    let lost = |it: LossReport| match it.count {
        0 => Ok(()),
        _ => Err(it.reason),
    };
    opened.deliver(&[record], deadline).or_else(lost)?;
    opened.finish(deadline).or_else(lost)?;
    Ok(DeliveryOutcome::Delivered)
}

/// Whether the other signal is accepted does not matter.
fn delivery_outcome(kind: SignalType, mut flushed: Flushed) -> DeliveryOutcome {
    let waiting = flushed.waiting[kind.channel()].take();
    match (flushed.end, waiting, flushed.rejection) {
        (SendResult::Busy, ..) => {
            DeliveryOutcome::Waiting("another process is sending".to_owned())
        }
        (SendResult::Failed(reason), ..) | (_, Some(reason), _) => {
            DeliveryOutcome::Waiting(reason)
        }
        (_, None, Some(why)) => DeliveryOutcome::Rejected(why),
        (_, None, None) => DeliveryOutcome::Delivered,
    }
}

fn sample<'a>(trial: &Trial<'a>) -> wire::RecordFrame<'a> {
    use std::os::unix::ffi::OsStrExt;

    let mut event = sample::of(trial.event, trial.block, trial.root);
    event.options.push(EventOption {
        key: Cow::Borrowed(OPTION),
        value: Value::Bool(true),
    });
    let cwd = trial.cwd.as_os_str().as_bytes();
    wire::RecordFrame {
        event,
        environment_at: 0,
        items_at: 0,
        cwd: Some(Text(Cow::Borrowed(cwd))),
        hg: Cow::Borrowed(trial.hg),
        hg_version: None,
        program: None,
        trace_state: None,
        repository: wire::Repository::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(url: &str, options: &[(&str, &str)]) -> Outcome {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let options = options.iter().map(|(n, v)| (bytes(n), bytes(v)));
        let definition = SinkConfig {
            name: "a".to_owned(),
            url: bytes(url),
            options: options.collect(),
        };
        let trial = Trial {
            event: b"commandfinish",
            block: b"USER=me\0",
            hg: b"/bin/hg",
            cwd: Path::new("/"),
            root: None,
        };
        run(&trial, &definition, &Globals::new(&[], b""))
    }

    #[test]
    fn a_sample_is_known_for_one_and_never_sampled_away() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let url = format!("file:{}", file.display());
        let outcome = tried(&url, &[("sample", "0")]);
        assert_eq!(outcome.fate, DeliveryOutcome::Delivered);
        let record = outcome.record.unwrap();
        assert_eq!(record.options["uilog_check"], true);
        let line = std::fs::read(file).unwrap();
        let read: Record = serde_json::from_slice(&line).unwrap();
        assert_eq!(read, *record);
    }

    #[test]
    fn what_keeps_it_from_arriving_is_told() {
        let outcome = tried("file:/dev/null/x", &[]);
        assert!(
            matches!(outcome.fate, DeliveryOutcome::Lost(_)),
            "{outcome:?}"
        );
        let outcome = tried("fil:/x", &[]);
        assert!(outcome.fate.describe().contains("is not a kind of sink"));
        let outcome = tried("file:/x", &[("track", "command")]);
        assert!(outcome.record.is_none());
    }
}
