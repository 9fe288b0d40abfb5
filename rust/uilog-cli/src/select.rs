//! The options that select records, shared by several subcommands.

use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use clap::Args;
use clap::ValueHint;
use uilog_blackbox::dates::DateFormat;
use uilog_blackbox::glob::Glob;
use uilog_channel::sink_config::SinkConfig;
use uilog_config::Loaded;
use uilog_config::date::Clock;
use uilog_event::events;
use uilog_event::suggest;
use uilog_history::filter::ENDS;
use uilog_history::filter::Filters;
use uilog_history::filter::Query;
use uilog_history::places;
use uilog_history::places::Opened;
use uilog_history::scan::Problems;
use uilog_history::scan::Source;
use uilog_history::when;
use uilog_sinks::globals::Globals;
use uilog_sinks::history;
use uilog_sinks::spools;
use uilog_sinks::spools::Owned;
use uilog_sys::clock;

use crate::native;
use crate::output::counted;
use crate::output::say;
use crate::place::ConfigArguments;

/// The exit status for invalid arguments, as clap's.
pub(crate) const EXIT_USAGE: u8 = 2;

/// The name of standard input.
const STDIN: &str = "-";
/// How spools are called in messages.
const SPOOLS: &str = "spool";
/// How much is read of the records that wait in a spool.
const MAX_WAITING: usize = 256 << 20;
/// Files that cannot be read are named up to this number.
const MAX_NAMED: usize = 5;

/// Where records are.
#[derive(Debug, Default, Args)]
pub(crate) struct Sources {
    /// Files of records from sinks `file:` and `uilog spool export`,
    /// directories of such files, blackboxes, or repositories with a blackbox;
    /// `-` is standard input. Default: the history, the files of all sinks in
    /// the configuration, and records that wait in a spool; if there are none,
    /// the repository's blackbox
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: ConfigArguments,
}

/// Where records come from.
#[derive(Debug, Args)]
pub(crate) struct Origins {
    /// Only in repositories whose name or root matches: * matches any text, ?
    /// any byte
    #[arg(long, value_name = "GLOB")]
    repo: Vec<String>,
    /// Only commands of users that match
    #[arg(long, value_name = "GLOB")]
    user: Vec<String>,
    /// Only on machines whose name matches
    #[arg(long, value_name = "GLOB")]
    host: Vec<String>,
    /// Only with versions of Mercurial that match
    #[arg(long, value_name = "GLOB")]
    hg_version: Vec<String>,
}

impl Origins {
    /// Filters for nothing else.
    pub(crate) fn filters(&self) -> Filters {
        Filters {
            repositories: globs(&self.repo),
            users: globs(&self.user),
            hosts: globs(&self.host),
            hg_versions: globs(&self.hg_version),
            ..Filters::default()
        }
    }
}

fn globs(patterns: &[String]) -> Vec<Glob> {
    patterns.iter().map(|it| Glob::new(it.as_bytes())).collect()
}

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Only records from this date on: 7d, 2h, yesterday, 'last week',
    /// 2026-11-30 or any date of `hg help dates`
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    since: Option<String>,
    /// Only records up to this date, including the whole day, hour or minute
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    until: Option<String>,
    /// Only commands that match, by their full name or as they were typed,
    /// with or without global options: * matches any text, ? any byte
    #[arg(long, value_name = "GLOB")]
    command: Vec<String>,
    #[command(flatten)]
    origins: Origins,
    /// Only with hooks that match; shows ends of hooks unless --event is given
    #[arg(long, value_name = "GLOB")]
    hook: Vec<String>,
    /// Only failures
    #[arg(long)]
    failed: bool,
    /// Only records with at least this duration
    #[arg(long, value_name = "SECONDS")]
    slower: Option<f64>,
    /// Only errors whose class matches: hg's name (HookAbort), else 'exit N',
    /// 'signal N' or 'killed'
    #[arg(long, value_name = "GLOB")]
    error_type: Vec<String>,
    /// Only the trace whose id begins with this
    #[arg(long, value_name = "ID")]
    trace: Vec<String>,
    /// Only the hg process whose id begins with this
    #[arg(long, value_name = "ID")]
    session: Vec<String>,
    /// These events instead of the ends of commands; '*' means all
    #[arg(long, value_name = "EVENT", value_parser = crate::suggest::event(), hide_possible_values = true)]
    event: Vec<std::ffi::OsString>,
}

