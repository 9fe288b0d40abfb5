//! A second process of `uilog run`, for work that may block for ever.
//!
//! Responsible for starting it, for sending it one message, and for finding out
//! whether it has ended. Must not know what work it does.
//!
//! A thread that waits in the kernel for a dead file system may not be
//! interruptible, and then its process cannot exit. So the process that waits
//! for the program in the foreground does not touch files. The companion does,
//! and may hang.
//!
//! # How
//!
//! It is forked from a process with one thread and all signals blocked, and
//! keeps them blocked. It has its own session, so that signals of a terminal or
//! a shell to the program's process group do not reach it. It closes every
//! inherited descriptor, so that no reader of a pipe waits for it. The two
//! processes share a page of memory; SIGUSR1 tells the companion to read it.
//! They need no descriptor, because under `ulimit -n` there may be none left.
//! The kernel also sends SIGUSR1 when the first process dies
//! (`PR_SET_PDEATHSIG`).

use std::io;
use std::os::fd::RawFd;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::signals;
use crate::process_stat::ProcessStat;

/// How many words a message has.
const MESSAGE_WORDS: usize = 6;

/// The message from the first process to the companion.
pub type Message = [u64; MESSAGE_WORDS];

/// Tells the companion to read the shared page.
const WAKEUP: i32 = libc::SIGUSR1;

/// Without `close_range`, descriptors up to this number are closed at most.
const MAX_CLOSED_BY_HAND: u64 = 1 << 16;

/// What both share. Zeros are a valid page.
#[repr(C)]
struct Page {
    is_sent: AtomicU32,
    state: AtomicU32,
    message: [AtomicU64; MESSAGE_WORDS],
}

/// A page that a forked child shares. It is never given back: each process has
/// few of them, and does not live long.
#[derive(Clone, Copy)]
struct SharedPage(NonNull<Page>);

impl SharedPage {
    fn new() -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Page>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(base.cast::<Page>()) {
            Some(page) if base != libc::MAP_FAILED => Ok(Self(page)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn get(&self) -> &Page {
        // SAFETY: mapped by `new` for good, and nothing in it but atomics.
        unsafe { self.0.as_ref() }
    }
}

/// The companion, as the first process sees it.
pub struct Companion {
    pid: i32,
    page: SharedPage,
}

impl std::fmt::Debug for Companion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Companion")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// How waiting for the companion has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// It has ended.
    Ended,
    /// It still runs.
    Running,
    /// This process is to end.
    Interrupted,
}

impl Companion {
    /// Forks. The child runs `body` and exits; it keeps only the descriptors
    /// `keep`, and has `/` as its standard descriptors.
    ///
    /// The calling thread must be the only one, and must have all signals
    /// blocked.
    ///
    /// # Errors
    ///
    /// No process can be created, or there is no memory.
    pub fn start(
        keep: &[RawFd],
        body: impl FnOnce(&Inbox),
    ) -> io::Result<Self> {
        let page = SharedPage::new()?;
        let parent = std::process::id() as i32;
        // SAFETY: this thread is the only one, so the child may go on with
        // anything.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let inbox = Inbox { parent, page };
                detach();
                close_all_but(keep);
                let run = AssertUnwindSafe(|| body(&inbox));
                let _ = panic::catch_unwind(run);
                // SAFETY: ends this process; what its parent has registered
                // for its own end is not run.
                unsafe { libc::_exit(0) }
            }
            pid => Ok(Self { pid, page }),
        }
    }

    /// Leaves a message for it, the only one.
    pub fn send(&self, message: Message) {
        let page = self.page.get();
        for (word, value) in page.message.iter().zip(message) {
            word.store(value, Ordering::Relaxed);
        }
        page.is_sent.store(1, Ordering::Release);
        // SAFETY: touches no memory; it is a child that has not been reaped.
        unsafe { libc::kill(self.pid, WAKEUP) };
    }

    /// A word that both can change; 0 at first.
    pub fn state(&self) -> &AtomicU32 {
        &self.page.get().state
    }

    /// Waits until it has ended, or until `until`, or until this process gets a
    /// signal to end.
    pub fn wait(&self, until: Instant) -> WaitResult {
        loop {
            let mut status = 0;
            // SAFETY: writes to a live local.
            let waited = unsafe {
                libc::waitpid(self.pid, &raw mut status, libc::WNOHANG)
            };
            if waited != 0 {
                return WaitResult::Ended;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return WaitResult::Running;
            }
            let info = signals::fetch(Some(left));
            if info.is_some_and(|info| info.ends_process()) {
                return WaitResult::Interrupted;
            }
        }
    }

    /// Whether it wants to run, and has hardly had the processor yet: then the
    /// machine is busy, and it does not hang.
    pub fn is_starved(&self) -> bool {
        const MANY: Duration = Duration::from_millis(300);
        ProcessStat::read(self.pid).is_ok_and(|it| it.state == b'R')
            && processor_time(self.pid).is_some_and(|used| used < MANY)
    }
}

/// What a companion has of the first process.
pub struct Inbox {
    parent: i32,
    page: SharedPage,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("parent", &self.parent)
            .finish_non_exhaustive()
    }
}

/// What a companion may receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The message.
    Message(Message),
    /// Nothing yet.
    Nothing,
    /// The first process has ended without a message.
    Deserted,
}

impl Inbox {
    /// Waits for the message, but not beyond `until`.
    pub fn receive(&self, until: Option<Instant>) -> Received {
        let page = self.page.get();
        loop {
            // Looked at first: what it has sent before it ended counts.
            // SAFETY: touches no memory.
            let is_deserted = unsafe { libc::getppid() } != self.parent;
            if page.is_sent.load(Ordering::Acquire) != 0 {
                let words = page.message.iter();
                let mut message = [0; MESSAGE_WORDS];
                for (value, word) in message.iter_mut().zip(words) {
                    *value = word.load(Ordering::Relaxed);
                }
                return Received::Message(message);
            }
            if is_deserted {
                return Received::Deserted;
            }
            let left =
                until.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Received::Nothing;
            }
            signals::fetch(left);
        }
    }

    /// The word that both can change.
    pub fn state(&self) -> &AtomicU32 {
        &self.page.get().state
    }
}

/// Nothing that happens to the program's session or process group is for us.
fn detach() {
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, WAKEUP) };
    // SAFETY: touches no memory. A new process leads no group, so it works.
    unsafe { libc::setsid() };
}

/// Closes all descriptors but `keep`, and gives the standard three something
/// that can be neither read nor written.
fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .collect();
    keep.sort_unstable();
    let mut next = 0;
    for fd in keep {
        if fd > next {
            close_range(next, fd - 1);
        }
        next = fd + 1;
    }
    close_range(next, u32::MAX);
    loop {
        // SAFETY: a NUL-terminated constant.
        let fd = unsafe {
            libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC)
        };
        if fd > 2 {
            // SAFETY: just opened here, and nobody else knows of it.
            unsafe { libc::close(fd) };
        }
        if !(0..2).contains(&fd) {
            return;
        }
    }
}

fn close_range(first: u32, last: u32) {
    // SAFETY: nobody in this process owns a descriptor in the range: it has
    // just been forked, and the caller keeps what is used.
    let closed =
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
    if closed == 0 {
        return;
    }
    let last = u64::from(last).min(MAX_CLOSED_BY_HAND) as i32;
    for fd in first as i32..=last {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// The processor time that a process has used.
fn processor_time(pid: i32) -> Option<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: writes to a live local.
    if unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to a live local.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
