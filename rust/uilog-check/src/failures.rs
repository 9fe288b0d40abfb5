//! Findings about recent failures of all but structured sinks.
//!
//! They are warnings, since they may not happen again.

use uilog_channel::journal::FailureKind;
use uilog_config::Config;
use uilog_finding::failures;
use uilog_finding::failures::Failed;
use uilog_finding::failures::Group;
use uilog_finding::failures::Older;
use uilog_finding::finding::Finding;
use uilog_finding::finding::Severity;
use uilog_finding::subject::Subject;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let (groups, older) = failures::read(subject);
    let config = &subject.loaded.trusted;
    found.extend(groups.iter().filter_map(|it| finding(config, it)));
    if let Some(Older { count, first, last }) = older {
        let text = match count {
            1 => format!("the journal has an older failure, of {first}"),
            _ => format!(
                "the journal has {count} older failures, from {first} to {last}"
            ),
        };
        let finding = Finding::note("failures-old", text);
        found.push(finding.advise("see `uilog status`"));
    }
}

fn finding(config: &Config, group: &Group) -> Option<Finding> {
    let Group { lost, detail, .. } = group;
    let when = group.when();
    match &group.subject {
        Failed::Sink(_) => None,
        Failed::Script(event) => {
            let text =
                format!("the script of '{event}' has failed {when}: {detail}");
            let entry = config.get(b"logtoprocess", event.as_bytes());
            let entry = entry.filter(|entry| !entry.value.is_empty());
            Some(match entry {
                Some(entry) => Finding::warning("script-failing", text)
                    .at(&entry.source)
                    .advise(format!("try it: uilog check --run {event}")),
                None => Finding::note("script-failing", text).advise(
                    "no script of this event is configured here: it belongs \
                     to another repository, or was removed",
                ),
            })
        }
        Failed::Other(kind) => {
            let (severity, code, text) = match kind {
                FailureKind::Peer => (
                    Severity::Note,
                    "peer-overdue",
                    format!("a connection has been ended {when}: {detail}"),
                ),
                FailureKind::Config => (
                    Severity::Warning,
                    "config-unreadable",
                    format!("nothing has been logged {when}: {detail}"),
                ),
                _ if *lost == 0 => (
                    Severity::Warning,
                    "trouble",
                    format!("something has failed {when}: {detail}"),
                ),
                _ => (
                    Severity::Warning,
                    "events-lost",
                    format!(
                        "events have been lost, {lost} of them, {when}: {detail}"
                    ),
                ),
            };
            let finding = Finding::new(severity, code, text);
            Some(finding.advise("see `uilog status`"))
        }
    }
}
