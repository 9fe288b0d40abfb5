//! Whether a value is secret, given all facts about its name.
//!
//! The vaguer the name and the form, the more the value itself must look like a
//! secret. Must not know where the value is.

use super::colon_fields::is_between_fields;
use super::form::Form;
use super::form::MAX_GAP_BYTES;
use super::form::MAX_NAME_BYTES;
use super::form::Name;
use super::form::is_compound;
use super::form::is_name;
use super::line::is_source;
use super::line::line_start;
use super::place::is_setting;
use crate::example_value;
use crate::extent::Extent;
use crate::name;
use crate::secret_words::SecretKind;
use crate::value::Scope;
use crate::value::is_code;
use crate::value::is_literal_placeholder;
use crate::value::is_path;
use crate::value::is_placeholder;
use crate::value::is_speech;
use crate::value::is_statement;
use crate::value::is_uuid;
use crate::value::looks_like_key;
use crate::value::looks_like_password;
use crate::value::looks_like_short_key;
use crate::value::looks_machine_made;
use crate::value::looks_random;

/// Whether a value is secret, after all that is known of its name.
pub(super) fn is_secret(
    text: &[u8],
    name: &Name<'_>,
    extent: &Extent,
    scope: Scope,
) -> bool {
    let value = &text[extent.range.clone()];
    let is_named = is_named_so(value);
    if is_placeholder_in_text(text, name, extent, scope)
        || (is_named && !value.iter().any(u8::is_ascii_lowercase))
    {
        return false;
    }
    Assignment {
        text,
        name,
        extent,
        value,
        is_named,
        is_quoted: extent.quote.is_some(),
        is_word: is_speech(value),
    }
    .is_secret()
}

/// A value that is no placeholder, with what is known of its name.
struct Assignment<'t> {
    text: &'t [u8],
    name: &'t Name<'t>,
    extent: &'t Extent,
    value: &'t [u8],
    /// Whether the value itself consists of secret words.
    is_named: bool,
    is_quoted: bool,
    /// Whether the value is a word of a language.
    is_word: bool,
}

