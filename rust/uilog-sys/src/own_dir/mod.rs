//! Directories in which uilog creates, renames and removes files.
//!
//! Responsible for one rule: other users may be able to change what is next to
//! a user's file. So a directory is opened once, and every file in it is named
//! relative to that descriptor; no other directory can be put in its place.
//! Links in it are never followed. Only regular files of this user or of root
//! are opened or removed. Modes are as requested, whatever the umask is. Must
//! not know what the files say.
//!
//! Files that other programs wrote are read through [`crate::foreign_file`].

mod private;
mod rules;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::AtFlags;
use nix::fcntl::OFlag;
use nix::fcntl::RenameFlags;
use nix::fcntl::openat;
use nix::fcntl::renameat;
use nix::fcntl::renameat2;
use nix::sys::stat::FileStat;
use nix::sys::stat::Mode;
use nix::sys::stat::fstat;
use nix::sys::stat::fstatat;
use nix::unistd::LinkatFlags;
use nix::unistd::UnlinkatFlags;
use nix::unistd::linkat;
use nix::unistd::unlinkat;

pub use self::rules::check_own;
pub use self::rules::is_link;
pub use self::rules::is_own;
pub use self::rules::is_regular;
pub use self::rules::is_trusted_owner;

/// How often a file is opened or created that others create and remove.
const MAX_ATTEMPTS: u32 = 100;

/// The flags of every open: no link is followed, nothing blocks, a terminal
/// does not become the controlling one, and no program inherits the descriptor.
const SAFE: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// A directory that is held open.
#[derive(Debug)]
pub struct OwnDir {
    fd: OwnedFd,
    /// For messages only.
    path: PathBuf,
}

impl OwnDir {
    /// Opens the directory of a user's file, whoever may write there. A link to
    /// it is followed, because the user chose it.
    ///
    /// # Errors
    ///
    /// It does not exist, or may not be read.
    pub fn beside_users_file(path: &Path) -> io::Result<Self> {
        let flags = (SAFE | OFlag::O_DIRECTORY) - OFlag::O_NOFOLLOW;
        let open = |flags| openat(AT_FDCWD, path, flags, Mode::empty());
        let fd = match open(flags) {
            // Names in it can be used although they cannot be listed.
            Err(Errno::EACCES) => open(flags | OFlag::O_PATH)?,
            fd => fd?,
        };
        let path = path.to_owned();
        Ok(Self { fd, path })
    }

    /// A directory that [`crate::append`] has reached.
    pub(crate) fn from_place(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its current status.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn status(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.fd)?)
    }

    /// Opens an existing file: a regular one, of this user or of root.
    ///
    /// # Errors
    ///
    /// It does not exist, or is not such a file.
    pub fn open(&self, name: &OsStr, flags: OFlag) -> io::Result<File> {
        let flags = flags - (OFlag::O_CREAT | OFlag::O_TRUNC);
        let fd = openat(&self.fd, name, flags | SAFE, Mode::empty())
            .map_err(explain)?;
        check_own(&fstat(&fd)?)?;
        Ok(File::from(fd))
    }

    /// Creates a file that must not exist, with exactly this mode.
    ///
    /// # Errors
    ///
    /// There is something of that name, or the system refuses.
    pub fn create_new(
        &self,
        name: &OsStr,
        flags: OFlag,
        mode: u32,
    ) -> io::Result<File> {
        let flags = flags | SAFE | OFlag::O_CREAT | OFlag::O_EXCL;
        let bits = Mode::from_bits_truncate(mode);
        let file = File::from(openat(&self.fd, name, flags, bits)?);
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Opens a file like [`Self::open`], or creates it.
    ///
    /// # Errors
    ///
    /// As of these two.
    pub fn open_or_create(
        &self,
        name: &OsStr,
        flags: OFlag,
        mode: u32,
    ) -> io::Result<File> {
        let mut attempts = 0;
        loop {
            match self.open(name, flags) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
            match self.create_new(name, flags, mode) {
                // Another process has been faster, and may remove it again.
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists
                        && attempts < MAX_ATTEMPTS =>
                {
                    attempts += 1;
                }
                result => return result,
            }
        }
    }

    /// Replaces the content of one of uilog's files by one rename, or creates
    /// it.
    ///
    /// # Errors
    ///
    /// The existing file is not one of uilog's, or the system refuses.
    pub fn replace(
        &self,
        name: &OsStr,
        temporary: &OsStr,
        mode: u32,
        text: &[u8],
    ) -> io::Result<()> {
        if let Some(status) = self.entry(name)? {
            check_own(&status)?;
        }
        self.remove(temporary)?;
        let mut file = self.create_new(temporary, OFlag::O_WRONLY, mode)?;
        io::Write::write_all(&mut file, text)?;
        drop(file);
        self.rename(temporary, name)
    }

    /// The file with this name, if any; a link is not followed.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn entry(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(None),
            status => Ok(Some(status?)),
        }
    }

    /// The same, but links are followed.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn entry_behind_links(
        &self,
        name: &OsStr,
    ) -> io::Result<Option<FileStat>> {
        match fstatat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::ENOENT) => Ok(None),
            status => Ok(Some(status?)),
        }
    }

    /// Renames a file in this directory, and replaces an existing one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        self.rename_to(from, self, to, RenameFlags::empty())
    }

    /// The same, to a directory that may be another one; by `renameat2`, if
    /// there are flags.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn rename_to(
        &self,
        from: &OsStr,
        directory: &Self,
        to: &OsStr,
        flags: RenameFlags,
    ) -> io::Result<()> {
        if flags.is_empty() {
            // Some file systems and sandboxes only support this call.
            return Ok(renameat(&self.fd, from, &directory.fd, to)?);
        }
        Ok(renameat2(&self.fd, from, &directory.fd, to, flags)?)
    }

    /// Gives a file a second name, perhaps in another directory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn link_to(
        &self,
        from: &OsStr,
        directory: &Self,
        to: &OsStr,
    ) -> io::Result<()> {
        let flags = LinkatFlags::empty();
        Ok(linkat(&self.fd, from, &directory.fd, to, flags)?)
    }

    /// Removes a file; it is no error if it does not exist.
    ///
    /// # Errors
    ///
    /// It is not a regular file of this user or of root, or the system refuses.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        let Some(status) = self.entry(name)? else {
            return Ok(());
        };
        check_own(&status)?;
        self.unlink(name)
    }

    /// Removes any name except a directory; it is no error if it does not
    /// exist. The caller must check that it may be removed.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
    }

    /// The names in it, at most `max_names`: `None` if there are more, which
    /// another user may have planted.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn names(&self, max_names: usize) -> io::Result<Option<Vec<OsString>>> {
        let names = self.some_names(max_names.saturating_add(1), |_| true)?;
        Ok((names.len() <= max_names).then_some(names))
    }

    /// Some of the wanted names in it, at most so many; callers process these
    /// and ask again.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn some_names(
        &self,
        max_names: usize,
        is_wanted: impl Fn(&OsStr) -> bool,
    ) -> io::Result<Vec<OsString>> {
        let flags = SAFE | OFlag::O_DIRECTORY;
        let mut dir = Dir::openat(&self.fd, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            if names.len() == max_names {
                break;
            }
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let name = OsStr::from_bytes(name);
            if name != "." && name != ".." && is_wanted(name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

impl AsFd for OwnDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::ELOOP => io::Error::other("it is a symbolic link"),
        errno => errno.into(),
    }
}
