//! What each sink can do, whatever it is.

use std::sync::Arc;
use std::time::Instant;

use uilog_channel::queue::Delivery;

use crate::record::Record;

/// Where records go: a file, a socket, a spool. Each lives in a thread of its
/// own and may block there, but never beyond `deadline`, which is at most some
/// seconds away.
pub trait Outlet: Send {
    /// Takes records, in order. When it returns they are where they should be
    /// (or durably on their way), or they are lost and the error says so.
    ///
    /// # Errors
    ///
    /// How many of the records are lost, and why. The others have arrived. If
    /// none is lost, something else is to be reported.
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        deadline: Instant,
    ) -> Result<(), Undelivered>;

    /// Somebody waits until what was delivered so far has got to its receiver:
    /// lets that be done at once, and tells how far it is. It is asked again
    /// and again, and does not wait itself.
    fn hurry(&mut self) -> Delivery {
        Delivery::Done
    }

    /// Nothing has come for a while: lets go of what others may want.
    fn rest(&mut self) {}

    /// Nothing will come any more: does what is left, until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Self::deliver`], of records that it had taken.
    fn finish(&mut self, deadline: Instant) -> Result<(), Undelivered>;
}

/// Records that did not arrive, or trouble that has cost none yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} record(s) lost: {reason}")]
pub struct Undelivered {
    /// How many; 0 if there is something to report all the same.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// Adds up what is lost of a batch. The first reason is told.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    first: Option<Undelivered>,
    trouble: Option<String>,
}

impl Lost {
    /// So many more.
    pub(crate) fn add(
        &mut self,
        count: usize,
        reason: impl FnOnce() -> String,
    ) {
        let count = count as u64;
        match &mut self.first {
            _ if count == 0 => {}
            Some(first) => first.count += count,
            None => {
                let reason = reason();
                self.first = Some(Undelivered { count, reason });
            }
        }
    }

    /// Something is to be reported although nothing is lost. A loss is more
    /// important.
    pub(crate) fn note(&mut self, trouble: String) {
        self.trouble.get_or_insert(trouble);
    }

    /// What has come of the batch.
    pub(crate) fn result(self) -> Result<(), Undelivered> {
        let trouble =
            self.trouble.map(|reason| Undelivered { count: 0, reason });
        self.first.or(trouble).map_or(Ok(()), Err)
    }
}
