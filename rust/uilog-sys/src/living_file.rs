//! Files that show whether the processes that use them are alive.
//!
//! Responsible for a lock that the kernel releases when its holder ends, in
//! whatever way. A file is locked before it gets its name, so a file of a
//! living process is never seen unlocked. Each lock belongs to one open file
//! description, which the holder does not pass on; a forked child must close
//! its copy ([`crate::fork::CloseInChild`]), or it counts as the holder. Must
//! not know what the files say.
//!
//! Other processes open the file by its path to check the lock. Locks are
//! visible in other pid namespaces, but not on other machines, so the directory
//! must be on a local file system.

use std::ffi::OsStr;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

use nix::errno::Errno;
use nix::fcntl::FcntlArg;
use nix::fcntl::OFlag;
use nix::fcntl::RenameFlags;
use nix::fcntl::fcntl;
use nix::sys::stat::Mode;
use nix::sys::stat::fstat;

use crate::own_dir::OwnDir;

/// Who holds a file: each has a byte of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The process that has created it, and writes.
    Maker,
    /// The process that reads it.
    Reader,
}

impl Holder {
    fn lock(self, kind: i32) -> libc::flock {
        let start = match self {
            Self::Maker => 0,
            Self::Reader => 1,
        };
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: 1,
            l_pid: 0,
        }
    }
}

/// Prefix of files that do not have their final name yet. Remaining ones belong
/// to no process: their creator was killed.
pub const UNFINISHED: &str = ".new-";

/// Creates a file, for this user only, that its creator locks before it gets
/// its name. `fill` writes its content before that.
///
/// A file without a name (`O_TMPFILE`) that is linked through /proc would take
/// half as long again, and hg would wait for it.
///
/// # Errors
///
/// The name exists, or a system call fails.
pub fn create(
    dir: &OwnDir,
    name: &OsStr,
    fill: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<File> {
    let mut unfinished = OsStr::new(UNFINISHED).to_owned();
    unfinished.push(name);
    let file = create_unfinished(dir, &unfinished)?;
    let made = hold(&file, Holder::Maker)
        .and_then(|_| fill(&file))
        .and_then(|()| finish(dir, &unfinished, name));
    if let Err(error) = made {
        let _ = dir.unlink(&unfinished);
        return Err(error);
    }
    Ok(file)
}

fn create_unfinished(dir: &OwnDir, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_CREAT
        | OFlag::O_EXCL
        | OFlag::O_NOFOLLOW
        | OFlag::O_RDWR
        | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let file = File::from(nix::fcntl::openat(dir, name, flags, mode)?);
    // A umask may remove the owner's permissions.
    if fstat(&file)?.st_mode & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Renames a file, unless the new name exists.
fn finish(dir: &OwnDir, unfinished: &OsStr, name: &OsStr) -> io::Result<()> {
    let flags = RenameFlags::RENAME_NOREPLACE;
    match dir.rename_to(unfinished, dir, name, flags) {
        // Not every file system can.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            dir.link_to(unfinished, dir, name)?;
            dir.unlink(unfinished)
        }
        renamed => renamed,
    }
}

/// Whether two descriptors are of the same file.
///
/// # Errors
///
/// The system's.
pub fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let [one, other] = [fstat(one)?, fstat(other)?];
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Opens a file again, whatever its name is by now, with its own locks.
///
/// # Errors
///
/// There is no /proc, or no free descriptor.
pub fn open_again(file: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).write(true).open(path)
}

/// Locks a file as `holder`, without blocking; false if another process holds
/// it.
///
/// # Errors
///
/// The file system does not support locks.
pub fn hold(file: &File, holder: Holder) -> io::Result<bool> {
    let lock = holder.lock(libc::F_WRLCK);
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Unlocks a file that was locked as `holder`.
///
/// # Errors
///
/// The system's.
pub fn unlock(file: &File, holder: Holder) -> io::Result<()> {
    let lock = holder.lock(libc::F_UNLCK);
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock))?;
    Ok(())
}

