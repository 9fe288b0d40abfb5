//! hg's side of the agent: the queue of this process's records.
//!
//! Responsible for a file in the user's runtime directory, to which hg appends
//! records, and for waking the agent, or starting one. Nothing here blocks. The
//! file survives if every process is killed, and is delivered later. Of hg's
//! environment it only contains what sinks need. Must not know what an agent
//! does with it.
//!
//! A process that is more confined than others of its container, or that finds
//! no directory or no room for the file, uses its own dispatcher instead
//! (`NotQueued::Unusable`). If the file loses its name, as at a logout, nobody
//! can find it: records that no agent has read go into a new file.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use nix::sys::socket::UnixCredentials;
use nix::sys::stat::fstat;
use nix::unistd::getegid;
use nix::unistd::geteuid;
use nix::unistd::getuid;
use uilog_channel::agent_address;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::backoff::Backoff;
use uilog_channel::bound::Bound;
use uilog_channel::bound::SEND_FLAGS;
use uilog_channel::bound::leave_some_for_hg;
use uilog_channel::frames;
use uilog_channel::frames::JobParts;
use uilog_channel::frames::Sent;
use uilog_channel::loss::Loss;
use uilog_channel::queue;
use uilog_channel::queue::Delivery;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Progress;
use uilog_channel::queue::Writer;
use uilog_channel::queue_room;
use uilog_channel::queue_room::Refused;
use uilog_channel::queue_room::UNIT_BYTES;
use uilog_channel::settings::Settings;
use uilog_channel::sink_environment;
use uilog_event::event::SessionId;
use uilog_event::event::Timestamp;
use uilog_sys::append::GuardedPath;
use uilog_sys::confined;
use uilog_sys::fork::CloseInChild;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;

use crate::agent_start;

/// The item that names a directory for queues.
const QUEUE_DIR: &[u8] = b"queue-dir";
/// So long after it has started one this process starts no other agent.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// After so long, a process that has found no directory for a queue tries
/// again: a server may live for weeks.
const PLACE_PAUSE: Duration = Duration::from_secs(10);
/// How often to check for a verdict.
const VERDICT_STEP: Duration = Duration::from_millis(1);

/// Why a record was not appended.
#[derive(Debug)]
pub(crate) enum NotQueued {
    /// This process has no queue of records, or no room in it: the dispatcher
    /// has to take it. A reason should be reported to the user.
    Unusable(Option<String>),
    /// It is in the queue, and this is why the agent was not woken.
    Waits(String),
    /// It is lost.
    Lost(Loss),
}

/// The queue of this process's records.
#[derive(Debug, Default)]
pub struct RecordQueue {
    open: Option<Open>,
    /// Why this process has none.
    unusable: Option<String>,
    /// When that may have changed, if it can.
    retry_at: Option<Instant>,
    /// The user knows that it cannot be used.
    has_told: bool,
    backoff: Backoff,
    started_at: Option<Instant>,
    /// Agents that this process has started.
    starts: u64,
    environment: Needed,
}

/// What sinks need from an environment, cached until it or their items change.
#[derive(Debug, Default)]
struct Needed {
    whole: Vec<u8>,
    items: Vec<(Vec<u8>, Vec<u8>)>,
    part: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    /// Dropped first, because afterwards a forked child would keep the
    /// descriptors, and this process would seem to live.
    _guards: [CloseInChild; 2],
    queue: Bound<Writer>,
    socket: Bound<OwnedFd>,
    name: OsString,
    /// The key of this process's namespaces.
    namespaces: String,
    place: GuardedPath,
    address: UnixAddr,
    /// Keeps the path short.
    _dir: Option<Bound<OwnDir>>,
    sent: Sent,
    settings: Settings,
    /// An agent knows this process's namespaces.
    has_shown: bool,
}

