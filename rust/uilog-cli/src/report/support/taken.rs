//! What goes into an archive for support: versions, the configuration, what
//! `uilog check` finds, the last commands, losses.
//!
//! All of it goes through `harmless.rs`. No path, no name of a user, a machine,
//! a repository or a server is taken. Must not know what becomes of it.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use serde_json::Value as Json;
use serde_json::json;
use uilog_channel::status;
use uilog_check::Report;
use uilog_config::FileReport;
use uilog_config::FileState;
use uilog_config::Loaded;
use uilog_config::installation;
use uilog_config::items;
use uilog_finding::subject::Subject;
use uilog_history::filter::Filters;
use uilog_history::filter::Query;
use uilog_history::record::Record;
use uilog_history::scan;
use uilog_history::scan::Match;
use uilog_history::when::Span;
use uilog_sinks::check::SinkFacts;

use super::super::Arguments;
use super::entry::Entry;
use super::harmless;
use super::harmless::Harmless;
use super::harmless::is_event;
use crate::check::examine;
use crate::native;
use crate::select;

/// How many commands are taken.
const COMMANDS: usize = 50;
/// And how many failures of the journal.
const FAILURES: usize = 100;

/// What is taken of commands: their ends, crashes, and what a process is.
const EVENTS: [&str; 4] = [
    "commandfinish",
    "commandlost",
    "commandexception",
    "session",
];

/// Variables whose names are told if they are set.
const VARIABLES: [&[u8]; 18] = [
    b"HGRCPATH",
    b"HGPLAIN",
    b"HGPLAINEXCEPT",
    b"HGENCODING",
    b"HGUSER",
    b"HG",
    b"CHGHG",
    b"UILOG",
    b"XDG_STATE_HOME",
    b"XDG_RUNTIME_DIR",
    b"XDG_CONFIG_HOME",
    b"TRACEPARENT",
    b"TRACESTATE",
    b"CI",
    b"LC_ALL",
    b"OTEL_EXPORTER_OTLP_ENDPOINT",
    b"OTEL_EXPORTER_OTLP_HEADERS",
    b"OTEL_RESOURCE_ATTRIBUTES",
];

/// Sections whose names are told; the names in them are not.
const SECTIONS: [&[u8]; 20] = [
    b"alias",
    b"auth",
    b"blackbox",
    b"cmdserver",
    b"command-templates",
    b"extensions",
    b"format",
    b"hooks",
    b"hostsecurity",
    b"http_proxy",
    b"logtoprocess",
    b"pager",
    b"paths",
    b"phases",
    b"server",
    b"smtp",
    b"trusted",
    b"ui",
    b"uilog",
    b"web",
];

/// The files of the archive.
pub(super) fn entries(
    arguments: &Arguments,
    filters: &Filters,
    period: Span,
) -> anyhow::Result<Vec<Entry>> {
    let environment = installation::environment()
        .context("cannot tell the current directory")?;
    let request = arguments.sources.request();
    let loaded = match uilog_config::load(&request, &environment) {
        Ok(loaded) => loaded,
        // hg would not run either; what is wrong is what support has to know.
        Err(error) => {
            let failure = json!({"exit_status": error.exit_status()});
            return Ok(vec![entry(
                "config.json",
                "the configuration cannot be read",
                &failure,
            )]);
        }
    };
    let block = native::environment_block();
    let cwd = environment
        .cwd()
        .join(request.cwd.as_deref().unwrap_or(Path::new("")));
    let subject = Subject {
        loaded: &loaded,
        environment: &environment,
        block: &block,
        cwd: &cwd,
    };
    let (report, sinks) = examine(&subject);
    let harmless = Harmless::new(private(&loaded, &block).into_iter());
    let opened = arguments.sources.open()?;
    let query = Query::new(Filters {
        span: period,
        events: EVENTS.map(str::to_owned).to_vec(),
        ..filters.clone()
    });
    let each = |last: &mut Last, found: Match<'_>| last.add(&found);
    let (parts, problems) = scan::scan(&opened.sources, &query, each);
    select::say_problems(&opened.problems, &problems);
    let mut last = Last::default();
    for part in parts {
        last.merge(part);
    }
    Ok(vec![
        entry(
            "versions.json",
            "versions, the system, names of variables that are set",
            &versions(&report, &last, &block),
        ),
        entry(
            "config.json",
            "uilog's settings; numbers and words of a list only",
            &config(&loaded, &sinks, &harmless),
        ),
        entry(
            "findings.json",
            "what `uilog check` finds, without names and values",
            &findings(&report, &harmless),
        ),
        entry(
            "commands.json",
            "the last commands: names of commands and options, times, errors",
            &last.commands(&harmless),
        ),
        entry(
            "losses.json",
            "the journal of losses and failures, without names and values",
            &losses(&block, &harmless),
        ),
    ])
}

