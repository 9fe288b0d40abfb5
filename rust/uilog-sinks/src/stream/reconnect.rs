//! For which readers to wait until a connection succeeds, and for how long.
//!
//! Must not know what is sent.

use std::io;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::sink_config::SinkConfig;
use uilog_config::items::Value;

use crate::connection;

/// How long to wait for a reader that has just closed, such as a daemon that
/// restarts.
const RESTART: Duration = Duration::from_secs(2);

/// For how long a connection is waited for after one could not be made.
const DOWN: Duration = Duration::from_secs(1);

/// When and how long to wait for the other side.
#[derive(Clone, Debug)]
pub(crate) struct ReconnectPolicy {
    is_expected: bool,
    timeout: Duration,
    has_connected: bool,
    is_down: bool,
}

impl ReconnectPolicy {
    /// With a reader that `is_expected` sooner or later, or with one that may
    /// never have existed. The configuration has the timeouts for both.
    pub(crate) fn new(definition: &SinkConfig, is_expected: bool) -> Self {
        let timeout = match definition.option("timeout") {
            Value::Seconds(timeout) if !timeout.is_zero() => timeout,
            _ => Duration::MAX,
        };
        Self {
            is_expected,
            timeout,
            has_connected: false,
            is_down: false,
        }
    }

    /// A deadline, or an earlier one.
    pub(crate) fn within(&self, deadline: Instant) -> Instant {
        let end = Instant::now().checked_add(self.timeout);
        end.map_or(deadline, |end| end.min(deadline))
    }

    /// Tries to connect repeatedly, as long as that may succeed.
    pub(crate) fn connect<T>(
        &mut self,
        deadline: Instant,
        mut connect: impl FnMut(Instant) -> io::Result<T>,
    ) -> io::Result<T> {
        let now = Instant::now();
        let (mut hope, mut until) = (now, deadline);
        if self.is_down {
            until = until.min(now + DOWN);
        } else if self.is_expected || self.has_connected {
            hope = deadline.min(now + RESTART);
        }
        let mut absence = None;
        loop {
            match connect(until) {
                Ok(connection) => {
                    self.has_connected = true;
                    self.is_down = false;
                    return Ok(connection);
                }
                Err(error)
                    if is_absence(&error)
                        && connection::pause(hope).is_ok() =>
                {
                    absence = Some(error);
                }
                Err(error) => {
                    self.is_down = true;
                    // That the time is over is not why.
                    let is_late = error.kind() == io::ErrorKind::TimedOut;
                    let why = absence.filter(|_| is_late);
                    return Err(why.unwrap_or(error));
                }
            }
        }
    }
}

/// Whether no process listens, as while a daemon restarts.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(is_expected: bool, timeout: &str) -> ReconnectPolicy {
        let definition = SinkConfig {
            name: "x".to_owned(),
            url: b"syslog:".to_vec(),
            options: vec![(b"timeout".to_vec(), timeout.into())],
        };
        ReconnectPolicy::new(&definition, is_expected)
    }

    /// How often it tries to connect to somebody who comes after so many
    /// refusals, and what the error is.
    fn tries(patience: &mut ReconnectPolicy, refusals: u32) -> (u32, String) {
        let mut tries = 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        let result = patience.connect(deadline, |_| {
            tries += 1;
            match tries > refusals {
                true => Ok(()),
                false => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        });
        let error = result.map_or_else(|it| it.to_string(), |()| String::new());
        (tries, error)
    }

    #[test]
    fn who_is_expected_or_has_been_there_is_waited_for() {
        assert_eq!(tries(&mut patience(true, "10"), 2), (3, String::new()));
        let refused = "connection refused";
        let mut stranger = patience(false, "10");
        assert_eq!(tries(&mut stranger, 2), (1, refused.to_owned()));
        assert_eq!(tries(&mut stranger, 0), (1, String::new()));
        assert_eq!(tries(&mut stranger, 2), (3, String::new()));
    }

    #[test]
    fn who_does_not_come_is_not_waited_for_the_next_time() {
        let mut expected = patience(true, "10");
        let (count, error) = tries(&mut expected, u32::MAX);
        assert!(count > 1);
        assert_eq!(error, "connection refused");
        assert_eq!(tries(&mut expected, u32::MAX).0, 1);
    }

    #[test]
    fn why_it_was_too_late_is_told() {
        let mut results = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::TimedOut,
            io::ErrorKind::TimedOut,
        ]
        .into_iter();
        let mut expected = patience(true, "10");
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut fail = || {
            let next = |_| -> io::Result<()> {
                Err(results.next().expect("no third").into())
            };
            expected.connect(deadline, next).expect_err("nobody").kind()
        };
        assert_eq!(fail(), io::ErrorKind::ConnectionRefused);
        assert_eq!(fail(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_option_or_the_deadline_ends_the_wait() {
        let now = Instant::now();
        let (far, near) = (Duration::from_secs(900), Duration::from_secs(5));
        assert_eq!(patience(true, "600").within(now + near), now + near);
        let end = patience(true, "10").within(now + far);
        assert!(end >= now + near && end < now + far);
        assert_eq!(patience(true, "1e19").within(now + far), now + far);
        assert_eq!(patience(true, "0").within(now + far), now + far);
    }
}
