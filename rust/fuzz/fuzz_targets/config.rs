//! The reader of hgrc files must take any bytes: nothing panics, the spans lie
//! in the input one after the other, and joining them gives what is loaded.
#![no_main]

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use uilog_config::Environment;
use uilog_config::Request;
use uilog_config::syntax;
use uilog_config::syntax::Statement;

type Items = BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>;

/// What the statements say; none if they lead to other files or to an error.
fn model(data: &[u8]) -> Option<Items> {
    let mut items = Items::new();
    let mut section = Vec::new();
    let mut last = None;
    let mut position = 0;
    let mut number = 0;
    let mut is_complete = true;
    for line in syntax::parse(data) {
        assert!(line.number > number);
        number = line.number;
        for span in line.statement.spans() {
            assert!(position <= span.start && span.start <= span.end);
            position = span.end;
            assert!(position <= data.len());
        }
        match line.statement {
            Statement::Section { name } => section = data[name].to_vec(),
            Statement::Item { name, value } => {
                let item = (section.clone(), data[name].to_vec());
                items.insert(item.clone(), data[value].to_vec());
                last = Some(item);
            }
            Statement::Continuation { text } => {
                let item = last.clone().expect("an item to continue");
                let value = items.get_mut(&item).expect("its value");
                value.push(b'\n');
                value.extend_from_slice(&data[text]);
            }
            Statement::Unset { name } => {
                items.remove(&(section.clone(), data[name].to_vec()));
            }
            Statement::Include { .. } | Statement::Malformed { .. } => {
                is_complete = false;
            }
        }
    }
    is_complete.then_some(items)
}

fuzz_target!(|data: &[u8]| {
    let expected = model(data);
    let dir = uilog_fuzz::directory();
    let path = dir.path().join("hgrc");
    fs::write(&path, data).expect("a file");
    let variables = HashMap::from([
        (b"HGRCPATH".to_vec(), path.as_os_str().as_bytes().to_vec()),
        (b"HOME".to_vec(), dir.path().as_os_str().as_bytes().to_vec()),
    ]);
    let environment = Environment::new(variables, dir.path().to_owned());
    let loaded = match uilog_config::load(&Request::default(), &environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(!error.to_bytes().is_empty());
            return;
        }
    };
    // What hg changes by itself.
    let is_as_written = |section: &[u8], name: &[u8]| {
        section != b"paths"
            && loaded
                .trusted
                .get(section, name)
                .is_none_or(|entry| entry.source.to_bytes()[0] != b'<')
    };
    let items: Items = loaded
        .trusted
        .sections()
        .flat_map(|section| {
            loaded.trusted.items(section).map(move |(name, entry)| {
                ((section.to_vec(), name.to_vec()), entry.value.clone())
            })
        })
        .filter(|((section, name), _)| is_as_written(section, name))
        .collect();
    if let Some(mut expected) = expected {
        expected.retain(|(section, _), _| section != b"paths");
        assert_eq!(items, expected);
    }
});
