//! Starts the user's agent if none is running.
//!
//! Responsible for there being only one: the process that starts it first takes
//! a lock, which the agent inherits and holds as long as it lives. Does not
//! block.

use std::ffi::CString;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::AccessFlags;
use nix::unistd::access;
use uilog_channel::agent_address;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::sink_environment;
use uilog_event::environment_block::split_environment;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;
use uilog_sys::spawn;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Stdio;

/// Where it finds programs.
const PATH: &[u8] = b"PATH=/usr/local/bin:/usr/bin:/bin";
/// The inherited variables: the directories of this user's files. The agent
/// reads the configuration there for queues of unknown origin, and scans for
/// queues. Those that sinks name are inherited as well. Others are not needed.
const INHERITED: [&[u8]; 5] = [
    b"HGRCPATH",
    b"HOME",
    b"XDG_CONFIG_HOME",
    b"XDG_RUNTIME_DIR",
    b"XDG_STATE_HOME",
];

/// By these, and by variables that describe a job, the runners of Jenkins,
/// GitHub and Azure Pipelines find what a job has left, and kill it. Those of
/// Jenkins: `Job.getCharacteristicEnvVars` and `Run.getCharacteristicEnvVars`,
/// of which a process must have all, and a Pipeline's `JENKINS_NODE_COOKIE`.
const MARKS_OF_JOBS: [&[u8]; 8] = [
    b"BUILD_TAG",
    b"HUDSON_COOKIE",
    b"HUDSON_SERVER_COOKIE",
    b"JENKINS_NODE_COOKIE",
    b"JENKINS_SERVER_COOKIE",
    b"JOB_BASE_NAME",
    b"RUNNER_TRACKING_ID",
    b"VSTS_PROCESS_LOOKUP_ID",
];

/// Starts an agent in a runtime directory, with this program, unless one runs
/// or is being started; returns whether it did. The agent trusts the queue of
/// that name, which is the caller's own. The environment, a block, determines
/// its home; `items` are those of the caller's sinks.
///
/// # Errors
///
/// Why none can be started.
pub fn start(
    dir: &OwnDir,
    program: &Path,
    queue: Option<&OsStr>,
    environment: &[u8],
    items: &[(Vec<u8>, Vec<u8>)],
) -> Result<bool, String> {
    check_program(program)?;
    let lock = lock(dir).map_err(|error| format!("cannot lock: {error}"))?;
    let Some(lock) = lock else {
        return Ok(false);
    };
    let no_path = |_| "there is NUL in a path".to_owned();
    let directory = dir.path().as_os_str().as_bytes();
    let directory = CString::new(directory).map_err(no_path)?;
    let mut command = spawn::Command::new(program)
        .map_err(|_| format!("'{}' is not a path", program.display()))?;
    command.arg(c"agent".to_owned());
    command.arg(c"serve".to_owned());
    command.arg(directory);
    if let Some(queue) = queue {
        command.arg(CString::new(queue.as_bytes()).map_err(no_path)?);
    }
    command.stdin(Stdio::Fd(lock.as_fd()));
    command.env(inherited(environment, items));
    command.spawn_detached(Start::NoWait).map_err(|error| {
        format!("cannot start {}: {error}", program.display())
    })?;
    Ok(true)
}

/// An agent's environment.
fn inherited(environment: &[u8], items: &[(Vec<u8>, Vec<u8>)]) -> Vec<CString> {
    let named = sink_environment::named(items);
    let is_mark = |name: &[u8]| {
        MARKS_OF_JOBS.contains(&name) || sink_environment::is_of_ci(name)
    };
    let named = named.filter(|it| !is_mark(it));
    // The path is another one.
    let named: Vec<_> = named.filter(|it| *it != b"PATH").collect();
    let is_kept =
        |name: &[u8]| INHERITED.contains(&name) || named.contains(&name);
    let entries = split_environment(environment);
    let inherited = entries.filter(|(name, _)| is_kept(name));
    let inherited = inherited.map(|(name, value)| [name, b"=", value].concat());
    let all = std::iter::once(PATH.to_vec()).chain(inherited);
    all.filter_map(|entry| CString::new(entry).ok()).collect()
}

/// Whether a program can be run: the exec's own errors come too late for a
/// caller that does not wait, and a missing binary must not go unnoticed.
///
/// # Errors
///
/// Why it cannot.
pub(crate) fn check_program(program: &Path) -> Result<(), String> {
    access(program, AccessFlags::X_OK)
        .map_err(|errno| format!("cannot run {}: {errno}", program.display()))
}

/// The lock for starting an agent; none if another process has it, which is
/// about to scan all queues.
fn lock(dir: &OwnDir) -> io::Result<Option<File>> {
    let names = AgentNames::new(&agent_address::namespaces()?);
    let file = dir.open_or_create(&names.lock, OFlag::O_RDWR, 0o600)?;
    let is_free = living_file::hold(&file, Holder::Maker)?;
    Ok(is_free.then_some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_at_home_where_its_starter_is() {
        let block = b"BUILD_ID=7\0HOME=/h\0TOKEN=x\0HGRCPATH=/rc\0PATH=/evil\0\
                      XDG_CONFIG_HOME=/c\0XDG_STATE_HOME=/s\0HG=/hg\0\
                      XDG_RUNTIME_DIR=/r\0LD_PRELOAD=x\0OUT=/o\0\
                      RUNNER_TRACKING_ID=1\0VSTS_PROCESS_LOOKUP_ID=vsts_1\0\
                      HUDSON_SERVER_COOKIE=1\0BUILD_TAG=j-7\0JOB_BASE_NAME=j\0";
        let sinks = [
            ("sink.a", "file:$OUT/${BUILD_ID}/$RUNNER_TRACKING_ID"),
            ("sink.b", "file:$PATH/$HOME/$NONE"),
            ("sink.c", "file:$OUT/$VSTS_PROCESS_LOOKUP_ID/$BUILD_TAG"),
            ("sink.d", "file:$OUT/$HUDSON_SERVER_COOKIE/$JOB_BASE_NAME"),
        ];
        let bytes = |text: &str| text.as_bytes().to_vec();
        let items = sinks.map(|(name, value)| (bytes(name), bytes(value)));
        let entries = inherited(block, &items);
        let entries = entries.iter().map(|it| it.to_str().unwrap());
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable();
        let expected = [
            "HGRCPATH=/rc",
            "HOME=/h",
            "OUT=/o",
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "XDG_CONFIG_HOME=/c",
            "XDG_RUNTIME_DIR=/r",
            "XDG_STATE_HOME=/s",
        ];
        assert_eq!(entries, expected);
    }
}
