//! Log files in directories to which other users can write: foreign files stay
//! as they are, and no record is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

use std::collections::BTreeMap;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use nix::unistd::geteuid;
use nix::unistd::mkfifo;
use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Rotation;
use uilog_sys::log_file::old_files;

/// Another user than the one that runs the tests.
const STRANGER: u32 = 12_345;

const DEADLINE: Duration = Duration::from_secs(60);

/// The directories in which old files have second names.
const KEPT: &str = ".log.kept";

fn shared(path: &Path) -> LogFile {
    rotated(path).shared_with_mercurial()
}

fn private(path: &Path) -> LogFile {
    rotated(path).with_mode(0o600).private()
}

fn rotated(path: &Path) -> LogFile {
    let (max_bytes, old_files) = (1, 3);
    LogFile::new(path.to_owned()).rotated(Rotation {
        max_bytes,
        old_files,
    })
}

/// Appends four records; why the last one was not preceded by a rotation, if
/// so.
fn append(log: &LogFile) -> Option<String> {
    let mut not_rotated = None;
    for number in 0..4 {
        let appended = log.append(format!("{number}\n").as_bytes()).unwrap();
        not_rotated = appended.not_rotated.map(|error| error.to_string());
    }
    not_rotated
}

/// Every record, the newest file first.
fn files(path: &Path) -> Vec<String> {
    let old = old_files(path).unwrap();
    let files = std::iter::once(path.to_owned()).chain(old);
    files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// Everything below a path: each entry's inode, mode, owner and content, and
/// for how many names it has.
fn snapshot(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![path.to_owned()];
    while let Some(path) = ahead.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        let content = if status.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            ahead.extend(entries.map(|entry| entry.unwrap().path()));
            String::new()
        } else if status.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if status.is_file() {
            fs::read_to_string(&path).unwrap()
        } else {
            String::new()
        };
        let text = format!(
            "{} {:o} {} {} {content}",
            status.ino(),
            status.mode(),
            status.uid(),
            status.nlink(),
        );
        found.insert(path, text);
    }
    found
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A directory of somebody's with files in it, whose names are as ours.
fn make_victim(path: &Path) {
    fs::create_dir(path).unwrap();
    set_mode(path, 0o700);
    for number in 0..20 {
        let name = format!("{number}-1-1-1");
        fs::write(path.join(name), number.to_string()).unwrap();
    }
}

fn add_marker(path: &Path) {
    let inode = fs::metadata(path).unwrap().ino();
    fs::write(path.join(format!("lock-{inode}")), "").unwrap();
}

fn make_fifo(path: &Path) {
    mkfifo(path, Mode::S_IRWXU).unwrap();
}

/// Puts something in a place, and perhaps what it leads to in another one.
type Plant = fn(&Path, &Path);

/// What may be in the place of a directory of second names. Given that place,
/// and another one for what it leads to.
const PLANTED: [(&str, Plant); 16] = [
    ("a link to a directory", |kept, victim| {
        make_victim(victim);
        symlink(victim, kept).unwrap();
    }),
    ("a link to a directory with a marker", |kept, victim| {
        make_victim(victim);
        add_marker(victim);
        symlink(victim, kept).unwrap();
    }),
    ("a link to nothing", |kept, victim| {
        symlink(victim, kept).unwrap()
    }),
    ("a file", |kept, _| fs::write(kept, "x").unwrap()),
    ("a FIFO", |kept, _| make_fifo(kept)),
    ("an empty directory", |kept, _| {
        fs::create_dir(kept).unwrap()
    }),
    ("a directory of ours, without a marker", |kept, _| {
        make_victim(kept)
    }),
    ("one that its group may write to", |kept, _| {
        make_victim(kept);
        add_marker(kept);
        set_mode(kept, 0o770);
    }),
    ("one that everybody may write to", |kept, _| {
        make_victim(kept);
        add_marker(kept);
        set_mode(kept, 0o1777);
    }),
    ("one with a link as a marker", |kept, victim| {
        make_victim(kept);
        fs::write(victim, "").unwrap();
        let inode = fs::metadata(kept).unwrap().ino();
        symlink(victim, kept.join(format!("lock-{inode}"))).unwrap();
    }),
    ("one with a FIFO as a marker", |kept, _| {
        make_victim(kept);
        let inode = fs::metadata(kept).unwrap().ino();
        make_fifo(&kept.join(format!("lock-{inode}")));
    }),
    ("one with files that are not ours", |kept, _| {
        make_victim(kept);
        add_marker(kept);
        fs::write(kept.join("00manifest.i"), "").unwrap();
    }),
    ("one with a directory", |kept, _| {
        make_victim(kept);
        add_marker(kept);
        fs::create_dir(kept.join("1-1-1-2")).unwrap();
    }),
    ("a copy with files that are not ours", |kept, _| {
        make_victim(kept);
        fs::write(kept.join("lock-1"), "").unwrap();
        fs::write(kept.join("00manifest.i"), "").unwrap();
    }),
    ("a copy with a FIFO", |kept, _| {
        make_victim(kept);
        fs::write(kept.join("lock-1"), "").unwrap();
        make_fifo(&kept.join("1-1-1-2"));
    }),
    ("one with more files than we make", |kept, _| {
        make_victim(kept);
        add_marker(kept);
        for number in 0..2000 {
            fs::write(kept.join(format!("{number}-2-2-2")), "").unwrap();
        }
    }),
];

