//! The system calls of the spool: a few calls on files, and the time.
//!
//! All calls go through [`Files`], so that tests can make any call fail, cut a
//! write at any byte, and simulate a power cut. [`System`] is the real
//! implementation and decides nothing.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::libc;
use nix::sys::stat::fstat;
use nix::sys::stat::lstat;
use nix::time::ClockId;
use nix::time::clock_gettime;
use uilog_sys::own_dir;

use crate::error::Error;
use crate::place;

/// Files are readable and writable by their owner only.
const FILE_MODE: u32 = 0o600;
const OTHERS_WRITE: u32 = 0o022;
/// Linux's file with the ID of the current boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The system calls. Each method is one call and may fail as that does, also
/// with `Interrupted`; [`Files::append`] and [`Files::read`] may process less
/// than requested.
pub trait Files {
    /// An open file.
    type File: Debug;
    /// An exclusive lock, held until it is dropped or its process ends.
    type Lock: Debug;

    /// Creates the spool's directory if it does not exist, and checks that
    /// other users can neither write there nor replace it; directories above
    /// `home` are not checked.
    ///
    /// # Errors
    ///
    /// It is not safe, or cannot be created.
    fn prepare(&self, dir: &Path, home: Option<&Path>) -> Result<(), Error>;

    /// The names in a directory.
    ///
    /// # Errors
    ///
    /// The system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a file that must not exist.
    ///
    /// # Errors
    ///
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file that exists, to read it and to append to it.
    ///
    /// # Errors
    ///
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Locks a file, or returns that another process has locked it. Never
    /// blocks.
    ///
    /// # Errors
    ///
    /// The system's.
    fn lock(&self, file: &Self::File) -> io::Result<Option<Self::Lock>>;

    /// Writes at the file's end; how many of the bytes, is returned.
    ///
    /// # Errors
    ///
    /// The system's.
    fn append(&self, file: &Self::File, bytes: &[u8]) -> io::Result<usize>;

    /// Reads at a position; how many bytes, is returned, 0 at the end.
    ///
    /// # Errors
    ///
    /// The system's.
    fn read(
        &self,
        file: &Self::File,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<usize>;

    /// What an open file is like now.
    ///
    /// # Errors
    ///
    /// The system's.
    fn status(&self, file: &Self::File) -> io::Result<Status>;

    /// The length of the file of a name.
    ///
    /// # Errors
    ///
    /// The system's.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Cuts a file off.
    ///
    /// # Errors
    ///
    /// The system's.
    fn truncate(&self, file: &Self::File, length: u64) -> io::Result<()>;

    /// Returns when what the file holds would survive a power cut.
    ///
    /// # Errors
    ///
    /// The system's.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Returns when a directory's names would survive a power cut.
    ///
    /// # Errors
    ///
    /// The system's.
    fn sync_directory(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, and replaces an existing one.
    ///
    /// # Errors
    ///
    /// The system's, or the existing file is not one of uilog's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// The system's, or it is not a file of the spool.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Sets a file's modification time to now, for processes that check since
    /// when a lock is held. Does nothing if there is no such time.
    ///
    /// # Errors
    ///
    /// The system's.
    fn touch(&self, file: &Self::File) -> io::Result<()> {
        let _ = file;
        Ok(())
    }

    /// The time.
    fn now(&self) -> Now;

    /// A random number.
    ///
    /// # Errors
    ///
    /// The system's.
    fn random(&self) -> io::Result<u64>;
}

/// What an open file is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its length in bytes.
    pub length: u64,
    /// It still has a name.
    pub is_linked: bool,
}

/// The time, by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970, by a clock that may jump.
    pub wall_ms: u64,
    /// Milliseconds since the system has been started, by one that does not.
    pub boot_ms: u64,
    /// Which start of which system that was; zeros if it is not known.
    pub boot: [u8; 16],
}

