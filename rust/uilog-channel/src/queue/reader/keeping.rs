//! Releases the memory of frames that are done, and keeps frames to which later
//! frames or running commands refer.
//!
//! Must not know what a frame contains.

use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

use super::BegunCommand;
use super::Reader;
use super::Reference;
use crate::queue::layout::BLOCK_BYTES;
use crate::queue::layout::LENGTH_BYTES;
use crate::queue::layout::RELEASE_STEP;
use crate::queue::layout::page_after;
use crate::queue::layout::page_of;
use crate::queue::progress::OpenCommand;
use crate::queue::progress::Progress;

impl Reader {
    /// Keeps the frames that the previous reader has kept.
    pub(super) fn pin_predecessors(&mut self) -> io::Result<()> {
        let Progress {
            environment_at,
            items_at,
            ..
        } = self.progress;
        for (kind, at) in [
            (Reference::Environment, environment_at),
            (Reference::Items, items_at),
        ] {
            if at > 0 {
                let length = self.frame_at(at)?.len() as u64;
                self.pinned.push((kind, at, at + LENGTH_BYTES + length));
            }
        }
        Ok(())
    }

    /// Later frames refer to the frame from `begin` to `end`. Must be called
    /// for each, in order, before any reader has passed it.
    pub fn refer(&mut self, kind: Reference, begin: u64, end: u64) {
        self.references.push_back((kind, begin, end));
    }

    /// The slowest reader may have moved: of all earlier frames, only the last
    /// environment and items can still be referred to.
    pub fn pass(&mut self) {
        let low = self.low();
        while self.references.front().is_some_and(|it| it.2 <= low) {
            let Some(passed) = self.references.pop_front() else {
                return;
            };
            let (kind, begin, _) = passed;
            match kind {
                Reference::Environment => self.progress.environment_at = begin,
                Reference::Items => self.progress.items_at = begin,
            }
            let before = self.pinned.iter().position(|it| it.0 == kind);
            let before = before.map(|index| self.pinned.remove(index));
            self.pinned.push(passed);
            if let Some((_, begin, end)) = before {
                self.unpin(begin, end);
            }
        }
    }

    /// Releases a pinned frame whose neighbours were released; pages that it
    /// shares with unreleased or pinned frames stay.
    fn unpin(&self, begin: u64, end: u64) {
        let (mut begin, mut end) = (page_of(begin), page_after(end));
        for (other_begin, other_end) in self.pinned_ranges() {
            if other_end > begin && other_begin < end {
                if other_begin <= begin {
                    begin = page_after(other_end);
                } else {
                    end = page_of(other_begin);
                }
            }
        }
        self.punch(begin, end.min(self.released));
    }

    /// Keeps the frame of a command that has begun, until the page refers
    /// neither to it nor to a nested command. Must be called for each such
    /// command before any reader passes its frame.
    pub fn keep_open_command(&mut self, begun: BegunCommand) {
        self.begun.push(begun);
    }

    /// Drops the frames of commands that have ended; returns which.
    fn forget_ended(&mut self) -> Vec<BegunCommand> {
        if self.begun.is_empty() {
            return Vec::new();
        }
        // If that is unknown they stay: a command that was not read yet may be
        // nested in one of these.
        let Ok(open) = self.open_command() else {
            return Vec::new();
        };
        let mut open = open.map(|it| it.at);
        let is_known = |at: u64| self.begun.iter().any(|it| it.at == at);
        if open.is_some_and(|at| !is_known(at)) {
            return Vec::new();
        }
        // Each frame names one before it, so there is an end.
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for begun in std::mem::take(&mut self.begun).into_iter().rev() {
            if open == Some(begun.at) {
                let outer = OpenCommand::of(begun.outer);
                open = outer.map(|it| it.at).filter(|it| *it < begun.at);
                kept.push(begun);
            } else {
                ended.push(begun);
            }
        }
        kept.reverse();
        self.begun = kept;
        ended
    }

    /// The positions of a command's frames: beginnings and ends.
    fn ranges(&self, begun: &BegunCommand) -> Vec<(u64, u64)> {
        let [environment_at, items_at] = begun.refers_to;
        let range = |at: u64| {
            let mut length = [0; LENGTH_BYTES as usize];
            self.data().read_exact_at(&mut length, at).ok()?;
            let length = u64::from(u32::from_le_bytes(length));
            Some((at, at + LENGTH_BYTES + length))
        };
        let all = [begun.at, environment_at, items_at].into_iter();
        all.filter_map(range).collect()
    }

    /// Begins and ends of what is kept before the first frame that may be read:
    /// the last environment and items, and the frames of running commands.
    fn pinned_ranges(&self) -> Vec<(u64, u64)> {
        let pinned = self.pinned.iter().map(|(_, begin, end)| (*begin, *end));
        let begun = self.begun.iter().flat_map(|it| self.ranges(it));
        pinned.chain(begun).collect()
    }

    /// The queue's memory in bytes.
    ///
    /// # Errors
    ///
    /// The file's status cannot be read.
    pub fn bytes(&self) -> io::Result<u64> {
        Ok(self.data().metadata()?.blocks() * BLOCK_BYTES)
    }

    /// Releases the memory that is no longer needed, except for pinned frames,
    /// if it is worth a system call.
    pub fn release(&mut self) {
        let until = page_of(self.low());
        if until < self.released + RELEASE_STEP {
            return;
        }
        let ended = self.forget_ended();
        let mut pinned = self.pinned_ranges();
        pinned.sort_unstable();
        let mut begin = self.released;
        for (pin_begin, pin_end) in pinned {
            self.punch(begin, until.min(page_of(pin_begin)));
            begin = begin.max(page_after(pin_end));
        }
        self.punch(begin, until);
        self.released = until;
        for range in ended.iter().flat_map(|it| self.ranges(it)) {
            self.unpin(range.0, range.1);
        }
    }

    /// Where it fails, memory stays in use until the queue is closed.
    fn punch(&self, begin: u64, end: u64) {
        #[cfg(target_os = "linux")]
        if begin < end {
            use nix::fcntl::FallocateFlags;
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE
                | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let (begin, length) = (begin as i64, (end - begin) as i64);
            let _ = nix::fcntl::fallocate(self.data(), flags, begin, length);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (begin, end);
    }
}
