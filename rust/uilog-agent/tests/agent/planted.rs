//! Queues that were not written by an hg of the agent's user and namespaces.

use std::fs;

use uilog_channel::queue::Origin;

use crate::file;
use crate::queue::Queue;
use crate::queue::origin;
use crate::support::TestPlace;
use crate::support::until;

/// A queue whose writer is gone, and cannot be proven to have been from here.
fn plant(
    place: &TestPlace,
    origin: &Origin,
    sinks: &[(&str, &str)],
) -> Vec<String> {
    let environment = format!("HOME={}\0", place.path("evil").display());
    let mut queue = Queue::made_by(&place.run(), &environment, sinks, origin);
    for _ in 0..3 {
        queue.log("foo");
    }
    queue.all_ids()
}

/// A process that is there, and has no such file open.
fn forged() -> Origin {
    Origin { pid: 1, ..origin() }
}

fn foreign() -> Origin {
    Origin {
        namespaces: "0123456789abcdef".to_owned(),
        ..origin()
    }
}

#[test]
fn a_planted_queue_makes_nobody_write_anywhere() {
    for origin in [forged(), foreign()] {
        let place = TestPlace::new();
        let sinks = [("a", &*file(&place, "evil/a")), ("b", "syslog:/no")];
        plant(&place, &origin, &sinks);
        place.agent().ends_well();
        assert!(!place.path("evil").exists());
        assert!(place.queues().is_empty());
        let journal = place.journal();
        assert_eq!(place.lost(), 6, "{journal:?}");
        for name in ["a", "b"] {
            let begin = format!(
                "uilog.sink.{name}: an untrusted queue names this sink"
            );
            let told =
                journal.iter().filter(|it| it.detail.starts_with(&begin));
            assert_eq!(told.map(|it| it.lost).sum::<u64>(), 3);
        }
    }
}

#[test]
fn what_is_configured_here_is_delivered_whoever_has_written_it() {
    for origin in [forged(), foreign()] {
        let place = TestPlace::new();
        let url = file(&place, "a");
        let text = format!("[uilog]\nagent-idle = 0\nsink.a = {url}\n");
        place.configure(&text);
        let sinks = [("a", &*url), ("b", &*file(&place, "b"))];
        let ids = plant(&place, &origin, &sinks);
        place.agent().ends_well();
        assert_eq!(place.ids("a"), ids);
        assert!(!place.path("b").exists());
        assert_eq!(place.lost(), 3);
        assert!(place.queues().is_empty());
    }
}

#[test]
fn what_a_process_from_here_has_is_delivered_for_others_too() {
    let place = TestPlace::new();
    let url = file(&place, "a");
    let ids = plant(&place, &foreign(), &[("a", &*url)]);
    let mut own = Queue::new(&place, &[("a", &*url), ("agent-idle", "0.2")]);
    own.log("foo");
    place.agent().ends_well();
    let arrived = place.ids("a");
    assert!(
        ids.iter()
            .chain(&own.all_ids())
            .all(|it| arrived.contains(it))
    );
    assert_eq!(arrived.len(), 4);
    assert_eq!(place.lost(), 0);
}

#[test]
fn the_starters_queue_is_believed_though_it_has_ended() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0")];
    let mut queue =
        Queue::made_by(&place.run(), &place.environment(), &sinks, &forged());
    queue.log("foo");
    let name = queue.name.clone().into_string().unwrap();
    let ids = queue.all_ids();
    drop(queue);
    place.agent_for(&name).ends_well();
    assert_eq!(place.ids("a"), ids);
}

#[test]
fn a_queue_of_another_living_agent_is_left_to_it() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a"))];
    let mut queue =
        Queue::made_by(&place.run(), &place.environment(), &sinks, &foreign());
    queue.log("foo");
    place.agent().ends_well();
    assert_eq!(queue.progress().readers, 0);
    assert!(queue.path().exists());
    assert_eq!(place.lost(), 0);
}

/// Another agent may be at home there, and know more.
#[test]
fn nothing_is_judged_that_lies_elsewhere() {
    let place = TestPlace::new();
    let url = file(&place, "a");
    place.configure(&format!("[uilog]\nagent-idle = 0\nsink.a = {url}\n"));
    let elsewhere = place.path("elsewhere");
    let fill = |sinks: &[(&str, &str)]| {
        let environment = place.environment();
        let mut queue =
            Queue::made_by(&elsewhere, &environment, sinks, &forged());
        queue.log("foo");
        queue.all_ids()
    };
    let ids = fill(&[("a", &*url)]);
    fill(&[("b", &*file(&place, "b"))]);
    place.agent().ends_well();
    assert_eq!(place.ids("a"), ids);
    assert!(!place.path("b").exists());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    assert_eq!(place.lost(), 0);
}

#[test]
fn files_that_are_no_queues_hold_up_nobody() {
    let place = TestPlace::new();
    for (name, text) in [
        ("records-N-0a", &b"nonsense"[..]),
        ("records-N-0b", b""),
        ("records-1-0c", b"of another version"),
        ("records-N-zz", b"no such name"),
        ("other", b"something else"),
    ] {
        let name =
            name.replace('N', &uilog_channel::wire::PROTOCOL.to_string());
        fs::write(place.run().join(name), text).unwrap();
    }
    let mut queue = Queue::new(&place, &[("a", &*file(&place, "a"))]);
    queue.log("foo");
    let agent = place.agent();
    queue.until_done();
    until("the journal", || (place.lost() == 2).then_some(()));
    agent.stop();
    let version = uilog_channel::wire::PROTOCOL;
    let gone = |name: &str| {
        !place
            .run()
            .join(format!("records-{version}-{name}"))
            .exists()
    };
    assert!(gone("0a") && gone("0b") && !gone("zz"));
    assert!(place.run().join("other").exists());
}
