//! Connecting to local sockets whose owner is trusted.
//!
//! Must not know what is sent.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::OFlag;
use nix::fcntl::openat;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use nix::sys::socket::connect;
use nix::sys::socket::socket;
use nix::sys::stat::Mode;
use nix::sys::stat::fstat;

use super::waiting::pause;
use crate::exchange::exchangeable;
use crate::owner::Owner;

/// Bytes of a local socket's path: the system adds a NUL, and has room for 108.
// unix(7): sun_path
const MAX_PATH_BYTES: usize = 107;

/// A datagram socket that is connected and does not block.
pub(crate) fn connect_datagram(
    path: &Path,
    owner: &Owner,
    deadline: Instant,
) -> io::Result<UnixDatagram> {
    connect_local(path, owner, SockType::Datagram, deadline)
        .map(UnixDatagram::from)
}

/// Connects to a socket whose file belongs to one of the owners. A link is
/// followed; the owner of its target counts.
pub(super) fn connect_local(
    path: &Path,
    owner: &Owner,
    kind: SockType,
    deadline: Instant,
) -> io::Result<OwnedFd> {
    let place_flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let place = openat(AT_FDCWD, path, place_flags, Mode::empty());
    let place = place.map_err(|errno| connect_error(path, errno))?;
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

fn connect_error(path: &Path, errno: Errno) -> io::Error {
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
    let address = address.map_err(|errno| connect_error(path, errno))?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

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
