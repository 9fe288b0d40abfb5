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

mod colon_fields;
mod form;
mod line;
mod named;
mod place;
mod secrecy;
mod separator;
#[cfg(test)]
mod tests;

use memchr::memchr;
use memchr::memchr2;

use self::form::Form;
use self::form::MAX_SPACES;
use self::form::Name;
use self::line::MAX_LINE_BYTES;
use self::named::read_name;
use self::place::extent;
use self::secrecy::is_secret;
use crate::extent::Extent;
use crate::extent::Extents;
use crate::extent::QuoteMark;
use crate::finding::Finding;
use crate::name;
use crate::rule::Rule;
use crate::steps;
use crate::value::Scope;
use crate::words::blanks;

/// Finds the values of names that suggest a secret.
pub(crate) fn find(text: &[u8], scope: Scope, found: &mut Vec<Finding>) {
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
                found.push(Finding::new(next, Rule::SECRET));
            }
            found.push(Finding::new(extent.range, Rule::SECRET));
        }
    }
}

/// The text that is added to the one whose quote ends here: `'a' + 'b'`.
fn concatenated(text: &[u8], end: usize) -> Option<std::ops::Range<usize>> {
    let (mark, len) = QuoteMark::at(text, end)?;
    let mut at = end + len;
    at += blanks(&text[at..], MAX_SPACES);
    if !matches!(text.get(at), Some(b'+' | b'.')) {
        return None;
    }
    at += 1;
    at += blanks(&text[at..], MAX_SPACES);
    let (next, len) = QuoteMark::at(text, at)?;
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
