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
    owner: Option<String>,
    help: String,
}

fn main() {
    println!("cargo::rerun-if-changed=items.toml");
    let text = fs::read_to_string("items.toml").expect("items.toml is here");
    let items: Items = toml::from_str(&text).expect("items.toml is valid");
    let mut table = String::from("&[\n");
    for item in items.item {
        let kind = kind(&item);
        let is_own = match item.owner.as_deref() {
            None => true,
            Some("hg") => false,
            Some(owner) => panic!("{}: no such owner: {owner}", item.name),
        };
        let Item {
            section,
            name,
            default,
            help,
            ..
        } = item;
        writeln!(
            table,
            "Item {{ section: {section:?}, name: {name:?}, \
             default: {default:?}, kind: {kind}, is_own: {is_own}, \
             help: {help:?} }},"
        )
        .expect("a string can grow");
    }
    table.push(']');
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join("items.rs"), table)
        .expect("OUT_DIR can be written to");
}

/// The item's kind, as Rust.
fn kind(item: &Item) -> String {
    let min = item.min.unwrap_or(i128::MIN);
    let max = item.max.unwrap_or(i128::MAX);
    match item.kind.as_str() {
        "integer" => format!("Kind::Integer {{ min: {min}, max: {max} }}"),
        "size" => format!("Kind::Size {{ min: {min} }}"),
        "seconds" => "Kind::Seconds".to_owned(),
        "boolean" => "Kind::Boolean".to_owned(),
        "list" => "Kind::List".to_owned(),
        "text" => "Kind::Text".to_owned(),
        kind => panic!("{}: no such kind: {kind}", item.name),
    }
}
