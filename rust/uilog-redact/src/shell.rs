//! Splits a text into commands and their arguments, as far as it looks like a
//! shell's: a hook's command, a list of arguments in a traceback, a command in
//! the middle of a sentence.
//!
//! Reads each byte a limited number of times. Must not know programs or
//! secrets. [`crate::words`] is the exact parser, for lines that hg formats
//! itself.

use memchr::memchr;

use crate::argument::Arg;
use crate::argument::Segment;
use crate::rule::marker_at;
use crate::steps;
use crate::words::Word;

/// The longest `$(...)` that is part of an argument.
const MAX_SUBSTITUTION_BYTES: usize = 256;

/// Maximum distance of the second `\"` of a pair.
const MAX_ESCAPED_BYTES: usize = 1024;

/// A program and its arguments.
#[derive(Debug, Default)]
pub(crate) struct Command {
    pub(crate) args: Vec<Arg>,
    /// The word after `<<<`.
    pub(crate) here_string: Option<Arg>,
    /// Whether it reads what the command before it writes.
    pub(crate) is_piped: bool,
    /// Whether the command before it reads its output: `<(...)`.
    pub(crate) is_file: bool,
}

/// The commands in a text.
pub(crate) fn commands(text: &[u8]) -> Vec<Command> {
    steps::add(text.len());
    Reader {
        text,
        at: 0,
        commands: Vec::new(),
        command: Command::default(),
        is_unclosed: [false; 2],
    }
    .read()
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    commands: Vec<Command>,
    command: Command,
    /// Whether there is no further single or double quote that closes one.
    is_unclosed: [bool; 2],
}

