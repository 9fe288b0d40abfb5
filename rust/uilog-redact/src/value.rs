//! What secrets look like, and which values are only placeholders.
//!
//! Must not know names, URLs or commands.

use memchr::memchr;
use memchr::memmem;

use crate::name;
use crate::rule::marker_at;

/// The kind of text that is searched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// Any text: where a value ends has to be guessed.
    Text,
    /// A single argument, without its quotes: nothing else follows.
    Word,
}

/// Longer values count as secrets without an examination.
const MAX_LOOKED_AT_BYTES: usize = 256;

/// The first byte that cannot be in a URL, or in a value of one.
pub(crate) fn ends_url(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\')
}

/// Whether this is a variable, a format, an empty word: what programs and
/// manuals write where a secret will be, or was.
pub(crate) fn is_placeholder(value: &[u8], scope: Scope) -> bool {
    if value.is_empty() || marker_at(value) == Some(value.len()) {
        return true;
    }
    if value.len() > MAX_LOOKED_AT_BYTES {
        return false;
    }
    let inner = &value[1..];
    match value[0] {
        // In an argument, the shell has already replaced variables.
        b'$' => scope == Scope::Text && is_variable(inner),
        b'%' => is_format(inner),
        b'{' if scope == Scope::Text => value.ends_with(b"}"),
        b'<' if scope == Scope::Text => value.ends_with(b">"),
        b'[' if scope == Scope::Text && is_word_in(value, b']') => true,
        b'(' if scope == Scope::Text && is_word_in(value, b')') => true,
        b'@' if scope == Scope::Text && is_word_in(value, b'@') => true,
        first
            if (scope == Scope::Text || first == b'\\')
                && is_pattern(value) =>
        {
            true
        }
        first => {
            is_mask(first, value)
                || [
                    &b"none"[..],
                    b"null",
                    b"nil",
                    b"true",
                    b"false",
                    b"undefined",
                    b"hidden",
                    b"filtered",
                    b"~",
                    b"masked",
                    b"redacted",
                    b"[redacted]",
                    b"(hidden)",
                ]
                .iter()
                .any(|word| value.eq_ignore_ascii_case(word))
        }
    }
}

/// Whether this is one word in brackets, as in `[masked]`.
fn is_word_in(value: &[u8], close: u8) -> bool {
    matches!(value, [_, inner @ .., last]
        if *last == close && !inner.is_empty() && inner.iter().all(is_name))
}

/// Whether this is a regular expression: `\w+`, `(\S+)`, `.*`, `[^"]*`.
fn is_pattern(value: &[u8]) -> bool {
    value.windows(2).any(|two| {
        matches!(two, br"\w" | br"\S" | br"\d" | b".*" | b".+" | b"[^")
    })
}

/// Whether this is a placeholder although no shell replaces a variable there,
/// as in single quotes: `${PASSWORD}`, `$PASSWORD`, but not `$ecret`.
pub(crate) fn is_literal_placeholder(
    value: &[u8],
    scope: Scope,
    is_shell: bool,
) -> bool {
    if !is_placeholder(value, scope) {
        return false;
    }
    match value {
        [b'$', b'{' | b'(', ..] => true,
        [b'$', name @ ..] => {
            !name.iter().any(u8::is_ascii_lowercase)
                || name::kind(name).is_some()
        }
        [b'{', name @ ..] => !is_shell || name::kind(name).is_some(),
        _ => true,
    }
}

/// Whether this is one character over and over.
fn is_mask(first: u8, value: &[u8]) -> bool {
    let is_letter = matches!(first, b'x' | b'X') && value.len() > 2;
    (is_letter || matches!(first, b'*' | b'.' | b'-' | b'_' | b'?'))
        && value.iter().all(|byte| *byte == first)
}

/// Whether this, after `$`, is one variable or substitution and no more.
fn is_variable(name: &[u8]) -> bool {
    let pair = |open, close| name[0] == open && name.ends_with(&[close]);
    name.is_empty()
        || (pair(b'{', b'}') || pair(b'(', b')') || name.iter().all(is_name))
}

