//! Agents as processes, and queues as hg makes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod commandlost;
mod endings;
mod faults;
mod mount;
mod planted;
mod queue;
mod rollup;
mod support;
mod upgrades;

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use queue::Queue;
use support::TestPlace;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_testing::until;

/// A file sink of this place.
fn file(place: &TestPlace, name: &str) -> String {
    format!("file:{}", place.path(name).display())
}

#[test]
fn the_records_of_several_writers_arrive_in_order() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let sinks = [("a", &*file(&place, "a"))];
    let mut queues: Vec<_> =
        (0..5).map(|_| Queue::new(&place, &sinks)).collect();
    for _ in 0..40 {
        for queue in &mut queues {
            queue.log("foo");
            assert!(queue.ring());
        }
    }
    for queue in &queues {
        queue.until_done();
        let ids = place.ids("a");
        let own = queue.all_ids();
        let mine: Vec<_> =
            ids.into_iter().filter(|it| own.contains(it)).collect();
        assert_eq!(mine, own);
    }
    assert!(place.queues().len() >= 5);
    drop(queues);
    agent.stop();
    assert!(place.queues().is_empty());
    assert_eq!(place.lost(), 0);
    let left = std::fs::read_dir(place.run()).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, [support::names().lock]);
}

#[test]
fn what_a_killed_writer_has_committed_arrives() {
    const COUNT: u64 = 500;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let writer = place.writer(COUNT);
    let written = place.path("written");
    until("the writer", || written.exists().then_some(()));
    writer.kill();
    until("the records", || {
        (place.ids("out").len() as u64 == COUNT).then_some(())
    });
    agent.stop();
    assert!(place.queues().is_empty());
}

#[test]
fn a_killed_agents_successor_goes_on_and_nothing_is_lost() {
    const COUNT: u64 = 3000;
    let place = TestPlace::new();
    let mut agent = place.agent_that_listens();
    let sinks = [("a", &*file(&place, "a"))];
    let mut queue = Queue::new(&place, &sinks);
    for round in 0..3 {
        for _ in 0..COUNT / 3 {
            queue.log("foo");
        }
        queue.ring();
        let some = round * COUNT / 3;
        until("some records", || {
            (place.ids("a").len() as u64 > some).then_some(())
        });
        agent.kill();
        agent = place.agent();
    }
    queue.until_done();
    let ids: BTreeSet<_> = place.ids("a").into_iter().collect();
    assert_eq!(ids, queue.all_ids().into_iter().collect());
    assert!(queue.progress().readers >= 2);
    assert_eq!(place.lost(), 0);
}

/// Whoever was killed between his record and his ring, or is stopped there.
fn quiet(place: &TestPlace) -> [Queue; 2] {
    let sinks = [("first", &*file(place, "first"))];
    let [mut alive, mut dead] = [0; 2].map(|_| Queue::new(place, &sinks));
    alive.log("foo");
    dead.log("foo");
    [alive, dead]
}

#[test]
fn whoever_has_not_rung_is_found_after_a_while() {
    let place = TestPlace::new();
    place.scan_often();
    let agent = place.agent_that_listens();
    let [alive, dead] = quiet(&place);
    let path = dead.path();
    drop(dead);
    alive.until_done();
    until("the queue to go", || (!path.exists()).then_some(()));
    assert_eq!(place.ids("first").len(), 3);
    agent.stop();
}

#[test]
fn whoever_waits_has_those_found_who_have_not_rung() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let [alive, dead] = quiet(&place);
    let path = dead.path();
    drop(dead);
    until("the queues to be done", || {
        place.hurry();
        let is_done = alive.progress().records == 1 && !path.exists();
        is_done.then_some(())
    });
    assert_eq!(place.ids("first").len(), 3);
    agent.stop();
}

#[test]
fn whoever_waits_keeps_no_agent_from_its_end() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0.2")];
    let mut queue = Queue::new(&place, &sinks);
    queue.log("foo");
    let mut agent = place.agent();
    queue.until_done();
    let status = until("the end", || {
        place.hurry();
        agent.0.try_wait().unwrap()
    });
    assert!(status.success());
}

#[test]
fn there_is_one_agent() {
    let place = TestPlace::new();
    let first = place.agent_that_listens();
    let mut others: Vec<_> = (0..3).map(|_| place.agent()).collect();
    for other in &mut others {
        let status = until("the other", || other.0.try_wait().unwrap());
        assert!(!status.success());
    }
    let mut queue = Queue::new(&place, &[("a", &*file(&place, "a"))]);
    queue.log("foo");
    assert!(queue.ring());
    queue.until_done();
    first.stop();
}

