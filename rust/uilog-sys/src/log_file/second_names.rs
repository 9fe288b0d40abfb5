//! The rotation of a log file that other programs rotate, too.
//!
//! Mercurial and rhg rotate by renaming `.5` to `.6`, ..., the log to `.1`,
//! without a lock, and replace existing files. If two processes do so at the
//! same time, or if one meets uilog half-way, files are destroyed. So each old
//! file has a second name, a hard link in the directory `.NAME.kept` next to
//! the log, and is lost only when both names are gone:
//!
//! - The log itself is first moved there by one `rename`, to a unique name.
//!   From then on, no process can destroy it.
//! - Then the numbered names are corrected, each by an exchange with the
//!   existing file. A file that another program has put there meanwhile ends up
//!   in `.NAME.kept`, and gets its number in the next rotation.
//! - If a writer is killed half-way, the next rotation corrects the names.
//! - If a user removes an old file by hand, it stays removed: only a file that
//!   lost its number at about the time of a rotation gets it back.
//!
//! Only the log itself has no second name, because Mercurial copies a file with
//! two names before it appends to it, and loses lines that others append
//! meanwhile.
//!
//! `kept_dir` decides which directory may be used.
// hg: vfs.__call__ (mktempcopy), loggingutil.openlogfile

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use nix::fcntl::RenameFlags;
use nix::libc;
use nix::sys::stat::FileStat;

use super::kept_dir;
use super::kept_dir::KeptDir;
use super::kept_dir::Locked;
use super::names::LogDir;
use super::names::has_no_flags;
use super::names::rename_to_free;
use super::rules::Id;
use super::rules::Outcome;
use super::rules::id_of;
use crate::own_dir;
use crate::own_dir::OwnDir;

/// Added to the time of a file without a number in a copy, in which numbered
/// files have the time of the copy: it is newer than these.
const AFTER_COPYING: u128 = 1 << 100;

/// Seconds. A numbered name that was removed later than this after uilog's last
/// rotation has been removed on purpose.
const STRANGER_TIME: i64 = 60;

/// How often a stranger may be in the way of one name.
const MAX_EXCHANGES: u32 = 3;

/// Maximum number of names in a log's directory that a rotation reads.
const MAX_NAMES_BESIDE: usize = 16_384;

/// A rotation that has not been made.
pub(super) enum RotationError {
    /// Nothing has been changed: there is another way to rotate.
    Before,
    /// The log may have been moved. The next rotation puts that right.
    Within(io::Error),
}

/// The old files of a log, the newest first. While a rotation is on, one may
/// be listed by a name that it had, or be missing until they are listed again.
///
/// # Errors
///
/// The directory cannot be read.
pub(super) fn old_files(names: &LogDir) -> io::Result<Vec<PathBuf>> {
    let numbered = numbered(names, usize::MAX)?;
    // Any other file of that name is ignored.
    let found = KeptDir::find(names, numbered.len()).unwrap_or_default();
    let Some(kept) = found else {
        let path = |old: OldFile| names.dir.path().join(old.name);
        return Ok(numbered.into_iter().map(path).collect());
    };
    let files = Files { names, kept: &kept };
    let (hidden, _removed) = files.old_files().unwrap_or_default();
    let order = in_order(numbered, hidden, &HashSet::new());
    let path = |old: OldFile| files.dir_of(&old).path().join(&old.name);
    Ok(order.into_iter().map(path).collect())
}

/// The numbers of the old files, in order.
pub(super) fn numbers(names: &LogDir) -> io::Result<Vec<u32>> {
    let found = numbered(names, MAX_NAMES_BESIDE)?;
    Ok(found.iter().map(|old| old.number).collect())
}

/// Why the directory of second names cannot be used, if there is one.
pub(super) fn problem(names: &LogDir, old_files: u32) -> Option<io::Error> {
    KeptDir::find(names, old_files as usize).err()
}

