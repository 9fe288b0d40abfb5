//! The state of all spools, seen from outside: their sinks, their records, and
//! why delivery fails.
//!
//! Read-only: creates no directory and takes no lock. Must not know how the
//! state is shown.

mod facts;
mod owned;
#[cfg(test)]
mod tests;
mod translator;

pub use self::facts::Holder;
pub use self::facts::Retry;
pub use self::facts::SpoolFacts;
pub use self::owned::Owned;
pub use self::owned::Payloads;
pub use self::owned::find;
pub use self::translator::Translator;
