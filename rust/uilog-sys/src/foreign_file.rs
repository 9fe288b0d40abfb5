//! Reads files that uilog did not write: of a repository or a user, such as a
//! certificate or a token.
//!
//! Responsible for three limits. Opening never blocks, as it would for a FIFO
//! without a writer or a lease. Only regular files are read, because a device
//! may have no end, and opening some devices has effects. The number of bytes
//! is limited. Must not know what a file says or what it is for; each caller
//! passes its own limit.
//!
//! Links are followed, because users choose where their files are. For files
//! that uilog writes itself, see [`crate::own_dir`].

use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// Why a file has not been read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused it.
    #[error("{0}")]
    System(#[from] io::Error),
    /// It is something else than a regular file.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// It has more bytes than anything of its purpose.
    #[error("it is longer than {max_bytes} bytes")]
    TooLong {
        /// The bound that it exceeds.
        max_bytes: u64,
    },
}

impl Error {
    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::System(error)
            if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::System(error) => error,
            error => Self::other(error.to_string()),
        }
    }
}

/// Opens a regular file for reading, without blocking.
///
/// # Errors
///
/// It does not exist, may not be read, or is not a regular file.
pub fn open(path: &Path) -> Result<(File, Metadata), Error> {
    // Opening a file that is not regular may already do harm.
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(Error::NotRegular(kind_of(&metadata)));
    }
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(Error::NotRegular(kind_of(&metadata)))
    }
}

/// Reads a regular file of at most `max_bytes`.
///
/// # Errors
///
/// As for [`open`], and if it has more bytes: then none are returned, for half
/// a file may mean something else.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let (file, metadata) = open(path)?;
    if metadata.len() > max_bytes {
        return Err(Error::TooLong { max_bytes });
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile, and files in /proc have no length.
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::TooLong { max_bytes });
    }
    Ok(bytes)
}

/// Reads a regular file of at most `max_bytes` as text.
///
/// # Errors
///
/// As for [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, Error> {
    let text = String::from_utf8(read(path, max_bytes)?);
    text.map_err(|error| Error::System(io::Error::other(error.utf8_error())))
}

/// Reads the first bytes of a regular file, at most `max_bytes` of them.
///
/// # Errors
///
/// As for [`open`].
pub fn read_beginning(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn kind_of(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;

    let kind = metadata.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_nobody_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        let say = |path: &Path| {
            read(path, 10).expect_err("no regular file").to_string()
        };
        assert_eq!(say(&fifo), "it is a named pipe, not a regular file");
        assert_eq!(say(dir.path()), "it is a directory, not a regular file");
        let zero = Path::new("/dev/zero");
        assert_eq!(say(zero), "it is a device, not a regular file");
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket);
        assert_eq!(say(&socket), "it is a socket, not a regular file");
        let missing = read(&dir.path().join("x"), 10).expect_err("missing");
        assert!(missing.is_not_found());
    }

    #[test]
    fn a_bound_is_for_the_whole_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, b"abc").expect("written");
        assert_eq!(read(&path, 3).expect("short enough"), b"abc");
        let error = read(&path, 2).expect_err("too long");
        assert_eq!(error.to_string(), "it is longer than 2 bytes");
        assert_eq!(read_beginning(&path, 2).expect("its beginning"), b"ab");
    }
}
