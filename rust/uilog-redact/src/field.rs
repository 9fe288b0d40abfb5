//! Separate names and values: `{"name": "TOKEN", "value": "X"}`,
//! `<name>TOKEN</name><value>X</value>`, in either order.
//!
//! Must not know which names suggest a secret, or what values look like.

use memchr::memchr;
use memchr::memrchr;

use crate::steps;

const MAX_SPACES: usize = 4;
/// Maximum distance between a name and its separate value.
const MAX_GAP_BYTES: usize = 96;

/// Whether what begins here is the value of something called a name.
pub(crate) fn is_field_name(text: &[u8], start: usize) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"name",
        b"key",
        b"id",
        b"field",
        b"property",
        b"param",
        b"parameter",
        b"parameterkey",
        b"variable",
        b"env",
        b"option",
        b"k",
        b"header",
    ];
    word_before(text, start).is_some_and(|(word, _)| {
        NAMES.iter().any(|name| word.eq_ignore_ascii_case(name))
    })
}

/// Where the value of a field begins, if the field's name is here: `{"name":
/// "NAME", "value": "VALUE"}`.
pub(crate) fn value_of_field(
    text: &[u8],
    start: usize,
    end: usize,
) -> Option<usize> {
    is_field_name(text, start)
        .then(|| field_value(text, end))
        .flatten()
}

/// The word to which is assigned what begins here, and where it begins:
/// `name` in `"name": "X` and `<name>X`.
fn word_before(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    const MAX_BYTES: usize = 24;
    let mut end = at;
    let back = |end: usize, bytes: &[u8], max: usize| {
        text[..end]
            .iter()
            .rev()
            .take(max)
            .take_while(|byte| bytes.contains(byte))
            .count()
    };
    steps::add(MAX_BYTES);
    end -= back(end, b"\"'\\", 4);
    end -= back(end, b" ", MAX_SPACES);
    let separator = back(end, b"=:>", 2);
    if separator == 0 {
        return None;
    }
    end -= separator;
    end -= back(end, b" ", MAX_SPACES);
    end -= back(end, b"\"'\\", 4);
    let len = text[..end]
        .iter()
        .rev()
        .take(MAX_BYTES)
        .take_while(|byte| is_name(**byte))
        .count();
    (len > 0).then(|| (&text[end - len..end], end - len))
}

/// Words that a field's value has before it.
const VALUE_WORDS: [&[u8]; 7] = [
    b"value",
    b"val",
    b"content",
    b"string",
    b"parametervalue",
    b"default",
    b"v",
];

/// Where the value of a field begins whose name ends here.
pub(crate) fn field_value(text: &[u8], end: usize) -> Option<usize> {
    let near = &text[..text.len().min(end + MAX_GAP_BYTES)];
    steps::add(MAX_GAP_BYTES);
    let skip = |at: usize, bytes: &[u8]| {
        at + near[at..]
            .iter()
            .take_while(|byte| bytes.contains(byte))
            .count()
    };
    let mut at = skip(end, b"\"'\\");
    // `<entry key="password">X</entry>`
    if near.get(at) == Some(&b'>')
        && at > end
        && near
            .get(at + 1)
            .is_some_and(|byte| !b"< \r\n".contains(byte))
    {
        return Some(at + 1);
    }
    if near[at..].starts_with(b"</") {
        at += memchr(b'>', &near[at..])?;
    }
    let mut len;
    // Another member may be in between: `"type": "string",`.
    let mut others = 0;
    loop {
        at = skip(at, b" \t\r\n,;></{\"'\\");
        len = near[at..].iter().take_while(|byte| is_name(**byte)).count();
        let word = &near[at..at + len];
        let is_value = VALUE_WORDS
            .iter()
            .any(|other| word.eq_ignore_ascii_case(other));
        if is_value {
            break;
        }
        others += 1;
        let next = near[at..]
            .iter()
            .position(|byte| b",<>{}\n".contains(byte))?;
        if others > 2 || !b",\n".contains(&near[at + next]) {
            return None;
        }
        at += next;
    }
    at = skip(at + len, b"\"'\\");
    at = skip(at, b" ");
    if !matches!(near.get(at), Some(b'=' | b':' | b'>')) {
        return None;
    }
    at = skip(at + 1, b" ");
    (at < text.len()).then_some(at)
}

/// Where the value begins that precedes the name of its field: `"value": "X",
/// "name": "NAME`.
pub(crate) fn field_value_before(text: &[u8], start: usize) -> Option<usize> {
    let (_, name) = word_before(text, start)?;
    let before = &text[name.saturating_sub(MAX_GAP_BYTES)..name];
    steps::add(MAX_GAP_BYTES);
    // JSON has a quote before `name`, XML a space.
    let before = before
        .strip_suffix(b"\"")
        .or_else(|| before.strip_suffix(b"'"))
        .unwrap_or(before)
        .trim_ascii_end();
    let before = before.strip_suffix(b",").unwrap_or(before);
    let before = before.trim_ascii_end();
    let quote = *before.last()?;
    if !matches!(quote, b'"' | b'\'') {
        return None;
    }
    let value = memrchr(quote, &before[..before.len() - 1])?;
    let offset = name - text[name.saturating_sub(MAX_GAP_BYTES)..name].len();
    let (word, _) = word_before(text, offset + value + 1)?;
    VALUE_WORDS
        .iter()
        .any(|other| word.eq_ignore_ascii_case(other))
        .then_some(offset + value)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
