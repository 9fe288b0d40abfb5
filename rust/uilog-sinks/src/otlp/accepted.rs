//! What an endpoint has accepted: without that evidence, no refused record is
//! rejected.
//!
//! A web server, a proxy or a login page may answer 400 to everything, which
//! says nothing about the records. An endpoint that has accepted records with
//! the very same settings speaks OTLP, so a refusal may concern the record. But
//! an endpoint may change, so on the evidence of earlier records only a few are
//! rejected until it accepts something again.
//!
//! The evidence is in a small file for each signal in the spool's directory,
//! which only the sender writes. If it is damaged or missing, records wait.

use std::path::Path;

use crate::otlp::cache_file::CacheFile;
use crate::otlp::cache_file::items;
use crate::otlp::request::SignalType;

/// Records that are rejected at most while nothing is accepted.
const MAX_REJECTED: u64 = 16;

/// What an endpoint has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// With which settings it accepted something: their fingerprint.
    settings: Option<u64>,
    /// Records that have been rejected since.
    rejected: u64,
}

impl Accepted {
    /// The state of a signal's endpoint.
    pub fn load(spool: &Path, kind: SignalType) -> Self {
        let mut known = Self::default();
        let lines = memo(kind).read(spool).unwrap_or_default();
        for (key, value) in items(&lines) {
            match key {
                "settings" => {
                    known.settings = u64::from_str_radix(value, 16).ok();
                }
                // An invalid value counts as more than the maximum.
                "rejected" => {
                    known.rejected = value.parse().unwrap_or(u64::MAX)
                }
                _ => {}
            }
        }
        known
    }

    /// Whether it has accepted anything, with any settings.
    pub fn is_any(&self) -> bool {
        self.settings.is_some()
    }

    /// Whether it has accepted anything with these settings.
    pub fn has_accepted(&self, settings: u64) -> bool {
        self.settings == Some(settings)
    }

    /// It has accepted something.
    pub fn note(&mut self, spool: &Path, kind: SignalType, settings: u64) {
        let now = Self {
            settings: Some(settings),
            rejected: 0,
        };
        if *self != now {
            *self = now;
            self.save(spool, kind);
        }
    }

    /// Whether so many records may be rejected although it has accepted
    /// nothing else meanwhile; if so, they are counted.
    pub fn may_reject(
        &mut self,
        spool: &Path,
        kind: SignalType,
        settings: u64,
        count: u64,
    ) -> bool {
        let rejected = self.rejected.saturating_add(count);
        let may = self.has_accepted(settings) && rejected <= MAX_REJECTED;
        if may {
            self.rejected = rejected;
            self.save(spool, kind);
        }
        may
    }

    /// If it cannot be written, the next process has less to compare with, and
    /// rejects less.
    fn save(&self, spool: &Path, kind: SignalType) {
        let Some(settings) = self.settings else {
            return;
        };
        let rejected = self.rejected;
        let lines = format!("settings {settings:016x}\nrejected {rejected}\n");
        let _ = memo(kind).write(spool, &lines);
    }
}

fn memo(kind: SignalType) -> CacheFile {
    CacheFile {
        name: format!("accepted-{}", kind.name()).into(),
        format: "uilog-accepted 1",
        max_bytes: 4096,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_has_been_accepted_is_known_to_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let load = |kind| Accepted::load(dir.path(), kind);
        let mut known = load(SignalType::Logs);
        assert!(!known.has_accepted(7));
        assert!(!known.may_reject(dir.path(), SignalType::Logs, 7, 1));
        known.note(dir.path(), SignalType::Logs, 7);
        assert!(load(SignalType::Logs).has_accepted(7));
        // With other settings it has not, and no other signal's has.
        assert!(!load(SignalType::Logs).has_accepted(8));
        assert!(!load(SignalType::Traces).has_accepted(7));
    }

    #[test]
    fn only_a_few_are_rejected_while_nothing_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let (path, kind) = (dir.path(), SignalType::Traces);
        Accepted::default().note(path, kind, 7);
        let may =
            |count| Accepted::load(path, kind).may_reject(path, kind, 7, count);
        assert!(may(MAX_REJECTED - 1));
        assert!(!may(2));
        assert!(may(1));
        assert!(!may(1));
        Accepted::load(path, kind).note(path, kind, 7);
        assert!(may(1));
        for damaged in ["", "x", "uilog-accepted 1\nsettings x\n"] {
            fs::write(path.join("accepted-traces"), damaged).unwrap();
            assert!(!may(1), "{damaged}");
        }
    }
}
