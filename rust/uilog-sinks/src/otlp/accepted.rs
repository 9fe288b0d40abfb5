//! What an endpoint has accepted: the evidence without which nothing that it
//! refuses is rejected.
//!
//! A web server, a proxy or a page to log in may answer 400 to everything, and
//! that says nothing about the records. An endpoint that has accepted records
//! with the very same settings takes OTLP; then it may be the record that it
//! refuses. But an endpoint may change: so only a few records are rejected on
//! what it accepted earlier, without its accepting anything in between.
//!
//! A small file for each signal in the spool's directory has it, which only
//! the one sender writes. If it is damaged or absent, records wait.

use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::path::Path;

use nix::fcntl::OFlag;
use uilog_sys::own_dir::OwnDir;

use crate::otlp::request::Kind;

const FILE_MODE: u32 = 0o600;
/// Its first line.
const FORMAT: &str = "uilog-accepted 1";
/// Bytes of it that are read.
const MAX_BYTES: u64 = 4096;
/// Records that are rejected at most while nothing is accepted.
const MAX_REJECTED: u64 = 16;

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// With which settings it accepted something: their fingerprint.
    settings: Option<u64>,
    /// Records that have been rejected since.
    rejected: u64,
}

impl Accepted {
    /// What is known of the endpoint of a signal.
    pub fn load(spool: &Path, kind: Kind) -> Self {
        let Ok(text) = read(spool, kind) else {
            return Self::default();
        };
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return Self::default();
        }
        let mut known = Self::default();
        for (key, value) in lines.filter_map(|line| line.split_once(' ')) {
            match key {
                "settings" => {
                    known.settings = u64::from_str_radix(value, 16).ok();
                }
                // What makes no sense is more than may be.
                "rejected" => {
                    known.rejected = value.parse().unwrap_or(u64::MAX)
                }
                _ => {}
            }
        }
        known
    }

    /// Whether it has accepted anything, with whatever settings.
    pub fn is_any(&self) -> bool {
        self.settings.is_some()
    }

    /// Whether it has accepted anything with these settings.
    pub fn has_accepted(&self, settings: u64) -> bool {
        self.settings == Some(settings)
    }

    /// It has accepted something.
    pub fn note(&mut self, spool: &Path, kind: Kind, settings: u64) {
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
        kind: Kind,
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

    /// If it cannot be written, the next process knows less, and rejects less.
    fn save(&self, spool: &Path, kind: Kind) {
        let Some(settings) = self.settings else {
            return;
        };
        let text = format!(
            "{FORMAT}\nsettings {settings:016x}\nrejected {}\n",
            self.rejected
        );
        let _ = OwnDir::beside_users_file(spool).and_then(|dir| {
            let (file, new) = (name(kind, ""), name(kind, ".new"));
            dir.replace(&file, &new, FILE_MODE, text.as_bytes())
        });
    }
}

fn name(kind: Kind, suffix: &str) -> OsString {
    format!("accepted-{}{suffix}", kind.name()).into()
}

/// What the file says. A link is not followed, a FIFO not waited for.
fn read(spool: &Path, kind: Kind) -> io::Result<String> {
    let dir = OwnDir::beside_users_file(spool)?;
    let file = dir.open(&name(kind, ""), OFlag::O_RDONLY)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_has_been_accepted_is_known_to_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let load = |kind| Accepted::load(dir.path(), kind);
        let mut known = load(Kind::Logs);
        assert!(!known.has_accepted(7));
        assert!(!known.may_reject(dir.path(), Kind::Logs, 7, 1));
        known.note(dir.path(), Kind::Logs, 7);
        assert!(load(Kind::Logs).has_accepted(7));
        // With other settings it has not, and no other signal's has.
        assert!(!load(Kind::Logs).has_accepted(8));
        assert!(!load(Kind::Traces).has_accepted(7));
    }

    #[test]
    fn only_a_few_are_rejected_while_nothing_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let (path, kind) = (dir.path(), Kind::Traces);
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
