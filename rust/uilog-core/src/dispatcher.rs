//! hg's side of the dispatcher: starts it, and hands it jobs.
//!
//! Nothing here waits: a job is appended to the queue and the doorbell is
//! rung. A dispatcher that has died is replaced by another one on the same
//! queue; one that stalls is simply not heard of.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket;
use nix::sys::socket::MsgFlags;
use uilog_sys::fork::CloseInChild;
use uilog_sys::spawn;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Stdio;

use crate::backoff::Backoff;
use crate::bound::Bound;
use crate::bound::leave_some_for_hg;
use crate::event::Event;
use crate::frames::Sent;
use crate::journal::unserved;
use crate::journal::unserved::Left;
use crate::journal::unserved::NotLeft;
use crate::logtoprocess::Script;
use crate::pipeline::Loss;
use crate::queue::Progress;
use crate::queue::Writer;
use crate::settings::Settings;
use crate::wire::DOORBELL;
use crate::wire::PROTOCOL;
use crate::wire::Program;
use crate::wire::Repository;

/// How long `hg debuguilog` waits for the dispatcher.
const PROBE_BOUND: Duration = Duration::from_secs(5);
/// When hg ends, a dispatcher that replaces one that did nothing is given
/// this long to take its first job.
const BARREN_GRACE: Duration = Duration::from_millis(20);
/// How often whoever waits for a verdict looks for it.
const VERDICT_STEP: Duration = Duration::from_millis(1);
/// ... and how often it looks whether the dispatcher still runs.
const LOOK_STEP: Duration = Duration::from_millis(50);
/// How many dispatchers in a row may die without taking a single job.
const MAX_BARREN: u32 = 3;

/// `MSG_NOSIGNAL`: while a pager runs, hg has SIGPIPE at its default.
const SEND_FLAGS: MsgFlags =
    MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// What makes up a job, besides what the dispatcher's side knows itself.
#[derive(Clone, Copy, Debug)]
pub struct JobParts<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// What is to be done about it.
    pub task: Task<'a>,
    /// What `[uilog]` says.
    pub settings: &'a Settings,
    /// hg's environment, as a block, without `TRACEPARENT`: that changes with
    /// each command, and all of it would have to be handed over again.
    pub environment: &'a [u8],
}

/// What is to be done about an event.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// A script is to be run.
    Script {
        /// The script.
        script: &'a Script,
        /// How many scripts are around hg.
        depth: u32,
        /// hg's umask, if it has been changed.
        umask: Option<u32>,
        /// What the environment says in `TRACEPARENT`.
        traceparent: Option<&'a [u8]>,
    },
    /// Structured sinks are to have it.
    Record {
        /// What `[uilog]` says of them.
        items: &'a [(Vec<u8>, Vec<u8>)],
        /// Mercurial's version.
        hg_version: Option<&'a [u8]>,
        /// The program that it is about, if that is not hg's executable.
        program: Option<&'a Program<'static>>,
        /// What `TRACESTATE` says of the event's trace.
        trace_state: Option<&'a [u8]>,
        /// What hg knows of the event's repository.
        repository: &'a Repository<'static>,
    },
}

/// The dispatcher, as hg sees it.
#[derive(Debug)]
pub struct Dispatcher {
    program: PathBuf,
    hg: Vec<u8>,
    link: Option<Link>,
    backoff: Backoff,
    starts: u64,
    barren: u32,
    /// Encoded frames are built here, so that memory is taken only once.
    buffer: Vec<u8>,
}

/// The state of a dispatcher, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its process id.
    pub pid: i32,
    /// Jobs given to it.
    pub jobs: u64,
    /// What it has done.
    pub progress: Progress,
    /// Memory of the queue, in bytes.
    pub queue_bytes: u64,
    /// Its last failure.
    pub last_failure: Option<String>,
}

