//! The result of redacting a text.

use std::ops::Range;

use crate::rule::Rule;

/// Where something was, and why it went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedactedRange {
    /// In the text before it was redacted; for arguments, in the line that hg
    /// logs for them.
    pub range: Range<usize>,
    /// Which rule found it.
    pub rule: Rule,
}

/// A text without its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redacted<T> {
    /// The remaining text.
    pub text: T,
    /// The removed ranges, in order.
    pub places: Vec<RedactedRange>,
}
