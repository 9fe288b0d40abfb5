//! Connections to scripted peers, and what remains after their end, as seen in
//! /proc.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_peer::CloseReport;
use uilog_peer::Exit;
use uilog_peer::Limits;
use uilog_peer::Outcome;
use uilog_peer::Peer;
use uilog_peer::Shutdown;
use uilog_peer::Step;
use uilog_sys::fd::Identity;

/// Far more than anything takes that ends by itself.
const PATIENT: Limits = Limits {
    idle: Some(Duration::from_secs(60)),
    total: Some(Duration::from_secs(60)),
};

/// For what does not end by itself; far more than it takes a shell to end that
/// is about to.
const IMPATIENT: Limits = Limits {
    idle: Some(Duration::from_secs(2)),
    total: Some(Duration::from_secs(60)),
};

/// For who never ends by himself, though he is never silent.
const BRIEF: Limits = Limits {
    idle: Some(Duration::from_secs(60)),
    total: Some(Duration::from_secs(1)),
};

/// A peer that is this shell script, and its process id.
#[allow(clippy::zombie_processes, reason = "it is the peer that waits")]
fn open(script: &str) -> (Peer, u32) {
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pipes: (OwnedFd, OwnedFd, OwnedFd) = (
        child.stdin.take().unwrap().into(),
        child.stdout.take().unwrap().into(),
        child.stderr.take().unwrap().into(),
    );
    let pid = child.id();
    (Peer::adopt(pid, pipes.0, pipes.1, pipes.2), pid)
}

fn close(peer: &mut Peer, limits: Limits) -> (CloseReport, Vec<String>) {
    let mut lines = Vec::new();
    let closed = peer
        .close(limits, &mut |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        })
        .unwrap();
    (closed, lines)
}

/// A process's state as /proc has it; `None` if there is none.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim().chars().next()
}

/// Waits for a line from a peer's standard output.
fn answer(peer: &Peer) -> String {
    let [_, stdout, _] = peer.descriptors();
    let stdout = uilog_sys::fd::duplicate(stdout.unwrap()).unwrap();
    let mut line = String::new();
    BufReader::new(fs::File::from(stdout))
        .read_line(&mut line)
        .unwrap();
    line.trim_end().to_owned()
}

fn tell(peer: &Peer, line: &str) {
    let [stdin, ..] = peer.descriptors();
    let stdin = uilog_sys::fd::duplicate(stdin.unwrap()).unwrap();
    writeln!(fs::File::from(stdin), "{line}").unwrap();
}

#[test]
fn the_end_of_its_input_ends_a_peer_and_every_line_is_shown() {
    let (mut peer, pid) =
        open("echo one >&2; cat; echo two >&2; printf three >&2; exit 3");
    let (closed, lines) = close(&mut peer, PATIENT);
    assert_eq!(lines, ["one\n", "two\n", "three"]);
    assert_eq!(closed.outcome, Outcome::Closed);
    assert_eq!(closed.exit, Some(Exit::Code(3)));
    assert_eq!(state(pid), None, "it has been reaped");
    assert_eq!(peer.descriptors(), [None; 3]);
    // Again: the same, and no line twice.
    assert_eq!(close(&mut peer, PATIENT), (closed, vec![]));
}

#[test]
fn a_flood_on_standard_error_is_shown_whole() {
    let (mut peer, _) = open("cat; yes 0123456789abcde | head -n 50000 >&2");
    let (closed, lines) = close(&mut peer, PATIENT);
    assert_eq!(closed.outcome, Outcome::Closed);
    assert_eq!(lines.len(), 50_000);
    assert!(lines.iter().all(|line| line == "0123456789abcde\n"));
}

#[test]
fn whoever_goes_on_talking_is_listened_to() {
    // Longer than the limit, but never silent for that long.
    let (mut peer, _) =
        open("cat; for i in 1 2 3 4 5 6 7 8; do echo $i >&2; sleep 0.3; done");
    let (closed, lines) = close(&mut peer, IMPATIENT);
    assert_eq!(lines.concat(), "1\n2\n3\n4\n5\n6\n7\n8\n");
    assert_eq!(closed.outcome, Outcome::Closed);
}

