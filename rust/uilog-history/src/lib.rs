//! Answers questions about what was logged.
//!
//! Reads records as sinks `file:` write them (docs/schema.md), one or many
//! files, and blackboxes, without an index or another format: [`scan`] reads
//! with all processors, and [`filter`] skips unwanted records before they are
//! parsed.
//!
//! Must not know: arguments, output, how records were written.

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
