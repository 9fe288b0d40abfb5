//! The names of headers: which contain secrets, and which never do.

use crate::trie::Trie;
use crate::trie::most_nodes;

/// How names of such headers end. These are also what [`crate::redactor`]
/// looks for before it calls this module.
pub(crate) const ENDINGS: [&str; 17] = [
    "authorization",
    "apikey",
    "api-key",
    "api_key",
    "-key",
    "-token",
    "-secret",
    "-api",
    "-auth",
    "-signature",
    "-signature-256",
    "-password",
    "-passwd",
    "-jwt",
    "-pat",
    "-credential",
    "-team",
];

pub(super) static TRIE: Trie<{ most_nodes(&ENDINGS) }, { ENDINGS.len() }> =
    Trie::new(&ENDINGS);

/// What names of harmless headers and other things begin with that end so.
const HARMLESS: [&str; 44] = [
    "cache",
    "primary",
    "sort",
    "foreign",
    "partition",
    "public",
    "index",
    "unique",
    "surrogate",
    "idempotency",
    "routing",
    "object",
    "host",
    "hash",
    "sec-websocket",
    "group",
    "row",
    "range",
    "hot",
    "short",
    "translation",
    "ssh",
    "gpg",
    "pgp",
    "page",
    "next",
    "continuation",
    "signing-public",
    "message",
    "event",
    "lookup",
    "search",
    "map",
    "dict",
    "config",
    "set",
    "get",
    "x-cache",
    "x-amz-meta",
    "registry",
    "meta",
    "new",
    "no",
    "rest",
];

/// Names that hold nothing but secrets.
pub(super) const SECRET: [&str; 9] = [
    "apikey",
    "api-key",
    "private-token",
    "job-token",
    "deploy-token",
    "access-token",
    "auth-token",
    "secret-key",
    "x-honeycomb-team",
];

const MAX_NAME_BYTES: usize = 64;

/// Whether an event's option of this name holds the value of such a header.
pub(crate) fn is_secret_option(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    is_authorization(&name)
        || name.ends_with(b"cookie")
        || name.ends_with(b"cookies")
        || is_secret_name(
            &name
                .iter()
                .map(|byte| match byte {
                    b'_' => b'-',
                    byte => *byte,
                })
                .collect::<Vec<_>>(),
        )
}

pub(super) fn is_name(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
    })
}

pub(super) fn name_start(text: &[u8], at: usize) -> usize {
    let len = text[..at]
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(Some(byte)))
        .count();
    let start = at - len;
    // `-HX-Auth-Token:`, `--header`
    let dashes = text[start..at]
        .iter()
        .take_while(|byte| **byte == b'-')
        .count();
    match (dashes, text.get(start + 1)) {
        (1, Some(b'H')) => start + 2,
        _ => start + dashes,
    }
}

pub(super) fn is_authorization(name: &[u8]) -> bool {
    // Chef: X-Ops-Authorization-1
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let name = &name[..name.len() - digits];
    name.strip_suffix(b"-")
        .unwrap_or(name)
        .ends_with(b"authorization")
}

pub(super) fn is_harmless(name: &[u8]) -> bool {
    HARMLESS.iter().any(|word| {
        name.strip_prefix(word.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"-"))
    })
}

/// Whether a name, in lower case, is that of a header with a secret.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    if is_authorization(name) {
        return true;
    }
    // `--api-key` is no header.
    ENDINGS.iter().any(|ending| {
        name.ends_with(ending.as_bytes())
            && (name.len() > ending.len() || !ending.starts_with('-'))
    }) && !is_harmless(name)
        && (!name.ends_with(b"-team") || name == b"x-honeycomb-team")
}
