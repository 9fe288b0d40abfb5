//! Sends all waiting records of a spool, for the signals whose collector may be
//! contacted.
//!
//! Must not know which thread does so, or when.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use uilog_spool::Batch;
use uilog_spool::CHANNELS;
use uilog_spool::Error;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_sys::own_dir::OwnDir;

use super::page::Page;
use super::page::Progress;
use super::page::SharedSender;
use super::page::lock;
use crate::otlp::accepted::Accepted;
use crate::otlp::backoff::Backoff;
use crate::otlp::http::RequestSender;
use crate::otlp::losses::Reports;
use crate::otlp::request::SignalType;
use crate::otlp::ship::Outcome;
use crate::otlp::ship::Shipper;
use crate::otlp::unsaved_progress;

/// Records of a batch at most: some requests, so that one can be made while
/// another is looked at.
const MAX_RECORDS: usize = 2048;
/// Maximum bytes of payloads in a batch: less than three complete requests,
/// which are never quite full, so that no fourth one has only a few records.
/// The whole batch is in memory, and the contents of two requests, for each
/// signal.
const MAX_BYTES: usize = 704 * 1024;
/// How long another sender is left alone before it is made sure that it lives.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// How long a spool is left alone that cannot be read.
pub(super) const UNREADABLE: Duration = Duration::from_secs(10);
/// Why nothing is sent although the collector takes it.
pub const UNNOTED: &str = "sent records cannot be marked as sent";
/// How often it is looked once more in one go.
const MAX_LOOKS: u32 = 16;

/// How it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// Nothing is left.
    Drained,
    /// Another process is sending.
    Busy,
    /// Delivery fails at present, at least of one signal.
    Later {
        /// How long to wait before the next attempt.
        wait: Duration,
        /// Why.
        reason: String,
    },
    /// The spool cannot be read or locked.
    Failed(String),
}

/// How a flush has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flushed {
    /// The progress.
    pub progress: Progress,
    /// Why something is left, if it is.
    pub end: SendResult,
    /// For each channel, why records of that signal are left.
    pub waiting: [Option<String>; CHANNELS],
    /// Why something has been rejected, of the first.
    pub rejection: Option<String>,
}

/// Sends the records of a spool.
#[derive(Debug)]
pub struct Sending<P> {
    spool: Spool,
    /// Of each signal; who sends it has it locked.
    shippers: [Mutex<Shipper<P>>; CHANNELS],
    progress: Progress,
    rejection: Option<String>,
    /// Why each signal waits since the last round, by its channel.
    waits: [Option<Wait>; CHANNELS],
    reports: Option<Reports>,
}

/// Why a signal waits, and for how long.
#[derive(Clone, Debug)]
struct Wait {
    time: Duration,
    reason: String,
}

impl<P: RequestSender> Sending<P> {
    /// Sends the records in `spool` to the collector of each signal.
    pub fn new(
        spool: &Spool,
        collector: impl Fn(SignalType) -> P,
        resource: &[(String, String)],
    ) -> Self {
        let shipper = |kind| {
            let collector = collector(kind);
            Mutex::new(Shipper::new(collector, kind, resource.to_vec()))
        };
        Self {
            spool: spool.clone(),
            shippers: SignalType::ALL.map(shipper),
            progress: Progress::default(),
            rejection: None,
            waits: [const { None }; CHANNELS],
            reports: None,
        }
    }

    /// Reports losses to the collector, too.
    #[must_use]
    pub fn reporting(mut self, reports: Option<Reports>) -> Self {
        self.reports = reports;
        self
    }

