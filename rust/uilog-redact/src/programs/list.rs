//! Lists of arguments in the notations of programs, files and tools:
//! `spawn('curl', ['-u', X])`, `Command::new("curl").arg("-u")`, JSON, YAML in
//! both styles, XML, `a0="curl" a1="-u"`.
//!
//! The text between two quoted texts decides whether they belong to one list:
//! punctuation, and the few words that languages have there. Must not know
//! secrets. [`crate::shell`] reads command lines.

use std::ops::Range;

use memchr::memchr;
use memchr::memchr2;
use memchr::memmem;

use crate::argument::Arg;
use crate::programs::table::table;
use crate::rule::marker_at;
use crate::shell::Command;
use crate::steps;
use crate::words::Word;

/// Words between the arguments of one list.
const BETWEEN: [&[u8]; 36] = [
    b"arg",
    b"args",
    b"argument",
    b"arguments",
    b"argumentlist",
    b"argv",
    b"array",
    b"arrays",
    b"as_ref",
    b"aslist",
    b"asref",
    b"b",
    b"c",
    b"commandarguments",
    b"cmdargs",
    b"command_args",
    b"f",
    b"flags",
    b"into",
    b"line",
    b"list",
    b"new",
    b"of",
    b"options",
    b"osstr",
    b"param",
    b"parameters",
    b"params",
    b"r",
    b"str",
    b"string",
    b"to_owned",
    b"to_string",
    b"u",
    b"value",
    b"vec",
];

/// Words before the first argument of a list.
const BEFORE: [&[u8]; 12] = [
    b"cmd",
    b"command",
    b"entrypoint",
    b"exec",
    b"executable",
    b"exe",
    b"file",
    b"filename",
    b"filepath",
    b"path",
    b"program",
    b"shell",
];

