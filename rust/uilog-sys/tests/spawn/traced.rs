//! Which system calls a start makes, as strace sees them.

use std::fs;
use std::process;

use uilog_testing::alone;
use uilog_testing::example;

/// The system calls between clone and exec, as strace sees them.
#[test]
fn only_the_listed_system_calls_happen_before_the_exec() {
    let _alone = alone();
    let listed = [
        "sched_setscheduler",
        "futex",
        "setsid",
        "rt_sigaction",
        "umask",
        "fcntl",
        "dup3",
        "close",
        "openat",
        "close_range",
        "chdir",
        "rt_sigprocmask",
        "execve",
    ];
    let (tasks, text) = traced(&["wait", "--", "/bin/true"]);
    assert_eq!(tasks.len(), 3, "caller, middle, child: {text}");
    assert_eq!(tasks[1], ["clone", "exit"], "{text}");
    let exec = tasks[2].iter().position(|call| call == "execve").unwrap();
    for call in &tasks[2][..=exec] {
        assert!(listed.contains(&&call[..]), "{call} is not listed: {text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_listed_system_calls_happen_in_the_foreground() {
    let _alone = alone();
    let listed = [
        "prctl",
        "getppid",
        "rt_sigaction",
        "close",
        "rt_sigprocmask",
        "execve",
        "exit",
    ];
    for program in ["true", "/no/such"] {
        let (tasks, text) = traced(&["foreground", "--", program]);
        assert_eq!(tasks.len(), 2, "caller, child: {text}");
        let end = tasks[1].iter().position(|call| call == "execve").unwrap();
        let end = end.max(2);
        for call in &tasks[1][..=end] {
            assert!(listed.contains(&&call[..]), "{call}: {text}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_clone_is_refused_the_foreground_is_forked() {
    let _alone = alone();
    let run = |arguments: &[&str]| {
        let status = process::Command::new(example("spawn_probe"))
            .args(arguments)
            .status();
        status.unwrap().code()
    };
    let three = ["refuse", "foreground", "--", "sh", "-c", "exit 3"];
    assert_eq!(run(&three), Some(3));
    assert_eq!(run(&["refuse", "foreground", "--", "/no/such"]), Some(127));
    assert_eq!(run(&["refuse", "foreground", "--", "/"]), Some(126));
}

/// The probe's system calls by task, the probe's own first, and the trace.
fn traced(arguments: &[&str]) -> (Vec<Vec<String>>, String) {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    process::Command::new("strace")
        .args(["-f", "-o"])
        .arg(&trace)
        .arg(example("spawn_probe"))
        .args(arguments)
        .status()
        .expect("strace is needed for this test");
    let text = fs::read_to_string(&trace).unwrap();
    let mut tasks: Vec<(&str, Vec<String>)> = Vec::new();
    for line in text.lines() {
        let (task, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        let Some((call, _)) = rest.split_once('(') else {
            continue;
        };
        if rest.starts_with("<...") {
            continue;
        }
        let call = call.to_owned();
        match tasks.iter_mut().find(|(known, _)| *known == task) {
            Some((_, calls)) => calls.push(call),
            None => tasks.push((task, vec![call])),
        }
    }
    let tasks = tasks.into_iter().map(|(_, calls)| calls).collect();
    (tasks, text)
}