impl RecordQueue {
    /// Appends a record, whose parts are of
    /// [`uilog_channel::frames::Task::Record`] with these items, and wakes the
    /// agent.
    ///
    /// # Errors
    ///
    /// It was not appended.
    pub(crate) fn send(
        &mut self,
        parts: &JobParts<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        hg: &[u8],
        program: &Path,
        session: SessionId,
    ) -> Result<(), NotQueued> {
        if self.unusable.is_some() && !self.may_try_again() {
            return Err(NotQueued::Unusable(None));
        }
        if self.open.as_ref().is_some_and(|it| !it.is_intact()) {
            // An agent will find its records.
            self.open = None;
        }
        self.environment.update(parts.environment, items);
        let is_found = self.open.as_ref().is_some_and(Open::has_name);
        if !is_found && let Err(refusal) = self.open_new(parts, session) {
            return Err(self.refuse(refusal, parts.environment, program));
        }
        let Some(open) = self.open.as_mut() else {
            return Err(NotQueued::Unusable(None));
        };
        let parts = JobParts {
            environment: &self.environment.part,
            ..*parts
        };
        if let Err(error) = open.append(&parts, hg) {
            if is_own_bound(&error) {
                let reason = frames::explain(&error, parts.settings);
                let events = parts.events();
                return Err(NotQueued::Lost(Loss { events, reason }));
            }
            // Its records will be delivered, which makes room.
            let _ = self.wake(program);
            return Err(NotQueued::Unusable(self.tell(error.to_string())));
        }
        if parts.is_followed() {
            return Ok(());
        }
        self.wake(program).map_err(NotQueued::Waits)
    }

    fn may_try_again(&mut self) -> bool {
        let is_due = self.retry_at.is_some_and(|at| Instant::now() >= at);
        if is_due {
            self.unusable = None;
            self.retry_at = None;
        }
        is_due
    }

    /// Creates a queue. Copies into it what no agent has read of one that has
    /// no name any more, with commands that have begun there.
    fn open_new(
        &mut self,
        parts: &JobParts<'_>,
        session: SessionId,
    ) -> Result<(), Refusal> {
        let lost = self.open.as_ref();
        let left = lost.filter(|it| {
            it.queue.has_open() || it.is_waiting() && !it.is_read()
        });
        let places = self.environment.places();
        let opened = Open::new(places, parts.settings, session, left)?;
        if let Some(mut lost) = self.open.replace(opened) {
            // Its commands continue in the new queue, so the reader of this one
            // must not report them.
            let _ = lost.queue.end_all();
        }
        Ok(())
    }

    /// There is no queue for now; returns what happens to the record instead.
    fn refuse(
        &mut self,
        refusal: Refusal,
        environment: &[u8],
        program: &Path,
    ) -> NotQueued {
        let Refusal { reason, why } = refusal;
        let is_to_tell = match &why {
            Why::Confined => false,
            Why::NoPlace => {
                self.retry_at = Some(Instant::now() + PLACE_PAUSE);
                false
            }
            Why::Full(dir) => {
                self.retry_at = Some(Instant::now() + PLACE_PAUSE);
                // The agent measures what the queues take, and delivers them.
                let _ = agent_start::start(dir, program, None, environment);
                true
            }
        };
        self.unusable = Some(reason.clone());
        NotQueued::Unusable(is_to_tell.then(|| self.tell(reason)).flatten())
    }

    /// Why records are delivered otherwise, if no user has been informed.
    fn tell(&mut self, reason: String) -> Option<String> {
        let is_first = !std::mem::replace(&mut self.has_told, true);
        is_first.then(|| {
            format!(
                "this command's own process delivers its records instead of \
                 the agent: {reason}"
            )
        })
    }

