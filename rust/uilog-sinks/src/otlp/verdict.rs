//! What a receiver's answer means.
//!
//! Knows the protocol's rules (OTLP 1.9, "OTLP/HTTP Response") and where we do
//! otherwise; no connection and no spool. docs/otlp.md has the table.

use std::time::Duration;
use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::Value;

use crate::otlp::request::Kind;
use crate::otlp::retry_after;

/// Characters of what a receiver says that are kept.
const MAX_TEXT_CHARS: usize = 200;

/// What is to become of what has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has all of it.
    Accepted,
    /// It has all but some, which it will never take, and does not say which.
    Partly {
        /// How many spans or log records that are.
        rejected: u64,
        /// Why.
        reason: String,
    },
    /// It is to be sent again, later.
    Later {
        /// Not before that.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// There is something in it that it will never take.
    Refused {
        /// Why.
        reason: String,
    },
    /// It fails over it: later it may not, or it may be refusing it.
    Broken {
        /// Why.
        reason: String,
    },
}

/// An answer, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// HTTP's status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body, whole.
    pub body: &'a [u8],
}

/// What an error's body is.
// google.rpc.Status
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Answer<'_> {
    /// What it means, of a request of this kind.
    pub fn verdict(&self, kind: Kind, now: SystemTime) -> Verdict {
        let after =
            || self.retry_after.and_then(|it| retry_after::parse(it, now));
        match self.status {
            200..=299 => self.success(kind),
            429 | 502 | 503 | 504 => Verdict::Later {
                after: after(),
                reason: self.reason(),
            },
            // What is wrong there, is wrong with the configuration, on this
            // side or the other: it will be mended, or grow too old.
            300..=399
            | 401..=408
            | 410
            | 411
            | 415
            | 421
            | 425
            | 426
            | 451
            | 511 => Verdict::Later {
                after: after(),
                reason: self.reason(),
            },
            400..=499 => Verdict::Refused {
                reason: self.reason(),
            },
            500..=599 => Verdict::Broken {
                reason: self.reason(),
            },
            _ => Verdict::Later {
                after: None,
                reason: self.reason(),
            },
        }
    }

    /// What has been accepted is known by its body only: there are hosts that
    /// answer everything with a page to log in.
    fn success(&self, kind: Kind) -> Verdict {
        let partial = if self.is_json() {
            self.partial_of_json(kind)
        } else {
            self.partial_of_protobuf(kind)
        };
        match partial {
            Some((rejected, text)) => match u64::try_from(rejected) {
                Ok(rejected @ 1..) => Verdict::Partly {
                    rejected,
                    reason: if text.is_empty() {
                        "partial success".to_owned()
                    } else {
                        format!("partial success: {}", printable(&text))
                    },
                },
                _ => Verdict::Accepted,
            },
            None => Verdict::Later {
                after: None,
                reason: format!(
                    "status {} with a body that is none of OTLP's: \
                     this is no collector",
                    self.status,
                ),
            },
        }
    }

    fn is_json(&self) -> bool {
        let kind = self.content_type.unwrap_or("");
        kind.trim_start().starts_with("application/json")
    }

    fn partial_of_protobuf(&self, kind: Kind) -> Option<(i64, String)> {
        Some(match kind {
            Kind::Traces => {
                let answer = ExportTraceServiceResponse::decode(self.body);
                let partial = answer.ok()?.partial_success.unwrap_or_default();
                (partial.rejected_spans, partial.error_message)
            }
            Kind::Logs => {
                let answer = ExportLogsServiceResponse::decode(self.body);
                let partial = answer.ok()?.partial_success.unwrap_or_default();
                (partial.rejected_log_records, partial.error_message)
            }
        })
    }

    fn partial_of_json(&self, kind: Kind) -> Option<(i64, String)> {
        if self.body.trim_ascii().is_empty() {
            return Some((0, String::new()));
        }
        let answer: Value = serde_json::from_slice(self.body).ok()?;
        let partial = match answer.as_object()?.get("partialSuccess") {
            Some(Value::Object(partial)) => partial,
            _ => return Some((0, String::new())),
        };
        let key = match kind {
            Kind::Traces => "rejectedSpans",
            Kind::Logs => "rejectedLogRecords",
        };
        // 64-bit numbers are strings there, and some write numbers.
        let rejected = partial.get(key).and_then(|it| match it {
            Value::String(text) => text.parse().ok(),
            it => it.as_i64(),
        });
        let text = partial.get("errorMessage").and_then(Value::as_str);
        Some((rejected.unwrap_or(0), text.unwrap_or("").to_owned()))
    }

    fn reason(&self) -> String {
        let said = self.said();
        if said.is_empty() {
            format!("status {}", self.status)
        } else {
            format!("status {}: {said}", self.status)
        }
    }

    /// What an error's body says.
    fn said(&self) -> String {
        let kind = self.content_type.unwrap_or("");
        if kind.contains("protobuf") {
            let status = Status::decode(self.body);
            return printable(&status.map_or(String::new(), |it| it.message));
        }
        if self.is_json() {
            let status: Option<Value> = serde_json::from_slice(self.body).ok();
            let message = status.as_ref().and_then(|it| it.get("message"));
            if let Some(message) = message.and_then(Value::as_str) {
                return printable(message);
            }
        }
        if kind.contains("html") {
            return String::new();
        }
        printable(&String::from_utf8_lossy(self.body))
    }
}

