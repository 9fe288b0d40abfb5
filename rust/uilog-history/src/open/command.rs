//! A command that has begun and has not ended, and what it waits for.
//!
//! Responsible for the words that describe a phase. Must not know how commands
//! are found.

use uilog_channel::phase;
use uilog_event::event::Value;

/// A command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Open {
    /// hg's process.
    pub pid: u64,
    /// As it was called.
    pub command: String,
    /// Who runs it.
    pub user: String,
    /// The repository's root.
    pub root: String,
    /// Its trace.
    pub trace: String,
    /// When it began, in microseconds since 1970.
    pub start: i64,
    /// The last event that it has logged.
    pub last_event: String,
    /// What the process does: `running`, `sleeping`, `stopped`, ...
    pub state: &'static str,
    /// The locks of its repository that it holds.
    pub holds: Vec<String>,
    /// The locks of its repository that others hold, and their processes.
    pub held_by_others: Vec<(String, u64)>,
    /// Whether it looks as if it waits for one of those.
    pub waits_for_lock: bool,
    /// Its descendants, with their depth and process.
    pub children: Vec<(usize, u64, String)>,
    /// Its reported phase.
    pub phase: Option<Phase>,
}

/// What a command does at the moment, if that may take long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// `lock`, `wire`, `hook`, `editor`, `mergetool` or `program`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// Of a lock the process that holds it, if that is one of this machine.
    pub holder: Option<u64>,
}

impl Phase {
    /// The phase that hg has stored; `host` is this machine.
    pub(super) fn of(phase: &phase::Phase<'_>, host: &str) -> Self {
        let option = |name: &str| {
            let mut all = phase.options.iter();
            let found = all.find(|it| *it.key == *name.as_bytes())?;
            match &found.value {
                Value::Int(text)
                | Value::Float(text)
                | Value::Bytes(text)
                | Value::Str(text) => {
                    let text = String::from_utf8_lossy(&text.0);
                    Some(text.into_owned()).filter(|it| !it.is_empty())
                }
                Value::Null | Value::Bool(_) => None,
            }
        };
        let kind = String::from_utf8_lossy(&phase.kind.0).into_owned();
        let mut holder = None;
        let mut words = match kind.as_str() {
            "lock" => {
                let is_here =
                    option("holder_host").is_some_and(|it| it == host);
                let pid = option("holder_pid").and_then(|it| it.parse().ok());
                holder = pid.filter(|_| is_here);
                let lock =
                    option("lock").unwrap_or_else(|| "a lock".to_owned());
                vec![format!("waits for {lock}")]
            }
            "wire" => vec!["waits for another repository".to_owned()],
            "hook" => vec!["runs a hook".to_owned()],
            "editor" => vec!["waits for an editor".to_owned()],
            "mergetool" => vec!["waits for a merge tool".to_owned()],
            _ => vec!["waits for a program".to_owned()],
        };
        let more = [
            ("holder", "held by"),
            ("holder_command", "which runs"),
            ("wire_command", "command"),
            ("url", "at"),
            ("hook", "named"),
        ];
        for (name, before) in more {
            words.extend(option(name).map(|it| format!("{before} {it}")));
        }
        Self {
            kind,
            text: words.join(" "),
            holder,
        }
    }
}
