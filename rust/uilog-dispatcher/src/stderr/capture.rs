//! The dispatcher's side: the pipes of its scripts, which it reads itself or
//! passes on.

use std::cell::Cell;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::fcntl::FcntlArg;
use nix::fcntl::OFlag;
use nix::fcntl::fcntl;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::socket;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::MsgFlags;

use super::process;
use super::ring::KEPT_BYTES;
use super::ring::Ring;

/// Maximum number of scripts whose output is captured at a time, because each
/// needs descriptors.
const MAX_CAPTURED: u64 = 64;
/// The part of all descriptors that as many scripts may be: others need them.
const CAPTURED_PART: u64 = 16;
/// What a script may write before another process empties its pipe. Also how
/// much more before that is tried again, where it has failed.
const HANDOVER_BYTES: usize = 32 * 1024;
/// The size of a pipe, if the system allows it: what a script can write before
/// it blocks, if its dispatcher is killed or stopped. Only written data takes
/// memory. Not more, since all pipes of a user have 64 MB together
/// (`pipe-user-pages-soft`), and further ones get next to nothing.
#[cfg(target_os = "linux")]
const PIPE_BYTES: i32 = 256 * 1024;
/// Maximum number of reads at a script's end: remaining processes may write
/// without end.
const MAX_LAST_READS: usize = 64;

/// All pipes that there are.
#[derive(Debug)]
pub(crate) struct Collector {
    pipes: Vec<Rc<Pipe>>,
    /// The process that pipes are passed to, if it was started.
    process: Option<OwnedFd>,
    /// This process is a batch process, and that one must not be one.
    leave_batch: bool,
}

/// One script's text.
#[derive(Debug)]
pub(crate) struct Capture {
    pipe: Rc<Pipe>,
    /// What the script gets.
    input: Option<OwnedFd>,
}

/// The end of a pipe that is read.
#[derive(Debug)]
struct Pipe {
    /// Non-blocking, which does not affect writers: the other end is a separate
    /// open file.
    output: File,
    ring: Ring,
    reader: Cell<Reader>,
    /// Bytes read since the last attempt to pass this on.
    read: Cell<usize>,
}

/// Who reads a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Dispatcher,
    Process,
    /// There is no writer any more, and everything has been read.
    Nobody,
}

impl Collector {
    pub(crate) fn new(leave_batch: bool) -> Self {
        Self {
            pipes: Vec::new(),
            process: None,
            leave_batch,
        }
    }

    /// The standard error of a script that is about to start. `None` if there
    /// is no pipe: then only its output is lost.
    pub(crate) fn capture(&mut self) -> Option<Capture> {
        self.forget();
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |it| it.0);
        let limit = MAX_CAPTURED.min(limit / CAPTURED_PART);
        if self.pipes.len() as u64 >= limit {
            return None;
        }
        let capture = Capture::new().ok()?;
        self.pipes.push(Rc::clone(&capture.pipe));
        Some(capture)
    }

    /// What `drain` waits for.
    pub(crate) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        // `poll` reports its end in any case.
        let process = self.process.as_ref();
        let process =
            process.map(|it| PollFd::new(it.as_fd(), PollFlags::empty()));
        let pipes = self.pipes.iter().filter(|it| it.is_ours());
        let pipes =
            pipes.map(|it| PollFd::new(it.output.as_fd(), PollFlags::POLLIN));
        process.into_iter().chain(pipes)
    }

    /// Reads what is available, a limited amount from each pipe, and passes on
    /// pipes where needed.
    pub(crate) fn drain(&mut self) {
        self.forget();
        self.notice_end();
        for index in 0..self.pipes.len() {
            let pipe = Rc::clone(&self.pipes[index]);
            if pipe.is_ours() {
                pipe.take();
                if pipe.is_ours() && pipe.read.get() > HANDOVER_BYTES {
                    self.hand_over(&pipe);
                }
            }
        }
    }

    /// A script has ended. Reads its output; if processes that the script has
    /// started can still write, passes on its pipe.
    pub(crate) fn script_ended(&mut self, capture: &Capture) {
        let pipe = &capture.pipe;
        let is_more = |_: &usize| pipe.is_ours() && pipe.take();
        let _ = (0..MAX_LAST_READS).take_while(is_more).count();
        if pipe.is_ours() {
            self.hand_over(pipe);
        }
    }

    /// This process is about to end, or has other things to do.
    pub(crate) fn hand_over_all(&mut self) {
        self.drain();
        for pipe in self.pipes.clone() {
            if pipe.is_ours() {
                self.hand_over(&pipe);
            }
        }
    }

    /// If the process has ended, this process reads its pipes again.
    fn notice_end(&mut self) {
        if self.process.as_ref().is_some_and(has_gone) {
            self.process = None;
            for pipe in &self.pipes {
                pipe.take_back();
            }
        }
    }

    /// If this fails, the pipe stays here.
    fn hand_over(&mut self, pipe: &Pipe) {
        self.notice_end();
        pipe.read.set(0);
        if self.process.is_none() {
            self.process = process::start(self.leave_batch).ok();
        }
        let Some(process) = &self.process else {
            return;
        };
        if pipe.send(process).is_ok() {
            pipe.reader.set(Reader::Process);
        }
    }

    /// Closes pipes that are not needed here any more.
    fn forget(&mut self) {
        self.pipes
            .retain(|it| it.is_ours() || Rc::strong_count(it) > 1);
    }
}

