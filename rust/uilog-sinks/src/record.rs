//! What a structured sink is given: one event, in version 1 of the schema.
//!
//! docs/schema.md tells what each field means, and what may change. Here is
//! only its shape.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// The version of the schema, raised when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// One event. As JSON, an object; what is not known is left out.
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
    /// Seconds that it took, if it tells of something that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The trace that it belongs to: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The command within which it happened: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// What that command is a part of: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
    /// The hg process: 32 hexadecimal digits.
    pub session: String,
    /// The hg process in whose script this one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session: Option<String>,
    /// Counts the events of a session, from 1.
    pub seq: u64,
    /// The message, redacted, without the newline at its end.
    pub message: String,
    /// The keyword arguments, redacted, by their names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// The process.
    pub process: Process,
    /// Where it runs.
    pub host: Host,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    /// What the command has used, at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// How many events of this session had been lost before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Which part of all sessions is kept, if not all: to count, divide by
    /// this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<f64>,
}

/// hg's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The program.
    pub executable: String,
    /// Mercurial's version, where hg tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hg_version: Option<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The login name, or `<user:HASH>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The real user's number.
    pub uid: u32,
    /// The command's full name, of a command's events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The command as it was called, without the program, redacted.
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
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Its root directory.
    pub root: String,
    /// The last part of that.
    pub name: String,
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
fn is_zero(count: &u64) -> bool {
    *count == 0
}
