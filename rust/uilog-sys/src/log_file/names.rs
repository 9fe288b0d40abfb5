//! The directory of a log, and the names there that a rotation may touch.
//!
//! Responsible for which files are old logs: `NAME.1`, `NAME.2` and so on, if
//! they are files of the kind that a log is. Everything is named relative to
//! the directory, which is opened once. Must not know how files are rotated.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::RenameFlags;
use nix::sys::stat::FileStat;

use super::rules::Id;
use super::rules::id_of;
use crate::own_dir;
use crate::own_dir::OwnDir;

/// A log's directory, held open.
#[derive(Debug)]
pub(super) struct LogDir {
    pub(super) dir: OwnDir,
    log: OsString,
    /// Whether only files of this user or of root are old logs. Else those of
    /// others are, too, and links: Mercurial moves them like files, and users
    /// of a shared repository rotate each other's.
    is_private: bool,
}

impl LogDir {
    pub(super) fn open(path: &Path, is_private: bool) -> io::Result<Self> {
        let log = path.file_name().unwrap_or_default().to_owned();
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let dir = OwnDir::beside_users_file(parent)?;
        Ok(Self {
            dir,
            log,
            is_private,
        })
    }

    /// The log's name.
    pub(super) fn log(&self) -> &OsStr {
        &self.log
    }

    /// The name of an old file.
    pub(super) fn number(&self, number: u32) -> OsString {
        let mut name = self.log.clone();
        name.push(format!(".{number}"));
        name
    }

    /// The number in a name, if that is of an old file.
    pub(super) fn number_of(&self, name: &OsStr) -> Option<u32> {
        let number = name.as_bytes().strip_prefix(self.log.as_bytes())?;
        let number = std::str::from_utf8(number.strip_prefix(b".")?).ok()?;
        let is_plain = number.bytes().all(|it| it.is_ascii_digit())
            && !number.starts_with('0');
        number.parse().ok().filter(|_| is_plain)
    }

    /// Whether the log still is the file with this id.
    pub(super) fn is_current(&self, id: Id) -> io::Result<bool> {
        let status = if self.is_private {
            self.dir.entry(&self.log)?
        } else {
            self.dir.entry_behind_links(&self.log)?
        };
        Ok(status.is_some_and(|status| id_of(&status) == id))
    }

    /// Whether a file may be an old log, by its kind.
    pub(super) fn is_log(&self, status: &FileStat) -> bool {
        self.check(status).is_ok()
    }

    fn check(&self, status: &FileStat) -> io::Result<()> {
        if self.is_private {
            own_dir::check_own(status)
        } else if own_dir::is_regular(status) || own_dir::is_link(status) {
            Ok(())
        } else {
            Err(io::Error::other("it is not a regular file"))
        }
    }

    /// Whether there is an old file with this number.
    ///
    /// # Errors
    ///
    /// Something else has its name.
    pub(super) fn has_old_log(&self, number: u32) -> io::Result<bool> {
        let name = self.number(number);
        let Some(status) = self.dir.entry(&name)? else {
            return Ok(false);
        };
        self.check(&status).map(|()| true).map_err(|error| {
            let name = name.to_string_lossy();
            io::Error::other(format!("{name} is in the way: {error}"))
        })
    }

    /// Gives a file a name that nothing has.
    ///
    /// # Errors
    ///
    /// Something has it, or the system refuses.
    pub(super) fn rename_to_free(
        &self,
        from: &OsStr,
        to: &OsStr,
    ) -> io::Result<()> {
        rename_to_free(&self.dir, from, &self.dir, to)
    }
}

/// The same, from one directory to another.
pub(super) fn rename_to_free(
    from_dir: &OwnDir,
    from: &OsStr,
    to_dir: &OwnDir,
    to: &OsStr,
) -> io::Result<()> {
    let flags = RenameFlags::RENAME_NOREPLACE;
    match from_dir.rename_to(from, to_dir, to, flags) {
        // Network file systems. A file that another process puts there in this
        // instant is lost.
        Err(error) if has_no_flags(&error) => match to_dir.entry(to)? {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => from_dir.rename_to(from, to_dir, to, RenameFlags::empty()),
        },
        renamed => renamed,
    }
}

/// Whether a file system cannot exchange names, or spare one that is taken.
pub(super) fn has_no_flags(error: &io::Error) -> bool {
    const UNKNOWN: [Errno; 2] = [Errno::EINVAL, Errno::ENOSYS];
    let code = error.raw_os_error();
    code.is_some_and(|code| UNKNOWN.contains(&Errno::from_raw(code)))
}
