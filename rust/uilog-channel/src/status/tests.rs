//! Real processes whose queue and page are shown, and what of it is trouble.

use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_testing::until;

use super::*;
use crate::queue;
use crate::queue::Progress;
use crate::queue::Reader;
use crate::queue::Writer;

/// A shell that looks like a dispatcher of this user and this queue, and
/// runs a script until its standard input is closed. It needs the
/// directory at its start.
fn start(queue: &Writer, user: u32) -> (Child, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let for_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&dir, for_all).unwrap();
    let script = "EVENT=commit sh -c 'read line'; :\n";
    fs::write(dir.path().join("dispatch"), script).unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg0("uilog").arg("dispatch").current_dir(&dir);
    command.uid(user).stdin(Stdio::piped());
    command.stdout(queue.page().try_clone().unwrap());
    (command.spawn().unwrap(), dir)
}

/// One of this user, which runs its script.
fn dispatcher_of(queue: &Writer) -> Child {
    let (mut child, _dir) = start(queue, geteuid().as_raw());
    until("the dispatcher runs its script", || {
        let has_ended = child.try_wait().unwrap().is_some();
        assert!(!has_ended);
        shown(&child).filter(|it| {
            it.protocol.is_some()
                || it.scripts.iter().any(|it| it.event.is_some())
        })
    });
    child
}

fn shown(child: &Child) -> Option<Dispatcher> {
    let shown = read(b"").unwrap().dispatchers;
    shown.into_iter().find(|it| it.pid == child.id() as i32)
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_dispatcher_is_shown_with_what_its_page_says() {
    let mut queue = Writer::create(1 << 20).unwrap();
    let mut frame = Vec::new();
    let begin = queue::begin_frame(&mut frame).unwrap();
    queue::end_frame(&mut frame, begin).unwrap();
    queue.append(&frame, 30).unwrap();
    let page = queue.page().try_clone().unwrap();
    let mut reader = Reader::open(page.into()).unwrap();
    *reader.progress_mut() = Progress {
        taken: 20,
        scripts: 12,
        started: 9,
        succeeded: 4,
        failed: 2,
        timed_out: 1,
        not_started: 3,
        records: 5,
        records_lost: 6,
        ..*reader.progress_mut()
    };
    reader.publish().unwrap();
    reader.publish_failure("the reason").unwrap();
    let child = dispatcher_of(&queue);
    let it = shown(&child).unwrap();
    assert_eq!((it.events, it.taken, it.waiting), (30, 20, 10));
    assert_eq!((it.started, it.succeeded), (9, 4));
    assert_eq!((it.failed, it.timed_out, it.lost), (2, 1, 3));
    assert_eq!((it.records_waiting, it.records_done), (3, 5));
    assert_eq!(it.records_lost, 6);
    assert_eq!(it.queue_bytes, queue.bytes().unwrap());
    assert_eq!(it.last_failure.as_deref(), Some("the reason"));
    assert_eq!((it.stopped, it.protocol), (false, None));
    assert!(it.age.is_some() && it.program.starts_with('/'));
    let own = std::process::id() as i32;
    let command = command_line(own);
    assert!(it.hg.contains(&Process { pid: own, command }));
    let events = it.scripts.iter().map(|it| it.event.as_deref());
    assert_eq!(events.collect::<Vec<_>>(), [Some("commit")]);
    let pid = Pid::from_raw(it.pid);
    kill(pid, Signal::SIGSTOP).unwrap();
    until("it is stopped", || shown(&child).filter(|it| it.stopped));
    kill(pid, Signal::SIGCONT).unwrap();
    end(child);
}

#[test]
fn of_another_protocol_only_that_is_known() {
    let queue = Writer::create(1 << 20).unwrap();
    let other = PROTOCOL + 1;
    queue.page().write_all_at(&other.to_le_bytes(), 6).unwrap();
    let child = dispatcher_of(&queue);
    let it = shown(&child).unwrap();
    assert_eq!((it.protocol, it.events), (Some(other), 0));
    end(child);
}

#[test]
fn a_dispatcher_of_another_user_is_only_counted() {
    const STRANGER: u32 = 65_534;
    if !geteuid().is_root() {
        return;
    }
    let queue = Writer::create(1 << 20).unwrap();
    let (child, _dir) = start(&queue, STRANGER);
    until("it is counted", || {
        (read(b"").unwrap().foreign > 0).then_some(())
    });
    assert!(shown(&child).is_none());
    end(child);
}

#[test]
fn anything_that_needs_a_user_is_trouble() {
    fn failure() -> Failure {
        let none = String::new;
        Failure::now(none(), b"", FailureKind::Lost, 0, none())
    }
    let quiet = || Status {
        dispatchers: vec![Dispatcher::default()],
        foreign: 1,
        unreadable: 0,
        journal: JournalFacts::default(),
    };
    assert!(!quiet().is_troubled());
    let troubles: [fn(&mut Status); 7] = [
        |it| it.dispatchers[0].stopped = true,
        |it| it.dispatchers[0].protocol = Some(1),
        |it| it.dispatchers[0].lost = 1,
        |it| it.dispatchers[0].records_lost = 1,
        |it| it.unreadable = 1,
        |it| it.journal.problem = Some("why".to_owned()),
        |it| it.journal.failures.push(failure()),
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let mut status = quiet();
        trouble(&mut status);
        assert!(status.is_troubled(), "{number}");
    }
}

#[test]
fn only_what_is_not_there_has_vanished() {
    for (errno, expected) in [
        (nix::libc::ENOENT, true),
        (nix::libc::ESRCH, true),
        (nix::libc::EACCES, false),
    ] {
        let error = io::Error::from_raw_os_error(errno);
        assert_eq!(has_vanished(&error), expected, "{error}");
    }
}

#[test]
fn what_check_starts_is_not_shown() {
    let process = |command: &str| Process {
        pid: 7,
        command: command.to_owned(),
    };
    let probe = Dispatcher {
        hg: vec![process("/usr/bin/uilog check -T json")],
        ..Dispatcher::default()
    };
    assert!(probe.is_probe());
    let of_doctor = vec![process("uilog doctor")];
    assert!(
        Dispatcher {
            hg: of_doctor,
            ..probe.clone()
        }
        .is_probe()
    );
    // It has let go of it, and the dispatcher is about to end.
    assert!(
        Dispatcher {
            hg: Vec::new(),
            ..probe.clone()
        }
        .is_probe()
    );
    for command in ["/usr/bin/hg check", "uilog run -- hg", "uilog"] {
        let hg = vec![process(command)];
        assert!(
            !Dispatcher {
                hg,
                ..probe.clone()
            }
            .is_probe(),
            "{command}"
        );
    }
    assert!(
        !Dispatcher {
            events: 1,
            ..probe.clone()
        }
        .is_probe()
    );
    assert!(
        !Dispatcher {
            stopped: true,
            ..probe.clone()
        }
        .is_probe()
    );
    assert!(
        !Dispatcher {
            protocol: Some(1),
            ..probe
        }
        .is_probe()
    );
}

#[test]
fn this_process_is_no_dispatcher_and_has_an_age() {
    let pid = std::process::id() as i32;
    assert!(!is_dispatcher(&proc(pid)));
    let mut stat = ProcessStat::read(pid).unwrap();
    assert!(Clock::now().age(&stat).is_some());
    let clock = Clock {
        uptime: Some(60.0),
        ticks: 50.0,
    };
    stat.start = 500;
    assert_eq!(clock.age(&stat), Some(50.0));
    stat.start = 5000;
    assert_eq!(clock.age(&stat), Some(0.0));
}
