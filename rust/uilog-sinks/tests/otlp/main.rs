//! The sink `otlp:` with collectors of the tests' own, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod delivery;
mod faults;
mod losses;
mod mapping;
mod processes;
mod security;
mod support;
mod verdicts;
