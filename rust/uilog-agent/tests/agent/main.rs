//! Agents as processes, and queues as hg makes them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod support;

use support::Place;
use support::Queue;
use support::until;

/// A file sink of this place.
fn file(place: &Place, name: &str) -> String {
    format!("file:{}", place.path(name).display())
}

#[test]
fn the_records_of_several_writers_arrive_in_order() {
    let place = Place::new();
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
    let place = Place::new();
    let agent = place.agent_that_listens();
    let writer = place.writer(COUNT);
    let written = place.path("written");
    until("the writer", || written.exists().then_some(()));
    writer.kill();
    place.until_no_queues();
    assert_eq!(place.ids("out").len() as u64, COUNT);
    agent.stop();
}
