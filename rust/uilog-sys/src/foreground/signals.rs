//! Signals in the foreground: fetching them one by one, deciding whether to
//! forward them, forwarding, and ending by the same signal.

use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use crate::process_stat::ProcessStat;

/// Maximum number of processes from a sender upwards.
const MAX_ANCESTORS: usize = 64;
/// The first real-time signal.
const FIRST_REALTIME: i32 = 32;
/// Maximum size of the kernel's `sigaction`.
const SIGACTION_WORDS: usize = 8;

/// A signal that was sent to this process.
pub(super) struct Info(libc::siginfo_t);

/// Returns the next pending signal, all of which are blocked; waits for one at
/// most `bound`.
pub(super) fn fetch(bound: Option<Duration>) -> Option<Info> {
    // The C library's own functions leave two signals out.
    let all = u64::MAX;
    let timeout = bound.map(|bound| libc::timespec {
        tv_sec: bound.as_secs() as libc::time_t,
        tv_nsec: bound.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: reads two live locals, of which one may be null, and writes to
    // another one.
    let signal = unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const all,
            info.as_mut_ptr(),
            timeout,
            size_of::<u64>(),
        )
    };
    // SAFETY: all zeros are a valid siginfo, and the call has filled it.
    let info = unsafe { info.assume_init() };
    (signal > 0).then_some(Info(info))
}

impl Info {
    pub(super) fn signal(&self) -> i32 {
        self.0.si_signo
    }

    /// Whether it must be forwarded to the program `pid`.
    pub(super) fn is_for_program(&self, pid: i32) -> bool {
        let is_sent = matches!(
            self.0.si_code,
            libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL
        );
        if is_sent {
            // SAFETY: these three come with a sender.
            let sender = unsafe { self.0.si_pid() };
            // The kernel sends these on behalf of this process if one of its
            // system calls fails.
            let is_own = sender == own_pid()
                && matches!(self.signal(), libc::SIGXFSZ | libc::SIGPIPE);
            return !is_own && !is_at_or_below(sender, pid);
        }
        match self.signal() {
            // If a terminal has closed, the kernel sends it to the session's
            // leader only, before that has ended.
            libc::SIGHUP | libc::SIGCONT => is_session_leader(),
            // Timers and descriptors that were set up before this program was
            // executed.
            libc::SIGALRM
            | libc::SIGVTALRM
            | libc::SIGPROF
            | libc::SIGIO
            | libc::SIGURG => true,
            signal if signal >= FIRST_REALTIME => true,
            // Other signals are about this process only: its children, its use
            // of the processor, a file that it has written. Or the terminal has
            // sent them to the whole group.
            _ => false,
        }
    }

    /// Whether it tells a process to end.
    pub(super) fn ends_process(&self) -> bool {
        matches!(
            self.signal(),
            libc::SIGTERM | libc::SIGINT | libc::SIGQUIT | libc::SIGHUP
        )
    }

    /// Sends it to the process `pid`, a child that has not been reaped. If that
    /// is not permitted (the program runs as another user), the sender could
    /// not have sent it either.
    pub(super) fn send_to(&self, pid: i32) {
        if self.0.si_code == libc::SI_QUEUE {
            // SAFETY: a queued signal comes with a value.
            let value = unsafe { self.0.si_value() };
            // SAFETY: touches no memory.
            unsafe { libc::sigqueue(pid, self.signal(), value) };
        } else {
            // SAFETY: touches no memory.
            unsafe { libc::kill(pid, self.signal()) };
        }
    }
}

fn own_pid() -> i32 {
    std::process::id() as i32
}

fn is_session_leader() -> bool {
    // SAFETY: touches no memory.
    let session = unsafe { libc::getsid(0) };
    session == own_pid()
}

/// Whether `process` is `pid` or has been started by it, directly or not. Of
/// a process that has ended meanwhile, nothing is known.
fn is_at_or_below(process: i32, pid: i32) -> bool {
    let mut process = process;
    for _ in 0..MAX_ANCESTORS {
        if process == pid {
            return true;
        }
        match ProcessStat::read(process) {
            Ok(ProcessStat { parent, .. }) if parent > 1 => process = parent,
            _ => return false,
        }
    }
    false
}

/// Sets a signal to its default.
pub(super) fn set_default(signal: i32) -> std::io::Result<()> {
    // The kernel's struct begins with the handler, and zeros are the default.
    // The C library's function refuses two signals.
    let action = [0_usize; SIGACTION_WORDS];
    // SAFETY: reads a live local that is large enough for any layout.
    let set = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            ptr::null_mut::<usize>(),
            size_of::<u64>(),
        )
    };
    if set < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Lets a signal be ignored.
pub(super) fn ignore(signal: i32) {
    // SAFETY: touches no memory but the table of dispositions.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Applies the default action of a signal that was sent to this process.
fn raise_default(signal: i32) {
    // It fails for SIGKILL and SIGSTOP, which always have their default action.
    let _ = set_default(signal);
    // SAFETY: touches no memory.
    unsafe { libc::kill(own_pid(), signal) };
    let only = 1_u64 << (signal - 1);
    let change = |how: i32| {
        // SAFETY: reads a live local of the kernel's size of a signal set; a
        // null pointer is allowed.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                how,
                &raw const only,
                ptr::null_mut::<u64>(),
                size_of::<u64>(),
            )
        };
    };
    change(libc::SIG_UNBLOCK);
    change(libc::SIG_BLOCK);
}

/// Stops this process by a signal, until it is continued.
pub(super) fn stop_ourselves(signal: i32) {
    raise_default(signal);
}

/// Ends this process by a signal, without a core dump: there was one already,
/// or none was wanted.
pub(super) fn die_by(signal: i32) {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: reads a live local.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // Where a program takes the dumps, the limit does not count.
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    raise_default(signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_below_those_that_started_it() {
        let own = std::process::id() as i32;
        // SAFETY: touches no memory.
        let parent = unsafe { libc::getppid() };
        assert!(is_at_or_below(own, own));
        assert!(is_at_or_below(own, parent));
        assert!(!is_at_or_below(parent, own));
        assert!(!is_at_or_below(0, own));
    }
}
