//! What is stored about a failed script, and that scripts are not affected.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_channel::journal::Failure;
use uilog_channel::journal::ScriptFailure;
use uilog_logger::logger::Logger;
use uilog_testing::until;

use crate::Hg;
use crate::PROGRAM;
use crate::is_running;

/// What the journal says of the only script that has failed.
fn failure(hg: &Hg) -> (Failure, ScriptFailure) {
    until("the journal", || {
        let read = hg.host.journal().unwrap().read();
        assert!(read.len() < 2, "{read:?}");
        let failure = read.into_iter().next()?;
        let script = *failure.script.clone().unwrap();
        Some((failure, script))
    })
}

/// Many times what a pipe holds.
const MUCH: &str = "head -c 20000000 /dev/zero >&2; echo $? > $DIR/status; \
                    echo last words >&2; exit 7";

#[test]
fn a_failed_script_can_be_diagnosed() {
    let mut hg = Hg::new(PROGRAM, &[], "");
    let script = "echo one >&2; echo 'password = tops3cret-w0rd' >&2; \
                  printf 'a\\377\\0b' >&2; exit 3";
    let pair = |name: &str, value: &str| {
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let sources = [pair("foo", "/home/joe/.hgrc:17")];
    hg.logger = Logger::with_sources(&[], &[pair("foo", script)], &sources);
    hg.log("");
    let (failure, script) = failure(&hg);
    assert_eq!(failure.event, "foo");
    assert_eq!(failure.detail, "exit status 3");
    assert_eq!(script.source, "/home/joe/.hgrc:17");
    let cwd = std::env::current_dir().unwrap();
    assert_eq!(script.cwd.as_deref(), cwd.to_str());
    assert_eq!((script.status, &script.signal), (Some(3), &None));
    assert!(script.duration.is_some_and(|it| it > 0.0));
    assert!(script.stderr.starts_with("one\npassword = <"), "{script:?}");
    assert!(!script.stderr.contains("s3cret"), "{script:?}");
    assert!(script.stderr.ends_with("a\u{fffd}\0b"), "{script:?}");
}

#[test]
fn a_script_that_says_nothing_and_one_that_cannot_start_are_told_too() {
    let mut hg = Hg::new(PROGRAM, &[], "kill -34 $$");
    hg.log("");
    let (_, script) = failure(&hg);
    assert_eq!(script.signal.as_deref(), Some("SIGRTMIN"));
    assert_eq!((script.status, &*script.stderr), (None, ""));
    let long = format!("true {}", "x".repeat(140_000));
    let mut hg = Hg::new(PROGRAM, &[], &long);
    hg.log("");
    let (failure, script) = failure(&hg);
    assert_eq!(failure.lost, 1);
    assert!(script.cwd.is_some());
}

#[test]
fn a_script_may_say_as_much_as_it_likes() {
    let mut hg = Hg::new(PROGRAM, &[], MUCH);
    hg.log("");
    let (_, script) = failure(&hg);
    assert_eq!(hg.read("status"), "0\n");
    assert_eq!(script.status, Some(7));
    assert!(script.stderr.ends_with("\0last words\n"), "{script:?}");
    assert_eq!(script.stderr.len(), 4096);
}

/// A script that waits for `$DIR/go`, and then does `rest`; `first` before.
fn waiting(first: &str, rest: &str) -> String {
    format!(
        "readlink /proc/$$/fd/2 > $DIR/pipe; {first}; echo > $DIR/began; \
         until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done; {rest}"
    )
}

/// More than a script may write before another process reads it.
const ENOUGH: &str = "head -c 50000 /dev/zero >&2";

/// Runs a script that waits; its pipe.
fn begun(hg: &mut Hg) -> PathBuf {
    hg.log("");
    until("the script", || hg.path("began").exists().then_some(()));
    PathBuf::from(hg.read("pipe").trim_end())
}

/// Ends the dispatcher by a signal, lets the script go on, and waits until it
/// has been able to write all that it wanted to.
fn goes_on_without_dispatcher(hg: &mut Hg, signal: Signal) {
    let pid = hg.status().pid;
    kill(Pid::from_raw(pid), signal).unwrap();
    until("the dispatcher to be gone", || {
        (!is_running(pid)).then_some(())
    });
    fs::write(hg.path("go"), "").unwrap();
    until("the script to go on", || {
        (hg.read("status") == "0\n").then_some(())
    });
}

#[test]
fn a_script_notices_nothing_of_its_dispatchers_end() {
    let mut hg = Hg::new(PROGRAM, &[], &waiting(ENOUGH, MUCH));
    let pipe = begun(&mut hg);
    until("it to be handed over", || reader_of(&pipe));
    goes_on_without_dispatcher(&mut hg, Signal::SIGKILL);
}

#[test]
fn a_script_that_has_said_nothing_is_handed_over_at_the_dispatchers_end() {
    let mut hg = Hg::new(PROGRAM, &[], &waiting(":", MUCH));
    let pipe = begun(&mut hg);
    assert_eq!(reader_of(&pipe), None);
    goes_on_without_dispatcher(&mut hg, Signal::SIGTERM);
}

#[test]
fn a_script_whose_dispatcher_is_killed_before_has_a_pipes_room() {
    let room = "head -c 65536 /dev/zero >&2; echo $? > $DIR/status";
    let mut hg = Hg::new(PROGRAM, &[], &waiting(":", room));
    begun(&mut hg);
    goes_on_without_dispatcher(&mut hg, Signal::SIGKILL);
}

#[test]
fn an_ordinary_script_takes_no_second_process() {
    let quiet = ("true", "first\n");
    let line = ("echo one line >&2", "first\none line\n");
    let long = ("yes | head -c 30000 >&2", "y\ny\n");
    for (says, end, status) in [quiet, line, long]
        .into_iter()
        .flat_map(|(says, end)| [(says, end, 0), (says, end, 7)])
    {
        // A name of its own, to know whose processes they are.
        let script =
            waiting("echo first >&2", &format!("{says}; exit {status}"));
        let mut hg = Hg::new("/no/such/uilog", &[], &script);
        let program = hg.path("uilog");
        fs::hard_link(PROGRAM, &program)
            .or_else(|_| fs::copy(PROGRAM, &program).map(drop))
            .unwrap();
        hg.use_program(&program);
        begun(&mut hg);
        let dispatcher = [hg.status().pid];
        assert_eq!(processes_of(&program), dispatcher, "{says}");
        fs::write(hg.path("go"), "").unwrap();
        let progress = hg.wait_for_all().progress;
        if status == 0 {
            assert_eq!(progress.succeeded, 1);
        } else {
            let (_, script) = failure(&hg);
            assert!(script.stderr.ends_with(end), "{script:?}");
        }
        // Another one would not end before the dispatcher.
        assert_eq!(processes_of(&program), dispatcher, "{says}");
    }
}

#[test]
fn a_process_that_a_script_leaves_behind_may_say_as_much_as_it_likes() {
    let script = "(until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done; \
                  head -c 1000000 /dev/zero; echo $? > $DIR/status) >&2 &";
    let mut hg = Hg::new(PROGRAM, &[], script);
    hg.log("");
    let status = hg.wait_for_all();
    assert_eq!(status.progress.succeeded, 1);
    hg.host.finish();
    let Hg { host, home, .. } = hg;
    drop(host);
    until("the dispatcher to end", || {
        (!is_running(status.pid)).then_some(())
    });
    fs::write(home.path().join("go"), "").unwrap();
    until("all to be written", || {
        let status = fs::read_to_string(home.path().join("status"));
        status.is_ok_and(|it| it == "0\n").then_some(())
    });
}

#[test]
fn who_keeps_standard_error_open_holds_up_nobody() {
    let script = "(while test -d $DIR; do echo still here; sleep 0.01; done) \
                  >&2 & echo first >&2; exit 1";
    let mut hg = Hg::new(PROGRAM, &[], script);
    hg.log("");
    let (_, script) = failure(&hg);
    assert!(script.stderr.contains("first\n"), "{script:?}");
    // Others go on, and the dispatcher ends.
    hg.configure(&[], "true");
    hg.log("");
    let status = hg.wait_for_all();
    assert_eq!(status.progress.succeeded, 1);
    let Hg { host, home, .. } = hg;
    drop(host);
    until("the dispatcher to end", || {
        (!is_running(status.pid)).then_some(())
    });
    drop(home);
}

#[test]
fn what_reads_standard_error_is_replaced_if_it_is_killed() {
    let again = format!(
        "{ENOUGH}; echo > $DIR/again; \
         until test -e $DIR/on || ! test -d $DIR; do sleep 0.01; done; {MUCH}"
    );
    let mut hg = Hg::new(PROGRAM, &[], &waiting(ENOUGH, &again));
    let pipe = begun(&mut hg);
    let reader = || reader_of(&pipe);
    let first = until("what reads its standard error", reader);
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    until("it to be gone", || (!is_running(first)).then_some(()));
    fs::write(hg.path("go"), "").unwrap();
    until("more", || hg.path("again").exists().then_some(()));
    let second = until("another one", reader);
    assert_ne!(first, second);
    fs::write(hg.path("on"), "").unwrap();
    let (_, script) = failure(&hg);
    assert_eq!(hg.read("status"), "0\n");
    assert!(script.stderr.ends_with("\0last words\n"), "{script:?}");
}

/// Those that run this program.
fn processes_of(program: &Path) -> Vec<i32> {
    let links = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe"));
    pids()
        .filter(|pid| links(pid).is_ok_and(|it| it == program))
        .collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let everyone = fs::read_dir("/proc").unwrap().flatten();
    everyone.filter_map(|it| it.file_name().to_str()?.parse().ok())
}

/// The process that does nothing but read this pipe.
fn reader_of(pipe: &PathBuf) -> Option<i32> {
    pids().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let links = fs::read_dir(format!("/proc/{pid}/fd"));
        line.ends_with(b"\0stderr\0")
            && links.is_ok_and(|mut links| {
                links.any(|link| {
                    let target = link.and_then(|it| fs::read_link(it.path()));
                    target.is_ok_and(|target| target == *pipe)
                })
            })
    })
}
