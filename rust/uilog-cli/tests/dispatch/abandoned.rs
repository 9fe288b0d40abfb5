//! Events that no process survives to run are counted, once: with programs that
//! never begin to serve, and with counter pages whose hg and dispatcher were
//! killed.

use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_channel::journal::wait_for_appending;
use uilog_channel::queue;
use uilog_channel::queue::Creator;
use uilog_channel::queue::Writer;
use uilog_event::event::SessionId;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_testing::until;
use uilog_testing::write_program;

use crate::Hg;
use crate::PROGRAM;
use crate::is_running;

/// As long as nothing takes.
const LONG: Duration = Duration::from_secs(60);

/// Logs an event and ends, as a short command does, with a program that
/// consists of `text`; what the journal says then, the program's process, the
/// journal and its home.
fn short_command(
    text: &[u8],
) -> (Vec<Failure>, i32, Journal, tempfile::TempDir) {
    let mut hg = Hg::new("/no/such/uilog", &[], "true");
    let program = hg.path("uilog");
    write_program(&program, text);
    hg.use_program(&program);
    hg.log("");
    let pid = hg.host.dispatcher().status().map_or(0, |it| it.pid);
    hg.host.finish();
    let journal = hg.journal();
    let home = end(hg);
    let failures = until("the loss to be known", || {
        let failures = journal.read();
        (!failures.is_empty()).then_some(failures)
    });
    (failures, pid, journal, home)
}

#[test]
fn a_program_that_never_begins_is_counted_by_whoever_comes_next() {
    let foreign = [b"\x7fELF\x01\x02\x01", &[0; 60][..]].concat();
    for text in [
        &b"#!/bin/sh\nexit 1\n"[..],
        b"#!/bin/sh\nsleep 0.2\nkill -9 $$\n",
        b"#!/no/such/interpreter\n",
        &foreign,
    ] {
        let (_, _, journal, home) = short_command(text);
        let failures = until("it to end", || {
            let failures = journal.read();
            (failures[0].kind == FailureKind::Lost).then_some(failures)
        });
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(
            (failures[0].kind, failures[0].lost),
            (FailureKind::Lost, 1)
        );
        // Once, by whom it may: moved or acknowledged.
        journal.claim_abandoned(LONG);
        wait_for_appending(LONG);
        assert_eq!(pages(&home.path().join("run/uilog")), 0);
        assert_eq!(journal.read().len(), 1);
        assert_eq!(journal.forget().unwrap(), 1);
        assert!(journal.read().is_empty());
    }
}

#[test]
fn a_program_that_hangs_is_shown_as_long_as_it_does() {
    let (failures, pid, journal, _home) =
        short_command(b"#!/bin/sh\nexec sleep 1000\n");
    let [failure] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert_eq!((failure.kind, failure.lost), (FailureKind::NotStarted, 1));
    assert!(failure.detail.contains("has not begun"), "{failure:?}");
    // Acknowledged or not, it hangs.
    journal.forget().unwrap();
    assert_eq!(journal.read().len(), 1);
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("the loss to be known", || {
        let failures = journal.read();
        (failures[0].kind == FailureKind::Lost).then_some(())
    });
}

#[test]
fn a_program_that_begins_late_is_waited_for() {
    let program = format!("#!/bin/sh\nsleep 0.3\nexec {PROGRAM} dispatch\n");
    let mut hg = Hg::new("/no/such/uilog", &[], "touch $DIR/ran");
    let path = hg.path("uilog");
    write_program(&path, program.as_bytes());
    hg.use_program(&path);
    hg.log("");
    hg.host.finish();
    let journal = hg.journal();
    let home = end(hg);
    let directory = home.path().join("run/uilog");
    assert_eq!(pages(&directory), 1);
    // Nobody counts what may still come.
    journal.claim_abandoned(LONG);
    until("the script", || {
        home.path().join("ran").exists().then_some(())
    });
    until("the page to go", || (pages(&directory) == 0).then_some(()));
    assert!(journal.read().is_empty());
}

#[test]
fn events_of_a_living_hg_wait_for_a_program_that_hangs() {
    let mut hg = Hg::new("/no/such/uilog", &[], "true");
    let program = hg.path("uilog");
    write_program(&program, b"#!/bin/sh\nexec sleep 1000\n");
    hg.use_program(&program);
    hg.log("");
    let failure = until("it to be known", || hg.journal().read().pop());
    assert_eq!(failure.kind, FailureKind::NotStarted);
    assert!(failure.detail.contains("has not begun"), "{failure:?}");
    let pid = hg.status().pid;
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    // As long as hg lives, it may start another one.
    until("it to be known", || {
        let failures = hg.journal().read();
        failures[0].detail.contains("starts another").then_some(())
    });
    hg.journal().claim_abandoned(LONG);
    assert_eq!(hg.journal().read_lines(), []);
    let journal = hg.journal();
    let _home = end(hg);
    until("the loss", || {
        (journal.read()[0].kind == FailureKind::Lost).then_some(())
    });
}

