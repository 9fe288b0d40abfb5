//! The meaning of each word of a command line: hg's commands and their options.
//!
//! Mercurial's table is the `commands.txt` of uilog-event. A command that is
//! not in it, such as an alias or another extension's, is treated as if it had
//! the options of `commit`, because `-m` most likely means a message.

use std::ops::Range;

use crate::name::is_secret_name;

/// What a part of a word is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// A text that a person wrote.
    Message,
    /// The name of a user.
    User,
    /// The value of an option that stock hg does not have, and whose name
    /// suggests a secret.
    Secret,
}

/// A part of a word.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Part {
    /// Which word.
    pub(crate) word: usize,
    /// The part of the line.
    pub(crate) range: Range<usize>,
    /// Its role.
    pub(crate) role: Role,
}

/// A parsed command line.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The parts that are something special.
    pub(crate) parts: Vec<Part>,
    /// The full name of the command, if it is in the table.
    pub(crate) command: Option<&'static str>,
    /// Each option in its full spelling, and whether it has a value.
    pub(crate) options: Vec<(&'static str, bool)>,
}

/// An option in the table.
#[derive(Debug)]
pub(crate) struct Opt {
    short: Option<u8>,
    pub(crate) long: &'static str,
    pub(crate) takes_value: bool,
}

impl Opt {
    fn role(&self) -> Option<Role> {
        match self.long {
            _ if !self.takes_value => None,
            "message" | "comment" | "note" | "subject" => Some(Role::Message),
            "user" => Some(Role::User),
            _ => None,
        }
    }
}

/// A command in the table.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// The numbers of its options are from here to there.
    options: (u16, u16),
}

/// The commands of stock hg.
pub(crate) struct Table {
    /// Every option of any command.
    pub(crate) options: &'static [Opt],
    /// The numbers of options, of one command after the other.
    numbers: &'static [u16],
    /// Those that every command has.
    global: (u16, u16),
    commands: &'static [Command],
    /// Names and aliases in order, and the numbers of their commands.
    names: &'static [(&'static str, u16)],
    /// The number of the command whose options are assumed for an unknown one.
    fallback: u16,
}

pub(crate) static TABLE: Table =
    include!(concat!(env!("OUT_DIR"), "/commands.rs"));

impl Table {
    /// The command that this is the whole name of.
    pub(crate) fn exact_command(
        &self,
        word: &[u8],
    ) -> Option<&'static Command> {
        let at = self
            .names
            .binary_search_by(|(name, _)| name.as_bytes().cmp(word));
        let (_, number) = self.names[at.ok()?];
        Some(&self.commands[usize::from(number)])
    }

    /// The command that this is the name of, or the beginning of the name.
    // hg: cmdutil.findpossible
    pub(crate) fn command(&self, word: &[u8]) -> Option<&'static Command> {
        if word.is_empty() {
            return None;
        }
        let first = self
            .names
            .partition_point(|(name, _)| name.as_bytes() < word);
        let mut possible = self.names[first..]
            .iter()
            .take_while(|(name, _)| name.as_bytes().starts_with(word));
        let (name, number) = possible.next()?;
        // The whole of a name is the first of those that begin with it.
        let is_command = name.len() == word.len()
            || possible.all(|(_, other)| other == number);
        is_command.then(|| &self.commands[usize::from(*number)])
    }

    fn numbers_of(&self, (from, to): (u16, u16)) -> &[u16] {
        &self.numbers[usize::from(from)..usize::from(to)]
    }

    /// The options of a command, or before there is one.
    pub(crate) fn options_of(
        &'static self,
        command: Option<&Command>,
    ) -> Options {
        let own = command.map_or((0, 0), |it| it.options);
        Options {
            own: self.numbers_of(own),
            global: self.numbers_of(self.global),
        }
    }
}

/// The options that a command has.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    own: &'static [u16],
    global: &'static [u16],
}

