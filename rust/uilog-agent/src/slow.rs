//! Commands that take long: the event `commandslow`, while they run.
//!
//! Responsible for when it is told of which command, and for what it says: what
//! hg has left in its queue, the beginning of the command and its phase. hg does
//! nothing for it. The record gets a queue of its own, like that of a process
//! that has ended at once, and goes the way of all records from there. Must not
//! know how that is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::agent_address;
use uilog_channel::feed::OpenRecord;
use uilog_channel::phase::Phase;
use uilog_channel::queue;
use uilog_channel::queue::OpenCommand;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Writer;
use uilog_channel::records::Items;
use uilog_channel::wire::Frame;
use uilog_channel::wire::Record;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Value;
use uilog_sys::clock;
use uilog_sys::living_file;

use crate::admission::Trust;
use crate::client::Client;
use crate::client::ClientId;
use crate::serve::Server;

/// The event's name.
pub(crate) const NAME: &[u8] = b"commandslow";

/// It is told at so many times the bound.
const TIMES: [u32; 4] = [1, 2, 4, 8];
/// No session has so many events, and `commandlost` has smaller numbers.
const FIRST_SEQ: u64 = 1 << 41;
/// A queue for one record.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// What runs until somebody ends it.
const LASTING: [&[u8]; 1] = [b"serve"];

/// What has been told of a client's commands.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    /// The innermost command when it was looked at last.
    seen: Option<OpenCommand>,
    /// When there is something to tell, if that command goes on.
    due_at: Option<Instant>,
    /// How often each command has been told, by the number of its event.
    told: HashMap<u64, usize>,
}

/// A record that is to be told.
#[derive(Debug)]
struct Due {
    frame: Vec<u8>,
    environment: Arc<[u8]>,
    items: Arc<Items>,
}

impl Server {
    /// Tells of commands that take long.
    pub(crate) fn tell_slow(&mut self) {
        let now = Instant::now();
        let ids: Vec<_> = self.clients.keys().copied().collect();
        let mut due = Vec::new();
        for id in ids {
            due.extend(self.slow_of(id, now));
        }
        for it in due {
            // If there is no room for it, nothing of hg's is lost.
            let _ = self.append_own(&it);
        }
    }

    /// When there is something to tell.
    pub(crate) fn slow_at(&self) -> Option<Instant> {
        self.clients.values().filter_map(|it| it.slow.due_at).min()
    }

    fn slow_of(&mut self, id: ClientId, now: Instant) -> Vec<Due> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Vec::new();
        };
        let open = client.feed.queue.open_command().ok().flatten();
        let is_due = client.slow.due_at.is_some_and(|it| it <= now);
        if open == client.slow.seen && !is_due {
            return Vec::new();
        }
        client.slow.seen = open;
        client.slow.due_at = None;
        let is_from_here = matches!(client.trust, Trust::Proven);
        // What others say of themselves has been told when they end.
        if open.is_none() || !is_from_here || !client.is_alive() {
            return Vec::new();
        }
        let commands = client.feed.open_commands().unwrap_or_default();
        let mut due = Vec::new();
        for command in commands {
            let known =
                self.configurations.of(&command.items, &command.environment);
            let Some(bound) = known.slow() else {
                continue;
            };
            let found = look(client, command, bound, now);
            due.extend(found);
        }
        due
    }

    /// Puts a record into a queue of its own, and takes that over.
    fn append_own(&mut self, due: &Due) -> io::Result<()> {
        let dir = Arc::clone(&self.directories.own);
        let name = agent_address::new_queue();
        let origin = Origin {
            pid: std::process::id(),
            namespaces: self.namespaces.clone(),
            session: String::new(),
            micros: Timestamp::now().micros,
        };
        let fill = |file: &File| {
            queue::lay_out_for_records(file, MAX_BYTES, &origin)?;
            let mut writer = Writer::over(file.try_clone()?, MAX_BYTES);
            let at = writer.committed().end;
            writer.append(&frames(due, at)?, 1).map(drop)
        };
        let file = living_file::create(&dir, &name, fill)?;
        // It has ended, like its writer.
        drop(file);
        self.take(&dir, &name, true, None);
        Ok(())
    }
}

/// Whether a command is to be told of now, and when it is to be looked at again.
fn look(
    client: &mut Client,
    command: OpenRecord,
    bound: Duration,
    now: Instant,
) -> Option<Due> {
    let Ok(Frame::Open(begun)) = postcard::from_bytes(&command.frame) else {
        return None;
    };
    let event = &begun.record.event;
    if canonical(&event.options).is_some_and(|it| LASTING.contains(&it)) {
        return None;
    }
    let micros = clock::monotonic_micros().saturating_sub(begun.began);
    let elapsed = Duration::from_micros(micros);
    let reached = TIMES.iter().filter(|it| bound * **it <= elapsed).count();
    if let Some(next) = TIMES.get(reached) {
        let left = (bound * *next).saturating_sub(elapsed);
        let at = now + left;
        let before = client.slow.due_at.unwrap_or(at);
        client.slow.due_at = Some(before.min(at));
    }
    let told = client.slow.told.get(&event.seq).copied();
    if reached <= told.unwrap_or(0) {
        return None;
    }
    client.slow.told.insert(event.seq, reached);
    let phase = client.feed.queue.phase().ok();
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
    // Where these stand is known when it is appended.
    (record.environment_at, record.items_at) = (0, 0);
    let frame = postcard::to_stdvec(&Frame::Record(record)).ok()?;
    Some(Due {
        frame,
        environment: command.environment,
        items: command.items,
    })
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
    let name = canonical(&event.options).unwrap_or(b"hg");
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

fn canonical<'e>(options: &'e [EventOption<'_>]) -> Option<&'e [u8]> {
    let named = options.iter().find(|it| *it.key == *b"canonical_command");
    match &named?.value {
        Value::Bytes(name) => Some(&name.0),
        _ => None,
    }
}

/// The frames of a queue that begin at this position.
fn frames(due: &Due, at: u64) -> io::Result<Vec<u8>> {
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
    let environment_at = put(&Frame::Environment(text(&due.environment)))?;
    let items = due.items.iter();
    let items = items.map(|(name, value)| (text(name), text(value)));
    let items_at = put(&Frame::Items(items.collect()))?;
    let Ok(Frame::Record(record)) = postcard::from_bytes(&due.frame) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    put(&Frame::Record(Record {
        environment_at,
        items_at,
        ..record
    }))?;
    Ok(bytes)
}