#[test]
fn whoever_talks_for_ever_is_cut() {
    let scripts = [
        "cat; while :; do echo x >&2; sleep 0.1; done",
        // Without the end of a line.
        "cat; while :; do printf x >&2; sleep 0.1; done",
        // As fast as it can.
        "cat; exec yes x >&2",
        // Not the process itself.
        "yes x >&2 & cat",
    ];
    for script in scripts {
        let (mut peer, pid) = open(script);
        let (closed, lines) = close(&mut peer, BRIEF);
        assert_eq!(closed.outcome, Outcome::Cut, "{script}");
        assert!(closed.is_cut && closed.is_stderr_held, "{script}");
        let said = lines.concat();
        assert!(said.starts_with('x'), "{script}: {said}");
        assert!(said.bytes().all(|it| b"x\n".contains(&it)), "{script}");
        assert_eq!(state(pid), None, "{script}");
    }
}

#[test]
fn a_talker_who_ignores_sigterm_is_killed() {
    let (mut peer, pid) = open(
        "trap '' TERM PIPE; echo ready; cat
        while :; do echo x >&2; sleep 0.1; done 2>&1 >&2",
    );
    assert_eq!(answer(&peer), "ready");
    let (closed, _) = close(&mut peer, BRIEF);
    assert_eq!(closed.outcome, Outcome::Killed);
    assert!(closed.is_cut);
    assert_eq!(closed.exit, Some(Exit::Signal(libc::SIGKILL)));
    assert_eq!(state(pid), None);
}

#[test]
fn several_talkers_are_cut_at_the_same_time() {
    let peers = (0..10).map(|_| open("cat; exec yes x >&2").0);
    let mut shutdown = Shutdown::new(peers.collect(), BRIEF);
    while !matches!(shutdown.step(), Step::Done) {
        shutdown.wait(Duration::from_secs(60));
    }
    for peer in shutdown.into_peers() {
        assert_eq!(peer.closed().unwrap().outcome, Outcome::Cut);
    }
}

#[test]
fn a_shutdown_blocks_for_as_long_as_it_may() {
    let (peer, _) = open("exec sleep 100");
    let mut shutdown = Shutdown::new(vec![peer], PATIENT);
    assert!(matches!(shutdown.step(), Step::Wait));
    let max = Duration::from_millis(50);
    let begin = Instant::now();
    shutdown.wait(max);
    assert!(begin.elapsed() >= max);
    shutdown.interrupt();
    while !matches!(shutdown.step(), Step::Done) {
        shutdown.wait(Duration::from_secs(60));
    }
}

