//! The event `commandslow`, for commands that run for a long time.
//!
//! Responsible for when it is logged, and for its content, which comes from
//! hg's queue: the frame of the command's beginning, and its phase. hg does
//! nothing for it. Must not know which clients there are, or what happens to
//! the record.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::cached_reader::CachedReader;
use uilog_channel::cached_reader::OpenRecord;
use uilog_channel::phase::Phase;
use uilog_channel::queue;
use uilog_channel::queue::OpenCommand;
use uilog_channel::record_delivery::Items;
use uilog_channel::wire::Frame;
use uilog_channel::wire::Open;
use uilog_channel::wire::RecordFrame;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Value;
use uilog_sys::clock;

/// The event's name.
pub(crate) const NAME: &[u8] = b"commandslow";

/// It is logged after so many times the limit.
const TIMES: [u32; 4] = [1, 2, 4, 8];
/// No session has so many events, and `commandlost` has smaller numbers.
const FIRST_SEQ: u64 = 1 << 41;
/// Commands that run until they are ended by a user.
const LASTING: [&[u8]; 1] = [b"serve"];

/// What was logged about a client's commands.
#[derive(Debug, Default)]
pub(crate) struct SlowCommands {
    /// The innermost command at the last check.
    seen: Option<OpenCommand>,
    /// When the next event is due, if that command continues.
    due_at: Option<Instant>,
    /// How often each command was logged, by the number of its event.
    told: HashMap<u64, usize>,
}

/// An event that must be logged.
#[derive(Debug)]
pub(crate) struct DueEvent {
    frame: Vec<u8>,
    environment: Arc<[u8]>,
    items: Arc<Items>,
}

impl SlowCommands {
    /// Whether the commands of a client must be checked, of which this is the
    /// innermost one.
    pub(crate) fn is_due(
        &mut self,
        open: Option<OpenCommand>,
        now: Instant,
    ) -> bool {
        let is_due = self.due_at.is_some_and(|it| it <= now);
        if open == self.seen && !is_due {
            return false;
        }
        self.seen = open;
        self.due_at = None;
        true
    }

    /// When the next event is due.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// The event to log about a command now, if any; stores when to check
    /// again.
    pub(crate) fn next_event(
        &mut self,
        feed: &mut CachedReader,
        command: OpenRecord,
        bound: Duration,
        now: Instant,
    ) -> Option<DueEvent> {
        let begun = Open::parse(&command.frame)?;
        let event = &begun.record.event;
        if event
            .canonical_command()
            .is_some_and(|it| LASTING.contains(&it))
        {
            return None;
        }
        let micros = clock::monotonic_micros().saturating_sub(begun.began);
        let elapsed = Duration::from_micros(micros);
        let reached = TIMES.iter().filter(|it| bound * **it <= elapsed).count();
        if let Some(next) = TIMES.get(reached) {
            let left = (bound * *next).saturating_sub(elapsed);
            let at = now + left;
            let before = self.due_at.unwrap_or(at);
            self.due_at = Some(before.min(at));
        }
        let told = self.told.get(&event.seq).copied();
        if reached <= told.unwrap_or(0) {
            return None;
        }
        self.told.insert(event.seq, reached);
        let phase = feed.queue.phase().ok();
        let phase = phase.and_then(|it| Phase::parse(&it));
        let times = TIMES[reached - 1];
        let mut record = begun.record;
        let event = &mut record.event;
        let began = event.time;
        event.seq = FIRST_SEQ + event.seq * TIMES.len() as u64 + reached as u64;
        event.name = Cow::Borrowed(NAME);
        event.time.micros = began.micros.saturating_add(micros as i64);
        event.ends_span = false;
        describe(event, began, elapsed, times, phase);
        // Their positions are known when it is appended.
        (record.environment_at, record.items_at) = (0, 0);
        let frame = postcard::to_stdvec(&Frame::Record(record)).ok()?;
        Some(DueEvent {
            frame,
            environment: command.environment,
            items: command.items,
        })
    }
}

impl DueEvent {
    /// The frames of a queue that begin at this position.
    pub(crate) fn frames(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut put = |frame: &Frame<'_>| {
            let place = at + bytes.len() as u64;
            let begin = queue::begin_frame(&mut bytes)?;
            let frame = postcard::to_stdvec(frame).map_err(io::Error::other)?;
            bytes.extend_from_slice(&frame);
            queue::end_frame(&mut bytes, begin)?;
            io::Result::Ok(place)
        };
        let text = |text: &[u8]| Text(Cow::Owned(text.to_vec()));
        let environment_at = put(&Frame::Environment(text(&self.environment)))?;
        let items = self.items.iter();
        let items = items.map(|(name, value)| (text(name), text(value)));
        let items_at = put(&Frame::Items(items.collect()))?;
        let Ok(Frame::Record(record)) = postcard::from_bytes(&self.frame)
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        put(&Frame::Record(RecordFrame {
            environment_at,
            items_at,
            ..record
        }))?;
        Ok(bytes)
    }
}

/// What the event says.
fn describe(
    event: &mut Event<'_>,
    began: Timestamp,
    elapsed: Duration,
    times: u32,
    phase: Option<Phase<'static>>,
) {
    let text = |text: Vec<u8>| Text(Cow::Owned(text));
    let option = |key: &'static str, value| EventOption {
        key: Cow::Borrowed(key.as_bytes()),
        value,
    };
    let (kind, more) = match phase {
        Some(phase) => (phase.kind.0.into_owned(), phase.options),
        None => (b"else".to_vec(), Vec::new()),
    };
    let seconds = elapsed.as_secs_f64();
    let name = event.canonical_command().unwrap_or(b"hg");
    let message = [
        name,
        format!(" has been running for {seconds:.2} seconds (").as_bytes(),
        &kind,
        b")\n",
    ]
    .concat();
    event.message = Cow::Owned(message);
    let began = began.to_rfc3339();
    let running = format!("{seconds:?}").into_bytes();
    let times = times.to_string().into_bytes();
    event.options.extend([
        option("running", Value::Float(text(running))),
        option("began", Value::Bytes(text(began.into_bytes()))),
        option("times", Value::Int(text(times))),
        option("phase", Value::Bytes(text(kind))),
    ]);
    event.options.extend(more);
}
