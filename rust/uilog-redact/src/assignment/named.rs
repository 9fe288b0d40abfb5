//! The name to which a value is assigned, and the form of the assignment.
//!
//! Responsible for `NAME=`, `--NAME`, `<NAME>`, `setenv NAME` and other text
//! between a name and its value. Must not know where the value ends, or what it
//! looks like.

use memchr::memchr;
use memchr::memchr2;

use super::line::MAX_LINE_BYTES;
use super::line::is_last_word;
use super::line::is_line_start;
use super::line::is_source;
use crate::field::field_value;
use crate::field::field_value_before;
use crate::field::is_field_name;
use crate::name::SecretWordMatch;
use crate::notation::anchor_len;
use crate::notation::block_len;
use crate::notation::dump_len;
use crate::notation::type_len;
use crate::notation::wrapper_len;
use crate::rule::marker_at;
use crate::secret_words::SecretKind;
use crate::steps;
use crate::value::looks_random;
use crate::words::blanks;

pub(super) const MAX_NAME_BYTES: usize = 64;
pub(super) const MAX_SPACES: usize = 4;
/// Maximum distance between a name and its separate value.
pub(super) const MAX_GAP_BYTES: usize = 96;

/// How a value follows a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `NAME=VALUE`
    Tight,
    /// `NAME = VALUE`, `NAME: VALUE`, `NAME => VALUE`
    Loose,
    /// `--NAME VALUE`
    Option,
    /// `<NAME>VALUE</NAME>`
    Element,
    /// `('NAME', 'VALUE')`
    Tuple,
    /// `getenv('NAME') or 'VALUE'`, `${NAME:-VALUE}`
    Default,
    /// `{"name": "NAME", "value": "VALUE"}`
    Field,
    /// `setenv NAME VALUE`, `PASSWORD 'VALUE'`
    Spaced,
    /// `NAME == 'VALUE'`
    Compared,
    /// `the token VALUE`
    Said,
    /// `x.password("VALUE")`
    Call,
}

/// A name that suggests a secret, and where its value begins.
#[derive(Debug)]
pub(super) struct Name<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) bytes: &'t [u8],
    pub(super) kind: SecretKind,
    pub(super) form: Form,
    pub(super) value: usize,
    pub(super) is_quoted: bool,
}

/// The name that contains a secret word, if something is assigned to it.
pub(super) fn read_name(
    text: &[u8],
    word: SecretWordMatch,
) -> Option<Name<'_>> {
    let before = text[..word.start]
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(**byte) || **byte == b'.')
        .count();
    let dashes = text[word.start - before..word.start]
        .iter()
        .take_while(|byte| matches!(byte, b'-' | b'.'))
        .count();
    let start = word.start - before + dashes;
    let after = text[word.end..]
        .iter()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(**byte))
        .count();
    steps::add(before + after);
    let mut end = word.end + after;
    // `db.password.prod=`, but not `password.py: `.
    let dotted = text[end..]
        .iter()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(**byte) || **byte == b'.')
        .count();
    if matches!(text.get(end + dotted), Some(b'=' | b'"' | b'\'' | b'<')) {
        end += dotted;
    }
    let kind = word.kind_in(text, start, end)?;
    let mut name = Name {
        start,
        end,
        bytes: &text[start..end],
        kind,
        form: Form::Loose,
        value: end,
        is_quoted: false,
    };
    name.read_form(text).then_some(name)
}

