//! Private keys in PEM, from `BEGIN` to `END`.
//!
//! By hand, because what is cut off before its end has to go, too, and a
//! pattern that looks for an end that is not there takes quadratic time.

use memchr::memmem::Finder;

use crate::found::Found;
use crate::rule::Rule;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The longest of the usual labels has 27 bytes.
const MAX_LABEL_BYTES: usize = 64;

/// Each private key, together with what it stands between.
pub(crate) fn find(text: &[u8], found: &mut Vec<Found>) {
    let begin = Finder::new(BEGIN);
    let end = Finder::new(END);
    let mut at = 0;
    while let Some(start) = begin.find(&text[at..]) {
        let start = at + start;
        let label = start + BEGIN.len();
        at = label;
        if !is_private(&text[label..]) {
            continue;
        }
        let stop = end.find(&text[label..]).map_or(text.len(), |end| {
            let label = label + end + END.len();
            label + label_end(&text[label..]).unwrap_or(0)
        });
        found.push(Found::new(start..stop, Rule::PRIVATE_KEY));
        at = stop;
    }
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
    let text = &text[..text.len().min(MAX_LABEL_BYTES)];
    text.windows(DASHES.len())
        .position(|part| part == DASHES)
        .map(|dashes| dashes + DASHES.len())
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
    }
}
