//! Losses as records, so that the owner of a collector need not look at each
//! machine.
//!
//! Each record has the losses since the previous one, by cause. Before sending,
//! the sender collects the losses; once the collector has accepted something,
//! it appends the record. While delivery fails, losses add up for one later
//! record. If a record of losses is itself rejected, that is not reported,
//! because it would lead to another such record.
//!
//! Knows the spool's counts and the journal. Must not know how records are
//! sent.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use chrono::Utc;
use serde_json::Map;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;
use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Journal;
use uilog_channel::sink_config;
use uilog_event::event::Timestamp;
use uilog_spool::LossCounts;
use uilog_spool::Spool;

use crate::globals::Globals;
use crate::machine;
use crate::otlp::appender::Appender;
use crate::otlp::cache_file::CacheFile;
use crate::otlp::cache_file::items;
use crate::otlp::stored::LOSS_EVENT;
use crate::record::Process;
use crate::record::Record;
use crate::record::SCHEMA;

/// The program that reports it.
const PROGRAM: &str = "uilog";

/// What was reported.
const MEMO: CacheFile = CacheFile {
    name: Cow::Borrowed("losses"),
    format: "uilog-losses 1",
    max_bytes: 4096,
};
/// How often there is a record of losses at most: a collector that rejects
/// something of each command gets no second record with each.
const INTERVAL: Duration = Duration::from_secs(60);

/// Reports losses.
#[derive(Clone, Debug)]
pub struct Reports {
    host: String,
    /// The variables that determine the journal, as a block.
    environment: Vec<u8>,
}

/// What was reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reported {
    losses: LossCounts,
    /// Microseconds of the latest failure in the journal.
    journal: i64,
    /// Microseconds of when the journal had been written when it was read.
    journal_modified: i64,
    /// The time of the report in microseconds; 0 if there was none.
    time: i64,
}

/// A record of losses that is not in the spool yet.
#[derive(Debug)]
pub struct DueReport {
    record: Record,
    after: Reported,
}

impl DueReport {
    /// Appends it. For the one who sends.
    pub fn append(self, spool: &Spool) {
        // If that cannot be saved, the same report may be sent again: it has
        // the same ID, so receivers drop it.
        if Appender::new(spool).append(&self.record).is_ok() {
            let _ = self.after.save(spool.dir());
        }
    }
}

/// How many, by cause, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Untold {
    causes: Vec<(&'static str, u64)>,
    since: Option<i64>,
}

impl Reports {
    /// Of this machine, and of the user with this environment.
    pub fn new(globals: &Globals) -> Self {
        Self {
            host: globals.host.clone(),
            environment: globals.environment_of_journal(),
        }
    }

    /// The report that is due, if there are new losses and the last report was
    /// some time ago.
    pub fn due(&self, spool: &Spool) -> Option<DueReport> {
        let now = Timestamp::now();
        let before = Reported::load(spool.dir());
        let interval = INTERVAL.as_micros() as i64;
        // A time in the future comes from a wrong clock.
        if (0..interval).contains(&(now.micros - before.time)) {
            return None;
        }
        let losses = spool.losses().ok()?;
        let journal = Journal::for_environment(&self.environment);
        let modified = journal.as_ref().map_or(0, journal_modified);
        // The journal may be long, so it is read only once.
        let failures = match journal {
            Some(journal) if modified != before.journal_modified => {
                // Lines that are written later will be in the next report.
                journal.read_lines()
            }
            _ => Vec::new(),
        };
        let (untold, after) =
            unreported(&before, losses, &failures, now.micros);
        let after = Reported {
            journal_modified: modified,
            ..after
        };
        if untold.causes.is_empty() {
            if modified != before.journal_modified {
                let known = Reported {
                    journal_modified: modified,
                    ..before
                };
                let _ = known.save(spool.dir());
            }
            return None;
        }
        let record = self.record(&before, &untold, spool.dir(), now);
        Some(DueReport { record, after })
    }

