//! Which names suggest a secret, and how strongly: `DB_PASSWORD`, `apiToken`,
//! `signing_key`, but not `token_type` or `bypass`.
//!
//! Must not know values, or what is assigned.

use crate::secret_words::GLUED;
use crate::secret_words::HARMLESS_BEGINNINGS;
use crate::secret_words::HARMLESS_ENDINGS;
use crate::secret_words::HARMLESS_KEYS;
use crate::secret_words::NOT_GLUED;
use crate::secret_words::SECRET_WORDS;
use crate::secret_words::SecretKind;
use crate::trie::Trie;
use crate::trie::most_nodes;

/// The words that [`crate::patterns`] searches for before it calls the finder
/// of assignments.
pub(crate) const WORDS: [&str; SECRET_WORDS.len()] = {
    let mut words = [""; SECRET_WORDS.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = SECRET_WORDS[at].word;
        at += 1;
    }
    words
};

/// A longer name is a secret's as soon as it contains a secret word.
const MAX_JUDGED_BYTES: usize = 1024;

const NODES: usize =
    Trie::<{ most_nodes(&WORDS) }, { WORDS.len() }>::new(&WORDS).len();

static TRIE: Trie<NODES, { WORDS.len() }> = Trie::new(&WORDS);

/// The secret words in a text, by their beginnings. They may overlap: `rootpw`
/// contains `otp`.
pub(crate) fn find(text: &[u8]) -> impl Iterator<Item = SecretWordMatch> {
    TRIE.find(text).map(|found| SecretWordMatch {
        number: found.word,
        start: found.start,
        end: found.end,
    })
}

/// A secret word in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecretWordMatch {
    number: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl SecretWordMatch {
    /// Whether this counts only as a separate word.
    pub(crate) fn is_short(&self) -> bool {
        SECRET_WORDS[self.number].is_whole
    }

    /// What the name that contains this word suggests.
    fn kind(&self, name: &[u8]) -> Option<SecretKind> {
        let secret = &SECRET_WORDS[self.number];
        if secret.is_whole && !self.is_whole(name, secret.word) {
            return None;
        }
        // .NET: how an assembly names the key that it is signed with.
        if name.eq_ignore_ascii_case(b"publickeytoken") {
            return None;
        }
        // `GIT_AUTHOR_DATE`
        if secret.word == "_auth"
            && name[self.end..]
                .get(..2)
                .is_some_and(|rest| rest.eq_ignore_ascii_case(b"or"))
        {
            return None;
        }
        let (before, after) = self.neighbours(name);
        if secret.kind == SecretKind::Key
            && before.iter().any(|part| is_one_of(part, &HARMLESS_KEYS))
        {
            return None;
        }
        if is_harmless(&before, &after) {
            return Some(SecretKind::Doubtful);
        }
        Some(secret.kind)
    }

    /// The words before and after this one in a name.
    fn neighbours<'n>(&self, name: &'n [u8]) -> (Vec<&'n [u8]>, Vec<&'n [u8]>) {
        let Self { start, end, .. } = *self;
        // A word that ends with this one is a separate word before it:
        // `requirepass`.
        let is_inside = start > 0
            && name[start - 1].is_ascii_alphabetic()
            && !(name[start].is_ascii_uppercase()
                && name[start - 1].is_ascii_lowercase());
        let begin = if is_inside {
            name[..start]
                .iter()
                .rposition(|byte| !byte.is_ascii_alphabetic())
                .map_or(0, |at| at + 1)
        } else {
            start
        };
        (parts(&name[..begin]), parts(&name[end..]))
    }

    /// What the name from `start` to `end`, which contains this word, suggests.
    pub(crate) fn kind_in(
        &self,
        text: &[u8],
        start: usize,
        end: usize,
    ) -> Option<SecretKind> {
        let word = Self {
            start: self.start - start,
            end: self.end - start,
            ..*self
        };
        word.kind(&text[start..end])
    }

    /// Whether the word is separate in the name, or at the end of another one
    /// as passwords are.
    fn is_whole(&self, name: &[u8], word: &str) -> bool {
        let is_end = name.get(self.end).is_none_or(|next| {
            !next.is_ascii_alphabetic()
                || (next.is_ascii_uppercase()
                    && name[self.end - 1].is_ascii_lowercase())
        });
        let before = self.start.checked_sub(1).map(|at| name[at]);
        let is_start = before.is_none_or(|before| {
            !before.is_ascii_alphabetic()
                || (name[self.start].is_ascii_uppercase()
                    && before.is_ascii_lowercase())
        });
        if !is_end || name == b"PWD" {
            return false;
        }
        if is_start {
            return true;
        }
        let begin = name[..self.start]
            .iter()
            .rposition(|byte| !byte.is_ascii_alphabetic())
            .map_or(0, |before| before + 1);
        let whole = &name[begin..self.end];
        GLUED.contains(&word)
            && !NOT_GLUED.iter().any(|other| {
                whole.len() >= other.len()
                    && whole[whole.len() - other.len()..]
                        .eq_ignore_ascii_case(other.as_bytes())
            })
    }
}

