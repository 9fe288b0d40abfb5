//! The protocol between hg's process and its dispatcher.
//!
//! The socket carries single bytes that mean "read the queue". Everything else
//! is [`Frame`]s in the queue. Both sides normally come from one installation;
//! a change of format increments [`PROTOCOL`], which is at the beginning of the
//! queue, and different versions refuse each other.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;
use uilog_event::event::Event;
use uilog_event::event::Text;

/// The version of everything in this file and of the queue's layout.
pub const PROTOCOL: u16 = 7;

/// The oldest version whose queues of records this version can read: while hg
/// is upgraded, processes of both versions run, and their queues are in one
/// directory. A change of [`PROTOCOL`] that breaks this needs separate code for
/// reading the previous version.
pub const OLDEST_READABLE: u16 = 6;

/// Whether queues of records of this version can be read.
pub fn is_readable(protocol: u16) -> bool {
    (OLDEST_READABLE..=PROTOCOL).contains(&protocol)
}

/// The byte that means: look into the queue.
pub const DOORBELL: [u8; 1] = [b'!'];

/// One entry of the queue.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// hg's environment as a block of `NAME=value`, each followed by NUL,
    /// for the jobs that name this entry's position.
    #[serde(borrow)]
    Environment(Text<'a>),
    /// What `[uilog]` says of structured sinks, as names and values, for the
    /// records that name this entry's position.
    #[serde(borrow)]
    Items(Vec<(Text<'a>, Text<'a>)>),
    /// A script to run.
    #[serde(borrow)]
    Job(Job<'a>),
    /// An event for structured sinks.
    #[serde(borrow)]
    Record(RecordFrame<'a>),
    /// A command has begun: the event to log if it never ends.
    #[serde(borrow)]
    Open(Open<'a>),
}

/// A command that has begun, for a process that finds it killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open<'a> {
    /// It has ended, though a nested one has not. The writer changes this byte
    /// in place: [`HAS_ENDED_AT`].
    pub has_ended: bool,
    /// The enclosing command that has not ended either, as the first page
    /// identifies it ([`crate::queue::OpenCommand`]); 0 if there is none.
    pub outer: u64,
    /// When it began, in microseconds of the monotonic clock.
    pub began: u64,
    /// The record of its event, without the options that only its end has.
    #[serde(borrow)]
    pub record: RecordFrame<'a>,
}

impl<'a> Open<'a> {
    /// What a frame says, if it is one of these and can be read.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        match postcard::from_bytes(frame) {
            Ok(Frame::Open(open)) => Some(open),
            _ => None,
        }
    }
}

/// The offset of `has_ended` of [`Open`] in its frame.
pub const HAS_ENDED_AT: u64 = 1;

/// An event for structured sinks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordFrame<'a> {
    /// The event.
    #[serde(borrow)]
    pub event: Event<'a>,
    /// Offset of its environment frame in the queue.
    pub environment_at: u64,
    /// Offset of its items frame, which defines the sinks, in the queue.
    pub items_at: u64,
    /// hg's working directory; `None` if that has been removed.
    #[serde(borrow)]
    pub cwd: Option<Text<'a>>,
    /// hg's executable.
    #[serde(borrow, with = "serde_bytes")]
    pub hg: Cow<'a, [u8]>,
    /// Mercurial's version, where one is known.
    #[serde(borrow)]
    pub hg_version: Option<Text<'a>>,
    /// The program that it is about, if that is not hg's executable.
    #[serde(borrow)]
    pub program: Option<Program<'a>>,
    /// What `TRACESTATE` says of the event's trace.
    #[serde(borrow)]
    pub trace_state: Option<Text<'a>>,
    /// What hg knows of the event's repository.
    #[serde(borrow)]
    pub repository: Repository<'a>,
}

