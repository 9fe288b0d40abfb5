//! What tests of several crates need: waiting for a condition, and running
//! parts of a test in other processes.
//!
//! For dev-dependencies only. Uses nothing but the standard library, so that no
//! test waits for it to be compiled. Must not know any other crate.

#![deny(missing_docs)]

use std::env;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Longer than any condition needs.
const BOUND: Duration = Duration::from_secs(60);

/// Waits for a condition.
///
/// # Panics
///
/// It is not met within a time that no condition needs.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Keeps the other tests of this process that call it waiting: they share their
/// children, descriptors and signal dispositions.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test of this program in a process of its own.
///
/// # Panics
///
/// The system does not say which program this is.
pub fn test_process(name: &str) -> Command {
    let program = env::current_exe().expect("/proc is mounted");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture"]);
    command
}

/// The path of an example of the crate that is tested: a program for its tests.
///
/// # Panics
///
/// The system does not say which program this is.
pub fn example(name: &str) -> PathBuf {
    let mut program = env::current_exe().expect("/proc is mounted");
    program.pop();
    program.set_file_name("examples");
    program.push(name);
    program
}

/// Writes a program. Another process does so: a file that this one has open to
/// write to is open in whatever another test forks meanwhile, and cannot be
/// executed until that has ended or executed something itself (`ETXTBSY`).
///
/// # Panics
///
/// The file cannot be written.
pub fn write_program(path: &Path, text: &[u8]) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", r#"cat >"$1" && chmod 755 "$1""#, "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut input = shell.stdin.take().expect("it is a pipe");
    input.write_all(text).expect("cat reads");
    drop(input);
    let status = shell.wait().expect("it is a child");
    assert!(status.success(), "{} was not written", path.display());
}

/// Judges a test that has run itself again where it may mount something: below
/// `unshare`, by a shell that exits with 77 if the mount fails. If it could not
/// be run there, it is left out, which is printed.
///
/// # Panics
///
/// It ran there and failed, or did not run.
pub fn judge_inside(test: &str, output: io::Result<Output>) {
    match output {
        // Namespaces are refused, or the mount is.
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
            eprintln!("LEFT OUT: {test} because nothing can be mounted");
        }
        Err(error) => {
            eprintln!("LEFT OUT: {test} because of unshare: {error}");
        }
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            let is_fine = output.status.success() && text.contains("1 passed");
            assert!(is_fine, "{text}{errors}");
        }
    }
}
