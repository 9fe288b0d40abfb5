//! hg's commands within a text or a command line.
//!
//! Must not know what is secret in their arguments.

use std::borrow::Cow;

use super::results::place;
use super::results::unchanged;
use crate::commands;
use crate::commands::Parsed;
use crate::finding::Finding;
use crate::redacted::Redacted;
use crate::rule::Rule;
use crate::words::Line;
use crate::words::Word;
use crate::words::split;

/// Drops findings that begin or end within a quoted argument: each such
/// argument is searched separately, without its quotes.
pub(super) fn drop_partial_words(words: &[Word], found: &mut Vec<Finding>) {
    let ends_in_quotes = |at: usize, is_start: bool| {
        let next = words.partition_point(|word| word.range.end <= at);
        words.get(next).is_some_and(|word| {
            let edge = if is_start {
                word.range.start
            } else {
                word.range.end - 1
            };
            word.is_quoted() && word.range.contains(&at) && at != edge
        })
    };
    found.retain(|found| {
        let last = found.range.end.saturating_sub(1);
        !ends_in_quotes(found.range.start, true) && !ends_in_quotes(last, false)
    });
}

/// Whether this ends with `hg`, `rhg` or `chg`, or with `$HG`, which hg sets
/// for its hooks.
pub(super) fn ends_as_name(text: &[u8]) -> bool {
    text.ends_with(b"hg") || text.ends_with(b"$HG") || text.ends_with(b"{HG")
}

/// Where the arguments begin after a name of hg: after quotes and braces.
pub(super) fn arguments_start(rest: &[u8]) -> Option<usize> {
    let closing = rest
        .iter()
        .take(2)
        .take_while(|byte| matches!(byte, b'"' | b'}'))
        .count();
    (rest.get(closing) == Some(&b' ')).then_some(closing)
}

/// Where the arguments end, and what hg says of the command's end begins.
// hg: dispatch.dispatch, "%s exited %d after %0.2f seconds\n"
pub(super) fn arguments_end(line: &[u8]) -> usize {
    const EXITED: &[u8] = b" exited ";
    const SECONDS: &[u8] = b" seconds";
    let end = line.strip_suffix(b"\n").unwrap_or(line);
    if !end.ends_with(SECONDS) {
        return end.len();
    }
    end.windows(EXITED.len())
        .rposition(|part| part == EXITED)
        .filter(|at| {
            let rest = &end[at + EXITED.len()..];
            rest.ends_with(SECONDS) && !rest.contains(&b'\'')
        })
        .unwrap_or(end.len())
}

/// A command by its full name, with the full names of its options.
pub(super) fn canonical(line: &[u8]) -> Redacted<Cow<'_, [u8]>> {
    let (words, _) = split(line, 0, Line::Arguments);
    let words: Vec<_> = words.into_iter().map(|word| word.bytes).collect();
    if words.is_empty() {
        return unchanged(line);
    }
    let Parsed {
        command, options, ..
    } = commands::parse(&words);
    let value = Rule::ARGUMENT.marker();
    let mut told = match command {
        Some(command) => command.as_bytes().to_vec(),
        None => value.clone(),
    };
    let mut seen: Vec<&str> = Vec::new();
    for (option, takes_value) in options {
        if seen.contains(&option) {
            continue;
        }
        seen.push(option);
        told.extend_from_slice(b" --");
        told.extend_from_slice(option.as_bytes());
        if takes_value {
            told.push(b'=');
            told.extend_from_slice(&value);
        }
    }
    if told == line {
        return unchanged(line);
    }
    Redacted {
        text: Cow::Owned(told),
        places: place(line, Rule::ARGUMENT),
    }
}
