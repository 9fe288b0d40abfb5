//! Makes a sink's record of an event.
//!
//! Each sink has its own [`Composer`], because each has its own policy: which
//! events, which fraction of traces, how much of command lines, users by name
//! or not. Every record passes through here.
//!
//! Must not know sinks. docs/schema.md describes the fields.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use memchr::memmem;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value as Json;
use uilog_channel::commandlost;
use uilog_channel::sink_config::SECTION;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire;
use uilog_config::items;
use uilog_config::items::Value as Setting;
use uilog_event::event::Event;
use uilog_event::event::Value;
use uilog_event::tracked::Tracked;
use uilog_event::user;
use uilog_redact::ArgvPolicy;
use uilog_redact::Key;
use uilog_redact::Policy;
use uilog_redact::Redacted;
use uilog_redact::Redactor;
use uilog_redact::UserPolicy;
use uilog_sys::foreign_file;

use crate::ci;
use crate::globals::Globals;
use crate::machine;
use crate::record::Cicd;
use crate::record::Hook;
use crate::record::Host;
use crate::record::Process;
use crate::record::Record;
use crate::record::Repository;
use crate::record::SCHEMA;
use crate::record::Usage;
use crate::record::is_failure;
use crate::repository as origin;
use crate::rfc3339::time;
use crate::rollup::Command;
use crate::sample::Sampled;
use crate::sample::Sampler;
use crate::text::Texts;
use crate::text::TruncatedText;
use crate::text::json_len;
use crate::told;
use crate::trace_state::TraceState;

/// Bytes that a record has at most, as JSON: no more than a spool takes.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// Of that, for the message, and for the command line once more.
const MAX_MESSAGE_JSON: usize = 192 * 1024;
/// For all options together.
const MAX_OPTIONS_JSON: usize = 256 * 1024;
/// For a hook's command, which the message holds as well.
const MAX_HOOK_JSON: usize = 64 * 1024;
/// For a path, a user, a version.
const MAX_SHORT_JSON: usize = 32 * 1024;
/// Bytes of a path: as many as Linux takes.
const MAX_PATH_BYTES: usize = 4096;
/// Bytes of a name: an event's, an option's, a user's.
const MAX_NAME_BYTES: usize = 256;
/// JSON bytes of an option in addition to its name and its value.
const OPTION_JSON: usize = 64;
/// How many things a command can have waited for.
const MAX_BLOCKED: usize = 64;
/// Bytes of a key to hash with.
const MAX_KEY_BYTES: u64 = 64 * 1024;

/// Makes records of events, as one sink wants them.
#[derive(Debug)]
pub struct Composer {
    tracked: Tracked,
    /// The commands whose ends are added up.
    rolled_up: Tracked,
    sampler: Sampler,
    /// None if nothing is redacted.
    redactor: Option<Redactor>,
    /// Whether it takes secrets out; else it sees to command lines and users
    /// alone.
    redacts: bool,
    hashes_users: bool,
    /// Whether only what is known to be harmless is kept.
    reduces: bool,
    host: Host,
    /// What the user database calls the user; asked when an event needs it.
    user: OnceLock<Option<Vec<u8>>>,
    /// The pipeline run of the last environment, cached because the environment
    /// seldom changes, and searching it takes long.
    cicd: Mutex<Option<(Vec<u8>, Option<Cicd>)>>,
}

