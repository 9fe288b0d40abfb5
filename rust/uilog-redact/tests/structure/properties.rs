//! What holds for any command line: each byte of the result is accounted for.

use std::collections::HashSet;
use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::contains;
use crate::lines::line_of;
use crate::message;
use crate::redacted;
use crate::redactor;
use crate::text;

/// Words of command lines, and what else may come.
const PIECES: &[&str] = &[
    "commit",
    "ci",
    "log",
    "st",
    "clone",
    "push",
    "email",
    "deploy",
    "config",
    "--",
    "-",
    "-m",
    "-Am",
    "-mX",
    "--message",
    "--message=",
    "--mess",
    "-u",
    "-r",
    "-R",
    "--cwd",
    "--config",
    "--config=",
    "-T",
    "-I",
    "-d",
    "-t",
    "-e",
    "--no-verbose",
    "--token",
    "-q",
    "-pX",
    "x.y=",
    "ui.a=5",
    "ssh://",
    "https://u:p@h/",
    "bob@h:x",
    "@",
    ":",
    "/",
    "a.c",
    "src/x",
    "tip",
    "3:5",
    "<value>",
    "<url:ssh:h>",
    "<arguments:3>",
    "'",
    "\"",
    " ",
    "?",
    "=",
    "#",
    "\0",
    "\n",
    "\\",
    "%",
    "glob:*",
    "draft()",
    "user(x)",
    "\u{e9}",
    "1",
];

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES)
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ];
    vec(vec(piece, 1..3).prop_map(|pieces| pieces.concat()), 0..8)
}

/// Everything that hg's own grammar has: commands, and options.
fn grammar() -> &'static HashSet<Vec<u8>> {
    static GRAMMAR: OnceLock<HashSet<Vec<u8>>> = OnceLock::new();
    GRAMMAR.get_or_init(|| {
        let table =
            include_str!("../../../uilog-event/src/command/commands.txt");
        let mut all = HashSet::new();
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            for word in line.trim_start_matches('+').split(' ') {
                let word = word.trim_end_matches([':', '=']);
                let word = word.rsplit(',').next().unwrap_or_default();
                all.insert(word.as_bytes().to_vec());
                all.insert(format!("no-{word}").into_bytes());
                if let Some(positive) = word.strip_prefix("no-") {
                    all.insert(positive.as_bytes().to_vec());
                }
            }
        }
        all
    })
}

/// Whether this is `<...>` with nothing in it but a kind, a scheme, a host or
/// a number.
fn is_placeholder(text: &[u8]) -> bool {
    let kinds = [
        "value",
        "message",
        "keyword",
        "user",
        "revset",
        "file",
        "source",
        "pattern",
        "date",
        "template",
        "number",
        "name",
        "option",
        "command",
        "url",
        "arguments",
        "program",
        "redacted",
    ];
    let Some(inner) =
        text.strip_prefix(b"<").and_then(|it| it.strip_suffix(b">"))
    else {
        return false;
    };
    let kind = inner.split(|it| *it == b':').next().unwrap_or_default();
    kinds.iter().any(|it| it.as_bytes() == kind)
        && !inner.contains(&b'@')
        && !inner.iter().any(|it| it.is_ascii_whitespace())
}

/// `-x`, `-x<value>` and `-<option>`.
fn is_letter(word: &[u8]) -> bool {
    match word.strip_prefix(b"-") {
        Some(b"<option>") => true,
        Some([letter, rest @ ..]) => {
            letter.is_ascii_alphanumeric()
                && (rest.is_empty() || rest == b"<value>")
        }
        _ => false,
    }
}

/// Whether these bytes may have been typed: no blank but in dates and sets of
/// revisions, no quote, no control character, nothing of a URL's.
fn looks_harmless(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars().all(|char| {
            char.is_alphanumeric()
                || " -_./+~,*?[]{}:()!^&|;=<>@".contains(char)
        }) && !text.contains("://")
            && !(text.contains('?') && text.contains('='))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Every word comes from the grammar, is a placeholder, or was typed and
    /// looks harmless.
    #[test]
    fn each_byte_is_accounted_for(words in words()) {
        let told = redacted(&words);
        for word in &told {
            let (name, value) = match word.strip_prefix(b"--") {
                Some(rest) => {
                    let at = rest.iter().position(|it| *it == b'=');
                    let (name, value) = rest.split_at(at.unwrap_or(rest.len()));
                    (name, value.strip_prefix(b"=").unwrap_or_default())
                }
                None => (&b""[..], &word[..]),
            };
            let was_typed = |part: &[u8]| {
                looks_harmless(part)
                    && words.iter().any(|typed| contains(typed, part))
            };
            let is_name = name.is_empty()
                || grammar().contains(name)
                || is_placeholder(name)
                || was_typed(name);
            prop_assert!(is_name, "{} in {:?}", text(word), words);
            let inner = value
                .iter()
                .rposition(|it| *it == b'<')
                .map_or(&b""[..], |at| &value[at..]);
            let before = &value[..value.len() - inner.len()];
            let is_value = value.is_empty()
                || grammar().contains(value)
                || was_typed(value)
                || is_placeholder(inner)
                    && (before.is_empty() || was_typed(before))
                || is_letter(value);
            prop_assert!(is_value, "{} in {:?}", text(word), words);
        }
        // The line, and what it is taken apart into, are the same.
        let line = line_of(&words);
        let redacted = redactor().redact_command(&line);
        prop_assert!(redacted.text.len() <= 16 * line.len() + 32);
    }

    /// What is typed as a text, or where nothing is known, never comes out.
    #[test]
    fn what_is_planted_stays_out(
        words in words(),
        secret in "[A-Z]{3}[a-z0-9]{2}[!$ %'\"=@#?]{1,2}[a-z0-9]{6}",
        at in any::<prop::sample::Index>(),
        prefix in proptest::sample::select(vec![
            "", "-m", "--message=", "--config=x.y=", "--token=", "ssh://u:",
            "https://h/x?", "-r", "-R", "--cwd=", "re:", "--",
        ]),
    ) {
        let mut words = words;
        let at = at.index(words.len() + 1);
        let word = [prefix.as_bytes(), secret.as_bytes()].concat();
        words.insert(at, word);
        let told = redacted(&words).concat();
        prop_assert!(!contains(&told, secret.as_bytes()), "{}", text(&told));
        let line = line_of(&words);
        let told = redactor().redact_program(&line).text.into_owned();
        prop_assert!(!contains(&told, secret.as_bytes()), "{}", text(&told));
    }

    /// No message makes it panic, and reducing twice is reducing once.
    #[test]
    fn messages_are_stable(
        event in proptest::sample::select(vec![
            "exthook", "pythonhook", "commandalias", "commandexception",
            "develwarn", "peerclose", "extension", "debug",
        ]),
        pieces in vec(proptest::sample::select(vec![
            "exthook-", "pythonhook-", "x: ", " finished in ", "1.0 seconds",
            "alias '", "' expands to '", "!", " at: ", ":3 (f)", "\n",
            "  File \"", "\", line 3, in f", "Traceback (most recent call last):",
            "E: x", "connection to ", " closed after ", "<message>", "'", "\"",
            "curl -u a:b", "<arguments:2>", " ", "(", "@",
        ]), 0..10),
    ) {
        let said = pieces.concat();
        let told = message(event, &said);
        prop_assert_eq!(message(event, &told), told);
    }
}
