//! `file:` under races, on full disks, and with other kinds of files in its
//! place.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use uilog_channel::sink_config;
use uilog_sinks::globals::Globals;
use uilog_sinks::open::open;
use uilog_testing::test_process;

use super::ids;
use super::lost;
use super::record;
use super::record_with;
use super::records;
use super::sink;
use super::soon;
use super::try_sink;

fn url(path: &Path) -> String {
    format!("file:{}", path.display())
}

#[test]
fn records_go_into_the_file_of_their_day() {
    let directory = tempfile::tempdir().unwrap();
    let pattern = directory.path().join("%Y/%m/a-%d.jsonl");
    let mut file = sink(&url(&pattern), &[]);
    let at = |id, time| record_with(id, json!({ "time": time }));
    let batch = [
        at("a", "2026-01-02T23:59:59.000000-05:00"),
        at("b", "2026-01-03T00:00:00.000000-05:00"),
        at("c", "2026-01-02T23:59:59.000001-05:00"),
    ];
    file.deliver(&batch, soon()).unwrap();
    file.finish(soon()).unwrap();
    let month = directory.path().join("2026/01");
    let read = |name| ids(&fs::read_to_string(month.join(name)).unwrap());
    assert_eq!(read("a-02.jsonl"), ["a", "c"]);
    assert_eq!(read("a-03.jsonl"), ["b"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&month), 0o700);
    assert_eq!(mode(&month.join("a-02.jsonl")), 0o600);
}

#[test]
fn what_makes_no_sense_is_told_when_it_is_opened() {
    let error = |url| try_sink(url, &[]).map(drop).unwrap_err();
    let told = error("file:/x/%Q");
    let is = "'file:/x/%Q': '%Q' is not a date directive";
    assert!(told.starts_with(is), "{told}");
    assert_eq!(error("file:x"), "'file:x': it is not an absolute path");
}

#[test]
fn what_is_no_file_of_ours_gets_nothing_and_is_waited_for_by_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let elsewhere = directory.path().join("elsewhere");
    let mut file = sink(&url(&path), &[]);
    let mut expect = |reason: &str| {
        let result = file.deliver(&records("a", 3), soon());
        let told = format!("{}: {reason}", path.display());
        assert_eq!(lost(result), (3, told));
    };
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    // Nobody reads it, which is an error of opening.
    expect("No such device or address (os error 6)");
    let reader = fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    expect("Is a named pipe");
    drop(reader);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    expect("Is a directory (os error 21)");
    fs::remove_dir(&path).unwrap();
    symlink(&elsewhere, &path).unwrap();
    expect("Is a symbolic link");
    assert!(!elsewhere.exists());
    fs::remove_file(&path).unwrap();
    // It is tried again, and well.
    file.deliver(&records("b", 2), soon()).unwrap();
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["b-0", "b-1"]);
}

#[test]
fn a_directory_that_is_gone_is_made_again_if_it_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let parent = directory.path().join("a");
    let path = parent.join("b/x");
    let mut file = sink(&url(&path), &[]);
    file.deliver(&records("a", 1), soon()).unwrap();
    fs::remove_dir_all(&parent).unwrap();
    file.deliver(&records("b", 1), soon()).unwrap();
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["b-0"]);
    fs::remove_dir_all(&parent).unwrap();
    fs::write(&parent, "").unwrap();
    let (count, reason) = lost(file.deliver(&records("c", 2), soon()));
    assert_eq!(count, 2);
    assert!(
        reason.ends_with(": Not a directory (os error 20)"),
        "{reason}"
    );
    fs::remove_file(&parent).unwrap();
    file.deliver(&records("d", 1), soon()).unwrap();
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["d-0"]);
}

#[test]
fn a_torn_line_takes_no_other_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    fs::write(&path, "{\"id\":").unwrap();
    let mut file = sink(&url(&path), &[]);
    file.deliver(&records("a", 2), soon()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let rest = text.strip_prefix("{\"id\":\n").unwrap();
    assert_eq!(ids(rest), ["a-0", "a-1"]);
}