    /// Sends all waiting records, even if the collector has asked to wait.
    pub fn flush(
        mut self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Flushed {
        let end = self.send_and_recheck(true, progress, &mut || {});
        Flushed {
            progress: self.progress,
            end,
            waiting: self.waits.map(|it| it.map(|it| it.reason)),
            rejection: self.rejection,
        }
    }

    /// Nothing is sent for a while: releases what only sending needs.
    pub(super) fn rest(&self) {
        self.shippers.iter().for_each(|it| lock(it).rest());
    }

    /// Sends all that waits, if the collector may be asked.
    pub fn round(&mut self) -> SendResult {
        self.send_and_recheck(false, &mut |_| {}, &mut || {})
    }

    /// Sends, and then checks once more: a process that has appended after the
    /// last check has found the lock taken, and relies on its holder.
    /// `unlocking` is called in between.
    pub(super) fn send_and_recheck(
        &mut self,
        is_forced: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
        unlocking: &mut dyn FnMut(),
    ) -> SendResult {
        self.waits = [const { None }; CHANNELS];
        for _ in 0..MAX_LOOKS {
            let now = SystemTime::now();
            // What is in the files below it is a hint only.
            let dir = OwnDir::beside_users_file(self.spool.dir()).ok();
            let mut is_due = [true; CHANNELS];
            for kind in SignalType::ALL {
                let channel = kind.channel();
                if self.waits[channel].is_none() && !is_forced {
                    let dir = dir.as_ref();
                    self.waits[channel] =
                        dir.and_then(|dir| backoff(dir, kind, now));
                }
                is_due[channel] = self.waits[channel].is_none();
            }
            if !is_due.contains(&true) {
                break;
            }
            let sender = match Sender::try_lock(&self.spool) {
                Ok(Some(sender)) => sender,
                Ok(None) => return SendResult::Busy,
                Err(error) => return SendResult::Failed(error.to_string()),
            };
            let drained =
                self.drain(sender, is_due, is_forced, progress, unlocking);
            match drained {
                Ok(new) => {
                    for (wait, new) in self.waits.iter_mut().zip(new) {
                        *wait = wait.take().or(new);
                    }
                }
                Err(error) => return SendResult::Failed(error.to_string()),
            }
            let is_due: [bool; CHANNELS] =
                std::array::from_fn(|it| self.waits[it].is_none());
            if !self.spool.has_pending(is_due).unwrap_or(false) {
                break;
            }
        }
        joined(self.spool.dir(), &self.waits)
    }

    /// Sends what waits of the signals that are due; returns why and for how
    /// long each of them has to wait, if so.
    fn drain(
        &mut self,
        sender: Sender,
        is_due: [bool; CHANNELS],
        is_forced: bool,
        progress: &mut (dyn FnMut(Progress) + Send),
        unlocking: &mut dyn FnMut(),
    ) -> Result<[Option<Wait>; CHANNELS], Error> {
        let reports = self.reports.as_ref();
        let desk = Mutex::new(SharedSender {
            spool: &self.spool,
            report: reports.and_then(|it| it.due(&self.spool)),
            sender,
            is_forced,
            progress: self.progress,
            rejection: self.rejection.take(),
            unsaved: None,
            tell: progress,
        });
        let dir = self.spool.dir();
        // Each signal's records are read once, even if there are none.
        let batches =
            lock(&desk)
                .sender
                .next_batches(is_due, MAX_RECORDS, MAX_BYTES);
        let is_some = |batch: &Option<Result<Batch, Error>>| {
            let batch = batch.as_ref().and_then(|it| it.as_ref().ok());
            batch.is_some_and(|it| !it.is_empty())
        };
        let are_both = batches.iter().all(is_some);
        let batches = batches.map(Mutex::new);
        let drain = |kind: SignalType| {
            let Some(batch) = lock(&batches[kind.channel()]).take() else {
                return Ok(None);
            };
            let mut shipper = lock(&self.shippers[kind.channel()]);
            drain_signal(&mut shipper, &desk, dir, batch?)
        };
        let [first, second] = SignalType::ALL;
        let results = if are_both {
            thread::scope(|scope| {
                let thread =
                    thread::Builder::new().name("uilog-signal".to_owned());
                let thread = thread.spawn_scoped(scope, || drain(first));
                let of_second = drain(second);
                let of_first = match thread {
                    // If it has panicked, that was reported.
                    Ok(thread) => thread.join().unwrap_or(Ok(None)),
                    Err(_) => drain(first),
                };
                [of_first, of_second]
            })
        } else {
            [drain(first), drain(second)]
        };
        unlocking();
        let desk = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.progress = desk.progress;
        self.rejection = desk.rejection;
        let Some(error) = desk.unsaved else {
            let [of_first, of_second] = results;
            return Ok([of_first?, of_second?]);
        };
        // The next sender would send the same records again, so it has to wait.
        let now = SystemTime::now();
        let mut waits = results.map(|it| it.unwrap_or(None));
        for kind in SignalType::ALL {
            let time = unsaved_progress::mark(dir, kind, now, random());
            waits[kind.channel()].get_or_insert_with(|| Wait {
                time,
                reason: format!("{UNNOTED}: {error}"),
            });
        }
        Ok(waits)
    }
}

/// Why a signal must not be sent now, and for how long.
fn backoff(dir: &OwnDir, kind: SignalType, now: SystemTime) -> Option<Wait> {
    let backoff = Backoff::load_in(dir, kind, now);
    if let Some(time) = backoff.wait(now) {
        let reason = backoff.reason;
        return Some(Wait { time, reason });
    }
    let time = unsaved_progress::wait_in(dir, kind, now)?;
    let reason = UNNOTED.to_owned();
    Some(Wait { time, reason })
}

/// What a round has come to.
fn joined(spool: &Path, waits: &[Option<Wait>; CHANNELS]) -> SendResult {
    let of = |kind: SignalType| {
        let wait = waits[kind.channel()].as_ref()?;
        Some((kind, &*wait.reason))
    };
    let times = waits.iter().flatten().map(|it| it.time);
    let Some(wait) = times.min() else {
        return SendResult::Drained;
    };
    let waiting: Vec<_> = SignalType::ALL.into_iter().filter_map(of).collect();
    let reason = Refused::new(spool, &waiting).reason;
    SendResult::Later { wait, reason }
}

/// What a collector does not take now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The signal, if it takes the other one.
    pub only: Option<SignalType>,
    /// Why.
    pub reason: String,
}

