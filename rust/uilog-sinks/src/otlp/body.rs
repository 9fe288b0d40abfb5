//! Whether an answer of 2xx comes from a collector: by its content type first,
//! then by its body.
//!
//! A collector answers with protobuf or JSON, some with a word of plain text.
//! Portals and proxies answer everything with 200 and a login page, or with
//! JSON that contains an error; these are not a success.
//!
//! Must not know statuses or connections.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::Map;
use serde_json::Value;

use crate::otlp::request::SignalType;

/// Maximum bytes of a text that may mean success; longer ones are pages.
const MAX_TEXT_BYTES: usize = 256;
/// Values of a status field in JSON that mean a failure.
const FAILURES: [&str; 5] = ["error", "fail", "failed", "failure", "denied"];
/// How a text begins that reports a failure.
const FAILED: [&str; 6] = [
    "error",
    "fail",
    "unauthorized",
    "forbidden",
    "denied",
    "invalid",
];

/// What a collector has accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// How many spans or log records it has not.
    pub rejected: u64,
    /// Why; or a warning, if it has accepted all.
    pub text: String,
}

/// The meaning of the body of a 2xx answer.
///
/// # Errors
///
/// Why it is no success: this is not a collector, or it has not accepted
/// anything.
pub fn read(
    kind: SignalType,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Success, String> {
    let full = content_type.unwrap_or("").to_ascii_lowercase();
    let media = full.split(';').next().unwrap_or("").trim();
    match media {
        "application/x-protobuf"
        | "application/protobuf"
        | "application/vnd.google.protobuf" => {
            protobuf(kind, body).ok_or_else(none_of_otlp)
        }
        "application/json" => json(kind, body),
        _ if media.ends_with("+json") => json(kind, body),
        _ if media.contains("html") => {
            Err("a page of HTML: this is not a collector".to_owned())
        }
        _ => other(kind, media, body),
    }
}

fn none_of_otlp() -> String {
    "a body that is not OTLP's: this is not a collector".to_owned()
}

/// A body of a type that says nothing, or of none.
fn other(
    kind: SignalType,
    media: &str,
    body: &[u8],
) -> Result<Success, String> {
    let text = body.trim_ascii();
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let text = text.trim_ascii_start();
    match text.first() {
        None => return Ok(Success::default()),
        Some(b'{' | b'[') => return json(kind, text),
        Some(b'<') => {
            return Err("a page of HTML: this is not a collector".to_owned());
        }
        Some(_) => {}
    }
    if let Some(success) = protobuf(kind, body) {
        return Ok(success);
    }
    // Without a type, only the body can be checked.
    let is_text = std::str::from_utf8(text).is_ok_and(|it| {
        let it = it.to_ascii_lowercase();
        !it.contains(|it: char| it.is_control() && !it.is_whitespace())
            && !FAILED.iter().any(|word| it.starts_with(word))
    });
    if is_text && !media.is_empty() && text.len() <= MAX_TEXT_BYTES {
        return Ok(Success::default());
    }
    Err(none_of_otlp())
}

/// An `Export...ServiceResponse`.
fn protobuf(kind: SignalType, body: &[u8]) -> Option<Success> {
    if !is_message(body) {
        return None;
    }
    let (rejected, text) = match kind {
        SignalType::Traces => {
            let answer = ExportTraceServiceResponse::decode(body);
            let partial = answer.ok()?.partial_success.unwrap_or_default();
            (partial.rejected_spans, partial.error_message)
        }
        SignalType::Logs => {
            let answer = ExportLogsServiceResponse::decode(body);
            let partial = answer.ok()?.partial_success.unwrap_or_default();
            (partial.rejected_log_records, partial.error_message)
        }
    };
    let rejected = u64::try_from(rejected).unwrap_or(0);
    Some(Success { rejected, text })
}

/// Whether it may be a message of a later protocol: each field once, unless it
/// has a length, as messages have. Text parses as a sequence of fields, most of
/// them the same.
fn is_message(mut body: &[u8]) -> bool {
    let mut seen = Vec::new();
    while !body.is_empty() {
        let Some((field, is_sized)) = take_field(&mut body) else {
            return false;
        };
        if !is_sized && seen.contains(&field) {
            return false;
        }
        seen.push(field);
    }
    true
}

/// Removes a field from the beginning; returns its number, and whether it has a
/// length.
fn take_field(body: &mut &[u8]) -> Option<(u64, bool)> {
    let tag = prost::encoding::decode_varint(body).ok()?;
    let length = match tag & 7 {
        0 => {
            prost::encoding::decode_varint(body).ok()?;
            0
        }
        1 => 8,
        2 => prost::encoding::decode_varint(body).ok()?,
        5 => 4,
        _ => return None,
    };
    let length = usize::try_from(length).ok()?;
    *body = body.get(length..)?;
    (tag >> 3 > 0).then_some((tag >> 3, tag & 7 == 2))
}

fn json(kind: SignalType, body: &[u8]) -> Result<Success, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Success::default());
    }
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let answer = answer.as_ref().and_then(Value::as_object);
    let answer = answer.ok_or_else(none_of_otlp)?;
    let partial = match answer.get("partialSuccess") {
        Some(Value::Object(partial)) => partial,
        _ if is_error_body(answer) => {
            return Err("a body that reports an error".to_owned());
        }
        _ => return Ok(Success::default()),
    };
    let key = match kind {
        SignalType::Traces => "rejectedSpans",
        SignalType::Logs => "rejectedLogRecords",
    };
    // 64-bit numbers are strings there, and some write numbers.
    let rejected = partial.get(key).and_then(|it| match it {
        Value::String(text) => text.parse::<i64>().ok(),
        it => it.as_i64(),
    });
    let rejected = rejected.and_then(|it| u64::try_from(it).ok());
    let text = partial.get("errorMessage").and_then(Value::as_str);
    Ok(Success {
        rejected: rejected.unwrap_or(0),
        text: text.unwrap_or("").to_owned(),
    })
}

