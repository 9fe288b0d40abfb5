//! What the system and other users may do to agents and their queues.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use uilog_channel::queue::Origin;
use uilog_event::event::Timestamp;

use crate::file;
use crate::mount::Mount;
use crate::mount::may_mount;
use crate::queue::Queue;
use crate::queue::origin;
use crate::support::TestPlace;
use crate::support::until;

/// Nobody in particular.
const OTHER_USER: u32 = 65_534;

#[test]
fn a_full_runtime_directory_stops_no_agent() {
    if !may_mount("faults::a_full_runtime_directory_stops_no_agent") {
        return;
    }
    let place = TestPlace::new();
    let mount = Mount::new(&place.run(), "1m");
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "600")];
    let mut queues: Vec<_> =
        (0..10).map(|_| Queue::new(&place, &sinks)).collect();
    for queue in &mut queues {
        queue.log("foo");
    }
    mount.fill();
    let agent = place.agent();
    for queue in &mut queues {
        queue.until_done();
        // What has a page of its own can still be written.
        queue.log("foo");
        assert!(queue.ring());
        queue.until_done();
    }
    assert_eq!(place.ids("a").len(), 20);
    drop(queues);
    until("no queues", || place.queues().is_empty().then_some(()));
    agent.stop();
    assert_eq!(place.lost(), 0);
}

#[test]
fn what_a_full_disk_does_not_take_is_told_and_the_rest_arrives() {
    let test = "faults::what_a_full_disk_does_not_take_is_told_and_the_rest_\
                arrives";
    if !may_mount(test) {
        return;
    }
    const COUNT: u64 = 50;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Mount::new(&disk, "1m");
    mount.fill();
    let sinks = [
        ("full", &*file(&place, "disk/log")),
        ("good", &*file(&place, "good")),
    ];
    let mut queue = Queue::new(&place, &sinks);
    for _ in 0..COUNT {
        queue.log("foo");
    }
    queue.ring();
    queue.until_done();
    until("the losses to be told", || {
        (place.lost() == COUNT).then_some(())
    });
    assert_eq!(place.ids("good"), queue.all_ids());
    mount.empty();
    let last = queue.log("foo");
    queue.ring();
    queue.until_done();
    until("the last one", || {
        (place.ids("disk/log").last() == Some(&last)).then_some(())
    });
    agent.stop();
    assert_eq!(place.lost(), COUNT);
}

#[test]
fn a_disk_that_hangs_holds_up_no_other() {
    const COUNT: usize = 300;
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let spool = file(&place, "never");
    let beside = file(&place, "beside");
    let sinks = [("hung-disk", &*spool), ("beside", &*beside)];
    let mut queue = Queue::new(&place, &sinks);
    let mut other = Queue::new(&place, &[("other", &*file(&place, "other"))]);
    for _ in 0..COUNT {
        queue.log("foo");
        queue.ring();
        other.log("foo");
        other.ring();
    }
    other.until_done();
    until("the sink beside it", || {
        (place.ids("beside").len() == COUNT).then_some(())
    });
    assert_eq!(place.ids("other"), other.all_ids());
    assert!(queue.progress().records < COUNT as u64);
    // It ends all the same, and nothing of it is lost in silence.
    agent.send(Signal::SIGTERM);
    agent.ends_well();
    let progress = queue.progress();
    let is_there = queue.path().exists();
    assert!(is_there && progress.records < COUNT as u64, "{progress:?}");
    assert_eq!(place.lost() + progress.unreported(), progress.records_lost);
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let place = TestPlace::new();
    let far = i64::MAX / 2;
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "0.1")];
    let mut all = Vec::new();
    let mut queues = Vec::new();
    for micros in [0, -1, far, i64::MIN, i64::MAX] {
        let origin = Origin { micros, ..origin() };
        let run = place.run();
        let mut queue =
            Queue::made_by(&run, &place.environment(), &sinks, &origin);
        for micros in [far / 1000, 0, -far / 1000, 1_000_000] {
            queue.clock = Some(Timestamp {
                micros,
                ..Timestamp::now()
            });
            all.push(queue.log("foo"));
        }
        queues.push(queue);
    }
    let agent = place.agent();
    for queue in &queues {
        queue.until_done();
        let own = queue.all_ids();
        let ids = place.ids("a").into_iter();
        let mine: Vec<_> = ids.filter(|it| own.contains(it)).collect();
        assert_eq!(mine, own);
    }
    drop(queues);
    agent.ends_well();
    assert_eq!(place.ids("a").len(), all.len());
    assert!(place.queues().is_empty());
    assert_eq!(place.lost(), 0);
}

