//! Formats a record as a message of RFC 5424, or as the C library writes one.
//!
//! Must not know how it is sent.

use std::borrow::Cow;
use std::io::Write;

use chrono::DateTime;
use serde_json::Value;
use syslog_fmt::Facility;
use syslog_fmt::Severity;
use syslog_fmt::v5424;
use syslog_fmt::v5424::Config;
use syslog_fmt::v5424::Msg;

use crate::record::Record;

/// The SD-ID of our parameters. RFC 5612 reserves the number for examples;
/// uilog has none of its own.
const SD_ID: &str = "hg@32473";
/// The SD-ID of the event's options.
const OPTIONS_SD_ID: &str = "hg-options@32473";
/// Fields that are in the header, after it, or in a separate part; and bytes
/// that are not text.
const ELSEWHERE: [&str; 5] = ["time", "host", "message", "options", "base64"];
/// The program's name.
const APP_NAME: &str = "hg";

// RFC 5424, section 6
const MAX_HOSTNAME: usize = 255;
const MAX_MSGID: usize = 32;
const MAX_SD_NAME: usize = 32;

/// Maximum length of a message's text if the whole message is too long for a
/// datagram. Receivers need not accept more than 2 KiB of any message.
const SHORT_TEXT: usize = 8 << 10;

/// Facilities by their names.
pub(crate) const FACILITIES: &[(&str, Facility)] = &[
    ("kern", Facility::Kern),
    ("user", Facility::User),
    ("mail", Facility::Mail),
    ("daemon", Facility::Daemon),
    ("auth", Facility::Auth),
    ("syslog", Facility::Syslog),
    ("lpr", Facility::Lpr),
    ("news", Facility::News),
    ("uucp", Facility::Uucp),
    ("cron", Facility::Cron),
    ("authpriv", Facility::Authpriv),
    ("ftp", Facility::Ftp),
    ("local0", Facility::Local0),
    ("local1", Facility::Local1),
    ("local2", Facility::Local2),
    ("local3", Facility::Local3),
    ("local4", Facility::Local4),
    ("local5", Facility::Local5),
    ("local6", Facility::Local6),
    ("local7", Facility::Local7),
];

/// How messages look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) facility: Facility,
    /// Whether to format like the C library's `syslog`, which local daemons
    /// understand by default. The structured data follows the text.
    pub(crate) is_local: bool,
}

/// Appends the whole message.
pub(crate) fn write(record: &Record, style: Style, out: &mut Vec<u8>) {
    let mut parts = vec![(SD_ID, parameters(record))];
    let options: Vec<_> = record
        .options
        .iter()
        .map(|(key, value)| (Cow::from(sd_name(key)), without_nul(text(value))))
        .collect();
    if !options.is_empty() {
        parts.push((OPTIONS_SD_ID, options));
    }
    write_parts(record, style, &parts, &record.message, out);
}

/// Appends a message without what may be long.
pub(crate) fn write_short(record: &Record, style: Style, out: &mut Vec<u8>) {
    let mut parameters = parameters(record);
    for (_, value) in &mut parameters {
        *value = cut(value).into_owned().into();
    }
    parameters.push(("shortened".into(), "true".into()));
    let parts = [(SD_ID, parameters)];
    write_parts(record, style, &parts, &cut(&record.message), out);
}

type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn write_parts(
    record: &Record,
    Style { facility, is_local }: Style,
    parts: &[(&str, Parameters<'_>)],
    text: &str,
    out: &mut Vec<u8>,
) {
    let host = printable(&record.host.name, MAX_HOSTNAME);
    let pid = record.process.pid.to_string();
    let event = printable(&record.event, MAX_MSGID);
    let formatter = Config {
        facility,
        hostname: (!host.is_empty()).then_some(&host),
        app_name: Some(APP_NAME),
        proc_id: Some(&pid),
    }
    .into_formatter();
    let parts = parts.iter().map(|(id, parameters)| {
        let pairs = parameters.iter().map(|(k, v)| (k.as_ref(), v.as_ref()));
        (*id, pairs)
    });
    let text = without_nul(text.into());
    if is_local {
        let priority = facility as u8 | severity(record) as u8;
        write!(
            out,
            "<{priority}>{} {APP_NAME}[{pid}]: {text}",
            clock(record)
        )
        .and_then(|()| v5424::write_data(out, parts))
        .expect("a Vec takes anything");
        return;
    }
    // A text in UTF-8 begins with a mark, which most show as rubbish: plain
    // ASCII does without.
    let message = if text.is_ascii() {
        Msg::NonUnicodeBytes(text.as_bytes())
    } else {
        Msg::Utf8Str(&text)
    };
    formatter
        .write_with_data(
            out,
            severity(record),
            record.time.as_str(),
            message,
            (!event.is_empty()).then_some(&event),
            parts,
        )
        .expect("a Vec takes anything");
}

/// The time as the C library writes it: without a year or a zone, since it is
/// read on the same machine.
fn clock(record: &Record) -> String {
    let time = DateTime::parse_from_rfc3339(&record.time).unwrap_or_default();
    time.format("%b %e %H:%M:%S").to_string()
}

/// The severity of an event.
fn severity(record: &Record) -> Severity {
    let is_crash = matches!(&*record.event, "commandexception" | "commandlost")
        || record.process.signal.is_some();
    if is_crash {
        Severity::Err
    } else if record.is_failure() || record.lost > 0 {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// All fields except the message, by the names of docs/schema.md, with dots.
fn parameters(record: &Record) -> Parameters<'static> {
    let mut all = Parameters::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(record) {
        for (name, value) in fields {
            if !ELSEWHERE.contains(&name.as_str()) {
                flatten(name, value, &mut all);
            }
        }
    }
    all
}

fn flatten(name: String, value: Value, all: &mut Parameters<'static>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(format!("{name}.{key}"), value, all);
            }
        }
        value => {
            let value = text(&value).into_owned();
            all.push((sd_name(&name).into(), without_nul(value.into())));
        }
    }
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// Receivers end a message at a NUL.
fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') {
        return text.replace('\0', "\\0").into();
    }
    text
}

