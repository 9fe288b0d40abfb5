//! The structured sinks: what `[uilog] sink.NAME` names.
//!
//! The dispatcher hands over events; each becomes a [`record::Record`], which
//! holds no secrets any more, and goes to every sink that wants it, as JSON or
//! in the terms of OpenTelemetry. A sink runs in a thread of its own, so that
//! none has to wait for another.
//!
//! In the binary only: TLS, HTTP and threads are not for hg's process.

#![deny(missing_docs)]

pub mod check;
mod ci;
pub mod compose;
pub mod connect;
mod connection;
mod datagram;
mod exchange;
pub mod file;
pub mod fleet;
pub mod globals;
pub mod history;
mod holds;
mod lane;
pub mod lines;
mod machine;
mod numbering;
mod numbers;
pub mod open;
pub mod otlp;
pub mod outlet;
mod owner;
pub mod record;
pub mod redact;
mod repository;
mod rollup;
mod sample;
mod setup;
pub mod spools;
mod stream;
pub mod syslog;
mod syslog_message;
pub mod target;
pub mod template;
mod text;
pub mod tls;
mod told;
mod trace_state;
pub mod trial;
pub mod unix;
mod worker;
