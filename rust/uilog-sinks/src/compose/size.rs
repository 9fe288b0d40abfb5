//! The size limits of the parts of a record.

use serde_json::Number;
use uilog_event::event::Value;

use crate::text::Texts;
use crate::text::TruncatedText;

/// Maximum size of a record as JSON: the maximum of a spool.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Of that, for the message, and for the command line once more.
pub(super) const MAX_MESSAGE_JSON: usize = 192 * 1024;
/// For all options together.
pub(super) const MAX_OPTIONS_JSON: usize = 256 * 1024;
/// For a hook's command, which the message holds as well.
pub(super) const MAX_HOOK_JSON: usize = 64 * 1024;
/// For a path, a user, a version.
pub(super) const MAX_SHORT_JSON: usize = 32 * 1024;
/// Maximum length of a path: that of Linux.
pub(super) const MAX_PATH_BYTES: usize = 4096;
/// Bytes of a name: an event's, an option's, a user's.
pub(super) const MAX_NAME_BYTES: usize = 256;
/// JSON bytes of an option in addition to its name and its value.
pub(super) const OPTION_JSON: usize = 64;
/// How many things a command can have waited for.
pub(super) const MAX_BLOCKED: usize = 64;

/// A text that holds no secrets and is not long.
pub(super) fn short(
    texts: &mut Texts,
    place: &[&str],
    text: &[u8],
    max_bytes: usize,
) -> String {
    texts.put(place, TruncatedText::plain(text, max_bytes), MAX_SHORT_JSON)
}

/// The number that Python has printed so, if JSON has it.
pub(super) fn number(digits: &[u8], value: &Value<'_>) -> Option<Number> {
    let digits = std::str::from_utf8(digits).ok()?;
    match value {
        Value::Int(_) => digits
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| digits.parse::<u64>().map(Number::from))
            .ok(),
        _ => digits.parse().ok().and_then(Number::from_f64),
    }
}
