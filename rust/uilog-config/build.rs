//! Makes Rust tables of `items.toml`, so that no TOML is read at run time.

#![allow(clippy::panic, reason = "that is how a build script fails")]

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    item: Vec<Item>,
    #[serde(rename = "sink-option")]
    sink_option: Vec<SinkOption>,
    pattern: Vec<Pattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    section: String,
    name: String,
    default: String,
    kind: String,
    min: Option<i128>,
    max: Option<i128>,
    choices: Option<Vec<String>>,
    owner: Option<String>,
    reader: Option<String>,
    help: String,
    text: String,
    #[serde(rename = "default-text")]
    default_text: Option<String>,
    unit: Option<String>,
    example: String,
    topic: String,
    since: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinkOption {
    name: String,
    default: String,
    #[serde(rename = "remote-default")]
    remote_default: Option<String>,
    kind: String,
    min: Option<i128>,
    max: Option<i128>,
    choices: Option<Vec<String>>,
    sinks: Option<Vec<String>>,
    help: String,
    text: String,
    #[serde(rename = "default-text")]
    default_text: Option<String>,
    unit: Option<String>,
    example: String,
    topic: String,
    since: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    section: String,
    name: String,
    kind: String,
    choices: Option<Vec<String>>,
    help: String,
    text: String,
    example: String,
    instance: String,
    topic: String,
    since: String,
}

/// Any of them, as it is described.
struct Described<'a> {
    section: &'a str,
    name: String,
    kind: String,
    sinks: &'a [String],
    help: &'a str,
    text: &'a str,
    default: String,
    unit: Option<&'a str>,
    example: String,
    topic: &'a str,
    since: &'a str,
}

fn main() {
    println!("cargo::rerun-if-changed=items.toml");
    let text = fs::read_to_string("items.toml").expect("items.toml is here");
    let items: Items = toml::from_str(&text).expect("items.toml is valid");
    write_table("items.rs", items.item.iter().map(rust_item));
    let options = items.sink_option.iter().map(rust_option);
    write_table("sink_options.rs", options);
    let described = items.pattern.iter().map(described_pattern);
    let described = described
        .chain(items.item.iter().map(described_item))
        .chain(items.sink_option.iter().map(described_option));
    write_table("described.rs", described.map(|it| rust_described(&it)));
}

fn write_table(name: &str, lines: impl Iterator<Item = String>) {
    let mut table = String::from("&[\n");
    for line in lines {
        writeln!(table, "{line},").expect("a string can grow");
    }
    table.push(']');
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join(name), table)
        .expect("OUT_DIR can be written to");
}

/// The item, as Rust.
fn rust_item(item: &Item) -> String {
    let kind = kind_of_item(item);
    let is_own = match item.owner.as_deref() {
        None => true,
        Some("hg") => false,
        Some(owner) => panic!("{}: no such owner: {owner}", item.name),
    };
    let is_for_hg = match item.reader.as_deref() {
        None => true,
        Some("binary") => false,
        Some(reader) => panic!("{}: no such reader: {reader}", item.name),
    };
    let Item {
        section,
        name,
        default,
        help,
        ..
    } = item;
    format!(
        "Item {{ section: {section:?}, name: {name:?}, default: {default:?}, \
         kind: {kind}, is_own: {is_own}, is_for_hg: {is_for_hg}, \
         help: {help:?} }}"
    )
}

/// The option, as Rust.
fn rust_option(option: &SinkOption) -> String {
    let SinkOption {
        name,
        default,
        help,
        ..
    } = option;
    let kind = kind_of_option(option);
    let remote = option.remote_default.as_ref().unwrap_or(default);
    let sinks = option.sinks.as_deref().unwrap_or_default();
    format!(
        "SinkOption {{ item: Item {{ section: \"uilog\", name: {name:?}, \
         default: {default:?}, kind: {kind}, is_own: true, \
         is_for_hg: true, help: {help:?} }}, remote_default: {remote:?}, \
         sinks: &{sinks:?} }}"
    )
}

