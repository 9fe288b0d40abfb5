//! The process that logs the command, and how the other process waits for it.
//!
//! Everything that touches a file runs in a separate process, the logger,
//! because the configuration or a log may be on a file system that does not
//! answer. The process that waits for the command sends the logger the
//! command's end, and waits for it at most [`LOGGING_BOUND`]. If the logger has
//! not finished by then, another process, the counter, writes the losses to the
//! journal; it is waited for at most [`COUNTING_BOUND`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::loss::Loss;
use uilog_config::Environment;
use uilog_config::Request;
use uilog_config::installation;
use uilog_event::command::CommandLine;
use uilog_event::command::options;
use uilog_event::command::options::EarlyOptions;
use uilog_event::event::Timestamp;
use uilog_logger::claim::OuterClaim;
use uilog_logger::host::Host;
use uilog_sys::foreground::Companion;
use uilog_sys::foreground::ExitKind;
use uilog_sys::foreground::Inbox;
use uilog_sys::foreground::Message;
use uilog_sys::foreground::ProgramEnd;
use uilog_sys::foreground::Received;
use uilog_sys::foreground::WaitResult;

use crate::native as own;
use crate::place::ConfigArguments;
use crate::run::watch;
use crate::run::watch::Abandoned;
use crate::run::watch::Ended;
use crate::run::watch::Ledger;
use crate::run::watch::Watch;

/// How long the logger may take after the command has ended.
const LOGGING_BOUND: Duration = Duration::from_millis(1500);
/// How long the counter may take after that. Both together are two seconds,
/// which docs/safety.md promises.
const COUNTING_BOUND: Duration = Duration::from_millis(500);
/// How long a logger is waited for that has hardly had the processor.
const BUSY_BOUND: Duration = Duration::from_secs(10);
/// How often is looked whether it has had it.
const BUSY_STEP: Duration = Duration::from_millis(100);
/// How often the counter looks whether the logger has finished after all.
const COUNTER_STEP: Duration = Duration::from_millis(10);

/// What is known about the command when it has been started.
pub(super) struct Subject<'a> {
    pub(super) place: &'a ConfigArguments,
    /// The program, as it was found.
    pub(super) file: Option<PathBuf>,
    pub(super) line: CommandLine,
    pub(super) pid: u32,
    pub(super) started: Timestamp,
    pub(super) began: Instant,
    pub(super) outer: Option<OuterClaim>,
}

/// The logger, as the process sees it that waits for the command.
pub(super) struct Logging {
    host: Host,
    /// The word that an hg inside looks at stays open until the end.
    outer: Option<OuterClaim>,
    /// Why there is no logger, if so.
    companion: Result<Companion, String>,
}

impl Logging {
    pub(super) fn start(host: Host, mut subject: Subject<'_>) -> Self {
        let fd = subject.outer.as_ref().map(OuterClaim::raw_fd);
        let keep: Vec<_> = fd.into_iter().collect();
        // Both processes have each of these; taking one here does not affect
        // the other process.
        let mut host = Some(host);
        let companion = Companion::start(&keep, |inbox| {
            log(&mut host, &mut subject, inbox);
        });
        let companion = companion
            .map_err(|error| format!("cannot start a process: {error}"));
        Self {
            host: host.expect("only the logger's process takes it"),
            outer: subject.outer,
            companion,
        }
    }

    /// The command has ended: lets that be logged, within bounds.
    pub(super) fn finish(self, end: &ProgramEnd) {
        let Self {
            mut host,
            outer,
            companion,
        } = self;
        let companion = match companion {
            Ok(companion) => companion,
            Err(reason) => {
                lose_both(Some(&mut host), reason);
                return;
            }
        };
        companion.send(message(end));
        let ended = Instant::now();
        let bound = ended + LOGGING_BOUND;
        let mut waited = companion.wait(bound);
        while waited == WaitResult::Running
            && ended.elapsed() < BUSY_BOUND
            && companion.is_starved()
        {
            waited = companion.wait(Instant::now() + BUSY_STEP);
        }
        let ledger = Ledger(companion.state());
        if ledger.is_finished() {
            let time = ledger.waits_for();
            if waited == WaitResult::Running && !time.is_zero() {
                // Its events are being delivered. A signal ends that wait.
                companion.wait(Instant::now() + time);
            }
            return;
        }
        let counter = Companion::start(&[], |_| {
            while !ledger.is_finished() && Instant::now() < bound {
                thread::sleep(COUNTER_STEP);
            }
            if let Some(lost) = ledger.abandon(outer.as_ref()) {
                count(&mut host, lost, waited);
            }
        });
        if let (Ok(counter), false) =
            (counter, waited == WaitResult::Interrupted)
        {
            counter.wait(Instant::now() + COUNTING_BOUND);
        }
    }
}

/// Counts a command that could not be logged at all.
pub(super) fn lose_both(host: Option<&mut Host>, reason: String) {
    if let Some(host) = host {
        host.account(b"commandfinish", Err(Loss { events: 2, reason }));
        host.finish();
    }
}

/// The counter: reports to the journal.
fn count(host: &mut Host, lost: Abandoned, waited: WaitResult) {
    if lost.events == 0 {
        return;
    }
    host.take_over();
    let what = if lost.is_configured {
        "logging the command"
    } else {
        "reading the configuration"
    };
    let reason = match waited {
        WaitResult::Ended => format!("{what} ended half-way"),
        WaitResult::Running | WaitResult::Interrupted => format!(
            "{what} was not finished {} seconds after the command's end",
            LOGGING_BOUND.as_secs_f64()
        ),
    };
    let events = lost.events;
    host.account(b"commandfinish", Err(Loss { events, reason }));
    host.finish();
}

