//! The event as one line of JSON, for scripts with `EVENT:stdin = json`.
//!
//! The format is version [`VERSION`], described in docs/configuration.md. JSON
//! is Unicode, hg's text is bytes: invalid UTF-8 is replaced by U+FFFD, and
//! `base64` has the original bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value as Json;

use crate::event::Event;
use crate::event::Value;

/// The version of the line's format, in its `version` field.
pub const VERSION: u32 = 1;

/// The event in one line, its newline included, nothing cut.
pub fn line(event: &Event<'_>, user: Option<&[u8]>) -> Vec<u8> {
    let mut raw = Map::new();
    let mut fields = Map::new();
    let mut put = |key: &str, value: Json| {
        fields.insert(key.to_owned(), value);
    };
    put("version", VERSION.into());
    put("event", text("event", &event.name, &mut raw));
    put("id", event.id().into());
    put("session", event.session.to_string().into());
    put(
        "parent_session",
        match event.parent {
            Some(parent) => parent.to_string().into(),
            None => Json::Null,
        },
    );
    put("time", event.time.to_rfc3339().into());
    put(
        "duration",
        match event.duration.and_then(Number::from_f64) {
            Some(seconds) => Json::Number(seconds),
            None => Json::Null,
        },
    );
    put("pid", event.pid.into());
    put(
        "user",
        match user {
            Some(user) => text("user", user, &mut raw),
            None => Json::Null,
        },
    );
    put(
        "root",
        match &event.root {
            Some(root) => text("root", &root.0, &mut raw),
            None => Json::Null,
        },
    );
    put("message", text("message", &event.message, &mut raw));
    let mut raw_options = Map::new();
    let mut options = Map::new();
    for option in &event.options {
        let key = String::from_utf8_lossy(&option.key).into_owned();
        let value = match &option.value {
            Value::Null => Json::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(digits) | Value::Float(digits) => number(&digits.0),
            Value::Bytes(bytes) | Value::Str(bytes) => {
                text(&key, &bytes.0, &mut raw_options)
            }
        };
        options.insert(key, value);
    }
    put("options", options.into());
    put("lost", event.lost.into());
    if !raw_options.is_empty() {
        raw.insert("options".to_owned(), raw_options.into());
    }
    if !raw.is_empty() {
        put("base64", raw.into());
    }
    let mut line = Json::from(fields).to_string().into_bytes();
    line.push(b'\n');
    line
}

fn text(key: &str, bytes: &[u8], raw: &mut Map<String, Json>) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            raw.insert(key.to_owned(), STANDARD.encode(bytes).into());
            String::from_utf8_lossy(bytes).into()
        }
    }
}

/// A number as Python printed it; text where JSON has no such number (`inf`,
/// `nan`, integers beyond 64 bits).
fn number(digits: &[u8]) -> Json {
    serde_json::from_slice::<Number>(digits)
        .map_or_else(|_| String::from_utf8_lossy(digits).into(), Json::Number)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::event::EventOption;
    use crate::event::SessionId;
    use crate::event::Text;

    fn option<'a>(key: &'a [u8], value: Value<'a>) -> EventOption<'a> {
        EventOption {
            key: Cow::Borrowed(key),
            value,
        }
    }

    #[test]
    fn nothing_is_lost_on_the_way_to_json() {
        let bytes = |bytes: &'static [u8]| Text(Cow::Borrowed(bytes));
        let event = Event {
            session: SessionId(1),
            seq: 7,
            duration: Some(1.5),
            pid: 42,
            root: Some(bytes(b"/r")),
            message: Cow::Borrowed(b"a\xffb\0\n"),
            options: vec![
                option(b"code", Value::Int(bytes(b"255"))),
                option(b"seconds", Value::Float(bytes(b"1e-07"))),
                option(b"odd", Value::Float(bytes(b"nan"))),
                option(b"none", Value::Null),
                option(b"yes", Value::Bool(true)),
                option(b"path", Value::Bytes(bytes(b"\xe9"))),
                option(b"text", Value::Str(bytes("é".as_bytes()))),
            ],
            lost: 3,
            ..Event::bare(b"commandfinish")
        };
        let line = line(&event, Some(b"joe"));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"version":1,"event":"commandfinish","#,
                r#""id":"00000000000000000000000000000001-7","#,
                r#""session":"00000000000000000000000000000001","#,
                r#""parent_session":null,"#,
                r#""time":"1970-01-01T00:00:00.000000+00:00","#,
                r#""duration":1.5,"pid":42,"user":"joe","root":"/r","#,
                "\"message\":\"a\u{fffd}b\\u0000\\n\",",
                r#""options":{"code":255,"seconds":1e-7,"odd":"nan","#,
                "\"none\":null,\"yes\":true,\"path\":\"\u{fffd}\",",
                r#""text":"é"},"lost":3,"#,
                r#""base64":{"message":"Yf9iAAo=","options":{"path":"6Q=="}}}"#,
                "\n"
            )
        );
    }
}
