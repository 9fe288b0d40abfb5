//! Recent failures in the journal, grouped by the part that has failed.
//!
//! Even with a correct configuration, a script may fail at every command.
//! Recent failures are those of the last 24 hours, since the causes of older
//! ones may have been corrected. Must not know how the journal is stored, or
//! how a failure is described.

use std::time::Duration;
use std::time::SystemTime;

use chrono::DateTime;
use chrono::Utc;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_channel::sink_config;

use crate::subject::Subject;

/// For how long a failure is a finding.
const RECENT: Duration = Duration::from_secs(24 * 60 * 60);

/// Failures that are reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The part that has failed.
    pub subject: Failed,
    /// How many there are.
    pub count: u64,
    /// How many events they cost.
    pub lost: u64,
    /// When the last one was, as the journal has it.
    pub last: String,
    /// The detail of the last one.
    pub detail: String,
}

/// The part that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The script of this event.
    Script(String),
    /// The sink of this name.
    Sink(String),
    /// Something else.
    Other(FailureKind),
}

impl Group {
    /// How often, and when the last time.
    pub fn when(&self) -> String {
        let times = match self.count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        format!(
            "{times} in the last 24 hours, the last time at {}",
            self.last
        )
    }
}

/// What there is of older failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// How many there are.
    pub count: u64,
    /// When the first of them was, as the journal has it.
    pub first: String,
    /// When the last of them was.
    pub last: String,
}

/// The recent failures in the journal, and what there is of older ones.
pub fn read(subject: &Subject<'_>) -> (Vec<Group>, Option<Older>) {
    let journal = Journal::for_environment(subject.block);
    let failures = journal.map(|it| it.read()).unwrap_or_default();
    group(failures, SystemTime::now().into())
}

/// The recent failures, grouped by the part that has failed, and the others.
fn group(
    failures: Vec<Failure>,
    now: DateTime<Utc>,
) -> (Vec<Group>, Option<Older>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut older: Option<Older> = None;
    for failure in failures {
        // One of the future is one, too: the clock may have been set.
        let is_recent =
            DateTime::parse_from_rfc3339(&failure.time).is_ok_and(|time| {
                (now - time.to_utc()).to_std().unwrap_or_default() < RECENT
            });
        if !is_recent {
            let older = older.get_or_insert_with(|| Older {
                count: 0,
                first: failure.time.clone(),
                last: String::new(),
            });
            older.count += 1;
            older.last = failure.time;
            continue;
        }
        let subject = what_failed(&failure);
        let at = groups.iter().position(|it| it.subject == subject);
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                subject,
                count: 0,
                lost: 0,
                last: String::new(),
                detail: String::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.count += 1;
        // Why something was lost matters more than what came after it.
        if failure.lost > 0 || group.lost == 0 {
            group.detail = failure.detail;
        }
        group.lost = group.lost.saturating_add(failure.lost);
        group.last = failure.time;
    }
    (groups, older)
}

