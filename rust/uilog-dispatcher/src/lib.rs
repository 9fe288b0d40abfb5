//! The dispatcher process: one for each hg process, which runs the scripts that
//! hg has put into its queue.
//!
//! [`serve`] reads the queue, starts scripts in the order of their events,
//! kills those that exceed their time limit, and passes records to the
//! structured sinks. The program `uilog-dispatcher` only runs scripts; `uilog
//! dispatch` also has sinks.
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
