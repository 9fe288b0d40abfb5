//! Directories that must be the user's alone.

use std::ffi::OsStr;
use std::fs;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::fcntl::openat;
use nix::sys::stat::Mode;
use nix::sys::stat::fstat;
use nix::sys::stat::mkdirat;

use super::OwnDir;
use super::SAFE;
use super::rules::DIRECTORY;
use super::rules::OTHERS_WRITE;
use super::rules::is_kind;
use super::rules::is_own;

impl OwnDir {
    /// Creates a directory, and missing ones above it, for this user only. It
    /// is no error if it exists; the caller must check its owner.
    ///
    /// # Errors
    ///
    /// The existing file is not a directory, or the system refuses.
    pub fn create_path(path: &Path) -> io::Result<()> {
        let is_there = |dir: &&Path| {
            dir.as_os_str().is_empty() || fs::metadata(dir).is_ok()
        };
        let Some(last) = path.ancestors().find(is_there) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let missing = path.strip_prefix(last).map_err(io::Error::other)?;
        let last = match last.as_os_str().is_empty() {
            true => Path::new("."),
            false => last,
        };
        let mut dir = Self::beside_users_file(last)?;
        for name in missing {
            dir = match name.as_bytes() {
                b".." => Self::beside_users_file(&dir.path.join(name))?,
                _ => dir.create_private(name)?,
            };
        }
        Ok(())
    }

    /// Opens a directory in this one that only this user can change: not a
    /// link, of this user, and not writable by other users.
    ///
    /// # Errors
    ///
    /// There is no such directory, or others can change it.
    pub fn open_private(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        let flags = SAFE | OFlag::O_DIRECTORY;
        let fd =
            openat(&self.fd, name, flags, Mode::empty()).map_err(|errno| {
                match errno {
                    // What a link in its place makes of O_DIRECTORY.
                    Errno::ELOOP | Errno::ENOTDIR => {
                        io::Error::other("not a directory of ours")
                    }
                    errno => errno.into(),
                }
            })?;
        let status = fstat(&fd)?;
        if !is_own(&status) {
            return Err(io::Error::other("it belongs to another user"));
        }
        if status.st_mode & OTHERS_WRITE != 0 {
            return Err(io::Error::other("other users may write there"));
        }
        Ok(Self { fd, path })
    }

    /// Creates a directory in this one for this user only, unless it exists,
    /// and opens it like [`Self::open_private`].
    ///
    /// # Errors
    ///
    /// It cannot be created, or other users can write to it.
    pub fn create_private(&self, name: &OsStr) -> io::Result<Self> {
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            // A process that is just creating it may not have come to this.
            Err(Errno::EEXIST) if self.has_no_mode(name) => {
                self.set_own_mode(name, 0o700)?;
            }
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
            Ok(()) => self.set_own_mode(name, 0o700)?,
        }
        self.open_private(name)
    }

    /// Whether it is a directory of this user without any permission, because
    /// of a umask.
    fn has_no_mode(&self, name: &OsStr) -> bool {
        self.entry(name).ok().flatten().is_some_and(|status| {
            is_kind(&status, DIRECTORY)
                && is_own(&status)
                && status.st_mode & 0o777 == 0
        })
    }

    /// Sets the owner's permissions, which a umask may have removed.
    fn set_own_mode(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        // A directory without any rights can be opened as a place only, and
        // its mode can be changed by way of /proc only.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let place = openat(&self.fd, name, flags, Mode::empty())?;
        let status = fstat(&place)?;
        if !is_own(&status) || !is_kind(&status, DIRECTORY) {
            return Err(io::Error::other("it has been replaced"));
        }
        if status.st_mode & 0o777 == mode {
            return Ok(());
        }
        let path = format!("/proc/self/fd/{}", place.as_raw_fd());
        fs::set_permissions(path, Permissions::from_mode(mode))
    }
}
