//! Secrets that are recognized by their form: the table of `rules.toml`.
//!
//! Must not know the surrounding text.

use std::sync::OnceLock;

use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::finding::Finding;
use crate::rule::Rule;
use crate::steps;
use crate::value::Scope;
use crate::value::is_placeholder;

/// A line of the table.
pub(crate) struct Shape {
    /// The rule that it belongs to.
    pub(crate) rule: Rule,
    /// Its form; the group `secret`, if there is one, is removed.
    pub(crate) pattern: &'static str,
    /// Words in lower case, one of which is in every text that the pattern
    /// matches.
    pub(crate) words: &'static [&'static str],
    /// In lower case, what the pattern matches without being a secret.
    pub(crate) except: &'static [&'static str],
    /// An invented one, with `{+}` in it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    pub(crate) example: &'static str,
}

/// All of them.
pub(crate) const SHAPES: &[Shape] =
    include!(concat!(env!("OUT_DIR"), "/rules.rs"));

impl Shape {
    fn is_excepted(&self, secret: &[u8]) -> bool {
        self.except
            .iter()
            .any(|word| secret.eq_ignore_ascii_case(word.as_bytes()))
            || is_placeholder(secret, Scope::Text)
    }

    fn regex(&self) -> Regex {
        RegexBuilder::new(self.pattern)
            .unicode(false)
            .build()
            .expect("a test compiles every pattern")
    }
}

/// The patterns, each compiled when it is first needed: all of them take
/// longer than a command that needs none.
static REGEXES: [OnceLock<Regex>; SHAPES.len()] =
    [const { OnceLock::new() }; SHAPES.len()];

/// Looks for the shape of this number.
pub(crate) fn find(number: usize, text: &[u8], found: &mut Vec<Finding>) {
    let shape = &SHAPES[number];
    steps::add(text.len());
    let regex = REGEXES[number].get_or_init(|| shape.regex());
    if regex.captures_len() == 1 {
        found.extend(
            regex
                .find_iter(text)
                .map(|found| Finding::new(found.range(), shape.rule)),
        );
    } else {
        found.extend(
            regex
                .captures_iter(text)
                .filter_map(|captures| captures.name("secret"))
                .filter(|secret| !shape.is_excepted(secret.as_bytes()))
                .map(|secret| Finding::new(secret.range(), shape.rule)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finds_its_own_example() {
        for (number, shape) in SHAPES.iter().enumerate() {
            let example = shape.example.replace("{+}", "");
            assert_ne!(example, shape.example, "{}: no {{+}}", shape.rule);
            let mut found = Vec::new();
            find(number, example.as_bytes(), &mut found);
            assert_eq!(found.len(), 1, "{}: {example}", shape.rule);
            let example = example.to_lowercase();
            assert!(
                shape.words.iter().any(|word| example.contains(word)),
                "{}: none of its words",
                shape.rule
            );
        }
    }
}
