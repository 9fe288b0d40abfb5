//! Private keys in PEM, from `BEGIN` to `END`, in the formats of SSH2 and
//! PuTTY, and in JSON (JWK).
//!
//! Written by hand, because a truncated key must be removed, too, and a pattern
//! that searches for a missing end takes quadratic time.

use memchr::memchr;
use memchr::memmem::Finder;

use crate::finding::Finding;
use crate::rule::Rule;
use crate::steps;

/// What brings this finder to work, in lower case.
pub(crate) const WORDS: [&str; 4] =
    ["private key", "private-lines:", "private-mac:", "kty"];

const BEGIN: &[u8] = b"BEGIN ";
const END: &[u8] = b"END ";
const DASHES: &[u8] = b"----";

/// The longest of the usual labels has 35 bytes.
const MAX_LABEL_BYTES: usize = 64;

/// Each private key, together with its delimiters.
pub(crate) fn find(text: &[u8], found: &mut Vec<Finding>) {
    steps::add(text.len());
    find_pem(text, found);
    find_putty(text, found);
    find_jwk(text, found);
}

fn find_pem(text: &[u8], found: &mut Vec<Finding>) {
    let begin = Finder::new(BEGIN);
    let end = Finder::new(END);
    let mut at = 0;
    while let Some(next) = begin.find(&text[at..]) {
        let label = at + next + BEGIN.len();
        let start = dashes_before(text, at + next);
        at = label;
        let Some(start) = start else {
            continue;
        };
        if !is_private(&text[label..]) {
            continue;
        }
        let stop = end.find(&text[label..]).map_or(text.len(), |end| {
            let label = label + end + END.len();
            label + label_end(&text[label..]).unwrap_or(0)
        });
        steps::add(stop - start);
        found.push(Finding::new(start..stop, Rule::PRIVATE_KEY));
        at = stop;
    }
}

/// Where the dashes before a `BEGIN` begin: five in PEM, four and a space in
/// SSH2.
fn dashes_before(text: &[u8], at: usize) -> Option<usize> {
    const MAX_DASHES: usize = 5;
    let before = text[..at].strip_suffix(b" ").unwrap_or(&text[..at]);
    let dashes = before
        .iter()
        .rev()
        .take(MAX_DASHES)
        .take_while(|byte| **byte == b'-')
        .count();
    (dashes >= DASHES.len()).then(|| before.len() - dashes)
}

/// Whether this begins with the label of a private key.
fn is_private(text: &[u8]) -> bool {
    label_end(text).is_some_and(|end| {
        text[..end]
            .windows(b"PRIVATE KEY".len())
            .any(|part| part == b"PRIVATE KEY")
    })
}

/// Where the label that this begins with ends, its dashes included.
fn label_end(text: &[u8]) -> Option<usize> {
    const MAX_DASHES: usize = 5;
    let text = &text[..text.len().min(MAX_LABEL_BYTES)];
    let dashes = text.windows(DASHES.len()).position(|part| part == DASHES)?;
    let len = text[dashes..]
        .iter()
        .take(MAX_DASHES)
        .take_while(|byte| **byte == b'-')
        .count();
    Some(dashes + len)
}

/// PuTTY's: the lines that follow `Private-Lines:`, and the key's MAC.
fn find_putty(text: &[u8], found: &mut Vec<Finding>) {
    const LINES: &[u8] = b"Private-Lines:";
    const MAC: &[u8] = b"Private-MAC:";
    let is_base64 = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'+' | b'/' | b'=' | b'\r' | b'\n')
    };
    for at in Finder::new(LINES).find_iter(text) {
        let Some(line) = memchr(b'\n', &text[at..]) else {
            break;
        };
        let start = at + line + 1;
        let mut len = text[start..]
            .iter()
            .take_while(|byte| is_base64(byte))
            .count();
        // The line of `Private-MAC:` is not a part of the key.
        if text.get(start + len).is_some() {
            len = text[start..start + len]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .unwrap_or(len);
        }
        steps::add(line + len);
        found.push(Finding::new(start..start + len, Rule::PRIVATE_KEY));
    }
    for at in Finder::new(MAC).find_iter(text) {
        let start = at + MAC.len();
        let spaces = usize::from(text.get(start) == Some(&b' '));
        let start = start + spaces;
        let len = text[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        steps::add(len);
        found.push(Finding::new(start..start + len, Rule::PRIVATE_KEY));
    }
}

