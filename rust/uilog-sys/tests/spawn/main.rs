//! What a started program inherits, and what remains after its start, as seen
//! in /proc.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod traced;

use std::ffi::CString;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process;
use std::time::Duration;

use uilog_sys::fork::CloseInChild;
use uilog_sys::spawn::Command;
use uilog_sys::spawn::Scheme;
use uilog_sys::spawn::Stage;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Started;
use uilog_sys::spawn::Stdio;
use uilog_testing::alone;
use uilog_testing::example;
use uilog_testing::until;

const WAIT: Start = Start::Wait(Duration::from_secs(60));
const SCHEMES: [Scheme; 2] = [Scheme::Auto, Scheme::PosixSpawn];

fn shell<'fd>(script: &str) -> Command<'fd> {
    let mut command = Command::new(Path::new("/bin/sh")).unwrap();
    command
        .arg(c"-c".to_owned())
        .arg(CString::new(script).unwrap());
    command
}

fn pipe() -> (fs::File, fs::File) {
    let (reader, writer) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

/// Runs a script detached, and returns what it wrote.
fn output(script: &str, set_up: impl FnOnce(&mut Command<'_>)) -> String {
    String::from_utf8(output_bytes(script, set_up)).unwrap()
}

fn output_bytes(
    script: &str,
    set_up: impl FnOnce(&mut Command<'_>),
) -> Vec<u8> {
    let (mut reader, writer) = pipe();
    let mut command = shell(script);
    command.stdout(Stdio::Fd(writer.as_fd()));
    set_up(&mut command);
    command.spawn_detached(Start::NoWait).unwrap();
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The children of this process, zombies included.
fn children() -> Vec<i32> {
    let own = process::id().to_string();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        let stat = stat.unwrap_or_default();
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        after_name.split(' ').nth(1) == Some(&own)
    })
    .collect()
}

fn probed(arguments: &[&str]) -> String {
    let output = process::Command::new(example("spawn_probe"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_detached_program_has_its_own_session_and_another_parent() {
    let _alone = alone();
    let text = output("cut -d' ' -f1,4,5,6 /proc/$$/stat", |_| {});
    let ids: Vec<i32> = text
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    let [pid, parent, group, session] = ids[..] else {
        panic!("{text}")
    };
    assert_ne!(parent, process::id() as i32);
    assert_eq!((group, session), (pid, pid));
}

#[test]
fn detached_programs_leave_no_zombie() {
    let _alone = alone();
    for scheme in SCHEMES {
        for _ in 0..100 {
            let mut command = shell("exit 3");
            command.scheme(scheme);
            command.spawn_detached(Start::NoWait).unwrap();
            if scheme == Scheme::Auto {
                assert_eq!(children(), [0; 0]);
            }
        }
        until("the last child to be gone", || {
            children().is_empty().then_some(())
        });
    }
}

#[test]
fn only_the_standard_descriptors_are_open() {
    let _alone = alone();
    let file = fs::File::open("/etc/passwd").unwrap();
    nix::fcntl::fcntl(
        &file,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    for scheme in SCHEMES {
        // ls opens the directory itself, as descriptor 3.
        let open = output("exec ls /proc/self/fd", |command| {
            command.scheme(scheme);
        });
        assert_eq!(open, "0\n1\n2\n3\n", "{scheme:?}");
        let targets = output(
            "for n in 0 2; do readlink /proc/$$/fd/$n; done",
            |command| {
                command.scheme(scheme);
            },
        );
        assert_eq!(targets, "/dev/null\n/dev/null\n", "{scheme:?}");
    }
}

#[test]
fn standard_descriptors_may_be_crossed() {
    let _alone = alone();
    for scheme in SCHEMES {
        let (mut reader, writer) = pipe();
        let (input, mut input_writer) = pipe();
        input_writer.write_all(b"from stdin\n").unwrap();
        drop(input_writer);
        let mut command = shell("cat; echo to stderr >&2");
        command.stdin(Stdio::Fd(input.as_fd()));
        command.stdout(Stdio::Fd(writer.as_fd()));
        command.stderr(Stdio::Fd(writer.as_fd()));
        command.scheme(scheme);
        command.spawn_detached(Start::NoWait).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "from stdin\nto stderr\n");
    }
}

#[test]
fn standard_descriptors_of_the_caller_can_change_places() {
    let _alone = alone();
    let (mut reader, writer) = pipe();
    // Descriptor 2 of the caller becomes 1, and 1 becomes 2.
    let kept = [1, 2].map(|fd| {
        let standard = if fd == 1 {
            std::io::stdout().as_fd().try_clone_to_owned()
        } else {
            std::io::stderr().as_fd().try_clone_to_owned()
        };
        standard.unwrap()
    });
    let stdout = fs::OpenOptions::new()
        .write(true)
        .open("/dev/null")
        .unwrap();
    nix::unistd::dup2_stdout(&stdout).unwrap();
    nix::unistd::dup2_stderr(&writer).unwrap();
    let stderr_now = std::io::stderr();
    let stdout_now = std::io::stdout();
    let mut command = shell("echo out; echo err >&2");
    command.stdout(Stdio::Fd(stderr_now.as_fd()));
    command.stderr(Stdio::Fd(stdout_now.as_fd()));
    let spawned = command.spawn_detached(WAIT);
    nix::unistd::dup2_stdout(&kept[0]).unwrap();
    nix::unistd::dup2_stderr(&kept[1]).unwrap();
    drop(writer);
    spawned.unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "out\n");
}

#[test]
fn signals_are_at_their_defaults_and_none_is_blocked() {
    let _alone = alone();
    use nix::sys::signal;
    let mut all = signal::SigSet::all();
    all.remove(signal::Signal::SIGCHLD);
    let before = all
        .thread_swap_mask(signal::SigmaskHow::SIG_SETMASK)
        .unwrap();
    let masks = |set_up: &dyn Fn(&mut Command<'_>)| {
        // cat itself sets no signal up.
        let status = output("exec cat /proc/self/status", |c| set_up(c));
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            let mask = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
            // glibc's posix_spawn has its own two real-time signals ignored.
            mask & !(0b11 << 31)
        };
        [field("SigBlk:"), field("SigIgn:"), field("SigCgt:")]
    };
    for scheme in SCHEMES {
        // Rust's own runtime ignores SIGPIPE, which must not be passed on.
        let found = masks(&|command| {
            command.scheme(scheme);
        });
        assert_eq!(found, [0, 0, 0], "{scheme:?}");
        let found = masks(&|command| {
            command.scheme(scheme);
            command.ignore_signal(signal::Signal::SIGINT as i32);
            command.ignore_signal(signal::Signal::SIGQUIT as i32);
        });
        assert_eq!(found, [0, 0b110, 0], "{scheme:?}");
    }
    before.thread_set_mask().unwrap();
}

#[test]
fn the_callers_own_signal_mask_is_unchanged() {
    let _alone = alone();
    let mask = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk"));
        line.unwrap().to_owned()
    };
    let before = mask();
    shell("true").spawn_detached(WAIT).unwrap();
    assert_eq!(mask(), before);
}

#[test]
fn the_scheduling_policy_is_the_callers() {
    let _alone = alone();
    let policy = || output("exec chrt -p $$", |_| {});
    let normal = policy();
    assert!(normal.contains("SCHED_OTHER"), "{normal}");
    // Of this thread only, which is all that its children inherit.
    let status = process::Command::new("chrt")
        .args(["--batch", "-p", "0"])
        .arg(nix::unistd::gettid().to_string())
        .status()
        .unwrap();
    assert!(status.success());
    let batch = policy();
    assert!(batch.contains("SCHED_BATCH"), "{batch}");
    let left = output("exec chrt -p $$", |command| {
        command.leave_batch(true);
    });
    assert!(left.contains("SCHED_OTHER"), "{left}");
}

#[test]
fn directory_and_umask_are_the_callers_or_as_asked() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let asked = CString::new(path.to_str().unwrap()).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let own_umask = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:\t"))
        .unwrap();
    let own = std::env::current_dir().unwrap();
    for scheme in SCHEMES {
        let text = output("pwd -P; umask", |command| {
            command.scheme(scheme);
        });
        assert_eq!(text, format!("{}\n{own_umask}\n", own.display()));
        let text = output("pwd -P; umask", |command| {
            command
                .scheme(scheme)
                .cwd(Some(asked.clone()))
                .umask(Some(0o27));
        });
        assert_eq!(text, format!("{}\n0027\n", path.display()));
    }
}

#[test]
fn arguments_and_environment_are_bytes() {
    let _alone = alone();
    let found =
        output_bytes("exec cat /proc/self/cmdline /proc/self/environ", |c| {
            c.arg(CString::new(b"\xff \t\n".to_vec()).unwrap());
            c.env(vec![c"A=\xff".to_owned(), c"B-C=1".to_owned()]);
        });
    // The shell passes on what it was given, and adds PWD.
    let entries: Vec<_> = found.split(|byte| *byte == 0).collect();
    assert!(entries.contains(&&b"A=\xff"[..]), "{entries:?}");
    let text = output_bytes("printf %s \"$0\"", |command| {
        command.arg(CString::new(b"\xff \t\n".to_vec()).unwrap());
    });
    assert_eq!(text, b"\xff \t\n");
}

#[test]
fn what_the_exec_fails_with_comes_back_if_one_waits() {
    let _alone = alone();
    for scheme in SCHEMES {
        let mut command = Command::new(Path::new("/no/such")).unwrap();
        command.scheme(scheme);
        let error = command.spawn_detached(WAIT).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        let shown = error.to_string();
        assert!(shown.starts_with("cannot start /no/such: exec"), "{shown}");

        let mut command = shell("true");
        command.scheme(scheme);
        let huge = vec![b'x'; 200 * 1024];
        command.env(vec![CString::new(huge).unwrap()]);
        let error = command.spawn_child(WAIT).unwrap_err();
        assert!(error.is_too_big(), "{error}");
    }
    let mut command = shell("true");
    command.cwd(Some(c"/no/such".to_owned()));
    let error = command.spawn_detached(WAIT).unwrap_err();
    assert_eq!(error.stage(), Stage::Chdir);
    let process = shell("true").spawn_detached(WAIT).unwrap();
    assert_eq!(process.started, Started::Executed);
}

#[test]
fn without_waiting_an_exec_error_is_nobodys_problem() {
    let _alone = alone();
    let command = Command::new(Path::new("/no/such")).unwrap();
    command.spawn_detached(Start::NoWait).unwrap();
    until("no child to be left", || {
        children().is_empty().then_some(())
    });
}

#[test]
fn an_owned_child_is_waited_for() {
    let _alone = alone();
    for scheme in SCHEMES {
        let mut command = shell("exit 7");
        command.scheme(scheme);
        let process = command.spawn_child(WAIT).unwrap();
        let pid = nix::unistd::Pid::from_raw(process.pid);
        let status = nix::sys::wait::waitpid(pid, None).unwrap();
        assert_eq!(status, nix::sys::wait::WaitStatus::Exited(pid, 7));
    }
}

#[test]
fn a_system_without_anything_left_is_an_error() {
    let _alone = alone();
    let nothing = ["--", "/bin/true"];
    let run = |options: &[&str]| probed(&[options, &nothing].concat());
    // No descriptor is free, but none is needed either.
    let text = run(&["nofile=3", "wait"]);
    assert!(text.starts_with("ok Executed"), "{text}");
    // Nor is any of the address space, which is used up already: the first
    // launch has its stacks.
    let text = run(&["as=1"]);
    assert!(text.starts_with("ok "), "{text}");
    // The limit on processes does not bind root.
    let text = run(&["nproc=0", "uid=65534"]);
    assert_eq!(text, format!("error Clone {}", libc::EAGAIN));
    let text = run(&["posix", "nproc=0", "uid=65534"]);
    assert_eq!(text, format!("error Exec {}", libc::EAGAIN));
}

#[test]
fn where_clone_is_refused_posix_spawn_does_it() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made");
    let made = path.to_str().unwrap();
    // It waits for the exec even without being asked to.
    let text = probed(&["refuse", "times=2", "--", "/bin/mkdir", "-p", made]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|l| l.starts_with("ok Executed")), "{text}");
    until("the program to have run", || path.exists().then_some(()));
    let text = probed(&["refuse", "--", "/no/such"]);
    assert_eq!(text, format!("error Exec {}", libc::ENOENT));
}

