//! All structured sinks of a dispatcher, as its loop sees them.
//!
//! Each has a thread (`worker`). Here it is only kept account of: who has room,
//! who is done with what, who has been given up. Nothing here blocks.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_core::records::Items;
use uilog_core::records::RecordLoss;
use uilog_core::records::Records;
use uilog_core::records::Settled;
use uilog_core::sinks;
use uilog_core::sinks::Definition;
use uilog_core::tracked::Tracked;
use uilog_core::wire::Frame;

use crate::globals::Globals;
use crate::outlet::Outlet;
use crate::worker;
use crate::worker::Mailbox;
use crate::worker::News;
use crate::worker::Parcel;

/// How long a sink that has no room may hold up the others.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How much later than it should a sink may end before it is given up.
const GRACE: Duration = Duration::from_secs(1);
/// Losses are told no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Variables of hg's environment that differ from command to command, and that
/// no sink depends on. Any other may stand in a path, or name a proxy.
const PASSING: [&[u8]; 6] = [
    b"TRACEPARENT=",
    b"UILOG_",
    b"PWD=",
    b"OLDPWD=",
    b"SHLVL=",
    b"_=",
];

/// Opens the outlet of a sink.
pub type Open = fn(&Definition, &Globals) -> Result<Box<dyn Outlet>, String>;

/// All structured sinks of a dispatcher.
#[derive(Debug)]
pub struct Fleet {
    open: Open,
    /// What is rung when a sink has news, and what hears it.
    bell: Option<(Arc<UnixStream>, UnixStream)>,
    configured: Configured,
    sinks: Vec<Sink>,
    /// Records offered and settled so far.
    offered: u64,
    settled: u64,
    /// When what is left must be done.
    deadline: Option<Instant>,
}

/// By which it is known whether sinks must be opened anew.
#[derive(Debug, Default, PartialEq, Eq)]
struct Configured {
    items: Vec<(Vec<u8>, Vec<u8>)>,
    variables: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Sink {
    name: String,
    state: SinkState,
    /// Gets nothing new: the configuration has changed.
    is_retired: bool,
    losses: Vec<RecordLoss>,
    told_at: Option<Instant>,
}

#[derive(Debug)]
enum SinkState {
    Running(Running),
    /// It could not be opened, or its thread has ended before its time.
    Broken {
        tracked: Tracked,
        reason: String,
    },
    Ended,
}

#[derive(Debug)]
struct Running {
    mailbox: Arc<Mailbox>,
    tracked: Tracked,
    /// The numbers of the records that it has and is not done with.
    pending: VecDeque<u64>,
    /// It has got some that its thread has not been told of.
    has_news: bool,
    /// Since when it has had no room and done nothing.
    full_since: Option<Instant>,
}

impl Fleet {
    /// None yet; `open` opens those that there will be.
    pub fn new(open: Open) -> Self {
        Self {
            open,
            bell: None,
            configured: Configured::default(),
            sinks: Vec::new(),
            offered: 0,
            settled: 0,
            deadline: None,
        }
    }

