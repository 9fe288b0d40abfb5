//! The agent's state, and how it is created.
//!
//! Must not know how the state is used: the loop is in `serve`, and its steps
//! in `claiming`, `delivering`, `slow_commands` and `ending`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::time::Instant;

use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGXFSZ;
use uilog_channel::agent_address::AgentNames;
use uilog_sinks::sink::Open;
use uilog_sys::wakeup;

use crate::admission::Admission;
use crate::configuration::Configurations;
use crate::configured::Configured;
use crate::directory::Directories;
use crate::doorbell::Doorbell;
use crate::error::Error;
use crate::error::system;
use crate::group::Clients;
use crate::groups::Groups;
use crate::idle::Idle;
use crate::ids::ClientId;
use crate::journal_writers::JournalWriters;
use crate::older_version::OlderVersion;

/// How often an agent scans for queues whose writers have not woken it: they
/// may have been killed before they could.
pub const SCAN_EVERY: Duration = Duration::from_secs(5);
/// Queues that are open at a time.
const MIN_CLIENTS: usize = 64;
const MAX_CLIENTS: usize = 4096;

/// The agent's state.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) directories: Directories,
    pub(crate) names: AgentNames,
    pub(crate) namespaces: String,
    pub(crate) lock: File,
    /// None while it ends.
    pub(crate) doorbell: Option<Doorbell>,
    /// For processes of the version before, if there are any.
    pub(crate) older: Option<OlderVersion>,
    /// The lock that one of them has passed on.
    pub(crate) older_lock: Option<File>,
    pub(crate) clients: Clients,
    pub(crate) by_name: HashMap<OsString, ClientId>,
    pub(crate) next_id: ClientId,
    pub(crate) max_clients: usize,
    pub(crate) groups: Groups,
    pub(crate) configurations: Configurations,
    pub(crate) admission: Admission,
    pub(crate) journals: JournalWriters,
    /// The agent's own, a block.
    pub(crate) environment: Arc<[u8]>,
    pub(crate) started_by: Option<OsString>,
    pub(crate) useless: HashSet<(OsString, PathBuf)>,
    /// Becomes readable when another thread has results.
    pub(crate) wakeup: UnixStream,
    pub(crate) terminated: Arc<AtomicBool>,
    pub(crate) gather_until: Option<Instant>,
    /// When the next scan is due, while the socket exists.
    pub(crate) scan_at: Instant,
    pub(crate) scanned_at: Instant,
    pub(crate) scan_every: Duration,
    pub(crate) looked_at: Instant,
    /// When there is something to do for a record that waits.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) idle: Idle,
    /// What the queues in its own directory took when that was last counted.
    pub(crate) counted: Option<u64>,
}

impl Server {
    pub(crate) fn new(
        directories: Directories,
        names: AgentNames,
        namespaces: String,
        lock: File,
        environment: Arc<[u8]>,
        open: Open,
        writers_grace: Duration,
    ) -> Result<Self, Error> {
        let failed = system("create a socket");
        let (wakeup, bell) = wakeup::pair().map_err(&failed)?;
        let terminated = Arc::new(AtomicBool::new(false));
        let handling = system("handle signals");
        signal_hook::flag::register(SIGTERM, Arc::clone(&terminated))
            .map_err(&handling)?;
        // A file size limit is then an error of the write, and does not end
        // this process.
        signal_hook::flag::register(SIGXFSZ, Arc::default())
            .map_err(&handling)?;
        let signalled = bell.try_clone().map_err(&failed)?;
        signal_hook::low_level::pipe::register(SIGTERM, signalled)
            .map_err(&handling)?;
        let bell = Arc::new(bell);
        let configured =
            Configured::new(Arc::clone(&environment), Arc::clone(&bell));
        Ok(Self {
            directories,
            names,
            lock,
            doorbell: None,
            older: None,
            older_lock: None,
            clients: Clients::new(),
            by_name: HashMap::new(),
            next_id: 0,
            max_clients: max_clients(),
            groups: Groups::new(open),
            configurations: Configurations::default(),
            admission: Admission::new(namespaces.clone(), configured),
            namespaces,
            journals: JournalWriters::new(bell),
            environment,
            started_by: None,
            useless: HashSet::new(),
            wakeup,
            terminated,
            gather_until: None,
            scan_at: Instant::now(),
            scanned_at: Instant::now(),
            scan_every: SCAN_EVERY,
            looked_at: Instant::now(),
            retry_at: None,
            idle: Idle::new(Instant::now(), writers_grace),
            counted: None,
        })
    }
}

/// As many queues are open at a time: their sinks need descriptors, too.
fn max_clients() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |it| it.0);
    let part = usize::try_from(limit / 4).unwrap_or(usize::MAX);
    part.clamp(MIN_CLIENTS, MAX_CLIENTS)
}
