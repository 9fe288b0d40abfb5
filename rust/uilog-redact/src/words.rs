//! Splits a line as a shell does, and keeps the original position of each byte.
//!
//! Knows quotes. Must not know options or secrets.

use std::ops::Range;

use memchr::memchr;

use crate::rule::MARKER_START;
use crate::rule::marker_at;
use crate::steps;

/// Which line it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// What hg logs: every argument is in quotes where a shell needs it.
    Arguments,
    /// Text for a shell: operators end the command.
    Shell,
}

/// A word, and where it stood.
#[derive(Debug, Default)]
pub(crate) struct Word {
    /// Without quotes.
    pub(crate) bytes: Vec<u8>,
    /// With them, in the line.
    pub(crate) range: Range<usize>,
    pieces: Vec<Piece>,
}

/// Bytes of a word that follow one another in the line, too.
#[derive(Debug)]
struct Piece {
    /// In the word.
    start: usize,
    /// In the line.
    at: usize,
    /// How many bytes of the line make one of the word.
    unit: usize,
}

impl Word {
    /// Adds bytes of the line.
    pub(crate) fn push(&mut self, line: &[u8], at: usize, len: usize) {
        self.push_piece(at, 1);
        self.bytes.extend_from_slice(&line[at..at + len]);
    }

    /// Adds a byte that several bytes of the line encode.
    pub(crate) fn push_unit(&mut self, byte: u8, at: usize, unit: usize) {
        self.push_piece(at, unit);
        self.bytes.push(byte);
    }

    fn push_piece(&mut self, at: usize, unit: usize) {
        let start = self.bytes.len();
        let is_next = self.pieces.last().is_some_and(|piece| {
            piece.unit == 1
                && unit == 1
                && piece.at + (start - piece.start) == at
        });
        if !is_next {
            self.pieces.push(Piece { start, at, unit });
        }
    }

    /// The range of a part of the word in the line; for the whole word, with
    /// its quotes.
    pub(crate) fn in_line(&self, range: &Range<usize>) -> Range<usize> {
        if *range == (0..self.bytes.len()) {
            return self.range.clone();
        }
        let Some(last) = range.end.checked_sub(1) else {
            return self.range.start..self.range.start;
        };
        self.byte_in_line(range.start).start..self.byte_in_line(last).end
    }

    /// Whether some of it is in quotes.
    pub(crate) fn is_quoted(&self) -> bool {
        self.range.len() > self.bytes.len()
    }

    /// Whether it is unchanged in the line, perhaps in quotes.
    pub(crate) fn is_one_piece(&self) -> bool {
        self.pieces.len() <= 1
    }

    /// The range of a part of the word in the line, without quotes around it.
    pub(crate) fn span(&self, range: &Range<usize>) -> Range<usize> {
        match range.end.checked_sub(1) {
            Some(last) if range.start <= last => {
                self.byte_in_line(range.start).start
                    ..self.byte_in_line(last).end
            }
            _ => self.range.start..self.range.start,
        }
    }

    fn byte_in_line(&self, byte: usize) -> Range<usize> {
        let next = self.pieces.partition_point(|piece| piece.start <= byte);
        let Some(piece) = next.checked_sub(1).map(|at| &self.pieces[at]) else {
            return self.range.clone();
        };
        let at = piece.at + (byte - piece.start);
        at..at + piece.unit
    }
}

/// The words from a place on, and where they end.
pub(crate) fn split(
    line: &[u8],
    start: usize,
    kind: Line,
) -> (Vec<Word>, usize) {
    let mut words = Vec::new();
    let mut at = start;
    loop {
        while line.get(at).is_some_and(|byte| is_space(*byte, kind)) {
            at += 1;
        }
        let mut word = Word::default();
        let begin = at;
        let is_last = read_word(line, &mut at, kind, &mut word);
        if at > begin {
            word.range = begin..at;
            words.push(word);
        }
        if is_last || at == begin {
            steps::add(at - start);
            return (words, at);
        }
    }
}

fn is_space(byte: u8, kind: Line) -> bool {
    matches!(byte, b' ' | b'\t')
        || (kind == Line::Arguments && matches!(byte, b'\n' | b'\r'))
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'\n' | b'\r' | b';' | b'|' | b'&' | b'(' | b')' | b'<' | b'>' | b'`'
    )
}

/// Whether this byte is literal in any context.
fn is_plain(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b'\'' | b'"' | b'\\') && !is_operator(byte)
}

