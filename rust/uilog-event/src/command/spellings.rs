//! The texts that a pattern is compared with to find a logged command.
//!
//! Takes a logged command line, and removes global options. Must not know
//! configuration, so it does not know aliases.

use super::options;

/// A word of a command line, with and without its quotes.
struct Word<'a> {
    raw: &'a [u8],
    text: Vec<u8>,
}

/// The texts that a pattern for commands is compared with: the unchanged
/// command line; without the global options before the command; also without
/// those after it; and each with the command's full name, unless that is empty.
pub fn spellings(formatted: &[u8], canonical: &[u8]) -> Vec<Vec<u8>> {
    let mut spellings = vec![formatted.to_vec()];
    let mut words = words(formatted);
    let texts: Vec<_> = words.iter().map(|word| word.text.clone()).collect();
    let Some(command) = options::command(&texts) else {
        return spellings;
    };
    words.drain(..texts.len() - command.len());
    let plain = without_globals(&words);
    let has_globals = plain.len() < words.len();
    let raw = words.iter().map(|word| word.raw).collect();
    for mut words in [Some(raw), has_globals.then_some(plain)]
        .into_iter()
        .flatten()
    {
        spellings.push(words.join(&b' '));
        if !canonical.is_empty() && words[0] != canonical {
            words[0] = canonical;
            spellings.push(words.join(&b' '));
        }
    }
    spellings
}

/// The words from the command on, without the global options according to
/// `options`.
fn without_globals<'a>(words: &[Word<'a>]) -> Vec<&'a [u8]> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    if let Some(command) = words.next() {
        kept.push(command.raw);
    }
    while let Some(word) = words.next() {
        if word.text == b"--" {
            kept.push(word.raw);
            break;
        }
        match options::global(&word.text) {
            None => kept.push(word.raw),
            Some(takes_next) => {
                if takes_next {
                    words.next();
                }
            }
        }
    }
    kept.extend(words.map(|word| word.raw));
    kept
}

/// The words that [`super::quote`] has put together.
fn words(text: &[u8]) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let mut word = Vec::new();
        let mut is_quoted = false;
        while at < text.len() && (is_quoted || text[at] != b' ') {
            match text[at] {
                b'\'' => is_quoted = !is_quoted,
                b'\\' if !is_quoted && at + 1 < text.len() => {
                    at += 1;
                    word.push(text[at]);
                }
                byte => word.push(byte),
            }
            at += 1;
        }
        if at > start {
            words.push(Word {
                raw: &text[start..at],
                text: word,
            });
        }
        at += 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(formatted: &str, canonical: &str) -> Vec<String> {
        let spellings = spellings(formatted.as_bytes(), canonical.as_bytes());
        let texts = spellings.into_iter().map(String::from_utf8);
        texts.map(Result::unwrap).collect()
    }

    #[test]
    fn words_are_as_a_shell_splits_them() {
        let found = words(br"a\ b 'c d' it\'s '' e\");
        let texts: Vec<_> = found.iter().map(|it| &*it.text).collect();
        assert_eq!(texts, [&b"a b"[..], b"c d", b"it's", b"", br"e\"]);
        let raw: Vec<_> = found.iter().map(|it| it.raw).collect();
        let expected = [&br"a\ b"[..], b"'c d'", br"it\'s", b"''", br"e\"];
        assert_eq!(raw, expected);
    }

    #[test]
    fn global_options_are_left_out_wherever_they_stand() {
        assert_eq!(of("strip", "strip"), ["strip", "strip"]);
        assert_eq!(
            of("--config x=y -R 'a b' ci -m 'it''s' --cwd d -v x", "commit"),
            [
                "--config x=y -R 'a b' ci -m 'it''s' --cwd d -v x",
                "ci -m 'it''s' --cwd d -v x",
                "commit -m 'it''s' --cwd d -v x",
                "ci -m 'it''s' x",
                "commit -m 'it''s' x",
            ]
        );
        assert_eq!(of("log -- -v", ""), ["log -- -v", "log -- -v"]);
        assert_eq!(of("--nonsense x", "x"), ["--nonsense x"]);
        assert_eq!(of("", "x"), [""]);
        assert_eq!(of("log --cwd", "log"), ["log --cwd", "log --cwd", "log"]);
    }
}
