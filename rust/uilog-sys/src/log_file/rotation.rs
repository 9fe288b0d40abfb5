//! Which way a log file is rotated, and by whom.
//!
//! Responsible for one lock, that of the full file; no process waits for it. If
//! only uilog rotates a log, its old files are renamed (`numbered`). If other
//! programs rotate it as well, its old files also get hard links
//! (`second_names`), in a directory that must belong to this user; without such
//! a directory, they are only renamed. Must not know what is written.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::unistd::AccessFlags;
use nix::unistd::faccessat;

use super::names::LogDir;
use super::numbered;
use super::rules::ForeignRotation;
use super::rules::Id;
use super::rules::Outcome;
use super::rules::RotatedLog;
use super::second_names;
use super::second_names::RotationError;

/// The old files of the log at `path`, the newest first. While a rotation is
/// on, one may be listed by a name that it had, or be missing until they are
/// listed again.
///
/// # Errors
///
/// The directory cannot be read.
pub fn old_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    second_names::old_files(&LogDir::open(path, false)?)
}

/// Why a log cannot be rotated, or not without harm if other programs rotate
/// it, too.
#[derive(Debug, Default)]
pub struct Problems {
    /// Why it cannot be rotated at all, and continues to grow.
    pub growing: Option<io::Error>,
    /// Why the directory of second names is not used: what a stranger
    /// destroys while uilog rotates is lost.
    pub unprotected: Option<io::Error>,
}

/// Checks what would prevent the rotation of a log. Changes nothing.
pub(super) fn problems(log: &RotatedLog<'_>) -> Problems {
    let names = match LogDir::open(log.path, log.is_private) {
        Ok(names) => names,
        // It will be created with the log, or the log cannot be.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Problems::default();
        }
        Err(error) => {
            return Problems {
                growing: Some(error),
                unprotected: None,
            };
        }
    };
    let flags = AccessFlags::W_OK | AccessFlags::X_OK;
    let access =
        faccessat(&names.dir, ".", flags, nix::fcntl::AtFlags::empty());
    let growing = access
        .map_err(io::Error::from)
        .and_then(|()| numbered::check(&names, log.rotation.old_files))
        .err();
    let unprotected = (log.strangers == ForeignRotation::Yes)
        .then(|| second_names::problem(&names, log.rotation.old_files))
        .flatten();
    Problems {
        growing,
        unprotected,
    }
}

/// The numbers up to the limit that old files have, in order.
pub(super) fn old_numbers(log: &RotatedLog<'_>) -> io::Result<Vec<u32>> {
    let names = LogDir::open(log.path, log.is_private)?;
    let mut numbers = second_names::numbers(&names)?;
    numbers.retain(|number| *number <= log.rotation.old_files);
    Ok(numbers)
}

/// Rotates the log if it still is this file, which has this id.
///
/// # Errors
///
/// It cannot be rotated now.
pub(super) fn rotate(
    log: &RotatedLog<'_>,
    file: &File,
    id: Id,
) -> io::Result<Outcome> {
    let names = LogDir::open(log.path, log.is_private)?;
    let old_files = log.rotation.old_files;
    let kind = FlockArg::LockExclusiveNonblock;
    // The lock is released with this value, also where a forked child has a
    // copy of the descriptor.
    let lock = match Flock::lock(file.try_clone()?, kind) {
        Err((_, Errno::EWOULDBLOCK)) => return Ok(Outcome::Busy),
        lock => lock,
    };
    if log.strangers == ForeignRotation::Yes && old_files > 0 {
        match second_names::rotate(&names, old_files, id) {
            Ok(outcome) => return Ok(outcome),
            Err(RotationError::Before) => {}
            Err(RotationError::Within(error)) => return Err(error),
        }
    }
    match &lock {
        Ok(_) => numbered::rotate(&names, old_files, id),
        Err((_, errno)) => {
            let why = format!("it cannot be locked: {}", errno.desc());
            Err(io::Error::other(why))
        }
    }
}
