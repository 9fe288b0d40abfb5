//! hg's side of the agent: the queue of this process's records.
//!
//! Responsible for a file in the user's runtime directory, to which hg appends
//! records, and for waking the agent, or starting one. Nothing here blocks. The
//! file survives if every process is killed, and is delivered later. Of hg's
//! environment it only contains what sinks need. Must not know what an agent
//! does with it.
//!
//! A process that is more confined than others of its container, or that finds
//! no directory or no room for the file, uses its own dispatcher instead
//! (`NotQueued::Unusable`). If the file loses its name, as at a logout, nobody
//! can find it: records that no agent has read go into a new file.

mod open;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::agent_address;
use uilog_channel::backoff::Backoff;
use uilog_channel::frames;
use uilog_channel::frames::JobParts;
use uilog_channel::loss::Loss;
use uilog_channel::queue::Delivery;
use uilog_channel::queue::Progress;
use uilog_channel::sink_environment;
use uilog_event::event::SessionId;
use uilog_sys::append::GuardedPath;
use uilog_sys::confined;

use self::open::Open;
use self::open::Refusal;
use self::open::Why;
use crate::agent_start;

/// The item that names a directory for queues.
const QUEUE_DIR: &[u8] = b"queue-dir";
/// So long after it has started one this process starts no other agent.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// After so long, a process that has found no directory for a queue tries
/// again: a server may live for weeks.
const PLACE_PAUSE: Duration = Duration::from_secs(10);
/// How often to check for a verdict.
const VERDICT_STEP: Duration = Duration::from_millis(1);

/// Why a record was not appended.
#[derive(Debug)]
pub(crate) enum NotQueued {
    /// This process has no queue of records, or no room in it: the dispatcher
    /// has to deliver the record. A reason should be reported to the user.
    Unusable(Option<String>),
    /// It is in the queue, and this is why the agent was not woken.
    Waits(String),
    /// It is lost.
    Lost(Loss),
}

/// The queue of this process's records.
#[derive(Debug, Default)]
pub struct RecordQueue {
    open: Option<Open>,
    /// Why this process has none.
    unusable: Option<String>,
    /// When that may have changed, if it can.
    retry_at: Option<Instant>,
    /// The user knows that it cannot be used.
    has_told: bool,
    backoff: Backoff,
    started_at: Option<Instant>,
    /// Agents that this process has started.
    starts: u64,
    environment: Needed,
}

/// What sinks need from an environment, cached until it or their items change.
#[derive(Debug, Default)]
struct Needed {
    whole: Vec<u8>,
    items: Vec<(Vec<u8>, Vec<u8>)>,
    part: Vec<u8>,
}

impl RecordQueue {
    /// Appends a record, whose parts are of
    /// [`uilog_channel::frames::Task::Record`] with these items, and wakes the
    /// agent.
    ///
    /// # Errors
    ///
    /// It was not appended.
    pub(crate) fn send(
        &mut self,
        parts: &JobParts<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        hg: &[u8],
        program: &Path,
        session: SessionId,
    ) -> Result<(), NotQueued> {
        if self.unusable.is_some() && !self.may_try_again() {
            return Err(NotQueued::Unusable(None));
        }
        if self.open.as_ref().is_some_and(|it| !it.is_intact()) {
            // An agent will find its records.
            self.open = None;
        }
        self.environment.update(parts.environment, items);
        let is_found = self.open.as_ref().is_some_and(Open::has_name);
        if !is_found && let Err(refusal) = self.open_new(parts, session) {
            return Err(self.refuse(refusal, parts.environment, program));
        }
        let Some(open) = self.open.as_mut() else {
            return Err(NotQueued::Unusable(None));
        };
        let parts = JobParts {
            environment: &self.environment.part,
            ..*parts
        };
        if let Err(error) = open.append(&parts, hg) {
            if is_own_bound(&error) {
                let reason = frames::explain(&error, parts.settings);
                let events = parts.events();
                return Err(NotQueued::Lost(Loss { events, reason }));
            }
            // Its records will be delivered, which makes room.
            let _ = self.wake(program);
            return Err(NotQueued::Unusable(self.tell(error.to_string())));
        }
        if parts.is_followed() {
            return Ok(());
        }
        self.wake(program).map_err(NotQueued::Waits)
    }

    fn may_try_again(&mut self) -> bool {
        let is_due = self.retry_at.is_some_and(|at| Instant::now() >= at);
        if is_due {
            self.unusable = None;
            self.retry_at = None;
        }
        is_due
    }

