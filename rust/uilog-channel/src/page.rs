//! Pages of counters with a name: what is left when hg and its dispatcher have
//! been killed together.
//!
//! Responsible for the files: where a page is made, who holds it, and who
//! removes it. Must not know what the words in it mean
//! ([`crate::queue::Page`]), nor who is told of a loss
//! ([`crate::journal::abandoned`]).
//!
//! A page has two locks ([`uilog_sys::living_file`]). hg holds it as its maker,
//! by a description that it hands to nobody. The dispatcher holds it as its
//! reader, by a description that hg has opened and locked before it starts the
//! dispatcher, and closes then. So there is no moment from the page's first to
//! the last of the two at which a living one is held by nobody, however late a
//! dispatcher begins. A page that nobody holds is dead, and nobody can come to
//! serve it: only its maker starts readers.
//!
//! Who tells the journal of what is left:
//!
//! - The dispatcher, while it lives. It counts in the page first, tells the
//!   journal then, and counts that as told. At its end it removes the page if
//!   nothing is left and hg has gone. If something is left, because the journal
//!   could not be written, it leaves the page, which is dead then.
//! - The next dispatcher of the same hg, if the first one dies while hg lives.
//!   It waits until it holds the page as its reader, so it reads the counters
//!   after the first one's last word, and never serves beside it. What the
//!   first one had taken and not started, it counts as lost.
//! - hg, if it gives a dispatcher up. It writes a line that names the page, and
//!   lets go of the page, which is dead then. A finder writes a line that names
//!   the same page, so that whoever reads the journal counts one of them. So
//!   nothing depends on who of the two is killed, and when.
//! - A finder, once the page is dead: it takes the reader's lock, so that there
//!   is one at a time; looks whether the page still has its name, so that none
//!   counts what another has counted; and says in the page that it is claimed.
//!   It writes its line, and removes the page then. If it is killed in between,
//!   the next one writes the line again, which names the same page.
//!
//! A dispatcher that was started and gets its lock only after hg has gone, and
//! a finder has come first, finds the page claimed, and runs nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::OFlag;
use uilog_event::event::SessionId;
use uilog_event::event::Timestamp;
use uilog_event::event::new_session;
use uilog_sys::append::GuardedPath;
use uilog_sys::append::Root;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;

use crate::places::Choice;
use crate::queue;
use crate::queue::Creator;
use crate::queue::Page;

/// How the names of pages begin.
pub const PREFIX: &str = "page-";

/// Maximum number of pages whose dispatchers have never begun: if they are not
/// removed, no program works, and hg counts the events as lost itself.
const MAX_PAGES: usize = 1024;
/// A directory that is smaller has hardly more entries: listing it would cost
/// each command more than it is worth. Some never become smaller again.
const FEW_PAGES_BYTES: i64 = 128 * 1024;
/// How many of them are sampled to see whether any dispatcher has begun.
const SAMPLE: usize = 32;

/// The offset to which a reader's program writes its standard output and error,
/// far after the counters.
const STRAY_OUTPUT_AT: u64 = 1 << 20;

/// How long a dispatcher waits for the one before it to end.
const TURN_BOUND: Duration = Duration::from_secs(15);
/// The interval of these checks.
const TURN_STEP: Duration = Duration::from_millis(2);

/// How long a dispatcher without an hg waits for the maker of its page. A
/// process that ends closes its descriptors one after the other, and may lose
/// its processor in between.
const MAKER_BOUND: Duration = Duration::from_secs(1);

/// A page that has been made.
#[derive(Debug)]
pub struct CreatedPage {
    /// hg's description of it.
    pub page: File,
    /// The reader's descriptor, to be passed on.
    pub readers: File,
    /// Where it is.
    pub path: PathBuf,
}

/// Why there is no page.
#[derive(Debug)]
pub enum PageError {
    /// There are too many of dispatchers that have never begun.
    TooMany,
    /// No directory can be used.
    NoPlace(String),
}

/// Creates the page of an empty queue whose frames are in another file.
pub fn make(
    environment: &[u8],
    session: SessionId,
    program: &Path,
    max_bytes: u64,
) -> Result<CreatedPage, PageError> {
    let choice = Choice::of(environment);
    let name = format!("{PREFIX}{}-{}", choice.key(), new_session());
    let mut problem = None;
    for place in choice.near(&name) {
        let path = place.path();
        let maker = Creator {
            pid: std::process::id(),
            micros: Timestamp::now().micros,
            session,
            program,
            path: &path,
        };
        let text = queue::page_apart(max_bytes, &maker);
        match make_in(&place, &text) {
            Ok(Some((page, readers))) => {
                return Ok(CreatedPage {
                    page,
                    readers,
                    path,
                });
            }
            Ok(None) => return Err(PageError::TooMany),
            Err(error) => problem = Some(error),
        }
    }
    let problem = problem.map(|error| error.to_string());
    let none = "there is no directory for it".to_owned();
    Err(PageError::NoPlace(problem.unwrap_or(none)))
}

