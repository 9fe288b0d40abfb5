//! The implementation of `RecordDelivery` without sinks. hg starts another dispatcher
//! for records; a record that arrives here anyway is counted as lost.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use uilog_channel::queue::Delivery;
use uilog_channel::record_delivery::DeliveryResults;
use uilog_channel::record_delivery::Queued;
use uilog_channel::record_delivery::RecordDelivery;
use uilog_channel::record_delivery::RecordLoss;
use uilog_channel::record_delivery::Source;

/// No sinks.
#[derive(Debug, Default)]
pub(crate) struct ScriptsOnly {
    offered: u64,
}

impl RecordDelivery for ScriptsOnly {
    fn offer(&mut self, _record: &Queued) {
        self.offered += 1;
    }

    fn collect_results(
        &mut self,
        _queue: &mut dyn Source,
    ) -> io::Result<DeliveryResults> {
        let count = std::mem::take(&mut self.offered);
        let loss = (count > 0).then(|| RecordLoss {
            sink: "*".to_owned(),
            count,
            reason: "uilog-dispatcher does not support sinks".to_owned(),
        });
        Ok(DeliveryResults {
            done: count,
            losses: loss.into_iter().collect(),
            ..DeliveryResults::default()
        })
    }

    fn hurry(&mut self) -> Delivery {
        Delivery::Done
    }

    fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn finish(&mut self, _deadline: Instant) {}

    fn is_finished(&self) -> bool {
        true
    }
}
