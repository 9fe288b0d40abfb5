//! A record as a message of RFC 5424.
//!
//! Knows nothing of how it travels.

use std::borrow::Cow;

use serde_json::Value;
use syslog_fmt::Facility;
use syslog_fmt::Severity;
use syslog_fmt::v5424::Config;
use syslog_fmt::v5424::Msg;

use crate::record::Record;

/// What our parameters stand under. The number is the one that RFC 5612 sets
/// aside for examples: we have none of our own.
const SD_ID: &str = "hg@32473";
/// What the event's options stand under.
const OPTIONS_SD_ID: &str = "hg-options@32473";
/// The program's name.
const APP_NAME: &str = "hg";

// RFC 5424, section 6
const MAX_HOSTNAME: usize = 255;
const MAX_MSGID: usize = 32;
const MAX_SD_NAME: usize = 32;

/// How long a message's text may be where the whole is too long for a
/// datagram. Receivers need not take more than 2 KiB of anything.
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

/// Appends the whole message.
pub(crate) fn write(record: &Record, facility: Facility, out: &mut Vec<u8>) {
    let mut parts = vec![(SD_ID, parameters(record))];
    let options: Vec<_> = record
        .options
        .iter()
        .map(|(key, value)| (Cow::from(sd_name(key)), without_nul(text(value))))
        .collect();
    if !options.is_empty() {
        parts.push((OPTIONS_SD_ID, options));
    }
    write_parts(record, facility, &parts, &record.message, out);
}

/// Appends a message without what may be long.
pub(crate) fn write_short(
    record: &Record,
    facility: Facility,
    out: &mut Vec<u8>,
) {
    let mut parameters = parameters(record);
    for (_, value) in &mut parameters {
        *value = cut(value).into_owned().into();
    }
    parameters.push(("truncated".into(), "true".into()));
    let parts = [(SD_ID, parameters)];
    write_parts(record, facility, &parts, &cut(&record.message), out);
}

type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn write_parts(
    record: &Record,
    facility: Facility,
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

/// How bad it is what the event tells.
fn severity(record: &Record) -> Severity {
    let process = &record.process;
    match process.exit_code {
        _ if record.event == "commandexception" => Severity::Err,
        _ if process.signal.is_some() => Severity::Err,
        // hg: "nothing found", "nothing changed", unresolved files
        Some(1) => Severity::Notice,
        Some(code) if code != 0 => Severity::Warning,
        _ if record.lost > 0 => Severity::Warning,
        _ => Severity::Info,
    }
}

/// What is known besides the message, by the names of docs/schema.md.
fn parameters<'a>(record: &'a Record) -> Parameters<'a> {
    let mut all = Parameters::new();
    let mut add = |name: &'static str, value: Option<Cow<'a, str>>| {
        if let Some(value) = value {
            all.push((name.into(), without_nul(value)));
        }
    };
    let process = &record.process;
    let repository = record.repository.as_ref();
    let usage = record.usage.as_ref();
    add("schema", shown(Some(record.schema)));
    add("id", borrowed(Some(&record.id)));
    add("event", borrowed(Some(&record.event)));
    add("duration", shown(record.duration));
    add("trace_id", borrowed(record.trace_id.as_ref()));
    add("span_id", borrowed(record.span_id.as_ref()));
    add("parent_span_id", borrowed(record.parent_span_id.as_ref()));
    add("session", borrowed(Some(&record.session)));
    add("parent_session", borrowed(record.parent_session.as_ref()));
    add("seq", shown(Some(record.seq)));
    add("executable", borrowed(Some(&process.executable)));
    add("hg_version", borrowed(process.hg_version.as_ref()));
    add("cwd", borrowed(process.cwd.as_ref()));
    add("user", borrowed(process.user.as_ref()));
    add("uid", shown(process.uid));
    add("command", borrowed(process.command.as_ref()));
    add("command_line", borrowed(process.command_line.as_ref()));
    add("exit_code", shown(process.exit_code));
    add("signal", shown(process.signal));
    add("repository_root", borrowed(repository.map(|it| &it.root)));
    add("repository_name", borrowed(repository.map(|it| &it.name)));
    let peak = usage.map(|it| it.peak_memory_bytes);
    add("peak_memory_bytes", shown(peak));
    let seconds = usage.map(|it| it.user_cpu_seconds);
    add("user_cpu_seconds", shown(seconds));
    let seconds = usage.map(|it| it.system_cpu_seconds);
    add("system_cpu_seconds", shown(seconds));
    add("lost", shown((record.lost > 0).then_some(record.lost)));
    add("sample_rate", shown(record.sample_rate));
    all
}

fn borrowed(text: Option<&String>) -> Option<Cow<'_, str>> {
    text.map(|text| text.as_str().into())
}

fn shown(value: Option<impl ToString>) -> Option<Cow<'static, str>> {
    value.map(|value| value.to_string().into())
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
