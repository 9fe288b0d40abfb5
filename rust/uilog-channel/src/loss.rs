//! Why hg's side could not pass on an event.

/// Events that did not reach a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub events: u64,
    /// Why.
    pub reason: String,
}