/// Reads one word; whether the command ends with it.
fn read_word(line: &[u8], at: &mut usize, kind: Line, word: &mut Word) -> bool {
    while let Some(&byte) = line.get(*at) {
        if byte == MARKER_START
            && let Some(len) = marker_at(&line[*at..])
        {
            word.push(line, *at, len);
            *at += len;
            continue;
        }
        match byte {
            _ if is_space(byte, kind) => return false,
            _ if kind == Line::Shell && is_operator(byte) => return true,
            b'\'' => {
                if !read_single(line, at, kind, word) {
                    return true;
                }
            }
            b'"' => {
                if !read_double(line, at, kind, word) {
                    return true;
                }
            }
            b'\\' if *at + 1 < line.len() => {
                word.push_unit(line[*at + 1], *at, 2);
                *at += 2;
            }
            _ => {
                let plain = line[*at + 1..]
                    .iter()
                    .take_while(|byte| is_plain(**byte))
                    .count();
                word.push(line, *at, 1 + plain);
                *at += 1 + plain;
            }
        }
    }
    true
}

/// Reads text in single quotes. In a shell's line, an unclosed quote belongs to
/// the text around the command, and ends it; a truncated argument extends to
/// the end.
fn read_single(
    line: &[u8],
    at: &mut usize,
    kind: Line,
    word: &mut Word,
) -> bool {
    const ESCAPED: &[u8] = br"'\''";
    let mut from = *at + 1;
    loop {
        let Some(len) = memchr(b'\'', &line[from..]) else {
            if kind == Line::Shell {
                return false;
            }
            word.push(line, from, line.len() - from);
            *at = line.len();
            return true;
        };
        word.push(line, from, len);
        let close = from + len;
        if line[close..].starts_with(ESCAPED) {
            word.push_unit(b'\'', close, ESCAPED.len());
            from = close + ESCAPED.len();
        } else {
            *at = close + 1;
            return true;
        }
    }
}

/// Reads text in double quotes.
fn read_double(
    line: &[u8],
    at: &mut usize,
    kind: Line,
    word: &mut Word,
) -> bool {
    if kind == Line::Shell && memchr(b'"', &line[*at + 1..]).is_none() {
        return false;
    }
    *at += 1;
    while let Some(&byte) = line.get(*at) {
        match byte {
            b'"' => {
                *at += 1;
                return true;
            }
            b'\\'
                if line
                    .get(*at + 1)
                    .is_some_and(|next| b"\\\"$`".contains(next)) =>
            {
                word.push_unit(line[*at + 1], *at, 2);
                *at += 2;
            }
            _ => {
                word.push(line, *at, 1);
                *at += 1;
            }
        }
    }
    true
}

/// The number of blanks at the beginning of a text, at most `most`.
pub(crate) fn blanks(text: &[u8], most: usize) -> usize {
    text.iter()
        .take(most)
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str, kind: Line) -> Vec<String> {
        split(line.as_bytes(), 0, kind)
            .0
            .into_iter()
            .map(|word| String::from_utf8(word.bytes).unwrap())
            .collect()
    }

    #[test]
    fn quotes_are_taken_off() {
        let line = r#"a 'b c' 'it'\''s' "d \"e\"" f\ g '' h"i"'j'"#;
        for kind in [Line::Arguments, Line::Shell] {
            assert_eq!(
                words(line, kind),
                ["a", "b c", "it's", "d \"e\"", "f g", "", "hij"]
            );
        }
    }

    #[test]
    fn a_shells_command_ends() {
        assert_eq!(words("a b; c", Line::Shell), ["a", "b"]);
        assert_eq!(words("a 'b\nc'\nd", Line::Shell), ["a", "b\nc"]);
        assert_eq!(words("a b' c", Line::Shell), ["a", "b"]);
        assert_eq!(words("a 'b c", Line::Arguments), ["a", "b c"]);
    }

    #[test]
    fn parts_are_found_again() {
        let line = br"x 'it'\''s a' y";
        let (words, _) = split(line, 0, Line::Arguments);
        let word = &words[1];
        assert_eq!(word.bytes, b"it's a");
        assert_eq!(&line[word.in_line(&(2..4))], br"'\''s");
        assert_eq!(&line[word.in_line(&(0..6))], br"'it'\''s a'");
        assert_eq!(&line[word.in_line(&(3..6))], b"s a");

        let line = br"x'b''cd' y";
        let (words, _) = split(line, 0, Line::Arguments);
        assert_eq!(words[0].bytes, b"xbcd");
        for (range, part) in [(0..1, b"x"), (1..2, b"b"), (2..3, b"c")] {
            assert_eq!(&line[words[0].in_line(&range)], part);
        }
    }
}
