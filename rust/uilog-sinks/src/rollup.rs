//! Rollups: one record with sums instead of one for the end of each command.
//!
//! Responsible for the sums of one sink, for the maximum number of rows, and
//! for when they are sent. A command is in exactly one row, so the sum of all
//! `commands` is the number of commands. Must not know which commands are
//! summed up, or how a record is delivered.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use sha2::Digest;
use sha2::Sha256;
use uilog_event::event::SessionId;
use uilog_event::event::Timestamp;

use crate::record::Histogram;
use crate::record::Record;
use crate::record::Rollup as Sums;
use crate::rfc3339::time;

/// The event of such a record.
pub(crate) const EVENT: &str = "commandrollup";

/// How long commands are added up before that is sent.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of commands in a sum: until the sum has been sent, they take
/// up room in their queues.
const MAX_COMMANDS: u64 = 512;
/// Rows at most, besides the one of all other commands.
const MAX_ROWS: usize = 32;

/// Upper limits of the buckets in seconds; one more bucket counts longer
/// commands. OpenTelemetry: semantic-conventions/docs/http/http-metrics.md, the
/// advice for durations
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
    10.0,
];

/// The end of a command, as far as it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'e> {
    pub(crate) session: SessionId,
    pub(crate) seq: u64,
    /// Its full name.
    pub(crate) name: &'e [u8],
    pub(crate) root: Option<&'e [u8]>,
    pub(crate) user: Option<&'e [u8]>,
    pub(crate) time: Timestamp,
    /// In seconds.
    pub(crate) duration: Option<f64>,
    pub(crate) is_failure: bool,
}

impl Command<'_> {
    /// A hash of its ID.
    fn hash(&self) -> u128 {
        let mut hash = Sha256::new();
        hash.update(self.session.0.to_le_bytes());
        hash.update(self.seq.to_le_bytes());
        let sum = hash.finalize();
        u128::from_le_bytes(std::array::from_fn(|at| sum[at]))
    }
}

/// What the commands of a row have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: Vec<u8>,
    root: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Row {
    /// What the record says besides.
    record: Record,
    /// The IDs of its commands, in any order: the same commands make the same
    /// record.
    ids: u128,
    commands: u64,
    failures: u64,
    first: Timestamp,
    last: Timestamp,
    durations: Durations,
}

/// The sums of a sink.
#[derive(Debug, Default)]
pub(crate) struct Rollup {
    rows: BTreeMap<Key, Row>,
    /// The row of all other commands.
    others: Option<Row>,
    commands: u64,
    since: Option<Instant>,
}

impl Rollup {
    /// Counts a command; `record` makes the record of a new row.
    pub(crate) fn add(
        &mut self,
        command: &Command<'_>,
        record: impl FnOnce() -> Record,
    ) {
        let key = Key {
            name: command.name.to_vec(),
            root: command.root.map(<[u8]>::to_vec),
            user: command.user.map(<[u8]>::to_vec),
        };
        let is_full = self.rows.len() >= MAX_ROWS;
        let row = if is_full && !self.rows.contains_key(&key) {
            self.others.get_or_insert_with(|| {
                let mut record = record();
                record.process.command = None;
                record.process.user = None;
                record.process.uid = None;
                record.repository = None;
                Row::new(record, command.time)
            })
        } else {
            let new = || Row::new(record(), command.time);
            self.rows.entry(key).or_insert_with(new)
        };
        row.add(command);
        self.commands += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// When they must be sent.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.commands >= MAX_COMMANDS {
            true => self.since,
            false => self.since.map(|it| it + WINDOW),
        }
    }

    /// The records of all rows; then the rows restart.
    pub(crate) fn take(&mut self) -> Vec<Record> {
        self.commands = 0;
        self.since = None;
        let rows = std::mem::take(&mut self.rows).into_values();
        let named = rows.map(|row| row.finish(false));
        let others = self.others.take().map(|row| row.finish(true));
        named.chain(others).collect()
    }
}

impl Row {
    fn new(record: Record, time: Timestamp) -> Self {
        Self {
            record,
            ids: 0,
            commands: 0,
            failures: 0,
            first: time,
            last: time,
            durations: Durations::default(),
        }
    }

    fn add(&mut self, command: &Command<'_>) {
        self.ids ^= command.hash();
        self.commands += 1;
        self.failures += u64::from(command.is_failure);
        if command.time.micros < self.first.micros {
            self.first = command.time;
        }
        if command.time.micros > self.last.micros {
            self.last = command.time;
        }
        if let Some(seconds) = command.duration {
            self.durations.add(seconds);
        }
    }

    fn finish(self, is_others: bool) -> Record {
        const SEQ: u64 = 1;

        let Self {
            commands, failures, ..
        } = self;
        let session = SessionId(self.ids);
        let name = self.record.process.command.as_deref();
        let name = name.unwrap_or("other commands");
        let plural = if commands == 1 { "" } else { "s" };
        Record {
            id: format!("{session}-{SEQ}"),
            event: EVENT.to_owned(),
            time: time(self.last),
            session: session.to_string(),
            seq: SEQ,
            message: format!(
                "{name}: {commands} command{plural}, {failures} failed"
            ),
            rollup: Some(Sums {
                commands,
                failures,
                since: time(self.first),
                is_others,
                duration: self.durations.histogram(),
            }),
            ..self.record
        }
    }
}

