//! The event `commandlost`, for a command that was killed.
//!
//! Responsible for deciding whether a command's process was killed, and for the
//! event's content. hg has appended that content at the command's beginning
//! ([`crate::wire::Open`]); the process that reads the queue of a dead process
//! appends the event to it, as if hg had done so. From then on it is an
//! ordinary record. Must not know which process reads.

use std::borrow::Cow;
use std::io;
use std::time::Duration;
use std::time::Instant;

use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Value;
use uilog_sys::clock;
use uilog_sys::ended::Ended;
use uilog_sys::pidfd::Pidfd;
use uilog_sys::pidfd::ProcessState;

use crate::queue;
use crate::queue::OpenCommand;
use crate::queue::Reader;
use crate::wire::Frame;
use crate::wire::Open;
use crate::wire::RecordFrame;

/// The event's name.
pub const NAME: &[u8] = b"commandlost";
/// The journal's text if an event could not be appended.
pub const CANNOT_TELL: &str = "the end of commands that were killed";
/// The text of its message after the command.
const LOST: &str = " was lost after ";
const SECONDS: &str = " seconds";

/// No session has so many events: these numbers are counted down from here, so
/// that they sort behind all others, the innermost command first.
const LAST_SEQ: u64 = 1 << 40;

/// How long to wait for the signal: the kernel reports it when the process has
/// been reaped.
const SIGNAL_BOUND: Duration = Duration::from_millis(500);
/// How long for a process that is about to end.
const END_BOUND: Duration = Duration::from_secs(60);
/// How often to look meanwhile.
pub const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Maximum number of commands of a process that are logged.
const MAX_TOLD: u16 = 64;
/// A command that has run for longer than this is not believed.
const MAX_MICROS: u64 = 1 << 53;

/// The number of the event for the `id`th command of a process.
pub fn seq(id: u64) -> u64 {
    LAST_SEQ.saturating_sub(id)
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// The signal that has ended it, if known.
    pub signal: Option<i32>,
    /// When it was noticed, in microseconds of the monotonic clock, if that was
    /// at once. Otherwise only the time of hg's last write is known.
    pub noticed_at: Option<u64>,
}

/// Whether a process that has released its queue was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet: check again after [`LOOK_AGAIN`].
    Unknown,
    /// It continues without the queue: as another program, for instance.
    Lives,
    /// It has ended.
    Dead(Death),
}

/// The state of a query about a process.
#[derive(Debug, Default)]
pub struct Inquiry {
    begun: Option<(Instant, u64)>,
}

impl Inquiry {
    /// What is known about a process that has released its queue. `was_watched`
    /// says that it was alive a moment ago.
    pub fn ask(
        &mut self,
        process: Option<&Pidfd>,
        was_watched: bool,
    ) -> Verdict {
        let now = || (Instant::now(), clock::monotonic_micros());
        let (since, micros) = *self.begun.get_or_insert_with(now);
        let dead = |signal| {
            let noticed_at = was_watched.then_some(micros);
            Verdict::Dead(Death { signal, noticed_at })
        };
        match process.map(Pidfd::state) {
            Some(ProcessState::Runs) => Verdict::Lives,
            Some(ProcessState::Ends) if since.elapsed() < END_BOUND => {
                Verdict::Unknown
            }
            Some(ProcessState::Ended(Some(Ended::Killed {
                signal, ..
            }))) => dead(Some(signal)),
            Some(ProcessState::Ended(None))
                if since.elapsed() < SIGNAL_BOUND =>
            {
                Verdict::Unknown
            }
            Some(ProcessState::Ends | ProcessState::Ended(_)) | None => {
                dead(None)
            }
        }
    }
}

/// Appends the event to the queue of a dead process for each command that it
/// had begun and not ended, until none is left. There is no other reader.
///
/// # Errors
///
/// How many could not be appended, and why. None is left even then, unless the
/// page cannot be written either.
pub fn conclude(
    queue: &mut Reader,
    death: &Death,
) -> Result<(), (u64, io::Error)> {
    for _ in 0..MAX_TOLD {
        let open = match queue.open_command() {
            Ok(Some(open)) => open,
            Ok(None) => return Ok(()),
            Err(error) => return Err((1, error)),
        };
        if let Err(error) = conclude_one(queue, open, death) {
            let count = u64::from(open.depth.clamp(1, MAX_TOLD));
            let _ = queue.append_for_dead(&[], 0, 0);
            return Err((count, error));
        }
    }
    // Only a damaged queue has more.
    let _ = queue.append_for_dead(&[], 0, 0);
    Ok(())
}

/// Clears the running commands, because none was killed: the process continues
/// as another program.
///
/// # Errors
///
/// The page cannot be written.
pub fn dismiss(queue: &mut Reader) -> io::Result<()> {
    queue.append_for_dead(&[], 0, 0)
}

