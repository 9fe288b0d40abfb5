//! Answers to questions about what was logged.
//!
//! Reads records as sinks `file:` write them (docs/schema.md), one or many
//! files, and blackboxes, without an index and without another format: [`scan`]
//! reads all
//! processors at a time, [`filter`] keeps out what nobody has asked for before
//! it is parsed. Shows nothing: that is the binary's affair.

#![deny(missing_docs)]

pub mod blackbox;
pub mod compare;
pub mod fields;
pub mod filter;
mod header;
pub mod open;
pub mod places;
pub mod rank;
pub mod record;
pub mod report;
pub mod scan;
pub mod stats;
pub mod trace;

pub use uilog_config::when;
