//! The queue between hg and its dispatcher: frames, and a page of counters.
//!
//! hg appends, and never waits for the reader. The dispatcher reads, and
//! releases the memory of what it has read. Committed frames survive hg. Both
//! ends have their counters in one page, so each can be read after the other
//! has ended, and a second dispatcher can continue where the first one died.
//!
//! The frames contain hg's environment, so they are in a memory file without a
//! name. The counter page is the first page of that file, or a file of its own,
//! which may have a name (`page`): then it shows what was lost if both ends
//! were killed.
//!
//! The page also refers to the command that has begun and not ended: a process
//! that finds the writer dead knows from it that the command was killed. That
//! word is written together with the committed position, so the end of a
//! command and its record are stored by one write.
//!
//! Must not know what a frame contains, except for the byte that marks a
//! command's beginning as void. Must not know names or locks.

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
