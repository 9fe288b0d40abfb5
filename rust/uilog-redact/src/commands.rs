//! Which word of a command line is what: hg's commands and their options.
//!
//! Mercurial's table is `commands.txt`. What is not in it, because it is an
//! alias or another extension's, is taken for a command that has the options
//! of `commit`: who writes `-m` most likely means a message.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use crate::name::is_telling;

/// What a part of a word is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// A text that somebody wrote.
    Message,
    /// The name of a user.
    User,
    /// What follows an option that stock hg has not, and whose name tells.
    Secret,
}

/// A part of a word.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Part {
    /// Which word.
    pub(crate) word: usize,
    /// Which part of it.
    pub(crate) range: Range<usize>,
    /// What it is.
    pub(crate) role: Role,
}

/// A command line, taken apart.
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
    fn parse(text: &'static str) -> Self {
        let (text, takes_value) = match text.strip_suffix('=') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (short, long) = match text.split_once(',') {
            Some((short, long)) => (short.bytes().next(), long),
            None => (None, text),
        };
        Self {
            short,
            long,
            takes_value,
        }
    }

    fn role(&self) -> Option<Role> {
        match self.long {
            _ if !self.takes_value => None,
            "message" | "comment" | "note" | "subject" => Some(Role::Message),
            "user" => Some(Role::User),
            _ => None,
        }
    }
}

/// The commands of stock hg.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) global: Vec<Opt>,
    /// Each command's name and options.
    pub(crate) commands: Vec<(&'static str, Vec<Opt>)>,
    /// Names and aliases.
    numbers: HashMap<&'static str, usize>,
    /// The number of the command whose options an unknown one has.
    fallback: usize,
}

pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(include_str!("../commands.txt")))
}

impl Table {
    fn parse(text: &'static str) -> Self {
        let mut global = Vec::new();
        let mut commands = Vec::new();
        let mut numbers = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // A name may hold colons, but no space behind one.
            let (names, options) = line
                .split_once(": ")
                .or_else(|| line.strip_suffix(':').map(|names| (names, "")))
                .expect("a line has a colon");
            let options = options.split(' ').filter(|text| !text.is_empty());
            let options: Vec<_> = options.map(Opt::parse).collect();
            let mut names = names.split(' ');
            let name = names.next().expect("a split has a part");
            if name == "*" {
                global = options;
                continue;
            }
            for name in names.chain([name]) {
                numbers.insert(name, commands.len());
            }
            commands.push((name, options));
        }
        let fallback = numbers["commit"];
        Self {
            global,
            commands,
            numbers,
            fallback,
        }
    }

    /// The command that this is the whole name of.
    pub(crate) fn exact_command(&self, word: &[u8]) -> Option<usize> {
        let word = std::str::from_utf8(word).ok()?;
        self.numbers.get(word).copied()
    }

    /// The command that this is the name of, or the beginning of the name.
    // hg: cmdutil.findpossible
    pub(crate) fn command(&self, word: &[u8]) -> Option<usize> {
        if let Some(number) = self.exact_command(word) {
            return Some(number);
        }
        let word = std::str::from_utf8(word).ok()?;
        if word.is_empty() {
            return None;
        }
        let mut possible = self
            .numbers
            .iter()
            .filter(|(name, _)| name.starts_with(word))
            .map(|(_, number)| *number);
        let number = possible.next()?;
        possible.all(|other| other == number).then_some(number)
    }
}

/// The options that a command has.
#[derive(Clone, Copy)]
pub(crate) struct Options<'t> {
    pub(crate) own: &'t [Opt],
    pub(crate) global: &'t [Opt],
}

impl Options<'static> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'static Opt> {
        self.own.iter().chain(self.global)
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

/// Says of each word what it is: `words` is everything behind `hg`.
// hg: dispatch._parse over fancyopts.fancyopts
pub(crate) fn parse<W: AsRef<[u8]>>(words: &[W]) -> Parsed {
    let table = table();
    let mut parser = Parser {
        words,
        at: 0,
        parsed: Parsed::default(),
        is_noted: false,
    };
    let mut options = Options {
        own: &[],
        global: &table.global,
    };
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
    let number = table.command(command.as_ref());
    parser.parsed.command = number.map(|number| table.commands[number].0);
    options.own = &table.commands[number.unwrap_or(table.fallback)].1;
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
    fn option(&mut self, options: Options<'static>, has_command: bool) -> bool {
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

    fn long(
        &mut self,
        name: &[u8],
        options: Options<'static>,
        has_command: bool,
    ) {
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
                    && is_telling(name)
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

    /// Reads letters behind one dash.
    fn cluster(&mut self, options: Options<'static>, has_command: bool) {
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

/// Options whose value is a text that somebody wrote, of commands that stock hg
/// has not.
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
