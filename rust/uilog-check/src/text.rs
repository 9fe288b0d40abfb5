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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_first_line_and_60_characters_of_a_text() {
        let (most, more) = ("\u{e9}".repeat(60), "\u{e9}".repeat(61));
        for (text, shown) in [
            ("", String::new()),
            ("one", "one".to_owned()),
            ("one\ntwo", "one...".to_owned()),
            (&most, most.clone()),
            (&more, format!("{most}...")),
        ] {
            assert_eq!(first_line(text.as_bytes()), shown);
        }
        assert_eq!(first_line(b"\xff"), "\u{fffd}");
    }
}
