//! What a secret may look like, and what only stands for one.
//!
//! Knows no names, no URLs, no commands.

use std::ops::Range;

use memchr::memchr;
use memchr::memmem;

use crate::rule::marker_at;

/// What is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// Any text: where a value ends has to be guessed.
    Text,
    /// A single argument, without its quotes: nothing else follows.
    Word,
}

/// Values longer than this are taken for secrets without looking at them.
const MAX_LOOKED_AT_BYTES: usize = 256;

/// The first byte behind the last one that a URL, or a value in it, can have.
pub(crate) fn ends_url(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\')
}

/// Whether this is a variable, a format, an empty word: what programs and
/// manuals write where a secret will be, or was.
pub(crate) fn is_placeholder(value: &[u8], scope: Scope) -> bool {
    if value.is_empty() || marker_at(value) == Some(value.len()) {
        return true;
    }
    if value.len() > MAX_LOOKED_AT_BYTES {
        return false;
    }
    let inner = &value[1..];
    match value[0] {
        // In an argument the shell has already put in what it means.
        b'$' => scope == Scope::Text && is_variable(inner),
        b'%' => is_format(inner),
        b'{' if scope == Scope::Text => value.ends_with(b"}"),
        b'<' if scope == Scope::Text => value.ends_with(b">"),
        first => {
            is_mask(first, value)
                || [
                    &b"none"[..],
                    b"null",
                    b"nil",
                    b"true",
                    b"false",
                    b"undefined",
                    b"hidden",
                    b"masked",
                    b"redacted",
                    b"[redacted]",
                    b"(hidden)",
                ]
                .iter()
                .any(|word| value.eq_ignore_ascii_case(word))
        }
    }
}

/// Whether this is one character over and over.
fn is_mask(first: u8, value: &[u8]) -> bool {
    let is_letter = matches!(first, b'x' | b'X') && value.len() > 2;
    (is_letter || matches!(first, b'*' | b'.' | b'-' | b'_' | b'?'))
        && value.iter().all(|byte| *byte == first)
}

/// Whether this, behind `$`, is one variable or substitution and no more.
fn is_variable(name: &[u8]) -> bool {
    let pair = |open, close| name[0] == open && name.ends_with(&[close]);
    name.is_empty()
        || (pair(b'{', b'}') || pair(b'(', b')') || name.iter().all(is_name))
}

/// Whether this, behind `%`, is one conversion: `s`, `(name)s`, `NAME%`.
fn is_format(rest: &[u8]) -> bool {
    matches!(rest, b"s" | b"r" | b"d" | b"b")
        || (rest.starts_with(b"(") && rest.ends_with(b")s"))
        || rest
            .strip_suffix(b"%")
            .is_some_and(|name| name.iter().all(is_name))
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// Whether this looks made by a machine: long, with letters and digits, and
/// without spaces.
pub(crate) fn looks_random(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 8;
    if value.len() > MAX_LOOKED_AT_BYTES {
        return true;
    }
    let count = |is: fn(&u8) -> bool| value.iter().filter(|b| is(b)).count();
    let digits = count(u8::is_ascii_digit);
    let letters = count(u8::is_ascii_alphabetic);
    value.len() >= MIN_BYTES
        && letters > 0
        && !value.iter().any(u8::is_ascii_whitespace)
        && (digits > 1 || is_mixed(value))
}

/// Whether this is long and has letters of both cases where words have not.
fn is_mixed(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 16;
    const MIN_CHANGES: usize = 4;
    let changes = value
        .windows(2)
        .filter(|two| {
            two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase()
        })
        .count();
    value.len() >= MIN_BYTES && changes >= MIN_CHANGES
}

/// Whether this looks chosen by somebody who was told to mix: not a word.
pub(crate) fn looks_chosen(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 6;
    value.len() >= MIN_BYTES
        && value
            .iter()
            .any(|b| b.is_ascii_digit() || b"!@#$%^&*+".contains(b))
        && value.iter().any(|b| b.is_ascii_alphabetic())
        && !value.iter().any(u8::is_ascii_whitespace)
}

/// A quote, as it stands before and behind a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    byte: u8,
    is_escaped: bool,
}

impl Quote {
    /// The quote that ends before this place.
    pub(crate) fn before(text: &[u8], at: usize) -> Option<Self> {
        let byte = *text[..at].last()?;
        matches!(byte, b'"' | b'\'' | b'`').then(|| Self {
            byte,
            is_escaped: at > 1 && text[at - 2] == b'\\',
        })
    }

    /// Where the text up to the same quote ends, if there is one.
    pub(crate) fn close(self, text: &[u8], start: usize) -> Option<usize> {
        let rest = &text[start..];
        if self.is_escaped {
            return memmem::find(rest, &[b'\\', self.byte])
                .map(|at| start + at);
        }
        let mut at = 0;
        while let Some(next) = memchr(self.byte, &rest[at..]) {
            let next = at + next;
            if next == 0 || rest[next - 1] != b'\\' {
                return Some(start + next);
            }
            // hg and shells write a quote in quotes as '\''.
            if self.byte == b'\'' && rest[next..].starts_with(b"''") {
                at = next + 2;
            } else {
                at = next + 1;
            }
        }
        None
    }
}