fn what_failed(failure: &Failure) -> Failed {
    let is_of_script = matches!(
        failure.kind,
        FailureKind::NotStarted | FailureKind::Failed | FailureKind::TimedOut
    );
    if is_of_script {
        return Failed::Script(failure.event.clone());
    }
    // As the dispatcher says it: `uilog.sink.NAME: REASON`.
    let prefix = format!("{}.{}", sink_config::SECTION, sink_config::PREFIX);
    let sink = failure.detail.strip_prefix(&prefix);
    match sink.and_then(|rest| rest.split_once(": ")) {
        Some((name, _)) => Failed::Sink(name.to_owned()),
        None => Failed::Other(failure.kind),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use uilog_config::Config;
    use uilog_config::Environment;
    use uilog_config::Loaded;
    use uilog_event::event::Timestamp;

    use super::*;

    fn failure(time: &str, kind: FailureKind, detail: &str) -> Failure {
        Failure {
            time: time.to_owned(),
            ..Failure::now(
                String::new(),
                b"commandfinish",
                kind,
                u64::from(kind == FailureKind::Lost),
                detail.to_owned(),
            )
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-01-10T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn failures_of_one_thing_are_one_group() {
        let (groups, older) = group(
            vec![
                failure("2026-01-10T10:00:00+00:00", FailureKind::Failed, "a"),
                failure(
                    "2026-01-10T10:30:00+00:00",
                    FailureKind::Lost,
                    "uilog.sink.x: gone",
                ),
                failure(
                    "2026-01-10T11:00:00+00:00",
                    FailureKind::TimedOut,
                    "b",
                ),
                failure(
                    "2026-01-10T11:30:00+00:00",
                    FailureKind::Sink,
                    "uilog.sink.x: 401",
                ),
                failure("2026-01-10T11:40:00+00:00", FailureKind::Lost, "full"),
            ],
            now(),
        );
        let told: Vec<_> = groups
            .iter()
            .map(|it| (it.count, it.lost, it.detail.as_str()))
            .collect();
        assert_eq!(
            told,
            [(2, 0, "b"), (2, 1, "uilog.sink.x: gone"), (1, 1, "full")]
        );
        assert_eq!(groups[0].subject, Failed::Script("commandfinish".into()));
        assert_eq!(groups[1].subject, Failed::Sink("x".into()));
        assert_eq!(groups[2].subject, Failed::Other(FailureKind::Lost));
        assert!(older.is_none());
        assert_eq!(
            groups[0].when(),
            "2 times in the last 24 hours, the last time at \
             2026-01-10T11:00:00+00:00"
        );
        assert!(groups[2].when().starts_with("once in the last 24 hours"));
    }

    #[test]
    fn the_detail_is_that_of_the_last_loss() {
        let at = "2026-01-10T10:00:00+00:00";
        let lost = |detail| failure(at, FailureKind::Lost, detail);
        let other = |detail| Failure {
            lost: 0,
            ..lost(detail)
        };
        for (failures, detail) in [
            (vec![lost("a"), lost("b")], "b"),
            (vec![lost("a"), other("b")], "a"),
            (vec![other("a"), lost("b")], "b"),
            (vec![other("a"), other("b")], "b"),
        ] {
            let (groups, _) = group(failures, now());
            assert_eq!(groups.len(), 1);
            assert_eq!(groups[0].detail, detail);
        }
    }

    #[test]
    fn the_journal_of_the_environment_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        let block = format!("HOME={home}\0XDG_STATE_HOME={home}/state\0");
        let loaded = Loaded {
            trusted: Config::default(),
            untrusted: Config::default(),
            root: None,
            warnings: Vec::new(),
            files: Vec::new(),
        };
        let environment =
            Environment::new(HashMap::new(), dir.path().to_owned());
        let subject = Subject {
            loaded: &loaded,
            environment: &environment,
            block: block.as_bytes(),
            cwd: dir.path(),
        };
        assert_eq!(read(&subject), (Vec::new(), None));
        let journal = Journal::for_environment(subject.block).unwrap();
        let now = Timestamp::now().to_rfc3339();
        journal
            .append(&failure(&now, FailureKind::Failed, "a"))
            .unwrap();
        let (groups, older) = read(&subject);
        assert_eq!((groups.len(), older), (1, None));
        assert_eq!(groups[0].detail, "a");
    }

    #[test]
    fn what_is_older_than_a_day_is_no_group() {
        let (groups, older) = group(
            vec![
                failure("2026-01-01T10:00:00+00:00", FailureKind::Failed, "a"),
                failure("no time", FailureKind::Failed, "b"),
                failure("2026-01-09T14:00:00+02:00", FailureKind::Failed, "x"),
                failure("2026-01-09T13:59:59+02:00", FailureKind::Failed, "c"),
                failure("2026-01-09T14:00:01+02:00", FailureKind::Failed, "d"),
                // The clock has been set back since.
                failure("2026-01-11T12:00:00+00:00", FailureKind::Failed, "e"),
            ],
            now(),
        );
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].count, groups[0].detail.as_str()), (2, "e"));
        let older = older.unwrap();
        assert_eq!(older.count, 4);
        assert_eq!(older.first, "2026-01-01T10:00:00+00:00");
        assert_eq!(older.last, "2026-01-09T13:59:59+02:00");
    }
}