impl Composer {
    /// A composer with this sink's configuration.
    ///
    /// # Errors
    ///
    /// Why the sink might reveal too much: an invalid privacy option, or a
    /// missing key for hashing users. The text names the option, and the file
    /// if there is one.
    pub fn new(
        definition: &SinkConfig,
        globals: &Globals,
    ) -> Result<Self, String> {
        let redacts = strict(definition, "redact")? == Setting::Boolean(true);
        let is_set = |option: &str| {
            let mut options = definition.options.iter();
            options.any(|(name, _)| name == option.as_bytes())
        };
        let argv = match strict(definition, "argv")? {
            Setting::Choice("none") => ArgvPolicy::None,
            Setting::Choice("canonical") => ArgvPolicy::Canonical,
            Setting::Choice("full") => ArgvPolicy::Full,
            // With `:redact = no`, an unset option does not reduce.
            Setting::Choice("structure") if redacts || is_set("argv") => {
                ArgvPolicy::Structure
            }
            _ if redacts => ArgvPolicy::Redacted,
            _ => ArgvPolicy::Full,
        };
        let hashes_users =
            strict(definition, "user")? == Setting::Choice("hash");
        let user = if hashes_users {
            UserPolicy::Hash(user_key(definition, globals)?)
        } else {
            UserPolicy::Keep
        };
        let is_needed = redacts || hashes_users || argv != ArgvPolicy::Full;
        let redactor = is_needed.then(|| {
            Redactor::new(&Policy {
                user,
                argv,
                config_items: globals.redact_config.clone(),
            })
        });
        let rate = match definition.option("sample") {
            Setting::Fraction(rate) => rate,
            _ => 1.0,
        };
        let keeps_failures =
            definition.option("sample-failures") == Setting::Choice("always");
        Ok(Self {
            tracked: definition.tracked(),
            rolled_up: Tracked::new(definition.list("rollup"), []),
            sampler: Sampler::new(rate, keeps_failures),
            redactor,
            redacts,
            hashes_users,
            reduces: argv == ArgvPolicy::Structure,
            host: machine::host(&globals.host),
            user: OnceLock::new(),
            cicd: Mutex::new(None),
        })
    }

    /// The record of an event; `environment` is hg's, as a block. None if the
    /// sink does not want the event, or belongs to a trace that is not kept.
    pub fn compose(
        &self,
        record: &wire::RecordFrame<'_>,
        environment: &[u8],
    ) -> Option<Record> {
        let event = &record.event;
        if !self.tracked.contains(&event.name) {
            return None;
        }
        let state = self.trace_state(record);
        let tells_failure = || tells_failure(record);
        let kept = self.sampler.keep(event, tells_failure, &state)?;
        Some(self.record(record, environment, kept))
    }

