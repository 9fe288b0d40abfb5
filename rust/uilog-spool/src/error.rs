//! Errors of the spool: which operation failed, and where.

use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// A failure of the spool. It names the operation and the path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {cause}", path.display())]
pub struct Error {
    operation: Operation,
    path: PathBuf,
    #[source]
    cause: Cause,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Use,
    List,
    Create,
    Open,
    Lock,
    Read,
    Append,
    Sync,
    Replace,
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Use => "use",
            Self::List => "list",
            Self::Create => "create",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Append => "append to",
            Self::Sync => "sync",
            Self::Replace => "replace",
            Self::Remove => "remove",
        })
    }
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Other users could read, change or replace what is in the spool.
    #[error("{0}")]
    Unsafe(String),
    /// The spool has reached its limit, and nothing can be evicted now.
    #[error("the spool is full")]
    Full,
    /// Longer than any record may be.
    #[error("a record of {bytes} bytes is longer than {max_bytes}")]
    TooLarge { bytes: usize, max_bytes: usize },
    /// A segment that is no longer written to could not be synced.
    #[error("an earlier file could not be synced")]
    Unsynced,
    /// It was removed again and again while we were at it.
    #[error("it is removed again and again")]
    Unstable,
}

impl Error {
    pub(crate) fn new(
        operation: Operation,
        path: impl Into<PathBuf>,
        cause: impl Into<Cause>,
    ) -> Self {
        let path = path.into();
        let cause = cause.into();
        Self {
            operation,
            path,
            cause,
        }
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The system's error, if a system call has failed.
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the directory is refused, because other users could read, change
    /// or replace what is in it.
    pub fn is_unsafe(&self) -> bool {
        matches!(self.cause, Cause::Unsafe(_))
    }

    /// Whether there is no room: in the spool, on the disk or in the quota.
    pub fn is_full(&self) -> bool {
        match &self.cause {
            Cause::Full => true,
            Cause::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            ),
            _ => false,
        }
    }

    /// Whether the record is longer than any may be.
    pub fn is_too_large(&self) -> bool {
        matches!(self.cause, Cause::TooLarge { .. })
    }
}

/// Names the operation and the path of an [`io::Error`].
pub(crate) trait Context<T> {
    fn context(
        self,
        operation: Operation,
        path: impl AsRef<Path>,
    ) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(
        self,
        operation: Operation,
        path: impl AsRef<Path>,
    ) -> Result<T, Error> {
        self.map_err(|error| Error::new(operation, path.as_ref(), error))
    }
}
