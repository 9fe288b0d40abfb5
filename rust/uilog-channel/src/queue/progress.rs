//! The counts that each end publishes: committed frames, the running command,
//! finished jobs.
//!
//! Must not know how an end counts.

use std::fs::File;
use std::io;

use super::layout::READER_AT;
use super::layout::TOLD_AT;
use super::layout::read_words;

/// Where [`OpenCommand::depth`] begins in the word of the running command.
const DEPTH_SHIFT: u32 = 48;

/// Whether logged events have reached their sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It may still.
    Pending,
    /// Each receiver has it, and has answered if it answers at all; or it is
    /// lost, and counted.
    Done,
    /// Part of it stays in the queue for a later command, because a receiver
    /// accepts nothing now.
    Deferred,
}

impl Delivery {
    /// Combines the states of two parts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Pending, _) | (_, Self::Pending) => Self::Pending,
            (Self::Deferred, _) | (_, Self::Deferred) => Self::Deferred,
            (Self::Done, Self::Done) => Self::Done,
        }
    }
}

/// What the writer has committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The position after the last whole frame.
    pub end: u64,
    /// How many jobs there are among the frames: scripts and records.
    pub jobs: u64,
}

/// The innermost command that has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCommand {
    /// The position of its frame.
    pub at: u64,
    /// The number of running commands, nested ones included.
    pub depth: u16,
}

impl OpenCommand {
    pub(super) fn word(self) -> u64 {
        u64::from(self.depth) << DEPTH_SHIFT | self.at
    }

    /// What a word of the page, or of a frame within another one, says.
    pub fn of(word: u64) -> Option<Self> {
        let at = word & ((1 << DEPTH_SHIFT) - 1);
        let depth = (word >> DEPTH_SHIFT) as u16;
        (at != 0).then_some(Self { at, depth })
    }
}

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What the reader has done so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Progress {
            $($(#[$meta])* pub $name: u64,)*
            /// Reported losses: events whose scripts were not started, and lost
            /// records. Only [`ReportedLosses`](super::ReportedLosses) writes it.
            pub told: u64,
        }

        impl Progress {
            const WORDS: usize = [$(stringify!($name)),*].len();

            pub(super) fn to_words(self) -> [u64; Self::WORDS] {
                [$(self.$name),*]
            }

            fn from_words(words: [u64; Self::WORDS], told: u64) -> Self {
                let [$($name),*] = words;
                Self { $($name,)* told }
            }
        }
    };
}

words! {
    /// The first frame whose scripts have not been claimed. Scripts of earlier
    /// frames are never run again, even if they were not started.
    scripts_at,
    /// Jobs that have been read from the queue, scripts and records.
    taken,
    /// Scripts started.
    started,
    /// Scripts that ended with status 0.
    succeeded,
    /// Scripts that failed by themselves.
    failed,
    /// Scripts that could not be started.
    not_started,
    /// Scripts ended by the time limit.
    timed_out,
    /// The reader has refused the writer's protocol: its own version. This
    /// stays in its place in every version, for the writer to find it.
    refused_by,
    /// How many readers have begun to serve the queue.
    readers,
    /// Scripts read from the queue.
    scripts,
    /// The first frame whose record is not finished by every sink. The next
    /// reader delivers from there.
    records_at,
    /// Records before `records_at`: each sink has finished them or has given
    /// them up.
    records,
    /// Records that did not arrive, once for each sink that they were for.
    records_lost,
    /// Records before `records_at` that a sink which does not move has in
    /// hand: they are lost if the reader dies.
    at_risk,
    /// The last environment before `scripts_at` and `records_at`, 0 if there is
    /// none: later frames may refer to it.
    environment_at,
    /// The last items before both, 0 if there are none.
    items_at,
    /// Scripts that have been started, but whose end no reader will see: the
    /// reader that has started them ended before them.
    unseen,
}

impl Progress {
    /// Jobs whose result is known.
    pub fn done(&self) -> u64 {
        let scripts = self.started.saturating_add(self.not_started);
        scripts.saturating_add(self.records)
    }

