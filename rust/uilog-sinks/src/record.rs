//! The record of one event for a structured sink, in version 1 of the schema.
//!
//! Responsible for its fields and types. docs/schema.md describes what each
//! field means, and what may change.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// The version of the schema, raised when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// How each record of this version begins, as this program writes it.
const BEGINNING: &[u8] = b"{\"schema\":1,";

/// Whether a record, as JSON, has a version of the schema that this program
/// does not know: a later program has written it and can send it.
pub fn is_of_later_schema(json: &[u8]) -> bool {
    // Most records are not, as their beginning shows.
    if json.starts_with(BEGINNING) {
        return false;
    }
    let record: Option<Map<String, Value>> = serde_json::from_slice(json).ok();
    match record.as_ref().and_then(|it| it.get("schema")) {
        Some(Value::Number(number)) => {
            number.as_f64().is_some_and(|it| it > f64::from(SCHEMA))
        }
        // Versions may become anything but nothing.
        Some(Value::String(text)) => !text.is_empty(),
        _ => false,
    }
}

/// One event. As JSON, an object; unknown values are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the schema: [`SCHEMA`].
    pub schema: u32,
    /// What no other event has, and this one has wherever it turns up:
    /// `SESSION-SEQ`.
    pub id: String,
    /// The event's name.
    pub event: String,
    /// When it was logged: RFC 3339 with microseconds and the local offset.
    pub time: String,
    /// Duration in seconds, if the event is the end of something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The trace that it belongs to: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The command within which it happened: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The parent span of that command: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// The flags of W3C Trace Context that came with the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_flags: Option<u8>,
    /// W3C Trace Context's `tracestate`: what vendors say of the trace, and
    /// what OpenTelemetry says of sampling, `ot=th:...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_state: Option<String>,
    /// The hg process: 32 hexadecimal digits.
    pub session: String,
    /// The session of the hg process whose script runs this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session: Option<String>,
    /// Counts the events of a session, from 1.
    pub seq: u64,
    /// The message, redacted, without the newline at its end.
    pub message: String,
    /// The keyword arguments, redacted, by their names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// How many keyword arguments found no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub options_left_out: u64,
    /// The process.
    pub process: Process,
    /// Where it runs.
    pub host: Host,
    /// The CI system's run that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cicd: Option<Cicd>,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// What the command has used, at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The hook that has ended, of the events `exthook` and `pythonhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Hook>,
    /// Of the event `uiblocked`: for how many seconds the command has waited,
    /// by what for (`stdio`, `exthook-NAME`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blocked: BTreeMap<String, f64>,
    /// What the message counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The commands that are summed up, for the event `commandrollup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollup: Option<Rollup>,
    /// How many events of this session had been lost before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// The fraction of similar records that is kept, unless it is 1: each
    /// record stands for the inverse of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<f64>,
    /// Its number among the sink's records, if the sink numbers them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<Numbered>,
    /// How many bytes the texts had that were cut, at the same place in this
    /// object as the text in the record.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub truncated: Map<String, Value>,
    /// The bytes of texts that are not UTF-8 and have U+FFFD in the record,
    /// at the same place in this object, in base64.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub base64: Map<String, Value>,
}

/// Commands that exit with 1 to say that there was nothing.
// hg: mercurial/commands.py and hgext; cat and paths do not document it
const SAYS_NOTHING_WITH_1: [&str; 13] = [
    "amend", "cat", "commit", "config", "files", "grep", "heads", "incoming",
    "locate", "outgoing", "paths", "push", "shelve",
];

impl Record {
    /// One that says nothing, of this version of the schema.
    pub(crate) fn empty(schema: u32) -> Self {
        Self {
            schema,
            id: String::new(),
            event: String::new(),
            time: String::new(),
            duration: None,
            trace_id: None,
            span_id: None,
            parent_span_id: None,
            trace_flags: None,
            trace_state: None,
            session: String::new(),
            parent_session: None,
            seq: 0,
            message: String::new(),
            options: Map::new(),
            options_left_out: 0,
            process: Process::default(),
            host: Host::default(),
            repository: None,
            cicd: None,
            usage: None,
            hook: None,
            blocked: BTreeMap::new(),
            counts: None,
            rollup: None,
            lost: 0,
            sample_rate: None,
            sink: None,
            truncated: Map::new(),
            base64: Map::new(),
        }
    }

    /// Whether it is about a failed command: by an exception, by a signal,
    /// without an end, or with an exit status other than 0; a 1 that means that
    /// there was nothing to do or to find is not a failure.
    pub fn is_failure(&self) -> bool {
        let process = &self.process;
        // 1 has this meaning only for Mercurial's commands.
        let command = process.command.as_deref();
        is_failure(
            &self.event,
            process.exit_code,
            process.signal,
            command.filter(|_| process.program.is_none()),
        )
    }
}