#[test]
fn under_valgrind_which_knows_no_such_clone_posix_spawn_does_it() {
    let _alone = alone();
    // What Valgrind says of itself, without the time that it takes.
    let probed = |arguments: &[&str]| {
        let output = process::Command::new(example("spawn_probe"))
            .args(arguments)
            .env("LD_PRELOAD", "/no/such/vgpreload_core-amd64-linux.so")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    // Only posix_spawn waits for the exec without being asked to.
    let (_, text) = probed(&["--", "/no/such"]);
    assert_eq!(text.trim_end(), format!("error Exec {}", libc::ENOENT));
    let (_, text) = probed(&["--", "/bin/true"]);
    assert!(text.starts_with("ok Executed"), "{text}");
    let three = ["foreground", "--", "sh", "-c", "exit 3"];
    assert_eq!(probed(&three).0, Some(3));
    // Its own descriptors are above the limit.
    let script = "exec 9</dev/null; exec \"$0\" posix nofile=8 -- /bin/true";
    let output = process::Command::new("/bin/sh")
        .args(["-c", script])
        .arg(example("spawn_probe"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ok Executed"), "{text}");
}

#[test]
fn process_1_keeps_no_zombie_for_longer_than_a_spawn() {
    let _alone = alone();
    if !nix::unistd::geteuid().is_root() {
        // Not eprintln: the test harness would swallow it.
        let notice = b"LEFT OUT: process 1 of a namespace: needs root\n";
        std::io::stderr().write_all(notice).unwrap();
        return;
    }
    let mut child = process::Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(example("spawn_probe"))
        .args(["times=20", "wait", "more", "--", "/bin/true"])
        .stdin(process::Stdio::piped())
        .stdout(process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..20 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with("ok Executed"), "{line}");
    }
    let probe = until("the probe", || {
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        let text = fs::read_to_string(path).unwrap();
        text.trim().parse::<i32>().ok()
    });
    let path = format!("/proc/{probe}/task/{probe}/children");
    until("all but the last to be reaped", || {
        stdin.write_all(b"once more\n").unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with("ok Executed"), "{line}");
        let left = fs::read_to_string(&path).unwrap();
        (left.split_whitespace().count() <= 1).then_some(())
    });
    drop(stdin);
    child.wait().unwrap();
}

#[test]
fn many_threads_spawn_while_others_fork() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    const THREADS: usize = 8;
    const TIMES: usize = 25;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let path = &path;
            scope.spawn(move || {
                for time in 0..TIMES {
                    let name = format!("{path}/{thread}-{time}");
                    let command = shell(&format!(": > {name}"));
                    command.spawn_detached(Start::NoWait).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..50 {
                // std forks or vforks; either way beside our own clones.
                process::Command::new("/bin/true").status().unwrap();
            }
        });
    });
    until("every program to have run", || {
        let count = fs::read_dir(&path).unwrap().count();
        (count == THREADS * TIMES).then_some(())
    });
    assert_eq!(children(), [0; 0]);
}

#[test]
fn a_guarded_descriptor_is_closed_in_a_forked_child() {
    let _alone = alone();
    let (reader, writer) = pipe();
    let guard = CloseInChild::new(writer.as_raw_fd());
    // SAFETY: the child makes system calls only.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let is_open = |fd: &dyn AsRawFd| {
                // SAFETY: touches no memory.
                unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) >= 0 }
            };
            let code =
                i32::from(is_open(&writer)) * 2 + i32::from(!is_open(&reader));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = nix::sys::wait::waitpid(child, None).unwrap();
            let fine = nix::sys::wait::WaitStatus::Exited(child, 0);
            assert_eq!(status, fine);
        }
    }
    drop(guard);
    // The parent's own is open still.
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETFD).unwrap();
}
