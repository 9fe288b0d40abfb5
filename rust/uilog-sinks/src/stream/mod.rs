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

mod reconnect;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use self::reconnect::ReconnectPolicy;
pub(crate) use self::reconnect::is_absence;
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

/// Records that are sent together.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

/// Why the delivery of a batch has stopped.
enum SendError {
    /// The receiver does not read: bytes on their way stay there.
    Stalled,
    /// The connection is closed, and data in flight is lost.
    Gone(io::Error),
}

/// A sink with a lasting connection.
pub(crate) struct Stream {
    peer: Peer,
    frame: Frame,
    patience: ReconnectPolicy,
    connection: Option<Connection>,
    /// Data that was not received, as far as known, the oldest first.
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
    /// received.
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
    fn transfer(&mut self, deadline: Instant) -> Result<(), SendError> {
        let mut broken = io::Error::from(io::ErrorKind::ConnectionReset);
        for _ in 0..MAX_ATTEMPTS {
            match self.write(deadline) {
                Ok(()) => {}
                Err(error) if self.connection.is_none() => {
                    return Err(SendError::Gone(error));
                }
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {
                    self.disconnect();
                    broken = error;
                    continue;
                }
                Err(_) if self.is_local() => return Err(SendError::Stalled),
                Err(error) => {
                    self.disconnect();
                    return Err(SendError::Gone(error));
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
            let state = connection.wait_until_received(until);
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
                    return Err(SendError::Gone(error));
                }
                State::Broken => {}
            }
        }
        Err(SendError::Gone(broken))
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

    /// Sends the chunks. Some of them may stay in the window.
    fn send(&mut self, chunks: Vec<Chunk>, deadline: Instant) -> LossSum {
        let mut lost = LossSum::default();
        let mut reason = None;
        self.look();
        if self.written < self.window.len() {
            reason = self.try_transfer(deadline, &mut lost);
        }
        // A local reader receives one record at a time, a server any number.
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

    fn give_up(&mut self, trouble: SendError, lost: &mut LossSum) -> String {
        match trouble {
            SendError::Stalled => {
                self.is_stalled = true;
                format!("{}: no process reads it", self.peer)
            }
            SendError::Gone(error) => {
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
