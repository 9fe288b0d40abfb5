//! An argument of a shell's command: its parts, each in its own quotes, and
//! where they stood in the text.
//!
//! Must not know how a text is split into arguments.

use std::ops::Range;

use memchr::memchr;
use memchr::memchr2;

use crate::words::Word;

/// A part of an argument: in one pair of quotes, or in none.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) word: Word,
    pub(crate) quote: Option<u8>,
    /// Whether there is a command in it: `$(...)`.
    pub(crate) is_substitution: bool,
}

impl Segment {
    pub(crate) fn new(at: usize, quote: Option<u8>) -> Self {
        let mut word = Word::default();
        word.range = at..at;
        Self {
            word,
            quote,
            is_substitution: false,
        }
    }

    /// The text in the quotes or parentheses.
    pub(crate) fn inner(&self) -> Range<usize> {
        let len = self.word.bytes.len();
        if self.is_substitution {
            2.min(len)..len.saturating_sub(1).max(2.min(len))
        } else {
            0..len
        }
    }

    /// Whether it may contain commands itself.
    pub(crate) fn may_hold_commands(&self) -> bool {
        (self.quote.is_some() || self.is_substitution)
            && self.word.bytes.iter().any(u8::is_ascii_whitespace)
    }

    /// Whether it may hold a list of arguments.
    pub(crate) fn may_hold_lists(&self) -> bool {
        self.quote.is_some()
            && memchr(b',', &self.word.bytes).is_some()
            && memchr2(b'"', b'\'', &self.word.bytes).is_some()
    }
}

/// An argument of a command.
#[derive(Debug, Default)]
pub(crate) struct Arg {
    /// Without quotes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
    /// Whether a `$` in it is literal.
    pub(crate) is_literal: bool,
    /// Whether none of it is in quotes.
    pub(crate) is_bare: bool,
}

impl Arg {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        let mut bytes = Vec::new();
        for segment in &segments {
            bytes.extend_from_slice(&segment.word.bytes);
        }
        let is_literal = segments.iter().all(|part| part.quote == Some(b'\''));
        let is_bare = segments.iter().all(|part| part.quote.is_none());
        Self {
            bytes,
            segments,
            is_literal,
            is_bare,
        }
    }

    /// An argument that is not in the text.
    pub(crate) fn named(name: &[u8]) -> Self {
        Self {
            bytes: name.to_vec(),
            segments: Vec::new(),
            is_literal: true,
            is_bare: true,
        }
    }

    /// An argument in a list, in which no character has a special meaning.
    pub(crate) fn in_list(word: Word, is_quoted: bool) -> Self {
        let segment = Segment {
            word,
            quote: is_quoted.then_some(b'\''),
            is_substitution: false,
        };
        Self {
            is_literal: true,
            ..Self::new(vec![segment])
        }
    }

    /// Where a part of it stood in the text. A quote is part of that only if
    /// something outside of it is, too.
    pub(crate) fn in_text(&self, range: &Range<usize>) -> Range<usize> {
        let mut start = 0;
        let mut found: Option<(Range<usize>, usize)> = None;
        for (number, segment) in self.segments.iter().enumerate() {
            let end = start + segment.word.bytes.len();
            let from = range.start.max(start);
            let to = range.end.min(end);
            if from < to {
                let part = segment.word.span(&(from - start..to - start));
                let outer = |at: usize, quoted: usize| {
                    if segment.quote.is_some() { quoted } else { at }
                };
                found = Some(match found {
                    None => (part, number),
                    Some((before, first)) => {
                        let opening = &self.segments[first];
                        let is_whole =
                            before.start == opening.word.span(&(0..1)).start;
                        let begin = if opening.quote.is_some() && is_whole {
                            opening.word.range.start
                        } else {
                            before.start
                        };
                        let until = if to == end {
                            outer(part.end, segment.word.range.end)
                        } else {
                            part.end
                        };
                        (begin..until, first)
                    }
                });
            }
            start = end;
        }
        found.map_or(0..0, |(range, _)| range)
    }
}
