//! The state of running dispatchers, and the journal of failures.
//!
//! Reads /proc, for processes of this user. Processes that exit meanwhile are
//! skipped; those of other users are counted. Read-only; never blocks. Must not
//! know how the state is shown.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::SysconfVar;
use nix::unistd::geteuid;
use nix::unistd::sysconf;
use serde::Serialize;
use uilog_event::environment_block::lookup;
use uilog_sys::foreign_file;
use uilog_sys::process_stat::ProcessStat;

use crate::journal::Failure;
use crate::journal::FailureKind;
use crate::journal::Journal;
use crate::page;
use crate::queue::FRAMES_LINK;
use crate::queue::Page;
use crate::wire::PROTOCOL;

/// The binary's name, that of the one which runs scripts alone, and the
/// argument that makes a dispatcher of either.
const PROGRAM: &[u8] = b"uilog";
const SCRIPTS_PROGRAM: &[u8] = b"uilog-dispatcher";
const ARGUMENT: &[u8] = b"dispatch";

/// The names of the subcommand that starts a dispatcher to see it start.
const CHECKS: [&str; 2] = ["check", "doctor"];

/// What the kernel appends to the name of a program that has been replaced.
const DELETED: &[u8] = b" (deleted)";

/// Bytes of one unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// Clock ticks in a second, if the system does not report it.
const USUAL_TICKS: i64 = 100;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The dispatchers of this user, the oldest first.
    pub dispatchers: Vec<Dispatcher>,
    /// How many there are of other users.
    pub foreign: u64,
    /// How many of this user's could not be looked at.
    pub unreadable: u64,
    /// Losses and failures.
    pub journal: JournalFacts,
}

/// A dispatcher.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dispatcher {
    /// Its process id.
    pub pid: i32,
    /// The program that it runs.
    pub program: String,
    /// For how many seconds it has been running.
    pub age: Option<f64>,
    /// It has been stopped by a signal or a debugger: nothing is run.
    pub stopped: bool,
    /// It speaks another protocol than this program, so that nothing else of
    /// its queue is known.
    pub protocol: Option<u16>,
    /// The events that it got.
    pub events: u64,
    /// Events whose scripts have not been started yet.
    pub waiting: u64,
    /// Events that it has taken from the queue.
    pub taken: u64,
    /// Scripts started.
    pub started: u64,
    /// Scripts that ended with status 0.
    pub succeeded: u64,
    /// Scripts that failed by themselves.
    pub failed: u64,
    /// Events whose scripts could not be started: lost.
    pub lost: u64,
    /// Scripts ended by the time limit.
    pub timed_out: u64,
    /// Records that structured sinks have not dealt with yet.
    pub records_waiting: u64,
    /// Records that all structured sinks are done with.
    pub records_done: u64,
    /// Records that did not arrive, once for each sink that they were for.
    pub records_lost: u64,
    /// Memory that the queue takes.
    pub queue_bytes: u64,
    /// Its last failure.
    pub last_failure: Option<String>,
    /// The processes that send it events: hg, unless it has ended.
    pub hg: Vec<Process>,
    /// The scripts that run.
    pub scripts: Vec<Running>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its command line, with spaces between.
    pub command: String,
}

/// A script that runs.
#[derive(Clone, Debug, Serialize)]
pub struct Running {
    /// The shell's process id.
    pub pid: i32,
    /// Its event.
    pub event: Option<String>,
    /// For how many seconds it has been running.
    pub age: Option<f64>,
}

/// What the journal says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JournalFacts {
    /// Where it is, or ought to be.
    pub path: Option<String>,
    /// Why it is not used there, if so.
    pub problem: Option<String>,
    /// Where it is meanwhile; none if it is nowhere.
    pub fallback: Option<String>,
    /// How many events have been lost.
    pub lost: u64,
    /// How many failures there are of each kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// The failures, the oldest first.
    pub failures: Vec<Failure>,
}

impl Status {
    /// Whether there is a problem that a user should know.
    pub fn is_troubled(&self) -> bool {
        let is_troubled = |it: &Dispatcher| {
            it.stopped
                || it.protocol.is_some()
                || it.lost > 0
                || it.records_lost > 0
        };
        self.dispatchers.iter().any(is_troubled)
            || self.unreadable > 0
            || self.journal.is_troubled()
    }
}

