//! When to retry a signal that a collector did not accept.
//!
//! The delay applies to all processes: a thousand commands do not contact a
//! dead collector a thousand times. It is in a small file for each signal in
//! the spool's directory, which only the sender writes. It is a hint only: if
//! the file is damaged, missing, foreign or cannot be written, the collector is
//! contacted.

use std::io;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use uilog_sys::own_dir::OwnDir;

use crate::otlp::cache_file::CacheFile;
use crate::otlp::cache_file::items;
use crate::otlp::request::SignalType;

/// The wait after the first failure. It doubles with each.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait of our own accord.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// The longest that a collector may ask for: it may have been a mistake.
pub const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// The failures in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// The earliest time of the next request.
    pub not_before: Option<SystemTime>,
    /// Failures in a row.
    pub failures: u32,
    /// Why the last one failed.
    pub reason: String,
}

impl Backoff {
    /// The state of a spool's signal.
    pub fn load(spool: &Path, kind: SignalType, now: SystemTime) -> Self {
        let dir = OwnDir::beside_users_file(spool);
        dir.map_or_else(
            |_| Self::default(),
            |dir| Self::load_in(&dir, kind, now),
        )
    }

    /// The same of a spool whose directory is open.
    pub(crate) fn load_in(
        spool: &OwnDir,
        kind: SignalType,
        now: SystemTime,
    ) -> Self {
        let mut known = Self::default();
        let lines = match memo(kind).read_in(spool) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                earlier_memo().read_in(spool)
            }
            read => read,
        };
        for (key, value) in items(&lines.unwrap_or_default()) {
            let number = || value.parse().unwrap_or(0);
            match key {
                "not-before-ms" => {
                    let millis = Duration::from_millis(number());
                    known.not_before = UNIX_EPOCH.checked_add(millis);
                }
                "failures" => known.failures = number() as u32,
                "reason" => value.clone_into(&mut known.reason),
                _ => {}
            }
        }
        // No delay is that long: the clock was set back. The clocks of two
        // machines may differ a little.
        let longest = now + LONGEST_ASKED;
        let latest = longest + LONGEST;
        known.not_before = known.not_before.filter(|it| *it <= latest);
        known.not_before = known.not_before.map(|it| it.min(longest));
        known
    }

    /// How long the collector must not be contacted.
    pub fn wait(&self, now: SystemTime) -> Option<Duration> {
        let wait = self.not_before?.duration_since(now).ok()?;
        (!wait.is_zero()).then_some(wait)
    }

    /// It has failed once more. `random` is from 0 to 1.
    pub fn fail(
        &mut self,
        now: SystemTime,
        after: Option<Duration>,
        reason: &str,
        random: f64,
    ) {
        let doubled = 1_u32 << self.failures.min(16);
        let own = FIRST.saturating_mul(doubled).min(LONGEST);
        // A thousand machines that failed together come back one by one.
        let own = own.mul_f64(0.5 + random / 2.0);
        let asked = after.unwrap_or_default().min(LONGEST_ASKED);
        // Who waits for longer than the longest time would not be believed.
        let asked = asked.mul_f64(1.0 + random / 10.0).min(LONGEST_ASKED);
        self.not_before = now.checked_add(own.max(asked));
        self.failures = self.failures.saturating_add(1);
        self.reason = reason.replace(['\n', '\r'], " ");
    }

    /// Stores it for other processes.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, spool: &Path, kind: SignalType) -> io::Result<()> {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
        let millis = self.not_before.and_then(since);
        let millis = millis.map_or(0, |it| it.as_millis());
        let lines = format!(
            "not-before-ms {millis}\nfailures {}\nreason {}\n",
            self.failures, self.reason,
        );
        memo(kind).write(spool, &lines)?;
        earlier_memo().remove(spool);
        Ok(())
    }

    /// All is well.
    pub fn clear(&mut self, spool: &Path, kind: SignalType) {
        *self = Self::default();
        // If the file remains, the next request is only later than necessary.
        memo(kind).remove(spool);
        earlier_memo().remove(spool);
    }
}

fn memo(kind: SignalType) -> CacheFile {
    CacheFile {
        name: format!("retry-{}", kind.name()).into(),
        ..earlier_memo()
    }
}