#[test]
fn a_queue_that_another_serves_is_left_alone_until_it_does_not() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "600")];
    let mut held = Queue::new(&place, &sinks);
    held.log("foo");
    let reader = held.file();
    assert!(living_file::hold(&reader, Holder::Reader).unwrap());
    let agent = place.agent();
    let mut other = Queue::new(&place, &sinks);
    other.log("foo");
    other.ring();
    other.until_done();
    assert_eq!(held.progress().readers, 0);
    assert_eq!(place.ids("a"), other.all_ids());
    drop(reader);
    held.until_done();
    assert_eq!(held.progress().readers, 1);
    agent.stop();
}

#[test]
fn more_configurations_than_places_are_served_in_turn() {
    const COUNT: usize = 200;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let names: Vec<_> = (0..COUNT).map(|it| format!("s{it}")).collect();
    let mut queues: Vec<_> = names
        .iter()
        .map(|name| Queue::new(&place, &[(name, &*file(&place, name))]))
        .collect();
    let open = || {
        let threads = agent.threads();
        threads.iter().filter(|it| names.contains(it)).count()
    };
    // A thread may be seen for a moment after its sinks have ended.
    let mut most = 0;
    let mut look = || {
        let few = || Some(open()).filter(|it| *it <= 8);
        most = most.max(until("at most eight sets of sinks", few));
    };
    for _ in 0..10 {
        for queue in &mut queues {
            queue.log("foo");
            queue.ring();
        }
        look();
    }
    for (queue, name) in queues.iter().zip(&names) {
        queue.until_done();
        look();
        assert_eq!(place.ids(name), queue.all_ids());
    }
    assert!(most > 1);
    agent.stop();
    assert_eq!(place.lost(), 0);
}

#[test]
fn a_sink_that_hangs_holds_up_no_other() {
    const COUNT: usize = 2000;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let (listener, hung) = place.hung_sink();
    let beside = file(&place, "beside");
    let sinks = [("beside", &*beside), ("hung", &*hung)];
    let mut queue = Queue::new(&place, &sinks);
    let other = file(&place, "other");
    let mut other = Queue::new(&place, &[("other", &*other)]);
    let long = vec![b'x'; 2000];
    for _ in 0..COUNT {
        queue.log_message("foo", &long);
        queue.ring();
        other.log("foo");
        other.ring();
    }
    other.until_done();
    until("the good sink", || {
        (place.ids("beside").len() == COUNT).then_some(())
    });
    assert_eq!(place.ids("other"), other.all_ids());
    assert_eq!(place.ids("beside"), queue.all_ids());
    // Not all is done: the other sink still has some.
    assert!(queue.progress().records < COUNT as u64);
    agent.kill();
    drop(listener);
}

#[test]
fn what_a_sink_loses_is_counted_and_told_before_the_queue_goes() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let good = file(&place, "good");
    let sinks = [("bad", "file:/proc/none/x"), ("good", &*good)];
    let mut queue = Queue::new(&place, &sinks);
    for _ in 0..10 {
        queue.log("foo");
    }
    queue.ring();
    queue.until_done();
    until("the losses to be told", || {
        let progress = queue.progress();
        let is_reported =
            progress.records_lost == 10 && progress.unreported() == 0;
        is_reported.then_some(())
    });
    assert_eq!(place.lost(), 10);
    let journal = place.journal();
    let is_of_sink = |it: &str| it.starts_with("uilog.sink.bad: ");
    assert!(
        journal.iter().all(|it| is_of_sink(&it.detail)),
        "{journal:?}"
    );
    assert_eq!(place.ids("good"), queue.all_ids());
    drop(queue);
    agent.stop();
    assert!(place.queues().is_empty());
    assert_eq!(place.lost(), 10);
}

#[test]
fn whoever_found_no_room_to_ring_is_found() {
    const COUNT: usize = 600;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    agent.send(Signal::SIGSTOP);
    let sinks = [("a", &*file(&place, "a"))];
    let queues = (0..COUNT).map(|_| {
        let mut queue = Queue::new(&place, &sinks);
        queue.log("foo");
        assert!(queue.ring());
        queue
    });
    let queues: Vec<_> = queues.collect();
    agent.send(Signal::SIGCONT);
    for queue in &queues {
        queue.until_done();
    }
    assert_eq!(place.ids("a").len(), COUNT);
    agent.stop();
}

#[test]
fn five_sinks_take_little_memory() {
    const MAX_KB: u64 = 16 * 1024;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let names = ["a", "b", "c", "d", "e"];
    let urls = names.map(|name| file(&place, name));
    let sinks: Vec<_> = names
        .into_iter()
        .zip(urls.iter().map(String::as_str))
        .collect();
    let mut queue = Queue::new(&place, &sinks);
    let long = vec![b'x'; 1000];
    for _ in 0..5000 {
        queue.log_message("foo", &long);
    }
    queue.ring();
    queue.until_done();
    let peak = agent.peak_memory();
    println!("peak memory: {peak} kB");
    assert!(peak < MAX_KB, "{peak} kB");
    agent.stop();
}