impl Options {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static Opt> {
        self.own
            .iter()
            .chain(self.global)
            .map(|number| &TABLE.options[usize::from(*number)])
    }

    pub(crate) fn short(self, letter: u8) -> Option<&'static Opt> {
        self.iter().find(|option| option.short == Some(letter))
    }

    /// The option that this is the name of, or the beginning of one name only.
    pub(crate) fn long(self, name: &[u8]) -> Option<&'static Opt> {
        let is = |option: &&Opt| option.long.as_bytes() == name;
        if let Some(option) = self.iter().find(is) {
            return Some(option);
        }
        let mut possible = self
            .iter()
            .filter(|option| option.long.as_bytes().starts_with(name));
        let option = possible.next()?;
        possible.next().is_none().then_some(option)
    }
}

/// The role of each word: `words` is everything after `hg`.
// hg: dispatch._parse over fancyopts.fancyopts
pub(crate) fn parse<W: AsRef<[u8]>>(words: &[W]) -> Parsed {
    let mut parser = Parser {
        words,
        at: 0,
        parsed: Parsed::default(),
        is_noted: false,
    };
    let mut options = TABLE.options_of(None);
    while parser.at < words.len() {
        if !parser.option(options, false) {
            break;
        }
    }
    let Some(command) = words.get(parser.at) else {
        return parser.parsed;
    };
    parser.at += 1;
    parser.is_noted = NOTED.contains(&command.as_ref());
    let known = TABLE.command(command.as_ref());
    parser.parsed.command = known.map(|command| command.name);
    let fallback = &TABLE.commands[usize::from(TABLE.fallback)];
    options = TABLE.options_of(Some(known.unwrap_or(fallback)));
    while parser.at < words.len() {
        if words[parser.at].as_ref() == b"--" {
            break;
        }
        if !parser.option(options, true) {
            parser.at += 1;
        }
    }
    parser.parsed
}

struct Parser<'w, W> {
    words: &'w [W],
    at: usize,
    parsed: Parsed,
    /// Whether -n is followed by a note.
    is_noted: bool,
}

impl<W: AsRef<[u8]>> Parser<'_, W> {
    /// Reads an option with its value; whether there is one.
    fn option(&mut self, options: Options, has_command: bool) -> bool {
        let word = self.words[self.at].as_ref();
        if let Some(name) = word.strip_prefix(b"--") {
            self.at += 1;
            self.long(name, options, has_command);
            !name.is_empty()
        } else if word.len() > 1 && word[0] == b'-' {
            self.at += 1;
            self.cluster(options, has_command);
            true
        } else {
            false
        }
    }

    fn long(&mut self, name: &[u8], options: Options, has_command: bool) {
        const DASHES: usize = 2;
        let equals = name.iter().position(|byte| *byte == b'=');
        let end = equals.unwrap_or(name.len());
        let option = options.long(&name[..end]);
        let (role, takes_value) = match option {
            Some(option) => (option.role(), option.takes_value),
            // `--message` where the command has none: it was meant as one.
            None if is_message(&name[..end]) && has_command => {
                (Some(Role::Message), true)
            }
            None => {
                let is_secret = equals.is_none()
                    && is_secret_name(name)
                    && self
                        .words
                        .get(self.at)
                        .is_some_and(|next| !next.as_ref().starts_with(b"-"));
                (Some(Role::Secret), is_secret)
            }
        };
        if let Some(option) = option {
            self.parsed.options.push((option.long, takes_value));
        }
        if !takes_value {
            return;
        }
        let value = match equals {
            Some(equals) => {
                let start = DASHES + equals + 1;
                Some((self.at - 1, start))
            }
            None => self.next(),
        };
        self.value(value, role);
    }

    /// Reads letters after one dash.
    fn cluster(&mut self, options: Options, has_command: bool) {
        let number = self.at - 1;
        let word = self.words[number].as_ref();
        for (at, letter) in word.iter().enumerate().skip(1) {
            let option = options.short(*letter);
            if let Some(option) = option {
                self.parsed.options.push((option.long, option.takes_value));
            }
            let role = match option {
                Some(option) if option.takes_value => option.role(),
                Some(_) => continue,
                None if *letter == b'm' && has_command => Some(Role::Message),
                None if *letter == b'n' && self.is_noted => Some(Role::Message),
                None => continue,
            };
            let value = if at + 1 < word.len() {
                Some((number, at + 1))
            } else {
                self.next()
            };
            self.value(value, role);
            return;
        }
    }

    /// The next word, as a value.
    fn next(&mut self) -> Option<(usize, usize)> {
        let number = self.at;
        self.at += 1;
        (number < self.words.len()).then_some((number, 0))
    }

    fn value(&mut self, value: Option<(usize, usize)>, role: Option<Role>) {
        if let (Some((word, start)), Some(role)) = (value, role) {
            let range = start..self.words[word].as_ref().len();
            if !range.is_empty() {
                self.parsed.parts.push(Part { word, range, role });
            }
        }
    }
}