/// Rotates the log if it still is the file with this id.
pub(super) fn rotate(
    names: &LogDir,
    old_files: u32,
    id: Id,
) -> Result<Outcome, RotationError> {
    let kept =
        KeptDir::find_or_create(names, old_files as usize).map_err(before)?;
    // Without locks, no step loses anything, but the order may be wrong.
    let _lock = match kept.lock().map_err(before)? {
        Locked::Busy => return Ok(Outcome::Busy),
        lock => lock,
    };
    if !names.is_current(id).map_err(before)? {
        return Ok(Outcome::NoLongerCurrent);
    }
    let files = Files { names, kept: &kept };
    let (hidden, removed) = files.old_files().map_err(before)?;
    let numbered = files.own_numbered(old_files).map_err(before)?;
    let latest = kept_dir::fresh_for_log();
    let flags = RenameFlags::empty();
    let moved = names.dir.rename_to(names.log(), &kept.dir, &latest, flags);
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Outcome::NoLongerCurrent);
        }
        moved => moved.map_err(before)?,
    }
    files
        .take_over(latest, id)
        .and_then(|latest| {
            for old in removed {
                kept.dir.unlink(&old.name)?;
            }
            files.publish(old_files, latest, numbered, hidden)
        })
        .map_err(RotationError::Within)?;
    Ok(Outcome::NoLongerCurrent)
}

fn before(_error: io::Error) -> RotationError {
    RotationError::Before
}

/// An old file.
#[derive(Debug)]
struct OldFile {
    name: OsString,
    /// Whether that is a second name.
    is_hidden: bool,
    id: Id,
    /// When it was rotated, in nanoseconds since 1970: from its hidden name,
    /// otherwise when it was last written, which may be a little later.
    rotated: u128,
    /// Whether it has more than this name.
    has_other_names: bool,
    /// When it has got or lost a name, in seconds.
    changed: i64,
    /// The number at its end, for one that has a number.
    number: u32,
    /// Not what a log is: nothing for us to move, but for a reader to report.
    is_log: bool,
    is_own: bool,
}

impl OldFile {
    fn numbered(name: OsString, status: &FileStat, number: u32) -> Self {
        let modified = i128::from(status.st_mtime) * 1_000_000_000
            + i128::from(status.st_mtime_nsec);
        Self {
            name,
            is_hidden: false,
            id: id_of(status),
            rotated: u128::try_from(modified).unwrap_or(0),
            has_other_names: status.st_nlink > 1,
            changed: status.st_ctime,
            number,
            is_log: own_dir::is_regular(status) || own_dir::is_link(status),
            is_own: own_dir::is_own(status),
        }
    }

    fn hidden(name: OsString, status: &FileStat) -> Self {
        let time = kept_dir::named_time(&name);
        let old = Self::numbered(name, status, 0);
        Self {
            is_hidden: true,
            rotated: time.unwrap_or(old.rotated),
            ..old
        }
    }
}

/// The old files with a number, the newest first.
fn numbered(names: &LogDir, max_names: usize) -> io::Result<Vec<OldFile>> {
    let Some(all) = names.dir.names(max_names)? else {
        return Err(io::Error::other("its directory has too many entries"));
    };
    let mut found = Vec::new();
    for name in all {
        let Some(number) = names.number_of(&name) else {
            continue;
        };
        // Removed meanwhile.
        let Ok(Some(status)) = names.dir.entry(&name) else {
            continue;
        };
        found.push(OldFile::numbered(name, &status, number));
    }
    found.sort_by_key(|old| old.number);
    Ok(found)
}

/// The files of one log.
struct Files<'a> {
    names: &'a LogDir,
    kept: &'a KeptDir,
}