#[test]
fn what_has_the_name_of_our_directory_stays_as_it_is() {
    for (what, plant) in PLANTED {
        for log in [shared, private] {
            let directory = tempfile::tempdir().unwrap();
            let outside = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let kept = directory.path().join(KEPT);
            plant(&kept, &outside.path().join("victim"));
            let before = (snapshot(&kept), snapshot(outside.path()));
            assert_eq!(append(&log(&path)), None, "{what}");
            let expected = ["3\n", "2\n", "1\n", "0\n"];
            assert_eq!(files(&path), expected, "{what}");
            let after = (snapshot(&kept), snapshot(outside.path()));
            assert_eq!(after, before, "{what}");
            // And it goes on so: the oldest one goes.
            let _ = log(&path).append(b"4\n").unwrap();
            assert_eq!(files(&path), ["4\n", "3\n", "2\n", "1\n"], "{what}");
            let mut names: Vec<_> = fs::read_dir(directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            let expected = [KEPT, "log", "log.1", "log.2", "log.3"];
            assert_eq!(names, expected, "{what}");
        }
    }
}

/// What may be in the place of an old file: its name, whether only a private
/// log minds it, and how to make it.
const OBSTACLES: [(&str, bool, Plant); 5] = [
    ("a directory", false, |old, _| make_victim(old)),
    ("a FIFO", false, |old, _| make_fifo(old)),
    ("a socket", false, |old, _| {
        std::os::unix::net::UnixListener::bind(old).unwrap();
    }),
    ("a link to a file", true, |old, victim| {
        fs::write(victim, "").unwrap();
        symlink(victim, old).unwrap();
    }),
    ("a link to a directory", true, |old, victim| {
        make_victim(victim);
        symlink(victim, old).unwrap();
    }),
];

#[test]
fn what_is_in_the_way_stays_and_the_log_grows() {
    for (what, is_private_only, plant) in OBSTACLES {
        for (is_private, log) in
            [(false, shared as fn(&Path) -> LogFile), (true, private)]
        {
            let directory = tempfile::tempdir().unwrap();
            let outside = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let old = directory.path().join("log.1");
            plant(&old, &outside.path().join("victim"));
            let before = (snapshot(&old), snapshot(outside.path()));
            let not_rotated = append(&log(&path));
            assert_eq!(snapshot(outside.path()), before.1, "{what}");
            if is_private_only && !is_private {
                // As by Mercurial, a link is moved like a file.
                assert_eq!(not_rotated, None, "{what}");
                assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
                continue;
            }
            let why = "log.1 is in the way: it is not a regular file";
            assert_eq!(not_rotated.as_deref(), Some(why), "{what}");
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, "0\n1\n2\n3\n", "{what}");
            assert_eq!(snapshot(&old), before.0, "{what}");
            let problems = log(&path).rotation_problems();
            assert_eq!(problems.growing.unwrap().to_string(), why);
        }
    }
}

#[test]
fn an_obstacle_behind_a_gap_is_none() {
    for log in [shared, private] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let old = directory.path().join("log.2");
        make_victim(&old);
        let before = snapshot(&old);
        let why = append(&log(&path)).unwrap();
        assert_eq!(why, "log.2 is in the way: it is not a regular file");
        let read = |name| fs::read_to_string(directory.path().join(name));
        assert_eq!(read("log.1").unwrap(), "0\n");
        assert_eq!(read("log").unwrap(), "1\n2\n3\n");
        assert_eq!(snapshot(&old), before);
    }
}