impl Capture {
    fn new() -> io::Result<Self> {
        let (output, input) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        #[cfg(target_os = "linux")]
        let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        // The same pipe, opened so that writers can read as well. Without
        // /proc, a script gets SIGPIPE if both processes are killed.
        let path = format!("/proc/self/fd/{}", output.as_raw_fd());
        let both = OpenOptions::new().read(true).write(true).open(path);
        let pipe = Pipe {
            output: File::from(output),
            ring: Ring::default(),
            reader: Cell::new(Reader::Dispatcher),
            read: Cell::new(0),
        };
        Ok(Self {
            pipe: Rc::new(pipe),
            input: Some(both.map_or(input, OwnedFd::from)),
        })
    }

    /// The standard error for starting the script.
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(AsFd::as_fd)
    }

    /// The script has been started, and has that itself.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Whether all output so far has been stored.
    pub(crate) fn is_complete(&self) -> bool {
        // In this order: data that has left the pipe is being stored.
        let is_empty = !polled(&self.pipe.output, PollFlags::POLLIN);
        is_empty && !self.pipe.ring.is_busy()
    }

    /// The last bytes; whether there were more before.
    pub(crate) fn text(&self) -> (Vec<u8>, bool) {
        self.pipe.ring.text()
    }
}

impl Pipe {
    fn is_ours(&self) -> bool {
        self.reader.get() == Reader::Dispatcher
    }

    /// Reads once; false if there was nothing.
    fn take(&self) -> bool {
        let mut buffer = [0; KEPT_BYTES as usize];
        match (&self.output).read(&mut buffer) {
            Ok(0) => self.reader.set(Reader::Nobody),
            Ok(length) => {
                self.ring.add(&buffer[..length]);
                self.read.set(self.read.get() + length);
                return true;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => return true,
                io::ErrorKind::WouldBlock => {}
                _ => self.reader.set(Reader::Nobody),
            },
        }
        false
    }

    /// The process that read it has ended.
    fn take_back(&self) {
        if self.reader.get() == Reader::Process {
            self.reader.set(Reader::Dispatcher);
            // What it had read and not stored is lost.
            self.ring.add(&[]);
        }
    }

    fn send(&self, process: &OwnedFd) -> io::Result<()> {
        let descriptors = [self.output.as_raw_fd(), self.ring.raw_fd()?];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        socket::sendmsg::<()>(
            process.as_raw_fd(),
            &[IoSlice::new(b"+")],
            &[ControlMessage::ScmRights(&descriptors)],
            flags,
            None,
        )?;
        Ok(())
    }
}

/// Whether the other end of a socket is closed.
fn has_gone(socket: &OwnedFd) -> bool {
    polled(socket, PollFlags::POLLHUP)
}

