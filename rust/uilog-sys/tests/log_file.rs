//! Log files under races, foreign rotations, kills and failing system calls:
//! the files are checked record by record.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::process::Child;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Operation;
use uilog_sys::log_file::Rotation;
use uilog_sys::log_file::old_files;

/// More old files than any test makes.
const ALL: u32 = 10_000;

/// Who rotates a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Strangers, too.
    Shared,
    /// Only we do.
    Private,
}

impl Kind {
    fn log(self, path: &Path, max_bytes: u64, old_files: u32) -> LogFile {
        let log = LogFile::new(path.to_owned()).rotated(Rotation {
            max_bytes,
            old_files,
        });
        match self {
            Self::Shared => log.shared_with_mercurial(),
            Self::Private => log.with_mode(0o600).private(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Private => "private",
        }
    }
}

fn log(path: &Path, max_bytes: u64, old_files: u32) -> LogFile {
    Kind::Shared.log(path, max_bytes, old_files)
}

fn probe(path: &Path, max_bytes: u64, count: usize, tag: &str) -> Vec<String> {
    probe_of(Kind::Shared, path, max_bytes, count, tag)
}

/// Another process that appends.
fn probe_of(
    kind: Kind,
    path: &Path,
    max_bytes: u64,
    count: usize,
    tag: &str,
) -> Vec<String> {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.set_file_name("examples");
    program.push("append_probe");
    vec![
        program.to_str().unwrap().to_owned(),
        path.to_str().unwrap().to_owned(),
        max_bytes.to_string(),
        ALL.to_string(),
        count.to_string(),
        tag.to_owned(),
        kind.name().to_owned(),
    ]
}

/// Starts a process that begins its work when its input is closed.
fn start(arguments: &[String]) -> Child {
    process::Command::new(&arguments[0])
        .args(&arguments[1..])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(children: Vec<Child>) {
    let mut children = children;
    for child in &mut children {
        drop(child.stdin.take());
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

/// Every line, the oldest first.
fn lines(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut files = old_files(path).unwrap();
    files.reverse();
    files.extend(path.exists().then(|| path.to_owned()));
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

/// That each writer's records are there, each once and whole, and perhaps in
/// order.
fn assert_complete(
    path: &Path,
    tags: &[String],
    count: usize,
    is_ordered: bool,
) {
    let mut found: HashMap<String, Vec<usize>> = HashMap::new();
    for line in lines(path) {
        let mut words = line.splitn(3, ' ');
        let tag = words.next().unwrap().to_owned();
        let number = words.next().unwrap().parse().unwrap();
        let padding = words.next().unwrap();
        assert!(padding.bytes().all(|it| it == b'x'), "torn: {line}");
        found.entry(tag).or_default().push(number);
    }
    let all: Vec<_> = (0..count).collect();
    for tag in tags {
        let numbers = found.get_mut(tag).unwrap();
        if !is_ordered {
            numbers.sort();
        }
        assert_eq!(*numbers, all, "{tag}");
    }
}

fn tags(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("p{number}")).collect()
}

#[test]
fn nothing_is_lost_however_many_rotate() {
    for (kind, writers, count) in [
        (Kind::Shared, 8, 500),
        (Kind::Shared, 32, 125),
        (Kind::Private, 8, 500),
        (Kind::Private, 32, 125),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut all_tags = Vec::new();
        // nobody waits for a writer that is rotating: where the system lets
        // it sleep meanwhile, the others may be done before the next one
        while old_files(&path).unwrap().len() <= 3 {
            let round = all_tags.len();
            assert!(round < 100 * writers, "nobody rotates");
            let tags: Vec<_> = (round..round + writers)
                .map(|number| format!("p{number}"))
                .collect();
            let probes = tags
                .iter()
                .map(|tag| probe_of(kind, &path, 2048, count, tag));
            finish(probes.map(|probe| start(&probe)).collect());
            all_tags.extend(tags);
        }
        assert_complete(&path, &all_tags, count, true);
    }
}

/// A program that knows nothing of us, and rotates as Mercurial or rhg does.
struct Stranger<'a> {
    path: &'a Path,
    max_bytes: u64,
    maxfiles: u32,
    /// Whether a file is removed before another one takes its name.
    // hg: loggingutil.openlogfile removes, rhg's LogFile::write does not
    removes: bool,
}

impl Stranger<'_> {
    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.to_owned(),
            _ => format!("{}.{number}", self.path.display()).into(),
        }
    }