/// Options whose value is a text that a person wrote, for commands that stock
/// hg does not have.
const FREE_TEXTS: [&[u8]; 6] = [
    b"comment",
    b"description",
    b"note",
    b"reason",
    b"subject",
    b"title",
];

/// Whether this is how `--message` begins, and no other common option; or
/// another name of a text.
fn is_message(name: &[u8]) -> bool {
    (name.len() > 2 && b"message".starts_with(name))
        || FREE_TEXTS.contains(&name)
}

/// Commands of the evolve extension in which -n is `--note`.
const NOTED: [&[u8]; 6] = [
    b"fold",
    b"metaedit",
    b"prune",
    b"obsolete",
    b"split",
    b"touch",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(line: &str) -> Vec<String> {
        let words: Vec<_> = line.split(' ').collect();
        parse(&words)
            .parts
            .into_iter()
            .filter(|part| part.role == Role::Message)
            .map(|part| words[part.word][part.range].to_owned())
            .collect()
    }

    #[test]
    fn message_texts_are_found_in_every_spelling() {
        for line in [
            "commit -m text",
            "ci -mtext",
            "com -Am text",
            "-R repo commit --message text",
            "--cwd=x commit --message=text",
            "commit --mes text",
            "commit --mess=text a b",
            "commit -l file -m text",
            "amend -m text",
            "tag -m text v1",
            "backout -r 3 -m text",
            "import -m text p.diff",
            "phabsend -m text",
            "qnew -Um text p",
            "my-alias -m text",
            "comit -m text",
            "push -m text",
            "amend --note text",
            "amend -n text",
            "email --subject text",
            "email -s text",
            "touch -n text",
            "my-alias --note=text",
            "my-alias --title text",
        ] {
            assert_eq!(messages(line), ["text"], "{line}");
        }
    }

    #[test]
    fn other_options_are_not_mistaken() {
        for line in [
            "log -m text",
            "stat -m text",
            "status -m text",
            "st -m text",
            "resolve -m text",
            "update -m text",
            "bookmark -m old new",
            "bookmarks -m old new",
            "email -m text",
            "transplant -m 3",
            "commit -l m text",
            "commit -dm text",
            "commit -- -m text",
            "log -r -m text",
            "add -n text",
            "log --summary text",
            "debugdata -m 3",
        ] {
            assert_eq!(messages(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn names_are_told_in_full() {
        let parsed = parse(&["-R", "x", "ci", "-Am", "text", "--close"]);
        assert_eq!(parsed.command, Some("commit"));
        assert_eq!(
            parsed.options,
            [
                ("repository", true),
                ("addremove", false),
                ("message", true),
                ("close-branch", false)
            ]
        );
        assert_eq!(parse(&["qwerty"]).command, None);
        assert_eq!(parse(&["s"]).command, None);
    }
}