/// A header's field: printable ASCII without blanks.
fn printable(text: &str, max: usize) -> String {
    let printable = |it: char| if it.is_ascii_graphic() { it } else { '_' };
    text.chars().map(printable).take(max).collect()
}

/// A parameter's name.
fn sd_name(text: &str) -> String {
    let name = printable(text, MAX_SD_NAME).replace(['=', ']', '"'], "_");
    if name.is_empty() {
        "_".to_owned()
    } else {
        name
    }
}

/// The first part of a long text.
fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= SHORT_TEXT {
        return text.into();
    }
    let mut end = SHORT_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} (truncated)", &text[..end]).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A record with these fields besides those that all have.
    pub(crate) fn record(fields: &Value) -> Record {
        let mut record = json!({
            "schema": 1,
            "id": "5-1",
            "event": "commandfinish",
            "time": "2026-01-02T03:04:05.678901+01:00",
            "session": "5",
            "seq": 1,
            "message": "m",
            "process": {"pid": 7, "executable": "/hg", "uid": 3},
            "host": {"name": "h.example"},
        });
        let all = record.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    fn written(fields: &Value) -> String {
        let mut out = b"before".to_vec();
        write(&record(fields), style(false), &mut out);
        String::from_utf8(out[6..].to_vec()).unwrap()
    }

    fn style(is_local: bool) -> Style {
        let facility = Facility::Local3;
        Style { facility, is_local }
    }

    #[test]
    fn the_c_librarys_format_has_everything_too() {
        let fields = json!({"message": "h\u{e9}\0", "options": {"a": "b]"}});
        let mut out = Vec::new();
        write(&record(&fields), style(true), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<158>Jan  2 03:04:05 hg[7]: h\u{e9}\\0 [hg@32473 schema=\"1\" \
             id=\"5-1\" event=\"commandfinish\" session=\"5\" seq=\"1\" \
             process.pid=\"7\" process.executable=\"/hg\" \
             process.uid=\"3\"][hg-options@32473 a=\"b\\]\"]"
        );
    }

    #[test]
    fn a_message_has_everything() {
        let fields = json!({
            "message": "up",
            "options": {"a b=": "x]\"\\\0\n", "\u{e9}": [1, true], "": null},
            "repository": {"root": "/r", "name": "r"},
            "blocked": {"stdio": 0.5},
            "base64": {"message": "eA=="},
        });
        assert_eq!(
            written(&fields),
            "<158>1 2026-01-02T03:04:05.678901+01:00 h.example hg 7 \
             commandfinish [hg@32473 schema=\"1\" id=\"5-1\" \
             event=\"commandfinish\" session=\"5\" seq=\"1\" \
             process.pid=\"7\" process.executable=\"/hg\" \
             process.uid=\"3\" repository.root=\"/r\" \
             repository.name=\"r\" blocked.stdio=\"0.5\"]\
             [hg-options@32473 a_b_=\"x\\]\\\"\\\\\\\\0\n\" \
             _=\"[1,true\\]\" _=\"null\"] up"
        );
    }

    #[test]
    fn texts_that_are_no_ascii_are_marked() {
        let message = |text| written(&json!({ "message": text }));
        assert!(message("h\u{e9}\0").ends_with("] \u{feff}h\u{e9}\\0"));
        assert!(message("").ends_with("] "));
    }

    #[test]
    fn headers_are_printable_and_short() {
        let text = written(&json!({
            "event": "a b\n".repeat(20),
            "host": {"name": ""},
        }));
        let event = "a_b_".repeat(8);
        assert!(text.contains(&format!("+01:00 - hg 7 {event} [")), "{text}");
    }

    #[test]
    fn failures_are_worse() {
        let severity = |event, process, lost| {
            let fields =
                json!({"event": event, "process": process, "lost": lost});
            severity(&record(&fields)) as u8
        };
        let process = |code| {
            let command = "status";
            json!({"pid": 1, "executable": "hg", "exit_code": code,
                   "command": command})
        };
        assert_eq!(severity("commandfinish", process(0), 0), 6);
        assert_eq!(severity("commandfinish", process(0), 2), 4);
        assert_eq!(severity("commandfinish", process(255), 0), 4);
        assert_eq!(severity("commandexception", process(255), 0), 3);
        let killed = json!({"pid": 1, "executable": "hg", "signal": 9});
        assert_eq!(severity("commandfinish", killed, 0), 3);
        let lost = json!({"pid": 1, "executable": "hg"});
        assert_eq!(severity("commandlost", lost, 0), 3);
    }

    #[test]
    fn a_short_message_fits_into_a_datagram() {
        let long = "\u{20ac}".repeat(100_000);
        let fields = json!({
            "message": long,
            "options": {"a": long},
            "process": {"pid": 7, "executable": "/hg", "cwd": long},
        });
        let mut out = Vec::new();
        write_short(&record(&fields), style(false), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.len() < 3 * SHORT_TEXT, "{}", text.len());
        assert!(text.contains(" shortened=\"true\"] "));
        assert!(text.ends_with("\u{20ac} (truncated)"));
    }
}