    fn write(&self, record: &str) {
        let is_full =
            fs::metadata(self.path).is_ok_and(|it| it.len() >= self.max_bytes);
        if is_full {
            for number in (1..self.maxfiles).rev() {
                let to = self.numbered(number);
                if self.removes {
                    let _ = fs::remove_file(&to);
                }
                let _ = fs::rename(self.numbered(number - 1), to);
            }
        }
        let mut options = fs::OpenOptions::new();
        let options = options.append(true).create(true);
        let mut file = options.open(self.path).unwrap();
        file.write_all(record.as_bytes()).unwrap();
    }
}

#[test]
fn a_stranger_that_rotates_too_costs_nothing() {
    for removes in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let tags = tags(4);
        let probes = tags.iter().map(|tag| probe(&path, 2048, 2000, tag));
        let probes: Vec<_> = probes.map(|probe| start(&probe)).collect();
        let stranger = Stranger {
            path: &path,
            max_bytes: 2048,
            maxfiles: 1000,
            removes,
        };
        let is_over = AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut written = 0;
                // More would be more files than it keeps.
                while written < 50
                    || !is_over.load(Ordering::Relaxed) && written < 10_000
                {
                    stranger.write(&format!("stranger {written} xxx\n"));
                    written += 1;
                }
                written
            });
            finish(probes);
            is_over.store(true, Ordering::Relaxed);
            writer.join().unwrap()
        });
        // Where a stranger has numbered files while we did, their order may
        // suffer.
        assert_complete(&path, &tags, 2000, false);
        assert_complete(&path, &["stranger".to_owned()], written, false);
    }
}

/// Runs a probe that appends one record under strace, whose `faults` tell
/// which system calls fail or kill it; its status, and its standard error.
fn under_strace(
    kind: Kind,
    path: &Path,
    faults: &[&str],
    max_bytes: u64,
    tag: &str,
) -> process::Output {
    process::Command::new("strace")
        .args(["-f", "-o", "/dev/null"])
        .args(faults)
        .args(probe_of(kind, path, max_bytes, 1, tag))
        .stdin(Stdio::null())
        .output()
        .expect("strace is needed for this test")
}

/// What a rotation asks of the system.
const STEPS: [&str; 11] = [
    "mkdirat",
    "openat",
    "flock",
    "fstat",
    "newfstatat",
    "renameat",
    "linkat",
    "renameat2",
    "unlinkat",
    "getdents64",
    "write",
];

#[test]
fn a_writer_may_be_killed_at_any_step_of_a_rotation() {
    for (kind, kills) in [(Kind::Shared, 20), (Kind::Private, 10)] {
        let made = STEPS.iter().map(|step| kill_at(kind, step)).sum::<u32>();
        assert!(made > kills, "{kind:?}: {made}");
    }
}