fn polled(fd: &impl AsFd, what: PollFlags) -> bool {
    let mut polled = [PollFd::new(fd.as_fd(), what)];
    let result = nix::poll::poll(&mut polled, PollTimeout::ZERO);
    let events = polled[0].revents().unwrap_or(PollFlags::empty());
    result.is_ok_and(|count| count > 0) && events.intersects(what)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A collector, and the end of one script's pipe that is written to.
    fn captured() -> (Collector, Capture, File) {
        let mut collector = Collector::new(false);
        let mut capture = collector.capture().unwrap();
        let input = File::from(capture.input.take().unwrap());
        (collector, capture, input)
    }

    #[test]
    fn what_a_script_says_is_there_at_its_end_without_a_process() {
        let (mut collector, capture, mut input) = captured();
        input.write_all(b"one\n").unwrap();
        assert!(!capture.is_complete());
        collector.drain();
        assert!(capture.is_complete());
        input.write_all(b"two\n").unwrap();
        drop(input);
        collector.script_ended(&capture);
        assert!(capture.is_complete());
        assert_eq!(capture.text(), (b"one\ntwo\n".to_vec(), false));
        assert!(collector.process.is_none());
        drop(capture);
        collector.drain();
        assert_eq!(collector.pipes.len(), 0);
    }

    #[test]
    fn as_much_as_a_script_may_write_takes_no_process() {
        let (mut collector, capture, mut input) = captured();
        input.write_all(&[b'x'; HANDOVER_BYTES]).unwrap();
        input.write_all(b"last words").unwrap();
        drop(input);
        collector.script_ended(&capture);
        let (text, is_cut) = capture.text();
        assert!(is_cut && text.ends_with(b"xlast words"));
        assert!(capture.is_complete() && collector.process.is_none());
    }

    #[test]
    fn a_silent_script_is_waited_for_and_a_closed_pipe_is_not() {
        let (mut collector, capture, input) = captured();
        collector.drain();
        assert_eq!(collector.polled().count(), 1);
        drop(input);
        collector.drain();
        assert_eq!(collector.polled().count(), 0);
        assert!(capture.is_complete());
    }

    #[test]
    fn only_so_many_are_kept_at_a_time() {
        let mut collector = Collector::new(false);
        let all: Vec<_> = std::iter::from_fn(|| collector.capture()).collect();
        assert!(!all.is_empty() && all.len() as u64 <= MAX_CAPTURED);
        drop(all);
        collector.drain();
        collector.capture().unwrap();
    }

    #[test]
    fn who_writes_can_read() {
        let (collector, capture, mut input) = captured();
        drop((collector, capture));
        // No reader is left but the writer itself.
        input.write_all(b"x").unwrap();
    }

    #[test]
    fn what_nobody_reads_has_room_and_does_not_fail() {
        let (_collector, _capture, mut input) = captured();
        input.write_all(&[0; 64 * 1024]).unwrap();
    }

    /// A process that has one pipe, as far as the collector can tell.
    fn handed_over(collector: &mut Collector) -> OwnedFd {
        let (ours, theirs) = socket::socketpair(
            socket::AddressFamily::Unix,
            socket::SockType::SeqPacket,
            None,
            socket::SockFlag::SOCK_CLOEXEC,
        )
        .unwrap();
        collector.process = Some(ours);
        collector.hand_over_all();
        theirs
    }

    #[test]
    fn the_pipes_of_a_process_that_has_died_are_read_again() {
        let (mut collector, capture, mut input) = captured();
        let process = handed_over(&mut collector);
        input.write_all(b"some").unwrap();
        // It dies while it is about to read.
        capture.pipe.ring.begin();
        collector.drain();
        assert!(!capture.is_complete(), "not ours to read");
        drop(process);
        assert_eq!(collector.polled().count(), 1);
        collector.drain();
        assert!(capture.is_complete());
        assert_eq!(capture.text(), (b"some".to_vec(), false));
    }

    #[test]
    fn what_cannot_be_handed_over_stays_here() {
        let (mut collector, capture, mut input) = captured();
        let _process = handed_over(&mut collector);
        capture.pipe.take_back();
        // It is stopped, and has no room any more.
        let ours = collector.process.as_ref().unwrap().as_raw_fd();
        while socket::send(ours, b"-", MsgFlags::MSG_DONTWAIT).is_ok() {}
        input.write_all(b"some").unwrap();
        collector.script_ended(&capture);
        input.write_all(b" more").unwrap();
        // The script has ended, too, but not what it has left behind.
        drop(capture);
        collector.drain();
        assert_eq!(collector.pipes.len(), 1);
        assert_eq!(collector.pipes[0].ring.text().0, b"some more");
        drop(input);
        collector.drain();
        collector.drain();
        assert_eq!(collector.pipes.len(), 0);
    }
}
