//! Small files in a spool's directory by which one sender informs the next: a
//! line with the format, then the content.
//!
//! They are hints only. A file that is damaged, missing or not a regular file
//! of this user is ignored; links are not followed, and a FIFO does not block.
//! A new file replaces the old one as a whole. Must not know what they say.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::io::Read;
use std::path::Path;

use nix::fcntl::OFlag;
use uilog_sys::own_dir::OwnDir;

const FILE_MODE: u32 = 0o600;

/// A file of this name, whose first line is `format`.
#[derive(Clone, Debug)]
pub(crate) struct CacheFile {
    pub(crate) name: Cow<'static, str>,
    pub(crate) format: &'static str,
    /// Maximum number of bytes that are read.
    pub(crate) max_bytes: u64,
}

impl CacheFile {
    /// Its content, after the first line.
    ///
    /// # Errors
    ///
    /// It does not exist, cannot be read, or has another format.
    pub(crate) fn read(&self, spool: &Path) -> io::Result<String> {
        self.read_in(&OwnDir::beside_users_file(spool)?)
    }

    /// The same of a directory that is open.
    ///
    /// # Errors
    ///
    /// As of [`CacheFile::read`].
    pub(crate) fn read_in(&self, spool: &OwnDir) -> io::Result<String> {
        let file = spool.open(OsStr::new(&*self.name), OFlag::O_RDONLY)?;
        let mut text = String::new();
        file.take(self.max_bytes).read_to_string(&mut text)?;
        let end = text.find('\n').unwrap_or(text.len());
        if text[..end].trim_end_matches('\r') != self.format {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(text.split_off((end + 1).min(text.len())))
    }

    /// Replaces its content.
    ///
    /// # Errors
    ///
    /// It cannot be written, or another file has its name.
    pub(crate) fn write(&self, spool: &Path, lines: &str) -> io::Result<()> {
        let new = format!("{}.new", self.name);
        let text = format!("{}\n{lines}", self.format);
        OwnDir::beside_users_file(spool)?.replace(
            OsStr::new(&*self.name),
            OsStr::new(&new),
            FILE_MODE,
            text.as_bytes(),
        )
    }

    /// Removes it, if that can be done.
    pub(crate) fn remove(&self, spool: &Path) {
        let _ = OwnDir::beside_users_file(spool)
            .and_then(|dir| dir.remove(OsStr::new(&*self.name)));
    }
}

/// Lines of a name and a value each.
pub(crate) fn items(lines: &str) -> impl Iterator<Item = (&str, &str)> {
    lines.lines().filter_map(|line| line.split_once(' '))
}