fn make_in(
    place: &GuardedPath,
    text: &[u8],
) -> io::Result<Option<(File, File)>> {
    let dir = place.open(true)?;
    if is_crowded(&dir)? {
        return Ok(None);
    }
    let name = place.name();
    let fill = |file: &File| file.write_all_at(text, 0);
    let page = living_file::create(&dir, name, fill)?;
    let opened = dir.open(name, OFlag::O_RDWR);
    let readers = opened.and_then(|readers| {
        let is_it = living_file::is_same(&page, &readers)?;
        if is_it && living_file::hold(&readers, Holder::Reader)? {
            return prepare(readers);
        }
        Err(io::Error::other("another process has locked the new page"))
    });
    if readers.is_err() {
        let _ = dir.unlink(name);
    }
    readers.map(|readers| Some((page, readers)))
}

/// Lets nothing that a program writes by itself fall on the counters.
fn prepare(mut readers: File) -> io::Result<File> {
    readers.seek(SeekFrom::Start(STRAY_OUTPUT_AT))?;
    Ok(readers)
}

/// Opens a page for another reader. It is locked for that reader, unless the
/// previous reader has not released it yet; the new one checks that.
pub fn for_next_reader(page: &File) -> io::Result<File> {
    let readers = living_file::open_again(page)?;
    living_file::hold(&readers, Holder::Reader)?;
    prepare(readers)
}

/// Whether there are so many pages that no dispatcher can be expected to begin.
fn is_crowded(dir: &OwnDir) -> io::Result<bool> {
    if dir.status()?.st_size < FEW_PAGES_BYTES
        || dir.names(MAX_PAGES)?.is_some()
    {
        return Ok(false);
    }
    let Some(names) = dir.names(8 * MAX_PAGES)? else {
        return Err(io::Error::other("there are too many files"));
    };
    let pages = names
        .iter()
        .filter(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
    let has_never_begun = |name: &std::ffi::OsString| {
        let file = dir.open(name, OFlag::O_RDWR).ok()?;
        let page = Page::read(&file).ok()?;
        let is_dead = holders(&file).ok()?.is_dead();
        Some(is_dead && page.progress.readers == 0)
    };
    let mut looked_at = pages.filter_map(has_never_begun).take(SAMPLE);
    Ok(looked_at.next().is_some_and(|it| it) && looked_at.all(|it| it))
}

/// Who holds a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holders {
    /// Its creator lives.
    pub maker: bool,
    /// The reader of its queue lives.
    pub reader: bool,
}

impl Holders {
    /// Whether neither lives.
    pub fn is_dead(self) -> bool {
        !self.maker && !self.reader
    }
}

/// Who but this description holds a page.
pub fn holders(page: &File) -> io::Result<Holders> {
    Ok(Holders {
        maker: living_file::is_held(page, Holder::Maker)?,
        reader: living_file::is_held(page, Holder::Reader)?,
    })
}

