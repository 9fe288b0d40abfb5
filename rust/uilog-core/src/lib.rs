//! Events, and where they go: the pipeline of uilog.
//!
//! hg's side: a [`logger::Logger`] knows one ui's configuration and hands
//! events to sinks: to [`logtoprocess`], which hands scripts to the
//! [`dispatcher`], and to [`structured`], which hands it records. The other
//! side of that is [`dispatch`], the process that runs the ones and gives the
//! others to whoever delivers them ([`records`]). Between the two lie the
//! [`queue`] and what [`wire`] says.
//!
//! This crate knows hg's words, but nothing of Python.
//!
//! # Known differences
//!
//! From stock hg's `logtoprocess` extension: docs/compatibility.md lists
//! them, each with its test.

#![deny(missing_docs)]

pub mod account;
pub mod agent_start;
pub mod before_exit;
pub mod blackbox;
pub mod brake;
pub mod check;
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
