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

/// The only entry of the directory of old files that is none.
const LOCK: &str = "lock";

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

/// One of the files that hold a log.
#[derive(Clone, Debug)]
pub struct Generation {
    /// A name of it.
    pub path: PathBuf,
    /// Its device and inode, by which it is known when it is renamed.
    pub id: (u64, u64),
}

/// The files that hold the log at `path`, the oldest first, the log itself
/// last. While a rotation is on, a file may be listed under the name that it
/// had, or be missing until it is listed again.
///
/// # Errors
///
/// The directory cannot be read. A log that does not exist is no error.
pub fn generations(path: &Path) -> io::Result<Vec<Generation>> {
    let names = Names::of(path);
    let numbered = names.numbered()?;
    let mut known: HashSet<Id> = numbered.iter().map(|old| old.id).collect();
    let (hidden, _removed) = names.kept()?;
    let hidden = hidden.into_iter().filter(|old| known.insert(old.id));
    let mut order = in_order(numbered, hidden.collect());
    order.reverse();
    let mut found: Vec<_> = order
        .into_iter()
        .map(|Old { path, id, .. }| Generation { path, id })
        .collect();
    if let Ok(metadata) = fs::metadata(path) {
        found.push(Generation {
            path: path.to_owned(),
            id: id_of(&metadata),
        });
    }
    Ok(found)
}

/// Rotates the log if it still is the file with this id.
pub(super) fn rotate(
    log: &LogFile,
    rotation: Rotation,
    id: Id,
) -> io::Result<Outcome> {
    let names = Names::of(&log.path);
    names.make_directory(log.mode)?;
    let _lock = match lock(&names.directory.join(LOCK), log.mode) {
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
    let (mut kept, removed) = names.kept()?;
    let latest = names.fresh();
    match fs::rename(&log.path, &latest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        moved => {
            moved?;
            kept.push(Old::of(latest.clone(), &latest.symlink_metadata()?, 0));
            names.publish(rotation.old_files, kept, removed)?;
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
    modified: (i64, i64),
    /// How many names it has.
    names: u64,
    /// When it has got or lost a name, in seconds.
    changed: i64,
    /// The number at its end, for one that has a number.
    number: u32,
}

impl Old {
    fn of(path: PathBuf, metadata: &fs::Metadata, number: u32) -> Self {
        Self {
            path,
            id: id_of(metadata),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            names: metadata.nlink(),
            changed: metadata.ctime(),
            number,
        }
    }
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

    /// A name among the kept files that nobody else uses, ever.
    fn fresh(&self) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = now.map_or(0, |since| since.as_nanos());
        let pid = std::process::id();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{nanos}-{pid}-{count}"))
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

    /// Everything that has a second name.
    fn hidden(&self) -> io::Result<Vec<Old>> {
        entries(&self.directory, |name| (name != LOCK).then_some(0))
    }

    /// The old files' second names, and apart from them those of files that
    /// somebody has removed on purpose.
    fn kept(&self) -> io::Result<(Vec<Old>, Vec<Old>)> {
        // Only rotations change the directory.
        let rotated = match fs::metadata(&self.directory) {
            Ok(metadata) => metadata.mtime(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Default::default());
            }
            Err(error) => return Err(error),
        };
        let is_wanted = |old: &Old| {
            old.names > 1
                || old.changed.saturating_sub(rotated) <= STRANGER_TIME
        };
        Ok(self.hidden()?.into_iter().partition(is_wanted))
    }

    /// Gives the kept files the numbers that they should have, and lets go of
    /// those beyond, and of what has been removed.
    fn publish(
        &self,
        old_files: u32,
        kept: Vec<Old>,
        removed: Vec<Old>,
    ) -> io::Result<()> {
        let mut numbered = self.numbered()?;
        // What has a number beyond is no longer ours to number: rhg keeps one
        // more, and whoever has lowered the limit may want to see them.
        let is_ours = |old: &&Old| old.number <= old_files;
        let beyond = numbered.iter().take_while(is_ours).count();
        let beyond = numbered.split_off(beyond);
        let over = beyond.into_iter().chain(removed);
        let mut over: HashSet<Id> = over.map(|old| old.id).collect();
        for old in &mut numbered {
            match kept.iter().find(|it| it.id == old.id) {
                Some(it) => old.path.clone_from(&it.path),
                None => self.hide(old)?,
            }
        }
        let mut known = over.clone();
        known.extend(numbered.iter().map(|old| old.id));
        let hidden = kept.into_iter().filter(|old| known.insert(old.id));
        let mut order = in_order(numbered, hidden.collect());
        let end = order.len().min(old_files as usize);
        over.extend(order.drain(end..).map(|old| old.id));
        for (number, old) in (1..).zip(&order) {
            self.place(old, &self.number(number))?;
        }
        // One name each is enough, and none for what has had its time.
        let mut known = HashSet::new();
        for old in self.hidden()? {
            if over.contains(&old.id) || !known.insert(old.id) {
                match fs::remove_file(&old.path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }

    /// Gives an old file a name among the kept ones.
    fn hide(&self, old: &mut Old) -> io::Result<()> {
        let hidden = self.fresh();
        let done = match fs::hard_link(&old.path, &hidden) {
            Err(error) if has_no_links(&error) => {
                fs::rename(&old.path, &hidden)
            }
            linked => linked,
        };
        match done {
            // A stranger has just moved it: not lost, and found next time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => {
                old.path = hidden;
                done
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
        let mut name = self.fresh();
        match fs::hard_link(&old.path, &name) {
            Err(error) if has_no_links(&error) => name.clone_from(&old.path),
            // It had been moved before it could be hidden.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            linked => linked?,
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
        // Gone meanwhile, or nothing that a log can be.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            continue;
        }
        found.push(Old::of(entry.path(), &metadata, number));
    }
    Ok(found)
}

/// Old files, the newest first: those with a number as the numbers say, and
/// those without one, which a stranger or an interrupted rotation has left
/// so, between them as their times say.
fn in_order(numbered: Vec<Old>, mut hidden: Vec<Old>) -> Vec<Old> {
    hidden.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    let mut order = numbered;
    for old in hidden {
        let older = order.iter().position(|it| it.modified <= old.modified);
        order.insert(older.unwrap_or(order.len()), old);
    }
    order
}

fn id_of(metadata: &fs::Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Whether the file system gives a file no second name.
fn has_no_links(error: &io::Error) -> bool {
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
}
