//! The sinks of hg's side: each looks up what a configuration says of an event.

pub mod blackbox;
pub mod records;
pub mod scripts;