fn conclude_one(
    queue: &mut Reader,
    open: OpenCommand,
    death: &Death,
) -> io::Result<()> {
    let bytes = queue.frame_at(open.at)?;
    let written_at = queue.written_at()?;
    let Some(begun) = Open::parse(&bytes) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    // Each names one that has begun before.
    let is_before = |it: &OpenCommand| it.at < open.at;
    let outer = OpenCommand::of(begun.outer).filter(is_before);
    let outer = outer.map_or(0, |_| begun.outer);
    if begun.has_ended {
        return queue.append_for_dead(&[], 0, outer);
    }
    let last_seen = death.noticed_at.unwrap_or(written_at);
    let record = record(begun, death.signal, last_seen);
    let mut frames = Vec::new();
    let begin = queue::begin_frame(&mut frames)?;
    let frame = postcard::to_stdvec(&Frame::Record(record));
    frames.extend_from_slice(&frame.map_err(io::Error::other)?);
    queue::end_frame(&mut frames, begin)?;
    queue.append_for_dead(&frames, 1, outer)
}

/// The event of a command that was last seen at that time.
fn record(
    begun: Open<'_>,
    signal: Option<i32>,
    last_seen: u64,
) -> RecordFrame<'_> {
    let micros = last_seen.saturating_sub(begun.began).min(MAX_MICROS);
    let duration = Duration::from_micros(micros);
    let Open { mut record, .. } = begun;
    let event = &mut record.event;
    let began = event.time;
    event.name = Cow::Borrowed(NAME);
    event.message = Cow::Owned(message(&event.message, duration));
    let options = options(began, duration, signal);
    event.options.extend(options);
    event.duration = Some(duration.as_secs_f64());
    event.time.micros = began.micros.saturating_add(micros as i64);
    event.ends_span = true;
    record
}

/// What the event says of a command, as it was called.
pub fn message(command: &[u8], duration: Duration) -> Vec<u8> {
    let command = command.strip_suffix(b"\n").unwrap_or(command);
    let seconds = duration.as_secs_f64();
    let rest = format!("{LOST}{seconds:.2}{SECONDS}\n");
    [command, rest.as_bytes()].concat()
}

/// The option with a command's full name.
pub fn canonical(name: &[u8]) -> EventOption<'_> {
    EventOption {
        key: Cow::Borrowed(b"canonical_command"),
        value: Value::Bytes(Text(Cow::Borrowed(name))),
    }
}

/// The options that only its end has.
pub fn options(
    began: Timestamp,
    duration: Duration,
    signal: Option<i32>,
) -> Vec<EventOption<'static>> {
    let text = |text: String| Text(Cow::Owned(text.into_bytes()));
    let option = |key: &'static str, value| EventOption {
        key: Cow::Borrowed(key.as_bytes()),
        value,
    };
    let cause = if signal.is_some() {
        "signal"
    } else {
        "unknown"
    };
    let seconds = format!("{:?}", duration.as_secs_f64());
    let mut options = vec![
        option("duration", Value::Float(text(seconds))),
        option("began", Value::Bytes(text(began.to_rfc3339()))),
        option("cause", Value::Bytes(text(cause.to_owned()))),
    ];
    let signal = signal.map(|it| Value::Int(text(it.to_string())));
    options.extend(signal.map(|it| option("signal", it)));
    options
}

