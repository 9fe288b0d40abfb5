//! Finds queues of records, and claims those that this agent has to serve.
//!
//! Responsible for which files are opened, and for which agent serves a queue:
//! one reader at a time, and first of all the agent of the queue's own
//! namespaces. Must not know what happens to the records.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::agent_address::protocol_of;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Reader;
use uilog_channel::wire::OLDEST_READABLE;
use uilog_channel::wire::PROTOCOL;
use uilog_channel::wire::is_readable;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;

/// Queues that are found at a time: more are found when some are done.
pub(crate) const MAX_FOUND: usize = 1024;
/// The permissions of other users to write.
const OTHERS_WRITE: u32 = 0o022;

/// The directories of queues, in addition to the agent's own.
pub type OtherDirectories = fn() -> Vec<OwnDir>;

/// All directories of queues.
#[derive(Debug)]
pub(crate) struct Directories {
    pub(crate) own: Arc<OwnDir>,
    own_file: (u64, u64),
    elsewhere: OtherDirectories,
}

/// A claimed queue.
#[derive(Debug)]
pub(crate) struct ClaimedQueue {
    pub(crate) queue: Reader,
    pub(crate) origin: Option<Origin>,
    pub(crate) file: (u64, u64),
}

/// Why a file is not served, or that it is.
#[derive(Debug)]
pub(crate) enum ClaimResult {
    Taken(Box<ClaimedQueue>),
    /// Another agent serves it, or should; that may change later.
    Others,
    /// It must not be read: another user's, or of another version.
    Useless,
    /// It is an invalid file of uilog's without a writer.
    Damaged,
    /// There is no such file any more.
    Gone,
    /// There is no free descriptor.
    Exhausted,
}

impl Directories {
    /// The agent's own directory must be this user's alone.
    pub(crate) fn new(
        own: &Path,
        elsewhere: OtherDirectories,
    ) -> io::Result<Self> {
        let parts = || Some((own.parent()?, own.file_name()?));
        let (above, name) = parts().ok_or(io::ErrorKind::InvalidInput)?;
        let own = OwnDir::beside_users_file(above)?.open_private(name)?;
        let status = own.status()?;
        Ok(Self {
            own: Arc::new(own),
            own_file: (status.st_dev, status.st_ino),
            elsewhere,
        })
    }

    /// Whether hg still finds the agent's own directory: a logout may have
    /// removed it.
    pub(crate) fn is_there(&self) -> bool {
        std::fs::metadata(self.own.path())
            .is_ok_and(|it| (it.dev(), it.ino()) == self.own_file)
    }

    /// All that are there now, each once.
    pub(crate) fn all(&self) -> Vec<Arc<OwnDir>> {
        let mut all = vec![Arc::clone(&self.own)];
        let mut known = vec![self.own_file];
        for dir in (self.elsewhere)() {
            let Ok(status) = dir.status() else {
                continue;
            };
            let file = (status.st_dev, status.st_ino);
            if !known.contains(&file) {
                known.push(file);
                all.push(Arc::new(dir));
            }
        }
        all
    }
}

/// The names of queues in a directory, but for those that are known.
pub(crate) fn queues_in(
    dir: &OwnDir,
    is_known: impl Fn(&OsStr) -> bool,
) -> Vec<OsString> {
    let is_new = |name: &OsStr| {
        protocol_of(name).is_some_and(is_readable) && !is_known(name)
    };
    dir.some_names(MAX_FOUND, is_new).unwrap_or_default()
}

/// Claims a queue, if it belongs to these namespaces.
pub(crate) fn claim(
    dir: &OwnDir,
    name: &OsStr,
    namespaces: &str,
) -> ClaimResult {
    let file = match open(dir, name) {
        Ok(file) => file,
        Err(error) => return unusable(&error),
    };
    try_claim(dir, name, namespaces, &file).unwrap_or_else(|error| {
        let is_dead = living_file::is_held(&file, Holder::Maker);
        match unusable(&error) {
            ClaimResult::Useless if is_dead.is_ok_and(|it| !it) => {
                ClaimResult::Damaged
            }
            found => found,
        }
    })
}

