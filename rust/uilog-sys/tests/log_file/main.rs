//! Log files under races and foreign rotations: the files are checked record by
//! record. What the tests have in common is here as well.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod faults;
mod paths;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::process::Child;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Rotation;
use uilog_sys::log_file::old_files;
use uilog_testing::example;

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
    vec![
        example("append_probe").to_str().unwrap().to_owned(),
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

/// The time in the names of second names.
fn now_nanos() -> u128 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}
