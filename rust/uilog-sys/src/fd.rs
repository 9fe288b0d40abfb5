//! Descriptors in a process with code of others: what a number refers to, and
//! whether it still does. Also facts about sockets from the kernel.
//!
//! hg's extensions may close any descriptor, and the next file that is opened
//! gets its number. So before a descriptor is used for anything that cannot be
//! undone, it is checked that it still refers to the same file.

use std::io;
use std::mem::ManuallyDrop;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;

/// A duplicate of `raw`, close-on-exec.
///
/// # Errors
///
/// `EBADF` if `raw` is not an open descriptor, `EMFILE` if there is no free
/// one.
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

/// Identifies the file, pipe or socket of an open descriptor, as the kernel
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// The file's number on it.
    pub inode: u64,
}

impl Identity {
    /// What `raw` refers to now; `None` if that is no open descriptor.
    ///
    /// # Async-signal-safety
    ///
    /// Calls `fstat` and nothing else.
    pub fn of(raw: RawFd) -> Option<Self> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: fstat(2) accepts any number, and writes to memory of ours
        // that is large enough.
        let result = unsafe { libc::fstat(raw, stat.as_mut_ptr()) };
        if result != 0 {
            return None;
        }
        // SAFETY: it has succeeded, so it has filled the structure in.
        let stat = unsafe { stat.assume_init() };
        #[allow(
            clippy::unnecessary_cast,
            reason = "the types differ between systems"
        )]
        Some(Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        })
    }
}

/// A descriptor that is closed on drop only if its number still refers to the
/// same file as at first.
#[derive(Debug)]
pub struct VerifiedFd {
    fd: ManuallyDrop<OwnedFd>,
    identity: Option<Identity>,
}

impl VerifiedFd {
    /// Takes a descriptor, which must be valid now.
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            identity: Identity::of(fd.as_raw_fd()),
            fd: ManuallyDrop::new(fd),
        }
    }

    /// Whether the number still refers to the same.
    pub fn is_intact(&self) -> bool {
        let now = Identity::of(self.fd.as_raw_fd());
        now.is_some() && now == self.identity
    }
}

impl AsFd for VerifiedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for VerifiedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for VerifiedFd {
    fn drop(&mut self) {
        if self.is_intact() {
            // SAFETY: nobody uses the field any more.
            drop(unsafe { ManuallyDrop::take(&mut self.fd) });
        }
    }
}

/// How much data written to a stream socket is in flight: for TCP, bytes that
/// the other side's kernel has not acknowledged; for a local socket, the memory
/// of what the other side has not read.
///
/// # Errors
///
/// It is not such a socket.
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
    fn what_somebody_else_has_opened_is_not_closed() {
        let (reader, _writer) = nix::unistd::pipe().expect("a pipe");
        let (other, _others) = nix::unistd::pipe().expect("a pipe");
        let raw = reader.as_raw_fd();
        let held = VerifiedFd::new(reader);
        assert!(held.is_intact());
        let before = Identity::of(raw);
        // Like other code that closes the descriptor, and opens a file.
        // SAFETY: what is replaced is only used through `held`.
        assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), raw) }, raw);
        assert!(!held.is_intact());
        drop(held);
        let theirs = Identity::of(other.as_raw_fd());
        assert!(theirs.is_some() && Identity::of(raw) == theirs);
        assert_ne!(theirs, before);
        // SAFETY: nobody else's any more.
        let held = VerifiedFd::new(unsafe { OwnedFd::from_raw_fd(raw) });
        drop(held);
        assert_ne!(Identity::of(raw), theirs, "its owner may close it");
    }

    #[test]
    fn sockets_and_pipes_and_files_in_memory_are_told_apart() {
        let sockets = UnixStream::pair().expect("sockets");
        let pipes = nix::unistd::pipe().expect("a pipe");
        let raws = [
            sockets.0.as_raw_fd(),
            sockets.1.as_raw_fd(),
            pipes.0.as_raw_fd(),
        ];
        let all = raws.map(|raw| Identity::of(raw).expect("it is open"));
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_eq!(Identity::of(-1), None);
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
        outgoing(reader.as_fd()).expect_err("it is not a socket");
    }
}