impl Files<'_> {
    fn dir_of(&self, old: &OldFile) -> &OwnDir {
        if old.is_hidden {
            &self.kept.dir
        } else {
            &self.names.dir
        }
    }

    /// The numbered old files, for a rotation.
    ///
    /// # Errors
    ///
    /// Another kind of file has the name of one that must be moved.
    fn own_numbered(&self, old_files: u32) -> io::Result<Vec<OldFile>> {
        let mut found = numbered(self.names, MAX_NAMES_BESIDE)?;
        for old in &found {
            if old.number <= old_files {
                self.names.has_old_log(old.number)?;
            }
        }
        found.retain(|old| old.is_log);
        Ok(found)
    }

    /// Everything that has a second name, the names with a time first. A file
    /// that has just lost its number to another one may have two such names.
    fn hidden(&self) -> io::Result<Vec<OldFile>> {
        let mut hidden = Vec::new();
        for name in self.kept.names()? {
            // Removed meanwhile.
            let Ok(Some(status)) = self.kept.dir.entry(&name) else {
                continue;
            };
            hidden.push(OldFile::hidden(name, &status));
        }
        if hidden.iter().any(|old| !old.is_log) {
            return Err(io::Error::other("it has other things than files"));
        }
        let time = |old: &OldFile| kept_dir::named_time(&old.name);
        hidden.sort_by_key(|old| (time(old).is_none(), old.rotated));
        Ok(hidden)
    }

    /// The hard links of old files, and separately those of files that were
    /// removed by hand, or copied.
    fn old_files(&self) -> io::Result<(Vec<OldFile>, Vec<OldFile>)> {
        // Only rotations change the directory.
        let rotated = self.kept.dir.status()?.st_mtime;
        let mut hidden = self.hidden()?;
        let is_marker = |old: &OldFile| kept_dir::is_marker(&old.name);
        let is_waiting = |old: &OldFile| kept_dir::is_waiting(&old.name);
        if hidden.iter().any(is_marker) {
            // A copy. The marker is removed last: it shows what the others
            // are.
            if hidden.iter().any(|old| !old.is_own) {
                return Err(io::Error::other(
                    "it contains files of other \
                    users",
                ));
            }
            hidden.sort_by_key(is_marker);
            let (mut waiting, copies): (Vec<_>, Vec<_>) =
                hidden.into_iter().partition(is_waiting);
            for old in &mut waiting {
                old.rotated += AFTER_COPYING;
            }
            return Ok((waiting, copies));
        }
        let is_wanted = |old: &OldFile| {
            old.has_other_names
                || is_waiting(old)
                || old.changed.saturating_sub(rotated) <= STRANGER_TIME
        };
        Ok(hidden.into_iter().partition(is_wanted))
    }

    /// Checks what was moved from the log's name. If it is not a log, it gets
    /// its name back.
    fn take_over(&self, latest: OsString, id: Id) -> io::Result<OldFile> {
        let status = self.kept.dir.entry(&latest)?;
        let status = status.ok_or(io::ErrorKind::NotFound)?;
        if id_of(&status) == id || self.names.is_log(&status) {
            return Ok(OldFile::hidden(latest, &status));
        }
        let (kept, names) = (&self.kept.dir, self.names);
        rename_to_free(kept, &latest, &names.dir, names.log())?;
        Err(io::Error::other("it was replaced meanwhile"))
    }

    /// Gives the kept files their numbers, `latest` being the first, and drops
    /// those beyond the limit.
    fn publish(
        &self,
        old_files: u32,
        latest: OldFile,
        mut numbered: Vec<OldFile>,
        kept: Vec<OldFile>,
    ) -> io::Result<()> {
        // Files with a number beyond the limit are not touched: rhg keeps one
        // more, and a user who has lowered the limit may want to read them.
        let is_ours = |old: &&OldFile| old.number <= old_files;
        let beyond = numbered.iter().take_while(is_ours).count();
        let beyond = numbered.split_off(beyond);
        let mut over: HashSet<Id> = beyond.iter().map(|old| old.id).collect();
        let numbers: Vec<_> = numbered.iter().map(|old| old.number).collect();
        let mut order = in_order(numbered, kept, &over);
        order.insert(0, latest);
        let end = order.len().min(old_files as usize);
        over.extend(order.drain(end..).map(|old| old.id));
        // Every file has a hidden name before anything is moved, and the names'
        // times show the order the next time.
        let mut newer = u128::MAX;
        for old in &mut order {
            old.rotated = old.rotated.min(newer.saturating_sub(1));
            newer = old.rotated;
            if !old.is_hidden {
                self.hide(old)?;
            }
        }
        for (number, old) in (1..).zip(&order) {
            self.place(old, number)?;
        }
        // After a gap, or during another program's rotation, a file may have
        // had several numbers.
        let last = order.len() as u32;
        for number in numbers.into_iter().filter(|it| *it > last) {
            let name = self.names.number(number);
            let hidden = kept_dir::fresh_untimed();
            let (names, kept) = (&self.names.dir, &self.kept.dir);
            match names.rename_to(&name, kept, &hidden, RenameFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved?,
            }
        }
        // Each file needs only one name, and none if it is beyond the limit.
        let mut known = HashSet::new();
        let placed: HashMap<Id, u128> =
            order.iter().map(|old| (old.id, old.rotated)).collect();
        for old in self.hidden()? {
            if over.contains(&old.id) || !known.insert(old.id) {
                self.kept.dir.unlink(&old.name)?;
            } else if let Some(rotated) = placed.get(&old.id)
                && kept_dir::is_waiting(&old.name)
            {
                let timed = kept_dir::fresh(*rotated);
                self.kept.dir.rename(&old.name, &timed)?;
            }
        }
        Ok(())
    }

    /// Links an old file into the directory of kept files.
    fn hide(&self, old: &mut OldFile) -> io::Result<()> {
        let hidden = kept_dir::fresh(old.rotated);
        match self.add_name(old, &hidden) {
            // A stranger has just moved it: not lost, and found next time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            given => {
                old.name = hidden;
                old.is_hidden = true;
                given
            }
        }
    }

    /// Makes this number a name of the file. An existing file of that name gets
    /// a new hidden name.
    fn place(&self, old: &OldFile, number: u32) -> io::Result<()> {
        let (names, kept) = (&self.names.dir, &self.kept.dir);
        let visible = self.names.number(number);
        let there = names.entry(&visible).ok().flatten();
        if there.is_some_and(|status| id_of(&status) == old.id) {
            return Ok(());
        }
        // The existing file gets this name.
        let name = kept_dir::fresh_untimed();
        match self.add_name(old, &name) {
            // It had been moved before it could be hidden.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            given => given?,
        }
        let exchange = || {
            let flags = RenameFlags::RENAME_EXCHANGE;
            kept.rename_to(&name, names, &visible, flags)
        };
        for _ in 0..MAX_EXCHANGES {
            match exchange() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Some network file systems. A stranger who puts a file there
                // in this instant loses it.
                Err(error) if has_no_flags(&error) => {
                    let flags = RenameFlags::empty();
                    return kept.rename_to(&name, names, &visible, flags);
                }
                exchanged => {
                    exchanged?;
                    let status = kept.entry(&name)?;
                    if status.is_some_and(|it| !self.names.is_log(&it)) {
                        // Not a file: it has just been put there.
                        exchange()?;
                        return Err(io::ErrorKind::ResourceBusy.into());
                    }
                    return Ok(());
                }
            }
            match rename_to_free(kept, &name, names, &visible) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => return renamed,
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Gives an old file a second name in the directory of kept files, or
    /// renames it if it can have only one name.
    fn add_name(&self, old: &OldFile, name: &OsString) -> io::Result<()> {
        let (from, kept) = (self.dir_of(old), &self.kept.dir);
        let linked = from.link_to(&old.name, kept, name);
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
            from.rename_to(&old.name, kept, name, RenameFlags::empty())
        } else {
            linked
        }
    }
}

