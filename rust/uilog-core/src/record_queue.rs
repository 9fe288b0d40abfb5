//! hg's way to the user's agent: the queue of this process's records.
//!
//! Responsible for a file with a name, in the user's runtime directory, to
//! which hg appends what structured sinks are to have, and for waking the
//! agent, or starting one if there is none. Nothing here waits. What is in the
//! file is still there when every process has been killed; whoever comes later
//! delivers it. Of hg's environment only what sinks need is in it. Must not
//! know what an agent does with it.
//!
//! A process that is confined more than others of its container, or that finds
//! no place for such a file, has no such queue (`NotTaken::Unusable`): its
//! records go by way of its own dispatcher.

use std::ffi::OsString;
use std::io;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use uilog_sys::append::Place;
use uilog_sys::confined;
use uilog_sys::fork::CloseInChild;
use uilog_sys::living_file;
use uilog_sys::own_dir::OwnDir;

use crate::agent_address;
use crate::agent_address::AgentNames;
use crate::agent_start;
use crate::backoff::Backoff;
use crate::bound::Bound;
use crate::bound::SEND_FLAGS;
use crate::bound::leave_some_for_hg;
use crate::dispatcher::JobParts;
use crate::event::SessionId;
use crate::event::Timestamp;
use crate::frames;
use crate::frames::Sent;
use crate::journal::places::Choice;
use crate::pipeline::Loss;
use crate::queue;
use crate::queue::Origin;
use crate::queue::Progress;
use crate::queue::Writer;
use crate::settings::Settings;
use crate::sink_environment;

/// So long after it has started one this process starts no other agent.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// How often whoever waits for a verdict looks for it.
const VERDICT_STEP: Duration = Duration::from_millis(1);

/// Why a record has not been taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// This process has no queue of records.
    Unusable,
    /// It is in the queue, and for this reason nobody is told.
    Waits(String),
    /// It is lost.
    Lost(Loss),
}

/// The queue of this process's records.
#[derive(Debug, Default)]
pub struct RecordQueue {
    open: Option<Open>,
    /// Why there is none in this process.
    unusable: Option<String>,
    backoff: Backoff,
    started_at: Option<Instant>,
    /// Agents that this process has started.
    starts: u64,
    environment: Needed,
}

/// What sinks need of an environment, looked up once for as long as it and
/// their items stay the same.
#[derive(Debug, Default)]
struct Needed {
    whole: Vec<u8>,
    items: Vec<(Vec<u8>, Vec<u8>)>,
    part: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    /// Dropped first: after that a forked child would keep the descriptors,
    /// and this process would seem to live on in it.
    _guards: [CloseInChild; 2],
    queue: Bound<Writer>,
    socket: Bound<OwnedFd>,
    name: OsString,
    place: Place,
    address: UnixAddr,
    /// Keeps a long address short.
    _dir: Option<Bound<OwnDir>>,
    sent: Sent,
    /// An agent knows where this process comes from.
    has_shown: bool,
}

impl RecordQueue {
    /// Appends a record, whose parts are of [`crate::dispatcher::Task::Record`]
    /// with these items, and wakes the agent.
    ///
    /// # Errors
    ///
    /// It has not been taken.
    pub(crate) fn send(
        &mut self,
        parts: &JobParts<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        hg: &[u8],
        program: &Path,
        session: SessionId,
    ) -> Result<(), NotTaken> {
        if self.unusable.is_some() {
            return Err(NotTaken::Unusable);
        }
        if self.open.as_ref().is_some_and(|it| !it.is_intact()) {
            // Whatever is in it will be found.
            self.open = None;
        }
        self.environment.update(parts.environment, items);
        if self.open.is_none() {
            let opened = Open::new(parts, session).map_err(|reason| {
                self.unusable = Some(reason);
                NotTaken::Unusable
            })?;
            self.open = Some(opened);
        }
        let Some(open) = self.open.as_mut() else {
            return Err(NotTaken::Unusable);
        };
        let parts = JobParts {
            environment: &self.environment.part,
            ..*parts
        };
        if let Err(error) = open.sent.append(&mut open.queue, &parts, hg) {
            let reason = frames::explain(&error, parts.settings);
            let events = parts.events();
            return Err(NotTaken::Lost(Loss { events, reason }));
        }
        if parts.is_followed() {
            return Ok(());
        }
        self.wake(program).map_err(NotTaken::Waits)
    }

