//! Log files that many processes append to, and that are rotated by size.
//!
//! Responsible for guarantees that hold even if other programs write the file:
//! a line is appended by one `write`, nothing blocks, and no rotation loses a
//! line. Must not know what a line says. `rotation` has how files are rotated.

mod kept_dir;
mod names;
mod numbered;
mod rotation;
mod rules;
mod second_names;

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::libc;
use nix::sys::stat::FileStat;
use nix::sys::stat::SFlag;
use nix::sys::stat::fstat;

pub use self::rotation::Problems;
pub use self::rotation::old_files;
use self::rules::ForeignRotation;
use self::rules::Outcome;
use self::rules::RotatedLog;
pub use self::rules::Rotation;
use self::rules::id_of;
use crate::own_dir;

/// How often a file may be removed before a writer gives up. Each removal is
/// progress of another process.
const MAX_ATTEMPTS: u32 = 16;

/// How often a writer finds a full file and rotates it before it adds to the
/// next one, full or not.
const MAX_ROTATIONS: u32 = 3;

/// If a file is removed within this time of a write to it, that counts as
/// simultaneous, and no rotation is that fast. Reading the number of names
/// costs a tenth of a record.
const SAME_TIME: Duration = Duration::from_micros(20);

/// If a log grows by more than its size, and by more than this, while others
/// hold its lock, that is reported: no rotation takes so long.
const MIN_BUSY_GROWTH: u64 = 1 << 20;

/// What NFS says of a file that the server has replaced meanwhile: to open it
/// once more finds the new one.
const STALE: i32 = libc::ESTALE;

/// A log file.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    mode: Option<u32>,
    is_private: bool,
    strangers: ForeignRotation,
}

/// Whether a file that is missing is created.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Creation {
    No,
    /// It must be missing.
    Only,
    /// Unless another process does it first.
    IfMissing,
}

/// A record that has been appended.
#[derive(Debug)]
#[must_use]
pub struct Appended {
    /// Why a due rotation has failed: the file continues to grow.
    pub not_rotated: Option<io::Error>,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening the file.
    Open,
    /// Appending to it. A part of the record may have been written.
    Write,
}

/// A record that has not been appended.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Error {
    operation: Operation,
    path: PathBuf,
    written: usize,
    source: io::Error,
}

