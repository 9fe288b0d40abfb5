//! The files of a blackbox: the rotated ones and the current one.
//!
//! Responsible for finding and opening them, without ever blocking, while
//! other processes rotate them. Must not know what is in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;
use uilog_sys::foreign_file;
use uilog_sys::log_file;

/// How often the files are listed if they are rotated again and again.
const MAX_LISTINGS: usize = 10;

/// Why a blackbox cannot be read.
#[derive(Debug, Error)]
#[error("cannot read {}: {source}", .path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

impl ReadError {
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self { path, source }
    }

    /// The file that cannot be read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The system's error number.
    pub fn errno(&self) -> i32 {
        self.source.raw_os_error().unwrap_or(nix::libc::EIO)
    }
}

/// Identifies a file: device and inode.
pub type FileId = (u64, u64);

/// A file of the blackbox, open for reading.
#[derive(Debug)]
pub struct LogFile {
    /// The file.
    pub file: File,
    /// Its path when it was opened.
    pub path: PathBuf,
    /// Which file it is.
    pub id: FileId,
    /// Its size when it was opened.
    pub len: u64,
}

/// What [`open`] has found.
#[derive(Debug, Default)]
pub struct Opened {
    /// The files, the oldest first.
    pub files: Vec<LogFile>,
    /// Rotated files that cannot be read.
    pub unreadable: Vec<ReadError>,
}

/// Opens the files of the blackbox at `path`, except the `known` ones.
///
/// The newest first, since files only become older: one that is renamed
/// meanwhile may be met twice, which its ID shows, but is never missed.
///
/// # Errors
///
/// The current file exists and cannot be read.
pub fn open(path: &Path, known: &[FileId]) -> Result<Opened, ReadError> {
    let mut opened = Opened::default();
    let mut seen = known.to_vec();
    let mut tried: Vec<PathBuf> = Vec::new();
    for _ in 0..MAX_LISTINGS {
        let mut is_stable = true;
        for name in newest_first(path) {
            if tried.contains(&name) {
                continue;
            }
            is_stable = false;
            match open_one(&name) {
                Ok(file) if seen.contains(&file.id) => {}
                Ok(file) => {
                    seen.push(file.id);
                    opened.files.push(file);
                }
                // It has been rotated away, and is met again as another.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if name == path => {
                    return Err(ReadError::new(&name, error));
                }
                Err(error) => {
                    opened.unreadable.push(ReadError::new(&name, error));
                }
            }
            tried.push(name);
        }
        if is_stable {
            break;
        }
    }
    opened.files.reverse();
    Ok(opened)
}

/// The names of the files. Unlisted files are not read: a user who can read the
/// log can list its directory.
fn newest_first(path: &Path) -> Vec<PathBuf> {
    let old = log_file::old_files(path).unwrap_or_default();
    std::iter::once(path.to_owned()).chain(old).collect()
}

fn open_one(path: &Path) -> io::Result<LogFile> {
    let (file, metadata) = match foreign_file::open(path) {
        // hg's message needs an error number.
        Err(foreign_file::Error::NotRegular(_)) => {
            let errno = match path.is_dir() {
                true => nix::libc::EISDIR,
                false => nix::libc::EINVAL,
            };
            return Err(io::Error::from_raw_os_error(errno));
        }
        opened => opened?,
    };
    Ok(LogFile {
        file,
        path: path.to_owned(),
        id: (metadata.dev(), metadata.ino()),
        len: metadata.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(opened: &Opened) -> Vec<String> {
        let files = opened.files.iter();
        files
            .map(|f| f.path.extension().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_oldest_come_first_and_numbers_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", ".1", ".3", ".10", ".01", ".x", ".", "-"] {
            let path = format!("blackbox.log{name}");
            fs::write(dir.path().join(path), name).unwrap();
        }
        let path = dir.path().join("blackbox.log");
        let opened = open(&path, &[]).unwrap();
        assert_eq!(names(&opened), ["10", "3", "1", "log"]);
        let known: Vec<_> = opened.files[..3].iter().map(|f| f.id).collect();
        assert_eq!(names(&open(&path, &known).unwrap()), ["log"]);
    }

    #[test]
    fn one_file_of_two_names_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blackbox.log");
        fs::write(&path, "x").unwrap();
        let link = dir.path().join("blackbox.log.1");
        fs::hard_link(&path, link).unwrap();
        assert_eq!(names(&open(&path, &[]).unwrap()), ["log"]);
        fs::remove_file(&path).unwrap();
        assert_eq!(names(&open(&path, &[]).unwrap()), ["1"]);
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blackbox.log");
        assert!(open(&path, &[]).unwrap().files.is_empty());
        let rotated = dir.path().join("blackbox.log.1");
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&rotated, mode).unwrap();
        let opened = open(&path, &[]).unwrap();
        assert!(opened.files.is_empty());
        assert_eq!(opened.unreadable[0].path(), rotated);
        nix::unistd::mkfifo(&path, mode).unwrap();
        let error = open(&path, &[]).unwrap_err();
        assert_eq!(error.errno(), nix::libc::EINVAL);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = open(&path, &[]).unwrap_err();
        assert_eq!(error.errno(), nix::libc::EISDIR);
    }
}
