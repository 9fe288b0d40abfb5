//! Connections that never block beyond a deadline: local sockets, TCP, TLS.
//!
//! Must not know what the bytes mean. [`Connection::state`] returns whether
//! they have arrived.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::mem;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::OFlag;
use nix::fcntl::openat;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use nix::sys::socket::connect;
use nix::sys::socket::getsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::sockopt::SndBuf;
use nix::sys::stat::Mode;
use nix::sys::stat::fstat;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use uilog_sys::fd;

use crate::exchange::exchangeable;
use crate::owner::Owner;
use crate::target::Address;
use crate::tls;
use crate::tls::explain;

/// How soon what cannot be waited for is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Bytes of a local socket's path: the system adds a NUL, and has room for 108.
// unix(7): sun_path
const MAX_PATH_BYTES: usize = 107;

/// How long a server is listened to after a handshake by TLS 1.3, which ends,
/// for us, before the server has looked at our certificate. Nearly all send a
/// ticket at once.
const AFTER_HANDSHAKE: Duration = Duration::from_secs(2);

/// What a URL without TLS begins with.
pub(crate) const WITHOUT_TLS: &str = "syslog+tcp://";

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A local socket, which must belong to one of these.
    Local(PathBuf, Owner),
    /// TCP, perhaps with TLS.
    Remote(Address, Option<Arc<ClientConfig>>),
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// All that was written has been taken: by a local reader itself, by a
    /// remote one's kernel.
    Taken,
    /// Some has not yet.
    Underway,
    /// The other side has closed it, after all had been taken.
    Closed,
    /// It is broken.
    Broken,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    /// What a URL without TLS begins with.
    plain: &'static str,
    /// Whether the other side has sent anything.
    has_heard: bool,
    failure: Option<io::Error>,
}

#[derive(Debug)]
enum Socket {
    Local(UnixStream),
    Remote(TcpStream),
}

impl Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Local(socket) => socket.as_fd(),
            Self::Remote(socket) => socket.as_fd(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Local(socket) => socket.read(buffer),
            Self::Remote(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Local(socket) => socket.write(bytes),
            Self::Remote(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    ///
    /// No process listens, or the deadline has passed.
    pub(crate) fn connect(&self, deadline: Instant) -> io::Result<Connection> {
        match self {
            Self::Local(path, owner) => {
                let kind = SockType::Stream;
                let socket = connect_local(path, owner, kind, deadline)?;
                // The socket's file may have had another owner once.
                let listener = getsockopt(&socket, PeerCredentials)?;
                let what = "the process that listens there";
                owner.check(what, listener.uid(), deadline)?;
                Ok(Connection {
                    socket: Socket::Local(UnixStream::from(socket)),
                    tls: None,
                    plain: WITHOUT_TLS,
                    has_heard: false,
                    failure: None,
                })
            }
            Self::Remote(address, config) => {
                let found = resolve(address, deadline)?;
                let mut connection = Connection::open(&found, deadline)?;
                if let Some(config) = config {
                    connection.start_tls(
                        address,
                        config,
                        WITHOUT_TLS,
                        deadline,
                    )?;
                }
                Ok(connection)
            }
        }
    }
}

/// A datagram socket that is connected and does not block.
pub(crate) fn connect_datagram(
    path: &Path,
    owner: &Owner,
    deadline: Instant,
) -> io::Result<UnixDatagram> {
    connect_local(path, owner, SockType::Datagram, deadline)
        .map(UnixDatagram::from)
}

/// Connects to a socket whose file belongs to one of the owners. A link to it
/// is followed: where it leads to is looked at.
fn connect_local(
    path: &Path,
    owner: &Owner,
    kind: SockType,
    deadline: Instant,
) -> io::Result<OwnedFd> {
    let place_flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let place = openat(AT_FDCWD, path, place_flags, Mode::empty());
    let place = place.map_err(|errno| not_there(path, errno))?;
    owner.check("the socket", fstat(&place)?.st_uid, deadline)?;
    // Connects through the descriptor, to the very socket that was checked,
    // whatever has that path by now.
    let link = format!("/proc/self/fd/{}", place.as_raw_fd());
    match connect_to(Path::new(&link), kind, deadline) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            connect_without_proc(path, kind, deadline)
        }
        result => result,
    }
}

/// Why the path cannot be a socket's: it is too long. (A socket may have been
/// created relative to a directory: then it exists.)
pub(crate) fn too_long(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    (length > MAX_PATH_BYTES).then(|| {
        format!(
            "the path of a socket has at most {MAX_PATH_BYTES} bytes, this \
             one has {length}: choose a shorter one"
        )
    })
}

