//! Makes a sink's record of an event.
//!
//! Each sink has its own [`Composer`], because each has its own policy: which
//! events, which fraction of traces, how much of command lines, users by name
//! or not. Every record passes through here.
//!
//! Must not know sinks. docs/schema.md describes the fields.

mod command;
mod options;
mod parts;
mod setting;
mod size;

use std::sync::Mutex;
use std::sync::OnceLock;

use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire;
use uilog_config::items::Value as Setting;
use uilog_event::tracked::Tracked;
use uilog_redact::ArgvPolicy;
use uilog_redact::Policy;
use uilog_redact::Redactor;
use uilog_redact::UserPolicy;

use self::command::CommandEnd;
use self::command::canonical_command;
use self::command::foreign_program;
use self::command::hook;
use self::command::is_failed_command;
use self::command::usage;
use self::setting::strict;
use self::setting::user_key;
use self::size::MAX_BLOCKED;
use self::size::MAX_NAME_BYTES;
pub use self::size::MAX_RECORD_BYTES;
use self::size::short;
use crate::event_fields;
use crate::globals::Globals;
use crate::machine;
use crate::record::Cicd;
use crate::record::Host;
use crate::record::Process;
use crate::record::Record;
use crate::record::Repository;
use crate::record::SCHEMA;
use crate::rfc3339::time;
use crate::rollup::Command;
use crate::sample::Sampled;
use crate::sample::Sampler;
use crate::text::Texts;

/// Composes a sink's records from events.
#[derive(Debug)]
pub struct Composer {
    tracked: Tracked,
    /// The commands whose ends are added up.
    rolled_up: Tracked,
    sampler: Sampler,
    /// None if nothing is redacted.
    redactor: Option<Redactor>,
    /// Whether it removes secrets; otherwise it only treats command lines and
    /// users.
    redacts: bool,
    hashes_users: bool,
    /// Whether it keeps only what is known to be harmless.
    reduces: bool,
    host: Host,
    /// The user's name in the user database, looked up when an event needs it.
    user: OnceLock<Option<Vec<u8>>>,
    /// The pipeline run in the last environment, cached because the environment
    /// seldom changes and is slow to search.
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

    /// The record of an event; `environment` is hg's, as a block. `None` if the
    /// sink does not track the event, or if it belongs to a trace that is not
    /// sampled.
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
        let is_failure = || is_failed_command(record);
        let kept = self.sampler.keep(event, is_failure, &state)?;
        Some(self.record(record, environment, kept))
    }

    /// The command that has ended, if the sink adds up such ends.
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
            duration: event_fields::duration(
                event,
                event_fields::message(event),
            ),
            is_failure: is_failed_command(record),
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

    /// The record of an event that is kept for this reason.
    fn record(
        &self,
        record: &wire::RecordFrame<'_>,
        environment: &[u8],
        kept: Sampled,
    ) -> Record {
        let event = &record.event;
        let ending = CommandEnd::of(event);
        let mut texts = Texts::default();
        let (message, command_line) = self.message(record, &mut texts);
        let (options, options_left_out) = self.options(event, &mut texts);
        let trace = event.trace.filter(|trace| trace.id != 0);
        let span = |id: u64| (id != 0).then(|| format!("{id:016x}"));
        let has_parent = trace.filter(|trace| trace.parent != 0);
        let plain = event_fields::message(event);
        Record {
            schema: SCHEMA,
            id: event.id(),
            event: short(&mut texts, &["event"], &event.name, MAX_NAME_BYTES),
            time: time(event.time),
            duration: event_fields::duration(event, plain),
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
            blocked: event_fields::blocked(event)
                .into_iter()
                .map(|(name, secs)| {
                    let name = self.name(name.as_bytes());
                    (String::from_utf8_lossy(&name).into_owned(), secs)
                })
                .filter(|(name, _)| name.len() <= MAX_NAME_BYTES)
                .take(MAX_BLOCKED)
                .collect(),
            counts: event_fields::counts(&event.name, plain),
            rollup: None,
            message,
            lost: event.lost,
            sample_rate: kept.rate,
            sink: None,
            truncated: texts.truncated,
            base64: texts.base64,
        }
    }
}
