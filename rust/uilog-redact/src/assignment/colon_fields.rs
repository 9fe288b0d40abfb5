//! Names and values with nothing but a colon between them, several in a row: a
//! map as Go prints it, `map[password:X user:bob]`.
//!
//! Must not know which name suggests a secret.

use super::form::is_name;
use super::line::MAX_LINE_BYTES;
use crate::steps;
use crate::value::looks_random;

/// Whether a name and a value are one of several without spaces around their
/// colons, as Go prints them: `map[password:X user:bob]`, `{User:bob Pass:X}`.
pub(super) fn is_between_fields(
    text: &[u8],
    start: usize,
    value: std::ops::Range<usize>,
) -> bool {
    const MAX_BYTES: usize = 64;
    let is_field = |word: &[u8]| {
        let name = word.iter().take_while(|byte| is_name(**byte)).count();
        name > 0 && word.get(name) == Some(&b':') && word.len() > name + 1
    };
    steps::add(2 * MAX_BYTES);
    let before = &text[start.saturating_sub(MAX_BYTES)..start];
    let after = &text[value.end..text.len().min(value.end + MAX_BYTES)];
    let is_open = matches!(before.last(), Some(b'[' | b'{'));
    let is_closed = matches!(after.first(), Some(b']' | b'}'));
    let next = || {
        after.first() == Some(&b' ')
            && after[1..]
                .split(|b| *b == b' ')
                .next()
                .is_some_and(is_field)
    };
    let previous = || {
        before.last() == Some(&b' ')
            && before[..before.len() - 1]
                .rsplit(|byte| b" [{".contains(byte))
                .next()
                .is_some_and(is_field)
    };
    text[value.start - 1] == b':'
        && (is_open && next()
            || is_closed && previous()
            || next() && previous())
}

/// Whether a name with a value right after its colon is one of several, as Go
/// prints a map, or an option of Windows, and the value is certainly no word.
pub(super) fn is_field_of_struct(
    text: &[u8],
    start: usize,
    value: &[u8],
) -> bool {
    const MIN_BYTES: usize = 16;
    let is_field = text[..start]
        .last()
        .is_none_or(|before| b" {[/\n".contains(before));
    let len = value
        .iter()
        .take(MAX_LINE_BYTES)
        .take_while(|byte| {
            !byte.is_ascii_whitespace() && !b"}],".contains(byte)
        })
        .count();
    steps::add(len);
    let value = &value[..len];
    is_field
        && value.len() >= MIN_BYTES
        && looks_random(value)
        && !value.iter().any(|byte| b"@/:".contains(byte))
}
