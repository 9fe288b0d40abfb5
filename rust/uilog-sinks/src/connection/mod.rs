//! Connections that never block beyond a deadline: local sockets, TCP, TLS.
//!
//! Must not know what the bytes mean. [`Connection::state`] returns whether
//! they have arrived.

mod local;
mod socket;
mod waiting;

use std::io;
use std::io::Read;
use std::io::Write;
use std::mem;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::poll::PollFlags;
use nix::sys::socket::SockType;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::sockopt::SndBuf;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use uilog_sys::fd;

pub(crate) use self::local::connect_datagram;
use self::local::connect_local;
pub(crate) use self::local::too_long;
use self::socket::Socket;
use self::waiting::LOOK_AGAIN;
pub(crate) use self::waiting::pause;
use self::waiting::remaining;
use self::waiting::timed_out;
use self::waiting::wait;
pub(crate) use self::waiting::wait_to_send;
use crate::owner::Owner;
use crate::target::Address;
use crate::tls;
use crate::tls::explain;

/// How long to wait for a server's answer after a TLS 1.3 handshake, which ends
/// for the client before the server has checked the client's certificate.
/// Nearly all servers send a ticket at once.
const AFTER_HANDSHAKE: Duration = Duration::from_secs(2);

/// What a URL without TLS begins with.
pub(crate) const WITHOUT_TLS: &str = "syslog+tcp://";

/// The address of the other side, and the protocol.
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
    /// All written data has been received: by a local reader itself, by a
    /// remote reader's kernel.
    Taken,
    /// Some has not yet.
    Underway,
    /// The other side has closed it after receiving all data.
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

/// A name's addresses. The C library may need long, and cannot be interrupted:
/// so a thread calls it that may be left behind.
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
        .recv_timeout(remaining(deadline)?)
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
            let time = remaining(deadline)? / others;
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

    /// Its address on the network.
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

    /// Waits until all data has been received or can no longer be, or until the
    /// deadline.
    pub(crate) fn wait_until_received(&mut self, deadline: Instant) -> State {
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
            // A reader that does not receive it will see the end of the
            // connection.
            let _ = self.flush(Instant::now());
        }
    }
}
