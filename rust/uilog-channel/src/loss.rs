//! What hg's side says of events that it could not hand over.

/// Events that did not reach a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub events: u64,
    /// Why.
    pub reason: String,
}