#[test]
fn a_planted_hard_link_changes_nothing_of_its_file() {
    for log in [shared, private] {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir_in(directory.path()).unwrap();
        let secret = outside.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        set_mode(&secret, 0o600);
        let path = directory.path().join("log");
        for name in ["log.1", "log.2", "log.3", "log.4"] {
            fs::hard_link(&secret, directory.path().join(name)).unwrap();
        }
        let before = fs::metadata(&secret).unwrap();
        append(&log(&path));
        append(&log(&path));
        let after = fs::metadata(&secret).unwrap();
        assert_eq!(after.ino(), before.ino());
        assert_eq!(after.mode(), before.mode());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }
}

/// A copy of the program that appends, where every user can run it.
fn probe(directory: &Path) -> PathBuf {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.set_file_name("examples");
    program.push("append_probe");
    let copy = directory.join("append_probe");
    // A copy may still be open for writing in another test's child, and is
    // then not executed.
    if fs::hard_link(&program, &copy).is_err() {
        fs::copy(program, &copy).unwrap();
    }
    copy
}

/// What the program needs to append some records to a log of this kind, with
/// three old files.
fn probe_arguments(path: &Path, count: usize, kind: &str) -> Vec<String> {
    let path = path.to_str().unwrap();
    let count = count.to_string();
    [path, "1", "3", &count, "probe", kind]
        .map(str::to_owned)
        .into()
}

#[test]
fn planted_files_cost_no_work() {
    for is_ours in [true, false] {
        if !is_ours && !geteuid().is_root() {
            eprintln!("LEFT OUT: other owners because we are not root");
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let kept = directory.path().join(KEPT);
        fs::create_dir(&kept).unwrap();
        set_mode(&kept, 0o700);
        add_marker(&kept);
        for number in 0..4_000 {
            fs::File::create(kept.join(format!("{number}-1-1-1"))).unwrap();
        }
        if !is_ours {
            chown(&kept, Some(STRANGER), None).unwrap();
        }
        let trace = directory.path().join("trace");
        let done = process::Command::new("strace")
            .args(["-f", "-o", trace.to_str().unwrap()])
            .arg(probe(directory.path()))
            .args(probe_arguments(&path, 4, "shared"))
            .stdin(Stdio::null())
            .output()
            .expect("strace is needed for this test");
        assert!(done.status.success(), "{done:?}");
        let calls = fs::read_to_string(&trace).unwrap();
        // From the first record on.
        let name = format!("\"{}\"", path.display());
        let calls = calls.lines().skip_while(|call| !call.contains(&name));
        let count = calls.count();
        assert!((10..500).contains(&count), "{count} system calls");
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 4_001);
        // A reader does not look at them either.
        assert_eq!(files(&path).len(), 4);
    }
}

/// Runs the program as another user.
fn as_stranger(directory: &Path, path: &Path, kind: &str) -> process::Output {
    process::Command::new(probe(directory))
        .args(probe_arguments(path, 4, kind))
        .uid(STRANGER)
        .gid(STRANGER)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What [`as_stranger`] appends.
const APPENDED: [&str; 4] = [
    "probe 0 \n",
    "probe 1 xxxxxxx\n",
    "probe 2 xxxxxxxxxxxxxx\n",
    "probe 3 xxxxxxxxxxxxxxxxxxxxx\n",
];

/// A directory that everybody may enter.
fn open_directory(mode: u32) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), mode);
    directory
}

#[test]
fn a_directory_of_roots_costs_a_user_no_line() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    // As one `sudo hg` leaves it.
    let directory = open_directory(0o777);
    let path = directory.path().join("log");
    append(&shared(&path));
    let kept = directory.path().join(KEPT);
    set_mode(&path, 0o666);
    let inode = fs::metadata(&kept).unwrap().ino();
    let done = as_stranger(directory.path(), &path, "shared");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(done.stderr, b"", "{done:?}");
    let mut expected = APPENDED;
    expected.reverse();
    let mut found = vec![fs::read_to_string(&path).unwrap()];
    for number in 1..4 {
        let old = directory.path().join(format!("log.{number}"));
        found.push(fs::read_to_string(old).unwrap());
    }
    assert_eq!(found, expected);
    assert_eq!(fs::metadata(&kept).unwrap().ino(), inode);
    // Root goes on with its own.
    append(&shared(&path));
    assert_eq!(files(&path), ["3\n", "2\n", "1\n", "0\n"]);
}

