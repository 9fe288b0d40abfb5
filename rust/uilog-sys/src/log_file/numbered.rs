//! Rotation by renaming, under a lock: for logs that only uilog rotates.
//!
//! Responsible only for the numbers of old files. The caller holds the lock of
//! the file that is rotated. The last step renames that file to `.1`. If the
//! process is killed before that, the numbers have a gap, which the next
//! rotation fills; nothing else has to be cleaned up.
//!
//! If Mercurial rotates the same file at the same time, it loses no file
//! because of this module, since no step replaces a name.

use std::io;

use super::names::LogDir;
use super::rules::Id;
use super::rules::Outcome;
use super::rules::id_of;

/// Rotates the log if it still is the file with this id.
///
/// # Errors
///
/// It cannot be rotated: something else has the name of an old file, or the
/// system refuses.
pub(super) fn rotate(
    names: &LogDir,
    old_files: u32,
    id: Id,
) -> io::Result<Outcome> {
    if !names.is_current(id)? {
        return Ok(Outcome::NoLongerCurrent);
    }
    match shift(names, old_files, id) {
        // A process without the lock has been faster.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
            ) =>
        {
            Ok(Outcome::Busy)
        }
        shifted => shifted.map(|()| Outcome::NoLongerCurrent),
    }
}

/// What would be in the way of a rotation now.
///
/// # Errors
///
/// It says so.
pub(super) fn check(names: &LogDir, old_files: u32) -> io::Result<()> {
    free_number(names, old_files).map(drop)
}

/// The first number that no old file has, up to `old_files`.
fn free_number(names: &LogDir, old_files: u32) -> io::Result<Option<u32>> {
    for number in 1..=old_files {
        if !names.has_old_log(number)? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn shift(names: &LogDir, old_files: u32, id: Id) -> io::Result<()> {
    if old_files == 0 {
        return names.dir.unlink(names.log());
    }
    let free = match free_number(names, old_files)? {
        Some(number) => number,
        None => {
            names.dir.unlink(&names.number(old_files))?;
            old_files
        }
    };
    for number in (1..free).rev() {
        let (from, to) = (names.number(number), names.number(number + 1));
        names.rename_to_free(&from, &to)?;
    }
    let first = names.number(1);
    names.rename_to_free(names.log(), &first)?;
    // Since the last check, another process may have put another file in the
    // log's place.
    match names.dir.entry(&first)? {
        Some(status) if id_of(&status) != id && !names.is_log(&status) => {
            names.rename_to_free(&first, names.log())?;
            Err(io::Error::other("it was replaced meanwhile"))
        }
        _ => Ok(()),
    }
}
