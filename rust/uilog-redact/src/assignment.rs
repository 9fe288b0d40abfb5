//! Values that are assigned to a name that suggests a secret: `PASSWORD=...` in
//! a shell, `--token ...`, `"api_key": "..."`, `<password>...</password>`,
//! `password = ...` in a file, `getenv("TOKEN", "...")`, `{"name": "TOKEN",
//! "value": "..."}`.
//!
//! Most such names do not mean a secret: in source code, in messages, in
//! options. So the vaguer the name and the form, the more the value itself must
//! look like a secret.
//!
//! `name.rs` decides about names, `extent.rs` where values end, `value.rs` what
//! values look like.

use memchr::memchr;
use memchr::memchr2;
use memchr::memrchr;

use crate::extent::Extent;
use crate::extent::Extents;
use crate::extent::Mark;
use crate::field::field_value;
use crate::field::field_value_before;
use crate::field::is_field_name;
use crate::found::Found;
use crate::name;
use crate::name::Occurrence;
use crate::name::SecretKind;
use crate::notation::anchor_len;
use crate::notation::block_len;
use crate::notation::dump_len;
use crate::notation::type_len;
use crate::notation::wrapper_len;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::stand_in;
use crate::steps;
use crate::value::Scope;
use crate::value::is_code;
use crate::value::is_literal_placeholder;
use crate::value::is_path;
use crate::value::is_placeholder;
use crate::value::is_speech;
use crate::value::is_statement;
use crate::value::is_uuid;
use crate::value::looks_chosen;
use crate::value::looks_like_key;
use crate::value::looks_like_short_key;
use crate::value::looks_made;
use crate::value::looks_random;
use crate::words::blanks;

const MAX_NAME_BYTES: usize = 64;
const MAX_SPACES: usize = 4;
const MAX_LINE_BYTES: usize = 256;
/// Between a name and the value that is told apart from it.
const MAX_GAP_BYTES: usize = 96;

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

/// A telling name, and where its value begins.
#[derive(Debug)]
struct Name<'t> {
    start: usize,
    end: usize,
    bytes: &'t [u8],
    kind: SecretKind,
    form: Form,
    value: usize,
    is_quoted: bool,
}

/// Values that telling names have.
pub(crate) fn find(text: &[u8], scope: Scope, found: &mut Vec<Found>) {
    let mut extents = Extents::new(text);
    let mut done = 0;
    steps::add(text.len());
    for word in name::find(text) {
        if word.start < done {
            continue;
        }
        let Some(name) = read_name(text, word) else {
            continue;
        };
        let extent = extent(text, scope, &name, &mut extents);
        if extent.range.start < done {
            continue;
        }
        let mut extent = extent;
        let mut is_found = is_secret(text, &name, &extent, scope);
        if !is_found && let Some(first) = first_word(text, &name, &extent) {
            is_found = is_secret(text, &name, &first, scope);
            extent = first;
        }
        steps::add(extent.range.len().min(MAX_LINE_BYTES));
        if is_found {
            done = extent.range.end;
            if extent.quote.is_some()
                && let Some(next) = concatenated(text, done)
            {
                done = next.end;
                found.push(Found::new(next, Rule::SECRET));
            }
            found.push(Found::new(extent.range, Rule::SECRET));
        }
    }
}

/// The text that is added to the one whose quote ends here: `'a' + 'b'`.
fn concatenated(text: &[u8], end: usize) -> Option<std::ops::Range<usize>> {
    let (mark, len) = Mark::at(text, end)?;
    let mut at = end + len;
    at += blanks(&text[at..], MAX_SPACES);
    if !matches!(text.get(at), Some(b'+' | b'.')) {
        return None;
    }
    at += 1;
    at += blanks(&text[at..], MAX_SPACES);
    let (next, len) = Mark::at(text, at)?;
    if next != mark {
        return None;
    }
    let start = at + len;
    let near = &text[start..text.len().min(start + MAX_LINE_BYTES)];
    steps::add(near.len());
    let len = memchr2(mark.byte, b'\n', near)?;
    (near[len] == mark.byte && len > 0).then_some(start..start + len)
}

