//! Which records are wanted.
//!
//! Responsible for testing a record, and for recognizing unwanted lines before
//! they are parsed. Must not know where lines come from.

use memchr::memmem;
use memchr::memmem::Finder;
use uilog_blackbox::glob::Glob;
use uilog_event::command;

use crate::header::Header;
use crate::record::Record;
use crate::record::parse_time;
use crate::when::Span;

/// The events that end a command.
pub const ENDS: [&str; 2] = ["commandfinish", "commandlost"];

/// How far a zone may be from UTC, in microseconds, and a day.
const DAY: i64 = 86_400_000_000;

/// The filters; empty ones and `None` exclude nothing.
#[derive(Clone, Debug)]
pub struct Filters {
    /// When it was logged.
    pub span: Span,
    /// One of these events.
    pub events: Vec<String>,
    /// Of a command that one of these matches, by its name or as a whole.
    pub commands: Vec<Glob>,
    /// In a repository whose name or root one of these matches.
    pub repositories: Vec<Glob>,
    /// By one of these users.
    pub users: Vec<Glob>,
    /// On one of these machines.
    pub hosts: Vec<Glob>,
    /// By one of these versions of Mercurial.
    pub hg_versions: Vec<Glob>,
    /// With one of these classes of errors.
    pub error_types: Vec<Glob>,
    /// Of these hooks.
    pub hooks: Vec<Glob>,
    /// Of one of these traces, by the beginning of its id.
    pub traces: Vec<String>,
    /// Of one of these hg processes, by the beginning of its id.
    pub sessions: Vec<String>,
    /// Only failures.
    pub failed: bool,
    /// That took so many seconds or longer.
    pub slower: Option<f64>,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            span: Span::EVER,
            events: Vec::new(),
            commands: Vec::new(),
            repositories: Vec::new(),
            users: Vec::new(),
            hosts: Vec::new(),
            hg_versions: Vec::new(),
            error_types: Vec::new(),
            hooks: Vec::new(),
            traces: Vec::new(),
            sessions: Vec::new(),
            failed: false,
            slower: None,
        }
    }
}

/// Filters, and what can be searched for instead of parsing.
#[derive(Debug)]
pub struct Query {
    filters: Filters,
    /// Days of the local calendar before and after which nothing is wanted,
    /// as RFC 3339 begins.
    days: (String, String),
    /// For each filter, texts of which every wanted line holds one.
    needles: Vec<Vec<Finder<'static>>>,
}

impl Query {
    /// A query for what passes all filters.
    pub fn new(filters: Filters) -> Self {
        let mut needles = Vec::new();
        for globs in [
            &filters.commands,
            &filters.repositories,
            &filters.users,
            &filters.hosts,
            &filters.hg_versions,
            &filters.hooks,
        ] {
            let literals = globs.iter().map(literal);
            needles.extend(finders(literals));
        }
        for ids in [&filters.traces, &filters.sessions] {
            let ids = ids.iter().map(|id| Some(id.as_bytes().to_vec()));
            needles.extend(finders(ids));
        }
        Self {
            days: (
                day(filters.span.from.saturating_sub(DAY)),
                day(filters.span.to.saturating_add(DAY)),
            ),
            needles,
            filters,
        }
    }

    /// The filters.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// Whether a line may hold a record that is wanted.
    #[inline]
    pub(crate) fn may_want(&self, line: &[u8]) -> bool {
        let filters = &self.filters;
        let Some(header) = Header::of(line) else {
            // Other programs may format lines in any way.
            return true;
        };
        let is_of_event = filters.events.is_empty()
            || filters
                .events
                .iter()
                .any(|it| it.as_bytes() == header.event);
        if !is_of_event {
            return false;
        }
        if let Some(day) = header.time.get(..10) {
            let (first, last) = &self.days;
            if day < first.as_bytes() || day > last.as_bytes() {
                return false;
            }
        }
        let seconds = header.duration.unwrap_or(0.0);
        if filters.slower.is_some_and(|it| seconds < it) {
            return false;
        }
        if filters.failed && is_success(&header, line) {
            return false;
        }
        self.needles.iter().all(|needles| {
            needles.iter().any(|needle| needle.find(line).is_some())
        })
    }

