//! The syntax of one hgrc file: bytes in, statements with spans out.
//!
//! Must not know the file system, the meaning of sections, or other files.
//! Memory and time are proportional to the input.

// hg: config.config.parse, whose regular expressions each function names

use std::ops::Range;

/// Where a statement's text is in the input, in bytes.
pub type Span = Range<usize>;

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `[NAME]`.
    Section {
        /// The section's name.
        name: Span,
    },
    /// `NAME = VALUE`.
    Item {
        /// The item's name.
        name: Span,
        /// The first line of its value, perhaps empty.
        value: Span,
    },
    /// One more line of the value of the item before it.
    Continuation {
        /// The line, without what surrounds it.
        text: Span,
    },
    /// `%include PATH`.
    Include {
        /// The path as written.
        path: Span,
    },
    /// `%unset NAME`.
    Unset {
        /// The item's name.
        name: Span,
    },
    /// Anything else. Nothing after it is read.
    Malformed {
        /// The whole line, without trailing white space.
        text: Span,
        /// Whether it begins with a space, which would continue an item if
        /// there were one.
        is_indented: bool,
    },
}

impl Statement {
    /// The positions of its parts, in order.
    pub fn spans(&self) -> Vec<Span> {
        match self.clone() {
            Self::Item { name, value } => vec![name, value],
            Self::Section { name: span }
            | Self::Continuation { text: span }
            | Self::Include { path: span }
            | Self::Unset { name: span }
            | Self::Malformed { text: span, .. } => vec![span],
        }
    }
}

/// A statement and the number of its line, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line's number.
    pub number: usize,
    /// Its statement.
    pub statement: Statement,
}

/// Parses the bytes of a file, one statement after the other.
pub fn parse(data: &[u8]) -> Parser<'_> {
    Parser {
        data,
        position: 0,
        number: 0,
        may_continue: false,
        has_failed: false,
    }
}

/// The statements of a file; comments and empty lines are left out.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    data: &'a [u8],
    position: usize,
    number: usize,
    /// Whether an indented line belongs to an item.
    may_continue: bool,
    has_failed: bool,
}

impl Iterator for Parser<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        while !self.has_failed && self.position < self.data.len() {
            let span = self.next_line();
            if let Some(statement) = self.statement(span) {
                return Some(Line {
                    number: self.number,
                    statement,
                });
            }
        }
        None
    }
}

impl Parser<'_> {
    /// The next line with its end, without a byte order mark.
    fn next_line(&mut self) -> Span {
        let start = self.position;
        let end = start + line_length(&self.data[start..]);
        self.position = end;
        self.number += 1;
        let has_mark =
            start == 0 && self.data[..end].starts_with(b"\xef\xbb\xbf");
        if has_mark { start + 3..end } else { start..end }
    }

    fn statement(&mut self, span: Span) -> Option<Statement> {
        let line = &self.data[span.clone()];
        let at = |range: Range<usize>| {
            span.start + range.start..span.start + range.end
        };
        if self.may_continue {
            if is_comment(line) {
                return None;
            }
            if let Some(text) = continuation(line) {
                return Some(Statement::Continuation { text: at(text) });
            }
            self.may_continue = false;
        }
        if let Some(path) = directive(line, b"%include") {
            let path = at(path);
            return Some(Statement::Include { path });
        }
        if is_comment(line) || line.iter().all(is_space) {
            return None;
        }
        if let Some(name) = section(line) {
            return Some(Statement::Section { name: at(name) });
        }
        if let Some((name, value)) = item(line) {
            self.may_continue = true;
            return Some(Statement::Item {
                name: at(name),
                value: at(value),
            });
        }
        if let Some(name) = directive(line, b"%unset") {
            // hg: unsetre matches one word and ignores the rest
            let word = line[name.clone()].iter().position(is_space);
            let end = word.map_or(name.end, |length| name.start + length);
            return Some(Statement::Unset {
                name: at(name.start..end),
            });
        }
        self.has_failed = true;
        Some(Statement::Malformed {
            text: at(0..trimmed_end(line)),
            is_indented: line.starts_with(b" "),
        })
    }
}

