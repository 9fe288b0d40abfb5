//! A durable spool: records on disk that wait to be sent.
//!
//! [`Writer::append`] returns once a record is in a file. A [`Sender`] reads
//! records in batches, and removes them once the receiver has accepted them.
//! Each record is delivered at least once, in the order in which its writer
//! appended it, with an id by which receivers can drop duplicates. Records that
//! are not delivered are counted as evicted, damaged or rejected.
//!
//! Knows files and bytes. Must not know events, networks or configuration. It
//! has no thread, never waits for a lock, and `Drop` only syncs.
//!
//! - [`files`] has all system calls, so that tests can make them fail.
//! - `place` decides which directories are safe.
//! - `name`, `frame` and `segment` are the format, from the outside to the
//!   inside.
//! - `channel` divides records into those that are sent independently.
//! - `writer`, `sender` and `evict` append, send and remove records.
//! - `counts` are the numbers that they store.
//! - `spool` is the directory, below all of these; `stats` and `records` show
//!   what is in it.
//!
//! docs/storage.md has the promises, docs/alternatives.md what was rejected.

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
