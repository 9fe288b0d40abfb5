//! What appending a line does and refuses: in files, in /proc and under strace.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use uilog_sys::append::GuardedPath;
use uilog_sys::append::Plan;
use uilog_sys::append::Root;
use uilog_sys::append::take_failure;
use uilog_sys::append::wait;
use uilog_testing::example;
use uilog_testing::until;

const WAIT: Duration = Duration::from_secs(60);
const MAX_BYTES: u64 = 4096;

fn place(root: &Path) -> GuardedPath {
    let steps = [OsStr::new("state"), OsStr::new("uilog")];
    GuardedPath::new(root, Root::Chosen, &steps, "lines").unwrap()
}

fn near(root: &Path) -> GuardedPath {
    let steps = [OsStr::new("near")];
    let place = GuardedPath::new(root, Root::Private, &steps, "lines").unwrap();
    place.near()
}

fn append(place: &GuardedPath) -> std::io::Result<()> {
    Plan::new(vec![place.clone()], b"line\n".to_vec(), MAX_BYTES).run()
}

fn probe(arguments: &[&str], root: &Path) -> process::Command {
    let mut command = process::Command::new(example("append_line"));
    command.arg(root).args(arguments);
    command
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A directory with `state/uilog` in it.
fn prepared() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("state/uilog");
    fs::create_dir_all(&inner).unwrap();
    chmod(&dir.path().join("state"), 0o755);
    chmod(&inner, 0o700);
    (dir, inner)
}

#[test]
fn what_is_made_has_its_mode_whatever_the_umask() {
    for umask in ["0", "777"] {
        for how in ["run", "start"] {
            let dir = tempfile::tempdir().unwrap();
            let umask = format!("umask={umask}");
            let status = probe(&[&umask, how], dir.path()).status().unwrap();
            assert!(status.success());
            for (path, expected) in [
                ("state", 0o700),
                ("state/uilog", 0o700),
                ("state/uilog/lines", 0o600),
            ] {
                let path = dir.path().join(path);
                assert_eq!(mode(&path), expected, "{path:?} {umask} {how}");
            }
        }
    }
}

