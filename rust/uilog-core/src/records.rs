//! What the dispatcher asks of those who run structured sinks.
//!
//! The dispatcher has one loop that must not block; how records get to where
//! they should, by which threads, is not its affair.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

/// Names and values of `[uilog]`.
pub type Items = [(Vec<u8>, Vec<u8>)];

/// Whoever runs structured sinks. Nothing here blocks.
pub trait Records {
    /// From now on there are the sinks of these items, for a user whose
    /// environment is `environment`. What was taken before goes where it was
    /// to go.
    fn configure(&mut self, items: &Items, environment: &Arc<[u8]>);

    /// Takes a record, as the queue holds it, unless there is no room just
    /// now; then false, and it is to be offered again later. It is on its way
    /// with the next call of [`Self::settle`].
    fn offer(&mut self, frame: &Arc<[u8]>, environment: &Arc<[u8]>) -> bool;

    /// Sends on what was taken, and tells what has become of it since the last
    /// call.
    fn settle(&mut self) -> Settled;

    /// Becomes readable when there may be something to settle, or room again.
    /// None if there never is.
    fn wakeup(&self) -> Option<BorrowedFd<'_>>;

    /// When to look after it at the latest, if nothing wakes up before.
    fn deadline(&self) -> Option<Instant>;

    /// Nothing will come any more: what is left is to be done until then. It may
    /// be said again; the earliest deadline counts.
    fn finish(&mut self, deadline: Instant);

    /// Whether nothing is left to be done.
    fn is_finished(&self) -> bool;
}

/// What has become of records.
#[derive(Debug, Default)]
pub struct Settled {
    /// Every sink is done with so many more, the oldest ones.
    pub done: u64,
    /// What was lost, by sink and reason.
    pub losses: Vec<RecordLoss>,
}

/// Records that did not get to where they should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLoss {
    /// The sink's name.
    pub sink: String,
    /// How many; 0 if it is trouble that costs nothing yet.
    pub count: u64,
    /// Why.
    pub reason: String,
}
