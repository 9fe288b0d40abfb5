//! What is assigned to a name that tells of a secret: `PASSWORD=...` in a
//! shell, `--token ...`, `"api_key": "..."`, `<password>...</password>`,
//! `password = ...` in a file.
//!
//! Most such names stand for nothing secret: in source code, in messages, in
//! options. So the vaguer the name and the looser the form, the more must the
//! value look like a secret itself.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use aho_corasick::MatchKind;
use memchr::memchr_iter;
use memchr::memrchr;

use crate::found::Found;
use crate::rule::Rule;
use crate::value::Quote;
use crate::value::Scope;
use crate::value::Value;
use crate::value::is_placeholder;
use crate::value::looks_chosen;
use crate::value::looks_random;
use crate::value::value_at;

/// Words in names, in lower case, and whether anything that is assigned to
/// them is a secret. These are also what [`crate::redactor`] looks for before
/// it calls this module.
pub(crate) const WORDS: [(&str, Kind); 24] = [
    ("password", Kind::Password),
    ("passwd", Kind::Password),
    ("passphrase", Kind::Password),
    ("passcode", Kind::Password),
    ("pass", Kind::Short),
    ("pwd", Kind::Short),
    ("psw", Kind::Short),
    ("_auth", Kind::Token),
    ("secret", Kind::Token),
    ("token", Kind::Token),
    ("apikey", Kind::Token),
    ("api_key", Kind::Token),
    ("api-key", Kind::Token),
    ("accesskey", Kind::Token),
    ("access_key", Kind::Token),
    ("access-key", Kind::Token),
    ("private_key", Kind::Token),
    ("private-key", Kind::Token),
    ("privatekey", Kind::Token),
    ("signing_key", Kind::Token),
    ("encryption_key", Kind::Token),
    ("auth_key", Kind::Token),
    ("credential", Kind::Token),
    ("license_key", Kind::Token),
];

/// What a word in a name says of the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It is a password: it may look like anything.
    Password,
    /// The same, but only if it is a word of its own: not in `bypass`.
    Short,
    /// It may be a token, but also a part of speech, a type, a state.
    Token,
}

/// What may follow such a word in a name that means no secret.
const HARMLESS_ENDINGS: [&str; 40] = [
    "file", "path", "dir", "url", "uri", "host", "type", "name", "user", "id",
    "len", "length", "count", "size", "limit", "max", "min", "prompt",
    "command", "cmd", "helper", "field", "param", "expir", "ttl", "time",
    "age", "stdin", "env", "var", "policy", "prefix", "suffix", "store",
    "provider", "ring", "class", "format", "mode", "hint",
];

/// Objects of programs: `password=self.password` tells nothing.
const CODE_ROOTS: [&[u8]; 23] = [
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
];

/// Where tokens and passwords lie, whose path is no secret.
const PATHS: [&[u8]; 14] = [
    b"/etc/", b"/home/", b"/run/", b"/var/", b"/usr/", b"/tmp/", b"/opt/",
    b"/root/", b"/srv/", b"/mnt/", b"/dev/", b"/proc/", b"~/", b"./",
];

/// What follows such names when people speak of them.
const SPEECH: [&[u8]; 34] = [
    b"a",
    b"an",
    b"and",
    b"are",
    b"argument",
    b"changed",
    b"empty",
    b"expired",
    b"flag",
    b"for",
    b"from",
    b"in",
    b"incorrect",
    b"invalid",
    b"is",
    b"may",
    b"missing",
    b"must",
    b"needed",
    b"no",
    b"not",
    b"ok",
    b"option",
    b"or",
    b"rejected",
    b"required",
    b"set",
    b"the",
    b"to",
    b"was",
    b"will",
    b"with",
    b"wrong",
    b"yes",
];

const MAX_NAME_BYTES: usize = 64;
const MAX_SPACES: usize = 4;
const MAX_LINE_BYTES: usize = 1024;

/// How a value stands behind a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// `NAME=VALUE`
    Tight,
    /// `NAME = VALUE`, `NAME: VALUE`, `NAME => VALUE`
    Loose,
    /// `--NAME VALUE`
    Option,
    /// `<NAME>VALUE</NAME>`
    Element,
}

/// A telling name, and where its value begins.
struct Name<'t> {
    start: usize,
    bytes: &'t [u8],
    kind: Kind,
    form: Form,
    value: usize,
    is_quoted: bool,
}

