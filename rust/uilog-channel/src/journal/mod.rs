//! The journal of failures: losses and errors, stored across processes, so that
//! a later command can show them.
//!
//! JSON lines in `$XDG_STATE_HOME/uilog/failures.jsonl`, one append each, and
//! only when something has failed. If other users can write to that directory,
//! or nothing can be appended there, other directories are used (`places`),
//! which are read as well. [`uilog_sys::append`] appends a line without waiting
//! for a home directory, and decides which directories are safe.

pub mod abandoned;
mod failure;
mod redacting;
mod script;

use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub use failure::Failure;
pub use failure::FailureKind;
use nix::fcntl::OFlag;
pub use redacting::Redact;
pub use redacting::redact_with;
pub use script::ScriptFailure;
use serde::Deserialize;
use uilog_event::event::Timestamp;
use uilog_sys::append;
use uilog_sys::append::GuardedPath;
use uilog_sys::append::Plan;

use crate::places::Choice;

/// The journal is rotated at this size; one old file is kept as `.1`.
const MAX_BYTES: u64 = 256 * 1024;

/// How many processes of a user append at a time: the others use the places
/// that are near.
const MAX_APPENDING: u32 = 8;

/// How a line of a failure begins.
const LINE_BEGINS: &[u8] = b"{\"time\":";

/// How many counter pages a dispatcher reads when it ends: if a thousand
/// commands run at once, not each reads all others'.
const MAX_LOOKED_AT: usize = 32;

/// Why there is no first place.
const NO_HOME: &str = "neither HOME nor XDG_STATE_HOME names a directory";

/// The files of failures.
#[derive(Clone, Debug)]
pub struct Journal {
    choice: Choice,
    /// Where it may be, in the order in which they are tried.
    places: Vec<GuardedPath>,
    /// The first of them.
    path: PathBuf,
}

/// A line of the journal.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Failure(Failure),
    /// Earlier lines are acknowledged, and not shown any more.
    Forgotten {
        #[expect(dead_code, reason = "for people who read the file")]
        forgotten: String,
    },
}

impl Journal {
    /// The journal of the user with this environment; `None` if it has no
    /// directory.
    pub fn for_environment(environment: &[u8]) -> Option<Self> {
        let choice = Choice::of(environment);
        let places = choice.places("failures", "jsonl");
        let usable = |place: &&GuardedPath| place.problem().is_none();
        // Without a choice it is where it can be.
        let chosen = if choice.is_none() {
            places.iter().find(usable)
        } else {
            None
        };
        let path = chosen.or(places.first())?.path();
        Some(Self {
            choice,
            places,
            path,
        })
    }

    /// Where it is, or ought to be: see [`Journal::problem`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing could be appended at [`Journal::path`] now, or why that is
    /// not where it ought to be; creates nothing.
    pub fn problem(&self) -> Option<String> {
        if self.choice.is_none() {
            return Some(NO_HOME.to_owned());
        }
        self.places.first().and_then(GuardedPath::problem)
    }

    /// The fallback for failures while there is a problem with the first
    /// directory; `None` if there is no problem, or no fallback.
    pub fn fallback(&self) -> Option<PathBuf> {
        self.problem()?;
        let mut places = self.places.iter();
        if !self.choice.is_none() {
            places.next();
        }
        let usable = places.find(|place| place.problem().is_none());
        usable.map(GuardedPath::path)
    }

    /// Appends a failure, and waits for the file system.
    ///
    /// # Errors
    ///
    /// Nothing can be appended anywhere.
    pub fn append(&self, failure: &Failure) -> io::Result<()> {
        self.plan(failure)?.run()
    }

    /// Appends a failure in a child process, so that this one does not wait for
    /// the file system of the home directory: see [`uilog_sys::append`]. If no
    /// process can be started, the failure is appended to a local file system
    /// by this one.
    ///
    /// # Errors
    ///
    /// Like [`Journal::append`], as far as known now; [`append_trouble`]
    /// returns later errors.
    pub fn append_apart(&self, failure: &Failure) -> io::Result<()> {
        match self.plan(failure)?.start() {
            Ok(()) => Ok(()),
            Err((plan, _)) => plan.only_near().run(),
        }
    }

    /// Reports the losses of hgs and dispatchers that have both ended. Waits
    /// for a home directory at most `bound`; the next process reports the rest.
    pub fn claim_abandoned(&self, bound: Duration) {
        let pages =
            abandoned::dead(&self.choice, MAX_LOOKED_AT, std::process::id());
        if pages.is_empty() {
            return;
        }
        let journal = self.clone();
        let (done, is_done) = mpsc::channel();
        let claim = move || {
            for page in pages {
                // A page that cannot be claimed is left to other processes.
                let _ = page.claim(|failure| journal.append(failure));
            }
            let _ = done.send(());
        };
        let thread = thread::Builder::new().name("finder".to_owned());
        if thread.spawn(claim).is_ok() {
            let _ = is_done.recv_timeout(bound);
        }
    }

