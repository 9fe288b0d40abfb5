//! What an event is: its name, message, options, time, session and trace.
//!
//! For everybody who makes, moves or reads events. With them go what hg's
//! words mean: the events that are known, the names of commands, dates, what a
//! sink tracks, and the variables by which processes know each other.
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
