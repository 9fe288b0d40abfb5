//! Where hg's processes and the user's agent find each other.
//!
//! Responsible for names alone: of the queues of records, of the agent's
//! socket and of the lock that whoever starts an agent takes. All are in the
//! user's runtime directory. Namespaces that differ have agents that differ,
//! and so have versions of the protocol. Must not know what is said there.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::facts::new_session;
use crate::journal::places::Choice;
use crate::journal::places::key_of;
use crate::wire::PROTOCOL;

/// What the name of a queue of records begins with.
const RECORDS: &str = "records-";
/// What the names of an agent's socket and lock begin with.
const AGENT: &str = "agent-";

/// What the name of an agent's lock ends with.
const LOCK: &str = ".lock";

/// The namespaces in which the same path, process id or address means the same
/// thing, and the same user may do the same.
const NAMESPACES: [&str; 4] = ["user", "mnt", "pid", "net"];

/// What stands for this process's namespaces.
///
/// # Errors
///
/// `/proc` does not tell.
pub fn namespaces() -> io::Result<String> {
    namespaces_of(Path::new("/proc/self"))
}

/// What stands for the namespaces of the process that this directory of
/// `/proc` is about.
///
/// # Errors
///
/// It does not tell.
pub fn namespaces_of(process: &Path) -> io::Result<String> {
    let mut inodes = Vec::new();
    for name in NAMESPACES {
        let metadata = std::fs::metadata(process.join("ns").join(name))?;
        inodes.extend_from_slice(&metadata.ino().to_le_bytes());
    }
    Ok(key_of(&inodes))
}

/// The inode number of this process's pid namespace.
///
/// # Errors
///
/// `/proc` does not tell.
pub fn pid_namespace() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/ns/pid")?.ino())
}

/// What a process sends with the name of its queue, as a descriptor, so that
/// the agent knows that it is from its own namespaces, though it may have ended
/// by the time that the agent looks. Nobody else can open it.
///
/// # Errors
///
/// `/proc` is not there, or the system has no descriptor to give.
pub fn evidence() -> io::Result<File> {
    File::open("/proc/self/ns/mnt")
}

/// The names of an agent's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentNames {
    /// Its socket, which gets the names of queues.
    pub socket: OsString,
    /// The lock of whoever starts it, and then its own.
    pub lock: OsString,
}

impl AgentNames {
    /// Those in these namespaces, of this version of the protocol.
    pub fn new(namespaces: &str) -> Self {
        Self::of(PROTOCOL, namespaces)
    }

    /// The same, of another version.
    pub fn of(protocol: u16, namespaces: &str) -> Self {
        let stem = format!("{AGENT}{protocol}-{namespaces}");
        Self {
            socket: format!("{stem}.sock").into(),
            lock: format!("{stem}{LOCK}").into(),
        }
    }

    /// Whether this is the name of an agent's lock.
    pub fn is_lock(name: &OsStr) -> bool {
        let name = name.as_bytes();
        name.starts_with(AGENT.as_bytes()) && name.ends_with(LOCK.as_bytes())
    }
}

/// A name for a new queue of records.
pub(crate) fn new_queue() -> OsString {
    format!("{RECORDS}{PROTOCOL}-{}", new_session()).into()
}

/// Of which version of the protocol the queue of records with this name is;
/// none if it is no such name.
pub fn protocol_of(name: &OsStr) -> Option<u16> {
    let name = std::str::from_utf8(name.as_bytes()).ok()?;
    let (protocol, id) = name.strip_prefix(RECORDS)?.split_once('-')?;
    let is_id = !id.is_empty() && id.bytes().all(|it| it.is_ascii_hexdigit());
    protocol.parse().ok().filter(|_| is_id)
}

/// The directories in which a user's queues may lie, as far as they are there,
/// are this user's alone and can be read: first those that this environment, a
/// block, names.
pub fn directories(environment: &[u8]) -> Vec<uilog_sys::own_dir::OwnDir> {
    let places = Choice::of(environment).near(RECORDS);
    let opened = places.iter().filter_map(|place| place.open(false).ok());
    opened.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_name_says_its_protocol() {
        assert_eq!(protocol_of(&new_queue()), Some(PROTOCOL));
        let of = |name| protocol_of(OsStr::new(name));
        assert_eq!(of("records-7-0a"), Some(7));
        for other in ["records-7-", "records-x-0a", "records-7-0a.new", "0a"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn namespaces_are_told_apart() {
        let own = namespaces().unwrap();
        let pid = std::process::id();
        let path = format!("/proc/{pid}");
        assert_eq!(namespaces_of(Path::new(&path)).unwrap(), own);
        namespaces_of(Path::new("/proc/none")).expect_err("no process");
    }
}
