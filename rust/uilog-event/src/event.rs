//! The event: what happened, independent of where it is sent.
//!
//! Must not know sinks, Python or configuration. Text is bytes throughout, as
//! in hg.

use std::borrow::Cow;
use std::fmt;

use chrono::DateTime;
use chrono::FixedOffset;
use chrono::SecondsFormat;
use chrono::TimeZone;
use chrono::Utc;
use serde::Deserialize;
use serde::Serialize;

/// The version of the record's fields, raised when one changes its meaning.
pub const SCHEMA: u16 = 1;

/// One `ui.log` call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// The version of this record: [`SCHEMA`].
    pub schema: u16,
    /// The session, which is one hg process.
    pub session: SessionId,
    /// The session in whose script this hg runs, if any.
    pub parent: Option<SessionId>,
    /// Counts the events of a session, from 1.
    pub seq: u64,
    /// The event's name, such as `commandfinish`.
    #[serde(borrow, with = "serde_bytes")]
    pub name: Cow<'a, [u8]>,
    /// When it was logged.
    pub time: Timestamp,
    /// Monotonic seconds that the event says it took, such as a command's.
    pub duration: Option<f64>,
    /// hg's process.
    pub pid: u32,
    /// The login name, if the environment has it; else it follows from `uid`.
    #[serde(borrow)]
    pub user: Option<Text<'a>>,
    /// hg's real user.
    pub uid: u32,
    /// The repository's root directory, where one is known.
    #[serde(borrow)]
    pub root: Option<Text<'a>>,
    /// The formatted message, its newline included.
    #[serde(borrow, with = "serde_bytes")]
    pub message: Cow<'a, [u8]>,
    /// The keyword arguments, in the order they were given.
    #[serde(borrow)]
    pub options: Vec<EventOption<'a>>,
    /// How many events of this session had been lost when this was logged.
    pub lost: u64,
    /// The span of the command or hook within which this happened.
    pub trace: Option<Trace>,
    /// Whether this is the end of the span that `trace` names: a command's or
    /// a hook's.
    pub ends_span: bool,
    /// What the command has used; with its end only.
    pub usage: Option<Usage>,
}

impl<'a> Event<'a> {
    /// The full name of the command that it is about, if it has that option.
    pub fn canonical_command(&self) -> Option<&[u8]> {
        let mut options = self.options.iter();
        let named = options.find(|it| *it.key == *b"canonical_command")?;
        match &named.value {
            Value::Bytes(name) => Some(&name.0),
            _ => None,
        }
    }

    /// One of which nothing is known but its name: the first of session 0, at
    /// the epoch, by process 0 of user 0.
    pub fn bare(name: &'a [u8]) -> Self {
        Self {
            schema: SCHEMA,
            session: SessionId(0),
            parent: None,
            seq: 1,
            name: Cow::Borrowed(name),
            time: Timestamp {
                micros: 0,
                offset: 0,
            },
            duration: None,
            pid: 0,
            user: None,
            uid: 0,
            root: None,
            message: Cow::Borrowed(b""),
            options: Vec::new(),
            lost: 0,
            trace: None,
            ends_span: false,
            usage: None,
        }
    }

    /// The event's id: unique, and the same wherever the event turns up.
    pub fn id(&self) -> String {
        format!("{}-{}", self.session, self.seq)
    }
}

/// The place of a command or a hook in a trace, in the terms of W3C Trace Context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The trace: what a command, the hooks it fires and what started it have
    /// in common.
    pub id: u128,
    /// Its span; 0 outside of commands.
    pub span: u64,
    /// The parent span; 0 if there is none.
    pub parent: u64,
    /// The flags that came with the parent.
    pub flags: u8,
}

/// What a command has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The most memory that its process has had at a time, in bytes.
    pub peak_memory_bytes: u64,
    /// Microseconds of processor time in user mode, children included.
    pub user_cpu_micros: u64,
    /// Microseconds of processor time in the kernel, children included.
    pub system_cpu_micros: u64,
}

