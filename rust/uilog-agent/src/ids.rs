//! The numbers of queues and of groups, by which they know of each other.
//!
//! Must not know what is behind them.

/// A number that no other client of this agent has had.
pub(crate) type ClientId = u32;

/// A number that no other group of this agent has had.
pub(crate) type GroupId = u32;
