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

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
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
use nix::sys::stat::SFlag;
use nix::sys::stat::fstat;
use nix::sys::stat::fstatat;
use nix::sys::stat::mkdirat;
use nix::unistd::LinkatFlags;
use nix::unistd::UnlinkatFlags;
use nix::unistd::geteuid;
use nix::unistd::linkat;
use nix::unistd::unlinkat;

/// The write permissions of other users.
const OTHERS_WRITE: u32 = 0o022;

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

const DIRECTORY: SFlag = SFlag::S_IFDIR;

fn is_kind(status: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == kind
}

/// Whether something is a symbolic link.
pub fn is_link(status: &FileStat) -> bool {
    is_kind(status, SFlag::S_IFLNK)
}

/// Whether something is a regular file.
pub fn is_regular(status: &FileStat) -> bool {
    is_kind(status, SFlag::S_IFREG)
}

/// Whether something belongs to this user.
pub fn is_own(status: &FileStat) -> bool {
    status.st_uid == geteuid().as_raw()
}

/// Whether something belongs to this user or to root.
pub fn is_trusted_owner(status: &FileStat) -> bool {
    [geteuid().as_raw(), 0].contains(&status.st_uid)
}

/// Fails if it is not a regular file of this user or of root.
///
/// # Errors
///
/// What is wrong.
pub fn check_own(status: &FileStat) -> io::Result<()> {
    if !is_regular(status) {
        return Err(io::Error::other("it is not a regular file"));
    }
    if !is_trusted_owner(status) {
        return Err(io::Error::other("it belongs to another user"));
    }
    Ok(())
}

fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::ELOOP => io::Error::other("it is a symbolic link"),
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn name(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    fn directory() -> (tempfile::TempDir, OwnDir) {
        let dir = tempfile::tempdir().expect("a directory");
        let own = OwnDir::beside_users_file(dir.path()).expect("it opens");
        (dir, own)
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_not_followed() {
        let (dir, own) = directory();
        fs::create_dir(dir.path().join("victim")).expect("created");
        symlink("victim", dir.path().join("kept")).expect("a link");
        own.create_private(name("kept")).expect_err("a link");
        symlink("nowhere", dir.path().join("dangling")).expect("a link");
        own.create_private(name("dangling")).expect_err("a link");
        let mode = Permissions::from_mode(0o770);
        fs::set_permissions(dir.path().join("victim"), mode).expect("ours");
        own.create_private(name("victim"))
            .expect_err("the group writes");
    }

    #[test]
    fn a_link_in_place_of_a_file_is_neither_opened_nor_removed() {
        let (dir, own) = directory();
        fs::write(dir.path().join("victim"), b"x").expect("written");
        symlink("victim", dir.path().join("log")).expect("a link");
        own.open_or_create(name("log"), OFlag::O_RDWR, 0o600)
            .expect_err("a link");
        own.remove(name("log")).expect_err("a link");
        own.replace(name("log"), name("log.new"), 0o600, b"y")
            .expect_err("a link");
        own.replace(name("victim"), name("log"), 0o600, b"y")
            .expect_err("a link");
        let text = fs::read(dir.path().join("victim")).expect("still there");
        assert_eq!(text, b"x");
    }

    #[test]
    fn missing_directories_are_created_and_links_among_them_refused() {
        let (dir, own) = directory();
        let deep = dir.path().join("a/b/c");
        OwnDir::create_path(&deep).expect("created");
        OwnDir::create_path(&deep).expect("there");
        for dir in deep.ancestors().take(3) {
            let mode = fs::metadata(dir).expect("there").mode();
            assert_eq!(mode & 0o777, 0o700, "{}", dir.display());
        }
        OwnDir::create_path(&dir.path().join("a/../d")).expect("created");
        assert!(dir.path().join("d").is_dir());
        symlink("elsewhere", dir.path().join("e")).expect("a link");
        OwnDir::create_path(&dir.path().join("e/f")).expect_err("a link");
        // What a process with a strange umask is just creating.
        let none = Permissions::from_mode(0o000);
        fs::set_permissions(dir.path().join("d"), none).expect("ours");
        own.create_private(name("d")).expect("ours");
        let mode = fs::metadata(dir.path().join("d")).expect("there").mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn names_are_bounded() {
        let (dir, own) = directory();
        for count in 0..3 {
            fs::write(dir.path().join(count.to_string()), b"").expect("made");
        }
        assert_eq!(own.names(2).expect("readable"), None);
        let names = own.names(3).expect("readable").expect("three");
        assert_eq!(names.len(), 3);
        let some = own.some_names(1, |name| name != "0").expect("readable");
        assert_eq!(some.len(), 1);
        assert_ne!(some[0], "0");
    }

    #[test]
    fn replacing_leaves_one_file_with_the_mode_asked_for() {
        let (dir, own) = directory();
        for text in [b"old", b"new"] {
            own.replace(name("retry"), name("retry.new"), 0o600, text)
                .expect("replaced");
        }
        let path = dir.path().join("retry");
        assert_eq!(fs::read(&path).expect("there"), b"new");
        let mode = fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(own.names(9).expect("readable").expect("few").len(), 1);
    }
}
