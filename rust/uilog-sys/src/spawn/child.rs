//! All code that runs between `clone` and `execve` of a program with its own
//! session, and in a child that appends a line (`append/steps.rs`) and executes
//! nothing. `foreground/child.rs` has the code for a program in the same
//! session.
//!
//! It runs in a process that shares the caller's memory and thread-local
//! storage, concurrently with the caller's threads, on its own stack. So it may
//! only make raw system calls on the [`Plan`], which was completed before: no
//! allocation, no lock, no panic, no destructor, no `errno` and no library
//! function.
//!
//! `tests/spawn.rs` enforces that: it runs the code under an allocator that
//! aborts in a child, and compares the system calls that strace sees with the
//! lists given here.

use std::ffi::c_char;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use syscalls::Errno;
use syscalls::Sysno;
use syscalls::syscall;

use crate::append::plan;
use crate::append::steps::perform;
use crate::spawn::command::Stage;

/// A [`Plan::stdio`] entry: open `/dev/null`.
pub(super) const STDIO_NULL: i32 = -1;
/// A [`Plan::stdio`] entry: leave the descriptor as it is.
pub(super) const STDIO_INHERIT: i32 = -2;
/// [`Plan::umask`]: leave the umask as it is.
pub(super) const UMASK_INHERIT: i32 = -1;

/// [`Plan::policy`]: leave the scheduling policy as it is.
pub(super) const POLICY_INHERIT: i32 = -1;
/// How long the child waits for the caller at most, in nanoseconds.
const GATE_BOUND_NS: i64 = 50_000_000;

/// Without `close_range`, descriptors up to this number are closed at most.
const MAX_CLOSED_BY_HAND: u64 = 1 << 20;
/// The highest signal number (`_NSIG` of the kernel).
const SIGNAL_MAX: usize = 64;
/// The size of the kernel's signal set, in bytes.
const SIGSET_BYTES: usize = 8;
/// What a process exits with that could not execute its program, as a shell.
const EXIT_NOT_EXECUTED: usize = 127;
/// The first descriptor after the standard three.
const FIRST_OTHER_FD: usize = 3;

/// What a child has to do, and where it says how that went.
///
/// Shared by the caller, the middle child and the child. The caller completes
/// it before it clones; afterwards only the atomics change.
#[repr(C)]
pub(super) struct Plan {
    /// What the child does: [`run`] or [`append`].
    pub(super) entry: extern "C" fn(*mut c_void) -> i32,
    /// The line to append; null to run a program.
    pub(super) line: *const plan::Plan,
    pub(super) program: *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// Null: stay where the caller is.
    pub(super) cwd: *const c_char,
    pub(super) umask: i32,
    /// A descriptor, [`STDIO_NULL`] or [`STDIO_INHERIT`].
    pub(super) stdio: [i32; 3],
    /// Bit `n - 1`: signal `n` is ignored.
    pub(super) ignored: u64,
    /// The scheduling policy to execute the program under, or
    /// [`POLICY_INHERIT`].
    pub(super) policy: i32,
    /// The top of the stack that [`run`] uses when [`middle`] starts it.
    pub(super) child_stack: *mut c_void,

    /// 0 while the child is to let the caller go first, see
    /// [`let_caller_go_first`].
    pub(super) gate: AtomicI32,
    /// Not 0 while the child shares this memory; the kernel clears it.
    pub(super) alive: AtomicI32,
    /// The child's process id, once it has been made.
    pub(super) pid: AtomicI32,
    /// The [`Stage`] that failed, or 0.
    pub(super) failed_stage: AtomicI32,
    /// The error of that stage.
    pub(super) failed_errno: AtomicI32,
}

impl Plan {
    /// # Async-signal-safety
    ///
    /// No system call.
    fn fail(&self, stage: Stage, errno: i32) {
        self.failed_errno.store(errno, Ordering::Relaxed);
        self.failed_stage.store(stage as i32, Ordering::Release);
    }
}

/// The flags of the clone: it shares memory, and the kernel writes
/// [`Plan::pid`] when the child begins and clears [`Plan::alive`] when it stops
/// sharing.
pub(super) const CHILD_FLAGS: i32 = libc::CLONE_VM
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID
    | libc::SIGCHLD;

