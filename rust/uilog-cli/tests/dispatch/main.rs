//! hg's side and the real dispatcher together, without hg.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod abandoned;
mod commandlost;
mod limits;
mod protocols;
mod records;
mod stderr;

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use uilog_channel::journal::Journal;
use uilog_channel::journal::wait_for_appending;
use uilog_logger::dispatcher::Status;
use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::logger::Logger;
use uilog_sys::pidfd;
use uilog_sys::pidfd::ProcessState;
use uilog_testing::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_uilog");

/// An hg process, as far as logging is concerned.
struct Hg {
    host: Host,
    logger: Logger,
    home: tempfile::TempDir,
}

/// Whose records go to the dispatcher.
fn logger(settings: &[(&str, &str)], script: &str) -> Logger {
    let pair = |(name, value): &(&str, &str)| {
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let settings = settings.iter().chain(&[("agent", "no")]);
    let settings: Vec<_> = settings.map(pair).collect();
    Logger::new(&settings, &[pair(&("foo", script))])
}

impl Hg {
    /// From now on these are the items of `[uilog]`.
    fn configure(&mut self, settings: &[(&str, &str)], script: &str) {
        self.logger = logger(settings, script);
    }

    /// `settings` are items of `[uilog]`; the event `foo` runs `script` with
    /// the test's own directory in `$DIR`.
    fn new(program: &str, settings: &[(&str, &str)], script: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        Self {
            host: Host::new(PathBuf::from(program)),
            logger: logger(settings, script),
            home,
        }
    }

    /// Begins anew with another program.
    fn use_program(&mut self, program: &Path) {
        self.host = Host::new(program.to_owned());
    }

    fn journal(&self) -> Journal {
        self.host.journal().unwrap()
    }

    fn log(&mut self, message: &str) {
        self.log_with(message, "");
    }

    /// Logs with more variables in the environment.
    fn log_with(&mut self, message: &str, more: &str) {
        let home = self.home.path().display();
        let mut environment = format!(
            "PATH=/usr/bin:/bin\0HOME={home}\0DIR={home}\0\
             XDG_RUNTIME_DIR={home}/run\0{more}"
        )
        .into_bytes();
        self.host.enter(&mut environment);
        let draft = Draft {
            name: b"foo",
            message: Cow::Borrowed(message.as_bytes()),
            options: Vec::new(),
            hg: b"hg",
            root: None,
            time: None,
            pid: None,
        };
        self.logger.log(&mut self.host, draft);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What stands in a file so far, in whole lines.
    fn lines(&self, name: &str) -> Vec<String> {
        whole_lines(&self.path(name))
    }

    fn status(&mut self) -> Status {
        self.host.dispatcher().status().unwrap()
    }

    fn wait_for_all(&mut self) -> Status {
        until("every script to end", || {
            let status = self.status();
            let done = status.progress;
            let ended = done.succeeded
                + done.failed
                + done.timed_out
                + done.not_started;
            (ended == status.jobs).then_some(status)
        })
    }
}

#[test]
fn a_new_trace_needs_no_new_environment() {
    const LONG: usize = 100_000;
    let one = [("max-scripts", "1")];
    let script = "printf '%s %s,' \"$MSG1\" \"$TRACEPARENT\" >> $DIR/out";
    let mut hg = Hg::new(PROGRAM, &one, script);
    let rest = format!("REST={}\0", "x".repeat(LONG));
    hg.log_with("before", &rest);
    let Status {
        pid, queue_bytes, ..
    } = hg.wait_for_all();
    // While it stands still, nothing of the queue is given back.
    stop(pid);
    for number in 1..=20 {
        let traceparent = format!("TRACEPARENT=trace {number}\0");
        hg.log_with("within", &format!("{rest}{traceparent}"));
    }
    let grown = hg.status().queue_bytes - queue_bytes;
    assert!(grown < LONG as u64, "{grown} bytes for 20 events");
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    hg.wait_for_all();
    let each = (1..=20).map(|number| format!("within trace {number},"));
    let expected = format!("before ,{}", each.collect::<String>());
    assert_eq!(hg.read("out"), expected);
}

/// The lines of a file that have come to their end. Of a `write` of several
/// pages a reader sees one page after the other, so that behind them may be
/// the half of a line.
fn whole_lines(path: &Path) -> Vec<String> {
    let text = fs::read(path).unwrap_or_default();
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter_map(|line| line.strip_suffix(b"\n"))
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect()
}

/// What `/proc` says of each thread of a process.
fn threads(pid: i32) -> impl Iterator<Item = String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok())
}

/// Whether any thread of the process still runs, and holds its descriptors. The
/// list in `/proc` may lack living ones while others end.
fn is_running(pid: i32) -> bool {
    let process = pidfd::open(Pid::from_raw(pid));
    process.is_some_and(|it| !matches!(it.state(), ProcessState::Ended(_)))
}