    fn record(
        &self,
        before: &Reported,
        untold: &Untold,
        spool: &Path,
        now: Timestamp,
    ) -> Record {
        let mut sum = Sha256::new();
        sum.update(format!("{LOSS_EVENT} {} {}\0", self.host, spool.display()));
        sum.update(format!("{before:?} {untold:?}"));
        let sum: String = sum.finalize()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let total: u64 = untold.causes.iter().map(|it| it.1).sum();
        let mut options = Map::new();
        let mut words = Vec::new();
        for (cause, count) in &untold.causes {
            options.insert((*cause).to_owned(), (*count).into());
            words.push(format!("{count} {}", cause.replace('_', " ")));
        }
        options.insert("total".to_owned(), total.into());
        let since = untold.since.map(|micros| {
            let offset = now.offset;
            Timestamp { micros, offset }.to_rfc3339()
        });
        let mut message = format!("lost: {}", words.join(", "));
        if let Some(since) = since {
            message.push_str(&format!("; since {since}"));
            options.insert("since".to_owned(), Value::String(since));
        }
        let sink = spool.file_name().unwrap_or_default().to_string_lossy();
        options.insert("sink".to_owned(), Value::String(sink.into_owned()));
        let executable = std::env::current_exe().unwrap_or_default();
        Record {
            id: format!("{sum}-1"),
            event: LOSS_EVENT.to_owned(),
            time: now.to_rfc3339(),
            session: sum,
            seq: 1,
            message,
            options,
            process: Process {
                pid: std::process::id(),
                executable: executable.to_string_lossy().into_owned(),
                program: Some(PROGRAM.to_owned()),
                ..Process::default()
            },
            host: machine::host(&self.host),
            ..Record::empty(SCHEMA)
        }
    }
}

/// So many of the records that the collector has rejected are reports of
/// losses, which are not reported.
pub fn forget_rejected(spool: &Spool, count: u64) {
    if count > 0 {
        let mut reported = Reported::load(spool.dir());
        reported.losses.rejected += count;
        let _ = reported.save(spool.dir());
    }
}

/// Some rejected records are sent again: if they are rejected again, that will
/// be reported.
pub fn forget_requeued(spool: &Spool) {
    let Ok(losses) = spool.losses() else {
        return;
    };
    let mut reported = Reported::load(spool.dir());
    if reported.losses.rejected > losses.rejected {
        reported.losses.rejected = losses.rejected;
        let _ = reported.save(spool.dir());
    }
}

/// Whether a record, as JSON, is one of losses.
pub fn is_report(json: &[u8]) -> bool {
    serde_json::from_slice::<Record>(json).is_ok_and(|it| {
        it.event == LOSS_EVENT && it.process.program.as_deref() == Some(PROGRAM)
    })
}

/// The time of the journal's last write; 0 if there is no journal.
fn journal_modified(journal: &Journal) -> i64 {
    let paths = [Some(journal.path().to_owned()), journal.fallback()];
    let modified = paths.into_iter().flatten().filter_map(|path| {
        let modified = path.metadata().ok()?.modified().ok()?;
        Some(DateTime::<Utc>::from(modified).timestamp_micros())
    });
    modified.max().unwrap_or(0)
}

/// The losses to report now, and the totals after that.
fn unreported(
    before: &Reported,
    losses: LossCounts,
    failures: &[Failure],
    now: i64,
) -> (Untold, Reported) {
    let mut known = before.losses;
    if losses.counts_lost > known.counts_lost {
        // The counts have restarted.
        known = LossCounts {
            counts_lost: known.counts_lost,
            ..LossCounts::default()
        };
    }
    let mut causes = vec![
        ("evicted", losses.evicted.saturating_sub(known.evicted)),
        ("rejected", losses.rejected.saturating_sub(known.rejected)),
        ("damaged", losses.damaged.saturating_sub(known.damaged)),
        (
            "counts_begun_anew",
            losses.counts_lost.saturating_sub(known.counts_lost),
        ),
    ];
    let mut journal = before.journal;
    let mut since = Some(before.time).filter(|it| *it != 0);
    for failure in failures {
        let time = DateTime::parse_from_rfc3339(&failure.time);
        let micros = time.map_or(0, |it| it.timestamp_micros());
        if failure.lost == 0 || micros <= before.journal {
            continue;
        }
        journal = journal.max(micros);
        since = Some(since.unwrap_or(micros).min(micros));
        let cause = cause(failure);
        match causes.iter_mut().find(|it| it.0 == cause) {
            Some((_, count)) => *count += failure.lost,
            None => causes.push((cause, failure.lost)),
        }
    }
    causes.retain(|it| it.1 > 0);
    let after = Reported {
        losses,
        journal,
        journal_modified: before.journal_modified,
        time: now,
    };
    (Untold { causes, since }, after)
}

