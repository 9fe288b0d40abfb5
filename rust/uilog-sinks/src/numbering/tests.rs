//! Tests of [`super`].

use std::fs;

use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;

use super::*;
use crate::record::SCHEMA;

fn definition(options: &[(&str, &str)]) -> SinkConfig {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let options = options.iter().map(|(n, v)| (bytes(n), bytes(v)));
    SinkConfig {
        name: "x".to_owned(),
        url: bytes("file:/x"),
        options: options.collect(),
    }
}

fn record(id: &str) -> Record {
    let id = id.to_owned();
    Record {
        id,
        ..Record::empty(SCHEMA)
    }
}

/// The number of another record, and what is reported.
fn next(numbering: &mut Numbering) -> (Option<u64>, Option<String>) {
    let id = getrandom::u64().unwrap().to_string();
    let mut record = record(&id);
    let trouble = numbering.number(std::slice::from_mut(&mut record), 0);
    (record.sink.map(|it| it.number), trouble)
}

#[test]
fn a_home_that_hangs_is_waited_for_once_and_reported_once() {
    let (release, released) = mpsc::channel::<u64>();
    let mut numbering = Numbering::start(&definition(&[]), move |request| {
        let number = released.recv().unwrap();
        let stream = "s".to_owned();
        Some(ReservedNumbers {
            numbers: vec![
                Some(Number { stream, number });
                request?.hashes.len()
            ],
            trouble: None,
        })
    });
    let (number, trouble) = next(&mut numbering);
    assert_eq!(number, None);
    let trouble = trouble.unwrap();
    assert!(trouble.ends_with("has not answered for 1 s"), "{trouble}");
    assert!(numbering.thread.as_ref().unwrap().is_late);
    let is_late = |it: &Numbering| it.thread.as_ref().unwrap().is_late;
    for _ in 0..100 {
        assert_eq!(next(&mut numbering), (None, None));
        assert!(is_late(&numbering));
    }
    // What it says at last is for a record that has gone.
    for number in 1..=100 {
        release.send(number).unwrap();
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let number = loop {
        assert!(std::time::Instant::now() < deadline);
        match next(&mut numbering) {
            (Some(number), None) => break number,
            other => assert_eq!(other, (None, None)),
        }
        thread::yield_now();
    };
    assert_eq!(number, 2);
}

#[test]
fn what_is_lost_before_is_skipped_unless_it_might_have_been_sampled() {
    let dir = tempfile::tempdir().unwrap();
    let block = format!("HOME={}\0", dir.path().display());
    let globals = Globals::new(&[], block.as_bytes());
    for (sample, expected) in [("1", [1, 7]), ("0.9", [1, 2])] {
        let sampled = definition(&[("sample", sample)]);
        let mut sampled = Numbering::new(&sampled, &globals).unwrap();
        let numbers = [0, 5].map(|lost| {
            let mut record = record(&format!("{sample} {lost}"));
            let one = std::slice::from_mut(&mut record);
            assert_eq!(sampled.number(one, lost), None);
            record.sink.unwrap().number
        });
        assert_eq!(numbers, expected);
        fs::remove_dir_all(globals.numbers.as_ref().unwrap()).unwrap();
    }
}

#[test]
fn that_there_is_no_place_is_reported_by_one_process_of_many() {
    let dir = tempfile::tempdir().unwrap();
    // What others can write is not safe.
    let place = dir.path().join("uilog/numbers");
    fs::create_dir_all(&place).unwrap();
    use std::os::unix::fs::PermissionsExt;
    let everybodys = fs::Permissions::from_mode(0o777);
    fs::set_permissions(&place, everybodys).unwrap();
    let state = dir.path().display();
    let block = format!("HOME=/nonexistent\0XDG_STATE_HOME={state}\0");
    let globals = Globals::new(&[], block.as_bytes());
    let process = || Numbering::new(&definition(&[]), &globals).unwrap();
    let mut first = process();
    let (number, trouble) = next(&mut first);
    assert_eq!(number, None);
    let trouble = trouble.unwrap();
    assert!(
        trouble.ends_with("other users can write there"),
        "{trouble}"
    );
    assert_eq!(next(&mut first), (None, None));
    // The journal does not have it yet.
    assert!(next(&mut process()).1.is_some());
    let journal = Journal::for_environment(block.as_bytes()).unwrap();
    let tell = |detail: &str| {
        let kind = FailureKind::Sink;
        let detail = format!("uilog.sink.{detail}");
        let failure = Failure::now(String::new(), b"", kind, 0, detail);
        journal.append(&failure).unwrap();
    };
    tell(&format!("y: {trouble}"));
    assert!(next(&mut process()).1.is_some());
    tell(&format!("x: {trouble}"));
    assert_eq!(next(&mut process()), (None, None));
}

#[test]
fn each_place_that_a_sink_leads_to_has_its_own_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let block = format!("HOME={}\0X=1\0", dir.path().display());
    let globals = Globals::new(&[], block.as_bytes());
    for url in [
        "file:/x",
        "file:/$X",
        "file:/1-%Y",
        "unix:/x",
        "unix-dgram:/x",
        "syslog:",
        "syslog+tcp://x",
        "syslog+tls://x",
    ] {
        let definition = SinkConfig {
            url: url.as_bytes().to_vec(),
            ..definition(&[])
        };
        let mut numbering = Numbering::new(&definition, &globals).unwrap();
        assert_eq!(next(&mut numbering), (Some(1), None), "{url}");
    }
    for url in ["otlp:http://x", "nonsense:x"] {
        let definition = SinkConfig {
            url: url.as_bytes().to_vec(),
            ..definition(&[])
        };
        assert!(Numbering::new(&definition, &globals).is_none());
    }
}
