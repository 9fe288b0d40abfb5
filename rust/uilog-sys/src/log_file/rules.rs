//! Which file is rotated, when and beside whom, and what may come of it.
//!
//! Must not know how files are rotated.

use std::path::Path;

use nix::sys::stat::FileStat;

/// Identifies a file: device and inode.
pub(super) type Id = (u64, u64);

pub(super) fn id_of(status: &FileStat) -> Id {
    (status.st_dev, status.st_ino)
}

/// When a log file is rotated, and which old files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file of so many bytes gets no further record; not 0.
    pub max_bytes: u64,
    /// How many old files are kept, as `.1` (the newest), `.2` and so on.
    pub old_files: u32,
}

/// What became of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The file is no longer the log: it has been rotated, by whom ever.
    NoLongerCurrent,
    /// Another process is doing it.
    Busy,
}

/// Whether there are others who rotate the log in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForeignRotation {
    /// Only uilog rotates it.
    No,
    /// Mercurial and rhg do, without a lock.
    Yes,
}

/// A log that is rotated.
#[derive(Clone, Copy, Debug)]
pub(super) struct RotatedLog<'a> {
    pub(super) path: &'a Path,
    pub(super) is_private: bool,
    pub(super) strangers: ForeignRotation,
    pub(super) rotation: Rotation,
}
