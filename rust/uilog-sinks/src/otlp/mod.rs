//! Sinks `otlp:`: a collector of OpenTelemetry, over HTTP.
//!
//! A record is acknowledged into the sink's own spool before any network is
//! tried, and leaves it when the collector has accepted it: see docs/otlp.md.
//!
//! - `settings` is what is configured.
//! - `mapping` is a record in OpenTelemetry's terms, `request` what is sent of
//!   it, `http` how, `connector` that in TLS, and `verdict` what the answer
//!   means.

mod connector;
pub mod http;
pub mod mapping;
pub mod request;
pub mod settings;
pub mod verdict;
