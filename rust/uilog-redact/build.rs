//! Makes Rust tables of `rules.toml`, `tokens.toml`, the names in
//! `programs.txt` and the `commands.txt` of uilog-event, so that none of it is read at run time.

#![allow(clippy::panic, reason = "that is how a build script fails")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Mercurial's commands and their options. uilog-event has them, too, without the
/// options.
const COMMANDS: &str = "../uilog-event/src/command/commands.txt";

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
    println!("cargo::rerun-if-changed=programs.txt");
    println!("cargo::rerun-if-changed={COMMANDS}");
    write_table("rules.rs", &shapes(read::<Rules>("rules.toml").shape));
    write_table("tokens.rs", &tokens(read::<Tokens>("tokens.toml").token));
    write_table("program_names.rs", &program_names());
    write("commands.rs", &commands());
}

/// The names before the first space or colon of each line of `programs.txt`.
fn program_names() -> Vec<String> {
    let text = read_text("programs.txt");
    let mut names: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(": ").map_or(line, |(head, _)| head))
        .map(|head| head.split_once(' ').map_or(head, |(names, _)| names))
        .flat_map(|names| names.split('|'))
        .map(|name| format!("{name:?}"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    toml::from_str(&read_text(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read_text(name: &str) -> String {
    fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write_table(name: &str, entries: &[String]) {
    write(name, &format!("&[\n{}\n]", entries.join(",\n")));
}

fn write(name: &str, table: &str) {
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join(name), table)
        .expect("OUT_DIR can be written to");
}

/// The `Table` of [`COMMANDS`]. Options that commands share are there once:
/// whatever points to something costs time when a program starts.
fn commands() -> String {
    let text = read_text(COMMANDS);
    let mut options: Vec<&str> = Vec::new();
    let mut numbers = Vec::new();
    let mut commands = Vec::new();
    let mut names = BTreeMap::new();
    let mut global = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        // Whether a command is an extension's, does not matter here.
        let line = line.strip_prefix('+').unwrap_or(line);
        // A name may hold colons, but no space behind one.
        let (head, own) = line
            .split_once(": ")
            .or_else(|| line.strip_suffix(':').map(|head| (head, "")))
            .expect("a line has a colon");
        let from = numbers.len();
        for option in own.split_whitespace() {
            let known = options.iter().position(|known| *known == option);
            numbers.push(known.unwrap_or(options.len()));
            if known.is_none() {
                options.push(option);
            }
        }
        let range = format!("({from}, {})", numbers.len());
        let mut heads = head.split(' ').peekable();
        let name = *heads.peek().expect("a split has a part");
        if name == "*" {
            global = range;
            continue;
        }
        names.extend(heads.map(|name| (name, commands.len())));
        commands
            .push(format!("Command {{ name: {name:?}, options: {range} }}"));
    }
    let options: Vec<_> = options.into_iter().map(command_option).collect();
    let fallback = names["commit"];
    let names: Vec<_> = names.into_iter().collect();
    format!(
        "Table {{ options: &[{}], numbers: &{numbers:?}, global: {global}, \
         commands: &[{}], names: &{names:?}, fallback: {fallback} }}",
        options.join(", "),
        commands.join(", ")
    )
}

fn command_option(text: &str) -> String {
    let (text, takes_value) = match text.strip_suffix('=') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (short, long) = match text.split_once(',') {
        Some((short, long)) => (short.bytes().next(), long),
        None => (None, text),
    };
    format!(
        "Opt {{ short: {short:?}, long: {long:?}, \
         takes_value: {takes_value} }}"
    )
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
        assert!(
            source.starts_with("https://") || source == "use",
            "{rule}: without a source"
        );
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