#[test]
fn what_has_ended_while_nobody_looked_is_shown_whole() {
    // As much as a pipe has.
    let (mut peer, pid) = open(
        "cat; printf 'one\ntwo' >&2; head -c 60000 /dev/zero | tr '\\0' x >&2",
    );
    let limits = Limits {
        total: Some(Duration::ZERO),
        ..PATIENT
    };
    let [stdin, ..] = peer.descriptors();
    peer.close_descriptor(stdin.unwrap());
    while state(pid) != Some('Z') {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (closed, lines) = close(&mut peer, limits);
    assert_eq!(lines, ["one\n", &format!("two{}", "x".repeat(60_000))]);
    assert_eq!(closed.outcome, Outcome::Closed);
}

#[test]
fn who_holds_standard_error_is_not_waited_for() {
    let (mut peer, _) =
        open("exec 3>&1; sleep 100 <&3 >&3 & echo $!; echo x >&2; cat");
    let holder: i32 = answer(&peer).parse().unwrap();
    let (closed, lines) = close(&mut peer, IMPATIENT);
    let holder = Pid::from_raw(holder);
    kill(holder, Signal::SIGTERM).expect("it is still there");
    assert_eq!(lines, ["x\n"]);
    assert_eq!(closed.outcome, Outcome::Timeout);
    assert_eq!(closed.exit, Some(Exit::Code(0)));
    assert!(closed.is_stderr_held);
}

#[test]
fn the_last_piece_of_a_line_is_shown_before_the_wait_ends() {
    let (mut peer, pid) = open("printf 'no end' >&2; exec sleep 100");
    let (closed, lines) = close(&mut peer, IMPATIENT);
    assert_eq!(lines, ["no end"]);
    assert_eq!(closed.outcome, Outcome::Timeout);
    assert_eq!(closed.exit, Some(Exit::Signal(libc::SIGTERM)));
    assert_eq!(state(pid), None);
}

#[test]
fn who_ignores_sigterm_is_killed() {
    let (mut peer, pid) =
        open("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    assert_eq!(answer(&peer), "ready");
    let (closed, _) = close(&mut peer, IMPATIENT);
    assert_eq!(closed.outcome, Outcome::Killed);
    assert_eq!(closed.exit, Some(Exit::Signal(libc::SIGKILL)));
    assert_eq!(state(pid), None);
}

#[test]
fn what_a_shell_has_started_is_ended_with_it() {
    let stubborn = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    let script = format!("sh -c \"{}\"; exit 9", stubborn.replace('$', "\\$"));
    let (mut peer, shell) = open(&script);
    let below: u32 = answer(&peer).parse().unwrap();
    assert_ne!(below, shell, "it is the shell's child");
    let (closed, _) = close(&mut peer, IMPATIENT);
    assert_eq!(closed.outcome, Outcome::Killed);
    assert_eq!(closed.exit, Some(Exit::Signal(libc::SIGTERM)));
    assert_eq!(state(shell), None);
    // Nobody of ours reaps it.
    assert!(matches!(state(below), None | Some('Z')));
}

#[test]
fn a_process_that_outlives_its_standard_error_is_ended_too() {
    let (mut peer, pid) = open("exec sleep 100 2>&-");
    let (closed, _) = close(&mut peer, IMPATIENT);
    assert_eq!(closed.outcome, Outcome::Timeout);
    assert!(!closed.is_stderr_held);
    assert_eq!(state(pid), None);
}

#[test]
fn a_peer_that_has_died_is_closed_at_once() {
    let (mut peer, _) = open("echo why >&2; exit 255");
    assert_eq!(answer(&peer), "");
    let (closed, lines) = close(&mut peer, PATIENT);
    assert_eq!(lines, ["why\n"]);
    assert_eq!(closed.outcome, Outcome::Closed);
    assert_eq!(closed.exit, Some(Exit::Code(255)));
}

#[test]
fn a_child_that_somebody_else_has_reaped_is_no_riddle() {
    let (mut peer, pid) = open("exit 7");
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::wait::waitpid(pid, None).unwrap();
    let (closed, _) = close(&mut peer, PATIENT);
    assert_eq!(closed.outcome, Outcome::Closed);
    assert_eq!(closed.exit, Some(Exit::Unknown));
}

/// The descriptors of this process that are the pidfd of that one.
fn pidfds(pid: u32) -> usize {
    let entries = fs::read_dir("/proc/self/fdinfo").unwrap();
    let needle = format!("Pid:\t{pid}\n");
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter(|info| info.contains(&needle))
        .count()
}

#[test]
fn a_closed_peer_holds_no_descriptor() {
    let (mut peer, pid) = open("cat");
    assert_eq!(pidfds(pid), 1);
    close(&mut peer, PATIENT);
    assert_eq!(pidfds(pid), 0);
    assert_eq!(peer.descriptors(), [None; 3]);
}

#[test]
fn dropping_a_peer_ends_it() {
    let (peer, pid) = open("cat");
    drop(peer);
    assert_eq!(state(pid), None);
}

#[test]
fn one_descriptor_may_be_closed_before_the_others() {
    let (mut peer, _) = open("cat; echo done");
    let [stdin, ..] = peer.descriptors();
    peer.close_descriptor(stdin.unwrap());
    assert_eq!(peer.descriptors()[0], None);
    assert_eq!(answer(&peer), "done", "it has seen the end of its input");
    let (closed, _) = close(&mut peer, PATIENT);
    assert_eq!(closed.outcome, Outcome::Closed);
}

#[test]
fn what_has_the_number_of_a_descriptor_by_now_is_left_alone() {
    for end in 0..3 {
        let (mut peer, pid) = open("cat");
        let raw = peer.descriptors()[end].unwrap();
        // As whoever closes what he finds, and opens something.
        let mut theirs = tempfile::tempfile().unwrap();
        writeln!(theirs, "theirs").unwrap();
        // SAFETY: the peer is to find out that it is not its own any more.
        let copied = unsafe { libc::dup2(theirs.as_raw_fd(), raw) };
        assert_eq!(copied, raw);
        let identity = Identity::of(raw);
        let (closed, lines) = close(&mut peer, PATIENT);
        assert_eq!(lines, [""; 0], "nobody has read it");
        assert_eq!(closed.outcome, Outcome::Closed);
        assert_eq!(state(pid), None);
        peer.close_descriptor(raw);
        drop(peer);
        assert_eq!(Identity::of(raw), identity);
        // SAFETY: it is ours again.
        drop(unsafe { OwnedFd::from_raw_fd(raw) });
    }
}

#[test]
fn several_peers_end_at_the_same_time() {
    // Each ends only when all have been told to.
    const COUNT: usize = 20;
    let meeting = tempfile::tempdir().unwrap();
    let path = meeting.path().display();
    let peers = (0..COUNT).map(|n| {
        let script = format!(
            "cat; echo {n} >&2; touch {path}/{n}
            until test $(ls {path} | wc -l) = {COUNT}; do sleep 0.01; done"
        );
        open(&script).0
    });
    let mut shutdown = Shutdown::new(peers.collect(), PATIENT);
    let mut lines = vec![String::new(); COUNT];
    loop {
        match shutdown.step() {
            Step::Line { peer, line } => {
                lines[peer].push_str(std::str::from_utf8(&line).unwrap());
            }
            Step::Wait => shutdown.wait(Duration::from_secs(60)),
            Step::Done => break,
        }
    }
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line, &format!("{n}\n"));
    }
    for peer in shutdown.into_peers() {
        assert_eq!(peer.closed().unwrap().outcome, Outcome::Closed);
    }
}