/// Calls `body` with the current time and the local zone.
pub(crate) fn with_clock<T>(body: impl FnOnce(&Clock<'_>) -> T) -> T {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    body(&Clock {
        now: now.map_or(0, |it| it.as_secs() as i64),
        local_offset: &|moment| clock::local_offset(moment).into(),
    })
}

impl Selection {
    /// The query.
    ///
    /// # Errors
    ///
    /// A date is invalid.
    pub(crate) fn query(&self) -> Result<Query, String> {
        self.query_of(self.events())
    }

    /// The same for all events, unless some are named.
    ///
    /// # Errors
    ///
    /// A date is invalid.
    pub(crate) fn query_of_all(&self) -> Result<Query, String> {
        let is_narrow = !self.event.is_empty() || !self.hook.is_empty();
        self.query_of(if is_narrow { self.events() } else { Vec::new() })
    }

    fn query_of(&self, events: Vec<String>) -> Result<Query, String> {
        let span = with_clock(|clock| {
            when::between(self.since.as_deref(), self.until.as_deref(), clock)
        })?;
        if self.slower.is_some_and(|it| !it.is_finite() || it < 0.0) {
            return Err("--slower is not a number of seconds".to_owned());
        }
        let ids = |ids: &[String]| -> Vec<String> {
            ids.iter().map(|id| id.to_ascii_lowercase()).collect()
        };
        Ok(Query::new(Filters {
            span,
            events,
            commands: globs(&self.command),
            error_types: globs(&self.error_type),
            hooks: globs(&self.hook),
            traces: ids(&self.trace),
            sessions: ids(&self.session),
            failed: self.failed,
            slower: self.slower,
            ..self.origins.filters()
        }))
    }

    /// The named events; none means all.
    fn events(&self) -> Vec<String> {
        let named = self.event.iter().map(|it| it.to_string_lossy());
        let named: Vec<_> = named.map(|it| it.into_owned()).collect();
        if named.iter().any(|it| it == "*") {
            Vec::new()
        } else if !named.is_empty() {
            named
        } else if !self.hook.is_empty() {
            vec!["exthook".to_owned(), "pythonhook".to_owned()]
        } else {
            ENDS.map(str::to_owned).to_vec()
        }
    }

    /// Suggests an event, if an unknown name was given. Only if nothing was
    /// found, because extensions may use any name.
    fn say_what_was_meant(&self) {
        let known = || events::KNOWN.iter().map(|known| known.name);
        for event in self.events() {
            let meant = suggest::meant(event.as_bytes(), known());
            if let Some(meant) = meant
                && !known().any(|name| name == event)
            {
                let advice = suggest::did_you_mean(meant);
                say(&format!("uilog: there is no event '{event}': {advice}"));
            }
        }
    }

    /// Explains why nothing was found: a misspelled event, or no source of
    /// records.
    pub(crate) fn say_why_nothing_is_found(&self, opened: &Opened) {
        self.say_what_was_meant();
        self.sources.say_where_records_come_from(opened);
    }
}

impl Sources {
    /// Which configuration is read.
    pub(crate) fn request(&self) -> uilog_config::Request {
        self.place.request()
    }

    /// Opens the files that are named, or else those of the configuration.
    pub(crate) fn open(&self) -> anyhow::Result<Opened> {
        if self.files.is_empty() {
            let configured = configured(&self.place)?;
            let mut opened = places::open(configured.files, None);
            if let Some((sinks, globals)) = &configured.sinks {
                add_waiting(&mut opened, sinks, globals);
            }
            if opened.sources.is_empty() {
                let paths = configured.blackbox;
                let format = Some(&configured.format);
                let blackbox = places::open(paths, format);
                opened.sources = blackbox.sources;
                opened.problems.extend(blackbox.problems);
                opened.blackboxes = blackbox.blackboxes;
            }
            return Ok(opened);
        }
        let format = match self.place.load()? {
            Ok(loaded) => date_format(&loaded),
            Err(_) => DateFormat::default(),
        };
        let mut opened = places::open(self.named(), Some(&format));
        let stdin = Path::new(STDIN);
        if self.files.iter().any(|path| path == stdin) {
            let mut text = Vec::new();
            io::stdin().lock().read_to_end(&mut text)?;
            opened.sources.push(Source::memory(stdin, text));
        }
        Ok(opened)
    }

    /// The same of what grows: neither standard input, nor blackboxes, nor
    /// spools.
    pub(crate) fn open_growing(&self) -> anyhow::Result<Opened> {
        let paths = if self.files.is_empty() {
            configured(&self.place)?.files
        } else {
            self.named()
        };
        Ok(places::open(paths, None))
    }

