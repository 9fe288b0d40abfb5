//! What stays of the messages and options of events.
//!
//! A message of one of Mercurial's events stays if it has Mercurial's wording;
//! each variable part is checked separately. Otherwise it is replaced by
//! `<message>`. Events of other extensions and of `uilog emit` are redacted as
//! for local sinks, because their authors chose the words.

mod error;
mod exception;
mod wordings;

use self::error::error;
use self::error::is_fingerprint;
use self::error::source;
use self::exception::exception;
use self::wordings::RHG;
use self::wordings::alias;
use self::wordings::filled;
use self::wordings::hook;
use self::wordings::url;
use self::wordings::wordings;
use super::kind;
use super::placeholder::Placeholder;
use super::reducer::Structure;

/// Keyword arguments of other events that hold the arguments of a program.
const ARGUMENT_KEYS: &[&str] = &[
    "arguments",
    "args",
    "argv",
    "cmd",
    "cmdline",
    "command",
    "command_line",
    "commandline",
];

/// The message, which comes without the newline at its end.
pub(super) fn reduced(
    event: &[u8],
    message: &[u8],
    by: &Structure<'_>,
) -> Vec<u8> {
    match event {
        b"commandexception" => return exception(message, by),
        b"exthook" | b"pythonhook" => return hook(event, message, by),
        b"commandalias" => return alias(message, by),
        _ => {}
    }
    let Some(wordings) = wordings(event) else {
        return by.0.redact_text(message).text.into_owned();
    };
    if message.is_empty() {
        return Vec::new();
    }
    let (mark, message) = match message.strip_prefix(RHG) {
        Some(rest) => (RHG, rest),
        None => (&b""[..], message),
    };
    let told = wordings
        .iter()
        .find_map(|it| filled(it.as_bytes(), message, by));
    let told = told.unwrap_or_else(|| Placeholder::Message.marker());
    [mark, &told].concat()
}

/// Whether an option of `commandlost` says what uilog says: a cause, or a time.
fn is_of_loss(key: &[u8], value: &[u8]) -> bool {
    let is_of_time = |it: &u8| it.is_ascii_digit() || b"T:+-.".contains(it);
    match key {
        b"cause" => value == b"signal" || value == b"unknown",
        b"began" => value.len() <= 40 && value.iter().all(is_of_time),
        _ => false,
    }
}

/// A keyword argument: a name, a number or a file stays.
pub(super) fn option(
    event: &[u8],
    key: &[u8],
    value: &[u8],
    by: &Structure<'_>,
) -> Vec<u8> {
    let is_of_hg = wordings(event).is_some()
        || matches!(
            event,
            b"command"
                | b"commandfinish"
                | b"commandlost"
                | b"commandexception"
                | b"commandalias"
                | b"exthook"
                | b"pythonhook"
        );
    if value.is_empty() || kind::is_placeholder(value) {
        return value.to_vec();
    }
    // uilog's own wording, but any extension may log an event of this name.
    if event == b"commandlost" && is_of_loss(key, value) {
        return value.to_vec();
    }
    // For another program, the name by which it was called.
    if key == b"canonical_command" {
        return if by.is_path(value) {
            value.to_vec()
        } else {
            Placeholder::Name.marker()
        };
    }
    if key == b"url" {
        return url(value, by);
    }
    if is_of_hg {
        match key {
            b"error" | b"exception_message" => return error(value, by),
            b"exception_stacktrace" => return exception(value, by),
            b"source" => return source(value, by),
            b"fingerprint" if is_fingerprint(value) => return value.to_vec(),
            _ => {}
        }
    }
    let is_arguments = ARGUMENT_KEYS
        .iter()
        .any(|it| it.as_bytes().eq_ignore_ascii_case(key));
    if is_arguments && !is_of_hg {
        return Structure::joined(&by.program_line(value));
    }
    let redacted = by.0.redact_option(key, value);
    if !is_of_hg {
        return redacted.text.into_owned();
    }
    if redacted.places.is_empty() && by.is_path(value) {
        return value.to_vec();
    }
    Placeholder::Value.marker()
}
