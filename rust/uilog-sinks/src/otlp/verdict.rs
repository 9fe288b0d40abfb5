//! What a receiver's answer means.
//!
//! Knows the protocol's rules (OTLP 1.9, "OTLP/HTTP Response") and uilog's
//! exceptions; docs/otlp.md has the table. `body` decides whether a 2xx is a
//! success. Must not know connections or spools.

use std::time::Duration;
use std::time::SystemTime;

use prost::Message;
use serde_json::Value;

use crate::otlp::body;
use crate::otlp::printable::printable;
use crate::otlp::request::SignalType;
use crate::otlp::retry_after;
use crate::otlp::settings::Statuses;

/// What a receiver's answer means for the records of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All are accepted.
    Accepted,
    /// Partial success; the rejected items are not identified.
    Partly {
        /// How many spans or log records are rejected.
        rejected: u64,
        /// Why.
        reason: String,
    },
    /// The request must be sent again later.
    Later {
        /// `Retry-After`.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// The receiver will never accept one of the records, or it does not speak
    /// OTLP and refuses everything.
    Refused(Refusal),
}

/// A receiver's answer that refuses a request for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP's status; 0 if it is not known.
    pub status: u16,
    /// The answer's text, in one short line; may be empty.
    pub text: String,
}

impl Refusal {
    /// Why a record is rejected.
    pub fn reason(&self) -> String {
        match self.status {
            0 => self.text.clone(),
            status => with_text(format!("status {status}"), &self.text),
        }
    }

    /// Why records wait of which it has accepted none.
    pub fn not_accepted(&self, has_accepted_others: bool) -> String {
        let hint = match has_accepted_others {
            false => "is this an OTLP endpoint?",
            true => "others were, earlier",
        };
        match self.status {
            0 => format!("not accepted: {} ({hint})", self.text),
            status => {
                let what = format!("not accepted: {status} ({hint})");
                with_text(what, &self.text)
            }
        }
    }
}

fn with_text(mut what: String, text: &str) -> String {
    if !text.is_empty() {
        what.push_str(": ");
        what.push_str(text);
    }
    what
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
    /// The meaning of an answer to a request of this kind; for the statuses in
    /// `waiting`, uilog waits although the protocol forbids to retry.
    pub fn verdict(
        &self,
        kind: SignalType,
        waiting: &Statuses,
        now: SystemTime,
    ) -> Verdict {
        let after =
            || self.retry_after.and_then(|it| retry_after::parse(it, now));
        match self.status {
            200..=299 => self.success(kind),
            // OTLP 1.9, "Retryable Response Codes"
            429 | 502 | 503 | 504 => Verdict::Later {
                after: after(),
                reason: self.reason(),
            },
            400..=599 if !waiting.contains(self.status) => {
                Verdict::Refused(Refusal {
                    status: self.status,
                    text: self.error_message(),
                })
            }
            // The URL is configured, so a redirect is not followed: it may lead
            // to a login page.
            _ => Verdict::Later {
                after: after(),
                reason: self.reason(),
            },
        }
    }

    /// Only the body shows whether it was accepted: some hosts answer
    /// everything with a login page.
    fn success(&self, kind: SignalType) -> Verdict {
        match body::read(kind, self.content_type, self.body) {
            Ok(body::Success { rejected: 0, .. }) => Verdict::Accepted,
            Ok(body::Success { rejected, text }) => Verdict::Partly {
                rejected,
                reason: with_text(
                    "partial success".to_owned(),
                    &printable(&text),
                ),
            },
            Err(why) => Verdict::Later {
                after: None,
                reason: format!("status {} with {why}", self.status),
            },
        }
    }

    fn is_json(&self) -> bool {
        let kind = self.content_type.unwrap_or("");
        kind.trim_start().starts_with("application/json")
    }

    fn reason(&self) -> String {
        with_text(format!("status {}", self.status), &self.error_message())
    }

    /// What an error's body says.
    fn error_message(&self) -> String {
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
        answer.verdict(SignalType::Logs, &Statuses::default(), UNIX_EPOCH + NOW)
    }

    fn reason(status: u16, content_type: &str, body: &[u8]) -> String {
        match verdict(status, content_type, body) {
            Verdict::Accepted => String::new(),
            Verdict::Partly { reason, .. } | Verdict::Later { reason, .. } => {
                reason
            }
            Verdict::Refused(refusal) => refusal.reason(),
        }
    }

    /// The statuses of each meaning: accepted, later, refused.
    fn statuses(waiting: &Statuses) -> [Vec<u16>; 3] {
        let mut all = [const { Vec::new() }; 3];
        for status in 100..=599 {
            let answer = Answer {
                status,
                retry_after: None,
                content_type: None,
                body: b"",
            };
            let verdict =
                answer.verdict(SignalType::Logs, waiting, UNIX_EPOCH + NOW);
            let meaning = match verdict {
                Verdict::Accepted | Verdict::Partly { .. } => 0,
                Verdict::Later { .. } => 1,
                Verdict::Refused(_) => 2,
            };
            all[meaning].push(status);
        }
        all
    }

    #[test]
    fn each_status_has_the_meaning_of_the_specification() {
        let [accepted, later, refused] = statuses(&Statuses::none());
        assert_eq!(accepted, (200..=299).collect::<Vec<_>>());
        let retryable = [429, 502, 503, 504];
        let errors: Vec<u16> = (400..=599).collect();
        let of_errors = |it: &Vec<u16>| {
            let it = it.iter().filter(|it| errors.contains(it));
            it.copied().collect::<Vec<_>>()
        };
        assert_eq!(of_errors(&later), retryable);
        assert_eq!(refused.len(), errors.len() - retryable.len());
    }

    #[test]
    fn where_we_are_kinder_is_a_setting() {
        let kinder = [401, 402, 403, 404, 405, 407, 408, 410, 411, 415, 421];
        let kinder = [&kinder[..], &[425, 426, 451, 511]].concat();
        let [_, strictly, _] = statuses(&Statuses::none());
        let [_, later, refused] = statuses(&Statuses::default());
        let more: Vec<u16> = later
            .iter()
            .copied()
            .filter(|it| !strictly.contains(it))
            .collect();
        assert_eq!(more, kinder);
        for status in [400, 406, 409, 413, 422, 499, 500, 501, 505, 599] {
            assert!(refused.contains(&status), "{status}");
        }
        let one = Statuses::parse(&[b"500".to_vec()]).unwrap();
        assert!(statuses(&one)[1].contains(&500));
        assert!(statuses(&one)[2].contains(&404));
    }

    #[test]
    fn what_is_not_accepted_is_said_with_a_question() {
        let Verdict::Refused(refusal) = verdict(400, "text/html", b"<p>")
        else {
            panic!("it is refused");
        };
        assert_eq!(
            refusal.not_accepted(false),
            "not accepted: 400 (is this an OTLP endpoint?)"
        );
        let Verdict::Refused(refusal) = verdict(413, "text/plain", b"too big")
        else {
            panic!("it is refused");
        };
        assert_eq!(
            refusal.not_accepted(true),
            "not accepted: 413 (others were, earlier): too big"
        );
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
}
