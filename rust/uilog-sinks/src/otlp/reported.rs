//! Which trouble with a sink's settings has been reported of late.
//!
//! Every command would report it again, and the journal has little room: what
//! was lost would be pushed out of it by a variable that is ignored. A small
//! file in the spool's directory remembers it across processes. It is no more
//! than advice: if it is damaged, absent or cannot be written, the trouble is
//! reported once more. Knows neither the journal nor what the trouble is.

use std::ffi::OsStr;
use std::io;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::fcntl::OFlag;
use uilog_sys::own_dir::OwnDir;

/// The file's name.
const FILE: &str = "reported";
/// What it is called while it is written.
const NEW: &str = "reported.new";
const FILE_MODE: u32 = 0o600;
/// Its first line; each other one is a time in milliseconds and a text.
const FORMAT: &str = "uilog-reported 1";
/// Bytes of it that are read.
const MAX_BYTES: u64 = 64 * 1024;
/// Texts that are remembered.
const MAX_TEXTS: usize = 16;
/// How long a report holds: `uilog check` shows those of the last 24 hours.
const HOLDS: Duration = Duration::from_secs(12 * 60 * 60);

/// Whether this is to be reported now; then it is remembered.
pub(crate) fn is_due(spool: &Path, text: &str, now: SystemTime) -> bool {
    let text = text.replace(char::is_control, " ");
    let known = read(spool).unwrap_or_default();
    let mut lines = known.lines();
    let is_ours = lines.next() == Some(FORMAT);
    let mut reports: Vec<(u64, &str)> = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(at, text)| Some((at.parse().ok()?, text)))
        .filter(|(at, _)| is_ours && holds(*at, now))
        .collect();
    if reports.iter().any(|it| it.1 == text) {
        return false;
    }
    let first = (reports.len() + 1).saturating_sub(MAX_TEXTS);
    reports.drain(..first);
    reports.push((millis(now), &text));
    let mut file = format!("{FORMAT}\n");
    for (at, text) in reports {
        file.push_str(&format!("{at} {text}\n"));
    }
    // If it cannot be written, it is reported again.
    let _ = OwnDir::beside_users_file(spool).and_then(|dir| {
        let (name, new) = (OsStr::new(FILE), OsStr::new(NEW));
        dir.replace(name, new, FILE_MODE, file.as_bytes())
    });
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

/// What the file says. A link is not followed, a FIFO not waited for.
fn read(spool: &Path) -> io::Result<String> {
    let dir = OwnDir::beside_users_file(spool)?;
    let file = dir.open(OsStr::new(FILE), OFlag::O_RDONLY)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
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
        let text = fs::read_to_string(spool.join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 1 + MAX_TEXTS);
        fs::write(spool.join(FILE), "damaged").unwrap();
        assert!(due("99", 13 * 60));
    }

    #[test]
    fn what_cannot_be_remembered_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        fs::create_dir(&file).unwrap();
        for _ in 0..2 {
            assert!(is_due(dir.path(), "a", SystemTime::now()));
        }
        assert!(file.is_dir());
    }
}