impl<'a> RecordFrame<'a> {
    /// One of which nothing is known but its event.
    pub fn bare(event: Event<'a>) -> Self {
        Self {
            event,
            environment_at: 0,
            items_at: 0,
            cwd: None,
            hg: Cow::Borrowed(b"hg"),
            hg_version: None,
            program: None,
            trace_state: None,
            repository: Repository::default(),
        }
    }
}

/// What hg knows of a repository without looking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Repository<'a> {
    /// Where it comes from: `paths.default`, as it is configured.
    #[serde(borrow)]
    pub url: Option<Text<'a>>,
    /// The working directory's bookmark or branch, at a command's end.
    #[serde(borrow)]
    pub head: Option<Text<'a>>,
    /// Its first parent, in hexadecimal digits.
    #[serde(borrow)]
    pub revision: Option<Text<'a>>,
}

/// A program that an event is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program<'a> {
    /// Where it is.
    #[serde(borrow)]
    pub path: Text<'a>,
    /// Whether it is one of Mercurial's, such as rhg.
    pub is_mercurial: bool,
}

/// A script to run for an event.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Job<'a> {
    /// The event.
    #[serde(borrow)]
    pub event: Event<'a>,
    /// The script: text for `/bin/sh -c`.
    #[serde(borrow, with = "serde_bytes")]
    pub script: Cow<'a, [u8]>,
    /// The file and line that define it, or what else does; for the journal.
    #[serde(borrow)]
    pub source: Option<Text<'a>>,
    /// What the script reads.
    pub stdin: StdinFormat,
    /// The position of its environment in the queue.
    pub environment_at: u64,
    /// The value of `TRACEPARENT`, which that environment does not have.
    #[serde(borrow)]
    pub traceparent: Option<Text<'a>>,
    /// hg's working directory; `None` if that has been removed.
    #[serde(borrow)]
    pub cwd: Option<Text<'a>>,
    /// hg's umask; `None` if it has not changed since the dispatcher started.
    pub umask: Option<u32>,
    /// hg's executable.
    #[serde(borrow, with = "serde_bytes")]
    pub hg: Cow<'a, [u8]>,
    /// How many scripts are around hg: 0 unless a script runs it.
    pub depth: u32,
    /// How scripts are run from now on.
    pub limits: RunLimits,
}

/// What a script finds on its standard input.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize,
)]
pub enum StdinFormat {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// The whole event, as one line of JSON.
    Json,
}

/// The bounds within which scripts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// How many scripts run at a time.
    pub max_scripts: u32,
    /// Milliseconds until a script is ended; 0 is never.
    pub timeout_ms: u64,
}

#[cfg(test)]
mod tests {
    use uilog_event::event::EventOption;
    use uilog_event::event::SessionId;
    use uilog_event::event::Timestamp;
    use uilog_event::event::Trace;
    use uilog_event::event::Usage;
    use uilog_event::event::Value;

    use super::*;

