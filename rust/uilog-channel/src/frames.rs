//! The frames that hg appends to a queue for an event.
//!
//! An environment and the items of `[uilog]` are appended once, and again when
//! they have changed; later frames refer to their positions. Must not know the
//! reader.

use std::borrow::Cow;
use std::io;
use std::os::unix::ffi::OsStrExt;

use uilog_event::event::Event;
use uilog_event::event::Text;

use crate::queue;
use crate::queue::Writer;
use crate::settings::Settings;
use crate::wire::Frame;
use crate::wire::Job;
use crate::wire::Open;
use crate::wire::Program;
use crate::wire::RecordFrame;
use crate::wire::Repository;
use crate::wire::StdinFormat;

/// A larger buffer is released after use.
const MAX_KEPT_BUFFER: usize = 256 * 1024;

/// The latest environment and items frames in the queue, with their offsets;
/// offset 0 means none.
#[derive(Clone, Debug, Default)]
pub struct LatestFrames {
    environment: Vec<u8>,
    environment_at: u64,
    items: Vec<(Vec<u8>, Vec<u8>)>,
    items_at: u64,
    /// Buffer for encoded frames, reused to allocate memory only once.
    buffer: Vec<u8>,
}

/// Offsets of the frames that a job refers to, once they are appended.
#[derive(Debug)]
struct AppendedFrames {
    environment_at: u64,
    items_at: u64,
    /// Offset of the last frame.
    frame_at: u64,
}

impl LatestFrames {
    /// Appends the frames that a job needs.
    ///
    /// # Errors
    ///
    /// As of [`Writer::append`], there is no memory, or a frame is too long.
    pub fn append(
        &mut self,
        queue: &mut Writer,
        parts: &JobParts<'_>,
        hg: &[u8],
    ) -> io::Result<()> {
        queue.set_max_bytes(parts.settings.queue_bytes);
        // All frames go in one write, so positions are known beforehand.
        let end = queue.committed().end;
        let mut buffer = std::mem::take(&mut self.buffer);
        let outer = queue.open_word();
        let new = self.encode(parts, hg, end, outer, &mut buffer)?;
        match parts.moment() {
            CommandStage::Begins { id, .. } => {
                queue.append_beginning(&buffer, new.frame_at, id)?;
            }
            CommandStage::Ends { id } => {
                queue.append_ending(&buffer, 1, id)?;
            }
            CommandStage::Within => {
                queue.append(&buffer, 1)?;
            }
        }
        self.remember(new, parts);
        if buffer.capacity() <= MAX_KEPT_BUFFER {
            self.buffer = buffer;
        }
        Ok(())
    }

    /// Encodes the frames that a job needs into `buffer`, replacing its
    /// content; the first one will be at `end`. `outer` identifies the running
    /// command, if any.
    fn encode(
        &self,
        parts: &JobParts<'_>,
        hg: &[u8],
        end: u64,
        outer: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<AppendedFrames> {
        buffer.clear();
        let has_environment =
            self.environment_at != 0 && self.environment == parts.environment;
        let environment_at = if has_environment {
            self.environment_at
        } else {
            let block = Text(Cow::Borrowed(parts.environment));
            encode(&Frame::Environment(block), buffer)?;
            end
        };
        let mut items_at = self.items_at;
        let cwd = nix::unistd::getcwd().ok();
        let cwd = cwd.as_ref().map(|path| path.as_os_str().as_bytes());
        let cwd = cwd.map(|cwd| Text(Cow::Borrowed(cwd)));
        let event = parts.event.clone();
        let hg = Cow::Borrowed(hg);
        let frame = match parts.task {
            Task::Script {
                script,
                depth,
                umask,
                traceparent,
            } => Frame::Job(Job {
                event,
                script: Cow::Borrowed(&script.text),
                source: Some(&script.source)
                    .filter(|source| !source.is_empty())
                    .map(|source| Text(Cow::Borrowed(source))),
                stdin: script.stdin,
                environment_at,
                traceparent: traceparent.map(|it| Text(Cow::Borrowed(it))),
                cwd,
                umask,
                hg,
                depth,
                limits: parts.settings.run_limits(),
            }),
            Task::Record {
                items,
                hg_version,
                program,
                trace_state,
                repository,
                moment,
            } => {
                if items_at == 0 || self.items != items {
                    items_at = end + buffer.len() as u64;
                    let text = |it| Text(Cow::Borrowed(it));
                    let pairs = items
                        .iter()
                        .map(|(name, value)| (text(&**name), text(&**value)));
                    encode(&Frame::Items(pairs.collect()), buffer)?;
                }
                let record = RecordFrame {
                    event,
                    environment_at,
                    items_at,
                    cwd,
                    hg,
                    hg_version: hg_version.map(|it| Text(Cow::Borrowed(it))),
                    program: program.cloned(),
                    trace_state: trace_state.map(|it| Text(Cow::Borrowed(it))),
                    repository: repository.clone(),
                };
                match moment {
                    CommandStage::Begins { began, .. } => Frame::Open(Open {
                        has_ended: false,
                        outer,
                        began,
                        record,
                    }),
                    CommandStage::Within | CommandStage::Ends { .. } => {
                        Frame::Record(record)
                    }
                }
            }
        };
        let frame_at = end + buffer.len() as u64;
        encode(&frame, buffer)?;
        Ok(AppendedFrames {
            environment_at,
            items_at,
            frame_at,
        })
    }

    /// Notes that the frames of a job are in the queue now.
    fn remember(&mut self, new: AppendedFrames, parts: &JobParts<'_>) {
        if self.environment_at != new.environment_at {
            self.environment_at = new.environment_at;
            self.environment.clear();
            self.environment.extend_from_slice(parts.environment);
        }
        if let Task::Record { items, .. } = parts.task
            && self.items_at != new.items_at
        {
            self.items_at = new.items_at;
            self.items = items.to_vec();
        }
    }
}

/// Why a job could not be appended.
pub fn explain(error: &io::Error, settings: &Settings) -> String {
    let is_own = error.raw_os_error().is_none();
    if is_own && error.kind() == io::ErrorKind::StorageFull {
        let bytes = settings.queue_bytes;
        return format!(
            "{bytes} bytes of events are queued already (uilog.queue-size)"
        );
    }
    format!("cannot append to the queue: {error}")
}

/// Appends a frame to `buffer`.
fn encode(frame: &Frame<'_>, buffer: &mut Vec<u8>) -> io::Result<()> {
    let begin = queue::begin_frame(buffer)?;
    postcard::to_io(frame, FallibleVec(buffer)).map_err(io::Error::other)?;
    queue::end_frame(buffer, begin)
}

/// Appends, and fails where `Vec` would abort for lack of memory.
struct FallibleVec<'a>(&'a mut Vec<u8>);

