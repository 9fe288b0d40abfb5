//! Programs that never begin to serve: short commands' events are counted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use uilog_core::journal::Failure;
use uilog_core::journal::FailureKind;
use uilog_core::journal::wait_for_appending;

use crate::Hg;
use crate::PROGRAM;
use crate::until;

/// Logs an event and ends, as a short command does, with a program that
/// consists of `text`; what the journal says then.
fn short_command(text: &[u8]) -> (Vec<Failure>, Hg) {
    let mut hg = Hg::new("/no/such/uilog", &[], "true");
    let program = hg.path("uilog");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    hg.use_program(&program);
    hg.log("");
    hg.host.finish();
    let failures = until("the loss to be known", || {
        let failures = hg.journal().read();
        (!failures.is_empty()).then_some(failures)
    });
    (failures, hg)
}

#[test]
fn a_program_that_never_begins_is_counted_by_whoever_comes_next() {
    let foreign = [b"\x7fELF\x01\x02\x01", &[0; 60][..]].concat();
    for text in [
        &b"#!/bin/sh\nexit 1\n"[..],
        b"#!/bin/sh\nsleep 0.2\nkill -9 $$\n",
        b"#!/no/such/interpreter\n",
        &foreign,
    ] {
        let (failures, hg) = short_command(text);
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(
            (failures[0].kind, failures[0].lost),
            (FailureKind::Lost, 1)
        );
        // Once, by whom it may: moved or acknowledged.
        hg.journal().claim_unserved();
        wait_for_appending(Duration::from_secs(60));
        assert_eq!(hg.journal().read().len(), 1);
        assert_eq!(hg.journal().forget().unwrap(), 1);
        assert!(hg.journal().read().is_empty());
    }
}

#[test]
fn a_program_that_hangs_is_shown_as_long_as_it_does() {
    let (failures, mut hg) = short_command(b"#!/bin/sh\nexec sleep 1000\n");
    let [failure] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert_eq!((failure.kind, failure.lost), (FailureKind::NotStarted, 1));
    assert!(failure.detail.contains("has not begun"), "{failure:?}");
    let pid = hg.status().pid;
    // Acknowledged or not, it hangs.
    hg.journal().forget().unwrap();
    assert_eq!(hg.journal().read().len(), 1);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    until("the loss to be known", || {
        let failures = hg.journal().read();
        (failures[0].kind == FailureKind::Lost).then_some(())
    });
}

#[test]
fn a_program_that_begins_late_removes_the_note() {
    let program = format!("#!/bin/sh\nsleep 0.3\nexec {PROGRAM} dispatch\n");
    let mut hg = Hg::new("/no/such/uilog", &[], "touch $DIR/ran");
    let path = hg.path("uilog");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    hg.use_program(&path);
    hg.log("");
    hg.host.finish();
    let notes = || {
        let entries = fs::read_dir(hg.path("run/uilog"));
        entries.map_or(0, Iterator::count)
    };
    assert_eq!(notes(), 1);
    until("the script", || hg.path("ran").exists().then_some(()));
    assert_eq!(notes(), 0);
    assert!(hg.journal().read().is_empty());
}

#[test]
fn a_command_server_leaves_its_note_with_the_next_command() {
    let mut hg = Hg::new("/no/such/uilog", &[], "true");
    let program = hg.path("uilog");
    fs::write(&program, b"#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    hg.use_program(&program);
    hg.log("");
    assert!(!hg.path("run/uilog").exists());
    hg.host.begin_command(None);
    let notes = fs::read_dir(hg.path("run/uilog")).unwrap().count();
    assert_eq!(notes, 1);
    let pid = nix::unistd::Pid::from_raw(hg.status().pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}
