//! Command lines of programs other than hg: the program and the number of its
//! arguments.
//!
//! The meaning of a program's arguments is unknown, so none is kept.

use super::placeholder::Placeholder;
use super::reducer::Structure;
use crate::words::Line;
use crate::words::split;

const ARGUMENTS: &str = "<arguments:";
const PROGRAM: &str = "<program:";

impl Structure<'_> {
    /// A program's line, in which its arguments may be in quotes: the program
    /// and how many there are.
    pub(crate) fn program_line(&self, line: &[u8]) -> Vec<Vec<u8>> {
        let (words, _) = split(line, 0, Line::Arguments);
        let words: Vec<_> = words.into_iter().map(|it| it.bytes).collect();
        self.program(&words)
    }

    /// A program and its arguments.
    pub(crate) fn program<W: AsRef<[u8]>>(&self, words: &[W]) -> Vec<Vec<u8>> {
        let Some((name, count)) = self.name_and_count(words) else {
            return Vec::new();
        };
        let mut told = vec![name];
        if let Some([only]) = words.get(1..)
            && is_marker(only.as_ref())
        {
            told.push(only.as_ref().to_vec());
        } else if count > 0 {
            told.push(format!("{ARGUMENTS}{count}>").into_bytes());
        }
        told
    }

    /// The program, behind variables that are set for it alone, and how many
    /// words follow it.
    fn name_and_count<W: AsRef<[u8]>>(
        &self,
        words: &[W],
    ) -> Option<(Vec<u8>, usize)> {
        let is_program = |word: &W| !is_assignment(word.as_ref());
        let at = words.iter().position(is_program);
        if words.is_empty() {
            return None;
        }
        let Some(at) = at else {
            return Some((Placeholder::Command.marker(), words.len() - 1));
        };
        let name = words[at].as_ref();
        let is_known = self.is_path(name)
            || is_variable(name)
            || name == Placeholder::Command.marker();
        let name = if is_known {
            name.to_vec()
        } else {
            Placeholder::Command.marker()
        };
        Some((name, words.len() - at - 1))
    }
}

/// An option's value that is a program with arguments, in one word.
pub(super) fn value(line: &[u8], by: &Structure<'_>) -> Vec<u8> {
    if is_value_marker(line, by) {
        return line.to_vec();
    }
    let (words, _) = split(line, 0, Line::Arguments);
    let words: Vec<_> = words.into_iter().map(|it| it.bytes).collect();
    match by.name_and_count(&words) {
        None => Placeholder::Command.marker(),
        Some((name, 0)) => name,
        Some((name, count)) => {
            let name = String::from_utf8_lossy(&name);
            let name = name.trim_matches(['<', '>']);
            format!("{PROGRAM}{name}:{count}>").into_bytes()
        }
    }
}

/// Whether this is the placeholder with the number of arguments.
pub(super) fn is_marker(text: &[u8]) -> bool {
    let Some(count) = text
        .strip_prefix(ARGUMENTS.as_bytes())
        .and_then(|it| it.strip_suffix(b">"))
    else {
        return false;
    };
    is_count(count)
}

/// Whether this is what [`value`] makes.
fn is_value_marker(text: &[u8], by: &Structure<'_>) -> bool {
    let inner = text
        .strip_prefix(PROGRAM.as_bytes())
        .and_then(|it| it.strip_suffix(b">"));
    let Some(inner) = inner else {
        return false;
    };
    let colon = inner.iter().rposition(|byte| *byte == b':');
    colon.is_some_and(|at| {
        let (name, count) = (&inner[..at], &inner[at + 1..]);
        (by.is_path(name) || is_variable(name)) && is_count(count)
    })
}

fn is_count(text: &[u8]) -> bool {
    const MAX_DIGITS: usize = 6;
    (1..=MAX_DIGITS).contains(&text.len())
        && text.iter().all(u8::is_ascii_digit)
}

/// `NAME=VALUE` before a program.
fn is_assignment(word: &[u8]) -> bool {
    let equals = word.iter().position(|byte| *byte == b'=');
    equals.is_some_and(|at| at > 0 && word[..at].iter().all(is_name))
}

/// `$HG`, `${HG}`.
fn is_variable(word: &[u8]) -> bool {
    let Some(name) = word.strip_prefix(b"$") else {
        return false;
    };
    let inner = name
        .strip_prefix(b"{")
        .and_then(|it| it.strip_suffix(b"}"))
        .unwrap_or(name);
    const MAX_BYTES: usize = 32;
    !inner.is_empty() && inner.len() <= MAX_BYTES && inner.iter().all(is_name)
}

fn is_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}
