//! Makes a Rust table of `rules.toml`, so that no TOML is read at run time.

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

fn main() {
    println!("cargo::rerun-if-changed=rules.toml");
    let text = fs::read_to_string("rules.toml").expect("rules.toml is here");
    let rules: Rules = toml::from_str(&text)
        .unwrap_or_else(|error| panic!("rules.toml: {error}"));
    let mut table = String::from("&[\n");
    for shape in rules.shape {
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
        writeln!(
            table,
            "Shape {{ rule: Rule::new({rule:?}), pattern: {pattern:?}, \
             words: &{words:?}, example: {example:?}, except: &{except:?} }},"
        )
        .expect("a string can grow");
    }
    table.push(']');
    let dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&dir).join("rules.rs"), table)
        .expect("OUT_DIR can be written to");
}
