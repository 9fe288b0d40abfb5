//! The program with which a script begins, as far as that is certain.
//!
//! Knows enough of the shell's grammar never to guess: if it is not certain, it
//! says so.

/// What a script begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FirstWord {
    /// A simple command whose program has this name; if the program does not
    /// exist, the script fails.
    Program(Vec<u8>),
    /// One of the shell's own commands.
    Builtin(Vec<u8>),
    /// Something else, which only the shell can interpret.
    Unknown,
    /// Nothing but comments and white space.
    Nothing,
}

/// What POSIX and the common shells have themselves.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "alias", "bg", "break", "builtin", "cd", "command",
    "continue", "declare", "disown", "echo", "enable", "eval", "exec", "exit",
    "export", "false", "fc", "fg", "getopts", "hash", "jobs", "kill", "let",
    "local", "printf", "pwd", "read", "readonly", "return", "set", "shift",
    "source", "test", "times", "trap", "true", "type", "typeset", "ulimit",
    "umask", "unalias", "unset", "wait",
];

/// What begins a compound command, or belongs to one.
const KEYWORDS: &[&str] = &[
    "!", "[[", "case", "coproc", "do", "done", "elif", "else", "esac", "fi",
    "for", "function", "if", "in", "select", "then", "time", "until", "while",
    "{", "}",
];

/// What the script begins with.
pub(super) fn begin(script: &[u8]) -> FirstWord {
    let mut rest = trimmed_start(script);
    while rest.first() == Some(&b'#') {
        let end = rest.iter().position(|byte| *byte == b'\n');
        rest = trimmed_start(&rest[end.unwrap_or(rest.len())..]);
    }
    if rest.is_empty() {
        return FirstWord::Nothing;
    }
    let Some((word, tail)) = plain_word(rest) else {
        return FirstWord::Unknown;
    };
    if word == b"exec" {
        // The program follows, unless that is an option or a redirection.
        let tail = blanks(tail);
        return match plain_word(tail) {
            Some((word, tail)) if !word.starts_with(b"-") => simple(word, tail),
            _ => FirstWord::Builtin(word),
        };
    }
    let is_one_of =
        |names: &[&str]| names.iter().any(|name| name.as_bytes() == word);
    if is_one_of(KEYWORDS) {
        return FirstWord::Unknown;
    }
    if is_one_of(BUILTINS) {
        return FirstWord::Builtin(word);
    }
    simple(word, tail)
}

/// A command of this name, if the following text makes it a simple command
/// whose failure is not expected.
fn simple(word: Vec<u8>, tail: &[u8]) -> FirstWord {
    if is_simple(tail) {
        FirstWord::Program(word)
    } else {
        FirstWord::Unknown
    }
}

fn blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    &text[start.unwrap_or(text.len())..]
}

fn trimmed_start(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
    let start = text.iter().position(|byte| !is_space(byte));
    &text[start.unwrap_or(text.len())..]
}

/// The first word and the rest, if the word is literal: letters, digits and
/// characters without a meaning for a shell, perhaps in quotes.
fn plain_word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if let Some(quote @ (b'\'' | b'"')) = text.first() {
        let end = 1 + text[1..].iter().position(|byte| byte == quote)?;
        let word = &text[1..end];
        let is_special = |byte: &u8| matches!(byte, b'$' | b'`' | b'\\');
        let is_plain = *quote == b'\'' || !word.iter().any(is_special);
        let tail = &text[end + 1..];
        let is_end = tail.first().is_none_or(ends_word);
        return (is_plain && is_end && !word.is_empty())
            .then(|| (word.to_vec(), tail));
    }
    let is_plain = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || b"_./+-@%:,~!{}[]".contains(byte)
            || !byte.is_ascii()
    };
    let end = text.iter().position(|byte| !is_plain(byte));
    let (word, tail) = text.split_at(end.unwrap_or(text.len()));
    let is_end = tail.first().is_none_or(ends_word);
    // A tilde elsewhere, brackets and braces may be expanded.
    let is_expanded = word[word.len().min(1)..]
        .iter()
        .any(|byte| matches!(byte, b'~' | b'{' | b'}' | b'[' | b']' | b'!'))
        && word != b"[[";
    (is_end && !is_expanded && !word.is_empty()).then(|| (word.to_vec(), tail))
}

fn ends_word(byte: &u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>'
    )
}

