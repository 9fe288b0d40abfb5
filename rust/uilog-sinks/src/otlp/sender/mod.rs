//! Sending what is in a spool, batch after batch, as its one sender on this
//! machine.
//!
//! Spans and log records are sent independently of each other, each by a
//! thread of its own if there are both: a collector that takes no logs, or
//! whose address for them does not answer, gets its spans all the same. A
//! collector that takes nothing of a signal is left alone with that for a
//! while, by all processes. No lock is held meanwhile: who has one sends, or
//! ends.
//!
//! Knows when to send, and nothing of what.

mod page;
mod sending;
#[cfg(test)]
mod tests;
mod worker;

pub use self::page::Progress;
pub use self::sending::Flushed;
pub use self::sending::Refused;
pub use self::sending::Round;
pub use self::sending::Sending;
pub use self::sending::UNNOTED;
pub use self::worker::Worker;