    /// Creates a queue. Copies into it what no agent has read of one that has
    /// no name any more, with commands that have begun there.
    fn open_new(
        &mut self,
        parts: &JobParts<'_>,
        session: SessionId,
    ) -> Result<(), Refusal> {
        let nameless = self.open.as_ref();
        let source = nameless.filter(|it| {
            it.queue.has_open() || it.is_waiting() && !it.is_read()
        });
        let places = self.environment.places();
        let opened = Open::new(places, parts.settings, session, source)?;
        if let Some(mut nameless) = self.open.replace(opened) {
            // Its commands continue in the new queue, so the reader of this one
            // must not report them.
            let _ = nameless.queue.end_all();
        }
        Ok(())
    }

    /// There is no queue for now; returns what happens to the record instead.
    fn refuse(
        &mut self,
        refusal: Refusal,
        environment: &[u8],
        program: &Path,
    ) -> NotQueued {
        let Refusal { reason, why } = refusal;
        let is_to_tell = match &why {
            Why::Confined => false,
            Why::NoPlace => {
                self.retry_at = Some(Instant::now() + PLACE_PAUSE);
                false
            }
            Why::Full(dir) => {
                self.retry_at = Some(Instant::now() + PLACE_PAUSE);
                // The agent measures the queues and delivers them.
                let items = &self.environment.items;
                let _ =
                    agent_start::start(dir, program, None, environment, items);
                true
            }
        };
        self.unusable = Some(reason.clone());
        NotQueued::Unusable(is_to_tell.then(|| self.tell(reason)).flatten())
    }

    /// Why records are delivered otherwise, if no user has been informed.
    fn tell(&mut self, reason: String) -> Option<String> {
        let is_first = !std::mem::replace(&mut self.has_told, true);
        is_first.then(|| {
            format!(
                "this command's own process delivers its records instead of \
                 the agent: {reason}"
            )
        })
    }