/// Whether the rest of a simple command follows, and neither a pipe nor an
/// alternative nor a list.
fn is_simple(tail: &[u8]) -> bool {
    let mut at = 0;
    let mut is_word_start = true;
    while let Some(byte) = tail.get(at) {
        let is_first = std::mem::replace(&mut is_word_start, false);
        match byte {
            b'\\' => at += 1,
            b'\'' => {
                let quote = tail[at + 1..].iter().position(|b| *b == b'\'');
                let Some(length) = quote else { return false };
                at += length + 1;
            }
            b'"' => {
                at += 1;
                while tail.get(at).is_some_and(|byte| *byte != b'"') {
                    if is_substitution(&tail[at..]) {
                        return false;
                    }
                    at += if tail[at] == b'\\' { 2 } else { 1 };
                }
                if at >= tail.len() {
                    return false;
                }
            }
            // Up to the end of the line, after which there may be more.
            b'#' if is_first => {
                let end = tail[at..].iter().position(|b| *b == b'\n');
                return end.is_none_or(|end| {
                    trimmed_start(&tail[at + end..]).is_empty()
                });
            }
            b'\n' => return trimmed_start(&tail[at..]).is_empty(),
            b' ' | b'\t' => is_word_start = true,
            // `>&2` and `<&-` are redirections.
            b'>' | b'<' if tail.get(at + 1) == Some(&b'&') => at += 1,
            // A here document continues on the next lines.
            _ if tail[at..].starts_with(b"<<") => return false,
            b'>' | b'<' if tail.get(at + 1) != Some(&b'(') => {}
            b'|' | b'&' | b';' | b'(' | b')' | b'<' | b'>' => return false,
            _ if is_substitution(&tail[at..]) => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

fn is_substitution(text: &[u8]) -> bool {
    text.starts_with(b"`") || text.starts_with(b"$(")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> Option<String> {
        match begin(script.as_bytes()) {
            FirstWord::Program(word) => Some(String::from_utf8(word).unwrap()),
            _ => None,
        }
    }

    #[test]
    fn a_plain_first_word_is_a_program() {
        for (script, expected) in [
            ("record", "record"),
            ("/usr/bin/record \"$MSG1\" >> $HOME/log", "/usr/bin/record"),
            ("# why\n  record # comment", "record"),
            ("exec /opt/a-b_c.py --x=1 'a;b' \"c|d\"", "/opt/a-b_c.py"),
            ("'/a b/c' d", "/a b/c"),
            ("\"/a b/c\"", "/a b/c"),
            ("~/bin/x 2>&1", "~/bin/x"),
            ("record a\\;b", "record"),
            ("record 'a|b' \"c \\\" $d\" e", "record"),
            ("record >&2 <&- > x < y", "record"),
            ("record a#b", "record"),
            ("record\n\n", "record"),
            ("record\t# one\n \t\n", "record"),
            ("# one\n# two\nrecord", "record"),
            ("exec \trecord", "record"),
            ("\"/a\"\tb", "/a"),
            ("r\u{e9}cord-1", "r\u{e9}cord-1"),
        ] {
            assert_eq!(program(script).as_deref(), Some(expected), "{script}");
        }
    }

    #[test]
    fn what_is_in_doubt_is_left_to_the_shell() {
        for script in [
            "",
            "# only a comment",
            "$PROGRAM a",
            "\"$HOME/x\"",
            "A=1 record",
            "record | filter",
            "record || true",
            "record && more",
            "record; more",
            "record &",
            "record \"$(date)\"",
            "record `date`",
            "record() { x; }",
            "(record)",
            "{ record; }",
            "if test; then x; fi",
            "! record",
            "printf x",
            "exec > file",
            "exec -a x y",
            "first\nsecond",
            "record # comment\nmore",
            "record << END\nx\nEND",
            "rec*rd",
            "rec\"or\"d",
            "a~b",
            "record 'unfinished",
            "cd /x",
            "[ -e x ]",
            "'a'b",
            "''",
            "\"a`b\"",
            "\"a\\\\b\"",
            "'unfinished",
            "record \"unfinished",
            "record \"a \\",
            "record \"`date`\"",
            "record <(date)",
            "record >(date)",
            "record a)",
            "a{b,c}",
            "a[bc]",
            "a!b",
            "exec",
            "exec record | filter",
            "record\nmore",
        ] {
            assert_eq!(program(script), None, "{script}");
        }
        assert_eq!(begin(b" # c\n"), FirstWord::Nothing);
        assert_eq!(begin(b" # c"), FirstWord::Nothing);
        assert_eq!(begin(b"exit 3"), FirstWord::Builtin(b"exit".to_vec()));
        assert_eq!(begin(b"exec"), FirstWord::Builtin(b"exec".to_vec()));
        assert_eq!(begin(b"exec -a x"), FirstWord::Builtin(b"exec".to_vec()));
        assert_eq!(begin(b"[[ -e x ]]"), FirstWord::Unknown);
    }
}