    /// Losses that are not in the journal, and that no other process will
    /// report if the reader has died.
    pub fn unreported(&self) -> u64 {
        let lost = self.records_lost.saturating_add(self.not_started);
        lost.saturating_sub(self.told).saturating_add(self.at_risk)
    }

    /// Scripts that were claimed, and may have been started or not, if the
    /// reader has died.
    pub fn uncertain(&self) -> u64 {
        let settled = self.started.saturating_add(self.not_started);
        self.scripts.saturating_sub(settled)
    }

    /// Scripts that have been started and whose end may still be seen.
    pub fn running(&self) -> u64 {
        let ended = [self.succeeded, self.failed, self.timed_out, self.unseen];
        let ended = ended.into_iter().fold(0, u64::saturating_add);
        self.started.saturating_sub(ended)
    }

    /// What two readers of two queues have done together; positions mean
    /// nothing then.
    pub fn plus(self, other: Self) -> Self {
        let mut sum = self.to_words();
        for (sum, more) in sum.iter_mut().zip(other.to_words()) {
            *sum = sum.saturating_add(more);
        }
        Self::from_words(sum, self.told.saturating_add(other.told))
    }

    pub(super) fn read(file: &File) -> io::Result<Self> {
        const ALL: usize = ((TOLD_AT - READER_AT) / 8 + 1) as usize;
        let words: [u64; ALL] = read_words(file, READER_AT)?;
        Ok(Self::from_all(&words))
    }

    /// From all words, from the first one to `told`.
    pub(super) fn from_all(words: &[u64]) -> Self {
        let mut own = [0; Self::WORDS];
        for (own, word) in own.iter_mut().zip(words) {
            *own = *word;
        }
        Self::from_words(own, words.last().copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No sum of some of these is a sum of others.
    fn progress() -> Progress {
        Progress {
            started: 1 << 20,
            not_started: 1 << 19,
            records: 1 << 18,
            scripts: 1 << 21,
            records_lost: 1 << 8,
            at_risk: 1 << 7,
            told: 1 << 6,
            succeeded: 1 << 5,
            failed: 1 << 4,
            timed_out: 1 << 3,
            unseen: 1 << 2,
            ..Progress::default()
        }
    }

    #[test]
    fn what_is_done_lost_or_running_follows_from_the_words() {
        let it = progress();
        assert_eq!(it.done(), it.started + it.not_started + it.records);
        let lost = it.records_lost + it.not_started;
        assert_eq!(it.unreported(), lost - it.told + it.at_risk);
        let claimed = it.scripts - it.started;
        assert_eq!(it.uncertain(), claimed - it.not_started);
        let ended = it.succeeded + it.failed + it.timed_out + it.unseen;
        assert_eq!(it.running(), it.started - ended);
    }

    #[test]
    fn what_two_readers_have_done_is_added_word_by_word() {
        let (one, none) = (progress(), Progress::default());
        assert_eq!(one.plus(none), one);
        let sum = one.plus(one);
        assert_eq!(sum.to_words(), one.to_words().map(|word| 2 * word));
        assert_eq!(sum.told, 2 * one.told);
    }

    #[test]
    fn a_whole_is_delivered_as_its_worst_part() {
        use Delivery::Deferred;
        use Delivery::Done;
        use Delivery::Pending;
        let order = [Done, Deferred, Pending];
        for (worse, one) in order.into_iter().enumerate() {
            for (other, two) in order.into_iter().enumerate() {
                assert_eq!(one.and(two), order[worse.max(other)]);
            }
        }
    }

    #[test]
    fn a_running_command_is_read_as_it_was_written() {
        for depth in [0, 1, u16::MAX] {
            let command = OpenCommand { at: 4096, depth };
            assert_eq!(OpenCommand::of(command.word()), Some(command));
            let none = OpenCommand { at: 0, depth };
            assert_eq!(OpenCommand::of(none.word()), None);
        }
    }
}
