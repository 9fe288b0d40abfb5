//! The dispatcher process: runs the scripts that hg has put into the queue.
//!
//! There is one for each hg process. It starts scripts in the order of their
//! events, a limited number at a time, kills those that exceed their time
//! limit, and passes records to the structured sinks. It exits when the queue
//! is empty, the last script has ended, the sinks are done and no hg holds the
//! socket. Must not know how hg decides what to run.

mod frames;
mod progress;
mod scripts;
mod waiting;

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::Pid;
use signal_hook::consts::SIGXFSZ;
use uilog_channel::cached_reader::CachedReader;
use uilog_channel::commandlost;
use uilog_channel::commandlost::Inquiry;
use uilog_channel::commandlost::Verdict;
use uilog_channel::journal::FailureKind;
pub use uilog_channel::journal::Redact;
use uilog_channel::page;
use uilog_channel::queue;
use uilog_channel::queue::Delivery;
use uilog_channel::queue::Progress;
use uilog_channel::queue::Reader;
use uilog_channel::record_delivery::RecordDelivery;
use uilog_channel::reporter;
use uilog_channel::reporter::Reporter;
use uilog_channel::unreported_losses::UnreportedLosses;
use uilog_channel::wire::PROTOCOL;
use uilog_event::user::UserNameLookup;
use uilog_sys::pidfd;
use uilog_sys::pidfd::Pidfd;
use uilog_sys::sched;
use uilog_sys::wakeup;
use uilog_sys::wakeup::drain;

use crate::failed::FailedScripts;
use crate::running::Running;
use crate::stderr::Collector;

/// How long structured sinks may continue after everything else is done.
const SINKS_BOUND: Duration = Duration::from_secs(60);
/// The limit after SIGTERM: a system that shuts down waits longer.
const TERMINATED_BOUND: Duration = Duration::from_secs(2);

/// How long to wait at the end for a journal that cannot be written yet.
const JOURNAL_BOUND: Duration = Duration::from_secs(5);

/// Why a dispatcher could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not started by hg.
    #[error(
        "hg starts this, with a socket as standard input and a queue as \
         standard output; it is not for use by hand"
    )]
    ByHand,
    /// hg speaks another protocol.
    #[error("hg speaks protocol {0}, this is {PROTOCOL}")]
    Protocol(u16),
    /// It has come too late.
    #[error("what is in the queue has been counted as lost already")]
    Claimed,
    /// The system failed.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

/// What a dispatcher leaves to the program that it runs in.
#[derive(Clone, Copy, Debug)]
pub struct Callbacks {
    /// Redacts the output of failed scripts before it is stored.
    pub redact: Redact,
    /// Looks up the user of an event in the user database.
    pub name_of: UserNameLookup,
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::System(what, error.into())
}

/// Serves the hg that has passed its socket as standard input, the page of its
/// queue as standard output, and the frames as standard error, if these are
/// apart.
///
/// # Errors
///
/// As of [`run`].
pub fn run_by_standard(
    records: Box<dyn RecordDelivery>,
    callbacks: Callbacks,
) -> Result<(), Error> {
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.map_err(system("standard input"))?;
    let queue = io::stdout().as_fd().try_clone_to_owned();
    let queue = queue.map_err(system("standard output"))?;
    let frames = take_frames(&queue).map_err(system("standard error"))?;
    run(socket, queue, frames, records, callbacks)
}

/// The queue's frames, if hg has passed them as standard error, which becomes
/// `/dev/null`, so that no message is written to the queue. Must be called
/// before there can be a message.
///
/// # Errors
///
/// There is no free descriptor.
fn take_frames(queue: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let page = File::from(queue.try_clone()?);
    if !queue::is_apart(&page) {
        return Ok(None);
    }
    let frames = io::stderr().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stderr(null)?;
    Ok(Some(frames))
}

/// Runs until there is nothing left to do; `socket` is hg's, `queue` the file
/// to which it writes, with its `frames` if these are separate, and `records`
/// gets the records.
///
/// # Errors
///
/// It could not begin, or the queue is damaged.
pub fn run(
    socket: OwnedFd,
    queue: OwnedFd,
    frames: Option<OwnedFd>,
    records: Box<dyn RecordDelivery>,
    callbacks: Callbacks,
) -> Result<(), Error> {
    // Leaves hg's directory, so that its file system can be unmounted: each
    // script gets its own.
    std::env::set_current_dir("/").map_err(system("chdir /"))?;
    let socket = UnixStream::from(socket);
    socket.peer_addr().map_err(|_| Error::ByHand)?;
    let page = File::from(queue.try_clone().map_err(system("open the queue"))?);
    let protocol = queue::protocol_of(&page).map_err(|_| Error::ByHand)?;
    let has_name = frames.is_some() && protocol == PROTOCOL;
    if has_name {
        let begun = page::begin_reading(&page);
        if !begun.map_err(system("wait for the previous dispatcher"))? {
            return Err(Error::Claimed);
        }
    }
    let queue = Reader::open_apart(queue, frames).map_err(|_| Error::ByHand)?;
    if protocol != PROTOCOL {
        queue.refuse().map_err(system("write to the queue"))?;
        return Err(Error::Protocol(protocol));
    }
    socket
        .set_nonblocking(true)
        .map_err(system("set up the socket"))?;
    // hg wakes us with each event, and must not lose its processor to us.
    let is_batch = sched::enter_batch();
    let mut server = Server::new(socket, queue, records, callbacks, is_batch)?;
    server.take_over()?;
    server.report_predecessor();
    let served = server.serve();
    // Scripts may still run, whatever has ended it.
    server.collector.hand_over_all();
    if has_name {
        server.remove_page();
    }
    server.claim_abandoned();
    served
}

