//! The journal of failures: what was lost or went wrong, kept across
//! processes, so that a later command can show it.
//!
//! JSON lines in `$XDG_STATE_HOME/uilog/failures.jsonl`, one append each. It
//! is written only when something has failed. It never blocks, follows no
//! link and creates nothing in a directory of somebody else's.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::AccessFlags;
use nix::unistd::access;
use serde::Deserialize;
use serde::Serialize;

use crate::event::Timestamp;
use crate::script_env::lookup;

/// The journal starts anew at this size; the one before is kept as `.1`.
const MAX_BYTES: u64 = 256 * 1024;

/// One failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When, as RFC 3339.
    pub time: String,
    /// The session it belongs to.
    pub session: String,
    /// The event, if it concerns one.
    pub event: String,
    /// What kind of failure.
    pub kind: FailureKind,
    /// How many events it cost.
    pub lost: u64,
    /// What happened, for people.
    pub detail: String,
    /// The script, if it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Box<ScriptFailure>>,
}

/// What is known of a script that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScriptFailure {
    /// The file and line that define it, or what else does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The root of hg's repository, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// hg's working directory, where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The status that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How long it ran, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The last of what it wrote to standard error, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

impl ScriptFailure {
    /// In a few lines, for people and terminals; what is not known is left
    /// out.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                lines.push(format!("{name}: {}", visible(value)));
            }
        };
        line("defined at", &self.source);
        line("repository", self.repository.as_deref().unwrap_or_default());
        line("directory", self.cwd.as_deref().unwrap_or_default());
        if let Some(duration) = self.duration {
            line("duration", &format!("{duration:.3} s"));
        }
        for text in self.stderr.lines() {
            line("stderr", text);
        }
        lines
    }
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Events were lost.
    Lost,
    /// A script could not be started.
    NotStarted,
    /// A script ended with a status other than 0, or by a signal.
    Failed,
    /// A script was ended by the time limit.
    TimedOut,
    /// A peer did not end by itself in time.
    Peer,
    /// A configuration could not be read, so that nothing was logged.
    Config,
    /// A structured sink has trouble that costs nothing yet.
    Sink,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Lost,
        Self::NotStarted,
        Self::Failed,
        Self::TimedOut,
        Self::Peer,
        Self::Config,
        Self::Sink,
    ];

    /// A name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::NotStarted => "not-started",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Peer => "peer",
            Self::Config => "config",
            Self::Sink => "sink",
        }
    }
}

/// Where failures are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    path: PathBuf,
    /// Must exist; nothing is created outside it.
    base: PathBuf,
}

impl Journal {
    /// The journal of the user with this environment; `None` without a home.
    pub fn for_environment(environment: &[u8]) -> Option<Self> {
        let absolute = |name: &[u8]| {
            let value = lookup(environment, name)?;
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(value));
            path.is_absolute().then_some(path)
        };
        let (base, state) = match absolute(b"XDG_STATE_HOME") {
            Some(state) => (state.parent()?.to_owned(), state),
            None => {
                let home = absolute(b"HOME")?;
                let state = home.join(".local/state");
                (home, state)
            }
        };
        let path = state.join("uilog/failures.jsonl");
        Some(Self { path, base })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing could be appended now, if so; creates nothing.
    pub fn problem(&self) -> Option<String> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        let problem = check_owner(dir, &self.base)
            .and_then(|existing| {
                let flags = AccessFlags::W_OK | AccessFlags::X_OK;
                Ok(access(existing, flags)?)
            })
            .and_then(|()| match self.open(false) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                opened => opened.map(|_| ()),
            });
        problem.err().map(|error| error.to_string())
    }

    /// Opens the journal to append to it; only a regular file is one.
    fn open(&self, create: bool) -> io::Result<fs::File> {
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW;
        let file = fs::OpenOptions::new()
            .append(true)
            .create(create)
            .mode(0o600)
            .custom_flags(flags)
            .open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(file)
    }

    /// Appends a failure.
    ///
    /// # Errors
    ///
    /// The journal cannot be written; the caller has nobody else to tell.
    pub fn append(&self, failure: &Failure) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        make_private_dir(dir, &self.base)?;
        let mut line = serde_json::to_vec(failure)?;
        line.push(b'\n');
        let mut file = self.open(true)?;
        let metadata = file.metadata()?;
        if metadata.len() >= MAX_BYTES {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
            return self.append(failure);
        }
        file.write_all(&line)
    }

    /// The failures that are still kept, the oldest first. Lines that cannot
    /// be read are passed over.
    pub fn read(&self) -> Vec<Failure> {
        let old = self.path.with_extension("jsonl.1");
        let texts = [&old, &self.path].map(|path| read_regular(path));
        let lines = texts.iter().flat_map(|text| text.split(|b| *b == b'\n'));
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }
}