impl Name<'_> {
    /// Determines how a value follows the name.
    fn read_form(&mut self, text: &[u8]) -> bool {
        if self.is_field_name(text)
            && let Some(value) = field_value(text, self.end)
                .or_else(|| field_value_before(text, self.start))
        {
            self.form = Form::Field;
            self.value = value;
            return true;
        }
        self.read_element(text)
            || self.read_default(text)
            || self.read_separator(text)
            || self.read_spaced(text)
    }

    /// `<NAME>`, `<x:NAME a="b">`
    fn read_element(&mut self, text: &[u8]) -> bool {
        let before = &text[..self.start];
        let prefix = before
            .iter()
            .rev()
            .take(MAX_NAME_BYTES)
            .take_while(|byte| is_name(**byte) || **byte == b':')
            .count();
        let tag = before.len() - prefix;
        if !before[..tag].ends_with(b"<")
            || marker_at(&text[tag - 1..]).is_some()
        {
            return false;
        }
        let rest = &text[self.end..text.len().min(self.end + MAX_GAP_BYTES)];
        match (rest.first(), memchr(b'>', rest)) {
            (Some(b'>'), _) => self.value = self.end + 1,
            (Some(b' '), Some(close))
                if rest[close - 1] != b'/' && rest[..close].contains(&b'=') =>
            {
                self.value = self.end + close + 1;
            }
            _ => return false,
        }
        self.form = Form::Element;
        // `<user>:<password>@host` is not one.
        let rest = &text[self.value..];
        let len = memchr2(b'<', b'\n', rest).unwrap_or(rest.len());
        steps::add(len);
        matches!(rest.get(len..len + 2), Some(b"</" | b"<!"))
    }

    /// `${NAME:-VALUE}`, `getenv("NAME") or "VALUE"`, `env.NAME || "VALUE"`
    fn read_default(&mut self, text: &[u8]) -> bool {
        let rest = &text[self.end..];
        let operator = |rest: &[u8]| {
            [&b":-"[..], b":=", b"-", b"="]
                .into_iter()
                .find(|operator| rest.starts_with(operator))
                .map(<[u8]>::len)
                .or_else(|| is_spring_default(rest).then_some(1))
        };
        if text[..self.start].ends_with(b"${")
            && let Some(len) = operator(rest)
        {
            self.form = Form::Default;
            self.value = self.end + len;
            return true;
        }
        let closing = rest
            .iter()
            .take(4)
            .take_while(|byte| b"\"')]".contains(byte))
            .count();
        let spaces = spaces(&rest[closing..]);
        let behind = &rest[closing + spaces..];
        let Some(operator) = [&b"or "[..], b"|| ", b"||", b"?? ", b"?: "]
            .into_iter()
            .find(|operator| behind.starts_with(operator))
        else {
            return false;
        };
        let value = closing + spaces + operator.len();
        if !matches!(rest.get(value), Some(b'"' | b'\'')) {
            return false;
        }
        self.form = Form::Default;
        self.value = self.end + value;
        true
    }

    /// `=`, `:`, `=>`, and other separators between a name and a value.
    fn read_separator(&mut self, text: &[u8]) -> bool {
        let mut at = self.end;
        let is_option = self.is_option(text);
        if text.get(at) == Some(&b'\\') {
            at += 1;
        }
        self.is_quoted = matches!(text.get(at), Some(b'"' | b'\''));
        if self.is_quoted {
            at += 1;
            // Python: os.environ['PASSWORD'] = ..., {('x', 'password'): ...}
            if matches!(text.get(at), Some(b']' | b')')) {
                at += 1;
            }
            // Ruby: ENV.fetch('PASSWORD') { 'VALUE' }
            if text[at..].starts_with(b" { ")
                && matches!(text.get(at + 3), Some(b'"' | b'\''))
            {
                self.form = Form::Default;
                self.value = at + 3;
                return true;
            }
        } else if text.get(at) == Some(&b'\\') {
            return false;
        } else if is_key_closed(text, self.start, at) {
            at += 1;
        }
        let spaces = spaces(&text[at..]);
        at += spaces;
        let rest = &text[at..];
        let (form, len) = match rest {
            [b'=' | b'!', b'=', ..] => {
                let len = 2 + usize::from(rest.get(2) == Some(&b'='));
                (Form::Compared, len)
            }
            [b'=', b'~', ..] | [b':', b':' | b'/', ..] => return false,
            // The user of a URL.
            [b':', next, ..]
                if text[..self.start].ends_with(b"://")
                    && !next.is_ascii_whitespace() =>
            {
                return false;
            }
            [b'<', b'<', b'<', ..] => (Form::Loose, 3),
            [b'=' | b'-', b'>', ..] => (Form::Loose, 2 + dump_len(&rest[2..])),
            [b'<', b'-', b' ', ..] => (Form::Loose, 2),
            [b':' | b'?', b'=', ..] => (Form::Loose, 2),
            [b'=', next, ..]
                if spaces == 0
                    && !self.is_quoted
                    && !matches!(next, b' ' | b'\t') =>
            {
                (Form::Tight, 1)
            }
            [b':', next, ..]
                if self.kind != SecretKind::Password
                    && !self.is_quoted
                    && !next.is_ascii_whitespace()
                    && !matches!(next, b'"' | b'\'') =>
            {
                // As in a URL: `gitlab-ci-token:PASSWORD@`.
                if !is_field_of_struct(text, self.start, &rest[1..]) {
                    return false;
                }
                (Form::Tight, 1)
            }
            [b':', ..] => (Form::Loose, 1 + type_len(&rest[1..])),
            [b'=', ..] => (Form::Loose, 1),
            // A list of arguments, as Python prints it.
            [b',', b' ', b'"' | b'\'', ..]
            | [b',', b' ', b'b' | b'u', b'"' | b'\'', ..]
                if is_option && self.is_quoted =>
            {
                (Form::Option, 2)
            }
            [b',', ..] if self.is_quoted || self.is_constant(text) => {
                let mut len = 1 + self::spaces(&rest[1..]);
                const KEYWORDS: [&[u8]; 3] =
                    [b"default=", b"fallback=", b"value="];
                len += KEYWORDS
                    .iter()
                    .find(|keyword| rest[len..].starts_with(keyword))
                    .map_or(0, |keyword| keyword.len());
                let value = match rest[len..] {
                    [b'b' | b'u', quote, ..] => quote,
                    [quote, ..] => quote,
                    [] => return false,
                };
                if !matches!(value, b'"' | b'\'') {
                    return false;
                }
                (Form::Tuple, len)
            }
            [first, ..] if is_option && spaces > 0 && *first != b'-' => {
                (Form::Option, 0)
            }
            [b'(', b'"' | b'\'', ..] if spaces == 0 && !self.is_quoted => {
                (Form::Call, 1)
            }
            _ => return false,
        };
        at += len;
        if matches!(form, Form::Loose | Form::Compared) {
            at += self::spaces(&text[at..]);
        }
        if form == Form::Loose {
            at += wrapper_len(&text[at..]);
            at += block_len(&text[at..]);
            at += anchor_len(&text[at..]);
        }
        self.form = form;
        self.value = at;
        true
    }

    /// `setenv NAME VALUE`, `WITH PASSWORD 'VALUE'`, `requirepass VALUE`
    fn read_spaced(&mut self, text: &[u8]) -> bool {
        const SETTERS: [&[u8]; 13] = [
            b"setenv ",
            b"fastcgi_param ",
            b"set -x ",
            b"set -gx ",
            b"set -Ux ",
            b"set -lx ",
            b"set -xg ",
            b"setx ",
            b"ENV ",
            b"ARG ",
            b"config set ",
            b"configure set ",
            b"config:set ",
        ];
        const DIRECTIVES: [&[u8]; 6] = [
            b"requirepass",
            b"masterauth",
            b"masterpass",
            b"bindpw",
            b"rootpw",
            b"rootbindpw",
        ];
        let spaces = spaces(&text[self.end..]);
        let value = self.end + spaces;
        let Some(&first) = text.get(value) else {
            return false;
        };
        if spaces == 0 || self.is_quoted || matches!(first, b'=' | b'-') {
            return false;
        }
        let before = &text[..self.start];
        let is_set = SETTERS.iter().any(|setter| {
            before
                .len()
                .checked_sub(setter.len())
                .is_some_and(|from| before[from..].eq_ignore_ascii_case(setter))
        }) || (DIRECTIVES.contains(&self.bytes)
            && is_line_start(text, self.start));
        let is_literal = self.kind == SecretKind::Password
            && matches!(first, b'"' | b'\'')
            && is_name_alone(before)
            // `to pass '--x' on`
            && !(self.bytes == b"pass" && before.ends_with(b"to "));
        let is_directive = self.kind == SecretKind::Password
            && (self.bytes == b"password"
                || self.bytes.ends_with(b".password"))
            && is_line_start(text, self.start);
        // `AuthLDAPBindPassword X`, `auth_pass X`, `wpa-psk X`
        let is_directive = is_directive
            || (matches!(self.kind, SecretKind::Password | SecretKind::Token)
                && is_compound(self.bytes)
                && is_line_start(text, self.start)
                && is_last_word(text, value)
                && !is_source(text, self.start));
        let is_said = if text[value..].starts_with(b"is ") {
            3
        } else if text[value..].starts_with(b"is: ") {
            4
        } else {
            0
        };
        self.value = value + is_said;
        self.form = if is_set || is_literal || is_said > 0 {
            Form::Spaced
        } else if is_directive {
            Form::Loose
        } else {
            Form::Said
        };
        if is_said > 0 && !is_set {
            self.form = Form::Loose;
        }
        true
    }

    fn is_option(&self, text: &[u8]) -> bool {
        const MIN_BYTES: usize = 5;
        match &text[..self.start] {
            [.., b'-', b'-'] => true,
            [before @ .., b'-'] => {
                self.bytes.len() >= MIN_BYTES
                    && !self.bytes.contains(&b'-')
                    && before.last().is_none_or(|byte| {
                        byte.is_ascii_whitespace()
                            || matches!(byte, b'"' | b'\'')
                    })
            }
            _ => false,
        }
    }

    /// Whether the name is itself the value of something called a name.
    fn is_field_name(&self, text: &[u8]) -> bool {
        // Terraform: variable "db_password" {
        let before = text[..self.start].strip_suffix(b"\"");
        before.is_some_and(|before| before.ends_with(b"variable "))
            || is_field_name(text, self.start)
    }

    /// Whether this is the name of a constant that a call is given:
    /// `put(SECURITY_CREDENTIALS, "VALUE")`.
    fn is_constant(&self, text: &[u8]) -> bool {
        let last = self.bytes.rsplit(|byte| *byte == b'.').next();
        last.is_some_and(|last| {
            last.contains(&b'_') && !last.iter().any(u8::is_ascii_lowercase)
        }) && matches!(text[..self.start].last(), Some(b'(' | b' ' | b'.'))
    }

    pub(super) fn is_environment(&self) -> bool {
        const PREFIXES: [&[u8]; 3] =
            [b"TF_VAR_", b"ORG_GRADLE_PROJECT_", b"npm_config_"];
        // `process.env.API_TOKEN`
        let last = self.bytes.rsplit(|byte| *byte == b'.').next();
        !last
            .unwrap_or(self.bytes)
            .iter()
            .any(u8::is_ascii_lowercase)
            || PREFIXES.iter().any(|prefix| self.bytes.starts_with(prefix))
    }
}

