//! The agent's socket, through which hg names the queue that has new records.
//!
//! Responsible for names and for their senders, as reported by the kernel. Must
//! not know what a queue is. Nothing here blocks.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::Shutdown;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use nix::sys::socket::UnixCredentials;
use nix::sys::socket::sockopt::PassCred;
use nix::unistd::Pid;
use nix::unistd::geteuid;
use uilog_channel::agent_address;
use uilog_channel::agent_address::AgentNames;
use uilog_sys::fd::Identity;
use uilog_sys::own_dir::OwnDir;

/// Sent instead of a queue's name by a process that waits until all has been
/// sent; no queue has this name.
pub(crate) const HURRY: &str = "hurry";
/// Bytes of a name at most.
const MAX_NAME_BYTES: usize = 256;
/// Maximum number of descriptors in a message; the kernel closes others.
const MAX_DESCRIPTORS: usize = 4;
/// Maximum number of names that are read at a time, so that other work gets its
/// turn.
const MAX_HEARD: usize = 512;
/// How many datagrams the kernel keeps by default.
const USUAL_BACKLOG: usize = 10;

/// The socket.
#[derive(Debug)]
pub(crate) struct Doorbell {
    socket: OwnedFd,
    /// What a sender from here can prove.
    here: Option<Identity>,
    /// As many datagrams can wait here; further ones are lost.
    backlog: usize,
}

/// The received wakeups.
#[derive(Debug, Default)]
pub(crate) struct Wakeups {
    pub(crate) wakeups: Vec<Wakeup>,
    /// Other datagrams may have been dropped: their queues must be found by a
    /// scan.
    pub(crate) may_have_missed: bool,
}

impl Wakeups {
    pub(crate) fn add(&mut self, more: Self) {
        self.wakeups.extend(more.wakeups);
        self.may_have_missed |= more.may_have_missed;
    }
}

/// A request to read a queue.
#[derive(Debug)]
pub(crate) struct Wakeup {
    pub(crate) name: OsString,
    /// The process, if it can be seen from here.
    pub(crate) pid: Option<Pid>,
    /// It has shown that it is from the agent's own namespaces.
    pub(crate) is_from_here: bool,
}