/// The dispatcher's state.
///
/// Frames are read once, in order, without stopping: a script that may not
/// start yet stays in the queue, and scripts continue from there later, as do
/// sinks without room.
struct Server {
    /// `None` once no hg holds the other end.
    socket: Option<UnixStream>,
    feed: CachedReader,
    /// The next frame to read.
    position: u64,
    /// The number of records that were read.
    seen: u64,
    /// Jobs that earlier dispatchers have read.
    taken_before: u64,
    /// There are unclaimed scripts before `position`.
    is_behind: bool,
    running: Running,
    /// From the last job that was read.
    max_scripts: usize,
    predecessor: Predecessor,
    /// The newest environment, which determines the journal.
    environment: Arc<[u8]>,
    records: Box<dyn RecordDelivery>,
    losses: UnreportedLosses,
    reporter: Reporter,
    collector: Collector,
    /// Failed scripts that are not in the journal yet.
    failed: FailedScripts,
    name_of: UserNameLookup,
    /// Until when records are gathered, since the queue was empty.
    gather_until: Option<Instant>,
    /// The published progress.
    published: Progress,
    /// hg may have asked for delivery since the last check.
    may_await: bool,
    /// hg waits for the delivery of so many jobs; 0 if it does not.
    awaited: u64,
    /// Becomes readable when a child ends or SIGTERM arrives.
    wakeup: UnixStream,
    terminated: Arc<AtomicBool>,
    /// This process has made itself a batch process; scripts are not.
    is_batch: bool,
    /// Set while no process can be created: since when, until when.
    exhausted: Option<Exhausted>,
    /// hg's process, if it could be seen when this one began.
    hg: Option<Pidfd>,
    /// The state of hg's process, once it has closed the socket.
    inquiry: Inquiry,
    /// When to ask again, if that is not known yet.
    ask_at: Option<Instant>,
}

/// Losses of an earlier dispatcher that are not in the journal yet.
struct Predecessor {
    /// Scripts that it had claimed, and may have started or not.
    uncertain: u64,
    /// Events that it had lost, and records in the hands of sinks that are not
    /// in the queue any more.
    unreported: u64,
    failure: Option<String>,
}

#[derive(Clone, Copy)]
struct Exhausted {
    since: Instant,
    until: Instant,
}

/// The result of reading frames.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// Nothing more.
    Nothing,
    /// A record that waits for others.
    Gathering,
    /// Other things have to be done meanwhile.
    More,
}