/// Whether a name and a value are one of several without spaces around their
/// colons, as Go prints them: `map[password:X user:bob]`, `{User:bob Pass:X}`.
pub(super) fn is_between_fields(
    text: &[u8],
    start: usize,
    value: std::ops::Range<usize>,
) -> bool {
    const MAX_BYTES: usize = 64;
    let is_field = |word: &[u8]| {
        let name = word.iter().take_while(|byte| is_name(**byte)).count();
        name > 0 && word.get(name) == Some(&b':') && word.len() > name + 1
    };
    steps::add(2 * MAX_BYTES);
    let before = &text[start.saturating_sub(MAX_BYTES)..start];
    let after = &text[value.end..text.len().min(value.end + MAX_BYTES)];
    let is_open = matches!(before.last(), Some(b'[' | b'{'));
    let is_closed = matches!(after.first(), Some(b']' | b'}'));
    let next = || {
        after.first() == Some(&b' ')
            && after[1..]
                .split(|b| *b == b' ')
                .next()
                .is_some_and(is_field)
    };
    let previous = || {
        before.last() == Some(&b' ')
            && before[..before.len() - 1]
                .rsplit(|byte| b" [{".contains(byte))
                .next()
                .is_some_and(is_field)
    };
    text[value.start - 1] == b':'
        && (is_open && next()
            || is_closed && previous()
            || next() && previous())
}