/// Whether this is the name of something secret, as that of an event's option.
pub(crate) fn is_telling(name: &[u8]) -> bool {
    telling(name).is_some()
}

fn words() -> &'static AhoCorasick {
    static WORDS_FINDER: OnceLock<AhoCorasick> = OnceLock::new();
    WORDS_FINDER.get_or_init(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(WORDS.iter().map(|(word, _)| word))
            .expect("the tests build it")
    })
}

/// What the last telling word of a name says.
fn telling(name: &[u8]) -> Option<Kind> {
    let found = words().find_iter(name).last()?;
    is_whole_word(name, found.start(), found.end())
        .then(|| WORDS[found.pattern().as_usize()].1)
}

/// Whether a word in a name means what it says.
fn is_whole_word(name: &[u8], start: usize, end: usize) -> bool {
    let kind = words()
        .find(&name[start..end])
        .map(|found| WORDS[found.pattern().as_usize()].1);
    let rest = name[end..].to_ascii_lowercase();
    if kind == Some(Kind::Short) {
        let is_capital = name[start].is_ascii_uppercase();
        let before = start.checked_sub(1).map(|before| name[before]);
        let is_start = before.is_none_or(|before| {
            !before.is_ascii_alphabetic()
                || (is_capital && before.is_ascii_lowercase())
        });
        // `SSHPASS`, but not `BYPASS`.
        let is_environment = name.iter().all(u8::is_ascii_uppercase)
            && name.len() > name[start..].len()
            && !name.ends_with(b"BYPASS")
            && !name.ends_with(b"COMPASS");
        let is_end = rest
            .first()
            .is_none_or(|byte| *byte == b'_' || byte.is_ascii_digit());
        // The working directory in a shell's environment.
        if !(is_start || is_environment)
            || !is_end
            || name == b"PWD"
            || name == b"OLDPWD"
        {
            return false;
        }
    }
    let rest = String::from_utf8_lossy(&rest);
    let rest = rest.trim_start_matches(['_', '-', '.']);
    !HARMLESS_ENDINGS.iter().any(|ending| rest.contains(ending))
        && !matches!(rest, "ize" | "izer" | "ary" | "less" | "ial")
}

/// Values that telling names have.
pub(crate) fn find(text: &[u8], scope: Scope, found: &mut Vec<Found>) {
    let mut done = 0;
    for word in words().find_iter(text) {
        if word.start() < done {
            continue;
        }
        let kind = WORDS[word.pattern().as_usize()].1;
        let Some(name) = read_name(text, word.start(), word.end(), kind) else {
            continue;
        };
        let is_alone = scope == Scope::Word
            && name.form == Form::Tight
            && matches!(&text[..name.start], b"" | b"--" | b"-");
        let value = if is_alone {
            Value {
                range: name.value..text.len(),
                is_quoted: true,
            }
        } else if name.form == Form::Element {
            let len = text[name.value..]
                .iter()
                .take_while(|byte| !matches!(byte, b'<' | b'\n'))
                .count();
            Value {
                range: name.value..name.value + len,
                is_quoted: true,
            }
        } else {
            let around = if name.is_quoted {
                None
            } else {
                quote_around(text, name.start)
            };
            value_at(text, name.value, around)
        };
        let mut range = value.range;
        if !is_alone && !value.is_quoted {
            range.end = range.start + unquoted_len(&text[range.clone()]);
            if is_setting(text, &name) {
                let line = text[range.start..]
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r'));
                range.end =
                    range.start + line.unwrap_or(text.len() - range.start);
            }
        }
        let is_quoted = value.is_quoted;
        if is_secret(text, &name, &text[range.clone()], is_quoted, scope) {
            done = range.end;
            found.push(Found::new(range, Rule::SECRET));
        }
    }
}

/// How much of a word is a value: without the next of a list of assignments,
/// and without punctuation.
fn unquoted_len(word: &[u8]) -> usize {
    let next = memchr_iter(b',', word).find(|comma| {
        let rest = &word[comma + 1..];
        let name = rest
            .iter()
            .take(MAX_NAME_BYTES)
            .take_while(|byte| is_name(**byte))
            .count();
        name > 0 && rest.get(name) == Some(&b'=')
    });
    word[..next.unwrap_or(word.len())]
        .iter()
        .rposition(|byte| !b",.:".contains(byte))
        .map_or(0, |last| last + 1)
}

