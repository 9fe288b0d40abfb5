//! Appends a line to one of uilog's files without blocking the caller, in the
//! first of several directories that can be used.
//!
//! Responsible for where and how. A directory is opened step by step from a
//! root; every step must belong to the user, and other users must not be able
//! to write to it. The file must be a regular one of the user. A full file is
//! renamed once, even if several processes append. Must not know what a line
//! says.
//!
//! [`Plan::start`] lets a detached child append (see [`crate::spawn`]), which
//! has no descriptor of the caller. A home directory that does not answer
//! blocks that child, and never the caller. The number of such children is
//! limited for each process and each user; beyond that, the line is appended in
//! a directory on a local file system.

mod steps;

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::AccessFlags;
use nix::unistd::access;
pub(crate) use steps::perform;
use syscalls::Errno;

use crate::own_dir;
use crate::own_dir::OwnDir;
use crate::spawn;

/// How many children of one process append at a time.
const MAX_CHILDREN: usize = 4;

/// What the directory is like that a place begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The user's choice: only what is made in it must be ours, and it is made
    /// only if the root is ours alone.
    Chosen,
    /// Ours alone.
    Private,
    /// A sticky directory for all users, such as `/tmp`.
    Everybodys,
}

/// The names of a file and of the one before it.
#[derive(Clone, Debug)]
struct Names {
    file: CString,
    old: CString,
}

/// A directory in which a file may be kept, and the file's name.
#[derive(Clone, Debug)]
pub struct Place {
    root: CString,
    rule: Root,
    steps: Vec<CString>,
    names: Names,
    is_near: bool,
}

impl Place {
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

    /// Whether it is to be used on a local file system only.
    pub fn is_near(&self) -> bool {
        self.is_near
    }

