//! The settings for sending to a collector: the hgrc's options and, for sinks
//! that use them, OpenTelemetry's variables.
//!
//! The variables may have been set for any other program. So they are used only
//! for `otlp:` without a URL, or with `:environment = yes`; an invalid one is
//! ignored with a warning. Only invalid values in the hgrc are errors.
//!
//! Parses raw values into typed ones. Reads no file, and must not know spools:
//! settings never decide whether a record is kept.

mod model;
mod pairs;
mod reading;
#[cfg(test)]
mod tests;

pub use self::model::Endpoint;
pub use self::model::Settings;
pub use self::model::Statuses;
pub use self::model::TlsFiles;
pub use self::reading::VariableLookup;
pub use self::reading::resource;