    /// Wakes the agent, or starts one. If that fails, records stay in the
    /// queue: nothing is lost.
    ///
    /// # Errors
    ///
    /// Why there is no agent.
    fn wake(&mut self, program: &Path) -> Result<(), String> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let is_early = self
            .started_at
            .is_some_and(|at| at.elapsed() < RESTART_PAUSE);
        if open.ring() || is_early || self.backoff.reason().is_some() {
            return Ok(());
        }
        let started = open.place.open(false);
        let started = started.map_err(|error| error.to_string());
        let own = Some(open.name.as_os_str());
        let Needed { whole, items, .. } = &self.environment;
        let start = |dir| agent_start::start(&dir, program, own, whole, items);
        match started.and_then(start) {
            Ok(has_started) => {
                if has_started {
                    self.starts += 1;
                    self.started_at = Some(Instant::now());
                }
                Ok(())
            }
            Err(reason) => Err(self.backoff.failed(format!(
                "no agent can be started, and records stay in the queue: \
                 {reason}"
            ))),
        }
    }

    /// The last check of the agent, at an ordinary end of hg: if it has died
    /// with records waiting, no other process will notice soon.
    ///
    /// # Errors
    ///
    /// Records wait and there is no agent, or they are lost with a queue that
    /// has no name any more.
    pub(crate) fn finish(&mut self, program: &Path) -> Result<(), NotQueued> {
        let Some(open) = self.open.as_ref().filter(|it| it.is_waiting()) else {
            return Ok(());
        };
        if !open.has_name() && !open.is_read() {
            let undone = open.undone();
            let places = self.environment.places();
            let moved = Open::moved(places, &open.settings, open);
            let moved = moved.map_err(|refusal| {
                let reason = format!(
                    "the queue's file was removed, and no other can be \
                     created: {}",
                    refusal.reason
                );
                NotQueued::Lost(Loss {
                    events: undone,
                    reason,
                })
            })?;
            self.open = Some(moved);
        }
        self.wake(program).map_err(NotQueued::Waits)
    }

    /// The command that the caller calls `id` has ended, if its beginning is in
    /// the queue.
    pub(crate) fn end_command(&mut self, id: u64) {
        if let Some(open) = self.open_of_command() {
            // If it cannot be written, the process may be reported as killed.
            let _ = open.queue.end(id);
        }
    }

    /// All commands have ended.
    pub(crate) fn end_commands(&mut self) {
        if let Some(open) = self.open_of_command() {
            let _ = open.queue.end_all();
        }
    }

    /// This process is about to become another program, or has not become one.
    pub(crate) fn hide_commands(&mut self, is_hidden: bool) {
        if let Some(open) = self.open_of_command() {
            let _ = open.queue.hide_open(is_hidden);
        }
    }

    /// Stores the phase of the innermost command, so that `uilog` can show why
    /// it takes so long.
    pub(crate) fn set_phase(&mut self, phase: &[u8]) {
        let open = self.open.as_ref().filter(|it| it.queue.has_open());
        if let Some(open) = open.filter(|it| it.is_intact()) {
            // If it cannot be written, there is no phase.
            let _ = open.queue.set_phase(phase);
        }
    }

    /// Where a command has begun that has not ended.
    fn open_of_command(&mut self) -> Option<&mut Open> {
        let open = self.open.as_mut().filter(|it| it.queue.has_open());
        open.filter(|it| it.is_intact())
    }

    /// Waits until the result of every record is known, but at most until
    /// `deadline`; returns whether it is.
    pub(crate) fn await_verdict(&self, deadline: Instant) -> bool {
        let Some(open) = &self.open else {
            return true;
        };
        while open.is_waiting() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(VERDICT_STEP);
        }
        true
    }

    /// Whether there may be undelivered records; `answers` says whether a sink
    /// acknowledges them later, as a collector does.
    pub(crate) fn may_be_undelivered(&self, answers: bool) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let has_records = open.queue.committed().jobs > 0;
            open.is_intact() && has_records && (answers || open.is_waiting())
        })
    }

    /// Asks the agent to deliver everything without delay, and to answer
    /// afterwards.
    ///
    /// # Errors
    ///
    /// Why there is no agent.
    pub(crate) fn ask_for_delivery(
        &mut self,
        program: &Path,
    ) -> Result<(), String> {
        let Some(open) = self.open.as_ref().filter(|it| it.is_intact()) else {
            return Ok(());
        };
        let asked = open.queue.ask_for_delivery();
        asked.map_err(|error| format!("cannot write the queue: {error}"))?;
        self.wake(program)
    }

    /// How far the delivery is.
    pub(crate) fn delivery(&self) -> Delivery {
        match self.open.as_ref().filter(|it| it.is_intact()) {
            Some(open) => open.queue.delivery(),
            // There will be no answer.
            None => Delivery::Done,
        }
    }

    /// Why this process has no such queue and will have none, if so.
    pub fn why_unusable(&self) -> Option<String> {
        let reason = self.unusable.clone();
        reason.or_else(|| self.open.is_none().then(confined::reason).flatten())
    }

    /// Its state, if there is one.
    pub fn status(&self) -> Option<Status> {
        let open = self.open.as_ref().filter(|it| it.is_intact())?;
        Some(Status {
            name: open.place.directory().join(&open.name),
            records: open.queue.committed().jobs,
            progress: open.queue.progress().ok()?,
            queue_bytes: open.queue.bytes().unwrap_or(0),
            last_failure: open.queue.last_failure().ok()?,
            starts: self.starts,
        })
    }
}

/// The state of a queue of records, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The file.
    pub name: PathBuf,
    /// Records appended.
    pub records: u64,
    /// What the agent has done.
    pub progress: Progress,
    /// Memory of the queue, in bytes.
    pub queue_bytes: u64,
    /// The last failure of a sink.
    pub last_failure: Option<String>,
    /// Agents that this process has started.
    pub starts: u64,
}

impl Needed {
    fn update(&mut self, whole: &[u8], items: &[(Vec<u8>, Vec<u8>)]) {
        if self.whole == whole && self.items == items {
            return;
        }
        self.part = sink_environment::needed(whole, items);
        self.whole = whole.to_vec();
        self.items = items.to_vec();
    }

    /// Where a queue may be, the preferred place first.
    fn places(&self) -> impl Iterator<Item = GuardedPath> + use<> {
        let set = self.items.iter().find(|(name, _)| name == QUEUE_DIR);
        let queue_dir = set.map(|(_, value)| &**value).unwrap_or_default();
        // An invalid one is reported with all other settings.
        let queue_dir = agent_address::queue_dir_of(queue_dir).ok().flatten();
        // The whole environment: what chooses the place is the caller's.
        agent_address::places(&self.whole, queue_dir.as_deref())
    }
}

/// Whether a queue holds as much as it may by itself.
fn is_own_bound(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull && error.raw_os_error().is_none()
}
