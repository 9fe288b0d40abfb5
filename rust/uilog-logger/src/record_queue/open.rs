//! A queue of records that is open: its file, the directory that it is in, and
//! the agent's address.
//!
//! Must not know why a record is sent, or what becomes of one that cannot be.

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
use uilog_channel::bound::Bound;
use uilog_channel::bound::SEND_FLAGS;
use uilog_channel::bound::leave_some_for_hg;
use uilog_channel::frames::JobParts;
use uilog_channel::frames::LatestFrames;
use uilog_channel::queue;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Writer;
use uilog_channel::queue_room;
use uilog_channel::queue_room::Refused;
use uilog_channel::queue_room::UNIT_BYTES;
use uilog_channel::settings::Settings;
use uilog_event::event::SessionId;
use uilog_event::event::Timestamp;
use uilog_sys::append::GuardedPath;
use uilog_sys::confined;
use uilog_sys::fork::CloseInChild;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;

#[derive(Debug)]
pub(super) struct Open {
    /// Dropped first, because afterwards a forked child would keep the
    /// descriptors, and this process would seem to live.
    _guards: [CloseInChild; 2],
    pub(super) queue: Bound<Writer>,
    socket: Bound<OwnedFd>,
    pub(super) name: OsString,
    /// The key of this process's namespaces.
    namespaces: String,
    pub(super) place: GuardedPath,
    address: UnixAddr,
    /// Open so that paths can be short.
    _dir: Option<Bound<OwnDir>>,
    sent: LatestFrames,
    pub(super) settings: Settings,
    /// An agent has learned this process's namespaces.
    has_shown: bool,
}

/// Why there is no queue.
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) why: Why,
}

/// What follows from it.
pub(super) enum Why {
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
    pub(super) fn new(
        places: impl Iterator<Item = GuardedPath>,
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
    pub(super) fn moved(
        places: impl Iterator<Item = GuardedPath>,
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
            sent: LatestFrames::default(),
            settings: *settings,
            has_shown: false,
        })
    }

    /// Appends a record; reserves more memory if needed.
    pub(super) fn append(
        &mut self,
        parts: &JobParts<'_>,
        hg: &[u8],
    ) -> io::Result<()> {
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
    pub(super) fn has_name(&self) -> bool {
        fstat(self.queue.page()).is_ok_and(|it| it.st_nlink > 0)
    }

    /// Whether an agent reads it, which continues until all is delivered.
    pub(super) fn is_read(&self) -> bool {
        living_file::is_held(self.queue.page(), Holder::Reader).unwrap_or(false)
    }

    /// Records that no agent is done with.
    pub(super) fn undone(&self) -> u64 {
        let done = self.queue.progress().unwrap_or_default().records;
        self.queue.committed().jobs.saturating_sub(done)
    }

    /// Whether the descriptors are still what they were.
    pub(super) fn is_intact(&self) -> bool {
        self.queue.is_intact() && self.socket.is_intact()
    }

    /// Whether there are records that no agent is done with.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_intact() && self.undone() > 0
    }

    /// Sends the agent a wakeup for the queue; false if there is no agent.
    pub(super) fn ring(&mut self) -> bool {
        let mut sent = Err(Errno::ENOSYS);
        if !self.has_shown {
            sent = self.ring_with_evidence();
            self.has_shown = sent.is_ok();
        }
        // EPIPE: one that is ending, and does not listen any more.
        let is_none = |it: &Errno| {
            matches!(it, Errno::ECONNREFUSED | Errno::ENOENT | Errno::EPIPE)
        };
        let is_to_try = |it: &Errno| !is_none(it) && *it != Errno::EAGAIN;
        if sent.as_ref().is_err_and(is_to_try) {
            sent = self.ring_with(&[]);
        }
        match sent {
            Err(error) if is_none(&error) || error == Errno::ENOTDIR => false,
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
    places: impl Iterator<Item = GuardedPath>,
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