impl Assignment<'_> {
    fn is_secret(&self) -> bool {
        let is_vague =
            matches!(self.name.kind, SecretKind::Key | SecretKind::Doubtful);
        match self.name.form {
            Form::Said => self.is_said(),
            Form::Call => is_passed(self.name, self.value),
            _ if is_vague => self.is_key(),
            Form::Tight => self.is_tight(),
            Form::Loose => self.is_loose(),
            Form::Option => self.is_option(),
            Form::Element => self.is_element(),
            Form::Tuple => self.is_in_tuple(),
            Form::Default | Form::Field | Form::Spaced => self.is_field(),
            Form::Compared => self.is_compared(),
        }
    }

    /// `the token VALUE`
    fn is_said(&self) -> bool {
        looks_machine_made(self.value)
            || (self.is_quoted
                && self.name.kind == SecretKind::Token
                && is_compound(self.name.bytes)
                && looks_random(self.value))
    }

    /// The value of a name that means a key, or may mean anything.
    fn is_key(&self) -> bool {
        let is_source = self.name.form == Form::Loose
            && !self.is_quoted
            && self.is_source();
        // `STRIPE_KEY_LIVE=...`
        let is_variable = self.name.kind == SecretKind::Key
            && self.name.form == Form::Tight
            && self.name.is_environment();
        !is_source
            && (self.looks_secret()
                || (is_variable
                    && looks_like_short_key(self.name.bytes, self.value)))
    }

    /// `NAME=VALUE`
    fn is_tight(&self) -> bool {
        if self.is_count() {
            return false;
        }
        if self.name.is_environment() {
            return true;
        }
        if self.is_password() {
            return self.is_clear_password();
        }
        self.looks_secret()
            || self.is_quoted_secret()
            || (is_compound_or_bare(self.name.bytes)
                && looks_like_password(self.value)
                && !is_pair(self.name.bytes)
                && !self.is_source()
                && !self.is_named)
    }

    /// `NAME = VALUE`, `NAME: VALUE`, `NAME => VALUE`
    fn is_loose(&self) -> bool {
        let is_number = self.name.is_quoted && is_code_number(self.value);
        // JSON's numbers.
        if self.is_password() && is_number {
            return true;
        }
        if self.is_bare_word() || self.is_count() {
            return false;
        }
        if self.name.is_environment() && self.is_quoted {
            return true;
        }
        if self.is_password() {
            return if self.is_quoted {
                !self.is_named
            } else {
                self.is_loose_password()
            };
        }
        (self.is_quoted || !self.is_source())
            && (self.looks_secret() || self.is_quoted_secret())
    }

    /// `password: VALUE`, without quotes.
    fn is_loose_password(&self) -> bool {
        let Self {
            text, name, extent, ..
        } = self;
        looks_like_password(self.value)
            || is_between_fields(text, name.start, extent.range.clone())
            || (!self.is_source()
                && (is_setting(text, name)
                    || is_line(text, name.start, extent.range.end)))
    }

    /// `--NAME VALUE`
    fn is_option(&self) -> bool {
        if self.is_bare_word() {
            return false;
        }
        if self.is_password() {
            return !self.is_named || self.is_quoted;
        }
        // `hg phase --secret REV`
        if self.name.bytes == b"secret" {
            return looks_random(self.value)
                && !self.value.iter().all(u8::is_ascii_hexdigit);
        }
        let has_colon = self.value.contains(&b':');
        // `--credentials USER:PASSWORD`
        (has_colon && is_pair(self.name.bytes))
            || self.looks_secret()
            || self.is_quoted_secret()
            || (!has_colon && looks_like_password(self.value))
    }

    /// `<NAME>VALUE</NAME>`
    fn is_element(&self) -> bool {
        if self.is_password() {
            return self.is_clear_password();
        }
        self.looks_secret() || self.is_quoted_secret()
    }

    /// `('NAME', 'VALUE')`
    fn is_in_tuple(&self) -> bool {
        is_second(self.text, self.name, self.extent)
            || (!self.name.is_quoted
                && self.is_quoted
                && looks_like_password(self.value)
                && !self.is_named)
            || is_set(self.text, self.name, self.value)
            || looks_random(self.value)
    }

    /// `getenv('NAME') or 'VALUE'`, `{"name": "NAME", "value": "VALUE"}`,
    /// `setenv NAME VALUE`
    fn is_field(&self) -> bool {
        if self.is_word {
            return false;
        }
        if self.name.is_environment() {
            return true;
        }
        let is_field = self.name.form == Form::Field;
        !self.is_named
            && ((self.is_password()
                && (is_field || !self.value.contains(&b' ')))
                || (is_field && looks_like_password(self.value))
                || self.looks_secret())
    }

    /// `NAME == 'VALUE'`
    fn is_compared(&self) -> bool {
        self.is_quoted
            && (looks_random(self.value)
                || (self.is_password() && looks_like_password(self.value)))
    }

    /// Whether a value looks as one of its kind does.
    fn looks_secret(&self) -> bool {
        match self.name.kind {
            SecretKind::Password => looks_like_password(self.value),
            SecretKind::Token => looks_random(self.value),
            SecretKind::Code => {
                is_code_number(self.value) || looks_random(self.value)
            }
            SecretKind::Key => looks_like_key(self.name.bytes, self.value),
            SecretKind::Doubtful => looks_machine_made(self.value),
        }
    }

    /// Whether this is in quotes, and the name is certain enough for a value
    /// that is not random.
    fn is_quoted_secret(&self) -> bool {
        let name = self.name.bytes;
        self.is_quoted
            && is_compound_or_bare(name)
            && (looks_like_password(self.value)
                || is_secret_key(name) && !self.value.contains(&b' '))
            && !self.is_named
    }

    /// Whether a password is in quotes or outside of a program's source.
    fn is_clear_password(&self) -> bool {
        !self.is_named && (self.is_quoted || !self.is_source())
    }

    fn is_password(&self) -> bool {
        self.name.kind == SecretKind::Password
    }

    /// Whether this counts something: `pass: 3`.
    fn is_count(&self) -> bool {
        self.value.len() < 6
            && self.value.iter().all(u8::is_ascii_digit)
            && self.is_password()
            && self.name.bytes.len() < 6
    }

    /// Whether this is a word without quotes, as in a sentence.
    fn is_bare_word(&self) -> bool {
        self.is_word && !self.is_quoted
    }

    fn is_source(&self) -> bool {
        is_source(self.text, self.name.start)
    }
}