impl JournalFacts {
    /// Whether there is a problem that a user should know.
    pub fn is_troubled(&self) -> bool {
        self.problem.is_some() || !self.failures.is_empty()
    }
}

impl Dispatcher {
    /// Whether `uilog check` has started it, only to see whether it starts: it
    /// gets no events.
    fn is_probe(&self) -> bool {
        let is_check = |hg: &Process| {
            let mut words = hg.command.split(' ');
            let program = words.next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            name.as_bytes() == PROGRAM
                && words.next().is_some_and(|it| CHECKS.contains(&it))
        };
        !self.stopped
            && self.protocol.is_none()
            && self.events == 0
            && self.hg.iter().all(is_check)
    }
}

/// Looks at everything, for the user with this environment.
///
/// # Errors
///
/// There is no /proc.
pub fn read(environment: &[u8]) -> io::Result<Status> {
    let mut status = Status {
        dispatchers: Vec::new(),
        foreign: 0,
        unreadable: 0,
        journal: read_journal(environment),
    };
    let clock = Clock::now();
    let own = geteuid().as_raw();
    let everyone = processes()?;
    let mut queues = HashMap::new();
    for pid in &everyone {
        let proc = proc(*pid);
        if !is_dispatcher(&proc) {
            continue;
        }
        // Its directory belongs to whom the process does.
        match fs::metadata(&proc) {
            Ok(metadata) if metadata.uid() != own => status.foreign += 1,
            Ok(_) => match look_at(*pid, &clock) {
                Ok(Some((dispatcher, queue))) => {
                    queues.insert(queue, status.dispatchers.len());
                    status.dispatchers.push(dispatcher);
                }
                Ok(None) => {}
                Err(error) if has_vanished(&error) => {}
                Err(_) => status.unreadable += 1,
            },
            Err(_) => {}
        }
    }
    if !status.dispatchers.is_empty() {
        for pid in &everyone {
            add_relation(*pid, &clock, &queues, &mut status.dispatchers);
        }
    }
    status.dispatchers.retain(|it| !it.is_probe());
    status
        .dispatchers
        .sort_by(|a, b| b.age.partial_cmp(&a.age).unwrap_or(Ordering::Equal));
    Ok(status)
}

/// The processes that there are.
pub fn processes() -> io::Result<Vec<i32>> {
    let numbers = fs::read_dir("/proc")?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        std::str::from_utf8(name.as_bytes()).ok()?.parse().ok()
    });
    Ok(numbers.collect())
}