/// Whether this is `password = ...` on a line of a file: it goes to the end.
fn is_setting(text: &[u8], name: &Name<'_>) -> bool {
    name.form == Form::Loose
        && name.kind != Kind::Token
        && !name.is_quoted
        && text[..name.value].trim_ascii_end().ends_with(b"=")
        && text[line_start(text, name.start)..name.start]
            .iter()
            .all(u8::is_ascii_whitespace)
        && !is_source(text, name.start)
}

/// The quote before a name, its dashes, or the assignments before it.
fn quote_around(text: &[u8], start: usize) -> Option<Quote> {
    let dashes = text[..start]
        .iter()
        .rev()
        .take(2)
        .take_while(|byte| **byte == b'-')
        .count();
    Quote::before(text, start - dashes)
}

/// The name around a word that tells, if something is assigned to it.
fn read_name(
    text: &[u8],
    start: usize,
    end: usize,
    kind: Kind,
) -> Option<Name<'_>> {
    let before = text[..start]
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(**byte) || **byte == b'.')
        .count();
    let dashes = text[start - before..start]
        .iter()
        .take_while(|byte| **byte == b'-')
        .count();
    let name_start = start - before + dashes;
    let after = text[end..]
        .iter()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(**byte))
        .count();
    let name_end = end + after;
    let bytes = &text[name_start..name_end];
    if !is_whole_word(bytes, start - name_start, end - name_start) {
        return None;
    }
    let mut at = name_end;
    let is_option = text[..name_start].ends_with(b"--");
    let is_element = text[..name_start].ends_with(b"<");
    if is_element && text.get(at) == Some(&b'>') {
        return Some(Name {
            start: name_start,
            bytes,
            kind,
            form: Form::Element,
            value: at + 1,
            is_quoted: false,
        });
    }
    if text.get(at) == Some(&b'\\') {
        at += 1;
    }
    let is_quoted = matches!(text.get(at), Some(b'"' | b'\''));
    if is_quoted {
        at += 1;
        // Python: os.environ['PASSWORD'] = ...
        if text.get(at) == Some(&b']') {
            at += 1;
        }
    } else if text.get(at) == Some(&b'\\') {
        return None;
    }
    let spaces = spaces(&text[at..]);
    at += spaces;
    let rest = &text[at..];
    let (form, len) = match rest {
        [b'=', b'=' | b'~', ..] | [b':', b':' | b'/', ..] => return None,
        [b'=', b'>', ..] => (Form::Loose, 2),
        [b':', b'=', ..] => (Form::Loose, 2),
        [b'=', next, ..]
            if spaces == 0 && !is_quoted && !matches!(next, b' ' | b'\t') =>
        {
            (Form::Tight, 1)
        }
        [b':', next, ..]
            if kind == Kind::Token
                && !is_quoted
                && !next.is_ascii_whitespace()
                && !matches!(next, b'"' | b'\'') =>
        {
            // As in a URL: `gitlab-ci-token:PASSWORD@`.
            return None;
        }
        [b'=' | b':', ..] => (Form::Loose, 1),
        // A list of arguments, as Python prints it.
        [b',', b' ', ..] if is_option && is_quoted => (Form::Option, 2),
        [first, ..] if is_option && spaces > 0 && *first != b'-' => {
            (Form::Option, 0)
        }
        _ => return None,
    };
    at += len;
    if form == Form::Loose {
        at += self::spaces(&text[at..]);
    }
    Some(Name {
        start: name_start,
        bytes,
        kind,
        form,
        value: at,
        is_quoted,
    })
}

