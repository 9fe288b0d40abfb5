//! A blackbox as records.
//!
//! Responsible for the fields of a record that a blackbox line has: the time,
//! the user, the process, the command, its exit status and its duration. Texts
//! are redacted, as in any record, because hg writes them unredacted. Must not
//! know where blackboxes are, or what is searched for.

use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::Path;

use chrono::DateTime;
use chrono::FixedOffset;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;
use uilog_blackbox::dates::Date;
use uilog_blackbox::dates::DateFormat;
use uilog_blackbox::files::ReadError;
use uilog_blackbox::reader::Entry;
use uilog_blackbox::reader::Options;
use uilog_blackbox::reader::Reader;
use uilog_config::Config;
use uilog_event::command::CommandLine;
use uilog_event::command::ProgramKind;
use uilog_sinks::redact;
use uilog_sys::clock;

use crate::record::SCHEMA;
use crate::scan::Source;

/// The event of a line without an event name.
const UNKNOWN: &str = "unknown";
/// The program; lines do not contain its path.
const PROGRAM: &str = "hg";
/// The directory of a repository that has its blackbox.
const HG: &str = ".hg";

/// The contents of a blackbox.
#[derive(Debug)]
pub struct Blackbox {
    /// The records.
    pub records: Source,
    /// Events without a date that can be read, which are no records.
    pub undated: u64,
}

/// Reads a blackbox with its old files.
///
/// # Errors
///
/// It cannot be read.
pub fn read(path: &Path, format: DateFormat) -> Result<Blackbox, ReadError> {
    let options = Options {
        format,
        as_events: true,
        ..Options::default()
    };
    let mut reader = Reader::open(path, options)?;
    let mut records = Records::new(path);
    while let Some(entries) = reader.next_events()? {
        for entry in entries {
            records.add(&entry);
        }
    }
    Ok(Blackbox {
        records: Source::memory(path, records.text),
        undated: records.undated,
    })
}

/// Records, as lines.
struct Records {
    text: Vec<u8>,
    undated: u64,
    /// The repository, if the blackbox is in one.
    repository: Option<Json>,
    /// How often the same has been logged within a second.
    known: HashMap<u64, u64>,
    config: Config,
}

impl Records {
    fn new(path: &Path) -> Self {
        let dir = path.parent().filter(|it| it.ends_with(HG));
        let root = dir.and_then(|it| it.canonicalize().ok());
        let root = root.as_deref().and_then(Path::parent);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let repository = root.map(|root| {
            let name = root.file_name().map(Path::new).unwrap_or(root);
            json!({"root": text(root), "name": text(name)})
        });
        Self {
            text: Vec::new(),
            undated: 0,
            repository,
            known: HashMap::new(),
            config: Config::default(),
        }
    }

    fn add(&mut self, entry: &Entry) {
        let Some(time) = entry.date.and_then(moment) else {
            self.undated += 1;
            return;
        };
        let record = self.record(entry, &time);
        // A map of texts and numbers is always JSON.
        if serde_json::to_writer(&mut self.text, &record).is_ok() {
            self.text.push(b'\n');
        }
    }

    fn record(
        &mut self,
        entry: &Entry,
        time: &DateTime<FixedOffset>,
    ) -> Map<String, Json> {
        let mut process = Map::new();
        let mut put = |name: &str, value: Option<Json>| {
            process.extend(value.map(|it| (name.to_owned(), it)));
        };
        let plain =
            |text: &[u8]| Json::from(String::from_utf8_lossy(text).as_ref());
        put("pid", Some(Json::from(entry.pid.unwrap_or(0))));
        put("executable", Some(PROGRAM.into()));
        put("user", entry.user.as_deref().map(plain));
        if let Some(line) = &entry.command {
            let words = uilog_redact::arguments(line);
            let words = std::iter::once(b"hg".to_vec()).chain(words);
            let line_of = CommandLine::new(ProgramKind::Hg, words.collect());
            let name = line_of.canonical(&self.config);
            put("command", name.as_deref().map(plain));
            put("command_line", Some(plain(&redact::text(line))));
        }
        put("exit_code", entry.return_code.map(Json::from));
        let event = entry.event.as_deref().map(String::from_utf8_lossy);
        let event = event.as_deref().unwrap_or(UNKNOWN);
        let mut record = Map::new();
        let mut put = |name: &str, value: Json| {
            record.insert(name.to_owned(), value);
        };
        // In the order of uilog's own records, which are passed over fast.
        put("schema", Json::from(SCHEMA));
        let (hash, number) = self.hash(entry, time);
        put("id", format!("blackbox-{hash:016x}-{number}").into());
        put("event", Json::from(event));
        let time = time.format("%Y-%m-%dT%H:%M:%S%:z").to_string();
        put("time", Json::from(time));
        if let Some(duration) = entry.duration {
            put("duration", Json::from(duration));
        }
        // Lines do not contain the session, so each gets a different one.
        put("session", format!("{hash:016x}{number:016x}").into());
        put("seq", Json::from(number));
        put("message", plain(&redact::text(&entry.message)));
        put("process", Json::from(process));
        // Nor the machine.
        put("host", json!({"name": ""}));
        if let Some(repository) = &self.repository {
            put("repository", repository.clone());
        }
        record
    }