impl Refused {
    /// Of the signals that wait, and why each does.
    pub fn new(spool: &Path, waiting: &[(SignalType, &str)]) -> Self {
        let named =
            |it: &(SignalType, &str)| format!("{}: {}", it.0.name(), it.1);
        let is_taken = |kind: SignalType| {
            let is_other = waiting.iter().all(|it| it.0 != kind);
            is_other && Accepted::load(spool, kind).is_any()
        };
        let is_other_taken = SignalType::ALL.into_iter().any(is_taken);
        match waiting {
            [one] if is_other_taken => Self {
                only: Some(one.0),
                reason: named(one),
            },
            [first, others @ ..] if others.iter().all(|it| it.1 == first.1) => {
                Self {
                    only: None,
                    reason: first.1.to_owned(),
                }
            }
            all => Self {
                only: None,
                reason: all.iter().map(named).collect::<Vec<_>>().join("; "),
            },
        }
    }
}

/// Sends what waits of a signal, this batch first; returns why and for how long
/// the signal has to wait, if so.
fn drain_signal<P: RequestSender>(
    shipper: &mut Shipper<P>,
    desk: &Mutex<SharedSender<'_>>,
    dir: &Path,
    mut batch: Batch,
) -> Result<Option<Wait>, Error> {
    let kind = shipper.kind();
    if batch.is_empty() {
        return Ok(None);
    }
    // Again: another sender may have failed until this one had the lock.
    let mut backoff = Backoff::load(dir, kind, SystemTime::now());
    while !batch.is_empty() {
        let mut page = Page {
            desk,
            batch: &batch,
            settled: 0,
            dir,
            kind,
            settings: shipper.settings(),
            accepted: Accepted::load(dir, kind),
            backoff: &mut backoff,
        };
        match shipper.ship(batch.records(), &mut page) {
            Outcome::Done => {}
            Outcome::Later { after, reason } => {
                lock(desk).sender.retry(batch);
                let now = SystemTime::now();
                backoff.fail(now, after, &reason, random());
                let time = backoff.wait(now).unwrap_or_default();
                // If the delay cannot be saved, this process observes it
                // nevertheless, but the next one does not.
                let noted = backoff.save(dir, kind).or_else(|error| {
                    let marked =
                        unsaved_progress::mark_until(dir, kind, now + time);
                    marked.map_err(|_| error)
                });
                let reason = match noted {
                    Ok(()) => reason,
                    Err(error) => format!(
                        "{reason}; the time of the next attempt cannot be \
                         written to \
                         {}: {error}",
                        dir.display()
                    ),
                };
                return Ok(Some(Wait { time, reason }));
            }
        }
        batch = lock(desk).sender.next_batch_of(
            kind.channel(),
            MAX_RECORDS,
            MAX_BYTES,
        )?;
    }
    Ok(None)
}

/// From 0 to 1.
fn random() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / f64::from(u32::MAX)
}
