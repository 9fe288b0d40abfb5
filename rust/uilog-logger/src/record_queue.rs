//! hg's way to the user's agent: the queue of this process's records.
//!
//! Responsible for a file with a name, in the user's runtime directory, to
//! which hg appends what structured sinks are to have, and for waking the
//! agent, or starting one if there is none. Nothing here waits. What is in the
//! file is still there when every process has been killed; whoever comes later
//! delivers it. Of hg's environment only what sinks need is in it. Must not
//! know what an agent does with it.
//!
//! A process that is confined more than others of its container, or that finds
//! no place for such a file or no room in it, uses its own dispatcher instead
//! (`NotQueued::Unusable`). A file whose name is gone, as after a logout, is
//! found by nobody: what no agent has read by then goes into a new one.

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
/// After so long a process that has found no place for a queue looks again: a
/// server may live for weeks.
const PLACE_PAUSE: Duration = Duration::from_secs(10);
/// How often whoever waits for a verdict looks for it.
const VERDICT_STEP: Duration = Duration::from_millis(1);

/// Why a record has not been taken.
#[derive(Debug)]
pub(crate) enum NotQueued {
    /// This process has no queue of records, or no room in it: somebody else
    /// has to take it. If there is a reason, a user ought to know it.
    Unusable(Option<String>),
    /// It is in the queue, and for this reason nobody is told.
    Waits(String),
    /// It is lost.
    Lost(Loss),
}

/// The queue of this process's records.
#[derive(Debug, Default)]
pub struct RecordQueue {
    open: Option<Open>,
    /// Why there is none in this process.
    unusable: Option<String>,
    /// When that may have changed, if it can.
    retry_at: Option<Instant>,
    /// A user has been told that it cannot be used.
    has_told: bool,
    backoff: Backoff,
    started_at: Option<Instant>,
    /// Agents that this process has started.
    starts: u64,
    environment: Needed,
}

/// What sinks need of an environment, looked up once for as long as it and
/// their items stay the same.
#[derive(Debug, Default)]
struct Needed {
    whole: Vec<u8>,
    items: Vec<(Vec<u8>, Vec<u8>)>,
    part: Vec<u8>,
}

impl RecordQueue {
    /// Appends a record, whose parts are of [`uilog_channel::frames::Task::Record`]
    /// with these items, and wakes the agent.
    ///
    /// # Errors
    ///
    /// It has not been taken.
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
            // Whatever is in it will be found.
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
            // Whatever is in it is to be delivered, and makes room.
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

    /// Makes a queue. What no agent has read of one that has no name any more
    /// goes into it, and so do commands that have begun there.
    fn open_new(
        &mut self,
        parts: &JobParts<'_>,
        session: SessionId,
    ) -> Result<(), Refusal> {
        let lost = self.open.as_ref();
        let left = lost.filter(|it| {
            it.queue.has_open() || it.is_waiting() && !it.is_read()
        });
        let places = self.environment.places();
        let opened = Open::new(places, parts.settings, session, left)?;
        if let Some(mut lost) = self.open.replace(opened) {
            // Its commands end where they go on: whoever reads this queue has
            // nothing to tell of them.
            let _ = lost.queue.end_all();
        }
        Ok(())
    }

    /// There is no queue for now; who has to take a record instead.
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
                // It counts anew what the queues take, and delivers them.
                let _ = agent_start::start(dir, program, None, environment);
                true
            }
        };
        self.unusable = Some(reason.clone());
        NotQueued::Unusable(is_to_tell.then(|| self.tell(reason)).flatten())
    }

    /// Why records take another way, if no user has been told.
    fn tell(&mut self, reason: String) -> Option<String> {
        let is_first = !std::mem::replace(&mut self.has_told, true);
        is_first.then(|| {
            format!(
                "records go by way of this command's own process instead of \
                 the agent: {reason}"
            )
        })
    }

    /// Wakes the agent, or starts one. What could not be handed over stays in
    /// the queue: nothing is lost by that.
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
        let environment = &self.environment.whole;
        let start = |dir| agent_start::start(&dir, program, own, environment);
        match started.and_then(start) {
            Ok(has_started) => {
                if has_started {
                    self.starts += 1;
                    self.started_at = Some(Instant::now());
                }
                Ok(())
            }
            Err(reason) => Err(self.backoff.failed(format!(
                "no agent can be started, and records wait: {reason}"
            ))),
        }
    }

    /// The last look at the agent, when hg ends in the ordinary way: if it has
    /// died with records waiting, nobody else will notice soon.
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
                    "the file that held them was removed, and there is no \
                     other place: {}",
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

    /// The command has ended that the caller knows as `id`, if its beginning
    /// stands in the queue.
    pub(crate) fn end_command(&mut self, id: u64) {
        if let Some(open) = self.open_of_command() {
            // If it cannot be written, the process may be said to be killed.
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

    /// Says what the innermost command does at the moment, for whoever wants to
    /// know why it takes so long.
    pub(crate) fn set_phase(&mut self, phase: &[u8]) {
        let open = self.open.as_ref().filter(|it| it.queue.has_open());
        if let Some(open) = open.filter(|it| it.is_intact()) {
            // If it cannot be written, nothing is said.
            let _ = open.queue.set_phase(phase);
        }
    }

    /// Where a command has begun that has not ended.
    fn open_of_command(&mut self) -> Option<&mut Open> {
        let open = self.open.as_mut().filter(|it| it.queue.has_open());
        open.filter(|it| it.is_intact())
    }

    /// Waits until it is known what has become of every record, but not longer
    /// than until `deadline`; whether it is. For whoever has the time.
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

    /// Whether there may be records that have not got to those that they are
    /// for; `answers` tells whether any of these answers only after a while,
    /// as a collector does.
    pub(crate) fn may_be_undelivered(&self, answers: bool) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let has_records = open.queue.committed().jobs > 0;
            open.is_intact() && has_records && (answers || open.is_waiting())
        })
    }

    /// Asks the agent to deliver at once what has been appended, and to say
    /// when that is done.
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
            // Nobody here will be told.
            None => Delivery::Done,
        }
    }

    /// Why this process has no such queue and will have none, if so.
    pub fn why_unusable(&self) -> Option<String> {
        let known = self.unusable.clone();
        known.or_else(|| self.open.is_none().then(confined::reason).flatten())
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
    fn places(&self) -> Vec<GuardedPath> {
        let set = self.items.iter().find(|(name, _)| name == QUEUE_DIR);
        let queue_dir = set.map(|(_, value)| &**value).unwrap_or_default();
        // One that is invalid is told where all settings are.
        let queue_dir = agent_address::queue_dir_of(queue_dir).ok().flatten();
        // The whole environment: what chooses the place is the caller's.
        agent_address::places(&self.whole, queue_dir.as_deref())
    }
}

/// Whether a queue holds as much as it may by itself.
fn is_own_bound(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull && error.raw_os_error().is_none()
}