/// The lists in a text.
pub(super) fn lists(text: &[u8]) -> Vec<Command> {
    let mut lists = Vec::new();
    if memchr2(b'\'', b'"', text).is_some() || memchr(b'[', text).is_some() {
        Reader {
            text,
            lists: &mut lists,
            run: Vec::new(),
            last_word: None,
            flow: None,
        }
        .read();
    }
    if memmem::find(text, b"- ").is_some() && memchr(b'\n', text).is_some() {
        find_blocks(text, &mut lists);
    }
    if memmem::find(text, b"</").is_some() {
        find_elements(text, &mut lists);
    }
    lists
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

fn push_list(lists: &mut Vec<Command>, args: &mut Vec<Arg>) {
    let args = std::mem::take(args);
    if !args.is_empty() {
        lists.push(Command {
            args,
            ..Command::default()
        });
    }
}

/// An argument without quotes.
fn bare(text: &[u8], range: Range<usize>) -> Arg {
    let mut word = Word::default();
    word.push(text, range.start, range.len());
    word.range = range;
    Arg::in_list(word, false)
}

/// The text in the quotes that begin here, with its escapes; none if they do
/// not end on the same line.
fn quoted(text: &[u8], start: usize) -> Option<Word> {
    let quote = text[start];
    let mut word = Word::default();
    let mut at = start + 1;
    loop {
        match *text.get(at)? {
            b'\n' => return None,
            b'\\' if matches!(text.get(at + 1), Some(b'\\' | b'"' | b'\'')) => {
                word.push_unit(text[at + 1], at, 2);
                at += 2;
            }
            byte if byte == quote => {
                word.range = start..at + 1;
                return Some(word);
            }
            _ => {
                word.push(text, at, 1);
                at += 1;
            }
        }
    }
}

/// A list in brackets, whose items need no quotes: `[curl, -u, X]`.
struct Flow {
    args: Vec<Arg>,
    /// Where the item begins that is read.
    start: usize,
    /// Whether one of them has no quotes.
    has_bare: bool,
}

struct Reader<'t, 'l> {
    text: &'t [u8],
    lists: &'l mut Vec<Command>,
    run: Vec<Arg>,
    /// A word before the first argument, which may be the program's name.
    last_word: Option<Range<usize>>,
    flow: Option<Flow>,
}

impl Reader<'_, '_> {
    fn read(mut self) {
        let text = self.text;
        steps::add(text.len());
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            if let Some(len) = marker_at(&text[at..]) {
                self.end();
                at += len;
                continue;
            }
            match byte {
                b'\'' | b'"' if !is_apostrophe(text, at) => {
                    match quoted(text, at) {
                        Some(word) => {
                            at = word.range.end;
                            self.string(word);
                        }
                        None => {
                            at += 1;
                            self.end();
                        }
                    }
                }
                b'\\' => at += 2,
                b'[' => {
                    at += 1;
                    self.flow = Some(Flow {
                        args: Vec::new(),
                        start: at,
                        has_bare: false,
                    });
                }
                b',' | b']' => {
                    self.item(at, byte == b']');
                    at += 1;
                }
                b';' | b'|' | b'+' | b'%' => {
                    self.end();
                    at += 1;
                }
                b'\n' => {
                    self.last_word = None;
                    at += 1;
                }
                _ if is_of_word(byte) => {
                    let len = text[at..]
                        .iter()
                        .take_while(|byte| is_of_word(**byte))
                        .count();
                    self.word(at..at + len);
                    at += len;
                }
                _ => at += 1,
            }
        }
        self.end();
    }

    fn end(&mut self) {
        push_list(self.lists, &mut self.run);
        self.last_word = None;
    }

    /// A word outside of quotes.
    fn word(&mut self, range: Range<usize>) {
        let word = &self.text[range.clone()];
        let name = word.strip_prefix(b"-").unwrap_or(word);
        let is_before = is_one_of(name, &BEFORE);
        let digits =
            name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let is_between = matches!(
            &name[..name.len() - digits],
            b"a" | b"arg" | b"argv" | b""
        ) || is_one_of(name, &BETWEEN);
        if is_before {
            let last = self.last_word.take();
            self.end();
            self.last_word = last;
        } else if !is_between {
            self.end();
            // `ENV['x']` is no call of a program.
            let is_program = name.len() == word.len()
                && self.text.get(range.end).is_none_or(u8::is_ascii_whitespace);
            self.last_word = is_program.then_some(range);
        }
    }

    /// A text in quotes: an argument, or the key of another thing.
    fn string(&mut self, word: Word) {
        let behind = self.text[word.range.end..].trim_ascii_start();
        steps::add(self.text.len() - word.range.end - behind.len());
        let is_key = match behind {
            [b':', b':', ..] => false,
            [b':', ..] | [b'=', b'>', ..] => true,
            _ => false,
        };
        if is_key {
            // `"args": [`, but not `"c": `.
            if word.bytes.len() < 4 || !is_one_of(&word.bytes, &BETWEEN) {
                self.end();
            }
            return;
        }
        if self.run.is_empty()
            && let Some(last) = self.last_word.take()
            && !table().lines(&self.text[last.clone()]).is_empty()
        {
            self.run.push(bare(self.text, last));
        }
        self.run.push(Arg::in_list(word, true));
    }

    /// The end of an item in brackets, and perhaps of the list.
    fn item(&mut self, at: usize, is_last: bool) {
        let Some(flow) = &mut self.flow else {
            return;
        };
        let item = &self.text[flow.start..at];
        let start = flow.start + item.len() - item.trim_ascii_start().len();
        let end = start + item.trim_ascii().len();
        flow.start = at + 1;
        steps::add(end - start);
        let in_quotes = matches!(self.text.get(start), Some(b'"' | b'\''))
            .then(|| quoted(self.text, start))
            .flatten()
            .filter(|word| word.range.end == end);
        match in_quotes {
            Some(word) => flow.args.push(Arg::in_list(word, true)),
            // An expression of a program.
            None if memchr2(b'"', b'\'', &self.text[start..end]).is_some() => {
                self.flow = None;
                return;
            }
            None if start < end => {
                flow.args.push(bare(self.text, start..end));
                flow.has_bare = true;
            }
            None => {}
        }
        if is_last
            && let Some(mut flow) = self.flow.take()
            && flow.has_bare
        {
            push_list(self.lists, &mut flow.args);
        }
    }
}

/// Whether this quote is in `don't`, and not behind Python's `b`.
fn is_apostrophe(text: &[u8], at: usize) -> bool {
    let before = &text[..at];
    let is_letter =
        |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text[at] == b'\''
        && is_letter(before.last())
        && (before.len() > 1 && is_letter(before.get(at - 2))
            || !matches!(before[at - 1], b'b' | b'u' | b'r' | b'f'))
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$')
}

/// YAML's lists of a line for each item. A `command:` may come before `args:`.
fn find_blocks(text: &[u8], lists: &mut Vec<Command>) {
    steps::add(text.len());
    let mut args = Vec::new();
    let mut indentation = None;
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let start = at + line.len() - line.trim_ascii_start().len();
        let end = start + line.trim_ascii().len();
        at += line.len();
        let content = &text[start..end.max(start)];
        if let Some(item) = content.strip_prefix(b"- ") {
            let start_of_item = end - item.trim_ascii_start().len();
            if indentation
                .is_some_and(|other| other != line.len() - (at - start))
            {
                push_list(lists, &mut args);
            }
            indentation = Some(line.len() - (at - start));
            args.push(value(text, start_of_item..end));
            continue;
        }
        let colon = memchr(b':', content).unwrap_or(content.len());
        let (key, rest) = content.split_at(colon);
        indentation = None;
        let key = key.strip_prefix(b"- ").unwrap_or(key);
        if rest == b":" && is_one_of(key, &BETWEEN) {
            continue;
        }
        push_list(lists, &mut args);
        if is_one_of(key, &BEFORE) && rest.len() > 1 {
            let rest = rest[1..].trim_ascii_start();
            let rest = rest.strip_prefix(b"[").unwrap_or(rest);
            let rest = end - rest.trim_ascii_start().len()..end;
            let len = text[rest.clone()]
                .iter()
                .position(|byte| b",]".contains(byte))
                .unwrap_or(rest.len());
            args.push(value(text, rest.start..rest.start + len));
        }
    }
    push_list(lists, &mut args);
}