/// The first word of a value that ends with the quote around it and other
/// things: `-e 'token=X user=bob'`.
fn first_word(text: &[u8], name: &Name<'_>, extent: &Extent) -> Option<Extent> {
    let value = &text[extent.range.clone()];
    if name.form != Form::Tight
        || extent.range.start != name.value
        || extent.quote.is_none()
        || value.starts_with(b"$")
        || value.starts_with(b"{")
    {
        return None;
    }
    let len = memchr(b' ', &value[..value.len().min(MAX_LINE_BYTES)])?;
    let range = name.value..name.value + len;
    Some(Extent {
        word: range.clone(),
        range,
        quote: None,
    })
}

/// Where the value of a name stands.
fn extent(
    text: &[u8],
    scope: Scope,
    name: &Name<'_>,
    extents: &mut Extents<'_>,
) -> Extent {
    let start = name.value;
    let is_alone = scope == Scope::Word
        && name.form == Form::Tight
        && matches!(&text[..name.start], b"" | b"--" | b"-");
    if is_alone {
        let quote = Mark::before(b"\"", 1);
        let range = start..text.len();
        return Extent {
            word: range.clone(),
            range,
            quote,
        };
    }
    if name.form == Form::Element || is_in_element(text, name) {
        const CDATA: &[u8] = b"<![CDATA[";
        let (start, end) = if text[start..].starts_with(CDATA) {
            let start = start + CDATA.len();
            (start, memchr(b']', &text[start..]))
        } else {
            (start, text[start..].iter().position(|b| b"<\n".contains(b)))
        };
        let end = end.map_or(text.len(), |len| start + len);
        steps::add(end - start);
        return Extent {
            range: start..end,
            word: start..end,
            quote: Mark::before(b"\"", 1),
        };
    }
    // The quote around an assignment is that before its name or its dashes.
    let around = if name.is_quoted || name.form != Form::Tight {
        None
    } else {
        let dashes = text[..name.start]
            .iter()
            .rev()
            .take(2)
            .take_while(|byte| **byte == b'-')
            .count();
        Mark::before(text, name.start - dashes)
    };
    if let Some(range) = in_backticks(text, name) {
        return Extent {
            word: range.clone(),
            range,
            quote: Mark::before(b"\"", 1),
        };
    }
    let mut extent = extents.value(start, around, name.is_quoted);
    if extent.quote.is_some() {
        return extent;
    }
    if name.form == Form::Default
        && memchr(b'}', &text[start..extent.range.end]).is_some()
    {
        let close = memchr(b'}', &text[start..extent.range.end]).unwrap_or(0);
        extent.range.end = start + close;
        extent.word.end = extent.word.end.min(extent.range.end);
    }
    let is_docker = name.form == Form::Spaced
        && text[..name.start].ends_with(b"ENV ")
        && is_line_start(text, name.start - 4);
    if is_docker || is_setting(text, name) {
        let line = memchr(b'\n', &text[start..])
            .map_or(text.len(), |line| start + line);
        steps::add(line - start);
        let line = start + text[start..line].trim_ascii_end().len();
        extent.range.end = extent.range.end.max(line);
    }
    let without_punctuation = |range: std::ops::Range<usize>| {
        let len = text[range.clone()]
            .iter()
            .rposition(|byte| !b",.:".contains(byte))
            .map_or(0, |last| last + 1);
        range.start..range.start + len
    };
    extent.range = without_punctuation(extent.range);
    extent.word = without_punctuation(extent.word);
    extent
}

/// What is in backticks: a literal of JavaScript, or a word in Markdown. In a
/// shell it would be a command.
fn in_backticks(
    text: &[u8],
    name: &Name<'_>,
) -> Option<std::ops::Range<usize>> {
    let start = name.value + 1;
    if name.form != Form::Loose || text.get(name.value) != Some(&b'`') {
        return None;
    }
    let near = &text[start..text.len().min(start + MAX_LINE_BYTES)];
    steps::add(near.len());
    let len = memchr2(b'`', b'\n', near)?;
    let is_template = memchr::memmem::find(&near[..len], b"${").is_some();
    (near[len] == b'`' && !near[..len].contains(&b' ') && !is_template)
        .then_some(start..start + len)
}

