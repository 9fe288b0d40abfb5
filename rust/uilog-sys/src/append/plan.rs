//! What a child needs that appends a line, and how many such children there may
//! be.
//!
//! Must not know how a line is appended, or how a child is made.

use std::ffi::CString;
use std::io;

use crate::append::place::GuardedPath;

/// How many children of one process append at a time.
pub(super) const MAX_CHILDREN: usize = 4;

/// A line, and the places to append it in.
///
/// Complete before a child is made, which only reads it.
#[derive(Debug)]
pub struct Plan {
    pub(super) places: Vec<GuardedPath>,
    /// Names of the locks that bound how many children a user has.
    pub(super) slots: Vec<CString>,
    pub(super) line: Vec<u8>,
    pub(super) max_bytes: u64,
    pub(super) uid: u32,
}

/// Why no child has been made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are so many already, all of which wait.
    #[error("{MAX_CHILDREN} processes wait for the directory already")]
    TooMany,
    /// The system has refused it.
    #[error("cannot make a process: {0}")]
    System(#[source] io::Error),
}

impl Plan {
    /// Appends `line` in the first of `places` where that succeeds. A file that
    /// has reached `max_bytes` is renamed to its second name, and a new one is
    /// created.
    pub fn new(
        places: Vec<GuardedPath>,
        line: Vec<u8>,
        max_bytes: u64,
    ) -> Self {
        Self {
            places,
            slots: Vec::new(),
            line,
            max_bytes,
            uid: nix::unistd::geteuid().as_raw(),
        }
    }

    /// Bounds how many children of this user append at a time: each holds the
    /// lock of one of these files in a place that is near. One that finds none
    /// free uses such places only.
    pub fn slots(mut self, names: impl Iterator<Item = String>) -> Self {
        self.slots = names.filter_map(|it| CString::new(it).ok()).collect();
        self
    }

    /// The same with those places only that are near.
    pub fn only_near(mut self) -> Self {
        self.places.retain(|place| place.is_near);
        self
    }
}
