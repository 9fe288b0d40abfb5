//! The numbers by which queues and groups refer to each other.
//!
//! Must not know what they refer to.

/// A number that no other client of this agent has had.
pub(crate) type ClientId = u32;

/// A number that no other group of this agent has had.
pub(crate) type GroupId = u32;
