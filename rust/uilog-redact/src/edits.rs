//! Replaces what was found, in all passes over a text, and remembers the
//! original positions.
//!
//! Must not know finders.

use std::ops::Range;

use crate::finding::Finding;
use crate::redacted::RedactedRange;
use crate::rule::Rule;

/// The replacements in a text, of all passes.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<Edit>);

#[derive(Debug)]
struct Edit {
    /// In the text as it was.
    range: Range<usize>,
    rule: Rule,
    marker: Vec<u8>,
}

impl Edits {
    /// Adds what was found in the text with the edits so far. It covers each of
    /// their markers completely or not at all.
    pub(crate) fn add(&mut self, found: Vec<Finding>) {
        let mut old = std::mem::take(&mut self.0).into_iter().peekable();
        // Bytes removed and added by the edits up to this place.
        let (mut removed, mut added) = (0, 0);
        for found in found {
            while let Some(edit) = old.next_if(|edit| {
                edit.range.start + added - removed < found.range.start
            }) {
                removed += edit.range.len();
                added += edit.marker.len();
                self.0.push(edit);
            }
            let start = found.range.start + removed - added;
            while let Some(edit) = old.next_if(|edit| {
                edit.range.start + added - removed < found.range.end
            }) {
                removed += edit.range.len();
                added += edit.marker.len();
            }
            let end = found.range.end + removed - added;
            self.0.push(Edit {
                range: start..end,
                rule: found.rule,
                marker: found.marker(),
            });
        }
        self.0.extend(old);
    }

    pub(crate) fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut edited = Vec::with_capacity(text.len());
        let mut at = 0;
        for edit in &self.0 {
            edited.extend_from_slice(&text[at..edit.range.start]);
            edited.extend_from_slice(&edit.marker);
            at = edit.range.end;
        }
        edited.extend_from_slice(&text[at..]);
        edited
    }

    pub(crate) fn places(self) -> Vec<RedactedRange> {
        self.0
            .into_iter()
            .map(|edit| RedactedRange {
                range: edit.range,
                rule: edit.rule,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_joined() {
        let found = |range: Range<usize>| Finding::new(range, Rule::SECRET);
        let text = b"0123456789";
        let marker = "<redacted:secret>";
        let mut edits = Edits::default();
        edits.add(vec![found(2..3), found(5..6)]);
        let end = marker.len();
        assert_eq!(
            edits.apply(text),
            format!("01{marker}34{marker}6789").into_bytes()
        );
        // 4 and the second marker and 6; then 8
        edits.add(vec![
            found(3 + end..5 + 2 * end),
            found(6 + 2 * end..7 + 2 * end),
        ]);
        assert_eq!(
            edits.apply(text),
            format!("01{marker}3{marker}7{marker}9").into_bytes()
        );
        let ranges: Vec<_> = edits
            .places()
            .into_iter()
            .map(|place| place.range)
            .collect();
        assert_eq!(ranges, [2..3, 4..7, 8..9]);
    }
}
