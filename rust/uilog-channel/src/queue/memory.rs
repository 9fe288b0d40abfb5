//! The memory of queues.

use std::ffi::CStr;
use std::fs::File;
use std::io;

use uilog_sys::memory_file;

/// What memory there is for a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Memory without a name.
    Anonymous,
    /// An unlinked file in the directory for temporary files.
    Temporary,
}

/// Returns what a queue would be stored in now.
///
/// # Errors
///
/// The system has neither.
pub fn probe() -> io::Result<Memory> {
    match memory_file::create(c"uilog") {
        Ok(_) => Ok(Memory::Anonymous),
        Err(_) => tempfile::tempfile().map(|_| Memory::Temporary),
    }
}

/// A file without a name: in memory if the system supports it, otherwise in the
/// directory for temporary files.
pub fn anonymous_file() -> io::Result<File> {
    in_memory(c"uilog")
}

/// How a link in /proc begins to a file in memory that holds frames.
pub(crate) const FRAMES_LINK: &[u8] = b"/memfd:uilog-queue";

/// The same for a queue's frames.
pub fn frames_file() -> io::Result<File> {
    in_memory(c"uilog-queue")
}

fn in_memory(name: &CStr) -> io::Result<File> {
    memory_file::create(name).or_else(|_| tempfile::tempfile())
}
