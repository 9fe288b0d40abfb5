//! The corpus: every secret in it goes, and next to nothing else.
//!
//! What `tests/corpus/` holds is described at the head of its files. Shows the
//! figures, by family where something fails;
//! `cargo test -p uilog-redact --test corpus -- --nocapture` prints them.

#[path = "corpus/escapes.rs"]
mod escapes;
#[path = "corpus/format.rs"]
mod format;
#[path = "support/lines.rs"]
mod lines;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use uilog_redact::Policy;
use uilog_redact::Redactor;
use uilog_redact::arguments;
use uilog_redact::rules;

use crate::escapes::unescaped;
use crate::format::Line;
use crate::format::Marked;
use crate::format::is_left;
use crate::format::marked;
use crate::lines::line_of;

const MIN_SECRETS: usize = 1_000;
const MIN_HARMLESS: usize = 1_000;
const MAX_FALSE_ALARMS_PERCENT: usize = 1;

fn texts(name: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    format::lines(&fs::read_to_string(path).expect("the corpus is here"))
}

fn redactor() -> Redactor {
    Redactor::new(&Policy {
        config_items: vec![b"corp.*".to_vec()],
        ..Policy::default()
    })
}

/// How many texts of a family there are, and how many fail.
#[derive(Default)]
struct Counts {
    texts: usize,
    failures: usize,
}

/// Prints what fails, family by family.
fn print_failing(families: &BTreeMap<String, Counts>) {
    for (family, counts) in families {
        if counts.failures > 0 {
            println!("{family}: {} of {} texts", counts.failures, counts.texts);
        }
    }
}

#[test]
fn every_secret_goes_and_nothing_around_it() {
    let redactor = redactor();
    let known: BTreeSet<_> =
        rules().into_iter().map(|rule| rule.name()).collect();
    let mut secrets = 0;
    let mut leaks = 0;
    let mut differences = 0;
    let mut families = BTreeMap::<String, Counts>::new();
    for line in texts("secrets.txt") {
        let marked = marked(&line.text);
        assert!(!marked.secrets.is_empty(), "line {}: no mark", line.number);
        let redacted =
            redactor.redact_message(line.event.as_bytes(), &marked.text);
        let show = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        for (rule, secret) in &marked.secrets {
            secrets += 1;
            assert!(
                known.contains(rule.as_str()),
                "line {}: no rule is named {rule}",
                line.number
            );
            if is_left(secret, &redacted.text, &marked.wanted) {
                leaks += 1;
                println!("line {}: leaks {}", line.number, show(secret));
            }
        }
        let is_other = *redacted.text != *marked.wanted;
        if is_other {
            differences += 1;
            println!(
                "line {}: is     {}\n        wanted {}",
                line.number,
                show(&redacted.text),
                show(&marked.wanted)
            );
        }
        let counts = families.entry(line.family).or_default();
        counts.texts += 1;
        counts.failures += usize::from(is_other);
    }
    print_failing(&families);
    println!(
        "{secrets} secrets: {leaks} leaks, {differences} texts other than \
         wanted"
    );
    assert!(secrets >= MIN_SECRETS, "{secrets} secrets are too few");
    assert_eq!(leaks, 0, "secrets leak");
    assert_eq!(differences, 0, "texts become other than wanted");
}

/// What `uilog run` logs for a program: each argument is in quotes where a shell
/// needs them.
#[test]
fn a_program_hides_the_same_by_itself_as_in_a_hook() {
    let redactor = redactor();
    let lines = command_lines("secrets.txt");
    let mut leaks = 0;
    for (number, marked, line) in &lines {
        let redacted = redactor.redact_program(line);
        for (_, secret) in &marked.secrets {
            if is_left(secret, &redacted.text, &marked.wanted) {
                leaks += 1;
                let secret = String::from_utf8_lossy(secret);
                let left = String::from_utf8_lossy(&redacted.text);
                println!("line {number}: leaks {secret}\n   {left}");
            }
        }
    }
    println!("{} command lines: {leaks} leaks", lines.len());
    assert!(lines.len() >= MIN_SECRETS, "{} are too few", lines.len());
    assert_eq!(leaks, 0, "secrets leak");
}

