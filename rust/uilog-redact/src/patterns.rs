//! The words that trigger each finder, all searched for in one pass.
//!
//! Must not know policies, or what the finders do.

use crate::calls;
use crate::finding::Finding;
use crate::headers;
use crate::name;
use crate::pem;
use crate::programs;
use crate::shape::SHAPES;
use crate::steps;
use crate::token;
use crate::token::TOKENS;
use crate::trie::Trie;
use crate::trie::most_nodes;

/// What may begin the work of a finder.
#[derive(Clone, Copy, Debug)]
enum Finder {
    Userinfo,
    Parameters,
    Assignments,
    PrivateKeys,
    Commands,
    Headers,
    Settings,
    Sections,
    Calls,
    Options,
    Shape(usize),
    /// Which token, and which of its prefixes.
    Token(usize, usize),
}

/// The finders that have a reason to look at a text.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(crate) struct ActiveFinders {
    pub(crate) userinfo: bool,
    pub(crate) parameters: bool,
    pub(crate) assignments: bool,
    pub(crate) private_keys: bool,
    pub(crate) commands: bool,
    pub(crate) headers: bool,
    pub(crate) settings: bool,
    pub(crate) sections: bool,
    pub(crate) calls: bool,
    pub(crate) programs: bool,
    pub(crate) shapes: u128,
}

/// Each shape has a bit.
const _: () = assert!(SHAPES.len() <= 128);

/// What precedes parameters in URLs.
const PARAMETER_WORDS: [&str; 7] = ["?", "&", "#", ";", "%3f", "%26", "%23"];

/// How a shell calls hg.
const COMMAND_WORDS: [&str; 4] = ["hg ", "hg\" ", "hg} ", "hg}\" "];

/// What any program may be called with.
const OPTION_WORDS: [&str; 44] = [
    " -p",
    "'-p'",
    "\"-p\"",
    "-p\\\"",
    ">-p<",
    "\0-p",
    "-pass",
    "-pw",
    "auth",
    "cred",
    "userp",
    "-token",
    "-secret",
    "-apikey",
    "-storepass",
    "-keypass",
    "-otp",
    "-pat",
    "/p:",
    "/pass",
    "<<<",
    "stdin",
    "<(",
    "'hg'",
    "\"hg\"",
    "hg\\\"",
    "-key",
    ".args=",
    "-fd",
    "| sudo -s",
    "| passwd",
    "set -",
    "net use",
    "net user",
    "http -",
    "https -",
    "env ",
    "security ",
    "connect ",
    " /d ",
    "-value ",
    "printf ",
    "_cmd",
    "secret",
];

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether the name of a program that ends here is a separate word, and
/// something may follow it.
fn is_called(text: &[u8], end: usize) -> bool {
    match &text[end..] {
        // `mysql.exe`, but not `mysql.c`
        [b'.', b'a'..=b'z' | b'A'..=b'Z', _, _, ..] => true,
        [b' ' | b'\t' | b'\'' | b'"' | b'\\' | b'=', ..] => true,
        // In a list.
        [b',' | b']' | b'<' | b'\n' | b'\r' | 0, ..] => true,
        _ => false,
    }
}

/// The words that bring a finder to work which is no shape or token.
const GROUPS: [(Finder, &[&str]); 10] = [
    (Finder::Userinfo, &["://", r":\/\/", "%3a%2f%2f"]),
    (Finder::Parameters, &PARAMETER_WORDS),
    (Finder::Assignments, &name::WORDS),
    (Finder::PrivateKeys, &pem::WORDS),
    (Finder::Commands, &COMMAND_WORDS),
    (Finder::Headers, &headers::ENDINGS),
    (Finder::Settings, &["config(", "configoverride", "set("]),
    (Finder::Sections, &["[auth]", "[hostsecurity]"]),
    (Finder::Calls, &calls::WORDS),
    (Finder::Options, &OPTION_WORDS),
];

