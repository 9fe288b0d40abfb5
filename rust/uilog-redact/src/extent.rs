//! Finds where a value in a text ends: at its own quote, at the surrounding
//! quote, or at the end of the word.
//!
//! Callers ask for values from left to right. Nothing is searched twice: the
//! end of a word, and the next quote of each kind, are remembered. So the time
//! is linear for any text.
//!
//! Must not know names, or what a secret looks like.

use std::ops::Range;

use memchr::memchr;
use memchr::memchr3_iter;
use memchr::memmem;

use crate::rule::marker_at;
use crate::steps;

/// A longer value is not examined in detail.
const MAX_NEAR_BYTES: usize = 256;

/// Maximum depth of quotes in quotes.
const MAX_DEPTH: usize = 4;

/// A sort of quote: a byte, as it is, after a backslash, or as hg and shells
/// write a single quote in single quotes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct QuoteMark {
    pub(crate) byte: u8,
    form: MarkForm,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum MarkForm {
    Plain,
    Escaped,
    Shell,
}

/// A single quote in single quotes.
const SHELL_QUOTE: &[u8] = br"'\''";

impl QuoteMark {
    /// The quote that begins here, and its length.
    pub(crate) fn at(text: &[u8], at: usize) -> Option<(Self, usize)> {
        let rest = &text[at..];
        if rest.starts_with(SHELL_QUOTE) {
            return Some((
                Self {
                    byte: b'\'',
                    form: MarkForm::Shell,
                },
                SHELL_QUOTE.len(),
            ));
        }
        match *rest {
            [byte @ (b'"' | b'\'' | b'`'), ..] => Some((
                Self {
                    byte,
                    form: MarkForm::Plain,
                },
                1,
            )),
            [b'\\', byte @ (b'"' | b'\''), ..] => Some((
                Self {
                    byte,
                    form: MarkForm::Escaped,
                },
                2,
            )),
            _ => None,
        }
    }

    /// The quote that ends here.
    pub(crate) fn before(text: &[u8], at: usize) -> Option<Self> {
        let byte = *text[..at].last()?;
        let form = if text[..at].ends_with(SHELL_QUOTE) {
            MarkForm::Shell
        } else if at > 1 && text[at - 2] == b'\\' {
            MarkForm::Escaped
        } else {
            MarkForm::Plain
        };
        matches!(byte, b'"' | b'\'' | b'`').then_some(Self { byte, form })
    }

    pub(crate) fn len(self) -> usize {
        match self.form {
            MarkForm::Plain => 1,
            MarkForm::Escaped => 2,
            MarkForm::Shell => SHELL_QUOTE.len(),
        }
    }

    fn number(self) -> usize {
        let byte = match self.byte {
            b'"' => 0,
            b'\'' => 1,
            _ => 2,
        };
        byte + 3 * self.form as usize
    }

    /// Where the same quote begins again.
    fn find(self, text: &[u8], start: usize) -> Option<usize> {
        match self.form {
            MarkForm::Shell => {
                memmem::find(&text[start..], SHELL_QUOTE).map(|at| start + at)
            }
            MarkForm::Escaped => {
                memmem::find(&text[start..], &[b'\\', self.byte])
                    .map(|at| start + at)
            }
            MarkForm::Plain => {
                let mut at = start;
                while let Some(next) = memchr(self.byte, &text[at..]) {
                    let next = at + next;
                    if next == start || text[next - 1] != b'\\' {
                        let is_shell = text[next..].starts_with(SHELL_QUOTE);
                        if !is_shell {
                            return Some(next);
                        }
                        at = next + SHELL_QUOTE.len();
                    } else {
                        at = next + 1;
                    }
                }
                None
            }
        }
    }
}

/// The position of a value.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    /// Without its quotes.
    pub(crate) range: Range<usize>,
    /// What of it a shell takes for one word.
    pub(crate) word: Range<usize>,
    /// The value's own quote, or the one around it and its name.
    pub(crate) quote: Option<QuoteMark>,
}

/// Answers where values end, from left to right.
pub(crate) struct Extents<'t> {
    text: &'t [u8],
    /// Up to where quotes have been read.
    at: usize,
    open: Vec<QuoteMark>,
    /// For each sort of quote, from where it was looked for and where it is.
    closes: [Option<(usize, Option<usize>)>; 9],
    /// The last word, and the end of its narrower reading.
    word: Option<(Range<usize>, usize)>,
}

