//! Passing a descriptor over a socket.
//!
//! Only so that raw descriptor numbers never leave this crate.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recvmsg;
use nix::sys::socket::sendmsg;

/// Sends `bytes` together with a copy of `fd`, without ever blocking and
/// without SIGPIPE.
///
/// # Errors
///
/// As sendmsg(2); a message sent only in part is `WriteZero`.
pub fn send(
    socket: &UnixStream,
    bytes: &[u8],
    fd: &impl AsFd,
) -> io::Result<()> {
    let descriptors = [fd.as_fd().as_raw_fd()];
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives what [`send`] sent: fills `bytes`, and returns the descriptor if
/// one came along.
///
/// # Errors
///
/// As recvmsg(2); `UnexpectedEof` if fewer bytes came.
pub fn receive(
    socket: &UnixStream,
    bytes: &mut [u8],
) -> io::Result<Option<OwnedFd>> {
    let mut space = nix::cmsg_space!([i32; 1]);
    let expected = bytes.len();
    let mut buffers = [IoSliceMut::new(bytes)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut buffers,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let received = message.bytes;
    let mut descriptor = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for fd in fds {
                // SAFETY: the kernel has just made it for this message, and
                // nobody else knows its number.
                descriptor = Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    if received < expected {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(descriptor)
}
