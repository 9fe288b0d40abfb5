//! The dispatcher process: runs the scripts that hg has put into the queue.
//!
//! One for each hg process. It starts scripts in the order of their events,
//! a bounded number at a time, ends those that exceed their time, hands events
//! to those who run structured sinks, and ends itself when the queue is empty,
//! the last script has ended, the sinks are done and no hg holds the socket.
//! It knows nothing of how hg decides what to run.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::wait::WaitStatus;
use signal_hook::consts::SIGXFSZ;
use uilog_sys::sched;

use crate::event::Event;
use crate::event::Text;
use crate::journal;
use crate::journal::Failure;
use crate::journal::FailureKind;
use crate::journal::Journal;
use crate::journal::unserved;
use crate::queue::Reader;
use crate::records::Records;
use crate::records::Settled;
use crate::running::Running;
use crate::running::Script;
use crate::script::StartError;
use crate::script::explain_exit;
use crate::script::start_script;
use crate::wire::Frame;
use crate::wire::Job;
use crate::wire::PROTOCOL;

/// How long to wait before trying again when the system is exhausted.
const EXHAUSTED_DELAY: Duration = Duration::from_millis(50);
/// How long to go on trying then.
const EXHAUSTED_BOUND: Duration = Duration::from_secs(60);
/// How long structured sinks may go on when there is nothing else to do.
const SINKS_BOUND: Duration = Duration::from_secs(60);
/// How long they may after SIGTERM: whoever shuts down a system waits longer.
const TERMINATED_BOUND: Duration = Duration::from_secs(2);
/// How long those may take, at the end, who append to the journal: a home
/// directory may not answer.
const APPEND_BOUND: Duration = Duration::from_secs(2);
/// Records that are taken and not done with; what is behind them waits.
const MAX_PENDING: usize = 4096;
/// When a record has come, more are waited for so long before sinks get them.
/// Nobody waits for a record, as people may for a script; and hg, which may be
/// about to log more, has both processors for itself, and wakes nobody by that.
const GATHER: Duration = Duration::from_millis(2);

/// Why a dispatcher could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not started by hg.
    #[error(
        "this is started by hg, with a socket as standard input and a queue \
         as standard output; there is no use for it by hand"
    )]
    ByHand,
    /// hg speaks another protocol.
    #[error("hg speaks protocol {0}, this is {PROTOCOL}")]
    Protocol(u16),
    /// The system failed.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::System(what, error.into())
}

/// Runs until there is nothing left to do; `socket` is hg's, `queue` what it
/// writes to, and `records` gets what is for structured sinks.
///
/// # Errors
///
/// It could not begin, or the queue is damaged.
pub fn run(
    socket: OwnedFd,
    queue: OwnedFd,
    records: Box<dyn Records>,
) -> Result<(), Error> {
    // Keep no directory busy: each script gets its own.
    std::env::set_current_dir("/").map_err(system("chdir /"))?;
    let socket = UnixStream::from(socket);
    socket.peer_addr().map_err(|_| Error::ByHand)?;
    let mut queue = Reader::open(queue).map_err(|_| Error::ByHand)?;
    if queue.protocol() != PROTOCOL {
        queue.progress_mut().refused_by = PROTOCOL.into();
        queue.publish().map_err(system("write to the queue"))?;
        return Err(Error::Protocol(queue.protocol()));
    }
    socket
        .set_nonblocking(true)
        .map_err(system("set up the socket"))?;
    // hg wakes us with each event, and must not lose its processor to us.
    let is_batch = sched::enter_batch();
    let mut server = Server::new(socket, queue, records, is_batch)?;
    server.account_for_predecessor();
    server.queue.progress_mut().readers += 1;
    server.publish()?;
    server.remove_note();
    let served = server.serve();
    server.claim_unserved();
    journal::wait_for_appending(APPEND_BOUND);
    served
}