/// Whether this is `password = ...` on a line of a file: it goes to the end.
fn is_setting(text: &[u8], name: &Name<'_>) -> bool {
    name.form == Form::Loose
        && name.kind == SecretKind::Password
        && !name.is_quoted
        && is_line_start(text, name.start)
        && (text[name.end..name.value].contains(&b'=')
            || is_below_user(text, name.start))
        && !is_source(text, name.start)
}

/// Whether the line above tells who the user is, as in `.pypirc`.
fn is_below_user(text: &[u8], at: usize) -> bool {
    const USERS: [&[u8]; 4] = [b"username", b"user", b"login", b"email"];
    let line = line_start(text, at);
    let Some(end) = line.checked_sub(1) else {
        return false;
    };
    let above = text[line_start(text, end)..end].trim_ascii_start();
    USERS.iter().any(|user| {
        above.strip_prefix(*user).is_some_and(|rest| {
            matches!(rest.trim_ascii(), [b':' | b'=', .., last] if *last != b',')
        })
    })
}

/// Whether nothing follows the word that begins here but the line's end.
fn is_last_word(text: &[u8], at: usize) -> bool {
    let near = &text[at..text.len().min(at + MAX_LINE_BYTES)];
    let len = near
        .iter()
        .take_while(|byte| !byte.is_ascii_whitespace())
        .count();
    steps::add(len);
    matches!(near.get(len), None | Some(b'\n' | b'\r'))
        && !near.starts_with(b"*")
}

fn is_line_start(text: &[u8], at: usize) -> bool {
    text[line_start(text, at)..at]
        .iter()
        .all(u8::is_ascii_whitespace)
}

/// Whether the value of a field stands between tags.
fn is_in_element(text: &[u8], name: &Name<'_>) -> bool {
    name.form == Form::Field && text[..name.value].ends_with(b">")
}

