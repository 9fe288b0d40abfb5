use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use super::*;

const DAY: i64 = 86_400 * SECOND;
/// Monday, 2026-11-23.
const START: i64 = 1_795_392_000 * SECOND;

/// Records as text.
#[derive(Default)]
struct Plant {
    lines: String,
    count: u64,
}

impl Plant {
    fn add(&mut self, time: i64, event: &str, more: Value) {
        self.count += 1;
        let date = chrono::DateTime::from_timestamp_micros(time).unwrap();
        let mut record = json!({
            "schema": 1,
            "id": format!("{:032x}-{}", 7, self.count),
            "event": event,
            "time": date.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string(),
            "session": "5e", "seq": self.count, "message": "m",
            "host": {"name": "build-1"},
        });
        let fields = more.as_object().unwrap().clone();
        record.as_object_mut().unwrap().extend(fields);
        writeln!(self.lines, "{record}").unwrap();
    }

    fn command(&mut self, time: i64, name: &str, seconds: f64, version: &str) {
        let more = json!({
            "duration": seconds,
            "process": {"pid": 1, "user": "alice", "hg_version": version,
                "command": name, "command_line": name, "exit_code": 0},
            "repository": {"root": "/src/main", "name": "main"},
        });
        self.add(time, "commandfinish", more);
    }

    fn report(&self) -> Report {
        let text = self.lines.clone().into_bytes();
        let source = Source::memory(Path::new("-"), text);
        let period = Span {
            from: START,
            to: START + 7 * DAY - 1,
        };
        // All of it twice, as in a history and a file of a sink.
        let sources = [source.clone(), source];
        let (report, problems) = make(&sources, &Filters::default(), period);
        assert_eq!(problems.damaged, 0);
        report
    }
}

/// Numbers around one, the same each time.
fn spread(number: i64) -> f64 {
    0.8 + (number * 7919 % 1000) as f64 / 2500.0
}

#[test]
fn each_record_counts_once_in_its_period() {
    let mut plant = Plant::default();
    for number in 0..100 {
        let seconds = spread(number);
        let before = START - 3 * DAY + number * SECOND;
        plant.command(before, "pull", seconds, "7.1.2");
        plant.command(
            START + DAY + number * SECOND,
            "pull",
            2.0 * seconds,
            "7.2",
        );
        plant.command(START + DAY + number * SECOND, "id", seconds, "7.1.2");
        plant.command(START + 2 * DAY, "id", 1.5 * seconds, "7.2");
    }
    // Earlier than the period before, and later than this one.
    plant.command(START - 8 * DAY, "pull", 1.0, "7.0");
    plant.command(START + 8 * DAY, "pull", 1.0, "7.0");
    let report = plant.report();
    assert_eq!(report.records, 400);
    assert_eq!(report.overview.commands, 300);
    assert_eq!(report.overview_before.commands, 100);
    assert_eq!(report.overview.users, 1);
    let pull = &report.commands.rows[1];
    assert_eq!((pull.count, pull.count_before), (100, 100));
    assert_eq!(pull.name, "pull");
    assert!((pull.p50 / pull.p50_before - 2.0).abs() < 1e-9);
    // pull is slower than in the week before; id than in the version before.
    let changes: Vec<_> = report
        .changes
        .iter()
        .map(|it| it.command.as_str())
        .collect();
    assert_eq!(changes, ["pull"]);
    assert_eq!(report.changes[0].changes, ["slower"]);
    assert!((report.changes[0].ratio.unwrap() - 2.0).abs() < 0.1);
    assert_eq!(report.regressions.len(), 1);
    let found = &report.regressions[0];
    assert_eq!((&*found.from, &*found.to), ("7.1.2", "7.2"));
    assert_eq!(found.change.command, "id");
    let versions: Vec<_> =
        report.versions.rows.iter().map(|it| &*it.version).collect();
    assert_eq!(versions, ["7.2", "7.1.2"]);
    // Tuesday and Wednesday, at midnight.
    assert_eq!(report.hours[1][0], 200);
    assert_eq!(report.hours[2][0], 100);
    let in_slots: u64 = report.timeline.iter().map(|it| it.commands).sum();
    assert_eq!(in_slots, 300);
    assert!(report.timeline.len() <= SLOTS);
}

