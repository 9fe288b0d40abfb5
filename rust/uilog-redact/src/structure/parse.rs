//! Parses hg's arguments as hg does.
//!
//! If hg would report an error, or the command is not in the table, it is
//! unknown which word is the value of which option. From there on, no value is
//! kept.

use super::kind;
use super::kind::OptionKind;
use super::placeholder::Placeholder;
use super::reducer::Structure;
use crate::commands::Opt;
use crate::commands::Options;
use crate::commands::TABLE;

/// Each argument, as far as it is harmless.
// hg: dispatch._parse over fancyopts.fancyopts
pub(super) fn arguments<W: AsRef<[u8]>>(
    words: &[W],
    by: &Structure<'_>,
) -> Vec<Vec<u8>> {
    let mut reader = Reader {
        words,
        by,
        at: 0,
        output: Vec::new(),
        options: TABLE.options_of(None),
        command: None,
        is_known: true,
    };
    reader.options_before_command();
    let Some(command) = words.get(reader.at).map(AsRef::as_ref) else {
        return reader.output;
    };
    reader.at += 1;
    // After an option that hg does not have, this may be its value.
    let known = if reader.is_known {
        TABLE.command(command)
    } else {
        TABLE.exact_command(command)
    };
    if let Some(known) = known {
        reader.command = Some(known.name);
        reader.options = TABLE.options_of(Some(known));
        reader.push(known.name.as_bytes());
    } else {
        let is_name = reader.is_known && by.is_name(command);
        reader.is_known = false;
        if is_name || kind::is_placeholder(command) {
            reader.push(command);
        } else {
            reader.push(&Placeholder::Command.marker());
        }
    }
    reader.rest();
    reader.output
}

struct Reader<'r, W> {
    words: &'r [W],
    by: &'r Structure<'r>,
    at: usize,
    output: Vec<Vec<u8>>,
    options: Options,
    command: Option<&'static str>,
    /// Whether it is known which word is what.
    is_known: bool,
}

impl<W: AsRef<[u8]>> Reader<'_, W> {
    fn push(&mut self, word: &[u8]) {
        self.output.push(word.to_vec());
    }

    fn options_before_command(&mut self) {
        while let Some(word) = self.words.get(self.at) {
            match word.as_ref() {
                b"--" => {
                    self.at += 1;
                    self.push(b"--");
                    return;
                }
                word if is_option(word) => self.option(word),
                _ => return,
            }
        }
    }

    /// What follows the command.
    fn rest(&mut self) {
        let mut arguments = 0;
        let mut has_ended = false;
        while let Some(word) = self.words.get(self.at) {
            let word = word.as_ref();
            if !has_ended && word == b"--" {
                self.at += 1;
                has_ended = true;
                self.push(b"--");
            } else if !has_ended && is_option(word) {
                self.option(word);
            } else {
                self.at += 1;
                let kind = if self.is_known {
                    kind::of_argument(self.command, arguments)
                } else {
                    OptionKind::Value
                };
                arguments += 1;
                let output = self.by.value(kind, word);
                self.push(&output);
            }
        }
    }

    /// An option, with its value.
    fn option(&mut self, word: &[u8]) {
        self.at += 1;
        match word.strip_prefix(b"--") {
            Some(name) => self.long(name),
            None => self.cluster(&word[1..]),
        }
    }

    fn long(&mut self, text: &[u8]) {
        let equals = text.iter().position(|byte| *byte == b'=');
        let (name, inline) = match equals {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        // Which options an unknown command has, and so what an abbreviation
        // means, is not known.
        let found = self
            .options
            .long(name)
            .filter(|it| self.is_known || it.long.as_bytes() == name);
        if let Some(option) = found {
            self.known(option, inline);
            return;
        }
        if let Some(option) = self.negated(name).filter(|_| self.is_known) {
            let mut output = b"--".to_vec();
            output.extend_from_slice(option.as_bytes());
            self.flag(output, inline);
            return;
        }
        self.is_known = false;
        let mut output = b"--".to_vec();
        if self.by.is_name(name) {
            output.extend_from_slice(name);
        } else {
            output.extend_from_slice(&Placeholder::Option.marker());
        }
        self.flag(output, inline);
    }

    /// `--no-verbose` of `--verbose`, and `--commit` of `--no-commit`.
    // hg: fancyopts.fancyopts
    fn negated(&self, name: &[u8]) -> Option<String> {
        let negation = |option: &Opt| match option.long.strip_prefix("no-") {
            Some(rest) => rest.to_owned(),
            None => format!("no-{}", option.long),
        };
        let flags = self.options.iter().filter(|it| !it.takes_value);
        let mut names: Vec<_> = flags
            .map(negation)
            .filter(|it| it.as_bytes().starts_with(name))
            .collect();
        if let Some(exact) = names.iter().find(|it| it.as_bytes() == name) {
            return Some(exact.clone());
        }
        if names.len() == 1 && name.len() > b"no-".len() {
            return names.pop();
        }
        None
    }

    /// Adds an option that has no value, or should have none.
    fn flag(&mut self, mut output: Vec<u8>, inline: Option<&[u8]>) {
        if inline.is_some() {
            output.push(b'=');
            output.extend_from_slice(&Placeholder::Value.marker());
        }
        self.output.push(output);
    }

    fn known(&mut self, option: &Opt, inline: Option<&[u8]>) {
        let mut output = [b"--", option.long.as_bytes()].concat();
        if !option.takes_value {
            self.flag(output, inline);
            return;
        }
        let kind = kind::of_option(self.command, option.long);
        let value = match inline {
            Some(value) => Some(value),
            None => {
                let next = self.words.get(self.at).map(AsRef::as_ref);
                self.at += 1;
                next
            }
        };
        if let Some(value) = value {
            output.push(b'=');
            output.extend_from_slice(&self.by.value(kind, value));
        }
        self.output.push(output);
    }

    /// Letters after one dash.
    fn cluster(&mut self, letters: &[u8]) {
        for (at, letter) in letters.iter().enumerate() {
            let rest = &letters[at + 1..];
            match self.options.short(*letter) {
                Some(option) if option.takes_value => {
                    self.known(option, (!rest.is_empty()).then_some(rest));
                    return;
                }
                Some(option) if self.is_known || letters.len() == 1 => {
                    self.known(option, None);
                }
                _ => {
                    self.is_known = false;
                    self.push(&unknown_letters(&letters[at..]));
                    return;
                }
            }
        }
    }
}

fn is_option(word: &[u8]) -> bool {
    word.len() > 1 && word[0] == b'-'
}

/// An option that is not in the table: a letter, if it is one, and whether
/// something follows.
fn unknown_letters(letters: &[u8]) -> Vec<u8> {
    let name: &[u8] = match letters {
        [letter, ..] if letter.is_ascii_alphanumeric() => &letters[..1],
        _ => b"<option>",
    };
    let value = if letters.len() > 1 && !name.starts_with(b"<") {
        Placeholder::Value.marker()
    } else {
        Vec::new()
    };
    [b"-", name, &value].concat()
}
