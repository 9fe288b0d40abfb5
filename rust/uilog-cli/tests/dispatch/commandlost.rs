//! Killed commands: their dispatcher logs each once, and no others.

use std::borrow::Cow;
use std::fs;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_channel::journal::Journal;
use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::logger::Logger;
use uilog_testing::test_process;
use uilog_testing::until;

use crate::PROGRAM;
use crate::is_running;
use crate::whole_lines;

/// Where the process of a test finds its home, and what it does.
const HOME: &str = "UILOG_TEST_HOME";
const TASK: &str = "UILOG_TEST_TASK";

/// The ways in which a command may end, or not.
const RUNS: &str = "runs";
const HAS_FINISHED: &str = "has finished";
const HAS_ENDED: &str = "has ended";
const BECOMES_ANOTHER: &str = "becomes another";
const LOSES_DISPATCHER: &str = "loses its dispatcher";

fn environment(home: &Path) -> Vec<u8> {
    let home = home.display();
    format!("HOME={home}\0XDG_RUNTIME_DIR={home}/run\0").into_bytes()
}

fn draft(name: &'static [u8]) -> Draft<'static> {
    Draft {
        name,
        message: Cow::Borrowed(b"pull\n"),
        options: Vec::new(),
        hg: b"hg",
        root: None,
        time: None,
        pid: None,
    }
}

/// The process of a command, not a test.
#[test]
#[ignore = "the other tests start it"]
fn command_process() {
    let home = std::env::var(HOME).unwrap();
    let task = std::env::var(TASK).unwrap();
    let item = |name: &str, value: &str| {
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let items = [
        item("agent", "no"),
        item("sink.out", &format!("file:{home}/out")),
    ];
    let logger = Logger::new(&items, &[]);
    let mut host = ManuallyDrop::new(Host::new(PathBuf::from(PROGRAM)));
    host.enter(&mut environment(home.as_ref()));
    host.begin_command(None);
    logger.note_command(&mut host, draft(b"commandlost"));
    logger.log(&mut host, draft(b"command"));
    let dispatcher = host.dispatcher().status().unwrap().pid;
    until("the record", || {
        let status = host.dispatcher().status().unwrap();
        (status.progress.records == 1).then_some(())
    });
    match &*task {
        HAS_FINISHED => logger.log(&mut host, draft(b"commandfinish")),
        HAS_ENDED => host.end_command(),
        BECOMES_ANOTHER => host.become_another(true),
        LOSES_DISPATCHER => {
            kill(Pid::from_raw(dispatcher), Signal::SIGKILL).unwrap();
            until("the dispatcher", || (!is_running(dispatcher)).then_some(()));
            logger.log(&mut host, draft(b"foo"));
            until("the next one", || {
                let status = host.dispatcher().status().unwrap();
                (status.progress.records == 2).then_some(())
            });
        }
        _ => {}
    }
    let dispatcher = host.dispatcher().status().unwrap().pid;
    let new = format!("{home}/new");
    fs::write(&new, dispatcher.to_string()).unwrap();
    fs::rename(new, format!("{home}/dispatcher")).unwrap();
    loop {
        std::thread::park();
    }
}

/// Runs a command up to this point and kills it; its events when its dispatcher
/// has ended.
fn killed(task: &str) -> (Vec<serde_json::Value>, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("run")).unwrap();
    let mut command = test_process("commandlost::command_process");
    let child = command
        .arg("--ignored")
        .env(HOME, home.path())
        .env(TASK, task)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let mut child: Child = child.unwrap();
    let written = home.path().join("dispatcher");
    let pid = until("the command", || fs::read_to_string(&written).ok());
    let dispatcher = pid.parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    until("the dispatcher to end", || {
        (!is_running(dispatcher)).then_some(())
    });
    let lines = whole_lines(&home.path().join("out"));
    let records = lines.iter().map(|it| serde_json::from_str(it).unwrap());
    let journal = Journal::for_environment(&environment(home.path()));
    assert_eq!(journal.unwrap().read_lines(), []);
    (records.collect(), home)
}

fn names(records: &[serde_json::Value]) -> Vec<&str> {
    records
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect()
}

#[test]
fn a_killed_command_is_told_of_behind_all_that_it_has_logged() {
    let (records, _home) = killed(RUNS);
    assert_eq!(names(&records), ["command", "commandlost"]);
    assert_eq!(records[0]["session"], records[1]["session"]);
    assert_eq!(records[1]["process"]["command_line"], "pull");
}

#[test]
fn the_next_dispatcher_tells_of_it_as_well() {
    let (records, _home) = killed(LOSES_DISPATCHER);
    assert_eq!(names(&records), ["command", "foo", "commandlost"]);
}

#[test]
fn a_command_that_has_ended_was_not_killed() {
    let (records, _home) = killed(HAS_FINISHED);
    assert_eq!(names(&records), ["command", "commandfinish"]);
    for task in [HAS_ENDED, BECOMES_ANOTHER] {
        let (records, _home) = killed(task);
        assert_eq!(names(&records), ["command"], "{task}");
    }
}
