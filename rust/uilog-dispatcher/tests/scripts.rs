//! hg's side and the dispatcher for scripts only, without hg.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::Instant;

use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::installation::Programs;
use uilog_logger::logger::Logger;
use uilog_testing::alone;
use uilog_testing::write_program;

const PROGRAM: &str = env!("CARGO_BIN_EXE_uilog-dispatcher");

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An hg process, as far as logging is concerned, in a home of its own.
struct Hg {
    _alone: MutexGuard<'static, ()>,
    host: Host,
    home: tempfile::TempDir,
}

impl Hg {
    fn new(all: impl Into<PathBuf>, scripts: impl Into<PathBuf>) -> Self {
        let alone = alone();
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        let programs = Programs {
            all: all.into(),
            scripts: Some(scripts.into()),
        };
        Self {
            _alone: alone,
            host: Host::new(programs),
            home,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A program in the home.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        write_program(&path, format!("#!/bin/sh\n{script}\n").as_bytes());
        path
    }

    /// Logs through a ui with these items of `[uilog]` and `[logtoprocess]`.
    fn log(&mut self, uilog: &[(&str, &str)], scripts: &[(&str, &str)]) {
        let pair = |(name, value): &(&str, &str)| {
            (name.as_bytes().to_vec(), value.as_bytes().to_vec())
        };
        let uilog: Vec<_> = uilog.iter().map(pair).collect();
        let scripts: Vec<_> = scripts.iter().map(pair).collect();
        let home = self.home.path().display();
        let environment = format!(
            "PATH=/usr/bin:/bin\0HOME={home}\0DIR={home}\0\
             XDG_RUNTIME_DIR={home}/run\0"
        );
        self.host.enter(&mut environment.into_bytes());
        let draft = Draft {
            name: b"foo",
            message: Cow::Borrowed(b"said"),
            options: Vec::new(),
            hg: b"hg",
            root: None,
            time: None,
            pid: None,
        };
        Logger::new(&uilog, &scripts).log(&mut self.host, draft);
    }

    fn journal(&self) -> String {
        self.read(".local/state/uilog/failures.jsonl")
    }

    fn pages(&self) -> usize {
        let names = fs::read_dir(self.path("run/uilog")).unwrap();
        names.count()
    }
}

#[test]
fn scripts_run_in_the_order_of_their_events_and_nothing_is_left() {
    let mut hg = Hg::new("/nowhere/uilog", PROGRAM);
    for number in 0..20 {
        let script = format!("echo {number} >> $DIR/ran");
        hg.log(&[("max-scripts", "1")], &[("foo", &script)]);
    }
    let expected: String = (0..20).map(|it| format!("{it}\n")).collect();
    until("the scripts", || hg.read("ran") == expected);
    assert_eq!(hg.host.counters().lost, 0);
    assert_eq!(hg.host.dispatcher().starts(), 1);
    hg.host = Host::new(PathBuf::from("/nowhere/uilog"));
    until("its end", || hg.pages() == 0);
    assert_eq!(hg.journal(), "");
}

#[test]
fn what_a_failed_script_says_is_kept_without_secrets() {
    let mut hg = Hg::new("/nowhere/uilog", PROGRAM);
    let script = "echo >&2 https://me:hunter2hunter2@host/; exit 3";
    hg.log(&[], &[("foo", script)]);
    until("the journal", || hg.journal().contains("exit status 3"));
    let journal = hg.journal();
    assert!(journal.contains("@host/"), "{journal}");
    assert!(!journal.contains("hunter2"), "{journal}");
}

#[test]
fn the_user_database_is_asked_by_uilog() {
    let mut hg = Hg::new("/nowhere/uilog", "/nowhere/scripts");
    let program = hg.path("uilog-dispatcher");
    fs::copy(PROGRAM, &program).unwrap();
    hg.program("uilog", r#"echo "$@" >> "${0%/*}/asked"; printf joe"#);
    let programs = Programs {
        all: "/nowhere/uilog".into(),
        scripts: Some(program),
    };
    hg.host = Host::new(programs);
    let items = [("foo", "cat > $DIR/read"), ("foo:stdin", "json")];
    hg.log(&[], &items);
    until("the script", || hg.read("read").ends_with("}\n"));
    let read = hg.read("read");
    assert!(read.contains(r#""user":"joe""#), "{read}");
    let uid = nix::unistd::getuid();
    assert_eq!(hg.read("asked"), format!("user-name {uid}\n"));
}

/// Where the one for scripts alone cannot be used, the other one runs them.
#[test]
fn the_other_program_runs_scripts_if_this_one_cannot() {
    for scripts in ["/nowhere/uilog-dispatcher", "/bin/false", "/etc/passwd"] {
        let mut hg = Hg::new(PROGRAM, scripts);
        let mut logged = 0;
        until("a script", || {
            hg.log(&[], &[("foo", "echo ran >> $DIR/ran")]);
            logged += 1;
            std::thread::sleep(Duration::from_millis(20));
            !hg.read("ran").is_empty()
        });
        let all = "ran\n".repeat(logged);
        until("all of them", || hg.read("ran") == all);
        assert_eq!(hg.host.counters().lost, 0, "{scripts}");
    }
}

#[test]
fn records_get_a_dispatcher_of_their_own() {
    let mut hg = Hg::new("/nowhere", PROGRAM);
    let all = hg.program("all", r#"echo "$@" >> "${0%/*}/started""#);
    hg.host = Host::new(Programs {
        all,
        scripts: Some(PROGRAM.into()),
    });
    let scripts = [("foo", "echo ran >> $DIR/ran")];
    hg.log(&[], &scripts);
    let pid = hg.host.dispatcher().status().unwrap().pid;
    let sink = [("agent", "no"), ("sink.a", "file:/nowhere/log")];
    hg.log(&sink, &scripts);
    until("the other one", || {
        hg.read("started").starts_with("dispatch\n")
    });
    // It goes on to run scripts, in their order.
    hg.log(&[], &scripts);
    until("the scripts", || hg.read("ran") == "ran\n".repeat(3));
    assert_eq!(hg.host.dispatcher().status().unwrap().pid, pid);
    // Where records are known of first, one program serves both.
    let all = hg.path("all");
    hg.host = Host::new(Programs {
        all,
        scripts: Some("/bin/false".into()),
    });
    hg.log(&sink, &scripts);
    until("it again", || hg.read("started").lines().count() > 1);
}

#[test]
fn by_hand_it_says_what_it_is_for() {
    let _alone = alone();
    let runs = |arguments: &[&str]| {
        let mut command = Command::new(Path::new(PROGRAM));
        command.args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    for arguments in [&[][..], &["dispatch"], &["--help"]] {
        let text = runs(arguments);
        assert!(text.contains("hg starts this"), "{text}");
    }
}
