//! What a process keeps for all its events: the session, the running spans, the
//! connections to the dispatcher and the agent, and the counts of losses.
//!
//! It fills in an event, and sends what a sink wants done about it. Must not
//! know which sinks a ui has, or Python. Nothing here blocks.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::commandlost;
use uilog_channel::frames::JobParts;
use uilog_channel::frames::Moment;
use uilog_channel::frames::Script;
use uilog_channel::frames::Task;
use uilog_channel::journal;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_channel::loss::Loss;
use uilog_channel::phase::Phase;
use uilog_channel::queue::Delivery;
use uilog_channel::settings::Settings;
use uilog_channel::wire::Program;
use uilog_channel::wire::Repository;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SCHEMA;
use uilog_event::event::SessionId;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Trace;
use uilog_event::event::Value;
use uilog_event::event::new_session;
use uilog_event::rusage;
use uilog_event::rusage::Used;
use uilog_event::spans::Activity;
use uilog_event::spans::ParentContext;
use uilog_event::spans::Spans;
use uilog_event::trace::Context;
use uilog_sys::clock;

use crate::account::Counters;
use crate::account::FaultKind;
use crate::before_exit::ExitWait;
use crate::before_exit::NamespaceRole;
use crate::before_exit::WaitLimit;
use crate::dispatcher::Dispatcher;
use crate::dispatcher::Owner;
use crate::facts::Facts;
use crate::installation::Programs;
use crate::record_queue::NotQueued;
use crate::record_queue::RecordQueue;
use crate::sinks::records::StructuredSinks;

/// Maximum nesting depth of scripts: a script that runs hg, whose events run
/// the script, would never end.
const MAX_NESTING: u32 = 5;

/// Maximum number of recent problems.
const MAX_RECENT: usize = 16;

/// Maximum number of different causes of losses.
const MAX_CAUSES: usize = 16;
/// What all others are called.
const OTHER_CAUSES: &str = "other causes";

/// The journal gets at most one line in this time, unless the number of lost
/// events doubles.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);

