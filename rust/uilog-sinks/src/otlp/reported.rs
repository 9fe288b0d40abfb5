//! Which problems with a sink's settings were reported recently.
//!
//! Otherwise every command would report them again, and fill the journal, which
//! is small, so that losses would be removed from it. A small file in the
//! spool's directory remembers them across processes. If it is damaged, missing
//! or cannot be written, a problem is reported once more. Must not know the
//! journal, or what the problems are.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::otlp::cache_file::CacheFile;
use crate::otlp::cache_file::items;

/// Each line is a time in milliseconds and a text.
const MEMO: CacheFile = CacheFile {
    name: Cow::Borrowed("reported"),
    format: "uilog-reported 1",
    max_bytes: 64 * 1024,
};
/// Texts that are remembered.
const MAX_TEXTS: usize = 16;
/// How long a report holds: `uilog check` shows those of the last 24 hours.
const HOLDS: Duration = Duration::from_secs(12 * 60 * 60);

/// Whether this must be reported now; then it is stored as reported.
pub(crate) fn is_due(spool: &Path, text: &str, now: SystemTime) -> bool {
    let text = text.replace(char::is_control, " ");
    let known = MEMO.read(spool).unwrap_or_default();
    let mut reports: Vec<(u64, &str)> = items(&known)
        .filter_map(|(at, text)| Some((at.parse().ok()?, text)))
        .filter(|(at, _)| holds(*at, now))
        .collect();
    if reports.iter().any(|it| it.1 == text) {
        return false;
    }
    let first = (reports.len() + 1).saturating_sub(MAX_TEXTS);
    reports.drain(..first);
    reports.push((millis(now), &text));
    let lines: String = reports
        .iter()
        .map(|(at, text)| format!("{at} {text}\n"))
        .collect();
    // If it cannot be written, it is reported again.
    let _ = MEMO.write(spool, &lines);
    true
}

/// A time of the future is a clock's mistake.
fn holds(at: u64, now: SystemTime) -> bool {
    let age = millis(now).checked_sub(at).map(Duration::from_millis);
    age.is_some_and(|age| age < HOLDS)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_same_is_reported_twice_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path();
        let start = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let due = |text: &str, minutes: u64| {
            let now = start + Duration::from_secs(60 * minutes);
            is_due(spool, text, now)
        };
        assert!(due("a\nb", 0));
        assert!(!due("a\nb", 1));
        // Each of several, in turn.
        assert!(due("c", 2));
        assert!(!due("a\nb", 3) && !due("c", 3));
        assert!(due("a\nb", 12 * 60));
        assert!(!due("c", 12 * 60));
        // The clock has gone back.
        let before = start - Duration::from_secs(1);
        assert!(is_due(spool, "c", before));
        for number in 0..100 {
            assert!(due(&number.to_string(), 13 * 60), "{number}");
        }
        let text = fs::read_to_string(spool.join(&*MEMO.name)).unwrap();
        assert_eq!(text.lines().count(), 1 + MAX_TEXTS);
        fs::write(spool.join(&*MEMO.name), "damaged").unwrap();
        assert!(due("99", 13 * 60));
    }

    #[test]
    fn what_cannot_be_remembered_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(&*MEMO.name);
        fs::create_dir(&file).unwrap();
        for _ in 0..2 {
            assert!(is_due(dir.path(), "a", SystemTime::now()));
        }
        assert!(file.is_dir());
    }
}