    /// Wakes the agent, or starts one. If that fails, records stay in the
    /// queue: nothing is lost.
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
        let environment = &self.environment.whole;
        let start = |dir| agent_start::start(&dir, program, own, environment);
        match started.and_then(start) {
            Ok(has_started) => {
                if has_started {
                    self.starts += 1;
                    self.started_at = Some(Instant::now());
                }
                Ok(())
            }
            Err(reason) => Err(self.backoff.failed(format!(
                "no agent can be started, and records stay in the queue: \
                 {reason}"
            ))),
        }
    }

    /// The last check of the agent, at an ordinary end of hg: if it has died
    /// with records waiting, no other process will notice soon.
    ///
    /// # Errors
    ///
    /// Records wait and there is no agent, or they are lost with a queue that
    /// has no name any more.
    pub(crate) fn finish(&mut self, program: &Path) -> Result<(), NotQueued> {
        let Some(open) = self.open.as_ref().filter(|it| it.is_waiting()) else {
            return Ok(());
        };
        if !open.has_name() && !open.is_read() {
            let undone = open.undone();
            let places = self.environment.places();
            let moved = Open::moved(places, &open.settings, open);
            let moved = moved.map_err(|refusal| {
                let reason = format!(
                    "the queue's file was removed, and no other can be \
                     created: {}",
                    refusal.reason
                );
                NotQueued::Lost(Loss {
                    events: undone,
                    reason,
                })
            })?;
            self.open = Some(moved);
        }
        self.wake(program).map_err(NotQueued::Waits)
    }

    /// The command that the caller calls `id` has ended, if its beginning is in
    /// the queue.
    pub(crate) fn end_command(&mut self, id: u64) {
        if let Some(open) = self.open_of_command() {
            // If it cannot be written, the process may be reported as killed.
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

    /// Stores the phase of the innermost command, to explain why it takes so
    /// long.
    pub(crate) fn set_phase(&mut self, phase: &[u8]) {
        let open = self.open.as_ref().filter(|it| it.queue.has_open());
        if let Some(open) = open.filter(|it| it.is_intact()) {
            // If it cannot be written, there is no phase.
            let _ = open.queue.set_phase(phase);
        }
    }

    /// Where a command has begun that has not ended.
    fn open_of_command(&mut self) -> Option<&mut Open> {
        let open = self.open.as_mut().filter(|it| it.queue.has_open());
        open.filter(|it| it.is_intact())
    }

    /// Waits until the result of every record is known, but at most until
    /// `deadline`; returns whether it is.
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

    /// Whether there may be undelivered records; `answers` says whether a sink
    /// acknowledges them later, as a collector does.
    pub(crate) fn may_be_undelivered(&self, answers: bool) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let has_records = open.queue.committed().jobs > 0;
            open.is_intact() && has_records && (answers || open.is_waiting())
        })
    }

    /// Asks the agent to deliver everything at once, and to answer when that is
    /// done.
    ///
    /// # Errors
    ///
    /// Why there is no agent.
    pub(crate) fn ask_for_delivery(
        &mut self,
        program: &Path,
    ) -> Result<(), String> {
        let Some(open) = self.open.as_ref().filter(|it| it.is_intact()) else {
            return Ok(());
        };
        let asked = open.queue.ask_for_delivery();
        asked.map_err(|error| format!("cannot write the queue: {error}"))?;
        self.wake(program)
    }

    /// How far the delivery is.
    pub(crate) fn delivery(&self) -> Delivery {
        match self.open.as_ref().filter(|it| it.is_intact()) {
            Some(open) => open.queue.delivery(),
            // There will be no answer.
            None => Delivery::Done,
        }
    }

    /// Why this process has no such queue and will have none, if so.
    pub fn why_unusable(&self) -> Option<String> {
        let known = self.unusable.clone();
        known.or_else(|| self.open.is_none().then(confined::reason).flatten())
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

    /// Where a queue may be, the preferred place first.
    fn places(&self) -> Vec<GuardedPath> {
        let set = self.items.iter().find(|(name, _)| name == QUEUE_DIR);
        let queue_dir = set.map(|(_, value)| &**value).unwrap_or_default();
        // An invalid one is reported with all other settings.
        let queue_dir = agent_address::queue_dir_of(queue_dir).ok().flatten();
        // The whole environment: what chooses the place is the caller's.
        agent_address::places(&self.whole, queue_dir.as_deref())
    }
}

/// Why there is no queue.
struct Refusal {
    reason: String,
    why: Why,
}

