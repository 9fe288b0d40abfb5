//! The directory `.NAME.kept` next to a log, with hard links to old files.
//!
//! Responsible for one question: has uilog created that directory, and the
//! files in it? If other users can write to the log's directory, they can put
//! anything in its place, or rename another directory of this user to that
//! name. So it must belong to this user, other users must not be able to write
//! to it, and it must contain a marker whose name has the directory's inode
//! number. The marker is created before the directory gets its name. A copy of
//! the directory, as made by `cp -r` of a repository, has the marker of another
//! inode; then each file in it must belong to this user and have a name as
//! uilog gives them. Otherwise the directory is not used, and nothing in it is
//! touched.
//!
//! Must not know how files are rotated.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;

use super::names::LogDir;
use super::names::rename_to_free;
use crate::own_dir;
use crate::own_dir::OwnDir;

/// Prefix of the marker's name; the directory's inode number follows. A process
/// that rotates the log holds a lock on the marker.
const MARKER: &str = "lock-";

/// Prefix of rotated files that are not numbered yet, because the rotation was
/// interrupted or another program interfered.
const WAITING: &str = "new-";

/// Replaces the time in the name of a file whose time is not known.
const DISPLACED: &str = "displaced";

/// Maximum number of names in addition to one for each old file. More cannot be
/// ours, and are not read.
const MAX_NAMES: usize = 1024;

const FILE_MODE: u32 = 0o600;

/// The lock of a directory of second names. It is released with the value,
/// also where a forked child has a copy of the descriptor.
pub(super) enum Locked {
    /// It is ours.
    Yes(#[allow(dead_code, reason = "held until it is dropped")] Flock<File>),
    /// Another process is rotating.
    Busy,
    /// There are no locks on this file system.
    Impossible,
}

/// A directory of second names that uilog has made.
#[derive(Debug)]
pub(super) struct KeptDir {
    pub(super) dir: OwnDir,
    marker: OsString,
    max_names: usize,
}

impl KeptDir {
    /// The directory of hard links, if it exists. Creates nothing.
    ///
    /// # Errors
    ///
    /// Another file has its name, or it was not created by uilog for this user.
    pub(super) fn find(
        names: &LogDir,
        old_files: usize,
    ) -> io::Result<Option<Self>> {
        let dir = match names.dir.open_private(&name_of(names)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            dir => dir?,
        };
        let kept = Self {
            marker: marker_of(&dir)?,
            dir,
            max_names: MAX_NAMES.saturating_add(old_files),
        };
        let marker = kept.dir.entry(&kept.marker)?;
        if !marker.is_some_and(|status| is_own_file(&status)) {
            kept.check_copy()?;
        }
        Ok(Some(kept))
    }

    /// The directory of hard links, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// Like [`Self::find`], or it cannot be created. It is not created if the
    /// log's directory belongs to another user, whom it would obstruct.
    pub(super) fn find_or_create(
        names: &LogDir,
        old_files: usize,
    ) -> io::Result<Self> {
        if let Some(kept) = Self::find(names, old_files)? {
            return Ok(kept);
        }
        if !own_dir::is_own(&names.dir.status()?) {
            return Err(io::Error::other("its directory is another user's"));
        }
        create(names)?;
        let kept = Self::find(names, old_files)?;
        kept.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes the lock, without waiting for it.
    ///
    /// # Errors
    ///
    /// The marker cannot be opened.
    pub(super) fn lock(&self) -> io::Result<Locked> {
        let flags = OFlag::O_RDWR;
        let file = self.dir.open_or_create(&self.marker, flags, FILE_MODE)?;
        let kind = FlockArg::LockExclusiveNonblock;
        Ok(match Flock::lock(file, kind) {
            Ok(lock) => Locked::Yes(lock),
            Err((_, Errno::EWOULDBLOCK)) => Locked::Busy,
            Err(_) => Locked::Impossible,
        })
    }

    /// The names in it, without the marker.
    ///
    /// # Errors
    ///
    /// One of them is not a name that uilog makes, or there are too many.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let names = self.dir.names(self.max_names)?;
        let Some(mut names) = names else {
            let text = format!("it has more than {} entries", self.max_names);
            return Err(io::Error::other(text));
        };
        names.retain(|name| *name != self.marker);
        match names.iter().find(|name| !is_name(name)) {
            None => Ok(names),
            Some(name) => {
                let name = name.to_string_lossy();
                let text = format!(
                    "it contains '{name}', which uilog has not \
                    created"
                );
                Err(io::Error::other(text))
            }
        }
    }

