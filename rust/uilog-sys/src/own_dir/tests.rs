//! Tests of [`super`].

use std::ffi::OsStr;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use nix::fcntl::OFlag;

use super::OwnDir;

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn directory() -> (tempfile::TempDir, OwnDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let own = OwnDir::beside_users_file(dir.path()).expect("it opens");
    (dir, own)
}

#[test]
fn a_link_in_place_of_a_directory_is_not_followed() {
    let (dir, own) = directory();
    fs::create_dir(dir.path().join("victim")).expect("created");
    symlink("victim", dir.path().join("kept")).expect("a link");
    own.create_private(name("kept")).expect_err("a link");
    symlink("nowhere", dir.path().join("dangling")).expect("a link");
    own.create_private(name("dangling")).expect_err("a link");
    let mode = Permissions::from_mode(0o770);
    fs::set_permissions(dir.path().join("victim"), mode).expect("ours");
    own.create_private(name("victim"))
        .expect_err("the group writes");
}

#[test]
fn a_link_in_place_of_a_file_is_neither_opened_nor_removed() {
    let (dir, own) = directory();
    fs::write(dir.path().join("victim"), b"x").expect("written");
    symlink("victim", dir.path().join("log")).expect("a link");
    own.open_or_create(name("log"), OFlag::O_RDWR, 0o600)
        .expect_err("a link");
    own.remove(name("log")).expect_err("a link");
    own.replace(name("log"), name("log.new"), 0o600, b"y")
        .expect_err("a link");
    own.replace(name("victim"), name("log"), 0o600, b"y")
        .expect_err("a link");
    let text = fs::read(dir.path().join("victim")).expect("still there");
    assert_eq!(text, b"x");
}

#[test]
fn missing_directories_are_created_and_links_among_them_refused() {
    let (dir, own) = directory();
    let deep = dir.path().join("a/b/c");
    OwnDir::create_path(&deep).expect("created");
    OwnDir::create_path(&deep).expect("there");
    for dir in deep.ancestors().take(3) {
        let mode = fs::metadata(dir).expect("there").mode();
        assert_eq!(mode & 0o777, 0o700, "{}", dir.display());
    }
    OwnDir::create_path(&dir.path().join("a/../d")).expect("created");
    assert!(dir.path().join("d").is_dir());
    symlink("elsewhere", dir.path().join("e")).expect("a link");
    OwnDir::create_path(&dir.path().join("e/f")).expect_err("a link");
    // What a process with a strange umask is just creating.
    let none = Permissions::from_mode(0o000);
    fs::set_permissions(dir.path().join("d"), none).expect("ours");
    own.create_private(name("d")).expect("ours");
    let mode = fs::metadata(dir.path().join("d")).expect("there").mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn names_are_bounded() {
    let (dir, own) = directory();
    for count in 0..3 {
        fs::write(dir.path().join(count.to_string()), b"").expect("made");
    }
    assert_eq!(own.names(2).expect("readable"), None);
    let names = own.names(3).expect("readable").expect("three");
    assert_eq!(names.len(), 3);
    let some = own.some_names(1, |name| name != "0").expect("readable");
    assert_eq!(some.len(), 1);
    assert_ne!(some[0], "0");
}

#[test]
fn replacing_leaves_one_file_with_the_mode_asked_for() {
    let (dir, own) = directory();
    for text in [b"old", b"new"] {
        own.replace(name("retry"), name("retry.new"), 0o600, text)
            .expect("replaced");
    }
    let path = dir.path().join("retry");
    assert_eq!(fs::read(&path).expect("there"), b"new");
    let mode = fs::metadata(&path).expect("there").mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(own.names(9).expect("readable").expect("few").len(), 1);
}
