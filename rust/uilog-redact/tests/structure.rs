//! `:argv = structure`: only what is known to be harmless passes.

#[path = "corpus/escapes.rs"]
mod escapes;

use std::collections::HashSet;
use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use uilog_redact::ArgvPolicy;
use uilog_redact::Key;
use uilog_redact::Policy;
use uilog_redact::Redactor;
use uilog_redact::UserPolicy;

use crate::escapes::unescaped;

fn redactor() -> &'static Redactor {
    static REDACTOR: OnceLock<Redactor> = OnceLock::new();
    REDACTOR.get_or_init(|| {
        Redactor::new(&Policy {
            argv: ArgvPolicy::Structure,
            ..Policy::default()
        })
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line(line: &str) -> String {
    text(&redactor().redact_command(line.as_bytes()).text)
}

fn message(event: &str, message: &str) -> String {
    let redacted =
        redactor().reduce_message(event.as_bytes(), message.as_bytes());
    text(&redacted.text)
}

#[test]
fn a_command_keeps_its_grammar() {
    for (typed, told) in [
        ("status", "status"),
        ("st -mA src", "status --modified --all src"),
        (
            "--cwd x ci -Am 'it works' a.c",
            "--cwd=x commit --addremove --message=<message> a.c",
        ),
        ("commit -mX", "commit --message=<message>"),
        ("commit -m=X", "commit --message=<message>"),
        ("commit --mess X", "commit --message=<message>"),
        (
            "commit --message=X --amend",
            "commit --message=<message> --amend",
        ),
        ("commit -Amx a", "commit --addremove --message=<message> a"),
        ("commit -u 'Bob <bob@corp.example>'", "commit --user=<user>"),
        (
            "commit -d '2020-01-01 10:00'",
            "commit '--date=2020-01-01 10:00'",
        ),
        ("commit -d hunter2", "commit --date=<date>"),
        ("commit -- -m hunter2", "commit -- -m hunter2"),
        ("amend -n hunter2", "amend --note=<message>"),
        (
            "log -r 'draft() and 3::tip' -l 5 -T json",
            "log '--rev=draft() and 3::tip' --limit=5 --template=json",
        ),
        (
            "log -r 'user(bob)' -T '{author}'",
            "log --rev=<revset> --template=<template>",
        ),
        (
            "log -r 'desc(\"x y\")' -k hunter2",
            "log --rev=<revset> --keyword=<keyword>",
        ),
        (
            "log -r 0123456789abcdef0123456789abcdef01234567",
            "log --rev=0123456789abcdef0123456789abcdef01234567",
        ),
        (
            "log -u bob -I 'glob:**.py' -X 're:x(y)'",
            "log --user=<user> --include=glob:**.py --exclude=<pattern>",
        ),
        ("diff --from 3 --to tip", "diff --from=3 --to=tip"),
        (
            "email --to bob@x.example --from me -s subject",
            "email --to=<user> --from=<user> --subject=<message>",
        ),
        ("up feature/x", "update feature/x"),
        ("bookmark -m old new", "bookmarks --rename=old new"),
        ("grep 'pass.*' src", "grep <keyword> src"),
        (
            "clone https://u:p@h.example:8000/r?x=1 d",
            "clone <url:https:h.example> d",
        ),
        ("clone ssh://user:pw@h:22/p", "clone <url:ssh:h>"),
        ("clone https://u:sl/ash@h/r", "clone <url:https>"),
        ("clone https://h/x/../@y", "clone <url:https>"),
        ("clone weird://u:p@h/", "clone <url>"),
        ("clone bob@h.example:path/x", "clone <url:scp:h.example>"),
        ("clone file:///srv/x", "clone <url:file>"),
        ("add https://u:p@h/x", "add <url:https:h>"),
        ("add 'a?token=x'", "add <pattern>"),
        ("-R ssh://u:p@h/r log", "--repository=<url:ssh:h> log"),
        ("pull -B book default", "pull --bookmark=book default"),
        (
            "pull -e 'plink -pw X' --remotecmd /usr/bin/hg",
            "pull --ssh=<program:plink:2> --remotecmd=/usr/bin/hg",
        ),
        (
            "--config ui.x=5 --config auth.x.password=5 st",
            "--config=ui.x=5 --config=auth.x.password=<value> status",
        ),
        (
            "st --config a.b=yes --config=a.c=maybe",
            "status --config=a.b=yes --config=a.c=<value>",
        ),
        (
            "st --config 'ui.ssh=plink -pw X'",
            "status --config=ui.ssh=<value>",
        ),
        ("st --config hunter2", "status --config=<value>"),
        ("push --pushvars KEY=VALUE", "push --pushvars=KEY=<value>"),
        (
            "bundle -t 'zstd-v2;obsolescence=yes' x.hg",
            "bundle --type=zstd-v2;obsolescence=yes x.hg",
        ),
        ("bundle -t hunter2 x.hg", "bundle --type=<value> x.hg"),
        ("import -p 1 a.patch", "import --strip=1 a.patch"),
        ("annotate -L", "annotate --line-range"),
        ("log -L src/x.c,3:5", "log --line-range=src/x.c,3:5"),
        ("merge -t :local", "merge --tool=:local"),
        (
            "st --no-verb --quiet=x",
            "status --no-verbose --quiet=<value>",
        ),
        ("bisect -c 'sh -c X'", "bisect --command=<program:sh:2>"),
        // What is no command of hg's, and options that none has.
        (
            "deploy prod -p X --token=Y --to Z ssh://h/x",
            "deploy <value> -p <value> --token=<value> --to <value> <url:ssh:h>",
        ),
        (
            "deploy -pX -q --config ui.a=1",
            "deploy -p<value> --quiet --config=ui.a=1",
        ),
        ("'two words' x", "<command> <value>"),
        ("push --token hunter2", "push --token <value>"),
        ("push -m hunter2", "push -m <value>"),
        (
            "--token hunter2 pull x",
            "--token <command> <value> <value>",
        ),
        ("-m hunter2 pull x", "-m <command> <value> <value>"),
        ("--token pull x", "--token pull <value>"),
        ("commit 'fix for customer'", "commit <pattern>"),
        ("update FAKEq2w3e4r5t6z7u8i9", "update <revset>"),
        ("", ""),
    ] {
        assert_eq!(line(typed), told, "{typed}");
        // What is left has nothing left to go.
        assert_eq!(line(told), told, "again: {typed}");
    }
}

#[test]
fn another_programs_arguments_are_counted() {
    for (typed, told) in [
        ("mysql -uroot -phunter2 db", "mysql <arguments:3>"),
        ("true", "true"),
        ("PGPASSWORD=x psql -c y", "psql <arguments:2>"),
        ("$HG push ssh://u:p@h/", "$HG <arguments:2>"),
        ("/usr/bin/curl -u 'a b'", "/usr/bin/curl <arguments:2>"),
        ("'two words' x", "<command> <arguments:1>"),
        ("PASSWORD=x", "<command>"),
        ("\"$HG\" x", "$HG <arguments:1>"),
        ("https://u:p@h/ x", "<command> <arguments:1>"),
    ] {
        let redacted = redactor().redact_program(typed.as_bytes());
        let shown = text(&redacted.text);
        assert_eq!(shown, told, "{typed}");
        let again = redactor().redact_program(told.as_bytes());
        assert_eq!(text(&again.text), told, "again: {typed}");
    }
}

#[test]
fn messages_keep_their_wording() {
    for (event, said, told) in [
        (
            "exthook",
            "exthook-pre.x: curl -H X | y finished in 0.01 seconds",
            "exthook-pre.x: curl <arguments:4> finished in 0.01 seconds",
        ),
        (
            "exthook",
            "exthook-pre.x: curl -H hunter2",
            "exthook-pre.x: curl <arguments:2>",
        ),
        ("exthook", "other", "<message>"),
        (
            "pythonhook",
            "pythonhook-commit: a.b.c finished in 0.01 seconds",
            "pythonhook-commit: a.b.c finished in 0.01 seconds",
        ),
        (
            "commandalias",
            "alias 'c' expands to 'commit -m \"a b\"'",
            "alias 'c' expands to 'commit --message=<message>'",
        ),
        (
            "commandalias",
            "alias 'c' expands to '!curl -u a:b $1'",
            "alias 'c' expands to '!curl <arguments:3>'",
        ),
        (
            "incoming",
            "1 incoming changes - new heads: 0123456789ab",
            "1 incoming changes - new heads: 0123456789ab",
        ),
        ("debug", "running ssh u@h 'x'", "<message>"),
        (
            "develwarn",
            "x hunter2 at: /a/b.py:3 (f)",
            "<message> at: /a/b.py:3 (f)",
        ),
        (
            "peerclose",
            "connection to ssh://u:p@h:22/r?x closed after 1.00 seconds (closed)",
            "connection to ssh://h:22/r closed after 1.00 seconds (closed)",
        ),
        (
            "peerclose",
            "connection to weird://x closed after 1.00 seconds (closed)",
            "connection to <url> closed after 1.00 seconds (closed)",
        ),
        (
            "extension",
            "    - could not import x (no hunter2): trying y",
            "    - could not import x (<message>): trying y",
        ),
        ("uiblocked", "ui blocked ms", "ui blocked ms"),
        ("tagscache", "hunter2", "<message>"),
        ("tagscache", "", ""),
        ("deploy", "done by bob", "done by bob"),
        (
            "deploy",
            "see https://u:hunter2@h/",
            "see https://u:<redacted:url-password>@h/",
        ),
    ] {
        assert_eq!(message(event, said), told, "{event}");
        assert_eq!(message(event, told), told, "again: {event}");
    }
}

#[test]
fn a_traceback_keeps_places_and_types() {
    let said = "** Unknown exception encountered with possibly-broken \
        third-party extension \"x\" (version N/A)\n\
        ** Python 3.11.2 (main) [GCC]\n\
        ** Mercurial Distributed SCM (version 7.2.4)\n\
        ** Extensions loaded: uilog, x 1.2, y\n\n\
        Traceback (most recent call last):\n\
        \x20 File \"/a/b.py\", line 3, in f\n\
        \x20   run(['mysql', '-phunter2'])\n\
        subprocess.CalledProcessError: Command '['mysql', '-phunter2']'\n\
        hunter2: more\n\n\
        During handling of the above exception, another exception occurred:\n\
        \n\
        Traceback (most recent call last):\n\
        \x20 File \"/a/c.py\", line 9, in <module>\n\
        ValueError\n";
    let told = message("commandexception", said);
    assert_eq!(
        told,
        "** Unknown exception encountered with possibly-broken third-party \
         extension \"x\" (version N/A)\n\
         ** Python <message>\n\
         ** Mercurial Distributed SCM (version 7.2.4)\n\
         ** Extensions loaded: uilog, x, 1.2, y\n\
         Traceback (most recent call last):\n\
         \x20 File \"/a/b.py\", line 3, in f\n\
         subprocess.CalledProcessError: <message>\n\
         During handling of the above exception, another exception occurred:\n\
         Traceback (most recent call last):\n\
         \x20 File \"/a/c.py\", line 9, in <module>\n\
         ValueError"
    );
    assert_eq!(message("commandexception", &told), told);
    assert_eq!(message("commandexception", "hunter2"), "<message>");
}

#[test]
fn options_of_events_are_looked_at() {
    for (event, key, value, told) in [
        ("commandfinish", "canonical_command", "status", "status"),
        ("commandfinish", "canonical_command", "a b", "<name>"),
        ("commandfinish", "other", "two words", "<value>"),
        ("peerclose", "url", "ssh://u:p@h/r", "ssh://h/r"),
        (
            "peerclose",
            "url",
            "https://FAKE0123fake4567@h/r",
            "https://h/r",
        ),
        ("peerclose", "outcome", "closed", "closed"),
        (
            "commandfinish",
            "error",
            "repository nowhere not found",
            "repository <value> not found",
        ),
        (
            "commandfinish",
            "error",
            "unknown revision 'release-1'\n(did you mean 'a b c'?)",
            "unknown revision 'release-1'\n(did you mean '<value>'?)",
        ),
        (
            "commandfinish",
            "error",
            "pretxncommit.check hook exited with status 3",
            "pretxncommit.check hook exited with status 3",
        ),
        (
            "commandfinish",
            "error",
            "cannot open 'src/a.c': Permission denied by Alice Smith",
            "cannot open 'src/a.c': Permission denied by <value>",
        ),
        (
            "commandfinish",
            "error",
            "cannot read https://u:hunter2@h.example/r, 0123456789ab",
            "cannot read https://h.example/r, 0123456789ab",
        ),
        (
            "commandfinish",
            "error",
            "password 'FAKE0123fake4567FAKE' failed",
            "password '<redacted:secret>' failed",
        ),
        ("other", "error", "my own words", "my own words"),
        (
            "commandexception",
            "exception_stacktrace",
            "Traceback (most recent call last):\n  File \"/a/b.py\", \
             line 3, in f\n    g('x y')\nKeyError: 'x y'\n",
            "Traceback (most recent call last):\n  File \"/a/b.py\", \
             line 3, in f\nKeyError: <message>",
        ),
        (
            "commandexception",
            "fingerprint",
            "0123456789abcdef",
            "0123456789abcdef",
        ),
        ("commandexception", "fingerprint", "two words", "<value>"),
        ("exthook", "source", "/home/a/.hgrc:12", "/home/a/.hgrc:12"),
        ("exthook", "source", "two words:12", "<value>"),
        ("hookrefused", "reason", "not-loaded", "not-loaded"),
        ("userwait", "kind", "merge-tool", "merge-tool"),
        ("deploy", "argv", "curl -u x:y", "curl <arguments:2>"),
        ("deploy", "password", "x", "<redacted:secret>"),
        ("deploy", "note", "two words", "two words"),
    ] {
        let redacted = redactor().reduce_option(
            event.as_bytes(),
            key.as_bytes(),
            value.as_bytes(),
        );
        assert_eq!(text(&redacted.text), told, "{event} {key}");
    }
}

#[test]
fn users_are_hashed_where_that_is_asked_for() {
    let redactor = Redactor::new(&Policy {
        argv: ArgvPolicy::Structure,
        user: UserPolicy::Hash(Key::new(b"0123456789abcdef").unwrap()),
        ..Policy::default()
    });
    let told = redactor.redact_command(b"commit -u alice");
    assert_eq!(text(&told.text), "commit --user=<user:fdbf8b1cacd3d578>");
}

/// Every secret of the corpus, without what is around it.
fn secrets() -> &'static [Vec<u8>] {
    static SECRETS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SECRETS.get_or_init(|| {
        include_str!("corpus/secrets.txt")
            .replace("{+}", "")
            .split('⟦')
            .skip(1)
            .filter_map(|part| part.split_once('⟧')?.0.split_once(':'))
            .map(|(_, secret)| unescaped(secret))
            .filter(|secret| secret.len() > 3)
            .collect()
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Places where no value is ever told, whatever it looks like.
#[test]
fn no_secret_of_the_corpus_is_told() {
    const BEFORE: &[&[&str]] = &[
        &["commit", "-m"],
        &["commit", "-Am"],
        &["amend", "--note"],
        &["log", "-k"],
        &["log", "-u"],
        &["email", "--to"],
        &["bundle", "-t"],
        &["push", "--token"],
        &["push", "-p"],
        &["deploy"],
        &["deploy", "--token"],
        &["--token"],
        &["debugwireargs"],
    ];
    const PREFIXES: &[(&str, &str)] = &[
        ("commit", "-m"),
        ("commit", "--message="),
        ("push", "--token="),
        ("deploy", "-p"),
        ("deploy", "--password="),
        ("status", "--config=x.y="),
        ("status", "--config=auth.x.password="),
        ("push", "--pushvars=X="),
        ("clone", "https://bob:"),
        ("clone", "https://h/?x="),
        ("add", "x?token="),
        ("log", "-Tx "),
    ];
    let redactor = redactor();
    assert!(secrets().len() > 250);
    for secret in secrets() {
        let mut lines: Vec<Vec<Vec<u8>>> = Vec::new();
        for before in BEFORE {
            let words = before.iter().map(|it| it.as_bytes().to_vec());
            lines.push(words.chain([secret.clone()]).collect());
        }
        for (command, prefix) in PREFIXES {
            let last = [prefix.as_bytes(), secret].concat();
            lines.push(vec![command.as_bytes().to_vec(), last.clone()]);
            let last = [&last[..], b"@h.example/x"].concat();
            lines.push(vec![command.as_bytes().to_vec(), last]);
        }
        // Digits alone are a value that `--config` may tell.
        let is_number = secret.iter().all(u8::is_ascii_digit);
        for words in lines {
            let told = redactor.redact_argv(&words).text;
            let all = told.concat();
            assert!(
                is_number || !contains(&all, secret),
                "{} tells {}",
                text(&words.join(&b' ')),
                text(&all)
            );
        }
        for line in [
            [&b"curl -u "[..], secret].concat(),
            [&b"X="[..], secret, b" curl"].concat(),
        ] {
            let told = redactor.redact_program(&line).text.into_owned();
            assert!(!contains(&told, secret), "{}", text(&told));
        }
    }
}

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
        let table = include_str!("../../uilog-event/src/command/commands.txt");
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
        let told = redactor().redact_argv(&words).text;
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
        let line = words_line(&words);
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
        let told = redactor().redact_argv(&words).text.concat();
        prop_assert!(!contains(&told, secret.as_bytes()), "{}", text(&told));
        let line = words_line(&words);
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

fn words_line(words: &[Vec<u8>]) -> Vec<u8> {
    let quoted = words.iter().map(|word| {
        let mut quoted = b"'".to_vec();
        for byte in word {
            match byte {
                b'\'' => quoted.extend_from_slice(br"'\''"),
                other => quoted.push(*other),
            }
        }
        quoted.push(b'\'');
        quoted
    });
    quoted.collect::<Vec<_>>().join(&b' ')
}
