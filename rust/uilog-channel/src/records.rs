//! What the dispatcher asks of those who run structured sinks.
//!
//! The dispatcher has one loop that must not block; how records get to where
//! they should, by which threads, is not its affair. A sink that does not keep
//! up reads what it has missed from the queue, by [`Source`], when it can, so
//! that none waits for another.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use crate::journal::FailureKind;
use crate::queue::Delivery;

/// Names and values of `[uilog]`.
pub type Items = [(Vec<u8>, Vec<u8>)];

/// A record in the queue, with what it refers to.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Where it stands.
    pub position: u64,
    /// Its event's name.
    pub event: Vec<u8>,
    /// As the queue holds it.
    pub frame: Arc<[u8]>,
    /// hg's environment.
    pub environment: Arc<[u8]>,
    /// Which sinks there are.
    pub items: Arc<Items>,
}

/// The queue, for whoever reads it again.
pub trait Source {
    /// The first record at or after a position where a frame begins, and where
    /// the next frame does.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    fn record_from(
        &mut self,
        position: u64,
    ) -> io::Result<Option<(Queued, u64)>>;

    /// Whether who has come no further than this keeps so much in the queue
    /// that there is hardly any room for others, and is alone in that.
    fn is_too_far_behind(&self, position: u64) -> bool;
}

/// Whoever runs structured sinks. Nothing here blocks.
pub trait Records {
    /// There is a record, behind those before. Sinks that have no room just now
    /// will read it from the queue.
    fn offer(&mut self, record: &Queued);

    /// Sends on what was offered, lets those that are behind read on, and tells
    /// what has become of records since the last call.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    fn settle(&mut self, queue: &mut dyn Source) -> io::Result<Settled>;

    /// Somebody waits until all that was offered so far is delivered, by whoever
    /// keeps it for later, too: lets that be done at once, and tells how far it
    /// is. [`Self::wakeup`] tells when it may be further.
    fn hurry(&mut self) -> Delivery;

    /// Becomes readable when there may be something to settle. None if there
    /// never is.
    fn wakeup(&self) -> Option<BorrowedFd<'_>>;

    /// When to look after it at the latest, if nothing wakes up before.
    fn deadline(&self) -> Option<Instant>;

    /// Nothing will be offered any more: what is left is to be done until then.
    /// It may be said again; the earliest deadline counts.
    fn finish(&mut self, deadline: Instant);

    /// Whether nothing is left to be done.
    fn is_finished(&self) -> bool;
}

/// What has become of records.
#[derive(Debug, Default)]
pub struct Settled {
    /// So many more, the oldest ones, need not stay in the queue.
    pub done: u64,
    /// Where the first one stands that must; none if none must.
    pub oldest: Option<u64>,
    /// How many of those that need not are still in the hands of sinks that do
    /// not move: once for each such sink.
    pub at_risk: u64,
    /// What was lost, by sink and reason.
    pub losses: Vec<RecordLoss>,
    /// Of those that are done now, the positions of those that must stay all
    /// the same, until they are among the released: a rollup counts them that
    /// has not been sent.
    pub held: Vec<u64>,
    /// Records that were held and need not stay any more.
    pub released: Vec<u64>,
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

impl RecordLoss {
    /// What it is, for people.
    pub fn explain(&self) -> String {
        format!("uilog.sink.{}: {}", self.sink, self.reason)
    }

    /// What the journal calls it.
    pub fn kind(&self) -> FailureKind {
        match self.count {
            0 => FailureKind::Sink,
            _ => FailureKind::Lost,
        }
    }
}
