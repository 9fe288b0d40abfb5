//! The secrets in the value of a header.
//!
//! Must not know where the value is.

use std::ops::Range;

use super::names::SECRET;
use super::names::is_authorization;
use super::place::Form;
use super::place::spaces;
use super::place::word_len;
use crate::example_value::is_example;
use crate::value::Scope;
use crate::value::is_placeholder;
use crate::value::looks_like_password;
use crate::value::looks_random;

/// Schemes that may be followed by what looks like a word.
const SCHEMES: [&str; 23] = [
    "basic",
    "bearer",
    "token",
    "apikey",
    "api-key",
    "key",
    "digest",
    "negotiate",
    "ntlm",
    "oauth",
    "oauth2",
    "aws",
    "aws4-hmac-sha256",
    "hmac",
    "hawk",
    "splunk",
    "geniekey",
    "ssws",
    "bot",
    "jwt",
    "sharedkey",
    "pveapitoken",
    "kerberos",
];

/// Words that follow a header's name in prose.
const SPEECH: [&str; 28] = [
    "sent",
    "set",
    "empty",
    "no",
    "required",
    "failed",
    "failure",
    "missing",
    "denied",
    "is",
    "was",
    "not",
    "none",
    "see",
    "for",
    "header",
    "headers",
    "by",
    "the",
    "and",
    "or",
    "invalid",
    "granted",
    "error",
    "expired",
    "auth",
    "authentication",
    "token",
];

/// The secrets in the value of a header.
pub(super) fn secrets(
    name: &[u8],
    value: &[u8],
    form: Form,
) -> Vec<Range<usize>> {
    let value = value.trim_ascii_end();
    let word = word_len(value, form);
    if is_nothing(&value[..word]) || is_nothing(value) {
        return Vec::new();
    }
    let space = match &value[word..] {
        [b'%', b'2', b'0', ..] => 3,
        rest => spaces(rest),
    };
    let scheme = &value[..word];
    let rest = word + space..value.len();
    let is_authorization = is_authorization(name);
    let is_known = SCHEMES
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(scheme));
    if is_speech(scheme) && !is_known {
        return Vec::new();
    }
    if space > 0
        && !rest.is_empty()
        && is_scheme(scheme)
        && (is_authorization || is_known)
    {
        return credentials(value, rest, is_known, form)
            .into_iter()
            .collect();
    }
    if is_known && space == 0 {
        return Vec::new();
    }
    let end = if form == Form::Inline {
        word
    } else {
        value.len()
    };
    let token = &value[..end];
    if is_speech(token) || token.ends_with(b":") {
        return Vec::new();
    }
    let is_certain = is_authorization
        || name.starts_with(b"x-")
        || SECRET
            .iter()
            .any(|secret| name.ends_with(secret.as_bytes()));
    let is_secret = match form {
        Form::Header if name.ends_with(b"-signature") => looks_random(token),
        Form::Header => true,
        Form::Entry if is_authorization => token.len() > 5,
        Form::Entry if is_certain => token.len() > 3,
        Form::Inline if is_authorization => {
            looks_like_password(token) && !token.contains(&b'/')
                || looks_random(token)
        }
        Form::Inline if is_certain => token.len() > 5 && !is_word(token),
        Form::Entry | Form::Inline => looks_random(token),
    };
    if !is_secret || token.starts_with(b"http") && token.contains(&b'/') {
        return Vec::new();
    }
    vec![assigned(value, 0..end)]
}

/// The credentials after a scheme.
fn credentials(
    value: &[u8],
    rest: Range<usize>,
    is_known: bool,
    form: Form,
) -> Option<Range<usize>> {
    let text = &value[rest.clone()];
    let word = word_len(text, form);
    let token = &text[..word];
    // `Basic realm="..."` asks for credentials.
    if is_nothing(token)
        || is_nothing(text)
        || text.to_ascii_lowercase().starts_with(b"realm=")
            && !text.contains(&b',')
    {
        return None;
    }
    match form {
        Form::Header | Form::Entry => {
            // `Authorization: Basic auth is needed`
            let is_text = text.contains(&b' ') && !text.contains(&b'=');
            (!(is_text && is_speech(token))).then(|| assigned(value, rest))
        }
        Form::Inline => {
            let has_parameters = text.contains(&b'=')
                && text.contains(&b',')
                && token.contains(&b'=');
            if has_parameters {
                let end = text
                    .iter()
                    .position(|byte| matches!(byte, b'\'' | b'<'))
                    .unwrap_or(text.len());
                return Some(rest.start..rest.start + end);
            }
            let is_secret = if is_known {
                !is_speech(token)
                    && (token.len() > 5 || looks_like_password(token))
            } else {
                looks_random(token) && !token.contains(&b'/')
                    || looks_random(token) && token.len() > 24
            };
            let is_url = token.windows(3).any(|part| part == b"://");
            (is_secret && !is_url)
                .then(|| assigned(value, rest.start..rest.start + word))
        }
    }
}

/// Without `token=` and quotes before a single value.
fn assigned(value: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &value[range.clone()];
    if text.contains(&b',') {
        return range;
    }
    let name = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let rest = &text[name..];
    let is_padding = rest.iter().all(|byte| *byte == b'=');
    if name == 0 || name > 24 || rest.first() != Some(&b'=') || is_padding {
        return range;
    }
    let mut start = range.start + name + 1;
    let mut end = range.end;
    if value[start..end].len() > 2
        && value[start..end].starts_with(b"\"")
        && value[start..end].ends_with(b"\"")
    {
        start += 1;
        end -= 1;
    }
    start..end
}

fn is_scheme(word: &[u8]) -> bool {
    const MAX_SCHEME_BYTES: usize = 40;
    word.len() <= MAX_SCHEME_BYTES
        && word.first().is_some_and(u8::is_ascii_alphabetic)
        && word
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

/// Whether this is a placeholder.
fn is_nothing(value: &[u8]) -> bool {
    is_placeholder(value, Scope::Text)
        || is_example(value)
        || (value.starts_with(b"$")
            && value[1..].iter().all(|byte| {
                byte.is_ascii_alphanumeric() || b"_{}".contains(byte)
            }))
        || value.starts_with(b"$(")
        || (value.starts_with(b"{") && value.ends_with(b"}"))
        || value.starts_with(b"%s")
}

fn is_speech(word: &[u8]) -> bool {
    SPEECH
        .iter()
        .any(|speech| speech.as_bytes().eq_ignore_ascii_case(word))
}

fn is_word(token: &[u8]) -> bool {
    token.iter().all(u8::is_ascii_alphabetic) && token.len() < 12
}