    /// Where the directory is, as far as so many steps lead.
    fn path_of(&self, depth: usize) -> PathBuf {
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

    /// Opens the directory; with `create`, makes it if it is missing.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is missing; else why it cannot be used.
    pub fn open(&self, create: bool) -> io::Result<OwnDir> {
        let uid = nix::unistd::geteuid().as_raw();
        let raw = steps::walk(self, uid, create)
            .map_err(|refused| self.explain(refused))?;
        // SAFETY: it has just been opened, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(OwnDir::from_place(fd, self.directory()))
    }

    /// Why no line could be appended now, if so; creates nothing.
    pub fn problem(&self) -> Option<String> {
        let uid = nix::unistd::geteuid().as_raw();
        let refused = match self.open(false) {
            Ok(dir) => self.problem_in(&dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Where the way ends it may be made; so says the walk.
                match steps::walk(self, uid, false) {
                    Err(refused) if refused.depth > 0 => {
                        let above = self.path_of(refused.depth - 1);
                        writable(&above)
                    }
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        refused.err().map(|error| error.to_string())
    }

    fn problem_in(&self, dir: &OwnDir) -> io::Result<()> {
        let path = self.path();
        let at = |why: &dyn fmt::Display| {
            io::Error::other(format!("{}: {why}", path.display()))
        };
        match dir.entry(self.name())? {
            None => writable(dir.path()),
            Some(status) => {
                own_dir::check_own(&status).map_err(|error| at(&error))?;
                if status.st_uid != nix::unistd::geteuid().as_raw() {
                    return Err(at(&Why::Foreign));
                }
                access(&path, AccessFlags::W_OK)
                    .map_err(|errno| at(&io::Error::from(errno)))
            }
        }
    }

    fn explain(&self, refused: Refused) -> io::Error {
        let path = self.path_of(refused.depth);
        let path = path.display();
        match refused.why {
            Why::System(errno) => {
                let error = io::Error::from_raw_os_error(errno.into_raw());
                io::Error::new(error.kind(), format!("{path}: {error}"))
            }
            why => io::Error::other(format!("{path}: {why}")),
        }
    }

    /// The steps: the number of each, its name, and whether it is the last.
    fn steps(&self) -> impl Iterator<Item = (usize, &CStr, bool)> {
        let count = self.steps.len();
        let steps = self.steps.iter().map(CString::as_c_str);
        (1..)
            .zip(steps)
            .map(move |(number, it)| (number, it, number == count))
    }
}

/// Fails if nothing can be made in a directory.
fn writable(dir: &Path) -> io::Result<()> {
    access(dir, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::other(format!("{}: {error}", dir.display()))
    })
}

/// Why a directory is not used: at which step, and what is wrong there.
#[derive(Clone, Copy)]
struct Refused {
    depth: usize,
    why: Why,
}

#[derive(Clone, Copy)]
enum Why {
    System(Errno),
    NoDirectory,
    Foreign,
    Shared,
    Remote,
    NotCreated,
}

impl Why {
    fn errno(self) -> Errno {
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

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System(errno) => {
                let error = io::Error::from_raw_os_error(errno.into_raw());
                return error.fmt(f);
            }
            Self::NoDirectory => "it is not a directory",
            Self::Foreign => "it belongs to another user",
            Self::Shared => "others may write there",
            Self::Remote => "it is not on a local file system",
            Self::NotCreated => {
                "it is missing, and the directory above it is not yours alone"
            }
        })
    }
}

/// A line, and the places to append it in.
///
/// Complete before a child is made, which only reads it.
#[derive(Debug)]
pub struct Plan {
    places: Vec<Place>,
    /// Names of the locks that bound how many children a user has.
    slots: Vec<CString>,
    line: Vec<u8>,
    max_bytes: u64,
    uid: u32,
}

/// Why no child has been made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are so many already, all of which wait.
    #[error("{MAX_CHILDREN} processes wait for the directory already")]
    TooMany,
    /// The system has refused it.
    #[error("cannot make a process: {0}")]
    System(#[source] io::Error),
}

impl Plan {
    /// Appends `line` in the first of `places` that takes it. A file of
    /// `max_bytes` is kept under its second name, and a new one is begun.
    pub fn new(places: Vec<Place>, line: Vec<u8>, max_bytes: u64) -> Self {
        Self {
            places,
            slots: Vec::new(),
            line,
            max_bytes,
            uid: nix::unistd::geteuid().as_raw(),
        }
    }

    /// Bounds how many children of this user append at a time: each holds the
    /// lock of one of these files in a place that is near. One that finds none
    /// free uses such places only.
    pub fn slots(mut self, names: impl Iterator<Item = String>) -> Self {
        self.slots = names.filter_map(|it| CString::new(it).ok()).collect();
        self
    }

    /// The same with those places only that are near.
    pub fn only_near(mut self) -> Self {
        self.places.retain(|place| place.is_near);
        self
    }

    /// Appends now, in this process, which may have to wait for a file system.
    ///
    /// # Errors
    ///
    /// What the first place has failed with; no place has taken the line.
    pub fn run(mut self) -> io::Result<()> {
        self.slots.clear();
        perform(&self)
            .map_err(|errno| io::Error::from_raw_os_error(errno.into_raw()))
    }

    /// Leaves it to a detached child, and waits for nothing. What becomes of
    /// it, [`take_failure`] tells.
    ///
    /// # Errors
    ///
    /// There is no child: the plan comes back.
    pub fn start(self) -> Result<(), (Box<Self>, StartError)> {
        spawn::start_appending(Box::new(self), MAX_CHILDREN)
    }
}

/// Whether so many children of this process append that there can be no more.
pub fn is_busy() -> bool {
    spawn::count_appending() >= MAX_CHILDREN
}

/// Waits until all children of this process have appended their lines, but not
/// longer than this; whether they have.
pub fn wait(bound: Duration) -> bool {
    spawn::wait_for_appending(bound)
}

/// Why the last line has not been appended that a child was to append, if one
/// has not been since the last call.
pub fn take_failure() -> Option<io::Error> {
    spawn::take_appending_failure().map(io::Error::from_raw_os_error)
}
