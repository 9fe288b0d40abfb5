//! Planted records.

use std::fmt::Write as _;
use std::fs;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use serde_json::json;

pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

/// The records that answer the page's questions.
pub(crate) fn plant() -> Plant {
    let mut plant = Plant::new();
    plant.plant_slow();
    plant.plant_failures();
    plant.plant_strip();
    plant.plant_hooks();
    plant.plant_waits();
    plant.plant_job();
    plant.plant_running();
    plant
}

/// Records, and the time that they are told from.
pub(crate) struct Plant {
    /// The beginning of today and of this week, in seconds since 1970.
    pub(crate) today: i64,
    pub(crate) week: i64,
    pub(crate) now: i64,
    pub(crate) lines: String,
    count: u64,
}

pub(crate) fn rfc3339(seconds: i64) -> String {
    let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
    time.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

impl Plant {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let day = now / DAY;
        // 1970-01-01 was a Thursday.
        let weekday = (day + 3) % 7;
        Self {
            today: day * DAY,
            week: (day - weekday) * DAY,
            now,
            lines: String::new(),
            count: 0,
        }
    }

    /// Adds a record; `more` is put over what all have.
    pub(crate) fn add(&mut self, time: i64, event: &str, more: Value) {
        self.count += 1;
        let mut record = json!({
            "schema": 1,
            "id": format!("{:032x}-{}", 7, self.count),
            "event": event,
            "time": rfc3339(time),
        });
        let fields = record.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        for (name, default) in [
            ("session", json!("5e55".repeat(8))),
            ("seq", json!(self.count)),
            ("message", json!("m")),
            ("process", json!({"pid": 1, "executable": "/hg"})),
            ("host", json!({"name": "build-1"})),
        ] {
            fields.entry(name).or_insert(default);
        }
        writeln!(self.lines, "{record}").unwrap();
    }

    /// Adds the end of a command.
    pub(crate) fn command(
        &mut self,
        time: i64,
        line: &str,
        seconds: f64,
        code: i64,
        more: &[(&str, Value)],
    ) {
        let mut process = json!({
            "pid": 1, "executable": "/hg", "hg_version": "6.9", "user": "bob",
            "command": line.split(' ').next(), "command_line": line,
            "exit_code": code,
        });
        let mut fields = json!({
            "duration": seconds,
            "repository": {"root": "/src/main", "name": "main"},
        });
        for (name, value) in more {
            if process.get(*name).is_some() {
                process[*name] = value.clone();
            } else {
                fields[*name] = value.clone();
            }
        }
        fields["process"] = process;
        self.add(time, "commandfinish", fields);
    }

    /// Commands that become slower, and one that takes very long.
    fn plant_slow(&mut self) {
        let last_week = self.week - 7 * DAY;
        for number in 0..200 {
            let seconds = spread(number);
            let time = i64::from(number) * 60;
            // pull becomes slower by a half; status does not.
            self.command(last_week + DAY + time, "pull", 2.0 * seconds, 0, &[]);
            self.command(self.week + time / 60, "pull", 3.0 * seconds, 0, &[]);
            self.command(last_week + DAY + time, "status", seconds, 0, &[]);
            self.command(self.week + time / 60, "status", seconds, 0, &[]);
            // Long ago: update regressed from 7.1.2 to 7.2.4.
            let of = |version: &str| [("hg_version", json!(version))];
            let long_ago = self.week - 60 * DAY + time;
            self.command(long_ago, "update", seconds, 0, &of("7.1.2"));
            self.command(long_ago, "update", 1.4 * seconds, 0, &of("7.2.4"));
        }
        self.command(last_week + 2 * DAY, "clone https://hg/x", 900.5, 0, &[]);
    }

    /// Failures of yesterday, and not of yesterday.
    fn plant_failures(&mut self) {
        let error = json!({"error": "abort: push creates new remote head",
            "error_type": "StateError"});
        let because = [("options", error)];
        self.command(self.today - HOUR, "push", 1.0, 255, &because);
        self.command(self.today - 40 * HOUR, "merge", 1.0, 255, &[]);
        self.command(self.today - 2 * HOUR, "incoming", 1.0, 1, &[]);
    }

    /// Somebody ran strip.
    fn plant_strip(&mut self) {
        let alice = ("user", json!("alice"));
        let strip = ("command", json!("strip"));
        self.command(
            self.week - 40 * DAY,
            "--config extensions.strip= stri -r 3",
            1.0,
            0,
            &[alice, strip],
        );
    }

    /// Hooks that refuse.
    fn plant_hooks(&mut self) {
        for (name, vetoed, count) in [
            ("pretxncommit.lint", true, 5),
            ("precommit.size", true, 2),
            ("pretxncommit.ok", false, 9),
            ("pretxnchangegroup.ci", true, 3),
        ] {
            for number in 0..count {
                let time = self.week - 50 * DAY + number;
                let more = json!({
                    "duration": 0.5, "span_id": format!("{name}{number}"),
                    "trace_id": "old", "options": {"vetoed": vetoed},
                    "hook": {"name": name, "has_span": true},
                });
                self.add(time, "exthook", more);
            }
        }
    }

    /// What alice waited for.
    fn plant_waits(&mut self) {
        let by_alice =
            || json!({"pid": 1, "user": "alice", "executable": "/hg"});
        for (event, seconds, number) in [
            ("lockwait", 30.0, 1),
            ("lockwait", 12.0, 2),
            ("exthook", 7.0, 3),
            ("peerclose", 1.5, 4),
        ] {
            let more = json!({
                "duration": seconds, "process": by_alice(),
                "repository": {"name": "main", "root": "/src/main"},
                "options": {"lock": "wlock", "holder": format!("build-7:{number}")},
            });
            self.add(self.week - 45 * DAY + number, event, more);
        }
    }

    /// A job of CI, a push and its hook, and what that runs.
    fn plant_job(&mut self) {
        let at = self.week - 30 * DAY;
        let trace = |span: &str, parent: &str| {
            [
                ("trace_id", json!("c1")),
                ("span_id", json!(span)),
                ("parent_span_id", json!(parent)),
                (
                    "cicd",
                    json!({"pipeline_name": "nightly", "task_name": "t"}),
                ),
            ]
        };
        self.command(at + 20, "push", 20.0, 0, &trace("a", "job"));
        self.command(at + 17, "verify", 5.0, 0, &trace("b", "h"));
        let hook = json!({
            "duration": 8.0, "trace_id": "c1", "span_id": "h",
            "parent_span_id": "a",
            "hook": {"name": "pretxnchangegroup.ci", "has_span": true},
        });
        self.add(at + 18, "exthook", hook);
    }

    /// This very process is a command that runs.
    fn plant_running(&mut self) {
        let more = json!({
            "span_id": "open", "host": {"name": host()},
            "process": {"pid": std::process::id(), "command_line": "verify"},
            "repository": {"name": "main", "root": "/src/main"},
        });
        self.add(self.now, "command", more);
    }
}

/// Numbers around one, the same each time.
fn spread(number: u32) -> f64 {
    0.8 + f64::from(number * 7919 % 1000) / 2500.0
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().to_owned()
}