impl<'t> Extents<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            open: Vec::new(),
            closes: [None; 9],
            word: None,
        }
    }

    /// Reads quotes up to a place.
    fn read_quotes(&mut self, to: usize) {
        if to <= self.at {
            return;
        }
        steps::add(to - self.at);
        let from = self.at;
        let mut skip = from;
        for at in memchr3_iter(b'"', b'\'', b'\n', &self.text[from..to]) {
            let at = from + at;
            if at < skip {
                continue;
            }
            let byte = self.text[at];
            if byte == b'\n' {
                self.open.clear();
                continue;
            }
            // An apostrophe.
            let is_letter = |at: usize| {
                self.text.get(at).is_some_and(u8::is_ascii_alphabetic)
            };
            // Python's b''.
            let is_prefix = at > 0
                && matches!(self.text[at - 1], b'b' | b'u' | b'r' | b'f')
                && (at < 2 || !self.text[at - 2].is_ascii_alphanumeric());
            if byte == b'\''
                && at > 0
                && is_letter(at - 1)
                && is_letter(at + 1)
                && !is_prefix
            {
                continue;
            }
            let start = if at > from && self.text[at - 1] == b'\\' {
                at - 1
            } else {
                at
            };
            let Some((mark, len)) = QuoteMark::at(self.text, start) else {
                continue;
            };
            skip = start + len;
            if let Some(open) = self.open.iter().position(|open| *open == mark)
            {
                self.open.truncate(open);
            } else if self.open.len() < MAX_DEPTH {
                self.open.push(mark);
            }
        }
        self.at = skip.max(to);
    }

    /// Where the next quote of this sort is.
    pub(crate) fn close(
        &mut self,
        mark: QuoteMark,
        start: usize,
    ) -> Option<usize> {
        let known = &mut self.closes[mark.number()];
        if let Some((from, close)) = *known
            && from <= start
            && close.is_none_or(|close| start <= close)
        {
            return close;
        }
        let close = mark.find(self.text, start);
        steps::add(close.unwrap_or(self.text.len()) - start);
        *known = Some((start, close));
        close
    }

    /// The value that begins here; `around` is the quote before the name to
    /// which it is assigned. If the name is quoted separately, a quote here
    /// begins the value, whatever is open.
    pub(crate) fn value(
        &mut self,
        start: usize,
        around: Option<QuoteMark>,
        is_name_quoted: bool,
    ) -> Extent {
        self.read_quotes(start);
        let mut open = start;
        // Python's b'', C's L"".
        if matches!(
            self.text.get(open),
            Some(b'b' | b'u' | b'r' | b'f' | b'L' | b'@')
        ) && matches!(self.text.get(open + 1), Some(b'"' | b'\''))
        {
            open += 1;
        }
        if let Some((mark, len)) = QuoteMark::at(self.text, open)
            && Some(mark) != around
            && (is_name_quoted || !self.open.contains(&mark))
            && mark.byte != b'`'
            && let Some(end) = self.close(mark, open + len)
        {
            return self.quoted(mark, open, open + len, end, around);
        }
        if let Some(around) = around
            && let Some(end) = self.close(around, start)
        {
            return Extent {
                range: start..end,
                word: start..end,
                quote: Some(around),
            };
        }
        let (end, word) = self.word(start, around);
        Extent {
            range: start..end,
            word: start..word,
            quote: None,
        }
    }

    fn quoted(
        &mut self,
        mark: QuoteMark,
        open: usize,
        start: usize,
        end: usize,
        around: Option<QuoteMark>,
    ) -> Extent {
        let behind = end + mark.len();
        let next = self.text.get(behind);
        // A shell glues what follows a quote without a space: 'a'b, 'a'"b".
        let is_glued = mark.form == MarkForm::Plain
            && around.is_none()
            && next.is_some_and(|byte| {
                byte.is_ascii_alphanumeric()
                    || (matches!(byte, b'"' | b'\'')
                        && !self.open.iter().any(|open| open.byte == *byte))
            });
        let has_shell_quote = mark.form == MarkForm::Plain
            && mark.byte == b'\''
            && end - start <= MAX_NEAR_BYTES
            && memmem::find(&self.text[start..end], SHELL_QUOTE).is_some();
        let range = if is_glued {
            open..self.word(behind, around).0
        } else if has_shell_quote {
            open..behind
        } else {
            start..end
        };
        Extent {
            word: range.clone(),
            range,
            quote: Some(mark),
        }
    }

    /// The end of the word that continues here, and its end for a shell.
    fn word(
        &mut self,
        start: usize,
        around: Option<QuoteMark>,
    ) -> (usize, usize) {
        if let Some((word, narrow)) = &self.word
            && word.start <= start
            && start < word.end
        {
            return (word.end, (*narrow).max(start));
        }
        let (end, narrow) = self.read_word(start, around);
        steps::add(end - start);
        // A shorter one must not make it forget the longer.
        if self.word.as_ref().is_none_or(|(word, _)| word.end < end) {
            self.word = Some((start..end, narrow));
        }
        (end, narrow)
    }

    fn read_word(
        &self,
        start: usize,
        around: Option<QuoteMark>,
    ) -> (usize, usize) {
        let text = self.text;
        let mut narrow = None;
        let mut at = start;
        while let Some(&byte) = text.get(at) {
            if let Some(len) = marker_at(&text[at..]) {
                at += len;
                continue;
            }
            match byte {
                _ if byte.is_ascii_whitespace() || byte == 0 => break,
                b'"' | b'\'' | b'\\' => {
                    let Some((mark, len)) = QuoteMark::at(text, at) else {
                        if text
                            .get(at + 1)
                            .is_none_or(|next| b"nrt".contains(next))
                        {
                            break;
                        }
                        at += 2;
                        continue;
                    };
                    if Some(mark) == around || self.open.contains(&mark) {
                        break;
                    }
                    if let Some(close) = near_close(text, mark, at + len) {
                        at = close + len;
                    } else if text
                        .get(at + len)
                        .is_some_and(u8::is_ascii_alphanumeric)
                        && mark.form == MarkForm::Plain
                    {
                        narrow.get_or_insert(at);
                        at += len;
                    } else {
                        break;
                    }
                }
                b'$' => at += 1 + substitution_len(&text[at + 1..]),
                b'<' | b'>' | b'`' => break,
                b';' | b'&' | b'|' | b'(' | b')' | b'[' | b']' | b'{'
                | b'}' | b',' => {
                    if at == start && byte != b'&' || ends(text, at) {
                        break;
                    }
                    if byte != b',' {
                        narrow.get_or_insert(at);
                    }
                    at += 1;
                }
                _ => at += 1,
            }
        }
        let at = at.min(text.len());
        (at, narrow.unwrap_or(at))
    }
}

