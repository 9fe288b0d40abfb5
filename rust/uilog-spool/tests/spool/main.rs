//! The spool on a simulated disk, which fails and loses power at any call and
//! any byte, and on a real one, with processes that are killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod channels;
mod clocks;
mod concurrent;
mod crash;
mod disk;
mod forget;
mod hold_back;
mod ledger;
mod model;
mod place;
mod processes;
mod progress;
mod real;