fn proc(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Whether its command line says so, which anybody may read.
fn is_dispatcher(proc: &Path) -> bool {
    let Ok(line) = fs::read(proc.join("cmdline")) else {
        return false;
    };
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next();
    let is_ours = [PROGRAM, SCRIPTS_PROGRAM].map(Some).contains(&name);
    is_ours && words.next() == Some(ARGUMENT)
}

/// A file, as the system knows it.
type FileId = (u64, u64);

/// A dispatcher and its queue; `None` if it is not a dispatcher.
fn look_at(
    pid: i32,
    clock: &Clock,
) -> io::Result<Option<(Dispatcher, FileId)>> {
    let proc = proc(pid);
    let program = fs::read_link(proc.join("exe"))?;
    let program = program.as_os_str().as_bytes();
    let program = program.strip_suffix(DELETED).unwrap_or(program);
    // Its queue's page.
    let path = proc.join("fd/1");
    // Not opened before its kind is known.
    let (file, metadata) = match foreign_file::open(&path) {
        Ok(opened) => opened,
        Err(foreign_file::Error::NotRegular(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let id = (metadata.dev(), metadata.ino());
    let stat = ProcessStat::read(pid)?;
    let mut dispatcher = Dispatcher {
        pid,
        program: lossy(program),
        age: clock.age(&stat),
        stopped: stat.is_stopped(),
        ..Dispatcher::default()
    };
    let page = match Page::read(&file) {
        Ok(page) => page,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    dispatcher.queue_bytes = queue_bytes(&proc).unwrap_or(0);
    if page.protocol != PROTOCOL {
        dispatcher.protocol = Some(page.protocol);
        return Ok(Some((dispatcher, id)));
    }
    let progress = page.progress;
    dispatcher.events = page.committed.jobs;
    dispatcher.taken = progress.taken;
    dispatcher.waiting = dispatcher.events.saturating_sub(progress.taken);
    dispatcher.started = progress.started;
    dispatcher.succeeded = progress.succeeded;
    dispatcher.failed = progress.failed;
    dispatcher.lost = progress.not_started;
    dispatcher.timed_out = progress.timed_out;
    let records = progress.taken.saturating_sub(progress.scripts);
    dispatcher.records_waiting = records.saturating_sub(progress.records);
    dispatcher.records_done = progress.records;
    dispatcher.records_lost = progress.records_lost;
    dispatcher.last_failure = page.last_failure;
    Ok(Some((dispatcher, id)))
}

/// The memory that a dispatcher's queue takes.
fn queue_bytes(proc: &Path) -> Option<u64> {
    let entries = fs::read_dir(proc.join("fd")).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    let frames = paths.find(|path| {
        let target = fs::read_link(path).unwrap_or_default();
        target.as_os_str().as_bytes().starts_with(FRAMES_LINK)
    })?;
    Some(fs::metadata(frames).ok()?.blocks() * BLOCK_BYTES)
}

/// Adds a process to the dispatcher that it runs a script of, or that it hands
/// events to.
fn add_relation(
    pid: i32,
    clock: &Clock,
    queues: &HashMap<FileId, usize>,
    dispatchers: &mut [Dispatcher],
) {
    let Ok(stat) = ProcessStat::read(pid) else {
        return;
    };
    let proc = proc(pid);
    let mut parents = dispatchers.iter_mut();
    if let Some(parent) = parents.find(|it| it.pid == stat.parent) {
        // While it begins, its environment is still empty.
        let block = fs::read(proc.join("environ")).unwrap_or_default();
        parent.scripts.push(Running {
            pid,
            event: lookup(&block, b"EVENT").map(lossy),
            age: clock.age(&stat),
        });
        return;
    }
    if is_dispatcher(&proc) {
        return;
    }
    let Ok(entries) = fs::read_dir(proc.join("fd")) else {
        return;
    };
    for entry in entries.flatten() {
        // The link is read first: most are no files at all.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let name = target.file_name().unwrap_or_default().as_bytes();
        if !(name.ends_with(DELETED)
            || name.starts_with(page::PREFIX.as_bytes()))
        {
            continue;
        }
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        let id = (metadata.dev(), metadata.ino());
        if let Some(index) = queues.get(&id) {
            let command = command_line(pid);
            dispatchers[*index].hg.push(Process { pid, command });
            return;
        }
    }
}

/// The command line of a process, with spaces between.
pub fn command_line(pid: i32) -> String {
    let line = fs::read(proc(pid).join("cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    let words: Vec<_> = words.map(lossy).collect();
    words.join(" ").trim_end().to_owned()
}

/// How old processes are.
pub struct Clock {
    /// Seconds since the system has started.
    uptime: Option<f64>,
    ticks: f64,
}

impl Clock {
    /// The current value.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/uptime").ok();
        let uptime = text.and_then(|text| {
            text.split_ascii_whitespace().next()?.parse().ok()
        });
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let ticks = ticks.unwrap_or(USUAL_TICKS) as f64;
        Self { uptime, ticks }
    }

    /// For how many seconds a process has run.
    pub fn age(&self, stat: &ProcessStat) -> Option<f64> {
        let age = self.uptime? - stat.start as f64 / self.ticks;
        // To the tick: there is no more to know.
        Some((age.max(0.0) * self.ticks).round() / self.ticks)
    }
}

fn has_vanished(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::libc::ESRCH)
}

/// What the journal of the user with this environment says.
pub fn read_journal(environment: &[u8]) -> JournalFacts {
    let Some(journal) = Journal::for_environment(environment) else {
        return JournalFacts::default();
    };
    let failures = journal.read();
    let counts = FailureKind::ALL.map(|kind| {
        let of = failures.iter().filter(|failure| failure.kind == kind);
        (kind.name(), of.count() as u64)
    });
    JournalFacts {
        path: Some(lossy(journal.path().as_os_str().as_bytes())),
        problem: journal.problem(),
        fallback: journal
            .fallback()
            .map(|path| lossy(path.as_os_str().as_bytes())),
        lost: failures
            .iter()
            .fold(0, |sum: u64, it| sum.saturating_add(it.lost)),
        counts: counts.into(),
        failures,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