fn not_there(path: &Path, errno: Errno) -> io::Error {
    match too_long(path) {
        Some(why) => io::Error::new(io::ErrorKind::InvalidInput, why),
        None => errno.into(),
    }
}

/// Connects by the path if /proc is not mounted, if no other user can have
/// replaced the socket. For a stream, the caller checks the listening process.
fn connect_without_proc(
    path: &Path,
    kind: SockType,
    deadline: Instant,
) -> io::Result<OwnedFd> {
    let path = fs::canonicalize(path)?;
    if kind != SockType::Stream
        && let Some((place, why)) = exchangeable(&path)
    {
        let place = place.display();
        return Err(io::Error::other(format!(
            "{place} {why}, and without /proc the owner of the socket is \
             unknown"
        )));
    }
    connect_to(&path, kind, deadline)
}

fn connect_to(
    path: &Path,
    kind: SockType,
    deadline: Instant,
) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path);
    let address = address.map_err(|errno| not_there(path, errno))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, kind, flags, None)?;
    loop {
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::EINTR) => {}
            // The backlog is full. The system does not report when that
            // changes.
            Err(Errno::EAGAIN) => pause(deadline)?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A name's addresses. The C library may take its time, and cannot be stopped:
/// so it is asked by a thread that may be left behind.
pub(crate) fn resolve(
    address: &Address,
    deadline: Instant,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(number) = address.host.parse() {
        return Ok(vec![SocketAddr::new(number, address.port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let Address { host, port } = address.clone();
    thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            // The caller may have stopped waiting.
            let _ = sender.send(found.map(Vec::from_iter));
        })?;
    receiver
        .recv_timeout(left(deadline)?)
        .map_err(|_| timed_out())?
}

impl Connection {
    /// Connects to the first of these addresses that answers.
    ///
    /// # Errors
    ///
    /// None does before the deadline.
    pub(crate) fn open(
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut error = io::Error::other("the name has no address");
        for (index, found) in addresses.iter().enumerate() {
            // A first one that does not answer must not use up all the time.
            let others = u32::try_from(addresses.len() - index).unwrap_or(1);
            let time = left(deadline)? / others;
            match TcpStream::connect_timeout(found, time) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    // Whole batches are written, so there is nothing to wait
                    // for.
                    socket.set_nodelay(true)?;
                    return Ok(Self {
                        socket: Socket::Remote(socket),
                        tls: None,
                        plain: WITHOUT_TLS,
                        has_heard: false,
                        failure: None,
                    });
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// What the other side is by TLS, if that is spoken.
    pub(crate) fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref()
    }

    /// To whom it leads, on the network.
    pub(crate) fn remote_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Local(_) => None,
            Socket::Remote(socket) => socket.peer_addr().ok(),
        }
    }

    /// Starts TLS. `plain` is the scheme of URLs without TLS, for the error
    /// message if the other side does not speak TLS.
    ///
    /// # Errors
    ///
    /// The other side is not trusted, or does not speak TLS.
    pub(crate) fn start_tls(
        &mut self,
        address: &Address,
        config: &Arc<ClientConfig>,
        plain: &'static str,
        deadline: Instant,
    ) -> io::Result<()> {
        self.plain = plain;
        let name =
            ServerName::try_from(address.host.clone()).map_err(|_| {
                io::Error::other(
                    "the host is not a name that a certificate \
                    can have",
                )
            })?;
        let tls = ClientConnection::new(Arc::clone(config), name)
            .map_err(io::Error::other)?;
        let tls = self.tls.insert(Box::new(tls));
        while tls.is_handshaking() {
            match tls.complete_io(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let flags = if tls.wants_write() {
                        PollFlags::POLLOUT
                    } else {
                        PollFlags::POLLIN
                    };
                    wait(self.socket.as_fd(), flags, deadline)?;
                }
                Err(error) => {
                    return Err(explain::of_handshake(error, plain));
                }
            }
        }
        if tls.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
            self.flush(deadline)?;
            let until = deadline.min(Instant::now() + AFTER_HANDSHAKE);
            if wait(self.socket.as_fd(), PollFlags::POLLIN, until).is_ok() {
                self.listen()?;
            }
        }
        Ok(())
    }

    /// Writes as much as possible until the deadline; returns the number of
    /// bytes, and why it is not all.
    pub(crate) fn write(
        &mut self,
        bytes: &[u8],
        deadline: Instant,
    ) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_some(&bytes[written..], deadline) {
                Ok(count) => written += count,
                Err(error) => return (written, Err(error)),
            }
        }
        (written, self.flush(deadline))
    }

    fn write_some(
        &mut self,
        bytes: &[u8],
        deadline: Instant,
    ) -> io::Result<usize> {
        if let Some(tls) = &mut self.tls {
            let count = tls.writer().write(bytes)?;
            self.flush(deadline)?;
            return Ok(count);
        }
        loop {
            match self.socket.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = self.socket.as_fd();
                    wait(socket, PollFlags::POLLOUT, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes what TLS has encrypted.
    fn flush(&mut self, deadline: Instant) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = self.socket.as_fd();
                    wait(socket, PollFlags::POLLOUT, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    /// The current state.
    pub(crate) fn state(&mut self) -> State {
        // In this order: a local socket that is closed holds nothing any more.
        let outgoing = fd::outgoing(self.socket.as_fd());
        match (self.listen(), outgoing) {
            (Err(error), _) => {
                self.failure = Some(error);
                State::Broken
            }
            (Ok(true), Ok(0)) => State::Taken,
            (Ok(true), _) => State::Underway,
            // A local reader that has not read all leaves an error.
            (Ok(false), _) if matches!(self.socket, Socket::Local(_)) => {
                State::Closed
            }
            (Ok(false), Ok(0)) => State::Closed,
            (Ok(false), _) => State::Broken,
        }
    }

    /// Why it is broken, if the other side has reported it.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Waits until all has been taken, or that can no longer happen, or the
    /// deadline has passed.
    pub(crate) fn settle(&mut self, deadline: Instant) -> State {
        let mut pause = Duration::from_micros(100);
        loop {
            let state = self.state();
            if state != State::Underway || Instant::now() >= deadline {
                return state;
            }
            // The kernel does not report when the last byte is acknowledged.
            thread::sleep(pause);
            pause = (pause * 2).min(LOOK_AGAIN);
        }
    }

    /// The maximum number of bytes in flight, as the kernel counts them: it
    /// includes the kernel's overhead per packet, so there are fewer.
    pub(crate) fn capacity(&self) -> usize {
        getsockopt(&self.socket.as_fd(), SndBuf).unwrap_or(usize::MAX >> 1)
    }

    /// Reads what the other side says, which is of no interest; whether it may
    /// go on.
    fn listen(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            let result = match &mut self.tls {
                None => self.socket.read(&mut buffer),
                Some(tls) => tls.read_tls(&mut self.socket),
            };
            match result {
                Ok(0) => return Ok(false),
                Ok(count) if self.tls.is_none() => {
                    let is_first = !mem::replace(&mut self.has_heard, true);
                    let is_remote = matches!(self.socket, Socket::Remote(_));
                    let begin = &buffer[..count];
                    if is_first && is_remote && tls::is_record(begin) {
                        let why = "the answer is TLS: use syslog+tls://";
                        return Err(explain::error(why));
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    continue;
                }
                Err(error) => return Err(error),
            }
            let Some(tls) = &mut self.tls else { continue };
            let state = tls.process_new_packets().map_err(|error| {
                explain::explained(io::Error::other(error), self.plain)
            })?;
            match tls.reader().read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(_) if state.peer_has_closed() => return Ok(false),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Says goodbye, where that is usual.
    pub(crate) fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Who does not take it will see the end of the connection.
            let _ = self.flush(Instant::now());
        }
    }
}

/// Waits for what a socket is asked for.
fn wait(
    socket: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Instant,
) -> io::Result<()> {
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        // Not zero before the deadline, but for a part of a millisecond.
        let time = time + Duration::from_micros(999);
        let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket, events)], time) {
            Ok(0) if Instant::now() >= deadline => return Err(timed_out()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until a datagram may be sent.
pub(crate) fn wait_to_send(
    socket: &UnixDatagram,
    deadline: Instant,
) -> io::Result<()> {
    wait(socket.as_fd(), PollFlags::POLLOUT, deadline)
}

/// Waits a little.
///
/// # Errors
///
/// The deadline has passed.
pub(crate) fn pause(deadline: Instant) -> io::Result<()> {
    thread::sleep(left(deadline)?.min(LOOK_AGAIN));
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(timed_out());
    }
    Ok(left)
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn without_proc_only_a_place_of_ones_own_is_trusted() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(directory.path()).expect("it exists");
        let (datagram, stream) = (root.join("d"), root.join("s"));
        let _socket = UnixDatagram::bind(&datagram).expect("a socket");
        let _listener = UnixListener::bind(&stream).expect("a socket");
        let deadline = Instant::now() + Duration::from_secs(60);
        let connect = |path: &Path, kind| {
            let result = connect_without_proc(path, kind, deadline);
            result.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(connect(&datagram, SockType::Datagram), Ok(()));
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&root, mode).expect("ours");
        let why = connect(&datagram, SockType::Datagram).expect_err("open");
        assert!(why.contains("without /proc"), "{why}");
        assert_eq!(connect(&stream, SockType::Stream), Ok(()));
    }
}
