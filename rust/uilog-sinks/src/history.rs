//! The history: the user's own records on this machine, for `uilog log`.
//!
//! Responsible for one file a day in the state directory, and for limiting
//! their total size and age: the oldest are removed first. `file` writes lines.
//! Must not know who reads them.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use chrono::Days;
use chrono::NaiveDate;
use chrono::Utc;
use uilog_config::Environment;
use uilog_sys::log_file::Rotation;
use uilog_sys::own_dir;
use uilog_sys::own_dir::OwnDir;

use crate::file::Files;
use crate::globals;
use crate::globals::Globals;
use crate::record::Record;
use crate::sink::LossReport;
use crate::sink::Sink;
use crate::template::Template;

/// The directory's name, below the state directory.
const NAME: &str = "history";
/// The end of a file's name, after its day.
const ENDING: &[u8] = b".jsonl";
/// How many bytes `2026-11-30` has.
const DAY_LEN: usize = 10;
/// A day is cut into files of this part of the maximal size, so that the
/// oldest can go while the day lasts.
const PARTS: u64 = 8;
/// Old files of a day: more than the maximal size has room for.
const OLD_FILES: u32 = 4 * PARTS as u32;
/// The part of the maximum size after which old files are searched.
const LOOKS: u64 = 64;
/// Maximum number of names read from the directory: many times the expected
/// number.
const MAX_NAMES: usize = 64 * 1024;

/// The directory of the user with this environment.
pub fn dir(environment: &Environment) -> Option<PathBuf> {
    Some(globals::state(environment)?.join(NAME))
}

/// The sink.
#[derive(Debug)]
pub(crate) struct History {
    dir: PathBuf,
    files: Files,
    limits: Limits,
    /// How much had been written at the last search for old files.
    looked_at: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    max_bytes: u64,
    max_age: Duration,
}

/// The sink that writes below `dir`.
pub(crate) fn open(dir: PathBuf, globals: &Globals) -> History {
    let max_bytes = globals.history_max_bytes;
    let rotation = Rotation {
        max_bytes: (max_bytes / PARTS).max(1),
        old_files: OLD_FILES,
    };
    History {
        files: Files::rotated(Template::of_days(&dir), rotation),
        dir,
        limits: Limits {
            max_bytes,
            max_age: globals.history_max_age,
        },
        looked_at: None,
    }
}

impl Sink for History {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        deadline: Instant,
    ) -> Result<(), LossReport> {
        let result = self.files.deliver(records, deadline);
        let written = self.files.written();
        let is_due = self.looked_at.is_none_or(|before| {
            written - before >= self.limits.max_bytes / LOOKS
        });
        if !is_due {
            return result;
        }
        self.looked_at = Some(written);
        let today = Utc::now().date_naive();
        // Records are delivered nevertheless: files that cannot be removed are
        // reported without a loss.
        result.and_then(|()| {
            remove_old(&self.dir, self.limits, today).map_err(|why| {
                let dir = self.dir.display();
                LossReport {
                    count: 0,
                    reason: format!("{dir}: old files stay: {why}"),
                }
            })
        })
    }

    fn finish(&mut self, _deadline: Instant) -> Result<(), LossReport> {
        Ok(())
    }
}

/// A file of the history. They are in the order of time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Day {
    day: NaiveDate,
    /// Minus the number at the end of its name: 0 for the current file, -1 for
    /// `.1`, the newest old one.
    age: i64,
    name: OsString,
    bytes: u64,
}

/// All files of a history. Other files are left alone.
fn days(dir: &OwnDir) -> io::Result<Vec<Day>> {
    let names = dir.names(MAX_NAMES)?;
    let names =
        names.ok_or_else(|| io::Error::other("it has too many files"))?;
    let mut days = Vec::new();
    for name in names {
        let Some((day, number)) = parse(&name) else {
            continue;
        };
        // Another process may just have removed it.
        let Some(status) = dir.entry(&name)? else {
            continue;
        };
        if own_dir::is_regular(&status) {
            days.push(Day {
                day,
                age: -i64::from(number),
                name,
                bytes: u64::try_from(status.st_size).unwrap_or(0),
            });
        }
    }
    days.sort();
    Ok(days)
}

/// The day and the number in a file's name: `2026-11-30.jsonl.1`.
fn parse(name: &OsStr) -> Option<(NaiveDate, u32)> {
    let (day, rest) = name.as_bytes().split_at_checked(DAY_LEN)?;
    let day = std::str::from_utf8(day).ok()?;
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let rest = rest.strip_prefix(ENDING)?;
    let number = match rest.strip_prefix(b".") {
        None if rest.is_empty() => 0,
        None => return None,
        Some(number) => std::str::from_utf8(number).ok()?.parse().ok()?,
    };
    Some((day, number))
}

