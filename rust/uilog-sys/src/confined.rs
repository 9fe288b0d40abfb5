//! Whether this process is more restricted than others in its container.
//!
//! A restricted process must not start a process that serves others, because
//! that would inherit the restrictions. Responsible for system-call filters and
//! for limits that kill a process or make it fail. Must not know which process
//! is to be started.

use std::fs;

use nix::errno::Errno;
use nix::sys::resource::RLIM_INFINITY;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;

/// Why a process that this one starts would be confined; none if it would
/// not be.
pub fn reason() -> Option<String> {
    for (resource, name) in [
        (Resource::RLIMIT_CPU, "processor time"),
        (Resource::RLIMIT_FSIZE, "the size of files"),
    ] {
        let limited = match getrlimit(resource) {
            Ok((limit, _)) => limit != RLIM_INFINITY,
            Err(_) => true,
        };
        if limited {
            return Some(format!("{name} is limited"));
        }
    }
    is_filtered().then(|| "system calls are filtered".to_owned())
}

/// Whether there are filters (seccomp) that the first process of this pid
/// namespace does not have: what that one has, all of a container have.
fn is_filtered() -> bool {
    // SAFETY: takes no pointer.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP) };
    // EINVAL: a kernel without filters.
    if matches!(Errno::result(mode), Ok(0) | Err(Errno::EINVAL)) {
        return false;
    }
    let own = filters("self");
    own.is_none() || own != filters("1")
}

/// The number of a process's filters; none if it is unknown.
fn filters(process: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut lines = status.lines();
    let count = lines.find_map(|it| it.strip_prefix("Seccomp_filters:"))?;
    Some(count.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use nix::sys::resource::setrlimit;

    use super::*;

    const PROBE: &str = "UILOG_CONFINED_PROBE";

    /// Not a test of its own: what the one below starts.
    #[test]
    fn probe() {
        if std::env::var_os(PROBE).is_some() {
            println!("reason: {:?}", reason());
        }
    }

    fn reason_with(limit: Option<Resource>) -> String {
        let program = std::env::current_exe().expect("this test");
        let mut command = Command::new(program);
        command.args(["confined::tests::probe", "--exact", "--nocapture"]);
        command.env(PROBE, "1");
        if let Some(resource) = limit {
            // SAFETY: setrlimit is async-signal-safe.
            unsafe {
                command.pre_exec(move || {
                    Ok(setrlimit(resource, 1 << 30, 1 << 30)?)
                })
            };
        }
        let output = command.output().expect("it ran");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let at = text.find("reason: ").expect("it says so");
        text[at + 8..].lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn limits_of_the_starter_are_seen() {
        assert!(!reason_with(None).contains("limited"));
        let cpu = reason_with(Some(Resource::RLIMIT_CPU));
        assert_eq!(cpu, "Some(\"processor time is limited\")");
        let size = reason_with(Some(Resource::RLIMIT_FSIZE));
        assert_eq!(size, "Some(\"the size of files is limited\")");
    }
}
