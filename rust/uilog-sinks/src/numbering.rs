//! Numbers for the records of a sink without a spool.
//!
//! Responsible for which records share a sequence of numbers (those of a user
//! on a machine whose sinks have the same name and target), and for reporting
//! that there are no numbers. Must not know how a record is delivered, and must
//! not block: the numbers are in a directory of the user's home, which may
//! hang. So a separate thread assigns them, and if it does not answer, records
//! have no numbers.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::TryRecvError;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use chrono::DateTime;
use chrono::Utc;
use uilog_channel::journal::Journal;
use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_config::items::Value;

use crate::globals::Globals;
use crate::numbers;
use crate::numbers::Hash;
use crate::numbers::Number;
use crate::numbers::Numbers;
use crate::record::Numbered;
use crate::record::Record;
use crate::target::Target;

/// How long numbers are waited for.
const BOUND: Duration = Duration::from_secs(1);
/// How long an unused stream is kept.
const UNUSED: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// How many bytes of a hash are in file names: all sinks share a directory.
const KEY_BYTES: usize = 8;
/// What a report begins with.
const UNNUMBERED: &str = "its records have no numbers";
/// How long a report holds: `uilog check` shows those of the last 24 hours.
const REPORT_HOLDS: Duration = Duration::from_secs(12 * 60 * 60);
/// More than the thread needs, and less than a thread has by default.
const STACK_BYTES: usize = 256 * 1024;

/// A request to the thread.
#[derive(Debug)]
struct Request {
    /// The records' ids.
    hashes: Vec<Hash>,
    /// How many numbers to leave out before those.
    skipped: u64,
}

/// What the thread has reserved.
#[derive(Debug)]
struct ReservedNumbers {
    /// One for each hash.
    numbers: Vec<Option<Number>>,
    /// Why there is not a number for each, if that must be reported.
    trouble: Option<String>,
}

/// Assigns numbers to the records of a sink.
#[derive(Debug)]
pub(crate) struct Numbering {
    sink: String,
    /// Whether some of the lost records might not have been numbered.
    is_sampled: bool,
    thread: Result<Thread, String>,
    /// Whether it has been reported that there are no numbers.
    is_reported: bool,
}

#[derive(Debug)]
struct Thread {
    /// None: there is nothing to do for a while.
    requests: Sender<Option<Request>>,
    answers: Receiver<ReservedNumbers>,
    /// Whether an answer is still expected that this thread no longer waits
    /// for.
    is_late: bool,
}

impl Numbering {
    /// That of a sink, unless it has a spool, where records have their numbers,
    /// or leads nowhere.
    pub(crate) fn new(
        definition: &SinkConfig,
        globals: &Globals,
    ) -> Option<Self> {
        let target = target(definition, globals)?;
        let of = [
            globals.host.as_bytes(),
            definition.name.as_bytes(),
            &target.to_bytes(),
        ];
        let mut thread = NumberThread {
            dir: globals.numbers.clone(),
            home: globals.home.clone(),
            key: numbers::key(&of.join(&0), KEY_BYTES),
            numbers: None,
            reports: Reports {
                sink: definition.name.clone(),
                environment: globals.environment_of_journal(),
                is_reported: false,
            },
        };
        Some(Self::start(definition, move |request| {
            let Some(request) = request else {
                thread.numbers = None;
                return None;
            };
            Some(thread.reserve(request))
        }))
    }

    /// Whether a sink's records have their numbers from here.
    pub(crate) fn is_for(definition: &SinkConfig, globals: &Globals) -> bool {
        target(definition, globals).is_some()
    }

    fn start(
        definition: &SinkConfig,
        mut take: impl FnMut(Option<&Request>) -> Option<ReservedNumbers>
        + Send
        + 'static,
    ) -> Self {
        let (requests, asked) = mpsc::channel::<Option<Request>>();
        let (answer, answers) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("numbers".to_owned())
            .stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            for request in asked {
                let taken = take(request.as_ref());
                if taken.is_some_and(|it| answer.send(it).is_err()) {
                    return;
                }
            }
        });
        let thread = Thread {
            requests,
            answers,
            is_late: false,
        };
        Self {
            sink: definition.name.clone(),
            is_sampled: definition.option("sample") != Value::Fraction(1.0),
            thread: started
                .map(|_| thread)
                .map_err(|error| format!("cannot start a thread: {error}")),
            is_reported: false,
        }
    }

    /// After some idle time: closes the directory and the file.
    pub(crate) fn rest(&self) {
        if let Ok(thread) = &self.thread {
            // If it has ended, it has none.
            let _ = thread.requests.send(None);
        }
    }

    /// Assigns numbers to these records, if possible. `lost` records before
    /// them get numbers as well, so that the receiver notices them. Returns a
    /// problem to report.
    pub(crate) fn number(
        &mut self,
        records: &mut [Record],
        lost: u64,
    ) -> Option<String> {
        let request = Request {
            hashes: records
                .iter()
                .map(|record| numbers::hash(record.id.as_bytes()))
                .collect(),
            // Which of them would have been sampled is not known.
            skipped: if self.is_sampled { 0 } else { lost },
        };
        if request.hashes.is_empty() && request.skipped == 0 {
            return None;
        }
        let asked = match &mut self.thread {
            Ok(thread) => thread.ask(request),
            Err(error) => Err(Some(error.clone())),
        };
        let answer = match asked {
            Ok(answer) => answer,
            Err(why) => {
                let is_known = std::mem::replace(&mut self.is_reported, true);
                let why = why.filter(|_| !is_known)?;
                return Some(report(&why));
            }
        };
        for (record, number) in records.iter_mut().zip(answer.numbers) {
            record.sink = number.map(|Number { stream, number }| Numbered {
                name: self.sink.clone(),
                stream,
                number,
            });
        }
        answer.trouble
    }
}

