//! The range of a header's value, and how certain it is that this is a header.
//!
//! Must not know which part of the value is secret.

use std::ops::Range;

use memchr::memchr2;

use crate::field::value_of_field;
use crate::rule::marker_at;
use crate::value::Quote;
use crate::value::Scope;
use crate::words::blanks;

const MAX_SPACES: usize = 4;
/// Maximum length of an unquoted value.
const MAX_VALUE_BYTES: usize = 1024;

/// How sure it is that this is a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `'NAME: VALUE'`, or on its own line.
    Header,
    /// `'NAME': 'VALUE'`
    Entry,
    /// `NAME: VALUE` somewhere.
    Inline,
}

pub(super) fn spaces(text: &[u8]) -> usize {
    blanks(text, MAX_SPACES)
}

/// How far a header may go.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) is_authorization: bool,
    /// Whether parameters may follow the scheme.
    pub(super) may_extend: bool,
}

/// Where the value of a header is, and how sure it is that this is one.
pub(super) fn value(
    text: &[u8],
    start: usize,
    end: usize,
    scope: Scope,
    extent: Extent,
) -> Option<(Form, Range<usize>)> {
    let name = HeaderName {
        text,
        start,
        end,
        scope,
        extent,
    };
    if text[end..].starts_with(b":") {
        return Some(name.after_colon());
    }
    name.in_field()
        .or_else(|| name.after_equals())
        .or_else(|| name.quoted_after_spaces())
        .or_else(|| name.in_entry())
}

/// Where the name of a header is in a text.
struct HeaderName<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
    scope: Scope,
    extent: Extent,
}

impl HeaderName<'_> {
    fn bytes(&self) -> &[u8] {
        &self.text[self.start..self.end]
    }

    fn before(&self) -> &[u8] {
        &self.text[..self.start]
    }

    /// The quote around the header, which may be an option's value.
    fn quote_around(&self) -> Option<Quote> {
        Quote::before(self.text, self.start)
            .or_else(|| Quote::before(self.text, self.start.checked_sub(2)?))
    }

    /// `NAME: VALUE`
    fn after_colon(&self) -> (Form, Range<usize>) {
        let text = self.text;
        let colon = self.end + 1;
        let at = colon + spaces(&text[colon..]);
        // HTTPie: Authorization:"Bearer x"
        if matches!(text.get(at), Some(b'"' | b'\''))
            && let Some(close) = close_of(text, at + 1)
        {
            return (Form::Entry, at + 1..close);
        }
        if let Some(quote) = self.quote_around()
            && let Some(close) = quote.close(text, at)
        {
            return (Form::Header, at..close);
        }
        if self.scope == Scope::Word
            && matches!(self.before(), b"" | b"-H" | b"--header=")
        {
            return (Form::Header, at..text.len());
        }
        if self.begins_line() && is_header_line(self.bytes()) {
            let rest = &text[at..];
            let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            return (Form::Header, at..at + len);
        }
        (Form::Inline, at..self.inline_end(at))
    }

    /// Whether nothing precedes the header on its line, or only the marks with
    /// which curl shows what it sends and receives.
    fn begins_line(&self) -> bool {
        let before = self.before();
        before.is_empty()
            || before.ends_with(b"\n")
            || before.ends_with(b"\n> ")
            || before.ends_with(b"\n< ")
            || matches!(before, b"> " | b"< ")
    }

    /// `{"name": "NAME", "value": "VALUE"}`, `<NAME>VALUE`, `add_header NAME
    /// VALUE`
    fn in_field(&self) -> Option<(Form, Range<usize>)> {
        let Self {
            text, start, end, ..
        } = *self;
        // Other names are [`crate::assignment`]'s business.
        let is_header = self.extent.is_authorization
            || is_header_line(self.bytes()) && self.bytes().contains(&b'-');
        let is_element =
            self.before().ends_with(b"<") && text[end..].starts_with(b">");
        let at = if is_header && let Some(at) = value_of_field(text, start, end)
        {
            at
        } else if is_header && is_element {
            end + 1
        } else {
            directive(text, start, end)?
        };
        Some((Form::Entry, field(text, at)))
    }

    /// `NAME=VALUE`
    fn after_equals(&self) -> Option<(Form, Range<usize>)> {
        let text = self.text;
        let after = text[self.end..].strip_prefix(b"=")?;
        let is_header = self.extent.is_authorization
            || self.bytes().to_ascii_lowercase().starts_with(b"x-");
        if !is_header {
            return None;
        }
        let at = self.end + 1;
        let quoted = at + usize::from(after.starts_with(b"\\")) + 1;
        if let Some(close) = close_of(text, quoted) {
            return Some((Form::Entry, quoted..close));
        }
        let end = if self.scope == Scope::Word {
            text.len()
        } else {
            self.quote_around()
                .and_then(|quote| quote.close(text, at))
                .unwrap_or_else(|| self.inline_end(at))
        };
        Some((Form::Inline, at..end))
    }

    /// PowerShell, Perl: `@{NAME = 'VALUE'}`, `(NAME => 'VALUE')`; nginx:
    /// `proxy_set_header NAME "VALUE";`
    fn quoted_after_spaces(&self) -> Option<(Form, Range<usize>)> {
        let text = self.text;
        if !self.extent.is_authorization {
            return None;
        }
        let equals = self.end + spaces(&text[self.end..]);
        let after = match &text[equals..] {
            [b'=', b'>', ..] => equals + 2,
            [b'=', ..] => equals + 1,
            _ => equals,
        };
        if after == self.end {
            return None;
        }
        let quoted = after + spaces(&text[after..]) + 1;
        let close = close_of(text, quoted)?;
        Some((Form::Entry, quoted..close))
    }

    /// `'NAME': 'VALUE'`, `('NAME', 'VALUE')`, `x['NAME'] = 'VALUE'`
    fn in_entry(&self) -> Option<(Form, Range<usize>)> {
        let text = self.text;
        let mut at = after_quote(text, self.end)?;
        if matches!(text.get(at), Some(b']' | b')')) {
            at += 1;
        }
        let between = spaces(&text[at..]);
        at += between;
        at += match &text[at..] {
            [b'=', b'=', b'=', ..] => 3,
            [b'=', b'>' | b'=', ..] => 2,
            [b':' | b',' | b'=', ..] => 1,
            // Clojure, Nix: {"NAME" "VALUE"}
            [b'"', ..] if between > 0 => 0,
            _ => return None,
        };
        at += spaces(&text[at..]);
        // Go: {"NAME":["VALUE"]}, {"NAME": []string{"VALUE"}}
        at += [&b"[]string{"[..], b"[", b"{"]
            .into_iter()
            .find(|list| text[at..].starts_with(list))
            .map_or(0, <[u8]>::len);
        if matches!(text.get(at), Some(b'b' | b'u' | b'f')) {
            at += 1;
        }
        let start = after_quote(text, at)?;
        Some((Form::Entry, start..close_of(text, start)?))
    }

    fn inline_end(&self, at: usize) -> usize {
        inline_end(self.text, at, self.extent.may_extend)
    }
}

