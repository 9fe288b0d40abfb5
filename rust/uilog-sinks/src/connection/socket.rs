//! The socket of a connection, local or not.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

#[derive(Debug)]
pub(super) enum Socket {
    Local(UnixStream),
    Remote(TcpStream),
}

impl Socket {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
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
