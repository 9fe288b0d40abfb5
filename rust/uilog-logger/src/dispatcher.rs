//! hg's side of the dispatcher: starts it, and passes jobs to it.
//!
//! Nothing here waits: a job is appended to the queue, and a byte wakes the
//! dispatcher. If a dispatcher has died, another one is started on the same
//! queue; one that stalls is not waited for. If all processes are killed, the
//! queue's counter page (`page`) has what was lost.

mod delivery;
mod link;
mod starting;

use std::io;
use std::path::Path;

use uilog_channel::backoff::Backoff;
use uilog_channel::frames;
use uilog_channel::frames::JobParts;
use uilog_channel::frames::Task;
use uilog_channel::loss::Loss;
use uilog_channel::queue::Progress;
use uilog_channel::settings::Settings;
use uilog_event::event::SessionId;
use uilog_sys::spawn::Start;

use self::link::Link;
use crate::installation::Programs;

/// The facts by which a counter page is found again: its owner.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// hg's environment, as a block.
    pub environment: &'a [u8],
    /// hg's session.
    pub session: SessionId,
}

/// The dispatcher, as hg sees it.
#[derive(Debug)]
pub struct Dispatcher {
    programs: Programs,
    /// There may be records, so the next dispatcher must support them.
    has_records: bool,
    /// Another dispatcher, for records that came when one for scripts only was
    /// serving already. All later records go to it, too.
    for_records: Option<Box<Dispatcher>>,
    hg: Vec<u8>,
    link: Option<Link>,
    backoff: Backoff,
    starts: u64,
    barren: u32,
    /// The page of an abandoned dispatcher.
    given_up: Option<String>,
    /// Why there is no page, until this was fetched.
    no_page: Option<String>,
    has_lacked_page: bool,
}

/// The state of a dispatcher, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its process id.
    pub pid: i32,
    /// The number of its jobs.
    pub jobs: u64,
    /// Its progress.
    pub progress: Progress,
    /// Memory of the queue, in bytes.
    pub queue_bytes: u64,
    /// Its last failure.
    pub last_failure: Option<String>,
}

impl Dispatcher {
    /// A dispatcher that is not started yet.
    pub fn new(programs: impl Into<Programs>) -> Self {
        Self {
            programs: programs.into(),
            has_records: false,
            for_records: None,
            hg: Vec::new(),
            link: None,
            backoff: Backoff::default(),
            starts: 0,
            barren: 0,
            given_up: None,
            no_page: None,
            has_lacked_page: false,
        }
    }

    /// The binary that can do everything.
    pub fn program(&self) -> &Path {
        &self.programs.all
    }

    /// The binaries.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Notes that records may follow.
    pub fn expect_records(&mut self) {
        self.has_records = true;
    }

    /// hg's executable.
    pub(crate) fn hg(&self) -> &[u8] {
        &self.hg
    }

    /// How many dispatchers have been started.
    pub fn starts(&self) -> u64 {
        let others = self.for_records.as_ref().map_or(0, |it| it.starts());
        self.starts + others
    }

    /// Sets hg's executable.
    pub fn set_hg(&mut self, hg: &[u8]) {
        if self.hg != hg {
            self.hg = hg.to_vec();
        }
    }

    /// The dispatcher's state, if one has been started. If there are two, the
    /// one for scripts is shown, with the counters of both.
    pub fn status(&self) -> Option<Status> {
        let others = self.for_records.as_ref().and_then(|it| it.status());
        let Some(own) = self.own_status() else {
            return others;
        };
        let Some(others) = others else {
            return Some(own);
        };
        Some(Status {
            jobs: own.jobs + others.jobs,
            progress: own.progress.plus(others.progress),
            queue_bytes: own.queue_bytes + others.queue_bytes,
            last_failure: own.last_failure.or(others.last_failure),
            ..own
        })
    }

