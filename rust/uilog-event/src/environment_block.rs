//! A process's environment as one block (`NAME=value`, each with a NUL), and
//! the variables that uilog's processes set for each other.
//!
//! Must not know scripts or events.

use std::ffi::CStr;
use std::iter;

/// The names and values of an environment block.
pub fn split_environment(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    entries(block).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = entry.split_at(at);
        (!name.is_empty()).then(|| (name, &value[1..]))
    })
}

/// The value of `name` in an environment block.
pub fn lookup<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let [value] = lookup_all(block, [name]);
    value
}

/// The values of these `names` in an environment block, of each the first one.
/// A process that logs a single event asks for twenty: it should not read all
/// variables for each.
pub fn lookup_all<'a, const N: usize>(
    block: &'a [u8],
    names: [&[u8]; N],
) -> [Option<&'a [u8]>; N] {
    let mut values = [None; N];
    for entry in entries(block) {
        for (name, value) in names.iter().zip(&mut values) {
            // Most differ in the first byte, which needs no call to see.
            if entry.first() == name.first() && value.is_none() {
                let rest = entry.strip_prefix(*name);
                *value = rest.and_then(|it| it.strip_prefix(b"="));
            }
        }
        if values.iter().all(Option::is_some) {
            break;
        }
    }
    values
}

/// The entries of an environment block, without the NUL after each.
pub(crate) fn entries(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // It looks for a NUL by words. The crate `memchr` would first ask the
        // processor what it can do, which a virtual one is slow to tell.
        let end = CStr::from_bytes_until_nul(rest)
            .map_or(rest.len(), |entry| entry.count_bytes());
        let entry = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(entry)
    })
}

/// The environment variable by which a script's hg knows its parent session.
pub const SESSION_VARIABLE: &[u8] = b"UILOG_SESSION";

/// The environment variable that counts how many scripts are around us.
pub const DEPTH_VARIABLE: &[u8] = b"UILOG_DEPTH";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let block = b"AB=1\0A=2\0=3\0A=4\0EMPTY=\0NONE\0A\0B=C=D\0LAST=5";
        let found = |name: &str| lookup(block, name.as_bytes());
        assert_eq!(found("A"), Some(&b"2"[..]));
        assert_eq!(found("AB"), Some(&b"1"[..]));
        assert_eq!(found("EMPTY"), Some(&b""[..]));
        assert_eq!(found("B"), Some(&b"C=D"[..]));
        assert_eq!(found("LAST"), Some(&b"5"[..]));
        for name in ["", "NONE", "LA", "C"] {
            assert_eq!(found(name), None, "{name}");
        }
        assert_eq!(lookup(b"", b"A"), None);
        let names = ["A", "NONE", "LAST", "A"].map(str::as_bytes);
        let values = [Some(&b"2"[..]), None, Some(b"5"), Some(b"2")];
        assert_eq!(lookup_all(block, names), values);
        let names = split_environment(block).map(|(name, _)| name);
        let expected = ["AB", "A", "A", "EMPTY", "B", "LAST"];
        assert!(names.eq(expected.map(str::as_bytes)));
    }
}
