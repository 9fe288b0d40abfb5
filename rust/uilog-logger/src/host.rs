//! What a process keeps for all its events: the session, the spans that run,
//! the ways to the dispatcher and to the agent, and the account of what was
//! lost.
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

/// What has become of the events that the dispatcher was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every script has been started, and every sink has taken its record or
    /// keeps it in a spool.
    Taken,
    /// Some have been lost, the last one for this reason. The journal has been
    /// told.
    Lost(String),
    /// It is not known yet.
    Open,
}

/// An event as the caller gives it.
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

/// What a process keeps for all its events.
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
    /// What they do at the moment that may take long, the innermost last.
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
    /// The root of the repository that hg has told of last, and what it knows.
    repository: (Vec<u8>, Repository<'static>),
    counters: Counters,
    /// Why deliveries were lost, and how many for each of these reasons.
    causes: Vec<(String, u64)>,
    recent: VecDeque<String>,
    unseen: usize,
    /// How many failures of the dispatcher have been shown.
    seen_failures: u64,
    /// Losses that the journal has been told of, and when.
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

    /// Tells that hg's environment is now `environment`, a block of
    /// `NAME=value`, each followed by NUL.
    ///
    /// In a forked child this begins a session of the child's own.
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

    /// Tells that this process was forked to run a command for somebody whose
    /// environment it has got, as chg's are: the session around it is that
    /// somebody's, and not the one of the process that has forked it.
    pub fn belong_to_client(&mut self) {
        if !self.is_adopted {
            let around = self.facts.parent;
            self.parent = around.filter(|it| *it != self.session);
        }
    }

    /// Tells that this process has been forked by the one that all this
    /// belonged to, and does its work from now on: the same session goes on.
    pub fn take_over(&mut self) {
        self.owner = std::process::id();
        self.spans.take_over();
    }

    /// Goes on with a session that somebody else has begun, within `parent`;
    /// the events up to the number `used` may be somebody else's.
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

    /// Tells that hg has changed its umask.
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

    /// The session around this one.
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

    /// Tells that records will come: the dispatcher is not to be one for
    /// scripts alone.
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
    /// Goes one deeper until dropped; `None` if that is too deep.
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
