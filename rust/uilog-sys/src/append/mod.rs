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

mod place;
pub(crate) mod plan;
pub(crate) mod steps;

use std::fmt;
use std::io;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::unistd::AccessFlags;
use nix::unistd::access;

pub use self::place::GuardedPath;
use self::place::PathRefusal;
use self::place::Refused;
pub use self::place::Root;
use self::plan::MAX_CHILDREN;
pub use self::plan::Plan;
pub use self::plan::StartError;
use self::steps::perform;
use crate::own_dir;
use crate::own_dir::OwnDir;
use crate::spawn;

impl GuardedPath {
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
                    return Err(at(&PathRefusal::Foreign));
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
            PathRefusal::System(errno) => {
                let error = io::Error::from_raw_os_error(errno.into_raw());
                io::Error::new(error.kind(), format!("{path}: {error}"))
            }
            why => io::Error::other(format!("{path}: {why}")),
        }
    }
}

/// Fails if nothing can be made in a directory.
fn writable(dir: &Path) -> io::Result<()> {
    access(dir, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::other(format!("{}: {error}", dir.display()))
    })
}

impl Plan {
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

    /// Lets a detached child append, and does not wait. [`take_failure`]
    /// returns a later error.
    ///
    /// # Errors
    ///
    /// No child could be created: the plan is returned.
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
