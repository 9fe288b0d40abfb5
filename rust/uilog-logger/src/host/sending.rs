//! Fills in an event, and sends it: a script to the dispatcher, a record to the
//! agent, or to the dispatcher as well.
//!
//! Must not know how a ui's sinks are chosen.

use std::borrow::Cow;

use uilog_channel::commandlost;
use uilog_channel::frames::CommandStage;
use uilog_channel::frames::JobParts;
use uilog_channel::frames::Script;
use uilog_channel::frames::Task;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Settings;
use uilog_channel::wire::Program;
use uilog_channel::wire::Repository;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SCHEMA;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Trace;
use uilog_event::event::Value;
use uilog_event::rusage;
use uilog_sys::clock;

use super::Draft;
use super::Host;
use crate::account::FaultKind;
use crate::record_queue::NotQueued;
use crate::sinks::records::StructuredSinks;

/// Maximum nesting depth of scripts: a script that runs hg, whose events run
/// the script again, would never end.
const MAX_NESTING: u32 = 5;

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

impl Host {
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
        let (known_root, repository) = &mut self.repository;
        if known_root != root {
            *known_root = root.to_vec();
            *repository = Repository::default();
        }
        let known_url = repository.url.as_ref().map(|it| &*it.0);
        if known_url != url {
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
        let (known_root, repository) = &mut self.repository;
        if known_root != root {
            return;
        }
        repository.head = name.map(owned);
        repository.revision = node.map(|node| {
            let digits = node.iter().map(|byte| format!("{byte:02x}"));
            Text(Cow::Owned(digits.collect::<String>().into_bytes()))
        });
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
            Some(id) => CommandStage::Ends { id },
            None => CommandStage::Within,
        };
        self.send(event, sinks.items(), settings, moment)
    }

    /// Stores the record that structured sinks get if the command that begins
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
        let moment = CommandStage::Begins {
            id: self.noted,
            began: clock::monotonic_micros(),
            // An event is recorded at once.
            is_followed: sinks.tracks(b"command"),
        };
        self.send(event, sinks.items(), settings, moment)
    }

    pub(super) fn send(
        &mut self,
        event: &Event<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        settings: &Settings,
        moment: CommandStage,
    ) -> Result<(), Loss> {
        let hg_version = self.hg_version.as_deref();
        let trace_state = event.trace.and_then(|it| self.facts.state_of(it));
        let nothing = Repository::default();
        let (known_root, repository) = &self.repository;
        let is_its = |root: &Text<'_>| *root.0 == **known_root;
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
    pub(super) fn records_troubled(&mut self, reason: String) {
        let session = self.session.to_string();
        let kind = FailureKind::NotStarted;
        let failure = Failure::now(session, b"", kind, 0, reason.clone());
        self.fault(FaultKind::Internal, reason);
        self.append_fault(&failure);
    }
}
