//! The two signals, spans and log records, as a spool knows them: each is a
//! channel of its own, with its own place.
//!
//! Knows of a record only what decides to which of them it belongs.

use std::collections::BTreeMap;

use serde::Deserialize;
use uilog_spool::CHANNELS;
use uilog_spool::Channels;

use crate::otlp::mapping;
use crate::otlp::request::Kind;

/// Raised when a record of some kind becomes another signal than before.
pub const VERSION: u32 = 1;

/// The channels of a spool.
pub const CHANNELS_OF_SPOOL: Channels = Channels::two(VERSION, channel);

/// What decides to which signal a record belongs.
#[derive(Deserialize)]
struct Outline {
    event: String,
    #[serde(default)]
    duration: Option<f64>,
    #[serde(default)]
    blocked: BTreeMap<String, f64>,
}

impl Kind {
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

/// The channel of a record. What is no record is among the log records.
fn channel(payload: &[u8]) -> usize {
    let outline: Result<Outline, _> = serde_json::from_slice(payload);
    let is_spans = outline.is_ok_and(|it| {
        mapping::becomes_spans(&it.event, it.duration, &it.blocked)
    });
    let kind = if is_spans { Kind::Traces } else { Kind::Logs };
    kind.channel()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::otlp::request::Mapped;

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
        ];
        let all = spans.iter().map(|it| (it, Kind::Traces));
        let all = all.chain(logs.iter().map(|it| (it, Kind::Logs)));
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
            let record = serde_json::from_slice(&payload).unwrap();
            assert_eq!(Mapped::new(&record).unwrap().kind(), kind, "{more}");
        }
        for nothing in [&b""[..], b"{", b"[]", b"{}", b"\xff"] {
            assert_eq!(channel(nothing), Kind::Logs.channel());
        }
    }
}
