//! The caller's side of the clone scheme: prepares a [`Plan`], clones, and
//! keeps the shared memory until the child has left it.

use std::cell::UnsafeCell;
use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_void;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::append::plan;
use crate::append::plan::StartError;
use crate::sched;
use crate::spawn::child;
use crate::spawn::child::Plan;
use crate::spawn::command::Command;
use crate::spawn::command::Error;
use crate::spawn::command::Process;
use crate::spawn::command::Stage;
use crate::spawn::command::Start;
use crate::spawn::command::Started;
use crate::spawn::command::Stdio;
use crate::valgrind;

/// Bytes of one child's stack. The deepest use seen is under 1 KiB; a debug
/// build needs a few times that.
const STACK_BYTES: usize = 32 * 1024;
/// Bytes of the area below both stacks.
const GUARD_BYTES: usize = 4096;
const REGION_BYTES: usize = GUARD_BYTES + 2 * STACK_BYTES;

/// Set once the system has refused the scheme.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether the scheme is worth trying.
pub(super) fn is_available() -> bool {
    !REFUSED.load(Ordering::Relaxed) && !valgrind::is_there()
}

/// Why nothing was started.
pub(super) enum Failure<'fd> {
    /// A real error.
    Error(Error),
    /// The system does not allow the scheme; the command is unharmed.
    Refused(Box<Command<'fd>>),
}

pub(super) fn spawn<'fd>(
    command: Command<'fd>,
    start: Start,
    detached: bool,
) -> Result<Process, Failure<'fd>> {
    sweep();
    let region = match Region::new() {
        Ok(region) => region,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::ENOMEM);
            let error = command.error(Stage::Prepare, errno);
            return Err(Failure::Error(error));
        }
    };
    let launch = Launch::of_program(&command, region, detached);
    let made = if detached {
        launch.clone_through_middle()
    } else {
        launch.clone_directly()
    };
    match made {
        Ok(()) => {}
        Err(errno) if is_refusal(errno) => {
            REFUSED.store(true, Ordering::Relaxed);
            return Err(Failure::Refused(Box::new(command)));
        }
        Err(errno) => {
            return Err(Failure::Error(command.error(Stage::Clone, errno)));
        }
    }
    let plan = &launch.plan;
    let pid = plan.pid.load(Ordering::Acquire);
    let left = match start {
        Start::NoWait => !launch.is_shared(),
        Start::Wait(bound) => launch.wait_until_left(bound),
    };
    let failed_stage = plan.failed_stage.load(Ordering::Acquire);
    if left && start != Start::NoWait && failed_stage != 0 {
        let errno = plan.failed_errno.load(Ordering::Relaxed);
        if !detached {
            wait_for(pid);
        }
        let stage = Stage::from_raw(failed_stage);
        return Err(Failure::Error(command.error(stage, errno)));
    }
    if detached {
        adopt_if_reaper(pid);
    }
    // Freeing it costs a system call even if the child has left already, and
    // hg is waiting: the next spawn does it.
    launch.keep();
    let started = if left && start != Start::NoWait {
        Started::Executed
    } else {
        Started::Pending
    };
    Ok(Process { pid, started })
}

/// Leaves it to a detached child to append a line, unless so many do already.
pub(crate) fn start_appending(
    line: Box<plan::Plan>,
    max_children: usize,
) -> Result<(), (Box<plan::Plan>, StartError)> {
    let refused =
        |errno| StartError::System(io::Error::from_raw_os_error(errno));
    if sweep() >= max_children {
        return Err((line, StartError::TooMany));
    }
    if !is_available() {
        return Err((line, refused(libc::ENOSYS)));
    }
    let region = match Region::new() {
        Ok(region) => region,
        Err(error) => return Err((line, StartError::System(error))),
    };
    let mut launch = Launch::of_line(line, region);
    match launch.clone_through_middle() {
        Ok(()) => {
            adopt_if_reaper(launch.plan.pid.load(Ordering::Acquire));
            launch.keep();
            Ok(())
        }
        Err(errno) => {
            if is_refusal(errno) {
                REFUSED.store(true, Ordering::Relaxed);
            }
            match std::mem::replace(&mut launch.kept, Kept::Nothing) {
                Kept::Line(line) => Err((line, refused(errno))),
                // A launch of a line keeps one.
                Kept::Program(_) | Kept::Nothing => Ok(()),
            }
        }
    }
}