/// The real system.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Files for System {
    type File = File;
    type Lock = Flock<File>;

    fn prepare(&self, dir: &Path, home: Option<&Path>) -> Result<(), Error> {
        place::prepare(dir, home)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let file = options().create_new(true).open(path)?;
        set_own_mode(&file)?;
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        let file = options().open(path)?;
        own_dir::check_own(&fstat(&file)?)?;
        Ok(file)
    }

    // The guard has its own descriptor of the same open file, so it need not
    // borrow. It unlocks when it is dropped, and not when the last copy of the
    // descriptor is closed.
    fn lock(&self, file: &File) -> io::Result<Option<Flock<File>>> {
        let copy = file.try_clone()?;
        match Flock::lock(copy, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn read(
        &self,
        file: &File,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<usize> {
        file.read_at(buffer, position)
    }

    fn status(&self, file: &File) -> io::Result<Status> {
        let status = fstat(file)?;
        Ok(Status {
            length: u64::try_from(status.st_size).unwrap_or(0),
            is_linked: status.st_nlink > 0,
        })
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::symlink_metadata(path)?.size())
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match check_own(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            checked => checked?,
        }
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        check_own(path)?;
        fs::remove_file(path)
    }

    fn touch(&self, file: &File) -> io::Result<()> {
        file.set_modified(SystemTime::now())
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            wall_ms: wall.map_or(0, |it| milliseconds(it.as_millis())),
            boot_ms: boot_ms(),
            boot: boot(),
        }
    }

    fn random(&self) -> io::Result<u64> {
        getrandom::u64().map_err(io::Error::other)
    }
}

/// A FIFO in the place of a file is not waited for, a link not followed.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .mode(FILE_MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}

/// Undoes what the umask has made of the mode of a new file.
fn set_own_mode(file: &File) -> io::Result<()> {
    let mode = fstat(file)?.st_mode;
    if is_own_mode(mode) {
        return Ok(());
    }
    match file.set_permissions(Permissions::from_mode(FILE_MODE)) {
        // A file system that has one mode for all of its files.
        Err(_) if is_safe_mode(mode) => Ok(()),
        result => result,
    }
}

fn is_own_mode(mode: u32) -> bool {
    mode & 0o777 == FILE_MODE
}

/// Whether the owner can read and write the file, and only the owner can write.
fn is_safe_mode(mode: u32) -> bool {
    mode & (FILE_MODE | OTHERS_WRITE) == FILE_MODE
}

/// Fails unless this is the name of a file of uilog's. Other files are neither
/// replaced nor removed. No other user can change that in between, because only
/// this user can write to the directory.
fn check_own(path: &Path) -> io::Result<()> {
    own_dir::check_own(&lstat(path)?)
}

fn milliseconds(milliseconds: u128) -> u64 {
    u64::try_from(milliseconds).unwrap_or(u64::MAX)
}

#[cfg(target_os = "linux")]
const BOOT_CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const BOOT_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

fn boot_ms() -> u64 {
    clock_gettime(BOOT_CLOCK).map_or(0, |time| {
        let time = std::time::Duration::from(time);
        milliseconds(time.as_millis())
    })
}

/// Read once, since it cannot change while a process lives.
fn boot() -> [u8; 16] {
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let digits: String = text.chars().filter(|it| *it != '-').collect();
        u128::from_str_radix(digits.trim(), 16)
            .unwrap_or(0)
            .to_be_bytes()
    })
}

/// Calls again what a signal has interrupted.
pub(crate) fn retry<T>(
    mut call: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_cannot_be_changed_must_keep_others_from_writing() {
        for (mode, is_own, is_safe) in [
            (0o100600, true, true),
            (0o100644, false, true),
            (0o100700, false, true),
            (0o100400, false, false),
            (0o100620, false, false),
            (0o100602, false, false),
        ] {
            assert_eq!(is_own_mode(mode), is_own, "{mode:o}");
            assert_eq!(is_safe_mode(mode), is_safe, "{mode:o}");
        }
    }
}
