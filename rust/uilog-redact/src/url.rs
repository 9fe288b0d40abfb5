//! Passwords, tokens and parameters in URLs.
//!
//! By hand, and not with a crate for URLs: what was typed need not be one, it
//! stands in the middle of a text, and it leaks also if hg refuses it. A URL
//! is read as hg's `urlutil.url` reads it: the last `@` before the path ends
//! the user, the first `:` in it begins the password.

use std::ops::Range;
use std::sync::OnceLock;

use memchr::memchr;
use memchr::memchr2_iter;
use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::example_value::is_example;
use crate::finding::Finding;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::steps;
use crate::user::Key;
use crate::user::hash_user;
use crate::value::Scope;
use crate::value::ends_url;
use crate::value::is_placeholder;
use crate::value::looks_random;

/// Passwords that only say that the user is a token.
const DUMMY_PASSWORDS: [&[u8]; 4] =
    [b"x-oauth-basic", b"x-token-auth", b"api_token", b"x"];

/// Separators between a URL's scheme and its authority: as they are, in JSON
/// that escapes too much, and in a parameter of another URL.
const SEPARATORS: [&[u8]; 3] = [b"://", br":\/\/", b"%3a%2f%2f"];

/// A byte of a URL, and the number of bytes that encode it in the text.
struct Unit {
    byte: u8,
    range: Range<usize>,
}

/// Users that are tokens, and passwords; users' names, too, if there is a key
/// to hash them with.
pub(crate) fn find_userinfo(
    text: &[u8],
    scope: Scope,
    key: Option<&Key>,
    found: &mut Vec<Finding>,
) {
    steps::add(text.len());
    for at in memchr2_iter(b':', b'%', text) {
        let Some(separator) = separator_at(&text[at..]) else {
            continue;
        };
        if at == 0 || !text[at - 1].is_ascii_alphanumeric() {
            continue;
        }
        let is_encoded = separator.starts_with(b"%");
        let is_whole = scope == Scope::Word
            && text[..at]
                .iter()
                .rev()
                .find(|b| !is_scheme(b))
                .is_none_or(|before| *before == b'=');
        let url =
            Authority::read(text, at + separator.len(), is_encoded, is_whole);
        url.find(text, scope, key, found);
    }
}

/// The separator that this begins with.
fn separator_at(text: &[u8]) -> Option<&'static [u8]> {
    SEPARATORS.into_iter().find(|separator| {
        text.get(..separator.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(separator))
    })
}

