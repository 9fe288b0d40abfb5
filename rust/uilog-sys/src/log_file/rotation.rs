//! The rotation of a log file that strangers rotate, too.
//!
//! Mercurial and rhg rotate by renaming `.5` to `.6`, ..., the log to `.1`,
//! without a lock and over whatever is there. Two that do so at a time destroy
//! files; so does one that meets us half-way. So an old file has a second name
//! that they do not know, in the directory `.NAME.kept` beside the log, and is
//! lost only when both are gone:
//!
//! - The log itself is moved there by one `rename`, to a name that nobody else
//!   uses. From then on no process can lose it, ours included.
//! - Then the numbered names are made what they should be, each by an exchange
//!   with what is there. Whatever a stranger has put there meanwhile ends up in
//!   `.NAME.kept`, and in its place with the next rotation.
//! - A writer that is killed half-way leaves names that are not as they should
//!   be. The next rotation puts them right.
//! - Whoever removes an old file by hand means it: only what has lost its
//!   number at about the time of a rotation gets it back.
//!
//! Only the log has no second name: Mercurial copies a file that has one
//! before it appends to it, and loses what others append meanwhile.
//
// hg: vfs.__call__ (mktempcopy), loggingutil.openlogfile

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::RenameFlags;
use nix::fcntl::renameat2;
use nix::libc;

use super::LogFile;
use super::Rotation;

/// How the only entry of the directory of old files begins that is none. The
/// directory's inode number follows: in a copy of it, which has copies of the
/// files beside the log instead of second names, it is another one.
const LOCK: &str = "lock-";

/// How the second name begins of a file that has never had a number, because
/// we were interrupted or a stranger was in the way. It is waiting for one.
const WAITING: &str = "new-";

/// What is added to the time of such a file in a copy, where the times of
/// numbered files are those of the copying: it is newer than these.
const AFTER_COPYING: u128 = 1 << 100;

/// Seconds. A numbered name that has gone later than this after our last
/// rotation has been removed by somebody who wants the file gone.
const STRANGER_TIME: i64 = 60;

/// How often a stranger may be in the way of one name.
const MAX_EXCHANGES: u32 = 3;

/// What identifies a file, whatever its names: device and inode.
pub(super) type Id = (u64, u64);

/// What became of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The file is no longer the log: it has been rotated, by whom ever.
    NoLongerCurrent,
    /// Somebody else is just doing it.
    Busy,
}

/// The old files of the log at `path`, the newest first. While a rotation is
/// on, one may be listed by a name that it had, or be missing until they are
/// listed again.
///
/// # Errors
///
/// The directory cannot be read.
pub fn old_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let names = Names::of(path);
    let numbered = names.numbered()?;
    let (kept, _removed) = names.kept()?;
    let order = in_order(numbered, kept, &HashSet::new());
    Ok(order.into_iter().map(|old| old.path).collect())
}

/// Rotates the log if it still is the file with this id.
pub(super) fn rotate(
    log: &LogFile,
    rotation: Rotation,
    id: Id,
) -> io::Result<Outcome> {
    let names = Names::of(&log.path);
    names.make_directory(log.mode)?;
    let _lock = match lock(&names.lock()?, log.mode) {
        Ok(lock) => Some(lock),
        Err(Errno::EWOULDBLOCK) => return Ok(Outcome::Busy),
        // No locks on this file system, or the lock is another user's. Each
        // step by itself loses nothing; only their order may suffer.
        Err(_) => None,
    };
    let current = fs::metadata(&log.path);
    if !current.is_ok_and(|current| id_of(&current) == id) {
        return Ok(Outcome::NoLongerCurrent);
    }
    let (kept, removed) = names.kept()?;
    for old in removed {
        old.remove()?;
    }
    let latest = names.fresh_for_log();
    match fs::rename(&log.path, &latest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        moved => {
            moved?;
            names.publish(rotation.old_files, latest, kept)?;
        }
    }
    Ok(Outcome::NoLongerCurrent)
}

