//! When to send again if sent records could not be marked as sent, because the
//! disk is full or the directory is not writable.
//!
//! Otherwise each process would send the same records again. No file can be
//! written to prevent that, so the modification time of an empty file says
//! until when no process sends. It is a hint only, as in `backoff`.
//!
//! Must not know collectors, or more of a spool than its directory.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::fcntl::OFlag;
use uilog_sys::own_dir::OwnDir;

use crate::otlp::request::SignalType;

const FILE_MODE: u32 = 0o600;
/// How long no process sends, minus a random part of up to a half.
const WAIT: Duration = Duration::from_secs(5 * 60);
/// A later time comes from a wrong clock.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);

/// Prevents all processes from sending this signal for a while, or until a
/// stored time; returns for how long. `random` is from 0 to 1.
pub fn mark(
    spool: &Path,
    kind: SignalType,
    now: SystemTime,
    random: f64,
) -> Duration {
    let least = WAIT.mul_f64(1.0 - random / 2.0);
    let wait = wait(spool, kind, now).unwrap_or_default().max(least);
    // If this fails as well, each process sends one request.
    let _ = mark_until(spool, kind, now + wait);
    wait
}

/// Keeps all processes from sending this signal until then.
///
/// # Errors
///
/// The file cannot be created, or its time cannot be set.
pub fn mark_until(
    spool: &Path,
    kind: SignalType,
    time: SystemTime,
) -> io::Result<()> {
    let dir = OwnDir::beside_users_file(spool)?;
    let file = dir.open_or_create(&name(kind), OFlag::O_WRONLY, FILE_MODE)?;
    file.set_modified(time)
}

/// How long no process may send this signal.
pub fn wait(
    spool: &Path,
    kind: SignalType,
    now: SystemTime,
) -> Option<Duration> {
    wait_in(&OwnDir::beside_users_file(spool).ok()?, kind, now)
}

/// The same of a spool whose directory is open.
pub(crate) fn wait_in(
    spool: &OwnDir,
    kind: SignalType,
    now: SystemTime,
) -> Option<Duration> {
    let status = spool.entry(&name(kind)).ok()??;
    let seconds = u64::try_from(status.st_mtime).ok()?;
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    let wait = time.duration_since(now).ok()?;
    (!wait.is_zero() && wait <= LONGEST).then_some(wait)
}

/// It can be written down again.
pub fn clear(spool: &Path, kind: SignalType) {
    // If it stays, it is sent a little later than it could.
    let _ = OwnDir::beside_users_file(spool)
        .and_then(|dir| dir.remove(&name(kind)));
}

fn name(kind: SignalType) -> OsString {
    format!("retry-{}.time", kind.name()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_is_an_empty_file_whose_time_counts_within_a_bound() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let kind = SignalType::Logs;
        assert_eq!(wait(dir, kind, now), None);
        assert_eq!(mark(dir, kind, now, 1.0), WAIT / 2);
        assert_eq!(wait(dir, kind, now), Some(WAIT / 2));
        assert_eq!(fs::read(dir.join(name(kind))).unwrap(), b"");
        assert_eq!(wait(dir, kind, now + WAIT), None);
        // The other signal does not wait for that.
        assert_eq!(wait(dir, SignalType::Traces, now), None);
        // Who asks for more gets it.
        mark_until(dir, kind, now + 2 * WAIT).unwrap();
        assert_eq!(mark(dir, kind, now, 1.0), 2 * WAIT);
        mark_until(dir, kind, now + 2 * LONGEST).unwrap();
        assert_eq!(wait(dir, kind, now), None);
        clear(dir, kind);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
    }
}