/// Whether the words around a secret word make it harmless.
fn is_harmless(before: &[&[u8]], after: &[&[u8]]) -> bool {
    let ends = |part: Option<&&[u8]>| {
        part.is_some_and(|part| is_one_of(part, &HARMLESS_ENDINGS))
    };
    ends(after.first())
        || ends(after.last())
        || before
            .first()
            .is_some_and(|part| is_one_of(part, &HARMLESS_BEGINNINGS))
}

fn is_one_of(word: &[u8], list: &[&str]) -> bool {
    list.iter()
        .any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

/// The words that a name is made of: between `_`, `-`, `.`, digits, and where
/// small letters become capital ones.
fn parts(name: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 0..=name.len() {
        let is_end = name.get(at).is_none_or(|b| !b.is_ascii_alphabetic());
        let is_camel = !is_end
            && at > start
            && name[at].is_ascii_uppercase()
            && name[at - 1].is_ascii_lowercase();
        if is_end || is_camel {
            if at > start {
                parts.push(&name[start..at]);
            }
            start = if is_end { at + 1 } else { at };
        }
    }
    parts
}

/// What the last secret word of a name suggests, the longest of several.
pub(crate) fn kind(name: &[u8]) -> Option<SecretKind> {
    // Each word is judged by all others, which takes the square of the length.
    if name.len() > MAX_JUDGED_BYTES {
        return find(name).next().map(|_| SecretKind::Password);
    }
    find(name)
        .filter_map(|word| Some((word, word.kind(name)?)))
        .max_by_key(|(word, _)| (word.end, word.end - word.start))
        .map(|(_, kind)| kind)
}

/// Whether any value of this name is a secret: that of an event's option.
pub(crate) fn is_secret_name(name: &[u8]) -> bool {
    const HEADERS: [&[u8]; 2] = [b"authorization", b"cookie"];
    let parts = parts(name);
    let is_header = parts.iter().any(|part| {
        HEADERS
            .iter()
            .any(|header| part.eq_ignore_ascii_case(header))
    });
    is_header
        || match kind(name) {
            Some(
                SecretKind::Password | SecretKind::Token | SecretKind::Code,
            ) => true,
            Some(SecretKind::Key) => parts
                .last()
                .is_some_and(|part| part.eq_ignore_ascii_case(b"auth")),
            Some(SecretKind::Doubtful) | None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_too_long_to_judge_is_a_secrets() {
        let long = "PASSWORD_MIN_LENGTH_".repeat(50_000);
        assert!(is_secret_name(long.as_bytes()));
        assert!(!is_secret_name(&long.as_bytes()[..19]));
        assert!(!is_secret_name("MIN_LENGTH_".repeat(90_000).as_bytes()));
    }

    #[test]
    fn names_tell() {
        for name in [
            "password",
            "OPT_TOKEN",
            "apiKey",
            "db_pass",
            "dbPass",
            "DB_PW",
            "bindpw",
            "SSHPASS",
            "SIGNING_KEY_ANDROID",
            "API_TOKEN_PACKAGES",
            "DB_PASSWORD_STAGE",
            "SECRET_IDENTITY",
            "requirepass",
            "authorization",
            "set-cookie",
            "proxy_authorization",
            "auth",
        ] {
            assert!(is_secret_name(name.as_bytes()), "{name}");
        }
        for name in [
            "token_type",
            "password-file",
            "PASSWORD_MIN_LENGTH",
            "bypass",
            "passed",
            "PWD",
            "OLDPWD",
            "GIT_ASKPASS",
            "secretary",
            "tokenizer",
            "key",
            "author",
            "has_password",
            "max_tokens",
            "canonical_command",
            "cookies",
            "pattern",
        ] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_name_is_taken_apart() {
        let parts = |name: &'static str| {
            super::parts(name.as_bytes())
                .into_iter()
                .map(|part| std::str::from_utf8(part).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(parts("dbPass_word-2x.Y"), ["db", "Pass", "word", "x", "Y"]);
        assert_eq!(parts("API_TOKEN"), ["API", "TOKEN"]);
    }
}