    /// The command that has ended, if the sink wants such ends added up.
    pub(crate) fn command_to_roll_up<'r>(
        &self,
        record: &'r wire::RecordFrame<'_>,
    ) -> Option<Command<'r>> {
        let event = &record.event;
        let is_end = *event.name == *b"commandfinish";
        if !is_end || foreign_program(record).is_some() {
            return None;
        }
        let name = canonical_command(event)?;
        let is_wanted =
            self.rolled_up.contains(name) && self.tracked.contains(&event.name);
        is_wanted.then(|| Command {
            session: event.session,
            seq: event.seq,
            name,
            root: event.root.as_ref().map(|it| &*it.0),
            user: event.user.as_ref().map(|it| &*it.0),
            time: event.time,
            duration: told::duration(event, told::message(event)),
            is_failure: tells_failure(record),
        })
    }

    /// The record of a command that has failed, and that is added up as well.
    pub(crate) fn failure(
        &self,
        record: &wire::RecordFrame<'_>,
        environment: &[u8],
    ) -> Record {
        let state = self.trace_state(record);
        let kept = self.sampler.keep_failure(&record.event, &state);
        self.record(record, environment, kept)
    }

    /// What the record of commands that are added up says besides their sums,
    /// if this is one of them.
    pub(crate) fn row(
        &self,
        record: &wire::RecordFrame<'_>,
        environment: &[u8],
    ) -> Record {
        let one = self.record(record, environment, Sampled::default());
        Record {
            host: one.host,
            repository: one.repository.map(|it| Repository {
                head_name: None,
                head_revision: None,
                ..it
            }),
            process: Process {
                pid: std::process::id(),
                cwd: None,
                command_line: None,
                exit_code: None,
                signal: None,
                ..one.process
            },
            ..Record::empty(SCHEMA)
        }
    }

    /// The record of an event, which is kept for this reason.
    fn record(
        &self,
        record: &wire::RecordFrame<'_>,
        environment: &[u8],
        kept: Sampled,
    ) -> Record {
        let event = &record.event;
        let ending = Ending::of(event);
        let mut texts = Texts::default();
        let (message, command_line) = self.message(record, &mut texts);
        let (options, options_left_out) = self.options(event, &mut texts);
        let trace = event.trace.filter(|trace| trace.id != 0);
        let span = |id: u64| (id != 0).then(|| format!("{id:016x}"));
        let has_parent = trace.filter(|trace| trace.parent != 0);
        let plain = told::message(event);
        Record {
            schema: SCHEMA,
            id: event.id(),
            event: short(&mut texts, &["event"], &event.name, MAX_NAME_BYTES),
            time: time(event.time),
            duration: told::duration(event, plain),
            trace_id: trace.map(|trace| format!("{:032x}", trace.id)),
            span_id: trace.and_then(|trace| span(trace.span)),
            parent_span_id: trace.and_then(|trace| span(trace.parent)),
            trace_flags: has_parent.map(|trace| trace.flags),
            trace_state: kept.trace_state,
            session: event.session.to_string(),
            parent_session: event.parent.map(|parent| parent.to_string()),
            seq: event.seq,
            options,
            options_left_out,
            process: Process {
                command: self.command(event, &mut texts),
                command_line,
                exit_code: ending.exit_code,
                signal: ending.signal,
                ..self.process(record, &mut texts)
            },
            host: self.host.clone(),
            cicd: self.cicd(environment),
            repository: self.repository(record, &mut texts),
            usage: usage(event),
            hook: hook(event, &message, &mut texts),
            blocked: told::blocked(event)
                .into_iter()
                .map(|(name, secs)| {
                    let name = self.name(name.as_bytes());
                    (String::from_utf8_lossy(&name).into_owned(), secs)
                })
                .filter(|(name, _)| name.len() <= MAX_NAME_BYTES)
                .take(MAX_BLOCKED)
                .collect(),
            counts: told::counts(&event.name, plain),
            rollup: None,
            message,
            lost: event.lost,
            sample_rate: kept.rate,
            sink: None,
            truncated: texts.truncated,
            base64: texts.base64,
        }
    }

    /// What the event's trace came with, without secrets.
    fn trace_state<'r>(
        &self,
        record: &'r wire::RecordFrame<'_>,
    ) -> TraceState<'r> {
        let Some(given) = &record.trace_state else {
            return TraceState::default();
        };
        let mut state = TraceState::parse(&given.0);
        state.retain(|value| self.plain(value.to_owned()) == value);
        state
    }

    /// The pipeline run in this environment.
    fn cicd(&self, environment: &[u8]) -> Option<Cicd> {
        let mut last = self.cicd.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, run)) = &*last
            && known == environment
        {
            return run.clone();
        }
        let run = self.find_cicd(environment);
        *last = Some((environment.to_vec(), run.clone()));
        run
    }

    fn find_cicd(&self, environment: &[u8]) -> Option<Cicd> {
        let run = ci::run(environment)?;
        let plain = |text: Option<String>| text.map(|it| self.plain(it));
        let url = |text: Option<String>| text.map(|it| self.plain_url(it));
        Some(Cicd {
            pipeline_name: plain(run.pipeline),
            run_id: plain(run.run),
            run_url: url(run.run_url),
            task_name: plain(run.task),
            task_run_id: plain(run.task_run),
            task_run_url: url(run.task_run_url),
            worker_id: plain(run.worker),
            worker_name: plain(run.worker_name),
        })
    }

    fn repository(
        &self,
        record: &wire::RecordFrame<'_>,
        texts: &mut Texts,
    ) -> Option<Repository> {
        let root = &record.event.root.as_ref()?.0;
        let root = short(texts, &["repository", "root"], root, MAX_PATH_BYTES);
        let mut parts = root.rsplit('/');
        let name = parts.find(|part| !part.is_empty()).unwrap_or(&root);
        let known = &record.repository;
        let url = known.url.as_ref().and_then(|it| origin::plain_url(&it.0));
        let head = known.head.as_ref().map(|name| {
            let name = String::from_utf8_lossy(&name.0).into_owned();
            self.plain(name)
        });
        let revision = known.revision.as_ref();
        Some(Repository {
            name: name.to_owned(),
            root,
            url: url.map(|it| self.plain_url(it)),
            head_name: head.filter(|it| it.len() <= MAX_NAME_BYTES),
            head_revision: revision
                .map(|it| String::from_utf8_lossy(&it.0).into_owned()),
        })
    }

    /// A short text without its secrets.
    fn plain(&self, text: String) -> String {
        self.without_secrets(text, Redactor::redact_text)
    }

    fn plain_url(&self, url: String) -> String {
        self.without_secrets(url, Redactor::redact_url)
    }

    fn without_secrets(
        &self,
        text: String,
        redact: impl for<'t> Fn(&Redactor, &'t [u8]) -> Redacted<Cow<'t, [u8]>>,
    ) -> String {
        match &self.redactor {
            Some(redactor) if self.redacts => {
                let shown = redact(redactor, text.as_bytes()).text;
                String::from_utf8_lossy(&shown).into_owned()
            }
            _ => text,
        }
    }

    /// The message, and of a command's events the command line.
    fn message(
        &self,
        record: &wire::RecordFrame<'_>,
        texts: &mut Texts,
    ) -> (String, Option<String>) {
        let event = &record.event;
        let message = told::message(event);
        if !is_commands(&event.name) {
            let shown = self.shown(
                message,
                |redactor, text| redactor.redact_message(&event.name, text),
                |redactor, text| redactor.reduce_message(&event.name, text),
            );
            return (texts.put(&["message"], shown, MAX_MESSAGE_JSON), None);
        }
        let (command, end) = told::command_and_end(&event.name, message);
        let is_foreign = foreign_program(record).is_some();
        let redact = |text| match &self.redactor {
            Some(redactor) if is_foreign => redactor.redact_program(text),
            Some(redactor) => redacted_command(redactor, text),
            None => unchanged(text),
        };
        let shown = if self.reduces {
            TruncatedText::reduced(command, redact)
        } else {
            TruncatedText::redacted(command, redact)
        };
        let place = ["process", "command_line"];
        let line = texts.put(&place, shown.clone(), MAX_MESSAGE_JSON);
        let shown = shown.followed_by(end);
        let message = texts.put(&["message"], shown, MAX_MESSAGE_JSON);
        (message, Some(line))
    }

    /// The full name of the command that has ended.
    fn command(&self, event: &Event<'_>, texts: &mut Texts) -> Option<String> {
        if !is_commands(&event.name) {
            return None;
        }
        let shown = self.shown(
            canonical_command(event)?,
            Redactor::redact_text,
            |redactor, name| {
                let key = CANONICAL_COMMAND.as_bytes();
                redactor.reduce_option(&event.name, key, name)
            },
        );
        let place = ["process", "command"];
        Some(texts.put(&place, shown, MAX_SHORT_JSON))
    }

    /// The options, and how many found no room.
    fn options(
        &self,
        event: &Event<'_>,
        texts: &mut Texts,
    ) -> (Map<String, Json>, u64) {
        let mut options = Map::new();
        let mut left_out = 0;
        let mut left = MAX_OPTIONS_JSON;
        let is_usage_told = event.usage.is_none() && usage(event).is_some();
        for option in &event.options {
            // In the record, `usage` has it.
            if is_usage_told && USAGE.iter().any(|it| *it == &*option.key) {
                continue;
            }
            let name = self.name(&option.key);
            let key = unused_key(&name, &options);
            // As the name of the value, of its bytes and of its length.
            let cost = 3 * json_len(&key) + OPTION_JSON;
            let Some(room) = left.checked_sub(cost) else {
                left_out += 1;
                continue;
            };
            let before = texts.spent;
            let is_user = *option.key == *b"remote_user";
            let redact = |text| {
                if uilog_redact::is_own_words(&event.name, &option.key, text) {
                    return TruncatedText::redacted(text, unchanged);
                }
                let text = match &self.redactor {
                    Some(redactor) if is_user && self.hashes_users => {
                        return TruncatedText::redacted(text, |text| {
                            Redacted {
                                text: redactor.redact_user(text),
                                places: Vec::new(),
                            }
                        });
                    }
                    _ => text,
                };
                self.shown(
                    text,
                    |redactor, text| {
                        if *option.key == *b"url" {
                            redactor.redact_url(text)
                        } else {
                            redactor.redact_option(&option.key, text)
                        }
                    },
                    |redactor, text| {
                        redactor.reduce_option(&event.name, &option.key, text)
                    },
                )
            };
            let place = ["options", &key];
            let value = match &option.value {
                Value::Null => Json::Null,
                Value::Bool(value) => (*value).into(),
                Value::Int(digits) | Value::Float(digits) => {
                    let shown = redact(&digits.0);
                    match number(shown.bytes(), &option.value) {
                        Some(number) => Json::Number(number),
                        None => texts.put(&place, shown, room).into(),
                    }
                }
                Value::Bytes(text) | Value::Str(text) => {
                    texts.put(&place, redact(&text.0), room).into()
                }
            };
            left = room.saturating_sub(texts.spent - before);
            options.insert(key, value);
        }
        (options, left_out)
    }

    fn process(
        &self,
        record: &wire::RecordFrame<'_>,
        texts: &mut Texts,
    ) -> Process {
        let event = &record.event;
        let user = match &event.user {
            Some(name) => Some(&*name.0),
            None => self.user.get_or_init(user::from_database).as_deref(),
        };
        let user = user.map(|name| {
            let name = match &self.redactor {
                Some(redactor) => redactor.redact_user(name),
                None => Cow::Borrowed(name),
            };
            short(texts, &["process", "user"], &name, MAX_NAME_BYTES)
        });
        let mut path = |place: &[&str], text: &[u8]| {
            short(texts, place, text, MAX_PATH_BYTES)
        };
        Process {
            pid: event.pid,
            executable: path(
                &["process", "executable"],
                record.program.as_ref().map_or(&*record.hg, |it| &it.path.0),
            ),
            program: foreign_program(record)
                .map(|name| path(&["process", "program"], name)),
            hg_version: record
                .hg_version
                .as_ref()
                .map(|text| path(&["process", "hg_version"], &text.0)),
            cwd: record
                .cwd
                .as_ref()
                .map(|text| path(&["process", "cwd"], &text.0)),
            user,
            uid: (!self.hashes_users).then_some(event.uid),
            ..Process::default()
        }
    }

    /// The name of an option, a hook in it, or the like.
    fn name<'t>(&self, name: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.redactor {
            Some(redactor) if self.redacts && self.reduces => {
                redactor.reduce_name(name).text
            }
            _ => Cow::Borrowed(name),
        }
    }

    /// The text without its secrets, or only its harmless parts, by the policy.
    fn shown<'t>(
        &self,
        text: &'t [u8],
        redact: impl FnOnce(&Redactor, &'t [u8]) -> Redacted<Cow<'t, [u8]>>,
        reduce: impl FnOnce(&Redactor, &'t [u8]) -> Redacted<Cow<'t, [u8]>>,
    ) -> TruncatedText<'t> {
        match &self.redactor {
            Some(redactor) if self.redacts && self.reduces => {
                TruncatedText::reduced(text, |text| reduce(redactor, text))
            }
            Some(redactor) if self.redacts => {
                TruncatedText::redacted(text, |text| redact(redactor, text))
            }
            _ => TruncatedText::redacted(text, unchanged),
        }
    }
}