/// What a loss in the journal was.
fn cause(failure: &Failure) -> &'static str {
    let prefix = format!("{}.{}", sink_config::SECTION, sink_config::PREFIX);
    match failure.kind {
        // As the dispatcher says it of sinks.
        _ if failure.detail.starts_with(&prefix) => "undelivered",
        FailureKind::NotStarted
        | FailureKind::Failed
        | FailureKind::TimedOut => "scripts_not_run",
        _ => "events_lost",
    }
}

impl Reported {
    /// None, if the file is damaged: reporting twice is better.
    fn load(spool: &Path) -> Self {
        let mut reported = Self::default();
        let lines = MEMO.read(spool).unwrap_or_default();
        for (key, value) in items(&lines) {
            let count = || value.parse().unwrap_or(0);
            let time = || value.parse().unwrap_or(0);
            match key {
                "evicted" => reported.losses.evicted = count(),
                "rejected" => reported.losses.rejected = count(),
                "damaged" => reported.losses.damaged = count(),
                "counts-lost" => reported.losses.counts_lost = count(),
                "journal" => reported.journal = time(),
                "journal-modified" => reported.journal_modified = time(),
                "time" => reported.time = time(),
                _ => {}
            }
        }
        reported
    }

    fn save(&self, spool: &Path) -> io::Result<()> {
        let LossCounts {
            evicted,
            rejected,
            damaged,
            counts_lost,
        } = self.losses;
        let lines = format!(
            "evicted {evicted}\nrejected {rejected}\n\
             damaged {damaged}\ncounts-lost {counts_lost}\n\
             journal {}\njournal-modified {}\ntime {}\n",
            self.journal, self.journal_modified, self.time,
        );
        MEMO.write(spool, &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(time: &str, kind: FailureKind, detail: &str) -> Failure {
        Failure {
            time: time.to_owned(),
            ..Failure::now(String::new(), b"x", kind, 3, detail.to_owned())
        }
    }

    #[test]
    fn what_is_told_is_not_told_again() {
        let losses = LossCounts {
            evicted: 5,
            rejected: 2,
            ..LossCounts::default()
        };
        let failures = [
            failure(
                "2026-01-02T03:04:05.000006+00:00",
                FailureKind::Lost,
                "the queue is full",
            ),
            failure(
                "2026-01-02T04:04:06.000006+01:00",
                FailureKind::Lost,
                "uilog.sink.lines: no space",
            ),
        ];
        let (told, after) =
            unreported(&Reported::default(), losses, &failures, 77);
        let causes = [
            ("evicted", 5),
            ("rejected", 2),
            ("events_lost", 3),
            ("undelivered", 3),
        ];
        assert_eq!(told.causes, causes);
        assert_eq!(told.since, Some(1_767_323_045_000_006));
        let (again, _) = unreported(&after, losses, &failures, 78);
        assert_eq!(again.causes, []);
        let more = LossCounts {
            evicted: 6,
            ..losses
        };
        let (more, _) = unreported(&after, more, &failures, 78);
        assert_eq!(more.causes, [("evicted", 1)]);
        assert_eq!(more.since, Some(77));
        // Counts that have begun anew.
        let anew = LossCounts {
            rejected: 1,
            counts_lost: 1,
            ..LossCounts::default()
        };
        let (anew, _) = unreported(&after, anew, &failures, 78);
        assert_eq!(anew.causes, [("rejected", 1), ("counts_begun_anew", 1)]);
    }

    #[test]
    fn what_has_been_told_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Reported::load(dir.path()), Reported::default());
        let reported = Reported {
            losses: LossCounts {
                evicted: 1,
                rejected: 2,
                damaged: 3,
                counts_lost: 4,
            },
            journal: 5,
            journal_modified: 6,
            time: 7,
        };
        reported.save(dir.path()).unwrap();
        assert_eq!(Reported::load(dir.path()), reported);
        std::fs::write(dir.path().join(&*MEMO.name), "x").unwrap();
        assert_eq!(Reported::load(dir.path()), Reported::default());
    }
}