/// Where the command ends in such a message, which comes without the newline.
pub fn end_of_command(message: &[u8]) -> Option<usize> {
    let text = message.strip_suffix(SECONDS.as_bytes())?;
    let is_digit = |it: &u8| it.is_ascii_digit() || *it == b'.';
    let digits = text.iter().rev().take_while(|it| is_digit(it)).count();
    let before = text[..text.len() - digits].strip_suffix(LOST.as_bytes())?;
    (digits > 0).then_some(before.len())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::Command;
    use std::process::Stdio;

    use nix::unistd::Pid;
    use uilog_event::event::Event;
    use uilog_sys::pidfd;

    use super::*;
    use crate::queue::Writer;

    fn framed(frame: &Frame<'_>) -> Vec<u8> {
        let mut buffer = Vec::new();
        let begin = queue::begin_frame(&mut buffer).unwrap();
        buffer.extend_from_slice(&postcard::to_stdvec(frame).unwrap());
        queue::end_frame(&mut buffer, begin).unwrap();
        buffer
    }

    fn begin(writer: &mut Writer, id: u64, command: &'static [u8]) {
        let record = RecordFrame::bare(Event {
            seq: seq(id),
            message: Cow::Borrowed(command),
            time: Timestamp {
                micros: 7_000_000,
                offset: 0,
            },
            ..Event::bare(NAME)
        });
        let open = Open {
            has_ended: false,
            outer: writer.open_word(),
            began: 5_000_000,
            record,
        };
        let at = writer.committed().end;
        let frame = framed(&Frame::Open(open));
        writer.append_beginning(&frame, at, id).unwrap();
    }

    /// A queue with so many commands within each other; its reader.
    fn queue(commands: u64) -> (Writer, Reader) {
        let mut writer = Writer::create(1 << 20).unwrap();
        for id in 1..=commands {
            begin(&mut writer, id, b"pull 'a b'\n");
        }
        let fd = OwnedFd::from(writer.page().try_clone().unwrap());
        (writer, Reader::open(fd).unwrap())
    }

    /// The events that have been appended: number, message, time, options.
    fn told(queue: &mut Reader) -> Vec<(u64, String, i64, String)> {
        let mut told = Vec::new();
        let mut at = queue.low();
        while let Some((bytes, next)) = queue.frame(at).unwrap() {
            if let Ok(Frame::Record(record)) = postcard::from_bytes(&bytes) {
                let event = record.event;
                assert!(event.ends_span);
                let message = String::from_utf8_lossy(&event.message);
                let options = event.options.iter().map(|it| {
                    let key = String::from_utf8_lossy(&it.key).into_owned();
                    let value = it.value.for_shell();
                    format!("{key}={}", String::from_utf8_lossy(value))
                });
                let options: Vec<_> = options.collect();
                let time = event.time.micros;
                told.push((
                    event.seq,
                    message.into_owned(),
                    time,
                    options.join(" "),
                ));
            }
            at = next;
        }
        told
    }

    const KILLED: Death = Death {
        signal: Some(9),
        noticed_at: Some(6_500_000),
    };

    #[test]
    fn a_command_without_an_end_is_told_of_once() {
        let (writer, mut reader) = queue(1);
        drop(writer);
        conclude(&mut reader, &KILLED).unwrap();
        let expected = (
            LAST_SEQ - 1,
            "pull 'a b' was lost after 1.50 seconds\n".to_owned(),
            8_500_000,
            "duration=1.5 began=1970-01-01T00:00:07.000000+00:00 \
             cause=signal signal=9"
                .to_owned(),
        );
        assert_eq!(told(&mut reader), std::slice::from_ref(&expected));
        assert_eq!(reader.committed().unwrap().jobs, 1);
        // Whoever comes next finds nothing to tell of.
        conclude(&mut reader, &KILLED).unwrap();
        assert_eq!(told(&mut reader), [expected]);
    }

    #[test]
    fn what_has_ended_is_not_told_of() {
        let (mut writer, mut reader) = queue(3);
        // In another thread, the one in the middle.
        writer.end(2).unwrap();
        let unknown = Death {
            signal: None,
            noticed_at: None,
        };
        drop(writer);
        conclude(&mut reader, &unknown).unwrap();
        let seqs: Vec<_> = told(&mut reader).iter().map(|it| it.0).collect();
        assert_eq!(seqs, [LAST_SEQ - 3, LAST_SEQ - 1]);
        assert!(told(&mut reader)[0].3.ends_with("cause=unknown"));
        let (mut writer, mut reader) = queue(1);
        writer.end(1).unwrap();
        conclude(&mut reader, &KILLED).unwrap();
        assert_eq!(told(&mut reader), []);
    }

    #[test]
    fn a_damaged_beginning_is_counted_and_not_looked_at_again() {
        let mut writer = Writer::create(1 << 20).unwrap();
        let at = writer.committed().end;
        let frame = framed(&Frame::Items(Vec::new()));
        writer.append_beginning(&frame, at, 1).unwrap();
        let fd = OwnedFd::from(writer.page().try_clone().unwrap());
        let mut reader = Reader::open(fd).unwrap();
        let (count, _) = conclude(&mut reader, &KILLED).unwrap_err();
        assert_eq!(count, 1);
        assert_eq!(reader.open_command().unwrap(), None);
    }

    #[test]
    fn the_command_is_found_again_in_the_message() {
        for command in ["", "pull", "x was lost after 1.00 seconds"] {
            let text = message(command.as_bytes(), Duration::from_millis(20));
            let text = text.strip_suffix(b"\n").unwrap();
            assert_eq!(end_of_command(text), Some(command.len()));
        }
        for other in ["pull", "x was lost after  seconds", " seconds"] {
            assert_eq!(end_of_command(other.as_bytes()), None);
        }
    }

    #[test]
    fn a_process_that_goes_on_was_not_killed() {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = pidfd::open(Pid::from_raw(child.id() as i32)).unwrap();
        let mut inquiry = Inquiry::default();
        let deadline = Instant::now() + END_BOUND;
        assert_eq!(inquiry.ask(Some(&process), true), Verdict::Lives);
        child.kill().unwrap();
        let Death { signal, noticed_at } = loop {
            match inquiry.ask(Some(&process), true) {
                Verdict::Dead(death) => break death,
                _ => assert!(Instant::now() < deadline),
            }
        };
        assert_eq!(signal, Some(9));
        assert!(noticed_at.is_some());
        child.wait().unwrap();
        // One of which nothing is known but that it has let go.
        let unknown = Death {
            signal: None,
            noticed_at: None,
        };
        let verdict = Inquiry::default().ask(None, false);
        assert_eq!(verdict, Verdict::Dead(unknown));
    }
}