/// The option of `commandfinish` and `commandlost` that has the command's full
/// name.
const CANONICAL_COMMAND: &str = "canonical_command";

/// How a command has ended; nothing of other events.
#[derive(Clone, Copy, Debug, Default)]
struct Ending {
    exit_code: Option<i64>,
    signal: Option<i64>,
}

impl Ending {
    fn of(event: &Event<'_>) -> Self {
        let is_lost = *event.name == *commandlost::NAME;
        if !is_lost && *event.name != *b"commandfinish" {
            return Self::default();
        }
        Self {
            exit_code: told::integer(event, "return_code").filter(|_| !is_lost),
            signal: told::integer(event, "signal"),
        }
    }
}

/// Whether the event is about a failed command.
fn tells_failure(record: &wire::RecordFrame<'_>) -> bool {
    let event = &record.event;
    let name = String::from_utf8_lossy(&event.name);
    let Ending { exit_code, signal } = Ending::of(event);
    // 1 has this meaning only for Mercurial's commands.
    let command =
        canonical_command(event).filter(|_| foreign_program(record).is_none());
    let command = command.map(String::from_utf8_lossy);
    is_failure(&name, exit_code, signal, command.as_deref())
}

/// Whether the message of events of this name is a command line.
fn is_commands(name: &[u8]) -> bool {
    name == b"command" || name == b"commandfinish" || name == commandlost::NAME
}

