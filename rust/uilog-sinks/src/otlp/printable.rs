//! Text of others, such as a receiver's answer, for a report of one line.
//!
//! Must not know where it comes from.

/// How many characters of a text are kept.
const MAX_TEXT_CHARS: usize = 200;

/// A short text of one line.
pub(crate) fn printable(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .take(MAX_TEXT_CHARS)
        .collect();
    if text.chars().nth(MAX_TEXT_CHARS).is_some() {
        short.push_str("...");
    }
    short
}
