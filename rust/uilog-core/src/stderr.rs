//! What scripts say on standard error: the last of it, to tell why one failed.
//!
//! A script must not notice. So each has a pipe of its own, which a process of
//! ours empties that does nothing else (`uilog stderr`, one for each
//! dispatcher that runs scripts). It outlives a dispatcher that is killed, and
//! ends with the last writer. The script's own descriptor is open for reading,
//! too, so that nobody who writes to it ever gets SIGPIPE. The last bytes of
//! each stand in a file in memory, which the dispatcher has as well.
//!
//! Knows nothing of events, nor of what becomes of the text.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::sys::socket;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::ControlMessage;
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

use crate::queue::anonymous_file;

/// The argument that makes the binary that process.
pub const ARGUMENT: &str = "stderr";

/// Bytes of a text that are kept. More than is shown, since what is cut in two
/// may not be recognised as a secret.
const KEPT_BYTES: u64 = 8192;
/// Scripts whose text is kept at a time: each takes descriptors.
const MAX_CAPTURED: u64 = 64;
/// The part of all descriptors that as many scripts may be: others need them.
const CAPTURED_PART: u64 = 16;
/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

/// Where in a store it stands whether its text is being changed.
const BUSY_AT: u64 = 0;
/// Where it stands how long the whole text is.
const LENGTH_AT: u64 = 8;
/// Where the last bytes stand, as a ring.
const TEXT_AT: u64 = 16;

/// The dispatcher's end.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    socket: Option<OwnedFd>,
}

/// One script's text.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The pipe's other end; only looked at.
    pipe: OwnedFd,
    /// What the script gets.
    input: Option<OwnedFd>,
    store: File,
}

impl Collector {
    /// What a script that is about to start gets as its standard error. None if
    /// that cannot be had: then its text is lost, and nothing else.
    /// `captured` are those of the scripts that run.
    pub(crate) fn capture<'a>(
        &mut self,
        captured: impl Iterator<Item = &'a Capture> + Clone,
        leave_batch: bool,
    ) -> Option<Capture> {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |it| it.0);
        let limit = MAX_CAPTURED.min(limit / CAPTURED_PART);
        if captured.clone().count() as u64 >= limit {
            return None;
        }
        let capture = Capture::new().ok()?;
        if self.socket.as_ref().is_some_and(has_gone) {
            self.socket = None;
        }
        if self.socket.is_none() {
            let socket = start(leave_batch).ok()?;
            // Those that its predecessor had.
            for capture in captured {
                let _ = capture.send(&socket);
            }
            self.socket = Some(socket);
        }
        let socket = self.socket.as_ref()?;
        capture.send(socket).ok()?;
        Some(capture)
    }
}

impl Capture {
    fn new() -> io::Result<Self> {
        let (pipe, input) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        // The same pipe, opened so that whoever can write can read as well.
        // Without /proc a script notices if both of us are killed.
        let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
        let both = OpenOptions::new().read(true).write(true).open(path);
        Ok(Self {
            pipe,
            input: Some(both.map_or(input, OwnedFd::from)),
            store: anonymous_file()?,
        })
    }

    fn send(&self, socket: &OwnedFd) -> io::Result<()> {
        let descriptors = [self.pipe.as_raw_fd(), self.store.as_raw_fd()];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        socket::sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(b"+")],
            &[ControlMessage::ScmRights(&descriptors)],
            flags,
            None,
        )?;
        Ok(())
    }

    /// What the script is to be started with.
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(AsFd::as_fd)
    }

    /// The script has been started, and has that itself.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Whether all that has been written so far is kept.
    pub(crate) fn is_complete(&self) -> bool {
        // In this order: what is not in the pipe any more is being kept.
        let is_empty = !polled(&self.pipe, PollFlags::POLLIN);
        is_empty && read_word(&self.store, BUSY_AT) == 0
    }

    /// The last bytes; whether there were more before.
    pub(crate) fn text(&self) -> (Vec<u8>, bool) {
        let length = read_word(&self.store, LENGTH_AT);
        let kept = length.min(KEPT_BYTES);
        let mut text = vec![0; kept as usize];
        if self.store.read_exact_at(&mut text, TEXT_AT).is_err() {
            return (Vec::new(), false);
        }
        if length > kept {
            text.rotate_left((length % KEPT_BYTES) as usize);
        }
        (text, length > kept)
    }
}

