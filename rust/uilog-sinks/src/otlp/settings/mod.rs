//! What is needed to send to a collector: the hgrc's options and, for a sink
//! that asks for them, the variables that OpenTelemetry knows.
//!
//! The variables may have been set for any other program. So they count only
//! for `otlp:` without a URL, or with `:environment = yes`; and one that makes
//! no sense is ignored with a warning. Only what the hgrc says wrongly is an
//! error.
//!
//! Raw values become typed ones here. Reads no file, and knows no spool:
//! nothing here decides whether a record is kept.

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
