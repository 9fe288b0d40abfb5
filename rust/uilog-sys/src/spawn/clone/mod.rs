//! The caller's side of the clone scheme: prepares a [`Plan`], clones, and
//! keeps the shared memory until the child has left it.

mod launch;
mod orphans;
mod region;
mod signals;

use std::io;
use std::ptr;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

pub(super) use self::launch::Failure;
use self::launch::KEPT;
use self::launch::Kept;
use self::launch::Launch;
use self::launch::REFUSED;
use self::launch::is_refusal;
use self::launch::push;
use self::orphans::adopt_if_reaper;
use self::orphans::own_pid;
use self::orphans::reap_adopted;
use self::orphans::wait_for;
pub(crate) use self::region::Region;
pub(crate) use self::signals::SignalsBlocked;
use crate::append::plan;
use crate::append::plan::StartError;
use crate::spawn::command::Command;
use crate::spawn::command::Process;
use crate::spawn::command::Stage;
use crate::spawn::command::Start;
use crate::spawn::command::Started;
use crate::valgrind;

/// Whether the scheme is worth trying.
pub(super) fn is_available() -> bool {
    !REFUSED.load(Ordering::Relaxed) && !valgrind::is_there()
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
