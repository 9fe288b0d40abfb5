//! Runs the redactor on your own corpus, in the format of `tests/corpus/`, and
//! prints each text with a leak, each unexpected result, and each false alarm.
//!
//! `cargo run -p uilog-redact --example recall -- SECRETS HARMLESS`
//!
//! It does not check which rule finds a secret.

use std::env;
use std::error::Error;
use std::fs;

use uilog_redact::Policy;
use uilog_redact::Redactor;

#[path = "../tests/corpus/escapes.rs"]
mod escapes;
#[path = "../tests/corpus/format.rs"]
mod format;

use crate::escapes::unescaped;
use crate::format::is_left;
use crate::format::lines;
use crate::format::marked;

/// A text in which every marker is `<redacted>`, whatever its rule.
fn without_rules(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut pieces = text.split("<redacted:");
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.split_once('>').map_or(piece, |(_, rest)| rest);
        result.push_str("<redacted>");
        result.push_str(rest);
    }
    result
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let secrets = arguments.next().ok_or("which file of secrets?")?;
    let harmless = arguments.next().ok_or("which file of harmless texts?")?;
    let redactor = Redactor::new(&Policy {
        config_items: vec![b"corp.*".to_vec()],
        ..Policy::default()
    });
    let [mut marks, mut leaks, mut differences] = [0; 3];
    for line in lines(&fs::read_to_string(secrets)?) {
        let marked = marked(&line.text);
        let redacted =
            redactor.redact_message(line.event.as_bytes(), &marked.text);
        marks += marked.secrets.len();
        let left = marked
            .secrets
            .iter()
            .filter(|(_, secret)| {
                is_left(secret, &redacted.text, &marked.wanted)
            })
            .count();
        leaks += left;
        let is_other =
            without_rules(&redacted.text) != without_rules(&marked.wanted);
        if left > 0 || is_other {
            differences += usize::from(left == 0);
            println!(
                "{}\t{}\t{}\n\tis     {:?}\n\twanted {:?}",
                if left > 0 { "LEAK" } else { "OTHER" },
                line.number,
                line.family,
                String::from_utf8_lossy(&redacted.text),
                String::from_utf8_lossy(&marked.wanted),
            );
        }
    }
    let [mut texts, mut alarms] = [0; 2];
    for line in lines(&fs::read_to_string(harmless)?) {
        let text = unescaped(&line.text);
        let redacted = redactor.redact_message(line.event.as_bytes(), &text);
        texts += 1;
        if *redacted.text != *text {
            alarms += 1;
            println!(
                "ALARM\t{}\t{}\n\tis     {:?}",
                line.number,
                line.family,
                String::from_utf8_lossy(&redacted.text),
            );
        }
    }
    println!(
        "{marks} secrets: {leaks} leak, {differences} other texts; {texts} \
         harmless texts: {alarms} false alarms"
    );
    Ok(())
}