/// How many pages there are in a directory.
fn pages(directory: &Path) -> usize {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = names.map(|it| it.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("page-")).count()
}

/// What hg's end is to others, however it has ended.
fn end(hg: Hg) -> tempfile::TempDir {
    let Hg { host, home, .. } = hg;
    drop(host);
    home
}

fn kill_and_wait(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("it to be gone", || (!is_running(pid)).then_some(()));
}

fn lost(journal: &Journal) -> u64 {
    journal.read().iter().map(|failure| failure.lost).sum()
}

/// Runs until somebody lets it, and says so.
const WAITS: &str = "echo $MSG1 >> $DIR/begun; \
    until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done; \
    echo $MSG1 >> $DIR/ran";

#[test]
fn what_a_killed_hg_and_its_killed_dispatcher_leave_is_counted_once() {
    let mut hg = Hg::new(PROGRAM, &[("max-scripts", "1")], WAITS);
    for number in 0..5 {
        hg.log(&number.to_string());
    }
    until("the first script", || {
        (hg.lines("begun").len() == 1 && hg.status().progress.started == 1)
            .then_some(())
    });
    let (journal, pid) = (hg.journal(), hg.status().pid);
    let session = hg.host.session().to_string();
    let home = end(hg);
    assert_eq!(journal.read(), []);
    kill_and_wait(pid);
    // Whoever reads the journal sees it. Children that other tests are just
    // starting may hold the page for a moment.
    let seen = until("the loss", || {
        let seen = journal.read();
        (!seen.is_empty()).then_some(seen)
    });
    assert_eq!(
        (seen.len(), seen[0].lost, seen[0].kind),
        (1, 5, FailureKind::Lost)
    );
    assert_eq!(seen[0].session, session);
    let detail = &seen[0].detail;
    assert!(detail.contains("4 not begun"), "{detail}");
    assert!(
        detail.contains("1 started, and perhaps completed"),
        "{detail}"
    );
    // Two who come at the same time, and one who comes later.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| journal.claim_abandoned(LONG));
        }
    });
    journal.claim_abandoned(LONG);
    let directory = home.path().join("run/uilog");
    assert_eq!((journal.read_lines().len(), lost(&journal)), (1, 5));
    assert_eq!(pages(&directory), 0);
}

#[test]
fn a_killed_hg_loses_nothing_while_its_dispatcher_lives() {
    let mut hg = Hg::new(PROGRAM, &[("max-scripts", "1")], WAITS);
    for number in 0..3 {
        hg.log(&number.to_string());
    }
    let (journal, pid) = (hg.journal(), hg.status().pid);
    let home = end(hg);
    // Stopped, it has not begun, and holds the page all the same.
    journal.claim_abandoned(LONG);
    fs::write(home.path().join("go"), "").unwrap();
    until("it to end", || (!is_running(pid)).then_some(()));
    let ran = crate::whole_lines(&home.path().join("ran"));
    assert_eq!(ran, ["0", "1", "2"]);
    assert_eq!(journal.read(), []);
    assert_eq!(pages(&home.path().join("run/uilog")), 0);
}

#[test]
fn what_a_second_dispatcher_leaves_is_counted_without_what_the_first_ran() {
    let mut hg = Hg::new(PROGRAM, &[("max-scripts", "1")], WAITS);
    hg.log("0");
    until("the first script", || {
        (hg.status().progress.started == 1).then_some(())
    });
    let first = hg.status().pid;
    kill_and_wait(first);
    for number in 1..4 {
        hg.log(&number.to_string());
    }
    until("the second script", || {
        (hg.status().progress.started == 2).then_some(())
    });
    let (journal, second) = (hg.journal(), hg.status().pid);
    assert_ne!(first, second);
    let home = end(hg);
    kill_and_wait(second);
    // 1 runs, 2 and 3 have not begun; 0 has gone on by itself.
    until("the loss", || (lost(&journal) == 3).then_some(()));
    fs::write(home.path().join("go"), "").unwrap();
    until("both scripts", || {
        let ran = crate::whole_lines(&home.path().join("ran"));
        (ran.len() == 2).then_some(())
    });
}

#[test]
fn what_one_has_given_up_the_next_does_not_count() {
    let mut hg = Hg::new(PROGRAM, &[("max-scripts", "1")], WAITS);
    for (round, number) in [0, 3].into_iter().enumerate() {
        hg.log(&number.to_string());
        until("its script", || {
            (hg.status().progress.started == round as u64 + 1).then_some(())
        });
        for more in 1..3 {
            hg.log(&(number + more).to_string());
        }
        let pid = hg.status().pid;
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        until("it to end", || (!is_running(pid)).then_some(()));
        assert_eq!(lost(&hg.journal()), 2 * (round as u64 + 1));
    }
    hg.host.finish();
    let journal = hg.journal();
    let home = end(hg);
    // The two scripts go on by themselves: nothing is left.
    assert_eq!(
        (lost(&journal), pages(&home.path().join("run/uilog"))),
        (4, 0)
    );
}

