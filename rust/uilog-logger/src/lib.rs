//! What logging means in hg's process, or in one that logs as hg does.
//!
//! A [`logger::Logger`] knows the configuration of one ui, and asks each of its
//! [`sinks`] what is to become of an event. What outlives a ui is the
//! [`host::Host`]'s: the session, what was lost, and the two ways out of the
//! process, the queue to the [`dispatcher`] and the [`record_queue`]. Nothing
//! here waits for anybody.
//!
//! Must not know: how a script is run, what a structured sink does with a
//! record, Python.
//!
//! # Known differences
//!
//! From stock hg's `logtoprocess` extension: docs/compatibility.md lists
//! them, each with its test.

#![deny(missing_docs)]

pub mod account;
pub mod agent_start;
pub mod before_exit;
#[cfg(target_os = "linux")]
pub mod claim;
pub mod dispatcher;
mod facts;
pub mod hints;
pub mod host;
pub mod installation;
pub mod logger;
pub mod outbox;
pub mod record_queue;
pub mod sinks;
