//! Tests of [`super`].

use std::path::Path;
use std::time::SystemTime;

use uilog_channel::sink_config::SinkConfig;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Spool;
use uilog_spool::Writer;

use super::owned::Owned;
use super::owned::find;
use super::translator::Translator;
use crate::globals::Globals;

fn globals(dir: &Path) -> Globals {
    let dir = dir.to_str().unwrap().as_bytes().to_vec();
    Globals::new(&[(b"spool".to_vec(), dir)], b"")
}

fn sink(name: &str, url: &str) -> SinkConfig {
    SinkConfig {
        name: name.to_owned(),
        url: url.as_bytes().to_vec(),
        options: Vec::new(),
    }
}

fn append(dir: &Path, payload: &[u8]) {
    let spool = Spool::open(dir, Options::default()).unwrap();
    let id = RecordId::new(&[7; 24]).unwrap();
    Writer::new(&spool).append(&id, payload).unwrap();
}

#[test]
fn spools_are_found_and_none_is_made() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("spools");
    let globals = globals(&dir);
    let sinks = [sink("b", "otlp:"), sink("c", "syslog:")];
    let names = |found: &[Owned]| -> Vec<String> {
        found.iter().map(|it| it.sink.clone()).collect()
    };
    let found = find(&sinks, &globals).unwrap();
    assert_eq!(names(&found), ["b"]);
    let facts = found[0].facts(&globals, SystemTime::now());
    assert!(!facts.exists && !facts.is_troubled(), "{facts:?}");
    assert!(!dir.exists());
    append(&dir.join("a"), b"{}");
    append(&dir.join("c"), b"{}");
    let found = find(&sinks, &globals).unwrap();
    // The spool of a sink with another URL now belongs to no sink, too.
    assert_eq!(names(&found), ["a", "b", "c"]);
    let facts = found[0].facts(&globals, SystemTime::now());
    assert_eq!((facts.pending, facts.pending_bytes), (1, 2));
    assert!(facts.is_troubled(), "nobody sends it");
    let payloads = found[0].payloads(&globals, false).unwrap();
    assert_eq!(payloads.collect::<Vec<_>>(), [Ok(b"{}".to_vec())]);
    assert_eq!(found[0].payloads(&globals, true).unwrap().count(), 0);
}

#[test]
fn what_is_no_record_is_not_translated() {
    let temporary = tempfile::tempdir().unwrap();
    let globals = globals(temporary.path());
    let owned = Owned {
        sink: "a".to_owned(),
        definition: Some(sink("a", "otlp:")),
    };
    let translator = Translator::new(&owned, &globals);
    let why = translator.line(b"{}").unwrap_err();
    assert!(why.starts_with("it is not a record"), "{why}");
}
