//! docs/privacy.md names every rule, and shows no other.

use std::fs;
use std::path::Path;

use uilog_redact::rules;

#[test]
fn every_rule_is_documented() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/privacy.md");
    let text = fs::read_to_string(path).expect("the documentation is here");
    for rule in rules() {
        let name = if rule.name() == "user" {
            "`<user:HASH>`".to_owned()
        } else {
            format!("`{rule}`")
        };
        assert!(text.contains(&name), "{name} is not documented");
    }
}

#[test]
fn every_documented_marker_is_a_rule() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/privacy.md");
    let text = fs::read_to_string(path).expect("the documentation is here");
    let mut markers = text.split("<redacted:").skip(1).peekable();
    assert!(markers.peek().is_some());
    for marker in markers {
        let name = marker.split('>').next().expect("a split has a part");
        assert!(
            rules().iter().any(|rule| rule.name() == name),
            "{name} is no rule"
        );
    }
}