/// Where the value that begins here ends.
pub(crate) struct Value {
    /// Without its quotes.
    pub(crate) range: Range<usize>,
    /// Whether it had quotes of its own.
    pub(crate) is_quoted: bool,
}

/// The value that begins at this place; `around` is the quote before the name
/// that it is assigned to.
pub(crate) fn value_at(
    text: &[u8],
    start: usize,
    around: Option<Quote>,
) -> Value {
    let mut open = start;
    // Python's b'', C's L"", and quotes in quotes.
    if matches!(text.get(open), Some(b'b' | b'u' | b'r'))
        && matches!(text.get(open + 1), Some(b'"' | b'\''))
    {
        open += 1;
    }
    if text.get(open) == Some(&b'\\') {
        open += 1;
    }
    if matches!(text.get(open), Some(b'"' | b'\''))
        && let Some(quote) = Quote::before(text, open + 1)
        && !around.is_some_and(|around| {
            around.byte == quote.byte && around.is_escaped == quote.is_escaped
        })
        && let Some(end) = quote.close(text, open + 1)
    {
        // A shell glues what follows a quote without a space: 'a'b, 'a'\''b'.
        let is_glued = !quote.is_escaped
            && (text.get(end + 1).is_some_and(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'"' | b'\'')
            }) || text[end + 1..].starts_with(b"\\''"));
        let range = if is_glued {
            open..shell_end(text, end + 1, around)
        } else {
            open + 1..end
        };
        return Value {
            range,
            is_quoted: true,
        };
    }
    let end = around
        .and_then(|around| around.close(text, start))
        .unwrap_or_else(|| shell_end(text, start, around));
    Value {
        range: start..end,
        is_quoted: around.is_some(),
    }
}

/// Where the word of a shell ends that goes on at `at`.
fn shell_end(text: &[u8], mut at: usize, around: Option<Quote>) -> usize {
    while let Some(&byte) = text.get(at) {
        if let Some(len) = marker_at(&text[at..]) {
            at += len;
            continue;
        }
        match byte {
            b'"' | b'\'' => {
                let quote = Quote {
                    byte,
                    is_escaped: false,
                };
                if around.is_some_and(|around| around.byte == byte) {
                    break;
                }
                match quote.close(text, at + 1) {
                    Some(end) if !text[at..end].contains(&b'\n') => {
                        at = end + 1;
                    }
                    _ => break,
                }
            }
            b'\\' if text[at + 1..].starts_with(b"''") => at += 2,
            b'$' => at += 1 + substitution_len(&text[at + 1..]),
            b'\\'
                if text
                    .get(at + 1)
                    .is_some_and(|next| !b"nrt\"'".contains(next)) =>
            {
                at += 2;
            }
            b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'{' | b'}'
            | b'[' | b']' | b'`' | b'\\' => break,
            _ if byte.is_ascii_whitespace() || byte == 0 => break,
            _ => at += 1,
        }
    }
    at
}

/// The length of the `{...}` or `(...)` that this begins with, behind `$`.
fn substitution_len(text: &[u8]) -> usize {
    let close = match text.first() {
        Some(b'{') => b'}',
        Some(b'(') => b')',
        _ => return 0,
    };
    let near = &text[..text.len().min(MAX_LOOKED_AT_BYTES)];
    memchr(close, near).map_or(0, |close| close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &[u8]) -> &[u8] {
        let at = text.iter().position(|byte| *byte == b'=').unwrap() + 1;
        let name = text[..at]
            .iter()
            .rposition(|byte| matches!(byte, b' ' | b'"' | b'\''))
            .map_or(0, |before| before + 1);
        &text[value_at(text, at, Quote::before(text, name)).range]
    }

    #[test]
    fn values_end_where_a_shell_or_a_quote_ends_them() {
        assert_eq!(value(b"a=b c"), b"b");
        assert_eq!(value(b"a=b;c"), b"b");
        assert_eq!(value(b"a='b c' d"), b"b c");
        assert_eq!(value(b"a='b'c d"), b"'b'c");
        assert_eq!(value(br"a='it'\''s' d"), br"'it'\''s'");
        assert_eq!(value(b"x 'a=b c' d"), b"b c");
        assert_eq!(value(b"x \"a=b c\" d"), b"b c");
        assert_eq!(value(b"x 'a=b c"), b"b");
        assert_eq!(value(br"a=b\ c d"), br"b\ c");
        assert_eq!(value(b"f(a='b', c)"), b"b");
    }

    #[test]
    fn what_stands_for_a_secret_is_none() {
        for text in [
            "",
            "***",
            "$PASS",
            "${PASS}",
            "$(cat file)",
            "%s",
            "%(pass)s",
            "{password}",
            "<password>",
            "None",
            "<redacted:secret>",
        ] {
            assert!(is_placeholder(text.as_bytes(), Scope::Text), "{text}");
        }
        for text in ["$ecret-1", "x1", "<a>b", "letmein"] {
            assert!(!is_placeholder(text.as_bytes(), Scope::Text), "{text}");
        }
        assert!(!is_placeholder(b"$ecret", Scope::Word));
    }
}
