//! Everything that a child uses of the caller's memory, the launches that are
//! not freed yet, and whether the system refuses this way to start.
//!
//! Must not know when one is freed.

use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::orphans::own_pid;
use super::orphans::wait_for;
use super::region::Region;
use super::signals::SignalsBlocked;
use super::signals::last_errno;
use crate::append::plan;
use crate::sched;
use crate::spawn::child;
use crate::spawn::child::Plan;
use crate::spawn::command::Command;
use crate::spawn::command::Error;
use crate::spawn::command::Stdio;

/// Set once the system has refused the scheme.
pub(super) static REFUSED: AtomicBool = AtomicBool::new(false);

/// Why nothing was started.
pub(crate) enum Failure<'fd> {
    /// A real error.
    Error(Error),
    /// The system does not allow the scheme; the command is unharmed.
    Refused(Box<Command<'fd>>),
}

/// Whether an error of `clone` means that this method cannot be used: a seccomp
/// filter refuses it (EPERM, ENOSYS), or an emulator does not support the
/// general clone (EINVAL).
pub(super) fn is_refusal(errno: i32) -> bool {
    matches!(errno, libc::EPERM | libc::ENOSYS | libc::EINVAL)
}

/// Everything that a child uses of the caller's memory.
///
/// At a fixed address for as long as the child shares the memory.
pub(super) struct Launch {
    pub(super) plan: Plan,
    /// The process that made it: a forked copy of a launch is never finished.
    pub(super) owner: i32,
    pub(super) next: *mut Launch,
    _region: Region,
    pub(super) kept: Kept,
}

/// What the pointers in the plan point at.
pub(super) enum Kept {
    Program(#[expect(dead_code, reason = "kept, not read")] Strings),
    Line(Box<plan::Plan>),
    Nothing,
}

/// What a program is started with.
pub(super) struct Strings {
    _program: CString,
    _cwd: Option<CString>,
    _args: Vec<CString>,
    _env: Vec<CString>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

/// A plan with the defaults; the caller sets what differs.
fn plan_of(entry: extern "C" fn(*mut c_void) -> i32, region: &Region) -> Plan {
    Plan {
        entry,
        line: ptr::null(),
        program: ptr::null(),
        argv: ptr::null(),
        envp: ptr::null(),
        cwd: ptr::null(),
        umask: child::UMASK_INHERIT,
        stdio: [child::STDIO_NULL; 3],
        ignored: 0,
        policy: child::POLICY_INHERIT,
        child_stack: region.child_stack(),
        gate: AtomicI32::new(0),
        alive: AtomicI32::new(1),
        pid: AtomicI32::new(0),
        failed_stage: AtomicI32::new(0),
        failed_errno: AtomicI32::new(0),
    }
}

impl Launch {
    pub(super) fn of_program(
        command: &Command<'_>,
        region: Region,
        detached: bool,
    ) -> Box<Self> {
        let terminated = |strings: &[CString]| {
            let pointers = strings.iter().map(|string| string.as_ptr());
            pointers.chain([ptr::null()]).collect::<Vec<_>>()
        };
        let program = command.program.clone();
        let cwd = command.cwd.clone();
        let args = command.args.clone();
        let env = command.env.clone();
        let strings = Strings {
            argv: terminated(&args),
            envp: terminated(&env),
            _program: program,
            _cwd: cwd,
            _args: args,
            _env: env,
        };
        let stdio = command.stdio.map(|stdio| match stdio {
            Stdio::Null => child::STDIO_NULL,
            Stdio::Inherit => child::STDIO_INHERIT,
            Stdio::Fd(fd) => fd.as_raw_fd(),
        });
        let plan = Plan {
            program: strings._program.as_ptr(),
            argv: strings.argv.as_ptr(),
            envp: strings.envp.as_ptr(),
            cwd: strings._cwd.as_ref().map_or(ptr::null(), |c| c.as_ptr()),
            umask: command
                .umask
                .map_or(child::UMASK_INHERIT, |mask| (mask & 0o777) as i32),
            stdio,
            ignored: command.ignored,
            policy: policy(command, detached),
            gate: AtomicI32::new(i32::from(!detached)),
            ..plan_of(child::run, &region)
        };
        Self::new(plan, region, Kept::Program(strings))
    }

    pub(super) fn of_line(line: Box<plan::Plan>, region: Region) -> Box<Self> {
        let is_normal = sched::policy() == Some(libc::SCHED_OTHER);
        let plan = Plan {
            line: &raw const *line,
            // A limit on files is an error of the write.
            ignored: 1 << (libc::SIGXFSZ - 1),
            policy: if is_normal {
                libc::SCHED_OTHER
            } else {
                child::POLICY_INHERIT
            },
            ..plan_of(child::append, &region)
        };
        Self::new(plan, region, Kept::Line(line))
    }

    fn new(plan: Plan, region: Region, kept: Kept) -> Box<Self> {
        Box::new(Self {
            plan,
            owner: own_pid(),
            next: ptr::null_mut(),
            _region: region,
            kept,
        })
    }