fn spaces(text: &[u8]) -> usize {
    text.iter()
        .take(MAX_SPACES)
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a value is secret, after all that is known of its name.
fn is_secret(
    text: &[u8],
    name: &Name<'_>,
    value: &[u8],
    is_quoted: bool,
    scope: Scope,
) -> bool {
    if is_placeholder(value, scope) || is_path(value) || is_code(value) {
        return false;
    }
    let is_environment = !name.bytes.iter().any(u8::is_ascii_lowercase);
    let is_password = name.kind != Kind::Token;
    let is_speech = SPEECH.contains(&value) && !is_quoted;
    // `tests pass=12`
    let is_count = name.kind == Kind::Short
        && value.len() < 6
        && value.iter().all(u8::is_ascii_digit);
    match name.form {
        Form::Tight if is_environment => true,
        Form::Loose | Form::Option if is_speech => false,
        Form::Loose | Form::Tight if is_count => false,
        Form::Loose if is_environment && is_quoted => true,
        Form::Tight | Form::Element if is_password => {
            !is_named_so(value) && (is_quoted || !is_source(text, name.start))
        }
        Form::Option if is_password => !is_named_so(value) || is_quoted,
        // `hg phase --secret REV`
        Form::Option if name.bytes == b"secret" => {
            looks_random(value) && !value.iter().all(u8::is_ascii_hexdigit)
        }
        Form::Loose if is_password && is_quoted => !is_named_so(value),
        Form::Loose if is_password => {
            looks_chosen(value)
                || (!is_source(text, name.start)
                    && (is_setting(text, name)
                        || is_line(text, name.start, name.value + value.len())))
        }
        Form::Loose if !is_quoted && is_source(text, name.start) => false,
        Form::Loose | Form::Tight | Form::Option | Form::Element => {
            looks_random(value)
        }
    }
}

fn is_path(value: &[u8]) -> bool {
    PATHS.iter().any(|path| value.starts_with(path))
}

/// Whether this is an expression of a program.
fn is_code(value: &[u8]) -> bool {
    let root = value
        .iter()
        .position(|byte| matches!(byte, b'.' | b'(' | b'['))
        .map(|end| &value[..end]);
    root.is_some_and(|root| CODE_ROOTS.contains(&root))
}

/// Whether a value is itself made of telling words: `passwd=password`.
fn is_named_so(value: &[u8]) -> bool {
    let mut rest = value.to_ascii_lowercase();
    for (word, _) in WORDS {
        if let Some(at) = rest
            .windows(word.len())
            .position(|part| part == word.as_bytes())
        {
            rest.drain(at..at + word.len());
        }
    }
    rest.len() < value.len()
        && rest
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
        && rest.len() < 6
}

/// Whether name and value are a line of their own, as in a file.
fn is_line(text: &[u8], start: usize, end: usize) -> bool {
    let line = line_start(text, start);
    let before = &text[line..start];
    let is_first = before
        .iter()
        .all(|byte| byte.is_ascii_whitespace() || matches!(byte, b'-' | b'"'));
    let after = text[end..]
        .iter()
        .find(|byte| !matches!(byte, b' ' | b'\r'));
    is_first && after.is_none_or(|byte| *byte == b'\n')
}

/// Whether this is in a line of a program that a Python traceback shows.
fn is_source(text: &[u8], at: usize) -> bool {
    let line = line_start(text, at);
    if line == 0 {
        return false;
    }
    text[line_start(text, line - 1)..line].starts_with(b"  File \"")
}

/// Where the line begins, or as far back as is looked.
fn line_start(text: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(MAX_LINE_BYTES);
    memrchr(b'\n', &text[from..at]).map_or(from, |newline| from + newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), Scope::Text, &mut found);
        found.into_iter().map(|found| &text[found.range]).collect()
    }

    #[test]
    fn names_tell() {
        for name in ["password", "OPT_TOKEN", "apiKey", "db_pass", "dbPass"] {
            assert!(is_telling(name.as_bytes()), "{name}");
        }
        for name in [
            "token_type",
            "password-file",
            "bypass",
            "passed",
            "PWD",
            "secretary",
            "tokenizer",
            "key",
            "canonical_command",
        ] {
            assert!(!is_telling(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn each_form_has_its_value() {
        assert_eq!(found("PASSWORD=a b"), ["a"]);
        assert_eq!(found("x --password 'a b' c"), ["a b"]);
        assert_eq!(found("x --password=a c"), ["a"]);
        assert_eq!(found(r#"{"password": "a b"}"#), ["a b"]);
        assert_eq!(found(r#"{\"password\": \"a b\"}"#), ["a b"]);
        assert_eq!(found("password = letmein\n"), ["letmein"]);
        assert_eq!(found("<password>a b</password>"), ["a b"]);
        assert_eq!(found("['--password', 'ab']"), ["ab"]);
        assert_eq!(found("f(password='ab', user='c')"), ["ab"]);
        assert_eq!(found("'x=1 PASSWORD=ab c'"), ["ab"]);
    }

    #[test]
    fn code_and_speech_are_harmless() {
        for text in [
            "password = getpass.getpass()",
            "  File \"x.py\", line 3, in f\n    passwd = authinfo\n",
            "f(password=password, token=self.token)",
            "unexpected token: end",
            "password: required for bob",
            "hg phase --secret 0123456789ab",
            "PASSWORD=$PASSWORD",
            "if token == x",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
