//! A durable spool: what is waiting to be sent, in files.
//!
//! [`Writer::append`] acknowledges a record once it is in a file; a [`Sender`]
//! takes records out in batches and removes them once their receiver has
//! accepted them. Each record is delivered at least once, in the order in
//! which its writer appended it, with an id by which a receiver drops what it
//! gets twice. What is not delivered is counted: evicted, damaged, rejected.
//!
//! Knows files and bytes; no events, no network and no configuration. It has
//! no thread, waits for no lock, and leaves nothing to `Drop` but syncing.
//!
//! - [`files`] is what it asks of the system, and the place for tests to let
//!   that fail.
//! - `place` says which directories are safe.
//! - `name`, `frame` and `segment` are the format, from the outside to the
//!   inside.
//! - `channel` is which records are sent independently of which others.
//! - `writer`, `sender` and `evict` are those who write, empty and bound it.
//! - `counts` is what they have to remember.
//! - `spool` is the directory, below all of these; `stats` and `records` show
//!   what is in it.
//!
//! docs/design.md has the promises and what was rejected.

#![deny(missing_docs)]

mod channel;
mod counts;
mod error;
mod evict;
pub mod files;
mod frame;
mod head;
mod name;
mod place;
mod records;
mod segment;
mod sender;
mod spool;
mod stats;
mod writer;

pub use crate::channel::CHANNELS;
pub use crate::channel::Channels;
pub use crate::error::Error;
pub use crate::evict::LOCK as EVICT_LOCK;
pub use crate::frame::MAX_ID_BYTES;
pub use crate::frame::MAX_PAYLOAD_BYTES;
pub use crate::frame::MAX_REASON_BYTES;
pub use crate::frame::MIN_ID_BYTES;
pub use crate::place::find as find_dir;
pub use crate::place::prepare as prepare_dir;
pub use crate::records::Record;
pub use crate::records::RecordId;
pub use crate::records::Records;
pub use crate::records::Rejected;
pub use crate::records::RejectedRecords;
pub use crate::sender::Batch;
pub use crate::sender::LOCK as SENDER_LOCK;
pub use crate::sender::Sender;
pub use crate::sender::Verdict;
pub use crate::spool::HoldBack;
pub use crate::spool::Limits;
pub use crate::spool::Options;
pub use crate::spool::Spool;
pub use crate::spool::SyncPolicy;
pub use crate::stats::LossCounts;
pub use crate::stats::Stats;
pub use crate::writer::Ack;
pub use crate::writer::Writer;