    /// Whether a record is wanted, which was logged at `time`.
    pub fn wants(&self, record: &Record<'_>, time: i64) -> bool {
        let filters = &self.filters;
        let any = |globs: &[Glob], text: &str| {
            globs.is_empty()
                || globs.iter().any(|glob| glob.matches(text.as_bytes()))
        };
        let begins = |ids: &[String], own: &str| {
            ids.is_empty() || ids.iter().any(|id| own.starts_with(id.as_str()))
        };
        let is_of_event = || {
            let mut events = filters.events.iter();
            filters.events.is_empty()
                || events.any(|it| it == record.event.as_str())
        };
        filters.span.contains(time)
            && is_of_event()
            && (!filters.failed || record.is_failure())
            && filters.slower.is_none_or(|least| {
                record.duration.is_some_and(|own| own >= least)
            })
            && any(&filters.users, record.process.user.as_str())
            && any(&filters.hosts, record.host.name.as_str())
            && any(&filters.hg_versions, record.process.hg_version.as_str())
            && any(&filters.hooks, record.hook())
            && (any(&filters.repositories, record.repository())
                || any(&filters.repositories, record.root()))
            && begins(&filters.traces, record.trace_id.as_str())
            && begins(&filters.sessions, record.session.as_str())
            && (filters.error_types.is_empty()
                || any(&filters.error_types, &record.error_type()))
            && (filters.commands.is_empty() || self.is_of_command(record))
    }

    fn is_of_command(&self, record: &Record<'_>) -> bool {
        let name = record.process.command.as_str().as_bytes();
        let line = record.process.command_line.as_str().as_bytes();
        let mut texts = command::spellings(line, name);
        texts.push(name.to_vec());
        self.filters.commands.iter().any(|glob| {
            texts
                .iter()
                .any(|text| !text.is_empty() && glob.matches(text))
        })
    }
}

/// Whether a line of uilog's is about a command that has exited with 0.
fn is_success(header: &Header<'_>, line: &[u8]) -> bool {
    const CODE: &[u8] = b"\"exit_code\":";
    if header.event != b"commandfinish" {
        return false;
    }
    // Options, which may have that name, come before the process.
    let Some(at) = memmem::rfind(line, CODE) else {
        return false;
    };
    matches!(line[at + CODE.len()..], [b'0', b',' | b'}', ..])
        && memmem::find(line, b"\"signal\":").is_none()
}

/// The longest text that everything which a glob matches contains, and that is
/// unchanged in a line: within a word, and without characters that JSON may
/// escape.
fn literal(glob: &Glob) -> Option<Vec<u8>> {
    let literal = glob.longest_literal();
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let words = literal.split(|byte| !is_plain(byte));
    let longest = words.max_by_key(|word| word.len())?;
    (!longest.is_empty()).then(|| longest.to_vec())
}

/// Finders of all, unless one of them is nothing to search for.
fn finders(
    needles: impl Iterator<Item = Option<Vec<u8>>>,
) -> Option<Vec<Finder<'static>>> {
    let all: Option<Vec<_>> = needles
        .map(|needle| Some(Finder::new(&needle?).into_owned()))
        .collect();
    all.filter(|all| !all.is_empty())
}

/// The day of a moment in UTC.
fn day(micros: i64) -> String {
    let never = if micros < 0 { "0000" } else { "9999-99-99" };
    match chrono::DateTime::from_timestamp_micros(micros) {
        Some(time) => {
            let day = time.format("%Y-%m-%d").to_string();
            // Years of other than four digits do not sort as texts.
            if day.len() == 10 {
                day
            } else {
                never.to_owned()
            }
        }
        None => never.to_owned(),
    }
}

