//! The parts of a record that are the same for all events: the process, the
//! repository, the pipeline; and texts without their secrets.

use std::borrow::Cow;
use std::sync::PoisonError;

use uilog_channel::wire;
use uilog_event::event::Event;
use uilog_event::user;
use uilog_redact::Redacted;
use uilog_redact::Redactor;

use super::Composer;
use super::command::CANONICAL_COMMAND;
use super::command::canonical_command;
use super::command::foreign_program;
use super::command::is_commands;
use super::command::unchanged;
use super::size::MAX_MESSAGE_JSON;
use super::size::MAX_NAME_BYTES;
use super::size::MAX_PATH_BYTES;
use super::size::MAX_SHORT_JSON;
use super::size::short;
use crate::ci;
use crate::event_fields;
use crate::record::Cicd;
use crate::record::Process;
use crate::record::Repository;
use crate::repository as origin;
use crate::text::Texts;
use crate::text::TruncatedText;
use crate::trace_state::TraceState;

impl Composer {
    /// What the event's trace came with, without secrets.
    pub(super) fn trace_state<'r>(
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
    pub(super) fn cicd(&self, environment: &[u8]) -> Option<Cicd> {
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

    pub(super) fn repository(
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
    pub(super) fn message(
        &self,
        record: &wire::RecordFrame<'_>,
        texts: &mut Texts,
    ) -> (String, Option<String>) {
        let event = &record.event;
        let message = event_fields::message(event);
        if !is_commands(&event.name) {
            let shown = self.shown(
                message,
                |redactor, text| redactor.redact_message(&event.name, text),
                |redactor, text| redactor.reduce_message(&event.name, text),
            );
            return (texts.put(&["message"], shown, MAX_MESSAGE_JSON), None);
        }
        let (command, end) =
            event_fields::command_and_end(&event.name, message);
        let is_foreign = foreign_program(record).is_some();
        let redact = |text| match &self.redactor {
            Some(redactor) if is_foreign => redactor.redact_program(text),
            Some(redactor) => redactor.redact_arguments(text),
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
    pub(super) fn command(
        &self,
        event: &Event<'_>,
        texts: &mut Texts,
    ) -> Option<String> {
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

    pub(super) fn process(
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

    /// The text without its secrets, or only its harmless parts, by the policy.
    pub(super) fn shown<'t>(
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