/// A byte string inside another type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Text<'a>(#[serde(borrow, with = "serde_bytes")] pub Cow<'a, [u8]>);

/// A keyword argument of `ui.log`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventOption<'a> {
    /// The argument's name.
    #[serde(borrow, with = "serde_bytes")]
    pub key: Cow<'a, [u8]>,
    /// Its value.
    #[serde(borrow)]
    pub value: Value<'a>,
}

/// An option's value, with the type it had in Python.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// `None`.
    Null,
    /// `True` or `False`.
    Bool(bool),
    /// An `int`, as Python prints it.
    #[serde(borrow)]
    Int(Text<'a>),
    /// A `float`, as Python prints it.
    #[serde(borrow)]
    Float(Text<'a>),
    /// `bytes`, in any encoding.
    #[serde(borrow)]
    Bytes(Text<'a>),
    /// A `str` in UTF-8, or what `str` prints of any other object.
    #[serde(borrow)]
    Str(Text<'a>),
}

impl Value<'_> {
    /// The value as stock logtoprocess puts it into the environment.
    pub fn for_shell(&self) -> &[u8] {
        match self {
            // hg: procutil.shellenviron, py2shell
            Value::Null | Value::Bool(false) => b"0",
            Value::Bool(true) => b"1",
            Value::Int(text)
            | Value::Float(text)
            | Value::Bytes(text)
            | Value::Str(text) => &text.0,
        }
    }
}

/// Identifies one hg process: 128 random bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionId(pub u128);

impl SessionId {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let is_plain = text.len() == 32
            && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_plain {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A wall-clock time with the local offset at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Microseconds since 1970-01-01 00:00 UTC.
    pub micros: i64,
    /// Seconds that local time is ahead of UTC.
    pub offset: i32,
}

impl Timestamp {
    /// The current time.
    pub fn now() -> Self {
        let now = Utc::now();
        Self {
            micros: now.timestamp_micros(),
            offset: uilog_sys::clock::local_offset(now.timestamp()),
        }
    }

    /// RFC 3339 with microseconds, such as
    /// `2026-01-02T03:04:05.678901+01:00`.
    pub fn to_rfc3339(self) -> String {
        let utc = DateTime::<Utc>::from_timestamp_micros(self.micros)
            .unwrap_or_default();
        match FixedOffset::east_opt(self.offset) {
            Some(offset) => offset
                .from_utc_datetime(&utc.naive_utc())
                .to_rfc3339_opts(SecondsFormat::Micros, false),
            None => utc.to_rfc3339_opts(SecondsFormat::Micros, false),
        }
    }
}

/// A new session's id.
pub fn new_session() -> SessionId {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Ids that repeat are better than none.
        let id = u64::from(std::process::id());
        let micros = Timestamp::now().micros as u64;
        return SessionId(u128::from(id) << 64 | u128::from(micros));
    }
    SessionId(u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_survive_text() {
        let id = SessionId(0xabc);
        let text = id.to_string();
        assert_eq!(text, "00000000000000000000000000000abc");
        assert_eq!(SessionId::parse(text.as_bytes()), Some(id));
        assert_eq!(SessionId::parse(b"abc"), None);
        assert_eq!(SessionId::parse(&[b'+'; 32]), None);
        assert_eq!(SessionId::parse(&[0xff; 32]), None);
    }

    #[test]
    fn times_are_rfc3339_with_microseconds() {
        let time = Timestamp {
            micros: 1_700_000_000_000_001,
            offset: 19_800,
        };
        assert_eq!(time.to_rfc3339(), "2023-11-15T03:43:20.000001+05:30");
        let wrong = Timestamp {
            micros: i64::MAX,
            offset: i32::MAX,
        };
        assert_eq!(wrong.to_rfc3339(), "1970-01-01T00:00:00.000000+00:00");
    }
}