/// Whether this is a secret that is passed to a call: `x.setPassword("VALUE")`,
/// but not `ask_password("for bob")`.
fn is_passed(name: &Name<'_>, value: &[u8]) -> bool {
    const SETTERS: [&[u8]; 4] = [b"set", b"with", b"Set", b"With"];
    let method = name.bytes.rsplit(|byte| *byte == b'.').next();
    let method = method.unwrap_or(name.bytes);
    let is_setter = SETTERS.iter().any(|word| method.starts_with(word));
    let is_name = || {
        !is_uuid(value)
            && value.iter().all(|byte| is_name(*byte) || *byte == b'.')
            && value.iter().any(|byte| b"_.-".contains(byte))
    };
    match name.kind {
        SecretKind::Password if value.contains(&b' ') || is_named_so(value) => {
            false
        }
        SecretKind::Password => {
            (is_setter || looks_like_password(value)) && !is_name()
        }
        SecretKind::Token => looks_random(value) && !is_name(),
        SecretKind::Code => is_setter && is_code_number(value),
        SecretKind::Key | SecretKind::Doubtful => looks_machine_made(value),
    }
}

/// Whether this is only a placeholder: a variable, a path, code.
fn is_placeholder_in_text(
    text: &[u8],
    name: &Name<'_>,
    extent: &Extent,
    scope: Scope,
) -> bool {
    let value = &text[extent.range.clone()];
    let word = &text[extent.word.clone()];
    let is_single = extent.quote.is_some_and(|quote| quote.byte == b'\'')
        && matches!(name.form, Form::Tight | Form::Loose);
    let is_shell =
        is_single && name.form == Form::Tight && name.is_environment();
    let is_placeholder = |value: &[u8]| {
        if is_single {
            is_literal_placeholder(value, scope, is_shell)
        } else {
            is_placeholder(value, scope)
        }
    };
    is_placeholder(value)
        || (word.is_empty()
            && value.first().is_some_and(|b| b"([{".contains(b)))
        || (!word.is_empty()
            && (name.form == Form::Tight
                || text.get(extent.word.end) != Some(&b';'))
            && is_placeholder(word))
        || (!is_single && example_value::is_example(value))
        || example_value::is_validation(value)
        || example_value::is_version(value)
        || (is_path(value) || is_path(word))
        || (scope == Scope::Text && is_code(value, extent.quote.is_some()))
        || (extent.quote.is_none()
            && (value.starts_with(b"!") || is_typed_number(value)))
        || (extent.quote.is_none()
            && name.form == Form::Loose
            && is_statement(value))
}

/// Whether this is a number as Rust and C write it: `0x8009030Cu32`, `13i32`.
fn is_typed_number(value: &[u8]) -> bool {
    const MAX_BYTES: usize = 24;
    const TYPES: [&[u8]; 6] =
        [b"u32", b"i32", b"u64", b"i64", b"usize", b"u16"];
    let value = value.strip_suffix(b";").unwrap_or(value);
    value.len() < MAX_BYTES
        && TYPES
            .iter()
            .find_map(|name| value.strip_suffix(*name))
            .is_some_and(|number| match number {
                [b'0', b'x', digits @ ..] => digits
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || *byte == b'_'),
                [b'-', digits @ ..] | digits => digits
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || *byte == b'_'),
            })
}

/// Whether this is the last element of a call or a tuple, directly after the
/// name: `get('password', 'X')`.
fn is_second(text: &[u8], name: &Name<'_>, extent: &Extent) -> bool {
    let value = &text[extent.range.clone()];
    let start = &text[..name.start];
    // add_argument('--password', default='VALUE')
    let start = start.strip_suffix(b"--").unwrap_or(start);
    let before = start
        .strip_suffix(b"\"")
        .or_else(|| start.strip_suffix(b"'"));
    let Some(before) = before else {
        return false;
    };
    let before = before
        .strip_suffix(b"b")
        .or_else(|| before.strip_suffix(b"u"))
        .unwrap_or(before);
    let is_call = matches!(before.last(), Some(b'(' | b' ' | b','));
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    is_call
        && text[..name.start]
            .iter()
            .rev()
            .take(MAX_GAP_BYTES)
            .any(|b| *b == b'(')
        && !is_named_so(value)
        && looks_like_password(value)
        && !value.iter().all(is_name)
}

