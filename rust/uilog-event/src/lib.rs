//! What an event is: its name, message, options, time, session and trace.
//!
//! For all crates that create, pass on or read events. The crate also knows
//! Mercurial's terms: its events, the names of commands, dates, which events a
//! sink tracks, and the variables that uilog's processes set for each other.
//!
//! Must not know: queues, sinks, scripts, files, Python.

#![deny(missing_docs)]

pub mod command;
pub mod environment_block;
pub mod event;
pub mod events;
pub mod hgdate;
pub mod json;
pub mod rusage;
pub mod sample;
pub mod spans;
pub mod starters;
pub mod suggest;
pub mod trace;
pub mod tracked;
pub mod user;
