//! Starts scripts as far as they may, and accounts for those that have ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::unistd::Pid;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::wire::Frame;
use uilog_channel::wire::Job;
use uilog_event::event::Event;
use uilog_sys::ended::Ended;

use super::Error;
use super::Exhausted;
use super::Server;
use super::reading;
use crate::running;
use crate::running::Script;
use crate::script::Outputs;
use crate::script::StartError;
use crate::script::explain_end;
use crate::script::start_script;
use crate::stderr::Capture;

/// How long to wait before trying again when the system is exhausted.
const EXHAUSTED_DELAY: Duration = Duration::from_millis(50);

/// How long to go on trying then.
const EXHAUSTED_BOUND: Duration = Duration::from_secs(60);

impl Server {
    /// Starts those of the scripts that may start now and could not before.
    pub(super) fn run_waiting(&mut self) -> Result<(), Error> {
        while self.is_behind && self.may_start() {
            let position = self.progress().scripts_at;
            if position >= self.position {
                self.is_behind = false;
                return Ok(());
            }
            let Some((bytes, next)) =
                self.feed.queue.frame(position).map_err(reading)?
            else {
                return Ok(());
            };
            match postcard::from_bytes::<Frame<'_>>(&bytes) {
                Ok(Frame::Job(job)) => {
                    if !self.run_job(&job, position, next)? {
                        return Ok(());
                    }
                }
                Ok(_) => self.progress().scripts_at = next,
                Err(_) => self.pass_unreadable(next)?,
            }
        }
        Ok(())
    }

    /// Whether a script may start, as far as known before it is read.
    pub(super) fn may_start(&self) -> bool {
        let is_waiting =
            self.exhausted.is_some_and(|it| Instant::now() < it.until);
        let is_terminated = self.terminated.load(Ordering::Relaxed);
        self.running.len() < self.max_scripts && !is_waiting && !is_terminated
    }

    /// Runs a job; false if it has to wait.
    pub(super) fn run_job(
        &mut self,
        job: &Job<'_>,
        position: u64,
        next: u64,
    ) -> Result<bool, Error> {
        self.max_scripts = job.limits.max_scripts.max(1) as usize;
        if !self.may_start() {
            return Ok(false);
        }
        let environment =
            self.feed.environment(job.environment_at).map_err(reading)?;
        self.environment = Arc::clone(&environment);
        self.report_predecessor();
        self.take_script(next)?;
        let (started, capture) = self.start(job, &environment);
        match started {
            Ok(pid) => {
                self.progress().started += 1;
                self.running.add(pid, job, environment, capture);
            }
            Err(error) if self.may_retry(&error) => {
                let progress = self.progress();
                progress.scripts -= 1;
                progress.scripts_at = position;
                self.count_taken();
                self.publish()?;
                return Ok(false);
            }
            Err(error) => {
                self.progress().not_started += 1;
                let Event { name, session, .. } = &job.event;
                let mut failure = Failure::now(
                    session.to_string(),
                    name,
                    FailureKind::NotStarted,
                    1,
                    error.to_string(),
                );
                failure.script = Some(Box::new(running::facts(job)));
                self.show(&failure);
                // Counted first: who dies in between leaves it to others.
                self.publish()?;
                self.reporter.report(failure, &environment);
            }
        }
        self.exhausted = None;
        self.publish()?;
        Ok(true)
    }

    /// Starts a job's script, and the capture of its standard error.
    pub(super) fn start(
        &mut self,
        job: &Job<'_>,
        environment: &[u8],
    ) -> (Result<Pid, StartError>, Option<Capture>) {
        let (is_batch, name_of) = (self.is_batch, self.name_of);
        if let Some(mut capture) = self.collector.capture() {
            let outputs = Outputs {
                stdout: None,
                stderr: capture.input(),
            };
            let started =
                start_script(job, environment, is_batch, outputs, name_of);
            match started {
                // The capture must not use up what the script needs.
                Err(error) if error.is_exhausted() => {}
                started => {
                    capture.close_input();
                    return (started, Some(capture));
                }
            }
        }
        let nowhere = Outputs::default();
        let started =
            start_script(job, environment, is_batch, nowhere, name_of);
        (started, None)
    }

    /// Such a frame exists only in a damaged queue; later frames are still
    /// delimited, so they may be readable.
    pub(super) fn pass_unreadable(&mut self, next: u64) -> Result<(), Error> {
        self.take_script(next)?;
        self.progress().not_started += 1;
        self.publish()?;
        let detail = "unreadable record in the queue";
        self.report(FailureKind::Lost, 1, detail);
        Ok(())
    }

    /// Notes that a script was claimed, before it is started: the next
    /// dispatcher must not run it again.
    pub(super) fn take_script(&mut self, next: u64) -> Result<(), Error> {
        let progress = self.progress();
        progress.scripts += 1;
        progress.scripts_at = next;
        self.count_taken();
        self.publish()
    }

    pub(super) fn count_taken(&mut self) {
        let taken = self.progress().scripts + self.seen;
        self.progress().taken = taken.max(self.taken_before);
    }

    /// Whether an error will pass; then nothing is started for a while.
    pub(super) fn may_retry(&mut self, error: &StartError) -> bool {
        let now = Instant::now();
        let since = self.exhausted.map_or(now, |it| it.since);
        let is_passing = error.is_exhausted() && now < since + EXHAUSTED_BOUND;
        if is_passing {
            let until = now + EXHAUSTED_DELAY;
            self.exhausted = Some(Exhausted { since, until });
        }
        is_passing
    }

    /// Reaps every script that has ended.
    pub(super) fn reap(&mut self) {
        while let Some((script, ended)) = self.running.reap() {
            self.account(script, ended);
        }
    }

    pub(super) fn account(&mut self, script: Script, ended: Ended) {
        if let Some(capture) = &script.capture {
            self.collector.script_ended(capture);
        }
        let progress = self.progress();
        let (kind, detail) = match ended {
            Ended::Exited(0) if !script.is_ending => {
                progress.succeeded += 1;
                (None, String::new())
            }
            _ if script.is_ending => {
                progress.timed_out += 1;
                let detail = "it timed out (uilog.script-timeout)";
                (Some(FailureKind::TimedOut), detail.to_owned())
            }
            ended => {
                progress.failed += 1;
                (Some(FailureKind::Failed), explain_end(ended))
            }
        };
        if let Some(kind) = kind {
            let failure = self.failed.add(script, ended, kind, detail);
            self.show(&failure);
            self.journal_failed(false);
        }
        // Only counters: if they cannot be shown, the scripts still run.
        let _ = self.publish();
    }

    /// Reports failed scripts to the journal, each as soon as its standard
    /// error is complete.
    pub(super) fn journal_failed(&mut self, is_last: bool) {
        for (failure, environment) in self.failed.take_ready(is_last) {
            self.reporter.report(failure, &environment);
        }
    }
}