/// The same, before there is a record.
pub fn is_failure(
    event: &str,
    exit_code: Option<i64>,
    signal: Option<i64>,
    command: Option<&str>,
) -> bool {
    let says_nothing =
        || command.is_some_and(|name| SAYS_NOTHING_WITH_1.contains(&name));
    match event {
        "commandexception" | "commandlost" => true,
        "commandfinish" => match exit_code {
            _ if signal.is_some() => true,
            None | Some(0) => false,
            Some(1) => !says_nothing(),
            Some(_) => true,
        },
        _ => false,
    }
}

/// Commands that were summed up instead of sent one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// How many.
    pub commands: u64,
    /// How many of those have failed; each of these also has its own record.
    pub failures: u64,
    /// When the first of them ended: RFC 3339, as the record's time, which is
    /// when the last of them did.
    pub since: String,
    /// Whether this is the row of all other commands.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_others: bool,
    /// How long they took, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Histogram>,
}

/// Seconds, as OpenTelemetry's `HistogramDataPoint` has them, by the names of
/// its fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The upper bounds of the buckets, themselves included; the last bucket
    /// has none.
    pub explicit_bounds: Vec<f64>,
    /// How many there are in each bucket: one more than bounds.
    pub bucket_counts: Vec<u64>,
}

/// A record's number among those of its sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// The sink's name.
    pub name: String,
    /// Which numbers belong together: 16 hexadecimal digits.
    pub stream: String,
    /// Counts the records of the stream, from 1, without gaps.
    pub number: u64,
}

/// A hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name in `[hooks]`; for `pythonhook`, its type.
    pub name: String,
    /// What it runs, redacted: a shell command, or the name of a Python
    /// function.
    pub command: String,
    /// Whether the record's `span_id` is that of the hook, which the hook's
    /// children have as parent; otherwise it is that of the command.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_span: bool,
}

/// Counts that only messages have, and no options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Changesets that have come (`incoming`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming_changes: Option<u64>,
    /// The number of heads that both sides have (`discovery`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_heads: Option<u64>,
    /// Heads of the server that are not known here (`discovery`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_heads: Option<u64>,
    /// Questions to the server (`discovery`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roundtrips: Option<u64>,
    /// Successful cache lookups (`tagscache`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_hits: Option<u64>,
    /// All cache lookups (`tagscache`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_lookups: Option<u64>,
}

/// hg's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The program.
    pub executable: String,
    /// The program's name, unless it is one of Mercurial's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Mercurial's version, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hg_version: Option<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The login name, or `<user:HASH>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The real user ID; left out if the name is hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The command's full name, of a command's events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The command as it was called, redacted: of Mercurial's programs without
    /// the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// The exit status, of a command's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The signal that has ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i64>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The operating system's ID of the machine, which no other machine has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its processor, as OpenTelemetry calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Its operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
}

/// A run of a pipeline of a CI system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cicd {
    /// The pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_name: Option<String>,
    /// The run's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The address of the run's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    /// The task's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// The id of the task's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_run_id: Option<String>,
    /// The address of the job's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_run_url: Option<String>,
    /// The worker's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// The worker's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Its root directory.
    pub root: String,
    /// The last part of that.
    pub name: String,
    /// Where it comes from, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The active bookmark or the branch of the working directory at a
    /// command's end, if hg has read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_name: Option<String>,
    /// The changeset that it is at: 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_revision: Option<String>,
}

/// What a command has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The most memory that its process has had at a time, in bytes.
    pub peak_memory_bytes: u64,
    /// Seconds of processor time in user mode, children included.
    pub user_cpu_seconds: f64,
    /// Seconds of processor time in the kernel, children included.
    pub system_cpu_seconds: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_schema_is_told_from_what_is_no_record() {
        for json in [
            r#"{"schema":2}"#,
            r#"{"id": [1], "schema": 17, "event": null}"#,
            r#"{"schema": 1.5}"#,
            r#"{"schema": "2026-01"}"#,
        ] {
            assert!(is_of_later_schema(json.as_bytes()), "{json}");
        }
        for json in [
            "",
            "x",
            "{}",
            "[2]",
            r#"{"schema":1,"id":"x"}"#,
            r#"{"schema": 1}"#,
            r#"{"schema": 0}"#,
            r#"{"schema": null}"#,
            r#"{"schema": 2"#,
            r#"{"options": {"schema": 2}}"#,
        ] {
            assert!(!is_of_later_schema(json.as_bytes()), "{json}");
        }
    }
}
