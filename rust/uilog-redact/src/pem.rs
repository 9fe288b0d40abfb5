//! Private keys: PEM and SSH2 from `BEGIN` to `END`, PuTTY's private lines,
//! the private members of JSON web keys.
//!
//! By hand, because what is cut off before its end has to go, too, and a
//! pattern that looks for an end that is not there takes quadratic time.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::memchr;
use memchr::memmem::Finder;
use memchr::memrchr;
use regex::bytes::Regex;

use crate::found::Found;
use crate::rule::Rule;
use crate::steps;

/// Words, one of which is in whatever this finder finds.
pub(crate) const WORDS: [&str; 3] = ["private key", "private-lines:", "kty"];

/// What keys stand between.
struct Armor {
    begin: &'static [u8],
    end: &'static [u8],
    dashes: &'static [u8],
}

const ARMORS: [Armor; 2] = [
    Armor {
        begin: b"-----BEGIN ",
        end: b"-----END ",
        dashes: b"-----",
    },
    // RFC 4716 has no private keys, ssh.com's programs have.
    Armor {
        begin: b"---- BEGIN ",
        end: b"---- END ",
        dashes: b"----",
    },
];

/// The longest of the usual labels has 27 bytes.
const MAX_LABEL_BYTES: usize = 64;

/// Each private key, together with what it stands between.
pub(crate) fn find(text: &[u8], found: &mut Vec<Found>) {
    for armor in &ARMORS {
        armor.find(text, found);
    }
    find_putty(text, found);
    find_jwk(text, found);
}

impl Armor {
    fn find(&self, text: &[u8], found: &mut Vec<Found>) {
        let begin = Finder::new(self.begin);
        let end = Finder::new(self.end);
        let mut at = 0;
        while let Some(start) = begin.find(&text[at..]) {
            let start = at + start;
            let label = start + self.begin.len();
            at = label;
            if !self.is_private(&text[label..]) {
                continue;
            }
            let stop = end.find(&text[label..]).map_or(text.len(), |end| {
                let label = label + end + self.end.len();
                label + self.label_end(&text[label..]).unwrap_or(0)
            });
            steps::add(stop - start);
            found.push(Found::new(start..stop, Rule::PRIVATE_KEY));
            at = stop;
        }
    }

    /// Whether this begins with the label of a private key.
    fn is_private(&self, text: &[u8]) -> bool {
        self.label_end(text).is_some_and(|end| {
            text[..end]
                .windows(b"PRIVATE KEY".len())
                .any(|part| part == b"PRIVATE KEY")
        })
    }

    /// Where the label that this begins with ends, its dashes included.
    fn label_end(&self, text: &[u8]) -> Option<usize> {
        let text = &text[..text.len().min(MAX_LABEL_BYTES)];
        text.windows(self.dashes.len())
            .position(|part| part == self.dashes)
            .map(|dashes| dashes + self.dashes.len())
    }
}

/// The lines behind `Private-Lines: N` in the files of PuTTY.
fn find_putty(text: &[u8], found: &mut Vec<Found>) {
    const MAX_LINES: usize = 256;
    let lines = Finder::new(b"Private-Lines:");
    let mut at = 0;
    while let Some(next) = lines.find(&text[at..]) {
        at += next + b"Private-Lines:".len();
        let digits = text[at..]
            .iter()
            .skip_while(|byte| **byte == b' ')
            .take_while(|byte| byte.is_ascii_digit());
        let count = digits
            .take(4)
            .fold(0, |count, digit| count * 10 + usize::from(*digit - b'0'));
        let Some(start) = line_start(text, at) else {
            continue;
        };
        let mut end = start;
        let mut next = Some(start);
        for _ in 0..count.min(MAX_LINES) {
            let Some(line) = next else {
                break;
            };
            let len = text[line..]
                .iter()
                .take_while(|byte| {
                    byte.is_ascii_alphanumeric()
                        || matches!(byte, b'+' | b'/' | b'=')
                })
                .count();
            end = line + len;
            next = line_start(text, end);
        }
        steps::add(end - at);
        found.push(Found::new(start..end, Rule::PRIVATE_KEY));
        at = end;
    }
}

/// Where the next line begins, if this one has but a few bytes to go. A line
/// may end as it does in a string of a program.
fn line_start(text: &[u8], at: usize) -> Option<usize> {
    const MAX_REST: usize = 16;
    let rest = &text[at..text.len().min(at + MAX_REST)];
    let line = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .map(|end| end + 1)
        .or_else(|| {
            rest.windows(2)
                .position(|two| two == br"\n")
                .map(|end| end + 2)
        })?;
    Some(at + line)
}

/// A private member of a JSON web key.
const MEMBER: &str = r#"(?x-u)
    [{,\s] [bu]?\\*["'] (?:d|p|q|dp|dq|qi|k) \\*["'] \s*:\s*
    [bu]?\\*["'] (?<secret>[A-Za-z0-9_=+/-]{16,})"#;

/// The private members of JSON web keys, RFC 7517 and 7518.
fn find_jwk(text: &[u8], found: &mut Vec<Found>) {
    static REGEX: OnceLock<Regex> = OnceLock::new();
    let regex = || {
        REGEX.get_or_init(|| Regex::new(MEMBER).expect("the tests compile it"))
    };
    let kty = Finder::new(b"kty");
    let mut done = 0;
    while let Some(at) = kty.find(&text[done..]) {
        let at = done + at;
        if at == 0 || !matches!(text[at - 1], b'"' | b'\'') {
            done = at + 3;
            continue;
        }
        let start = memrchr(b'{', &text[done..at]).map_or(done, |at| done + at);
        let end = memchr(b'}', &text[at..]).map_or(text.len(), |end| at + end);
        steps::add(end - done);
        for captures in regex().captures_iter(&text[start..end]) {
            if let Some(secret) = captures.name("secret") {
                let Range { start: from, end } = secret.range();
                found.push(Found::new(
                    start + from..start + end,
                    Rule::PRIVATE_KEY,
                ));
            }
        }
        done = end;
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
    }

    #[test]
    fn other_programs_and_formats_have_private_keys_too() {
        let secrets = |text: &'static str| -> Vec<&'static str> {
            let found = found(text.as_bytes()).into_iter();
            found.map(|(start, end)| &text[start..end]).collect()
        };
        let ssh = "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/\n\
                   ---- END SSH2 ENCRYPTED PRIVATE KEY ----";
        assert_eq!(secrets(ssh), [ssh]);
        assert_eq!(
            secrets("Private-Lines: 2\nAAAA\r\nBBB=\r\nPrivate-MAC: 00"),
            ["AAAA\r\nBBB="]
        );
        assert_eq!(
            secrets(r"Private-Lines: 1\nAAAA\nPrivate-MAC: 00"),
            ["AAAA"]
        );
        assert_eq!(
            secrets(
                r#"{"kty":"EC","x":"0123456789abcdef","d":"FAKEFAKEFAKEFAKE"}"#
            ),
            ["FAKEFAKEFAKEFAKE"]
        );
        assert_eq!(
            secrets(r#"{\"k\": \"FAKEFAKEFAKEFAKE\", \"kty\": \"oct\"}"#),
            ["FAKEFAKEFAKEFAKE"]
        );
        assert!(secrets(r#"{"d": "0123456789abcdef"}, kty"#).is_empty());
    }
}