    /// Wakes the agent, or starts one. What could not be handed over stays in
    /// the queue: nothing is lost by that.
    ///
    /// # Errors
    ///
    /// Why there is no agent.
    fn wake(&mut self, program: &Path) -> Result<(), String> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let is_early = self
            .started_at
            .is_some_and(|at| at.elapsed() < RESTART_PAUSE);
        if open.ring() || is_early || self.backoff.reason().is_some() {
            return Ok(());
        }
        let started = open.place.open(false);
        let started = started.map_err(|error| error.to_string());
        let own = Some(open.name.as_os_str());
        match started.and_then(|dir| agent_start::start(&dir, program, own)) {
            Ok(has_started) => {
                if has_started {
                    self.starts += 1;
                    self.started_at = Some(Instant::now());
                }
                Ok(())
            }
            Err(reason) => Err(self.backoff.failed(format!(
                "no agent can be started, and records wait: {reason}"
            ))),
        }
    }

    /// The last look at the agent, when hg ends in the ordinary way: if it has
    /// died with records waiting, nobody else will notice soon.
    ///
    /// # Errors
    ///
    /// As of [`Self::wake`].
    pub(crate) fn finish(&mut self, program: &Path) -> Result<(), String> {
        match self.open.as_ref().map(Open::is_waiting) {
            Some(true) => self.wake(program),
            _ => Ok(()),
        }
    }

    /// The command has ended that the caller knows as `id`, if its beginning
    /// stands in the queue.
    pub(crate) fn end_command(&mut self, id: u64) {
        if let Some(open) = self.open_of_command() {
            // If it cannot be written, the process may be said to be killed.
            let _ = open.queue.end(id);
        }
    }

    /// All commands have ended.
    pub(crate) fn end_commands(&mut self) {
        if let Some(open) = self.open_of_command() {
            let _ = open.queue.end_all();
        }
    }

    /// This process is about to become another program, or has not become one.
    pub(crate) fn hide_commands(&mut self, is_hidden: bool) {
        if let Some(open) = self.open_of_command() {
            let _ = open.queue.hide_open(is_hidden);
        }
    }

    /// Where a command has begun that has not ended.
    fn open_of_command(&mut self) -> Option<&mut Open> {
        let open = self.open.as_mut().filter(|it| it.queue.has_open());
        open.filter(|it| it.is_intact())
    }

    /// Waits until it is known what has become of every record, but not longer
    /// than until `deadline`; whether it is. For whoever has the time.
    pub(crate) fn await_verdict(&self, deadline: Instant) -> bool {
        let Some(open) = &self.open else {
            return true;
        };
        while open.is_waiting() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(VERDICT_STEP);
        }
        true
    }

    /// Its state, if there is one.
    pub fn status(&self) -> Option<Status> {
        let open = self.open.as_ref().filter(|it| it.is_intact())?;
        Some(Status {
            name: open.place.directory().join(&open.name),
            records: open.queue.committed().jobs,
            progress: open.queue.progress().ok()?,
            queue_bytes: open.queue.bytes().unwrap_or(0),
            last_failure: open.queue.last_failure().ok()?,
            starts: self.starts,
        })
    }
}

/// The state of a queue of records, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The file.
    pub name: PathBuf,
    /// Records appended.
    pub records: u64,
    /// What the agent has done.
    pub progress: Progress,
    /// Memory of the queue, in bytes.
    pub queue_bytes: u64,
    /// The last failure of a sink.
    pub last_failure: Option<String>,
    /// Agents that this process has started.
    pub starts: u64,
}

impl Needed {
    fn update(&mut self, whole: &[u8], items: &[(Vec<u8>, Vec<u8>)]) {
        if self.whole == whole && self.items == items {
            return;
        }
        self.part = sink_environment::needed(whole, items);
        self.whole = whole.to_vec();
        self.items = items.to_vec();
    }
}

impl Open {
    /// Makes a queue in the first place that can be used.
    fn new(parts: &JobParts<'_>, session: SessionId) -> Result<Self, String> {
        if let Some(reason) = confined::reason() {
            return Err(reason);
        }
        let namespaces = agent_address::namespaces()
            .map_err(|error| format!("namespaces: {error}"))?;
        let origin = Origin {
            pid: std::process::id(),
            namespaces,
            session: session.to_string(),
            micros: Timestamp::now().micros,
        };
        let mut problem = "there is no place for a queue".to_owned();
        // The whole environment: what chooses the place is the caller's.
        for place in Choice::of(parts.environment).near("records") {
            match Self::in_place(place, parts.settings, &origin) {
                Ok(open) => return Ok(open),
                Err(error) => problem = error.to_string(),
            }
        }
        Err(problem)
    }