#[test]
fn a_directory_that_is_not_ours_alone_is_refused() {
    let (dir, inner) = prepared();
    let state = dir.path().join("state");
    append(&place(dir.path())).unwrap();
    for (path, bad, good) in [
        (&state, 0o775, 0o755),
        (&state, 0o1777, 0o755),
        (&inner, 0o770, 0o700),
        (&inner, 0o702, 0o700),
    ] {
        chmod(path, bad);
        let error = place(dir.path()).open(true).unwrap_err();
        let expected = format!(
            "{}: other users may write \
            there",
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        append(&place(dir.path())).unwrap_err();
        chmod(path, good);
        append(&place(dir.path())).unwrap();
    }
    if nix::unistd::geteuid().is_root() {
        for path in [&state, &inner, &inner.join("lines")] {
            std::os::unix::fs::chown(path, Some(65534), None).unwrap();
            append(&place(dir.path())).unwrap_err();
            std::os::unix::fs::chown(path, Some(0), None).unwrap();
        }
    }
    let text = fs::read_to_string(inner.join("lines")).unwrap();
    assert_eq!(text, "line\n".repeat(5));
}

#[test]
fn nothing_is_made_where_others_may_write() {
    let dir = tempfile::tempdir().unwrap();
    chmod(dir.path(), 0o777);
    let error = place(dir.path()).open(true).unwrap_err();
    assert!(
        error.to_string().contains("other users may write to"),
        "{error}"
    );
    assert!(!dir.path().join("state").exists());
    let missing = place(&dir.path().join("missing"));
    missing.open(true).unwrap_err();
    assert!(!dir.path().join("missing").exists());
}

#[test]
fn a_link_is_followed_above_the_directory_only() {
    let (dir, inner) = prepared();
    let other = tempfile::tempdir().unwrap();
    symlink(dir.path().join("state"), other.path().join("state")).unwrap();
    append(&place(other.path())).unwrap();
    assert_eq!(fs::read(inner.join("lines")).unwrap(), b"line\n");
    fs::rename(&inner, dir.path().join("victim")).unwrap();
    symlink("../victim", &inner).unwrap();
    append(&place(other.path())).unwrap_err();
    fs::remove_file(&inner).unwrap();
    fs::create_dir(&inner).unwrap();
    fs::write(dir.path().join("precious"), b"").unwrap();
    symlink(dir.path().join("precious"), inner.join("lines")).unwrap();
    append(&place(other.path())).unwrap_err();
    assert_eq!(fs::read(dir.path().join("precious")).unwrap(), b"");
}

#[test]
fn the_second_place_gets_what_the_first_refuses() {
    let (dir, _) = prepared();
    chmod(&dir.path().join("state"), 0o777);
    let second = tempfile::tempdir().unwrap();
    let places = vec![place(dir.path()), near(second.path())];
    let plan = Plan::new(places, b"line\n".to_vec(), MAX_BYTES);
    plan.run().unwrap();
    let text = fs::read(second.path().join("near/lines")).unwrap();
    assert_eq!(text, b"line\n");
}

#[test]
fn where_no_lock_can_be_had_the_first_place_is_used_all_the_same() {
    let (dir, inner) = prepared();
    let second = tempfile::tempdir().unwrap();
    // As in a directory that is full or read-only.
    let in_its_place = second.path().join("near/slot");
    fs::create_dir_all(&in_its_place).unwrap();
    chmod(in_its_place.parent().unwrap(), 0o700);
    let places = vec![place(dir.path()), near(second.path())];
    let plan = Plan::new(places, b"line\n".to_vec(), MAX_BYTES);
    let slots = ["slot".to_owned()].into_iter();
    plan.slots(slots).start().unwrap();
    until("a line", || fs::read(inner.join("lines")).ok());
    assert!(!second.path().join("near/lines").exists());
}

#[test]
fn what_cannot_be_rotated_goes_on_growing() {
    let (dir, inner) = prepared();
    fs::create_dir(inner.join("lines.1")).unwrap();
    fs::write(inner.join("lines"), vec![b'\n'; MAX_BYTES as usize]).unwrap();
    append(&place(dir.path())).unwrap();
    let text = fs::read(inner.join("lines")).unwrap();
    assert!(text.ends_with(b"line\n") && text.len() > MAX_BYTES as usize);
    fs::remove_dir(inner.join("lines.1")).unwrap();
    append(&place(dir.path())).unwrap();
    assert_eq!(fs::read(inner.join("lines")).unwrap(), b"line\n");
    assert_eq!(fs::read(inner.join("lines.1")).unwrap(), text);
}

#[test]
fn many_who_rotate_at_once_lose_nothing_that_is_kept() {
    const LINE_BYTES: usize = 20;
    const EACH: usize = 1000;
    let names = ["a", "b", "c", "d"];
    // As many lines as the two files hold: one rotation, by one of them.
    let max_bytes = names.len() * EACH * LINE_BYTES / 2;
    for _ in 0..5 {
        let (dir, inner) = prepared();
        let max = format!("max={max_bytes}");
        let times = format!("times={EACH}");
        let start = |name| {
            let name = format!("name={name}");
            let arguments = [&max, &times, &name, "run"];
            probe(&arguments, dir.path()).spawn().unwrap()
        };
        let mut children = names.map(start);
        for child in &mut children {
            assert!(child.wait().unwrap().success());
        }
        let mut lines = BTreeSet::new();
        for file in ["lines.1", "lines"] {
            let text = fs::read_to_string(inner.join(file)).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        assert_eq!(lines.len(), names.len() * EACH);
    }
}

#[test]
fn a_child_appends_and_leaves_nothing_open() {
    let (dir, inner) = prepared();
    let output = probe(&["times=3", "start"], dir.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(inner.join("lines")).unwrap();
    assert_eq!(text.lines().count(), 3);
    // The locks are gone with those who held them.
    let near = format!("near={}", dir.path().display());
    let arguments = [&*near, "slots=2", "start"];
    assert!(probe(&arguments, dir.path()).status().unwrap().success());
    let left = fs::read_dir(dir.path().join("near")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn what_a_child_fails_with_is_known() {
    let (dir, inner) = prepared();
    fs::create_dir(inner.join("lines")).unwrap();
    let places = vec![place(dir.path())];
    let plan = Plan::new(places, b"line\n".to_vec(), MAX_BYTES);
    plan.start().map_err(|(_, error)| error).unwrap();
    assert!(wait(WAIT));
    let error = take_failure().unwrap();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EISDIR));
    assert!(take_failure().is_none());
}

/// strace delays whoever opens the root, in whichever process that is.
#[test]
fn a_directory_that_hangs_holds_up_few_children_and_nobody_else() {
    let (dir, inner) = prepared();
    let runtime = tempfile::tempdir().unwrap();
    let trace = runtime.path().join("trace");
    let near = format!("near={}", runtime.path().display());
    let arguments = [&near, "slots=2", "times=6", "hurry", "start"];
    let command = probe(&arguments, dir.path());
    // With -D the tracer is not in the way of who waits for the process.
    let mut traced = process::Command::new("strace")
        .args(["-D", "-f", "-e", "trace=openat", "-P"])
        .arg(dir.path())
        .args(["-e", "inject=openat:delay_enter=600000000", "-o"])
        .arg(&trace)
        .arg(command.get_program())
        .args(command.get_args())
        .stdout(process::Stdio::null())
        .stderr(process::Stdio::null())
        .spawn()
        .expect("strace is needed for this test");
    let status = traced.wait().unwrap();
    assert!(status.success(), "{status}");
    let written = runtime.path().join("near/lines");
    let lines = until("the other lines", || {
        let text = fs::read_to_string(&written).unwrap_or_default();
        (text.lines().count() == 4).then_some(text)
    });
    // Those that hang are still there, and have the program's command line.
    let needle = dir.path().as_os_str().as_encoded_bytes();
    let has_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.nth(1) == Some(needle)
    };
    let hanging = until("the others to end", || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|it| it.file_name().to_str()?.parse().ok());
        let hanging: Vec<i32> = pids.filter(has_it).collect();
        (hanging.len() <= 2).then_some(hanging)
    });
    // The tracer would keep the dead until its delay is over.
    let tracer = fs::read_to_string(format!("/proc/{}/status", hanging[0]));
    let tracer = tracer.unwrap();
    let tracer = tracer.lines().find_map(|it| it.strip_prefix("TracerPid:"));
    let tracer: i32 = tracer.unwrap().trim().parse().unwrap();
    for pid in hanging.iter().chain([&tracer]) {
        let pid = nix::unistd::Pid::from_raw(*pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    assert_eq!(hanging.len(), 2, "{hanging:?}");
    assert!(!inner.join("lines").exists(), "{lines}");
}

#[test]
fn only_the_listed_system_calls_happen_in_a_child() {
    let listed = [
        "sched_setscheduler",
        "futex",
        "setsid",
        "rt_sigaction",
        "close_range",
        "prlimit64",
        "chdir",
        "umask",
        "rt_sigprocmask",
        "openat",
        "statx",
        "mkdirat",
        "fchmod",
        "flock",
        "renameat2",
        "write",
        "close",
        "exit",
    ];
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let command = probe(&["max=1", "times=2", "start"], dir.path());
    let status = process::Command::new("strace")
        .args(["-f", "-o"])
        .arg(&trace)
        .arg(command.get_program())
        .args(command.get_args())
        .status()
        .expect("strace is needed for this test");
    assert!(status.success());
    let text = fs::read_to_string(&trace).unwrap();
    let calls = |line: &str| {
        let (task, rest) = line.split_once(' ')?;
        let (call, _) = rest.trim_start().split_once('(')?;
        let is_call =
            call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_call.then(|| (task.to_owned(), call.to_owned()))
    };
    let calls: Vec<_> = text.lines().filter_map(calls).collect();
    let caller = calls[0].0.clone();
    let ours = calls.iter().filter(|(task, _)| *task != caller);
    let mut seen = BTreeSet::new();
    // The middle child has no other call than these two.
    for (_, call) in ours.filter(|(_, call)| call != "clone") {
        assert!(listed.contains(&&call[..]), "{call} is not listed: {text}");
        seen.insert(call.as_str());
    }
    for call in ["renameat2", "write", "mkdirat", "close_range"] {
        assert!(seen.contains(call), "{call}: {text}");
    }
}
