//! What may leave the machine in an archive for support.
//!
//! It does not look for secrets: no rule knows all of them. A value stays if it
//! cannot be one: a number, a word of a list, a name that uilog or Mercurial
//! has given. A word of a text stays if it is a plain word and nothing in the
//! configuration, the environment or a path has that word. `<...>` stands for
//! the rest. Must not know where texts come from.

use std::collections::HashSet;

use uilog_config::items;
use uilog_config::items::Item;
use uilog_config::items::ValueType;
use uilog_event::events;
use uilog_redact::ArgvPolicy;
use uilog_redact::Policy;
use uilog_redact::Redactor;

/// What stands for a word, and for a value, that does not stay.
const WORD: &str = "<...>";
/// Digits of a number at most: more may be a PIN or a card.
const MAX_DIGITS: usize = 6;
/// Letters of a plain word at most.
const MAX_LETTERS: usize = 20;
/// Shorter words of the configuration are everywhere.
const LEAST_PRIVATE: usize = 3;

/// Judges texts.
pub(super) struct Harmless {
    /// Words of the configuration, the environment and paths.
    private: HashSet<String>,
    commands: Redactor,
    errors: Redactor,
}

impl Harmless {
    /// One that lets no word of these texts pass.
    pub(super) fn new<'t>(texts: impl Iterator<Item = &'t [u8]>) -> Self {
        let own = own_words();
        let mut private = HashSet::new();
        for text in texts {
            let text = String::from_utf8_lossy(text).to_lowercase();
            let words = text.split(|it: char| !it.is_alphanumeric());
            let words = words.filter(|word| {
                word.len() >= LEAST_PRIVATE && !own.contains(*word)
            });
            private.extend(words.map(str::to_owned));
        }
        let redactor = |argv| {
            Redactor::new(&Policy {
                argv,
                ..Policy::default()
            })
        };
        Self {
            private,
            commands: redactor(ArgvPolicy::Canonical),
            errors: redactor(ArgvPolicy::Structure),
        }
    }

    /// A text of uilog's: its plain words.
    pub(super) fn text(&self, text: &str) -> String {
        let mut kept: Vec<&str> = Vec::new();
        let mut is_quoted = false;
        for word in text.split_whitespace() {
            let begins = word.trim_start_matches('(').starts_with('\'');
            let end = word.trim_end_matches(|it| ",.:;)".contains(it));
            let ends = end.ends_with('\'') && (end.len() > 1 || is_quoted);
            let is_kept = !is_quoted && !begins && self.is_plain(word);
            is_quoted = (is_quoted || begins) && !ends;
            match is_kept {
                true => kept.push(word),
                false if kept.last() == Some(&WORD) => {}
                false => kept.push(WORD),
            }
        }
        kept.join(" ")
    }

    /// An error of hg's: the words of Mercurial's and the system's own errors.
    pub(super) fn error(&self, error: &str) -> String {
        let reduced = self.errors.reduce_option(
            b"commandfinish",
            b"error",
            error.as_bytes(),
        );
        self.text(&String::from_utf8_lossy(&reduced.text))
    }

    /// The full names of a command and its options.
    pub(super) fn command(&self, line: &str) -> String {
        let told = self.commands.redact_command(line.as_bytes()).text;
        String::from_utf8_lossy(&told).into_owned()
    }

    /// The value of one of our settings.
    pub(super) fn value(&self, item: &Item, value: &[u8]) -> String {
        let text = String::from_utf8_lossy(value);
        if value.is_empty() {
            return String::new();
        }
        match item.kind {
            ValueType::Text | ValueType::List => {
                let words = text.split([' ', ',']).filter(|it| !it.is_empty());
                let words: Vec<_> = words.collect();
                let is_known = |word: &&str| {
                    let word = word.trim_start_matches('-');
                    word == "*" || is_event(word)
                };
                match words.iter().all(is_known) {
                    true => words.join(" "),
                    false => format!("<{} bytes>", value.len()),
                }
            }
            _ if item.parse(value).is_some() => text.into_owned(),
            _ => format!("<{} bytes, not valid>", value.len()),
        }
    }

    fn is_plain(&self, word: &str) -> bool {
        let word = word.trim_start_matches('(');
        let word = word.trim_end_matches(|it| ",.:;)".contains(it));
        if word.bytes().all(|it| it.is_ascii_digit()) {
            return word.len() <= MAX_DIGITS;
        }
        let is_letter =
            |it: u8| it.is_ascii_alphabetic() || b"-'".contains(&it);
        word.len() <= MAX_LETTERS
            && word.bytes().all(is_letter)
            && word
                .to_lowercase()
                .split(['-', '\''])
                .all(|part| !self.private.contains(part))
    }
}

