//! Files that are not trusted or cannot be read: what is said, and how it ends.

use std::fs;

use nix::unistd::Gid;
use nix::unistd::Uid;

use super::FileState;
use super::Place;
use super::Request;
use super::named;
use super::options;
use super::section;
use crate::environment::group_name;
use crate::environment::user_name;

#[test]
fn files_of_others_count_apart() {
    let place = Place::new("").for_stranger();
    place.write(
        "repo/.hg/hgrc",
        "[a]\nb=1\n%include more\n[trusted]\nusers=*",
    );
    place.write("repo/.hg/more", "");
    place.write("repo/.hg/hgrc-not-shared", "[a]\nc=1\nno item");
    let loaded = place.load("repo");
    assert_eq!(section(&loaded.trusted, "a"), "");
    assert_eq!(section(&loaded.untrusted, "a"), "b=1 c=1");
    let user = String::from_utf8(user_name(Uid::current())).unwrap();
    let group = String::from_utf8(group_name(Gid::current())).unwrap();
    let not_trusting = |file: &str| {
        format!(
            "not trusting file /repo/.hg/{file} from untrusted user {user}, \
             group {group}"
        )
    };
    let once = [
        not_trusting("hgrc"),
        not_trusting("hgrc-not-shared"),
        "ignored /repo/.hg/hgrc-not-shared:3: no item".to_owned(),
    ];
    // A repository's files are read twice, as hg does.
    assert_eq!(place.warnings(&loaded), [once.clone(), once].concat());
    let untrusted = FileState::Untrusted { user, group };
    let states: Vec<_> = loaded.files[1..]
        .iter()
        .map(|it| it.state.clone())
        .collect();
    assert_eq!(states[..2], [untrusted.clone(), untrusted]);
    assert!(matches!(states[2], FileState::Broken(_)));
    assert_eq!(states.len(), 3);
}

#[test]
fn a_user_trusts_whom_a_trusted_file_names() {
    let user = String::from_utf8(user_name(Uid::current())).unwrap();
    let group = String::from_utf8(group_name(Gid::current())).unwrap();
    for (trusted, is_trusted) in [
        (format!("users = x, {user}"), true),
        (format!("groups = {group}, x"), true),
        ("users = *".to_owned(), true),
        ("groups = *".to_owned(), true),
        ("users = x\ngroups = y".to_owned(), false),
    ] {
        let place = Place::new(&format!("[trusted]\n{trusted}")).for_stranger();
        place.write("repo/.hg/hgrc", "[a]\nb=1");
        let loaded = place.load("repo");
        let expected = if is_trusted { "b=1" } else { "" };
        assert_eq!(section(&loaded.trusted, "a"), expected, "{trusted}");
        assert_eq!(loaded.warnings.is_empty(), is_trusted, "{trusted}");
    }
}

