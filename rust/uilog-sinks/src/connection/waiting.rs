//! Waits for a socket, but never beyond a deadline.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;

/// The interval of checks for what cannot be waited for.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits for events of a socket.
pub(super) fn wait(
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
    thread::sleep(remaining(deadline)?.min(LOOK_AGAIN));
    Ok(())
}

pub(super) fn remaining(deadline: Instant) -> io::Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() {
        return Err(timed_out());
    }
    Ok(remaining)
}

pub(super) fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}