/// That of earlier versions, for both signals.
fn earlier_memo() -> CacheFile {
    CacheFile {
        name: "retry".into(),
        format: "uilog-retry 1",
        max_bytes: 4096,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    const LOGS: SignalType = SignalType::Logs;
    const FILE: &str = "retry-logs";
    const NOW: SystemTime = UNIX_EPOCH;

    fn now() -> SystemTime {
        NOW + Duration::from_secs(1_000_000)
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            backoff.fail(now(), None, "x", 1.0);
            waits.push(backoff.wait(now()).unwrap().as_secs());
        }
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
        assert_eq!(waits, expected);
        backoff.fail(now(), None, "x", 0.0);
        assert_eq!(backoff.wait(now()), Some(Duration::from_secs(150)));
    }

    #[test]
    fn what_the_collector_asks_for_counts_within_a_bound() {
        let mut backoff = Backoff::default();
        backoff.fail(now(), Some(Duration::from_secs(100)), "x", 0.0);
        assert_eq!(backoff.wait(now()), Some(Duration::from_secs(100)));
        backoff.fail(now(), Some(Duration::from_secs(100)), "x", 1.0);
        assert_eq!(backoff.wait(now()), Some(Duration::from_secs(110)));
    }

    #[test]
    fn an_hour_is_an_hour_in_every_spool() {
        for asked in [3500, 3600, 3601, u64::MAX] {
            let asked = Duration::from_secs(asked);
            for random in [0.0, 0.5, 0.9, 1.0] {
                let dir = tempfile::tempdir().unwrap();
                let mut backoff = Backoff::default();
                backoff.fail(now(), Some(asked), "x", random);
                backoff.save(dir.path(), LOGS).unwrap();
                let loaded = Backoff::load(dir.path(), LOGS, now());
                let wait = loaded.wait(now()).unwrap();
                let least = asked.min(LONGEST_ASKED);
                assert!(wait >= least && wait <= LONGEST_ASKED, "{wait:?}");
                // A clock that is a little behind ours.
                let behind = now() - Duration::from_secs(60);
                let loaded = Backoff::load(dir.path(), LOGS, behind);
                assert!(loaded.wait(behind).unwrap() <= LONGEST_ASKED);
            }
        }
    }

    #[test]
    fn it_survives_and_a_clock_that_jumps_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Backoff::load(dir.path(), LOGS, now()), Backoff::default());
        let mut backoff = Backoff::default();
        backoff.fail(now(), None, "no\nroute", 1.0);
        backoff.save(dir.path(), LOGS).unwrap();
        assert_eq!(Backoff::load(dir.path(), LOGS, now()), backoff);
        assert_eq!(backoff.reason, "no route");
        // It has gone back by a day, and then forward by one.
        let day = Duration::from_secs(24 * 60 * 60);
        let back = Backoff::load(dir.path(), LOGS, now() - day);
        assert_eq!(back.wait(now() - day), None);
        let forward = Backoff::load(dir.path(), LOGS, now() + day);
        assert_eq!(forward.wait(now() + day), None);
        backoff.clear(dir.path(), LOGS);
        assert_eq!(Backoff::load(dir.path(), LOGS, now()), Backoff::default());
        for damaged in ["", "x", "uilog-retry 1\nfailures x", "\u{fffd}"] {
            fs::write(dir.path().join(FILE), damaged).unwrap();
            let loaded = Backoff::load(dir.path(), LOGS, now());
            assert_eq!(loaded, Backoff::default(), "{damaged}");
        }
    }
    #[test]
    fn what_is_no_file_of_ours_is_neither_followed_nor_waited_for() {
        let mut backoff = Backoff::default();
        backoff.fail(now(), None, "x", 1.0);
        for name in [FILE, "retry-logs.new"] {
            for is_link in [true, false] {
                let dir = tempfile::tempdir().unwrap();
                let spool = dir.path().join("spool");
                fs::create_dir(&spool).unwrap();
                let victim = dir.path().join("victim");
                let text = "uilog-retry 1\nfailures 7\n";
                fs::write(&victim, text).unwrap();
                let path = spool.join(name);
                if is_link {
                    symlink(&victim, &path).unwrap();
                } else {
                    mkfifo(&path, Mode::S_IRWXU).unwrap();
                }
                let loaded = Backoff::load(&spool, LOGS, now());
                assert_eq!(loaded, Backoff::default(), "{name}");
                backoff.save(&spool, LOGS).unwrap_err();
                backoff.clone().clear(&spool, LOGS);
                assert_eq!(fs::read_to_string(&victim).unwrap(), text);
                let names: Vec<_> = fs::read_dir(&spool).unwrap().collect();
                assert!(fs::symlink_metadata(&path).is_ok(), "{names:?}");
            }
        }
    }

    #[test]
    fn each_signal_waits_for_itself() {
        let dir = tempfile::tempdir().unwrap();
        let load = |kind| Backoff::load(dir.path(), kind, now());
        let mut backoff = Backoff::default();
        backoff.fail(now(), None, "no logs", 1.0);
        backoff.save(dir.path(), LOGS).unwrap();
        assert_eq!(load(LOGS), backoff);
        assert_eq!(load(SignalType::Traces), Backoff::default());
    }

    /// Its file is for both; whoever knows better removes it.
    #[test]
    fn what_an_earlier_version_waits_for_counts_until_something_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("retry");
        let millis = (now() + Duration::from_secs(9)).duration_since(NOW);
        let millis = millis.unwrap().as_millis();
        let text = format!(
            "uilog-retry 1\nnot-before-ms {millis}\nfailures 3\nbroken 1\n"
        );
        for kind in SignalType::ALL {
            fs::write(&path, &text).unwrap();
            let mut known = Backoff::load(dir.path(), kind, now());
            assert_eq!(known.wait(now()), Some(Duration::from_secs(9)));
            known.clear(dir.path(), kind);
            assert!(!path.exists());
        }
    }

    #[test]
    fn it_is_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        Backoff::default().save(dir.path(), LOGS).unwrap();
        // What an earlier version has written with the umask's mode.
        let path = dir.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        Backoff::default().save(dir.path(), LOGS).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}
