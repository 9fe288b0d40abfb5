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
mod tests {
    use std::os::unix::fs::FileExt;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Child;
    use std::process::Command;
    use std::process::Stdio;

    use nix::sys::signal::Signal;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    use uilog_testing::until;

    use super::*;
    use crate::queue;
    use crate::queue::Progress;
    use crate::queue::Reader;
    use crate::queue::Writer;

    /// A shell that looks like a dispatcher of this user and this queue, and
    /// runs a script until its standard input is closed. It needs the
    /// directory at its start.
    fn start(queue: &Writer, user: u32) -> (Child, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let for_all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&dir, for_all).unwrap();
        let script = "EVENT=commit sh -c 'read line'; :\n";
        fs::write(dir.path().join("dispatch"), script).unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg0("uilog").arg("dispatch").current_dir(&dir);
        command.uid(user).stdin(Stdio::piped());
        command.stdout(queue.page().try_clone().unwrap());
        (command.spawn().unwrap(), dir)
    }

    /// One of this user, which runs its script.
    fn dispatcher_of(queue: &Writer) -> Child {
        let (mut child, _dir) = start(queue, geteuid().as_raw());
        until("the dispatcher runs its script", || {
            let has_ended = child.try_wait().unwrap().is_some();
            assert!(!has_ended);
            shown(&child).filter(|it| {
                it.protocol.is_some()
                    || it.scripts.iter().any(|it| it.event.is_some())
            })
        });
        child
    }

    fn shown(child: &Child) -> Option<Dispatcher> {
        let shown = read(b"").unwrap().dispatchers;
        shown.into_iter().find(|it| it.pid == child.id() as i32)
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_dispatcher_is_shown_with_what_its_page_says() {
        let mut queue = Writer::create(1 << 20).unwrap();
        let mut frame = Vec::new();
        let begin = queue::begin_frame(&mut frame).unwrap();
        queue::end_frame(&mut frame, begin).unwrap();
        queue.append(&frame, 30).unwrap();
        let page = queue.page().try_clone().unwrap();
        let mut reader = Reader::open(page.into()).unwrap();
        *reader.progress_mut() = Progress {
            taken: 20,
            scripts: 12,
            started: 9,
            succeeded: 4,
            failed: 2,
            timed_out: 1,
            not_started: 3,
            records: 5,
            records_lost: 6,
            ..*reader.progress_mut()
        };
        reader.publish().unwrap();
        reader.publish_failure("the reason").unwrap();
        let child = dispatcher_of(&queue);
        let it = shown(&child).unwrap();
        assert_eq!((it.events, it.taken, it.waiting), (30, 20, 10));
        assert_eq!((it.started, it.succeeded), (9, 4));
        assert_eq!((it.failed, it.timed_out, it.lost), (2, 1, 3));
        assert_eq!((it.records_waiting, it.records_done), (3, 5));
        assert_eq!(it.records_lost, 6);
        assert_eq!(it.queue_bytes, queue.bytes().unwrap());
        assert_eq!(it.last_failure.as_deref(), Some("the reason"));
        assert_eq!((it.stopped, it.protocol), (false, None));
        assert!(it.age.is_some() && it.program.starts_with('/'));
        let own = std::process::id() as i32;
        let command = command_line(own);
        assert!(it.hg.contains(&Process { pid: own, command }));
        let events = it.scripts.iter().map(|it| it.event.as_deref());
        assert_eq!(events.collect::<Vec<_>>(), [Some("commit")]);
        let pid = Pid::from_raw(it.pid);
        kill(pid, Signal::SIGSTOP).unwrap();
        until("it is stopped", || shown(&child).filter(|it| it.stopped));
        kill(pid, Signal::SIGCONT).unwrap();
        end(child);
    }

    #[test]
    fn of_another_protocol_only_that_is_known() {
        let queue = Writer::create(1 << 20).unwrap();
        let other = PROTOCOL + 1;
        queue.page().write_all_at(&other.to_le_bytes(), 6).unwrap();
        let child = dispatcher_of(&queue);
        let it = shown(&child).unwrap();
        assert_eq!((it.protocol, it.events), (Some(other), 0));
        end(child);
    }

    #[test]
    fn a_dispatcher_of_another_user_is_only_counted() {
        const STRANGER: u32 = 65_534;
        if !geteuid().is_root() {
            return;
        }
        let queue = Writer::create(1 << 20).unwrap();
        let (child, _dir) = start(&queue, STRANGER);
        until("it is counted", || {
            (read(b"").unwrap().foreign > 0).then_some(())
        });
        assert!(shown(&child).is_none());
        end(child);
    }

    #[test]
    fn anything_that_needs_a_user_is_trouble() {
        fn failure() -> Failure {
            let none = String::new;
            Failure::now(none(), b"", FailureKind::Lost, 0, none())
        }
        let quiet = || Status {
            dispatchers: vec![Dispatcher::default()],
            foreign: 1,
            unreadable: 0,
            journal: JournalFacts::default(),
        };
        assert!(!quiet().is_troubled());
        let troubles: [fn(&mut Status); 7] = [
            |it| it.dispatchers[0].stopped = true,
            |it| it.dispatchers[0].protocol = Some(1),
            |it| it.dispatchers[0].lost = 1,
            |it| it.dispatchers[0].records_lost = 1,
            |it| it.unreadable = 1,
            |it| it.journal.problem = Some("why".to_owned()),
            |it| it.journal.failures.push(failure()),
        ];
        for (number, trouble) in troubles.into_iter().enumerate() {
            let mut status = quiet();
            trouble(&mut status);
            assert!(status.is_troubled(), "{number}");
        }
    }

    #[test]
    fn only_what_is_not_there_has_vanished() {
        for (errno, expected) in [
            (nix::libc::ENOENT, true),
            (nix::libc::ESRCH, true),
            (nix::libc::EACCES, false),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(has_vanished(&error), expected, "{error}");
        }
    }

    #[test]
    fn what_check_starts_is_not_shown() {
        let process = |command: &str| Process {
            pid: 7,
            command: command.to_owned(),
        };
        let probe = Dispatcher {
            hg: vec![process("/usr/bin/uilog check -T json")],
            ..Dispatcher::default()
        };
        assert!(probe.is_probe());
        let of_doctor = vec![process("uilog doctor")];
        assert!(
            Dispatcher {
                hg: of_doctor,
                ..probe.clone()
            }
            .is_probe()
        );
        // It has let go of it, and the dispatcher is about to end.
        assert!(
            Dispatcher {
                hg: Vec::new(),
                ..probe.clone()
            }
            .is_probe()
        );
        for command in ["/usr/bin/hg check", "uilog run -- hg", "uilog"] {
            let hg = vec![process(command)];
            assert!(
                !Dispatcher {
                    hg,
                    ..probe.clone()
                }
                .is_probe(),
                "{command}"
            );
        }
        assert!(
            !Dispatcher {
                events: 1,
                ..probe.clone()
            }
            .is_probe()
        );
        assert!(
            !Dispatcher {
                stopped: true,
                ..probe.clone()
            }
            .is_probe()
        );
        assert!(
            !Dispatcher {
                protocol: Some(1),
                ..probe
            }
            .is_probe()
        );
    }

    #[test]
    fn this_process_is_no_dispatcher_and_has_an_age() {
        let pid = std::process::id() as i32;
        assert!(!is_dispatcher(&proc(pid)));
        let mut stat = ProcessStat::read(pid).unwrap();
        assert!(Clock::now().age(&stat).is_some());
        let clock = Clock {
            uptime: Some(60.0),
            ticks: 50.0,
        };
        stat.start = 500;
        assert_eq!(clock.age(&stat), Some(50.0));
        stat.start = 5000;
        assert_eq!(clock.age(&stat), Some(0.0));
    }
}