fn entry(name: &'static str, about: &'static str, json: &Json) -> Entry {
    Entry {
        name,
        about,
        text: format!("{json:#}\n"),
    }
}

/// Texts whose words may say anything about this user.
fn private<'a>(loaded: &'a Loaded, block: &'a [u8]) -> Vec<&'a [u8]> {
    let mut texts = Vec::new();
    for config in [&loaded.trusted, &loaded.untrusted] {
        for section in config.sections() {
            texts.push(section);
            for (name, entry) in config.items(section) {
                texts.extend([name, entry.value.as_slice()]);
            }
        }
    }
    let variables = block.split(|it| *it == 0);
    texts.extend(variables.filter_map(|it| {
        let at = it.iter().position(|it| *it == b'=')?;
        Some(&it[at + 1..])
    }));
    texts
}

fn versions(report: &Report, last: &Last, block: &[u8]) -> Json {
    let hgs = report.hgs.iter().map(|it| {
        let version = it.version.as_deref().map(harmless::version);
        json!({"found": it.found, "version": version,
            "has_uilog": it.uilog.is_some()})
    });
    let set: Vec<_> = block
        .split(|it| *it == 0)
        .filter_map(|it| it.split(|it| *it == b'=').next())
        .filter(|name| VARIABLES.contains(name))
        .map(String::from_utf8_lossy)
        .collect();
    let release = nix::sys::utsname::uname().ok();
    let release = release.as_ref().and_then(|it| it.release().to_str());
    json!({
        "uilog": env!("CARGO_PKG_VERSION"),
        "hg": hgs.collect::<Vec<_>>(),
        "kernel": release.map(kernel),
        "processor": std::env::consts::ARCH,
        "switched_off": !report.switched_off.is_empty(),
        "extensions": report.extensions.iter().map(|it| json!({
            "name": it.name, "enabled": it.enabled, "broken": it.broken,
        })).collect::<Vec<_>>(),
        "variables_set": set,
        "last_process": last.session,
    })
}

/// `6.1.0` of `6.1.0-18-amd64`: what follows anybody can choose.
fn kernel(release: &str) -> String {
    let end = release.find(|it: char| !it.is_ascii_digit() && it != '.');
    release[..end.unwrap_or(release.len())].to_owned()
}

fn config(loaded: &Loaded, sinks: &[SinkFacts], harmless: &Harmless) -> Json {
    let config = &loaded.trusted;
    let mut settings = serde_json::Map::new();
    for item in items::ITEMS {
        let entry = config.get(item.section.as_bytes(), item.name.as_bytes());
        if let Some(entry) = entry {
            let value = harmless.value(item, &entry.value);
            let name = format!("{}.{}", item.section, item.name);
            settings.insert(name, value.into());
        }
    }
    let scripts = config.items(b"logtoprocess").map(|(event, entry)| {
        let event = String::from_utf8_lossy(event);
        let event = if is_event(&event) { &event } else { "<event>" };
        json!({"event": event, "bytes": entry.value.len()})
    });
    let sinks = sinks.iter().map(|sink| {
        let prefix = format!("sink.{}:", sink.name);
        let options = config.items(b"uilog").filter_map(|(name, entry)| {
            let option = name.strip_prefix(prefix.as_bytes())?;
            let option = items::find_sink_option(option)?;
            let value = harmless.value(&option.item, &entry.value);
            Some((option.item.name.to_owned(), Json::from(value)))
        });
        let known = |events: &[String]| -> Vec<String> {
            let events = events.iter();
            let events = events.filter(|it| *it == "*" || is_event(it));
            events.cloned().collect()
        };
        json!({
            "kind": sink.kind, "usable": sink.usable,
            "track": known(&sink.track), "ignore": known(&sink.ignore),
            "options": options.collect::<serde_json::Map<_, _>>(),
        })
    });
    let mut sections = BTreeMap::<&str, usize>::new();
    for section in config.sections() {
        let known = SECTIONS.iter().find(|known| **known == section);
        let name = known.and_then(|it| std::str::from_utf8(it).ok());
        let count = config.items(section).count();
        *sections.entry(name.unwrap_or("<others>")).or_default() += count;
    }
    let files = loaded.files.iter().map(|file: &FileReport| {
        let state = match &file.state {
            FileState::Read => "read",
            FileState::Missing => "missing",
            FileState::Unreadable(_) => "unreadable",
            FileState::Untrusted { .. } => "untrusted",
            FileState::Broken(_) => "broken",
        };
        json!({"layer": file.layer.name(), "state": state})
    });
    json!({
        "settings": settings,
        "scripts": scripts.collect::<Vec<_>>(),
        "sinks": sinks.collect::<Vec<_>>(),
        "items_by_section": sections,
        "files": files.collect::<Vec<_>>(),
        "in_a_repository": loaded.root.is_some(),
    })
}

