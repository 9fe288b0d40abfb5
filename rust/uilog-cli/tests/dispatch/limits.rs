//! How long scripts may take, how many run at a time, and how they are ended.

use uilog_logger::dispatcher::Status;
use uilog_testing::until;

use super::Hg;
use super::PROGRAM;
use super::is_running;

#[test]
fn no_more_scripts_run_than_allowed() {
    let three = [("max-scripts", "3")];
    let script = "mkdir $DIR/running.$$; ls $DIR | grep -c running \
                  >> $DIR/out; rmdir $DIR/running.$$";
    let mut hg = Hg::new(PROGRAM, &three, script);
    for _ in 0..60 {
        hg.log("");
    }
    hg.wait_for_all();
    let out = hg.read("out");
    let counts: Vec<u32> = out.lines().map(|n| n.parse().unwrap()).collect();
    assert_eq!(counts.len(), 60);
    assert!(*counts.iter().max().unwrap() <= 3, "{counts:?}");
}

/// Seconds that a script gets: more where it has not come far enough in them.
const LIMITS: [&str; 4] = ["0.2", "2", "10", "40"];

/// Runs a script until its time is over; what is known then, and the process
/// of which it has written the number to `$DIR/pid`.
fn timed_out(script: &str) -> (Status, i32) {
    for limit in LIMITS {
        let limit = [("script-timeout", limit)];
        let mut hg = Hg::new(PROGRAM, &limit, script);
        hg.log("");
        let status = hg.wait_for_all();
        assert_eq!(status.progress.timed_out, 1);
        if let Ok(pid) = hg.read("pid").trim().parse() {
            return (status, pid);
        }
    }
    panic!("no time is enough for {script}");
}

#[test]
fn a_script_whose_time_is_over_is_ended() {
    let (status, pid) = timed_out("echo $$ > $DIR/pid; exec sleep 99");
    let failure = status.last_failure.unwrap();
    assert!(failure.contains("uilog.script-timeout"), "{failure}");
    assert!(!is_running(pid));
}

#[test]
fn a_script_that_ignores_sigterm_is_killed_with_all_it_started() {
    let script = "trap '' TERM; sleep 98 & echo $! > $DIR/pid; wait; sleep 97";
    let (_, pid) = timed_out(script);
    until("the group to be gone", || (!is_running(pid)).then_some(()));
}

/// Forks while SIGTERM waits for it, which a child does not inherit, and ends
/// when that has begun: what happens in a shell now and then.
const FORKS_MEANWHILE: &str = r#"exec python3 -c '
import os
import signal
import time

TERM = {signal.SIGTERM}
path = os.environ["DIR"] + "/pid"
signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
while signal.SIGTERM not in signal.sigpending():
    time.sleep(0.01)
if not os.fork():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TERM)
    with open(path + ".new", "w") as fp:
        fp.write(str(os.getpid()))
    os.rename(path + ".new", path)
    while True:
        signal.pause()
while not os.path.exists(path):
    time.sleep(0.01)
signal.pthread_sigmask(signal.SIG_UNBLOCK, TERM)
'"#;

#[test]
fn a_process_that_has_missed_sigterm_gets_another() {
    let (_, pid) = timed_out(FORKS_MEANWHILE);
    until("the process to be gone", || {
        (!is_running(pid)).then_some(())
    });
}

#[test]
fn a_script_may_end_by_any_signal() {
    // 34 is the first that nix has no name for; 64 is the last.
    for (number, name) in
        [(34, "SIGRTMIN"), (64, "SIGRTMIN+30"), (9, "SIGKILL")]
    {
        let script = format!("case $MSG1 in kill) kill -{number} $$;; esac");
        let mut hg = Hg::new(PROGRAM, &[], &script);
        hg.log("kill");
        let status = hg.wait_for_all();
        assert_eq!(status.progress.failed, 1);
        let failure = status.last_failure.unwrap();
        assert!(failure.contains(&format!("killed by {name}")), "{failure}");
        // Those that come later are reaped as well, and it ends as ever.
        for _ in 0..5 {
            hg.log("fine");
        }
        assert_eq!(hg.wait_for_all().progress.succeeded, 5);
        drop(hg);
        until("the dispatcher to end", || {
            (!is_running(status.pid)).then_some(())
        });
    }
}