/// Takes the lock if it is free. It is released with the value, also where a
/// forked child has a copy of the descriptor.
fn lock(path: &Path, mode: Option<u32>) -> Result<Flock<File>, Errno> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| errno(&error))?;
    if let Some(mode) = mode {
        // Fails for whoever has not created it.
        let _ = file.set_permissions(fs::Permissions::from_mode(mode & 0o666));
    }
    let kind = FlockArg::LockExclusiveNonblock;
    Flock::lock(file, kind).map_err(|(_file, errno)| errno)
}

/// An old file.
#[derive(Debug)]
struct Old {
    path: PathBuf,
    id: Id,
    /// When it was rotated, in nanoseconds since 1970: as its hidden name says,
    /// else when it was written last, which may be a little later.
    rotated: u128,
    /// How many names it has.
    names: u64,
    /// When it has got or lost a name, in seconds.
    changed: i64,
    /// The number at its end, for one that has a number.
    number: u32,
    /// Not a file at all: nothing for us to move, but for a reader to tell.
    is_directory: bool,
}

impl Old {
    fn of(path: PathBuf, metadata: &fs::Metadata, number: u32) -> Self {
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        Self {
            rotated: named_time(&path).unwrap_or_else(|| nanos(modified)),
            path,
            id: id_of(metadata),
            names: metadata.nlink(),
            changed: metadata.ctime(),
            number,
            is_directory: metadata.is_dir(),
        }
    }

    /// Removes this name.
    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

fn begins_with(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_bytes().starts_with(prefix.as_bytes())
}

/// What no other name has.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = nanos(SystemTime::now());
    let pid = std::process::id();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{nanos}-{pid}-{count}")
}

/// The time in a name that [`Names::fresh`] has made.
fn named_time(path: &Path) -> Option<u128> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_prefix(WAITING).unwrap_or(name);
    let (time, _) = name.split_once('-')?;
    time.parse().ok()
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

/// Where the files of one log are.
struct Names<'a> {
    log: &'a Path,
    parent: &'a Path,
    /// The old files' second names, and the lock.
    directory: PathBuf,
}

impl<'a> Names<'a> {
    fn of(log: &'a Path) -> Self {
        let parent = log.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let mut name = OsString::from(".");
        name.push(log.file_name().unwrap_or_default());
        name.push(".kept");
        let directory = parent.join(name);
        Self {
            log,
            parent,
            directory,
        }
    }

