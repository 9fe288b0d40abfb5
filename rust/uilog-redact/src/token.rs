//! Tokens and keys that are recognized by their form: the table of
//! `tokens.toml`.
//!
//! One pass over the text finds their prefixes; only there is the following
//! text examined. Nothing is compiled at run time, and the surrounding text
//! does not matter, unless words could look like the token.

use crate::finding::Finding;
use crate::rule::Rule;
use crate::steps;
use crate::value::looks_machine_made;
use crate::value::looks_random;

/// A line of the table.
pub(crate) struct Token {
    /// The rule that it belongs to.
    pub(crate) rule: Rule,
    /// How it begins.
    pub(crate) prefixes: &'static [&'static str],
    /// The text before the prefix that belongs to it.
    before: &'static [Part],
    /// What follows the prefix.
    body: &'static [Part],
    /// Whether no letter or digit may precede it.
    is_word: bool,
    /// How it has to look.
    check: Check,
    /// Whether it ends where the last class of characters ends.
    is_exact: bool,
    /// An invented one, with `{+}` in it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests"))]
    pub(crate) example: &'static str,
}

/// Characters, and how many of them.
struct Part {
    /// A bit for each.
    set: u128,
    min: usize,
    max: usize,
}

/// How a token has to look beyond its shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Check {
    None,
    /// As made by a machine.
    Random,
    /// The same, and with two digits.
    Digits,
    /// The same, and with letters of both cases.
    Mixed,
}

/// All of them.
pub(crate) const TOKENS: &[Token] =
    include!(concat!(env!("OUT_DIR"), "/tokens.rs"));

impl Part {
    fn has(&self, byte: u8) -> bool {
        byte < 128 && self.set >> byte & 1 == 1
    }

    /// The length of the beginning of a text that matches.
    fn take<'t>(&self, text: impl Iterator<Item = &'t u8>) -> Option<usize> {
        let len = text
            .take(self.max)
            .take_while(|byte| self.has(**byte))
            .count();
        steps::add(len + 1);
        (len >= self.min).then_some(len)
    }
}

/// Checks for tokens where a prefix was found.
pub(crate) struct Matcher {
    /// For each token, up to where it has been searched for in vain.
    done: Vec<usize>,
}

impl Matcher {
    pub(crate) fn new() -> Self {
        Self { done: Vec::new() }
    }

    /// Checks the text around a prefix of the token of this number.
    pub(crate) fn check_token(
        &mut self,
        number: usize,
        prefix: &str,
        text: &[u8],
        end: usize,
        found: &mut Vec<Finding>,
    ) {
        let token = &TOKENS[number];
        let start = end - prefix.len();
        let mut done = self.done.get(number).copied().unwrap_or(0);
        // Upper and lower case matter here, and not where it was seen.
        if start < done || &text[start..end] != prefix.as_bytes() {
            return;
        }
        let before = done;
        if let Some((first, last)) =
            token.token_range(text, start, end, &mut done)
        {
            done = last;
            found.push(Finding::new(first..last, token.rule));
        }
        // Most prefixes belong to other words: nothing is stored for them.
        if done != before {
            if self.done.is_empty() {
                self.done = vec![0; TOKENS.len()];
            }
            self.done[number] = done;
        }
    }
}

impl Token {
    /// The range of the token whose prefix is here.
    fn token_range(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
        done: &mut usize,
    ) -> Option<(usize, usize)> {
        let mut first = start;
        for part in self.before.iter().rev() {
            first -= part.take(text[*done..first].iter().rev())?;
        }
        if self.is_word && text[..first].last().is_some_and(is_of_word) {
            return None;
        }
        let mut at = end;
        for part in self.body {
            match part.take(text[at..].iter()) {
                Some(len) => at += len,
                // Everything that begins earlier ends here, too.
                None => {
                    if at > end {
                        *done = at;
                    }
                    return None;
                }
            }
        }
        if self.is_exact
            && let Some(last) = self.body.last()
            // One letter more may be glued to it.
            && text
                .get(at..at + 2)
                .is_some_and(|two| two.iter().all(|byte| last.has(*byte)))
        {
            return None;
        }
        let token = &text[first..at];
        let is_token = !is_sample(token)
            && match self.check {
                Check::None => true,
                Check::Random => looks_random(token),
                Check::Mixed => looks_machine_made(token),
                Check::Digits => {
                    looks_random(token)
                        && token.iter().filter(|b| b.is_ascii_digit()).count()
                            > 1
                }
            };
        steps::add(token.len());
        if !is_token {
            *done = at;
        }
        is_token.then_some((first, at))
    }
}

/// Whether this is only an example of a token: `ghp_xxxxxxxxxxxx`, and the one
/// in Amazon's manuals.
fn is_sample(token: &[u8]) -> bool {
    const MIN_RUN: usize = 12;
    let mut run = 1;
    let is_mask = token.windows(2).any(|two| {
        run = if two[0] == two[1] { run + 1 } else { 1 };
        run >= MIN_RUN && b"xX*.0".contains(&two[0])
    });
    is_mask || token.ends_with(b"EXAMPLE")
}

fn is_of_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns;

    fn found(text: &str) -> Vec<(&'static str, &str)> {
        let mut found = Vec::new();
        patterns::wanted(text.as_bytes(), &mut found);
        found
            .into_iter()
            .map(|found| (found.rule.name(), &text[found.range]))
            .collect()
    }

    #[test]
    fn each_is_found_wherever_it_stands() {
        for token in TOKENS {
            let example = token.example.replace("{+}", "");
            assert_ne!(example, token.example, "{}: no {{+}}", token.rule);
            let is_found = |text: &str| {
                found(text).iter().any(|(rule, secret)| {
                    *rule == token.rule.name() && secret.contains(&example)
                })
            };
            for text in [
                example.clone(),
                format!("a {example} b"),
                format!("'{example}',"),
                format!("({example})"),
                format!("x_{example}\n"),
                format!("token_{example}"),
                format!("/{example}/"),
                format!("={example}&"),
            ] {
                assert!(is_found(&text), "{text}: {:?}", found(&text));
            }
            if !token.is_word && token.before.is_empty() {
                let text = format!("x{example}");
                assert!(is_found(&text), "{text}: {:?}", found(&text));
            }
        }
    }

    #[test]
    fn words_are_no_tokens() {
        for text in [
            "ghp_ glpat- AKIA eyJ hvs. sk-",
            "task-force-of-the-headquarters",
            "risk-assessmentdocumentation",
            "hf_transfer_of_the_whole_model",
            "api-gatewayproductioneucentral",
            "GHP_0123456789012345678901234567",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "AKIAIOSFODNN7EXAMPLE",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
