//! The sinks on hg's side: each looks up what a configuration says about an
//! event.

pub mod blackbox;
pub mod records;
pub mod scripts;
