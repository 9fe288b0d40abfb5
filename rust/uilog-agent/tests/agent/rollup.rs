//! Rollups: each command is counted once, or reported as lost.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::file;
use crate::queue::Queue;
use crate::support::TestPlace;
use crate::support::until;

/// How many commands the rollups of a sink count, and how many have failed.
fn sums(place: &TestPlace, name: &str) -> (u64, u64) {
    let records = place.records(name);
    let sum = |key: &str| -> u64 {
        let sums = records.iter().map(|it| &it["rollup"][key]);
        sums.filter_map(Value::as_u64).sum()
    };
    (sum("commands"), sum("failures"))
}

/// The ids of the ordinary records of a sink.
fn ordinary(place: &TestPlace, name: &str) -> Vec<String> {
    let records = place.records(name);
    let ordinary = records.iter().filter(|it| it["rollup"].is_null());
    ordinary
        .map(|it| it["id"].as_str().unwrap().into())
        .collect()
}

#[test]
fn whoever_waits_for_all_waits_for_no_rollup() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let a = file(&place, "a");
    let mut queue = Queue::new(&place, &[("a", &*a), ("a:rollup", "*")]);
    // Each time it would be a minute.
    for count in 1..=3 {
        queue.log_end("status", 0);
        assert!(queue.ring());
        until("a rollup", || {
            place.hurry();
            (sums(&place, "a") == (count, 0)).then_some(())
        });
    }
    assert_eq!(place.records("a").len(), 3);
    agent.stop();
}

#[test]
fn commands_are_counted_once_and_failures_told_at_once() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let (a, b) = (file(&place, "a"), file(&place, "b"));
    let sinks = [("a", &*a), ("a:rollup", "status, identify"), ("b", &*b)];
    let mut failures = Vec::new();
    let mut others = Vec::new();
    for number in 0..40 {
        // Each a process of its own, which ends at once.
        let mut queue = Queue::new(&place, &sinks);
        let failure = queue.log_end("status", 255 * i64::from(number % 4 == 0));
        if number % 4 == 0 {
            failures.push(failure);
        }
        others.push(queue.log_end("commit", 0));
        queue.log_end("identify", 0);
        assert!(queue.ring());
    }
    let told: BTreeSet<_> = failures.iter().chain(&others).cloned().collect();
    until("what is not added up", || {
        let ids = ordinary(&place, "a");
        (ids.len() == told.len()).then_some(())
    });
    let all = || place.ids("b").len() == 120;
    until("the other sink", || all().then_some(()));
    // Until the rollup has been sent the records stay.
    assert_eq!(sums(&place, "a"), (0, 0));
    // The one that the agent began with goes, since nobody counts its record.
    until("the queues that stay", || {
        (place.queues().len() == 40).then_some(())
    });
    agent.stop();
    assert_eq!(sums(&place, "a"), (80, 10));
    assert!(place.queues().is_empty());
    assert_eq!(
        ordinary(&place, "a").into_iter().collect::<BTreeSet<_>>(),
        told
    );
    assert_eq!(place.lost(), 0);
    // The numbers have no gap: a command that is counted takes none.
    let numbers = place.records("a");
    let numbers = numbers.iter().map(|it| it["sink"]["number"].as_u64());
    let numbers: BTreeSet<_> = numbers.map(Option::unwrap).collect();
    let count = told.len() as u64 + 2;
    assert_eq!(numbers, (1..=count).collect());
}

#[test]
fn a_killed_agents_successor_counts_what_was_not_sent() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let a = file(&place, "a");
    let sinks = [("a", &*a), ("a:rollup", "*"), ("agent-idle", "0")];
    let mut failures = BTreeSet::new();
    let mut queues = Vec::new();
    for number in 0..20 {
        let mut queue = Queue::new(&place, &sinks);
        let id = queue.log_end("status", i64::from(number == 7));
        failures.extend((number == 7).then_some(id));
        assert!(queue.ring());
        queues.push(queue);
    }
    until("the failure", || (place.ids("a").len() == 1).then_some(()));
    agent.kill();
    assert_eq!(sums(&place, "a"), (0, 0));
    place.agent().ends_well();
    assert_eq!(sums(&place, "a"), (20, 1));
    // What came twice has the same id.
    let told: BTreeSet<_> = ordinary(&place, "a").into_iter().collect();
    assert_eq!(told, failures);
    assert_eq!(place.lost(), 0);
    assert!(queues.iter().all(|it| it.progress().records == 1));
}

#[test]
fn much_is_sent_before_its_time() {
    const COUNT: u64 = 2000;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let a = file(&place, "a");
    let sinks = [("a", &*a), ("a:rollup", "status")];
    let mut queue = Queue::new(&place, &sinks);
    for _ in 0..COUNT {
        queue.log_end("status", 0);
    }
    assert!(queue.ring());
    // All but a last rest, which is not due.
    until("early rollups", || {
        (sums(&place, "a").0 > COUNT - 600).then_some(())
    });
    agent.stop();
    assert_eq!(sums(&place, "a"), (COUNT, 0));
    let ids: BTreeSet<_> = place.ids("a").into_iter().collect();
    assert_eq!(ids.len(), place.records("a").len());
}

#[test]
fn a_rollup_in_a_sink_that_hangs_holds_up_no_other() {
    const COUNT: u64 = 30;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let (never, b, c) =
        (file(&place, "never"), file(&place, "b"), file(&place, "c"));
    let sinks = [
        ("hung-disk", &*never),
        ("hung-disk:rollup", "*"),
        ("b", &*b),
        ("b:rollup", "*"),
    ];
    let mut queue = Queue::new(&place, &sinks);
    let mut other = Queue::new(&place, &[("c", &*c), ("c:rollup", "*")]);
    for round in 1..=2 {
        for _ in 0..COUNT {
            queue.log_end("status", 0);
            other.log_end("status", 0);
        }
        assert!(queue.ring() && other.ring());
        until("the sinks beside it", || {
            place.hurry();
            let sum = (round * COUNT, 0);
            (sums(&place, "b") == sum && sums(&place, "c") == sum).then_some(())
        });
    }
    other.until_done();
    assert!(queue.progress().records < 2 * COUNT);
    agent.send(Signal::SIGTERM);
    agent.ends_well();
    // What the sink has not taken waits for the next agent, or is counted.
    let progress = queue.progress();
    let is_there = queue.path().exists();
    assert!(is_there && progress.records < 2 * COUNT, "{progress:?}");
    assert_eq!(place.lost() + progress.unreported(), progress.records_lost);
}

#[test]
fn what_cannot_be_sent_is_lost_by_the_number_of_commands() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    std::fs::write(place.path("no"), b"").unwrap();
    let a = format!("file:{}", place.path("no/a").display());
    let sinks = [("a", &*a), ("a:rollup", "status")];
    let mut queue = Queue::new(&place, &sinks);
    for _ in 0..30 {
        queue.log_end("status", 0);
    }
    assert!(queue.ring());
    until("all to be looked at", || {
        (queue.progress().taken == 30).then_some(())
    });
    agent.stop();
    assert_eq!(place.lost(), 30);
}
