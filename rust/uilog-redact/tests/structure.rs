//! `:argv = structure`: only what is known to be harmless passes.

#[path = "corpus/escapes.rs"]
mod escapes;
#[path = "support/lines.rs"]
mod lines;
#[path = "structure/properties.rs"]
mod properties;

use std::sync::OnceLock;

use uilog_redact::ArgvPolicy;
use uilog_redact::Key;
use uilog_redact::Policy;
use uilog_redact::Redactor;
use uilog_redact::UserPolicy;
use uilog_redact::arguments;

use crate::escapes::unescaped;
use crate::lines::line_of;

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

/// The arguments of a command, each by itself.
fn redacted(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    arguments(&redactor().redact_arguments(&line_of(words)).text)
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
            let told = redacted(&words);
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
