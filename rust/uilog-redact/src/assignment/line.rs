//! The line that contains a name.

use memchr::memrchr;

use crate::steps;

pub(super) const MAX_LINE_BYTES: usize = 256;

/// Whether nothing follows the word that begins here but the line's end.
pub(super) fn is_last_word(text: &[u8], at: usize) -> bool {
    let near = &text[at..text.len().min(at + MAX_LINE_BYTES)];
    let len = near
        .iter()
        .take_while(|byte| !byte.is_ascii_whitespace())
        .count();
    steps::add(len);
    matches!(near.get(len), None | Some(b'\n' | b'\r'))
        && !near.starts_with(b"*")
}

pub(super) fn is_line_start(text: &[u8], at: usize) -> bool {
    text[line_start(text, at)..at]
        .iter()
        .all(u8::is_ascii_whitespace)
}

/// Whether this is in a line of a program that a Python traceback shows.
pub(super) fn is_source(text: &[u8], at: usize) -> bool {
    let line = line_start(text, at);
    if line == 0 {
        return false;
    }
    text[line_start(text, line - 1)..line].starts_with(b"  File \"")
}

/// Where the line begins, or as far back as is looked.
pub(super) fn line_start(text: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(MAX_LINE_BYTES);
    let line = memrchr(b'\n', &text[from..at])
        .map_or(from, |newline| from + newline + 1);
    steps::add(at - line);
    line
}
