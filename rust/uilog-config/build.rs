//! Makes a Rust table of `items.toml`, so that no TOML is read at run time.

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
}

fn main() {
    println!("cargo::rerun-if-changed=items.toml");
    let text = fs::read_to_string("items.toml").expect("items.toml is here");
    let items: Items = toml::from_str(&text).expect("items.toml is valid");
    let mut table = String::from("&[\n");
    for item in &items.item {
        writeln!(table, "{},", rust_item(item)).expect("a string can grow");
    }
    table.push(']');
    write("items.rs", &table);
    let mut table = String::from("&[\n");
    for option in items.sink_option {
        let sinks = option.sinks.unwrap_or_default();
        let remote = option.remote_default.unwrap_or(option.default.clone());
        let item = rust_item(&Item {
            section: "uilog".to_owned(),
            name: option.name,
            default: option.default,
            kind: option.kind,
            min: option.min,
            max: option.max,
            choices: option.choices,
            owner: None,
            reader: None,
            help: option.help,
        });
        writeln!(
            table,
            "SinkOption {{ item: {item}, remote_default: {remote:?}, \
             sinks: &{sinks:?} }},"
        )
        .expect("a string can grow");
    }
    table.push(']');
    write("sink_options.rs", &table);
}

fn write(name: &str, table: &str) {
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join(name), table)
        .expect("OUT_DIR can be written to");
}

/// The item, as Rust.
fn rust_item(item: &Item) -> String {
    let kind = kind(item);
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

/// The item's kind, as Rust.
fn kind(item: &Item) -> String {
    let min = item.min.unwrap_or(i128::MIN);
    let max = item.max.unwrap_or(i128::MAX);
    match item.kind.as_str() {
        "integer" => format!("ValueType::Integer {{ min: {min}, max: {max} }}"),
        "size" => format!("ValueType::Size {{ min: {min} }}"),
        "seconds" => "ValueType::Seconds".to_owned(),
        "age" => "ValueType::Age".to_owned(),
        "wait" => "ValueType::Wait".to_owned(),
        "fraction" => "ValueType::Fraction".to_owned(),
        "choice" => {
            let choices = item.choices.as_deref().unwrap_or_default();
            format!("ValueType::Choice(&{choices:?})")
        }
        "boolean" => "ValueType::Boolean".to_owned(),
        "list" => "ValueType::List".to_owned(),
        "text" => "ValueType::Text".to_owned(),
        kind => panic!("{}: no such kind: {kind}", item.name),
    }
}
