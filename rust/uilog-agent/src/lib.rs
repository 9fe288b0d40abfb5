//! The agent: one process for each user and set of namespaces, which delivers
//! the records of all of the user's hg processes.
//!
//! Each hg process has a queue of records, a file in the user's runtime
//! directory (`uilog_logger::record_queue`). The agent finds them ([`serve`],
//! `claiming`, `directory`), reads each at its own pace (`delivering`,
//! `client`), decides for which sinks their records may be delivered
//! (`admission`), and merges the records that have the same sinks (`group`,
//! `groups`). Losses are written to journals (`journal_writers`, `ledger`).
//! Commands that take long are reported while they run (`slow_commands`,
//! `slow`). The state of all that is in `server`.
//!
//! hg starts it, holding a lock that the agent inherits. It exits after some
//! time without work (`idle`, `ending`). If it is killed, the next agent
//! continues from the progress that is stored in each queue's first page:
//! records that had not arrived are delivered again, with the same ids.
//!
//! Must not know: what sinks do with a record, scripts.

#![deny(missing_docs)]

mod admission;
mod claiming;
mod client;
mod configuration;
mod configured;
mod delivering;
mod directory;
mod doorbell;
mod ending;
mod error;
mod group;
mod groups;
mod home;
mod idle;
mod ids;
mod journal_writers;
mod ledger;
mod older_version;
mod outstanding;
mod serve;
mod server;
mod slow;
mod slow_commands;
mod trust;

pub use directory::OtherDirectories;
pub use doorbell::hurry;
pub use ending::WRITERS_GRACE;
pub use error::Error;
pub use home::with_home;
pub use serve::Options;
pub use serve::serve;
pub use server::SCAN_EVERY;