/// Old files, the newest first. Numbered ones are in the order of their
/// numbers; the others, which another program's rotation or an interrupted one
/// has left, are sorted between them by time. Kept files have their names in
/// that directory. `over` is left out.
fn in_order(
    mut numbered: Vec<OldFile>,
    kept: Vec<OldFile>,
    over: &HashSet<Id>,
) -> Vec<OldFile> {
    let mut known = over.clone();
    numbered.retain(|old| known.insert(old.id));
    let mut by_id: HashMap<Id, &OldFile> = HashMap::new();
    for old in &kept {
        by_id.entry(old.id).or_insert(old);
    }
    // Another program in the middle of its rotation will rename what was just
    // numbered here: among files with known times, these count.
    let mut timed = Vec::new();
    let mut places: Vec<_> = numbered.into_iter().map(Some).collect();
    for place in &mut places {
        let it = place.as_ref().and_then(|old| by_id.get(&old.id));
        if let Some(it) = it {
            timed.extend(place.take().map(|old| OldFile {
                rotated: it.rotated,
                name: it.name.clone(),
                is_hidden: true,
                ..old
            }));
        }
    }
    timed.sort_by_key(|old| old.rotated);
    let in_place = |place: Option<OldFile>| place.or_else(|| timed.pop());
    let mut order: Vec<_> = places.into_iter().filter_map(in_place).collect();
    for old in kept {
        if known.insert(old.id) {
            let older = order.iter().position(|it| it.rotated < old.rotated);
            order.insert(older.unwrap_or(order.len()), old);
        }
    }
    order
}