impl Doorbell {
    /// Creates the socket and replaces an existing file; the caller must own
    /// the name.
    pub(crate) fn bind(dir: &OwnDir, name: &OsStr) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let kind = SockType::Datagram;
        let socket = socket::socket(AddressFamily::Unix, kind, flags, None)?;
        // Before any process can send.
        socket::setsockopt(&socket, PassCred, &true)?;
        let here = agent_address::evidence().ok();
        let here = here.and_then(|it| Identity::of(it.as_raw_fd()));
        let backlog = backlog();
        dir.unlink(name)?;
        // A path may be too long for an address.
        let short = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
        let long = || UnixAddr::new(&dir.path().join(name));
        let address = UnixAddr::new(&Path::new(&short).join(name));
        let bound = address
            .and_then(|address| socket::bind(socket.as_raw_fd(), &address));
        if bound.is_err() {
            // Without /proc.
            socket::bind(socket.as_raw_fd(), &long()?)?;
        }
        Ok(Self {
            socket,
            here,
            backlog,
        })
    }

    /// The messages since the last call.
    pub(crate) fn receive_all(&self) -> Wakeups {
        let mut heard = Wakeups::default();
        let mut count = 0;
        while count < MAX_HEARD {
            match self.receive() {
                Ok(ring) => heard.wakeups.extend(ring),
                Err(Errno::EINTR) => continue,
                Err(_) => break,
            }
            count += 1;
        }
        heard.may_have_missed = count >= self.backlog.min(MAX_HEARD);
        heard
    }

    /// The last messages. Whoever sends one later gets an error, also if it
    /// found the socket before the name was removed: a sender that is not heard
    /// must know that. It may end at once, and what it shows of itself here
    /// cannot be seen elsewhere.
    pub(crate) fn close(self) -> Wakeups {
        let _ = socket::shutdown(self.socket.as_raw_fd(), Shutdown::Read);
        let mut last = Wakeups::default();
        loop {
            let heard = self.receive_all();
            if heard.wakeups.is_empty() {
                return last;
            }
            last.add(heard);
        }
    }

    /// None if it is from another user, or invalid.
    fn receive(&self) -> Result<Option<Wakeup>, Errno> {
        let mut bytes = [0; MAX_NAME_BYTES];
        let mut control =
            cmsg_space!(UnixCredentials, [RawFd; MAX_DESCRIPTORS]);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received = socket::recvmsg::<()>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let is_whole = !received.flags.contains(MsgFlags::MSG_TRUNC);
        let mut credentials = None;
        let mut is_from_here = false;
        for message in received.cmsgs().into_iter().flatten() {
            match message {
                ControlMessageOwned::ScmCredentials(it) => {
                    credentials = Some(it);
                }
                ControlMessageOwned::ScmRights(descriptors) => {
                    for raw in descriptors {
                        let shown = Identity::of(raw);
                        is_from_here |= shown.is_some() && shown == self.here;
                        let _ = nix::unistd::close(raw);
                    }
                }
                _ => {}
            }
        }
        let length = received.bytes;
        let Some(credentials) = credentials.filter(|_| is_whole) else {
            return Ok(None);
        };
        if credentials.uid() != geteuid().as_raw() {
            return Ok(None);
        }
        // 0 means a process that is not visible in this namespace.
        let pid = Some(credentials.pid()).filter(|pid| *pid > 0);
        Ok(Some(Wakeup {
            name: OsStr::from_bytes(&bytes[..length]).to_owned(),
            pid: pid.map(Pid::from_raw),
            is_from_here,
        }))
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends a queue's name to another agent.
pub(crate) fn send_wakeup(dir: &OwnDir, socket: &OsStr, queue: &OsStr) {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let kind = SockType::Datagram;
    let short = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    let address = UnixAddr::new(&Path::new(&short).join(socket));
    let own = socket::socket(AddressFamily::Unix, kind, flags, None);
    if let (Ok(own), Ok(address)) = (own, address) {
        // It may have ended by now.
        let name = queue.as_bytes();
        let flags = MsgFlags::MSG_DONTWAIT;
        let _ = socket::sendto(own.as_raw_fd(), name, &address, flags);
    }
}

/// Asks the agent of these namespaces, if one runs in this directory, to send
/// rollups now, because a process waits until all has been sent.
pub fn hurry(dir: &OwnDir) {
    if let Ok(namespaces) = agent_address::namespaces() {
        let socket = AgentNames::new(&namespaces).socket;
        send_wakeup(dir, &socket, OsStr::new(HURRY));
    }
}

/// How many datagrams wait in a socket that is made now.
fn backlog() -> usize {
    fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(USUAL_BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use nix::sys::socket::ControlMessage;
    use nix::sys::socket::sendto;

    use super::*;

    fn directory() -> (tempfile::TempDir, OwnDir) {
        let dir = tempfile::tempdir().expect("a directory");
        let own = OwnDir::beside_users_file(dir.path()).expect("it opens");
        (dir, own)
    }

    fn client() -> OwnedFd {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let kind = SockType::Datagram;
        socket::socket(AddressFamily::Unix, kind, flags, None).expect("made")
    }

    #[test]
    fn a_name_comes_with_its_sender() {
        let (dir, own) = directory();
        std::fs::write(dir.path().join("s"), b"stale").expect("written");
        let bell = Doorbell::bind(&own, OsStr::new("s")).expect("bound");
        let address = UnixAddr::new(&dir.path().join("s")).expect("short");
        let client = client();
        let send = |name: &[u8]| {
            let flags = MsgFlags::MSG_DONTWAIT;
            sendto(client.as_raw_fd(), name, &address, flags)
        };
        assert!(bell.receive_all().wakeups.is_empty());
        send(b"records-1-0a").expect("sent");
        send(&[b'x'; 1000]).expect("sent");
        let heard = bell.receive_all();
        assert_eq!(heard.wakeups.len(), 1);
        assert_eq!(heard.wakeups[0].name, "records-1-0a");
        assert_eq!(heard.wakeups[0].pid, Some(Pid::this()));
        assert!(!heard.wakeups[0].is_from_here);
        assert!(!heard.may_have_missed);
    }

    #[test]
    fn whoever_is_from_here_can_show_it() {
        let (dir, own) = directory();
        let bell = Doorbell::bind(&own, OsStr::new("s")).expect("bound");
        let address = UnixAddr::new(&dir.path().join("s")).expect("short");
        let client = client();
        let show = |fd: RawFd| {
            let rights = [fd];
            let rights = [ControlMessage::ScmRights(&rights)];
            let name = [IoSlice::new(b"name")];
            let flags = MsgFlags::MSG_DONTWAIT;
            let raw = client.as_raw_fd();
            socket::sendmsg(raw, &name, &rights, flags, Some(&address))
        };
        let evidence = agent_address::evidence().expect("it opens");
        let other = std::fs::File::open("/proc/self/ns/net").expect("it opens");
        // Of namespaces: other tests of this process open many sockets.
        let count = || {
            let open = std::fs::read_dir("/proc/self/fd").expect("there");
            let links = open.flatten().map(|it| fs::read_link(it.path()));
            let links = links.flatten();
            links
                .filter(|it| it.to_string_lossy().starts_with("mnt:["))
                .count()
        };
        let before = count();
        show(evidence.as_raw_fd()).expect("sent");
        show(other.as_raw_fd()).expect("sent");
        let wakeups = bell.receive_all().wakeups;
        let shown: Vec<_> = wakeups.iter().map(|it| it.is_from_here).collect();
        assert_eq!(shown, [true, false]);
        // Other tests of this process open some as well, but not without end.
        for _ in 0..500 {
            show(evidence.as_raw_fd()).expect("sent");
            assert!(bell.receive_all().wakeups[0].is_from_here);
        }
        assert!(count() < before + 400);
    }

    #[test]
    fn whoever_is_not_heard_any_more_knows_it() {
        let (dir, own) = directory();
        let bell = Doorbell::bind(&own, OsStr::new("s")).expect("bound");
        let address = UnixAddr::new(&dir.path().join("s")).expect("short");
        let client = client();
        // It has found the socket, whatever happens to the name.
        socket::connect(client.as_raw_fd(), &address).expect("connected");
        let send = |name: &[u8]| {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            socket::send(client.as_raw_fd(), name, flags)
        };
        send(b"records-1-0a").expect("sent");
        // The descriptor stays open, so it is not the end of the socket.
        let shut = bell.socket.try_clone().expect("a descriptor");
        let last = bell.close();
        assert_eq!(last.wakeups.len(), 1);
        assert_eq!(last.wakeups[0].name, "records-1-0a");
        assert_eq!(send(b"records-1-0b"), Err(Errno::EPIPE));
        drop(shut);
    }

    #[test]
    fn whoever_finds_no_room_is_not_forgotten() {
        let (dir, own) = directory();
        let bell = Doorbell::bind(&own, OsStr::new("s")).expect("bound");
        let address = UnixAddr::new(&dir.path().join("s")).expect("short");
        let clients: Vec<_> = (0..2000).map(|_| client()).collect();
        let refused = clients.iter().any(|client| {
            let flags = MsgFlags::MSG_DONTWAIT;
            let sent = sendto(client.as_raw_fd(), b"name", &address, flags);
            sent == Err(Errno::EAGAIN)
        });
        assert!(refused, "there is room without end");
        assert!(bell.receive_all().may_have_missed);
    }
}
