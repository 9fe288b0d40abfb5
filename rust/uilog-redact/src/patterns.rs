//! What brings each finder to work: words, all looked for in one pass.
//!
//! Knows nothing of policies, and not what the finders do.

use std::collections::HashSet;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use crate::found::Found;
use crate::headers;
use crate::name;
use crate::pem;
use crate::programs;
use crate::shape::SHAPES;
use crate::shape::Shapes;
use crate::steps;
use crate::token;
use crate::token::TOKENS;

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
    Options,
    Shape(usize),
    Token(usize, &'static str),
}

/// The finders that have a reason to look at a text.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) userinfo: bool,
    pub(crate) parameters: bool,
    pub(crate) assignments: bool,
    pub(crate) private_keys: bool,
    pub(crate) commands: bool,
    pub(crate) headers: bool,
    pub(crate) settings: bool,
    pub(crate) sections: bool,
    pub(crate) programs: bool,
    pub(crate) shapes: u128,
}

/// There are no more shapes than bits for them.
const _: () = assert!(SHAPES.len() <= 128);

/// What precedes parameters in URLs.
const PARAMETER_WORDS: [&str; 7] = ["?", "&", "#", ";", "%3f", "%26", "%23"];

/// How a shell calls hg.
const COMMAND_WORDS: [&str; 4] = ["hg ", "hg\" ", "hg} ", "hg}\" "];

/// What any program may be called with.
const OPTION_WORDS: [&str; 33] = [
    " -p",
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
];

/// Whether the name of a program that is here is a word of its own, and
/// something may follow it.
fn is_called(text: &[u8], start: usize, end: usize) -> bool {
    let is_name = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
    };
    !text[..start].last().is_some_and(is_name)
        && match &text[end..] {
            // `mysql.exe`, but not `mysql.c`
            [b'.', b'a'..=b'z' | b'A'..=b'Z', _, _, ..] => true,
            [b' ' | b'\t' | b'\'' | b'"' | b'\\' | b'=', ..] => true,
            _ => false,
        }
}

/// The longest name of a program in the table.
const MAX_PROGRAM_BYTES: usize = 32;

/// What is looked for whatever the policy. It takes a megabyte and more, so
/// there is one for all redactors.
#[derive(Debug)]
pub(crate) struct Patterns {
    words: AhoCorasick,
    finders: Vec<Finder>,
    programs: HashSet<Vec<u8>>,
    pub(crate) shapes: Shapes,
}

impl Patterns {
    /// The patterns, made when they are first needed.
    pub(crate) fn get() -> &'static Self {
        static PATTERNS: OnceLock<Patterns> = OnceLock::new();
        PATTERNS.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut words: Vec<&str> = Vec::new();
        let mut finders = Vec::new();
        let mut add = |finder, new: &[&'static str]| {
            words.extend(new);
            finders.extend(new.iter().map(|_| finder));
        };
        add(Finder::Userinfo, &["://", r":\/\/", "%3a%2f%2f"]);
        add(Finder::Parameters, &PARAMETER_WORDS);
        for word in name::words() {
            add(Finder::Assignments, &[word]);
        }
        add(Finder::PrivateKeys, &pem::WORDS);
        add(Finder::Commands, &COMMAND_WORDS);
        add(Finder::Headers, &headers::ENDINGS);
        add(Finder::Settings, &["config(", "configoverride", "set("]);
        add(Finder::Sections, &["[auth]", "[hostsecurity]"]);
        add(Finder::Options, &OPTION_WORDS);
        for (number, shape) in SHAPES.iter().enumerate() {
            add(Finder::Shape(number), shape.words);
        }
        for (number, token) in TOKENS.iter().enumerate() {
            for prefix in token.prefixes {
                add(Finder::Token(number, prefix), &[prefix]);
            }
        }
        Self {
            words: AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(words)
                .expect("a few hundred words are not too many"),
            finders,
            programs: programs::table::names()
                .filter(|name| {
                    // `http -a` is a command, `http:` is none.
                    name.starts_with("http")
                        || !programs::is_word(name.as_bytes())
                })
                .map(|name| name.to_ascii_lowercase().into_bytes())
                .collect(),
            shapes: Shapes::new(),
        }
    }

    /// Whether a program is called that is in the table. Hundreds of names take
    /// longer to be made a machine of than to be looked up one by one.
    fn has_program(&self, text: &[u8]) -> bool {
        let is_of_name = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
        };
        let mut at = 0;
        let mut lower = [0; MAX_PROGRAM_BYTES];
        while at < text.len() {
            let len = text[at..].iter().take_while(|b| is_of_name(b)).count();
            if len == 0 {
                at += 1;
                continue;
            }
            let word = &text[at..at + len];
            // `plink.exe` is called plink.
            let stem = word
                .iter()
                .position(|byte| *byte == b'.')
                .map_or(word, |dot| &word[..dot]);
            for name in [word, stem] {
                if name.is_empty() || name.len() > MAX_PROGRAM_BYTES {
                    continue;
                }
                let lower = &mut lower[..name.len()];
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                if self.programs.contains(&*lower)
                    && is_called(text, at, at + name.len())
                {
                    return true;
                }
            }
            at += len;
        }
        false
    }

    /// Which finders have a reason to look at a text; finds tokens by the way.
    pub(crate) fn wanted(&self, text: &[u8], found: &mut Vec<Found>) -> Wanted {
        steps::add(text.len());
        let mut wanted = Wanted::default();
        let mut tokens = token::Matcher::new();
        for word in self.words.find_overlapping_iter(text) {
            match self.finders[word.pattern().as_usize()] {
                Finder::Userinfo => wanted.userinfo = true,
                Finder::Parameters => wanted.parameters = true,
                Finder::Assignments => wanted.assignments = true,
                Finder::PrivateKeys => wanted.private_keys = true,
                Finder::Commands => wanted.commands = true,
                Finder::Headers => wanted.headers = true,
                Finder::Settings => wanted.settings = true,
                Finder::Sections => wanted.sections = true,
                Finder::Options => wanted.programs = true,
                Finder::Shape(number) => wanted.shapes |= 1 << number,
                Finder::Token(number, prefix) => {
                    tokens.look(number, prefix, text, word.end(), found);
                }
            }
        }
        wanted.programs = wanted.programs || self.has_program(text);
        wanted
    }
}
