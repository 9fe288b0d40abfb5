//! A record, with the fields that questions need.
//!
//! Responsible for parsing a line of a sink `file:` (docs/schema.md) without
//! copying its texts, and for what follows from its fields: whether the command
//! failed, and why. A field of an unexpected type counts as missing. Must not
//! know where a line comes from, or who asks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::IgnoredAny;
use serde_json::Map;
use serde_json::Value;
use uilog_sinks::record;

/// The latest version of the schema that is understood.
pub const SCHEMA: u64 = record::SCHEMA as u64;

/// A text of a line: a part of it, unless something in it is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Microseconds since 1970 of an RFC 3339 time, and the seconds that its zone
/// is ahead of UTC.
pub fn parse_time(text: &str) -> Option<(i64, i32)> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some((time.timestamp_micros(), time.offset().local_minus_utc()))
}

/// A record.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Record<'a> {
    /// The version of the schema.
    #[serde(default)]
    pub schema: u64,
    /// Unique, wherever the record turns up.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// The event's name.
    #[serde(borrow)]
    pub event: Text<'a>,
    /// RFC 3339.
    #[serde(borrow)]
    pub time: Text<'a>,
    /// Seconds until `time`.
    #[serde(default)]
    pub duration: Option<f64>,
    /// The trace.
    #[serde(borrow, default)]
    pub trace_id: Text<'a>,
    /// Its place in the trace.
    #[serde(borrow, default)]
    pub span_id: Text<'a>,
    /// What that is a part of.
    #[serde(borrow, default)]
    pub parent_span_id: Text<'a>,
    /// The hg process.
    #[serde(borrow, default)]
    pub session: Text<'a>,
    /// The message, redacted.
    #[serde(borrow, default)]
    pub message: Text<'a>,
    /// The keyword arguments.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// The process.
    #[serde(borrow, default)]
    pub process: Process<'a>,
    /// The machine.
    #[serde(borrow, default)]
    pub host: Host<'a>,
    /// The CI system's job.
    #[serde(borrow, default)]
    pub cicd: Option<Cicd<'a>>,
    /// The repository.
    #[serde(borrow, default)]
    pub repository: Option<Repository<'a>>,
    /// What the command has used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The hook that has ended.
    #[serde(borrow, default)]
    pub hook: Option<Hook<'a>>,
    /// Seconds of waiting, by what for.
    #[serde(default)]
    pub blocked: BTreeMap<String, f64>,
}

/// The process.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Process<'a> {
    /// Its number.
    #[serde(default)]
    pub pid: u64,
    /// The program's name, unless it is hg.
    #[serde(borrow, default)]
    pub program: Text<'a>,
    /// Mercurial's version.
    #[serde(borrow, default)]
    pub hg_version: Text<'a>,
    /// The working directory.
    #[serde(borrow, default)]
    pub cwd: Text<'a>,
    /// The login name.
    #[serde(borrow, default)]
    pub user: Text<'a>,
    /// The command's full name.
    #[serde(borrow, default)]
    pub command: Text<'a>,
    /// The command as it was called.
    #[serde(borrow, default)]
    pub command_line: Text<'a>,
    /// The exit status.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// The signal that has ended it.
    #[serde(default)]
    pub signal: Option<i64>,
}

/// The machine.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Host<'a> {
    /// As `uname -n` has it.
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

/// The repository.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Repository<'a> {
    /// Its root directory.
    #[serde(borrow, default)]
    pub root: Text<'a>,
    /// The last part of that.
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

/// A CI system's job.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Cicd<'a> {
    /// The pipeline.
    #[serde(borrow, default)]
    pub pipeline_name: Text<'a>,
    /// The task.
    #[serde(borrow, default)]
    pub task_name: Text<'a>,
}

/// What a command has used.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Usage {
    /// Bytes.
    #[serde(default)]
    pub peak_memory_bytes: Option<u64>,
    /// Seconds.
    #[serde(default)]
    pub user_cpu_seconds: Option<f64>,
    /// Seconds.
    #[serde(default)]
    pub system_cpu_seconds: Option<f64>,
}

/// A hook.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Hook<'a> {
    /// Its name in `[hooks]`.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// Whether the record's span is its own.
    #[serde(default)]
    pub has_span: bool,
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no record at all, or a part of one.
    Damaged,
    /// A later uilog has written it.
    Later,
}

impl<'a> Record<'a> {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// It is no record, or one of a later version.
    pub fn parse(line: &'a [u8]) -> Result<Self, Unreadable> {
        let parsed: Result<Self, _> = serde_json::from_slice(line);
        match parsed {
            Ok(record) if record.schema > SCHEMA => Err(Unreadable::Later),
            Ok(record) => Ok(record),
            Err(_) if record::is_of_later_schema(line) => {
                Err(Unreadable::Later)
            }
            Err(_) => Err(Unreadable::Damaged),
        }
    }

