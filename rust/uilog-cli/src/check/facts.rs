//! What `uilog check` has found out, as its JSON output has it.
//!
//! Must not know how people are shown it.

use serde::Serialize;
use uilog_check::Report;
use uilog_check::trial::Ending;
use uilog_config::FileReport;
use uilog_config::FileState;
use uilog_sinks::check::SinkFacts;
use uilog_sinks::connect::Attempt;
use uilog_sinks::record::Record;
use uilog_sinks::redact;
use uilog_sinks::trial::DeliveryOutcome;

/// The JSON output.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub(super) root: Option<String>,
    pub(super) hg: Option<String>,
    pub(super) files: Vec<FileFacts>,
    #[serde(flatten)]
    pub(super) report: &'a Report,
    pub(super) sinks: &'a [SinkFacts],
    pub(super) runs: &'a [Run],
    pub(super) tries: &'a [Try],
    pub(super) connects: &'a [Attempt],
}

#[derive(Serialize)]
pub(super) struct FileFacts {
    pub(super) path: String,
    pub(super) layer: &'static str,
    pub(super) state: &'static str,
    pub(super) detail: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Run {
    pub(super) event: String,
    pub(super) script: String,
    pub(super) environment: Vec<String>,
    pub(super) output: String,
    pub(super) output_bytes: u64,
    pub(super) ending: Ending,
    pub(super) duration: f64,
}

/// Result of sending a sample event to a sink.
#[derive(Serialize)]
pub(super) struct Try {
    pub(super) sink: String,
    pub(super) url: String,
    pub(super) event: String,
    pub(super) record: Option<Box<Record>>,
    pub(super) fate: DeliveryOutcome,
    pub(super) duration: f64,
}

/// Redacts the report by the same rules as records, because people paste it
/// into tickets.
pub(super) fn take_out_secrets(report: &mut Report, runs: &mut [Run]) {
    for it in &mut report.findings {
        it.text = redact::shown(&it.text);
        it.advice = it.advice.as_deref().map(redact::shown);
    }
    for it in &mut report.scripts {
        it.script = redact::shown(&it.script);
    }
    for it in &mut report.settings {
        it.value = redact::shown(&it.value);
    }
    for run in runs {
        run.script = redact::shown(&run.script);
        run.output = redact::shown(&run.output);
        // Our own hold ids, which look like keys.
        let is_own = |it: &&mut String| it.starts_with("UILOG_");
        for variable in run.environment.iter_mut().filter(|it| !is_own(it)) {
            *variable = redact::shown(variable);
        }
    }
}

pub(super) fn file_facts(file: &FileReport) -> FileFacts {
    let (state, detail) = match &file.state {
        FileState::Read => ("read", None),
        FileState::Missing => ("missing", None),
        FileState::Unreadable(reason) => ("unreadable", Some(reason.clone())),
        FileState::Untrusted { user, group } => {
            ("untrusted", Some(format!("user {user}, group {group}")))
        }
        FileState::Broken(error) => {
            ("broken", Some(redact::shown(&error.to_string())))
        }
    };
    FileFacts {
        path: file.path.to_string_lossy().into_owned(),
        layer: file.layer.name(),
        state,
        detail,
    }
}
