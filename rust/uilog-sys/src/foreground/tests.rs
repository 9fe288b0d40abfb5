//! Tests of [`super`].

use std::ffi::CString;
use std::time::Duration;

use super::end::ExitKind;
use super::end::ProgramEnd;
use super::end::Usage;
use super::program::candidates;

fn strings(texts: &[&str]) -> Vec<CString> {
    let strings = texts.iter().map(|text| CString::new(*text).unwrap());
    strings.collect()
}

#[test]
fn programs_are_looked_for_as_by_execvp() {
    let found = |name: &str, env: &[&str]| {
        let paths = candidates(&CString::new(name).unwrap(), &strings(env));
        paths
            .iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("a", &["PATH=/x:/y", "A=1"]), ["/x/a", "/y/a"]);
    assert_eq!(found("a", &["PATH=:/y:"]), ["a", "/y/a", "a"]);
    assert_eq!(found("a", &["PATHS=/x"]), ["/bin/a", "/usr/bin/a"]);
    assert_eq!(found("./a", &["PATH=/x"]), ["./a"]);
    assert_eq!(found("", &["PATH=/x"]), [""]);
    assert_eq!(found("a", &["PATH="]), ["a"]);
}

#[test]
fn ends_are_told_as_by_a_shell() {
    let status = |how| {
        let usage = Usage::default();
        let duration = Duration::ZERO;
        let end = ProgramEnd {
            how,
            duration,
            usage,
        };
        end.shell_status()
    };
    assert_eq!(status(ExitKind::Exited(3)), 3);
    assert_eq!(status(ExitKind::Killed(libc::SIGKILL)), 137);
    assert_eq!(status(ExitKind::NotStarted(libc::ENOENT)), 127);
    assert_eq!(status(ExitKind::NotStarted(libc::ENOTDIR)), 126);
    assert_eq!(status(ExitKind::NotStarted(libc::EACCES)), 126);
}
