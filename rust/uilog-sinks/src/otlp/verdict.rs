//! What a receiver's answer means.
//!
//! Knows the protocol's rules (OTLP 1.9, "OTLP/HTTP Response") and where we do
//! otherwise; no connection and no spool. docs/otlp.md has the table.

use std::time::Duration;
use std::time::SystemTime;

use chrono::DateTime;
use chrono::Utc;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::Value;

use crate::otlp::request::Kind;

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
        let after = || self.retry_after.and_then(|it| retry_after(it, now));
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

/// How long from now: a number of seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    let now = DateTime::<Utc>::from(now);
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}