#[test]
fn a_directory_that_cannot_be_written_costs_no_line() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    for kind in ["shared", "private"] {
        let directory = open_directory(0o755);
        let path = directory.path().join("log");
        fs::write(&path, "full\n").unwrap();
        if kind == "private" {
            chown(&path, Some(STRANGER), None).unwrap();
        } else {
            set_mode(&path, 0o666);
        }
        let done = as_stranger(directory.path(), &path, kind);
        assert!(done.status.success(), "{done:?}");
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains("not rotated: Permission denied"), "{said}");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, ["full\n", &APPENDED.concat()].concat());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}

#[test]
fn a_directory_that_cannot_be_listed_is_good_enough() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    for kind in ["shared", "private"] {
        let directory = open_directory(0o733);
        let path = directory.path().join("log");
        let done = as_stranger(directory.path(), &path, kind);
        assert!(done.status.success(), "{done:?}");
        assert_eq!(done.stderr, b"", "{done:?}");
        assert_eq!(files(&path).len(), 4);
    }
}

#[test]
fn root_leaves_nothing_in_anothers_directory() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    for has_kept in [false, true] {
        let directory = open_directory(0o755);
        chown(directory.path(), Some(STRANGER), None).unwrap();
        let path = directory.path().join("log");
        let kept = directory.path().join(KEPT);
        if has_kept {
            let done = as_stranger(directory.path(), &path, "shared");
            assert!(done.status.success(), "{done:?}");
        }
        let before = has_kept.then(|| fs::metadata(&kept).unwrap().mtime());
        assert_eq!(append(&shared(&path)), None);
        assert_eq!(files(&path), ["3\n", "2\n", "1\n", "0\n"]);
        let after = fs::metadata(&kept).ok().map(|status| status.mtime());
        assert_eq!(after, before);
    }
}

#[test]
fn old_files_of_others_are_rotated_in_a_shared_log_only() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    let directory = open_directory(0o777);
    let path = directory.path().join("log");
    for (name, owner) in [("log", 0), ("log.1", 1), ("log.2", STRANGER)] {
        let file = directory.path().join(name);
        fs::write(&file, name).unwrap();
        chown(&file, Some(owner), None).unwrap();
        set_mode(&file, 0o666);
    }
    let not_rotated = private(&path).append(b"a").unwrap().not_rotated;
    assert_eq!(
        not_rotated.unwrap().to_string(),
        "log.1 is in the way: it belongs to another user"
    );
    assert_eq!(files(&path), ["loga", "log.1", "log.2"]);
    let not_rotated = shared(&path).append(b"b").unwrap().not_rotated;
    assert!(not_rotated.is_none());
    assert_eq!(files(&path), ["b", "loga", "log.1", "log.2"]);
    // By another user, who may not use root's directory.
    set_mode(&path, 0o666);
    let done = as_stranger(directory.path(), &path, "shared");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(done.stderr, b"", "{done:?}");
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The program that strace runs. strace forks a few more children before it,
/// which it stops to see what the kernel can do.
fn traced(strace: u32, program: &Path) -> Option<Pid> {
    let children = format!("/proc/{strace}/task/{strace}/children");
    let children = fs::read_to_string(children).ok()?;
    let mut pids = children.split_whitespace();
    let pid = pids.find(|pid| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|it| it == program)
    })?;
    Some(Pid::from_raw(pid.parse().ok()?))
}

#[test]
fn what_takes_the_logs_place_at_the_last_moment_is_not_moved() {
    // The last call before the log is moved.
    for (kind, call) in [
        ("shared", "getdents64:signal=STOP:when=4"),
        ("private", "newfstatat:signal=STOP:when=3"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = if kind == "shared" { shared } else { private };
        let _ = log(&path).append(b"0\n").unwrap();
        let _ = log(&path).append(b"1\n").unwrap();
        let fault = format!("inject={call}");
        let probe = probe(directory.path());
        let calls = directory.path().join("calls");
        let mut child = process::Command::new("strace")
            .args(["-e", &fault, "-o"])
            .args([&calls, &probe])
            .args(probe_arguments(&path, 1, kind))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is needed for this test");
        wait_for("it stops", || {
            assert!(child.try_wait().unwrap().is_none(), "{kind}: it ended");
            let calls = fs::read_to_string(&calls).unwrap_or_default();
            calls.contains("--- stopped by SIGSTOP ---")
        });
        let stopped = traced(child.id(), &probe).unwrap();
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        make_victim(&path);
        let before = snapshot(&path);
        kill(stopped, Signal::SIGCONT).unwrap();
        wait_for("it ends", || child.try_wait().unwrap().is_some());
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains("Is a directory"), "{kind}: {said}");
        assert_eq!(snapshot(&path), before, "{kind}");
    }
}