    fn in_place(
        place: Place,
        settings: &Settings,
        origin: &Origin,
    ) -> io::Result<Self> {
        let dir = place.open(true)?;
        let name = agent_address::new_queue();
        let agent = AgentNames::new(&origin.namespaces);
        let (address, is_long) = address(&dir, &agent)?;
        let socket = socket::socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        let max_bytes = settings.queue_bytes;
        let file = living_file::create(&dir, &name, |file| {
            queue::lay_out_for_records(file, max_bytes, origin)
        })?;
        let used = [socket.as_raw_fd(), file.as_raw_fd()];
        if let Err(reason) = leave_some_for_hg(&used) {
            let _ = dir.unlink(&name);
            return Err(io::Error::other(reason));
        }
        Ok(Self {
            _guards: used.map(CloseInChild::new),
            queue: Bound::new(Writer::over(file, max_bytes)),
            socket: Bound::new(socket),
            name,
            place,
            address,
            _dir: is_long.then(|| Bound::new(dir)),
            sent: Sent::default(),
            has_shown: false,
        })
    }

    /// Whether the descriptors are still what they were.
    fn is_intact(&self) -> bool {
        self.queue.is_intact() && self.socket.is_intact()
    }

    /// Whether there are records that no agent is done with.
    fn is_waiting(&self) -> bool {
        let done = self.queue.progress().unwrap_or_default().records;
        self.is_intact() && done < self.queue.committed().jobs
    }

    /// Tells the agent to look into the queue; false if there is none.
    fn ring(&mut self) -> bool {
        let raw = self.socket.as_raw_fd();
        let name = self.name.as_bytes();
        let mut sent = Err(Errno::ENOSYS);
        if !self.has_shown {
            sent = self.ring_with_evidence();
            self.has_shown = sent.is_ok();
        }
        let is_to_try = |it: &Errno| {
            !matches!(it, Errno::ECONNREFUSED | Errno::ENOENT | Errno::EAGAIN)
        };
        if sent.as_ref().is_err_and(is_to_try) {
            sent = socket::sendto(raw, name, &self.address, SEND_FLAGS);
        }
        match sent {
            Err(Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTDIR) => false,
            // A full socket means that it has enough to wake up from; it
            // looks into every queue then. What else there may be is no sign
            // that another agent would do better.
            _ => true,
        }
    }

    /// The same, and shows that this process is from the agent's namespaces:
    /// once is enough.
    fn ring_with_evidence(&self) -> Result<usize, Errno> {
        let evidence = agent_address::evidence().map_err(|_| Errno::ENOSYS)?;
        let rights = [evidence.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&rights)];
        let name = [IoSlice::new(self.name.as_bytes())];
        let raw = self.socket.as_raw_fd();
        let address = Some(&self.address);
        socket::sendmsg(raw, &name, &rights, SEND_FLAGS, address)
    }
}

