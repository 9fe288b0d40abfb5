//! The queues of records in a user's runtime directories, seen from outside.
//!
//! Read-only; never blocks. Another process of the user may have planted a file
//! that is no queue: that is skipped. A queue whose frames cannot be read
//! counts as one of this process's namespaces and home, so that it is not taken
//! for delivered. hg itself never looks.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use serde::Serialize;
use uilog_event::event::Timestamp;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;
use uilog_sys::process_stat::ProcessStat;

use crate::agent_address;
use crate::agent_address::AgentNames;
use crate::agent_address::QueueLocations;
use crate::agent_address::namespaces_of;
use crate::cached_reader::CachedReader;
use crate::places::Choice;
use crate::queue::Page;
use crate::queue::Reader;
use crate::status;
use crate::status::Clock;

/// Maximum number of names read from a directory: many times the expected
/// number.
const MAX_NAMES: usize = 64 * 1024;

/// How often a queue is read whose reader may change it at that moment.
const ATTEMPTS: usize = 3;

/// After so many seconds, a queue without a reader is abandoned.
const ABANDONED_AFTER: f64 = 60.0;

/// A queue of records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordQueue {
    /// Where it is.
    pub path: String,
    /// The protocol that it is of.
    pub protocol: u16,
    /// Whether the process that has made it is alive.
    pub is_alive: bool,
    /// Whether it has a reader.
    pub is_read: bool,
    /// That process, by its id where it runs.
    pub pid: u32,
    /// Its session.
    pub session: String,
    /// Whether that process is in this one's namespaces, as it says.
    pub is_near: bool,
    /// Whether its process has another home, and so another journal.
    pub is_of_other_home: bool,
    /// For how many seconds it has been there.
    pub age: f64,
    /// Records appended; of a process that was killed also those that are yet
    /// to be made, one for each command that has not ended.
    pub records: u64,
    /// Records that every sink is done with.
    pub done: u64,
    /// Records lost, once for each sink.
    pub lost: u64,
    /// Its memory.
    pub bytes: u64,
}

impl RecordQueue {
    /// Records that sinks are not done with.
    pub fn waiting(&self) -> u64 {
        self.records.saturating_sub(self.done)
    }

    /// Whether records wait, and there was no reader for a while.
    pub fn is_abandoned(&self) -> bool {
        self.waiting() > 0 && !self.is_read && self.age > ABANDONED_AFTER
    }
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agent {
    /// Where its lock is.
    pub path: String,
    /// Its process id, if it can be seen from here.
    pub pid: Option<i32>,
    /// It has been stopped by a signal or a debugger: nothing is delivered.
    pub is_stopped: bool,
    /// Whether it is that of this process's namespaces.
    pub is_near: bool,
    /// Whether it is of these namespaces, and of another version of uilog.
    pub is_of_other_version: bool,
    /// For how many seconds it has been running, if that can be seen.
    pub age: Option<f64>,
}

/// The agents, and the queues from which they deliver.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The agents.
    pub agents: Vec<Agent>,
    /// The queues.
    pub queues: Vec<RecordQueue>,
}

