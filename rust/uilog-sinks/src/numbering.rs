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
mod tests {
    use std::fs;

    use uilog_channel::journal::Failure;
    use uilog_channel::journal::FailureKind;

    use super::*;
    use crate::record::SCHEMA;

    fn definition(options: &[(&str, &str)]) -> SinkConfig {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let options = options.iter().map(|(n, v)| (bytes(n), bytes(v)));
        SinkConfig {
            name: "x".to_owned(),
            url: bytes("file:/x"),
            options: options.collect(),
        }
    }

    fn record(id: &str) -> Record {
        let id = id.to_owned();
        Record {
            id,
            ..Record::empty(SCHEMA)
        }
    }

    /// The number of another record, and what is reported.
    fn next(numbering: &mut Numbering) -> (Option<u64>, Option<String>) {
        let id = getrandom::u64().unwrap().to_string();
        let mut record = record(&id);
        let trouble = numbering.number(std::slice::from_mut(&mut record), 0);
        (record.sink.map(|it| it.number), trouble)
    }

    #[test]
    fn a_home_that_hangs_is_waited_for_once_and_reported_once() {
        let (release, released) = mpsc::channel::<u64>();
        let mut numbering =
            Numbering::start(&definition(&[]), move |request| {
                let number = released.recv().unwrap();
                let stream = "s".to_owned();
                Some(ReservedNumbers {
                    numbers: vec![
                        Some(Number { stream, number });
                        request?.hashes.len()
                    ],
                    trouble: None,
                })
            });
        let (number, trouble) = next(&mut numbering);
        assert_eq!(number, None);
        let trouble = trouble.unwrap();
        assert!(trouble.ends_with("has not answered for 1 s"), "{trouble}");
        assert!(numbering.thread.as_ref().unwrap().is_late);
        let is_late = |it: &Numbering| it.thread.as_ref().unwrap().is_late;
        for _ in 0..100 {
            assert_eq!(next(&mut numbering), (None, None));
            assert!(is_late(&numbering));
        }
        // What it says at last is for a record that has gone.
        for number in 1..=100 {
            release.send(number).unwrap();
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let number = loop {
            assert!(std::time::Instant::now() < deadline);
            match next(&mut numbering) {
                (Some(number), None) => break number,
                other => assert_eq!(other, (None, None)),
            }
            thread::yield_now();
        };
        assert_eq!(number, 2);
    }

    #[test]
    fn what_is_lost_before_is_skipped_unless_it_might_have_been_sampled() {
        let dir = tempfile::tempdir().unwrap();
        let block = format!("HOME={}\0", dir.path().display());
        let globals = Globals::new(&[], block.as_bytes());
        for (sample, expected) in [("1", [1, 7]), ("0.9", [1, 2])] {
            let sampled = definition(&[("sample", sample)]);
            let mut sampled = Numbering::new(&sampled, &globals).unwrap();
            let numbers = [0, 5].map(|lost| {
                let mut record = record(&format!("{sample} {lost}"));
                let one = std::slice::from_mut(&mut record);
                assert_eq!(sampled.number(one, lost), None);
                record.sink.unwrap().number
            });
            assert_eq!(numbers, expected);
            fs::remove_dir_all(globals.numbers.as_ref().unwrap()).unwrap();
        }
    }

    #[test]
    fn that_there_is_no_place_is_reported_by_one_process_of_many() {
        let dir = tempfile::tempdir().unwrap();
        // What others can write is not safe.
        let place = dir.path().join("uilog/numbers");
        fs::create_dir_all(&place).unwrap();
        use std::os::unix::fs::PermissionsExt;
        let everybodys = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&place, everybodys).unwrap();
        let state = dir.path().display();
        let block = format!("HOME=/nonexistent\0XDG_STATE_HOME={state}\0");
        let globals = Globals::new(&[], block.as_bytes());
        let process = || Numbering::new(&definition(&[]), &globals).unwrap();
        let mut first = process();
        let (number, trouble) = next(&mut first);
        assert_eq!(number, None);
        let trouble = trouble.unwrap();
        assert!(
            trouble.ends_with("other users can write there"),
            "{trouble}"
        );
        assert_eq!(next(&mut first), (None, None));
        // The journal does not have it yet.
        assert!(next(&mut process()).1.is_some());
        let journal = Journal::for_environment(block.as_bytes()).unwrap();
        let tell = |detail: &str| {
            let kind = FailureKind::Sink;
            let detail = format!("uilog.sink.{detail}");
            let failure = Failure::now(String::new(), b"", kind, 0, detail);
            journal.append(&failure).unwrap();
        };
        tell(&format!("y: {trouble}"));
        assert!(next(&mut process()).1.is_some());
        tell(&format!("x: {trouble}"));
        assert_eq!(next(&mut process()), (None, None));
    }

    #[test]
    fn each_place_that_a_sink_leads_to_has_its_own_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let block = format!("HOME={}\0X=1\0", dir.path().display());
        let globals = Globals::new(&[], block.as_bytes());
        for url in [
            "file:/x",
            "file:/$X",
            "file:/1-%Y",
            "unix:/x",
            "unix-dgram:/x",
            "syslog:",
            "syslog+tcp://x",
            "syslog+tls://x",
        ] {
            let definition = SinkConfig {
                url: url.as_bytes().to_vec(),
                ..definition(&[])
            };
            let mut numbering = Numbering::new(&definition, &globals).unwrap();
            assert_eq!(next(&mut numbering), (Some(1), None), "{url}");
        }
        for url in ["otlp:http://x", "nonsense:x"] {
            let definition = SinkConfig {
                url: url.as_bytes().to_vec(),
                ..definition(&[])
            };
            assert!(Numbering::new(&definition, &globals).is_none());
        }
    }
}