#[test]
fn untrusted_files_are_reported_as_wanted() {
    let warns = |user_rc: &str| {
        let place = Place::new(user_rc).for_stranger();
        place.write("repo/.hg/hgrc", "[a]\nb=1");
        !place.load("repo").warnings.is_empty()
    };
    assert!(warns("[ui]\nreport_untrusted = yes"));
    assert!(!warns("[ui]\nreport_untrusted = no"));
    assert!(warns("[ui]\nreport_untrusted = no\ndebug = yes"));
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_skipped() {
    let place = Place::new("%include missing\n[a]\nb=1");
    fs::create_dir_all(place.path("repo/.hg/hgrc")).unwrap();
    let loaded = place.load("repo");
    let states: Vec<_> = place
        .files(&loaded)
        .into_iter()
        .map(|(_, path, state)| (path, state))
        .collect();
    let [user, missing, directory, not_shared] = &states[..] else {
        panic!("{states:?}");
    };
    assert_eq!(user.1, FileState::Read);
    assert_eq!(*missing, ("/missing".to_owned(), FileState::Missing));
    assert!(matches!(&directory.1, FileState::Unreadable(why)
        if why.starts_with("Is a directory")));
    assert_eq!(not_shared.1, FileState::Missing);
}

#[test]
fn errors_are_worded_and_end_as_hgs() {
    let detailed = "[ui]\ndetailed-exit-code = yes\n";
    let place = Place::new(detailed);
    let plain = Place::new("");
    for (option, quoted) in [
        ("x", "x"),
        ("a=1", "a=1"),
        (".b=1", ".b=1"),
        ("a.=1", "a.=1"),
    ] {
        let message = format!(
            "abort: malformed --config option: '{quoted}' \
             (use --config section.name=value)"
        );
        let request = options(&[option]);
        assert_eq!(place.failure("", &request), (message.clone(), 10));
        assert_eq!(plain.failure("", &request), (message, 255));
    }

    let value = "config error: ui.verbose is not a boolean ('maybe')";
    let request = options(&["ui.verbose=maybe"]);
    assert_eq!(place.failure("", &request), (value.to_owned(), 30));

    let output = "abort: invalid ui.message-output destination: paper";
    let request = options(&["ui.message-output=paper"]);
    assert_eq!(place.failure("", &request), (output.to_owned(), 255));

    let file = |path: &str| Request {
        config_files: vec![path.into()],
        ..Request::default()
    };
    let missing = "abort: missing file \"none.rc\" for --config-file";
    assert_eq!(
        place.failure("", &file("none.rc")),
        (missing.to_owned(), 10)
    );
    place.write("bad.rc", "[a]\nno item");
    let bad = "abort: invalid --config-file content at bad.rc:2\n(no item)";
    assert_eq!(place.failure("", &file("bad.rc")), (bad.to_owned(), 10));

    let cwd = |path: &str| Request {
        cwd: Some(path.into()),
        ..Request::default()
    };
    let gone = "abort: No such file or directory: 'gone'";
    assert_eq!(place.failure("", &cwd("gone")), (gone.to_owned(), 255));
    let file = "abort: Not a directory: 'bad.rc'";
    assert_eq!(place.failure("", &cwd("bad.rc")), (file.to_owned(), 255));
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_may_be_left_out() {
    let place = Place::new("[ui]\ndetailed-exit-code = yes\n");
    place.write("repo/.hg/hgrc", "[a]\n  token\n");
    let error = place.try_load("repo", &Request::default()).unwrap_err();
    let shown =
        |text: Vec<u8>| place.without_root(std::str::from_utf8(&text).unwrap());
    let location = error.location().unwrap().to_vec();
    assert_eq!(shown(location), "/repo/.hg/hgrc:2");
    assert_eq!(
        shown(error.to_bytes()),
        "config error at /repo/.hg/hgrc:2: \
         unexpected leading whitespace:   token"
    );
    assert_eq!(
        shown(error.without_line()),
        "config error at /repo/.hg/hgrc:2: unexpected leading whitespace"
    );
    assert_eq!(error.exit_status(), 30);

    place.write("repo/.hg/hgrc", "token\n");
    let error = place.try_load("repo", &Request::default()).unwrap_err();
    assert_eq!(
        shown(error.without_line()),
        "config error at /repo/.hg/hgrc:1"
    );

    let value = Place::new("[ui]\nquiet=maybe");
    let error = value.try_load("", &Request::default()).unwrap_err();
    assert_eq!(error.location(), None);
    assert_eq!(error.without_line(), error.to_bytes());
}

#[test]
fn warnings_before_an_error_are_kept() {
    let place = Place::new("[paths]\na = %%\n");
    let error = place.try_load("", &options(&["x"])).unwrap_err();
    assert_eq!(error.warnings().len(), 2);
}

#[test]
fn a_repository_that_cannot_be_opened() {
    let place = Place::new("");
    let failure = |name: &str| place.failure("", &named(name)).0;
    assert_eq!(failure("none"), "abort: repository none not found");
    assert_eq!(
        failure("ssh://host/r"),
        "abort: repository 'ssh://host/r' is not local"
    );
    assert_eq!(failure("user.rc"), "abort: Not a directory: '/user.rc/.hg'");
    place.write("file/.hg", "");
    assert_eq!(failure("file"), "abort: repository file not found");

    // A command that needs no repository can do without one that nobody named.
    place.write("share/.hg/requires", "shared\n");
    place.write("share/.hg/sharedpath", "/nowhere/.hg\n");
    assert_eq!(
        failure("share"),
        "abort: .hg/sharedpath points to nonexistent directory /nowhere/.hg"
    );
    assert_eq!(place.load("share").root, None);
}
