//! The fields of a record by name: for columns, keywords and sorting.
//!
//! Responsible for the names, and for the value of each. Must not know how a
//! value is shown.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::record::Record;

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// When something happened.
    Time,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Another number.
    Number,
    /// Anything else.
    Text,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// It is not known.
    None,
    /// Of [`FieldType::Text`] and [`FieldType::Time`].
    Text(Cow<'a, str>),
    /// Of the others.
    Number(f64),
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Cow<'static, str>,
    /// The type of its values.
    pub kind: FieldType,
}

/// All fields with a fixed name, and their descriptions.
pub const NAMES: [(&str, FieldType, &str); 31] = [
    ("when", FieldType::Time, "when it was logged"),
    ("duration", FieldType::Seconds, "how long it took"),
    ("exit", FieldType::Number, "the exit status"),
    ("command", FieldType::Text, "the command as it was called"),
    ("name", FieldType::Text, "the command's full name"),
    ("repository", FieldType::Text, "the repository's name"),
    ("root", FieldType::Text, "the repository's root"),
    ("user", FieldType::Text, "who ran it"),
    ("host", FieldType::Text, "on which machine"),
    ("error", FieldType::Text, "why it failed"),
    ("error-type", FieldType::Text, "the class of the error"),
    ("event", FieldType::Text, "the event"),
    ("message", FieldType::Text, "the event's message"),
    ("hook", FieldType::Text, "the hook's name"),
    ("id", FieldType::Text, "the record's id"),
    ("trace", FieldType::Text, "the trace"),
    ("span", FieldType::Text, "the span"),
    ("session", FieldType::Text, "the hg process"),
    ("pid", FieldType::Number, "its number"),
    ("cwd", FieldType::Text, "the working directory"),
    ("hg-version", FieldType::Text, "Mercurial's version"),
    ("ci", FieldType::Text, "the CI system's pipeline and task"),
    ("peak-memory", FieldType::Bytes, "the most memory at a time"),
    ("cpu", FieldType::Seconds, "processor time"),
    (
        "user-cpu",
        FieldType::Seconds,
        "processor time in user mode",
    ),
    (
        "system-cpu",
        FieldType::Seconds,
        "processor time in the kernel",
    ),
    (
        "lock-wait",
        FieldType::Seconds,
        "how long it waited for locks",
    ),
    (
        "user-wait",
        FieldType::Seconds,
        "how long it waited for a person",
    ),
    ("bytes-sent", FieldType::Bytes, "sent to other repositories"),
    ("bytes-received", FieldType::Bytes, "received from them"),
    (
        "roundtrips",
        FieldType::Number,
        "questions to other repositories",
    ),
];

/// What begins the name of an event's option, taken as a field.
const OPTION: &str = "option.";

impl Field {
    /// The field of this name.
    ///
    /// # Errors
    ///
    /// There is none. The text suggests one, or lists all.
    pub fn named(name: &str) -> Result<Self, String> {
        let name = name.trim();
        let is_option =
            name.strip_prefix(OPTION).is_some_and(|it| !it.is_empty());
        if is_option {
            return Ok(Self {
                name: Cow::Owned(name.to_owned()),
                kind: FieldType::Text,
            });
        }
        // As the schema spells names.
        let wanted = name.replace('_', "-");
        let known = NAMES.iter().find(|known| known.0 == wanted);
        if let Some((name, kind, _)) = known {
            return Ok(Self {
                name: Cow::Borrowed(name),
                kind: *kind,
            });
        }
        let names = NAMES.iter().map(|known| known.0);
        let advice = uilog_event::suggest::advice(&wanted, names, "columns");
        Err(format!("there is no column '{name}': {advice}"))
    }