/// How many children of this process append now.
pub(crate) fn count_appending() -> usize {
    sweep()
}

/// Waits until no child of this process appends any more, but not longer than
/// this; whether that is so.
pub(crate) fn wait_for_appending(bound: Duration) -> bool {
    let deadline = Instant::now() + bound;
    loop {
        let mut launch = KEPT.swap(ptr::null_mut(), Ordering::AcqRel);
        let mut waits_for: *mut Launch = ptr::null_mut();
        while !launch.is_null() {
            // SAFETY: the swap made this thread the only owner of the list.
            let kept = unsafe { &*launch };
            let next = kept.next;
            if kept.is_appending() && waits_for.is_null() {
                waits_for = launch;
            } else {
                push(launch);
            }
            launch = next;
        }
        if waits_for.is_null() {
            sweep();
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // SAFETY: it has been taken out of the list, so it is this thread's.
        let has_left = unsafe { &*waits_for }.wait_until_left(left);
        push(waits_for);
        if !has_left {
            return false;
        }
    }
}

/// The error of the last child that could not append its line, if one could
/// not since the last call.
pub(crate) fn take_appending_failure() -> Option<i32> {
    sweep();
    let errno = NOT_APPENDED.swap(0, Ordering::Relaxed);
    (errno != 0).then_some(errno)
}

/// What a child has failed with that was to append a line; 0 for nothing.
static NOT_APPENDED: AtomicI32 = AtomicI32::new(0);

/// Whether an error of `clone` means that this method cannot be used: a seccomp
/// filter refuses it (EPERM, ENOSYS), or an emulator does not support the
/// general clone (EINVAL).
fn is_refusal(errno: i32) -> bool {
    matches!(errno, libc::EPERM | libc::ENOSYS | libc::EINVAL)
}

/// Everything that a child uses of the caller's memory.
///
/// At a fixed address for as long as the child shares the memory.
struct Launch {
    plan: Plan,
    /// The process that made it: a forked copy of a launch is never finished.
    owner: i32,
    next: *mut Launch,
    _region: Region,
    kept: Kept,
}

/// What the pointers in the plan point at.
enum Kept {
    Program(#[expect(dead_code, reason = "kept, not read")] Strings),
    Line(Box<plan::Plan>),
    Nothing,
}

/// What a program is started with.
struct Strings {
    _program: CString,
    _cwd: Option<CString>,
    _args: Vec<CString>,
    _env: Vec<CString>,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

impl Launch {
    fn of_program(
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
            entry: child::run,
            line: ptr::null(),
            program: strings._program.as_ptr(),
            argv: strings.argv.as_ptr(),
            envp: strings.envp.as_ptr(),
            cwd: strings._cwd.as_ref().map_or(ptr::null(), |c| c.as_ptr()),
            umask: command
                .umask
                .map_or(child::UMASK_INHERIT, |mask| (mask & 0o777) as i32),
            stdio,
            ignored: command.ignored,
            child_stack: region.child_stack(),
            policy: policy(command, detached),
            gate: AtomicI32::new(i32::from(!detached)),
            alive: AtomicI32::new(1),
            pid: AtomicI32::new(0),
            failed_stage: AtomicI32::new(0),
            failed_errno: AtomicI32::new(0),
        };
        Box::new(Self {
            plan,
            owner: own_pid(),
            next: ptr::null_mut(),
            _region: region,
            kept: Kept::Program(strings),
        })
    }

    fn of_line(line: Box<plan::Plan>, region: Region) -> Box<Self> {
        let is_normal = sched::policy() == Some(libc::SCHED_OTHER);
        let plan = Plan {
            entry: child::append,
            line: &raw const *line,
            program: ptr::null(),
            argv: ptr::null(),
            envp: ptr::null(),
            cwd: ptr::null(),
            umask: child::UMASK_INHERIT,
            stdio: [child::STDIO_NULL; 3],
            // A limit on files is an error of the write.
            ignored: 1 << (libc::SIGXFSZ - 1),
            child_stack: region.child_stack(),
            policy: if is_normal {
                libc::SCHED_OTHER
            } else {
                child::POLICY_INHERIT
            },
            gate: AtomicI32::new(0),
            alive: AtomicI32::new(1),
            pid: AtomicI32::new(0),
            failed_stage: AtomicI32::new(0),
            failed_errno: AtomicI32::new(0),
        };
        Box::new(Self {
            plan,
            owner: own_pid(),
            next: ptr::null_mut(),
            _region: region,
            kept: Kept::Line(line),
        })
    }

    /// Whether a child of this process is to append a line, and has not ended.
    fn is_appending(&self) -> bool {
        matches!(self.kept, Kept::Line(_))
            && self.owner == own_pid()
            && self.is_shared()
    }

    fn plan_ptr(&self) -> *mut c_void {
        (&raw const self.plan).cast_mut().cast()
    }

    /// Clones the child as the caller's own.
    fn clone_directly(&self) -> Result<(), i32> {
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
    fn clone_through_middle(&self) -> Result<(), i32> {
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
    fn is_shared(&self) -> bool {
        self.plan.alive.load(Ordering::Acquire) != 0
    }

    /// Waits until the child has executed its program or ended.
    fn wait_until_left(&self, bound: Duration) -> bool {
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

    fn keep(self: Box<Self>) {
        push(Box::into_raw(self));
    }
}

/// Launches that have not been freed yet: the last one, and those whose child
/// still used this memory when it was last looked at.
///
/// A stack without locks: a fork of another thread cannot leave it locked.
static KEPT: AtomicPtr<Launch> = AtomicPtr::new(ptr::null_mut());

fn push(launch: *mut Launch) {
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

/// Frees the launches whose children have left, and reaps adopted orphans;
/// returns how many children still have a line to append.
fn sweep() -> usize {
    let mut appending = 0;
    let mut launch = KEPT.swap(ptr::null_mut(), Ordering::AcqRel);
    let own_pid = own_pid();
    while !launch.is_null() {
        // SAFETY: the swap made this thread the only owner of the list.
        let kept = unsafe { &*launch };
        let next = kept.next;
        if !kept.is_shared() {
            let stage = kept.plan.failed_stage.load(Ordering::Acquire);
            if stage == Stage::Append as i32 {
                let errno = kept.plan.failed_errno.load(Ordering::Relaxed);
                NOT_APPENDED.store(errno, Ordering::Relaxed);
            }
            // SAFETY: it came from `Box::into_raw`, and nobody uses it: its
            // child has left this memory.
            drop(unsafe { Box::from_raw(launch) });
        } else if kept.owner == own_pid {
            appending += usize::from(kept.is_appending());
            push(launch);
        }
        // Otherwise it was copied by a fork, and its word will never be
        // cleared. Its memory is leaked; that is limited by the launches in
        // progress at the fork.
        launch = next;
    }
    reap_adopted();
    appending
}

/// Orphans that the kernel has made children of this process, because it is
/// process 1 or a subreaper. If the table is full, the oldest only remains a
/// zombie.
static ADOPTED: [AtomicI32; 16] = [const { AtomicI32::new(0) }; 16];

fn adopt_if_reaper(pid: i32) {
    let mut is_subreaper: i32 = 0;
    // SAFETY: writes one int to a live local.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_subreaper) };
    if is_subreaper == 0 && own_pid() != 1 {
        return;
    }
    for slot in &ADOPTED {
        if slot
            .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

fn reap_adopted() {
    for slot in &ADOPTED {
        let pid = slot.load(Ordering::Acquire);
        if pid == 0 {
            continue;
        }
        // SAFETY: a null status is allowed.
        let reaped =
            unsafe { libc::waitpid(pid, ptr::null_mut(), libc::WNOHANG) };
        if reaped != 0 {
            slot.store(0, Ordering::Release);
        }
    }
}

/// Reaps a child of the clone scheme; its raw status, unless other code has
/// reaped it.
fn wait_for(pid: i32) -> Option<i32> {
    let mut status = 0;
    loop {
        // __WALL: the middle child has no exit signal, which makes it a
        // "clone child" that waitpid ignores by default.
        // SAFETY: writes one int to a live local.
        let waited =
            unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if waited == pid {
            return Some(status);
        }
        if last_errno() != libc::EINTR {
            return None;
        }
    }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn own_pid() -> i32 {
    std::process::id() as i32
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

/// Blocks every signal of this thread, the C library's own included, until
/// dropped: the children inherit that, and so run no handler of the caller.
pub(crate) struct SignalsBlocked {
    before: u64,
    is_kept: bool,
}

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        Self {
            before: set_signal_mask(u64::MAX),
            is_kept: false,
        }
    }

    /// The mask before.
    pub(crate) fn before(&self) -> u64 {
        self.before
    }

    /// Leaves them blocked.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if !self.is_kept {
            set_signal_mask(self.before);
        }
    }
}

/// Sets this thread's signal mask and returns the one before.
///
/// Not `pthread_sigmask`, which leaves the C library's internal signals
/// deliverable.
fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: both are live locals of the kernel's size of a signal set.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        )
    };
    before
}

/// The two stacks of a launch, above an unused area.
///
/// The child's is above the intermediate child's, which has exited before the
/// child does anything, so one area protects all other memory from both.
pub(crate) struct Region {
    base: *mut c_void,
    is_first: bool,
}

/// The region of the first launch, which is the only one for most processes: to
/// map another one takes two system calls, for which hg would wait. The area
/// below its stacks is not inaccessible; it is as large, and each stack is
/// thirty times as large as needed.
static FIRST: First = First(UnsafeCell::new([0; REGION_BYTES]));
static FIRST_IS_TAKEN: AtomicBool = AtomicBool::new(false);

#[repr(C, align(4096))]
struct First(UnsafeCell<[u8; REGION_BYTES]>);

// SAFETY: nobody refers to the bytes but the one launch that has set
// `FIRST_IS_TAKEN`, and its children.
unsafe impl Sync for First {}

impl Region {
    pub(crate) fn new() -> io::Result<Self> {
        if !FIRST_IS_TAKEN.swap(true, Ordering::AcqRel) {
            return Ok(Self {
                base: FIRST.0.get().cast(),
                is_first: true,
            });
        }
        Self::map()
    }

    fn map() -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                REGION_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let region = Self {
            base,
            is_first: false,
        };
        // SAFETY: the first bytes of the mapping, which nobody uses.
        let guarded = unsafe {
            libc::mprotect(region.base, GUARD_BYTES, libc::PROT_NONE)
        };
        if guarded != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(region)
    }

    /// The top of the middle child's stack.
    fn middle_stack(&self) -> *mut c_void {
        self.base.wrapping_byte_add(GUARD_BYTES + STACK_BYTES)
    }

    /// The top of the child's stack.
    pub(crate) fn child_stack(&self) -> *mut c_void {
        self.base.wrapping_byte_add(REGION_BYTES)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.is_first {
            FIRST_IS_TAKEN.store(false, Ordering::Release);
            return;
        }
        // SAFETY: exactly the mapping that `new` made, which no one uses any
        // more: a launch is dropped only when its child has left.
        unsafe { libc::munmap(self.base, REGION_BYTES) };
    }
}
