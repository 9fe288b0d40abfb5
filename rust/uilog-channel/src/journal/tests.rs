//! Tests of [`super`].

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn failure(detail: &str) -> Failure {
    let detail = detail.to_owned();
    Failure::now(String::new(), b"foo", FailureKind::Lost, 1, detail)
}

fn journal_in(dir: &Path) -> Journal {
    let mut block = b"HOME=/nowhere\0XDG_STATE_HOME=".to_vec();
    block.extend_from_slice(dir.as_os_str().as_bytes());
    block.push(0);
    Journal::for_environment(&block).unwrap()
}

#[test]
fn failures_are_read_back_in_order_through_a_new_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(&dir.path().join("state"));
    let long = "x".repeat(1000);
    let mut written = 0;
    while !journal.path.with_extension("jsonl.1").exists() {
        journal
            .append(&failure(&format!("{long}{written}")))
            .unwrap();
        written += 1;
    }
    let read = journal.read();
    assert_eq!(read.len(), written);
    assert!(
        read.last()
            .unwrap()
            .detail
            .ends_with(&format!("x{}", written - 1))
    );
    let mode = fs::metadata(journal.path()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_is_known_of_a_script_is_read_back_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    let of_none = failure("of no script");
    let mut failed = failure("exit status 1");
    failed.script = Some(Box::new(ScriptFailure {
        source: "/home/joe/.hgrc:3".to_owned(),
        repository: None,
        cwd: Some("/tmp".to_owned()),
        status: Some(1),
        signal: None,
        duration: Some(0.25),
        stderr: "\x1b[31mone\u{9b}\n\ttwo\n".to_owned(),
    }));
    journal.append(&of_none).unwrap();
    journal.append(&failed).unwrap();
    let read = journal.read();
    assert_eq!(read[0].script, None);
    assert_eq!(read[1], failed);
    let lines = read[1].script.as_ref().unwrap().lines();
    let expected = [
        "defined at: /home/joe/.hgrc:3",
        "directory: /tmp",
        "duration: 0.250 s",
        "stderr: \u{1b}[31mone\u{9b}",
        "stderr: \ttwo",
    ];
    assert_eq!(lines, expected);
}

/// What became of a failure that the first place did not take.
fn fallback_of(journal: &Journal) -> PathBuf {
    journal.append(&failure("a")).unwrap();
    let fallback = journal.fallback().unwrap();
    assert!(fallback.exists(), "{fallback:?}");
    assert_eq!(journal.read().len(), 1);
    assert_eq!(journal.forget().unwrap(), 1);
    assert_eq!(journal.read(), []);
    fs::remove_file(&fallback).unwrap();
    fallback
}

#[test]
fn a_fifo_or_a_link_in_its_place_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    assert_eq!((journal.problem(), journal.fallback()), (None, None));
    fs::create_dir(dir.path().join("uilog")).unwrap();
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(journal.path(), mode).unwrap();
    fallback_of(&journal);
    let problem = journal.problem().unwrap();
    assert!(problem.ends_with("it is not a regular file"), "{problem}");
    fs::remove_file(journal.path()).unwrap();
    std::os::unix::fs::symlink("/dev/null", journal.path()).unwrap();
    fallback_of(&journal);
}

#[test]
fn a_directory_that_others_may_write_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(&dir.path().join("state"));
    journal.append(&failure("a")).unwrap();
    let shared = fs::Permissions::from_mode(0o777);
    fs::set_permissions(dir.path().join("state"), shared).unwrap();
    let problem = journal.problem().unwrap();
    assert!(
        problem.ends_with("other users may write there"),
        "{problem}"
    );
    // What stands there may be anybody's.
    assert_eq!(journal.read(), []);
    fallback_of(&journal);
}

#[test]
fn a_home_that_has_gone_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(&dir.path().join("gone/state"));
    fallback_of(&journal);
    assert!(!dir.path().join("gone").exists());
}

#[test]
fn without_a_home_it_is_elsewhere() {
    let journal = Journal::for_environment(b"HOME=relative\0").unwrap();
    assert_eq!(journal.problem().as_deref(), Some(NO_HOME));
    assert!(!journal.path().starts_with("/home"));
    let journal = Journal::for_environment(b"HOME=/home/joe\0").unwrap();
    let expected = "/home/joe/.local/state/uilog/failures.jsonl";
    assert_eq!(journal.path(), Path::new(expected));
}

#[test]
fn what_comes_after_it_was_forgotten_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    assert_eq!(journal.forget().unwrap(), 0);
    assert!(!journal.path().exists());
    for detail in ["a", "b"] {
        journal.append(&failure(detail)).unwrap();
    }
    assert_eq!(journal.forget().unwrap(), 2);
    assert_eq!(journal.read(), []);
    journal.append(&failure("c")).unwrap();
    let read = journal.read();
    assert_eq!((read.len(), &*read[0].detail), (1, "c"));
}

#[test]
fn a_line_behind_a_torn_one_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    journal.append(&failure("a")).unwrap();
    let mut torn = fs::read(journal.path()).unwrap();
    torn.truncate(30);
    fs::write(journal.path(), torn).unwrap();
    journal.append(&failure("b")).unwrap();
    let read = journal.read();
    assert_eq!((read.len(), &*read[0].detail), (1, "b"));
}

#[test]
fn another_process_appends() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    journal.append_apart(&failure("a")).unwrap();
    wait_for_appending(Duration::from_secs(60));
    assert_eq!(append_trouble(), None);
    assert_eq!(journal.read().len(), 1);
}

#[test]
fn failures_of_the_same_kind_are_one() {
    let failures = ["a", "b", "a", "a"].map(failure);
    let groups = grouped(&failures);
    let shown: Vec<_> = groups
        .iter()
        .map(|it| (&*it.last.detail, it.count, it.lost))
        .collect();
    assert_eq!(shown, [("b", 1, 1), ("a", 3, 3)]);
    assert_eq!(groups[1].first_time, failures[0].time);
    assert_eq!(groups[1].last, &failures[3]);
}
