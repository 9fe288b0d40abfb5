//! The dispatcher process: one for each hg process, which runs the scripts that
//! hg has put into its queue.
//!
//! [`serve`] reads the queue, starts scripts in the order of their events,
//! ends those that exceed their time, and hands records to whoever runs
//! structured sinks. The program `uilog-dispatcher` runs scripts alone; `uilog
//! dispatch` is the same with sinks.
//!
//! Must not know: how hg decides what to run, what a structured sink does with
//! a record, networks, arguments, the user database.

#![deny(missing_docs)]

mod failed;
pub mod running;
pub mod script;
pub mod script_env;
pub mod serve;
pub mod stderr;
