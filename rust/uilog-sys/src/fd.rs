//! Descriptors that another part of the process knows by number only.

use std::io;
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

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
}