/// A short text of one line.
pub(crate) fn printable(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .take(MAX_TEXT_CHARS)
        .collect();
    if text.chars().nth(MAX_TEXT_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 1994-11-06T08:49:37Z, the date of HTTP's examples.
    const NOW: Duration = Duration::from_secs(784_111_777);

    fn verdict(status: u16, content_type: &str, body: &[u8]) -> Verdict {
        let answer = Answer {
            status,
            retry_after: None,
            content_type: Some(content_type),
            body,
        };
        answer.verdict(Kind::Logs, UNIX_EPOCH + NOW)
    }

    fn reason(status: u16, content_type: &str, body: &[u8]) -> String {
        match verdict(status, content_type, body) {
            Verdict::Accepted => String::new(),
            Verdict::Partly { reason, .. }
            | Verdict::Later { reason, .. }
            | Verdict::Refused { reason }
            | Verdict::Broken { reason } => reason,
        }
    }

    #[test]
    fn each_status_has_its_meaning() {
        let all: String = (100..=599)
            .map(|status| match verdict(status, "", b"") {
                Verdict::Accepted | Verdict::Partly { .. } => 'a',
                Verdict::Later { .. } => 'l',
                Verdict::Refused { .. } => 'r',
                Verdict::Broken { .. } => 'b',
            })
            .collect();
        let of = |letter: char| {
            let at = |(at, it)| (it == letter).then_some(100 + at);
            all.chars().enumerate().filter_map(at).collect::<Vec<_>>()
        };
        assert_eq!(of('a'), (200..=299).collect::<Vec<_>>());
        let refused = of('r');
        for status in [400, 409, 413, 414, 422, 431, 499] {
            assert!(refused.contains(&status), "{status}");
        }
        let later = of('l');
        for status in [301, 401, 403, 404, 405, 407, 408, 425, 429, 503] {
            assert!(later.contains(&status), "{status}");
        }
        let broken = of('b');
        for status in [500, 501, 505, 507, 599] {
            assert!(broken.contains(&status), "{status}");
        }
    }

    #[test]
    fn what_a_receiver_says_is_told_in_one_short_line() {
        let text = "text/plain; charset=utf-8";
        assert_eq!(
            reason(400, text, b"no\nway\x1b[0m"),
            "status 400: no way [0m"
        );
        assert_eq!(reason(400, "text/html", b"<p>no</p>"), "status 400");
        let json = br#"{"code": 3, "message": "bad field"}"#;
        let said = reason(400, "application/json", json);
        assert_eq!(said, "status 400: bad field");
        let message = Status {
            code: 3,
            message: "bad span".to_owned(),
        };
        let kind = "application/x-protobuf";
        let said = reason(503, kind, &message.encode_to_vec());
        assert_eq!(said, "status 503: bad span");
        assert_eq!(reason(503, kind, b"\xff"), "status 503");
        let long = reason(500, text, "é".repeat(5_000).as_bytes());
        assert_eq!(long.chars().count(), "status 500: ".len() + 203);
    }

    #[test]
    fn a_success_is_one_of_otlp() {
        let json = "application/json";
        for (kind, body) in [
            ("application/x-protobuf", &b""[..]),
            ("", b""),
            (json, b""),
            (json, b"{}"),
            (json, br#"{"partialSuccess":{}}"#),
            // A warning.
            (json, br#"{"partialSuccess":{"errorMessage":"old"}}"#),
        ] {
            assert_eq!(verdict(200, kind, body), Verdict::Accepted, "{kind}");
        }
        for (kind, body) in [
            ("text/html", &b"<html>"[..]),
            ("application/x-protobuf", b"\xff\xff"),
            (json, b"<html>"),
            (json, b"[]"),
        ] {
            let is_later =
                matches!(verdict(200, kind, body), Verdict::Later { .. });
            assert!(is_later, "{kind}");
        }
        let number = br#"{"partialSuccess":{"rejectedLogRecords":2}}"#;
        let expected = Verdict::Partly {
            rejected: 2,
            reason: "partial success".to_owned(),
        };
        assert_eq!(verdict(200, json, number), expected);
    }
}