#[test]
fn an_interrupted_shutdown_waits_only_for_the_processes() {
    let (gentle, _) = open("exec sleep 100");
    let (stubborn, _) =
        open("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    assert_eq!(answer(&stubborn), "ready");
    let unlimited = Limits {
        idle: None,
        total: None,
    };
    let mut shutdown = Shutdown::new(vec![gentle, stubborn], unlimited);
    assert!(matches!(shutdown.step(), Step::Wait));
    shutdown.interrupt();
    while !matches!(shutdown.step(), Step::Done) {
        shutdown.wait(Duration::from_secs(60));
    }
    let exits: Vec<_> = shutdown
        .into_peers()
        .iter()
        .map(|peer| peer.closed().unwrap())
        .map(|closed| (closed.outcome, closed.exit.unwrap()))
        .collect();
    assert_eq!(
        exits,
        [
            (Outcome::Interrupted, Exit::Signal(libc::SIGTERM)),
            (Outcome::Interrupted, Exit::Signal(libc::SIGKILL)),
        ]
    );
}

/// Runs `body` in a forked child, which must return true.
fn in_a_child(body: impl FnOnce() -> bool) {
    // SAFETY: the C library makes its allocator usable in the child of a
    // process with threads, and `body` takes no lock of another thread's.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            let exited = nix::sys::wait::WaitStatus::Exited(child, 0);
            assert_eq!(status, exited);
        }
        nix::unistd::ForkResult::Child => {
            let status = i32::from(!body());
            // SAFETY: ends the process and returns nowhere.
            unsafe { libc::_exit(status) };
        }
    }
}

#[test]
fn a_forked_child_leaves_its_parents_connection_alone() {
    let script = "echo begun >&2; while read x; do echo got $x; done; exit 5";
    let (peer, pid) = open(script);
    let mut slot = Some(peer);
    in_a_child(|| {
        let mut peer = slot.take().unwrap();
        let [_, _, stderr] = peer.descriptors();
        let mut is_silent = true;
        let closed = peer.close(PATIENT, &mut |_| is_silent = false);
        let is_foreign = closed.unwrap().outcome == Outcome::ForeignFork;
        let is_closed = uilog_sys::fd::duplicate(stderr.unwrap()).is_err();
        drop(peer);
        is_silent && is_foreign && is_closed
    });
    in_a_child(|| {
        let [_, _, stderr] = slot.as_ref().unwrap().descriptors();
        drop(slot.take());
        uilog_sys::fd::duplicate(stderr.unwrap()).is_err()
    });
    assert_ne!(state(pid), None, "nobody has ended it");
    let mut peer = slot.unwrap();
    tell(&peer, "this");
    assert_eq!(answer(&peer), "got this");
    let (closed, lines) = close(&mut peer, PATIENT);
    assert_eq!(lines, ["begun\n"], "nobody else has read it");
    assert_eq!(closed.outcome, Outcome::Closed);
    assert_eq!(closed.exit, Some(Exit::Code(5)));
}

#[test]
fn a_shutdown_that_is_copied_by_a_fork_ends_in_the_child_without_waiting() {
    let (peer, _) = open("cat; exit 4");
    let mut shutdown = Some(Shutdown::new(vec![peer], PATIENT));
    in_a_child(|| {
        let mut copy = shutdown.take().unwrap();
        let is_done = matches!(copy.step(), Step::Done);
        let closed = copy.into_peers().pop().unwrap().closed().unwrap();
        is_done && closed.outcome == Outcome::ForeignFork
    });
    let mut peer = shutdown.unwrap().into_peers().pop().unwrap();
    let (closed, _) = close(&mut peer, PATIENT);
    assert_eq!(closed.exit, Some(Exit::Code(4)));
}
