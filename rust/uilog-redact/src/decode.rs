//! Decodes escaped text: `\"`, `\n`, `\u0022`, `&quot;`, `%22`, and escape
//! sequences of terminals.
//!
//! Decodes one level at a time, and keeps the original position of each byte.
//! Must not know secrets.

use memchr::memchr3;
use memchr::memchr3_iter;

use crate::steps;
use crate::words::Word;

pub(crate) const ESCAPE: u8 = 0x1b;

/// A single quote in single quotes, as hg and shells write it.
const SHELL_QUOTE: &[u8] = br"'\''";

/// Names of characters in HTML and XML.
const ENTITIES: [(&[u8], u8); 6] = [
    (b"&quot;", b'"'),
    (b"&apos;", b'\''),
    (b"&amp;", b'&'),
    (b"&lt;", b'<'),
    (b"&gt;", b'>'),
    (b"&nbsp;", b' '),
];

/// The text with one level of escapes undone, if it has any.
pub(crate) fn decoded(text: &[u8]) -> Option<Word> {
    let first = [
        memchr3(b'\\', b'%', b'&', text),
        memchr::memchr(ESCAPE, text),
    ]
    .into_iter()
    .flatten()
    .min()?;
    steps::add(text.len());
    let mut word = Word::default();
    let mut is_changed = false;
    let mut at = 0;
    // The quote before a backslash belongs to hg's way to write one.
    let mut next = first.saturating_sub(1);
    loop {
        if next > at {
            word.push(text, at, next - at);
            at = next;
        }
        let Some(&byte) = text.get(at) else {
            break;
        };
        match escape(&text[at..]) {
            Some((byte, len)) => {
                word.push_unit(byte, at, len);
                is_changed = true;
                at += len;
            }
            None if byte == b'\\' && at + 1 < text.len() => {
                word.push(text, at, 2);
                at += 2;
            }
            None => {
                word.push(text, at, 1);
                at += 1;
            }
        }
        let rest = &text[at..];
        let special = memchr3_iter(b'\\', b'%', b'&', rest).next();
        let terminal =
            memchr::memchr(ESCAPE, &rest[..special.unwrap_or(rest.len())]);
        next = match terminal.or(special) {
            None => text.len(),
            Some(len) if len > 0 && rest[len - 1] == b'\'' => at + len - 1,
            Some(len) => at + len,
        };
    }
    word.range = 0..text.len();
    is_changed.then_some(word)
}

/// The escaped byte at the beginning of a text, and the length of the escape.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    if text.starts_with(SHELL_QUOTE) {
        return Some((b'\'', SHELL_QUOTE.len()));
    }
    match *text {
        [b'\\', b'n', ..] => Some((b'\n', 2)),
        [b'\\', b'r', ..] => Some((b'\r', 2)),
        [b'\\', b't', ..] => Some((b'\t', 2)),
        [b'\\', b'x', a, b, ..] => byte(a, b).map(|byte| (byte, 4)),
        [b'\\', b'u', b'0', b'0', a, b, ..] => byte(a, b).map(|byte| (byte, 6)),
        [b'\\', b'0', b'3', b'3', ..] => Some((ESCAPE, 4)),
        [b'\\', b'e', b'[', ..] => Some((ESCAPE, 2)),
        [b'\\', next @ (b'"' | b'\'' | b'\\' | b'/' | b'`'), ..] => {
            Some((next, 2))
        }
        [b'%', a, b, ..] => byte(a, b).map(|byte| (byte, 3)),
        [b'&', b'#', ..] => number_entity(text),
        [b'&', ..] => ENTITIES
            .iter()
            .find(|(name, _)| text.starts_with(name))
            .map(|(name, byte)| (*byte, name.len())),
        [ESCAPE, b'[', ..] => terminal_sequence(text),
        _ => None,
    }
}

/// `&#34;`, `&#x22;`
fn number_entity(text: &[u8]) -> Option<(u8, usize)> {
    const MAX_BYTES: usize = 8;
    let near = &text[..text.len().min(MAX_BYTES)];
    let end = near.iter().position(|byte| *byte == b';')?;
    let number = std::str::from_utf8(&near[2..end]).ok()?;
    let byte = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => number.parse(),
    };
    byte.ok().filter(u8::is_ascii).map(|byte| (byte, end + 1))
}

/// `ESC [ 1 ; 31 m`, as a space.
fn terminal_sequence(text: &[u8]) -> Option<(u8, usize)> {
    const MAX_BYTES: usize = 16;
    let len = text
        .iter()
        .take(MAX_BYTES)
        .skip(2)
        .take_while(|byte| byte.is_ascii_digit() || b";?".contains(byte))
        .count();
    text.get(2 + len)
        .is_some_and(u8::is_ascii_alphabetic)
        .then_some((b' ', 3 + len))
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_is_undone() {
        let cases: [(&[u8], &[u8]); 12] = [
            (br#"{\"a\": \"b\"}"#, br#"{"a": "b"}"#),
            (br#"\\\"a\\\""#, br#"\"a\""#),
            (br"a\nb\tc", b"a\nb\tc"),
            (br"\u0022a\x22", b"\"a\""),
            (b"&quot;a&#34;&#x27;&amp;lt;", b"\"a\"'&lt;"),
            (b"%22a%2522", b"\"a%22"),
            (b"\x1b[1;31mab\x1b[0m", b" ab "),
            (br"'x '\''y'\'''", b"'x 'y''"),
            (br"\e[0mx", b"\x1b[0mx"),
            (br"a\", br""),
            (b"100% & more", b""),
            (b"plain", b""),
        ];
        for (text, wanted) in cases {
            let word = decoded(text);
            let bytes = word.as_ref().map_or(&b""[..], |word| &word.bytes);
            assert_eq!(
                String::from_utf8_lossy(bytes),
                String::from_utf8_lossy(wanted)
            );
        }
    }

    #[test]
    fn places_are_known() {
        let text = br#"{\"a\": \"b c\"}"#;
        let word = decoded(text).unwrap();
        let at = word.bytes.windows(3).position(|w| w == b"b c").unwrap();
        assert_eq!(&text[word.in_line(&(at..at + 3))], b"b c");
        assert_eq!(word.in_line(&(0..word.bytes.len())), 0..text.len());
    }
}
