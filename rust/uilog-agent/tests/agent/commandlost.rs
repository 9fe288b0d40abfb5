//! Killed commands: each is logged once, whichever process finds it, and no
//! others.

use std::fs::File;
use std::mem::ManuallyDrop;

use nix::sys::signal::Signal;
use uilog_channel::queue::Page;

use crate::queue::Queue;
use crate::support::TestPlace;
use crate::support::until;

/// It runs, and an agent knows of it.
pub(crate) const RUNS: &str = "runs";
/// It runs, and no agent knows of it.
pub(crate) const RUNS_UNHEARD: &str = "runs unheard";
/// It has ended, and its process has not.
const HAS_ENDED: &str = "has ended";
/// Its process goes on without the queue, as another program does.
const LETS_GO: &str = "lets go";
/// It has logged so much that its beginning is not read any more.
const HAS_LOGGED: &str = "has logged";

/// More than what is kept for those who are behind.
const MANY: usize = 20_000;

pub(crate) fn do_task(queue: Queue, task: &str) {
    let mut queue = ManuallyDrop::new(queue);
    match task {
        RUNS_UNHEARD => return,
        HAS_ENDED => queue.writer.end(1).unwrap(),
        HAS_LOGGED => {
            for _ in 0..MANY {
                queue.log("foo");
            }
        }
        _ => {}
    }
    queue.ring();
    if task == HAS_LOGGED {
        queue.until_done();
    }
    if task == LETS_GO {
        // Not before it is known which process it is.
        until("the agent", || (queue.progress().readers > 0).then_some(()));
        drop(ManuallyDrop::into_inner(queue));
    }
}

/// The record of the one command that was killed.
fn lost(place: &TestPlace) -> serde_json::Value {
    let is_lost = |it: &serde_json::Value| it["event"] == "commandlost";
    let record =
        until("its end", || place.records("out").into_iter().find(is_lost));
    assert_eq!(record["seq"], 7000);
    let message = record["message"].as_str().unwrap();
    assert!(message.starts_with("pull was lost after "), "{message}");
    assert_eq!(record["process"]["command_line"], "pull");
    record
}

fn until_no_queue_but(place: &TestPlace, count: usize) {
    until("the queue to go", || {
        (place.queues().len() <= count).then_some(())
    });
}

/// Waits until the agent has every queue.
fn until_read(place: &TestPlace) {
    until("the agent to read", || {
        let is_read = |name: &String| {
            let file = File::open(place.run().join(name)).unwrap();
            Page::read(&file).unwrap().progress.readers > 0
        };
        place.queues().iter().all(is_read).then_some(())
    });
}

/// What is found dead is delivered to what is configured here.
fn configure(place: &TestPlace) {
    let out = place.path("out");
    place.configure(&format!("[uilog]\nsink.out = file:{}\n", out.display()));
}

/// Whether the kernel tells of a process that has been reaped.
fn tells_signals() -> bool {
    let name = nix::sys::utsname::uname().unwrap();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|it| it.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next()) >= (6, 15)
}

#[test]
fn a_killed_command_is_told_of_with_its_signal() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let before = place.queues().len();
    let command = place.command(RUNS);
    // Who begins to look later cannot know by what it was killed.
    until_read(&place);
    command.kill();
    let record = lost(&place);
    if tells_signals() {
        assert_eq!(record["process"]["signal"], 9);
        assert_eq!(record["options"]["cause"], "signal");
    }
    until_no_queue_but(&place, before);
    agent.stop();
    assert_eq!(place.records("out").len(), 1);
    assert_eq!(place.lost(), 0);
}

#[test]
fn a_beginning_that_was_read_long_ago_is_still_there() {
    let place = TestPlace::new();
    configure(&place);
    let agent = place.agent_that_listens();
    let command = place.command(HAS_LOGGED);
    // Whoever comes next has not seen it.
    agent.kill();
    let agent = place.agent();
    command.kill();
    lost(&place);
    agent.stop();
    assert_eq!(place.records("out").len(), MANY + 1);
    assert_eq!(place.lost(), 0);
}

#[test]
fn neither_an_end_nor_another_program_is_a_loss() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let before = place.queues().len();
    for task in [HAS_ENDED, LETS_GO] {
        let command = place.command(task);
        if task == LETS_GO {
            until_no_queue_but(&place, before);
        }
        command.kill();
        until_no_queue_but(&place, before);
    }
    agent.stop();
    assert!(place.records("out").is_empty());
    assert_eq!(place.lost(), 0);
}

#[test]
fn an_agent_stays_without_sinks_as_long_as_a_command_runs() {
    let place = TestPlace::new();
    let out = format!("file:{}", place.path("out").display());
    let sinks = [("out", &*out), ("agent-idle", "0")];
    let mut queue = Queue::new(&place, &sinks);
    queue.begin();
    queue.log("foo");
    let mut agent = place.agent();
    queue.until_done();
    until("its sink to end", || {
        let is_sink = |it: &String| it == "out";
        (!agent.threads().iter().any(is_sink)).then_some(())
    });
    // It hears what comes, and opens the sink again.
    queue.log("foo");
    assert!(queue.ring());
    queue.until_done();
    assert!(agent.0.try_wait().unwrap().is_none());
    queue.writer.end(1).unwrap();
    agent.ends_well();
    assert_eq!(place.ids("out"), queue.all_ids());
}

#[test]
fn whoever_comes_next_tells_once_what_nobody_has_seen() {
    let place = TestPlace::new();
    configure(&place);
    let agent = place.agent_that_listens();
    agent.send(Signal::SIGSTOP);
    let command = place.command(RUNS);
    command.kill();
    agent.kill();
    place.command(RUNS_UNHEARD).kill();
    assert!(place.queues().len() >= 2);
    let agent = place.agent();
    until_no_queue_but(&place, 0);
    agent.stop();
    place.agent_that_listens().stop();
    let records = place.records("out");
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(record["options"]["cause"], "unknown");
    }
    assert_eq!(place.lost(), 0);
}