/// What follows from it.
enum Why {
    /// This process may do less than others. That never changes.
    Confined,
    /// There is no directory for it.
    NoPlace,
    /// The user's queues in this directory, where an agent may serve them, have
    /// reached their limit.
    Full(OwnDir),
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            why: Why::NoPlace,
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl Open {
    /// Creates a queue in the first directory that can be used, with the rest
    /// of another one.
    fn new(
        places: Vec<GuardedPath>,
        settings: &Settings,
        session: SessionId,
        left: Option<&Self>,
    ) -> Result<Self, Refusal> {
        if let Some(left) = left {
            return Self::moved(places, settings, left);
        }
        if let Some(reason) = confined::reason() {
            let why = Why::Confined;
            return Err(Refusal { reason, why });
        }
        let namespaces = agent_address::namespaces()
            .map_err(|error| Refusal::new(format!("namespaces: {error}")))?;
        let origin = Origin {
            pid: std::process::id(),
            namespaces,
            session: session.to_string(),
            micros: Timestamp::now().micros,
        };
        somewhere(places, |place| {
            let max_bytes = settings.queue_bytes;
            let fill = |file: &File| {
                queue::lay_out_for_records(file, max_bytes, &origin)
            };
            let over = |file| Writer::over(file, max_bytes);
            let namespaces = &origin.namespaces;
            Self::in_place(place, settings, namespaces, 0, fill, over)
        })
    }

    /// Continues with the rest of a queue in another file.
    fn moved(
        places: Vec<GuardedPath>,
        settings: &Settings,
        left: &Self,
    ) -> Result<Self, Refusal> {
        let bytes = left.queue.bytes()?;
        somewhere(places, |place| {
            let fill = |file: &File| queue::copy(left.queue.page(), file);
            let over = |file| left.queue.go_on_in(file);
            let namespaces = &left.namespaces;
            let new =
                Self::in_place(place, settings, namespaces, bytes, fill, over)?;
            let sent = left.sent.clone();
            Ok(Self { sent, ..new })
        })
    }

    /// Creates a queue, whose content `fill` writes, with so many bytes, to
    /// which `over` then appends.
    fn in_place(
        place: GuardedPath,
        settings: &Settings,
        namespaces: &str,
        bytes: u64,
        fill: impl FnOnce(&File) -> io::Result<()>,
        over: impl FnOnce(File) -> Writer,
    ) -> Result<Self, Refusal> {
        let dir = place.open(true)?;
        let name = agent_address::new_queue();
        let agent = AgentNames::new(namespaces);
        let (address, is_long) = address(&dir, &agent)?;
        let socket = socket::socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        let max_bytes = settings.agent_queues_bytes;
        let room = queue_room::reserve(&dir, bytes + UNIT_BYTES, max_bytes);
        let room = match room {
            Ok(room) => room,
            Err(refused) => {
                let reason = refused.to_string();
                let why = match refused {
                    Refused::Bound(_) => Why::Full(dir),
                    Refused::System(_) => Why::NoPlace,
                };
                return Err(Refusal { reason, why });
            }
        };
        let file = living_file::create(&dir, &name, fill)?;
        let used = [socket.as_raw_fd(), file.as_raw_fd()];
        if let Err(reason) = leave_some_for_hg(&used) {
            let _ = dir.unlink(&name);
            return Err(Refusal::new(reason));
        }
        let mut queue = over(file);
        queue.allow(room);
        Ok(Self {
            _guards: used.map(CloseInChild::new),
            queue: Bound::new(queue),
            socket: Bound::new(socket),
            name,
            namespaces: namespaces.to_owned(),
            place,
            address,
            _dir: is_long.then(|| Bound::new(dir)),
            sent: Sent::default(),
            settings: *settings,
            has_shown: false,
        })
    }

    /// Appends a record; reserves more memory if needed.
    fn append(&mut self, parts: &JobParts<'_>, hg: &[u8]) -> io::Result<()> {
        let appended = self.sent.append(&mut self.queue, parts, hg);
        match appended {
            Err(error) if is_to_be_allowed(&error) => {}
            appended => return appended,
        }
        let dir = self.place.open(false)?;
        let max_bytes = parts.settings.agent_queues_bytes;
        let missing = self.queue.missing();
        let room = queue_room::reserve(&dir, missing, max_bytes);
        let room = room.map_err(|refused| match refused {
            Refused::System(error) => error,
            bound => io::Error::other(bound.to_string()),
        })?;
        self.queue.allow(room);
        self.sent.append(&mut self.queue, parts, hg)
    }

    /// Whether others can find it: a logout may have removed its directory.
    fn has_name(&self) -> bool {
        fstat(self.queue.page()).is_ok_and(|it| it.st_nlink > 0)
    }

    /// Whether an agent reads it, which continues until all is delivered.
    fn is_read(&self) -> bool {
        living_file::is_held(self.queue.page(), Holder::Reader).unwrap_or(false)
    }

    /// Records that no agent is done with.
    fn undone(&self) -> u64 {
        let done = self.queue.progress().unwrap_or_default().records;
        self.queue.committed().jobs.saturating_sub(done)
    }

    /// Whether the descriptors are still what they were.
    fn is_intact(&self) -> bool {
        self.queue.is_intact() && self.socket.is_intact()
    }

    /// Whether there are records that no agent is done with.
    fn is_waiting(&self) -> bool {
        self.is_intact() && self.undone() > 0
    }

    /// Sends the agent a wakeup for the queue; false if there is no agent.
    fn ring(&mut self) -> bool {
        let mut sent = Err(Errno::ENOSYS);
        if !self.has_shown {
            sent = self.ring_with_evidence();
            self.has_shown = sent.is_ok();
        }
        let is_to_try = |it: &Errno| {
            !matches!(it, Errno::ECONNREFUSED | Errno::ENOENT | Errno::EAGAIN)
        };
        if sent.as_ref().is_err_and(is_to_try) {
            sent = self.ring_with(&[]);
        }
        match sent {
            Err(Errno::ECONNREFUSED | Errno::ENOENT | Errno::ENOTDIR) => false,
            // A full socket wakes the agent, which then scans all queues. Other
            // errors do not mean that another agent would do better.
            _ => true,
        }
    }

    /// The same, and shows that this process is from the agent's namespaces:
    /// once is enough.
    fn ring_with_evidence(&self) -> Result<usize, Errno> {
        let evidence = agent_address::evidence().map_err(|_| Errno::ENOSYS)?;
        self.ring_with(&[evidence.as_raw_fd()])
    }

    fn ring_with(&self, rights: &[RawFd]) -> Result<usize, Errno> {
        let raw = self.socket.as_raw_fd();
        let (user, effective) = (getuid(), geteuid());
        if rights.is_empty() && user == effective {
            let name = self.name.as_bytes();
            return socket::sendto(raw, name, &self.address, SEND_FLAGS);
        }
        let name = [IoSlice::new(self.name.as_bytes())];
        let mut messages = Vec::new();
        if !rights.is_empty() {
            messages.push(ControlMessage::ScmRights(rights));
        }
        // By default the kernel reports the user who has started the program,
        // not the effective one.
        let credentials = UnixCredentials::from(libc::ucred {
            pid: nix::unistd::getpid().as_raw(),
            uid: effective.as_raw(),
            gid: getegid().as_raw(),
        });
        if user != effective {
            messages.push(ControlMessage::ScmCredentials(&credentials));
        }
        let address = Some(&self.address);
        socket::sendmsg(raw, &name, &messages, SEND_FLAGS, address)
    }
}

/// Makes a queue in the first of these places that can be used. One that is
/// full because of its queues comes before others: if they were used instead,
/// the bound would be none.
fn somewhere(
    places: Vec<GuardedPath>,
    make: impl Fn(GuardedPath) -> Result<Open, Refusal>,
) -> Result<Open, Refusal> {
    let mut refusal = Refusal::new("there is no directory for a queue");
    for place in places {
        match make(place) {
            Err(Refusal {
                why: Why::NoPlace,
                reason,
            }) => refusal = Refusal::new(reason),
            made => return made,
        }
    }
    Err(refusal)
}

/// Whether a queue holds as much as it may by itself.
fn is_own_bound(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull && error.raw_os_error().is_none()
}

/// Whether a queue may take more, if there is room for it.
fn is_to_be_allowed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded
        && error.raw_os_error().is_none()
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
    use std::os::unix::fs::FileExt;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    use uilog_channel::queue::Reader;
    use uilog_channel::wire::Frame;

