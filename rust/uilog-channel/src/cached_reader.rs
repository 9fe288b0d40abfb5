//! Reads the queue's frames together with the frames to which they refer.
//!
//! Each reader has its own position, so referenced frames are looked up for
//! each frame, and the last few are cached.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use uilog_event::event::Text;

use crate::queue::BegunCommand;
use crate::queue::OpenCommand;
use crate::queue::Reader;
use crate::queue::Reference;
use crate::record_delivery::Items;
use crate::record_delivery::Queued;
use crate::record_delivery::Source;
use crate::wire::Frame;
use crate::wire::Open;

/// How many environments and items are remembered.
const REMEMBERED: usize = 4;

/// The queue, and cached frames.
#[derive(Debug)]
pub struct CachedReader {
    /// The queue itself.
    pub queue: Reader,
    environments: Recent<Arc<[u8]>>,
    items: Recent<Arc<Items>>,
}

/// A command that has begun.
#[derive(Clone, Debug)]
pub struct OpenRecord {
    /// The frame of the event.
    pub frame: Vec<u8>,
    /// When it began, in microseconds of the monotonic clock.
    pub began: u64,
    /// Its environment, as a block.
    pub environment: Arc<[u8]>,
    /// Which sinks there are.
    pub items: Arc<Items>,
}

impl CachedReader {
    /// An empty cache for a queue.
    pub fn new(queue: Reader) -> Self {
        Self {
            queue,
            environments: Recent::default(),
            items: Recent::default(),
        }
    }

    /// Keeps the frames of commands that have begun before the first frame that
    /// will be read, and have not ended.
    pub fn keep_open_commands(&mut self) {
        let before = self.queue.low();
        // Unreadable frames are skipped here; they are counted when they are
        // needed.
        let Ok(mut open) = self.queue.open_command() else {
            return;
        };
        let mut commands = Vec::new();
        while let Some(OpenCommand { at, .. }) = open {
            let Ok(bytes) = self.queue.frame_at(at) else {
                break;
            };
            let Some(begun) = Open::parse(&bytes) else {
                break;
            };
            if at < before {
                commands.push(begun_at(at, &begun));
            }
            open = OpenCommand::of(begun.outer).filter(|it| it.at < at);
        }
        for begun in commands.into_iter().rev() {
            self.queue.keep_open_command(begun);
        }
    }

    /// Notes a frame from `at` to `next` to which others refer, or after which a
    /// command is open.
    pub fn note(&mut self, frame: &Frame<'_>, at: u64, next: u64) {
        match frame {
            Frame::Environment(_) => {
                self.queue.refer(Reference::Environment, at, next);
            }
            Frame::Items(_) => self.queue.refer(Reference::Items, at, next),
            Frame::Open(open) => {
                self.queue.keep_open_command(begun_at(at, open));
            }
            Frame::Record(_) | Frame::Job(_) => {}
        }
    }

    /// The environment at this position.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or another frame is there.
    pub fn environment(&mut self, at: u64) -> io::Result<Arc<[u8]>> {
        if let Some(known) = self.environments.get(at) {
            return Ok(known);
        }
        let bytes = self.queue.frame_at(at)?;
        let Ok(Frame::Environment(block)) = postcard::from_bytes(&bytes) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(self.environments.put(at, Arc::from(&*block.0)))
    }

    /// The sinks' configuration at this position.
    fn items(&mut self, at: u64) -> io::Result<Arc<Items>> {
        if let Some(known) = self.items.get(at) {
            return Ok(known);
        }
        let bytes = self.queue.frame_at(at)?;
        let Ok(Frame::Items(items)) = postcard::from_bytes(&bytes) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let owned = |text: Text<'_>| text.0.into_owned();
        let items: Arc<Items> = items
            .into_iter()
            .map(|(name, value)| (owned(name), owned(value)))
            .collect();
        Ok(self.items.put(at, items))
    }

    /// The commands that have begun and not ended, the innermost first, as far
    /// as they can be read: as records of their beginnings, with what those
    /// refer to, and when they began on the monotonic clock.
    ///
    /// # Errors
    ///
    /// The queue cannot be read.
    pub fn open_commands(&mut self) -> io::Result<Vec<OpenRecord>> {
        let mut open = self.queue.open_command()?;
        let mut commands = Vec::new();
        while let Some(OpenCommand { at, .. }) = open {
            let frame = self.queue.frame_at(at)?;
            let Some(begun) = Open::parse(&frame) else {
                break;
            };
            open = OpenCommand::of(begun.outer).filter(|it| it.at < at);
            if begun.has_ended {
                continue;
            }
            let record = &begun.record;
            commands.push(OpenRecord {
                environment: self.environment(record.environment_at)?,
                items: self.items(record.items_at)?,
                began: begun.began,
                frame,
            });
        }
        Ok(commands)
    }

    /// The record in a frame, with the frames to which it refers; none if it is
    /// another kind of frame.
    ///
    /// # Errors
    ///
    /// The queue cannot be read, or its environment or its items are not where
    /// they should be.
    pub fn queued(
        &mut self,
        position: u64,
        frame: Vec<u8>,
    ) -> io::Result<Option<Queued>> {
        let Ok(Frame::Record(record)) = postcard::from_bytes(&frame) else {
            return Ok(None);
        };
        let (environment_at, items_at) =
            (record.environment_at, record.items_at);
        let event = record.event.name.into_owned();
        Ok(Some(Queued {
            position,
            event,
            environment: self.environment(environment_at)?,
            items: self.items(items_at)?,
            frame: Arc::from(frame),
        }))
    }
}

fn begun_at(at: u64, open: &Open<'_>) -> BegunCommand {
    let record = &open.record;
    BegunCommand {
        at,
        outer: open.outer,
        refers_to: [record.environment_at, record.items_at],
    }
}

impl Source for CachedReader {
    fn record_from(
        &mut self,
        mut position: u64,
    ) -> io::Result<Option<(Queued, u64)>> {
        while let Some((frame, next)) = self.queue.frame(position)? {
            if let Some(queued) = self.queued(position, frame)? {
                return Ok(Some((queued, next)));
            }
            position = next;
        }
        Ok(None)
    }

    fn is_too_far_behind(&self, position: u64) -> bool {
        let scripts_at = self.queue.progress().scripts_at;
        position < scripts_at && self.queue.is_nearly_full_from(position)
    }
}

/// The last few that were read, by their positions.
#[derive(Debug)]
struct Recent<T>(VecDeque<(u64, T)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Recent<T> {
    fn get(&self, at: u64) -> Option<T> {
        let entry = self.0.iter().find(|entry| entry.0 == at);
        entry.map(|entry| entry.1.clone())
    }

    fn put(&mut self, at: u64, value: T) -> T {
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front((at, value.clone()));
        value
    }
}
