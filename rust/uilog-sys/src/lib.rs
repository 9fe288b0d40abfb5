//! Operating-system layer of uilog: starting processes safely.
//!
//! This is the only crate of the workspace that may contain `unsafe`. It
//! knows nothing of Mercurial, of events or of configuration.
//!
//! - [`spawn`] starts programs, detached or owned, without running anything
//!   but listed system calls between `clone` and `execve`.
//! - `append` appends a line to one of uilog's files, by a child (on Linux).
//! - [`child`] waits for and signals children that other code has started.
//! - `confined` finds out whether this process is restricted (on Linux).
//! - [`descendants`] finds and signals the descendants of a process.
//! - [`ended`] returns how a child has ended, whatever the signal.
//! - [`fd`] converts numbers to descriptors.
//! - `living_file` makes files that show whether their holders are alive (on
//!   Linux).
//! - [`locale`] returns the locale's character set.
//! - [`log_file`] appends to log files and rotates them.
//! - `foreground` runs a program as if this process were that program (on
//!   Linux).
//! - [`foreign_file`] reads files that other programs wrote, within limits.
//! - [`fork`] closes a process's descriptors in its forked children.
//! - [`clock`] has the local time's offset and strftime.
//! - [`environ`] reads the environment as the C library sees it.
//! - [`memory_file`] creates files in memory without a name.
//! - [`own_dir`] creates, renames and removes files, and follows no link.
//! - [`process_stat`] reads /proc/PID/stat.
//! - [`sched`] sets scheduling policies.
//! - [`pidfd`] opens descriptors of processes.
//! - [`mod@small_program`] starts a program without Rust's runtime.
//! - [`search_path`] lists the files that a name on `PATH` may stand for.
//! - `shared_word` is a word in memory that processes share (on Linux).
//! - [`terminal`] returns a terminal's width.
//! - [`vector`] runs a loop with the widest vectors of the processor.
//! - [`wakeup`] wakes up a thread that waits in `poll`.
//!
//! # Known differences
//!
//! From `std::process::Command`: the started program gets no descriptor but
//! its standard three (std passes on whatever is not close-on-exec), default
//! signal dispositions (std keeps ignored signals ignored), and an environment
//! and argument list of bytes. From `posix_spawn`: the caller need not wait
//! for the exec, and the program need not be the caller's child.

#![deny(missing_docs)]

#[cfg(target_os = "linux")]
pub mod append;
pub mod child;
pub mod clock;
#[cfg(target_os = "linux")]
pub mod confined;
pub mod descendants;
pub mod ended;
pub mod environ;
pub mod fd;
#[cfg(target_os = "linux")]
pub mod foreground;
pub mod foreign_file;
pub mod fork;
#[cfg(target_os = "linux")]
pub mod living_file;
pub mod locale;
pub mod log_file;
pub mod malloc;
pub mod memory_file;
pub mod own_dir;
pub mod pidfd;
pub mod process_stat;
pub mod sched;
pub mod search_path;
#[cfg(target_os = "linux")]
pub mod shared_word;
pub mod small_program;
pub mod spawn;
pub mod terminal;
#[cfg(target_os = "linux")]
mod valgrind;
pub mod vector;
pub mod wakeup;
