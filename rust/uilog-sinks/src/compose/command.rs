//! The facts about a command in an event.
//!
//! Must not know what a sink may receive.

use std::borrow::Cow;

use uilog_channel::commandlost;
use uilog_channel::sink_config::SECTION;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire;
use uilog_event::event::Event;
use uilog_event::event::Value;
use uilog_redact::Redacted;

use super::size::MAX_HOOK_JSON;
use super::size::MAX_MESSAGE_JSON;
use super::size::MAX_NAME_BYTES;
use super::size::short;
use crate::event_fields;
use crate::record::Hook;
use crate::record::Usage;
use crate::record::is_failure;
use crate::text::Texts;
use crate::text::TruncatedText;

/// The option of `commandfinish` and `commandlost` that has the command's full
/// name.
pub(super) const CANONICAL_COMMAND: &str = "canonical_command";

/// How a command has ended; nothing of other events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CommandEnd {
    pub(super) exit_code: Option<i64>,
    pub(super) signal: Option<i64>,
}

impl CommandEnd {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let is_lost = *event.name == *commandlost::NAME;
        if !is_lost && *event.name != *b"commandfinish" {
            return Self::default();
        }
        Self {
            exit_code: event_fields::integer(event, "return_code")
                .filter(|_| !is_lost),
            signal: event_fields::integer(event, "signal"),
        }
    }
}

/// Whether the event is about a failed command.
pub(super) fn is_failed_command(record: &wire::RecordFrame<'_>) -> bool {
    let event = &record.event;
    let name = String::from_utf8_lossy(&event.name);
    let CommandEnd { exit_code, signal } = CommandEnd::of(event);
    // 1 has this meaning only for Mercurial's commands.
    let command =
        canonical_command(event).filter(|_| foreign_program(record).is_none());
    let command = command.map(String::from_utf8_lossy);
    is_failure(&name, exit_code, signal, command.as_deref())
}

/// Whether the message of events of this name is a command line.
pub(super) fn is_commands(name: &[u8]) -> bool {
    name == b"command" || name == b"commandfinish" || name == commandlost::NAME
}

pub(super) fn canonical_command<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    match event_fields::option(event, CANONICAL_COMMAND)? {
        Value::Bytes(name) | Value::Str(name) => Some(&name.0),
        _ => None,
    }
}

pub(super) fn full_name(definition: &SinkConfig, option: &str) -> String {
    format!("{SECTION}.sink.{}:{option}", definition.name)
}

pub(super) fn unchanged(text: &[u8]) -> Redacted<Cow<'_, [u8]>> {
    Redacted {
        text: Cow::Borrowed(text),
        places: Vec::new(),
    }
}

/// The name of the program that the event is about, unless that is one of
/// Mercurial's.
pub(super) fn foreign_program<'r>(
    record: &'r wire::RecordFrame<'_>,
) -> Option<&'r [u8]> {
    let program = record.program.as_ref().filter(|it| !it.is_mercurial)?;
    let mut parts = program.path.0.rsplit(|byte| *byte == b'/');
    parts.next().filter(|name| !name.is_empty())
}

/// The options in which `uilog run` logs a command's resource usage.
pub(super) const USAGE: [&[u8]; 3] = [
    b"peak_memory_bytes",
    b"user_cpu_seconds",
    b"system_cpu_seconds",
];

pub(super) fn usage(event: &Event<'_>) -> Option<Usage> {
    const MICROS_PER_SECOND: f64 = 1e6;
    if let Some(usage) = event.usage {
        return Some(Usage {
            peak_memory_bytes: usage.peak_memory_bytes,
            user_cpu_seconds: usage.user_cpu_micros as f64 / MICROS_PER_SECOND,
            system_cpu_seconds: usage.system_cpu_micros as f64
                / MICROS_PER_SECOND,
        });
    }
    // The numbers of `uilog run`.
    let seconds =
        |key| event_fields::option(event, key).and_then(event_fields::amount);
    let peak = event_fields::integer(event, "peak_memory_bytes")?;
    Some(Usage {
        peak_memory_bytes: u64::try_from(peak).ok()?,
        user_cpu_seconds: seconds("user_cpu_seconds")?,
        system_cpu_seconds: seconds("system_cpu_seconds")?,
    })
}

pub(super) fn hook(
    event: &Event<'_>,
    message: &str,
    texts: &mut Texts,
) -> Option<Hook> {
    let hook = event_fields::hook(&event.name, message)?;
    let place = ["hook", "command"];
    let command =
        TruncatedText::plain(hook.command.as_bytes(), MAX_MESSAGE_JSON);
    Some(Hook {
        name: short(
            texts,
            &["hook", "name"],
            hook.name.as_bytes(),
            MAX_NAME_BYTES,
        ),
        command: texts.put(&place, command, MAX_HOOK_JSON),
        has_span: event.ends_span,
    })
}