impl Overview {
    /// All that is found there.
    pub fn read(whereabouts: &QueueLocations) -> Self {
        Self {
            agents: agents(whereabouts),
            queues: find(whereabouts),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.queues.is_empty()
    }

    /// Whether there is a problem that the user should know about.
    pub fn is_troubled(&self) -> bool {
        self.agents.iter().any(|it| it.is_stopped)
            || self.queues.iter().any(RecordQueue::is_abandoned)
    }
}

/// The queues that are there.
pub fn find(whereabouts: &QueueLocations) -> Vec<RecordQueue> {
    let mut found = Vec::new();
    for_each(whereabouts, |queue, _| found.push(queue));
    found
}

/// Passes on each queue that is there, with its file, which can still be read
/// when the queue has been removed.
pub fn for_each(
    whereabouts: &QueueLocations,
    mut use_queue: impl FnMut(RecordQueue, File),
) {
    let directories = whereabouts.directories();
    let key = Choice::of(&whereabouts.environment).key().to_owned();
    let key = key.as_str();
    let namespaces = agent_address::namespaces().ok();
    for dir in &directories {
        let names = dir.names(MAX_NAMES).ok().flatten().unwrap_or_default();
        for name in names {
            if let Some((queue, file)) =
                look(dir, &name, namespaces.as_deref(), key)
            {
                use_queue(queue, file);
            }
        }
    }
}

/// The agents that run there, or are being started.
pub fn agents(whereabouts: &QueueLocations) -> Vec<Agent> {
    let own = agent_address::namespaces().ok();
    let own_lock = own.as_ref().map(|it| AgentNames::new(it).lock);
    let clock = Clock::now();
    let mut agents = Vec::new();
    for dir in whereabouts.directories() {
        let names = dir.names(MAX_NAMES).ok().flatten().unwrap_or_default();
        for name in names.into_iter().filter(|it| AgentNames::is_lock(it)) {
            let Ok(file) = dir.open(&name, OFlag::O_RDWR) else {
                continue;
            };
            if living_file::is_held(&file, Holder::Maker).unwrap_or(false) {
                let is_near = own_lock.as_ref() == Some(&name);
                let is_of_other_version = own.as_ref().is_some_and(|own| {
                    AgentNames::is_of_other_version(&name, own)
                });
                let near = own.as_deref().filter(|_| is_near);
                let process = near.map(|near| process_of(dir.path(), near));
                let pid = process.flatten();
                let stat = pid.and_then(|pid| ProcessStat::read(pid).ok());
                agents.push(Agent {
                    pid,
                    age: stat.as_ref().and_then(|it| clock.age(it)),
                    is_stopped: stat.is_some_and(|it| it.is_stopped()),
                    path: dir.path().join(&name).display().to_string(),
                    is_near,
                    is_of_other_version,
                });
            }
        }
    }
    agents
}

/// The process of this user that serves a directory in these namespaces. One
/// of a container that shares the directory may be seen here as well.
fn process_of(directory: &Path, namespaces: &str) -> Option<i32> {
    let user = geteuid().as_raw();
    let wanted = directory.as_os_str().as_bytes();
    let serves = |pid: &i32| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let is_own = fs::metadata(&process).is_ok_and(|it| it.uid() == user);
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).skip(1);
        is_own
            && words.next() == Some(b"agent")
            && words.next() == Some(b"serve")
            && words.next() == Some(wanted)
            && namespaces_of(&process).is_ok_and(|it| it == namespaces)
    };
    status::processes().ok()?.into_iter().find(serves)
}

/// Opens a queue. Its reader may just release what its page refers to, so a
/// failure is believed only if it comes again.
fn open(file: &File) -> Option<Reader> {
    let open = || Reader::open(file.try_clone()?.into());
    (0..ATTEMPTS).find_map(|_| open().ok())
}