    fn named(&self) -> Vec<PathBuf> {
        let files = self.files.iter();
        let files = files.filter(|path| *path != Path::new(STDIN));
        files.flat_map(|path| places::of_path(path)).collect()
    }

    /// Explains why there is nothing to read, if no sink writes records.
    pub(crate) fn say_where_records_come_from(&self, opened: &Opened) {
        if opened.sources.is_empty() && opened.problems.is_empty() {
            say("uilog: there are no records: set 'history = yes' in the \
                 section [uilog] to keep a history, or name files of a sink \
                 'file:'");
        }
    }
}

/// Where a configuration has records.
#[derive(Default)]
struct Configured {
    /// The history, and files of sinks.
    files: Vec<PathBuf>,
    /// What tells where spools are.
    sinks: Option<(Vec<SinkConfig>, Globals)>,
    /// The repository's blackbox.
    blackbox: Option<PathBuf>,
    /// How that writes dates.
    format: DateFormat,
}

/// Where the configuration has records.
fn configured(place: &ConfigArguments) -> anyhow::Result<Configured> {
    let loaded = match place.load()? {
        Ok(loaded) => loaded,
        // The error was reported; records of others can be read nevertheless.
        Err(_) => return Ok(Configured::default()),
    };
    let (definitions, globals) = native::sinks(&loaded.trusted);
    // It stays when it is switched off.
    let history = history::dir(globals.environment());
    let mut files: Vec<_> = history
        .iter()
        .flat_map(|dir| places::of_history(dir))
        .collect();
    for definition in definitions.iter().filter(|it| !it.is_history()) {
        let of_sink = places::of_sink(&definition.url, &globals);
        files.extend(of_sink.unwrap_or_default());
    }
    let root = loaded.root.as_deref();
    Ok(Configured {
        files,
        sinks: Some((definitions, globals)),
        blackbox: root.and_then(places::of_repository),
        format: date_format(&loaded),
    })
}

/// Adds the records that wait in spools.
fn add_waiting(opened: &mut Opened, sinks: &[SinkConfig], globals: &Globals) {
    let spools = match spools::find(sinks, globals) {
        Ok(spools) => spools,
        Err(why) => {
            opened.problems.push((PathBuf::from(SPOOLS), why));
            return;
        }
    };
    for spool in spools {
        let path = Path::new(SPOOLS).join(&spool.sink);
        match waiting(&spool, globals) {
            Ok((text, None)) if text.is_empty() => {}
            Ok((text, problem)) => {
                opened.sources.push(Source::memory(&path, text));
                opened.problems.extend(problem.map(|why| (path, why)));
            }
            Err(why) => opened.problems.push((path, why)),
        }
    }
}

/// The records that wait in a spool, each a line, and what is missing.
fn waiting(
    spool: &Owned,
    globals: &Globals,
) -> Result<(Vec<u8>, Option<String>), String> {
    let mut text = Vec::new();
    let mut unreadable = 0;
    for payload in spool.payloads(globals, false)? {
        let Ok(payload) = payload else {
            unreadable += 1;
            continue;
        };
        if text.len() + payload.len() > MAX_WAITING {
            let why = "only the oldest 256 MB of its records are read";
            return Ok((text, Some(why.to_owned())));
        }
        text.extend_from_slice(&payload);
        text.push(b'\n');
    }
    let problem = (unreadable > 0).then(|| counted(unreadable, "record"));
    Ok((text, problem))
}

fn date_format(loaded: &Loaded) -> DateFormat {
    let setting = loaded.trusted.value(b"blackbox", b"date-format");
    DateFormat::new(setting.unwrap_or_default())
}

/// Says what could not be read; whether that is anything.
pub(crate) fn say_problems(
    opened: &[(PathBuf, String)],
    problems: &Problems,
) -> bool {
    let files: Vec<_> = opened.iter().chain(&problems.files).collect();
    for (path, why) in files.iter().take(MAX_NAMED) {
        say(&format!("uilog: cannot read {}: {why}", path.display()));
    }
    if let Some(more) = files.len().checked_sub(MAX_NAMED).filter(|it| *it > 0)
    {
        say(&format!("uilog: and {} more", counted(more as u64, "file")));
    }
    if problems.damaged > 0 {
        let lines = counted(problems.damaged, "damaged line");
        say(&format!("uilog: {lines} left out"));
    }
    if problems.later > 0 {
        let records = counted(problems.later, "record");
        say(&format!("uilog: {records} of a later uilog left out"));
    }
    !files.is_empty()
}
