//! Running a script, and sending a sample to sinks.
//!
//! Must not know how the outcome is shown.

use std::sync::Arc;

use anyhow::Context;
use uilog_channel::sink_config;
use uilog_check::trial;
use uilog_check::trial::Outcome;
use uilog_check::trial::Trial;
use uilog_event::events;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;
use uilog_finding::finding::Finding;
use uilog_finding::subject;
use uilog_finding::subject::Subject;
use uilog_logger::sinks::scripts::Scripts;
use uilog_sinks::check as sinks_check;
use uilog_sinks::connect;
use uilog_sinks::connect::Attempt;
use uilog_sinks::trial as sinks_trial;
use uilog_sinks::trial::DeliveryOutcome;

use super::facts::Run;
use super::facts::Try;
use crate::native;

/// Exit status after Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Exit status if no sink has the given name.
pub(super) const NO_SUCH_SINK: u8 = 2;

/// Code of the finding that there is no script to run.
pub(super) const WITHOUT_SCRIPT: &str = "run-without-script";

/// Result of --run.
pub(super) struct Tried {
    pub(super) run: Option<Run>,
    pub(super) finding: Option<Finding>,
}

pub(super) fn try_script(
    subject: &Subject<'_>,
    event: &[u8],
) -> anyhow::Result<Tried> {
    let name = String::from_utf8_lossy(event).into_owned();
    let config = &subject.loaded.trusted;
    let settings = subject::settings(config);
    let items = config.items(b"logtoprocess");
    let items = items.map(|(name, entry)| (name, entry.value.as_slice()));
    let (sink, _faults) = Scripts::new(items);
    let Some((_, script)) = sink.events().find(|(it, _)| *it == event) else {
        let text =
            format!("the event '{name}' has neither a script nor a sink");
        let (definitions, _) = sinks_check::configured(subject);
        let tracked = definitions.iter().flat_map(|it| it.list("track"));
        let scripts = sink.events().map(|(event, _)| event.to_vec());
        let wanted: Vec<_> = scripts
            .chain(tracked)
            .filter_map(|event| String::from_utf8(event).ok())
            .collect();
        let known = events::KNOWN.iter().map(|known| known.name);
        let meant =
            meant(event, wanted.iter().map(String::as_str).chain(known));
        let is_known = events::find(event).is_some();
        let advice = match meant.filter(|_| !is_known) {
            Some(meant) => did_you_mean(meant),
            None => format!("[logtoprocess] {name} = SCRIPT"),
        };
        let finding = Finding::error(WITHOUT_SCRIPT, text).advise(advice);
        return Ok(Tried {
            run: None,
            finding: Some(finding),
        });
    };
    let outcome = trial::run(&Trial {
        event,
        script,
        settings: &settings,
        block: subject.block,
        hg: &native::hg_program(subject.environment),
        cwd: subject.cwd,
        root: subject.loaded.root.as_deref(),
    })
    .context("cannot run a script")?;
    let finding = (!outcome.ending.is_success()).then(|| {
        let how = outcome.ending.describe();
        let text = format!("the script of '{name}' has failed: {how}");
        let finding = Finding::error("run-failed", text);
        match config.get(b"logtoprocess", event) {
            Some(entry) => finding.at(&entry.source),
            None => finding,
        }
    });
    Ok(Tried {
        run: Some(run_of(name, &script.text, outcome)),
        finding,
    })
}

fn run_of(event: String, script: &[u8], outcome: Outcome) -> Run {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        event,
        script: lossy(script),
        environment: outcome.variables.iter().map(|it| lossy(it)).collect(),
        output: lossy(&outcome.output),
        output_bytes: outcome.output_bytes,
        ending: outcome.ending,
        duration: outcome.duration.as_secs_f64(),
    }
}

/// Sends a sample record to each sink that tracks the event.
pub(super) fn try_sinks(subject: &Subject<'_>, event: &[u8]) -> Vec<Try> {
    let (definitions, globals) = sinks_check::configured(subject);
    let hg = native::hg_program(subject.environment);
    let trial = sinks_trial::Trial {
        event,
        block: subject.block,
        hg: &hg,
        cwd: subject.cwd,
        root: subject.loaded.root.as_deref(),
    };
    let wanted = definitions.iter().filter(|it| it.tracked().contains(event));
    let tries = wanted.map(|it| {
        let outcome = sinks_trial::run(&trial, it, &globals);
        Try {
            sink: it.item(),
            url: it.shown_url(),
            event: String::from_utf8_lossy(event).into_owned(),
            record: outcome.record,
            fate: outcome.fate,
            duration: outcome.duration.as_secs_f64(),
        }
    });
    tries.collect()
}

pub(super) fn finding_of(subject: &Subject<'_>, it: &Try) -> Option<Finding> {
    if it.fate == DeliveryOutcome::Delivered {
        return None;
    }
    let how = it.fate.describe();
    let text = format!("the sample of '{}' for {}: {how}", it.event, it.sink);
    Some(placed(
        subject,
        &it.sink,
        Finding::error("run-failed", text),
    ))
}

/// A finding about a sink, with the file and line that define the sink.
pub(super) fn placed(
    subject: &Subject<'_>,
    sink: &str,
    finding: Finding,
) -> Finding {
    let config = &subject.loaded.trusted;
    match config.get(sink_config::SECTION.as_bytes(), sink.as_bytes()) {
        Some(entry) => finding.at(&entry.source),
        None => finding,
    }
}

/// Tries to reach the sinks, or the one of this name.
pub(super) fn try_to_reach(
    subject: &Subject<'_>,
    named: Option<&str>,
) -> Result<Vec<Attempt>, String> {
    let (mut definitions, globals) = sinks_check::configured(subject);
    if let Some(named) = named {
        let name = named.strip_prefix(sink_config::PREFIX).unwrap_or(named);
        let names: Vec<_> =
            definitions.iter().map(|it| it.name.clone()).collect();
        definitions.retain(|it| it.name == name);
        if definitions.is_empty() {
            let known = if names.is_empty() {
                "none is".to_owned()
            } else {
                format!("these are: {}", names.join(", "))
            };
            let problem =
                format!("uilog: no sink '{name}' is configured here ({known})");
            let names = names.iter().map(String::as_str);
            return Err(match meant(name.as_bytes(), names) {
                Some(meant) => format!("{problem}; {}", did_you_mean(meant)),
                None => problem,
            });
        }
    }
    Ok(connect::run(definitions, &Arc::new(globals)))
}

/// A sink that could not be reached, and the finding about it.
pub(super) fn unreached(it: &Attempt) -> Option<(&str, Finding)> {
    // A URL that is invalid is a finding already.
    let first = it.steps.iter().find(|it| !it.works && it.step != "url")?;
    let text = format!(
        "{}.{}: {}: {}",
        sink_config::SECTION,
        it.sink,
        first.step,
        first.text
    );
    Some((&it.sink, Finding::error("connect-failed", text)))
}