    fn bell(&mut self) -> io::Result<Arc<UnixStream>> {
        if self.bell.is_none() {
            let (ringer, listener) = UnixStream::pair()?;
            ringer.set_nonblocking(true)?;
            listener.set_nonblocking(true)?;
            self.bell = Some((Arc::new(ringer), listener));
        }
        match &self.bell {
            Some((ringer, _)) => Ok(Arc::clone(ringer)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn start(
        &mut self,
        definition: Definition,
        globals: &Arc<Globals>,
    ) -> Sink {
        let tracked = definition.tracked();
        let name = definition.name.clone();
        let state = match self.run(definition, globals) {
            Ok(mailbox) => SinkState::Running(Running {
                mailbox,
                tracked,
                pending: VecDeque::new(),
                has_news: false,
                full_since: None,
            }),
            Err(error) => SinkState::Broken {
                tracked,
                reason: format!("cannot start a thread: {error}"),
            },
        };
        Sink {
            name,
            state,
            is_retired: false,
            losses: Vec::new(),
            told_at: None,
        }
    }

    fn run(
        &mut self,
        definition: Definition,
        globals: &Arc<Globals>,
    ) -> io::Result<Arc<Mailbox>> {
        let mailbox = Arc::new(Mailbox::new(self.bell()?));
        worker::start(
            definition,
            Arc::clone(globals),
            Arc::clone(&mailbox),
            self.open,
        )?;
        Ok(mailbox)
    }
}

impl Records for Fleet {
    fn configure(&mut self, items: &Items, environment: &Arc<[u8]>) {
        let configured = Configured {
            items: items.to_vec(),
            variables: relevant(environment),
        };
        if configured == self.configured {
            return;
        }
        self.configured = configured;
        let deadline = Instant::now() + STUCK_AFTER;
        for sink in &mut self.sinks {
            sink.is_retired = true;
            if let SinkState::Running(running) = &sink.state {
                running.mailbox.finish(deadline);
            }
        }
        let globals = Arc::new(Globals::new(items, environment));
        let named = items.iter().map(|(name, value)| (&**name, &**value));
        let (definitions, _) = sinks::read(named);
        for definition in definitions {
            let sink = self.start(definition, &globals);
            self.sinks.push(sink);
        }
    }

    fn offer(&mut self, frame: &Arc<[u8]>, environment: &Arc<[u8]>) -> bool {
        let now = Instant::now();
        let mut current = self.sinks.iter_mut().filter(|it| !it.is_retired);
        if current.any(|sink| sink.holds_up(now)) {
            return false;
        }
        self.offered += 1;
        let number = self.offered;
        let event = match postcard::from_bytes(frame) {
            Ok(Frame::Record(record)) => record.event.name.into_owned(),
            _ => Vec::new(),
        };
        for sink in self.sinks.iter_mut().filter(|it| !it.is_retired) {
            sink.take(
                number,
                &event,
                &Parcel {
                    frame: Arc::clone(frame),
                    environment: Arc::clone(environment),
                },
            );
        }
        true
    }

    fn settle(&mut self) -> Settled {
        if let Some((_, listener)) = &mut self.bell {
            let mut bytes = [0; 512];
            while matches!(listener.read(&mut bytes), Ok(1..)) {}
        }
        let now = Instant::now();
        let is_over = self.deadline.is_some_and(|it| now > it + GRACE);
        let mut losses = Vec::new();
        for sink in &mut self.sinks {
            sink.announce();
            sink.hear();
            if is_over {
                sink.give_up();
            }
            losses.extend(sink.tell(now, self.deadline.is_some()));
        }
        self.sinks.retain(|sink| !sink.is_gone());
        let oldest = self.sinks.iter().filter_map(|it| it.oldest(now)).min();
        let settled = oldest.map_or(self.offered, |oldest| oldest - 1);
        // One that was stuck may have come back with an old one.
        let settled = settled.max(self.settled);
        let done = settled - std::mem::replace(&mut self.settled, settled);
        Settled { done, losses }
    }

    fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        let (_, listener) = self.bell.as_ref()?;
        Some(listener.as_fd())
    }

    fn deadline(&self) -> Option<Instant> {
        let stuck = self.sinks.iter().filter_map(|sink| match &sink.state {
            SinkState::Running(it) => it.full_since,
            _ => None,
        });
        let now = Instant::now();
        let stuck = stuck.map(|since| since + STUCK_AFTER);
        let over = self.deadline.map(|it| it + GRACE);
        stuck.filter(|at| *at > now).chain(over).min()
    }

    fn finish(&mut self, deadline: Instant) {
        let before = self.deadline.unwrap_or(deadline);
        self.deadline = Some(before.min(deadline));
        for sink in &self.sinks {
            if let SinkState::Running(running) = &sink.state {
                running.mailbox.finish(deadline);
            }
        }
    }

    fn is_finished(&self) -> bool {
        let is_running =
            |sink: &Sink| matches!(sink.state, SinkState::Running(_));
        !self.sinks.iter().any(is_running)
    }
}

impl Sink {
    /// Whether the others have to wait until it has room, which is not for
    /// long.
    fn holds_up(&mut self, now: Instant) -> bool {
        let SinkState::Running(running) = &mut self.state else {
            return false;
        };
        if running.mailbox.has_room() {
            running.full_since = None;
            return false;
        }
        let since = *running.full_since.get_or_insert(now);
        now < since + STUCK_AFTER
    }

    /// Takes a record, or counts it as lost.
    fn take(&mut self, number: u64, event: &[u8], parcel: &Parcel) {
        let tracked = match &self.state {
            SinkState::Running(running) => &running.tracked,
            SinkState::Broken { tracked, .. } => tracked,
            SinkState::Ended => return,
        };
        if !tracked.contains(event) {
            return;
        }
        match &mut self.state {
            SinkState::Running(it) if it.full_since.is_none() => {
                it.pending.push_back(number);
                it.mailbox.put(parcel.clone());
                it.has_news = true;
            }
            SinkState::Running(_) => {
                let seconds = STUCK_AFTER.as_secs();
                self.lose(1, &format!("it has been stuck for {seconds} s"));
            }
            SinkState::Broken { reason, .. } => {
                let reason = reason.clone();
                self.lose(1, &reason);
            }
            SinkState::Ended => {}
        }
    }

    fn lose(&mut self, count: u64, reason: &str) {
        match self.losses.iter_mut().find(|it| it.reason == reason) {
            Some(loss) => loss.count += count,
            None => self.losses.push(RecordLoss {
                sink: self.name.clone(),
                count,
                reason: reason.to_owned(),
            }),
        }
    }

    /// Tells its thread what it has got.
    fn announce(&mut self) {
        if let SinkState::Running(running) = &mut self.state {
            if std::mem::take(&mut running.has_news) {
                running.mailbox.announce();
            }
        }
    }

    /// Hears what its thread has done.
    fn hear(&mut self) {
        let SinkState::Running(running) = &mut self.state else {
            return;
        };
        let News {
            done,
            losses,
            has_ended,
        } = running.mailbox.news();
        if done > 0 {
            let count = usize::try_from(done).unwrap_or(usize::MAX);
            let count = count.min(running.pending.len());
            running.pending.drain(..count);
            running.full_since = None;
        }
        let reason = losses.last().map(|loss| loss.reason.clone());
        for loss in losses {
            self.lose(loss.count, &loss.reason);
        }
        if has_ended {
            let before = std::mem::replace(&mut self.state, SinkState::Ended);
            // What it was given after it had looked for the last time.
            if let SinkState::Running(it) = &before
                && !it.pending.is_empty()
            {
                let why = reason.as_deref().unwrap_or("its thread has ended");
                self.lose(it.pending.len() as u64, why);
            }
            // Before its time: what comes now is lost for the same reason.
            if let (SinkState::Running(it), Some(reason), false) =
                (before, reason, self.is_retired)
            {
                let tracked = it.tracked;
                self.state = SinkState::Broken { tracked, reason };
            }
        }
    }

    /// Its time is over: what it has not done is lost.
    fn give_up(&mut self) {
        if let SinkState::Running(running) = &self.state {
            let count = running.pending.len() as u64;
            self.lose(count, "it did not end in time");
            self.state = SinkState::Ended;
        }
    }

    /// What is to be told of losses now.
    fn tell(&mut self, now: Instant, is_last: bool) -> Vec<RecordLoss> {
        let is_early = self.told_at.is_some_and(|at| now < at + TELL_EVERY);
        if self.losses.is_empty() || is_early && !is_last && !self.is_retired {
            return Vec::new();
        }
        self.told_at = Some(now);
        std::mem::take(&mut self.losses)
    }

    /// The oldest record that it is not done with, unless it is stuck.
    fn oldest(&self, now: Instant) -> Option<u64> {
        let SinkState::Running(running) = &self.state else {
            return None;
        };
        let is_stuck = |since: Instant| now >= since + STUCK_AFTER;
        let is_stuck = running.full_since.is_some_and(is_stuck);
        running.pending.front().filter(|_| !is_stuck).copied()
    }

    /// Whether nothing is to be heard of it any more.
    fn is_gone(&self) -> bool {
        let has_ended = match &self.state {
            SinkState::Running(_) => false,
            SinkState::Broken { .. } => self.is_retired,
            SinkState::Ended => true,
        };
        has_ended && self.losses.is_empty()
    }
}

/// What of an environment sinks may depend on.
fn relevant(environment: &[u8]) -> Vec<Vec<u8>> {
    let is_relevant = |entry: &&[u8]| {
        !PASSING.iter().any(|passing| entry.starts_with(passing))
    };
    let entries = environment.split(|byte| *byte == 0).filter(is_relevant);
    entries.map(<[u8]>::to_vec).collect()
}