/// The dispatcher's state.
struct Server {
    /// `None` once no hg holds the other end.
    socket: Option<UnixStream>,
    queue: Reader,
    running: Running,
    /// Jobs of a predecessor of which nobody knows whether they ran.
    uncertain: u64,
    /// As the last job says that has been looked at.
    max_scripts: usize,
    environment: Environment,
    records: Box<dyn Records>,
    /// Where in the queue it stands which sinks there are; 0 for nowhere yet.
    items_at: u64,
    /// Jobs among the frames before the one that is looked at next.
    looked_at: u64,
    /// Jobs that a predecessor has taken: their scripts may have run.
    taken_before: u64,
    /// Frames that have been taken, from the oldest record on that is not done
    /// with.
    pending: VecDeque<Taken>,
    /// Until when records are gathered, since the queue was empty.
    gather_until: Option<Instant>,
    /// Becomes readable when a child ends or SIGTERM arrives.
    wakeup: UnixStream,
    terminated: Arc<AtomicBool>,
    /// This process has made itself a batch process; scripts are none.
    is_batch: bool,
    /// Set while the system has no process to give: since when, until when.
    exhausted: Option<Exhausted>,
}

/// hg's environment, as the queue holds it.
#[derive(Default)]
struct Environment {
    at: u64,
    block: Arc<[u8]>,
}

/// A frame that has been taken.
struct Taken {
    /// The position after it.
    end: u64,
    /// Jobs up to here.
    jobs: u64,
    is_record: bool,
}

#[derive(Clone, Copy)]
struct Exhausted {
    since: Instant,
    until: Instant,
}

