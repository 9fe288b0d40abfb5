//! How agents end, and that no wakeup is lost.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal;
use uilog_channel::journal::Failure;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_testing::until;

use crate::file;
use crate::queue::Queue;
use crate::support::TestPlace;
use crate::support::names;

/// Passes a time that is shorter than any sleep.
fn spin(times: u32) {
    for time in 0..times {
        std::hint::black_box(time);
    }
}

#[test]
fn an_idle_agent_ends_and_leaves_the_queues_of_the_living() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0.1")];
    let mut living = Queue::new(&place, &sinks);
    living.log("foo");
    let mut dead = Queue::new(&place, &sinks);
    dead.log("foo");
    let agent = place.agent();
    dead.until_done();
    drop(dead);
    agent.ends_well();
    let name = living.name.clone().into_string().unwrap();
    assert_eq!(place.queues(), [name]);
    assert!(!living.ring());
    assert_eq!(place.ids("a").len(), 2);
}

/// As after a logout.
#[test]
fn an_agent_ends_whose_directory_is_gone() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "1")];
    let mut queue = Queue::new(&place, &sinks);
    queue.log("foo");
    let agent = place.agent();
    queue.until_done();
    std::fs::remove_dir_all(place.run()).unwrap();
    // It has no name any more, and is served all the same.
    queue.log("foo");
    queue.until_done();
    agent.ends_well();
    assert_eq!(place.ids("a"), queue.all_ids());
}

/// What hg appends without being heard: it relies on whoever reads.
#[test]
fn an_agent_that_ends_leaves_nothing_in_a_queue_without_a_name() {
    for round in 0..20_u32 {
        let place = TestPlace::new();
        let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0")];
        let mut queue = Queue::new(&place, &sinks);
        queue.log("foo");
        let agent = place.agent();
        queue.until_done();
        let reader = queue.file();
        std::fs::remove_dir_all(place.run()).unwrap();
        let is_read = || living_file::is_held(&reader, Holder::Reader).unwrap();
        // As hg does: append, and look then whether somebody reads.
        loop {
            queue.log("foo");
            if !is_read() {
                break;
            }
            queue.until_done();
            // Some come when it is just ending.
            spin(round * 20_000);
        }
        agent.ends_well();
        let ids = place.ids("a");
        let own = queue.all_ids();
        let last = own.len() - 1;
        let missing: Vec<_> =
            own[..last].iter().filter(|it| !ids.contains(it)).collect();
        assert!(missing.is_empty(), "{round}: {missing:?}");
    }
}

/// The same for a queue whose file is removed at the last moment. The agent has
/// many others, so that its end takes longer.
#[test]
fn an_agent_that_ends_leaves_nothing_in_a_queue_that_loses_its_name() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0")];
    let _others: Vec<_> =
        (0..200).map(|_| Queue::new(&place, &sinks)).collect();
    let socket = place.run().join(names().socket);
    for round in 0..40_u32 {
        let mut queue = Queue::new(&place, &sinks);
        let reader = queue.file();
        queue.log("foo");
        let agent = place.agent();
        queue.until_done();
        // Agents remove their socket first.
        while socket.exists() {
            std::hint::spin_loop();
        }
        spin(round * 1000);
        std::fs::remove_file(queue.path()).unwrap();
        queue.log("foo");
        if living_file::is_held(&reader, Holder::Reader).unwrap() {
            queue.until_done();
        }
        agent.ends_well();
    }
}

/// As hg does it: rings, and starts an agent if there is none and nobody else
/// is starting one.
#[test]
fn nobody_rings_in_vain_while_agents_come_and_go() {
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0")];
    let mut queue = Queue::new(&place, &sinks);
    let mut agents = Vec::new();
    let (mut starts, mut round) = (0, 0_u32);
    while round < 90 || starts < 5 {
        assert!(round < 10_000, "no agent ends");
        round += 1;
        queue.log("foo");
        if !queue.ring()
            && let Some(agent) = place.agent_with_lock()
        {
            agents.push(agent);
            starts += 1;
        }
        agents.retain_mut(|it| it.0.try_wait().unwrap().is_none());
        if round % 3 == 0 {
            // Some come when the one before is just ending.
            queue.until_done();
            spin((round % 50) * 4000);
        }
    }
    // Nobody rings any more.
    queue.until_done();
    let ids: BTreeSet<_> = place.ids("a").into_iter().collect();
    assert_eq!(ids, queue.all_ids().into_iter().collect());
}

