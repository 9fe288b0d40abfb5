//! The two signals, spans and log records, as channels of a spool, each with
//! its own position.
//!
//! Knows only which signal a record belongs to.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memchr_iter;
use memchr::memchr2;
use memchr::memmem::Finder;
use serde::Deserialize;
use uilog_spool::CHANNELS;
use uilog_spool::Channels;

use crate::otlp::mapping;
use crate::otlp::request::SignalType;

/// Raised when a record of some kind becomes another signal than before.
pub const VERSION: u32 = 1;

/// The channels of a spool.
pub const CHANNELS_OF_SPOOL: Channels = Channels::two(VERSION, channel);

/// How records of this program begin.
const BEGINNING: &[u8] = b"{\"schema\":1,\"id\":\"";

/// What decides to which signal a record belongs.
#[derive(Deserialize)]
struct SignalCriteria {
    event: String,
    #[serde(default)]
    duration: Option<f64>,
    #[serde(default)]
    blocked: BTreeMap<String, f64>,
}

impl SignalType {
    /// Both.
    pub const ALL: [Self; CHANNELS] = [Self::Traces, Self::Logs];

    /// Its channel in a spool.
    pub fn channel(self) -> usize {
        match self {
            Self::Traces => 0,
            Self::Logs => 1,
        }
    }

    /// Its name, as OpenTelemetry's paths have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

/// The channel of a record. Invalid records are among the log records.
fn channel(payload: &[u8]) -> usize {
    let kind = quickly(payload).unwrap_or_else(|| {
        let outline: Result<SignalCriteria, _> =
            serde_json::from_slice(payload);
        let is_spans = outline.is_ok_and(|it| {
            mapping::becomes_spans(&it.event, it.duration, &it.blocked)
        });
        if is_spans {
            SignalType::Traces
        } else {
            SignalType::Logs
        }
    });
    kind.channel()
}

/// The same for most records of this program, without parsing them: senders,
/// and commands that show a spool, need this for each record, more than once.
/// Other records are parsed.
fn quickly(payload: &[u8]) -> Option<SignalType> {
    let rest = payload.strip_prefix(BEGINNING)?;
    let (_, rest) = take_plain(rest)?;
    let (event, _) = take_plain(rest.strip_prefix(b",\"event\":\"")?)?;
    let mut escapes = memchr_iter(b'\\', payload);
    let is_in_other_words =
        escapes.any(|at| payload.get(at + 1) == Some(&b'u'));
    if !payload.ends_with(b"}") || is_in_other_words {
        return None;
    }
    if event == b"commandfinish" {
        return Some(SignalType::Traces);
    }
    // An option may have such a name as well.
    static NAMES: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| {
        [&b"\"duration\":"[..], b"\"blocked\":"].map(Finder::new)
    });
    let may_be_spans = NAMES.iter().any(|it| it.find(payload).is_some());
    (!may_be_spans).then_some(SignalType::Logs)
}

/// The rest of a text without escapes, and what follows its end.
fn take_plain(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr2(b'"', b'\\', text)?;
    (text[end] == b'"').then(|| (&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::otlp::request::Mapped;
    use crate::record::Record;

    /// The table is what spools of this version rely on.
    #[test]
    fn each_record_has_the_channel_of_its_signal() {
        let spans = [
            json!({"event": "commandfinish"}),
            json!({"event": "commandfinish", "duration": 1.5}),
            json!({"event": "exthook", "duration": 0.0}),
            json!({"event": "anything", "duration": 3}),
            json!({"event": "uiblocked", "blocked": {"stdio": 1.0}}),
        ];
        let logs = [
            json!({"event": "command"}),
            json!({"event": "anything", "duration": -1.0}),
            json!({"event": "uiblocked", "blocked": {}}),
            json!({"event": "uiblocked", "blocked": {"stdio": -1.0}}),
            json!({"event": "x", "options": {"duration": 3, "blocked": 1}}),
            json!({"event": "x", "message": "\"event\":\"commandfinish\""}),
        ];
        let all = spans.iter().map(|it| (it, SignalType::Traces));
        let all = all.chain(logs.iter().map(|it| (it, SignalType::Logs)));
        for (more, kind) in all {
            let mut record = json!({
                "schema": 1, "id": "x", "message": "", "seq": 1,
                "time": "2026-01-02T03:04:05.000006+01:00",
                "session": "000000000000000000000000000000aa",
                "process": {"pid": 1, "executable": "/usr/bin/hg"},
                "host": {"name": "here"},
            });
            let fields = more.as_object().unwrap().clone();
            record.as_object_mut().unwrap().extend(fields);
            let payload = serde_json::to_vec(&record).unwrap();
            assert_eq!(channel(&payload), kind.channel(), "{more}");
            let record: Record = serde_json::from_slice(&payload).unwrap();
            assert_eq!(Mapped::new(&record).unwrap().kind(), kind, "{more}");
            // As this program writes it, and with the names in other words.
            let ours = serde_json::to_vec(&record).unwrap();
            assert!(ours.starts_with(BEGINNING));
            assert_eq!(channel(&ours), kind.channel(), "{more}");
            let escaped = String::from_utf8(ours).unwrap();
            for (name, escaped_name) in [
                ("\"event\":", "\"\\u0065vent\":"),
                ("\"duration\":", "\"d\\u0075ration\":"),
                ("\"blocked\":", "\"bl\\u006fcked\":"),
                ("commandfinish", "command\\u0066inish"),
                ("\"event\":", " \"event\" : "),
            ] {
                let other = escaped.replace(name, escaped_name);
                assert_eq!(
                    channel(other.as_bytes()),
                    kind.channel(),
                    "{other}"
                );
            }
        }
        for nothing in [&b""[..], b"{", b"[]", b"{}", b"\xff"] {
            assert_eq!(channel(nothing), SignalType::Logs.channel());
        }
    }
}