/// The length of the first line, its end included.
// Python: bytes.splitlines
fn line_length(data: &[u8]) -> usize {
    match data.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(end) if data[end..].starts_with(b"\r\n") => end + 2,
        Some(end) => end + 1,
        None => data.len(),
    }
}

/// White space as Python has it for bytes, in regular expressions and
/// elsewhere.
pub(crate) fn is_space(byte: &u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

// hg: commentre
fn is_comment(line: &[u8]) -> bool {
    matches!(line.first(), Some(b';' | b'#'))
}

fn trimmed_start(text: &[u8]) -> usize {
    let start = text.iter().position(|byte| !is_space(byte));
    start.unwrap_or(text.len())
}

fn trimmed_end(text: &[u8]) -> usize {
    let last = text.iter().rposition(|byte| !is_space(byte));
    last.map_or(0, |last| last + 1)
}

/// The range without surrounding white space; none if nothing is left.
fn trimmed(text: &[u8]) -> Option<Range<usize>> {
    let range = trimmed_start(text)..trimmed_end(text);
    (range.start < range.end).then_some(range)
}

// hg: contre
fn continuation(line: &[u8]) -> Option<Range<usize>> {
    trimmed(line).filter(|range| range.start > 0)
}

/// What follows a word that begins with `%` and white space.
// hg: includere, unsetre
fn directive(line: &[u8], word: &[u8]) -> Option<Range<usize>> {
    let rest = line.strip_prefix(word)?;
    let range = trimmed(rest).filter(|range| range.start > 0)?;
    Some(word.len() + range.start..word.len() + range.end)
}

// hg: sectionre, which uses the last bracket before any other `[`
fn section(line: &[u8]) -> Option<Range<usize>> {
    let rest = line.strip_prefix(b"[")?;
    let end = rest.iter().position(|byte| *byte == b'[');
    let rest = &rest[..end.unwrap_or(rest.len())];
    let close = rest.iter().rposition(|byte| *byte == b']')?;
    (close > 0).then_some(1..1 + close)
}

// hg: itemre
fn item(line: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    if line.first().is_none_or(is_space) {
        return None;
    }
    let sign = line.iter().position(|byte| *byte == b'=')?;
    let name = 0..trimmed_end(&line[..sign]);
    if name.is_empty() {
        return None;
    }
    let start = sign + 1;
    let value = trimmed(&line[start..]).unwrap_or(0..0);
    Some((name, start + value.start..start + value.end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The statements in words.
    fn told(data: &[u8]) -> Vec<String> {
        let text = |span: &Span| {
            String::from_utf8_lossy(&data[span.clone()]).into_owned()
        };
        parse(data)
            .map(|line| {
                let told = match &line.statement {
                    Statement::Section { name } => format!("[{}]", text(name)),
                    Statement::Item { name, value } => {
                        format!("{}={}", text(name), text(value))
                    }
                    Statement::Continuation { text: t } => {
                        format!("+{}", text(t))
                    }
                    Statement::Include { path } => {
                        format!("include {}", text(path))
                    }
                    Statement::Unset { name } => {
                        format!("unset {}", text(name))
                    }
                    Statement::Malformed { text: t, .. } => {
                        format!("bad {}", text(t))
                    }
                };
                format!("{} {told}", line.number)
            })
            .collect()
    }

    #[test]
    fn a_file_with_everything() {
        let data = b"\xef\xbb\xbf# comment\r\n[ui]\ruser name = a = b \n\
            ; in between\n\tmore\x0c\n\n%include  a b \n%unset x y\nempty=\n";
        assert_eq!(
            told(data),
            [
                "2 [ui]",
                "3 user name=a = b",
                "5 +more",
                "7 include a b",
                "8 unset x",
                "9 empty=",
            ]
        );
    }

    #[test]
    fn odd_lines_read_as_hg_reads_them() {
        assert_eq!(told(b"[a] b] c"), ["1 [a] b]"]);
        assert_eq!(told(b"[a[b] = c"), ["1 [a[b]=c"]);
        assert_eq!(told(b"[a][b]"), ["1 [a]"]);
        assert_eq!(told(b"%include=x"), ["1 %include=x"]);
        assert_eq!(told(b"%unset a=b"), ["1 %unset a=b"]);
        assert_eq!(told(b"a=\n  # no comment"), ["1 a=", "2 +# no comment"]);
        assert_eq!(told(b"a=\n\n b"), ["1 a=", "3 bad  b"]);
        assert_eq!(told(b"a=\n[s]\n b"), ["1 a=", "2 [s]", "3 bad  b"]);
        for bad in ["[]", "=a", "%include", "%unset ", "word"] {
            let told = told(bad.as_bytes());
            assert_eq!(told, [format!("1 bad {}", bad.trim_end())]);
        }
        assert_eq!(told(b"x\ny = 1"), ["1 bad x"]);
        assert_eq!(
            told(b"a=1\n\xef\xbb\xbf[b]"),
            ["1 a=1", "2 bad \u{feff}[b]"]
        );
    }

    /// A statement and one of the ways to write it.
    fn written() -> impl Strategy<Value = (String, String)> {
        let name = "[a-z][a-z:.-]{0,8}( [a-z]{1,3})?";
        let value = "[!-~\u{e9}]([ -~\u{e9}]{0,12}[!-~])?";
        let blank = "[ \t\x0b\x0c]{0,3}";
        let end = "(\n|\r\n|\r)([ \t]{0,2}\n|#[ -~]{0,9}\n|;\r\n){0,2}";
        let more = ("[ \t]{1,3}", value, blank, "(\n|\r\n|\r)(#[ -~]*\n)?");
        let item = (name, blank, blank, value, blank);
        prop_oneof![
            (name, "[^\\[\\]\r\n]{0,5}", end).prop_map(|(name, rest, end)| {
                (format!("[{name}]"), format!("[{name}]{rest}{end}"))
            }),
            (item, prop::collection::vec(more, 0..4), end).prop_map(
                |((name, before, after, value, blank), more, end)| {
                    let mut told = format!("{name}={value}");
                    let mut text =
                        format!("{name}{before}={after}{value}{blank}\n");
                    for (indent, value, blank, end) in more {
                        told.push_str(&format!(" +{value}"));
                        text.push_str(&format!("{indent}{value}{blank}{end}"));
                    }
                    // Nothing continues the item from here on.
                    (told, format!("{text}#{end}"))
                }
            ),
            (value, blank, end).prop_map(|(path, blank, end)| {
                let text = format!("%include \t{path}{blank}{end}");
                (format!("include {path}"), text)
            }),
            ("[!-<>-~]{1,9}", end).prop_map(|(name, end)| {
                let text = format!("%unset {name} rest{end}");
                (format!("unset {name}"), text)
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            lines in prop::collection::vec(written(), 0..12),
            has_mark in any::<bool>(),
        ) {
            let (expected, texts): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
            let mark = if has_mark { "\u{feff}" } else { "" };
            let text = format!("{mark}{}", texts.concat());
            let told: Vec<_> = told(text.as_bytes())
                .into_iter()
                .map(|line| {
                    let (_, statement) = line.split_once(' ').unwrap();
                    statement.to_owned()
                })
                .collect();
            prop_assert_eq!(told.join(" "), expected.join(" "));
        }

        #[test]
        fn spans_are_in_order_and_inside(
            data in "([\\[\\]=%;# \t\r\n\\PC]|%include |%unset |\u{feff})*",
        ) {
            let data = data.as_bytes();
            let mut position = 0;
            for line in parse(data) {
                for span in line.statement.spans() {
                    prop_assert!(position <= span.start);
                    prop_assert!(span.start <= span.end);
                    position = span.end;
                }
            }
            prop_assert!(position <= data.len());
        }
    }
}
