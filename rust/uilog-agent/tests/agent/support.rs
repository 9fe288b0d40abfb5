//! Helpers: a runtime directory, queues as hg makes them, and agents in
//! separate processes.

use std::ffi::OsString;
use std::fs;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_agent::Options;
use uilog_agent::serve;
use uilog_channel::agent_address;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::journal::Failure;
use uilog_channel::journal::Journal;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire::PROTOCOL;
use uilog_sinks as sinks;
use uilog_sinks::globals::Globals;
use uilog_sinks::open::open;
use uilog_sinks::sink::LossReport;
use uilog_sinks::sink::Sink;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;
use uilog_testing::test_process;
use uilog_testing::until;

use crate::queue::Queue;

/// Where a process of the tests finds its place.
const PLACE: &str = "UILOG_TEST_PLACE";
/// What it is to do there.
const TASK: &str = "UILOG_TEST_TASK";

/// If there is such a file, agents look for queues often by themselves.
const SCANS_OFTEN: &str = "scans-often";

/// The version before this one.
pub(crate) const OLDER: u16 = PROTOCOL - 1;

pub(crate) fn namespaces() -> String {
    agent_address::namespaces().unwrap()
}

/// A user's home and runtime directory.
pub(crate) struct TestPlace {
    dir: tempfile::TempDir,
}

impl TestPlace {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["run", "home", "elsewhere"] {
            let mut builder = fs::DirBuilder::new();
            builder.mode(0o700).create(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.path("run")
    }

    /// The environment of everybody here.
    pub(crate) fn environment(&self) -> String {
        environment(self.dir.path())
    }

    /// What stands in the runtime directory.
    pub(crate) fn queues(&self) -> Vec<String> {
        let entries = fs::read_dir(self.run()).unwrap();
        let names =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.filter(|it| it.starts_with("records-")).collect()
    }

    /// The records that a file sink has got, without the line that somebody
    /// has begun to write and was killed.
    pub(crate) fn records(&self, name: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines();
        lines
            .filter_map(|it| serde_json::from_str(it).ok())
            .collect()
    }

    /// The ids that a file sink has got.
    pub(crate) fn ids(&self, name: &str) -> Vec<String> {
        let id = |it: serde_json::Value| it["id"].as_str().unwrap().to_owned();
        self.records(name).into_iter().map(id).collect()
    }

    pub(crate) fn journal(&self) -> Vec<Failure> {
        let environment = self.environment();
        let journal = Journal::for_environment(environment.as_bytes());
        journal.unwrap().read()
    }

    /// Agents that are started from here on look for queues often by themselves.
    pub(crate) fn scan_often(&self) {
        fs::write(self.path(SCANS_OFTEN), b"").unwrap();
    }

    /// Waits for all queues, as `uilog flush` does.
    pub(crate) fn hurry(&self) {
        let run = OwnDir::beside_users_file(&self.run()).unwrap();
        uilog_agent::hurry(&run);
    }

    /// A sink `unix:`, which hangs until somebody reads from its socket.
    pub(crate) fn hung_sink(&self) -> (UnixListener, String) {
        let socket = self.path("hung");
        let listener = UnixListener::bind(&socket).unwrap();
        (listener, format!("unix:{}", socket.display()))
    }

    /// The configuration that is read here.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.path("home/.hgrc"), text).unwrap();
    }

    /// The events that the journal says are lost.
    pub(crate) fn lost(&self) -> u64 {
        self.journal().iter().map(|it| it.lost).sum()
    }

