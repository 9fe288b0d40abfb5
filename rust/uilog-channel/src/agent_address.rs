//! The names by which hg's processes and the user's agent find each other.
//!
//! Responsible only for names: of the queues of records, of the agent's socket,
//! and of the lock for starting an agent. All are in the user's runtime
//! directory. Different namespaces and different versions of the protocol have
//! different agents. Must not know what is sent.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use uilog_event::event::new_session;
use uilog_sys::append::GuardedPath;
use uilog_sys::append::Root;
use uilog_sys::own_dir::OwnDir;

use crate::places::Choice;
use crate::places::key_of;
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

/// A key for this process's namespaces.
///
/// # Errors
///
/// `/proc` cannot be read.
pub fn namespaces() -> io::Result<String> {
    namespaces_of(Path::new("/proc/self"))
}

/// A key for the namespaces of the process of this directory of `/proc`.
///
/// # Errors
///
/// It cannot be read.
pub fn namespaces_of(process: &Path) -> io::Result<String> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = fcntl::open(&process.join("ns"), flags, Mode::empty())?;
    let mut inodes = Vec::new();
    for name in NAMESPACES {
        // The link's text, not the inode of its target, which the kernel would
        // have to create: hg's first record would wait for that.
        let link = fcntl::readlinkat(&dir, name)?;
        let inode = inode_of(&link).ok_or(io::ErrorKind::InvalidData)?;
        inodes.extend_from_slice(&inode.to_le_bytes());
    }
    Ok(key_of(&inodes))
}

/// Of a namespace, as in `mnt:[4026531841]`.
fn inode_of(link: &OsStr) -> Option<u64> {
    let (_, inode) = link.to_str()?.split_once(":[")?;
    inode.strip_suffix(']')?.parse().ok()
}

/// The initial pid namespace. Linux: PROC_PID_INIT_INO.
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Whether this process's pid namespace ends with its first process, as a
/// container's does, and not with the system.
pub fn is_in_container() -> bool {
    let namespace = std::fs::metadata("/proc/self/ns/pid");
    namespace.is_ok_and(|it| it.ino() != INITIAL_PID_NAMESPACE)
}

/// A descriptor that a process sends with its queue's name, so that the agent
/// knows that it is from its own namespaces, even if it has ended since. No
/// process in another namespace can open it.
///
/// # Errors
///
/// There is no `/proc`, or no free descriptor.
pub fn evidence() -> io::Result<File> {
    File::open("/proc/self/ns/mnt")
}

/// The names of an agent's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentNames {
    /// Its socket, which gets the names of queues.
    pub socket: OsString,
    /// The lock for starting an agent, which the agent then holds.
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

    /// Whether this is the lock of an agent in these namespaces with another
    /// protocol.
    pub fn is_of_other_version(name: &OsStr, namespaces: &str) -> bool {
        let own = Self::new(namespaces).lock;
        let end = format!("-{namespaces}{LOCK}");
        Self::is_lock(name)
            && name != own
            && name.as_bytes().ends_with(end.as_bytes())
    }

    /// Whether this is the name of an agent's lock.
    pub fn is_lock(name: &OsStr) -> bool {
        let name = name.as_bytes();
        name.starts_with(AGENT.as_bytes()) && name.ends_with(LOCK.as_bytes())
    }
}

/// A name for a new queue of records.
pub fn new_queue() -> OsString {
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

/// Where queues of records are created and searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueLocations {
    /// The environment that chooses, a block.
    pub environment: Vec<u8>,
    /// The directory in `uilog.queue-dir`, which takes precedence.
    pub queue_dir: Option<PathBuf>,
}

impl QueueLocations {
    /// Of this environment, a block, and this value of `uilog.queue-dir`.
    pub fn new(environment: &[u8], queue_dir: Option<&[u8]>) -> Self {
        Self {
            environment: environment.to_vec(),
            queue_dir: queue_dir.and_then(|it| queue_dir_of(it).ok().flatten()),
        }
    }

    /// The directories in which a user's queues may be, if they exist, can be
    /// read, and only this user can write to them; the preferred one first.
    pub fn directories(&self) -> Vec<OwnDir> {
        let places = places(&self.environment, self.queue_dir.as_deref());
        places.filter_map(|place| place.open(false).ok()).collect()
    }
}

/// The directory in this value of `uilog.queue-dir`, if any.
///
/// # Errors
///
/// What is wrong with it.
pub fn queue_dir_of(value: &[u8]) -> Result<Option<PathBuf>, String> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(OsStr::from_bytes(value));
    match path.is_absolute() {
        true => Ok(Some(path)),
        false => Err(format!(
            "'{}' is not an absolute path, using the runtime directory",
            path.display()
        )),
    }
}

/// The directories for a queue of records, the preferred one first. Like
/// `/tmp`, the directory of `uilog.queue-dir` may be shared: each user has a
/// subdirectory in it.
pub fn places(
    environment: &[u8],
    queue_dir: Option<&Path>,
) -> impl Iterator<Item = GuardedPath> + use<> {
    let chosen = queue_dir.and_then(|dir| {
        let own = format!("uilog-{}", nix::unistd::geteuid());
        let own = [OsStr::new(&own)];
        Some(GuardedPath::new(dir, Root::Everybodys, &own, RECORDS)?.near())
    });
    let usual = Choice::of(environment).near(RECORDS);
    chosen.into_iter().chain(usual)
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
    fn agents_of_other_versions_and_of_other_places_are_told_apart() {
        let is_other = |name: &str| {
            AgentNames::is_of_other_version(OsStr::new(name), "0a")
        };
        let own = AgentNames::new("0a").lock;
        assert!(!is_other(own.to_str().unwrap()));
        assert!(is_other("agent-0-0a.lock"));
        assert!(!is_other("agent-0-0b.lock"));
        assert!(!is_other("agent-0-0a.sock"));
    }

    #[test]
    fn the_link_of_a_namespace_tells_its_inode() {
        // Whoever asks by `stat` finds the same agent.
        for name in NAMESPACES {
            let path = Path::new("/proc/self/ns").join(name);
            let link = std::fs::read_link(&path).unwrap();
            let inode = std::fs::metadata(&path).unwrap().ino();
            assert_eq!(inode_of(link.as_os_str()), Some(inode), "{name}");
        }
        for other in ["mnt:[]", "mnt:4", "mnt:[4", "mnt:[x]", ""] {
            assert_eq!(inode_of(OsStr::new(other)), None, "{other}");
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