fn canonical_command<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    match told::option(event, CANONICAL_COMMAND)? {
        Value::Bytes(name) | Value::Str(name) => Some(&name.0),
        _ => None,
    }
}

/// An option's value, or its default if it is not set.
///
/// # Errors
///
/// If it is invalid, because the default may reveal more than intended.
fn strict(definition: &SinkConfig, option: &str) -> Result<Setting, String> {
    let mut set = definition.options.iter().rev();
    let set = set.find(|(name, _)| name == option.as_bytes());
    let known = items::find_sink_option(option.as_bytes());
    match (set, known) {
        (Some((_, text)), Some(known)) if known.item.parse(text).is_none() => {
            Err(format!(
                "{}: '{}' is not {}, so the sink receives nothing",
                full_name(definition, option),
                String::from_utf8_lossy(text),
                known.item.kind
            ))
        }
        _ => Ok(definition.option(option)),
    }
}

fn full_name(definition: &SinkConfig, option: &str) -> String {
    format!("{SECTION}.sink.{}:{option}", definition.name)
}

fn user_key(definition: &SinkConfig, globals: &Globals) -> Result<Key, String> {
    const FILE: &str = "user-key-file";
    let name = full_name(definition, FILE);
    let Some(text) = definition.text(FILE) else {
        let user = full_name(definition, "user");
        return Err(format!("{user}: 'hash' needs a key: {name} is not set"));
    };
    let path = globals
        .path(&text)
        .map_err(|problem| format!("{name}: {problem}"))?;
    let bytes = read_key(&path).map_err(|error| {
        format!("{name}: cannot read '{}': {error}", path.display())
    })?;
    Key::new(&bytes)
        .map_err(|error| format!("{name}: '{}': {error}", path.display()))
}

