//! Connections to ssh peers, which are closed explicitly and within a time
//! limit.
//!
//! A [`Peer`] owns a connection's process and its three pipes, and remembers
//! which process has opened it. [`Peer::close`] closes it; [`Shutdown`] closes
//! several at the same time, and its caller does the waiting. A [`Registry`]
//! has the open ones.
//!
//! A connection is closed as hg does it: standard input is closed, so that the
//! server exits, and standard error is shown until its end. There are two
//! limits: [`Limits::idle`] for silence, and [`Limits::total`] for the whole.
//! When one is exceeded, the process and its descendants in the same session
//! get SIGTERM, [`TERM_GRACE`] later SIGKILL, and the process is reaped. The
//! descendants get signals, too, because hg starts ssh through a shell, and not
//! every shell replaces itself by ssh.
//!
//! In a process that has not opened the connection (a forked child), closing
//! and dropping a [`Peer`] only close that process's copies of the descriptors.
//! They do not wait, kill or write, because the connection belongs to the
//! parent.
//!
//! Must not know Python, hg's protocol or events.
//!
//! # Known differences
//!
//! Stock hg's `sshpeer._cleanuppipes` waits until all processes have closed the
//! other end of standard error, and does not reap the process. Here, the wait
//! is limited, and the process is reaped. A line of standard error longer than
//! 1 MiB is shown in pieces.

mod lines;
mod outcome;
mod peer;
mod poll_set;
mod registry;
mod shutdown;

pub use uilog_sys::child::Exit;

pub use crate::outcome::CloseError;
pub use crate::outcome::CloseReport;
pub use crate::outcome::Limits;
pub use crate::outcome::Outcome;
pub use crate::peer::Peer;
pub use crate::peer::TERM_GRACE;
pub use crate::registry::Counters;
pub use crate::registry::Id;
pub use crate::registry::Registry;
pub use crate::shutdown::Shutdown;
pub use crate::shutdown::Step;