impl Reader<'_> {
    fn read(mut self) -> Vec<Command> {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                // In `/proc/PID/cmdline` a zero ends each argument.
                b' ' | b'\t' | 0 => self.at += 1,
                b'\\' | b'`' | b'^' if self.continuation() > 0 => {
                    self.at += self.continuation();
                }
                b'<' if self.tag_len() > 0 => {
                    self.at += self.tag_len();
                    self.end();
                }
                b'<' | b'>' if marker_at(&self.text[self.at..]).is_none() => {
                    self.redirection();
                }
                b'|' => {
                    self.at += 1;
                    let is_pipe = self.peek(0) != Some(b'|');
                    self.end();
                    self.command.is_piped = is_pipe;
                }
                b'\n' | b'\r' | b';' | b'&' | b'(' | b')' | b'`' => {
                    self.at += 1;
                    self.end();
                }
                b'\'' if self.is_quoted_list() => {
                    // Python: "Command '['a', 'b']' returned ..."
                    self.at += 1;
                    self.end();
                }
                _ => {
                    if byte == b'[' {
                        self.end();
                    }
                    let args = self.args();
                    if args.is_empty() {
                        // A quote that nothing closes.
                        self.at += 1;
                        self.end();
                    }
                    self.command.args.extend(args);
                }
            }
        }
        self.end();
        self.commands
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn end(&mut self) {
        if self.command.args.is_empty() && self.command.here_string.is_none() {
            self.command.is_piped = false;
            self.command.is_file = false;
            return;
        }
        let mut command = std::mem::take(&mut self.command);
        // hg's message about a hook follows its command. hg: hook._exthook,
        // "exthook-%s: %s finished in %0.2f seconds\n"
        if let [.., a, b, _, d] = &command.args[..]
            && (&a.bytes[..], &b.bytes[..], &d.bytes[..])
                == (b"finished", b"in", b"seconds")
        {
            command.args.truncate(command.args.len() - 4);
        }
        self.commands.push(command);
    }

    /// How long the backslash with the end of the line is; PowerShell has a
    /// backtick there, and `cmd` a caret.
    fn continuation(&self) -> usize {
        match &self.text[self.at..] {
            [b'\\' | b'`' | b'^', b'\n', ..] => 2,
            [b'\\' | b'`' | b'^', b'\r', b'\n', ..] => 3,
            _ => 0,
        }
    }

    /// How long the tag of HTML or XML is that begins here.
    fn tag_len(&self) -> usize {
        const MAX_NAME_BYTES: usize = 24;
        let text = &self.text[self.at..];
        if marker_at(text).is_some() {
            return 0;
        }
        let slash = 1 + usize::from(text.get(1) == Some(&b'/'));
        let len = text[slash.min(text.len())..]
            .iter()
            .take(MAX_NAME_BYTES)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        match text.get(slash + len) {
            Some(b'>') if len > 0 => slash + len + 1,
            _ => 0,
        }
    }

    /// Reads `> file`, `2>&1`, `<<< word`; the target is not an argument.
    fn redirection(&mut self) {
        let len = self.text[self.at..]
            .iter()
            .take(3)
            .take_while(|byte| matches!(byte, b'<' | b'>' | b'&'))
            .count();
        let is_here = self.text[self.at..].starts_with(b"<<<");
        // The `2` of `2>file`.
        let is_descriptor = self.command.args.last().is_some_and(|last| {
            last.bytes.iter().all(u8::is_ascii_digit)
                && last
                    .segments
                    .last()
                    .is_some_and(|segment| segment.word.range.end == self.at)
        });
        if is_descriptor {
            self.command.args.pop();
        }
        self.at += len;
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        match self.peek(0) {
            Some(b'(') if len == 1 => {
                self.at += 1;
                self.end();
                self.command.is_file = true;
            }
            None | Some(b'\n' | b'\r' | b'(' | b';' | b'|' | b'<' | b'>') => {}
            _ => {
                let mut args = self.args();
                if is_here && !args.is_empty() {
                    self.command.here_string = Some(args.swap_remove(0));
                }
            }
        }
    }

    /// Reads a word: one argument, or several if it is part of a list as
    /// programs write it. None if it begins with a quote that nothing closes.
    fn args(&mut self) -> Vec<Arg> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut is_list = false;
        let mut was_quoted = false;
        while let Some(byte) = self.peek(0) {
            if let Some(len) = marker_at(&self.text[self.at..]) {
                self.push(&mut segments, len);
                was_quoted = false;
                continue;
            }
            if self.ends(byte, segments.is_empty())
                || is_word_list(byte, &segments)
            {
                break;
            }
            if was_quoted && matches!(byte, b',' | b']' | b')') {
                is_list = true;
            }
            was_quoted = false;
            match byte {
                b'\'' | b'"' if !self.is_apostrophe(&segments) => {
                    let Some(segment) = self.quoted(byte) else {
                        break;
                    };
                    segments.push(segment);
                    was_quoted = true;
                }
                b'\\' if matches!(self.peek(1), Some(b'"' | b'\'')) => {
                    match self.escaped() {
                        Some(segment) => {
                            segments.push(segment);
                            was_quoted = true;
                        }
                        None => self.unescape(&mut segments),
                    }
                }
                b'\\'
                    if self.peek(1).is_some_and(|next| {
                        !next.is_ascii_alphanumeric() && next != b'\\'
                    }) =>
                {
                    self.unescape(&mut segments);
                }
                b'$' if self.peek(1) == Some(b'(') => {
                    self.substitution(&mut segments);
                }
                _ => self.push(&mut segments, 1),
            }
        }
        if segments.is_empty() {
            return Vec::new();
        }
        if is_list {
            // `help='...'` is no item of a list.
            let is_keyword = segments
                .first()
                .is_some_and(|first| first.word.bytes.ends_with(b"="));
            return segments
                .into_iter()
                .filter(|segment| segment.quote.is_some())
                .skip(usize::from(is_keyword))
                .map(|segment| {
                    let mut arg = Arg::new(vec![segment]);
                    arg.is_literal = true;
                    arg
                })
                .collect();
        }
        vec![Arg::new(segments)]
    }

    /// Whether a word ends here.
    fn ends(&self, byte: u8, is_first: bool) -> bool {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b'|' | b'<' | b'>' | b'`' | 0 => {
                true
            }
            b'\\' | b'^' => self.continuation() > 0,
            // In a password they are between letters, and after a command
            // mostly before a space.
            b';' | b'&' | b'(' | b')' => {
                is_first
                    || self.peek(1).is_none_or(|next| {
                        !next.is_ascii_graphic()
                            || matches!(
                                next,
                                b';' | b'&' | b'|' | b'<' | b'>' | b')'
                            )
                    })
            }
            _ => false,
        }
    }

    /// Whether this is in `don't`, not before a text.
    fn is_apostrophe(&self, segments: &[Segment]) -> bool {
        const MAX_WORD_BYTES: usize = 16;
        let [segment] = segments else {
            return false;
        };
        let word = &segment.word.bytes;
        segment.quote.is_none()
            && self.peek(0) == Some(b'\'')
            && word.len() <= MAX_WORD_BYTES
            && word.len() > usize::from(word.first() != Some(&b'I'))
            && word.iter().all(u8::is_ascii_alphabetic)
            && self.peek(1).is_some_and(|next| next.is_ascii_lowercase())
    }

    fn is_quoted_list(&self) -> bool {
        matches!(self.peek(1), Some(b'[' | b'('))
            && match self.peek(2) {
                Some(b'\'' | b'"') => true,
                Some(b'b' | b'u') => {
                    matches!(self.peek(3), Some(b'\'' | b'"'))
                }
                _ => false,
            }
    }

    /// Adds bytes that are in no quotes.
    fn push(&mut self, segments: &mut Vec<Segment>, len: usize) {
        let (at, text) = (self.at, self.text);
        let segment = self.bare(segments);
        segment.word.push(text, at, len);
        segment.word.range.end = at + len;
        self.at += len;
    }

    /// Adds the byte after a backslash.
    fn unescape(&mut self, segments: &mut Vec<Segment>) {
        let (at, byte) = (self.at, self.text[self.at + 1]);
        let segment = self.bare(segments);
        segment.word.push_unit(byte, at, 2);
        segment.word.range.end = at + 2;
        self.at += 2;
    }

    /// The last segment, if it is in no quotes, or a new one.
    fn bare<'s>(&self, segments: &'s mut Vec<Segment>) -> &'s mut Segment {
        if segments
            .last()
            .is_none_or(|last| last.quote.is_some() || last.is_substitution)
        {
            segments.push(Segment::new(self.at, None));
        }
        let last = segments.len() - 1;
        &mut segments[last]
    }

    /// Reads quoted text; nothing if the quote is not closed.
    fn quoted(&mut self, quote: u8) -> Option<Segment> {
        let unclosed = usize::from(quote == b'"');
        if self.is_unclosed[unclosed] {
            return None;
        }
        let mut segment = Segment::new(self.at, Some(quote));
        let end = if quote == b'"' {
            self.double(&mut segment.word)
        } else {
            self.single(&mut segment.word)
        };
        let Some(end) = end else {
            self.is_unclosed[unclosed] = true;
            return None;
        };
        segment.word.range.end = end;
        self.at = end;
        Some(segment)
    }

    fn single(&self, word: &mut Word) -> Option<usize> {
        const ESCAPED: &[u8] = br"'\''";
        let text = self.text;
        let mut from = self.at + 1;
        loop {
            let len = memchr(b'\'', &text[from..])?;
            word.push(text, from, len);
            let close = from + len;
            if text[close..].starts_with(ESCAPED) {
                word.push_unit(b'\'', close, ESCAPED.len());
                from = close + ESCAPED.len();
            } else {
                return Some(close + 1);
            }
        }
    }

    fn double(&self, word: &mut Word) -> Option<usize> {
        let text = self.text;
        let mut at = self.at + 1;
        loop {
            match text.get(at)? {
                b'"' => return Some(at + 1),
                b'\\'
                    if text
                        .get(at + 1)
                        .is_some_and(|next| b"\\\"$`".contains(next)) =>
                {
                    word.push_unit(text[at + 1], at, 2);
                    at += 2;
                }
                _ => {
                    word.push(text, at, 1);
                    at += 1;
                }
            }
        }
    }

    /// Reads the text between two `\"`: a text in a text.
    fn escaped(&mut self) -> Option<Segment> {
        let quote = self.peek(1)?;
        let start = self.at + 2;
        let near = &self.text[start..];
        let near = &near[..near.len().min(MAX_ESCAPED_BYTES)];
        let len = near
            .windows(2)
            .take_while(|two| two[0] != b'\n')
            .position(|two| two == [b'\\', quote])?;
        let mut segment = Segment::new(self.at, Some(b'\''));
        segment.word.push(self.text, start, len);
        self.at = start + len + 2;
        segment.word.range.end = self.at;
        Some(segment)
    }

    /// Reads `$(...)`.
    fn substitution(&mut self, segments: &mut Vec<Segment>) {
        let near = &self.text[self.at..];
        let near = &near[..near.len().min(MAX_SUBSTITUTION_BYTES)];
        let Some(close) = memchr(b')', near) else {
            self.push(segments, 1);
            return;
        };
        let mut segment = Segment::new(self.at, None);
        segment.is_substitution = true;
        segment.word.push(self.text, self.at, close + 1);
        self.at += close + 1;
        segment.word.range.end = self.at;
        segments.push(segment);
    }
}

/// Whether Ruby's `%w[...]` or Perl's `qw(...)` begins here.
fn is_word_list(byte: u8, segments: &[Segment]) -> bool {
    let [segment] = segments else {
        return false;
    };
    let word = &segment.word.bytes;
    segment.quote.is_none()
        && b"[({".contains(&byte)
        && [&b"%w"[..], b"%W", b"qw"]
            .iter()
            .any(|start| word.ends_with(start))
}

#[cfg(test)]
mod tests;
