//! What stays of an error's text: Mercurial's own words, with numbers, hashes and
//! names of servers.

use std::sync::LazyLock;

use memchr::memmem;

use super::wordings::url;
use crate::structure::harmless;
use crate::structure::kind;
use crate::structure::placeholder::Placeholder;
use crate::structure::reducer::Structure;

/// The words of `message_words.txt`, which is sorted.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lines = include_str!("../../../message_words.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

fn is_of_errors(word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    let same = |it: &&str| it.as_bytes().cmp(&word);
    WORDS.binary_search_by(same).is_ok()
}

/// What an exception says: Mercurial's words, with numbers, hashes, servers,
/// and what looks like a file or, in quotes, like a name.
pub(super) fn error(text: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let text = by.0.redact_text(text).text;
    let lines = text.split(|byte| *byte == b'\n');
    let told: Vec<_> = lines.map(|line| error_line(line, by)).collect();
    told.join(&b'\n')
}

fn error_line(line: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let mut told: Vec<Vec<u8>> = Vec::new();
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let mut rest = &words[..];
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        let (start, core, end) = bare(word);
        let mut placed = None;
        if start.ends_with(b"'") && !end.starts_with(b"'") {
            // Several words in quotes are a text.
            let last = after.iter().position(|it| bare(it).2.contains(&b'\''));
            if let Some(last) = last {
                rest = &after[last + 1..];
                placed = Some(bare(after[last]).2);
            }
        }
        let is_quoted = start.ends_with(b"'") && end.starts_with(b"'");
        let shown = match placed {
            Some(_) => Placeholder::Value.marker(),
            None => error_word(core, is_quoted, by),
        };
        let is_placeholder = shown == Placeholder::Value.marker();
        if start.is_empty() && is_placeholder && told.last() == Some(&shown) {
            // How many words there were is no one's business.
            if end.is_empty() {
                continue;
            }
            told.pop();
        }
        told.push([start, &shown, placed.unwrap_or(end)].concat());
    }
    told.join(&b' ')
}

/// A word, and the text before and after it.
fn bare(word: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let is_outside = |byte: &u8| b"'\"()[]{},;:.!?%".contains(byte);
    let from = word.iter().position(|byte| !is_outside(byte));
    let to = word.iter().rposition(|byte| !is_outside(byte));
    match (from, to) {
        (Some(from), Some(to)) => {
            (&word[..from], &word[from..=to], &word[to + 1..])
        }
        _ => (word, &[], &[]),
    }
}

fn error_word(word: &[u8], is_quoted: bool, by: &Structure<'_>) -> Vec<u8> {
    const HASHES: std::ops::RangeInclusive<usize> = 6..=40;
    if word.is_empty() || kind::is_placeholder(word) {
        return word.to_vec();
    }
    if memmem::find(word, b"://").is_some() {
        return url(word, by);
    }
    let is_hash = HASHES.contains(&word.len())
        && word.iter().all(u8::is_ascii_hexdigit)
        && word.iter().any(u8::is_ascii_digit);
    let is_file = is_quoted || word.iter().any(|byte| b"/.".contains(byte));
    if is_hash
        || is_of_errors(word)
        || harmless::is_number(word)
        || is_file && by.is_path(word)
    {
        return word.to_vec();
    }
    Placeholder::Value.marker()
}

/// `FILE:LINE` of a setting, or what else has set it.
// hg: ui.configsource
pub(super) fn source(value: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let colon = value.iter().rposition(|byte| *byte == b':');
    let (file, line) = value.split_at(colon.unwrap_or(value.len()));
    let is_line = line.is_empty() || harmless::is_number(&line[1..]);
    if is_line && by.is_path(file) {
        value.to_vec()
    } else {
        Placeholder::Value.marker()
    }
}

pub(super) fn is_fingerprint(value: &[u8]) -> bool {
    value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit)
}
