//! Notes of events whose dispatcher had not begun when hg ended.
//!
//! Responsible for events that nobody else would miss: a program that cannot be
//! executed, that ends at once or that hangs never says so itself, and hg does
//! not wait for it. So hg leaves a note on a local file system, and the
//! dispatcher removes it when it begins. A note whose dispatcher has died tells
//! of a loss. A later dispatcher moves it to the journal; until then whoever
//! reads the journal reads it, too. Must not know what the events are.
//!
//! hg writes the note, names it in the queue, and looks once more whether the
//! dispatcher has begun. The dispatcher says so in the queue first, and looks
//! for a note then. So one of the two removes it. An hg that has no descriptor
//! left lets a process of its own write it, and names all places where that may
//! be.

use std::ffi::OsStr;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::fcntl::OFlag;
use serde::Deserialize;
use serde::Serialize;
use uilog_sys::append::Place;
use uilog_sys::append::Plan;
use uilog_sys::append::Root;
use uilog_sys::own_dir::OwnDir;

use super::Failure;
use super::FailureKind;
use super::places::Choice;
use crate::event::Timestamp;
use crate::facts::new_session;
use crate::status::Stat;

const PREFIX: &str = "unserved-";
/// The same while somebody moves it to the journal.
const CLAIMED: &str = "claimed-";
const MODE: u32 = 0o600;
const MAX_NOTE_BYTES: u64 = 4096;

/// What stands between the paths where a note may be.
const SEPARATOR: u8 = 0;
/// Bytes of these paths at most: a queue has so much room for them.
const MAX_NAMED_BYTES: usize = 380;
/// How long a process of its own may take to write a note.
const CHILD_GRACE: Duration = Duration::from_millis(50);

/// So many notes there may be: if nobody moves them to the journal, no program
/// works, and hg counts the events as lost itself.
const MAX_NOTES: usize = 1024;
/// For so long a dispatcher is not expected to have begun.
const PATIENCE: Duration = Duration::from_secs(2);
/// After this time a note is moved to the journal again that somebody was just
/// moving, and one counts of which it cannot be told whether its dispatcher
/// lives, because that is in another namespace.
const OVERDUE: Duration = Duration::from_secs(3600);

/// What a note says. No environment and no event: they may hold secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    /// When, as RFC 3339.
    time: String,
    /// The same in seconds.
    seconds: u64,
    session: String,
    /// How many events wait.
    events: u64,
    /// The dispatcher, as its program was named.
    program: String,
    pid: i32,
    /// When the dispatcher was started, in clock ticks; 0 if it was dead.
    start: u64,
    /// The namespace in which it has that process id.
    namespace: u64,
}

/// A note that this process has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Where it is: in one of these places.
    paths: Vec<PathBuf>,
}

/// Why there is no note.
#[derive(Debug)]
pub(crate) enum NotLeft {
    /// There are too many: whatever is started there never begins.
    TooMany,
    /// No directory can be used.
    NoPlace(String),
}

impl Left {
    /// Where it may be, as the queue says.
    pub(crate) fn named(&self) -> Vec<u8> {
        let paths = self.paths.iter().map(|path| path.as_os_str().as_bytes());
        paths.collect::<Vec<_>>().join(&SEPARATOR)
    }