#[test]
fn what_failed_and_what_was_waited_for() {
    let mut plant = Plant::default();
    let process = |user: &str, code: i64| {
        json!({"pid": 1, "user": user, "hg_version": "7.2",
            "command": "push", "command_line": "push", "exit_code": code})
    };
    for (number, user) in ["alice", "bob", "alice"].iter().enumerate() {
        let options = json!({"error_type": "StateError",
            "error": format!("push creates new head {number}a!\n(merge)")});
        let more = json!({"process": process(user, 255), "duration": 1.0,
            "options": options});
        plant.add(START + number as i64, "commandfinish", more);
    }
    let by = |user: &str| json!({"pid": 1, "user": user});
    for (event, seconds, options) in [
        (
            "lockwait",
            30.0,
            json!({"lock": "wlock", "holder": "b/1:7",
            "holder_host": "b", "holder_command": "commit",
            "outcome": "got"}),
        ),
        (
            "lockwait",
            12.0,
            json!({"lock": "wlock", "holder": "b/1:8",
            "holder_host": "b", "holder_command": "commit",
            "outcome": "timeout"}),
        ),
        ("userwait", 50.0, json!({"kind": "pager", "waited": 2.0})),
        ("peerclose", 1.0, json!({"wire_time": 4.0})),
    ] {
        let more = json!({"process": by("alice"), "duration": seconds,
            "options": options,
            "repository": {"name": "main", "root": "/src/main"}});
        plant.add(START + DAY, event, more);
    }
    for vetoed in [true, false] {
        let more = json!({"process": by("alice"), "duration": 3.0,
            "options": {"vetoed": vetoed}, "hook": {"name": "pre.lint"}});
        plant.add(START + DAY, "exthook", more);
    }
    let report = plant.report();
    let failure = &report.failures.rows[..];
    assert_eq!(failure.len(), 1);
    assert_eq!((failure[0].count, failure[0].users), (3, 2));
    assert_eq!(failure[0].error, "push creates new head 2a!\n(merge)");
    let lock = &report.locks.rows[0];
    assert_eq!((lock.count, lock.in_vain, lock.total), (2, 1, 42.0));
    let holder = &report.lock_holders.rows[..];
    assert_eq!(holder.len(), 1);
    assert_eq!((&*holder[0].holder, &*holder[0].command), ("b", "commit"));
    assert_eq!(report.people.rows[0].total, 2.0);
    let hook = &report.hooks.rows[0];
    assert_eq!((hook.count, hook.refusals, hook.total), (2, 1, 6.0));
    let alice = &report.users.rows[0];
    assert_eq!(
        (alice.locks, alice.hooks, alice.network, alice.people),
        (42.0, 6.0, 4.0, 2.0)
    );
    assert_eq!(report.overview.refusals, 1);
    assert_eq!(report.overview.lock_seconds, 42.0);
}

#[test]
fn nothing_is_a_report_as_well() {
    let report = Plant::default().report();
    assert_eq!(report.overview, Figures::default());
    assert!(report.timeline.is_empty());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["period"]["from"], "2026-11-23T00:00:00Z");
}

#[test]
fn any_period_has_a_timeline_of_bounded_length() {
    let mut plant = Plant::default();
    plant.command(START + 6 * DAY, "id", 1.0, "7.2");
    let text = plant.lines.into_bytes();
    let source = [Source::memory(Path::new("-"), text)];
    let to = START + 7 * DAY;
    for from in [0, START, to - DAY - 1, START + 6 * DAY, to] {
        let period = Span { from, to };
        let (report, _) = make(&source, &Filters::default(), period);
        assert!(report.timeline.len() <= SLOTS);
        let count: u64 = report.timeline.iter().map(|it| it.commands).sum();
        assert_eq!(count, u64::from(from < to), "{from}");
    }
}
