//! Events, and how they get to scripts and sinks.
//!
//! In hg's process, a [`logger::Logger`] knows the configuration of one ui. It
//! passes events to [`logtoprocess`] for scripts, and to [`structured`] for
//! records. Both append frames ([`wire`]) to a [`queue`] through
//! [`dispatcher`]. In the other process, [`dispatch`] reads the queue, runs the
//! scripts, and passes records to an implementation of [`records`].
//!
//! Knows Mercurial's terms. Must not know Python.
//!
//! # Known differences
//!
//! From stock hg's `logtoprocess` extension: docs/compatibility.md lists
//! them, each with its test.

#![deny(missing_docs)]

pub mod account;
pub mod agent_address;
pub mod agent_start;
mod backoff;
pub mod before_exit;
pub mod blackbox;
mod bound;
pub mod brake;
pub mod check;
#[cfg(target_os = "linux")]
pub mod claim;
pub mod command;
pub mod commandlost;
pub mod dispatch;
pub mod dispatcher;
pub mod environment_block;
pub mod event;
pub mod events;
mod facts;
mod failed;
pub mod feed;
mod frames;
pub mod hgdate;
pub mod hints;
pub mod host;
pub mod installation;
pub mod journal;
pub mod json;
pub mod living_pages;
#[cfg(target_os = "linux")]
pub mod lock_holder;
pub mod logger;
pub mod logtoprocess;
pub mod loss;
pub mod losses;
pub mod native;
pub mod outbox;
mod page;
pub mod phase;
mod places;
pub mod poll;
pub mod queue;
pub mod queue_room;
pub mod record_queue;
pub mod record_queues;
pub mod records;
pub mod reporter;
mod running;
#[cfg(target_os = "linux")]
pub mod running_hg;
mod rusage;
mod script;
pub mod script_env;
pub mod settings;
pub mod sink_environment;
pub mod sinks;
pub mod spans;
pub mod starters;
pub mod status;
pub mod stderr;
pub mod structured;
pub mod suggest;
pub mod trace;
pub mod tracked;
pub mod trial;
pub mod user;
#[cfg(target_os = "linux")]
pub mod watch;
pub mod wire;
