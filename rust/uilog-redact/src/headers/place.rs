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
    let mut at = end;
    let rest = &text[at..];
    let around = Quote::before(text, start)
        .or_else(|| Quote::before(text, start.checked_sub(2)?));
    if let Some(after) = rest.strip_prefix(b":") {
        at += 1 + spaces(after);
        if text.get(at) == Some(&b'"') || text.get(at) == Some(&b'\'') {
            // HTTPie: Authorization:"Bearer x"
            if let Some(close) = Quote::before(text, at + 1)
                .and_then(|quote| quote.close(text, at + 1))
            {
                return Some((Form::Entry, at + 1..close));
            }
        }
        if let Some(around) = around
            && let Some(close) = around.close(text, at)
        {
            return Some((Form::Header, at..close));
        }
        let is_alone = text[..start].is_empty()
            || text[..start].ends_with(b"\n")
            || text[..start].ends_with(b"\n> ")
            || text[..start].ends_with(b"\n< ")
            || matches!(&text[..start], b"> " | b"< ");
        if scope == Scope::Word
            && matches!(&text[..start], b"" | b"-H" | b"--header=")
        {
            return Some((Form::Header, at..text.len()));
        }
        if is_alone && is_header_line(&text[start..end]) {
            let rest = &text[at..];
            let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            return Some((Form::Header, at..at + len));
        }
        return Some((
            Form::Inline,
            at..inline_end(text, at, extent.may_extend),
        ));
    }
    // Other names are [`crate::assignment`]'s business.
    let is_header = extent.is_authorization
        || is_header_line(&text[start..end])
            && text[start..end].contains(&b'-');
    if is_header && let Some(at) = value_of_field(text, start, end) {
        return Some((Form::Entry, field(text, at)));
    }
    if is_header && text[..start].ends_with(b"<") && rest.starts_with(b">") {
        return Some((Form::Entry, field(text, end + 1)));
    }
    if let Some(at) = directive(text, start, end) {
        return Some((Form::Entry, field(text, at)));
    }
    if let Some(after) = rest.strip_prefix(b"=")
        && (extent.is_authorization
            || text[start..end].to_ascii_lowercase().starts_with(b"x-"))
    {
        at += 1;
        let quoted = at + usize::from(after.starts_with(b"\\")) + 1;
        if let Some(close) = Quote::before(text, quoted)
            .and_then(|quote| quote.close(text, quoted))
        {
            return Some((Form::Entry, quoted..close));
        }
        let line = if scope == Scope::Word {
            text.len()
        } else if let Some(around) = around {
            around
                .close(text, at)
                .unwrap_or_else(|| inline_end(text, at, extent.may_extend))
        } else {
            inline_end(text, at, extent.may_extend)
        };
        return Some((Form::Inline, at..line));
    }
    // PowerShell, Perl: @{Authorization = 'VALUE'}, (Authorization => 'VALUE')
    if extent.is_authorization {
        let equals = end + spaces(rest);
        let after = match &text[equals..] {
            [b'=', b'>', ..] => equals + 2,
            [b'=', ..] => equals + 1,
            _ => equals,
        };
        let quoted = after + spaces(&text[after..]) + 1;
        // nginx: proxy_set_header Authorization "VALUE";
        if (after > equals || equals > end)
            && let Some(close) = Quote::before(text, quoted)
                .and_then(|quote| quote.close(text, quoted))
        {
            return Some((Form::Entry, quoted..close));
        }
    }
    // 'NAME': 'VALUE', ('NAME', 'VALUE'), x['NAME'] = 'VALUE'
    if rest.first() == Some(&b'\\') {
        at += 1;
    }
    if !matches!(text.get(at), Some(b'\'' | b'"' | b'`')) {
        return None;
    }
    at += 1;
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
    if text.get(at) == Some(&b'\\') {
        at += 1;
    }
    if !matches!(text.get(at), Some(b'\'' | b'"' | b'`')) {
        return None;
    }
    at += 1;
    let close = Quote::before(text, at)?.close(text, at)?;
    Some((Form::Entry, at..close))
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
        && let Some(close) = Quote::before(text, start)
            .and_then(|quote| quote.close(text, start))
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