/// Runs a test of this file in a process of its own, with a variable set.
fn rerun(test: &str, name: &str, value: &str) -> Command {
    let mut command = test_process(&format!("file::{test}"));
    command.env(name, value);
    command.stdout(Stdio::piped());
    command
}

fn arguments(test: &str) -> [String; 3] {
    let name = format!("file::{test}");
    ["--exact".to_owned(), name, "--nocapture".to_owned()]
}

pub(crate) fn must_pass(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn what_no_longer_fits_is_counted_line_by_line() {
    const LIMIT: &str = "UILOG_TEST_LIMITED_FILE";
    let Some(path) = std::env::var_os(LIMIT) else {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let test = "what_no_longer_fits_is_counted_line_by_line";
        let script = "trap '' XFSZ; exec \"$@\"";
        let mut command = Command::new("sh");
        let program = std::env::current_exe().unwrap();
        command
            .args(["-c", script, "sh"])
            .arg(program)
            .args(arguments(test));
        must_pass(command.env(LIMIT, path));
        return;
    };
    let path = Path::new(&path);
    setrlimit(Resource::RLIMIT_FSIZE, 10_000, nix::libc::RLIM_INFINITY)
        .unwrap();
    let mut file = sink(&url(path), &[]);
    let (count, reason) = lost(file.deliver(&records("a", 100), soon()));
    assert!(
        reason.ends_with("x: File too large (os error 27)"),
        "{reason}"
    );
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.len(), 10_000);
    let (whole, _torn) = text.rsplit_once('\n').unwrap();
    let whole = ids(whole);
    assert_eq!(whole.len() as u64 + count, 100);
    let (count, _) = lost(file.deliver(&records("b", 5), soon()));
    assert_eq!(count, 5);
    // There is room again: the next lines begin where lines begin.
    setrlimit(Resource::RLIMIT_FSIZE, 20_000, nix::libc::RLIM_INFINITY)
        .unwrap();
    file.deliver(&records("c", 2), soon()).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let last: Vec<_> = text.lines().rev().take(2).collect();
    assert_eq!(ids(&last.join("\n")), ["c-1", "c-0"]);
}

#[test]
fn on_a_full_disk_what_is_lost_is_counted() {
    const DISK: &str = "UILOG_TEST_SMALL_DISK";
    let test = "on_a_full_disk_what_is_lost_is_counted";
    let Some(disk) = std::env::var_os(DISK) else {
        let directory = tempfile::tempdir().unwrap();
        let script = format!(
            "mount -t tmpfs -o size=64k,mode=0700 tmpfs \"$1\" || exit 77
            {DISK}=\"$1\" exec \"$2\" --exact file::{test} --nocapture"
        );
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .args([&script, "sh"])
            .arg(directory.path())
            .arg(std::env::current_exe().unwrap())
            .output();
        uilog_testing::judge_inside(test, output);
        return;
    };
    let path = Path::new(&disk).join("x");
    let mut file = sink(&url(&path), &[]);
    let mut count = 0;
    for number in 0..50 {
        let batch = records(&number.to_string(), 20);
        let (more, reason) = lost(file.deliver(&batch, soon()));
        count += more;
        assert!(
            more == 0
                || reason.ends_with("No space left on device (os error 28)"),
            "{reason}"
        );
    }
    let text = fs::read_to_string(&path).unwrap();
    let (whole, _torn) = text.rsplit_once('\n').unwrap();
    let whole: Vec<_> =
        whole.lines().filter(|line| line.ends_with('}')).collect();
    assert!(count > 500);
    assert_eq!(ids(&whole.join("\n")).len() as u64 + count, 1000);
}