impl Server {
    fn new(
        socket: UnixStream,
        queue: Reader,
        records: Box<dyn RecordDelivery>,
        callbacks: Callbacks,
        is_batch: bool,
    ) -> Result<Self, Error> {
        let (wakeup, signalled) =
            wakeup::pair().map_err(system("create a socket"))?;
        let terminated = Arc::new(AtomicBool::new(false));
        let term = signal_hook::consts::SIGTERM;
        let child = signal_hook::consts::SIGCHLD;
        signal_hook::flag::register(term, Arc::clone(&terminated))
            .map_err(system("handle SIGTERM"))?;
        // A file size limit is then an error of the write, and does not end
        // this process.
        let too_large = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGXFSZ, too_large)
            .map_err(system("handle SIGXFSZ"))?;
        for signal in [term, child] {
            let signalled =
                signalled.try_clone().map_err(system("create a socket"))?;
            signal_hook::low_level::pipe::register(signal, signalled)
                .map_err(system("handle signals"))?;
        }
        let mut told = queue.reported().map_err(system("share the queue"))?;
        let progress = queue.progress();
        let predecessor = Predecessor {
            uncertain: progress.uncertain(),
            unreported: progress.unreported(),
            failure: queue.last_failure().ok().flatten(),
        };
        let hg = process_of_peer(&socket);
        let mut feed = CachedReader::new(queue);
        feed.keep_open_commands();
        let environment = match progress.environment_at {
            0 => Arc::default(),
            at => feed.environment(at).map_err(system("read the queue"))?,
        };
        Ok(Self {
            socket: Some(socket),
            position: feed.queue.low(),
            seen: progress.records,
            taken_before: progress.taken,
            is_behind: false,
            feed,
            running: Running::default(),
            max_scripts: 1,
            predecessor,
            environment,
            records,
            losses: UnreportedLosses::default(),
            reporter: Reporter::new(
                reporter::append,
                Box::new(move |records| told.add(records)),
            ),
            collector: Collector::new(is_batch),
            failed: FailedScripts::new(callbacks.redact),
            name_of: callbacks.name_of,
            gather_until: None,
            published: progress,
            may_await: true,
            awaited: 0,
            wakeup,
            is_batch,
            terminated,
            exhausted: None,
            hg,
            inquiry: Inquiry::default(),
            ask_at: None,
        })
    }

    fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.drain_wakeups();
            self.reap();
            self.collector.drain();
            self.journal_failed(false);
            self.running.enforce_deadlines();
            let ahead = self.look_ahead()?;
            self.run_waiting()?;
            self.settle()?;
            if ahead == Ahead::Nothing {
                self.answer();
            }
            if self.terminated.load(Ordering::Relaxed) {
                return self.give_up();
            }
            let is_at_end = ahead == Ahead::Nothing && self.socket.is_none();
            if is_at_end && self.tell_of_lost_commands() {
                // There will be no more records, even if scripts are still
                // running.
                self.records.finish(Instant::now() + SINKS_BOUND);
                let is_idle = self.running.is_empty()
                    && self.failed.is_empty()
                    && !self.is_behind;
                if is_idle && self.records.is_finished() {
                    self.settle()?;
                    self.finish_journal(JOURNAL_BOUND);
                    return Ok(());
                }
            }
            if ahead != Ahead::More {
                self.wait(ahead == Ahead::Gathering)?;
            }
        }
    }

    /// hg has ended: if its commands have not, appends their events to the
    /// queue. True if there is nothing more to check.
    fn tell_of_lost_commands(&mut self) -> bool {
        self.ask_at = None;
        let queue = &mut self.feed.queue;
        // If it cannot be read, the end is unknown, and must be reported.
        if queue.open_command().is_ok_and(|open| open.is_none()) {
            return true;
        }
        let was_watched = self.hg.is_some();
        let concluded = match self.inquiry.ask(self.hg.as_ref(), was_watched) {
            Verdict::Unknown => {
                self.ask_at = Some(Instant::now() + commandlost::LOOK_AGAIN);
                return false;
            }
            Verdict::Lives => {
                let _ = commandlost::dismiss(queue);
                return true;
            }
            Verdict::Dead(death) => commandlost::conclude(queue, &death),
        };
        if let Err((count, error)) = concluded {
            self.progress().records_lost += count;
            let detail = format!("{}: {error}", commandlost::CANNOT_TELL);
            // Counted first: who dies in between leaves it to others.
            let _ = self.publish();
            self.report(FailureKind::Lost, count, &detail);
        }
        // Usually there is a record to read.
        self.ask_at = Some(Instant::now());
        false
    }

    /// Reads the wakeups; notices when the last hg has closed its end.
    fn drain_wakeups(&mut self) {
        drain(&self.wakeup);
        self.may_await = true;
        if self.socket.as_ref().is_some_and(|socket| !drain(socket)) {
            self.socket = None;
        }
    }

    /// Answers hg, if it waits for records.
    fn answer(&mut self) {
        if std::mem::take(&mut self.may_await) {
            self.awaited = self.feed.queue.awaited();
        }
        let end = self.feed.queue.committed().map_or(u64::MAX, |it| it.end);
        if self.awaited == 0 || self.position < end {
            return;
        }
        let delivery = self.records.hurry();
        if delivery != Delivery::Pending {
            // If it cannot be written, hg waits for as long as it may.
            let _ = self.feed.queue.answer(self.awaited, delivery);
            self.awaited = 0;
        }
    }

    /// On SIGTERM: the records that have come get a moment to arrive; moves
    /// past what will not be run any more, and says so.
    fn give_up(&mut self) -> Result<(), Error> {
        // There will be no more of them, and the next steps take time.
        self.collector.hand_over_all();
        let deadline = Instant::now() + TERMINATED_BOUND;
        if self.socket.is_none() {
            self.tell_of_lost_commands();
        }
        let end = self.feed.queue.committed().map_err(reading)?.end;
        while self.position < end && Instant::now() < deadline {
            self.look_ahead()?;
            self.settle()?;
        }
        self.records.finish(deadline);
        self.settle()?;
        while !self.records.is_finished() {
            self.wait(false)?;
            self.drain_wakeups();
            self.reap();
            self.collector.drain();
            self.running.enforce_deadlines();
            self.settle()?;
        }
        self.move_past_the_rest()?;
        // From now on hg finds no dispatcher and starts another one, though
        // this one may need a while to end. Earlier jobs are only known here.
        if let Some(socket) = self.socket.take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.move_past_the_rest()?;
        self.finish_journal(TERMINATED_BOUND);
        // They continue, but their end will not be seen here.
        let progress = self.progress();
        progress.unseen += progress.running();
        self.publish()
    }
}

/// The process at the other end of hg's socket, if it still exists.
fn process_of_peer(socket: &UnixStream) -> Option<Pidfd> {
    let peer = getsockopt(socket, PeerCredentials).ok()?;
    let process = pidfd::open(Pid::from_raw(peer.pid()))?;
    // Otherwise the number may belong to another process by now.
    drain(socket).then_some(process)
}

fn reading(error: io::Error) -> Error {
    Error::System("read the queue", error)
}
