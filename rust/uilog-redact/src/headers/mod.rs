//! HTTP headers with secrets: `Authorization` with any scheme, and headers
//! whose names suggest a secret: `X-Api-Key`, `PRIVATE-TOKEN`,
//! `X-JFrog-Art-Api`.
//!
//! In `Authorization: SCHEME TOKEN` the token is removed and the scheme stays.
//! Quoted text that begins with a header's name is certainly a header;
//! elsewhere, the value must look like a secret, too.

mod credentials;
mod names;
mod place;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::credentials::secrets;
pub(crate) use self::names::ENDINGS;
use self::names::TRIE;
use self::names::is_authorization;
use self::names::is_harmless;
use self::names::is_name;
use self::names::is_secret_name;
pub(crate) use self::names::is_secret_option;
use self::names::name_start;
use self::place::Extent;
use self::place::Form;
use self::place::value;
use crate::finding::Finding;
use crate::rule::Rule;
use crate::steps;
use crate::value::Scope;
use crate::value::looks_random;

/// Values of headers in a text.
pub(crate) fn find(text: &[u8], scope: Scope, found: &mut Vec<Finding>) {
    let mut done = 0;
    let mut last = 0;
    // Up to where parameters have been looked for already.
    let mut extended = 0;
    for word in TRIE.find(text) {
        if word.start < done || word.end == last || is_name(text.get(word.end))
        {
            continue;
        }
        last = word.end;
        let start = name_start(text, word.start);
        let before = text[..start].last().copied().unwrap_or(b' ');
        // In a URL it is a parameter, or a user; and it may be in a value that
        // has been looked at.
        if b"/?&;#%".contains(&before)
            || (start < extended && !before.is_ascii_whitespace())
        {
            continue;
        }
        let name = text[start..word.end].to_ascii_lowercase();
        if !is_secret_name(&name) {
            continue;
        }
        let Some((form, value)) = value(
            text,
            start,
            word.end,
            scope,
            Extent {
                is_authorization: is_authorization(&name),
                may_extend: start >= extended,
            },
        ) else {
            continue;
        };
        if form == Form::Inline {
            extended = extended.max(value.end);
        }
        steps::add(value.len());
        for part in secrets(&name, &text[value.clone()], form) {
            let part = value.start + part.start..value.start + part.end;
            done = part.end;
            found.push(Finding::new(part, Rule::AUTHORIZATION));
        }
    }
}

/// The secrets in the value of an option such as `-H`.
pub(crate) fn in_option(header: &[u8]) -> Vec<Range<usize>> {
    let Some(colon) = header.iter().position(|byte| *byte == b':') else {
        return Vec::new();
    };
    let name = header[..colon].to_ascii_lowercase();
    let after = header[colon + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let start = colon + 1 + after;
    let value = &header[start..];
    let is_secret = is_secret_name(&name)
        || [
            &b"key"[..],
            b"crumb",
            b"token",
            b"auth",
            b"secret",
            b"password",
            b"pass",
            b"pat",
        ]
        .iter()
        .any(|word| name.ends_with(word) && !is_harmless(&name))
        || (name.starts_with(b"x-") && is_key(&name, value));
    if !is_secret {
        return Vec::new();
    }
    secrets(&name, value, Form::Header)
        .into_iter()
        .map(|part| start + part.start..start + part.end)
        .collect()
}

/// Whether a header of any name has the value of a key: no hash and no id.
fn is_key(name: &[u8], value: &[u8]) -> bool {
    const MIN_BYTES: usize = 20;
    const OTHERS: [&[u8]; 12] = [
        b"id", b"trace", b"hash", b"etag", b"md5", b"sha", b"node", b"rev",
        b"version", b"nonce", b"date", b"span",
    ];
    value.len() >= MIN_BYTES
        && looks_random(value)
        && !value
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+".contains(byte))
        && !OTHERS
            .iter()
            .any(|other| name.windows(other.len()).any(|part| part == *other))
}
