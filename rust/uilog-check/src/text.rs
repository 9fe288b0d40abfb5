//! Text from elsewhere, as it is shown in a message.

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An entry's first line, truncated for a message.
pub(super) fn first_line(value: &[u8]) -> String {
    const MAX_CHARS: usize = 60;
    let value = lossy(value);
    let line = value.lines().next().unwrap_or_default();
    let mut text: String = line.chars().take(MAX_CHARS).collect();
    if text.len() < value.len() {
        text.push_str("...");
    }
    text
}