    /// Whether a child of this process is to append a line, and has not ended.
    pub(super) fn is_appending(&self) -> bool {
        matches!(self.kept, Kept::Line(_))
            && self.owner == own_pid()
            && self.is_shared()
    }

    fn plan_ptr(&self) -> *mut c_void {
        (&raw const self.plan).cast_mut().cast()
    }

    /// Clones the child as the caller's own.
    pub(super) fn clone_directly(&self) -> Result<(), i32> {
        let _blocked = SignalsBlocked::new();
        // SAFETY: the stack belongs to this launch, which is kept, like the
        // plan, until `alive` is cleared.
        let pid = unsafe {
            libc::clone(
                self.plan.entry,
                self.plan.child_stack,
                child::CHILD_FLAGS,
                self.plan_ptr(),
                self.plan.pid.as_ptr(),
                ptr::null_mut::<c_void>(),
                self.plan.alive.as_ptr(),
            )
        };
        if pid < 0 { Err(last_errno()) } else { Ok(()) }
    }

    /// Clones the middle child, which clones the child; reaps the former.
    pub(super) fn clone_through_middle(&self) -> Result<(), i32> {
        let _blocked = SignalsBlocked::new();
        // It changes nothing but memory, so it shares all that would have to
        // be copied; the child gets copies of its own.
        // Its end sends no signal (exit signal 0), so that a SIGCHLD handler
        // or a `waitpid(-1)` elsewhere in the caller never hears of it.
        // SAFETY: CLONE_VFORK suspends this thread until the middle child has
        // exited, so that its stack and the plan outlive it.
        let middle = unsafe {
            libc::clone(
                child::middle,
                self._region.middle_stack(),
                libc::CLONE_VM
                    | libc::CLONE_VFORK
                    | libc::CLONE_FILES
                    | libc::CLONE_FS
                    | libc::CLONE_SIGHAND,
                self.plan_ptr(),
            )
        };
        if middle < 0 {
            return Err(last_errno());
        }
        let status = wait_for(middle);
        self.open_gate();
        if self.plan.pid.load(Ordering::Acquire) > 0 {
            return Ok(());
        }
        if self.plan.failed_stage.load(Ordering::Acquire) != 0 {
            return Err(self.plan.failed_errno.load(Ordering::Relaxed));
        }
        match status {
            // It did start the child, but memory was not shared: something
            // emulates clone by fork. The child works on its own copy.
            Some(0) => {
                REFUSED.store(true, Ordering::Relaxed);
                self.plan.alive.store(0, Ordering::Release);
                Ok(())
            }
            // Not shared, and not started.
            Some(status) if libc::WIFEXITED(status) => Err(libc::ENOSYS),
            // Killed before it could start anything.
            _ => Err(libc::EAGAIN),
        }
    }

    /// Lets the child go on that waits for us.
    fn open_gate(&self) {
        self.plan.gate.store(1, Ordering::Release);
        // SAFETY: wakes whoever waits on a word that is alive.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.plan.gate.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
    }

    /// Whether the child still uses this memory.
    pub(super) fn is_shared(&self) -> bool {
        self.plan.alive.load(Ordering::Acquire) != 0
    }

    /// Waits until the child has executed its program or ended.
    pub(super) fn wait_until_left(&self, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        loop {
            let alive = self.plan.alive.load(Ordering::Acquire);
            if alive == 0 {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let timeout = libc::timespec {
                tv_sec: left.as_secs() as libc::time_t,
                tv_nsec: left.subsec_nanos().into(),
            };
            // Not FUTEX_PRIVATE: the kernel's wake for CLONE_CHILD_CLEARTID
            // is not private either. Whatever it returns, look again.
            // SAFETY: `alive` and `timeout` are alive during the call.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.plan.alive.as_ptr(),
                    libc::FUTEX_WAIT,
                    alive,
                    &raw const timeout,
                )
            };
        }
    }

    pub(super) fn keep(self: Box<Self>) {
        push(Box::into_raw(self));
    }
}

/// Launches that have not been freed yet: the last one, and those whose child
/// still used this memory when it was last looked at.
///
/// A stack without locks: a fork of another thread cannot leave it locked.
pub(super) static KEPT: AtomicPtr<Launch> = AtomicPtr::new(ptr::null_mut());

pub(super) fn push(launch: *mut Launch) {
    let mut head = KEPT.load(Ordering::Relaxed);
    loop {
        // SAFETY: whoever pushes a launch is its only owner until then.
        unsafe { (*launch).next = head };
        match KEPT.compare_exchange_weak(
            head,
            launch,
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

/// The policy under which the program is to run, if the child has to set it:
/// because it changes it meanwhile, or because the command says so.
fn policy(command: &Command<'_>, detached: bool) -> i32 {
    let is_normal = sched::policy() == Some(libc::SCHED_OTHER);
    if command.leave_batch || (detached && is_normal) {
        libc::SCHED_OTHER
    } else {
        child::POLICY_INHERIT
    }
}