/// Kills a writer at each call of this name; how often that was possible.
fn kill_at(kind: Kind, step: &str) -> u32 {
    let mut kills = 0;
    for when in 1.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let full = kind.log(&path, 1, ALL);
        let before: Vec<_> =
            (0..4).map(|it| format!("before {it} x")).collect();
        for record in &before {
            let _ = full.append(format!("{record}\n").as_bytes()).unwrap();
        }
        let fault = format!("inject={step}:signal=KILL:when={when}");
        let output = under_strace(kind, &path, &["-e", &fault], 1, "killed");
        let was_killed = output.status.signal() == Some(9);
        let found = lines(&path);
        assert_eq!(found[..4], before, "{fault}");
        // The next one goes on where it has stopped.
        let _ = full.append(b"after 0 x\n").unwrap();
        let _ = full.append(b"after 1 x\n").unwrap();
        let mut expected = before.clone();
        if found.len() > 4 {
            expected.push("killed 0 ".to_owned());
        }
        expected.extend(["after 0 x".to_owned(), "after 1 x".to_owned()]);
        assert_eq!(lines(&path), expected, "{fault}");
        for number in 1..expected.len() {
            let old = format!("{}.{number}", path.display());
            let text = fs::read_to_string(&old).unwrap();
            let at = expected.len() - 1 - number;
            assert_eq!(text, format!("{}\n", expected[at]), "{fault}");
        }
        if !was_killed {
            break;
        }
        kills += 1;
    }
    kills
}

#[test]
fn system_calls_that_fail_cost_no_record() {
    for fault in [
        // NFS without locks, file systems without links or exchanges.
        "inject=flock:error=ENOLCK",
        "inject=linkat:error=EPERM",
        "inject=renameat2:error=EINVAL",
        "inject=linkat,renameat2:error=ENOSYS",
        // An old file of somebody else's.
        "inject=linkat:error=EPERM:when=2",
        "inject=openat:error=EACCES:when=5+",
        "inject=mkdirat:error=ENOSPC",
        "inject=renameat:error=EPERM",
        "inject=renameat,renameat2:error=EACCES",
        "inject=unlinkat:error=EIO",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut expected = Vec::new();
        for round in 0..4 {
            let tag = format!("r{round}");
            let output =
                under_strace(Kind::Shared, &path, &["-e", fault], 1, &tag);
            if output.status.success() {
                expected.push(format!("{tag} 0 "));
            } else {
                // Where the directory cannot be used, nothing is written.
                assert!(fault.contains("EACCES"), "{fault}: {output:?}");
            }
        }
        assert_eq!(lines(&path), expected, "{fault}");
        // Without the fault, names are as they should be.
        let _ = log(&path, 1, ALL).append(b"last 0 x\n").unwrap();
        expected.push("last 0 x".to_owned());
        assert_eq!(lines(&path), expected, "{fault}");
    }
}

#[test]
fn a_stale_handle_is_opened_once_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let name = path.to_str().unwrap();
    let _ = log(&path, 100, ALL).append(b"before 0 x\n").unwrap();
    for call in ["openat", "write"] {
        let fault = format!("inject={call}:error=ESTALE:when=1");
        let faults = ["-P", name, "-e", &fault];
        let output = under_strace(Kind::Shared, &path, &faults, 100, call);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(lines(&path), ["before 0 x", "openat 0 ", "write 0 "]);
}

#[test]
fn a_full_disk_is_an_error_of_the_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let _ = log(&path, 100, ALL).append(b"before 0 x\n").unwrap();
    let name = path.to_str().unwrap();
    let faults = ["-P", name, "-e", "inject=write:error=ENOSPC"];
    let output = under_strace(Kind::Shared, &path, &faults, 100, "full");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("StorageFull"), "{said}");
    assert_eq!(lines(&path), ["before 0 x"]);
}

/// The file that whoever rotates has locked.
fn lock_of(directory: &Path) -> PathBuf {
    let kept = directory.join(".log.kept");
    let inode = fs::metadata(&kept).unwrap().ino();
    kept.join(format!("lock-{inode}"))
}

#[test]
fn whoever_is_rotating_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let full = log(&path, 1, ALL);
    let _ = full.append(b"a 0 x\n").unwrap();
    let _ = full.append(b"a 1 x\n").unwrap();
    let lock = fs::File::open(lock_of(directory.path())).unwrap();
    let kind = nix::fcntl::FlockArg::LockExclusive;
    let held = nix::fcntl::Flock::lock(lock, kind).unwrap();
    let _ = full.append(b"a 2 x\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a 1 x\na 2 x\n");
    drop(held);
    let _ = full.append(b"a 3 x\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a 3 x\n");
    assert_eq!(lines(&path), ["a 0 x", "a 1 x", "a 2 x", "a 3 x"]);
}

