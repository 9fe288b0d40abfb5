//! hg's side of the dispatcher: starts it, and passes jobs to it.
//!
//! Nothing here waits: a job is appended to the queue, and a byte wakes the
//! dispatcher. If a dispatcher has died, another one is started on the same
//! queue; one that stalls is not waited for. If all processes are killed, the
//! queue's counter page (`page`) has what was lost.

mod link;

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::backoff::Backoff;
use uilog_channel::frames;
use uilog_channel::frames::JobParts;
use uilog_channel::frames::Task;
use uilog_channel::loss::Loss;
use uilog_channel::page;
use uilog_channel::page::PageError;
use uilog_channel::queue::Delivery;
use uilog_channel::queue::Progress;
use uilog_channel::settings::Settings;
use uilog_channel::wire::PROTOCOL;
use uilog_event::event::SessionId;
use uilog_sys::spawn::Start;

use self::link::Link;
use self::link::Queue;
use crate::agent_start;
use crate::installation::Programs;

/// How long `hg debuguilog` waits for the dispatcher.
const PROBE_BOUND: Duration = Duration::from_secs(5);
/// When hg ends, a dispatcher that replaces one that did nothing has so long to
/// claim its first job.
const BARREN_GRACE: Duration = Duration::from_millis(20);
/// How often to check for a verdict.
const VERDICT_STEP: Duration = Duration::from_millis(1);
/// How often to check whether the dispatcher still runs.
const LOOK_STEP: Duration = Duration::from_millis(50);
/// How many dispatchers in a row may die without claiming a job.
const MAX_BARREN: u32 = 3;

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

    /// The program that the next dispatcher is to run; whether it is one for
    /// scripts alone.
    fn choose(&self) -> Result<(PathBuf, bool), String> {
        let scripts = self.programs.scripts.as_ref();
        let scripts = scripts.filter(|it| {
            !self.has_records && agent_start::check_program(it).is_ok()
        });
        if let Some(scripts) = scripts {
            return Ok((scripts.clone(), true));
        }
        let all = &self.programs.all;
        agent_start::check_program(all).map(|()| (all.clone(), false))
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

    /// Starts the dispatcher if none runs, and waits until it serves the
    /// queue; for `hg debuguilog`, which has the time. Without an owner nothing
    /// is created that has a name.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn probe(
        &mut self,
        settings: &Settings,
        owner: Option<Owner<'_>>,
    ) -> Result<(), String> {
        let probed = self.probe_once(settings, owner);
        let is_other = !self.has_records && self.programs.scripts.is_some();
        if probed.is_err() && is_other {
            // It may be that only the one for scripts alone does not work.
            self.programs.scripts = None;
            self.link = None;
            return self.probe_once(settings, owner);
        }
        probed
    }

    fn probe_once(
        &mut self,
        settings: &Settings,
        owner: Option<Owner<'_>>,
    ) -> Result<(), String> {
        if self.link.is_none() {
            self.open(settings, Start::Wait(PROBE_BOUND), owner)?;
        }
        let Some(link) = &self.link else {
            return Ok(());
        };
        let deadline = Instant::now() + PROBE_BOUND;
        while link.progress().readers == 0 {
            if !link.ring() {
                return Err("it ends before it has done anything".to_owned());
            }
            if Instant::now() > deadline {
                return Err("it does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
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

    fn open(
        &mut self,
        settings: &Settings,
        start: Start,
        owner: Option<Owner<'_>>,
    ) -> Result<(), String> {
        let program = self.choose()?;
        let max_bytes = settings.queue_bytes;
        let queue = match owner {
            Some(owner) => self.create_queue(&program.0, owner, max_bytes)?,
            None => Queue::without_page(max_bytes)?,
        };
        self.start(program, queue, start)
    }

    /// A queue with a page that has a name; without one if none can be had.
    fn create_queue(
        &mut self,
        program: &Path,
        owner: Owner<'_>,
        max_bytes: u64,
    ) -> Result<Queue, String> {
        let Owner {
            environment,
            session,
        } = owner;
        match page::make(environment, session, program, max_bytes) {
            Ok(made) => Queue::with_page(made, max_bytes),
            Err(PageError::TooMany) => Err(format!(
                "{} dispatch has not begun, nor have earlier ones",
                program.display()
            )),
            Err(PageError::NoPlace(problem)) => {
                // Without any queue there is another problem.
                let queue = Queue::without_page(max_bytes)?;
                if !self.has_lacked_page {
                    self.no_page = Some(problem);
                }
                self.has_lacked_page = true;
                Ok(queue)
            }
        }
    }

    /// Starts a dispatcher on `queue`: a program, and whether that is one for
    /// scripts alone.
    fn start(
        &mut self,
        program: (PathBuf, bool),
        queue: Queue,
        start: Start,
    ) -> Result<(), String> {
        let link = Link::start(program, queue, start)?;
        self.link = Some(link);
        self.starts += 1;
        Ok(())
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

    /// Waits at most `bound` until the result of every job is known; returns
    /// whether it is. hg never calls this.
    ///
    /// # Errors
    ///
    /// What was lost because no dispatcher could be kept running.
    pub fn await_verdict(&mut self, bound: Duration) -> Result<bool, Loss> {
        let deadline = Instant::now() + bound;
        let mut look_at = Instant::now() + LOOK_STEP;
        while let Some(status) = self.own_status() {
            if status.progress.done() >= status.jobs {
                break;
            }
            let now = Instant::now();
            if now > deadline {
                return Ok(false);
            }
            if now > look_at {
                look_at = now + LOOK_STEP;
                if self.link.as_ref().is_some_and(|link| !link.ring()) {
                    self.replace()?;
                }
            }
            std::thread::sleep(VERDICT_STEP);
        }
        match &mut self.for_records {
            Some(others) => others.await_verdict(
                deadline.saturating_duration_since(Instant::now()),
            ),
            None => Ok(true),
        }
    }

    /// Whether there may be jobs that are not done; `answers` as for
    /// [`crate::record_queue::RecordQueue::may_be_undelivered`], `is_for_all`
    /// whether scripts count that have not ended.
    pub(crate) fn may_be_undelivered(
        &self,
        answers: bool,
        is_for_all: bool,
    ) -> bool {
        let Some(link) = self.link.as_ref().filter(|it| it.is_intact()) else {
            return false;
        };
        let jobs = link.queue.committed().jobs;
        let progress = link.progress();
        let has_records = jobs > progress.scripts;
        let waits = progress.done() < jobs;
        has_records && answers
            || waits && (is_for_all || answers)
            || is_for_all && progress.running() > 0
    }

    /// Asks the dispatcher to deliver everything without delay, and to answer
    /// afterwards. A dead one is replaced.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub(crate) fn ask_for_delivery(&mut self) -> Result<(), Loss> {
        let Some(link) = self.link.as_ref().filter(|it| it.is_intact()) else {
            return Ok(());
        };
        // If it cannot be written, no answer comes.
        let _ = link.queue.ask_for_delivery();
        if link.ring() { Ok(()) } else { self.replace() }
    }

    /// How far the delivery is; with `is_for_all`, until every script has
    /// ended.
    pub(crate) fn delivery(&self, is_for_all: bool) -> Delivery {
        let Some(link) = self.link.as_ref().filter(|it| it.is_intact()) else {
            return Delivery::Done;
        };
        let progress = link.progress();
        let jobs = link.queue.committed().jobs;
        if is_for_all && (progress.done() < jobs || progress.running() > 0) {
            return Delivery::Pending;
        }
        link.queue.delivery()
    }

    /// The last check of the dispatcher, at an ordinary end of hg: if it has
    /// died with jobs waiting, no other process will notice.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    pub fn finish(&mut self) -> Result<(), Loss> {
        let own = self.finish_own();
        let others = match &mut self.for_records {
            Some(others) => others.finish(),
            None => Ok(()),
        };
        match (own, others) {
            (Err(own), Err(others)) => Err(Loss {
                events: own.events + others.events,
                reason: own.reason,
            }),
            (own, others) => own.and(others),
        }
    }

    fn finish_own(&mut self) -> Result<(), Loss> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        if !link.is_intact() {
            return Ok(());
        }
        // After a dispatcher that did nothing, the next one gets a moment to
        // begin; one that works costs no wait.
        let deadline = Instant::now() + BARREN_GRACE;
        while link.is_served() {
            let is_doubtful = self.barren > 0 && link.is_barren();
            if !is_doubtful || Instant::now() > deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // There will be no other chance to see that one more does nothing.
        if link.is_barren() {
            self.barren = MAX_BARREN;
        }
        self.replace()
    }

    /// The dispatcher has died: starts another one on the same queue.
    fn replace(&mut self) -> Result<(), Loss> {
        let Some(mut link) = self.link.take() else {
            return Ok(());
        };
        // A finder of the page must not count what this process will report.
        link.set_unreported(0);
        let progress = link.progress();
        // Jobs that it had claimed but not started count, too: its successor
        // accounts for them.
        let undone =
            link.queue.committed().jobs.saturating_sub(progress.done());
        let unreported = progress.unreported();
        // A dispatcher must see how this process ends.
        let has_open = link.queue.has_open();
        if undone + unreported == 0 && !has_open {
            link.remove_page();
            return Ok(());
        }
        self.given_up = link.path.as_deref().and_then(page::id_of);
        if undone == 0 && unreported > 0 {
            // All jobs are done, but some losses were not reported.
            let failure = link.queue.last_failure().ok().flatten();
            let failure = failure.unwrap_or_default();
            return Err(Loss {
                events: unreported,
                reason: format!(
                    "they were lost, or being delivered, when the dispatcher \
                     was killed: {failure}"
                ),
            });
        }
        let lost = |reason: String| Loss {
            events: undone + unreported,
            reason,
        };
        let refused_by = progress.refused_by;
        if link.is_for_scripts && (refused_by != 0 || link.is_barren()) {
            // The other program is used, whatever is wrong with this one.
            self.programs.scripts = None;
        }
        if refused_by != 0 {
            return Err(lost(self.backoff.failed(format!(
                "{} speaks protocol {refused_by}, this hg {PROTOCOL}",
                link.program.display()
            ))));
        }
        self.barren = if link.is_barren() { self.barren + 1 } else { 0 };
        if self.barren >= MAX_BARREN {
            self.barren = 0;
            return Err(lost(self.backoff.failed(format!(
                "{} dispatch ends before it has done anything",
                link.program.display()
            ))));
        }
        let Link {
            queue, sent, path, ..
        } = link;
        let Some(writer) = queue.into_inner() else {
            return Ok(());
        };
        self.choose()
            .and_then(|program| {
                let queue = Queue::again(writer, path, &progress)?;
                self.start(program, queue, Start::NoWait)
            })
            .map_err(|reason| lost(self.backoff.failed(reason)))?;
        self.given_up = None;
        if let Some(link) = &mut self.link {
            link.sent = sent;
            link.taken_at_start = progress.taken;
            // Nothing may be appended for long.
            let _ = link.queue.publish_reader();
            link.ring();
        }
        Ok(())
    }
}