/// When hg ends, children that append to the journal have so long. They need a
/// hundredth of it, unless the home directory does not answer; then they
/// continue alone.
const APPEND_GRACE: Duration = Duration::from_millis(200);
/// The same where hg is the first process of its namespace: with it all end.
const FIRST_PROCESS_GRACE: Duration = Duration::from_secs(1);

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

    /// Notes that a command will run within this thread's current one, up to
    /// [`Self::leave_command`].
    pub fn enter_command(&mut self, is_served: bool) {
        self.spans.enter(is_served);
    }

    /// Notes that the command that was entered last has ended, in whatever way.
    pub fn leave_command(&mut self) {
        let noted = self.spans.leave();
        self.end_noted(noted);
    }

    /// Notes that a command begins, and its repository: events of a ui without
    /// one, such as the command's end, belong there.
    pub fn begin_command(&mut self, root: Option<&[u8]>) {
        (self.repository.1.head, self.repository.1.revision) = (None, None);
        // What hg has used before its first command, it has used for that.
        let used = match self.has_begun {
            true => rusage::used(),
            false => Used::NOTHING,
        };
        self.has_begun = true;
        self.spans.begin_command(root, used);
    }

    /// Begins the span of this thread's innermost command, which lasts until
    /// [`Self::end_command`]; `None` if it has one. A command that has ended
    /// gets another span only if it `is_new`.
    ///
    /// `owns_environment` says that the caller puts the span into
    /// `TRACEPARENT`, which other threads leave alone.
    pub fn begin_span(
        &mut self,
        owns_environment: bool,
        is_new: bool,
    ) -> Option<Trace> {
        if !self.spans.needs_span(is_new) {
            return None;
        }
        let is_first = self.begun == 0;
        self.begun += 1;
        let adopted = (is_first && self.is_adopted)
            .then(|| self.facts.said().adopted())
            .flatten();
        // What hg has used before its first command, it has used for that.
        let used = match is_first {
            true => Used::NOTHING,
            false => rusage::used(),
        };
        let around = self.surroundings(owns_environment);
        let trace = adopted.unwrap_or_else(|| self.new_trace(around, is_first));
        self.spans.begin(Activity::Command, trace, used, around);
        Some(trace)
    }

    /// Begins the span of a hook, which lasts until [`Self::end_hook`].
    pub fn begin_hook(
        &mut self,
        kind: Activity,
        owns_environment: bool,
    ) -> Trace {
        let around = self.surroundings(owns_environment);
        let trace = self.new_trace(around, false);
        self.spans.begin(kind, trace, Used::NOTHING, around);
        trace
    }

    /// The command begins something that may take long. It is stored in the
    /// queue of records, if there is one.
    pub fn begin_phase(&mut self, phase: &Phase<'_>) {
        self.phases.push(phase.to_bytes());
        self.publish_phase();
    }

    /// The last phase is over.
    pub fn end_phase(&mut self) {
        self.phases.pop();
        self.publish_phase();
    }

    fn publish_phase(&mut self) {
        let phase = self.phases.last().map_or(&[][..], |it| it);
        self.records.set_phase(phase);
    }

    /// Ends the span of this thread's innermost hook, and open spans within it.
    pub fn end_hook(&mut self) {
        let noted = self.spans.leave_hook();
        self.end_noted(noted);
    }

    /// Ends the span of this thread's innermost command.
    pub fn end_command(&mut self) {
        let noted = self.spans.end_command();
        self.end_noted(noted);
    }

    /// These commands have ended, so they must not be reported as killed.
    fn end_noted(&mut self, noted: impl IntoIterator<Item = u64>) {
        for id in noted {
            self.records.end_command(id);
            self.dispatcher.end_command(id);
        }
    }

    /// Notes that this process is about to execute another program, or that it
    /// could not: then it was not killed.
    pub fn become_another(&mut self, is_about_to: bool) {
        if self.is_own() {
            self.records.hide_commands(is_about_to);
            self.dispatcher.hide_commands(is_about_to);
        }
    }

    /// What programs that this thread starts now are a part of, where there
    /// is a span.
    pub fn context(&self) -> Option<Context> {
        self.spans.current().map(|span| span.trace.context())
    }

    fn surroundings(&self, owns_environment: bool) -> ParentContext {
        ParentContext {
            environment: self.facts.around,
            owns_environment,
        }
    }

    fn new_trace(&self, around: ParentContext, is_first: bool) -> Trace {
        // The first trace is called as its session is.
        let id = if is_first {
            self.session
        } else {
            new_session()
        };
        let span = new_session().0 as u64;
        Trace::begin(self.spans.parent(around), id.0, span.max(1))
    }

    /// Sets Mercurial's version.
    pub fn set_hg_version(&mut self, version: Vec<u8>) {
        self.hg_version = Some(version);
    }

    /// Sets another program than hg's executable as the subject of events;
    /// `is_mercurial` says whether it is one of Mercurial's, such as rhg.
    pub fn set_program(&mut self, path: &[u8], is_mercurial: bool) {
        self.program = Some(Program {
            path: Text(Cow::Owned(path.to_vec())),
            is_mercurial,
        });
    }

    /// Sets the URL of the repository at `root`: `paths.default`.
    pub fn set_repository(&mut self, root: &[u8], url: Option<&[u8]>) {
        let (known, repository) = &mut self.repository;
        if known != root {
            *known = root.to_vec();
            *repository = Repository::default();
        }
        let told = repository.url.as_ref().map(|it| &*it.0);
        if told != url {
            repository.url = url.map(|it| Text(Cow::Owned(it.to_vec())));
        }
    }

    /// Sets the bookmark or branch and the revision of the working directory of
    /// the repository at `root`, at a command's end.
    pub fn set_head(
        &mut self,
        root: &[u8],
        name: Option<&[u8]>,
        node: Option<&[u8]>,
    ) {
        let owned = |it: &[u8]| Text(Cow::Owned(it.to_vec()));
        let (known, repository) = &mut self.repository;
        if known != root {
            return;
        }
        repository.head = name.map(owned);
        repository.revision = node.map(|node| {
            let digits = node.iter().map(|byte| format!("{byte:02x}"));
            Text(Cow::Owned(digits.collect::<String>().into_bytes()))
        });
    }

    /// The root of the repository of this thread's innermost command.
    pub fn command_root(&self) -> Option<&[u8]> {
        self.spans.root()
    }

    /// Notes that hg has changed its umask.
    pub fn set_umask(&mut self, umask: u32) {
        self.umask = Some(umask);
    }

    /// Counts the result of an event at a sink that tracks it.
    pub fn account(&mut self, event: &[u8], delivered: Result<(), Loss>) {
        self.counters.events += 1;
        match delivered {
            Ok(()) => self.counters.delivered += 1,
            // All but this one had been delivered, as it seemed.
            Err(loss) => {
                let others = loss.events.saturating_sub(1);
                self.lose(event, others, loss);
            }
        }
        if let Some(problem) = self.dispatcher.take_no_page() {
            self.page_missing(&problem);
        }
        self.show_untold();
    }

    /// Stores unreported losses for others, in case this process is killed.
    fn show_untold(&mut self) {
        let untold = self.counters.lost.saturating_sub(self.journaled);
        self.dispatcher.set_untold(untold);
    }

    /// Whether this process is the one that all this belongs to, and not a
    /// forked child that has not called [`Self::enter`] yet.
    pub fn is_own(&self) -> bool {
        self.owner == uilog_sys::fork::process_id()
    }

    /// The event for a command which begins now, if it is killed. It has its
    /// own number.
    pub(crate) fn note<'a>(&mut self, draft: Draft<'a>) -> Event<'a> {
        self.noted += 1;
        self.spans.note(self.noted);
        Event {
            seq: commandlost::seq(self.noted),
            ..self.unnumbered(draft)
        }
    }

    /// An event that is not counted among those of the session.
    pub(crate) fn unnumbered<'a>(&mut self, draft: Draft<'a>) -> Event<'a> {
        let seq = self.seq;
        let event = self.event(draft);
        self.seq = seq;
        event
    }

    pub(crate) fn event<'a>(&mut self, draft: Draft<'a>) -> Event<'a> {
        self.seq += 1;
        let root = draft.root.or(self.spans.root());
        let span = self.spans.current();
        let ends = span.filter(|span| span.ends_with(draft.name));
        // `uilog run` logs the usage of its command itself.
        let is_end = draft.name == b"commandfinish" && draft.pid.is_none();
        let owned = |bytes: &[u8]| Text(Cow::Owned(bytes.to_vec()));
        let mut options = draft.options;
        let mut usage = None;
        let before = match ends {
            Some(span) => Some(span.used),
            None => self.spans.used_before(),
        };
        if let Some(before) = before.filter(|_| is_end) {
            let used = rusage::since(before);
            usage = ends.map(|_| used.usage);
            options.extend(counted(used.counts));
        }
        // hg ends its pager when the command's end has been logged.
        let is_wait = draft.name == b"userwait";
        let trace = span
            .map(|span| span.trace)
            .or_else(|| self.spans.ended().filter(|_| is_wait))
            .or_else(|| self.facts.around.map(Trace::outside));
        let event = Event {
            schema: SCHEMA,
            session: self.session,
            parent: self.parent,
            seq: self.seq,
            name: Cow::Borrowed(draft.name),
            time: draft.time.unwrap_or_else(Timestamp::now),
            duration: duration(&options)
                .or_else(|| ends.map(|span| span.elapsed().as_secs_f64())),
            pid: draft.pid.unwrap_or(self.owner),
            user: self.facts.user.as_deref().map(owned),
            uid: nix::unistd::getuid().as_raw(),
            root: root.map(owned),
            message: draft.message,
            options,
            lost: self.counters.lost,
            trace,
            ends_span: ends.is_some(),
            usage,
        };
        self.dispatcher.set_hg(draft.hg);
        event
    }

    /// Sends a script to the dispatcher.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub(crate) fn send_script(
        &mut self,
        event: &Event<'_>,
        script: &Script,
        settings: &Settings,
    ) -> Result<(), Loss> {
        self.wanted_wait.note(settings.before_exit, false);
        let depth = self.facts.depth;
        if depth >= MAX_NESTING {
            return Err(Loss {
                events: 1,
                reason: format!(
                    "scripts that run hg are nested {depth} deep already"
                ),
            });
        }
        // A thread that does not own the environment does not find its span
        // there.
        let span = self.spans.current().filter(|it| !it.owns_environment);
        let context = span.map(|span| span.trace.context().to_string());
        let task = Task::Script {
            script,
            depth,
            umask: self.umask,
            traceparent: context
                .as_ref()
                .map(String::as_bytes)
                .or(self.facts.traceparent.as_deref()),
        };
        self.dispatcher.send(&JobParts {
            event,
            task,
            settings,
            environment: &self.facts.lasting,
        })
    }

    /// Sends an event for structured sinks to the user's agent, or to the
    /// dispatcher.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub(crate) fn send_record(
        &mut self,
        event: &Event<'_>,
        sinks: &StructuredSinks,
        settings: &Settings,
    ) -> Result<(), Loss> {
        let has_collector = sinks.has_collector(&event.name);
        self.has_collector |= has_collector;
        self.wanted_wait.note(settings.before_exit, has_collector);
        let is_end = *event.name == *b"commandfinish"
            || *event.name == *commandlost::NAME;
        let moment = match self.spans.noted().filter(|_| is_end) {
            Some(id) => Moment::Ends { id },
            None => Moment::Within,
        };
        self.send(event, sinks.items(), settings, moment)
    }

    /// Notes for structured sinks what is to be said if the command that begins
    /// is killed.
    ///
    /// # Errors
    ///
    /// What else was lost, and why.
    pub(crate) fn note_record(
        &mut self,
        event: &Event<'_>,
        sinks: &StructuredSinks,
        settings: &Settings,
    ) -> Result<(), Loss> {
        let moment = Moment::Begins {
            id: self.noted,
            began: clock::monotonic_micros(),
            // An event is recorded at once.
            is_followed: sinks.tracks(b"command"),
        };
        self.send(event, sinks.items(), settings, moment)
    }

    fn send(
        &mut self,
        event: &Event<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        settings: &Settings,
        moment: Moment,
    ) -> Result<(), Loss> {
        let hg_version = self.hg_version.as_deref();
        let trace_state = event.trace.and_then(|it| self.facts.state_of(it));
        let nothing = Repository::default();
        let (known, repository) = &self.repository;
        let is_its = |root: &Text<'_>| *root.0 == **known;
        let is_known = event.root.as_ref().is_some_and(is_its);
        let parts = JobParts {
            event,
            task: Task::Record {
                items,
                hg_version,
                program: self.program.as_ref(),
                trace_state,
                repository: if is_known { repository } else { &nothing },
                moment,
            },
            settings,
            environment: &self.facts.lasting,
        };
        if !settings.has_agent {
            return self.dispatcher.send(&parts);
        }
        let hg = self.dispatcher.hg();
        let program = self.dispatcher.program();
        match self.records.send(&parts, items, hg, program, self.session) {
            Ok(()) => Ok(()),
            Err(NotQueued::Unusable(reason)) => {
                let sent = self.dispatcher.send(&parts);
                if let Some(reason) = reason {
                    self.records_troubled(reason);
                }
                sent
            }
            Err(NotQueued::Waits(reason)) => {
                self.records_troubled(reason);
                Ok(())
            }
            Err(NotQueued::Lost(loss)) => Err(loss),
        }
    }

    /// Reports to the journal why records wait in their queue, or are delivered
    /// otherwise: none is lost.
    fn records_troubled(&mut self, reason: String) {
        let session = self.session.to_string();
        let kind = FailureKind::NotStarted;
        let failure = Failure::now(session, b"", kind, 0, reason.clone());
        self.fault(FaultKind::Internal, reason);
        self.append_fault(&failure);
    }

    /// Counts and reports lost events, some of which have been counted as
    /// delivered before.
    pub(crate) fn lose(&mut self, event: &[u8], delivered: u64, loss: Loss) {
        self.counters.lost += loss.events;
        let still = self.counters.delivered.saturating_sub(delivered);
        self.counters.delivered = still;
        self.count_cause(&loss);
        let name = String::from_utf8_lossy(event);
        self.remember(format!(
            "lost {} event(s) at {name}: {}",
            loss.events, loss.reason
        ));
        if let Some(page) = self.dispatcher.take_given_up() {
            self.journal_given_up(event, page, loss);
            return;
        }
        // A process that loses everything need not write a line for each:
        // one whenever the number has doubled or a second has passed.
        let unreported = self.counters.lost - self.journaled;
        let is_recent = self
            .journaled_at
            .is_some_and(|at| at.elapsed() < JOURNAL_PAUSE);
        let is_soon = is_recent && unreported < self.journaled.max(1);
        if is_soon || journal::is_busy() {
            self.unreported_reason = loss.reason;
        } else {
            self.journal_losses(event, loss.reason);
        }
    }

    fn count_cause(&mut self, loss: &Loss) {
        let is_full = self.causes.len() >= MAX_CAUSES;
        let reason = match self.causes.iter().any(|it| it.0 == loss.reason) {
            false if is_full => OTHER_CAUSES,
            _ => &loss.reason,
        };
        match self.causes.iter_mut().find(|it| it.0 == reason) {
            Some((_, count)) => *count = count.saturating_add(loss.events),
            None => self.causes.push((reason.to_owned(), loss.events)),
        }
    }

    /// Why deliveries were lost in this process, and how many for each reason.
    pub fn causes(&self) -> &[(String, u64)] {
        &self.causes
    }

    /// Reports the losses of a dispatcher that was given up to the journal. A
    /// finder of its page reports the same, and readers count one of the two
    /// lines, so this one may fail.
    fn journal_given_up(&mut self, event: &[u8], page: String, loss: Loss) {
        self.journaled += loss.events;
        if journal::is_busy() {
            return;
        }
        let session = self.session.to_string();
        let kind = FailureKind::Lost;
        let failure = Failure {
            page: Some(page),
            ..Failure::now(session, event, kind, loss.events, loss.reason)
        };
        self.append_fault(&failure);
    }

    /// Reports new losses to the journal.
    fn journal_losses(&mut self, event: &[u8], reason: String) {
        let unreported = self.counters.lost - self.journaled;
        self.journaled_at = Some(Instant::now());
        let failure = Failure::now(
            self.session.to_string(),
            event,
            FailureKind::Lost,
            unreported,
            reason.clone(),
        );
        match self.append(&failure) {
            Ok(()) => self.journaled = self.counters.lost,
            // It may work later: there may have been no free descriptor.
            Err(_) => self.unreported_reason = reason,
        }
    }

    /// Appends to the journal by a child process, because a home directory that
    /// does not answer must not block hg.
    fn append(&mut self, failure: &Failure) -> io::Result<()> {
        self.note_append_trouble();
        match self.journal() {
            Some(journal) => journal.append_apart(failure),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Appends to the journal what costs no event, and remembers if it cannot.
    fn append_fault(&mut self, failure: &Failure) {
        if let Err(error) = self.append(failure) {
            self.remember(format!("the journal cannot be written: {error}"));
        }
    }

    /// Notes failures of earlier children that were to append.
    fn note_append_trouble(&mut self) {
        if let Some(error) = journal::append_trouble() {
            self.remember(format!("the journal cannot be written: {error}"));
        }
    }

    /// Waits until the results of all logged events are known, but at most
    /// `bound`. Never called by hg.
    pub fn await_verdict(&mut self, bound: Duration) -> Verdict {
        let deadline = Instant::now() + bound;
        match self.dispatcher.await_verdict(bound) {
            Err(loss) => self.lose(b"", loss.events, loss),
            Ok(false) => return Verdict::Open,
            Ok(true) => {}
        }
        if !self.records.await_verdict(deadline) {
            return Verdict::Open;
        }
        let status = self.dispatcher.status();
        let lost = status
            .as_ref()
            .map_or(0, |it| it.progress.not_started + it.progress.records_lost);
        let records = self.records.status();
        let lost_records =
            records.as_ref().map_or(0, |it| it.progress.records_lost);
        if lost + lost_records == 0 {
            return Verdict::Taken;
        }
        let reason = status.and_then(|it| it.last_failure);
        let reason = reason.or(records.and_then(|it| it.last_failure));
        Verdict::Lost(reason.unwrap_or_else(|| "no reason given".to_owned()))
    }

    /// When hg ends: how long to wait for delivery; none if it does not wait,
    /// or if there is nothing to wait for. Then [`Self::look_after_delivery`]
    /// must be called until that is done.
    pub fn begin_exit_wait(&self) -> Option<ExitWait> {
        if self.owner != std::process::id() {
            return None;
        }
        let has_collector = self.has_collector;
        let wait = ExitWait::begin(self.wanted_wait, self.standing)?;
        let (dispatcher, records) = (&self.dispatcher, &self.records);
        let is_needed = dispatcher
            .may_be_undelivered(has_collector, wait.is_for_all)
            || records.may_be_undelivered(has_collector);
        is_needed.then_some(wait)
    }

    /// Waits until this wait is over; for callers that do not run Python.
    pub fn deliver(&mut self, mut wait: ExitWait) {
        while let Some(step) = self.look_after_delivery(&mut wait) {
            std::thread::sleep(step);
        }
    }

    /// How long to sleep before calling this again; none if the wait is over.
    pub fn look_after_delivery(
        &mut self,
        wait: &mut ExitWait,
    ) -> Option<Duration> {
        if wait.is_to_ask() {
            if let Err(loss) = self.dispatcher.ask_for_delivery() {
                self.lose(b"", loss.events, loss);
            }
            let program = self.dispatcher.program();
            if let Err(reason) = self.records.ask_for_delivery(program) {
                self.records_troubled(reason);
                return None;
            }
        }
        let delivery = self.dispatcher.delivery(wait.is_for_all);
        match delivery.and(self.records.delivery()) {
            Delivery::Pending => {
                Some(wait.next_step()).filter(|it| !it.is_zero())
            }
            Delivery::Done | Delivery::Deferred => None,
        }
    }

    /// At an ordinary end of hg: handles losses that no other process would
    /// notice. Nothing depends on it: children that leave through `os._exit`
    /// skip it.
    pub fn finish(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        self.records.end_commands();
        self.dispatcher.end_commands();
        if let Err(loss) = self.dispatcher.finish() {
            self.lose(b"", loss.events, loss);
        }
        match self.records.finish(self.dispatcher.program()) {
            Err(NotQueued::Lost(loss)) => self.lose(b"", loss.events, loss),
            Err(NotQueued::Waits(reason)) => self.records_troubled(reason),
            Ok(()) | Err(NotQueued::Unusable(_)) => {}
        }
        // If the place ends with its first process, so do those that append.
        let is_first = self.owner == 1;
        let bound = if is_first {
            FIRST_PROCESS_GRACE
        } else {
            APPEND_GRACE
        };
        if journal::is_busy() {
            journal::wait_for_appending(bound);
        }
        if self.counters.lost > self.journaled {
            let reason = std::mem::take(&mut self.unreported_reason);
            self.journal_losses(b"", reason);
        }
        journal::wait_for_appending(bound);
        self.note_append_trouble();
        self.show_untold();
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

    /// Reports to the journal, once, that losses cannot be counted if this
    /// process and its dispatcher are killed together.
    fn page_missing(&mut self, problem: &str) {
        let detail = format!(
            "if hg and its dispatcher are killed together, losses cannot be \
             counted: no counter page can be created: {problem}"
        );
        let session = self.session.to_string();
        let kind = FailureKind::NotStarted;
        let failure = Failure::now(session, b"", kind, 0, detail.clone());
        self.fault(FaultKind::Internal, detail);
        self.append_fault(&failure);
    }

    /// Counts a peer that did not close in time, and reports it to the journal,
    /// because a needless wait cannot be seen afterwards.
    pub fn peer_overdue(&mut self, detail: String) {
        let failure = Failure::now(
            self.session.to_string(),
            b"peerclose",
            FailureKind::Peer,
            0,
            detail.clone(),
        );
        self.fault(FaultKind::Peer, detail);
        self.append_fault(&failure);
    }

    /// Counts a configuration that could not be read, and reports it to the
    /// journal: it is unknown what should have been logged.
    pub fn config_unreadable(&mut self, event: &[u8], detail: String) {
        let session = self.session.to_string();
        let kind = FailureKind::Config;
        let failure = Failure::now(session, event, kind, 0, detail.clone());
        self.fault(FaultKind::Internal, detail);
        self.append_fault(&failure);
    }

    /// Checks for new failures of scripts and records, as far as known; for
    /// debug output.
    pub fn look_for_failures(&mut self) {
        let (mut scripts, mut lost) = (0, 0);
        let mut last_failure = None;
        if let Some(status) = self.dispatcher.status() {
            let progress = status.progress;
            scripts =
                progress.failed + progress.not_started + progress.timed_out;
            lost = progress.records_lost;
            last_failure = status.last_failure;
        }
        if let Some(status) = self.records.status() {
            lost += status.progress.records_lost;
            last_failure = last_failure.or(status.last_failure);
        }
        let failures = scripts + lost;
        if failures <= self.seen_failures {
            return;
        }
        self.seen_failures = failures;
        let mut text =
            format!("so far: scripts failed: {scripts}, records lost: {lost}");
        if let Some(last) = last_failure {
            text = format!("{text}; the last failure: {last}");
        }
        self.remember(text);
    }

    /// Counts a problem that costs no event.
    pub fn fault(&mut self, kind: FaultKind, detail: String) {
        self.counters.faults[kind as usize] += 1;
        self.remember(detail);
    }

    fn remember(&mut self, problem: String) {
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(problem);
        self.unseen = (self.unseen + 1).min(MAX_RECENT);
    }

    /// The problems since the last call, for debug output.
    pub fn take_unseen(&mut self) -> Vec<String> {
        let from = self.recent.len() - self.unseen.min(self.recent.len());
        self.unseen = 0;
        self.recent.range(from..).cloned().collect()
    }

    /// Runs `body`, whose problems are reported in another way: debug output
    /// does not repeat them.
    pub fn with_own_report<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let is_seen = self.unseen == 0;
        let result = body(self);
        if is_seen {
            self.unseen = 0;
        }
        result
    }

    /// Whether there are new problems.
    pub fn has_unseen(&self) -> bool {
        self.unseen > 0
    }

    /// The last few problems.
    pub fn recent(&self) -> impl Iterator<Item = &str> {
        self.recent.iter().map(String::as_str)
    }

    /// What happened to this process's events.
    pub fn counters(&self) -> Counters {
        self.counters
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

    /// Whether the command that runs has been noted.
    pub(crate) fn has_noted(&self) -> bool {
        self.spans.noted().is_some()
    }

    /// The number under which the command that runs has been noted, or would
    /// be.
    pub(crate) fn noted_or_next(&self) -> u64 {
        self.spans.noted().unwrap_or(self.noted + 1)
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

/// What the event says it took, in seconds.
fn duration(options: &[EventOption<'_>]) -> Option<f64> {
    let option = options.iter().find(|o| *o.key == *b"duration")?;
    let (Value::Float(text) | Value::Int(text)) = &option.value else {
        return None;
    };
    let seconds: f64 = std::str::from_utf8(&text.0).ok()?.parse().ok()?;
    seconds.is_finite().then_some(seconds)
}

/// What a command has used, as options.
fn counted(counts: rusage::Counts) -> [EventOption<'static>; 5] {
    counts.named().map(|(name, count)| EventOption {
        key: Cow::Borrowed(name.as_bytes()),
        value: Value::Int(Text(Cow::Owned(count.to_string().into_bytes()))),
    })
}