#[test]
fn memory_of_queues_that_are_gone_can_be_reserved_again() {
    let place = TestPlace::new();
    let reserved = place.run().join("reserved");
    fs::write(&reserved, [0; 5000]).unwrap();
    let sinks = [("a", &*file(&place, "a")), ("agent-idle", "600")];
    let mut queue = Queue::new(&place, &sinks);
    queue.log_message("foo", &[b'x'; 60_000]);
    let agent = place.agent();
    let units = || fs::metadata(&reserved).unwrap().len();
    until("the first count", || (units() < 10).then_some(()));
    assert!(units() > 0);
    queue.until_done();
    drop(queue);
    until("no queue", || place.queues().is_empty().then_some(()));
    // As if many more had come and gone: little is not counted anew.
    fs::write(&reserved, [0; 5000]).unwrap();
    let mut other = Queue::new(&place, &sinks);
    other.log("foo");
    assert!(other.ring());
    until("the next count", || (units() < 10).then_some(()));
    agent.stop();
}

#[test]
fn another_users_file_is_left_alone_and_makes_nobody_write() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    let place = TestPlace::new();
    let sinks = [("a", &*file(&place, "evil"))];
    let mut queue = Queue::new(&place, &sinks);
    queue.log("foo");
    chown(queue.path(), Some(OTHER_USER), None).unwrap();
    let agent = place.agent_that_listens();
    queue.ring();
    let mut own = Queue::new(&place, &[("a", &*file(&place, "a"))]);
    own.log("foo");
    own.ring();
    own.until_done();
    agent.stop();
    assert!(!place.path("evil").exists());
    assert!(queue.path().exists());
    assert_eq!(queue.progress().readers, 0);
}

/// Its directory keeps others out; should it not, the kernel tells who rings.
#[test]
fn another_user_rings_in_vain() {
    if !geteuid().is_root() {
        eprintln!("LEFT OUT: other users because we are not root");
        return;
    }
    let place = TestPlace::new();
    let agent = place.agent_that_listens();
    let mut queue = Queue::new(&place, &[("a", &*file(&place, "a"))]);
    let socket = place.run().join(crate::support::names().socket);
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                  s.sendto(sys.argv[2].encode(), sys.argv[1])\n";
    let ring = |uid: u32| {
        let status = Command::new("python3")
            .args(["-c", script])
            .args([socket.as_os_str(), &queue.name])
            .current_dir("/")
            .stderr(std::process::Stdio::null())
            .uid(uid)
            .status();
        status.unwrap().success()
    };
    assert!(!ring(OTHER_USER), "the directory is open to others");
    assert!(ring(0));
    let everybodys =
        <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode;
    for path in [socket.as_path(), &place.run(), place.path("").as_path()] {
        fs::set_permissions(path, everybodys(0o777)).unwrap();
    }
    until("the agent to have it", || {
        (queue.progress().readers == 1).then_some(())
    });
    queue.log("foo");
    queue.until_done();
    let mut late = Queue::new(&place, &[("b", &*file(&place, "b"))]);
    late.log("foo");
    let status = Command::new("python3")
        .args(["-c", script])
        .args([socket.as_os_str(), &late.name])
        .current_dir("/")
        .uid(OTHER_USER)
        .status();
    assert!(status.unwrap().success());
    // What comes later has been heard, and so this one has.
    queue.log("foo");
    queue.ring();
    queue.until_done();
    assert_eq!(late.progress().readers, 0);
    late.ring();
    late.until_done();
    agent.stop();
}
