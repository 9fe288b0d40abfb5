//! The blackbox: hg's log of events in a repository.
//!
//! Writing: a [`writer`] puts lines together and appends them, as [`settings`]
//! says; [`parents`] reads the dirstate.
//!
//! Reading: [`reader`] goes through the [`files`] and gives what a [`query`]
//! wants. An [`event`] is a record, which [`mod@line`] takes apart, and the
//! lines that continue it; [`message`] tells what it says and [`dates`] when
//! that was.
//!
//! Must not know: who logs and why, queues, other sinks, configuration files, Python.

#![deny(missing_docs)]

mod anchor;
pub mod dates;
pub mod event;
pub mod files;
pub mod glob;
mod hits;
pub mod line;
pub mod message;
mod own;
pub mod parents;
pub mod parsed_message;
pub mod query;
pub mod reader;
mod scan;
pub mod settings;
mod span;
pub mod style;
mod tail;
pub mod writer;
