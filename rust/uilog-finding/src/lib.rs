//! What all checks of a configuration have in common: the input, a
//! [`subject::Subject`]; the result, a [`finding::Finding`]; recent failures,
//! and events that are never logged. The checks are in uilog-check and, for
//! structured sinks, in uilog-sinks.
//!
//! Must not know: what is checked, how findings are shown, Python.

#![deny(missing_docs)]

pub mod failures;
pub mod finding;
pub mod subject;
pub mod unemitted;