fn is_scheme(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// What follows a URL's scheme.
struct Authority {
    units: Vec<Unit>,
    /// How many of them come before the path.
    len: usize,
}

impl Authority {
    /// Reads as far as the user may go: to the path, or, because passwords
    /// are typed with a `/` in them, to the next URL.
    fn read(
        text: &[u8],
        start: usize,
        is_encoded: bool,
        is_whole: bool,
    ) -> Self {
        let mut units = Vec::new();
        let mut len = None;
        let mut at = start;
        while let Some(&raw) = text.get(at) {
            if let Some(marker) = marker_at(&text[at..]) {
                units.push(Unit {
                    byte: b'<',
                    range: at..at + marker,
                });
                at += marker;
                continue;
            }
            let (byte, bytes) = if is_encoded {
                decoded(&text[at..])
            } else {
                (raw, 1)
            };
            let is_end = if is_whole {
                raw == 0
            } else {
                ends_url(raw) || (is_encoded && raw == b'&')
            };
            if is_end || separator_at(&text[at..]).is_some() {
                break;
            }
            if byte == b'/' && len.is_none() {
                len = Some(units.len());
                // Only a password that was cut off is looked for beyond.
                if !Self::ends_oddly(&units) && !Self::has_odd_host(&units) {
                    break;
                }
            }
            units.push(Unit {
                byte,
                range: at..at + bytes,
            });
            at += bytes;
        }
        let len = len.unwrap_or(units.len());
        steps::add(at - start);
        Self { units, len }
    }

    /// Whether this cannot be a host: there is no user, and no port after the
    /// colon.
    fn ends_oddly(units: &[Unit]) -> bool {
        let Some(colon) = units.iter().position(|unit| unit.byte == b':')
        else {
            return false;
        };
        let port = &units[colon + 1..];
        units[0].byte != b'['
            && !units.iter().any(|unit| unit.byte == b'@')
            && !port.iter().all(|unit| unit.byte.is_ascii_digit())
            && !matches!(port[0].byte, b'$' | b'{' | b'%')
    }

    /// Whether there is a password, and what follows its `@` may be a part of
    /// it: a host without a dot or a port.
    fn has_odd_host(units: &[Unit]) -> bool {
        let is = |byte: u8| move |unit: &Unit| unit.byte == byte;
        let Some(at) = units.iter().rposition(is(b'@')) else {
            return false;
        };
        let host = &units[at + 1..];
        units[..at].iter().any(is(b':'))
            && !host.iter().any(|unit| b".:[".contains(&unit.byte))
    }

    /// Whether a host with a dot or a port follows the last `@`.
    fn ends_with_host(&self, at: usize) -> bool {
        let host = &self.units[at + 1..];
        let len = host
            .iter()
            .take_while(|unit| {
                unit.byte.is_ascii_alphanumeric() || b".-".contains(&unit.byte)
            })
            .count();
        len > 0
            && match host.get(len).map(|unit| unit.byte) {
                Some(b':') => true,
                None | Some(b'/' | b'?' | b'#') => {
                    host[..len].iter().any(|unit| unit.byte == b'.')
                }
                Some(_) => false,
            }
    }

    fn find(
        &self,
        text: &[u8],
        scope: Scope,
        key: Option<&Key>,
        found: &mut Vec<Finding>,
    ) {
        let last_at =
            |units: &[Unit]| units.iter().rposition(|unit| unit.byte == b'@');
        let authority = &self.units[..self.len];
        let beyond = || {
            last_at(&self.units).filter(|at| {
                *at >= self.len
                    && Self::has_odd_host(authority)
                    && self.ends_with_host(*at)
            })
        };
        let Some(end) = beyond().or_else(|| last_at(authority)).or_else(|| {
            Self::ends_oddly(authority)
                .then(|| last_at(&self.units))
                .flatten()
        }) else {
            return;
        };
        let info = &self.units[..end];
        let (user, password) = split(text, info);
        let range = |units: &[Unit]| match units {
            [] => None,
            [first, .., last] => Some(first.range.start..last.range.end),
            [unit] => Some(unit.range.clone()),
        };
        let password = range(password);
        if let Some(range) = &password
            && !is_placeholder(&text[range.clone()], scope)
            && !is_example(&text[range.clone()])
        {
            found.push(Finding::new(range.clone(), Rule::URL_PASSWORD));
        }
        let Some(user) = range(user) else {
            return;
        };
        let name = &text[user.clone()];
        let is_dummy = password.is_some_and(|range| {
            DUMMY_PASSWORDS
                .iter()
                .any(|dummy| text[range.clone()].eq_ignore_ascii_case(dummy))
        });
        if is_placeholder(name, scope) {
        } else if is_token(name) || (is_dummy && name.len() > 7) {
            found.push(Finding::new(user, Rule::URL_TOKEN));
        } else if let Some(key) = key
            && !name.iter().any(|byte| matches!(byte, b'?' | b'#'))
        {
            found.push(Finding::user(user, hash_user(key, name)));
        }
    }
}

/// The user and the password, each perhaps empty.
fn split<'u>(text: &[u8], info: &'u [Unit]) -> (&'u [Unit], &'u [Unit]) {
    if let Some(colon) = info.iter().position(|unit| unit.byte == b':') {
        // In `?who=a:b@c` it is no user that comes before the colon.
        if info[..colon]
            .iter()
            .any(|unit| matches!(unit.byte, b'?' | b'#'))
        {
            return (&[], &[]);
        }
        return (&info[..colon], &info[colon + 1..]);
    }
    // An encoded colon is part of the user for hg, but not for who typed it.
    let is_colon = |units: &[Unit]| {
        let range = units[0].range.start..units[2].range.end;
        text[range].eq_ignore_ascii_case(b"%3a")
    };
    match info.windows(3).position(is_colon) {
        Some(colon) => (&info[..colon], &info[colon + 3..]),
        None => (info, &[]),
    }
}