/// The middle child: makes the real one and exits, which hands the real one
/// over to init.
///
/// # Async-signal-safety
///
/// `clone`; the C library's wrapper calls `exit` when this returns. `errno`
/// is written by that wrapper if `clone` fails: the caller's thread, whose
/// thread-local storage that is, is suspended meanwhile (`CLONE_VFORK`).
pub(super) extern "C" fn middle(plan: *mut c_void) -> i32 {
    let plan = plan.cast::<Plan>();
    // SAFETY: the caller passes a plan that outlives this call.
    let shared = unsafe { &*plan };
    // SAFETY: the stack is mapped, big enough, used by no one else, and is
    // kept until `alive` is cleared; so is the plan.
    let pid = unsafe {
        libc::clone(
            shared.entry,
            shared.child_stack,
            CHILD_FLAGS,
            plan.cast::<c_void>(),
            shared.pid.as_ptr(),
            ptr::null_mut::<c_void>(),
            shared.alive.as_ptr(),
        )
    };
    if pid >= 0 {
        return 0;
    }
    // SAFETY: a plain address computation on the thread pointer.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: errno of the thread that stands still, see above.
    shared.fail(Stage::Clone, unsafe { *errno });
    1
}

/// The child: becomes the program.
///
/// # Async-signal-safety
///
/// What [`let_caller_go_first`] and [`set_policy`] list; `setsid`,
/// `rt_sigaction`, `umask`, what [`arrange_stdio`] and
/// [`close_from`] list, `chdir`, `rt_sigprocmask`, `execve`, and `exit`
/// if that fails.
pub(super) extern "C" fn run(plan: *mut c_void) -> i32 {
    // SAFETY: the caller keeps the plan until `alive` is cleared, which
    // happens when this process executes the program or exits.
    let plan = unsafe { &*plan.cast::<Plan>() };
    let_caller_go_first(plan);
    set_policy(plan.policy);
    // A new process leads no process group, so this cannot fail.
    // SAFETY: touches no memory.
    let _ = unsafe { syscall!(Sysno::setsid) };
    reset_signals(plan.ignored);
    if plan.umask != UMASK_INHERIT {
        // SAFETY: touches no memory.
        let _ = unsafe { syscall!(Sysno::umask, plan.umask) };
    }
    if let Err(errno) = arrange_stdio(plan.stdio) {
        return leave(plan, Stage::Stdio, errno);
    }
    close_from(FIRST_OTHER_FD);
    if !plan.cwd.is_null() {
        // SAFETY: `cwd` is a NUL-terminated string of the plan.
        if let Err(errno) = unsafe { syscall!(Sysno::chdir, plan.cwd) } {
            return leave(plan, Stage::Chdir, errno);
        }
    }
    unblock_signals();
    // SAFETY: a NUL-terminated path and two null-terminated arrays of such
    // strings, all of the plan.
    let outcome =
        unsafe { syscall!(Sysno::execve, plan.program, plan.argv, plan.envp) };
    match outcome {
        Ok(_) => 0,
        Err(errno) => leave(plan, Stage::Exec, errno),
    }
}

/// The child that appends a line, and then ends.
///
/// It keeps nothing of the caller's busy: no descriptor, no directory.
///
/// # Async-signal-safety
///
/// What [`let_caller_go_first`], [`set_policy`], [`close_from`] and
/// [`perform`] list; `setsid`, `rt_sigaction`, `prlimit64`, `chdir`,
/// `umask`, `rt_sigprocmask`, and `exit`.
pub(super) extern "C" fn append(plan: *mut c_void) -> i32 {
    // SAFETY: the caller keeps the plan until `alive` is cleared, which
    // happens when this process exits.
    let plan = unsafe { &*plan.cast::<Plan>() };
    let_caller_go_first(plan);
    set_policy(plan.policy);
    // SAFETY: touches no memory.
    let _ = unsafe { syscall!(Sysno::setsid) };
    reset_signals(plan.ignored);
    close_from(0);
    raise_descriptor_limit();
    // SAFETY: a NUL-terminated constant.
    let _ = unsafe { syscall!(Sysno::chdir, c"/".as_ptr()) };
    // The modes of what is made are ours; this process's umask is its own.
    // SAFETY: touches no memory.
    let _ = unsafe { syscall!(Sysno::umask, 0) };
    unblock_signals();
    // SAFETY: the caller keeps it as long as the plan.
    let appended = perform(unsafe { &*plan.line });
    match appended {
        Ok(()) => 0,
        Err(errno) => leave(plan, Stage::Append, errno),
    }
}

