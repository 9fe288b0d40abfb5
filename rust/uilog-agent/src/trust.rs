//! What is known about the writer of a queue.
//!
//! Must not know how that is used.

use std::time::Instant;

/// What is known about the writer of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriterTrust {
    /// It is a process of this user and of these namespaces.
    Proven,
    /// Its writer is unknown. It was found at this time.
    Unproven(Instant),
}
