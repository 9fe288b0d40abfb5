//! The name to which a value is assigned, and the form of the assignment.
//!
//! Responsible for `<NAME>`, `setenv NAME` and other words between a name and
//! its value; [`separator`](super::separator) has `NAME=` and `--NAME`. Must not
//! know where the value ends, or what it looks like.

use memchr::memchr;
use memchr::memchr2;

use super::form::Form;
use super::form::MAX_GAP_BYTES;
use super::form::MAX_NAME_BYTES;
use super::form::Name;
use super::form::is_compound;
use super::form::is_name;
use super::form::spaces;
use super::line::is_last_word;
use super::line::is_line_start;
use super::line::is_source;
use super::separator::read_separator;
use crate::field::field_value;
use crate::field::field_value_before;
use crate::field::is_field_name;
use crate::name::SecretWordMatch;
use crate::rule::marker_at;
use crate::secret_words::SecretKind;
use crate::steps;

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
            || read_separator(self, text)
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

    /// Whether the name is itself the value of something called a name.
    fn is_field_name(&self, text: &[u8]) -> bool {
        // Terraform: variable "db_password" {
        let before = text[..self.start].strip_suffix(b"\"");
        before.is_some_and(|before| before.ends_with(b"variable "))
            || is_field_name(text, self.start)
    }
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
