//! The records of a queue that were read and may still be needed: numbers and
//! positions.
//!
//! Responsible for which of them are done, and which wait for nothing but a
//! rollup. Must not know queues or sinks.

use std::collections::VecDeque;

/// Set in the position of a record that is not needed any more.
const DONE: u64 = 1 << 63;

/// All records up to the last one that is still needed.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    positions: VecDeque<u64>,
    /// The number of the first of them.
    first: u32,
    /// How many of them are needed.
    needed: usize,
    /// How many of those wait for nothing but for a rollup to be sent.
    held: usize,
}

impl Outstanding {
    /// Adds the record at this position; returns its number.
    pub(crate) fn push(&mut self, position: u64) -> u32 {
        let index = self.positions.len() as u32;
        let number = self.first.wrapping_add(index);
        self.positions.push_back(position);
        self.needed += 1;
        number
    }

    /// The record of this number is not needed any more. Returns how many have
    /// been removed: those before the oldest one that is needed.
    pub(crate) fn done(&mut self, number: u32) -> u64 {
        let index = self.index(number);
        if let Some(position) = self.positions.get_mut(index) {
            self.needed -= usize::from(*position & DONE == 0);
            *position |= DONE;
        }
        let mut removed = 0;
        while self.positions.front().is_some_and(|it| it & DONE != 0) {
            self.positions.pop_front();
            self.first = self.first.wrapping_add(1);
            removed += 1;
        }
        if self.positions.is_empty() {
            // It may have been a hundred thousand.
            self.positions.shrink_to(16);
        }
        removed
    }

    /// A rollup counts one of the records, which stays until the rollup has
    /// been sent.
    pub(crate) fn hold(&mut self) {
        self.held += 1;
    }

    /// The same record is not needed any more. Returns what [`Self::done`]
    /// does.
    pub(crate) fn release(&mut self, number: u32) -> u64 {
        self.held = self.held.saturating_sub(1);
        self.done(number)
    }

    /// Whether a record waits for a rollup.
    pub(crate) fn has_held(&self) -> bool {
        self.held > 0
    }

    /// Whether no record is on its way, except for those that wait for a
    /// rollup.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.needed <= self.held
    }

    /// The position of the record of this number.
    pub(crate) fn position(&self, number: u32) -> Option<u64> {
        self.positions.get(self.index(number)).map(|it| it & !DONE)
    }

    /// The position of the oldest record that is needed.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.positions.front().copied()
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    fn index(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
    }
}
