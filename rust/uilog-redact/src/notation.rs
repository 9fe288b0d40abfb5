//! Text without meaning between a name's separator and its value: a type, a
//! call that returns its argument, marks of YAML and of PHP's dumps.
//!
//! Must not know names or values.

use memchr::memchr;

use crate::words::blanks;

const MAX_SPACES: usize = 4;

/// The length of ` TYPE =` that this begins with, as in `password: str = `.
pub(crate) fn type_len(rest: &[u8]) -> usize {
    const MAX_BYTES: usize = 32;
    let near = &rest[..rest.len().min(MAX_BYTES)];
    let Some(equals) = memchr(b'=', near) else {
        return 0;
    };
    let is_type = near[..equals].iter().all(|byte| {
        byte.is_ascii_alphanumeric() || b" &'_<>[]|?.".contains(byte)
    }) && near[..equals].starts_with(b" ")
        && near[..equals].ends_with(b" ")
        && near.get(equals + 1) == Some(&b' ')
        && equals > 2;
    if is_type { equals + 1 } else { 0 }
}

/// The length of the line's end and the type that PHP's `var_dump` shows before
/// a value.
pub(crate) fn dump_len(rest: &[u8]) -> usize {
    const MAX_BYTES: usize = 64;
    let near = &rest[..rest.len().min(MAX_BYTES)];
    let Some(text) = near.strip_prefix(b"\n") else {
        return 0;
    };
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    if !text[spaces..].starts_with(b"string(") {
        return 0;
    }
    memchr(b')', near).map_or(0, |close| close + 1)
}

/// The length of the call that this begins with, which makes nothing else of a
/// text: `Some("`, `String::from("`.
pub(crate) fn wrapper_len(rest: &[u8]) -> usize {
    const MAX_BYTES: usize = 32;
    const WRAPPERS: [&[u8]; 14] = [
        b"Some",
        b"Ok",
        b"Just",
        b"String",
        b"String::from",
        b"Secret",
        b"Secret::new",
        b"SecretString",
        b"SecretStr",
        b"SecretString::new",
        b"SecretString::from",
        b"Sensitive",
        b"Buffer.from",
        b"bytes",
    ];
    let rest = rest.strip_prefix(b"new ").unwrap_or(rest);
    let near = &rest[..rest.len().min(MAX_BYTES)];
    match memchr(b'(', near) {
        Some(open)
            if WRAPPERS.contains(&&near[..open])
                && matches!(near.get(open + 1), Some(b'"' | b'\'')) =>
        {
            open + 1
        }
        _ => 0,
    }
}

/// The length of the `|` and the spaces that this begins with, where YAML's
/// value is a block: on the next line.
pub(crate) fn block_len(rest: &[u8]) -> usize {
    const MAX_BYTES: usize = 64;
    let len = rest
        .iter()
        .take(2)
        .take_while(|byte| b"|>-+".contains(byte))
        .count();
    if len == 0 || rest[0] == b'-' || rest.get(len) != Some(&b'\n') {
        return 0;
    }
    let spaces = rest[len + 1..]
        .iter()
        .take(MAX_BYTES)
        .take_while(|byte| **byte == b' ')
        .count();
    if spaces == 0 { 0 } else { len + 1 + spaces }
}

/// The length of the `&ANCHOR` or `!!TYPE`, and of the spaces behind it, that
/// this begins with before YAML's value.
pub(crate) fn anchor_len(rest: &[u8]) -> usize {
    const MAX_BYTES: usize = 32;
    // `!secret NAME` is no secret.
    if !rest.starts_with(b"&") && !rest.starts_with(b"!!") {
        return 0;
    }
    let word = rest
        .iter()
        .take(MAX_BYTES)
        .take_while(|byte| is_name(**byte) || b"&!".contains(byte))
        .count();
    let spaces = blanks(&rest[word..], MAX_SPACES);
    if spaces == 0 { 0 } else { word + spaces }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