fn kind_of_item(item: &Item) -> String {
    kind(
        &item.name,
        &item.kind,
        item.min,
        item.max,
        item.choices.as_deref(),
    )
}

fn kind_of_option(option: &SinkOption) -> String {
    let choices = option.choices.as_deref();
    kind(&option.name, &option.kind, option.min, option.max, choices)
}

fn described_item(item: &Item) -> Described<'_> {
    Described {
        section: &item.section,
        name: item.name.clone(),
        kind: kind_of_item(item),
        sinks: &[],
        help: &item.help,
        text: &item.text,
        default: shown_default(&item.default, item.default_text.as_deref()),
        unit: item.unit.as_deref(),
        example: format!("{} = {}", item.name, item.example),
        topic: &item.topic,
        since: &item.since,
    }
}

fn described_option(option: &SinkOption) -> Described<'_> {
    let default = option.default_text.as_deref();
    Described {
        section: "uilog",
        name: format!("sink.NAME:{}", option.name),
        kind: kind_of_option(option),
        sinks: option.sinks.as_deref().unwrap_or_default(),
        help: &option.help,
        text: &option.text,
        default: shown_default(&option.default, default),
        unit: option.unit.as_deref(),
        example: format!("sink.audit:{} = {}", option.name, option.example),
        topic: &option.topic,
        since: &option.since,
    }
}

fn described_pattern(pattern: &Pattern) -> Described<'_> {
    let choices = pattern.choices.as_deref();
    Described {
        section: &pattern.section,
        name: pattern.name.clone(),
        kind: kind(&pattern.name, &pattern.kind, None, None, choices),
        sinks: &[],
        help: &pattern.help,
        text: &pattern.text,
        default: shown_default("", None),
        unit: None,
        example: format!("{} = {}", pattern.instance, pattern.example),
        topic: &pattern.topic,
        since: &pattern.since,
    }
}

/// A default, as Markdown.
fn shown_default(default: &str, text: Option<&str>) -> String {
    match text {
        Some(text) => text.to_owned(),
        None if default.is_empty() => "none".to_owned(),
        None => format!("`{default}`"),
    }
}

/// The description, as Rust.
fn rust_described(described: &Described<'_>) -> String {
    let Described {
        section,
        name,
        kind,
        sinks,
        help,
        text,
        default,
        unit,
        example,
        topic,
        since,
    } = described;
    format!(
        "Described {{ section: {section:?}, name: {name:?}, kind: {kind}, \
         sinks: &{sinks:?}, help: {help:?}, text: {text:?}, \
         default: {default:?}, unit: {unit:?}, example: {example:?}, \
         topic: {topic:?}, since: {since:?} }}"
    )
}

/// The kind of an item, as Rust.
fn kind(
    name: &str,
    kind: &str,
    min: Option<i128>,
    max: Option<i128>,
    choices: Option<&[String]>,
) -> String {
    let min = min.unwrap_or(i128::MIN);
    let max = max.unwrap_or(i128::MAX);
    match kind {
        "integer" => format!("ValueType::Integer {{ min: {min}, max: {max} }}"),
        "size" => format!("ValueType::Size {{ min: {min} }}"),
        "seconds" => "ValueType::Seconds".to_owned(),
        "age" => "ValueType::Age".to_owned(),
        "wait" => "ValueType::Wait".to_owned(),
        "fraction" => "ValueType::Fraction".to_owned(),
        "choice" => {
            let choices = choices.unwrap_or_default();
            format!("ValueType::Choice(&{choices:?})")
        }
        "boolean" => "ValueType::Boolean".to_owned(),
        "list" => "ValueType::List".to_owned(),
        "text" => "ValueType::Text".to_owned(),
        kind => panic!("{name}: no such kind: {kind}"),
    }
}