impl Server {
    fn new(
        socket: UnixStream,
        queue: Reader,
        records: Box<dyn Records>,
        is_batch: bool,
    ) -> Result<Self, Error> {
        let (wakeup, signalled) =
            UnixStream::pair().map_err(system("create a socket"))?;
        wakeup
            .set_nonblocking(true)
            .map_err(system("set up the socket"))?;
        let terminated = Arc::new(AtomicBool::new(false));
        let term = signal_hook::consts::SIGTERM;
        let child = signal_hook::consts::SIGCHLD;
        signal_hook::flag::register(term, Arc::clone(&terminated))
            .map_err(system("handle SIGTERM"))?;
        // A limit on files is an error of whoever writes, then, and not our end.
        let too_large = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGXFSZ, too_large)
            .map_err(system("handle SIGXFSZ"))?;
        for signal in [term, child] {
            let signalled =
                signalled.try_clone().map_err(system("create a socket"))?;
            signal_hook::low_level::pipe::register(signal, signalled)
                .map_err(system("handle signals"))?;
        }
        let progress = queue.progress();
        Ok(Self {
            socket: Some(socket),
            queue,
            running: Running::default(),
            uncertain: 0,
            max_scripts: 1,
            environment: Environment::default(),
            records,
            items_at: 0,
            looked_at: progress.passed,
            taken_before: progress.taken,
            pending: VecDeque::new(),
            gather_until: None,
            wakeup,
            is_batch,
            terminated,
            exhausted: None,
        })
    }

    /// A dispatcher before this one may have died between taking a job and
    /// starting its script: whether the script ran, nobody knows.
    fn account_for_predecessor(&mut self) {
        let progress = self.queue.progress_mut();
        let known = progress.started + progress.not_started;
        self.uncertain = progress.scripts.saturating_sub(known);
        progress.not_started += self.uncertain;
    }

    /// Reports what the predecessor left behind, as soon as a job has told
    /// whose journal to write to.
    fn report_predecessor(&mut self) {
        let uncertain = std::mem::take(&mut self.uncertain);
        if uncertain > 0 {
            let detail = "the dispatcher died while starting its script";
            self.report(b"", "", FailureKind::Lost, uncertain, detail);
        }
    }

    /// Removes the note that hg may have left in case that nobody begins.
    fn remove_note(&self) {
        if let Ok(Some(named)) = self.queue.note() {
            unserved::remove_named(&named);
        }
    }

    /// Tells the journal of events whose dispatchers have never begun.
    fn claim_unserved(&self) {
        let block = &self.environment.block;
        let journal = Journal::for_environment(block);
        if let Some(journal) = journal.filter(|_| !block.is_empty()) {
            journal.claim_unserved();
        }
    }

    fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.drain_wakeups();
            self.reap();
            self.running.enforce_deadlines();
            self.settle()?;
            let is_empty = self.take_frames()?;
            // What has had no room may have it now, and nobody tells twice.
            let has_room = self.settle()?;
            if self.terminated.load(Ordering::Relaxed) {
                return self.give_up();
            }
            let is_idle = is_empty && self.socket.is_none();
            if is_idle && self.running.is_empty() {
                if self.records.is_finished() && self.pending.is_empty() {
                    return Ok(());
                }
                self.records.finish(Instant::now() + SINKS_BOUND);
            }
            if is_empty || !has_room {
                self.wait()?;
            }
        }
    }

    /// Reads what wakes us up; notices when the last hg has gone.
    fn drain_wakeups(&mut self) {
        drain(&self.wakeup);
        if self.socket.as_ref().is_some_and(|socket| !drain(socket)) {
            self.socket = None;
        }
    }

    /// Starts scripts and hands over records until the queue is empty (true)
    /// or no more can be taken.
    fn take_frames(&mut self) -> Result<bool, Error> {
        loop {
            let is_waiting =
                self.exhausted.is_some_and(|it| Instant::now() < it.until);
            let is_full = self.running.len() >= self.max_scripts
                || self.pending.len() >= MAX_PENDING;
            let is_terminated = self.terminated.load(Ordering::Relaxed);
            if is_waiting || is_full || is_terminated {
                return Ok(false);
            }
            let next = self.queue.peek().map_err(system("read the queue"))?;
            let Some((position, bytes)) = next else {
                self.gather_until = None;
                return Ok(true);
            };
            let is_taken = match postcard::from_bytes::<Frame<'_>>(&bytes) {
                Ok(Frame::Environment(_) | Frame::Items(_)) => {
                    self.take_reference(position, bytes.len())?
                }
                Ok(Frame::Job(job)) => {
                    self.max_scripts = job.limits.max_scripts.max(1) as usize;
                    self.running.len() < self.max_scripts
                        && self.run_job(&job, bytes.len())?
                }
                Ok(Frame::Record(_)) if self.begin_gathering() => false,
                Ok(Frame::Record(record)) => {
                    self.load_environment(record.environment_at)?;
                    self.load_items(record.items_at)?;
                    drop(record);
                    self.offer_record(bytes)?
                }
                Err(_) => {
                    // Only a damaged queue gets here; its frames are still
                    // delimited, so the next one may be readable.
                    self.take_script(bytes.len())?;
                    self.queue.progress_mut().not_started += 1;
                    let detail = "unreadable record in the queue";
                    self.report(b"", "", FailureKind::Lost, 1, detail);
                    self.publish()?;
                    true
                }
            };
            if !is_taken {
                return Ok(false);
            }
        }
    }

    /// Takes a frame that later ones refer to: that is loaded when one does.
    /// False if it must wait: records that are not done with may refer to the
    /// one before, which would have to stay until they are.
    fn take_reference(
        &mut self,
        position: u64,
        length: usize,
    ) -> Result<bool, Error> {
        if !self.pending.is_empty() {
            return Ok(false);
        }
        self.queue.pin(position, length);
        let end = self.queue.advance(length);
        self.passed_frame(end, false);
        self.publish()?;
        Ok(true)
    }

    /// Runs a job; false if the system is exhausted and it stays queued.
    fn run_job(&mut self, job: &Job<'_>, length: usize) -> Result<bool, Error> {
        if self.looked_at < self.taken_before {
            // A predecessor has; what is behind it may be a record again.
            self.take(length, false);
            return Ok(true);
        }
        self.load_environment(job.environment_at)?;
        self.report_predecessor();
        self.take_script(length)?;
        match start_script(job, &self.environment.block, self.is_batch, None) {
            Ok(pid) => {
                self.queue.progress_mut().started += 1;
                self.running.add(pid, job);
            }
            Err(error) if self.may_retry(&error) => {
                self.untake_script(length)?;
                return Ok(false);
            }
            Err(error) => {
                self.queue.progress_mut().not_started += 1;
                let Event { name, session, .. } = &job.event;
                let session = session.to_string();
                let kind = FailureKind::NotStarted;
                let detail = error.to_string();
                self.report(name, &session, kind, 1, &detail);
            }
        }
        self.exhausted = None;
        self.queue.release();
        self.publish()?;
        Ok(true)
    }

    /// Notes that a script has been taken, before anything is done about it:
    /// whoever comes after us must not run it a second time.
    fn take_script(&mut self, length: usize) -> Result<(), Error> {
        self.queue.progress_mut().scripts += 1;
        self.take(length, false);
        self.publish()
    }

    /// Moves past a job.
    fn take(&mut self, length: usize, is_record: bool) {
        self.looked_at += 1;
        let taken = self.looked_at;
        let progress = self.queue.progress_mut();
        progress.taken = progress.taken.max(taken);
        let end = self.queue.advance(length);
        self.passed_frame(end, is_record);
    }

    /// Undoes that, at once.
    fn untake_script(&mut self, length: usize) -> Result<(), Error> {
        self.queue.step_back(length);
        self.looked_at -= 1;
        let looked_at = self.looked_at;
        let cursor = self.queue.cursor();
        if self.pending.pop_back().is_none() {
            self.queue.pass(cursor, looked_at);
        }
        let progress = self.queue.progress_mut();
        progress.taken = looked_at;
        progress.scripts -= 1;
        self.publish()
    }

    /// Whether a record that has come is to wait for others.
    fn begin_gathering(&mut self) -> bool {
        let until = Instant::now() + GATHER;
        self.gather_until.get_or_insert(until);
        self.gathering().is_some()
    }

    /// Until when records are gathered, if that is still to come.
    fn gathering(&self) -> Option<Instant> {
        let until = self.gather_until.filter(|_| self.socket.is_some());
        until.filter(|it| Instant::now() < *it)
    }

    /// Hands a record to the sinks; false if they have no room.
    fn offer_record(&mut self, bytes: Vec<u8>) -> Result<bool, Error> {
        let length = bytes.len();
        let frame = Arc::from(bytes);
        if !self.records.offer(&frame, &self.environment.block) {
            return Ok(false);
        }
        self.report_predecessor();
        self.take(length, true);
        Ok(true)
    }

    /// Notes that a frame has been taken that ends at `end`. It is done with,
    /// unless it is a record or stands behind one that is not.
    fn passed_frame(&mut self, end: u64, is_record: bool) {
        let jobs = self.looked_at;
        if is_record || !self.pending.is_empty() {
            self.pending.push_back(Taken {
                end,
                jobs,
                is_record,
            });
        } else {
            self.queue.pass(end, jobs);
        }
    }

    /// Notes what has become of records; whether anything has.
    fn settle(&mut self) -> Result<bool, Error> {
        let Settled { done, losses } = self.records.settle();
        if done == 0 && losses.is_empty() {
            return Ok(false);
        }
        let mut left = done;
        while let Some(taken) = self.pending.front() {
            if taken.is_record && left == 0 {
                break;
            }
            left -= u64::from(taken.is_record);
            let Taken { end, jobs, .. } = *taken;
            self.pending.pop_front();
            self.queue.pass(end, jobs);
        }
        self.queue.progress_mut().records += done;
        for loss in losses {
            self.queue.progress_mut().records_lost += loss.count;
            let detail = format!("uilog.sink.{}: {}", loss.sink, loss.reason);
            let kind = if loss.count > 0 {
                FailureKind::Lost
            } else {
                FailureKind::Sink
            };
            self.report(b"", "", kind, loss.count, &detail);
        }
        self.queue.release();
        self.publish()?;
        Ok(true)
    }

    /// Whether an error will pass; then nothing is started for a while.
    fn may_retry(&mut self, error: &StartError) -> bool {
        let now = Instant::now();
        let since = self.exhausted.map_or(now, |it| it.since);
        let is_passing = error.is_exhausted() && now < since + EXHAUSTED_BOUND;
        if is_passing {
            let until = now + EXHAUSTED_DELAY;
            self.exhausted = Some(Exhausted { since, until });
        }
        is_passing
    }

    /// Reads the environment that a job names, if it is not the last one.
    fn load_environment(&mut self, at: u64) -> Result<(), Error> {
        if self.environment.at == at {
            return Ok(());
        }
        let bytes =
            self.queue.frame_at(at).map_err(system("read the queue"))?;
        if let Ok(Frame::Environment(block)) = postcard::from_bytes(&bytes) {
            let block = Arc::from(&*block.0);
            let before = std::mem::replace(
                &mut self.environment,
                Environment { at, block },
            );
            self.queue.unpin(before.at);
            self.queue.pin(at, bytes.len());
        }
        Ok(())
    }

    /// Reads which sinks there are, if that is not what the last record said.
    fn load_items(&mut self, at: u64) -> Result<(), Error> {
        if self.items_at == at {
            return Ok(());
        }
        let bytes =
            self.queue.frame_at(at).map_err(system("read the queue"))?;
        if let Ok(Frame::Items(items)) = postcard::from_bytes(&bytes) {
            let owned = |text: Text<'_>| text.0.into_owned();
            let items: Vec<_> = items
                .into_iter()
                .map(|(name, value)| (owned(name), owned(value)))
                .collect();
            self.records.configure(&items, &self.environment.block);
            self.queue.unpin(std::mem::replace(&mut self.items_at, at));
            self.queue.pin(at, bytes.len());
        }
        Ok(())
    }

    fn publish(&self) -> Result<(), Error> {
        self.queue.publish().map_err(system("write to the queue"))
    }

    /// Reaps every script that has ended.
    fn reap(&mut self) {
        while let Some((script, status)) = self.running.reap() {
            self.account(&script, status);
        }
    }

    fn account(&mut self, script: &Script, status: WaitStatus) {
        let progress = self.queue.progress_mut();
        let (kind, detail) = match status {
            WaitStatus::Exited(_, 0) if !script.is_ending => {
                progress.succeeded += 1;
                (None, String::new())
            }
            _ if script.is_ending => {
                progress.timed_out += 1;
                let detail = "its time was over (uilog.script-timeout)";
                (Some(FailureKind::TimedOut), detail.to_owned())
            }
            WaitStatus::Exited(_, code) => {
                progress.failed += 1;
                (Some(FailureKind::Failed), explain_exit(code))
            }
            WaitStatus::Signaled(_, signal, _) => {
                progress.failed += 1;
                (Some(FailureKind::Failed), format!("killed by {signal}"))
            }
            _ => return,
        };
        if let Some(kind) = kind {
            self.report(&script.event, &script.session, kind, 0, &detail);
        }
        // Only counters: if they cannot be shown, the scripts still run.
        let _ = self.queue.publish();
    }

    fn wait(&self) -> Result<(), Error> {
        let mut wanted =
            vec![PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN)];
        let gathering = self.gathering();
        if gathering.is_none() {
            if let Some(socket) = &self.socket {
                wanted.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            }
            if let Some(records) = self.records.wakeup() {
                wanted.push(PollFd::new(records, PollFlags::POLLIN));
            }
        }
        let deadline = self.running.next_deadline();
        let retry = self.exhausted.map(|it| it.until);
        let records = self.records.deadline();
        let all = [deadline, retry, records, gathering];
        let timeout = match all.into_iter().flatten().min() {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Up to the next millisecond, or it would spin in the last.
                let left = left + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        match nix::poll::poll(&mut wanted, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::System("wait", errno.into())),
        }
    }

    /// On SIGTERM: what has been handed over gets a moment to arrive; moves
    /// past what will not be run any more, and says so.
    fn give_up(&mut self) -> Result<(), Error> {
        self.records.finish(Instant::now() + TERMINATED_BOUND);
        while !self.records.is_finished() {
            self.wait()?;
            self.drain_wakeups();
            self.settle()?;
        }
        self.settle()?;
        let committed =
            self.queue.committed().map_err(system("read the queue"))?;
        self.pending.clear();
        self.queue.pass(committed.end, committed.jobs);
        let progress = self.queue.progress_mut();
        let left = committed.jobs.saturating_sub(progress.taken);
        progress.taken += left;
        progress.not_started += left;
        self.publish()?;
        if left > 0 {
            let detail = "the dispatcher was ended by SIGTERM";
            self.report(b"", "", FailureKind::Lost, left, detail);
        }
        Ok(())
    }

    /// Tells hg, and whoever asks later.
    fn report(
        &self,
        event: &[u8],
        session: &str,
        kind: FailureKind,
        lost: u64,
        detail: &str,
    ) {
        let name = String::from_utf8_lossy(event);
        let subject = if name.is_empty() {
            String::new()
        } else {
            format!("{name}: ")
        };
        // Where neither place can be written there is nobody left to tell.
        let _ = self.queue.publish_failure(&format!("{subject}{detail}"));
        let journal = Journal::for_environment(&self.environment.block);
        if let Some(journal) = journal {
            let session = session.to_owned();
            let detail = detail.to_owned();
            let failure = Failure::now(session, event, kind, lost, detail);
            let _ = journal.append_patiently(&failure);
        }
    }
}

/// Empties a non-blocking socket; false if its other end is closed.
fn drain(mut socket: &UnixStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match io::Read::read(&mut socket, &mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
