//! Descriptors that another part of the process knows by number only, and what
//! the kernel tells of sockets.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;

/// A second descriptor for what `raw` refers to, close-on-exec.
///
/// # Errors
///
/// `EBADF` if `raw` is no open descriptor, `EMFILE` if there is none left.
pub fn duplicate(raw: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl(2) accepts any number; it creates a descriptor and
    // changes no existing one.
    let new = unsafe { libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 0) };
    if new < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just created it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// How much of what was written to a stream socket is still on its way: for
/// TCP, bytes that the other side's kernel has not acknowledged; for a local
/// socket, the memory of what the other side has not read.
///
/// # Errors
///
/// It is no such socket.
pub fn outgoing(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ, writes one int to where it is
    // pointed to, which is ours; the descriptor is open as it is borrowed.
    let result = unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::fcntl::FcntlArg;
    use nix::fcntl::fcntl;

    use super::*;

    #[test]
    fn a_duplicate_is_close_on_exec() {
        let (reader, _writer) = nix::unistd::pipe().expect("a pipe");
        let flags = |fd: &OwnedFd| fcntl(fd, FcntlArg::F_GETFD);
        assert_eq!(flags(&reader), Ok(0));
        let copy = duplicate(reader.as_raw_fd()).expect("a descriptor");
        assert_eq!(flags(&copy), Ok(libc::FD_CLOEXEC));
    }

    #[test]
    fn numbers_that_are_no_descriptors_are_refused() {
        for raw in [-1, i32::MIN, i32::MAX] {
            let error = duplicate(raw).expect_err("no such descriptor");
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }
    }

    #[test]
    fn what_is_on_its_way_is_known() {
        let (mut near, mut far) = UnixStream::pair().expect("sockets");
        assert_eq!(outgoing(near.as_fd()).expect("a socket"), 0);
        near.write_all(b"abc").expect("room");
        assert!(outgoing(near.as_fd()).expect("a socket") > 0);
        far.read_exact(&mut [0; 3]).expect("three bytes");
        assert_eq!(outgoing(near.as_fd()).expect("a socket"), 0);
        let (reader, _writer) = nix::unistd::pipe().expect("a pipe");
        outgoing(reader.as_fd()).expect_err("it is no socket");
    }
}