/// Many processes append to one file that is rotated all the time.
#[test]
fn nothing_is_lost_however_many_append_and_rotate() {
    const TAG: &str = "UILOG_TEST_APPENDING";
    const PATH: &str = "UILOG_TEST_APPENDING_TO";
    const PROCESSES: usize = 8;
    const BATCHES: usize = 40;
    let test = "nothing_is_lost_however_many_append_and_rotate";
    let options = [("maxsize", "20 kB"), ("maxfiles", "1000")];
    if let Some(tag) = std::env::var_os(TAG) {
        let path = std::env::var(PATH).unwrap();
        let mut file = sink(&format!("file:{path}"), &options);
        for batch in 0..BATCHES {
            let prefix = format!("{}-{batch}", tag.to_str().unwrap());
            file.deliver(&records(&prefix, 1 + batch % 7), soon())
                .unwrap();
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            let mut command = rerun(test, TAG, &number.to_string());
            command.env(PATH, &path).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
    }
    let mut files = uilog_sys::log_file::old_files(&path).unwrap();
    assert!(files.len() > 5, "{}", files.len());
    files.push(path);
    let mut found = Vec::new();
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o600);
        // Beside a writer that has been stopped within its line somebody may
        // have ended that line with an empty one.
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<_> =
            text.lines().filter(|line| !line.is_empty()).collect();
        found.extend(ids(&lines.join("\n")));
    }
    let expected: usize = (0..BATCHES).map(|batch| 1 + batch % 7).sum();
    assert_eq!(found.len(), PROCESSES * expected);
    let distinct: HashSet<_> = found.into_iter().collect();
    assert_eq!(distinct.len(), PROCESSES * expected);
}

#[test]
fn as_many_files_are_kept_as_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let options = [("maxsize", "1"), ("maxfiles", "3")];
    let mut file = sink(&url(&path), &options);
    for number in 0..6 {
        let batch = [record(&number.to_string())];
        file.deliver(&batch, soon()).unwrap();
    }
    let read = |name: &str| {
        fs::read_to_string(directory.path().join(name))
            .map(|text| ids(&text).join(" "))
            .unwrap_or_default()
    };
    assert_eq!(["x", "x.1", "x.2", "x.3"].map(read), ["5", "4", "3", ""]);
}

#[test]
fn with_one_file_or_none_a_full_one_is_removed() {
    for maxfiles in ["0", "1"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let options = [("maxsize", "1"), ("maxfiles", maxfiles)];
        let mut file = sink(&url(&path), &options);
        for number in 0..3 {
            let batch = [record(&number.to_string())];
            file.deliver(&batch, soon()).unwrap();
        }
        assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["2"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|it| name(it.unwrap())).collect();
    names.sort();
    names
}

#[test]
fn no_directory_beside_the_file_is_looked_into() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    let shared = directory.path().join("shared");
    fs::create_dir(&victim).unwrap();
    fs::create_dir(&shared).unwrap();
    for number in 0..20 {
        fs::write(victim.join(number.to_string()), "").unwrap();
    }
    let before = names(&victim);
    symlink(&victim, shared.join(".hg.jsonl.kept")).unwrap();
    let path = shared.join("hg.jsonl");
    let mut file = sink(&url(&path), &[("maxsize", "100")]);
    for number in 0..3 {
        file.deliver(&[record(&number.to_string())], soon())
            .unwrap();
    }
    assert_eq!(names(&victim), before);
    let expected = [".hg.jsonl.kept", "hg.jsonl", "hg.jsonl.1", "hg.jsonl.2"];
    assert_eq!(names(&shared), expected);
}

#[test]
fn a_file_that_cannot_be_rotated_grows_and_that_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let obstacle = directory.path().join("x.1");
    symlink("nothing", &obstacle).unwrap();
    let mut file = sink(&url(&path), &[("maxsize", "1")]);
    let mut deliver = |id: &str| file.deliver(&[record(id)], soon());
    deliver("0").unwrap();
    let why = "x.1 is in the way: it is not a regular file";
    let report = format!("{} cannot be rotated: {why}", path.display());
    assert_eq!(lost(deliver("1")), (0, report.clone()));
    deliver("2").unwrap();
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["0", "1", "2"]);
    fs::remove_file(&obstacle).unwrap();
    deliver("3").unwrap();
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), ["3"]);
    fs::remove_file(&obstacle).unwrap();
    symlink("nothing", &obstacle).unwrap();
    assert_eq!(lost(deliver("4")), (0, report));
}