/// Stops a process, and waits until it has been.
fn stop(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    until("it to be stopped", || {
        threads(pid).all(|stat| stat.contains(") T ")).then_some(())
    });
}

#[test]
fn scripts_start_in_the_order_of_their_events() {
    let one = [("max-scripts", "1")];
    let mut hg = Hg::new(PROGRAM, &one, "printf %s \"$MSG1\" >> $DIR/out");
    let numbers: Vec<_> = (0..300).map(|n| format!("{n},")).collect();
    for number in &numbers {
        hg.log(number);
    }
    let status = hg.wait_for_all();
    assert_eq!(status.progress.succeeded, 300);
    assert_eq!(hg.read("out"), numbers.concat());
}

#[test]
fn the_dispatcher_ends_with_the_last_script_and_sender() {
    let script = "until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done; : > $DIR/done";
    let mut hg = Hg::new(PROGRAM, &[], script);
    hg.log("");
    let pid = hg.status().pid;
    until("the script to start", || {
        (hg.status().progress.started == 1).then_some(())
    });
    // hg ends, the script does not.
    let Hg { host, home, .. } = hg;
    drop(host);
    assert!(is_running(pid));
    fs::write(home.path().join("go"), "").unwrap();
    until("the script", || {
        home.path().join("done").exists().then_some(())
    });
    until("the dispatcher to end", || (!is_running(pid)).then_some(()));
}

#[test]
fn a_killed_dispatcher_is_replaced_and_nothing_is_lost() {
    let one = [("max-scripts", "1")];
    let script = "until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done; \
                  echo \"$MSG1\" >> $DIR/out";
    let mut hg = Hg::new(PROGRAM, &one, script);
    hg.log("0");
    until("the first script to start", || {
        (hg.status().progress.started == 1).then_some(())
    });
    for number in 1..10 {
        hg.log(&number.to_string());
    }
    let pid = hg.status().pid;
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until("the dispatcher to be gone", || {
        (!is_running(pid)).then_some(())
    });
    hg.log("10");
    assert_ne!(hg.status().pid, pid);
    fs::write(hg.path("go"), "").unwrap();
    let mut seen = until("all scripts", || {
        let lines = hg.lines("out");
        let lines: Vec<u32> =
            lines.iter().map(|line| line.parse().unwrap()).collect();
        (lines.len() == 11).then_some(lines)
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..11).collect::<Vec<_>>());
    assert_eq!(hg.host.counters().lost, 0);
    assert_eq!(hg.host.dispatcher().starts(), 2);
}

#[test]
fn a_stopped_dispatcher_holds_nobody() {
    let mut hg = Hg::new(PROGRAM, &[], ": > $DIR/$MSG1");
    hg.log("first");
    until("the first script", || {
        hg.path("first").exists().then_some(())
    });
    let pid = Pid::from_raw(hg.status().pid);
    stop(pid.as_raw());
    // Many times what its socket could take.
    for number in 0..20_000 {
        hg.log(if number == 0 { "second" } else { "more" });
    }
    assert_eq!(hg.host.counters().lost, 0);
    assert!(!hg.path("second").exists());
    kill(pid, Signal::SIGCONT).unwrap();
    until("the second script", || {
        hg.path("second").exists().then_some(())
    });
    kill(pid, Signal::SIGTERM).unwrap();
    until("the dispatcher to end", || {
        (!is_running(pid.as_raw())).then_some(())
    });
    // What it will not run any more is in the journal.
    let journal = hg.read(".local/state/uilog/failures.jsonl");
    assert!(journal.contains("ended by SIGTERM"), "{journal}");
}

#[test]
fn a_full_queue_loses_events_and_counts_them() {
    let small = [("queue-size", "1 MB"), ("max-scripts", "1")];
    let script = "until test -e $DIR/go || ! test -d $DIR; do sleep 0.01; done";
    let mut hg = Hg::new(PROGRAM, &small, script);
    let message = "x".repeat(10_000);
    for _ in 0..300 {
        hg.log(&message);
    }
    let counters = hg.host.counters();
    assert!(counters.lost > 150, "{counters:?}");
    assert_eq!(counters.delivered + counters.lost, 300);
    assert_eq!(hg.status().jobs, counters.delivered);
    let problems = hg.host.take_unseen().join("\n");
    assert!(problems.contains("uilog.queue-size"), "{problems}");
    fs::write(hg.path("go"), "").unwrap();
    let status = hg.wait_for_all();
    assert_eq!(status.progress.succeeded, counters.delivered);
    // There is room again, and the next record tells what was lost.
    hg.log("again");
    assert_eq!(hg.host.counters().lost, counters.lost);
    hg.wait_for_all();
    // In the end, the journal's lines add up to it.
    hg.host.finish();
    wait_for_appending(Duration::from_secs(60));
    let told: u64 = hg.journal().read().iter().map(|f| f.lost).sum();
    assert_eq!(told, counters.lost);
}

