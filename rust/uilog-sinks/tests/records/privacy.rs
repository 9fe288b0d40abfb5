//! No secret of the redactor's corpus is in a record, in whichever field it
//! was.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use uilog_event::event::Value;
use uilog_sinks::compose::Composer;

use crate::escapes::unescaped;
use crate::events;

/// A text, what is secret in it, and what may stay of it.
struct Line {
    event: String,
    text: Vec<u8>,
    secrets: Vec<Vec<u8>>,
    harmless: Vec<u8>,
}

/// The corpus, whose head describes its format.
fn corpus() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../uilog-redact/tests/corpus/secrets.txt");
    let text = fs::read_to_string(path).expect("the corpus is here");
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (event, text) = line.split_once('\t').expect("a tab");
            marked(event, &text.replace("{+}", ""))
        })
        .collect()
}

fn marked(event: &str, text: &str) -> Line {
    let mut line = Line {
        event: event.to_owned(),
        text: Vec::new(),
        secrets: Vec::new(),
        harmless: Vec::new(),
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('⟦') {
        let (inside, after) = after.split_once('⟧').expect("a mark's end");
        let (rule, secret) = inside.split_once(':').expect("a mark's rule");
        let (before, secret) = (unescaped(before), unescaped(secret));
        line.text.extend([&before[..], &secret].concat());
        let marker = format!("<redacted:{rule}>");
        line.harmless.extend([&before, marker.as_bytes()].concat());
        line.secrets.push(secret);
        rest = after;
    }
    let rest = unescaped(rest);
    line.text.extend_from_slice(&rest);
    line.harmless.extend_from_slice(&rest);
    line
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// All texts of a record, those in base64 as what they stand for.
fn texts(json: &Json, is_raw: bool, found: &mut Vec<Vec<u8>>) {
    match json {
        Json::String(text) if is_raw => {
            found.push(STANDARD.decode(text).expect("it is base64"));
        }
        Json::String(text) => found.push(text.as_bytes().to_vec()),
        Json::Object(map) => {
            for (name, value) in map {
                found.push(name.as_bytes().to_vec());
                texts(value, is_raw || name == "base64", found);
            }
        }
        _ => {}
    }
}

/// What of the sample event, and of options' names, may look like a secret.
const ELSEWHERE: &[u8] = b" /home/joe/src/dir /usr/bin/hg --quiet";

/// The secrets that can be told from what may stay.
fn telling_secrets(line: &Line) -> Vec<&[u8]> {
    let rest = [&line.harmless, ELSEWHERE].concat();
    let secrets = line.secrets.iter().map(|it| it.trim_ascii_end());
    secrets.filter(|it| !contains(&rest, it)).collect()
}

/// The secrets that are left in the record of an event.
fn leaks(
    composer: &Composer,
    line: &Line,
    record: &uilog_channel::wire::RecordFrame<'_>,
) -> Vec<String> {
    let record = composer.compose(record, b"").expect("all is wanted");
    let json = serde_json::to_value(&record).expect("it is a record");
    let mut found = Vec::new();
    texts(&json, false, &mut found);
    telling_secrets(line)
        .into_iter()
        .filter(|secret| found.iter().any(|text| contains(text, secret)))
        .map(|it| format!("{}: {}", line.event, it.escape_ascii()))
        .collect()
}

#[test]
fn no_secret_of_the_corpus_is_in_a_record() {
    const MIN_SECRETS: usize = 300;
    let composer = events::composer(&[]);
    let mut left = Vec::new();
    let mut secrets = 0;
    for line in corpus() {
        secrets += telling_secrets(&line).len();
        let event = events::event(&line.event, &line.text);
        left.extend(leaks(&composer, &line, &event));
        match line.event.as_str() {
            "command" => {
                let text = line.text.strip_suffix(b"\n");
                let text = text.unwrap_or(&line.text);
                let end = b" exited 255 after 0.10 seconds\n";
                let ended = [text, end].concat();
                let event = events::event("commandfinish", &ended);
                left.extend(leaks(&composer, &line, &event));
            }
            // Only there is it known what the arguments mean.
            "commandfinish" | "commandalias" => {}
            _ => {
                let mut event = events::event("mine", b"x");
                let value = Value::Bytes(events::text(&line.text));
                event.event.options = vec![events::option("detail", value)];
                left.extend(leaks(&composer, &line, &event));
            }
        }
    }
    assert!(secrets >= MIN_SECRETS, "{secrets} secrets are too few");
    assert_eq!(left, [""; 0]);
}

/// With less of a command told, there is less to leak.
#[test]
fn no_secret_is_told_where_arguments_are_not() {
    for argv in ["none", "canonical", "structure"] {
        let composer = events::composer(&[("argv", argv)]);
        let mut left = Vec::new();
        for line in corpus().iter().filter(|it| it.event == "command") {
            let event = events::event("command", &line.text);
            left.extend(leaks(&composer, line, &event));
        }
        assert_eq!(left, [""; 0], "{argv}");
    }
}

/// The test itself would find them.
#[test]
fn secrets_are_found_where_nothing_is_redacted() {
    let composer = events::composer(&[("redact", "no")]);
    for line in corpus() {
        let event = events::event(&line.event, &line.text);
        let found = leaks(&composer, &line, &event).len();
        assert_eq!(found, telling_secrets(&line).len(), "{}", line.event);
    }
}
