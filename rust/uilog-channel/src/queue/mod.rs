//! The queue between hg and its dispatcher: frames, and a page of counters.
//!
//! hg appends, and never waits for whoever reads; the dispatcher reads, and
//! gives back the memory behind it. What hg has committed survives hg. Both
//! ends keep their counters in one page, so that either can be asked after the
//! other has gone, and a second dispatcher can go on where the first one died.
//!
//! The frames hold hg's environment, so they are in a file in memory that has
//! no name. The page is the first one of that file, or a file of its own, which
//! may have a name (`page`): then it tells what has been lost when
//! both ends have been killed.
//!
//! The page also names the command that has begun and not ended: whoever finds
//! its writer dead knows by that that it was killed. The word is written
//! together with what has been committed, so that the end of a command and the
//! record of it are one.
//!
//! Knows nothing of what a frame holds, but for the byte by which a command's
//! beginning is made void, nor of names and locks.

mod layout;
mod making;
mod memory;
mod page;
mod progress;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use self::layout::begin_frame;
pub use self::layout::end_frame;
pub use self::layout::protocol_of;
pub use self::making::Creator;
pub use self::making::Origin;
pub use self::making::lay_out_for_records;
pub use self::making::page_apart;
pub(crate) use self::memory::FRAMES_LINK;
pub use self::memory::Memory;
pub use self::memory::anonymous_file;
pub use self::memory::frames_file;
pub use self::memory::probe;
pub use self::page::Page;
pub use self::page::claim;
pub use self::page::is_apart;
pub use self::progress::Committed;
pub use self::progress::Delivery;
pub use self::progress::OpenCommand;
pub use self::progress::Progress;
pub use self::reader::BegunCommand;
pub use self::reader::Reader;
pub use self::reader::Reference;
pub use self::reader::ReportedLosses;
pub use self::writer::Writer;
pub use self::writer::copy;