/// Where a sink leads that has no spool.
fn target(definition: &SinkConfig, globals: &Globals) -> Option<Target> {
    let target = Target::parse(&definition.url, globals.environment());
    target.ok().filter(|it| !matches!(it, Target::Otlp(_)))
}

impl Thread {
    /// Sends a request and waits for the answer; otherwise returns why there is
    /// none, the first time.
    fn ask(
        &mut self,
        request: Request,
    ) -> Result<ReservedNumbers, Option<String>> {
        const ENDED: &str = "their thread has ended";

        if self.is_late {
            match self.answers.try_recv() {
                // It belongs to records that were sent without numbers.
                Ok(_) => self.is_late = false,
                Err(TryRecvError::Empty) => return Err(None),
                Err(TryRecvError::Disconnected) => {
                    return Err(Some(ENDED.to_owned()));
                }
            }
        }
        if self.requests.send(Some(request)).is_err() {
            return Err(Some(ENDED.to_owned()));
        }
        self.answers
            .recv_timeout(BOUND)
            .map_err(|error| match error {
                RecvTimeoutError::Disconnected => Some(ENDED.to_owned()),
                RecvTimeoutError::Timeout => {
                    self.is_late = true;
                    let bound = BOUND.as_secs();
                    Some(format!(
                        "the file system has not answered for {bound} s"
                    ))
                }
            })
    }
}

fn report(why: &str) -> String {
    format!("{UNNUMBERED}, so losses cannot be noticed: {why}")
}

/// What the thread does.
struct NumberThread {
    dir: Result<PathBuf, String>,
    home: Option<PathBuf>,
    key: String,
    numbers: Option<Numbers>,
    reports: Reports,
}

impl NumberThread {
    fn reserve(&mut self, request: &Request) -> ReservedNumbers {
        let mut numbers = vec![None; request.hashes.len()];
        let result = self.fill(request, &mut numbers);
        let trouble = result.err().filter(|_| self.reports.is_due());
        ReservedNumbers {
            numbers,
            trouble: trouble.map(|why| report(&why)),
        }
    }

    fn fill(
        &mut self,
        request: &Request,
        all: &mut Vec<Option<Number>>,
    ) -> Result<(), String> {
        let dir = self.dir.clone()?;
        let shown = |error: io::Error| format!("{}: {error}", dir.display());
        let numbers = match &mut self.numbers {
            Some(numbers) => numbers,
            none => none.insert(open(&dir, self.home.as_deref(), &self.key)?),
        };
        numbers.skip(request.skipped).map_err(shown)?;
        let (taken, result) = numbers.number(&request.hashes);
        *all = taken;
        result.map_err(shown)
    }
}

fn open(dir: &Path, home: Option<&Path>, key: &str) -> Result<Numbers, String> {
    let prepared = uilog_spool::prepare_dir(dir, home);
    prepared.map_err(|error| error.to_string())?;
    let numbers = Numbers::open(dir, key)
        .map_err(|error| format!("{}: {error}", dir.display()))?;
    if numbers.is_new() {
        numbers.remove_unused(UNUSED, SystemTime::now());
    }
    Ok(numbers)
}

/// What was reported, because each command would report it again, and the
/// journal is small.
struct Reports {
    sink: String,
    environment: Vec<u8>,
    is_reported: bool,
}

impl Reports {
    /// Whether missing numbers must be reported now.
    fn is_due(&mut self) -> bool {
        if std::mem::replace(&mut self.is_reported, true) {
            return false;
        }
        let journal = Journal::for_environment(&self.environment);
        let failures = journal.map(|it| it.read()).unwrap_or_default();
        let (section, prefix) = (sink_config::SECTION, sink_config::PREFIX);
        // As the dispatcher says it.
        let begins = format!("{section}.{prefix}{}: {UNNUMBERED}", self.sink);
        let now = Utc::now();
        let is_known = failures.iter().any(|failure| {
            let time = DateTime::parse_from_rfc3339(&failure.time);
            let age =
                time.ok().and_then(|it| (now - it.to_utc()).to_std().ok());
            failure.detail.starts_with(&begins)
                && age.is_some_and(|age| age < REPORT_HOLDS)
        });
        !is_known
    }
}
#[cfg(test)]
mod tests;