/// Where the same quote is again, on the same line and not far.
fn near_close(text: &[u8], mark: QuoteMark, start: usize) -> Option<usize> {
    let end = text.len().min(start + MAX_NEAR_BYTES);
    let near = &text[start..end];
    let near = &near[..memchr(b'\n', near).unwrap_or(near.len())];
    steps::add(near.len());
    mark.find(near, 0).map(|at| start + at)
}

/// Whether what begins here ends a value: an operator or a bracket, and not a
/// part of a password.
fn ends(text: &[u8], at: usize) -> bool {
    const MAX_NAME_BYTES: usize = 40;
    let byte = text[at];
    let rest = &text[at + 1..];
    let Some(&next) = rest.first() else {
        return true;
    };
    if byte == b'(' || byte == b'[' || byte == b'{' {
        return false;
    }
    if !next.is_ascii_alphanumeric() && !b"_!@#%^*+-=~?/.$".contains(&next) {
        return true;
    }
    if byte == b')' || byte == b']' || byte == b'}' {
        return matches!(next, b'.' | b'?');
    }
    let is_name = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
    };
    let name = rest
        .iter()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(byte))
        .count();
    steps::add(name);
    let behind = rest[name..].trim_ascii_start().first();
    match byte {
        // The next assignment, or an entity.
        b'&' | b';' | b',' if name > 0 && behind == Some(&b'=') => true,
        b'&' if next == b'#' => true,
        b'&' if is_entity(&rest[..name]) && behind == Some(&b';') => true,
        b';' if name > 0 => {
            // `User Id=`
            let words = &rest[..rest.len().min(MAX_NAME_BYTES)];
            memchr(b'=', words).is_some_and(|equals| {
                words[..equals].iter().all(|b| is_name(b) || *b == b' ')
            })
        }
        b';' | b'&' | b'|' => matches!(next, b'.' | b'/' | b'$'),
        _ => false,
    }
}

fn is_entity(name: &[u8]) -> bool {
    [&b"quot"[..], b"apos", b"amp", b"lt", b"gt", b"nbsp"].contains(&name)
}

/// The length of the `{...}` or `(...)` that this begins with, behind `$`.
fn substitution_len(text: &[u8]) -> usize {
    let close = match text.first() {
        Some(b'{') => b'}',
        Some(b'(') => b')',
        _ => return 0,
    };
    let near = &text[..text.len().min(MAX_NEAR_BYTES)];
    steps::add(near.len());
    memchr(close, near).map_or(0, |close| close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> &str {
        let at = text.find('=').unwrap() + 1;
        let name = text[..at]
            .rfind([' ', '"', '\''])
            .map_or(0, |before| before + 1);
        let around = QuoteMark::before(text.as_bytes(), name);
        &text[Extents::new(text.as_bytes()).value(at, around, false).range]
    }

    #[test]
    fn values_end_where_a_shell_or_a_quote_ends_them() {
        for (text, wanted) in [
            ("a=b c", "b"),
            ("a=b; c", "b"),
            ("a=b;c=d", "b"),
            ("a=b;User Id=d", "b"),
            ("a=b;c)d", "b;c)d"),
            ("a=b&&c", "b"),
            ("a=b&c=d", "b"),
            ("a=b&c d", "b&c"),
            ("a='b c' d", "b c"),
            ("a='b'c d", "'b'c"),
            (r"a='it'\''s' d", r"'it'\''s'"),
            ("x 'a=b c' d", "b c"),
            ("x \"a=b c\" d", "b c"),
            ("x 'a=b c", "b"),
            ("'y a=b' c", "b"),
            ("don't a=b' c", "b"),
            // Python's b'', and an apostrophe.
            ("f(b'yz a=b'c d", "b"),
            ("sub'yz a=b'c d", "b'c"),
            (r"a=b\ c d", r"b\ c"),
            ("f(a='b', c)", "b"),
            ("(a=b)", "b"),
            ("a=b\"c d", "b\"c"),
            (r"'h=x a='\''b c'\'' d'", "b c"),
        ] {
            let text = text.replace("h=x a=", "h x a=");
            assert_eq!(value(&text), wanted, "{text}");
        }
    }
}