/// Whether this, after `%`, is one conversion: `s`, `(name)s`, `NAME%`.
fn is_format(rest: &[u8]) -> bool {
    matches!(rest, b"s" | b"r" | b"d" | b"b")
        || (rest.starts_with(b"(") && rest.ends_with(b")s"))
        || rest
            .strip_suffix(b"%")
            .is_some_and(|name| name.iter().all(is_name))
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// Whether this looks generated: long, with letters and digits, and without
/// spaces.
pub(crate) fn looks_random(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 8;
    if value.len() > MAX_LOOKED_AT_BYTES {
        return true;
    }
    let count = |is: fn(&u8) -> bool| value.iter().filter(|b| is(b)).count();
    let digits = count(u8::is_ascii_digit);
    let letters = count(u8::is_ascii_alphabetic);
    value.len() >= MIN_BYTES
        && letters > 0
        && !value.iter().any(u8::is_ascii_whitespace)
        && (digits > 1 || is_mixed(value))
}

/// Whether this is long and has letters of both cases where words have not.
fn is_mixed(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 16;
    const MIN_CHANGES: usize = 4;
    let changes = value
        .windows(2)
        .filter(|two| {
            two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase()
        })
        .count();
    value.len() >= MIN_BYTES && changes >= MIN_CHANGES
}

/// Whether this looks like a key although its name may mean another thing:
/// letters and digits in a row, and no hash of a changeset or a file.
pub(crate) fn looks_like_key(name: &[u8], value: &[u8]) -> bool {
    const MIN_BYTES: usize = 16;
    const MIN_RUN: usize = 12;
    let longest = value
        .split(|byte| !byte.is_ascii_alphanumeric())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    let is_hex = value.iter().all(u8::is_ascii_hexdigit);
    let is_qualified = name.len() > b"key".len();
    if is_qualified && is_serial_number(value) {
        return true;
    }
    value.len() >= MIN_BYTES
        && longest >= MIN_RUN
        && looks_random(value)
        && (!value.contains(&b'/') || is_base64(value))
        && !is_uuid(value)
        && if is_hex {
            is_qualified && !name.eq_ignore_ascii_case(b"session")
        } else {
            is_qualified || has_all_sorts(value)
        }
}

/// The same for the value of a variable that is called more than a key.
pub(crate) fn looks_like_short_key(name: &[u8], value: &[u8]) -> bool {
    const MIN_BYTES: usize = 10;
    name.len() > b"key".len()
        && value.len() >= MIN_BYTES
        && value.iter().all(u8::is_ascii_alphanumeric)
        && !value.iter().all(u8::is_ascii_hexdigit)
        && looks_random(value)
}

/// Whether this is a key as programs are sold with: `1MIDY-EMP78-WFDJ4-WI8CL`.
fn is_serial_number(value: &[u8]) -> bool {
    const MIN_GROUPS: usize = 4;
    let mut groups = 0;
    value.split(|byte| *byte == b'-').all(|group| {
        groups += 1;
        (4..=6).contains(&group.len())
            && group
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    }) && groups >= MIN_GROUPS
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_uppercase)
}

/// Whether this is certainly made by a machine, and is no hash: letters of both
/// cases and digits in a row.
pub(crate) fn looks_machine_made(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 20;
    const MIN_RUN: usize = 16;
    value.len() >= MIN_BYTES
        && value.len() <= MAX_LOOKED_AT_BYTES
        && looks_random(value)
        && has_all_sorts(value)
        && value
            .split(|byte| !byte.is_ascii_alphanumeric())
            .any(|run| run.len() >= MIN_RUN && has_all_sorts(run))
        && !value.contains(&b':')
}

/// Whether this is long base64, and not the path of a file.
fn is_base64(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 28;
    value.len() >= MIN_BYTES
        && has_all_sorts(value)
        && value.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
        })
}

/// Whether this has capital and small letters and digits.
fn has_all_sorts(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_uppercase)
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_digit)
}

/// Whether this is a UUID, with its dashes.
pub(crate) fn is_uuid(value: &[u8]) -> bool {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let parts: Vec<_> = value.split(|byte| *byte == b'-').take(6).collect();
    parts.len() == LENGTHS.len()
        && parts.iter().zip(LENGTHS).all(|(part, len)| {
            part.len() == len && part.iter().all(u8::is_ascii_hexdigit)
        })
}

/// Words that follow secret words when people write about them, or name their
/// type.
const SPEECH: [&[u8]; 62] = [
    b"a",
    b"an",
    b"and",
    b"any",
    b"are",
    b"argument",
    b"bool",
    b"bytes",
    b"changed",
    b"char",
    b"default",
    b"empty",
    b"enabled",
    b"disabled",
    b"expired",
    b"flag",
    b"for",
    b"from",
    b"has",
    b"in",
    b"incorrect",
    b"int",
    b"invalid",
    b"is",
    b"may",
    b"missing",
    b"must",
    b"needed",
    b"no",
    b"not",
    b"object",
    b"ok",
    b"on",
    b"off",
    b"option",
    b"optional",
    b"or",
    b"policy",
    b"prompt",
    b"rejected",
    b"required",
    b"requires",
    b"needs",
    b"takes",
    b"expects",
    b"without",
    b"set",
    b"str",
    b"string",
    b"text",
    b"the",
    b"to",
    b"unknown",
    b"unset",
    b"valid",
    b"varchar",
    b"was",
    b"will",
    b"with",
    b"wrong",
    b"yes",
    b"your",
];