/// Whether a name with a value right after its colon is one of several, as Go
/// prints a map, or an option of Windows, and the value is certainly no word.
fn is_field_of_struct(text: &[u8], start: usize, value: &[u8]) -> bool {
    const MIN_BYTES: usize = 16;
    let is_field = text[..start]
        .last()
        .is_none_or(|before| b" {[/\n".contains(before));
    let len = value
        .iter()
        .take(MAX_LINE_BYTES)
        .take_while(|byte| {
            !byte.is_ascii_whitespace() && !b"}],".contains(byte)
        })
        .count();
    steps::add(len);
    let value = &value[..len];
    is_field
        && value.len() >= MIN_BYTES
        && looks_random(value)
        && !value.iter().any(|byte| b"@/:".contains(byte))
}

/// Whether a name is a key without quotes that ends here: Perl's
/// `$x{password} = `, Ruby's `x[:password] = `.
fn is_key_closed(text: &[u8], start: usize, end: usize) -> bool {
    let is_closed = match text.get(end) {
        Some(b'}') => text[..start].ends_with(b"{"),
        // Ruby, PHP's print_r.
        Some(b']') => {
            text[..start].ends_with(b"[:")
                || text[..start].ends_with(b"[")
                    && text[end..].starts_with(b"] =>")
        }
        _ => false,
    };
    is_closed && text[end + 1..].trim_ascii_start().starts_with(b"=")
}