#[test]
fn a_lock_that_is_held_for_ever_is_reported() {
    for kind in [Kind::Shared, Kind::Private] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let full = kind.log(&path, 1, ALL);
        let _ = full.append(b"a 0 x\n").unwrap();
        let file = fs::File::open(&path).unwrap();
        let lock_kind = nix::fcntl::FlockArg::LockExclusive;
        let held = nix::fcntl::Flock::lock(file, lock_kind).unwrap();
        // So soon it may be somebody who is rotating.
        assert!(full.append(b"a 1 x\n").unwrap().not_rotated.is_none());
        let _ = full.append(&[b'\n'; 1 << 20]).unwrap();
        let why = full.append(b"a 2 x\n").unwrap().not_rotated.unwrap();
        assert_eq!(why.to_string(), "another process holds its lock");
        drop(held);
        assert!(full.append(b"a 3 x\n").unwrap().not_rotated.is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a 3 x\n");
        let found: Vec<_> = lines(&path)
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect();
        assert_eq!(found, ["a 0 x", "a 1 x", "a 2 x", "a 3 x"]);
    }
}

#[test]
fn where_there_are_no_locks_a_private_log_grows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let fault = "inject=flock:error=ENOLCK";
    for tag in ["r0", "r1"] {
        let output = under_strace(Kind::Private, &path, &["-e", fault], 1, tag);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "r0 0 \nr1 0 \n");
}

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

/// The time in the names of second names.
fn now_nanos() -> u128 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}

/// What may happen to a log.
#[derive(Clone, Debug)]
enum Step {
    Append,
    /// As Mercurial or rhg with the same number of old files.
    Stranger {
        removes: bool,
    },
    /// A rotation by somebody who was killed after its first step.
    Interrupted,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Append),
        1 => any::<bool>().prop_map(|removes| Step::Stranger { removes }),
        1 => Just(Step::Interrupted),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of events, what was written last is there, and in
    /// order.
    #[test]
    fn the_newest_records_are_there_whoever_rotates(
        steps in steps(),
        old_files in 1_u32..8,
        max_bytes in 1_u64..40,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let ours = log(&path, max_bytes, old_files);
        let mut written = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let record = format!("a {number:03} x");
            match step {
                Step::Append => {
                    let line = format!("{record}\n");
                    let appended = ours.append(line.as_bytes()).unwrap();
                    prop_assert!(appended.not_rotated.is_none());
                    written.push(record);
                }
                Step::Stranger { removes } => {
                    let stranger = Stranger {
                        path: &path,
                        max_bytes,
                        maxfiles: old_files + 1,
                        removes: *removes,
                    };
                    stranger.write(&format!("{record}\n"));
                    written.push(record);
                }
                Step::Interrupted => {
                    let kept = directory.path().join(".log.kept");
                    if kept.exists() && path.exists() {
                        let name = format!("new-{}-1-1-1", now_nanos());
                        fs::rename(&path, kept.join(name)).unwrap();
                    }
                }
            }
        }
        let found = lines(&path);
        prop_assert!(found.is_sorted());
        // A file takes records until it is full, unless somebody has been
        // killed before it was.
        let is_interrupted = steps
            .iter()
            .any(|step| matches!(step, Step::Interrupted));
        let each = if is_interrupted { 1 } else { max_bytes.div_ceil(8) };
        let least = usize::try_from(each).unwrap() * old_files as usize;
        let newest = &written[written.len().saturating_sub(least)..];
        prop_assert!(found.ends_with(newest), "{found:?} of {written:?}");
    }
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