/// Raises the limit of descriptors to the maximum: the caller may have lowered
/// it to its open ones.
///
/// # Async-signal-safety
///
/// `prlimit64`.
fn raise_descriptor_limit() {
    let mut limits = [0_u64; 2];
    // SAFETY: writes one rlimit64, which is two u64, to a live local.
    let looked = unsafe {
        syscall!(
            Sysno::prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            0,
            limits.as_mut_ptr()
        )
    };
    let [_, hard] = limits;
    let raised = [hard; 2];
    if looked.is_ok() {
        // SAFETY: reads one rlimit64 from a live local.
        let _ = unsafe {
            syscall!(
                Sysno::prlimit64,
                0,
                libc::RLIMIT_NOFILE,
                raised.as_ptr(),
                0
            )
        };
    }
}

/// # Async-signal-safety
///
/// `rt_sigprocmask`.
fn unblock_signals() {
    let nothing_blocked = 0_u64;
    // SAFETY: reads SIGSET_BYTES bytes from a live local.
    let _ = unsafe {
        syscall!(
            Sysno::rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const nothing_blocked,
            0,
            SIGSET_BYTES
        )
    };
}

/// Waits until the caller has gone on, but not for long.
///
/// A detached child and its caller become runnable at the same moment, and on
/// a busy machine they share a processor: the caller then waits for as long
/// as the child needs to execute its program, which is ten times as long as
/// all the rest. So the child sleeps until the caller opens the gate, and
/// wakes up as SCHED_BATCH, which never takes the processor away from the one
/// who wakes it. If the caller is killed in between, the bound ends the wait.
///
/// # Async-signal-safety
///
/// `sched_setscheduler`, `futex`.
fn let_caller_go_first(plan: &Plan) {
    if plan.gate.load(Ordering::Acquire) != 0 {
        return;
    }
    if plan.policy != POLICY_INHERIT {
        set_policy(libc::SCHED_BATCH);
    }
    let bound = libc::timespec {
        tv_sec: 0,
        tv_nsec: GATE_BOUND_NS,
    };
    // One wait is enough: whatever ends it, the program may be executed.
    // SAFETY: waits on a word of the plan, for the time in a live local.
    let _ = unsafe {
        syscall!(
            Sysno::futex,
            plan.gate.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            0,
            &raw const bound
        )
    };
}

/// # Async-signal-safety
///
/// `sched_setscheduler`.
fn set_policy(policy: i32) {
    if policy == POLICY_INHERIT {
        return;
    }
    // The policies in question have no priority; the nice value stays.
    let priority = 0_i32;
    // SAFETY: reads a sched_param, which is one int, from a live local.
    let _ = unsafe {
        syscall!(Sysno::sched_setscheduler, 0, policy, &raw const priority)
    };
}

/// Says what failed, and ends the process.
///
/// # Async-signal-safety
///
/// `exit`: it ends this process alone; the caller's threads, which share
/// the memory but not the thread group, go on.
fn leave(plan: &Plan, stage: Stage, errno: Errno) -> i32 {
    plan.fail(stage, errno.into_raw());
    // SAFETY: touches no memory, and does not return.
    let _ = unsafe { syscall!(Sysno::exit, EXIT_NOT_EXECUTED) };
    EXIT_NOT_EXECUTED as i32
}

/// Sets every signal to its default, or to be ignored.
///
/// The table of handlers is this process's own (no `CLONE_SIGHAND`), and all
/// signals are blocked, so that no handler of the caller can ever run here.
///
/// # Async-signal-safety
///
/// `rt_sigaction`.
fn reset_signals(ignored: u64) {
    let mut signal = 1;
    while signal <= SIGNAL_MAX {
        let is_ignored = (ignored >> (signal - 1)) & 1 == 1;
        // The kernel's struct begins with the handler; no flags, no mask and
        // no restorer are all zero. It is no longer than this on any system.
        let handler = if is_ignored {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        };
        let action: [usize; 8] = [handler, 0, 0, 0, 0, 0, 0, 0];
        // Fails for SIGKILL and SIGSTOP, which are at their defaults anyway.
        // SAFETY: reads one kernel sigaction from a live local.
        let _ = unsafe {
            syscall!(
                Sysno::rt_sigaction,
                signal,
                action.as_ptr(),
                0,
                SIGSET_BYTES
            )
        };
        signal += 1;
    }
}