/// Whether the other end of a socket is closed.
fn has_gone(socket: &OwnedFd) -> bool {
    polled(socket, PollFlags::POLLHUP)
}

fn polled(fd: &OwnedFd, what: PollFlags) -> bool {
    let mut polled = [PollFd::new(fd.as_fd(), what)];
    let result = nix::poll::poll(&mut polled, PollTimeout::ZERO);
    let events = polled[0].revents().unwrap_or(PollFlags::empty());
    result.is_ok_and(|count| count > 0) && events.intersects(what)
}

/// Words that cannot be read are 0: nothing is kept.
fn read_word(store: &File, at: u64) -> u64 {
    let mut word = [0; 8];
    let read = store.read_exact_at(&mut word, at);
    read.map_or(0, |()| u64::from_le_bytes(word))
}

/// Starts the process; what it listens to.
fn start(leave_batch: bool) -> io::Result<OwnedFd> {
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

/// Keeps the last bytes of each pipe that comes through `socket`, until that is
/// closed and nobody can write to any of them.
///
/// # Errors
///
/// It was not started by a dispatcher.
pub fn run(socket: OwnedFd) -> io::Result<()> {
    socket::getsockname::<socket::UnixAddr>(socket.as_raw_fd())?;
    // Whoever ends what runs here by its name, or shuts the system down, ends
    // the scripts as well; before that, they may still write.
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
    let Ok([pipe, store]) = <[OwnedFd; 2]>::try_from(owned) else {
        return Ok(Some(None));
    };
    let store = File::from(store);
    Ok(Some(Some(Text {
        pipe: File::from(pipe),
        length: read_word(&store, LENGTH_AT),
        store,
    })))
}

/// One script's text, as it comes.
struct Text {
    pipe: File,
    store: File,
    /// How long it is.
    length: u64,
}

impl Text {
    /// Takes what is there; false at the end.
    fn take(&mut self, buffer: &mut [u8], is_kept: bool) -> bool {
        if is_kept {
            self.write(BUSY_AT, &1_u64.to_le_bytes());
        }
        let length = match self.pipe.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return true;
            }
            Err(_) => 0,
        };
        if is_kept {
            self.keep(&buffer[..length]);
            let words = [0, self.length].map(u64::to_le_bytes);
            self.write(BUSY_AT, words.as_flattened());
        }
        length > 0
    }

    fn keep(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().saturating_sub(KEPT_BYTES as usize);
        let mut rest = &bytes[skipped..];
        let mut at = self.length + skipped as u64;
        while !rest.is_empty() {
            let begin = at % KEPT_BYTES;
            let room = (KEPT_BYTES - begin) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.write(TEXT_AT + begin, now);
            at += now.len() as u64;
            rest = later;
        }
        self.length += bytes.len() as u64;
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        // Where there is no memory for it the text is lost, and nothing else.
        let _ = self.store.write_all_at(bytes, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> (Text, Capture) {
        let capture = Capture::new().unwrap();
        let text = Text {
            pipe: File::from(capture.pipe.try_clone().unwrap()),
            store: capture.store.try_clone().unwrap(),
            length: 0,
        };
        (text, capture)
    }

    #[test]
    fn the_last_bytes_are_kept_in_their_order() {
        let (mut text, mut capture) = text();
        assert_eq!(capture.text(), (Vec::new(), false));
        let mut input = File::from(capture.input.take().unwrap());
        let mut written: Vec<u8> = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        for length in [1, 3000, 5191, 1, 20_000, 8192, 7, 0, 50_000] {
            let piece: Vec<_> = (0..length)
                .map(|n| u8::try_from((written.len() + n) % 251).unwrap())
                .collect();
            io::Write::write_all(&mut input, &piece).unwrap();
            written.extend(&piece);
            if length > 0 {
                assert!(!capture.is_complete());
                assert!(text.take(&mut buffer, true));
            }
            assert!(capture.is_complete());
            let kept = written.len().min(8192);
            let (last, is_cut) = capture.text();
            assert!(last == written[written.len() - kept..]);
            assert_eq!(is_cut, written.len() > 8192);
        }
        drop(input);
        assert!(!text.take(&mut buffer, true), "the end");
    }

    #[test]
    fn who_writes_can_read() {
        let (text, mut capture) = text();
        let mut input = File::from(capture.input.take().unwrap());
        drop((text, capture));
        // No reader is left but the writer itself.
        io::Write::write_all(&mut input, b"x").unwrap();
    }
}
