//! The range of a name's value.
//!
//! Must not know whether it is secret.

use std::ops::Range;

use memchr::memchr;
use memchr::memchr2;

use super::form::Form;
use super::form::Name;
use super::line::MAX_LINE_BYTES;
use super::line::is_line_start;
use super::line::is_source;
use super::line::line_start;
use crate::extent::Extent;
use crate::extent::Extents;
use crate::extent::QuoteMark;
use crate::secret_words::SecretKind;
use crate::steps;
use crate::value::Scope;

/// The range of a name's value.
pub(super) fn extent(
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
        return as_quoted(start..text.len());
    }
    if name.form == Form::Element || is_in_element(text, name) {
        return as_quoted(content(text, start));
    }
    if let Some(range) = in_backticks(text, name) {
        return as_quoted(range);
    }
    let mut extent =
        extents.value(start, quote_around(text, name), name.is_quoted);
    if extent.quote.is_some() {
        return extent;
    }
    if name.form == Form::Default
        && let Some(close) = memchr(b'}', &text[start..extent.range.end])
    {
        extent.range.end = start + close;
        extent.word.end = extent.word.end.min(extent.range.end);
    }
    let is_docker = name.form == Form::Spaced
        && text[..name.start].ends_with(b"ENV ")
        && is_line_start(text, name.start - 4);
    if is_docker || is_setting(text, name) {
        extent.range.end = extent.range.end.max(line_end(text, start));
    }
    extent.range = without_punctuation(text, extent.range);
    extent.word = without_punctuation(text, extent.word);
    extent
}

/// A value that is as certain as one in quotes.
fn as_quoted(range: Range<usize>) -> Extent {
    Extent {
        word: range.clone(),
        range,
        quote: QuoteMark::before(b"\"", 1),
    }
}

/// The content of an element, which begins here.
fn content(text: &[u8], start: usize) -> Range<usize> {
    const CDATA: &[u8] = b"<![CDATA[";
    let (start, len) = if text[start..].starts_with(CDATA) {
        let start = start + CDATA.len();
        (start, memchr(b']', &text[start..]))
    } else {
        (start, text[start..].iter().position(|b| b"<\n".contains(b)))
    };
    let end = len.map_or(text.len(), |len| start + len);
    steps::add(end - start);
    start..end
}

/// The quote around an assignment: that before its name or its dashes.
fn quote_around(text: &[u8], name: &Name<'_>) -> Option<QuoteMark> {
    if name.is_quoted || name.form != Form::Tight {
        return None;
    }
    let dashes = text[..name.start]
        .iter()
        .rev()
        .take(2)
        .take_while(|byte| **byte == b'-')
        .count();
    QuoteMark::before(text, name.start - dashes)
}

/// The end of the line, without spaces.
fn line_end(text: &[u8], start: usize) -> usize {
    let end =
        memchr(b'\n', &text[start..]).map_or(text.len(), |len| start + len);
    steps::add(end - start);
    start + text[start..end].trim_ascii_end().len()
}

fn without_punctuation(text: &[u8], range: Range<usize>) -> Range<usize> {
    let len = text[range.clone()]
        .iter()
        .rposition(|byte| !b",.:".contains(byte))
        .map_or(0, |last| last + 1);
    range.start..range.start + len
}

/// Text in backticks: a literal of JavaScript, or a word in Markdown. In a
/// shell it would be a command.
fn in_backticks(text: &[u8], name: &Name<'_>) -> Option<Range<usize>> {
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
pub(super) fn is_setting(text: &[u8], name: &Name<'_>) -> bool {
    name.form == Form::Loose
        && name.kind == SecretKind::Password
        && !name.is_quoted
        && is_line_start(text, name.start)
        && (text[name.end..name.value].contains(&b'=')
            || is_below_user(text, name.start))
        && !is_source(text, name.start)
}

/// Whether the line above names the user, as in `.pypirc`.
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

/// Whether the value of a field is between tags.
fn is_in_element(text: &[u8], name: &Name<'_>) -> bool {
    name.form == Form::Field && text[..name.value].ends_with(b">")
}