/// The file, as `$(cat FILE)` has it.
fn read_key(path: &Path) -> Result<Vec<u8>, foreign_file::Error> {
    let mut key = foreign_file::read(path, MAX_KEY_BYTES)?;
    while key.ends_with(b"\n") {
        key.pop();
    }
    Ok(key)
}

fn unchanged(text: &[u8]) -> Redacted<Cow<'_, [u8]>> {
    Redacted {
        text: Cow::Borrowed(text),
        places: Vec::new(),
    }
}

/// A command line, all of which is arguments, even if it reads as if it had
/// ended.
fn redacted_command<'t>(
    redactor: &Redactor,
    line: &'t [u8],
) -> Redacted<Cow<'t, [u8]>> {
    const EXITED: &[u8] = b" exited ";
    const END: &[u8] = b" exited 0 after 0.00 seconds";
    if memmem::find(line, EXITED).is_none() {
        return redactor.redact_command(line);
    }
    let ended = [line, END].concat();
    let Redacted { text, places } = redactor.redact_command(&ended);
    let text = text.strip_suffix(END).unwrap_or(&text).to_vec();
    Redacted {
        text: Cow::Owned(text),
        places,
    }
}

/// A text that holds no secrets and is not long.
fn short(
    texts: &mut Texts,
    place: &[&str],
    text: &[u8],
    max_bytes: usize,
) -> String {
    texts.put(place, TruncatedText::plain(text, max_bytes), MAX_SHORT_JSON)
}