    fn process(&self, role: &str, task: &str) -> Command {
        let mut command = test_process(role);
        command
            .arg("--ignored")
            .env(PLACE, self.dir.path())
            .env(TASK, task)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// An agent, in a process of its own.
    pub(crate) fn agent(&self) -> Process {
        self.agent_for("")
    }

    /// The same; the queue of this name has a writer that started it.
    pub(crate) fn agent_for(&self, queue: &str) -> Process {
        Process(
            self.process("support::agent_process", queue)
                .spawn()
                .unwrap(),
        )
    }

    /// The same, started with the lock held, as hg does it; none if somebody
    /// else has the lock.
    pub(crate) fn agent_with_lock(&self) -> Option<Process> {
        self.agent_with_lock_of(PROTOCOL, "")
    }

    /// The same, as an hg of this version does it that has this queue.
    pub(crate) fn agent_with_lock_of(
        &self,
        protocol: u16,
        queue: &str,
    ) -> Option<Process> {
        let dir = OwnDir::beside_users_file(&self.run()).unwrap();
        let flags = OFlag::O_RDWR;
        let lock = AgentNames::of(protocol, &namespaces()).lock;
        let lock = dir.open_or_create(&lock, flags, 0o600).unwrap();
        if !living_file::hold(&lock, Holder::Maker).unwrap() {
            return None;
        }
        let mut command = self.process("support::agent_process", queue);
        let child = command.stdin(OwnedFd::from(lock)).spawn();
        Some(Process(child.unwrap()))
    }

    /// One that has the socket by now, and does not end by itself.
    pub(crate) fn agent_that_listens(&self) -> Process {
        let path = format!("file:{}", self.path("first").display());
        let mut queue =
            Queue::new(self, &[("first", &path), ("agent-idle", "600")]);
        queue.log("foo");
        let agent = self.agent();
        queue.until_done();
        agent
    }

    /// A process that begins a command and does this:
    /// [`crate::commandlost::RUNS`] and the others.
    pub(crate) fn command(&self, task: &str) -> Process {
        let _ = fs::remove_file(self.path("written"));
        let role = "support::command_process";
        let process = Process(self.process(role, task).spawn().unwrap());
        let written = self.path("written");
        until("the command", || written.exists().then_some(()));
        process
    }

    /// A process that writes so many records and waits to be killed.
    pub(crate) fn writer(&self, count: u64) -> Process {
        let task = count.to_string();
        Process(
            self.process("support::writer_process", &task)
                .spawn()
                .unwrap(),
        )
    }
}

fn environment(place: &Path) -> String {
    let home = place.join("home").display().to_string();
    let run = place.join("run").display().to_string();
    format!("HOME={home}\0XDG_RUNTIME_DIR={run}\0")
}

pub(crate) fn names() -> AgentNames {
    names_of(PROTOCOL)
}

pub(crate) fn names_of(protocol: u16) -> AgentNames {
    AgentNames::of(protocol, &namespaces())
}

/// A process of the tests, which is killed if it is still there at the end.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id()));
        let paths = tasks.unwrap().map(|it| it.unwrap().path().join("comm"));
        let names = paths.filter_map(|it| fs::read_to_string(it).ok());
        names.map(|it| it.trim().to_owned()).collect()
    }

    /// The most memory of its own that it has taken, in kB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.0.id());
        let text = fs::read_to_string(path).unwrap();
        let kb = |name: &str| -> u64 {
            let line = text.lines().find_map(|it| it.strip_prefix(name));
            line.unwrap()
                .trim()
                .trim_end_matches(" kB")
                .parse()
                .unwrap()
        };
        kb("VmHWM:") - kb("RssFile:")
    }

    /// Ends it as whoever shuts down a system does.
    pub(crate) fn stop(self) {
        self.send(Signal::SIGTERM);
        self.ends_well();
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn ends_well(mut self) {
        let status = until("the process to end", || self.0.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn task() -> Option<(PathBuf, String)> {
    let place = std::env::var_os(PLACE)?;
    Some((place.into(), std::env::var(TASK).unwrap()))
}

/// Another directory in which queues may lie.
fn elsewhere() -> Vec<OwnDir> {
    let (place, _) = task().unwrap();
    OwnDir::beside_users_file(&place.join("elsewhere"))
        .into_iter()
        .collect()
}

/// A disk that does not answer.
struct Hung;

impl Sink for Hung {
    fn deliver(
        &mut self,
        _: &[Arc<sinks::record::Record>],
        _: Instant,
    ) -> Result<(), LossReport> {
        loop {
            std::thread::park();
        }
    }

    fn finish(&mut self, _: Instant) -> Result<(), LossReport> {
        self.deliver(&[], Instant::now())
    }
}

/// A sink whose name says so has a spool on such a disk.
fn open_or_hang(
    definition: &SinkConfig,
    globals: &Globals,
) -> Result<Box<dyn Sink>, String> {
    match definition.name.starts_with("hung-disk") {
        true => Ok(Box::new(Hung)),
        false => open(definition, globals),
    }
}

/// An agent's process, not a test.
#[test]
#[ignore = "the other tests start it"]
fn agent_process() {
    let (place, queue) = task().unwrap();
    uilog_sys::malloc::share_arenas();
    let options = Options {
        directory: place.join("run"),
        lock: std::io::stdin().as_fd().try_clone_to_owned().ok(),
        queue: (!queue.is_empty()).then(|| OsString::from(queue)),
        environment: environment(&place).into_bytes(),
        elsewhere,
        // The writers are the test itself.
        writers_grace: Duration::ZERO,
        scan_every: match place.join(SCANS_OFTEN).exists() {
            true => Duration::from_millis(10),
            false => Duration::from_secs(3600),
        },
        open: open_or_hang,
    };
    serve(options).unwrap();
}

/// A writer's process, not a test.
#[test]
#[ignore = "the other tests start it"]
fn writer_process() {
    let (place, count) = task().unwrap();
    let run = place.join("run");
    let environment = environment(&place);
    let mut queue = Queue::in_dir(&run, &environment, &[]);
    let path = place.join("out").display().to_string();
    queue.configure(&[("out", &format!("file:{path}"))]);
    for _ in 0..count.parse::<u64>().unwrap() {
        queue.log("foo");
    }
    queue.ring();
    fs::write(place.join("written"), b"").unwrap();
    loop {
        std::thread::park();
    }
}

/// The process of a command, not a test.
#[test]
#[ignore = "the other tests start it"]
fn command_process() {
    let (place, task) = task().unwrap();
    let path = place.join("out").display().to_string();
    let mut queue =
        Queue::in_dir(&place.join("run"), &environment(&place), &[]);
    queue.configure(&[("out", &format!("file:{path}"))]);
    queue.begin();
    crate::commandlost::do_task(queue, &task);
    fs::write(place.join("written"), b"").unwrap();
    loop {
        std::thread::park();
    }
}