impl Dispatcher {
    /// A dispatcher that is not started yet; `program` is the binary.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            hg: Vec::new(),
            link: None,
            backoff: Backoff::default(),
            starts: 0,
            barren: 0,
            buffer: Vec::new(),
        }
    }

    /// The binary.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// hg's executable, as it was told.
    pub(crate) fn hg(&self) -> &[u8] {
        &self.hg
    }

    /// How many dispatchers have been started.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// Tells where hg's executable is.
    pub fn set_hg(&mut self, hg: &[u8]) {
        if self.hg != hg {
            self.hg = hg.to_vec();
        }
    }

    /// The dispatcher's state, if one has been started.
    pub fn status(&self) -> Option<Status> {
        let link = self.link.as_ref()?;
        let queue = &link.queue;
        Some(Status {
            pid: link.pid,
            jobs: queue.committed().jobs,
            progress: queue.progress().ok()?,
            queue_bytes: queue.bytes().unwrap_or(0),
            last_failure: queue.last_failure().ok()?,
        })
    }

    /// Starts the dispatcher if none runs, and waits until it serves the
    /// queue; for `hg debuguilog`, which has the time.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn probe(&mut self, settings: &Settings) -> Result<(), String> {
        if self.link.is_none() {
            self.open(settings, Start::Wait(PROBE_BOUND))?;
        }
        let Some(link) = &self.link else {
            return Ok(());
        };
        let deadline = Instant::now() + PROBE_BOUND;
        while link.progress().readers == 0 {
            if !link.ring() {
                return Err("it ends before it has done anything".to_owned());
            }
            if Instant::now() > deadline {
                return Err("it does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Starts the dispatcher if none runs, for a job that will come. Should
    /// that fail, the job will be told.
    pub fn prepare(&mut self, settings: &Settings) {
        if self.link.is_none() {
            let _ = self.open(settings, Start::NoWait);
        }
    }

    /// Hands over a job, without waiting for anything.
    ///
    /// # Errors
    ///
    /// What has been lost, and why.
    pub fn send(&mut self, parts: &JobParts<'_>) -> Result<(), Loss> {
        let lost = |reason: String| Loss { events: 1, reason };
        if self.link.as_ref().is_some_and(|link| !link.is_intact()) {
            // The dispatcher ends by itself.
            self.link = None;
        }
        if self.link.is_none() {
            if let Some(reason) = self.backoff.reason() {
                return Err(lost(reason));
            }
            self.open(parts.settings, Start::NoWait)
                .map_err(|reason| lost(self.backoff.failed(reason)))?;
        }
        let Some(link) = self.link.as_mut() else {
            return Err(lost("there is no dispatcher".to_owned()));
        };
        link.queue.set_max_bytes(parts.settings.queue_bytes);
        if let Err(error) = link.append(parts, &self.hg, &mut self.buffer) {
            if error.kind() == io::ErrorKind::StorageFull {
                return Err(lost(format!(
                    "{} bytes of events wait already (uilog.queue-size)",
                    parts.settings.queue_bytes
                )));
            }
            // The dispatcher still runs what it has; the next event gets
            // another one, with a queue that may have more luck.
            self.link = None;
            return Err(lost(format!("cannot append to the queue: {error}")));
        }
        if self.buffer.capacity() > MAX_KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        if link.ring() { Ok(()) } else { self.replace() }
    }

    fn open(
        &mut self,
        settings: &Settings,
        start: Start,
    ) -> Result<(), String> {
        let queue = Writer::create(settings.queue_bytes)
            .map_err(|error| format!("cannot create a queue: {error}"))?;
        self.start(queue, start)
    }

    /// Starts a dispatcher on `queue`.
    fn start(&mut self, queue: Writer, start: Start) -> Result<(), String> {
        let link = Link::start(&self.program, queue, start)?;
        self.link = Some(link);
        self.starts += 1;
        Ok(())
    }

    /// Waits until it is known what has become of every job, but not longer
    /// than `bound`; whether it is. For whoever has the time: hg never has.
    ///
    /// # Errors
    ///
    /// What has been lost because no dispatcher could be kept running.
    pub fn await_verdict(&mut self, bound: Duration) -> Result<bool, Loss> {
        let deadline = Instant::now() + bound;
        let mut look_at = Instant::now() + LOOK_STEP;
        while let Some(status) = self.status() {
            if status.progress.done() >= status.jobs {
                return Ok(true);
            }
            let now = Instant::now();
            if now > deadline {
                return Ok(false);
            }
            if now > look_at {
                look_at = now + LOOK_STEP;
                if self.link.as_ref().is_some_and(|link| !link.ring()) {
                    self.replace()?;
                }
            }
            std::thread::sleep(VERDICT_STEP);
        }
        Ok(true)
    }

    /// The last look at the dispatcher, when hg ends in the ordinary way: if
    /// it has died with jobs waiting, nobody else will notice.
    ///
    /// # Errors
    ///
    /// What has been lost, and why.
    pub fn finish(&mut self) -> Result<(), Loss> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        if !link.is_intact() {
            return Ok(());
        }
        // One that follows one that did nothing gets a moment to show that
        // it does better; whoever works as it should costs no wait.
        let deadline = Instant::now() + BARREN_GRACE;
        while link.ring() {
            let is_doubtful = self.barren > 0 && link.is_barren();
            if !is_doubtful || Instant::now() > deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // There will be no other chance to see that one more does nothing.
        if link.is_barren() {
            self.barren = MAX_BARREN;
        }
        self.replace()
    }

    /// If events wait for a dispatcher that has not begun, leaves a note of
    /// them: hg does not wait, and nobody else would miss them.
    ///
    /// # Errors
    ///
    /// No note could be left, and why.
    pub fn leave_note(
        &mut self,
        environment: &[u8],
        session: &str,
    ) -> Result<(), Loss> {
        let Some(link) = self.link.as_mut() else {
            return Ok(());
        };
        if link.has_begun || !link.is_intact() {
            return Ok(());
        }
        let progress = link.progress();
        link.has_begun = progress.readers != link.readers_at_start;
        let jobs = link.queue.committed().jobs;
        let events = jobs.saturating_sub(progress.done());
        if link.has_begun || events == 0 {
            return Ok(());
        }
        let program = &self.program;
        let left = unserved::leave(
            environment,
            link.note.as_ref(),
            session,
            events,
            program,
            link.pid,
        );
        // Without a note there will be none for later events either.
        link.has_begun = left.is_err();
        let left = match left {
            Ok(left) => left,
            Err(NotLeft::TooMany) => {
                let reason = format!(
                    "{} dispatch has not begun, nor have those before it",
                    program.display()
                );
                return Err(Loss { events, reason });
            }
            Err(NotLeft::NoPlace(problem)) => {
                let reason = format!(
                    "{} dispatch has not begun, and no note of {events} \
                     event(s) can be left: {problem}",
                    program.display()
                );
                return Err(Loss { events: 0, reason });
            }
        };
        let named = link.queue.publish_note(&left.named());
        // It may have looked for the note just before there was one.
        link.has_begun = link.progress().readers != link.readers_at_start;
        if link.has_begun || named.is_err() {
            left.remove();
        } else {
            link.note = Some(left);
        }
        Ok(())
    }

    /// The dispatcher has died: starts another one on the same queue.
    fn replace(&mut self) -> Result<(), Loss> {
        let note = self.link.as_mut().and_then(|link| link.note.take());
        let replaced = self.replace_by(note.clone());
        if let (Err(_), Some(note)) = (&replaced, note) {
            // Its events are counted as lost now.
            note.remove();
        }
        replaced
    }

    fn replace_by(&mut self, note: Option<Left>) -> Result<(), Loss> {
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        let progress = link.progress();
        // What it had taken but not started counts here, too: its successor
        // accounts for that.
        let undone =
            link.queue.committed().jobs.saturating_sub(progress.done());
        let untold = progress.untold();
        if undone == 0 && untold > 0 {
            // All have been dealt with, but of some nobody has told.
            let failure = link.queue.last_failure().ok().flatten();
            let failure = failure.unwrap_or_default();
            return Err(Loss {
                events: untold,
                reason: format!(
                    "sinks had lost them or had them in hand when the \
                     dispatcher was killed: {failure}"
                ),
            });
        }
        if undone == 0 {
            return Ok(());
        }
        let lost = |reason: String| Loss {
            events: undone + untold,
            reason,
        };
        let refused_by = progress.refused_by;
        if refused_by != 0 {
            return Err(lost(self.backoff.failed(format!(
                "{} speaks protocol {refused_by}, this hg {PROTOCOL}",
                self.program.display()
            ))));
        }
        self.barren = if link.is_barren() { self.barren + 1 } else { 0 };
        if self.barren >= MAX_BARREN {
            self.barren = 0;
            return Err(lost(self.backoff.failed(format!(
                "{} dispatch ends before it has done anything",
                self.program.display()
            ))));
        }
        let Link { queue, sent, .. } = link;
        let Some(queue) = queue.into_inner() else {
            return Ok(());
        };
        self.start(queue, Start::NoWait)
            .map_err(|reason| lost(self.backoff.failed(reason)))?;
        if let Some(link) = &mut self.link {
            link.sent = sent;
            link.taken_at_start = progress.taken;
            link.readers_at_start = progress.readers;
            link.note = note;
            link.ring();
        }
        Ok(())
    }
}

/// A larger buffer is given back after use.
const MAX_KEPT_BUFFER: usize = 256 * 1024;

/// A running dispatcher and the queue to it.
#[derive(Debug)]
struct Link {
    /// Dropped first: after that a forked child would keep the descriptors.
    _guards: [CloseInChild; 2],
    socket: Bound<UnixStream>,
    queue: Bound<Writer>,
    pid: i32,
    sent: Sent,
    taken_at_start: u64,
    /// How many dispatchers had begun to serve the queue before.
    readers_at_start: u64,
    /// This one has begun, or there is to be no note of it.
    has_begun: bool,
    /// What was left for it to remove.
    note: Option<Left>,
}

impl Link {
    fn start(
        program: &Path,
        queue: Writer,
        start: Start,
    ) -> Result<Self, String> {
        // The exec's own errors come too late for a caller that does not
        // wait; a missing binary must not go unnoticed.
        nix::unistd::access(program, nix::unistd::AccessFlags::X_OK).map_err(
            |errno| format!("cannot run {}: {errno}", program.display()),
        )?;
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| format!("cannot create a socket: {error}"))?;
        leave_some_for_hg(&[
            ours.as_raw_fd(),
            theirs.as_raw_fd(),
            queue.as_fd().as_raw_fd(),
        ])?;
        let mut command = spawn::Command::new(program)
            .map_err(|_| format!("'{}' is no path", program.display()))?;
        command.arg(c"dispatch".to_owned());
        command.stdin(Stdio::Fd(theirs.as_fd()));
        command.stdout(Stdio::Fd(queue.as_fd()));
        let process = command
            .spawn_detached(start)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            _guards: [
                CloseInChild::new(ours.as_raw_fd()),
                CloseInChild::new(queue.as_fd().as_raw_fd()),
            ],
            socket: Bound::new(ours),
            queue: Bound::new(queue),
            pid: process.pid,
            sent: Sent::default(),
            taken_at_start: 0,
            readers_at_start: 0,
            has_begun: false,
            note: None,
        })
    }

    /// Whether the descriptors are still what they were. Code that closes all
    /// it finds is rare, but bytes in another file would be unforgivable.
    fn is_intact(&self) -> bool {
        self.socket.is_intact() && self.queue.is_intact()
    }

    fn append(
        &mut self,
        parts: &JobParts<'_>,
        hg: &[u8],
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        // All frames go in one write, so positions are known beforehand.
        let end = self.queue.committed().end;
        let new = self.sent.encode(parts, hg, end, buffer)?;
        self.queue.append(buffer, 1)?;
        self.sent.keep(new, parts);
        Ok(())
    }

    /// What the dispatcher has done.
    fn progress(&self) -> Progress {
        self.queue.progress().unwrap_or_default()
    }

    /// Whether this dispatcher has not taken a single job yet.
    fn is_barren(&self) -> bool {
        self.progress().taken == self.taken_at_start
    }

    /// Wakes the dispatcher; `false` if there is none any more.
    fn ring(&self) -> bool {
        let sent = socket::send(self.socket.as_raw_fd(), &DOORBELL, SEND_FLAGS);
        match sent {
            // A full socket means that it has enough to wake up from.
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => true,
            Err(_) => false,
        }
    }
}
