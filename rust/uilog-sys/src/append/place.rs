//! Where a line may be appended: a directory, step by step from a root, and the
//! names in it.
//!
//! Must not know how a directory is opened.

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use syscalls::Errno;

/// What the directory is like that a place begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The user's choice: only directories that are created in it must be this
    /// user's, and they are created only if the root belongs to this user
    /// alone.
    Chosen,
    /// Ours alone.
    Private,
    /// A sticky directory for all users, such as `/tmp`.
    Everybodys,
}

/// The names of a file and of the one before it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) file: CString,
    pub(super) old: CString,
}

/// A directory in which a file may be kept, and the file's name.
#[derive(Clone, Debug)]
pub struct GuardedPath {
    pub(super) root: CString,
    pub(super) rule: Root,
    pub(super) steps: Vec<CString>,
    pub(super) names: Names,
    pub(super) is_near: bool,
}

impl GuardedPath {
    /// The file `name` in the directory to which `steps` lead from `root`.
    /// None if one of them is no file name.
    pub fn new(
        root: &Path,
        rule: Root,
        steps: &[&OsStr],
        name: &str,
    ) -> Option<Self> {
        let text = |it: &OsStr| CString::new(it.as_bytes()).ok();
        let steps = steps.iter().map(|step| text(step));
        Some(Self {
            root: text(root.as_os_str())?,
            rule,
            steps: steps.collect::<Option<_>>()?,
            names: Names {
                file: CString::new(name).ok()?,
                old: CString::new(format!("{name}.1")).ok()?,
            },
            is_near: false,
        })
    }

    /// The same, if it is on a local file system: it answers at once.
    pub fn near(mut self) -> Self {
        self.is_near = true;
        self
    }

    /// Whether it may be used only on a local file system.
    pub fn is_near(&self) -> bool {
        self.is_near
    }

    /// Where the directory is, as far as so many steps lead.
    pub(super) fn path_of(&self, depth: usize) -> PathBuf {
        let name = |it: &CString| OsStr::from_bytes(it.as_bytes()).to_owned();
        let mut path = PathBuf::from(name(&self.root));
        path.extend(self.steps.iter().take(depth).map(name));
        path
    }

    /// Where the directory is.
    pub fn directory(&self) -> PathBuf {
        self.path_of(self.steps.len())
    }

    /// The file's name.
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.names.file.as_bytes())
    }

    /// The name of the file before it.
    pub fn old_name(&self) -> &OsStr {
        OsStr::from_bytes(self.names.old.as_bytes())
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.directory().join(self.name())
    }

    /// The steps: the number of each, its name, and whether it is the last.
    pub(super) fn steps(&self) -> impl Iterator<Item = (usize, &CStr, bool)> {
        let count = self.steps.len();
        let steps = self.steps.iter().map(CString::as_c_str);
        (1..)
            .zip(steps)
            .map(move |(number, it)| (number, it, number == count))
    }
}

/// Why a directory is not used: the step, and what is wrong there.
#[derive(Clone, Copy)]
pub(super) struct Refused {
    pub(super) depth: usize,
    pub(super) why: PathRefusal,
}

#[derive(Clone, Copy)]
pub(super) enum PathRefusal {
    System(Errno),
    NoDirectory,
    Foreign,
    Shared,
    Remote,
    NotCreated,
}

impl PathRefusal {
    pub(super) fn errno(self) -> Errno {
        match self {
            Self::System(errno) => errno,
            Self::NoDirectory => Errno::new(libc::ENOTDIR),
            Self::Remote => Errno::new(libc::EREMOTE),
            Self::Foreign | Self::Shared | Self::NotCreated => {
                Errno::new(libc::EPERM)
            }
        }
    }
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System(errno) => {
                let error = io::Error::from_raw_os_error(errno.into_raw());
                return error.fmt(f);
            }
            Self::NoDirectory => "it is not a directory",
            Self::Foreign => "it belongs to another user",
            Self::Shared => "other users may write there",
            Self::Remote => "it is not on a local file system",
            Self::NotCreated => {
                "it is missing, and other users may write to the directory \
                 above it"
            }
        })
    }
}