    /// Removes it; it is no error if the dispatcher has done so.
    pub(crate) fn remove(&self) {
        for path in &self.paths {
            // By its name alone where there is no descriptor to be had: that
            // nobody else has made.
            if remove(path).is_err() {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Leaves a note of `events` events for the dispatcher `pid`, in place of one
/// that was left before.
pub(crate) fn leave(
    environment: &[u8],
    before: Option<&Left>,
    session: &str,
    events: u64,
    program: &Path,
    pid: i32,
) -> Result<Left, NotLeft> {
    let note = Note {
        time: Timestamp::now().to_rfc3339(),
        seconds: now(),
        session: session.to_owned(),
        events,
        program: program.display().to_string(),
        pid,
        start: Stat::read(pid).map_or(0, |stat| stat.start),
        namespace: namespace(),
    };
    let no_place = |error: io::Error| NotLeft::NoPlace(error.to_string());
    let text = serde_json::to_vec(&note).map_err(|e| no_place(e.into()))?;
    if let Some(left) = before {
        // One that a process of its own has written stays as it is.
        let [path] = &left.paths[..] else {
            return Ok(left.clone());
        };
        let rewritten = open_beside(path).and_then(|(dir, name)| {
            // Never without a note in between, unless the dispatcher begins.
            let new = format!("{}.new", name.to_string_lossy());
            dir.replace(name, OsStr::new(&new), MODE, &text)
        });
        if rewritten.is_ok() {
            return Ok(left.clone());
        }
    }
    let choice = Choice::of(environment);
    let name = format!("{PREFIX}{}-{}", choice.key(), new_session());
    let mut problem = NotLeft::NoPlace("there is none".to_owned());
    for place in choice.near(&name) {
        match create(&place, &text) {
            Ok(Some(left)) => return Ok(left),
            Ok(None) => return Err(NotLeft::TooMany),
            Err(error) => problem = no_place(error),
        }
    }
    leave_by_child(&choice, &name, text).ok_or(problem)
}

/// Lets a process of its own write a note, which has descriptors; it gets a
/// moment for that.
fn leave_by_child(choice: &Choice, name: &str, text: Vec<u8>) -> Option<Left> {
    let mut room = MAX_NAMED_BYTES;
    let mut places = choice.near(name);
    places.retain(|place| {
        let bytes = place.path().as_os_str().len() + 1;
        let fits = bytes <= room;
        room -= if fits { bytes } else { 0 };
        fits
    });
    let paths = places.iter().map(Place::path).collect();
    Plan::new(places, text, u64::MAX).start().ok()?;
    super::wait_for_appending(CHILD_GRACE);
    Some(Left { paths })
}

fn create(place: &Place, text: &[u8]) -> io::Result<Option<Left>> {
    let dir = place.open(true)?;
    if dir.names(MAX_NOTES)?.is_none() {
        return Ok(None);
    }
    let mut file = dir.create_new(place.name(), OFlag::O_WRONLY, MODE)?;
    let written = file.write_all(text);
    if written.is_err() {
        let _ = dir.remove(place.name());
    }
    written.map(|()| {
        let paths = vec![place.path()];
        Some(Left { paths })
    })
}

/// Removes the note that a queue names, for the dispatcher that has begun.
pub(crate) fn remove_named(named: &[u8]) {
    for path in named.split(|byte| *byte == SEPARATOR) {
        // Where it cannot be removed, it is counted for nothing.
        let _ = remove(Path::new(OsStr::from_bytes(path)));
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let (dir, name) = open_beside(path)?;
    if !name.as_bytes().starts_with(PREFIX.as_bytes()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    dir.remove(name)
}

/// The directory of a note, if that is ours alone, and the note's name.
fn open_beside(path: &Path) -> io::Result<(OwnDir, &OsStr)> {
    let parts = || {
        let dir = path.parent()?;
        let steps = [dir.file_name()?];
        let place = Place::new(dir.parent()?, Root::Chosen, &steps, "note");
        Some((place?, path.file_name()?))
    };
    let (place, name) = parts().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((place.open(false)?, name))
}

/// What the notes say that tell of a loss, or of a dispatcher that hangs.
pub(crate) fn failures(choice: &Choice) -> Vec<Failure> {
    let found = find(choice);
    found.iter().filter_map(|it| it.note.failure()).collect()
}

/// Gives each note of a loss to `append` and removes it: to one of those who
/// try at the same time. How many there were.
pub(crate) fn claim(
    choice: &Choice,
    mut append: impl FnMut(&Failure) -> io::Result<()>,
) -> u64 {
    let mut count = 0;
    for found in find(choice) {
        if found.note.state() != State::Lost {
            continue;
        }
        let Some(failure) = found.note.failure() else {
            continue;
        };
        let own = format!("{CLAIMED}{}-{}", choice.key(), new_session());
        let own = OsStr::new(&own);
        let name = OsStr::new(&found.name);
        if found.dir.rename(name, own).is_err() {
            continue;
        }
        if append(&failure).is_ok() {
            let _ = found.dir.remove(own);
            count += 1;
        } else {
            let _ = found.dir.rename(own, name);
        }
    }
    count
}

struct Found {
    dir: OwnDir,
    name: String,
    note: Note,
}

/// The notes that there are.
fn find(choice: &Choice) -> Vec<Found> {
    let prefix = format!("{PREFIX}{}-", choice.key());
    let claimed = format!("{CLAIMED}{}-", choice.key());
    let mut all = Vec::new();
    for place in choice.near("note") {
        let names = place
            .open(false)
            .and_then(|dir| dir.names(4 * MAX_NOTES))
            .unwrap_or_default();
        for name in names.unwrap_or_default() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if !(name.starts_with(&prefix) || name.starts_with(&claimed)) {
                continue;
            }
            let Ok(dir) = place.open(false) else {
                continue;
            };
            let Some(note) = read(&dir, &name) else {
                continue;
            };
            // Whoever moves it to the journal needs no such time.
            if name.starts_with(&claimed) && note.age() < OVERDUE {
                continue;
            }
            all.push(Found { dir, name, note });
        }
    }
    all
}

fn read(dir: &OwnDir, name: &str) -> Option<Note> {
    let file = dir.open(OsStr::new(name), OFlag::O_RDONLY).ok()?;
    let mut text = Vec::new();
    file.take(MAX_NOTE_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[derive(PartialEq, Eq)]
enum State {
    /// Its dispatcher may still begin.
    Waiting,
    /// It lives, and ought to have begun.
    Hanging,
    Lost,
}

impl Note {
    fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.seconds))
    }

    fn state(&self) -> State {
        if self.namespace != namespace() {
            return if self.age() < OVERDUE {
                State::Waiting
            } else {
                State::Lost
            };
        }
        let is_alive = Stat::read(self.pid).is_ok_and(|stat| {
            stat.start == self.start && !matches!(stat.state, b'Z' | b'X')
        });
        match is_alive {
            false => State::Lost,
            true if self.age() < PATIENCE => State::Waiting,
            true => State::Hanging,
        }
    }

    fn failure(&self) -> Option<Failure> {
        let (kind, detail) = match self.state() {
            State::Waiting => return None,
            State::Hanging => (
                FailureKind::NotStarted,
                format!(
                    "the events wait: process {}, {} dispatch, has not begun",
                    self.pid, self.program
                ),
            ),
            State::Lost => (
                FailureKind::Lost,
                format!(
                    "{} dispatch has ended before it has done anything",
                    self.program
                ),
            ),
        };
        Some(Failure {
            time: self.time.clone(),
            ..Failure::now(self.session.clone(), b"", kind, self.events, detail)
        })
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

/// The namespace of this process's id.
fn namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |it| it.ino())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// An environment of its own, for each a key.
    fn environment() -> (tempfile::TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let block = format!("HOME={path}\0XDG_RUNTIME_DIR={path}\0");
        (dir, block.into_bytes())
    }

    fn leave_for(block: &[u8], events: u64, pid: i32) -> Left {
        let program = Path::new("/bin/uilog");
        leave(block, None, "session", events, program, pid).unwrap()
    }

    #[test]
    fn a_dead_dispatchers_events_are_moved_once() {
        let (dir, block) = environment();
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        child.wait().unwrap();
        let left = leave_for(&block, 3, pid);
        assert!(left.paths[0].starts_with(dir.path().join("uilog")));
        let choice = Choice::of(&block);
        let shown = failures(&choice);
        assert_eq!((shown.len(), shown[0].lost), (1, 3));
        assert_eq!(claim(&choice, |_| Err(io::ErrorKind::Other.into())), 0);
        let mut moved = Vec::new();
        let mut append = |failure: &Failure| {
            moved.push(failure.clone());
            Ok(())
        };
        assert_eq!(claim(&choice, &mut append), 1);
        assert_eq!(claim(&choice, &mut append), 0);
        assert_eq!(moved, shown);
        assert_eq!(failures(&choice), []);
    }

    #[test]
    fn a_living_dispatchers_events_wait_and_are_shown_after_a_while() {
        let (_dir, block) = environment();
        let choice = Choice::of(&block);
        let left = leave_for(&block, 1, std::process::id() as i32);
        assert_eq!(failures(&choice), []);
        let text = std::fs::read(&left.paths[0]).unwrap();
        let mut note: Note = serde_json::from_slice(&text).unwrap();
        note.seconds -= 60;
        std::fs::write(&left.paths[0], serde_json::to_vec(&note).unwrap())
            .unwrap();
        let shown = failures(&choice);
        assert_eq!(shown[0].kind, FailureKind::NotStarted);
        assert_eq!(claim(&choice, |_| Ok(())), 0);
        left.remove();
        assert_eq!(failures(&choice), []);
    }

    #[test]
    fn a_note_is_changed_in_its_place() {
        let (_dir, block) = environment();
        let left = leave_for(&block, 1, 0);
        let program = Path::new("/bin/uilog");
        let again = leave(&block, Some(&left), "session", 2, program, 0);
        assert_eq!(again.unwrap(), left);
        assert_eq!(failures(&Choice::of(&block))[0].lost, 2);
    }

    #[test]
    fn another_process_leaves_it_where_there_is_no_descriptor() {
        let (_dir, block) = environment();
        let choice = Choice::of(&block);
        let text = |left: &Left| std::fs::read(&left.paths[0]).unwrap();
        let direct = leave_for(&block, 1, 0);
        let name = format!("{PREFIX}{}-x", choice.key());
        let left = leave_by_child(&choice, &name, text(&direct)).unwrap();
        direct.remove();
        super::super::wait_for_appending(Duration::from_secs(60));
        assert_eq!(failures(&choice).len(), 1);
        assert!(left.named().len() < MAX_NAMED_BYTES);
        remove_named(&left.named());
        assert_eq!(failures(&choice), []);
    }

    #[test]
    fn only_notes_are_removed() {
        let (dir, _) = environment();
        let inner = dir.path().join("uilog");
        std::fs::create_dir(&inner).unwrap();
        std::fs::set_permissions(
            &inner,
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        for (name, stays) in [("precious", true), ("unserved-1", false)] {
            let path = inner.join(name);
            std::fs::write(&path, b"").unwrap();
            remove_named(path.as_os_str().as_bytes());
            assert_eq!(path.exists(), stays);
        }
    }
}