    /// Ends of different installations meet when hg is upgraded under a
    /// server that goes on. If this fails, raise [`PROTOCOL`].
    #[test]
    fn a_protocol_has_one_layout() {
        let text = |bytes: &'static [u8]| Text(Cow::Borrowed(bytes));
        let option = |key: &'static [u8], value| EventOption {
            key: Cow::Borrowed(key),
            value,
        };
        let event = Event {
            schema: 1,
            session: SessionId(2),
            parent: Some(SessionId(3)),
            seq: 4,
            name: Cow::Borrowed(b"n"),
            time: Timestamp {
                micros: 5,
                offset: 6,
            },
            duration: Some(0.5),
            pid: 7,
            user: Some(text(b"u")),
            uid: 8,
            root: None,
            message: Cow::Borrowed(b"m"),
            options: vec![
                option(b"a", Value::Null),
                option(b"b", Value::Bool(true)),
                option(b"c", Value::Int(text(b"1"))),
                option(b"d", Value::Float(text(b"2"))),
                option(b"e", Value::Bytes(text(b"3"))),
                option(b"f", Value::Str(text(b"4"))),
            ],
            lost: 9,
            trace: Some(Trace {
                id: 15,
                span: 16,
                parent: 17,
                flags: 1,
            }),
            ends_span: true,
            usage: Some(Usage {
                peak_memory_bytes: 18,
                user_cpu_micros: 19,
                system_cpu_micros: 20,
            }),
        };
        let record = RecordFrame {
            event: event.clone(),
            environment_at: 21,
            items_at: 22,
            cwd: None,
            hg: Cow::Borrowed(b"h"),
            hg_version: Some(text(b"7")),
            program: None,
            trace_state: Some(text(b"o")),
            repository: Repository {
                url: Some(text(b"p")),
                head: None,
                revision: Some(text(b"q")),
            },
        };
        let open = Open {
            has_ended: true,
            outer: 23,
            began: 24,
            record: record.clone(),
        };
        let job = Job {
            event,
            script: Cow::Borrowed(b"s"),
            source: Some(text(b"f:1")),
            stdin: StdinFormat::Json,
            environment_at: 10,
            traceparent: Some(text(b"t")),
            cwd: Some(text(b"/")),
            umask: Some(11),
            hg: Cow::Borrowed(b"h"),
            depth: 12,
            limits: RunLimits {
                max_scripts: 13,
                timeout_ms: 14,
            },
        };
        let hex = |frame: Frame<'_>| -> String {
            let bytes = postcard::to_stdvec(&frame).unwrap();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let event = concat!(
            "0102010304016e0a0c01000000000000e03f070101750800016d06016100",
            "0162010101630201310164030132016504013301660501340901",
            "0f1011010101121314",
        );
        let expected =
            format!("02{event}01730103663a31010a01017401012f010b01680c0d0e");
        assert_eq!((PROTOCOL, hex(Frame::Job(job))), (7, expected));
        let expected =
            format!("03{event}15160001680101370001016f01017000010171");
        assert_eq!(hex(Frame::Record(record)), expected);
        let expected =
            format!("04011718{event}15160001680101370001016f01017000010171");
        assert_eq!(hex(Frame::Open(open)), expected);
        assert_eq!(HAS_ENDED_AT, 1, "behind the kind of frame");
        let environment = Frame::Environment(text(b"A=b\0"));
        assert_eq!(hex(environment), "0004413d6200");
        let items = vec![(text(b"a"), text(b"b"))];
        assert_eq!(hex(Frame::Items(items)), "010101610162");
    }

    /// If this fails, [`OLDEST_READABLE`] promises what is not kept.
    #[test]
    fn frames_of_the_oldest_version_are_read() {
        let record = concat!(
            "030102010304016e0a0c01000000000000e03f070101750800016d060161",
            "0001620101016302013101640301320165040133016605013409010f1011",
            "01010112131415160001680101370001016f01017000010171",
        );
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = hex.as_bytes().chunks(2);
            let byte = |pair| {
                let pair = std::str::from_utf8(pair).unwrap();
                u8::from_str_radix(pair, 16).unwrap()
            };
            digits.map(byte).collect()
        };
        let record = bytes(record);
        let Ok(Frame::Record(record)) = postcard::from_bytes(&record) else {
            panic!("it is no record any more");
        };
        assert_eq!(*record.event.name, *b"n");
        assert_eq!((record.environment_at, record.items_at), (21, 22));
        assert_eq!(record.repository.revision.unwrap().0, &b"q"[..]);
        let items = bytes("010101610162");
        let items = postcard::from_bytes::<Frame<'_>>(&items);
        assert!(matches!(items, Ok(Frame::Items(it)) if it.len() == 1));
        let environment = bytes("0004413d6200");
        let environment = postcard::from_bytes::<Frame<'_>>(&environment);
        assert!(matches!(environment, Ok(Frame::Environment(_))));
    }
}