fn try_claim(
    dir: &OwnDir,
    name: &OsStr,
    namespaces: &str,
    file: &File,
) -> io::Result<ClaimResult> {
    let read = || Reader::open(OwnedFd::from(file.try_clone()?));
    let queue = read()?;
    if !is_readable(queue.protocol()) {
        return Ok(ClaimResult::Useless);
    }
    let origin = queue.origin().ok();
    let is_others = origin.as_ref().is_some_and(|origin| {
        origin.namespaces != namespaces && has_own_agent(dir, origin, file)
    });
    if is_others || !living_file::hold(file, Holder::Reader)? {
        return Ok(ClaimResult::Others);
    }
    // Its previous reader may have removed it before it was locked here.
    if !living_file::has_name(file, dir, name)? {
        return Ok(ClaimResult::Gone);
    }
    let metadata = file.metadata()?;
    Ok(ClaimResult::Taken(Box::new(ClaimedQueue {
        // Again: what the reader before has written last.
        queue: read()?,
        origin,
        file: (metadata.dev(), metadata.ino()),
    })))
}

fn unusable(error: &io::Error) -> ClaimResult {
    match error.raw_os_error() {
        Some(nix::libc::EMFILE | nix::libc::ENFILE) => ClaimResult::Exhausted,
        _ if error.kind() == io::ErrorKind::NotFound => ClaimResult::Gone,
        _ => ClaimResult::Useless,
    }
}

/// Whether a queue without a reader has undelivered frames after the position
/// `end`, or belongs to a killed process that was not reported yet.
pub(crate) fn is_waiting(
    dir: &OwnDir,
    name: &OsStr,
    namespaces: &str,
    end: u64,
) -> bool {
    let look = || -> io::Result<bool> {
        let file = open(dir, name)?;
        if living_file::is_held(&file, Holder::Reader)? {
            return Ok(false);
        }
        let queue = Reader::open(OwnedFd::from(file))?;
        let origin = queue.origin().unwrap_or_default();
        if origin.namespaces != namespaces {
            // Its own agent serves it, or the next scan of a living agent.
            return Ok(false);
        }
        let done = queue.progress().records_at.max(end);
        let is_alive =
            || living_file::is_held(queue.page_file(), Holder::Maker);
        Ok(done < queue.committed()?.end
            || queue.open_command()?.is_some() && !is_alive()?)
    };
    look().unwrap_or(false)
}

/// Opens a file that may be a queue.
fn open(dir: &OwnDir, name: &OsStr) -> io::Result<File> {
    let file = dir.open(name, OFlag::O_RDWR)?;
    let metadata = file.metadata()?;
    let is_own = metadata.uid() == geteuid().as_raw();
    if !is_own || metadata.nlink() > 1 || metadata.mode() & OTHERS_WRITE != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(file)
}

/// Whether a queue from other namespaces is served there, or will be: its
/// writer lives, or an agent of those namespaces does.
fn has_own_agent(dir: &OwnDir, origin: &Origin, queue: &File) -> bool {
    if living_file::is_held(queue, Holder::Maker).unwrap_or(true) {
        return true;
    }
    // It becomes a part of a name.
    if !origin.namespaces.bytes().all(|it| it.is_ascii_hexdigit()) {
        return false;
    }
    let mut protocols = OLDEST_READABLE..=PROTOCOL;
    protocols.any(|protocol| {
        let lock = AgentNames::of(protocol, &origin.namespaces).lock;
        let lock = dir.open(&lock, OFlag::O_RDWR);
        lock.is_ok_and(|lock| {
            living_file::is_held(&lock, Holder::Maker).unwrap_or(false)
        })
    })
}