/// The first byte, and the number of bytes that encode it.
fn decoded(text: &[u8]) -> (u8, usize) {
    if let [b'%', high, low, ..] = text
        && let Some(high) = char::from(*high).to_digit(16)
        && let Some(low) = char::from(*low).to_digit(16)
        && let Ok(byte) = u8::try_from(high * 16 + low)
    {
        return (byte, 3);
    }
    (text[0], 1)
}

/// Whether a user looks like no name: 16 letters and digits in a row.
pub(crate) fn is_token(user: &[u8]) -> bool {
    const MIN_RUN: usize = 16;
    user.split(|byte| !byte.is_ascii_alphanumeric())
        .any(|run| run.len() >= MIN_RUN && looks_random(run))
}

/// Names of parameters that hold secrets, and how much a value must have.
const PARAMETERS: &str = r"(?x-u)
    (?:[?&;\#]|%3f|%26|%23)
    (?:amp;)?
    (?:[a-z0-9_]{1,32}(?:\[|%5b))?
    (?:
        x-amz-(?:signature|security-token|credential)
      | x-goog-(?:signature|credential)
      | (?<any>(?:[a-z0-9]+[_-])?(?:password|passwd|passphrase|passcode|pwd|pass|pw|t?otp|(?:one_?time|mfa|2fa|verification)_?code))
      | (?<long>key|code|state|(?<brief>auth)|session|sid|ticket|credential|crumb|magic|nonce_key|s|appid|id_token_hint)
      | awsaccesskeyid | (?:[a-z0-9]+[_-])?(?:signature|assertion|verifier)
      | sig | hmac | sas | jwt | pat | authorization
      | samlresponse | samlrequest | samlart | wresult
      | (?:[a-z0-9]+[_-])?(?:token|secret) | accesstoken | authtoken
      | (?:[a-z0-9]+[_-])?(?:api|access|private|auth|subscription|function|shared|secret)[_-]?key
      | (?:php|j|asp\.net_|cgi|asp)?sess(?:ion)?[_-]?id
    )
    (?:\]|%5d)?
    (?:=|%3d)";

/// A parameter of a name that may as well mean something harmless.
const MIN_LONG_BYTES: usize = 16;
/// A parameter whose name says that it is a secret.
const MIN_BYTES: usize = 4;

/// The values of parameters whose names suggest a secret, in the query and in
/// the fragment.
pub(crate) fn find_parameters(
    text: &[u8],
    scope: Scope,
    found: &mut Vec<Finding>,
) {
    static REGEX: OnceLock<Regex> = OnceLock::new();
    let regex = REGEX.get_or_init(|| {
        RegexBuilder::new(PARAMETERS)
            .unicode(false)
            .case_insensitive(true)
            .build()
            .expect("the tests compile it")
    });
    let mut at = 0;
    while let Some(captures) = regex.captures_at(text, at) {
        let whole = captures.get(0).expect("a match has a whole");
        let start = whole.end();
        at = start;
        let is_vague = captures.name("long").is_some();
        if is_vague && is_protocol(text, whole.start()) {
            continue;
        }
        let mut len = parameter_len(&text[start..]);
        steps::add(start + len - whole.start());
        // `x;jsessionid=X?a=b`
        if text[whole.start()] == b';'
            && let Some(query) = memchr(b'?', &text[start..start + len])
        {
            len = query;
        }
        let value = &text[start..start + len];
        let is_secret = if is_vague {
            (value.len() >= MIN_LONG_BYTES || captures.name("brief").is_some())
                && looks_random(value)
        } else {
            value.len() >= MIN_BYTES
                || (captures.name("any").is_some()
                    && !value.iter().all(u8::is_ascii_digit))
        };
        let is_otp = whole.as_bytes().to_ascii_lowercase().ends_with(b"otp=");
        let is_secret = if is_otp {
            value.len() >= MIN_BYTES && value.iter().any(u8::is_ascii_digit)
        } else {
            is_secret
        };
        if is_secret && !is_placeholder(value, scope) && !is_example(value) {
            found.push(Finding::new(start..start + len, Rule::URL_PARAMETER));
            at += len;
        }
    }
}

/// Maximum length of a `${...}`.
const MAX_VARIABLE_BYTES: usize = 64;

/// How long the value is that this begins with.
fn parameter_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some(len) = marker_at(&text[at..]) {
            at += len;
            continue;
        }
        // A shell's or a template's variable.
        if byte == b'{' || text[at..].starts_with(b"${") {
            let near = &text[at..text.len().min(at + MAX_VARIABLE_BYTES)];
            if let Some(close) = memchr(b'}', near) {
                at += close + 1;
                continue;
            }
        }
        if ends_url(byte)
            || matches!(
                byte,
                b'&' | b';' | b'#' | b')' | b']' | b'}' | b',' | b'|'
            )
            || text[at..]
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"%26"))
        {
            break;
        }
        at += 1;
    }
    at
}

