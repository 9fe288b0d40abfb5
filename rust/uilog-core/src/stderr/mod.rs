//! What scripts say on standard error: the last of it, to tell why one failed.
//!
//! A script must not notice. So each has a pipe of its own, which the
//! dispatcher empties as long as there is little in it. A script that writes
//! more, that leaves processes behind, or that outlives its dispatcher is
//! handed over to a process of ours that does nothing else (`uilog stderr`,
//! one for each dispatcher that needs it, ended by the last writer's end). The
//! script's own descriptor is open for reading, too, so that nobody who writes
//! to it ever gets SIGPIPE. The last bytes of each stand in a file in memory,
//! which goes from the one to the other with the pipe.
//!
//! Knows nothing of events, nor of what becomes of the text.

mod capture;
mod process;
mod ring;

pub(crate) use capture::Capture;
pub(crate) use capture::Collector;
pub use process::ARGUMENT;
pub use process::run;
