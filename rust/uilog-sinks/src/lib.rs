//! Structured sinks, as `[uilog] sink.NAME` defines them.
//!
//! The dispatcher or the agent passes on events. For each sink that tracks it,
//! an event becomes a [`record::Record`] without secrets, which is sent as
//! JSON, as a syslog message or in the format of OpenTelemetry. Each sink has
//! its own thread, so that sinks do not wait for each other.
//!
//! Linked into the binary only: hg's process must not load TLS and HTTP, or run
//! such threads.

#![deny(missing_docs)]

pub mod attempt_log;
pub mod check;
mod ci;
pub mod compose;
pub mod connect;
mod connection;
mod datagram;
mod event_fields;
mod exchange;
pub mod file;
pub mod globals;
mod held_records;
pub mod history;
mod lane;
pub mod lines;
mod machine;
mod mailbox;
mod numbering;
mod numbers;
pub mod open;
pub mod otlp;
mod owner;
pub mod record;
pub mod redact;
mod repository;
mod rfc3339;
mod rollup;
mod sample;
mod setup;
pub mod sink;
pub mod sink_threads;
pub mod spools;
mod stream;
pub mod syslog;
mod syslog_message;
pub mod target;
pub mod template;
mod text;
pub mod tls;
mod trace_state;
pub mod trial;
pub mod unix;
mod worker;