/// Whether this is in hg's own protocol, as in `?cmd=pushkey&key=NODE`.
fn is_protocol(text: &[u8], at: usize) -> bool {
    const MAX_BACK: usize = 128;
    let before = &text[at.saturating_sub(MAX_BACK)..at];
    before.windows(4).any(|part| part == b"cmd=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn userinfo(text: &str, scope: Scope) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        find_userinfo(text.as_bytes(), scope, None, &mut found);
        found
            .into_iter()
            .map(|found| (&text[found.range], found.rule.name()))
            .collect()
    }

    #[test]
    fn a_url_is_read_as_hg_does_and_a_bit_further() {
        let password = |text| {
            let found = userinfo(text, Scope::Text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            found[0].0
        };
        assert_eq!(password("ssh://bob:pw@host/x"), "pw");
        assert_eq!(password("https://bob:p@w:x@host"), "p@w:x");
        assert_eq!(password("(see https://bob:pw@host)"), "pw");
        assert_eq!(password("https://bob:p/w@host/x"), "p/w");
        assert_eq!(password("u=https%3A%2F%2Fbob%3Apw%40host%2Fx"), "pw");
        assert_eq!(password(r"https:\/\/bob:pw@host\/x"), "pw");
        assert_eq!(password("https://bob%3Apw@host"), "pw");
        assert_eq!(password("git+ssh://bob:pw@host"), "pw");
        for harmless in [
            "https://host:8000/a@b",
            "https://host/a:b@c",
            "https://bob@host",
            "https://bob:***@host",
            "https://[::1]:80/@",
            "https://host and mail: bob@host",
            "https://host?who=a:b@c",
            "a:b@c",
        ] {
            assert_eq!(userinfo(harmless, Scope::Text), [], "{harmless}");
        }
    }

    #[test]
    fn a_single_argument_has_no_other_end() {
        assert_eq!(
            userinfo("https://bob:it's a \"pw\"@host", Scope::Word),
            [("it's a \"pw\"", "url-password")]
        );
    }

    #[test]
    fn users_that_are_tokens_go() {
        assert_eq!(
            userinfo("https://FAKE0123fake4567FAKE:x@host", Scope::Text),
            [("x", "url-password"), ("FAKE0123fake4567FAKE", "url-token")]
        );
        assert_eq!(
            userinfo("https://build-agent-of-europe-2024@host", Scope::Text),
            []
        );
    }
}
