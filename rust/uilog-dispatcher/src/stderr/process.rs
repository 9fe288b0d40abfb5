//! The process that reads the pipes which its dispatcher has passed on.
//!
//! It depends on no other process: its dispatcher may be stopped, busy or
//! killed.

use std::fs::File;
use std::io;
use std::io::IoSliceMut;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::sys::socket;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGXFSZ;
use uilog_sys::fd;
use uilog_sys::spawn;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Stdio;

use super::ring::Ring;

/// The argument that makes the binary that process.
pub const ARGUMENT: &str = "stderr";

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

/// Starts the process; returns the socket to it.
pub(super) fn start(leave_batch: bool) -> io::Result<OwnedFd> {
    let (ours, theirs) = socket::socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    let mut command = spawn::Command::new(&own_program())
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    let argument = std::ffi::CString::new(ARGUMENT)?;
    command.arg(argument).leave_batch(leave_batch);
    command.stdin(Stdio::Fd(theirs.as_fd()));
    command
        .spawn_detached(Start::NoWait)
        .map_err(io::Error::other)?;
    Ok(ours)
}

/// The program that runs here, by its name if that is still its own.
fn own_program() -> PathBuf {
    const RUNNING: &str = "/proc/self/exe";
    let id = |path: &Path| {
        std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
    };
    let named = std::env::current_exe().ok();
    let named = named.filter(|path| id(path) == id(Path::new(RUNNING)));
    named.unwrap_or_else(|| PathBuf::from(RUNNING))
}

/// Keeps the last bytes of each pipe that is received from `socket`, until that
/// is closed and no pipe has a writer.
///
/// # Errors
///
/// It was not started by a dispatcher.
pub fn run(socket: OwnedFd) -> io::Result<()> {
    socket::getsockname::<socket::UnixAddr>(socket.as_raw_fd())?;
    // A user who kills processes by name, or a system that shuts down, also
    // ends the scripts; until then, they may still write.
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ] {
        signal_hook::flag::register(signal, Arc::clone(&signalled))?;
    }
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let mut socket = Some(socket);
    let mut texts: Vec<Text> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    while socket.is_some() || !texts.is_empty() {
        let listens = socket.as_ref().map(AsFd::as_fd);
        let pipes = texts.iter().map(|it| it.pipe.as_fd());
        let mut polled: Vec<_> = listens
            .into_iter()
            .chain(pipes)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match nix::poll::poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<_> = polled
            .iter()
            .map(|it| it.any().unwrap_or_default())
            .collect();
        let (is_told, ready) = match &socket {
            Some(_) => (ready[0], &ready[1..]),
            None => (false, &ready[..]),
        };
        let mut ready = ready.iter();
        let is_kept = socket.is_some();
        texts.retain_mut(|text| {
            !ready.next().is_some_and(|it| *it)
                || text.take(&mut buffer, is_kept)
        });
        if is_told && let Some(listening) = &socket {
            match receive(listening) {
                Ok(Some(text)) => texts.extend(text),
                Ok(None) => socket = None,
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// The next pipe; an inner none if it could not be had, an outer one at the
/// end.
fn receive(socket: &OwnedFd) -> io::Result<Option<Option<Text>>> {
    let mut byte = [0; 1];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([i32; 2]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = socket.as_raw_fd();
    let message =
        socket::recvmsg::<()>(fd, &mut buffers, Some(&mut space), flags)?;
    let mut numbers = Vec::new();
    if let Ok(control) = message.cmsgs() {
        for part in control {
            if let ControlMessageOwned::ScmRights(some) = part {
                numbers.extend(some);
            }
        }
    }
    if message.bytes == 0 && numbers.is_empty() {
        return Ok(None);
    }
    let owned: Vec<_> = numbers
        .into_iter()
        .filter_map(|number| {
            let copy = fd::duplicate(number);
            let _ = nix::unistd::close(number);
            copy.ok()
        })
        .collect();
    let Ok([pipe, ring]) = <[OwnedFd; 2]>::try_from(owned) else {
        return Ok(Some(None));
    };
    Ok(Some(Some(Text {
        pipe: File::from(pipe),
        ring: Ring::received(ring),
    })))
}

/// One script's text, as it comes.
struct Text {
    /// Does not block: a script can read from it as well.
    pipe: File,
    ring: Ring,
}

impl Text {
    /// Reads what is available; false at the end.
    fn take(&mut self, buffer: &mut [u8], is_kept: bool) -> bool {
        if is_kept {
            self.ring.begin();
        }
        let result = self.pipe.read(buffer);
        if is_kept {
            let length = result.as_ref().map_or(0, |length| *length);
            self.ring.add(&buffer[..length]);
        }
        match result {
            Ok(length) => length > 0,
            Err(error) => matches!(
                error.kind(),
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
            ),
        }
    }
}
