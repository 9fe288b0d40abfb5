//! System calls that fail, and writers that are killed at any step.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use super::ALL;
use super::Kind;
use super::lines;
use super::log;
use super::under_strace;

/// What a rotation asks of the system.
const STEPS: [&str; 11] = [
    "mkdirat",
    "openat",
    "flock",
    "fstat",
    "newfstatat",
    "renameat",
    "linkat",
    "renameat2",
    "unlinkat",
    "getdents64",
    "write",
];

#[test]
fn a_writer_may_be_killed_at_any_step_of_a_rotation() {
    for (kind, kills) in [(Kind::Shared, 20), (Kind::Private, 10)] {
        let made = STEPS.iter().map(|step| kill_at(kind, step)).sum::<u32>();
        assert!(made > kills, "{kind:?}: {made}");
    }
}

/// Kills a writer at each call of this name; how often that was possible.
fn kill_at(kind: Kind, step: &str) -> u32 {
    let mut kills = 0;
    for when in 1.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let full = kind.log(&path, 1, ALL);
        let before: Vec<_> =
            (0..4).map(|it| format!("before {it} x")).collect();
        for record in &before {
            let _ = full.append(format!("{record}\n").as_bytes()).unwrap();
        }
        let fault = format!("inject={step}:signal=KILL:when={when}");
        let output = under_strace(kind, &path, &["-e", &fault], 1, "killed");
        let was_killed = output.status.signal() == Some(9);
        let found = lines(&path);
        assert_eq!(found[..4], before, "{fault}");
        // The next one goes on where it has stopped.
        let _ = full.append(b"after 0 x\n").unwrap();
        let _ = full.append(b"after 1 x\n").unwrap();
        let mut expected = before.clone();
        if found.len() > 4 {
            expected.push("killed 0 ".to_owned());
        }
        expected.extend(["after 0 x".to_owned(), "after 1 x".to_owned()]);
        assert_eq!(lines(&path), expected, "{fault}");
        for number in 1..expected.len() {
            let old = format!("{}.{number}", path.display());
            let text = fs::read_to_string(&old).unwrap();
            let at = expected.len() - 1 - number;
            assert_eq!(text, format!("{}\n", expected[at]), "{fault}");
        }
        if !was_killed {
            break;
        }
        kills += 1;
    }
    kills
}

#[test]
fn system_calls_that_fail_cost_no_record() {
    for fault in [
        // NFS without locks, file systems without links or exchanges.
        "inject=flock:error=ENOLCK",
        "inject=linkat:error=EPERM",
        "inject=renameat2:error=EINVAL",
        "inject=linkat,renameat2:error=ENOSYS",
        // An old file of somebody else's.
        "inject=linkat:error=EPERM:when=2",
        "inject=openat:error=EACCES:when=5+",
        "inject=mkdirat:error=ENOSPC",
        "inject=renameat:error=EPERM",
        "inject=renameat,renameat2:error=EACCES",
        "inject=unlinkat:error=EIO",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut expected = Vec::new();
        for round in 0..4 {
            let tag = format!("r{round}");
            let output =
                under_strace(Kind::Shared, &path, &["-e", fault], 1, &tag);
            if output.status.success() {
                expected.push(format!("{tag} 0 "));
            } else {
                // Where the directory cannot be used, nothing is written.
                assert!(fault.contains("EACCES"), "{fault}: {output:?}");
            }
        }
        assert_eq!(lines(&path), expected, "{fault}");
        // Without the fault, names are as they should be.
        let _ = log(&path, 1, ALL).append(b"last 0 x\n").unwrap();
        expected.push("last 0 x".to_owned());
        assert_eq!(lines(&path), expected, "{fault}");
    }
}

#[test]
fn a_stale_handle_is_opened_once_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let name = path.to_str().unwrap();
    let _ = log(&path, 100, ALL).append(b"before 0 x\n").unwrap();
    for call in ["openat", "write"] {
        let fault = format!("inject={call}:error=ESTALE:when=1");
        let faults = ["-P", name, "-e", &fault];
        let output = under_strace(Kind::Shared, &path, &faults, 100, call);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(lines(&path), ["before 0 x", "openat 0 ", "write 0 "]);
}

#[test]
fn a_full_disk_is_an_error_of_the_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let _ = log(&path, 100, ALL).append(b"before 0 x\n").unwrap();
    let name = path.to_str().unwrap();
    let faults = ["-P", name, "-e", "inject=write:error=ENOSPC"];
    let output = under_strace(Kind::Shared, &path, &faults, 100, "full");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("StorageFull"), "{said}");
    assert_eq!(lines(&path), ["before 0 x"]);
}
