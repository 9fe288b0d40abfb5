//! Shell patterns over bytes: `*`, `?`, `[abc]`, `[!a-z]`, `\` before any.
//!
//! As in the shell's `case`, and unlike in paths, `*` matches a slash, too.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    Any,
    Star,
    Class {
        is_negated: bool,
        ranges: Vec<(u8, u8)>,
    },
}

impl Glob {
    /// Any bytes are a pattern: a `[` without its `]` is itself.
    pub fn new(pattern: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            let part = match first {
                b'*' => Part::Star,
                b'?' => Part::Any,
                b'\\' => match rest.split_first() {
                    Some((escaped, after)) => {
                        rest = after;
                        Part::Byte(*escaped)
                    }
                    None => Part::Byte(b'\\'),
                },
                b'[' => match class(rest) {
                    Some((part, len)) => {
                        rest = &rest[len..];
                        part
                    }
                    None => Part::Byte(b'['),
                },
                byte => Part::Byte(*byte),
            };
            parts.push(part);
        }
        Self { parts }
    }

    /// Whether it matches the whole text.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        // Where to continue after a mismatch: after the last star, which then
        // matches one more byte.
        let mut again = None;
        loop {
            match self.parts.get(part) {
                Some(Part::Star) => {
                    part += 1;
                    again = Some((part, at));
                    continue;
                }
                Some(one) if at < text.len() && one.takes(text[at]) => {
                    part += 1;
                    at += 1;
                    continue;
                }
                None if at == text.len() => return true,
                _ => {}
            }
            match again {
                Some((after_star, from)) if from < text.len() => {
                    again = Some((after_star, from + 1));
                    (part, at) = (after_star, from + 1);
                }
                _ => return false,
            }
        }
    }

    /// The longest run of bytes that is in every text that it matches.
    pub fn longest_literal(&self) -> Vec<u8> {
        let runs = self.parts.split(|part| part.byte().is_none());
        let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
        longest.iter().filter_map(Part::byte).collect()
    }
}

impl Part {
    fn byte(&self) -> Option<u8> {
        match self {
            Self::Byte(byte) => Some(*byte),
            _ => None,
        }
    }

    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(own) => *own == byte,
            Self::Any => true,
            Self::Star => false,
            Self::Class { is_negated, ranges } => {
                let is_in = ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&byte));
                is_in != *is_negated
            }
        }
    }
}

/// The class after a `[`, and its length including the `]`.
fn class(text: &[u8]) -> Option<(Part, usize)> {
    let is_negated = matches!(text.first(), Some(b'!' | b'^'));
    let first = usize::from(is_negated);
    // A `]` that comes first is one of the class.
    let len = text.get(first + 1..)?.iter().position(|b| *b == b']')?;
    let close = first + 1 + len;
    let mut ranges = Vec::new();
    let mut rest = &text[first..close];
    while let Some(from) = rest.first() {
        match rest {
            [_, b'-', to, ..] => {
                ranges.push((*from, *to));
                rest = &rest[3..];
            }
            _ => {
                ranges.push((*from, *from));
                rest = &rest[1..];
            }
        }
    }
    Some((Part::Class { is_negated, ranges }, close + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, text, is_match) in [
            ("pull*", "pull -r 5 ssh://x/y", true),
            ("pull*", "xpull", false),
            ("pull", "pull -r", false),
            ("*-r ?", "log -r 5", true),
            ("*-r ?", "log -r 55", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[", "[", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("*a*b*c", "xxaxxbxxbc", true),
            ("*a*b*c", "xxaxxbxxb", false),
            ("", "", true),
            ("*", "", true),
        ] {
            let glob = Glob::new(pattern.as_bytes());
            assert_eq!(glob.matches(text.as_bytes()), is_match, "{pattern}");
        }
    }

    #[test]
    fn literals_are_those_of_every_match() {
        let glob = Glob::new(b"pu\\*l*clone[ab]xyz?");
        assert_eq!(glob.longest_literal(), b"clone");
    }

    proptest! {
        #[test]
        fn what_matches_has_its_literals(
            pattern in "[ab*?]{0,6}",
            text in "[ab]{0,8}",
        ) {
            let glob = Glob::new(pattern.as_bytes());
            if glob.matches(text.as_bytes()) {
                let literal = glob.longest_literal();
                let literal = String::from_utf8(literal).unwrap();
                prop_assert!(text.contains(&literal));
            }
        }

        #[test]
        fn any_bytes_are_a_pattern(
            pattern in any::<Vec<u8>>(),
            text in any::<Vec<u8>>(),
        ) {
            let _ = Glob::new(&pattern).matches(&text);
        }
    }
}
