//! The channel between hg and the processes that deliver: the queue, its
//! frames, and the settings that both sides read.
//!
//! Also what each side knows about the other: the names of an agent and its
//! queues, the counter page, the journal of losses, and the status of all
//! these.
//!
//! Must not know: hg's side as a whole (uilog-logger), how a script is run,
//! what a sink does with a record, Python.

#![deny(missing_docs)]

pub mod agent_address;
pub mod backoff;
pub mod bound;
pub mod cached_reader;
pub mod commandlost;
pub mod frames;
pub mod journal;
pub mod living_pages;
#[cfg(target_os = "linux")]
pub mod lock_holder;
pub mod loss;
pub mod page;
pub mod phase;
pub mod places;
pub mod poll;
pub mod queue;
pub mod queue_room;
pub mod record_delivery;
pub mod record_queues;
pub mod reporter;
#[cfg(target_os = "linux")]
pub mod running_hg;
pub mod settings;
pub mod sink_config;
pub mod sink_environment;
pub mod sink_url;
pub mod status;
pub mod unreported_losses;
pub mod wire;
