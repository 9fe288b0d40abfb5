//! Logging in hg's process, and in other processes that log like hg.
//!
//! A [`logger::Logger`] has the configuration of one ui, and asks each of its
//! [`sinks`] what to do with an event. The [`host::Host`] outlives a ui: it has
//! the session, the counts of losses, and the two outgoing queues, that of the
//! [`dispatcher`] and the [`record_queue`]. Nothing here blocks.
//!
//! Must not know: how a script is run, what a structured sink does with a
//! record, Python.
//!
//! # Known differences
//!
//! From stock hg's `logtoprocess` extension: docs/compatibility.md lists them,
//! each with its test.

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
pub mod record_queue;
pub mod sinks;
