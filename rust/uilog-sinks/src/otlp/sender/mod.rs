//! Sends the records of a spool, batch after batch, as its only sender on this
//! machine.
//!
//! Spans and log records are sent independently of each other, each by its own
//! thread if there are both: a collector that accepts no logs, or whose
//! endpoint for logs does not answer, still gets the spans. After a failure of
//! a signal, all processes wait before they retry it. No lock is held while
//! waiting: a process that holds the lock sends, or ends.
//!
//! Knows when to send. Must not know what is sent.

mod page;
mod sending;
#[cfg(test)]
mod tests;
mod worker;

pub use self::page::Progress;
pub use self::sending::Flushed;
pub use self::sending::Refused;
pub use self::sending::SendResult;
pub use self::sending::Sending;
pub use self::sending::UNNOTED;
pub use self::worker::Worker;
