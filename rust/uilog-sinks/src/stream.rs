//! Sends records over connections: connecting, waiting for readers, and finding
//! out what has arrived.
//!
//! Receivers do not acknowledge records, so a record counts as arrived once the
//! receiver's side has taken its bytes ([`State::Taken`]). If a connection
//! breaks, the other records are sent again over the next one; they may arrive
//! twice, with the same id. Lines stay complete, since the next one begins on
//! the new connection.
//!
//! Must not know formats: a [`Frame`] writes records.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::sink_config::SinkConfig;
use uilog_config::items::Value;

use crate::connection;
use crate::connection::Connection;
use crate::connection::Peer;
use crate::connection::State;
use crate::record::Record;
use crate::sink::LossReport;
use crate::sink::LossSum;
use crate::sink::Sink;

/// Appends a record as it is sent.
pub(crate) type Frame = Box<dyn Fn(&Record, &mut Vec<u8>) + Send>;

/// How much is sent at a time, if there is more than one record.
const MAX_CHUNK: usize = 64 << 10;

/// How often a connection may break before a batch is given up.
const MAX_ATTEMPTS: u32 = 3;

/// How long to wait for a reader that has just closed, such as a daemon that
/// restarts.
const RESTART: Duration = Duration::from_secs(2);

/// For how long a connection is waited for after one could not be made.
const DOWN: Duration = Duration::from_secs(1);

/// Whom to wait for, and for how long.
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

/// Records that are sent together.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

/// Why a batch goes no further.
enum Trouble {
    /// The receiver does not read: bytes on their way stay there.
    Stalled,
    /// The connection is closed, and data in flight is lost.
    Gone(io::Error),
}

/// An sink that keeps a connection.
pub(crate) struct Stream {
    peer: Peer,
    frame: Frame,
    patience: ReconnectPolicy,
    connection: Option<Connection>,
    /// Data that was not taken, as far as known; the oldest first.
    window: VecDeque<Chunk>,
    /// How many of the window have been written to this connection.
    written: usize,
    /// How much of the next one.
    offset: usize,
    /// Whether the reader does not read: then it is not waited for.
    is_stalled: bool,
}

impl Stream {
    /// One that connects when the first record comes.
    pub(crate) fn new(
        peer: Peer,
        frame: Frame,
        patience: ReconnectPolicy,
    ) -> Self {
        Self {
            peer,
            frame,
            patience,
            connection: None,
            window: VecDeque::new(),
            written: 0,
            offset: 0,
            is_stalled: false,
        }
    }

    fn is_local(&self) -> bool {
        matches!(self.peer, Peer::Local(..))
    }