/// Reads a line that may be wanted.
///
/// # Errors
///
/// It is no record.
pub(crate) fn read<'a>(
    query: &Query,
    line: &'a [u8],
) -> Result<Option<(Record<'a>, i64, i32)>, crate::record::Unreadable> {
    let record = Record::parse(line)?;
    let time = parse_time(record.time.as_str());
    let (time, offset) = time.ok_or(crate::record::Unreadable::Damaged)?;
    Ok(query.wants(&record, time).then_some((record, time, offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"schema":1,"id":"a-1","event":"commandfinish","time":"2026-11-30T09:12:44.120733+01:00","duration":3.5,"trace_id":"4bf9","session":"8c1f","seq":1,"message":"x","options":{"exit_code":7},"process":{"pid":1,"hg_version":"7.2.4","user":"ci","command":"strip","command_line":"--config x=y strip -r 3 --cwd /tmp","exit_code":0},"host":{"name":"build-7"},"repository":{"root":"/home/ci/main","name":"main"}}"#;

    fn is_wanted(line: &str, change: impl Fn(&mut Filters)) -> bool {
        let mut filters = Filters::default();
        change(&mut filters);
        let query = Query::new(filters);
        let wanted = read(&query, line.as_bytes()).unwrap().is_some();
        // What is wanted must never be passed over.
        assert!(query.may_want(line.as_bytes()) || !wanted);
        wanted
    }

    fn globs(patterns: &[&str]) -> Vec<Glob> {
        patterns.iter().map(|it| Glob::new(it.as_bytes())).collect()
    }

    #[test]
    fn commands_match_wherever_global_options_stand() {
        for pattern in [
            "strip",
            "strip*",
            "strip -r 3",
            "strip -r 3*",
            "*strip -r 3 --cwd /tmp",
            "*config*",
        ] {
            let change = |it: &mut Filters| it.commands = globs(&[pattern]);
            assert!(is_wanted(LINE, change), "{pattern}");
        }
        for pattern in ["pull", "stri", "strip -r 4*"] {
            let change = |it: &mut Filters| it.commands = globs(&[pattern]);
            assert!(!is_wanted(LINE, change), "{pattern}");
        }
    }

    #[test]
    fn each_filter_keeps_out_what_it_does_not_name() {
        let failed = LINE.replace("\"exit_code\":0", "\"exit_code\":255");
        assert!(!is_wanted(LINE, |it| it.failed = true));
        assert!(is_wanted(&failed, |it| it.failed = true));
        assert!(is_wanted(LINE, |it| it.slower = Some(3.5)));
        assert!(!is_wanted(LINE, |it| it.slower = Some(3.6)));
        assert!(is_wanted(LINE, |it| it.events = vec!["commandfinish".into()]));
        assert!(!is_wanted(LINE, |it| it.events = vec!["command".into()]));
        assert!(is_wanted(LINE, |it| it.users = globs(&["x", "c?"])));
        assert!(!is_wanted(LINE, |it| it.users = globs(&["c"])));
        assert!(is_wanted(LINE, |it| it.hosts = globs(&["build-*"])));
        assert!(!is_wanted(LINE, |it| it.hosts = globs(&["build"])));
        assert!(is_wanted(LINE, |it| it.repositories = globs(&["main"])));
        assert!(is_wanted(LINE, |it| it.repositories = globs(&["/home/*"])));
        assert!(!is_wanted(LINE, |it| it.repositories = globs(&["mai"])));
        assert!(is_wanted(LINE, |it| it.hg_versions = globs(&["7.*"])));
        assert!(!is_wanted(LINE, |it| it.hg_versions = globs(&["6.*"])));
        assert!(is_wanted(LINE, |it| it.traces = vec!["4b".into()]));
        assert!(!is_wanted(LINE, |it| it.traces = vec!["5".into()]));
        assert!(is_wanted(LINE, |it| it.sessions = vec!["8c1f".into()]));
        assert!(!is_wanted(&failed, |it| it.error_types = globs(&["Input*"])));
        assert!(is_wanted(&failed, |it| it.error_types = globs(&["exit *"])));
    }

    #[test]
    fn bounds_are_of_the_moment_and_not_of_the_text() {
        // 08:12:44 UTC.
        let time = parse_time("2026-11-30T08:12:44Z").unwrap().0;
        let span =
            |from, to| move |it: &mut Filters| it.span = Span { from, to };
        assert!(is_wanted(LINE, span(time, time + 1_000_000)));
        assert!(!is_wanted(LINE, span(time + 1_000_000, i64::MAX)));
        assert!(!is_wanted(LINE, span(i64::MIN, time)));
        assert!(is_wanted(LINE, span(i64::MIN, i64::MAX)));
    }
}