/// A queue in these directories, and its file; `own` is the key of this process's namespaces,
/// `key` that of the directory that its environment chooses.
fn look(
    dir: &OwnDir,
    name: &OsStr,
    own: Option<&str>,
    key: &str,
) -> Option<(RecordQueue, File)> {
    let protocol = agent_address::protocol_of(name)?;
    let file = dir.open(name, OFlag::O_RDWR).ok()?;
    let is_held = |holder| living_file::is_held(&file, holder).ok();
    let (is_alive, is_read) =
        (is_held(Holder::Maker)?, is_held(Holder::Reader)?);
    let mut queue = RecordQueue {
        path: dir.path().join(name).display().to_string(),
        protocol,
        is_alive,
        is_read,
        pid: 0,
        session: String::new(),
        is_near: false,
        is_of_other_home: false,
        age: 0.0,
        records: 0,
        done: 0,
        lost: 0,
        bytes: 0,
    };
    let page = Page::read(&file).ok()?;
    if !page.has_words() {
        return Some((queue, file));
    }
    // Also for versions that cannot be delivered here.
    queue.records = page.committed.jobs;
    queue.done = page.progress.records;
    queue.lost = page.progress.records_lost;
    let Some(reader) = open(&file) else {
        queue.is_near = true;
        return Some((queue, file));
    };
    if !is_alive {
        let open = reader.open_command().ok().flatten();
        let open = open.map_or(0, |it| it.depth);
        queue.records = queue.records.saturating_add(open.into());
    }
    queue.bytes = reader.bytes().unwrap_or(0);
    if let Ok(origin) = reader.origin() {
        queue.is_near = own == Some(origin.namespaces.as_str());
        let micros = Timestamp::now().micros.saturating_sub(origin.micros);
        queue.age = micros.max(0) as f64 / 1e6;
        queue.pid = origin.pid;
        queue.session = origin.session;
    }
    let mut feed = CachedReader::new(reader);
    let environment = feed.environment(feed.queue.environment_at());
    queue.is_of_other_home =
        environment.is_ok_and(|it| Choice::of(&it).key() != key);
    Some((queue, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue;
    use crate::queue::Origin;

    fn agent() -> Agent {
        Agent {
            path: String::new(),
            pid: None,
            is_stopped: false,
            is_near: true,
            is_of_other_version: false,
            age: None,
        }
    }

    /// Nobody has read it for long, but all of it is done.
    fn queue() -> RecordQueue {
        RecordQueue {
            path: String::new(),
            protocol: 1,
            is_alive: false,
            is_read: false,
            pid: 1,
            session: String::new(),
            is_near: true,
            is_of_other_home: false,
            age: 2.0 * ABANDONED_AFTER,
            records: 7,
            done: 7,
            lost: 0,
            bytes: 0,
        }
    }

    #[test]
    fn a_queue_without_a_reader_is_abandoned_if_records_wait_long() {
        let abandoned = RecordQueue { done: 4, ..queue() };
        assert_eq!((queue().waiting(), abandoned.waiting()), (0, 3));
        assert!(abandoned.is_abandoned());
        let is_read = RecordQueue {
            is_read: true,
            ..abandoned.clone()
        };
        let young = RecordQueue {
            age: 1.0,
            ..abandoned
        };
        for it in [queue(), is_read, young] {
            assert!(!it.is_abandoned(), "{it:?}");
        }
    }

    #[test]
    fn agents_that_are_stopped_and_abandoned_queues_are_trouble() {
        let abandoned = RecordQueue { done: 4, ..queue() };
        let stopped = Agent {
            is_stopped: true,
            ..agent()
        };
        for (agents, queues, is_troubled) in [
            (vec![agent()], vec![], false),
            (vec![], vec![queue()], false),
            (vec![agent(), stopped], vec![], true),
            (vec![], vec![queue(), abandoned], true),
        ] {
            let overview = Overview { agents, queues };
            assert_eq!(overview.is_troubled(), is_troubled, "{overview:?}");
            assert!(!overview.is_empty());
        }
        let (agents, queues) = (Vec::new(), Vec::new());
        let nothing = Overview { agents, queues };
        assert!(nothing.is_empty() && !nothing.is_troubled());
    }

    #[test]
    fn a_queue_can_be_read_when_it_has_been_removed() {
        let home = tempfile::tempdir().unwrap();
        let mut environment = b"XDG_RUNTIME_DIR=".to_vec();
        environment.extend_from_slice(home.path().as_os_str().as_bytes());
        environment.push(0);
        let place = agent_address::places(&environment, None).next().unwrap();
        let dir = place.open(true).unwrap();
        let name = agent_address::new_queue();
        let file = dir.open_or_create(&name, OFlag::O_RDWR, 0o600).unwrap();
        queue::lay_out_for_records(&file, 1 << 20, &Origin::default()).unwrap();
        let mut reader = Reader::open(file.into()).unwrap();
        let whereabouts = QueueLocations::new(&environment, None);
        let path = dir.path().join(&name).display().to_string();
        let mut found = Vec::new();
        for_each(&whereabouts, |queue, file| {
            if queue.path == path {
                found.push(file);
            }
        });
        // Its reader finishes it now.
        reader.progress_mut().records_lost = 3;
        reader.publish().unwrap();
        dir.unlink(&name).unwrap();
        assert!(find(&whereabouts).iter().all(|it| it.path != path));
        let [file] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(file.metadata().unwrap().nlink(), 0);
        assert_eq!(Page::read(file).unwrap().progress.records_lost, 3);
    }
}