/// Whether Mercurial or uilog emits such an event.
pub(super) fn is_event(name: &str) -> bool {
    events::KNOWN.iter().any(|known| known.name == name)
}

/// A name of a kind of thing: letters, as in `HookAbort`.
pub(super) fn class(name: &str) -> String {
    match name.len() <= 60 && name.bytes().all(|it| it.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false => WORD.to_owned(),
    }
}

/// A version: it begins with a digit, and is short.
pub(super) fn version(text: &str) -> String {
    let is_of_version =
        |it: u8| it.is_ascii_alphanumeric() || b".-+".contains(&it);
    let is_version = text.len() <= 24
        && text.starts_with(|it: char| it.is_ascii_digit())
        && text.contains('.')
        && text.bytes().all(is_of_version);
    match is_version {
        true => text.to_owned(),
        false => WORD.to_owned(),
    }
}

/// An id that uilog has made: hexadecimal digits.
pub(super) fn id(text: &str) -> String {
    const DIGITS: usize = 32;
    let is_id = text.len() == DIGITS
        && text
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    match is_id {
        true => text.to_owned(),
        false => WORD.to_owned(),
    }
}

/// Words that uilog's own texts have: the configuration has them, too.
fn own_words() -> HashSet<String> {
    let options = items::SINK_OPTIONS.iter().map(|it| &it.item);
    let items = items::ITEMS.iter().chain(options);
    let items = items.flat_map(|it| [it.section, it.name, it.help]);
    let events = events::KNOWN.iter().map(|it| it.name);
    let texts = items.chain(events);
    let words = texts.flat_map(|it| it.split(|it: char| !it.is_alphanumeric()));
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmless() -> Harmless {
        let texts = ["file:/srv/letmein/log.jsonl", "correct horse", "yes"];
        Harmless::new(texts.iter().map(|it| it.as_bytes()))
    }

    #[test]
    fn plain_words_stay_and_no_value_does() {
        let harmless = harmless();
        for (text, expected) in [
            ("the script has failed", "the script has failed"),
            ("'hunter two' is no number", "<...> is no number"),
            ("('x'), and more", "<...> and more"),
            (
                "cannot open /srv/x: no such file",
                "cannot open <...> no such file",
            ),
            ("it says letmein here", "it says <...> here"),
            ("Horse, or not", "<...> or not"),
            ("a k3y and 1234567 and 12", "a <...> and <...> and 12"),
            ("user:pass x=y a@b ähm", "<...>"),
            ("' is open", "<...>"),
        ] {
            assert_eq!(harmless.text(text), expected, "{text}");
        }
    }

    #[test]
    fn settings_stay_where_they_cannot_hold_a_secret() {
        let harmless = harmless();
        let value = |name: &[u8], value: &[u8]| {
            let item = items::find(b"uilog", name).unwrap();
            harmless.value(item, value)
        };
        assert_eq!(value(b"agent", b"yes"), "yes");
        assert_eq!(value(b"agent", b"hunter2"), "<7 bytes, not valid>");
        assert_eq!(value(b"history-max-age", b"90 days"), "90 days");
        assert_eq!(value(b"queue-dir", b"/srv/hunter2"), "<12 bytes>");
    }

    #[test]
    fn commands_and_errors_are_told_by_their_names() {
        let harmless = harmless();
        let command = harmless.command("ci -m hunter2 /srv/hunter2");
        assert!(command.starts_with("commit --message="), "{command}");
        assert!(!command.contains("hunter2"), "{command}");
        let error = harmless.error("no match under directory '/x/hunter2'");
        assert!(!error.contains("hunter2"), "{error}");
        assert_eq!(class("HookAbort"), "HookAbort");
        assert_eq!(class("x/y"), WORD);
        assert_eq!(version("7.2.4+3-abc"), "7.2.4+3-abc");
        assert_eq!(version("hunter2"), WORD);
        assert_eq!(id("hunter2"), WORD);
    }
}
