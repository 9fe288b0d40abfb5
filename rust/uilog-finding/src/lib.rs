//! What all checks of a configuration have in common.
//!
//! What is looked at, a [`subject::Subject`]; what is said of it, a
//! [`finding::Finding`]; and what more than one of them has to say:
//! recent failures, and events that never come. Those who check are
//! uilog-check and, for structured sinks, uilog-sinks.
//!
//! Must not know: what is checked, how findings are shown, Python.

#![deny(missing_docs)]

pub mod failures;
pub mod finding;
pub mod subject;
pub mod unemitted;