/// Whether another process holds a file as `holder`.
///
/// # Errors
///
/// The file system does not support locks.
pub fn is_held(file: &File, holder: Holder) -> io::Result<bool> {
    let mut lock = holder.lock(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Whether the file that is open still has this name.
///
/// # Errors
///
/// The system's.
pub fn has_name(file: &File, dir: &OwnDir, name: &OsStr) -> io::Result<bool> {
    let own = fstat(file)?;
    let entry = dir.entry(name)?;
    Ok(entry
        .is_some_and(|it| (it.st_dev, it.st_ino) == (own.st_dev, own.st_ino)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;
    use std::process::Command;
    use std::process::Stdio;
    use std::time::Duration;
    use std::time::Instant;

    use super::*;

    fn directory() -> (tempfile::TempDir, OwnDir) {
        let dir = tempfile::tempdir().expect("a directory");
        let own = OwnDir::beside_users_file(dir.path()).expect("it opens");
        (dir, own)
    }

    const NAME: &str = "page";

    /// Its maker's lock is free soon: a child that another test is just
    /// starting has copies of all descriptors, until it becomes its program.
    #[track_caller]
    fn assert_let_go(file: &File) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_held(file, Holder::Maker).expect("known") {
            assert!(Instant::now() < deadline, "somebody holds it");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_file_is_held_and_filled_when_it_has_its_name() {
        let (dir, own) = directory();
        let name = OsStr::new(NAME);
        let file = create(&own, name, |file| {
            assert!(!dir.path().join(NAME).exists());
            (&*file).write_all(b"said")
        })
        .expect("created");
        assert!(has_name(&file, &own, name).expect("there"));
        let other = own.open(name, OFlag::O_RDWR).expect("it opens");
        let mut text = [0; 4];
        other.read_exact_at(&mut text, 0).expect("readable");
        assert_eq!(&text, b"said");
        assert!(is_held(&other, Holder::Maker).expect("known"));
        assert!(!hold(&other, Holder::Maker).expect("known"));
        assert!(!is_held(&other, Holder::Reader).expect("known"));
        assert!(hold(&other, Holder::Reader).expect("known"));
        assert!(is_held(&file, Holder::Reader).expect("known"));
        unlock(&other, Holder::Reader).expect("let go");
        assert!(!is_held(&file, Holder::Reader).expect("known"));
        drop(file);
        assert_let_go(&other);
    }

    #[test]
    fn what_has_the_name_already_stays() {
        let (dir, own) = directory();
        std::fs::write(dir.path().join(NAME), b"x").expect("written");
        create(&own, OsStr::new(NAME), |_| Ok(())).expect_err("it is there");
        let names = own.names(9).expect("readable").expect("few");
        assert_eq!(names, [NAME]);
    }

    #[test]
    fn a_file_that_could_not_be_filled_has_no_name() {
        let (_dir, own) = directory();
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let made = create(&own, OsStr::new(NAME), |_| Err(full()));
        assert_eq!(made.expect_err("full").kind(), full().kind());
        assert_eq!(own.names(9).expect("readable").expect("few").len(), 0);
    }

    #[test]
    fn the_kernel_lets_go_for_whoever_is_killed() {
        let (_dir, own) = directory();
        let name = OsStr::new(NAME);
        let file = create(&own, name, |_| Ok(())).expect("created");
        let other = own.open(name, OFlag::O_RDWR).expect("it opens");
        // The description that holds it is this child's alone from now on.
        let mut child = Command::new("sleep")
            .arg("1000")
            .stdin(Stdio::from(OwnedFd::from(file)))
            .spawn()
            .expect("started");
        assert!(is_held(&other, Holder::Maker).expect("known"));
        child.kill().expect("killed");
        child.wait().expect("ended");
        assert_let_go(&other);
    }
}