impl io::Write for FallibleVec<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .try_reserve(bytes.len())
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The parts of a job that the dispatcher's side does not have itself.
#[derive(Clone, Copy, Debug)]
pub struct JobParts<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// The task.
    pub task: Task<'a>,
    /// What `[uilog]` says.
    pub settings: &'a Settings,
    /// hg's environment, as a block, without `TRACEPARENT`, which changes with
    /// each command: all of it would have to be appended again.
    pub environment: &'a [u8],
}

/// What to do about an event.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Run a script.
    Script {
        /// The script.
        script: &'a Script,
        /// The nesting depth of hg in scripts.
        depth: u32,
        /// hg's umask, if it has been changed.
        umask: Option<u32>,
        /// What the environment says in `TRACEPARENT`.
        traceparent: Option<&'a [u8]>,
    },
    /// Structured sinks are to have it.
    Record {
        /// What `[uilog]` says of them.
        items: &'a [(Vec<u8>, Vec<u8>)],
        /// Mercurial's version.
        hg_version: Option<&'a [u8]>,
        /// The program that it is about, if that is not hg's executable.
        program: Option<&'a Program<'static>>,
        /// What `TRACESTATE` says of the event's trace.
        trace_state: Option<&'a [u8]>,
        /// The facts about the event's repository.
        repository: &'a Repository<'static>,
        /// Whether a command begins or ends with it.
        moment: CommandStage,
    },
}

/// Where in the life of a command something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandStage {
    /// Neither a command begins, nor one ends.
    Within,
    /// A command begins: there is nothing to be delivered yet, but there will
    /// be if this process is killed.
    Begins {
        /// The caller's identifier of the command.
        id: u64,
        /// When, in microseconds of the monotonic clock.
        began: u64,
        /// Another frame follows at once, and wakes the reader.
        is_followed: bool,
    },
    /// A command ends with this event.
    Ends {
        /// The caller's identifier of the command.
        id: u64,
    },
}

impl JobParts<'_> {
    /// Where in the life of a command it happens.
    pub fn moment(&self) -> CommandStage {
        match self.task {
            Task::Script { .. } => CommandStage::Within,
            Task::Record { moment, .. } => moment,
        }
    }

    /// Whether the reader need not be woken for it.
    pub fn is_followed(&self) -> bool {
        matches!(
            self.moment(),
            CommandStage::Begins {
                is_followed: true,
                ..
            }
        )
    }

    /// How many events are lost if it is not appended.
    pub fn events(&self) -> u64 {
        match self.moment() {
            CommandStage::Begins { .. } => 0,
            CommandStage::Within | CommandStage::Ends { .. } => 1,
        }
    }
}

/// A configured script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Text for `/bin/sh -c`.
    pub text: Vec<u8>,
    /// The file and line that define it, or another origin, as far as known.
    pub source: Vec<u8>,
    /// The format of its standard input.
    pub stdin: StdinFormat,
}