/// The agent's address, and whether it holds only while the directory is open:
/// few bytes are room for a path.
fn address(dir: &OwnDir, agent: &AgentNames) -> io::Result<(UnixAddr, bool)> {
    let path = dir.path().join(&agent.socket);
    if let Ok(address) = UnixAddr::new(&path) {
        return Ok((address, false));
    }
    let short = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let address = UnixAddr::new(&Path::new(&short).join(&agent.socket))?;
    Ok((address, true))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    use uilog_sys::living_file::Holder;

    use super::*;
    use crate::pipeline::Draft;
    use crate::pipeline::Host;
    use crate::pipeline::Logger;
    use crate::queue::Reader;
    use crate::wire::Frame;

    /// An environment whose runtime directory is its own.
    fn environment() -> (tempfile::TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(dir.path(), private).unwrap();
        let path = dir.path().display();
        let block =
            format!("HOME={path}\0XDG_RUNTIME_DIR={path}\0TOKEN=secret\0");
        (dir, block.into_bytes())
    }

    fn log(host: &mut Host, name: &[u8]) {
        let item = |name: &str, value: &str| {
            (name.as_bytes().to_vec(), value.as_bytes().to_vec())
        };
        let items = [item("agent", "yes"), item("sink.a", "file:/x")];
        let draft = Draft {
            name,
            message: Cow::Borrowed(b"said"),
            options: Vec::new(),
            hg: b"hg",
            root: None,
            time: None,
            pid: None,
        };
        Logger::new(&items, &[]).log(host, draft);
    }

    fn host(block: &[u8], program: &str) -> Host {
        let mut host = Host::new(program.into());
        host.enter(&mut block.to_vec());
        host
    }

    /// The records in a queue, and all bytes of it.
    fn read(path: &Path) -> (Vec<Vec<u8>>, Vec<u8>) {
        let file = fs::File::options().read(true).write(true).open(path);
        let file = file.unwrap();
        assert!(living_file::is_held(&file, Holder::Maker).unwrap());
        let mut reader = Reader::open(file.into()).unwrap();
        let origin = reader.origin().unwrap();
        assert_eq!(origin.pid, std::process::id());
        let mut names = Vec::new();
        let mut at = reader.low();
        while let Some((frame, next)) = reader.frame(at).unwrap() {
            if let Ok(Frame::Record(record)) = postcard::from_bytes(&frame) {
                names.push(record.event.name.to_vec());
            }
            at = next;
        }
        (names, fs::read(path).unwrap())
    }

    #[test]
    fn records_lie_in_a_file_without_what_no_sink_needs() {
        let (dir, block) = environment();
        let mut host = host(&block, "/bin/true");
        log(&mut host, b"one");
        log(&mut host, b"two");
        let status = host.records().status().unwrap();
        assert_eq!((status.records, status.starts), (2, 1));
        assert!(status.name.starts_with(dir.path().join("uilog")));
        let (names, bytes) = read(&status.name);
        assert_eq!(names, [&b"one"[..], b"two"]);
        assert!(bytes.windows(5).any(|it| it == b"HOME="));
        assert!(!bytes.windows(6).any(|it| it == b"secret"));
        assert_eq!(host.counters().lost, 0);
        assert_eq!(host.dispatcher().starts(), 0);
        // It stays when its maker has gone.
        drop(host);
        let file = fs::File::open(&status.name).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        // Another test's child may have a copy until its exec.
        while living_file::is_held(&file, Holder::Maker).unwrap() {
            assert!(Instant::now() < deadline, "somebody holds it");
            std::thread::sleep(VERDICT_STEP);
        }
    }

    #[test]
    fn an_agent_that_listens_is_woken_and_no_other_started() {
        let (dir, block) = environment();
        let mut host = host(&block, "/bin/true");
        let names = AgentNames::new(&agent_address::namespaces().unwrap());
        let own = dir.path().join("uilog");
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        let agent = UnixDatagram::bind(own.join(&names.socket)).unwrap();
        log(&mut host, b"one");
        let status = host.records().status().unwrap();
        assert_eq!(status.starts, 0);
        let mut told = [0; 128];
        let length = agent.recv(&mut told).unwrap();
        let name = status.name.file_name().unwrap();
        assert_eq!(&told[..length], name.as_bytes());
        // One that does not listen holds up nobody.
        for _ in 0..10_000 {
            log(&mut host, b"more");
        }
        assert_eq!(host.counters().lost, 0);
        assert_eq!(host.records().status().unwrap().starts, 0);
    }

    #[test]
    fn whoever_has_the_lock_starts_the_agent() {
        let (dir, block) = environment();
        let names = AgentNames::new(&agent_address::namespaces().unwrap());
        let own = dir.path().join("uilog");
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        let lock = fs::File::create(own.join(&names.lock)).unwrap();
        assert!(living_file::hold(&lock, Holder::Maker).unwrap());
        let mut host = host(&block, "/bin/true");
        log(&mut host, b"one");
        assert_eq!(host.records().status().unwrap().starts, 0);
        drop(lock);
        log(&mut host, b"two");
        assert_eq!(host.records().status().unwrap().starts, 1);
    }

    #[test]
    fn without_a_program_records_wait_and_it_is_told() {
        let (_dir, block) = environment();
        let mut host = host(&block, "/nowhere/uilog");
        log(&mut host, b"one");
        log(&mut host, b"two");
        assert_eq!(host.counters().lost, 0);
        let told: Vec<_> = host.recent().map(str::to_owned).collect();
        assert!(!told.is_empty());
        assert!(told[0].contains("records wait"), "{told:?}");
        assert!(told[0].contains("/nowhere/uilog"), "{told:?}");
        assert_eq!(host.records().status().unwrap().records, 2);
    }
}