    fn chunks(&self, records: &[Arc<Record>]) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut chunk = Chunk::default();
        for record in records {
            (self.frame)(record, &mut chunk.bytes);
            chunk.ends.push(chunk.bytes.len());
            if chunk.bytes.len() >= MAX_CHUNK {
                chunks.push(std::mem::take(&mut chunk));
            }
        }
        chunks.extend((!chunk.ends.is_empty()).then_some(chunk));
        chunks
    }

    /// Checks the connection: it may have been closed, and data may have been
    /// taken.
    fn look(&mut self) -> State {
        let Some(connection) = &mut self.connection else {
            return State::Closed;
        };
        let state = connection.state();
        self.follow(state);
        state
    }

    fn follow(&mut self, state: State) {
        match state {
            State::Taken | State::Closed => {
                self.window.drain(..self.written);
                self.written = 0;
            }
            State::Underway => {
                // Data beyond the socket's size was read, and so was data that
                // was just being written.
                let capacity =
                    self.connection.as_ref().map_or(0, Connection::capacity);
                let written = self.window.iter().take(self.written);
                let mut bytes: usize =
                    written.map(|chunk| chunk.bytes.len()).sum();
                while self.written > 1 && bytes > capacity + MAX_CHUNK {
                    let taken = self.window.pop_front();
                    self.written -= 1;
                    bytes -= taken.map_or(0, |it| it.bytes.len());
                }
            }
            State::Broken => {}
        }
        if matches!(state, State::Closed | State::Broken) {
            self.disconnect();
            self.is_stalled = false;
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.written = 0;
        self.offset = 0;
    }

    /// Brings the whole window to the other side.
    fn transfer(&mut self, deadline: Instant) -> Result<(), Trouble> {
        let mut broken = io::Error::from(io::ErrorKind::ConnectionReset);
        for _ in 0..MAX_ATTEMPTS {
            match self.write(deadline) {
                Ok(()) => {}
                Err(error) if self.connection.is_none() => {
                    return Err(Trouble::Gone(error));
                }
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {
                    self.disconnect();
                    broken = error;
                    continue;
                }
                Err(_) if self.is_local() => return Err(Trouble::Stalled),
                Err(error) => {
                    self.disconnect();
                    return Err(Trouble::Gone(error));
                }
            }
            let Some(connection) = &mut self.connection else {
                return Ok(());
            };
            if self.written == 0 {
                return Ok(());
            }
            let until = match self.peer {
                Peer::Local(..) => Instant::now(),
                Peer::Remote(..) => deadline,
            };
            let state = connection.settle(until);
            if let Some(why) = connection.failure() {
                broken = why;
            }
            self.follow(state);
            match state {
                State::Taken | State::Closed => return Ok(()),
                State::Underway if self.is_local() => return Ok(()),
                State::Underway => {
                    self.disconnect();
                    let error = io::ErrorKind::TimedOut.into();
                    return Err(Trouble::Gone(error));
                }
                State::Broken => {}
            }
        }
        Err(Trouble::Gone(broken))
    }

    /// Writes the unwritten data.
    fn write(&mut self, deadline: Instant) -> io::Result<()> {
        while let Some(chunk) = self.window.get(self.written) {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => {
                    let peer = &self.peer;
                    let made = self
                        .patience
                        .connect(deadline, |until| peer.connect(until))?;
                    none.insert(made)
                }
            };
            let rest = &chunk.bytes[self.offset..];
            let (count, result) = connection.write(rest, deadline);
            self.offset += count;
            result?;
            self.written += 1;
            self.offset = 0;
        }
        Ok(())
    }

    /// Sends what there is. Some of it may stay in the window.
    fn send(&mut self, chunks: Vec<Chunk>, deadline: Instant) -> LossSum {
        let mut lost = LossSum::default();
        let mut reason = None;
        self.look();
        if self.written < self.window.len() {
            reason = self.try_transfer(deadline, &mut lost);
        }
        // A local reader takes one record at a time. A server may take any
        // number.
        let at_a_time = if self.is_local() { 1 } else { usize::MAX };
        let mut chunks = chunks.into_iter().peekable();
        while chunks.peek().is_some() {
            let some = chunks.by_ref().take(at_a_time);
            if let Some(reason) = &reason {
                let count = some.map(|chunk| chunk.ends.len()).sum();
                lost.add(count, || String::clone(reason));
                continue;
            }
            self.window.extend(some);
            reason = self.try_transfer(deadline, &mut lost);
        }
        lost
    }

    /// Sends the window to the other side, or returns why no more of the batch
    /// can be sent.
    fn try_transfer(
        &mut self,
        deadline: Instant,
        lost: &mut LossSum,
    ) -> Option<String> {
        match self.transfer(self.until(deadline)) {
            Ok(()) => {
                self.is_stalled = false;
                None
            }
            Err(trouble) => Some(self.give_up(trouble, lost)),
        }
    }

    /// Who did not read the last time is not waited for.
    fn until(&self, deadline: Instant) -> Instant {
        if self.is_stalled {
            Instant::now()
        } else {
            self.patience.within(deadline)
        }
    }

    fn give_up(&mut self, trouble: Trouble, lost: &mut LossSum) -> String {
        match trouble {
            Trouble::Stalled => {
                self.is_stalled = true;
                format!("{}: no process reads it", self.peer)
            }
            Trouble::Gone(error) => {
                self.is_stalled = false;
                let reason = format!("{}: {error}", self.peer);
                self.lose_rest(&reason, lost);
                reason
            }
        }
    }

    /// Drops the unwritten data.
    fn lose_rest(&mut self, reason: &str, lost: &mut LossSum) {
        let mut offset = self.offset;
        for chunk in self.window.drain(self.written..) {
            let gone = chunk.ends.iter().filter(|end| **end > offset);
            lost.add(gone.count(), || reason.to_owned());
            offset = 0;
        }
        self.offset = 0;
    }
}

impl Sink for Stream {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        deadline: Instant,
    ) -> Result<(), LossReport> {
        let chunks = self.chunks(records);
        self.send(chunks, deadline).result()
    }

    fn rest(&mut self) {
        self.look();
        // A server's connections are few; a local reader would only wonder.
        if !self.is_local() && self.window.is_empty() {
            self.connection
                .take()
                .into_iter()
                .for_each(Connection::close);
        }
    }

    fn finish(&mut self, deadline: Instant) -> Result<(), LossReport> {
        self.look();
        let mut lost = LossSum::default();
        if self.written < self.window.len()
            && let Some(reason) = self.try_transfer(deadline, &mut lost)
        {
            // Written data can be read even after the socket is closed.
            self.lose_rest(&reason, &mut lost);
        }
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        self.window.clear();
        self.disconnect();
        lost.result()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path, _) => write!(f, "{}", path.display()),
            Self::Remote(address, tls) => {
                let scheme = match tls {
                    Some(_) => "syslog+tls",
                    None => "syslog+tcp",
                };
                write!(f, "{scheme}://{address}")
            }
        }
    }
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