/// Waits until a dispatcher is the only reader of its page, which the one
/// before it may still be; false if its events are counted as lost already.
pub fn begin_reading(page: &File) -> io::Result<bool> {
    let deadline = Instant::now() + TURN_BOUND;
    while !living_file::hold(page, Holder::Reader)? {
        if is_over(deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(TURN_STEP);
    }
    Ok(!Page::read(page)?.is_claimed)
}

/// Waits a short time until a page's creator, which is ending, has released it;
/// returns whether it has.
///
/// # Errors
///
/// The file system does not support locks.
pub fn await_maker(page: &File) -> io::Result<bool> {
    let deadline = Instant::now() + MAKER_BOUND;
    while holders(page)?.maker {
        if is_over(deadline) {
            return Ok(false);
        }
        std::thread::sleep(TURN_STEP);
    }
    Ok(true)
}

fn is_over(deadline: Instant) -> bool {
    deadline.saturating_duration_since(Instant::now()).is_zero()
}

/// Removes a page without remaining jobs. It is no error if another process has
/// removed it.
///
/// # Errors
///
/// Another file has the name, or the system refuses.
pub fn remove(page: &File, path: &Path) -> io::Result<()> {
    let (dir, name) = open_parent(path)?;
    if !name.as_bytes().starts_with(PREFIX.as_bytes()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if living_file::has_name(page, &dir, name)? {
        dir.unlink(name)?;
    }
    Ok(())
}

/// The directory of a page, if only this user can change it, and the page's
/// name.
fn open_parent(path: &Path) -> io::Result<(OwnDir, &OsStr)> {
    let parts = || {
        let dir = path.parent()?;
        let steps = [dir.file_name()?];
        let place =
            GuardedPath::new(dir.parent()?, Root::Chosen, &steps, "page");
        Some((place?, path.file_name()?))
    };
    let (place, name) = parts().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((place.open(false)?, name))
}

/// The ID of a page in the journal.
pub fn id_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.strip_prefix(PREFIX)?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn environment() -> (tempfile::TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let block = format!("HOME={path}\0XDG_RUNTIME_DIR={path}\0");
        (dir, block.into_bytes())
    }

    /// The page's holders are these soon: a child that another test is just
    /// starting has copies of all descriptors, until it becomes its program.
    #[track_caller]
    fn assert_held(page: &File, maker: bool, reader: bool) {
        let expected = Holders { maker, reader };
        let deadline = Instant::now() + Duration::from_secs(60);
        while holders(page).unwrap() != expected {
            assert!(Instant::now() < deadline, "{:?}", holders(page));
            std::thread::sleep(TURN_STEP);
        }
    }

    fn make_for(block: &[u8]) -> Result<CreatedPage, PageError> {
        make(block, SessionId(7), Path::new("/bin/uilog"), 1 << 20)
    }

    #[test]
    fn a_page_is_held_by_both_until_both_have_gone() {
        let (dir, block) = environment();
        let made = make_for(&block).unwrap();
        assert!(made.path.starts_with(dir.path().join("uilog")));
        let other = File::options().read(true).write(true).open(&made.path);
        let other = other.unwrap();
        assert_held(&other, true, true);
        let page = Page::read(&other).unwrap();
        assert_eq!((page.path, page.session), (made.path, SessionId(7)));
        assert_eq!(page.maker_pid, u64::from(std::process::id()));
        // What a reader's program says by itself falls on no counter.
        io::Write::write_all(&mut &made.readers, &[0xff; 9000]).unwrap();
        assert_eq!(Page::read(&other).unwrap().committed.jobs, 0);
        drop(made.readers);
        assert_held(&other, true, false);
        let next = for_next_reader(&made.page).unwrap();
        assert_held(&other, true, true);
        drop(made.page);
        assert_held(&other, false, true);
        assert!(begin_reading(&next).unwrap());
        drop(next);
        assert_held(&other, false, false);
    }

    #[test]
    fn a_maker_that_is_ending_is_waited_for() {
        let (_dir, block) = environment();
        let CreatedPage { page, readers, .. } = make_for(&block).unwrap();
        assert!(!await_maker(&readers).unwrap(), "it lives on");
        let ending = std::thread::spawn(|| {
            std::thread::sleep(4 * TURN_STEP);
            drop(page);
        });
        // Another test's child may have a copy until its exec.
        let has_let_go = (0..60).any(|_| await_maker(&readers).unwrap());
        ending.join().unwrap();
        assert!(has_let_go);
    }

    #[test]
    fn a_reader_waits_for_the_one_before_it() {
        let (_dir, block) = environment();
        let made = make_for(&block).unwrap();
        let next = for_next_reader(&made.page).unwrap();
        let readers = made.readers;
        let ending = std::thread::spawn(|| {
            std::thread::sleep(4 * TURN_STEP);
            drop(readers);
        });
        assert!(begin_reading(&next).unwrap());
        ending.join().unwrap();
        queue::claim(&made.page).unwrap();
        assert!(!begin_reading(&next).unwrap(), "it is counted as lost");
    }

    #[test]
    fn only_the_page_itself_is_removed() {
        let (dir, block) = environment();
        let made = make_for(&block).unwrap();
        let other = dir.path().join("uilog/page-other");
        let precious = dir.path().join("uilog/precious");
        for path in [&other, &precious] {
            fs::write(path, b"x").unwrap();
        }
        remove(&made.page, &other).unwrap();
        remove(&made.page, &precious).unwrap_err();
        assert!(other.exists() && precious.exists() && made.path.exists());
        remove(&made.page, &made.path).unwrap();
        assert!(!made.path.exists());
        remove(&made.page, &made.path).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_used_is_passed_over() {
        let (dir, block) = environment();
        fs::write(dir.path().join("uilog"), b"no directory").unwrap();
        let made = make_for(&block).unwrap();
        assert!(!made.path.starts_with(dir.path()), "{:?}", made.path);
        remove(&made.page, &made.path).unwrap();
    }

    #[test]
    fn where_no_dispatcher_ever_begins_there_is_an_end_of_pages() {
        let (dir, block) = environment();
        let CreatedPage { page, path, .. } = make_for(&block).unwrap();
        let one_begun = dir.path().join("begun");
        let mut text = fs::read(&path).unwrap();
        // The word that counts readers.
        text[512 + 8 * 8] = 1;
        fs::write(&one_begun, &text).unwrap();
        let names: Vec<_> = (0..4 * MAX_PAGES)
            .map(|number| dir.path().join(format!("uilog/page-{number:032}")))
            .collect();
        for name in &names {
            fs::hard_link(&path, name).unwrap();
        }
        // All are this one, which has a maker that lives.
        assert!(make_for(&block).is_ok());
        drop(page);
        assert!(matches!(make_for(&block), Err(PageError::TooMany)));
        for name in &names {
            fs::remove_file(name).unwrap();
            fs::hard_link(&one_begun, name).unwrap();
        }
        assert!(make_for(&block).is_ok());
    }
}