impl Failure {
    /// A failure that happens now.
    pub fn now(
        session: String,
        event: &[u8],
        kind: FailureKind,
        lost: u64,
        detail: String,
    ) -> Self {
        Self {
            time: Timestamp::now().to_rfc3339(),
            session,
            event: String::from_utf8_lossy(event).into_owned(),
            kind,
            lost,
            detail,
            script: None,
        }
    }
}

/// Without what a terminal would obey.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && char != '\t' {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

fn read_regular(path: &Path) -> Vec<u8> {
    let open = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW)
        .open(path);
    let Ok(file) = open else { return Vec::new() };
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut text = Vec::new();
    if is_file {
        let limit = 2 * MAX_BYTES;
        let _ =
            io::Read::read_to_end(&mut io::Read::take(file, limit), &mut text);
    }
    text
}

/// Creates `dir` and what is missing between it and `base`, but nothing below
/// a directory of another user (under `sudo`, HOME may be somebody else's).
fn make_private_dir(dir: &Path, base: &Path) -> io::Result<()> {
    check_owner(dir, base)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Fails if `dir`, or what exists above it, is not ours; else returns that.
fn check_owner<'a>(dir: &'a Path, base: &Path) -> io::Result<&'a Path> {
    fs::metadata(base)?;
    let mut above = dir.ancestors();
    let existing = above.find_map(|dir| Some((dir, fs::metadata(dir).ok()?)));
    let own = nix::unistd::geteuid().as_raw();
    match existing {
        Some((dir, metadata)) if metadata.uid() == own => Ok(dir),
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

#[cfg(test)]
mod tests {
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
        journal.append(&failure("of no script")).unwrap();
        journal.append(&failed).unwrap();
        let read = journal.read();
        assert_eq!(read[0].script, None);
        assert_eq!(read[1], failed);
        let lines = read[1].script.as_ref().unwrap().lines();
        let expected = [
            "defined at: /home/joe/.hgrc:3",
            "directory: /tmp",
            "duration: 0.250 s",
            "stderr: \\u{1b}[31mone\\u{9b}",
            "stderr: \ttwo",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_fifo_or_a_link_in_its_place_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(dir.path());
        fs::create_dir(dir.path().join("uilog")).unwrap();
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(journal.path(), mode).unwrap();
        journal.append(&failure("a")).unwrap_err();
        assert_eq!(journal.read(), []);
        fs::remove_file(journal.path()).unwrap();
        std::os::unix::fs::symlink("/dev/null", journal.path()).unwrap();
        journal.append(&failure("a")).unwrap_err();
    }

    #[test]
    fn a_home_that_has_gone_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(&dir.path().join("gone/state"));
        journal.append(&failure("a")).unwrap_err();
        assert!(!dir.path().join("gone").exists());
    }

    #[test]
    fn there_is_no_journal_without_a_home() {
        assert_eq!(Journal::for_environment(b"HOME=relative\0"), None);
        let journal = Journal::for_environment(b"HOME=/home/joe\0").unwrap();
        let expected = "/home/joe/.local/state/uilog/failures.jsonl";
        assert_eq!(journal.path(), Path::new(expected));
    }
}