impl Error {
    /// What could not be done.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// How many bytes of the record are in the file nevertheless.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Why.
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

impl LogFile {
    /// The file at `path`, which may be a link to it. It is created with the
    /// first record; its directory is not.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            rotation: None,
            mode: None,
            is_private: false,
            strangers: ForeignRotation::No,
        }
    }

    /// Rotates the file.
    #[must_use]
    pub fn rotated(mut self, rotation: Rotation) -> Self {
        self.rotation = (rotation.max_bytes > 0).then_some(rotation);
        self
    }

    /// The permissions of new files, whatever the umask is. Files are not
    /// executable.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Mercurial rotates the file, too: its old files get hard links in a
    /// directory beside it, if possible.
    #[must_use]
    pub fn shared_with_mercurial(mut self) -> Self {
        self.strangers = ForeignRotation::Yes;
        self
    }

    /// Does not write to a file that another user may have put there, and does
    /// not rotate it: no links, and only files of this user or of root.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it is rotated, if it is.
    pub fn rotation(&self) -> Option<Rotation> {
        self.rotation
    }

    /// Checks what would prevent the rotation of the file. Changes nothing.
    pub fn rotation_problems(&self) -> Problems {
        self.rotation.map_or_else(Problems::default, |rotation| {
            rotation::problems(&self.rotated_by(rotation))
        })
    }

    /// The numbers of the old files that a rotation would move, in order.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, or has too many entries.
    pub fn old_numbers(&self) -> io::Result<Vec<u32>> {
        self.rotation.map_or(Ok(Vec::new()), |rotation| {
            rotation::old_numbers(&self.rotated_by(rotation))
        })
    }

    /// Appends a record by one `write`, after a rotation if one is due. A
    /// failed rotation does not lose the record.
    ///
    /// Does not block: if another process is rotating the file, the record goes
    /// into the existing file. Only regular files are written; a FIFO, a device
    /// or a directory is refused.
    ///
    /// # Errors
    ///
    /// The record is not in the file, or not completely.
    pub fn append(&self, record: &[u8]) -> Result<Appended, Error> {
        let mut not_rotated = None;
        let mut stale = None;
        for attempt in 0..MAX_ATTEMPTS {
            let may_rotate = attempt < MAX_ROTATIONS && not_rotated.is_none();
            let start = Instant::now();
            let (mut file, status) = self
                .open()
                .map_err(|source| self.error(Operation::Open, source))?;
            if let Some(rotation) = self.due(&status).filter(|_| may_rotate) {
                match rotation::rotate(
                    &self.rotated_by(rotation),
                    &file,
                    id_of(&status),
                ) {
                    Ok(Outcome::NoLongerCurrent) => continue,
                    Ok(Outcome::Busy) => {
                        not_rotated = busy_for_long(rotation, &status);
                    }
                    Err(source) => {
                        not_rotated = Some(source);
                        // It may have been moved before that.
                        continue;
                    }
                }
            }
            match write(&mut file, record) {
                Ok(()) => {}
                Err((0, source)) if source.raw_os_error() == Some(STALE) => {
                    stale = Some(source);
                    continue;
                }
                Err((written, source)) => {
                    let error = self.error(Operation::Write, source);
                    return Err(Error { written, ..error });
                }
            }
            // If the last name was removed after the record was written, the
            // record was there; if before, it would have been lost.
            let may_be_gone = start.elapsed() > SAME_TIME;
            match may_be_gone.then(|| fstat(&file)) {
                Some(Ok(status)) if status.st_nlink == 0 => {}
                _ => return Ok(Appended { not_rotated }),
            }
        }
        let source = stale.unwrap_or_else(|| {
            io::Error::other("it is replaced again and again")
        });
        Err(self.error(Operation::Open, source))
    }

    // Not `File::metadata`: statx takes twice as long as fstat.
    fn open(&self) -> io::Result<(File, FileStat)> {
        let (file, is_new) = match self.open_as(Creation::No) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.open_missing()?
            }
            Err(error) if error.raw_os_error() == Some(STALE) => {
                (self.open_as(Creation::No)?, false)
            }
            result => (result?, false),
        };
        let status = fstat(&file)?;
        let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
        if kind != SFlag::S_IFREG {
            return Err(io::Error::other(no_file(kind)));
        }
        if self.is_private && !own_dir::is_trusted_owner(&status) {
            return Err(io::Error::other("Belongs to another user"));
        }
        if let Some(mode) = self.mode.filter(|_| is_new) {
            // The file may belong to another user by now, or the file system
            // has no modes: it only matters that it can be written.
            let _ =
                file.set_permissions(fs::Permissions::from_mode(mode & 0o666));
        }
        Ok((file, status))
    }

    /// Creates the file; returns whether this process did. Only then may it set
    /// the mode.
    fn open_missing(&self) -> io::Result<(File, bool)> {
        match self.open_as(Creation::Only) {
            // Another process has been faster, or it is a link to a file that
            // is missing.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok((self.open_as(Creation::IfMissing)?, false))
            }
            file => Ok((file?, true)),
        }
    }

    /// A FIFO without a reader, a busy device or a lease is an error at once
    /// (`O_NONBLOCK`), and a terminal does not become the controlling one
    /// (`O_NOCTTY`).
    fn open_as(&self, creation: Creation) -> io::Result<File> {
        let follow = if self.is_private { libc::O_NOFOLLOW } else { 0 };
        OpenOptions::new()
            .append(true)
            .create(creation == Creation::IfMissing)
            .create_new(creation == Creation::Only)
            .mode(self.mode.unwrap_or(0o666) & 0o666)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | follow)
            .open(&self.path)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ELOOP) if self.is_private => {
                    io::Error::other("Is a symbolic link")
                }
                _ => error,
            })
    }

    fn rotated_by(&self, rotation: Rotation) -> RotatedLog<'_> {
        RotatedLog {
            path: &self.path,
            is_private: self.is_private,
            strangers: self.strangers,
            rotation,
        }
    }

    fn due(&self, status: &FileStat) -> Option<Rotation> {
        let bytes = u64::try_from(status.st_size).unwrap_or(0);
        self.rotation.filter(|it| bytes >= it.max_bytes)
    }

    fn error(&self, operation: Operation, source: io::Error) -> Error {
        let path = self.path.clone();
        Error {
            operation,
            path,
            written: 0,
            source,
        }
    }
}

/// Writes a whole record; by one call, unless the disk is full. If it fails,
/// returns how much is in the file.
fn write(file: &mut File, record: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < record.len() {
        match file.write(&record[written..]) {
            Ok(0) => {
                return Err((written, io::ErrorKind::WriteZero.into()));
            }
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// What to report if a file's lock has been held for too long for a rotation.
fn busy_for_long(rotation: Rotation, status: &FileStat) -> Option<io::Error> {
    let bytes = u64::try_from(status.st_size).unwrap_or(0);
    let growth = rotation.max_bytes.max(MIN_BUSY_GROWTH);
    let is_long = bytes >= rotation.max_bytes.saturating_add(growth);
    is_long.then(|| io::Error::other("another process holds its lock"))
}

/// The kind of file in the place of a log file.
fn no_file(kind: SFlag) -> &'static str {
    match kind {
        SFlag::S_IFIFO => "Is a named pipe",
        SFlag::S_IFSOCK => "Is a socket",
        SFlag::S_IFDIR => "Is a directory",
        _ => "Is a device",
    }
}