fn findings(report: &Report, harmless: &Harmless) -> Json {
    let findings = report.findings.iter().map(|it| {
        json!({
            "severity": it.severity.name(),
            "code": it.code,
            "text": harmless.text(&it.text),
        })
    });
    findings.collect()
}

fn losses(block: &[u8], harmless: &Harmless) -> Json {
    let facts = status::read_journal(block);
    let newest = facts.failures.iter().rev().take(FAILURES);
    let failures = newest.map(|it| {
        let event = match is_event(&it.event) {
            true => it.event.as_str(),
            false => "<event>",
        };
        json!({
            "time": moment(&it.time), "kind": it.kind.name(), "event": event,
            "lost": it.lost, "detail": harmless.text(&it.detail),
        })
    });
    json!({
        "lost": facts.lost,
        "counts": facts.counts,
        "failures": failures.collect::<Vec<_>>(),
    })
}

/// A time of RFC 3339, in the form that we would write it in.
fn moment(text: &str) -> Json {
    let time = chrono::DateTime::parse_from_rfc3339(text);
    time.map_or(Json::Null, |it| it.to_rfc3339().into())
}

/// The last commands.
#[derive(Default)]
struct Last {
    /// By time and id.
    lines: BTreeMap<(i64, String), Vec<u8>>,
    /// What the last process was, and when.
    session: Option<Json>,
    session_time: i64,
}

impl Last {
    fn add(&mut self, found: &Match<'_>) {
        let record = &found.record;
        if record.event.as_str() == "session" {
            if self.session.is_none() || self.session_time < found.time {
                self.session = Some(session(record));
                self.session_time = found.time;
            }
            return;
        }
        let key = (found.time, record.id.as_str().to_owned());
        let is_full = self.lines.len() >= COMMANDS;
        if is_full && self.lines.first_key_value().is_some_and(|it| *it.0 > key)
        {
            return;
        }
        self.lines.insert(key, found.line.to_vec());
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.lines.len() > COMMANDS {
            self.lines.pop_first();
        }
    }

    fn merge(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.shrink();
        if self.session.is_none() || self.session_time < other.session_time {
            self.session = other.session.or(self.session.take());
            self.session_time = self.session_time.max(other.session_time);
        }
    }

    fn commands(&self, harmless: &Harmless) -> Json {
        let records = self.lines.values().rev();
        let records = records.filter_map(|line| Record::parse(line).ok());
        records.map(|record| command(&record, harmless)).collect()
    }
}

fn command(record: &Record<'_>, harmless: &Harmless) -> Json {
    let process = &record.process;
    let mut numbers = serde_json::Map::new();
    let names: HashSet<_> = [
        "lock_wait",
        "lock_held",
        "waited_for_user",
        "wire_time",
        "roundtrips",
        "bytes_sent",
        "bytes_received",
        "changesets",
        "files_changed",
        "detailed_exit_code",
        "signal",
    ]
    .into();
    for (name, value) in &record.options {
        if names.contains(name.as_str()) && value.is_number() {
            numbers.insert(name.clone(), value.clone());
        }
    }
    let given = |text: &str, of: fn(&str) -> String| match text {
        "" => Json::Null,
        text => of(text).into(),
    };
    json!({
        "event": record.event.as_str(),
        "time": moment(record.time.as_str()),
        "seconds": record.duration,
        "session": harmless::id(record.session.as_str()),
        "hg_version": given(process.hg_version.as_str(), harmless::version),
        "is_hg": process.program.as_str().is_empty(),
        "command": harmless.command(record.command_line()),
        "exit_code": process.exit_code,
        "error_type": given(record.text("error_type"), harmless::class),
        "error": harmless.error(record.error()),
        "fingerprint": given(record.text("fingerprint"), fingerprint),
        "numbers": numbers,
    })
}

/// The hash of a traceback, as uilog makes it.
fn fingerprint(text: &str) -> String {
    const DIGITS: usize = 16;
    let is_digit = |it: u8| matches!(it, b'0'..=b'9' | b'a'..=b'f');
    match text.len() == DIGITS && text.bytes().all(is_digit) {
        true => text.to_owned(),
        false => String::new(),
    }
}

fn session(record: &Record<'_>) -> Json {
    let version = |name: &str| match record.text(name) {
        "" => Json::Null,
        text => harmless::version(text).into(),
    };
    let is = |name: &str| record.options.get(name).and_then(Json::as_bool);
    let modules = record.text("modules");
    let is_known = ["rust", "c", "py"].contains(&modules);
    json!({
        "hg": version("hg_version"),
        "python": version("python_version"),
        "uilog": version("uilog_version"),
        "modules": is_known.then_some(modules),
        "container": is("container"),
        "terminal": is("terminal"),
    })
}
