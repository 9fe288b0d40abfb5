//! Operating-system layer of uilog: starting processes safely.
//!
//! This is the only crate of the workspace that may contain `unsafe`. It
//! knows nothing of Mercurial, of events or of configuration.
//!
//! - [`spawn`] starts programs, detached or owned, without running anything
//!   but listed system calls between `clone` and `execve`.
//! - `append` appends a line to a file of ours, by a child (on Linux).
//! - [`child`] waits for and signals children that others have started.
//! - `confined` tells whether this process may do less than others (on Linux).
//! - [`descendants`] finds and signals the processes below a process.
//! - [`ended`] tells how a child has ended, whatever the signal.
//! - [`fd`] makes descriptors of numbers.
//! - `living_file` makes files that tell whether their holders live (on Linux).
//! - [`locale`] tells the locale's character set.
//! - [`log_file`] appends to log files and rotates them.
//! - `foreground` runs a program in this process's place (on Linux).
//! - [`foreign_file`] reads files that others wrote, within bounds.
//! - [`fork`] keeps the descriptors of a process out of its forked children.
//! - [`clock`] knows the local time's offset and strftime.
//! - [`environ`] reads the environment as the C library sees it.
//! - [`own_dir`] creates, renames and removes files, and follows no link.
//! - [`sched`] tells the kernel who is in a hurry.
//! - [`pidfd`] makes descriptors of processes.
//! - [`mod@small_program`] begins a program without Rust's own preparations.
//! - `shared_word` is what processes agree by (on Linux).
//! - [`terminal`] tells how wide one is.
//! - [`vector`] runs a loop with the widest vectors of the processor.
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
pub mod own_dir;
pub mod pidfd;
pub mod sched;
#[cfg(target_os = "linux")]
pub mod shared_word;
pub mod small_program;
pub mod spawn;
pub mod terminal;
#[cfg(target_os = "linux")]
mod valgrind;
pub mod vector;
