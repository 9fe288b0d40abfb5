//! Starting programs.
//!
//! A [`Command`] says what to start; it is started either
//!
//! - *detached* ([`Command::spawn_detached`]): in its own session, no child
//!   of the caller, never a zombie; or
//! - *owned* ([`Command::spawn_child`]): in its own session too, but a child
//!   that the caller waits for.
//!
//! Either way the program gets standard input, output and error as asked and
//! no other descriptor, an empty signal mask, default signal dispositions
//! (but for those the caller wants ignored), and the caller's working
//! directory and umask unless it asks for others.
//!
//! # How
//!
//! On Linux the address space is shared, not copied (`CLONE_VM`), so that the
//! cost does not depend on the caller's memory, and what runs in the child is
//! `child::run` alone. To detach, a middle child starts the real one and
//! exits at once; the caller is suspended meanwhile (`CLONE_VFORK`) and reaps
//! it. The caller does not wait for the exec: the kernel clears a word in the
//! shared memory when the child leaves it (`CLONE_CHILD_CLEARTID`), and only
//! then is that memory reused. A caller that needs the result of the exec waits
//! for that word.
//!
//! If such a `clone` is refused (another system, a sandbox, an emulator,
//! Valgrind), `posix` does the same with `posix_spawn` and a thread that reaps.

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod clone;
mod command;
mod posix;

#[cfg(target_os = "linux")]
pub(crate) use clone::Region;
#[cfg(target_os = "linux")]
pub(crate) use clone::SignalsBlocked;
#[cfg(target_os = "linux")]
pub(crate) use clone::count_appending;
#[cfg(target_os = "linux")]
pub(crate) use clone::start_appending;
#[cfg(target_os = "linux")]
pub(crate) use clone::take_appending_failure;
#[cfg(target_os = "linux")]
pub(crate) use clone::wait_for_appending;
pub use command::Command;
pub use command::Error;
pub use command::Process;
pub use command::Scheme;
pub use command::Stage;
pub use command::Start;
pub use command::Started;
pub use command::Stdio;

/// The most bytes of one argument or variable, its NUL included.
// Linux: MAX_ARG_STRLEN
pub const MAX_STRING_BYTES: usize = 128 * 1024;

impl Command<'_> {
    /// Starts the program so that the caller has nothing to do with it any
    /// more: it is not the caller's child, and its end sends no signal here.
    ///
    /// Under `posix_spawn` it stays a child, and a thread waits for its end.
    /// If the caller is process 1 or a "subreaper", the kernel gives it every
    /// orphan; those of ours are reaped at the next spawn.
    ///
    /// # Errors
    ///
    /// With [`Start::NoWait`] everything up to making the process; with
    /// [`Start::Wait`] also what happens up to the exec. On an error nothing
    /// is left running.
    pub fn spawn_detached(self, start: Start) -> Result<Process, Error> {
        self.spawn(start, true)
    }

    /// Starts the program as a child of the caller, who must wait for it.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn_detached`]; the child has then been reaped.
    pub fn spawn_child(self, start: Start) -> Result<Process, Error> {
        self.spawn(start, false)
    }

    fn spawn(self, start: Start, detached: bool) -> Result<Process, Error> {
        #[cfg(target_os = "linux")]
        {
            if self.scheme == Scheme::Auto && clone::is_available() {
                match clone::spawn(self, start, detached) {
                    Ok(spawned) => return Ok(spawned),
                    Err(clone::Failure::Error(error)) => return Err(error),
                    Err(clone::Failure::Refused(command)) => {
                        return posix::spawn(&command, detached);
                    }
                }
            }
        }
        let _ = start;
        posix::spawn(&self, detached)
    }
}