/// A value that may have quotes.
fn value(text: &[u8], range: Range<usize>) -> Arg {
    if matches!(text.get(range.start), Some(b'"' | b'\''))
        && let Some(word) = quoted(text, range.start)
        && word.range.end == range.end
    {
        return Arg::in_list(word, true);
    }
    bare(text, range)
}

/// XML's lists of an element for each item: `<string>curl</string>`.
fn find_elements(text: &[u8], lists: &mut Vec<Command>) {
    steps::add(text.len());
    let mut args = Vec::new();
    let mut name: &[u8] = b"";
    let mut at = 0;
    // Where the last element ended.
    let mut last = 0;
    while let Some(open) = memchr(b'<', &text[at..]) {
        let open = at + open;
        at = open + 1;
        let len = text[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let tag = &text[at..at + len];
        at += len;
        if len == 0 || text.get(at) != Some(&b'>') {
            continue;
        }
        let start = at + 1;
        let Some(end) = memchr(b'<', &text[start..]) else {
            break;
        };
        let end = start + end;
        at = end;
        let close = &text[end..];
        let is_closed = close.strip_prefix(b"</").is_some_and(|close| {
            close.starts_with(tag) && close.get(len) == Some(&b'>')
        });
        if !is_closed {
            continue;
        }
        let is_next = text[last..open].trim_ascii().is_empty()
            && (tag == name
                || is_one_of(tag, &BETWEEN) && is_one_of(name, &BEFORE));
        if !is_next {
            push_list(lists, &mut args);
        }
        args.push(bare(text, start..end));
        name = tag;
        at = end + len + 3;
        last = at;
    }
    push_list(lists, &mut args);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation_is_read() {
        for text in [
            "spawn('a', ['-p', 'b c'])",
            "execFile(\"a\", [\"-p\",\"b c\"], {x: 1})",
            "{\"command\": \"a\",\n \"args\": [\n  \"-p\",\n  \"b c\"\n]}",
            "Command::new(\"a\").arg(\"-p\").arg(\"b c\").spawn()",
            "Start-Process curl -ArgumentList '-p','b c'",
            "command: [\"a\"]\nargs: [\"-p\", \"b c\"]",
            "[a, -p, b c]",
            "command: a\nargs:\n- -p\n- b c\n",
            "command: ['a']\nargs:\n  - '-p'\n  - b c\n",
            "x:\n  - a\n  - -p\n  - \"b c\"\ny: z\n",
            "<string>a</string>\n <string>-p</string><string>b c</string>",
            "<exec executable=\"a\"><arg value=\"-p\"/><arg value=\"b c\"/>",
            "argc=3 a0=\"a\" a1=\"-p\" a2=\"b c\"",
        ] {
            let found = lists(text.as_bytes());
            let is_read = found.iter().any(|list| {
                list.args
                    .iter()
                    .map(|arg| &arg.bytes[..])
                    .skip_while(|arg| *arg == b"a" || *arg == b"curl")
                    .eq([&b"-p"[..], b"b c"])
                    && list.args.len() == 3
            });
            assert!(is_read, "{text}: {found:?}");
        }
    }

    #[test]
    fn an_apostrophe_is_in_a_word() {
        for (text, expected) in [
            ("don't", true),
            ("sub'x", true),
            ("b'x", false),
            (" b'x", false),
            ("(r'x", false),
            (" 'x", false),
            ("a\"x", false),
        ] {
            let at = text.find(['\'', '"']).unwrap();
            let found = is_apostrophe(text.as_bytes(), at);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn keys_and_statements_end_a_list() {
        for text in [
            "{\"a\": \"b\", \"c\": \"d\"}",
            "f('a'); g('b')",
            "x = 'a' + 'b'",
            "open('a') and 'b'",
        ] {
            let found = lists(text.as_bytes());
            let is_list = |list: &Command| {
                list.args.iter().filter(|arg| !arg.is_bare).count() > 1
            };
            assert!(!found.iter().any(is_list), "{text}: {found:?}");
        }
    }
}
