//! The table of `programs.txt`: which program takes secrets in which places.
//!
//! Knows neither commands nor secrets.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::trie::Trie;
use crate::trie::most_nodes;

/// Where a program takes a value.
#[derive(Debug)]
pub(crate) enum ArgumentPosition {
    /// `-p`, `-pass`, `--pass`
    Option(&'static str),
    /// `-p`, if the value follows without a space.
    Glued(&'static str),
    /// `/p:`
    Slash(&'static str),
    /// The argument of this number, counted from one; which options have to
    /// be there.
    Argument(usize, &'static [u8]),
    Last(&'static [u8]),
    /// The argument after one whose name suggests a secret.
    Named(&'static [u8]),
    /// The argument after this word.
    Keyword(&'static str),
    /// `name=`
    Assigned(&'static str),
    /// What the program reads.
    Input(&'static [u8]),
}

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Nothing,
    Whole,
    /// This and the next.
    Two,
    /// If it looks like no word.
    Chosen,
    Random,
    /// If it is certainly made by a machine, and is no hash.
    Made,
    /// What follows the first of these.
    After(u8),
    AfterUpToHost(u8),
    AfterLast(u8),
    Prefixed(&'static str),
    Cookies,
    Header,
    Proxy,
    Community,
    /// Neither a share nor a drive.
    Password,
    IfBasic,
    Echo,
}

impl Value {
    fn parse(text: &'static str) -> Self {
        match text {
            "_" => Self::Nothing,
            "X" => Self::Whole,
            "X,X" => Self::Two,
            "S" => Self::Chosen,
            "R" => Self::Random,
            "U:X" => Self::After(b':'),
            "U%X" => Self::After(b'%'),
            "U,X" => Self::After(b','),
            "U=X" => Self::After(b'='),
            "U/X" => Self::AfterUpToHost(b'/'),
            "D:X" => Self::AfterUpToHost(b':'),
            "L:X" => Self::AfterLast(b':'),
            "C" => Self::Cookies,
            "H" => Self::Header,
            "P" => Self::Proxy,
            "M" => Self::Community,
            "N" => Self::Password,
            "B" => Self::IfBasic,
            "E" => Self::Echo,
            _ => Self::Prefixed(
                text.strip_suffix('X').expect("a test reads the table"),
            ),
        }
    }

    /// Whether the value itself shows that it is one.
    pub(crate) fn has_separator(self) -> bool {
        matches!(
            self,
            Self::After(_) | Self::AfterUpToHost(_) | Self::Prefixed(_)
        )
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) subcommands: Vec<&'static str>,
    pub(crate) places: Vec<(ArgumentPosition, Value)>,
}

impl Program {
    /// Whether secrets are found by more than the position of an argument.
    pub(crate) fn has_options(&self) -> bool {
        self.places.iter().any(|(place, _)| {
            !matches!(
                place,
                ArgumentPosition::Argument(..)
                    | ArgumentPosition::Last(_)
                    | ArgumentPosition::Named(_)
            )
        })
    }
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) programs: Vec<Program>,
    lines: HashMap<&'static [u8], Vec<usize>>,
}

const TEXT: &str = include_str!("../../programs.txt");

/// The lines that are about something: names, subcommands, places.
fn entries() -> impl Iterator<Item = (&'static str, &'static str, &'static str)>
{
    TEXT.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (head, places) =
                line.split_once(": ").expect("a test reads the table");
            let (names, subcommands) =
                head.split_once(' ').unwrap_or((head, ""));
            (names, subcommands, places)
        })
}

/// The names of all programs.
pub(crate) const NAMES: &[&str] =
    include!(concat!(env!("OUT_DIR"), "/program_names.rs"));

const NAME_COUNT: usize = NAMES.len();

const NODES: usize = Trie::<{ most_nodes(NAMES) }, NAME_COUNT>::new(
    NAMES.first_chunk().expect("these are all"),
)
.len();

static TRIE: Trie<NODES, NAME_COUNT> =
    Trie::new(NAMES.first_chunk().expect("these are all"));

/// Where the names of programs end that begin here.
pub(crate) fn names_at(
    text: &[u8],
    start: usize,
) -> impl Iterator<Item = usize> {
    TRIE.find_at(text, start).map(|found| found.end)
}

/// The table, read when it is first needed.
pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(Table::parse)
}

impl Table {
    fn parse() -> Self {
        let mut programs = Vec::new();
        let mut lines: HashMap<_, Vec<_>> = HashMap::new();
        for (names, subcommands, places) in entries() {
            for name in names.split('|') {
                lines
                    .entry(name.as_bytes())
                    .or_default()
                    .push(programs.len());
            }
            programs.push(Program {
                subcommands: subcommands
                    .split('|')
                    .filter(|word| !word.is_empty())
                    .collect(),
                places: places.split(' ').map(parse_place).collect(),
            });
        }
        Self { programs, lines }
    }

    /// The numbers of the lines about a program.
    pub(crate) fn lines(&self, name: &[u8]) -> &[usize] {
        const MAX_NAME_BYTES: usize = 40;
        if name.len() > MAX_NAME_BYTES {
            return &[];
        }
        self.lines
            .get(name)
            .or_else(|| self.lines.get(&name.to_ascii_lowercase()[..]))
            .map_or(&[], |lines| lines)
    }
}

fn parse_place(text: &'static str) -> (ArgumentPosition, Value) {
    // An option may begin with what separates it from its value.
    let equals = text[1..]
        .find('=')
        .map(|at| at + 1)
        .expect("a test reads the table");
    let (place, value) = (&text[..equals], Value::parse(&text[equals + 1..]));
    let (place, flags) = match place.split_once('[') {
        Some((place, flags)) => (place, flags.trim_end_matches(']').as_bytes()),
        None => (place, &b""[..]),
    };
    let place = if place.starts_with('-') {
        match place.strip_suffix('+') {
            Some(place) => ArgumentPosition::Glued(place),
            None => ArgumentPosition::Option(place),
        }
    } else if place.starts_with('/') {
        ArgumentPosition::Slash(place)
    } else if let Some(word) = place.strip_prefix(':') {
        ArgumentPosition::Keyword(word)
    } else if place == "<" {
        ArgumentPosition::Input(flags)
    } else if let Some(number) = place.strip_prefix('@') {
        match number {
            "last" => ArgumentPosition::Last(flags),
            "name" | "env" => ArgumentPosition::Named(flags),
            number => ArgumentPosition::Argument(
                number.parse().expect("a test reads the table"),
                flags,
            ),
        }
    } else {
        ArgumentPosition::Assigned(place)
    };
    (place, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let table = table();
        assert!(table.programs.len() > 200);
        let mut subcommands =
            table.programs.iter().flat_map(|it| &it.subcommands);
        assert!(subcommands.all(|word| !word.contains(' ')));
        assert_eq!(table.lines(b"CURL").len(), 1);
        assert!(table.lines(b"no-such-program").is_empty());
        for name in NAMES {
            assert!(!table.lines(name.as_bytes()).is_empty(), "{name}");
        }
    }
}
