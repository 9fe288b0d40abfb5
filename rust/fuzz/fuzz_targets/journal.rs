//! The journal may hold any bytes: nothing panics, what is read is in the order
//! of time, groups count each failure once, and a new failure is read back
//! behind whatever is there.
#![no_main]

use std::fs;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::fuzz_target;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_channel::journal::grouped;

fuzz_target!(|data: &[u8]| {
    let dir = uilog_fuzz::directory();
    let mut environment = b"HOME=/nowhere\0XDG_STATE_HOME=".to_vec();
    environment.extend_from_slice(dir.path().as_os_str().as_bytes());
    environment.extend_from_slice(b"\0XDG_RUNTIME_DIR=");
    environment.extend_from_slice(dir.path().as_os_str().as_bytes());
    environment.push(0);
    let journal = Journal::for_environment(&environment).expect("a place");
    let place = journal.path().parent().expect("a directory");
    fs::create_dir_all(place).expect("a directory");
    fs::write(journal.path(), data).expect("a journal");
    let before = journal.read_lines();
    assert!(before.is_sorted_by(|a, b| a.time <= b.time));
    for failure in &before {
        let _ = failure.script.as_ref().map(|it| it.lines());
    }
    let count: u64 = grouped(&before).iter().map(|it| it.count).sum();
    assert_eq!(count, before.len() as u64);

    let detail = "the new one".to_owned();
    let new = Failure::now(String::new(), b"x", FailureKind::Lost, 1, detail);
    journal.append(&new).expect("room");
    assert!(journal.read_lines().contains(&new));
});