/// The option's name, or one like it that is not taken.
fn unused_key(name: &[u8], options: &Map<String, Json>) -> String {
    let name = &name[..name.len().min(MAX_NAME_BYTES)];
    let name = String::from_utf8_lossy(name);
    let mut key = name.to_string();
    let mut number = 2;
    while options.contains_key(&key) {
        key = format!("{name}_{number}");
        number += 1;
    }
    key
}

/// The number that Python has printed so, if JSON has it.
fn number(digits: &[u8], value: &Value<'_>) -> Option<Number> {
    let digits = std::str::from_utf8(digits).ok()?;
    match value {
        Value::Int(_) => digits
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| digits.parse::<u64>().map(Number::from))
            .ok(),
        _ => digits.parse().ok().and_then(Number::from_f64),
    }
}

/// The name of the program that the event is about, unless that is one of
/// Mercurial's.
fn foreign_program<'r>(record: &'r wire::RecordFrame<'_>) -> Option<&'r [u8]> {
    let program = record.program.as_ref().filter(|it| !it.is_mercurial)?;
    let mut parts = program.path.0.rsplit(|byte| *byte == b'/');
    parts.next().filter(|name| !name.is_empty())
}

/// The options in which `uilog run` logs a command's resource usage.
const USAGE: [&[u8]; 3] = [
    b"peak_memory_bytes",
    b"user_cpu_seconds",
    b"system_cpu_seconds",
];

fn usage(event: &Event<'_>) -> Option<Usage> {
    const MICROS_PER_SECOND: f64 = 1e6;
    if let Some(usage) = event.usage {
        return Some(Usage {
            peak_memory_bytes: usage.peak_memory_bytes,
            user_cpu_seconds: usage.user_cpu_micros as f64 / MICROS_PER_SECOND,
            system_cpu_seconds: usage.system_cpu_micros as f64
                / MICROS_PER_SECOND,
        });
    }
    // The numbers of `uilog run`.
    let seconds = |key| told::option(event, key).and_then(told::amount);
    let peak = told::integer(event, "peak_memory_bytes")?;
    Some(Usage {
        peak_memory_bytes: u64::try_from(peak).ok()?,
        user_cpu_seconds: seconds("user_cpu_seconds")?,
        system_cpu_seconds: seconds("system_cpu_seconds")?,
    })
}

fn hook(event: &Event<'_>, message: &str, texts: &mut Texts) -> Option<Hook> {
    let hook = told::hook(&event.name, message)?;
    let place = ["hook", "command"];
    let command =
        TruncatedText::plain(hook.command.as_bytes(), MAX_MESSAGE_JSON);
    Some(Hook {
        name: short(
            texts,
            &["hook", "name"],
            hook.name.as_bytes(),
            MAX_NAME_BYTES,
        ),
        command: texts.put(&place, command, MAX_HOOK_JSON),
        has_span: event.ends_span,
    })
}