fn remove_old(dir: &Path, limits: Limits, today: NaiveDate) -> io::Result<()> {
    let dir = match OwnDir::beside_users_file(dir) {
        // Then nothing has been written there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        dir => dir?,
    };
    let max_days = limits.max_age.as_secs().div_ceil(24 * 60 * 60);
    // The wall clock may be a day fast or slow.
    let first = today.checked_sub_days(Days::new(max_days.saturating_add(1)));
    let mut all = days(&dir)?;
    let mut bytes: u64 = all.iter().map(|it| it.bytes).sum();
    // The current file is cut before it is too large, and never removed.
    all.pop();
    for file in all {
        let is_too_old = first.is_some_and(|first| file.day < first);
        if is_too_old || bytes > limits.max_bytes {
            remove(&dir, &file.name)?;
            bytes -= file.bytes;
        }
    }
    Ok(())
}

fn remove(dir: &OwnDir, name: &OsStr) -> io::Result<()> {
    match dir.remove(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The files that were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Deletes the history: all of it, or the days before `before`.
///
/// # Errors
///
/// A file cannot be removed, or the directory cannot be read.
pub fn delete(dir: &Path, before: Option<&str>) -> io::Result<Deleted> {
    let mut deleted = Deleted::default();
    let dir = match OwnDir::beside_users_file(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(deleted);
        }
        dir => dir?,
    };
    for file in days(&dir)? {
        let day = file.day.format("%Y-%m-%d").to_string();
        if before.is_none_or(|before| day.as_str() < before) {
            remove(&dir, &file.name)?;
            deleted.files += 1;
            deleted.bytes += file.bytes;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn history() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("2026-08-01.jsonl", 10),
            ("2026-11-28.jsonl", 10),
            ("2026-11-29.jsonl", 10),
            ("2026-11-29.jsonl.1", 10),
            ("2026-11-29.jsonl.2", 10),
            ("2026-11-30.jsonl", 10),
            ("notes.txt", 1000),
            ("2026-01-01.jsonl.x", 1000),
        ] {
            fs::write(dir.path().join(name), vec![b'x'; bytes]).unwrap();
        }
        dir
    }

    #[test]
    fn the_oldest_go_first_until_the_rest_is_small_and_young() {
        let dir = history();
        let limits = Limits {
            max_bytes: 30,
            max_age: Duration::from_secs(90 * 86_400),
        };
        let today = NaiveDate::from_ymd_opt(2026, 11, 30).unwrap();
        remove_old(dir.path(), limits, today).unwrap();
        let left = [
            "2026-01-01.jsonl.x",
            "2026-11-29.jsonl",
            "2026-11-29.jsonl.1",
            "2026-11-30.jsonl",
            "notes.txt",
        ];
        assert_eq!(names(dir.path()), left);
        let limits = Limits {
            max_bytes: 0,
            ..limits
        };
        remove_old(dir.path(), limits, today).unwrap();
        let left = ["2026-01-01.jsonl.x", "2026-11-30.jsonl", "notes.txt"];
        assert_eq!(names(dir.path()), left);
    }

    #[test]
    fn what_is_too_old_goes_though_there_is_room() {
        let dir = history();
        let limits = Limits {
            max_bytes: 1 << 20,
            max_age: Duration::from_secs(90 * 86_400),
        };
        let today = NaiveDate::from_ymd_opt(2026, 11, 30).unwrap();
        remove_old(dir.path(), limits, today).unwrap();
        let names = names(dir.path());
        assert!(!names.contains(&"2026-08-01.jsonl".to_owned()));
        assert_eq!(names.len(), 7);
    }

    #[test]
    fn days_are_deleted_and_other_files_are_not() {
        let dir = history();
        let some = delete(dir.path(), Some("2026-11-29")).unwrap();
        assert_eq!(
            some,
            Deleted {
                files: 2,
                bytes: 20
            }
        );
        let all = delete(dir.path(), None).unwrap();
        assert_eq!(
            all,
            Deleted {
                files: 4,
                bytes: 40
            }
        );
        assert_eq!(names(dir.path()), ["2026-01-01.jsonl.x", "notes.txt"]);
        let none = delete(&dir.path().join("x"), None).unwrap();
        assert_eq!(none, Deleted::default());
    }
}