/// All words, and for each its finder.
struct Table {
    words: [&'static str; WORDS],
    finders: [Finder; WORDS],
    len: usize,
}

/// How many words there are.
const WORDS: usize = {
    let mut count = 0;
    let mut at = 0;
    while at < GROUPS.len() {
        count += GROUPS[at].1.len();
        at += 1;
    }
    at = 0;
    while at < SHAPES.len() {
        count += SHAPES[at].words.len();
        at += 1;
    }
    at = 0;
    while at < TOKENS.len() {
        count += TOKENS[at].prefixes.len();
        at += 1;
    }
    count
};

impl Table {
    const fn add(&mut self, word: &'static str, finder: Finder) {
        self.words[self.len] = word;
        self.finders[self.len] = finder;
        self.len += 1;
    }

    const fn new() -> Self {
        let mut table = Self {
            words: [""; WORDS],
            finders: [Finder::Options; WORDS],
            len: 0,
        };
        let mut at = 0;
        while at < GROUPS.len() {
            let (finder, words) = GROUPS[at];
            let mut word = 0;
            while word < words.len() {
                table.add(words[word], finder);
                word += 1;
            }
            at += 1;
        }
        at = 0;
        while at < SHAPES.len() {
            let words = SHAPES[at].words;
            let mut word = 0;
            while word < words.len() {
                table.add(words[word], Finder::Shape(at));
                word += 1;
            }
            at += 1;
        }
        at = 0;
        while at < TOKENS.len() {
            let prefixes = TOKENS[at].prefixes;
            let mut prefix = 0;
            while prefix < prefixes.len() {
                table.add(prefixes[prefix], Finder::Token(at, prefix));
                prefix += 1;
            }
            at += 1;
        }
        assert!(table.len == WORDS, "every word is counted");
        table
    }
}

const TABLE: Table = Table::new();

const NODES: usize =
    Trie::<{ most_nodes(&TABLE.words) }, WORDS>::new(&TABLE.words).len();

static FINDERS: [Finder; WORDS] = TABLE.finders;
static TRIE: Trie<NODES, WORDS> = Trie::new(&TABLE.words);

/// Whether a program is called that is in the table.
fn has_program(text: &[u8]) -> bool {
    let mut is_in_name = false;
    for at in 0..text.len() {
        let is_start = !is_in_name;
        is_in_name = is_of_name(text[at]);
        if is_start
            && is_in_name
            && programs::table::names_at(text, at).any(|end| {
                let name = &text[at..end];
                // `http -a` is a command, `http:` is not.
                is_called(text, end)
                    && (name
                        .get(..4)
                        .is_some_and(|n| n.eq_ignore_ascii_case(b"http"))
                        || !programs::is_word(name))
            })
        {
            return true;
        }
    }
    false
}

/// Which finders have a reason to look at a text; finds tokens by the way.
pub(crate) fn wanted(text: &[u8], found: &mut Vec<Finding>) -> ActiveFinders {
    steps::add(text.len());
    let mut wanted = ActiveFinders::default();
    let mut tokens = token::Matcher::new();
    for word in TRIE.find(text) {
        match FINDERS[word.word] {
            Finder::Userinfo => wanted.userinfo = true,
            Finder::Parameters => wanted.parameters = true,
            Finder::Assignments => wanted.assignments = true,
            Finder::PrivateKeys => wanted.private_keys = true,
            Finder::Commands => wanted.commands = true,
            Finder::Headers => wanted.headers = true,
            Finder::Settings => wanted.settings = true,
            Finder::Sections => wanted.sections = true,
            Finder::Calls => wanted.calls = true,
            Finder::Options => wanted.programs = true,
            Finder::Shape(number) => wanted.shapes |= 1 << number,
            Finder::Token(number, prefix) => {
                let prefix = TOKENS[number].prefixes[prefix];
                tokens.check_token(number, prefix, text, word.end, found);
            }
        }
    }
    wanted.programs = wanted.programs || has_program(text);
    wanted
}