/// How long commands took.
#[derive(Clone, Debug, Default)]
struct Durations {
    count: u64,
    sum: f64,
    range: Option<(f64, f64)>,
    buckets: [u64; BOUNDS.len() + 1],
}

impl Durations {
    fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        let (min, max) = self.range.unwrap_or((seconds, seconds));
        self.range = Some((min.min(seconds), max.max(seconds)));
        // OpenTelemetry: a bound belongs to the bucket below it.
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket] += 1;
    }

    /// `None` if nothing was counted.
    fn histogram(&self) -> Option<Histogram> {
        let (min, max) = self.range?;
        Some(Histogram {
            count: self.count,
            sum: self.sum,
            min,
            max,
            explicit_bounds: BOUNDS.to_vec(),
            bucket_counts: self.buckets.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::SCHEMA;

    fn command(name: &[u8], micros: i64) -> Command<'_> {
        Command {
            session: SessionId(7),
            seq: micros as u64,
            name,
            root: Some(b"/r"),
            user: None,
            time: Timestamp { micros, offset: 0 },
            duration: Some(0.02),
            is_failure: false,
        }
    }

    fn record(name: &str) -> Record {
        let mut record = Record::empty(SCHEMA);
        record.process.command = Some(name.to_owned());
        record
    }

    #[test]
    fn each_command_of_each_repository_has_a_row() {
        let mut rollup = Rollup::default();
        assert_eq!(rollup.due(), None);
        rollup.add(&command(b"status", 5), || record("status"));
        rollup.add(&command(b"status", 3), || unreachable!());
        let elsewhere = Command {
            root: None,
            is_failure: true,
            ..command(b"status", 4)
        };
        rollup.add(&elsewhere, || record("status"));
        rollup.add(&command(b"identify", 9), || record("identify"));
        assert_eq!(rollup.commands, 4);
        assert!(rollup.due().unwrap() > Instant::now());
        let records = rollup.take();
        let found: Vec<_> = records
            .iter()
            .map(|it| {
                let sums = it.rollup.as_ref().unwrap();
                let name = it.process.command.as_deref().unwrap();
                (name, sums.commands, sums.failures)
            })
            .collect();
        let expected = [("identify", 1, 0), ("status", 1, 1), ("status", 2, 0)];
        assert_eq!(found, expected);
        let status = &records[2];
        assert_eq!(status.message, "status: 2 commands, 0 failed");
        assert_eq!(status.time, "1970-01-01T00:00:00.000005+00:00");
        let sums = status.rollup.as_ref().unwrap();
        assert_eq!(sums.since, "1970-01-01T00:00:00.000003+00:00");
        assert_eq!((rollup.commands, rollup.due()), (0, None));
        // The same commands have the same id, others another one.
        for (all, is_same) in [([3, 5], true), ([3, 6], false)] {
            for at in all {
                rollup.add(&command(b"status", at), || record("status"));
            }
            assert_eq!(rollup.take()[0].id == status.id, is_same);
        }
    }

    #[test]
    fn it_is_due_before_its_time_if_it_holds_much() {
        let mut rollup = Rollup::default();
        for _ in 1..MAX_COMMANDS {
            rollup.add(&command(b"status", 0), || record("status"));
        }
        assert!(rollup.due().unwrap() > Instant::now());
        rollup.add(&command(b"status", 0), || record("status"));
        assert!(rollup.due().unwrap() <= Instant::now());
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let mut durations = Durations::default();
        assert_eq!(durations.histogram(), None);
        for seconds in [0.0, 0.005, 0.006, 10.0, 10.5] {
            durations.add(seconds);
        }
        let histogram = durations.histogram().unwrap();
        let counts = &histogram.bucket_counts;
        assert_eq!((counts[0], counts[1]), (2, 1));
        assert_eq!(counts[13..], [1, 1]);
        assert_eq!((histogram.min, histogram.max), (0.0, 10.5));
        assert_eq!(histogram.count, 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However many rows there would be, no command is lost or counted
        /// twice, and there are never more rows than there may be.
        #[test]
        fn the_sums_are_the_commands(
            names in prop::collection::vec((0_u8..60, any::<bool>()), 0..400),
        ) {
            let mut rollup = Rollup::default();
            for (name, is_failure) in &names {
                let bytes = [*name];
                let one = Command {
                    is_failure: *is_failure,
                    ..command(&bytes, 0)
                };
                rollup.add(&one, || record("x"));
            }
            let records = rollup.take();
            prop_assert!(records.len() <= MAX_ROWS + 1);
            let sums: Vec<_> =
                records.iter().map(|it| it.rollup.clone().unwrap()).collect();
            let commands: u64 = sums.iter().map(|it| it.commands).sum();
            prop_assert_eq!(commands, names.len() as u64);
            let failures: u64 = sums.iter().map(|it| it.failures).sum();
            let expected = names.iter().filter(|it| it.1).count() as u64;
            prop_assert_eq!(failures, expected);
            let others = sums.iter().filter(|it| it.is_others).count();
            let different: std::collections::BTreeSet<_> =
                names.iter().map(|it| it.0).collect();
            prop_assert_eq!(others, usize::from(different.len() > MAX_ROWS));
            for sum in sums {
                let histogram = sum.duration.unwrap();
                let counted: u64 = histogram.bucket_counts.iter().sum();
                prop_assert_eq!(counted, sum.commands);
            }
        }
    }
}
