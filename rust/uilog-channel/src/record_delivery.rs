//! The dispatcher's interface to structured sinks.
//!
//! The dispatcher has one loop that must not block. It must not know how
//! records are delivered, or by which threads. A sink that cannot keep up reads
//! the records it has missed from the queue later, through [`Source`], so that
//! sinks do not wait for each other.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use crate::journal::FailureKind;
use crate::queue::Delivery;

/// Names and values of `[uilog]`.
pub type Items = [(Vec<u8>, Vec<u8>)];

/// A record in the queue, with the frames to which it refers.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its offset in the queue.
    pub position: u64,
    /// Its event's name.
    pub event: Vec<u8>,
    /// Its frame in the queue.
    pub frame: Arc<[u8]>,
    /// hg's environment.
    pub environment: Arc<[u8]>,
    /// The items that define the sinks.
    pub items: Arc<Items>,
}

/// The queue, for sinks that read missed records.
pub trait Source {
    /// The first record at or after the offset of a frame, and the offset of
    /// the next frame.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    fn record_from(
        &mut self,
        position: u64,
    ) -> io::Result<Option<(Queued, u64)>>;

    /// Whether a reader at this offset is the only one that keeps the queue
    /// nearly full.
    fn is_too_far_behind(&self, position: u64) -> bool;
}

/// The dispatcher's interface to structured sinks. Nothing here blocks.
pub trait RecordDelivery {
    /// Passes the next record to the sinks. Sinks without room read it from the
    /// queue later.
    fn offer(&mut self, record: &Queued);

    /// Delivers the offered records, lets sinks that are behind continue, and
    /// returns the results since the last call.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    fn collect_results(
        &mut self,
        queue: &mut dyn Source,
    ) -> io::Result<DeliveryResults>;

    /// Delivers everything offered so far without delay, spooled records
    /// included, because a process waits for it. Returns the progress;
    /// [`Self::wakeup`] signals that there may be more.
    fn hurry(&mut self) -> Delivery;

    /// Becomes readable when [`Self::settle`] should be called. `None` if that
    /// never happens.
    fn wakeup(&self) -> Option<BorrowedFd<'_>>;

    /// When to call [`Self::settle`] at the latest, even without a wakeup.
    fn deadline(&self) -> Option<Instant>;

    /// No record will be offered any more; the remaining ones must be delivered
    /// by the deadline. If it is called again, the earliest deadline counts.
    fn finish(&mut self, deadline: Instant);

    /// Whether all records are delivered or lost.
    fn is_finished(&self) -> bool;
}

/// Results since the last call of [`RecordDelivery::settle`].
#[derive(Debug, Default)]
pub struct DeliveryResults {
    /// How many more records, the oldest ones, can be removed from the queue.
    pub done: u64,
    /// Offset of the first record that must stay, if any.
    pub oldest: Option<u64>,
    /// How many of the removable records are still held by stalled sinks,
    /// counted once per sink.
    pub at_risk: u64,
    /// Losses, by sink and reason.
    pub losses: Vec<RecordLoss>,
    /// Offsets of records that are done but must stay until they are in
    /// `released`, because a rollup that was not sent yet counts them.
    pub held: Vec<u64>,
    /// Offsets of records that were held and can be removed now.
    pub released: Vec<u64>,
}

/// Records that a sink has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLoss {
    /// The sink's name.
    pub sink: String,
    /// How many; 0 for a problem that has not lost a record yet.
    pub count: u64,
    /// Why.
    pub reason: String,
}

impl RecordLoss {
    /// The loss in one line, for people.
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
