//! The fallback: `posix_spawn`, and a thread that reaps.
//!
//! It waits for the exec (that is how `posix_spawn` works), and the program
//! stays the caller's child until the caller ends.

use std::ffi::CStr;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr;
use std::thread;

use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;

use crate::spawn::command::Command;
use crate::spawn::command::Error;
use crate::spawn::command::Process;
use crate::spawn::command::Stage;
use crate::spawn::command::Started;
use crate::spawn::command::Stdio;

/// Bytes of the reaping thread's stack.
const REAPER_STACK_BYTES: usize = 64 * 1024;

/// The highest signal number.
const SIGNAL_MAX: i32 = 64;

pub(super) fn spawn(
    command: &Command<'_>,
    detached: bool,
) -> Result<Process, Error> {
    if command.ignored != 0 || command.umask.is_some() || command.cwd.is_some()
    {
        return spawn(&through_shell(command), detached);
    }
    let pid = try_spawn(command).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(0);
        command.error(Stage::Exec, errno)
    })?;
    if detached {
        reap_in_background(pid);
    }
    Ok(Process {
        pid,
        started: Started::Executed,
    })
}

/// What posix_spawn has no portable attribute for, a shell does before it
/// executes the program in its own place.
fn through_shell<'fd>(command: &Command<'fd>) -> Command<'fd> {
    let mut script = String::new();
    for signal in 1..=SIGNAL_MAX {
        if command.ignored >> (signal - 1) & 1 == 1 {
            script.push_str(&format!("trap '' {signal}; "));
        }
    }
    if let Some(umask) = command.umask {
        script.push_str(&format!("umask {umask:03o}; "));
    }
    let mut args = vec![c"sh".to_owned(), c"-c".to_owned()];
    if command.cwd.is_some() {
        script.push_str("cd -- \"$0\" || exit 127; ");
    }
    script.push_str("exec \"$@\"");
    args.push(CString::new(script).unwrap_or_default());
    args.push(command.cwd.clone().unwrap_or_else(|| c"sh".to_owned()));
    args.push(command.program.clone());
    args.extend(command.args.iter().skip(1).cloned());
    Command {
        program: c"/bin/sh".to_owned(),
        args,
        env: command.env.clone(),
        cwd: None,
        umask: None,
        stdio: command.stdio,
        ignored: 0,
        leave_batch: false,
        scheme: command.scheme,
    }
}

fn try_spawn(command: &Command<'_>) -> io::Result<i32> {
    let attributes = Attributes::new()?;
    let mut actions = Actions::new()?;
    let mut kept = Vec::new();
    // Moves every source out of the way first, by descriptors that the
    // actions close again, so that the order of the three does not matter.
    for (target, stdio) in (0..).zip(command.stdio) {
        match stdio {
            Stdio::Inherit => {}
            Stdio::Null => actions.open(target, c"/dev/null", target != 0)?,
            Stdio::Fd(fd) => {
                let copy = nix::fcntl::fcntl(
                    fd,
                    nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3),
                )?;
                actions.dup2(copy, target)?;
                // SAFETY: fcntl has just made it, and nobody else has it.
                kept.push(unsafe { owned(copy) });
            }
        }
    }
    for fd in open_descriptors() {
        actions.close(fd)?;
    }
    let pointers = |strings: &[CString]| {
        let pointers = strings.iter().map(|string| string.as_ptr().cast_mut());
        pointers.chain([ptr::null_mut()]).collect::<Vec<_>>()
    };
    let argv = pointers(&command.args);
    let envp = pointers(&command.env);
    let mut pid = 0;
    // SAFETY: all arguments are initialised, NUL- and null-terminated, and
    // outlive the call.
    let status = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            command.program.as_ptr(),
            &raw const actions.raw,
            &raw const attributes.raw,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    };
    check(status)?;
    Ok(pid)
}

/// # Safety
///
/// `raw` is open, and owned by no one else.
unsafe fn owned(raw: i32) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: as the caller promises.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(raw) }
}