#[test]
fn what_hg_has_given_up_is_counted_by_it_or_by_who_finds_it() {
    let mut hg = Hg::new("/bin/true", &[], "true");
    hg.log("1");
    let pid = hg.status().pid;
    until("it to be gone", || (!is_running(pid)).then_some(()));
    hg.host.finish();
    assert_eq!(hg.host.counters().lost, 1);
    wait_for_appending(LONG);
    let journal = hg.journal();
    assert_eq!((journal.read_lines().len(), lost(&journal)), (1, 1));
    let home = end(hg);
    let directory = home.path().join("run/uilog");
    assert_eq!((pages(&directory), lost(&journal)), (1, 1));
    journal.claim_abandoned(LONG);
    assert_eq!((pages(&directory), lost(&journal)), (0, 1));
    // It is known, and stays known as one.
    assert_eq!(journal.forget().unwrap(), 1);
}

#[test]
fn what_hg_has_lost_itself_and_not_told_is_counted() {
    let small = [("queue-size", "1 MB"), ("max-scripts", "1")];
    let mut hg = Hg::new(PROGRAM, &small, WAITS);
    let message = "x".repeat(10_000);
    for _ in 0..300 {
        hg.log(&message);
    }
    let counters = hg.host.counters();
    assert!(counters.lost > 150, "{counters:?}");
    until("a script", || {
        (hg.status().progress.started == 1).then_some(())
    });
    wait_for_appending(LONG);
    let (journal, pid) = (hg.journal(), hg.status().pid);
    let told: u64 = journal.read_lines().iter().map(|it| it.lost).sum();
    assert!(told < counters.lost, "{told} of {counters:?}");
    let _home = end(hg);
    kill_and_wait(pid);
    until("all", || (lost(&journal) == 300).then_some(()));
}

#[test]
fn a_forked_child_that_lives_on_holds_no_page() {
    let mut hg = Hg::new(PROGRAM, &[("max-scripts", "1")], WAITS);
    hg.log("");
    until("its script", || {
        (hg.status().progress.started == 1).then_some(())
    });
    // SAFETY: the child does nothing but wait to be killed.
    let child = match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => loop {
            nix::unistd::pause();
        },
        nix::unistd::ForkResult::Parent { child } => child,
    };
    let (journal, pid) = (hg.journal(), hg.status().pid);
    let _home = end(hg);
    kill_and_wait(pid);
    until("the loss", || (lost(&journal) == 1).then_some(()));
    kill(child, Signal::SIGKILL).unwrap();
    nix::sys::wait::waitpid(child, None).unwrap();
}

/// A dispatcher on a page of our own, of which nobody knows.
fn dispatcher_on(
    home: &Path,
) -> (Writer, File, impl FnOnce() -> process::Child) {
    let path = home.join("page-1");
    let maker = Creator {
        pid: 1,
        micros: 2,
        session: SessionId(3),
        program: Path::new(PROGRAM),
        path: &path,
    };
    fs::write(&path, queue::page_apart(1 << 20, &maker)).unwrap();
    let open = || {
        let options = File::options().read(true).write(true).clone();
        options.open(&path).unwrap()
    };
    let frames = queue::frames_file().unwrap();
    let stderr = frames.try_clone().unwrap();
    let (page, readers) = (open(), open());
    let start = move || {
        let (_, theirs) = UnixStream::pair().unwrap();
        process::Command::new(PROGRAM)
            .arg("dispatch")
            .stdin(OwnedFd::from(theirs))
            .stdout(readers)
            .stderr(stderr)
            .spawn()
            .unwrap()
    };
    (Writer::open_apart(page, frames, 1 << 20), open(), start)
}

#[test]
fn a_dispatcher_that_comes_too_late_runs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (writer, finder, start) = dispatcher_on(home.path());
    queue::claim(&finder).unwrap();
    let status = start().wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert_eq!(writer.progress().unwrap().readers, 0);
}

#[test]
fn a_dispatcher_waits_for_the_one_before_it() {
    let home = tempfile::tempdir().unwrap();
    let (writer, before, start) = dispatcher_on(home.path());
    assert!(living_file::hold(&before, Holder::Reader).unwrap());
    let mut child = start();
    let cwd = format!("/proc/{}/cwd", child.id());
    until("it to begin", || {
        fs::read_link(&cwd)
            .is_ok_and(|it| it == Path::new("/"))
            .then_some(())
    });
    assert_eq!(writer.progress().unwrap().readers, 0);
    // What that has said last is heard.
    let unreported = 1u64 << 40;
    FileExt::write_all_at(&before, &unreported.to_le_bytes(), 960).unwrap();
    living_file::unlock(&before, Holder::Reader).unwrap();
    assert!(child.wait().unwrap().success());
    let progress = writer.progress().unwrap();
    assert_eq!((progress.readers, progress.told), (1, unreported));
    assert_eq!(pages(home.path()), 0, "nothing is left");
}
