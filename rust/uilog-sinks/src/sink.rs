//! The interface that every kind of sink implements.

use std::sync::Arc;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::sink_config::SinkConfig;

use crate::globals::Globals;
use crate::record::Record;

/// A destination for records: a file, a socket, a spool. Each has its own
/// thread and may block there, but not beyond `deadline`, which is at most a
/// few seconds away.
pub trait Sink: Send {
    /// Delivers records, in order. When it returns, each record has arrived (or
    /// is stored durably), or is lost and counted in the error.
    ///
    /// # Errors
    ///
    /// The number of lost records, and why. The others have arrived. The number
    /// is 0 if there is a problem to report that has not lost a record.
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        deadline: Instant,
    ) -> Result<(), LossReport>;

    /// Sends all stored records without delay, because a process waits for
    /// that, and returns the progress. Is called repeatedly, and does not wait.
    fn hurry(&mut self) -> Delivery {
        Delivery::Done
    }

    /// No record has come for a while: releases locks and connections.
    fn rest(&mut self) {}

    /// No record will come any more: finishes the remaining work by `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Self::deliver`], for records that were taken before.
    fn finish(&mut self, deadline: Instant) -> Result<(), LossReport>;
}

/// Opens the sink of a sink.
pub type Open = fn(&SinkConfig, &Globals) -> Result<Box<dyn Sink>, String>;

/// Records that were lost, or a problem that has not lost any yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} record(s) lost: {reason}")]
pub struct LossReport {
    /// How many; 0 for a problem without a loss.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// Adds up the losses of a batch, with the first reason.
#[derive(Debug, Default)]
pub(crate) struct LossSum {
    first: Option<LossReport>,
    trouble: Option<String>,
}

impl LossSum {
    /// Counts lost records.
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
                self.first = Some(LossReport { count, reason });
            }
        }
    }

    /// Notes a problem that has not lost a record. Losses take precedence.
    pub(crate) fn note(&mut self, trouble: String) {
        self.trouble.get_or_insert(trouble);
    }

    /// The result for the batch.
    pub(crate) fn result(self) -> Result<(), LossReport> {
        let trouble =
            self.trouble.map(|reason| LossReport { count: 0, reason });
        self.first.or(trouble).map_or(Ok(()), Err)
    }
}