/// The private members of a JSON web key: an object with a `kty`. RFC 7518,
/// sections 6.2.2, 6.3.2 and 6.4.1
fn find_jwk(text: &[u8], found: &mut Vec<Finding>) {
    const MEMBERS: [&[u8]; 7] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"k"];
    const MIN_BYTES: usize = 10;
    let has_type = [&b"\"kty\""[..], b"'kty'"]
        .iter()
        .any(|member| memchr::memmem::find(text, member).is_some());
    if !has_type {
        return;
    }
    let mut at = 0;
    while let Some(colon) = memchr(b':', &text[at..]) {
        let colon = at + colon;
        at = colon + 1;
        let before = text[..colon].trim_ascii_end();
        let Some(quote @ (b'"' | b'\'')) = before.last().copied() else {
            continue;
        };
        let is_member = MEMBERS.iter().any(|member| {
            before[..before.len() - 1]
                .strip_suffix(*member)
                .is_some_and(|rest| rest.last() == Some(&quote))
        });
        if !is_member {
            continue;
        }
        let value = text[at..].trim_ascii_start();
        let start = text.len() - value.len() + 1;
        if value.first() != Some(&quote) {
            continue;
        }
        let len = text[start..]
            .iter()
            .take_while(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'=')
            })
            .count();
        steps::add(len);
        at = start + len;
        if len >= MIN_BYTES {
            found.push(Finding::new(start..at, Rule::PRIVATE_KEY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        find(text, &mut found);
        found
            .into_iter()
            .map(|found| (found.range.start, found.range.end))
            .collect()
    }

    #[test]
    fn keys_end_where_they_end_and_certificates_stay() {
        let key = b"-----BEGIN RSA PRIVATE KEY-----\nMII\n\
                    -----END RSA PRIVATE KEY-----";
        assert_eq!(found(key), [(0, key.len())]);
        let text = [b"a ", &key[..], b" b ", key, b"\n"].concat();
        assert_eq!(
            found(&text),
            [(2, 2 + key.len()), (5 + key.len(), 5 + 2 * key.len())]
        );
        assert_eq!(found(&key[..40]), [(0, 40)]);
        assert_eq!(found(b"-----BEGIN CERTIFICATE-----\nMII"), []);
        assert_eq!(found(b"BEGIN RSA PRIVATE KEY-----\nMII"), []);
        let key = b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nx\n\
                    ---- END SSH2 ENCRYPTED PRIVATE KEY ----";
        assert_eq!(found(key), [(0, key.len())]);
    }

    #[test]
    fn keys_without_a_frame_go() {
        let text = b"Public-Lines: 1\nAAAA\nPrivate-Lines: 2\nBBBB\nCC==\n\
                     Private-MAC: 00ff\nx";
        let parts: Vec<_> = found(text)
            .into_iter()
            .map(|(start, end)| &text[start..end])
            .collect();
        assert_eq!(parts, [&b"BBBB\nCC=="[..], b"00ff"]);
        let text = br#"{"kty":"EC","x":"aaaaaaaaaaaa","d": "bbbbbbbbbbbb"}"#;
        let parts: Vec<_> = found(text)
            .into_iter()
            .map(|(start, end)| &text[start..end])
            .collect();
        assert_eq!(parts, [b"bbbbbbbbbbbb"]);
        assert_eq!(found(br#"{"d": "bbbbbbbbbbbb"}"#), []);
    }
}
