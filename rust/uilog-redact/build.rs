//! Makes Rust tables of `rules.toml` and `tokens.toml`, so that no TOML is
//! read at run time.

#![allow(clippy::panic, reason = "that is how a build script fails")]

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    shape: Vec<Shape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    rule: String,
    pattern: String,
    words: Vec<String>,
    source: String,
    example: String,
    #[serde(default)]
    except: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    token: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    rule: String,
    prefixes: Vec<String>,
    body: String,
    #[serde(default)]
    before: String,
    left: Option<String>,
    check: Option<String>,
    #[serde(default)]
    exact: bool,
    source: String,
    example: String,
}

fn main() {
    println!("cargo::rerun-if-changed=rules.toml");
    println!("cargo::rerun-if-changed=tokens.toml");
    write_table("rules.rs", &shapes(read::<Rules>("rules.toml").shape));
    write_table("tokens.rs", &tokens(read::<Tokens>("tokens.toml").token));
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let text = fs::read_to_string(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write_table(name: &str, entries: &[String]) {
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let table = format!("&[\n{}\n]", entries.join(",\n"));
    fs::write(Path::new(&dir).join(name), table)
        .expect("OUT_DIR can be written to");
}

fn shapes(shapes: Vec<Shape>) -> Vec<String> {
    let entry = |shape: Shape| {
        let Shape {
            rule,
            pattern,
            words,
            source,
            example,
            except,
        } = shape;
        for word in &words {
            assert_eq!(word, &word.to_lowercase(), "{rule}: in lower case");
        }
        assert!(!words.is_empty(), "{rule}: without words");
        assert!(!source.is_empty(), "{rule}: without a source");
        format!(
            "Shape {{ rule: Rule::new({rule:?}), pattern: {pattern:?}, \
             words: &{words:?}, example: {example:?}, except: &{except:?} }}"
        )
    };
    shapes.into_iter().map(entry).collect()
}

fn tokens(tokens: Vec<Token>) -> Vec<String> {
    let entry = |token: Token| {
        let Token {
            rule,
            prefixes,
            body,
            before,
            left,
            check,
            exact,
            source,
            example,
        } = token;
        assert!(!prefixes.is_empty(), "{rule}: without prefixes");
        assert!(source.starts_with("https://"), "{rule}: without a source");
        let is_word = match left.as_deref() {
            None => false,
            Some("word") => true,
            Some(other) => panic!("{rule}: left = {other}"),
        };
        let check = match check.as_deref() {
            None => "None",
            Some("random") => "Random",
            Some("digits") => "Digits",
            Some("mixed") => "Mixed",
            Some(other) => panic!("{rule}: check = {other}"),
        };
        format!(
            "Token {{ rule: Rule::new({rule:?}), prefixes: &{prefixes:?}, \
             before: {}, body: {}, is_word: {is_word}, \
             check: Check::{check}, is_exact: {exact}, example: {example:?} }}",
            parts(&before),
            parts(&body)
        )
    };
    tokens.into_iter().map(entry).collect()
}

/// The Rust of what a body stands for: characters as bits, and how many.
fn parts(body: &str) -> String {
    let mut table = String::from("&[");
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let set;
        if let Some(class) = rest.strip_prefix('[') {
            let end = class.find(']').expect("a class ends");
            set = class_bits(&class[..end]);
            rest = &class[end + 1..];
        } else {
            assert!(
                first.is_ascii_alphanumeric() || "_:~=-".contains(first),
                "{body}: {first} in a class of its own"
            );
            set = 1 << (first as u8);
            rest = &rest[1..];
        }
        let (min, max) = match rest.strip_prefix('{') {
            Some(count) => {
                let (count, after) = count.split_once('}').expect("a }");
                rest = after;
                repetition(count)
            }
            None => (1, 1),
        };
        write!(table, "Part {{ set: {set}, min: {min}, max: {max} }},")
            .expect("a string can grow");
    }
    table.push(']');
    table
}

fn repetition(count: &str) -> (usize, usize) {
    let number = |text: &str| text.parse().expect("a number");
    match count.split_once(',') {
        None => (number(count), number(count)),
        Some((min, "")) => (number(min), usize::MAX),
        Some((min, max)) => (number(min), number(max)),
    }
}

fn class_bits(class: &str) -> u128 {
    let bytes = class.as_bytes();
    let mut bits = 0;
    let mut at = 0;
    while at < bytes.len() {
        let (first, last) = match bytes[at..] {
            [first, b'-', last, ..] => (first, last),
            _ => (bytes[at], bytes[at]),
        };
        assert!(first <= last && last < 128, "{class}");
        for byte in first..=last {
            bits |= 1u128 << byte;
        }
        at += if first == last { 1 } else { 3 };
    }
    bits
}