    /// Fails if this is not a copy of a directory of second names.
    fn check_copy(&self) -> io::Result<()> {
        let names = self.names()?;
        if !names.iter().any(|name| is_marker(name)) {
            return Err(io::Error::other("uilog has not created it"));
        }
        for name in names {
            let status = self.dir.entry(&name)?;
            if status.is_some_and(|status| !is_own_copy(&status)) {
                return Err(io::Error::other(
                    "it contains files of other \
                    users",
                ));
            }
        }
        Ok(())
    }
}

/// Creates the directory under a unique name, and gives it its
/// own when its marker is there. It is no error if another process is faster.
fn create(names: &LogDir) -> io::Result<()> {
    let mut name = name_of(names);
    name.push(format!(".{}", unique()));
    let dir = names.dir.create_private(&name)?;
    let marker = marker_of(&dir)?;
    let result = fill(names, &name, &dir, &marker);
    if result.is_err() {
        // Removes only what was just created here. If that fails, an empty
        // directory remains.
        let _ = dir.remove(&marker);
        let _ = names.dir.remove_dir(&name);
    }
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn fill(
    names: &LogDir,
    name: &OsStr,
    dir: &OwnDir,
    marker: &OsStr,
) -> io::Result<()> {
    // Another user may have put another directory of this user there.
    if dir.names(0)?.is_none() {
        return Err(io::Error::other("it has been replaced"));
    }
    drop(dir.create_new(marker, OFlag::O_RDWR, FILE_MODE)?);
    rename_to_free(&names.dir, name, &names.dir, &name_of(names))
}

fn name_of(names: &LogDir) -> OsString {
    let mut name = OsString::from(".");
    name.push(names.log());
    name.push(".kept");
    name
}

fn marker_of(dir: &OwnDir) -> io::Result<OsString> {
    Ok(format!("{MARKER}{}", dir.status()?.st_ino).into())
}

fn is_own_file(status: &FileStat) -> bool {
    own_dir::is_regular(status) && own_dir::is_own(status)
}

/// Old logs may be links.
fn is_own_copy(status: &FileStat) -> bool {
    own_dir::is_own(status)
        && (own_dir::is_regular(status) || own_dir::is_link(status))
}

/// Whether a name is of the marker of some directory.
pub(super) fn is_marker(name: &OsStr) -> bool {
    name.to_str()
        .and_then(|name| name.strip_prefix(MARKER))
        .is_some_and(is_number)
}

/// Whether a name is of a file that waits for a number.
pub(super) fn is_waiting(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(WAITING))
}

/// Whether uilog makes such names.
fn is_name(name: &OsStr) -> bool {
    let Some(text) = name.to_str() else {
        return false;
    };
    let text = match text.strip_prefix(WAITING) {
        Some(rest) => rest
            .strip_prefix(DISPLACED)
            .map_or(rest, |rest| rest.strip_prefix('-').unwrap_or_default()),
        None => text,
    };
    is_marker(name) || text.split('-').all(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A unique name for a file that was rotated at this
/// time.
pub(super) fn fresh(rotated: u128) -> OsString {
    format!("{rotated}-{}", unique()).into()
}

/// The same for the log.
pub(super) fn fresh_for_log() -> OsString {
    let now = nanos(SystemTime::now());
    format!("{WAITING}{now}-{}", unique()).into()
}

/// The same for a file of which nothing is known.
pub(super) fn fresh_untimed() -> OsString {
    format!("{WAITING}{DISPLACED}-{}", unique()).into()
}

/// The time in a name that [`fresh`] has made.
pub(super) fn named_time(name: &OsStr) -> Option<u128> {
    let name = name.to_str()?;
    let name = name.strip_prefix(WAITING).unwrap_or(name);
    let (time, _) = name.split_once('-')?;
    time.parse().ok()
}

/// What no other name has.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = nanos(SystemTime::now());
    let pid = std::process::id();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{nanos}-{pid}-{count}")
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_make_are_ours() {
        let ours = [
            fresh(17),
            fresh_for_log(),
            fresh_untimed(),
            "lock-17".into(),
            "new-17-1".into(),
        ];
        for name in ours {
            assert!(is_name(&name), "{}", name.display());
        }
        for name in [
            "",
            "-",
            "lock",
            "lock-",
            "lock-x",
            "new-",
            "new-x-1",
            "1-",
            "1-x",
            "data",
            "1-2.i",
            "new-displaced",
            "new-displaced1",
            "00manifest.i",
        ] {
            assert!(!is_name(OsStr::new(name)), "{name}");
        }
    }
}
