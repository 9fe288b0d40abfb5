//! What a process keeps for all its events: the session, the running spans, the
//! connections to the dispatcher and the agent, and the counts of losses.
//!
//! It fills in an event, and sends what a sink wants done about it. Must not
//! know which sinks a ui has, or Python. Nothing here blocks.

mod commands;
mod ending;
mod losses;
mod sending;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Instant;

use uilog_channel::journal::Journal;
use uilog_channel::settings::Settings;
use uilog_channel::wire::Program;
use uilog_channel::wire::Repository;
use uilog_event::event::EventOption;
use uilog_event::event::SessionId;
use uilog_event::event::Timestamp;
use uilog_event::event::new_session;
use uilog_event::rusage;
use uilog_event::spans::Spans;

use crate::account::Counters;
use crate::before_exit::NamespaceRole;
use crate::before_exit::WaitLimit;
use crate::dispatcher::Dispatcher;
use crate::dispatcher::Owner;
use crate::facts::Facts;
use crate::installation::Programs;
use crate::record_queue::RecordQueue;

/// How deep events may be logged while one is being logged.
const MAX_DEPTH: u32 = 4;

/// The result of the events that the dispatcher got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every script has been started, and every sink has delivered or spooled
    /// its record.
    Taken,
    /// Some were lost, the last one for this reason. The journal has it.
    Lost(String),
    /// It is not known yet.
    Open,
}

/// An event as passed in by the caller.
#[derive(Debug)]
pub struct Draft<'a> {
    /// The event's name.
    pub name: &'a [u8],
    /// The formatted message.
    pub message: Cow<'a, [u8]>,
    /// The keyword arguments.
    pub options: Vec<EventOption<'a>>,
    /// hg's executable.
    pub hg: &'a [u8],
    /// The root of the repository that the ui belongs to, if any.
    pub root: Option<&'a [u8]>,
    /// When it was, if that is not now.
    pub time: Option<Timestamp>,
    /// The process that it is about, if that is not this one.
    pub pid: Option<u32>,
}

/// The state of a process for all its events.
#[derive(Debug)]
pub struct Host {
    /// The process that all this belongs to.
    owner: u32,
    /// It was made by a fork of another one that had all this.
    is_forked: bool,
    standing: NamespaceRole,
    /// How long it waits at its end.
    wanted_wait: WaitLimit,
    /// Something was logged for a collector.
    has_collector: bool,
    session: SessionId,
    parent: Option<SessionId>,
    seq: u64,
    /// hg's environment at the last event, as a block.
    environment: Vec<u8>,
    facts: Facts,
    dispatcher: Dispatcher,
    records: RecordQueue,
    umask: Option<u32>,
    /// The commands and hooks that run.
    spans: Spans,
    /// The phases that may take long, the innermost last.
    phases: Vec<Vec<u8>>,
    /// How many commands of this session have got a span.
    begun: u64,
    /// A command of this session has begun.
    has_begun: bool,
    /// How many of them have been noted.
    noted: u64,
    /// The first command is the one that `uilog run` has started.
    is_adopted: bool,
    /// Mercurial's version.
    hg_version: Option<Vec<u8>>,
    /// The program that events are about, if that is not hg's executable.
    program: Option<Program<'static>>,
    /// The root of the last repository that hg has set, and the facts about it.
    repository: (Vec<u8>, Repository<'static>),
    counters: Counters,
    /// Why deliveries were lost, and how many for each of these reasons.
    causes: Vec<(String, u64)>,
    recent: VecDeque<String>,
    unseen: usize,
    /// How many failures of the dispatcher have been shown.
    seen_failures: u64,
    /// The number of losses in the journal, and the time of the last report.
    journaled: u64,
    journaled_at: Option<Instant>,
    /// Why the last of the others were lost.
    unreported_reason: String,
}

impl Host {
    /// `programs` are those of this installation.
    pub fn new(programs: impl Into<Programs>) -> Self {
        rusage::begin();
        Self {
            owner: std::process::id(),
            is_forked: false,
            standing: NamespaceRole::now(),
            wanted_wait: WaitLimit::default(),
            has_collector: false,
            session: new_session(),
            parent: None,
            seq: 0,
            environment: Vec::new(),
            facts: Facts::default(),
            dispatcher: Dispatcher::new(programs),
            records: RecordQueue::default(),
            umask: None,
            spans: Spans::default(),
            phases: Vec::new(),
            begun: 0,
            has_begun: false,
            noted: 0,
            is_adopted: false,
            hg_version: None,
            program: None,
            repository: Default::default(),
            counters: Counters::default(),
            causes: Vec::new(),
            recent: VecDeque::new(),
            unseen: 0,
            seen_failures: 0,
            journaled: 0,
            journaled_at: None,
            unreported_reason: String::new(),
        }
    }

