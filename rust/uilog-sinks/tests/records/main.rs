//! Records: they are what the schema says, they hold no secrets, and nothing
//! that hg logs keeps one from being made.

#[path = "../../../uilog-redact/tests/corpus/escapes.rs"]
mod escapes;
mod events;
mod policy;
mod privacy;
mod properties;
mod schema;
mod structure;
