//! The sink `otlp:` with collectors of the tests' own, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod connect;
mod delivery;
mod faults;
mod foreign;
mod losses;
mod mapping;
mod processes;
mod proxies;
mod security;
mod support;
mod trust;
mod verdicts;
