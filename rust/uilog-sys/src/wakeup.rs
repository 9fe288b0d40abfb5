//! Wakes up a thread that waits in `poll`, by a byte on a pair of sockets.
//!
//! Must not know who wakes whom, or why. A signal handler may write to one end
//! as well as a thread.

use std::io;
use std::io::Read;
use std::os::unix::net::UnixStream;

/// How many bytes are read at a time.
const READ_BYTES: usize = 4096;

/// The end to wait at and the end to write to. Neither blocks: if so many
/// bytes wait that another one has no room, the thread wakes up anyway.
///
/// # Errors
///
/// The system has no descriptor to give.
pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (wakeup, bell) = UnixStream::pair()?;
    wakeup.set_nonblocking(true)?;
    bell.set_nonblocking(true)?;
    Ok((wakeup, bell))
}

/// Reads all bytes that wait in a socket that does not block. Returns false if
/// no process holds the other end any more.
pub fn drain(mut socket: &UnixStream) -> bool {
    let mut bytes = [0; READ_BYTES];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use uilog_testing::until;

    use super::*;

    #[test]
    fn what_was_written_is_read_at_once_and_the_end_is_seen() {
        let (wakeup, mut bell) = pair().unwrap();
        assert!(drain(&wakeup));
        while bell.write(&[0; READ_BYTES]).is_ok() {}
        assert!(drain(&wakeup));
        let mut byte = [0];
        let error = (&wakeup).read(&mut byte).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(bell);
        // A process that another test has just forked may hold it, too.
        until("the end", || (!drain(&wakeup)).then_some(()));
    }
}