/// Whether this is a word that follows such names in speech.
pub(crate) fn is_speech(value: &[u8]) -> bool {
    SPEECH.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Directories of tokens and passwords, whose paths are not secret.
const PATHS: [&[u8]; 14] = [
    b"/etc/", b"/home/", b"/run/", b"/var/", b"/usr/", b"/tmp/", b"/opt/",
    b"/root/", b"/srv/", b"/mnt/", b"/dev/", b"/proc/", b"~/", b"./",
];

/// Whether this is the path of a file.
pub(crate) fn is_path(value: &[u8]) -> bool {
    PATHS.iter().any(|path| value.starts_with(path))
        && value.len() <= MAX_LOOKED_AT_BYTES
}

/// Objects of programs: `password=self.password` is not a secret.
const CODE_ROOTS: [&[u8]; 29] = [
    b"self",
    b"cls",
    b"this",
    b"args",
    b"opts",
    b"options",
    b"os",
    b"sys",
    b"config",
    b"cfg",
    b"conf",
    b"settings",
    b"env",
    b"environ",
    b"process",
    b"ctx",
    b"request",
    b"req",
    b"auth",
    b"authinfo",
    b"data",
    b"kwargs",
    b"getpass",
    b"var",
    b"local",
    b"module",
    b"params",
    b"secrets",
    b"vault",
];

/// Whether this is an expression of a program.
pub(crate) fn is_code(value: &[u8], is_quoted: bool) -> bool {
    if value.len() > MAX_LOOKED_AT_BYTES {
        return false;
    }
    let Some(end) = value
        .iter()
        .position(|byte| matches!(byte, b'.' | b'(' | b'['))
    else {
        return false;
    };
    let root = &value[..end];
    let is_call = !is_quoted
        && value[end..].contains(&b'(')
        && matches!(value.last(), Some(b')' | b'\'' | b'"'))
        && root.first().is_some_and(u8::is_ascii_alphabetic)
        && root.iter().all(is_name);
    CODE_ROOTS.contains(&root) || is_call
}

/// Whether this is what a program assigns, and no setting: `x(y)`, `x[1]`,
/// `a->b`, `a::b`, `*const T`, `$X || "y"`.
pub(crate) fn is_statement(value: &[u8]) -> bool {
    if value.len() > MAX_LOOKED_AT_BYTES {
        return false;
    }
    let value = value.strip_suffix(b",").unwrap_or(value);
    let value = value.strip_suffix(b";").unwrap_or(value);
    let has = |part: &[u8]| memmem::find(value, part).is_some();
    let root = value
        .iter()
        .take_while(|byte| is_name(byte) || b".:!".contains(byte))
        .count();
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || b"_.".contains(byte);
    let is_applied = root > 0
        && value[0].is_ascii_alphabetic()
        && matches!(
            (value.get(root), value.last()),
            (Some(b'('), Some(b')')) | (Some(b'['), Some(b']'))
        );
    is_applied
        || (root > 0 && matches!(value.get(root), Some(b'(')) && has(b")."))
        || has(b"->")
        || has(b"::")
        || has(b" || ")
        || has(b" ?? ")
        || value.starts_with(b"*const ")
        || value.starts_with(b"*mut ")
        || value.iter().all(is_word)
            && value.iter().any(|byte| b"_.".contains(byte))
            && name::kind(value).is_some()
}

/// Whether this looks like a chosen password with mixed characters, and not
/// like a word.
pub(crate) fn looks_like_password(value: &[u8]) -> bool {
    const MIN_BYTES: usize = 6;
    value.len() >= MIN_BYTES
        && value
            .iter()
            .any(|b| b.is_ascii_digit() || b"!@#$%^&*+".contains(b))
        && value.iter().any(|b| b.is_ascii_alphabetic())
        && !value.iter().any(u8::is_ascii_whitespace)
}

/// A quote, as it occurs before and after a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    byte: u8,
    is_escaped: bool,
}

impl Quote {
    /// The quote that ends before this place, which may be behind the end.
    pub(crate) fn before(text: &[u8], at: usize) -> Option<Self> {
        let byte = *text.get(..at)?.last()?;
        matches!(byte, b'"' | b'\'' | b'`').then(|| Self {
            byte,
            is_escaped: at > 1 && text[at - 2] == b'\\',
        })
    }

    /// Where the text up to the same quote ends, if there is one.
    pub(crate) fn close(self, text: &[u8], start: usize) -> Option<usize> {
        let rest = &text[start..];
        if self.is_escaped {
            return memmem::find(rest, &[b'\\', self.byte])
                .map(|at| start + at);
        }
        let mut at = 0;
        while let Some(next) = memchr(self.byte, &rest[at..]) {
            let next = at + next;
            if next == 0 || rest[next - 1] != b'\\' {
                return Some(start + next);
            }
            // hg and shells write a quote in quotes as '\''.
            if self.byte == b'\'' && rest[next..].starts_with(b"''") {
                at = next + 2;
            } else {
                at = next + 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_secret_is_none() {
        for text in [
            "",
            "***",
            "$PASS",
            "${PASS}",
            "$(cat file)",
            "%s",
            "%(pass)s",
            "{password}",
            "<password>",
            "None",
            "<redacted:secret>",
        ] {
            assert!(is_placeholder(text.as_bytes(), Scope::Text), "{text}");
        }
        for text in [
            "$ecret-1", "x1", "<a>b", "letmein", "${A}b", "$(a)b", "$a-b}",
            "$a-b)",
        ] {
            assert!(!is_placeholder(text.as_bytes(), Scope::Text), "{text}");
        }
        assert!(!is_placeholder(b"$ecret", Scope::Word));
    }
}