    fn plan(&self, failure: &Failure) -> io::Result<Plan> {
        let mut line = serde_json::to_vec(failure)?;
        line.push(b'\n');
        let plan = Plan::new(self.places.clone(), line, MAX_BYTES);
        let key = self.choice.key();
        let slots =
            (0..MAX_APPENDING).map(|it| format!("appending-{key}-{it}"));
        Ok(plan.slots(slots))
    }

    /// The stored failures, the oldest first, and those of counter pages:
    /// events that were lost because hg and its dispatcher have both ended, or
    /// that wait. Unreadable lines are skipped.
    pub fn read(&self) -> Vec<Failure> {
        // First, for one that is being moved to the journal.
        let abandoned = abandoned::failures(&self.choice);
        let mut failures = self.lines();
        failures.extend(abandoned);
        finished(failures)
    }

    /// The failures in the journal's own files.
    pub fn read_lines(&self) -> Vec<Failure> {
        finished(self.lines())
    }

    fn lines(&self) -> Vec<Failure> {
        self.places.iter().flat_map(read_place).collect()
    }

    /// Acknowledges all stored failures, which stay in the files; returns how
    /// many.
    ///
    /// # Errors
    ///
    /// Failures in some directory are still shown.
    pub fn forget(&self) -> io::Result<u64> {
        let time = Timestamp::now().to_rfc3339();
        let line = serde_json::json!({ "forgotten": time });
        let line = format!("{line}\n").into_bytes();
        let mut forgotten = self.lines();
        // Those that wait are shown as long as they do.
        abandoned::claim_all(&self.choice, |failure| {
            forgotten.push(failure.clone());
            Ok(())
        });
        for place in &self.places {
            if !read_place(place).is_empty() {
                let here = vec![place.clone()];
                Plan::new(here, line.clone(), MAX_BYTES).run()?;
            }
        }
        Ok(finished(forgotten).len() as u64)
    }
}

/// Keeps only the first failure about each page, and sorts them, the oldest
/// first.
fn finished(mut failures: Vec<Failure>) -> Vec<Failure> {
    let mut pages = HashSet::new();
    failures.retain(|failure| match &failure.page {
        Some(page) => pages.insert(page.clone()),
        None => true,
    });
    // Those who append are not in the order of what they append.
    failures.sort_by(|a, b| a.time.cmp(&b.time));
    failures
}

/// Whether so many child processes are still appending that the next failure is
/// appended elsewhere.
pub fn is_busy() -> bool {
    append::is_busy()
}

/// Waits until processes of this one have appended to journals what they are
/// to append, but not longer than this; whether they have.
pub fn wait_for_appending(bound: Duration) -> bool {
    append::wait(bound)
}

/// Why a child process could not append a failure anywhere, if that has
/// happened since the last call.
pub fn append_trouble() -> Option<String> {
    append::take_failure().map(|error| error.to_string())
}

/// Failures that are shown as one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group<'a> {
    /// The last of them.
    pub last: &'a Failure,
    /// When the first of them was.
    pub first_time: &'a str,
    /// How many there are.
    pub count: u64,
    /// How many events they cost.
    pub lost: u64,
}

/// Groups the failures by kind, event and detail. The group whose last failure
/// is the oldest comes first.
pub fn grouped(failures: &[Failure]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for failure in failures {
        let is_alike = |group: &Group<'_>| {
            let last = group.last;
            last.kind == failure.kind
                && last.event == failure.event
                && last.detail == failure.detail
        };
        let index = groups.iter().position(is_alike);
        let mut group = match index {
            Some(index) => groups.remove(index),
            None => Group {
                last: failure,
                first_time: &failure.time,
                count: 0,
                lost: 0,
            },
        };
        group.last = failure;
        group.count += 1;
        group.lost = group.lost.saturating_add(failure.lost);
        groups.push(group);
    }
    groups
}

/// The failures in one directory that are not acknowledged.
fn read_place(place: &GuardedPath) -> Vec<Failure> {
    let mut failures = Vec::new();
    let Ok(dir) = place.open(false) else {
        return failures;
    };
    for name in [place.old_name(), place.name()] {
        let read = || -> io::Result<Vec<u8>> {
            let file = dir.open(name, OFlag::O_RDONLY)?;
            let mut text = Vec::new();
            file.take(2 * MAX_BYTES).read_to_end(&mut text)?;
            Ok(text)
        };
        // A missing or foreign file is ignored.
        for line in read().unwrap_or_default().split(|byte| *byte == b'\n') {
            match parse(line) {
                Some(Line::Failure(failure)) => failures.push(failure),
                Some(Line::Forgotten { .. }) => failures.clear(),
                None => {}
            }
        }
    }
    failures
}

/// Parses a line. The beginning of another one may precede it, from a time when
/// the disk was full.
fn parse(line: &[u8]) -> Option<Line> {
    serde_json::from_slice(line).ok().or_else(|| {
        let begins = line.windows(LINE_BEGINS.len());
        let at = begins.into_iter().rposition(|it| it == LINE_BEGINS)?;
        serde_json::from_slice(line.get(at..)?).ok()
    })
}

#[cfg(test)]
mod tests;
