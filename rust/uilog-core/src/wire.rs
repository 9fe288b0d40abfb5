//! What hg's process and its dispatcher say to each other.
//!
//! The socket carries single bytes that mean "look into the queue". All else
//! is [`Frame`]s in the queue. Both ends come from one installation, so a
//! change of format raises [`PROTOCOL`], which stands at the beginning of the
//! queue, and ends that differ refuse each other.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;

use crate::event::Event;
use crate::event::Text;

/// The version of everything in this file and of the queue's layout.
pub const PROTOCOL: u16 = 1;

/// The byte that means: look into the queue.
pub const DOORBELL: [u8; 1] = [b'!'];

/// One entry of the queue.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "one exists at a time, and a box would cost an allocation"
)]
pub enum Frame<'a> {
    /// hg's environment as a block of `NAME=value`, each followed by NUL,
    /// for the jobs that name this entry's position.
    #[serde(borrow)]
    Environment(Text<'a>),
    /// A script to run.
    #[serde(borrow)]
    Job(Job<'a>),
}

/// A script to run for an event.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Job<'a> {
    /// The event.
    #[serde(borrow)]
    pub event: Event<'a>,
    /// The script: text for `/bin/sh -c`.
    #[serde(borrow, with = "serde_bytes")]
    pub script: Cow<'a, [u8]>,
    /// What the script reads.
    pub stdin: StdinFormat,
    /// Where in the queue its environment stands.
    pub environment_at: u64,
    /// hg's working directory; `None` if that has been removed.
    #[serde(borrow)]
    pub cwd: Option<Text<'a>>,
    /// hg's umask; `None` if it is what it was when the dispatcher started.
    pub umask: Option<u32>,
    /// hg's executable.
    #[serde(borrow, with = "serde_bytes")]
    pub hg: Cow<'a, [u8]>,
    /// How many scripts are around hg: 0 unless a script runs it.
    pub depth: u32,
    /// How scripts are to be run from now on.
    pub limits: RunLimits,
}

/// What a script finds on its standard input.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
pub enum StdinFormat {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// The whole event, as one line of JSON.
    Json,
}

/// The bounds within which scripts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// How many scripts run at a time.
    pub max_scripts: u32,
    /// Milliseconds until a script is ended; 0 is never.
    pub timeout_ms: u64,
}
