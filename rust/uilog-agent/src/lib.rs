//! The agent: one process for each user and set of namespaces, which delivers
//! the records of all of the user's hg processes.
//!
//! Each hg process has a queue of records, a file in the user's runtime
//! directory (`uilog_core::record_queue`). The agent finds them ([`serve`],
//! `finding`, `directory`), reads each at its own pace (`delivering`,
//! `client`), decides for which sinks their records may be delivered
//! (`admission`), and merges the records that have the same sinks (`group`,
//! `groups`). Losses are written to journals (`clerk`, `ledger`).
//!
//! hg starts it, holding a lock that the agent inherits. It exits after some
//! time without work (`ending`). If it is killed, the next agent continues from
//! the progress that is stored in each queue's first page: records that had not
//! arrived are delivered again, with the same ids.

#![deny(missing_docs)]

mod admission;
mod clerk;
mod client;
mod configuration;
mod configured;
mod delivering;
mod directory;
mod doorbell;
mod ending;
mod finding;
mod group;
mod groups;
mod home;
mod ledger;
mod older;
mod serve;
mod slow;

pub use directory::Elsewhere;
pub use doorbell::hurry;
pub use ending::WRITERS_GRACE;
pub use home::with_home;
pub use serve::Error;
pub use serve::Options;
pub use serve::SCAN_EVERY;
pub use serve::serve;