#[test]
fn next_to_nothing_harmless_goes_from_a_programs_command_line() {
    let redactor = redactor();
    let lines = command_lines("harmless.txt");
    let mut alarms = 0;
    for (number, _, line) in &lines {
        let redacted = redactor.redact_program(line);
        if !redacted.places.is_empty() {
            alarms += 1;
            let left = String::from_utf8_lossy(&redacted.text);
            println!("line {number}: {left}");
        }
    }
    println!("{} command lines: {alarms} false alarms", lines.len());
    assert!(lines.len() >= MIN_HARMLESS, "{} are too few", lines.len());
    assert!(alarms * 100 <= lines.len() * MAX_FALSE_ALARMS_PERCENT);
}

/// The texts of a file that are command lines of programs, by their numbers, and
/// how `uilog run` logs them.
fn command_lines(name: &str) -> Vec<(usize, Marked, Vec<u8>)> {
    let lines = texts(name).into_iter().filter_map(|line| {
        let marked = marked(&line.text);
        let logged = as_logged(&line.event, &marked.text)?;
        Some((line.number, marked, logged))
    });
    lines.collect()
}

/// The command line of a hook or of a text as hg would log it, if it is one
/// command without anything that only a shell understands. Quotes in other
/// texts are often those of SQL or code.
fn as_logged(event: &str, text: &[u8]) -> Option<Vec<u8>> {
    if event.starts_with("command") {
        return None;
    }
    const OF_SHELLS: &str = "\"$`|&;<>(){}[]*?#~!\\\n\t,";
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let (command, others) = match text.split_once(": ") {
        Some((hook, rest)) if hook.starts_with("exthook-") => {
            (rest.rsplit_once(" finished in ")?.0, "")
        }
        _ => (text, "'"),
    };
    if command.contains(|it| OF_SHELLS.contains(it) || others.contains(it)) {
        return None;
    }
    let is_closed = command.matches('\'').count() % 2 == 0;
    let words = arguments(command.as_bytes());
    (is_closed && words.len() > 1).then(|| line_of(&words))
}

#[test]
fn next_to_nothing_harmless_goes() {
    let redactor = redactor();
    let lines = texts("harmless.txt");
    let mut alarms = 0;
    let mut families = BTreeMap::<String, Counts>::new();
    for line in &lines {
        let text = unescaped(&line.text);
        let redacted = redactor.redact_message(line.event.as_bytes(), &text);
        let is_alarm = !redacted.places.is_empty();
        if is_alarm {
            alarms += 1;
            println!(
                "line {}: {}",
                line.number,
                String::from_utf8_lossy(&redacted.text)
            );
        }
        assert_eq!(
            redacted.places.is_empty(),
            *redacted.text == *text,
            "line {}",
            line.number
        );
        let counts = families.entry(line.family.clone()).or_default();
        counts.texts += 1;
        counts.failures += usize::from(is_alarm);
    }
    print_failing(&families);
    println!(
        "{} harmless texts: {alarms} false alarms ({:.1} %)",
        lines.len(),
        alarms as f64 * 100.0 / lines.len() as f64
    );
    assert!(lines.len() >= MIN_HARMLESS, "{} are too few", lines.len());
    assert!(
        alarms * 100 <= lines.len() * MAX_FALSE_ALARMS_PERCENT,
        "{alarms} of {} are too many",
        lines.len()
    );
}

#[test]
fn redacting_the_corpus_twice_changes_nothing_more() {
    let redactor = redactor();
    let mut unstable = 0;
    for name in ["secrets.txt", "harmless.txt"] {
        for line in texts(name) {
            let text = marked(&line.text).text;
            let event = line.event.as_bytes();
            let once = redactor.redact_message(event, &text);
            let twice = redactor.redact_message(event, &once.text);
            if *twice.text != *once.text || !twice.places.is_empty() {
                unstable += 1;
                println!(
                    "{name}, line {}: once  {}\n    twice {}",
                    line.number,
                    String::from_utf8_lossy(&once.text),
                    String::from_utf8_lossy(&twice.text)
                );
            }
        }
    }
    assert_eq!(unstable, 0, "texts change when they are redacted again");
}

/// Messages are truncated. Ends within a word are left out, as they are nothing
/// special.
#[test]
fn a_text_may_end_after_any_word_or_sign() {
    let redactor = redactor();
    for line in texts("secrets.txt") {
        let text = marked(&line.text).text;
        let event = line.event.as_bytes();
        let is_end = |end: &usize| !text[end - 1].is_ascii_alphanumeric();
        for end in (1..text.len()).filter(is_end) {
            let text = &text[..end];
            let redacted = redactor.redact_message(event, text);
            assert_eq!(
                redacted.places.is_empty(),
                *redacted.text == *text,
                "line {}, up to {end}",
                line.number
            );
        }
    }
}