    use super::*;
    use crate::host::Draft;
    use crate::host::Host;
    use crate::logger::Logger;

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
        let mut host = Host::new(PathBuf::from(program));
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

    fn log_message(host: &mut Host, name: &[u8], message: &[u8]) {
        let item = |name: &str, value: &str| {
            (name.as_bytes().to_vec(), value.as_bytes().to_vec())
        };
        let items = [
            item("agent", "yes"),
            item("agent-queues-size", "1 MB"),
            item("sink.a", "file:/x"),
        ];
        let draft = Draft {
            name,
            message: Cow::Borrowed(message),
            options: Vec::new(),
            hg: b"hg",
            root: None,
            time: None,
            pid: None,
        };
        Logger::new(&items, &[]).log(host, draft);
    }

    #[test]
    fn all_queues_of_a_user_have_one_bound() {
        let (dir, block) = environment();
        let long = [b'x'; 200_000];
        let mut hosts: Vec<_> =
            (0..8).map(|_| host(&block, "/bin/true")).collect();
        for host in &mut hosts {
            log_message(host, b"one", &long);
        }
        let own = dir.path().join("uilog");
        let reserved = fs::metadata(own.join("reserved")).unwrap().len();
        assert!(reserved * UNIT_BYTES <= 1 << 20);
        let has_queue = |it: &&mut Host| {
            it.records().status().is_some_and(|it| it.records > 0)
        };
        let served = hosts.iter_mut().filter(has_queue).count();
        assert!((2..8).contains(&served), "{served}");
        // The others' go another way, and that is told.
        let last = hosts.last_mut().unwrap();
        assert_eq!(last.dispatcher().starts(), 1);
        let told: Vec<_> = last.recent().collect();
        assert!(told[0].contains("uilog.agent-queues-size"), "{told:?}");
        // It need not stay so: an agent counts what is there.
        let first = &mut hosts[0];
        log_message(first, b"two", &long);
        assert_eq!(first.records().status().unwrap().records, 1);
        fs::write(own.join("reserved"), b"").unwrap();
        log_message(first, b"three", &long);
        let status = first.records().status().unwrap();
        let (names, _) = read(&status.name);
        assert_eq!(names, [&b"one"[..], b"three"]);
    }