fn check(status: i32) -> io::Result<()> {
    match status {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The descriptors above the standard three that are open now. One that is
/// closed before the spawn is no error there. One that only an emulator knows
/// of would be, or one at or above the limit, where Valgrind keeps its own:
/// that is left to its close-on-exec flag.
fn open_descriptors() -> Vec<i32> {
    let listed = ["/proc/self/fd", "/dev/fd"]
        .iter()
        .find_map(|dir| std::fs::read_dir(Path::new(dir)).ok());
    let entries = listed.into_iter().flatten().flatten();
    let names =
        entries.filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = names.filter_map(|name| name.parse::<i32>().ok());
    let is_open = |fd: i32| {
        // SAFETY: touches no memory.
        unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
    };
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |it| it.0);
    let is_below = |fd: i32| u64::try_from(fd).is_ok_and(|fd| fd < limit);
    numbers
        .filter(|fd| *fd > 2 && is_below(*fd) && is_open(*fd))
        .collect()
}

/// Waits for the child in a separate thread, so that it is reaped at once. If
/// no thread can be created, it stays a zombie until the caller ends.
fn reap_in_background(pid: i32) {
    let _ = thread::Builder::new()
        .name("uilog-reaper".to_owned())
        .stack_size(REAPER_STACK_BYTES)
        .spawn(move || {
            let pid = nix::unistd::Pid::from_raw(pid);
            while nix::sys::wait::waitpid(pid, None)
                == Err(nix::errno::Errno::EINTR)
            {}
        });
}

struct Attributes {
    raw: libc::posix_spawnattr_t,
}

impl Attributes {
    /// A new session, no signal blocked, every signal at its default.
    fn new() -> io::Result<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: init fills the uninitialised attributes.
        check(unsafe { libc::posix_spawnattr_init(raw.as_mut_ptr()) })?;
        // SAFETY: init has succeeded.
        let raw = unsafe { raw.assume_init() };
        let mut attributes = Self { raw };
        let raw = &raw mut attributes.raw;
        let mut set = MaybeUninit::uninit();
        // SAFETY: writes a whole signal set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: both are initialised.
        check(unsafe { libc::posix_spawnattr_setsigmask(raw, set.as_ptr()) })?;
        // SAFETY: as above.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        for kept in [libc::SIGKILL, libc::SIGSTOP] {
            // macOS refuses a set with these two.
            // SAFETY: the set is initialised.
            unsafe { libc::sigdelset(set.as_mut_ptr(), kept) };
        }
        // SAFETY: both are initialised.
        check(unsafe {
            libc::posix_spawnattr_setsigdefault(raw, set.as_ptr())
        })?;
        let flags = libc::POSIX_SPAWN_SETSIGMASK
            | libc::POSIX_SPAWN_SETSIGDEF
            | POSIX_SPAWN_SETSID;
        // SAFETY: the attributes are initialised.
        check(unsafe {
            libc::posix_spawnattr_setflags(raw, flags as libc::c_short)
        })?;
        Ok(attributes)
    }
}

/// glibc 2.26, musl 1.1.22.
#[cfg(target_os = "linux")]
const POSIX_SPAWN_SETSID: libc::c_int = 0x80;
/// XNU `bsd/sys/spawn.h`.
#[cfg(target_os = "macos")]
const POSIX_SPAWN_SETSID: libc::c_int = 0x0400;
/// Elsewhere a new process group has to do.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const POSIX_SPAWN_SETSID: libc::c_int = libc::POSIX_SPAWN_SETPGROUP as _;

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.raw) };
    }
}

struct Actions {
    raw: libc::posix_spawn_file_actions_t,
}

impl Actions {
    fn new() -> io::Result<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: init fills the uninitialised actions.
        check(unsafe {
            libc::posix_spawn_file_actions_init(raw.as_mut_ptr())
        })?;
        // SAFETY: init has succeeded.
        let raw = unsafe { raw.assume_init() };
        Ok(Self { raw })
    }

    fn open(
        &mut self,
        target: i32,
        path: &CStr,
        for_writing: bool,
    ) -> io::Result<()> {
        let mode = if for_writing {
            libc::O_WRONLY
        } else {
            libc::O_RDONLY
        };
        // SAFETY: the actions are initialised; the path is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(
                &raw mut self.raw,
                target,
                path.as_ptr(),
                mode,
                0,
            )
        })
    }

    fn dup2(&mut self, source: i32, target: i32) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(
                &raw mut self.raw,
                source,
                target,
            )
        })
    }

    fn close(&mut self, fd: i32) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        check(unsafe {
            libc::posix_spawn_file_actions_addclose(&raw mut self.raw, fd)
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.raw) };
    }
}
