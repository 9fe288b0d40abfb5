//! What follows date and user in each line of the blackbox: ` @PARENTS[+]
//! (PID)[ [EVENT]]> `.
//!
//! Responsible for finding it fast. Must not know dates, users or messages.

use std::ops::Range;

/// Maximum number of bytes of a line in which the beginning of an event is
/// searched for.
pub(crate) const HEAD_LEN: usize = 64 * 1024;

pub(crate) const HASH_LEN: usize = 40;

/// The text between the user and the message.
pub(crate) struct Anchor {
    pub(crate) at: usize,
    pub(crate) parents: Range<usize>,
    pub(crate) is_dirty: bool,
    pub(crate) pid: Option<u64>,
    pub(crate) event: Option<Range<usize>>,
    pub(crate) end: usize,
}

/// The first ` @PARENTS[+] (PID)[ [EVENT]]> ` at or after `from`.
pub(crate) fn anchor_after(line: &[u8], from: usize) -> Option<Anchor> {
    let line = &line[..line.len().min(from.saturating_add(HEAD_LEN))];
    let mut from = from;
    loop {
        let at = from + find_pair(line.get(from..)?, *b" @")?;
        if let Some(anchor) = anchor_at(line, at) {
            return Some(anchor);
        }
        from = at + 1;
    }
}

/// Finds two adjacent bytes. For short texts, in which the rarer of the two is
/// near: preparing a search would take longer.
pub(crate) fn find_pair(text: &[u8], pair: [u8; 2]) -> Option<usize> {
    let [first, second] = pair;
    let offset = usize::from(first == b' ');
    let rarer = if offset == 1 { second } else { first };
    memchr::memchr_iter(rarer, text)
        .filter_map(|at| at.checked_sub(offset))
        .find(|at| text[*at..].starts_with(&pair))
}

fn anchor_at(line: &[u8], at: usize) -> Option<Anchor> {
    let first = at + 2;
    let rest = &line[first..];
    let mut len = 0;
    let mut is_dirty = false;
    if rest.starts_with(b"???") {
        len = 3;
    } else {
        while is_hash(rest.get(len..len + HASH_LEN)?) {
            len += HASH_LEN;
            match rest.get(len) {
                Some(b'+') if is_hash_at(rest, len + 1) => len += 1,
                _ => break,
            }
        }
        if len == 0 {
            return None;
        }
    }
    let parents = first..first + len;
    if rest.get(len) == Some(&b'+') {
        is_dirty = true;
        len += 1;
    }
    let (pid, pid_len) = parenthesized_pid(&rest[len..])?;
    len += pid_len;
    let mut event = None;
    if rest[len..].starts_with(b" [") {
        let name = &rest[len + 2..];
        let name_len = memchr::memchr(b']', name)?;
        event = Some(first + len + 2..first + len + 2 + name_len);
        len += name_len + 3;
    }
    rest[len..].starts_with(b"> ").then_some(Anchor {
        at,
        parents,
        is_dirty,
        pid,
        event,
        end: first + len + 2,
    })
}

fn is_hash_at(text: &[u8], at: usize) -> bool {
    text.get(at..at + HASH_LEN).is_some_and(is_hash)
}

fn is_hash(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// ` (1234)`, and its length. A number that is too large for a pid does not
/// count.
pub(crate) fn parenthesized_pid(text: &[u8]) -> Option<(Option<u64>, usize)> {
    let digits = text.strip_prefix(b" (")?;
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 || digits.get(len) != Some(&b')') {
        return None;
    }
    Some((number(&digits[..len]), len + 3))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