#[test]
fn an_agent_that_is_ended_by_sigterm_leaves_the_others_in_their_queue() {
    const COUNT: usize = 1500;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let (listener, hung) = place.hung_sink();
    let mut queue = Queue::new(&place, &[("hung", &*hung)]);
    let long = vec![b'x'; 2000];
    for _ in 0..COUNT {
        queue.log_message("foo", &long);
    }
    queue.ring();
    until("the agent to read", || {
        (queue.progress().taken == COUNT as u64).then_some(())
    });
    agent.stop();
    let progress = queue.progress();
    assert!(progress.records < COUNT as u64, "{progress:?}");
    assert_eq!(place.lost() + progress.unreported(), progress.records_lost);
    // Now somebody reads.
    let reader = std::thread::spawn(move || read_all(&listener, COUNT));
    let agent = place.agent();
    queue.until_done();
    let progress = queue.progress();
    assert_eq!(
        reader.join().unwrap() as u64,
        COUNT as u64 - progress.records_lost
    );
    agent.kill();
}

/// As at a logout: the directory is removed, and everybody is ended.
#[test]
fn an_agent_that_is_ended_by_sigterm_counts_what_nobody_can_find() {
    const COUNT: u64 = 50;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let (_listener, hung) = place.hung_sink();
    let long = vec![b'x'; 200_000];
    let mut queues = Vec::new();
    for _ in 0..3 {
        let mut queue = Queue::new(&place, &[("hung", &*hung)]);
        for _ in 0..COUNT {
            queue.log_message("foo", &long);
        }
        queue.ring();
        queues.push(queue);
    }
    for queue in &queues {
        until("the agent to read", || {
            (queue.progress().taken == COUNT).then_some(())
        });
    }
    let ended = queues.pop().unwrap();
    let [living, named] = &queues[..] else {
        unreachable!()
    };
    let readers = [living.file(), named.file()];
    for queue in [&ended, living] {
        std::fs::remove_file(queue.path()).unwrap();
    }
    drop(ended);
    agent.send(Signal::SIGTERM);
    // From then on writers do not rely on it.
    until("nobody to read", || {
        let is_held = |it| living_file::is_held(it, Holder::Reader).unwrap();
        (!readers.iter().any(is_held)).then_some(())
    });
    agent.ends_well();
    for queue in [living, named] {
        assert!(queue.progress().records < COUNT);
    }
    let journal = place.journal();
    let is_it = |it: &&Failure| it.detail.contains("file removed");
    let told: Vec<_> = journal.iter().filter(is_it).collect();
    assert_eq!(told.len(), 1, "{journal:?}");
    assert!(told[0].lost > 0 && told[0].lost <= COUNT, "{told:?}");
}

/// Reads until there are so many different records.
fn read_all(listener: &UnixListener, count: usize) -> usize {
    use std::io::BufRead;
    let mut ids = BTreeSet::new();
    for stream in listener.incoming() {
        let lines = std::io::BufReader::new(stream.unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&line)
            else {
                continue;
            };
            ids.insert(value["id"].as_str().unwrap().to_owned());
            if ids.len() == count {
                return count;
            }
        }
    }
    ids.len()
}

#[test]
fn a_stopped_agent_goes_on() {
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let mut queue = Queue::new(&place, &[("a", &*file(&place, "a"))]);
    queue.log("foo");
    queue.ring();
    queue.until_done();
    agent.send(Signal::SIGSTOP);
    for _ in 0..200 {
        queue.log("foo");
        assert!(queue.ring());
    }
    agent.send(Signal::SIGTERM);
    agent.send(Signal::SIGCONT);
    agent.ends_well();
    // What has come is delivered, though it is to end.
    assert_eq!(place.ids("a"), queue.all_ids());
    assert_eq!(queue.progress().records, 201);
}
