//! What may stand at a log's path, and which names its old files have.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process;

use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Operation;

use super::ALL;
use super::lines;
use super::log;
use super::now_nanos;

#[test]
fn only_regular_files_are_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let refused = |what: &str| {
        let error = log(&path, 1, 6).append(b"a\n").unwrap_err();
        assert_eq!(error.operation(), Operation::Open, "{what}");
        let said = error.io_error().to_string();
        assert!(said.starts_with(what), "{said}");
    };
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&path, mode).unwrap();
    refused("No such device or address");
    let flags = nix::fcntl::OFlag::O_RDWR;
    let reader = nix::fcntl::open(&path, flags, mode).unwrap();
    refused("Is a named pipe");
    drop(reader);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("Is a directory");
    fs::remove_dir(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    refused("Is a device");
    fs::remove_file(&path).unwrap();
    symlink(directory.path(), &path).unwrap();
    refused("Is a directory");
    fs::remove_file(&path).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    refused("No such device or address");
    drop(listener);
}

#[test]
fn links_to_regular_files_are_followed_and_made_true() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let target = directory.path().join("elsewhere");
    symlink(&target, &path).unwrap();
    let _ = log(&path, 6, 6).append(b"a 0 x\n").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "a 0 x\n");
    // As by hg, it is the link that is rotated.
    let _ = log(&path, 6, 6).append(b"a 1 x\n").unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(lines(&path), ["a 0 x", "a 1 x"]);
}

#[test]
fn nothing_is_created_beside_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gone/log");
    let error = log(&path, 1, 6).append(b"a\n").unwrap_err();
    assert_eq!(error.io_error().kind(), std::io::ErrorKind::NotFound);
    assert!(!directory.path().join("gone").exists());
}

#[test]
fn the_log_itself_has_one_name_only() {
    // Mercurial copies a file with two names before it appends to it, and
    // what others append meanwhile is lost.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    for number in 0..5 {
        let record = format!("a {number} x\n");
        let _ = log(&path, 1, 2).append(record.as_bytes()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    }
    assert_eq!(lines(&path), ["a 2 x", "a 3 x", "a 4 x"]);
    let kept = fs::read_dir(directory.path().join(".log.kept")).unwrap();
    assert_eq!(kept.count(), 2 + 1, "two old files and the lock");
}

#[test]
fn what_is_removed_long_after_a_rotation_stays_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let full = log(&path, 1, ALL);
    for number in 0..4 {
        let record = format!("a {number} x\n");
        let _ = full.append(record.as_bytes()).unwrap();
    }
    // A stranger's work: it comes back, in its place.
    fs::remove_file(directory.path().join("log.2")).unwrap();
    let _ = full.append(b"a 4 x\n").unwrap();
    let all = ["a 0 x", "a 1 x", "a 2 x", "a 3 x", "a 4 x"];
    assert_eq!(lines(&path), all);
    // Somebody's wish: the last rotation was an hour ago.
    fs::remove_file(directory.path().join("log.2")).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let then = std::time::SystemTime::now() - hour;
    let kept = directory.path().join(".log.kept");
    fs::File::open(&kept).unwrap().set_modified(then).unwrap();
    assert_eq!(lines(&path), ["a 0 x", "a 1 x", "a 3 x", "a 4 x"]);
    let _ = full.append(b"a 5 x\n").unwrap();
    assert_eq!(lines(&path), ["a 0 x", "a 1 x", "a 3 x", "a 4 x", "a 5 x"]);
}

#[test]
fn a_copy_of_a_repository_has_each_record_once() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    let copy = directory.path().join("copy");
    fs::create_dir(&original).unwrap();
    for number in 0..4 {
        let record = format!("a {number} x\n");
        let path = original.join("log");
        let _ = log(&path, 1, ALL).append(record.as_bytes()).unwrap();
    }
    // Somebody was killed in a rotation; that file has no other name.
    let waiting = format!(".log.kept/new-{}-1-1-1", now_nanos());
    fs::rename(original.join("log"), original.join(waiting)).unwrap();
    // It makes files of names.
    let copied = process::Command::new("cp")
        .arg("-r")
        .args([&original, &copy])
        .status();
    assert!(copied.unwrap().success());
    let path = copy.join("log");
    assert_eq!(lines(&path), ["a 0 x", "a 1 x", "a 2 x", "a 3 x"]);
    let _ = log(&path, 1, ALL).append(b"a 4 x\n").unwrap();
    let _ = log(&path, 1, ALL).append(b"a 5 x\n").unwrap();
    let all = ["a 0 x", "a 1 x", "a 2 x", "a 3 x", "a 4 x", "a 5 x"];
    assert_eq!(lines(&path), all);
    let kept = fs::read_dir(copy.join(".log.kept")).unwrap();
    assert_eq!(kept.count(), 5 + 1, "five old files and the lock");
}

#[test]
fn a_private_log_is_neither_a_link_nor_anothers() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    fs::write(&target, "").unwrap();
    let path = directory.path().join("log");
    let log = LogFile::new(path.clone()).with_mode(0o700).private();
    for target in [target.as_path(), Path::new("missing")] {
        symlink(target, &path).unwrap();
        let error = log.append(b"a\n").unwrap_err();
        assert_eq!(error.operation(), Operation::Open);
        assert!(
            error.to_string().ends_with(": Is a symbolic link"),
            "{error}"
        );
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read(&target).unwrap(), b"");
    assert!(!directory.path().join("missing").exists());

    let _ = log.append(b"a\n").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
        eprintln!("LEFT OUT: other owners because we are not root");
        return;
    }
    let error = log.append(b"b\n").unwrap_err();
    assert!(error.to_string().ends_with(": Belongs to another user"));
    let _ = LogFile::new(path.clone()).append(b"c\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"a\nc\n");
}
