//! What becomes of the records of one signal: who is asked, and what the
//! answers mean for each record.
//!
//! A record that a collector will never take must not keep the others from
//! it. Which one that is, it does not say, so a request is divided until the
//! record stands alone. But whoever refuses everything may be no collector:
//! a refused record is rejected only if the same endpoint accepts others, and
//! only a few requests in a row are made to find some.
//!
//! Whatever is known of a record is told at once, in the order of the records:
//! what has been accepted is not sent again, by whatever process.
//!
//! Of a batch that is more than one request the next one is made while the
//! collector looks at the one before: a collector that is as fast as we are
//! would else leave each of us waiting for half the time.
//!
//! Knows neither the spool's files nor any network.

mod known;
mod request;
mod shipper;
#[cfg(test)]
mod tests;

pub use self::known::BatchObserver;
pub use self::known::BatchResult;
pub use self::known::Outcome;
pub use self::shipper::Shipper;