/// Whether an object contains an error: in a field of that name, in a status,
/// or in the form of google.rpc.Status, which is the body of an error.
fn is_error_body(answer: &Map<String, Value>) -> bool {
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    };
    answer.iter().any(|(key, value)| {
        let key = key.to_ascii_lowercase();
        match key.as_str() {
            "success" | "ok" => *value == Value::Bool(false),
            "status" | "state" | "result" => {
                let text = value.as_str().unwrap_or("").to_ascii_lowercase();
                FAILURES.contains(&text.as_str())
                    || value.as_u64().is_some_and(|it| it >= 400)
            }
            "code" | "statuscode" => value
                .as_i64()
                .is_some_and(|it| !matches!(it, 0 | 200..=299)),
            key => key.contains("error") && is_set(value),
        }
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;

    use super::*;

    const PROTOBUF: &str = "application/x-protobuf";
    const JSON: &str = "application/json";

    fn is_success(content_type: &str, body: &[u8]) -> bool {
        let content_type = Some(content_type).filter(|it| !it.is_empty());
        read(SignalType::Logs, content_type, body).is_ok()
    }

    fn partial(rejected: i64) -> Vec<u8> {
        ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: rejected,
                error_message: "old".to_owned(),
            }),
        }
        .encode_to_vec()
    }

    #[test]
    fn a_collector_says_so_in_protobuf_or_json() {
        // A field of a later protocol, and an enumeration of one.
        let later = [&partial(0)[..], &[0x12, 1, b'x', 0x18, 5]].concat();
        for (kind, body) in [
            (PROTOBUF, &b""[..]),
            (PROTOBUF, &partial(0)),
            (PROTOBUF, &later),
            ("Application/X-Protobuf; charset=x", b""),
            ("", b""),
            ("", &partial(0)),
            ("application/octet-stream", &partial(0)),
            (JSON, b""),
            (JSON, b"{}"),
            ("application/json; charset=utf-8", b"{}"),
            (JSON, br#"{"partialSuccess":{}}"#),
            (JSON, br#"{"partialSuccess":null}"#),
            // A warning.
            (JSON, br#"{"partialSuccess":{"errorMessage":"old"}}"#),
            (JSON, br#"{"status":"success","code":0,"error":null}"#),
            (JSON, br#"{"code":200,"errors":[],"error":""}"#),
        ] {
            assert!(is_success(kind, body), "{kind}: {body:?}");
        }
    }

    #[test]
    fn some_say_so_in_a_word() {
        for (kind, body) in [
            ("text/plain", &b"success"[..]),
            ("text/plain; charset=utf-8", b"OK\n"),
            ("application/octet-stream", b""),
            ("text/plain", b""),
            ("x/y", b"accepted"),
        ] {
            assert!(is_success(kind, body), "{kind}: {body:?}");
        }
    }

    #[test]
    fn what_a_portal_or_a_proxy_says_is_no_success() {
        let hihi = b"hi".repeat(200);
        for (kind, body) in [
            ("text/html", &b"<html>"[..]),
            ("text/html; charset=utf-8", b""),
            ("TEXT/HTML", b"OK"),
            ("application/xhtml+xml", b"<html/>"),
            ("", b"<!DOCTYPE html>"),
            ("text/plain", b"\xef\xbb\xbf <html>"),
            (PROTOBUF, b"\xff\xff"),
            (PROTOBUF, b"success"),
            (PROTOBUF, &hihi),
            ("", &hihi),
            ("text/plain", &hihi),
            ("application/octet-stream", &hihi),
            ("", b"success"),
            (JSON, b"<html>"),
            (JSON, b"[]"),
            (JSON, b"\"error\""),
            (JSON, br#"{"error":"unauthorized"}"#),
            (JSON, br#"{"errors":[{"message":"x"}]}"#),
            (JSON, br#"{"error_description":"x"}"#),
            (JSON, br#"{"status":"error"}"#),
            (JSON, br#"{"status":401}"#),
            (JSON, br#"{"success":false}"#),
            (JSON, br#"{"code":16,"message":"unauthenticated"}"#),
            ("application/problem+json", br#"{"status":403}"#),
            ("text/plain", br#"{"error":"unauthorized"}"#),
            ("text/plain", b"Error: no such tenant"),
            ("text/plain", b"a\0b"),
        ] {
            assert!(!is_success(kind, body), "{kind}: {body:?}");
        }
    }

    #[test]
    fn how_many_are_rejected_is_told() {
        let told = |kind: &str, body: &[u8]| {
            let it = read(SignalType::Logs, Some(kind), body).unwrap();
            (it.rejected, it.text)
        };
        let old = || "old".to_owned();
        assert_eq!(told(PROTOBUF, &partial(2)), (2, old()));
        assert_eq!(told("", &partial(2)), (2, old()));
        assert_eq!(told(PROTOBUF, &partial(0)), (0, old()));
        assert_eq!(told(PROTOBUF, &partial(-1)), (0, old()));
        let number = br#"{"partialSuccess":{"rejectedLogRecords":2}}"#;
        assert_eq!(told(JSON, number), (2, String::new()));
        let text = br#"{"partialSuccess":{"rejectedLogRecords":"2"}}"#;
        assert_eq!(told(JSON, text), (2, String::new()));
    }
}