#[test]
fn a_program_that_is_missing_costs_events_but_nothing_else() {
    let mut hg = Hg::new("/no/such/uilog", &[], "true");
    for _ in 0..1000 {
        hg.log("");
    }
    assert_eq!(hg.host.counters().lost, 1000);
    let problems = hg.host.take_unseen().join("\n");
    assert!(problems.contains("cannot run /no/such/uilog"), "{problems}");
}

#[test]
fn a_program_that_ends_at_once_is_given_up() {
    let mut hg = Hg::new("/bin/true", &[], "true");
    until("all events to be given up", || {
        hg.log("");
        let counters = hg.host.counters();
        (counters.lost > 0).then_some(())
    });
    let problems = hg.host.take_unseen().join("\n");
    assert!(
        problems.contains("before it has done anything"),
        "{problems}"
    );
    let starts = hg.host.dispatcher().starts();
    assert!(starts <= 4, "{starts}");
}

#[test]
fn a_script_beyond_the_limit_of_a_string_is_a_clear_failure() {
    let script = format!("true {}", "x".repeat(140_000));
    let mut hg = Hg::new(PROGRAM, &[], &script);
    hg.log("");
    let status = hg.wait_for_all();
    assert_eq!(status.progress.not_started, 1);
    let failure = status.last_failure.unwrap();
    assert!(failure.contains("128 KiB"), "{failure}");
}

#[test]
fn scripts_of_scripts_of_scripts_come_to_an_end() {
    let mut hg = Hg::new(PROGRAM, &[], "true");
    let home = hg.home.path().display();
    let mut environment = format!("HOME={home}\0UILOG_DEPTH=5\0").into_bytes();
    hg.host.enter(&mut environment);
    let draft = Draft {
        name: b"foo",
        message: Cow::Borrowed(b""),
        options: Vec::new(),
        hg: b"hg",
        root: None,
        time: None,
        pid: None,
    };
    hg.logger.log(&mut hg.host, draft);
    assert_eq!(hg.host.counters().lost, 1);
}

#[test]
fn descriptors_that_are_not_ours_any_more_are_left_alone() {
    // In a process of its own, since it meddles with descriptor numbers.
    let child = |hg: &mut Hg| -> bool {
        hg.log("first");
        let before = open_descriptors();
        // Somebody closes everything, and opens a file in each place.
        let file = fs::File::create(hg.path("victim")).unwrap();
        for fd in &before {
            // SAFETY: replaces descriptors of this process only.
            unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), *fd) };
        }
        hg.log("second");
        let victim = fs::metadata(hg.path("victim")).unwrap();
        let still_open = before.iter().all(|fd| {
            // SAFETY: touches no memory.
            unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 }
        });
        victim.len() == 0 && still_open
    };
    let mut hg = Hg::new(PROGRAM, &[], ": > $DIR/$MSG1");
    // SAFETY: the child runs on a copy of this thread alone; the allocator
    // of the C library is usable in a forked child.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let fine = child(&mut hg);
            // SAFETY: ends the child without running anything else.
            unsafe { libc::_exit(i32::from(!fine)) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
    until("both scripts", || {
        (hg.path("first").exists() && hg.path("second").exists()).then_some(())
    });
}

/// The descriptors that hold a queue, its page or a socket of this process.
fn open_descriptors() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let ours = entries.filter(|entry| {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        // A page has been made without a name.
        target.starts_with("socket:") || target.ends_with(" (deleted)")
    });
    ours.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_job_that_a_dead_dispatcher_had_taken_is_counted_not_run() {
    let mut hg = Hg::new(PROGRAM, &[], ": > $DIR/ran");
    hg.log("");
    let pid = Pid::from_raw(hg.status().pid);
    hg.wait_for_all();
    fs::remove_file(hg.path("ran")).unwrap();
    // As if it had died between taking a job and starting it.
    let writer = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/fd/1"))
        .unwrap();
    kill(pid, Signal::SIGKILL).unwrap();
    until("the dispatcher to be gone", || {
        (!is_running(pid.as_raw())).then_some(())
    });
    const SCRIPTS_AT: u64 = 512 + 9 * 8;
    FileExt::write_all_at(&writer, &2_u64.to_le_bytes(), SCRIPTS_AT).unwrap();
    hg.log("");
    until("the next script", || hg.path("ran").exists().then_some(()));
    assert_eq!(hg.status().progress.not_started, 1);
    until("the journal", || {
        hg.read(".local/state/uilog/failures.jsonl")
            .contains("died while starting")
            .then_some(())
    });
}