#[test]
fn modes_are_ours_whatever_the_umask() {
    const UMASK: &str = "UILOG_TEST_UMASK";
    const DIRECTORY: &str = "UILOG_TEST_UMASK_DIRECTORY";
    const STRANGER: u32 = 54_321;
    let test = "modes_are_ours_whatever_the_umask";
    if let Ok(mask) = std::env::var(UMASK) {
        let mask = u32::from_str_radix(&mask, 8).unwrap();
        nix::sys::stat::umask(Mode::from_bits_retain(mask));
        let directory = std::env::var_os(DIRECTORY).unwrap();
        let path = Path::new(&directory).join("a/b/x");
        let mut file = sink(&url(&path), &[("maxsize", "1")]);
        for number in 0..3 {
            file.deliver(&[record(&number.to_string())], soon())
                .unwrap();
        }
        return;
    }
    for mask in ["0", "777"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = rerun(test, UMASK, mask);
        command.env(DIRECTORY, directory.path());
        // Root may do anything, whatever the modes.
        if nix::unistd::geteuid().is_root() {
            let owner = Some(STRANGER);
            chown(directory.path(), owner, owner).unwrap();
            command.uid(STRANGER).gid(STRANGER);
        }
        must_pass(&mut command);
        let mode = |name: &str| {
            let path = directory.path().join(name);
            fs::metadata(path).unwrap().mode() & 0o7777
        };
        assert_eq!(["a", "a/b"].map(mode), [0o700; 2], "{mask}");
        let files = ["a/b/x", "a/b/x.1", "a/b/x.2"].map(mode);
        assert_eq!(files, [0o600; 3], "{mask}");
    }
}

#[test]
fn the_history_has_a_file_a_day_within_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let items = [
        (b"history".to_vec(), b"yes".to_vec()),
        (b"history-max-size".to_vec(), b"1 MB".to_vec()),
    ];
    let environment = format!("XDG_STATE_HOME={}\0", dir.path().display());
    let globals = Globals::new(&items, environment.as_bytes());
    let named = items.iter().map(|(n, v)| (&n[..], &v[..]));
    let (definitions, faults) = sink_config::read(named);
    assert_eq!((definitions.len(), faults.len()), (1, 0));
    let mut sink = open(&definitions[0], &globals).unwrap();
    let history = dir.path().join("uilog/history");
    let padding = "x".repeat(4096);
    let record = |number: u64, time: &str| {
        let fields = json!({"time": time, "message": padding});
        record_with(&format!("a-{number}"), fields)
    };
    let now = chrono::Utc::now();
    let days = [now - chrono::TimeDelta::days(2), now];
    for (index, day) in days.iter().enumerate() {
        for number in 0..500 {
            let number = index as u64 * 1000 + number;
            let record = record(number, &day.to_rfc3339());
            assert_eq!(lost(sink.deliver(&[record], soon())), (0, "".into()));
        }
        let name = format!("{}.jsonl", day.format("%Y-%m-%d"));
        assert!(history.join(name).is_file());
    }
    let size = || -> u64 {
        let entries = fs::read_dir(&history).unwrap();
        entries
            .map(|it| it.unwrap().metadata().unwrap().len())
            .sum()
    };
    // What is written between two looks, and one file that is not full.
    assert!(size() <= (1 << 20) * 9 / 8, "{}", size());
    let current = format!("{}.jsonl", now.format("%Y-%m-%d"));
    let text = fs::read_to_string(history.join(current)).unwrap();
    assert_eq!(ids(&text).last().unwrap(), "a-1499");
}
