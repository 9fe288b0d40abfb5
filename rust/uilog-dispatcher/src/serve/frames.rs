//! Reads the queue's frames, in order: starts scripts as far as they may, and
//! offers records to the sinks.
//!
//! Must not know how a script is started, or what a sink does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::wire::Frame;

use super::Ahead;
use super::Error;
use super::Server;
use super::reading;

/// Maximum number of frames that are read before other work has its turn.
const MAX_LOOKED_AT: usize = 256;
/// After a record, further ones are awaited so long before sinks get them.
/// People may wait for a script, but not for a record; and hg, which may be
/// about to log more, has both processors, and need not wake the dispatcher
/// again.
const GATHER: Duration = Duration::from_millis(2);

impl Server {
    /// Reads new frames: starts scripts as far as they may, and offers records.
    pub(super) fn look_ahead(&mut self) -> Result<Ahead, Error> {
        for _ in 0..MAX_LOOKED_AT {
            let position = self.position;
            let Some((bytes, next)) =
                self.feed.queue.frame(position).map_err(reading)?
            else {
                self.gather_until = None;
                return Ok(Ahead::Nothing);
            };
            let is_new = position >= self.progress().scripts_at;
            let frame = postcard::from_bytes::<Frame<'_>>(&bytes);
            if let Ok(frame) = &frame {
                self.feed.note(frame, position, next);
            }
            match frame {
                Ok(Frame::Environment(_) | Frame::Items(_)) => {}
                Ok(Frame::Open(open)) => {
                    self.see_environment(open.record.environment_at)?;
                }
                Ok(Frame::Record(_)) => {
                    if position >= self.progress().records_at {
                        if self.begin_gathering() {
                            return Ok(Ahead::Gathering);
                        }
                        self.offer(position, bytes)?;
                    }
                }
                Ok(Frame::Job(job)) => {
                    if is_new && !self.is_behind {
                        self.progress().scripts_at = position;
                        self.is_behind = !self.run_job(&job, position, next)?;
                    }
                }
                Err(_) => {
                    if is_new && !self.is_behind {
                        self.pass_unreadable(next)?;
                    }
                }
            }
            self.position = next;
            if !self.is_behind {
                let scripts_at = &mut self.progress().scripts_at;
                *scripts_at = next.max(*scripts_at);
            }
        }
        Ok(Ahead::More)
    }

    /// The environment of the journal, if no other one is known.
    fn see_environment(&mut self, at: u64) -> Result<(), Error> {
        if self.environment.is_empty() {
            self.environment = self.feed.environment(at).map_err(reading)?;
            self.report_predecessor();
        }
        Ok(())
    }

    /// Offers a record to the sinks.
    fn offer(&mut self, position: u64, bytes: Vec<u8>) -> Result<(), Error> {
        let queued = self.feed.queued(position, bytes).map_err(reading)?;
        let Some(queued) = queued else {
            return Ok(());
        };
        self.environment = Arc::clone(&queued.environment);
        self.report_predecessor();
        self.records.offer(&queued);
        self.seen += 1;
        self.count_taken();
        Ok(())
    }

    /// Whether a record that has come is to wait for others.
    fn begin_gathering(&mut self) -> bool {
        let until = Instant::now() + GATHER;
        self.gather_until.get_or_insert(until);
        self.gathering().is_some()
    }

    /// Until when records are gathered, if that is still to come.
    pub(super) fn gathering(&self) -> Option<Instant> {
        let is_pointless =
            self.socket.is_none() || self.terminated.load(Ordering::Relaxed);
        let until = self.gather_until.filter(|_| !is_pointless);
        until.filter(|it| Instant::now() < *it)
    }
}