    fn own_status(&self) -> Option<Status> {
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

    /// Starts the dispatcher if none runs, for a job that will follow. If that
    /// fails, the job gets the error.
    pub fn prepare(&mut self, settings: &Settings, owner: Owner<'_>) {
        if self.link.is_none() {
            let _ = self.open(settings, Start::NoWait, Some(owner));
        }
    }

    /// Appends a job, without waiting.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub fn send(&mut self, parts: &JobParts<'_>) -> Result<(), Loss> {
        let events = parts.events();
        let lost = |reason: String| Loss { events, reason };
        if self.link.as_ref().is_some_and(|link| !link.is_intact()) {
            // The dispatcher ends by itself.
            self.link = None;
        }
        if matches!(parts.task, Task::Record { .. }) {
            if let Some(others) = self.others_for_records() {
                return others.send(parts);
            }
            self.has_records = true;
        }
        if self.link.is_none() {
            if let Some(reason) = self.backoff.reason() {
                return Err(lost(reason));
            }
            let owner = Owner {
                environment: parts.environment,
                session: parts.event.session,
            };
            self.open(parts.settings, Start::NoWait, Some(owner))
                .map_err(|reason| lost(self.backoff.failed(reason)))?;
        }
        let Some(link) = self.link.as_mut() else {
            return Err(lost("there is no dispatcher".to_owned()));
        };
        let appended = link.sent.append(&mut link.queue, parts, &self.hg);
        if let Err(error) = appended {
            if error.kind() != io::ErrorKind::StorageFull {
                // The dispatcher still runs its jobs; the next event gets
                // another one, with a new queue.
                link.set_unreported(0);
                self.link = None;
            }
            return Err(lost(frames::explain(&error, parts.settings)));
        }
        if parts.is_followed() || link.ring() {
            Ok(())
        } else {
            self.replace()
        }
    }

    /// The command that the caller calls `id` has ended, if its beginning was
    /// appended.
    pub(crate) fn end_command(&mut self, id: u64) {
        if let Some(link) = self.link_of_command() {
            // If it cannot be written, the process may be reported as killed.
            let _ = link.queue.end(id);
        }
    }

    /// All commands have ended.
    pub(crate) fn end_commands(&mut self) {
        if let Some(link) = self.link_of_command() {
            let _ = link.queue.end_all();
        }
    }

    /// This process is about to become another program, or has not become one.
    pub(crate) fn hide_commands(&mut self, is_hidden: bool) {
        if let Some(link) = self.link_of_command() {
            let _ = link.queue.hide_open(is_hidden);
        }
    }

    /// Where a command has begun that has not ended.
    fn link_of_command(&mut self) -> Option<&mut Link> {
        let link = self.link.as_mut().filter(|it| it.queue.has_open());
        link.filter(|it| it.is_intact())
    }

    /// The dispatcher that records are for, if that is another one.
    fn others_for_records(&mut self) -> Option<&mut Self> {
        let is_for_scripts =
            self.link.as_ref().is_some_and(|link| link.is_for_scripts);
        if is_for_scripts && self.for_records.is_none() {
            let mut others = Self::new(self.programs.clone());
            others.expect_records();
            self.for_records = Some(Box::new(others));
        }
        let others = self.for_records.as_deref_mut()?;
        others.set_hg(&self.hg);
        Some(others)
    }

    /// Why events of a dispatcher that is killed together with this process
    /// would be lost in silence, if so; once.
    pub fn take_no_page(&mut self) -> Option<String> {
        let others = self.for_records.as_mut();
        let others = others.and_then(|it| it.take_no_page());
        self.no_page.take().or(others)
    }

    /// The page of the dispatcher that was just given up: a program that finds
    /// it counts the same losses, unless the journal has them.
    pub fn take_given_up(&mut self) -> Option<String> {
        let others = self.for_records.as_mut();
        let given_up = self.given_up.take();
        given_up.or_else(|| others?.take_given_up())
    }

    /// Stores how many lost events are not in the journal, for a finder of the
    /// page, if this process is killed.
    pub fn set_unreported(&mut self, events: u64) {
        if let Some(link) = &mut self.link {
            link.set_unreported(events);
        } else if let Some(others) = &mut self.for_records {
            others.set_unreported(events);
        }
    }
}
