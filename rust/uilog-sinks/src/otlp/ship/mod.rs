//! Sends the records of one signal, and decides what an answer means for each
//! record.
//!
//! A record that a collector will never accept must not block the others. The
//! collector does not identify it, so a refused request is divided until the
//! record is alone. But an endpoint that refuses everything may not be a
//! collector: a refused record is rejected only if the same endpoint accepts
//! others, and only a few requests in a row are made to find some.
//!
//! Each result is reported at once, in the order of the records: an accepted
//! record is not sent again by any process.
//!
//! If a batch has several requests, the next one is made while the collector
//! processes the previous one; otherwise each of the two would wait for the
//! other half of the time.
//!
//! Must not know the spool's files, or networks.

mod request;
mod results;
mod shipper;
#[cfg(test)]
mod tests;

pub use self::results::BatchObserver;
pub use self::results::BatchResult;
pub use self::results::Outcome;
pub use self::shipper::Shipper;