    /// Two numbers by which an event is known: the same each time that the same
    /// blackbox is read, under whichever name.
    fn hash(
        &mut self,
        entry: &Entry,
        time: &DateTime<FixedOffset>,
    ) -> (u64, u64) {
        let mut hasher = DefaultHasher::new();
        let root = self.repository.as_ref().map(|it| &it["root"]);
        root.and_then(Json::as_str).hash(&mut hasher);
        time.timestamp().hash(&mut hasher);
        (entry.pid, &entry.user, &entry.message).hash(&mut hasher);
        let hash = hasher.finish();
        let number = self.known.entry(hash).or_default();
        *number += 1;
        (hash, *number)
    }
}

/// The moment of a date, which may be one of the local clock.
fn moment(date: Date) -> Option<DateTime<FixedOffset>> {
    let offset = date.offset.unwrap_or_else(|| {
        // Where the clock is set back, either of two moments is right.
        let guess = date.civil - i64::from(clock::local_offset(date.civil));
        clock::local_offset(guess)
    });
    let moment = date.civil.checked_sub(offset.into())?;
    let moment = DateTime::from_timestamp(moment, 0)?;
    Some(moment.with_timezone(&FixedOffset::east_opt(offset)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::filter::Filters;
    use crate::filter::Query;
    use crate::scan;
    use crate::scan::Match;

    const LOG: &str = "\
2026/11/30 09:12:40.123 +0100 alice @0123456789012345678901234567890123456789 (4711)> --config x=y pul https://alice:secret@hg.example/main
2026/11/30 09:12:44.5 +0100 alice @0123456789012345678901234567890123456789 (4711)> --config x=y pul https://alice:secret@hg.example/main exited 255 after 3.41 seconds
2026/11/30 09:13:00 +0100 bob @0123456789012345678901234567890123456789 (4712)> incoming exited 1 after 0.50 seconds
2026/11/30 09:13:00 +0100 bob @0123456789012345678901234567890123456789 (4712)> incoming exited 1 after 0.50 seconds
";

    fn rows(source: &Source) -> Vec<(String, String, Option<f64>, bool)> {
        let each = |rows: &mut Vec<_>, found: Match<'_>| {
            let record = found.record;
            rows.push((
                record.command().to_owned(),
                record.id.as_str().to_owned(),
                record.duration,
                record.is_failure(),
            ));
        };
        let query = Query::new(Filters {
            events: vec!["commandfinish".to_owned()],
            ..Filters::default()
        });
        let sources = std::slice::from_ref(source);
        let (rows, problems) = scan::scan(sources, &query, each);
        assert_eq!(problems.damaged, 0);
        rows.concat()
    }

    #[test]
    fn lines_are_records_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let hg = dir.path().join("main/.hg");
        fs::create_dir_all(&hg).unwrap();
        let path = hg.join("blackbox.log");
        let (old, new) = LOG.split_at(LOG.find("2026/11/30 09:13").unwrap());
        fs::write(&path, new).unwrap();
        fs::write(hg.join("blackbox.log.1"), old).unwrap();
        let read = |name: &str| {
            read(&hg.join(name), DateFormat::default()).unwrap().records
        };
        let all = read("blackbox.log");
        let found = rows(&all);
        let commands: Vec<_> =
            found.iter().map(|it| (&*it.0, it.2, it.3)).collect();
        let expected = [
            ("pull", Some(3.41), true),
            ("incoming", Some(0.5), false),
            ("incoming", Some(0.5), false),
        ];
        assert_eq!(commands, expected);
        let text = scan::text(&all).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains(r#""name":"main""#), "{text}");
        assert!(text.contains("2026-11-30T09:12:44+01:00"), "{text}");
        // Two equal lines are two records; one that is read twice is one.
        assert_ne!(found[1].1, found[2].1);
        let old = rows(&read("blackbox.log.1"));
        assert_eq!(old, found[..1]);
    }
}
