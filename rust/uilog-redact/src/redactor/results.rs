//! The result of redacting a text.

use std::borrow::Cow;

use crate::redacted::Redacted;
use crate::redacted::RedactedRange;
use crate::rule::Rule;
use crate::rule::marker_at;

/// The rest of a reduced text.
pub(super) fn reduced(text: &[u8], left: Vec<u8>) -> Redacted<Cow<'_, [u8]>> {
    if left == text {
        return unchanged(text);
    }
    Redacted {
        text: Cow::Owned(left),
        places: place(text, Rule::ARGUMENT),
    }
}

pub(super) fn unchanged(text: &[u8]) -> Redacted<Cow<'_, [u8]>> {
    Redacted {
        text: Cow::Borrowed(text),
        places: Vec::new(),
    }
}

pub(super) fn whole(text: &[u8], rule: Rule) -> Redacted<Cow<'_, [u8]>> {
    if text.is_empty() || marker_at(text) == Some(text.len()) {
        return unchanged(text);
    }
    Redacted {
        text: Cow::Owned(rule.marker()),
        places: place(text, rule),
    }
}

pub(super) fn place(text: &[u8], rule: Rule) -> Vec<RedactedRange> {
    vec![RedactedRange {
        range: 0..text.len(),
        rule,
    }]
}