    fn make_directory(&self, mode: Option<u32>) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o777).create(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                if let Some(mode) = mode {
                    let mode = fs::Permissions::from_mode(mode & 0o7777);
                    fs::set_permissions(&self.directory, mode)?;
                }
                Ok(())
            }
        }
    }

    /// A name among the kept files that nobody else uses, ever, for a file that
    /// was rotated at this time.
    fn fresh(&self, rotated: u128) -> PathBuf {
        let name = format!("{rotated}-{}", unique());
        self.directory.join(name)
    }

    /// The same for the log.
    fn fresh_for_log(&self) -> PathBuf {
        let now = nanos(SystemTime::now());
        self.directory.join(format!("{WAITING}{now}-{}", unique()))
    }

    /// The same for a file of which nothing is known.
    fn fresh_untimed(&self) -> PathBuf {
        let name = format!("{WAITING}displaced-{}", unique());
        self.directory.join(name)
    }

    fn lock(&self) -> io::Result<PathBuf> {
        let inode = fs::metadata(&self.directory)?.ino();
        Ok(self.directory.join(format!("{LOCK}{inode}")))
    }

    fn number(&self, number: u32) -> PathBuf {
        let mut path = self.log.as_os_str().to_owned();
        path.push(format!(".{number}"));
        PathBuf::from(path)
    }

    /// The old files with a number, the newest first.
    fn numbered(&self) -> io::Result<Vec<Old>> {
        let log = self.log.file_name().unwrap_or_default().as_bytes();
        let mut found = entries(self.parent, |name| {
            let number = name.as_bytes().strip_prefix(log)?;
            let number =
                std::str::from_utf8(number.strip_prefix(b".")?).ok()?;
            let is_plain = number.bytes().all(|it| it.is_ascii_digit())
                && !number.starts_with('0');
            number.parse().ok().filter(|_| is_plain)
        })?;
        found.sort_by_key(|old| old.number);
        Ok(found)
    }

    /// Everything that has a second name, the names with a time first. A file
    /// that has just lost its number to another one may have two such names.
    fn hidden(&self) -> io::Result<Vec<Old>> {
        let mut hidden = entries(&self.directory, |_| Some(0))?;
        let lock = self.lock()?;
        hidden.retain(|old| old.path != lock && !old.is_directory);
        hidden
            .sort_by_key(|old| (named_time(&old.path).is_none(), old.rotated));
        Ok(hidden)
    }

    /// The old files' second names, and apart from them those of files that
    /// somebody has removed on purpose, or copied.
    fn kept(&self) -> io::Result<(Vec<Old>, Vec<Old>)> {
        // Only rotations change the directory.
        let rotated = match fs::metadata(&self.directory) {
            Ok(metadata) => metadata.mtime(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Default::default());
            }
            Err(error) => return Err(error),
        };
        let mut hidden = self.hidden()?;
        let is_lock = |old: &Old| begins_with(&old.path, LOCK);
        let is_waiting = |old: &Old| begins_with(&old.path, WAITING);
        if hidden.iter().any(is_lock) {
            // A copy. The lock is removed last: it tells what the others are.
            hidden.sort_by_key(is_lock);
            let (mut waiting, copies): (Vec<_>, Vec<_>) =
                hidden.into_iter().partition(is_waiting);
            for old in &mut waiting {
                old.rotated += AFTER_COPYING;
            }
            return Ok((waiting, copies));
        }
        let is_wanted = |old: &Old| {
            old.names > 1
                || is_waiting(old)
                || old.changed.saturating_sub(rotated) <= STRANGER_TIME
        };
        Ok(hidden.into_iter().partition(is_wanted))
    }

    /// Gives the kept files the numbers that they should have, `latest` being
    /// the first, and lets go of those beyond.
    fn publish(
        &self,
        old_files: u32,
        latest: PathBuf,
        kept: Vec<Old>,
    ) -> io::Result<()> {
        let mut numbered = self.numbered()?;
        numbered.retain(|old| !old.is_directory);
        // What has a number beyond is no longer ours to number: rhg keeps one
        // more, and whoever has lowered the limit may want to see them.
        let is_ours = |old: &&Old| old.number <= old_files;
        let beyond = numbered.iter().take_while(is_ours).count();
        let beyond = numbered.split_off(beyond);
        let mut over: HashSet<Id> = beyond.iter().map(|old| old.id).collect();
        let numbers: Vec<_> = numbered.iter().map(|old| old.number).collect();
        let mut order = in_order(numbered, kept, &over);
        let metadata = fs::symlink_metadata(&latest)?;
        order.insert(0, Old::of(latest, &metadata, 0));
        let end = order.len().min(old_files as usize);
        over.extend(order.drain(end..).map(|old| old.id));
        // Everything has a hidden name before anything is moved, and the
        // names' times tell the order the next time.
        let mut newer = u128::MAX;
        for old in &mut order {
            old.rotated = old.rotated.min(newer.saturating_sub(1));
            newer = old.rotated;
            if !old.path.starts_with(&self.directory) {
                self.hide(old)?;
            }
        }
        for (number, old) in (1..).zip(&order) {
            self.place(old, &self.number(number))?;
        }
        // Behind a gap, or where a stranger was half-way, a file may have had
        // more than one number.
        let last = order.len() as u32;
        for number in numbers.into_iter().filter(|it| *it > last) {
            match fs::rename(self.number(number), self.fresh_untimed()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        // One name each is enough, and none for what has had its time.
        let mut known = HashSet::new();
        let placed: HashMap<Id, u128> =
            order.iter().map(|old| (old.id, old.rotated)).collect();
        for old in self.hidden()? {
            if over.contains(&old.id) || !known.insert(old.id) {
                old.remove()?;
            } else if let Some(rotated) = placed.get(&old.id) {
                if begins_with(&old.path, WAITING) {
                    fs::rename(&old.path, self.fresh(*rotated))?;
                }
            }
        }
        Ok(())
    }

    /// Gives an old file a name among the kept ones.
    fn hide(&self, old: &mut Old) -> io::Result<()> {
        let hidden = self.fresh(old.rotated);
        match give_name(&old.path, &hidden) {
            // A stranger has just moved it: not lost, and found next time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            given => {
                old.path = hidden;
                given
            }
        }
    }

    /// Makes `visible` a name of the file. What has that name, if anything,
    /// gets a new one among the kept files.
    fn place(&self, old: &Old, visible: &Path) -> io::Result<()> {
        let is_there =
            fs::symlink_metadata(visible).is_ok_and(|it| id_of(&it) == old.id);
        if is_there {
            return Ok(());
        }
        // What is there will have it.
        let name = self.fresh_untimed();
        match give_name(&old.path, &name) {
            // It had been moved before it could be hidden.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            given => given?,
        }
        let exchange =
            |flags| renameat2(AT_FDCWD, &name, AT_FDCWD, visible, flags);
        for _ in 0..MAX_EXCHANGES {
            match exchange(RenameFlags::RENAME_EXCHANGE) {
                Err(Errno::ENOENT) => {}
                // Some network file systems. A stranger who puts a file there
                // in this instant loses it.
                Err(Errno::EINVAL | Errno::ENOSYS) => {
                    return fs::rename(&name, visible);
                }
                done => return done.map_err(io::Error::from),
            }
            match exchange(RenameFlags::RENAME_NOREPLACE) {
                Err(Errno::EEXIST) => {}
                done => return done.map_err(io::Error::from),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }
}

/// The files of a directory whose names `number` knows, in no order.
fn entries(
    directory: &Path,
    number: impl Fn(&OsStr) -> Option<u32>,
) -> io::Result<Vec<Old>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Some(number) = number(&entry.file_name()) else {
            continue;
        };
        // Gone meanwhile.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        found.push(Old::of(entry.path(), &metadata, number));
    }
    Ok(found)
}