/// Whether this goes on as Spring's `${NAME:VALUE}` does, and not as a shell's
/// `${NAME:?...}` or `${NAME:0:3}`.
fn is_spring_default(rest: &[u8]) -> bool {
    let is_number = || {
        rest[1..]
            .iter()
            .take(MAX_NAME_BYTES)
            .take_while(|byte| **byte != b'}')
            .all(|byte| byte.is_ascii_digit() || *byte == b':')
    };
    matches!(rest, [b':', next, ..]
        if !(b"?+-= }\"'$".contains(next)
            || next.is_ascii_digit() && is_number()))
}

/// Whether a name is alone, as in SQL: only words precede it.
fn is_name_alone(before: &[u8]) -> bool {
    // Clojure: {:password "VALUE"}
    let before = match before {
        [before @ .., b':'] => before,
        before => before,
    };
    before
        .last()
        .is_none_or(|byte| byte.is_ascii_whitespace() || b"({".contains(byte))
}

/// How many spaces this begins with; the end of a line that a backslash
/// continues is one.
fn spaces(text: &[u8]) -> usize {
    let len = blanks(text, MAX_SPACES);
    if len > 0 && text[len..].starts_with(b"\\\n") {
        let len = len + 2;
        return len + blanks(&text[len..], MAX_SPACES);
    }
    len
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a name says twice that it is secret: `api_key`, `client_secret`.
pub(super) fn is_compound(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'_' | b'-' | b'.'))
        || name.windows(2).any(|two| {
            two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase()
        })
}