/// Makes descriptors 0, 1 and 2 what the plan says.
///
/// The table of descriptors is this process's own (no `CLONE_FILES`).
///
/// # Async-signal-safety
///
/// `fcntl`, `dup3`, `close`, `openat`.
fn arrange_stdio(sources: [i32; 3]) -> Result<(), Errno> {
    let [stdin, stdout, stderr] = sources;
    // A source among 0, 1 and 2 that is wanted elsewhere moves away first,
    // before its own number is given to another.
    let stdin = clear_of_standard(stdin, 0)?;
    let stdout = clear_of_standard(stdout, 1)?;
    let stderr = clear_of_standard(stderr, 2)?;
    place(stdin, 0)?;
    place(stdout, 1)?;
    place(stderr, 2)
}

/// # Async-signal-safety
///
/// `fcntl`.
fn clear_of_standard(source: i32, target: i32) -> Result<i32, Errno> {
    if source < 0 || source == target || source >= FIRST_OTHER_FD as i32 {
        return Ok(source);
    }
    // SAFETY: touches no memory.
    let moved = unsafe {
        syscall!(Sysno::fcntl, source, libc::F_DUPFD_CLOEXEC, FIRST_OTHER_FD)
    }?;
    Ok(moved as i32)
}

/// # Async-signal-safety
///
/// `fcntl`, `dup3`, `close`, `openat`.
fn place(source: i32, target: i32) -> Result<(), Errno> {
    match source {
        STDIO_INHERIT => {
            // It may be closed, and then stays so.
            let _ = keep_on_exec(target);
            Ok(())
        }
        STDIO_NULL => {
            // Closing first makes sure that a number is free, even if the
            // caller had used up all of them.
            // SAFETY: touches no memory.
            let _ = unsafe { syscall!(Sysno::close, target) };
            let mode = if target == 0 {
                libc::O_RDONLY
            } else {
                libc::O_WRONLY
            };
            // SAFETY: a NUL-terminated constant.
            let opened = unsafe {
                syscall!(
                    Sysno::openat,
                    libc::AT_FDCWD,
                    c"/dev/null".as_ptr(),
                    mode
                )
            }? as i32;
            if opened == target {
                return Ok(());
            }
            duplicate(opened, target)?;
            // SAFETY: touches no memory.
            let _ = unsafe { syscall!(Sysno::close, opened) };
            Ok(())
        }
        source if source == target => keep_on_exec(target),
        source => duplicate(source, target),
    }
}

/// # Async-signal-safety
///
/// `fcntl`.
fn keep_on_exec(fd: i32) -> Result<(), Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall!(Sysno::fcntl, fd, libc::F_SETFD, 0) }.map(drop)
}

/// # Async-signal-safety
///
/// `dup3`.
fn duplicate(source: i32, target: i32) -> Result<(), Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall!(Sysno::dup3, source, target, 0) }.map(drop)
}

/// Closes every descriptor from this number on.
///
/// # Async-signal-safety
///
/// `close_range`; before Linux 5.9, or where it is refused, `prlimit64` and
/// `close`.
fn close_from(first: usize) {
    // SAFETY: touches no memory.
    let closed =
        unsafe { syscall!(Sysno::close_range, first, u32::MAX as usize, 0) };
    if closed.is_ok() {
        return;
    }
    let mut limits = [MAX_CLOSED_BY_HAND; 2];
    // SAFETY: writes one rlimit64, which is two u64, to a live local.
    let _ = unsafe {
        syscall!(
            Sysno::prlimit64,
            0,
            libc::RLIMIT_NOFILE,
            0,
            limits.as_mut_ptr()
        )
    };
    let [soft, _] = limits;
    let limit = soft.min(MAX_CLOSED_BY_HAND) as usize;
    let mut fd = first;
    while fd < limit {
        // SAFETY: touches no memory.
        let _ = unsafe { syscall!(Sysno::close, fd) };
        fd += 1;
    }
}