/// Old files, the newest first: those with a number as the numbers say, and
/// those without one, which a stranger or an interrupted rotation has left
/// so, between them as their times say. Those that are kept have their names
/// there. `over` is left out.
fn in_order(
    mut numbered: Vec<Old>,
    kept: Vec<Old>,
    over: &HashSet<Id>,
) -> Vec<Old> {
    let mut known = over.clone();
    numbered.retain(|old| known.insert(old.id));
    // A stranger whom we have met half-way goes on to move what we have just
    // numbered: among those whose times we know, these count.
    let mut timed = Vec::new();
    let mut places: Vec<_> = numbered.into_iter().map(Some).collect();
    for place in &mut places {
        let id = place.as_ref().map(|old| old.id);
        if let Some(it) = kept.iter().find(|it| Some(it.id) == id) {
            timed.extend(place.take().map(|old| Old {
                rotated: it.rotated,
                path: it.path.clone(),
                ..old
            }));
        }
    }
    timed.sort_by_key(|old| old.rotated);
    let in_place = |place: Option<Old>| place.or_else(|| timed.pop());
    let mut order: Vec<_> = places.into_iter().filter_map(in_place).collect();
    for old in kept {
        if known.insert(old.id) {
            let older = order.iter().position(|it| it.rotated < old.rotated);
            order.insert(older.unwrap_or(order.len()), old);
        }
    }
    order
}

fn id_of(metadata: &fs::Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Gives a file a second name, or another one where it can have one only.
fn give_name(path: &Path, name: &Path) -> io::Result<()> {
    let linked = fs::hard_link(path, name);
    let has_no_links = linked.as_ref().is_err_and(|error| {
        matches!(
            error.raw_os_error(),
            Some(
                libc::EPERM
                    | libc::EMLINK
                    | libc::EOPNOTSUPP
                    | libc::ENOSYS
                    | libc::EXDEV
            )
        )
    });
    if has_no_links {
        fs::rename(path, name)
    } else {
        linked
    }
}
