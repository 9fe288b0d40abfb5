//! The end of each script's standard error, which tells why a script has
//! failed.
//!
//! A script must not notice that. So each has its own pipe, which the
//! dispatcher reads as long as it carries little. If a script writes more,
//! leaves processes behind, or outlives its dispatcher, its pipe is passed to a
//! process that does nothing else (`uilog stderr`, one per dispatcher that
//! needs it), which exits with the last writer. The script's descriptor is also
//! open for reading, so that a writer never gets SIGPIPE. The last bytes are in
//! a file in memory, which is passed on together with the pipe.
//!
//! Must not know events, or how the text is used.

mod capture;
mod process;
mod ring;

pub(crate) use capture::Capture;
pub(crate) use capture::Collector;
pub use process::ARGUMENT;
pub use process::run;
