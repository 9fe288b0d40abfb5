//! Events, and how they get to scripts and sinks.
//!
//! In hg's process, a [`logger::Logger`] knows the configuration of one ui. It
//! passes events to [`logtoprocess`] for scripts, and to [`structured`] for
//! records. Both append frames ([`uilog_channel::wire`]) to a
//! [`uilog_channel::queue`] through [`dispatcher`]. In the other process,
//! [`dispatch`] reads the queue, runs the scripts, and passes records to an
//! implementation of [`uilog_channel::record_delivery`].
//!
//! Knows Mercurial's terms. Must not know Python.
//!
//! # Known differences
//!
//! From stock hg's `logtoprocess` extension: docs/compatibility.md lists
//! them, each with its test.

#![deny(missing_docs)]

pub mod account;
pub mod agent_start;
pub mod before_exit;
pub mod blackbox_sink;
pub mod brake;
#[cfg(target_os = "linux")]
pub mod claim;
pub mod dispatch;
pub mod dispatcher;
mod facts;
mod failed;
pub mod hints;
pub mod host;
pub mod installation;
pub mod logger;
pub mod logtoprocess;
pub mod native;
pub mod outbox;
pub mod record_queue;
mod running;
mod script;
pub mod script_env;
pub mod stderr;
pub mod structured;
pub mod trial;
#[cfg(target_os = "linux")]
pub mod watch;
