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

#[cfg(test)]
mod tests {
    use uilog_channel::journal::Failure;
    use uilog_channel::journal::Journal;

    use super::*;
    use crate::testing::Checked;

    /// What is found if these failures are in the journal, without the times.
    fn found(hgrc: &str, failures: &[Failure]) -> Vec<String> {
        let checked = Checked::new(hgrc);
        let subject = checked.subject();
        let journal = Journal::for_environment(subject.block).unwrap();
        for failure in failures {
            journal.append(failure).unwrap();
        }
        let found = checked.found(check).into_iter();
        found
            .map(
                |text| match text.split_once("once in the last 24 hours, ") {
                    Some((before, rest)) => {
                        let (_, after) = rest.split_once(": ").unwrap();
                        format!("{before}once: {after}")
                    }
                    None => text,
                },
            )
            .collect()
    }

    fn failure(kind: FailureKind, lost: u64, detail: &str) -> Failure {
        let detail = detail.to_owned();
        Failure::now(String::new(), b"update", kind, lost, detail)
    }

    #[test]
    fn a_script_that_fails_is_found_where_it_is_configured() {
        let failed = [failure(FailureKind::Failed, 0, "status 1")];
        assert_eq!(
            found("[logtoprocess]\nupdate = x\n", &failed),
            [
                "warning script-failing: the script of 'update' has failed once: \
              status 1 [/hgrc:2] (try it: uilog check --run update)"
            ]
        );
        for hgrc in ["", "[logtoprocess]\nupdate =\n"] {
            assert_eq!(
                found(hgrc, &failed),
                [
                    "note script-failing: the script of 'update' has failed once: \
                  status 1 (no script of this event is configured here: it \
                  belongs to another repository, or was removed)"
                ]
            );
        }
    }

    #[test]
    fn each_kind_of_failure_is_worded() {
        let sink = "uilog.sink.x: gone";
        assert_eq!(
            found(
                "",
                &[
                    failure(FailureKind::Peer, 0, "a"),
                    failure(FailureKind::Config, 1, "b"),
                    failure(FailureKind::Lost, 7, "c"),
                    failure(FailureKind::Sink, 0, "d"),
                    // Told with the sink.
                    failure(FailureKind::Sink, 1, sink),
                ]
            ),
            [
                "note peer-overdue: a connection has been ended once: a \
                 (see `uilog status`)",
                "warning config-unreadable: nothing has been logged once: b \
                 (see `uilog status`)",
                "warning events-lost: events have been lost, 7 of them, once: \
                 c (see `uilog status`)",
                "warning trouble: something has failed once: d \
                 (see `uilog status`)",
            ]
        );
    }

    #[test]
    fn older_failures_are_counted() {
        let older = |time: &str| Failure {
            time: time.to_owned(),
            ..failure(FailureKind::Lost, 1, "x")
        };
        let (first, last) = (older("2020-01-01"), older("2021-01-01"));
        assert_eq!(
            found("", std::slice::from_ref(&first)),
            ["note failures-old: the journal has an older failure, of \
              2020-01-01 (see `uilog status`)"]
        );
        assert_eq!(
            found("", &[first, last]),
            ["note failures-old: the journal has 2 older failures, from \
              2020-01-01 to 2021-01-01 (see `uilog status`)"]
        );
    }
}
