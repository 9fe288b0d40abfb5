//! Closing several connections at a time, step by step.

use std::time::Duration;
use std::time::Instant;

use crate::outcome::Limits;
use crate::peer::Advance;
use crate::peer::Peer;
use crate::poll_set::PollSet;

/// The way of several connections to their end.
///
/// They end at the same time, so that together they take as long as the
/// slowest. The caller alternates between [`Shutdown::step`], which never
/// blocks, and [`Shutdown::wait`].
///
/// Dropping it drops the connections.
#[derive(Debug)]
pub struct Shutdown {
    peers: Vec<Peer>,
    limits: Limits,
    until: Option<Instant>,
}

/// What [`Shutdown::step`] asks of its caller.
#[derive(Debug)]
pub enum Step {
    /// To show a line of standard error.
    Line {
        /// Whose, as an index into the connections that were given.
        peer: usize,
        /// The line, with its newline unless it is the last one.
        line: Vec<u8>,
    },
    /// To call [`Shutdown::wait`].
    Wait,
    /// Nothing: all are closed.
    Done,
}

impl Shutdown {
    /// Begins to close the connections: their servers learn of it at once.
    pub fn new(mut peers: Vec<Peer>, limits: Limits) -> Self {
        for peer in &mut peers {
            peer.begin();
        }
        Self {
            peers,
            limits,
            until: None,
        }
    }

    /// Goes as far as it can without waiting.
    pub fn step(&mut self) -> Step {
        let mut is_done = true;
        let mut until: Option<Instant> = None;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            match peer.advance(self.limits) {
                Advance::Line(line) => {
                    return Step::Line { peer: index, line };
                }
                Advance::Wait(limit) => {
                    is_done = false;
                    until = until.into_iter().chain(limit).min();
                }
                Advance::Closed(_) => {}
            }
        }
        self.until = until;
        if is_done { Step::Done } else { Step::Wait }
    }

    /// Blocks until there is something to do, for `max` at most. A signal
    /// ends the wait.
    pub fn wait(&self, max: Duration) {
        let latest = Instant::now() + max;
        let until = self.until.map_or(latest, |until| until.min(latest));
        let open = self.peers.iter().filter(|peer| peer.closed().is_none());
        let mut awaited = PollSet::default();
        open.for_each(|peer| peer.await_in(&mut awaited));
        awaited.wait(Some(until));
    }

    /// Only waits for the end of the processes, which get a signal: for a
    /// second at most.
    pub fn interrupt(&mut self) {
        for peer in &mut self.peers {
            peer.interrupt();
        }
    }

    /// Gives the connections back, in the order in which they were given.
    pub fn into_peers(self) -> Vec<Peer> {
        self.peers
    }
}
