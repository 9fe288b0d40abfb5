//! Which part of a value is the secret, and which values are only placeholders.
//!
//! Must not know programs.

use std::ops::Range;

use crate::argument::Arg;
use crate::example_value::is_example;
use crate::programs::table::Value;
use crate::rule::marker_at;
use crate::url::is_token;
use crate::value::Scope;
use crate::value::is_placeholder;
use crate::value::is_uuid;
use crate::value::looks_like_password;
use crate::value::looks_random;

/// The part of an argument that is the secret.
pub(super) fn secret_part(bytes: &[u8], value: Value) -> Option<Range<usize>> {
    let whole = 0..bytes.len();
    match value {
        Value::Nothing => None,
        Value::Whole
        | Value::Two
        | Value::Chosen
        | Value::Random
        | Value::Made
        | Value::Header
        | Value::Community
        | Value::Password
        | Value::IfBasic => Some(whole),
        Value::After(separator) => match separator_at(bytes, separator) {
            Some(at) => Some(at + 1..bytes.len()),
            // A token may replace both user and password.
            None if separator == b':' && is_token(bytes) => Some(whole),
            None => None,
        },
        Value::AfterUpToHost(separator) => {
            let at = separator_at(bytes, separator).filter(|at| *at > 0)?;
            let end = bytes.iter().rposition(|byte| *byte == b'@');
            let end = end.filter(|end| *end > at).unwrap_or(bytes.len());
            Some(at + 1..end)
        }
        Value::Proxy => {
            if bytes.windows(3).any(|part| part == b"://") {
                return None;
            }
            let end = bytes.iter().rposition(|byte| *byte == b'@')?;
            let at = separator_at(&bytes[..end], b':')?;
            Some(at + 1..end)
        }
        Value::AfterLast(separator) => {
            let at = bytes.iter().rposition(|byte| *byte == separator)?;
            let secret = &bytes[at + 1..];
            // A drive of Windows, or a PKCS #11 URI.
            let is_path = secret.starts_with(b"\\") || secret.starts_with(b"/");
            (!is_path && !bytes.starts_with(b"pkcs11:"))
                .then_some(at + 1..bytes.len())
        }
        Value::Prefixed(prefix) => bytes
            .starts_with(prefix.as_bytes())
            .then_some(prefix.len()..bytes.len()),
        Value::Cookies => bytes.contains(&b'=').then_some(whole),
        Value::Echo => {
            let start = [&b"echo "[..], b"printf ", b"printf %s "]
                .into_iter()
                .filter(|echo| bytes.starts_with(echo))
                .map(<[u8]>::len)
                .max()?;
            Some(start..bytes.len())
        }
    }
}

/// Where the first separator is that is in no `${...}`, `$(...)` or marker.
fn separator_at(bytes: &[u8], separator: u8) -> Option<usize> {
    let mut open = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let Some(len) = marker_at(&bytes[at..]) {
            at += len;
            continue;
        }
        match byte {
            b'{' | b'(' => open += 1,
            b'}' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 && *byte == separator {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether the value at the position of a secret is harmless.
pub(super) fn is_harmless(secret: &[u8], arg: &Arg, value: Value) -> bool {
    let scope = if arg.is_literal {
        Scope::Word
    } else {
        Scope::Text
    };
    let lower = secret.to_ascii_lowercase();
    if is_placeholder(secret, scope)
        || is_placeholder(secret, Scope::Text) && !secret.starts_with(b"$")
        || is_substituted(secret, arg)
        || is_example(secret)
        || secret.iter().all(u8::is_ascii_punctuation)
    {
        return true;
    }
    if arg.is_bare && SPEECH.contains(&&lower[..]) {
        return true;
    }
    match value {
        Value::Whole | Value::Two => is_file(secret),
        Value::Chosen => {
            is_file(secret)
                || !(looks_like_password(secret) || looks_random(secret))
                || secret.contains(&b'.') && !looks_random(secret)
                || secret.contains(&b':')
        }
        Value::Random => is_file(secret) || !looks_random(secret),
        Value::Made => is_file(secret) || !is_made(secret),
        Value::Community => {
            matches!(&lower[..], b"public" | b"private") || is_file(secret)
        }
        Value::Password => {
            secret.starts_with(b"\\")
                || secret.starts_with(b"/")
                || (secret.len() == 2 && secret[1] == b':')
        }
        _ => false,
    }
}

/// Whether this is nothing but a token: a UUID, or letters and digits in a row,
/// and no hash.
fn is_made(secret: &[u8]) -> bool {
    const MIN_BYTES: usize = 20;
    const MIN_CHANGES: usize = 4;
    let changes = secret
        .windows(2)
        .filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit())
        .count();
    is_uuid(secret)
        || secret.len() >= MIN_BYTES
            && secret
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'=')
            && !secret.iter().all(u8::is_ascii_hexdigit)
            && changes >= MIN_CHANGES
}

/// Words that follow an option in prose.
const SPEECH: [&[u8]; 16] = [
    b"and",
    b"asks",
    b"for",
    b"from",
    b"in",
    b"instead",
    b"is",
    b"means",
    b"option",
    b"or",
    b"prompts",
    b"requires",
    b"the",
    b"to",
    b"was",
    b"with",
];

/// Whether nothing is left of a value without variables.
fn is_substituted(secret: &[u8], arg: &Arg) -> bool {
    if arg.is_literal {
        return false;
    }
    let mut rest = secret;
    let mut is_any = false;
    while let [b'$', after @ ..] = rest {
        is_any = true;
        let len = match after.first() {
            Some(b'{') => {
                after.iter().position(|b| *b == b'}').map(|at| at + 1)
            }
            Some(b'(') => {
                after.iter().rposition(|b| *b == b')').map(|at| at + 1)
            }
            _ => Some(
                after
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count(),
            ),
        };
        let Some(len) = len else {
            return false;
        };
        rest = &after[len..];
    }
    // `$ecret1` may be either; a variable has a name that shells know.
    is_any && rest.is_empty()
}

/// Whether this is the name of a file.
fn is_file(secret: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 14] = [
        b".zip", b".7z", b".rar", b".pem", b".key", b".crt", b".p12", b".pfx",
        b".txt", b".json", b".yml", b".yaml", b".conf", b".tar",
    ];
    let is_path = matches!(secret, [b'/' | b'~', rest @ ..] if rest.contains(&b'/'))
        || secret.starts_with(b"./")
        || secret.starts_with(b"../")
        || secret.starts_with(b"~/");
    is_path || ENDINGS.iter().any(|ending| secret.ends_with(ending))
}
