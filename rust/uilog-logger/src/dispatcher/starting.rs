//! Which dispatcher runs: how it is started, probed and replaced by another one
//! if it has died.
//!
//! Responsible for giving up a program that does nothing. Must not know what the
//! jobs are.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::loss::Loss;
use uilog_channel::page;
use uilog_channel::page::PageError;
use uilog_channel::settings::Settings;
use uilog_channel::wire::PROTOCOL;
use uilog_sys::spawn::Start;

use super::Dispatcher;
use super::Owner;
use super::link::Link;
use super::link::Queue;
use crate::agent_start;

/// How long `hg debuguilog` waits for the dispatcher.
const PROBE_BOUND: Duration = Duration::from_secs(5);
/// How many dispatchers in a row may die without claiming a job.
pub(super) const MAX_BARREN: u32 = 3;

impl Dispatcher {
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

    pub(super) fn open(
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

    /// The dispatcher has died: starts another one on the same queue.
    pub(super) fn replace(&mut self) -> Result<(), Loss> {
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