    /// As after a logout.
    #[test]
    fn what_nobody_has_read_goes_into_a_new_file_when_the_old_one_is_gone() {
        let (dir, block) = environment();
        let mut host = host(&block, "/bin/true");
        log(&mut host, b"one");
        let first = host.records().status().unwrap().name;
        fs::remove_dir_all(dir.path().join("uilog")).unwrap();
        log(&mut host, b"two");
        let second = host.records().status().unwrap().name;
        assert_ne!(first, second);
        assert_eq!(read(&second).0, [&b"one"[..], b"two"]);
        // What an agent reads, it delivers.
        let reader = File::options().read(true).write(true).open(&second);
        let reader = reader.unwrap();
        assert!(living_file::hold(&reader, Holder::Reader).unwrap());
        fs::remove_file(&second).unwrap();
        log(&mut host, b"three");
        let third = host.records().status().unwrap().name;
        assert_eq!(read(&third).0, [b"three"]);
        // At the latest when hg ends.
        fs::remove_file(&third).unwrap();
        host.finish();
        let fourth = host.records().status().unwrap().name;
        assert_ne!(third, fourth);
        assert_eq!(read(&fourth).0, [b"three"]);
        assert_eq!(host.counters().lost, 0);
    }

    /// A file system of so many bytes for what this test does in a process of
    /// its own; whether it is that.
    fn on_a_small_file_system(test: &str, size: &str) -> bool {
        if std::env::var_os("UILOG_SMALL").is_some() {
            return true;
        }
        let script = "mount -t tmpfs -o size=$1,mode=0700 tmpfs \"$2\" || \
                      exit 77; UILOG_SMALL=\"$2\" exec \"$3\" --exact \"$4\"";
        let dir = tempfile::tempdir().unwrap();
        let output = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .args(["sh", size])
            .arg(dir.path())
            .arg(std::env::current_exe().unwrap())
            .arg(format!("record_queue::tests::{test}"))
            .output();
        match output {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("1 passed"), "{text}");
            }
            Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
                eprintln!("LEFT OUT: {test} because nothing can be mounted");
            }
            Err(error) => {
                eprintln!("LEFT OUT: {test} because of unshare: {error}");
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        false
    }

    #[test]
    fn a_full_file_system_ends_and_stops_nobody() {
        let test = "a_full_file_system_ends_and_stops_nobody";
        if !on_a_small_file_system(test, "1m") {
            return;
        }
        let small = PathBuf::from(std::env::var_os("UILOG_SMALL").unwrap());
        let path = small.display();
        let block = format!("HOME=/nowhere\0XDG_RUNTIME_DIR={path}\0");
        let mut early = host(block.as_bytes(), "/bin/true");
        log(&mut early, b"one");
        let status = early.records().status().unwrap();
        assert!(status.name.starts_with(&small));
        // To the brim.
        let filler = File::create(small.join("filler")).unwrap();
        let mut at = 0;
        while let Ok(count) = filler.write_at(&[1; 4096], at) {
            at += count as u64;
        }
        // What is there can be read and written, what is new goes elsewhere.
        log_message(&mut early, b"two", &[b'x'; 100_000]);
        assert_eq!(early.dispatcher().starts(), 1);
        let told: Vec<_> = early.recent().collect();
        assert!(told[0].contains("No space left"), "{told:?}");
        log(&mut early, b"three");
        assert_eq!(read(&status.name).0, [&b"one"[..], b"three"]);
        let mut late = host(block.as_bytes(), "/bin/true");
        log(&mut late, b"one");
        match late.records().status() {
            Some(status) => {
                assert!(!status.name.starts_with(&small));
                assert_eq!(status.records, 1);
                fs::remove_file(&status.name).unwrap();
            }
            None => assert_eq!(late.dispatcher().starts(), 1),
        }
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
