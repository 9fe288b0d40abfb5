//! A dispatcher that runs, and the queue to it.
//!
//! Must not know when one is started, or what follows if it ends.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::socket;
use nix::sys::socket::MsgFlags;
use uilog_channel::bound::Bound;
use uilog_channel::bound::Descriptors;
use uilog_channel::bound::NO_DESCRIPTOR;
use uilog_channel::bound::SEND_FLAGS;
use uilog_channel::bound::leave_some_for_hg;
use uilog_channel::frames::LatestFrames;
use uilog_channel::page;
use uilog_channel::page::CreatedPage;
use uilog_channel::queue::Progress;
use uilog_channel::queue::Writer;
use uilog_channel::queue::frames_file;
use uilog_channel::wire::DOORBELL;
use uilog_sys::fork::CloseInChild;
use uilog_sys::spawn;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Stdio;

/// A queue without a dispatcher.
#[derive(Debug)]
pub(super) struct Queue {
    writer: Writer,
    /// How many dispatchers have begun to serve it.
    begun: u64,
    /// The page for the dispatcher that will be started; the writer's if it has
    /// no name.
    readers: Option<File>,
    /// Where the page is.
    path: Option<PathBuf>,
}

impl Queue {
    pub(super) fn without_page(max_bytes: u64) -> Result<Self, String> {
        let writer = Writer::create(max_bytes)
            .map_err(|error| format!("cannot create a queue: {error}"))?;
        Ok(Self {
            writer,
            begun: 0,
            readers: None,
            path: None,
        })
    }

    pub(super) fn with_page(
        made: CreatedPage,
        max_bytes: u64,
    ) -> Result<Self, String> {
        let CreatedPage {
            page,
            readers,
            path,
        } = made;
        let frames = match frames_file() {
            Ok(frames) => frames,
            Err(error) => {
                let _ = page::remove(&page, &path);
                return Err(format!("cannot create a queue: {error}"));
            }
        };
        Ok(Self {
            writer: Writer::open_apart(page, frames, max_bytes),
            begun: 0,
            readers: Some(readers),
            path: Some(path),
        })
    }

    /// For another dispatcher.
    pub(super) fn again(
        writer: Writer,
        path: Option<PathBuf>,
        progress: &Progress,
    ) -> Result<Self, String> {
        let readers = path
            .is_some()
            .then(|| page::for_next_reader(writer.page()))
            .transpose()
            .map_err(|error| format!("cannot open the queue: {error}"))?;
        Ok(Self {
            writer,
            begun: progress.readers,
            readers,
            path,
        })
    }

    /// Removes the page of a queue that has never been used.
    fn discard(self) {
        if let (Some(path), 0) = (&self.path, self.writer.committed().jobs) {
            let _ = page::remove(self.writer.page(), path);
        }
    }
}

/// A running dispatcher and the queue to it.
#[derive(Debug)]
pub(super) struct Link {
    /// Dropped first, because afterwards a forked child would keep the
    /// descriptors.
    _guards: Vec<CloseInChild>,
    socket: Bound<UnixStream>,
    pub(super) queue: Bound<Writer>,
    /// Where the queue's page is.
    pub(super) path: Option<PathBuf>,
    pub(super) program: PathBuf,
    /// It runs scripts alone.
    pub(super) is_for_scripts: bool,
    pub(super) pid: i32,
    pub(super) sent: LatestFrames,
    pub(super) taken_at_start: u64,
}

impl Link {
    pub(super) fn start(
        (program, is_for_scripts): (PathBuf, bool),
        queue: Queue,
        start: Start,
    ) -> Result<Self, String> {
        let started = Self::start_on(&program, &queue, start);
        let (socket, pid) = match started {
            Ok(started) => started,
            Err(reason) => {
                queue.discard();
                return Err(reason);
            }
        };
        let Queue {
            mut writer,
            begun,
            path,
            ..
        } = queue;
        writer.set_reader(pid, begun);
        let raws = writer.raw_fds().into_iter();
        let raws = raws.chain([socket.as_raw_fd()]);
        let raws = raws.filter(|raw| *raw != NO_DESCRIPTOR);
        Ok(Self {
            _guards: raws.map(CloseInChild::new).collect(),
            socket: Bound::new(socket),
            queue: Bound::new(writer),
            path,
            program,
            is_for_scripts,
            pid,
            sent: LatestFrames::default(),
            taken_at_start: 0,
        })
    }

    /// Starts the program; returns our end of the socket, and its process id.
    fn start_on(
        program: &Path,
        queue: &Queue,
        start: Start,
    ) -> Result<(UnixStream, i32), String> {
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| format!("cannot create a socket: {error}"))?;
        let page = queue.writer.page();
        leave_some_for_hg(&[
            ours.as_raw_fd(),
            theirs.as_raw_fd(),
            page.as_raw_fd(),
        ])?;
        let mut command = spawn::Command::new(program)
            .map_err(|_| format!("'{}' is not a path", program.display()))?;
        command.arg(c"dispatch".to_owned());
        command.stdin(Stdio::Fd(theirs.as_fd()));
        let page = queue.readers.as_ref().unwrap_or(page);
        command.stdout(Stdio::Fd(page.as_fd()));
        if let Some(frames) = queue.writer.frames() {
            command.stderr(Stdio::Fd(frames.as_fd()));
        }
        let process = command
            .spawn_detached(start)
            .map_err(|error| error.to_string())?;
        Ok((ours, process.pid))
    }

    /// Stores in the page how many lost events this process has not reported.
    pub(super) fn set_unreported(&mut self, events: u64) {
        if self.queue.unreported() != events && self.is_intact() {
            // If it cannot, they are lost in silence if it is killed.
            let _ = self.queue.set_unreported(events);
        }
    }

    /// Removes the page, of which nothing is left.
    pub(super) fn remove_page(&self) {
        if let Some(path) = self.path.as_ref().filter(|_| self.is_intact()) {
            // One that stays says that nothing has been lost.
            let _ = page::remove(self.queue.page(), path);
        }
    }

    /// Whether the descriptors are still what they were. Code that closes all
    /// it finds is rare, but bytes in another file would be unforgivable.
    pub(super) fn is_intact(&self) -> bool {
        self.socket.is_intact() && self.queue.is_intact()
    }

    /// What the dispatcher has done.
    pub(super) fn progress(&self) -> Progress {
        self.queue.progress().unwrap_or_default()
    }

    /// Whether this dispatcher has not claimed a job yet.
    pub(super) fn is_barren(&self) -> bool {
        self.progress().taken == self.taken_at_start
    }

    /// Whether there is a dispatcher, without waking it.
    pub(super) fn is_served(&self) -> bool {
        // It never writes: all that there can be is the end.
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match socket::recv(self.socket.as_raw_fd(), &mut [0], flags) {
            Ok(count) => count > 0,
            Err(Errno::EAGAIN | Errno::EINTR) => true,
            Err(_) => false,
        }
    }

    /// Wakes the dispatcher; `false` if it has ended.
    pub(super) fn ring(&self) -> bool {
        let sent = socket::send(self.socket.as_raw_fd(), &DOORBELL, SEND_FLAGS);
        match sent {
            // A full socket means that it has enough to wake up from.
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => true,
            Err(_) => false,
        }
    }
}
