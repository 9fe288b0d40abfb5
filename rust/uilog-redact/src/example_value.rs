//! Placeholders for secrets in manuals, examples and templates: `<password>`,
//! `YOUR_TOKEN`, `${DB_PW}`.
//!
//! Knows only the value. Must not know its context.

/// Maximum length.
const MAX_BYTES: usize = 64;

/// Parts of words that describe the missing value.
const NAMES: [&[u8]; 9] = [
    b"PASS",
    b"PW",
    b"TOKEN",
    b"SECRET",
    b"KEY",
    b"CREDENTIAL",
    b"AUTH",
    b"COOKIE",
    b"PSWD",
];

/// Whether a value is only a placeholder.
pub(crate) fn is_example(value: &[u8]) -> bool {
    if value.len() > MAX_BYTES {
        return false;
    }
    let is_word = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-' | b' ' | b'.')
    };
    // SOPS writes encrypted values like this.
    if value.starts_with(b"ENC[") || value == b"ENC" {
        return true;
    }
    match value {
        [b'<', inner @ .., b'>'] | [b'[', inner @ .., b']'] => {
            !inner.is_empty() && inner.iter().all(is_word)
        }
        [b'{', b'{', inner @ .., b'}', b'}'] | [b'{', inner @ .., b'}'] => {
            !inner.is_empty() && inner.iter().all(is_word) && is_name(inner)
        }
        [b'$', b'{', inner @ .., b'}']
        | [
            b'%',
            b'2',
            b'4',
            b'%',
            b'7',
            b'B',
            inner @ ..,
            b'%',
            b'7',
            b'D',
        ] => !inner.is_empty(),
        [b'$', b'(', .., b')'] => true,
        [b'$', name @ ..] => {
            !name.is_empty()
                && !name[0].is_ascii_digit()
                && name.iter().all(|byte| {
                    byte.is_ascii_uppercase()
                        || byte.is_ascii_digit()
                        || *byte == b'_'
                })
        }
        _ => {
            value.iter().all(|byte| {
                byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
            }) && is_name(value)
                || is_yours(value)
        }
    }
}

/// Whether this says what a value must be, as Laravel's validation does:
/// `required|string|max:64`.
pub(crate) fn is_validation(value: &[u8]) -> bool {
    const RULES: [&[u8]; 5] = [
        b"required",
        b"nullable",
        b"string",
        b"sometimes",
        b"confirmed",
    ];
    let mut parts = value.split(|byte| *byte == b'|');
    parts.next().is_some_and(|first| RULES.contains(&first))
        && parts.next().is_some()
}

/// Whether this is a version or an object identifier: `1.2.3`.
pub(crate) fn is_version(value: &[u8]) -> bool {
    value.iter().filter(|byte| **byte == b'.').count() > 1
        && value
            .split(|byte| *byte == b'.')
            .all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
}

/// Whether this names a secret: `PASSWORD`, `api_key`.
fn is_name(word: &[u8]) -> bool {
    let word = word.to_ascii_uppercase();
    NAMES
        .iter()
        .any(|name| word.windows(name.len()).any(|part| part == *name))
}

/// Whether this is `your-token-here`.
fn is_yours(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    [&b"your"[..], b"my"].iter().any(|yours| {
        value.strip_prefix(*yours).is_some_and(|rest| {
            matches!(rest.first(), Some(b'_' | b'-'))
                && is_name(rest)
                && rest.iter().all(|byte| {
                    byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-')
                })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_told_from_secrets() {
        for value in [
            "<password>",
            "{password}",
            "{{ api_token }}",
            "$PASSWORD",
            "${pw}",
            "$(cat x)",
            "PASSWORD",
            "YOUR_API_KEY",
            "your-token-here",
            "%24%7BPW%7D",
        ] {
            assert!(is_example(value.as_bytes()), "{value}");
        }
        for value in [
            "hunter2",
            "$ecret",
            "{brace}",
            "HUNTER",
            "KEY4711",
            "",
            "$1abc",
            "password1",
        ] {
            assert!(!is_example(value.as_bytes()), "{value}");
        }
    }
}
