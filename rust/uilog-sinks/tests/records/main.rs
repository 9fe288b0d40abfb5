//! Records: they match the schema and contain no secrets, and every event
//! becomes one.

#[path = "../../../uilog-redact/tests/corpus/escapes.rs"]
mod escapes;
mod events;
mod policy;
mod privacy;
mod properties;
mod schema;
mod structure;
