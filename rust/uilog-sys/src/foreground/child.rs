//! What runs between `clone` and `execve` of a program in the foreground.
//!
//! The rules are those of `spawn/child.rs`, and are tested in the same way: it
//! shares the caller's memory and thread-local storage, so there is no
//! allocation, no lock, no panic, no destructor, no `errno` and no library
//! function, only raw system calls on the [`Plan`].

use std::ffi::c_char;
use std::ffi::c_void;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use syscalls::Errno;
use syscalls::Sysno;
use syscalls::syscall;

/// The size of the kernel's signal set, in bytes.
const SIGSET_BYTES: usize = 8;
/// How much memory the kernel's `sigaction` takes at most.
const SIGACTION_WORDS: usize = 8;
/// What the process exits with that could not execute its program; the caller
/// looks at [`Outcome`] instead.
const EXIT_NOT_EXECUTED: i32 = 127;

/// What the child has to do. Complete before it is cloned; nothing changes.
#[repr(C)]
pub(super) struct Plan {
    /// Null-terminated: the paths to try one after the other.
    pub(super) paths: *const *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// Null-terminated: `sh`, a slot for a path, and the arguments, for files
    /// without an executable format.
    pub(super) shell_argv: *mut *const c_char,
    /// The caller's process.
    pub(super) parent: i32,
    /// The signal mask to have.
    pub(super) mask: u64,
    pub(super) is_pipe_ignored: bool,
    pub(super) is_file_size_ignored: bool,
    pub(super) is_chld_ignored: bool,
    /// Bit `n`: close standard descriptor `n`.
    pub(super) closed: u8,
    /// Where an error is stored, in memory that stays shared.
    pub(super) outcome: *const Outcome,
}

/// The step that has failed, if any.
#[repr(C)]
pub(super) struct Outcome {
    /// The system's error number; 0 if the program has been executed.
    pub(super) errno: AtomicI32,
}

/// The child: becomes the program.
///
/// # Async-signal-safety
///
/// `prctl`, `getppid`, what [`become_program`] lists, and `exit` if that fails.
pub(super) extern "C" fn run(plan: *mut c_void) -> i32 {
    // SAFETY: the caller keeps the plan until this process has ended.
    let plan = unsafe { &*plan.cast::<Plan>() };
    // Who kills us by SIGKILL means the program.
    // SAFETY: touches no memory.
    let _ = unsafe {
        syscall!(Sysno::prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0)
    };
    // SAFETY: touches no memory.
    let parent = unsafe { syscall!(Sysno::getppid) };
    if parent != Ok(plan.parent as usize) {
        return EXIT_NOT_EXECUTED;
    }
    let errno = become_program(plan);
    // SAFETY: the caller keeps it, like the plan.
    let outcome = unsafe { &*plan.outcome };
    outcome.errno.store(errno.into_raw(), Ordering::Release);
    EXIT_NOT_EXECUTED
}

/// Becomes the program, with everything as this process had it when it began.
///
/// # Async-signal-safety
///
/// `rt_sigaction`, `close`, `rt_sigprocmask`, `execve`.
pub(super) fn become_program(plan: &Plan) -> Errno {
    if !plan.is_pipe_ignored {
        set_disposition(libc::SIGPIPE, libc::SIG_DFL);
    }
    if !plan.is_file_size_ignored {
        set_disposition(libc::SIGXFSZ, libc::SIG_DFL);
    }
    if plan.is_chld_ignored {
        set_disposition(libc::SIGCHLD, libc::SIG_IGN);
    }
    for fd in 0..3_usize {
        if plan.closed >> fd & 1 == 1 {
            // SAFETY: touches no memory.
            let _ = unsafe { syscall!(Sysno::close, fd) };
        }
    }
    // SAFETY: reads SIGSET_BYTES bytes of the plan.
    let _ = unsafe {
        syscall!(
            Sysno::rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const plan.mask,
            0,
            SIGSET_BYTES
        )
    };
    execute(plan)
}

/// Executes the first of the paths that can be.
///
/// # Async-signal-safety
///
/// `execve`.
// glibc: execvpe
fn execute(plan: &Plan) -> Errno {
    let mut refused = None;
    let mut last = Errno::ENOENT;
    let mut next = plan.paths;
    loop {
        // SAFETY: a null-terminated array of the plan, not passed yet.
        let path = unsafe { *next };
        if path.is_null() {
            return refused.unwrap_or(last);
        }
        // SAFETY: a path and two null-terminated arrays of the plan.
        let outcome =
            unsafe { syscall!(Sysno::execve, path, plan.argv, plan.envp) };
        let errno = match outcome {
            Ok(_) => return last,
            Err(Errno::ENOEXEC) => execute_by_shell(plan, path),
            Err(errno) => errno,
        };
        match errno {
            Errno::EACCES => refused = Some(errno),
            Errno::ENOENT
            | Errno::ENOTDIR
            | Errno::ESTALE
            | Errno::ENODEV
            | Errno::ETIMEDOUT => last = errno,
            _ => return errno,
        }
        // SAFETY: the null that ends the array has not been reached.
        next = unsafe { next.add(1) };
    }
}

/// # Async-signal-safety
///
/// `execve`.
fn execute_by_shell(plan: &Plan, path: *const c_char) -> Errno {
    // SAFETY: the array has room for it, and is this process's alone.
    let place = unsafe { plan.shell_argv.add(1) };
    // SAFETY: as above.
    unsafe { *place = path };
    // SAFETY: a constant path and two null-terminated arrays of the plan.
    let outcome = unsafe {
        syscall!(
            Sysno::execve,
            c"/bin/sh".as_ptr(),
            plan.shell_argv,
            plan.envp
        )
    };
    outcome.err().unwrap_or(Errno::ENOEXEC)
}

/// # Async-signal-safety
///
/// `rt_sigaction`.
fn set_disposition(signal: i32, disposition: usize) {
    // A plain handler comes first in every layout of the kernel's.
    let mut action = [0_usize; SIGACTION_WORDS];
    action[0] = disposition;
    // SAFETY: reads a live local that is large enough for any layout.
    let _ = unsafe {
        syscall!(
            Sysno::rt_sigaction,
            signal,
            action.as_ptr(),
            0,
            SIGSET_BYTES
        )
    };
}