/// Where a text begins whose quote, perhaps escaped, is here.
fn after_quote(text: &[u8], at: usize) -> Option<usize> {
    let at = at + usize::from(text.get(at) == Some(&b'\\'));
    matches!(text.get(at), Some(b'\'' | b'"' | b'`')).then_some(at + 1)
}

/// Where a text ends that begins here, after its quote.
fn close_of(text: &[u8], start: usize) -> Option<usize> {
    Quote::before(text, start)?.close(text, start)
}

/// The range of the value that begins here: in its quotes, or up to a tag or
/// the end of the line.
fn field(text: &[u8], at: usize) -> Range<usize> {
    let start = at
        + text[at..]
            .iter()
            .take(2)
            .take_while(|byte| b"\\\"'".contains(byte))
            .count();
    if start > at
        && let Some(close) = close_of(text, start)
    {
        return start..close;
    }
    let near = &text[start..text.len().min(start + MAX_VALUE_BYTES)];
    let len = near
        .iter()
        .position(|byte| b"<\r\n;".contains(byte))
        .unwrap_or(near.len());
    start..start + len
}

/// Where the value begins in the directive of a server: `add_header NAME X;`,
/// `Header set NAME X`; or of a file: `NAME = X`.
fn directive(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let after = spaces(&text[end..]);
    let at = end + after;
    if after == 0 || at == text.len() {
        return None;
    }
    let before = &text[..start];
    if [
        &b"header "[..],
        b"Header set ",
        b"Header add ",
        b"Header append ",
    ]
    .iter()
    .any(|word| before.ends_with(word))
    {
        return (text[at] != b':' && text[at] != b'=').then_some(at);
    }
    let is_first = before.is_empty() || before.ends_with(b"\n");
    if is_first && text[at..].starts_with(b"= ") {
        return Some(at + 1 + spaces(&text[at + 1..]));
    }
    None
}

/// Whether a name is at the position of a header's name on a line.
fn is_header_line(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_uppercase) || name.starts_with(b"x-")
}

/// Where a value in the middle of a text ends: after a scheme and a token, or,
/// if parameters follow the scheme, at the end of the line.
fn inline_end(text: &[u8], at: usize, may_extend: bool) -> usize {
    let near = &text[at..text.len().min(at + MAX_VALUE_BYTES)];
    let first = word_len(near, Form::Inline);
    let token = first + spaces(&near[first..]);
    let end = token + word_len(&near[token..], Form::Inline);
    if may_extend && near[token..end].contains(&b'=') {
        line_end(text, at)
    } else {
        at + end
    }
}

fn line_end(text: &[u8], at: usize) -> usize {
    let near = &text[at..text.len().min(at + MAX_VALUE_BYTES)];
    memchr2(b'\n', b'\r', near).map_or(at + near.len(), |len| at + len)
}

/// How long the first word of a value is.
pub(super) fn word_len(value: &[u8], form: Form) -> usize {
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        if let Some(len) = marker_at(&value[at..]) {
            at += len;
            continue;
        }
        let ends = match byte {
            b' ' | b'\t' => true,
            b'%' => value[at..].starts_with(b"%20"),
            b'\'' | b'"' | b'`' | b'<' | b'>' | b',' | b';' | b'\\' | b')'
            | b']' | b'}' => form == Form::Inline,
            _ => false,
        };
        if ends {
            break;
        }
        at += 1;
    }
    at
}
