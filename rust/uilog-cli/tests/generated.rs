//! The generated files for shells, man, hg and readers match the program's
//! arguments and the table of settings.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const ADVICE: &str = "run `make generated`";

fn tree(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(dir)
}

fn generate(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_uilog"))
        .arg("generate")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn contents(dir: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(dir).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), text)
    });
    files.collect()
}

#[test]
fn completions_are_those_in_the_tree() {
    let dir = tree("completions");
    let shells = [("bash", "uilog"), ("zsh", "_uilog"), ("fish", "uilog.fish")];
    for (shell, file) in shells {
        let expected = generate(&["completions", shell]);
        let found = fs::read(dir.join(file)).unwrap();
        assert!(found == expected, "completions/{file}: {ADVICE}");
    }
    assert_eq!(contents(&dir).len(), shells.len());
}

#[test]
fn manual_pages_are_those_in_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    generate(&["man", dir.path().to_str().unwrap()]);
    let expected = contents(dir.path());
    let found = contents(&tree("docs/man"));
    assert!(expected.len() > 1);
    for (name, text) in &expected {
        assert!(found.get(name) == Some(text), "docs/man/{name}: {ADVICE}");
    }
    assert_eq!(found.len(), expected.len(), "docs/man: {ADVICE}");
}

#[test]
fn the_help_of_hg_is_that_in_the_tree() {
    let found = fs::read(tree("hgext/uilog/helptexts.py")).unwrap();
    let expected = generate(&["help"]);
    assert!(found == expected, "hgext/uilog/helptexts.py: {ADVICE}");
}

#[test]
fn generated_parts_are_those_in_the_tree() {
    for name in ["docs/configuration.md", "hgext/uilog/__init__.py"] {
        let path = tree(name);
        let found = fs::read(&path).unwrap();
        let expected = generate(&["parts", path.to_str().unwrap()]);
        assert!(found == expected, "{name}: {ADVICE}");
    }
}