/// The logger: everything that touches a file.
fn log(host: &mut Option<Host>, subject: &mut Subject<'_>, inbox: &Inbox) {
    if let Some(host) = host {
        host.take_over();
    }
    let ledger = Ledger(inbox.state());
    let begin_at = subject.began + watch::BEGIN_DELAY;
    let watch = guarded(host, |host| {
        let watch = prepare(host, subject)?;
        watch.note_wanted(ledger);
        watch.prepare(host);
        Some(watch)
    });
    let watch = watch.flatten();
    let mut received = inbox.receive(Some(begin_at));
    let mut has_begun = false;
    if received == Received::Nothing {
        if let Some(watch) = &watch {
            has_begun = true;
            guarded(host, |host| watch.begin(host, ledger));
        }
        received = inbox.receive(None);
    }
    let ended = match received {
        Received::Message(message) => Some(ended(message)),
        Received::Nothing | Received::Deserted => None,
    };
    guarded(host, |host| {
        if let Some(watch) = &watch {
            watch.end(host, ledger, ended.as_ref(), has_begun);
        }
        host.finish();
    });
    let wait = guarded(host, |host| host.begin_exit_wait()).flatten();
    let Some(wait) = wait else {
        ledger.finish();
        return;
    };
    ledger.finish_and_wait(wait.left());
    guarded(host, |host| host.deliver(wait));
}

/// Runs code for logging; a panic is written to the journal.
fn guarded<T>(
    host: &mut Option<Host>,
    body: impl FnOnce(&mut Host) -> T,
) -> Option<T> {
    let host = host.as_mut()?;
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(host)));
    if result.is_err() {
        let reason = "uilog panicked".to_owned();
        let loss = Loss { events: 1, reason };
        host.account(b"commandfinish", Err(loss));
    }
    result.ok()
}

/// Reads the configuration; `None` if that cannot be done, which the command
/// has to say, and the journal notes.
fn prepare(host: &mut Host, subject: &mut Subject<'_>) -> Option<Watch> {
    let environment = match installation::environment() {
        Ok(environment) => environment,
        Err(error) => {
            let detail = format!("there is no working directory: {error}");
            host.config_unreadable(b"command", detail);
            return None;
        }
    };
    let line = &subject.line;
    let request = request(subject.place, line, &environment);
    let loaded = match uilog_config::load(&request, &environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            let detail = error.without_line();
            let detail = String::from_utf8_lossy(&detail).into_owned();
            host.config_unreadable(b"command", detail);
            return None;
        }
    };
    let name = line.name();
    let file = subject.file.as_deref().map(|it| environment.cwd().join(it));
    let program = file.as_ref().map_or(name, |it| it.as_os_str().as_bytes());
    host.set_program(program, line.kind.is_mercurial());
    let config = &loaded.trusted;
    let root = loaded.root.as_deref();
    if let Some(root) = root {
        let url = config.value(b"paths", b"default");
        host.set_repository(root.as_os_str().as_bytes(), url);
    }
    Some(Watch {
        logger: Watch::logger(config, root, line.kind),
        canonical: line.canonical(config),
        hg: own::hg_program(&environment),
        root: root.map(|root| root.as_os_str().as_bytes().to_vec()),
        line: line.clone(),
        started: subject.started,
        pid: subject.pid,
        outer: subject.outer.take(),
    })
}

/// What the command line says about configuration.
fn request(
    place: &ConfigArguments,
    line: &CommandLine,
    environment: &Environment,
) -> Request {
    let early = if line.kind.is_mercurial() {
        let is_strict = options::is_strict(
            environment.var(b"HGPLAIN"),
            environment.var(b"HGPLAINEXCEPT"),
        );
        EarlyOptions::parse(line.arguments(), is_strict)
    } else {
        EarlyOptions::default()
    };
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let mut own = place.request();
    let cwd = early.cwd.as_deref().filter(|cwd| !cwd.is_empty());
    let files = early.config_files.iter().map(|it| path(it));
    Request {
        cwd: own.cwd.or(cwd.map(path)),
        repository: own.repository.or(early.repository),
        config: chained(early.config, &mut own.config),
        config_files: chained(files.collect(), &mut own.config_files),
    }
}

fn chained<T>(mut first: Vec<T>, second: &mut Vec<T>) -> Vec<T> {
    first.append(second);
    first
}

/// How a command has ended, as a message from the waiting process to the
/// logger.
fn message(end: &ProgramEnd) -> Message {
    let signal = match end.how {
        ExitKind::Killed(signal) => signal,
        ExitKind::Exited(_) | ExitKind::NotStarted(_) => 0,
    };
    let micros = |time: Duration| time.as_micros() as u64;
    [
        end.shell_status() as u64,
        signal as u64,
        micros(end.duration),
        end.usage.max_rss_bytes,
        micros(end.usage.user),
        micros(end.usage.system),
    ]
}

fn ended(message: Message) -> Ended {
    let [code, signal, duration, peak_memory_bytes, user, system] = message;
    Ended {
        code: code as i32,
        signal: (signal != 0).then_some(signal as i32),
        duration: Duration::from_micros(duration),
        peak_memory_bytes,
        user_cpu: Duration::from_micros(user),
        system_cpu: Duration::from_micros(system),
    }
}
