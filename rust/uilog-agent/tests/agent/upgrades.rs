//! Processes of two versions at the same time: hg is upgraded while it runs.

use std::fs;

use uilog_channel::wire::PROTOCOL;

use crate::file;
use crate::queue::Queue;
use crate::support::OLDER;
use crate::support::TestPlace;
use crate::support::until;

#[test]
fn what_the_version_before_has_left_is_delivered() {
    let place = TestPlace::new();
    let url = file(&place, "a");
    place.configure(&format!("[uilog]\nagent-idle = 0\nsink.a = {url}\n"));
    let mut queue = Queue::older(&place, &[("a", &*url)]);
    queue.log("foo");
    queue.log("foo");
    let ids = queue.all_ids();
    drop(queue);
    place.agent().ends_well();
    assert_eq!(place.ids("a"), ids);
    assert!(place.queues().is_empty());
    assert_eq!(place.lost(), 0);
}

/// A server of the old version goes on, and finds the new program where it
/// found the old one.
#[test]
fn an_agent_that_the_version_before_starts_serves_it() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "600")];
    let mut old = Queue::older(&place, &sinks);
    old.log("foo");
    assert!(!old.ring());
    let name = old.name.clone().into_string().unwrap();
    let agent = place.agent_with_lock_of(OLDER, &name).unwrap();
    old.until_done();
    until("the old socket", || old.ring().then_some(()));
    assert!(place.agent_with_lock_of(OLDER, &name).is_none());
    let mut new = Queue::new(&place, &sinks);
    new.log("foo");
    assert!(new.ring());
    assert!(place.agent_with_lock_of(PROTOCOL, "").is_none());
    new.until_done();
    old.log("foo");
    assert!(old.ring());
    old.until_done();
    agent.stop();
    assert!(!old.ring() && !new.ring());
    assert_eq!(place.ids("a").len(), 3);
    // Nobody holds the old lock any more.
    let next = place.agent_with_lock_of(OLDER, &name).unwrap();
    until("the old socket", || old.ring().then_some(()));
    next.stop();
}

#[test]
fn an_agent_that_runs_hears_of_the_version_before() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "600")];
    let mut old = Queue::older(&place, &sinks);
    old.log("foo");
    assert!(!old.ring());
    let name = old.name.clone().into_string().unwrap();
    let mut second = place.agent_with_lock_of(OLDER, &name).unwrap();
    // It ends: there is one.
    until("its end", || second.0.try_wait().unwrap());
    old.until_done();
    // The other one listens here as soon as it sees it again.
    until("the old socket", || {
        old.log("foo");
        let is_heard = old.ring();
        if !is_heard
            && let Some(mut it) = place.agent_with_lock_of(OLDER, &name)
        {
            until("its end", || it.0.try_wait().unwrap());
        }
        is_heard.then_some(())
    });
    old.until_done();
    assert_eq!(place.ids("a"), old.all_ids());
    agent.stop();
}

#[test]
fn an_agent_of_the_version_before_keeps_its_socket_while_it_runs() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "600")];
    let mut old = Queue::older(&place, &sinks);
    old.log("foo");
    let names = crate::support::names_of(OLDER);
    let lock = fs::File::create(place.run().join(&names.lock)).unwrap();
    let is_held = uilog_sys::living_file::hold(
        &lock,
        uilog_sys::living_file::Holder::Maker,
    );
    assert!(is_held.unwrap());
    let agent = place.agent();
    let mut new = Queue::new(&place, &sinks);
    new.log("foo");
    new.ring();
    new.until_done();
    old.until_done();
    assert!(!old.ring());
    agent.stop();
}

#[test]
fn queues_of_other_versions_are_left_to_those() {
    let place = TestPlace::new();
    let names: Vec<_> = [PROTOCOL + 1, OLDER - 1]
        .iter()
        .map(|it| format!("records-{it}-0a"))
        .collect();
    for name in &names {
        fs::write(place.run().join(name), b"who knows").unwrap();
    }
    place.agent().ends_well();
    let mut left = place.queues();
    left.sort();
    let mut names = names;
    names.sort();
    assert_eq!(left, names);
    assert_eq!(place.lost(), 0);
}