    /// Sets hg's environment to `environment`, a block of `NAME=value`, each
    /// followed by NUL.
    ///
    /// In a forked child this begins a new session.
    pub fn enter(&mut self, environment: &mut Vec<u8>) {
        if self.owner != std::process::id() {
            let parent = (self.seq > 0).then_some(self.session);
            let programs = self.dispatcher.programs().clone();
            let umask = self.umask;
            let spans = std::mem::take(&mut self.spans);
            let hg_version = self.hg_version.take();
            let about = self.program.take();
            let repository = std::mem::take(&mut self.repository);
            *self = Self::new(programs);
            self.is_forked = true;
            self.parent = parent;
            self.umask = umask;
            self.spans = spans;
            self.hg_version = hg_version;
            self.program = about;
            self.repository = repository;
        }
        if self.environment != *environment {
            std::mem::swap(&mut self.environment, environment);
            self.facts.update(&self.environment);
        }
        let around = self.facts.parent.filter(|it| *it != self.session);
        self.parent = self.parent.or(around);
    }

    /// Notes that this process was forked to run a command for a client whose
    /// environment it has, as with chg: the parent session is the client's, and
    /// not that of the process that has forked it.
    pub fn belong_to_client(&mut self) {
        if !self.is_adopted {
            let around = self.facts.parent;
            self.parent = around.filter(|it| *it != self.session);
        }
    }

    /// Notes that this process was forked by the owner of all this, and
    /// continues its work: in the same session.
    pub fn take_over(&mut self) {
        self.owner = std::process::id();
        self.spans.take_over();
    }

    /// Continues a session that another process has begun, within `parent`;
    /// events up to the number `used` may belong to that process.
    pub fn adopt(
        &mut self,
        session: SessionId,
        parent: Option<SessionId>,
        used: u64,
    ) {
        self.session = session;
        self.parent = parent;
        self.seq = self.seq.max(used);
        self.noted = self.noted.max(used);
        self.is_adopted = true;
    }

    /// Notes that hg has changed its umask.
    pub fn set_umask(&mut self, umask: u32) {
        self.umask = Some(umask);
    }

    /// Whether this process is the one that all this belongs to, and not a
    /// forked child that has not called [`Self::enter`] yet.
    pub fn is_own(&self) -> bool {
        self.owner == uilog_sys::fork::process_id()
    }

    /// Starts the dispatcher if none runs, for an event that will come.
    pub(crate) fn prepare_dispatcher(&mut self, settings: &Settings) {
        let owner = Owner {
            environment: &self.environment,
            session: self.session,
        };
        self.dispatcher.prepare(settings, owner);
    }

    /// Starts the dispatcher if none runs, and waits until it serves its queue.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub(crate) fn probe_dispatcher(
        &mut self,
        settings: &Settings,
    ) -> Result<(), String> {
        let owner = Owner {
            environment: &self.environment,
            session: self.session,
        };
        self.dispatcher.probe(settings, Some(owner))
    }

    /// This process's session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The enclosing session.
    pub fn parent(&self) -> Option<SessionId> {
        self.parent
    }

    /// The dispatcher, as this process sees it.
    pub fn dispatcher(&mut self) -> &mut Dispatcher {
        &mut self.dispatcher
    }

    /// The queue to the user's agent, as this process sees it.
    pub fn records(&self) -> &RecordQueue {
        &self.records
    }

    /// The journal of this user.
    pub fn journal(&self) -> Option<Journal> {
        Journal::for_environment(&self.environment)
    }

    /// Notes that records will follow: the dispatcher must not be the one for
    /// scripts only.
    pub(crate) fn expect_records(&mut self) {
        self.dispatcher.expect_records();
    }
}

/// Guards against events logged while logging, without end.
///
/// An event that is logged while another one is being logged is delivered
/// too, but only so deep.
#[derive(Debug)]
pub struct RecursionGuard(());

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

impl RecursionGuard {
    /// Increases the depth until dropped; `None` if that is too deep.
    pub fn enter() -> Option<Self> {
        DEPTH.with(|depth| {
            let now = depth.get();
            (now < MAX_DEPTH).then(|| {
                depth.set(now + 1);
                Self(())
            })
        })
    }
}

impl Drop for RecursionGuard {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