    /// Its value in a record.
    pub fn of<'r>(&self, record: &'r Record<'_>) -> Value<'r> {
        let text = |text: &'r str| match text {
            "" => Value::None,
            text => Value::Text(Cow::Borrowed(text)),
        };
        let number =
            |number: Option<f64>| number.map_or(Value::None, Value::Number);
        let usage = record.usage.unwrap_or_default();
        match &*self.name {
            "when" => text(record.time.as_str()),
            "duration" => number(record.duration),
            "exit" => number(record.process.exit_code.map(|it| it as f64)),
            "command" => text(match record.command_line() {
                "" => record.message.as_str(),
                line => line,
            }),
            "name" => text(record.command()),
            "repository" => text(record.repository()),
            "root" => text(record.root()),
            "user" => text(record.process.user.as_str()),
            "host" => text(record.host.name.as_str()),
            "error" => text(record.error()),
            "error-type" => match record.error_type() {
                it if it.is_empty() => Value::None,
                it => Value::Text(it),
            },
            "event" => text(record.event.as_str()),
            "message" => text(record.message.as_str()),
            "hook" => text(record.hook()),
            "id" => text(record.id.as_str()),
            "trace" => text(record.trace_id.as_str()),
            "span" => text(record.span_id.as_str()),
            "session" => text(record.session.as_str()),
            "pid" => number(Some(record.process.pid as f64)),
            "cwd" => text(record.process.cwd.as_str()),
            "hg-version" => text(record.process.hg_version.as_str()),
            "ci" => record.cicd.as_ref().map_or(Value::None, |cicd| {
                let parts = [&cicd.pipeline_name, &cicd.task_name];
                let parts = parts.map(|it| it.as_str());
                let parts: Vec<_> =
                    parts.into_iter().filter(|it| !it.is_empty()).collect();
                Value::Text(parts.join("/").into())
            }),
            "peak-memory" => {
                number(usage.peak_memory_bytes.map(|it| it as f64))
            }
            "cpu" => number(
                usage
                    .user_cpu_seconds
                    .zip(usage.system_cpu_seconds)
                    .map(|(user, system)| user + system),
            ),
            "user-cpu" => number(usage.user_cpu_seconds),
            "system-cpu" => number(usage.system_cpu_seconds),
            "lock-wait" => number(
                record
                    .number("lock_wait")
                    .or_else(|| record.number("waited")),
            ),
            "user-wait" => number(record.number("waited_for_user")),
            "bytes-sent" => number(record.number("bytes_sent")),
            "bytes-received" => number(record.number("bytes_received")),
            "roundtrips" => number(record.number("roundtrips")),
            other => {
                let name = other.strip_prefix(OPTION).unwrap_or_default();
                match record.options.get(name) {
                    None | Some(Json::Null) => Value::None,
                    Some(Json::String(it)) => text(it),
                    Some(it) => match it.as_f64() {
                        Some(it) => Value::Number(it),
                        None => Value::Text(it.to_string().into()),
                    },
                }
            }
        }
    }

    /// Its value as a number to sort by; `time` is the record's.
    pub fn key(&self, record: &Record<'_>, time: i64) -> Option<f64> {
        if self.kind == FieldType::Time {
            return Some(time as f64);
        }
        match self.of(record) {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Whether records can be sorted by it.
    pub fn is_sortable(&self) -> bool {
        self.kind != FieldType::Text || self.name.starts_with(OPTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_value_and_a_typo_a_suggestion() {
        let line = br#"{"schema":1,"id":"i","event":"commandfinish",
            "time":"t","duration":2,"trace_id":"tr","span_id":"sp",
            "session":"se","message":"m",
            "options":{"lock_wait":1.5,"waited_for_user":2,"bytes_sent":3,
              "bytes_received":4,"roundtrips":5,"error":"e","x":true},
            "process":{"pid":9,"hg_version":"7","cwd":"/","user":"u",
              "command":"pull","command_line":"pull -r 3","exit_code":255},
            "host":{"name":"h"},"cicd":{"task_name":"t"},
            "repository":{"root":"/r","name":"r"},
            "usage":{"peak_memory_bytes":7,"user_cpu_seconds":1,
              "system_cpu_seconds":2},"hook":{"name":"k"}}"#;
        let record = Record::parse(line).unwrap();
        for (name, kind, _) in NAMES {
            let field = Field::named(name).unwrap();
            let value = field.of(&record);
            let is_text = matches!(kind, FieldType::Text | FieldType::Time);
            match value {
                Value::None => panic!("{name}"),
                Value::Text(_) => assert!(is_text, "{name}"),
                Value::Number(_) => assert!(!is_text, "{name}"),
            }
        }
        let option = Field::named("option.x").unwrap();
        assert_eq!(option.of(&record), Value::Text("true".into()));
        assert!(Field::named("peak_memory").is_ok());
        let error = Field::named("duratoin").unwrap_err();
        assert!(error.contains("did you mean 'duration'?"), "{error}");
        let error = Field::named("colour").unwrap_err();
        assert!(error.contains("when, duration, exit"), "{error}");
    }
}
