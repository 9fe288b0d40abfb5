//! The corpus: every secret in it goes, and next to nothing else.
//!
//! What `tests/corpus/` holds is described at the head of its files. Shows the
//! figures; `cargo test -p uilog-redact --test corpus -- --nocapture` prints
//! them.

#[path = "corpus/escapes.rs"]
mod escapes;

use std::fs;
use std::path::Path;

use uilog_redact::Policy;
use uilog_redact::Redactor;
use uilog_redact::rules;

use crate::escapes::unescaped;

const MIN_SECRETS: usize = 300;
const MIN_HARMLESS: usize = 300;
const MAX_FALSE_ALARMS_PERCENT: usize = 2;

/// A line of the corpus.
struct Line {
    number: usize,
    event: String,
    text: String,
}

fn lines(name: &str) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let text = fs::read_to_string(path).expect("the corpus is here");
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (event, text) = line.split_once('\t').expect("a tab");
            Line {
                number: number + 1,
                event: event.to_owned(),
                text: text.replace("{+}", ""),
            }
        })
        .collect()
}

/// A text with marks: as it is, as it should become, and its secrets.
#[derive(Default)]
struct Marked {
    text: Vec<u8>,
    wanted: Vec<u8>,
    secrets: Vec<Vec<u8>>,
}

fn marked(text: &str) -> Marked {
    let mut marked = Marked::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('⟦') {
        let (inside, after) = after.split_once('⟧').expect("a mark's end");
        let (rule, secret) = inside.split_once(':').expect("a mark's rule");
        let rule = rules()
            .into_iter()
            .find(|known| known.name() == rule)
            .expect("a mark names a rule");
        let before = unescaped(before);
        let secret = unescaped(secret);
        marked.text.extend_from_slice(&before);
        marked.text.extend_from_slice(&secret);
        marked.wanted.extend_from_slice(&before);
        marked.wanted.extend_from_slice(&rule.marker());
        marked.secrets.push(secret);
        rest = after;
    }
    let rest = unescaped(rest);
    marked.text.extend_from_slice(&rest);
    marked.wanted.extend_from_slice(&rest);
    marked
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn redactor() -> Redactor {
    Redactor::new(&Policy {
        config_items: vec![b"corp.*".to_vec()],
        ..Policy::default()
    })
}

#[test]
fn every_secret_goes_and_nothing_around_it() {
    let redactor = redactor();
    let mut secrets = 0;
    let mut leaks = 0;
    let mut differences = 0;
    for line in lines("secrets.txt") {
        let marked = marked(&line.text);
        assert!(!marked.secrets.is_empty(), "line {}: no mark", line.number);
        let redacted =
            redactor.redact_message(line.event.as_bytes(), &marked.text);
        let show = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        for secret in &marked.secrets {
            secrets += 1;
            // A single letter may well stand elsewhere in the text.
            let is_left = contains(&redacted.text, secret)
                && !contains(&marked.wanted, secret);
            if is_left {
                leaks += 1;
                println!("line {}: leaks {}", line.number, show(secret));
            }
        }
        if *redacted.text != *marked.wanted {
            differences += 1;
            println!(
                "line {}: is     {}\n        wanted {}",
                line.number,
                show(&redacted.text),
                show(&marked.wanted)
            );
        }
    }
    println!(
        "{secrets} secrets: {leaks} leaks, {differences} texts other than \
         wanted"
    );
    assert!(secrets >= MIN_SECRETS, "{secrets} secrets are too few");
    assert_eq!(leaks, 0, "secrets leak");
    assert_eq!(differences, 0, "texts become other than wanted");
}

#[test]
fn next_to_nothing_harmless_goes() {
    let redactor = redactor();
    let lines = lines("harmless.txt");
    let mut alarms = 0;
    for line in &lines {
        let text = unescaped(&line.text);
        let redacted = redactor.redact_message(line.event.as_bytes(), &text);
        if !redacted.places.is_empty() {
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
    }
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