/// The name around a word that tells, if something is assigned to it.
fn read_name(text: &[u8], word: Occurrence) -> Option<Name<'_>> {
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
    /// Finds out how a value stands behind the name.
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
        // `<user>:<password>@host` is none.
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

    /// `=`, `:`, `=>`, and what else stands between a name and a value.
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

    fn is_environment(&self) -> bool {
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
fn is_between_fields(
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

/// Whether a name with a value right behind its colon is one of several, as Go
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

/// Whether a name stands by itself, as in SQL: nothing but words before it.
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

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a value is secret, after all that is known of its name.
fn is_secret(
    text: &[u8],
    name: &Name<'_>,
    extent: &Extent,
    scope: Scope,
) -> bool {
    let value = &text[extent.range.clone()];
    let is_quoted = extent.quote.is_some();
    let is_named = is_named_so(value);
    if is_stand_in(text, name, extent, scope)
        || (is_named && !value.iter().any(u8::is_ascii_lowercase))
    {
        return false;
    }
    let is_environment = name.is_environment();
    let is_word = is_speech(value);
    let is_speech = is_word && !is_quoted;
    let is_count = value.len() < 6
        && value.iter().all(u8::is_ascii_digit)
        && name.kind == SecretKind::Password
        && name.bytes.len() < 6;
    let is_password = name.kind == SecretKind::Password;
    let looks_secret = || match name.kind {
        SecretKind::Password => looks_chosen(value),
        SecretKind::Token => looks_random(value),
        SecretKind::Code => is_code_number(value) || looks_random(value),
        SecretKind::Key => looks_like_key(name.bytes, value),
        SecretKind::Doubtful => looks_made(value),
    };
    if name.form == Form::Said {
        return looks_made(value)
            || (is_quoted
                && name.kind == SecretKind::Token
                && is_compound(name.bytes)
                && looks_random(value));
    }
    if name.form == Form::Call {
        return is_passed(name, value);
    }
    if matches!(name.kind, SecretKind::Key | SecretKind::Doubtful) {
        let is_source = name.form == Form::Loose
            && !is_quoted
            && is_source(text, name.start);
        // `STRIPE_KEY_LIVE=...`
        let is_variable = name.kind == SecretKind::Key
            && name.form == Form::Tight
            && is_environment;
        return !is_source
            && (looks_secret()
                || (is_variable && looks_like_short_key(name.bytes, value)));
    }
    match name.form {
        Form::Tight if is_count => false,
        Form::Tight if is_environment => true,
        // JSON's numbers.
        Form::Loose
            if is_password && name.is_quoted && is_code_number(value) =>
        {
            true
        }
        Form::Loose | Form::Option | Form::Spaced if is_speech => false,
        Form::Loose if is_count => false,
        Form::Loose if is_environment && is_quoted => true,
        Form::Tight | Form::Element if is_password => {
            !is_named && (is_quoted || !is_source(text, name.start))
        }
        Form::Option if is_password => !is_named || is_quoted,
        // `hg phase --secret REV`
        Form::Option if name.bytes == b"secret" => {
            looks_random(value) && !value.iter().all(u8::is_ascii_hexdigit)
        }
        Form::Loose if is_password && is_quoted => !is_named,
        Form::Loose if is_password => {
            looks_chosen(value)
                || is_between_fields(text, name.start, extent.range.clone())
                || (!is_source(text, name.start)
                    && (is_setting(text, name)
                        || is_line(text, name.start, extent.range.end)))
        }
        Form::Loose if !is_quoted && is_source(text, name.start) => false,
        Form::Field | Form::Default | Form::Spaced
            if is_environment && !is_word =>
        {
            true
        }
        Form::Field | Form::Default | Form::Spaced => {
            !is_word
                && !is_named
                && ((is_password
                    && (!value.contains(&b' ') || name.form == Form::Field))
                    || (name.form == Form::Field && looks_chosen(value))
                    || looks_secret())
        }
        Form::Tuple => {
            is_second(text, name, extent)
                || (!name.is_quoted
                    && is_quoted
                    && looks_chosen(value)
                    && !is_named)
                || is_set(text, name, value)
                || looks_random(value)
        }
        Form::Compared => {
            is_quoted
                && (looks_random(value) || (is_password && looks_chosen(value)))
        }
        // `--credentials USER:PASSWORD`
        Form::Option if value.contains(&b':') && is_pair(name.bytes) => true,
        Form::Said
        | Form::Call
        | Form::Loose
        | Form::Tight
        | Form::Option
        | Form::Element => {
            looks_secret()
                || (name.form == Form::Option
                    && looks_chosen(value)
                    && !value.contains(&b':'))
                || (name.form == Form::Tight
                    && is_compound_or_bare(name.bytes)
                    && looks_chosen(value)
                    && !is_pair(name.bytes)
                    && !is_source(text, name.start)
                    && !is_named)
                || (is_quoted
                    && is_compound_or_bare(name.bytes)
                    && (looks_chosen(value)
                        || is_secret_key(name.bytes) && !value.contains(&b' '))
                    && !is_named)
        }
    }
}

/// Whether this is a secret that a call is given: `x.setPassword("VALUE")`, but
/// not `ask_password("for bob")`.
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
            (is_setter || looks_chosen(value)) && !is_name()
        }
        SecretKind::Token => looks_random(value) && !is_name(),
        SecretKind::Code => is_setter && is_code_number(value),
        SecretKind::Key | SecretKind::Doubtful => looks_made(value),
    }
}

/// Whether this only stands for a value: a variable, a path, code.
fn is_stand_in(
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
        || (!is_single && stand_in::is_stand_in(value))
        || stand_in::is_validation(value)
        || stand_in::is_version(value)
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

/// Whether this is the last of what a call or a tuple holds, and its name
/// stands right before it: `get('password', 'X')`.
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
        && looks_chosen(value)
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
    // What such a call gives if the variable is not set.
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

/// Whether a name says that it is secret and nothing else: of what, a file's
/// section says.
fn is_bare_token(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"token") || name.eq_ignore_ascii_case(b"secret")
}

/// Whether a name says twice that it is secret: `api_key`, `client_secret`.
fn is_compound(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'_' | b'-' | b'.'))
        || name.windows(2).any(|two| {
            two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase()
        })
}

/// Whether this may be a one-time password.
fn is_code_number(value: &[u8]) -> bool {
    (4..=10).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

/// Whether a value is itself made of telling words: `passwd=password`.
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

/// Whether name and value are a line of their own, as in a file.
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
    let line = memrchr(b'\n', &text[from..at])
        .map_or(from, |newline| from + newline + 1);
    steps::add(at - line);
    line
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