    /// The command's name: the record's, else from the command line.
    pub fn command(&self) -> &str {
        let process = &self.process;
        if !process.command.0.is_empty() {
            return process.command.as_str();
        }
        let line = process.command_line.as_str();
        line.split_whitespace().next().unwrap_or_default()
    }

    /// The command as it was called, else its name.
    pub fn command_line(&self) -> &str {
        let line = self.process.command_line.as_str();
        if line.is_empty() {
            self.command()
        } else {
            line
        }
    }

    /// The repository's name.
    pub fn repository(&self) -> &str {
        self.repository.as_ref().map_or("", |it| it.name.as_str())
    }

    /// The repository's root.
    pub fn root(&self) -> &str {
        self.repository.as_ref().map_or("", |it| it.root.as_str())
    }

    /// The hook's name.
    pub fn hook(&self) -> &str {
        self.hook.as_ref().map_or("", |it| it.name.as_str())
    }

    /// Whether it is about a failure: of a command, or by a hook that has
    /// refused one.
    pub fn is_failure(&self) -> bool {
        let process = &self.process;
        let command = process.command.as_str();
        let is_named = !command.is_empty() && process.program.0.is_empty();
        record::is_failure(
            self.event.as_str(),
            process.exit_code,
            process.signal,
            is_named.then_some(command),
        ) || self.options.get("vetoed") == Some(&Value::Bool(true))
    }

    /// An option that is a text.
    pub fn text(&self, name: &str) -> &str {
        self.options
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// An option that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.options.get(name)?.as_f64()
    }

    /// The class of what went wrong: hg's name of the exception, else the
    /// signal or the exit status. Empty if nothing did.
    pub fn error_type(&self) -> Cow<'_, str> {
        for name in ["error_type", "exception_type"] {
            if !self.text(name).is_empty() {
                return self.text(name).into();
            }
        }
        if !self.is_failure() {
            return "".into();
        }
        let process = &self.process;
        match (process.signal, process.exit_code) {
            (Some(signal), _) => format!("signal {signal}").into(),
            (None, Some(code)) => format!("exit {code}").into(),
            (None, None) if self.event.as_str() == "commandlost" => {
                "killed".into()
            }
            (None, None) => "".into(),
        }
    }

    /// Why it failed, as logged; empty if unknown.
    pub fn error(&self) -> &str {
        for name in ["error", "exception_message"] {
            if !self.text(name).is_empty() {
                return self.text(name);
            }
        }
        match self.event.as_str() {
            "commandexception" => self.message.as_str(),
            _ => "",
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    // Anything else counts as missing.

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(
        self,
        mut list: A,
    ) -> Result<Text<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_map<A: de::MapAccess<'de>>(
        self,
        mut map: A,
    ) -> Result<Text<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_what_failed_and_why() {
        let line = br#"{"schema":1,"id":"a-1","event":"commandfinish",
            "time":"2026-03-01T09:12:44.120733+01:00","duration":1.5,
            "options":{"error":"abort: \"x\"","error_type":"InputError"},
            "process":{"pid":1,"command":"pull","exit_code":255,"user":7},
            "later":{"x":[1,null,{"y":2}]}}"#;
        let record = Record::parse(line).unwrap();
        assert!(record.is_failure());
        assert_eq!(record.error_type(), "InputError");
        assert_eq!(record.error(), "abort: \"x\"");
        assert_eq!(record.process.user.as_str(), "");
        assert_eq!(record.command_line(), "pull");
        let time = parse_time(record.time.as_str());
        assert_eq!(time, Some((1_772_352_764_120_733, 3600)));
    }

    #[test]
    fn status_1_of_nothing_found_is_no_failure() {
        let of = |command: &str, code: i64| {
            let line = format!(
                r#"{{"schema":1,"id":"a-1","event":"commandfinish","time":"",
                "process":{{"command":"{command}","exit_code":{code}}}}}"#
            );
            let record = Record::parse(line.as_bytes());
            record.map(|it| (it.is_failure(), it.error_type().into_owned()))
        };
        assert_eq!(of("incoming", 1), Ok((false, String::new())));
        assert_eq!(of("update", 1), Ok((true, "exit 1".to_owned())));
    }

    #[test]
    fn what_is_no_record_is_told() {
        let parse = |line: &str| Record::parse(line.as_bytes()).err();
        assert_eq!(parse("{}"), Some(Unreadable::Damaged));
        assert_eq!(parse("x"), Some(Unreadable::Damaged));
        let later = r#"{"schema":2,"id":"a","event":"b","time":"c"}"#;
        assert_eq!(parse(later), Some(Unreadable::Later));
        assert_eq!(parse(r#"{"schema":2}"#), Some(Unreadable::Later));
    }
}
