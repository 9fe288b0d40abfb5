//! What finders have found in a text, and which part is replaced.
//!
//! Must not know finders.

use std::ops::Range;

use memchr::memchr_iter;

use crate::rule::MARKER_START;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::rule::user_marker;

/// What a finder has found.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) range: Range<usize>,
    pub(crate) rule: Rule,
    hash: Option<String>,
}

impl Finding {
    pub(crate) fn new(range: Range<usize>, rule: Rule) -> Self {
        Self {
            range,
            rule,
            hash: None,
        }
    }

    /// A user's name, and its hash.
    pub(crate) fn user(range: Range<usize>, hash: String) -> Self {
        Self {
            range,
            rule: Rule::USER,
            hash: Some(hash),
        }
    }

    /// The same place in the whole text, of which this range was searched.
    pub(crate) fn at(self, range: Range<usize>) -> Self {
        Self { range, ..self }
    }

    pub(crate) fn marker(&self) -> Vec<u8> {
        match &self.hash {
            Some(hash) => user_marker(hash),
            None => self.rule.marker(),
        }
    }
}

/// The found places, in order, without touching one another or a part of a
/// marker; places within a marker are dropped.
pub(crate) fn tidied(mut found: Vec<Finding>, text: &[u8]) -> Vec<Finding> {
    if found.is_empty() {
        return found;
    }
    let markers = markers(text);
    found.retain_mut(|found| {
        let Range { start, end } = found.range;
        if start >= end {
            return false;
        }
        let first = markers.partition_point(|marker| marker.end <= start);
        let last = markers.partition_point(|marker| marker.start < end);
        if let [first, .., last] = &markers[first..last] {
            found.range = start.min(first.start)..end.max(last.end);
        } else if let [marker] = &markers[first..last] {
            if marker.start <= start && end <= marker.end {
                return false;
            }
            found.range = start.min(marker.start)..end.max(marker.end);
        }
        true
    });
    // Of those at the same place, the first is the one that says most.
    found.sort_by_key(|found| {
        (found.range.start, usize::MAX - found.range.end, rank(found))
    });
    let mut tidied: Vec<Finding> = Vec::new();
    for found in found {
        match tidied.last_mut() {
            Some(last) if found.range.start < last.range.end => {
                // The end of a URL's password is known, whatever it contains.
                let is_by_chance = last.rule == Rule::URL_PASSWORD
                    && found.range.start > last.range.start;
                if !is_by_chance {
                    last.range.end = last.range.end.max(found.range.end);
                }
            }
            _ => tidied.push(found),
        }
    }
    tidied
}

/// How unspecific a rule is.
fn rank(found: &Finding) -> u8 {
    match found.rule {
        Rule::SECRET => 3,
        Rule::URL_PASSWORD | Rule::URL_PARAMETER | Rule::URL_TOKEN => 2,
        Rule::CONFIG_VALUE | Rule::OPTION_VALUE | Rule::USER => 1,
        _ => 0,
    }
}

fn markers(text: &[u8]) -> Vec<Range<usize>> {
    memchr_iter(MARKER_START, text)
        .filter_map(|at| Some(at..at + marker_at(&text[at..])?))
        .collect()
}
