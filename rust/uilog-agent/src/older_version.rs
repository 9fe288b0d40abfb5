//! Processes of the previous version, while hg is upgraded.
//!
//! Responsible for serving them: they use another socket, and they start agents
//! by a path where this program is by now. If an agent of their version still
//! runs, it holds the lock of that socket; then this agent only serves what
//! that one leaves behind. Must not know what a queue is.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::wire::OLDEST_READABLE;
use uilog_channel::wire::PROTOCOL;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;

use crate::doorbell::Doorbell;

/// Serves them instead of an agent of their own version.
#[derive(Debug)]
pub(crate) struct OlderVersion {
    pub(crate) names: AgentNames,
    /// Its socket, until this agent ends.
    pub(crate) doorbell: Option<Doorbell>,
    lock: File,
}

/// The names that they use; none if there is no such version.
fn names(namespaces: &str) -> Option<AgentNames> {
    let older = PROTOCOL - 1;
    (older >= OLDEST_READABLE).then(|| AgentNames::of(older, namespaces))
}

/// Whether an inherited lock is of this version, or of the previous one.
pub(crate) fn lock_of(
    dir: &OwnDir,
    namespaces: &str,
    given: Option<OwnedFd>,
) -> (Option<OwnedFd>, Option<File>) {
    let Some(names) = names(namespaces) else {
        return (given, None);
    };
    let Some(given) = given else {
        return (None, None);
    };
    let given = File::from(given);
    match living_file::has_name(&given, dir, &names.lock) {
        Ok(true) => (None, Some(given)),
        _ => (Some(given.into()), None),
    }
}

/// Releases a lock, which may be this process's standard input as well.
pub(crate) fn unlock(lock: &File) {
    // If it cannot, the end of this process does.
    let _ = living_file::unlock(lock, Holder::Maker);
}

impl OlderVersion {
    /// Listens for processes of the previous version, unless another agent
    /// does; `lock` was inherited from one of them.
    pub(crate) fn listen(
        dir: &OwnDir,
        namespaces: &str,
        lock: &mut Option<File>,
    ) -> Option<Self> {
        let names = names(namespaces)?;
        let lock = lock.take().map_or_else(
            || dir.open_or_create(&names.lock, OFlag::O_RDWR, 0o600),
            Ok,
        );
        let is_held = |lock: &File| {
            living_file::hold(lock, Holder::Maker).unwrap_or(false)
        };
        let lock = lock.ok().filter(is_held)?;
        // If it cannot be made, their queues are found by looking for them.
        let doorbell = Doorbell::bind(dir, &names.socket).ok()?;
        Some(Self {
            names,
            doorbell: Some(doorbell),
            lock,
        })
    }

    /// Lets another agent listen for them.
    pub(crate) fn leave(self) {
        unlock(&self.lock);
    }
}