/// Whether this is in a call that sets something.
fn is_set(text: &[u8], name: &Name<'_>, value: &[u8]) -> bool {
    const SETTERS: [&[u8]; 8] = [
        b"define(",
        b"Property(",
        b"property(",
        b"setenv(",
        b"Setenv(",
        b"Variable(",
        b"set_env(",
        b"set_var(",
    ];
    // Calls with a default for a variable that is not set.
    const GETTERS: [&[u8]; 5] =
        [b"environ.get(", b"getenv(", b"Getenv(", b".fetch(", b"env("];
    // These set other things more often.
    const COMMON: [&[u8]; 5] =
        [b".put(", b".set(", b".Set(", b".add(", b".Add("];
    const MIN_TOKEN_BYTES: usize = 6;
    let from = name.start.saturating_sub(MAX_GAP_BYTES);
    let before = &text[from..name.start];
    let call = before
        .strip_suffix(b"\"")
        .or_else(|| before.strip_suffix(b"'"))
        .unwrap_or(before)
        .trim_ascii_end();
    let is_in =
        |setters: &[&[u8]]| setters.iter().any(|setter| call.ends_with(setter));
    let is_default = name.is_environment() && is_in(&GETTERS);
    match name.kind {
        SecretKind::Password | SecretKind::Token if is_default => {
            value.len() >= MIN_TOKEN_BYTES
                && !is_speech(value)
                && !is_named_so(value)
        }
        SecretKind::Password => {
            is_in(&SETTERS)
                || is_in(&COMMON)
                || memchr::memmem::rfind(before, b"setconfig(").is_some()
        }
        SecretKind::Token => {
            is_in(&SETTERS)
                && value.len() >= MIN_TOKEN_BYTES
                && !is_speech(value)
                && !is_named_so(value)
        }
        SecretKind::Code | SecretKind::Key | SecretKind::Doubtful => false,
    }
}

/// Whether a user's name and a password belong to this name.
fn is_pair(name: &[u8]) -> bool {
    memchr::memmem::find(name, b"cred").is_some()
}

/// Whether a name ends as those of secret keys do: `aws_secret_access_key`,
/// `clientSecret`.
fn is_secret_key(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [
        &b"secret"[..],
        b"secret_key",
        b"secretkey",
        b"access_key",
        b"accesskey",
    ]
    .iter()
    .any(|ending| name.ends_with(ending))
}

fn is_compound_or_bare(name: &[u8]) -> bool {
    is_compound(name) || is_bare_token(name)
}

/// Whether a name only tells that the value is secret; the section of the file
/// tells what it is for.
fn is_bare_token(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"token") || name.eq_ignore_ascii_case(b"secret")
}

/// Whether this may be a one-time password.
fn is_code_number(value: &[u8]) -> bool {
    (4..=10).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

/// Whether a value itself consists of secret words: `passwd=password`.
fn is_named_so(value: &[u8]) -> bool {
    const MAX_OTHER_BYTES: usize = 6;
    if value.len() > MAX_NAME_BYTES {
        return false;
    }
    let mut words: Vec<_> = name::find(value)
        .filter(|word| {
            !word.is_short() || (word.start == 0 && word.end == value.len())
        })
        .map(|word| word.start..word.end)
        .collect();
    words.sort_by_key(|word| (word.start, usize::MAX - word.end));
    let mut other = Vec::new();
    let mut at = 0;
    for word in &words {
        if word.start >= at {
            other.extend_from_slice(&value[at..word.start]);
        }
        at = at.max(word.end);
    }
    other.extend_from_slice(&value[at..]);
    other.make_ascii_lowercase();
    !words.is_empty()
        && other
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || b"_-".contains(byte))
        && other.len() < MAX_OTHER_BYTES
}

/// Whether name and value fill a line, as in a file.
fn is_line(text: &[u8], start: usize, end: usize) -> bool {
    let line = line_start(text, start);
    let before = &text[line..start];
    let is_first = before
        .iter()
        .all(|byte| byte.is_ascii_whitespace() || b"-\"[".contains(byte));
    let after = text[end..]
        .iter()
        .find(|byte| !matches!(byte, b' ' | b'\r'));
    is_first && after.is_none_or(|byte| *byte == b'\n')
}
