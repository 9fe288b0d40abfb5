//! Finds everything in a configuration that would keep events from being
//! delivered.
//!
//! Takes a configuration, checks the files and programs that it names, and
//! returns [`Finding`]s. Read-only; the only programs that it starts are a
//! dispatcher, to see whether that works, and the shell, to parse scripts. Must
//! not know how findings are shown.

mod brake;
mod extensions;
pub mod failures;
mod history;
mod host;
mod items;
mod scripts;
mod storage;
mod words;

use std::path::Path;
use std::path::PathBuf;

pub use extensions::Hg;
pub use scripts::unemitted;
use serde::Serialize;
use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::Environment;
use uilog_config::FileState;
use uilog_config::Loaded;

use self::extensions::Extensions;
use crate::settings::Settings;
pub use crate::suggest::did_you_mean;
pub use crate::suggest::meant;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The configuration.
    pub loaded: &'a Loaded,
    /// What it was read in.
    pub environment: &'a Environment,
    /// The environment's variables as a block: `NAME=value`, each followed by
    /// NUL.
    pub block: &'a [u8],
    /// The directory that hg would run in.
    pub cwd: &'a Path,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something does not do what it seems to.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// A name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Something that is wrong, or good to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, for programs.
    pub code: &'static str,
    /// What it is, for people.
    pub text: String,
    /// The file and line that say so, or what else it is about.
    pub place: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// An error.
    pub fn error(code: &'static str, text: String) -> Self {
        Self::new(Severity::Error, code, text)
    }

    /// A warning.
    pub fn warning(code: &'static str, text: String) -> Self {
        Self::new(Severity::Warning, code, text)
    }

    /// A note.
    pub fn note(code: &'static str, text: String) -> Self {
        Self::new(Severity::Note, code, text)
    }

    fn new(severity: Severity, code: &'static str, text: String) -> Self {
        Self {
            severity,
            code,
            text,
            place: None,
            advice: None,
        }
    }

    /// The same, with where it is.
    #[must_use]
    pub fn at(mut self, place: impl ToString) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// An extension that matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extension {
    /// Its name.
    pub name: &'static str,
    /// Whether hg loads it.
    pub enabled: bool,
    /// Whether it would, but cannot.
    pub broken: bool,
    /// Where that is said; nowhere, if it is not listed.
    pub source: Option<String>,
}

/// A script that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScriptFacts {
    /// The event that it is run for.
    pub event: String,
    /// Its text.
    pub script: String,
    /// What it reads: `json`, or nothing.
    pub stdin: Option<&'static str>,
    /// Where it is written.
    pub source: String,
    /// The program that it begins with.
    pub program: Program,
}

/// What is known of the program that a script begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// It is this file.
    Found(String),
    /// One of the shell's own commands.
    Builtin(String),
    /// It cannot be run, as a finding says.
    Unusable,
    /// Only the shell can tell.
    NotChecked,
}

/// A setting of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingFacts {
    /// Its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub value: String,
    /// Where; `None` if it is the default.
    pub source: Option<String>,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What switches uilog off, if anything does.
    pub switched_off: Vec<String>,
    /// Every hg that may read the configuration.
    pub hgs: Vec<Hg>,
    /// The extensions that matter.
    pub extensions: Vec<Extension>,
    /// The scripts that run.
    pub scripts: Vec<ScriptFacts>,
    /// The settings that count.
    pub settings: Vec<SettingFacts>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are as bad as this.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }

    /// Adds a finding in its place.
    pub fn push(&mut self, finding: Finding) {
        let before = |it: &Finding| it.severity <= finding.severity;
        let at = self.findings.partition_point(before);
        self.findings.insert(at, finding);
    }
}

/// Looks at everything.
pub fn check(subject: &Subject<'_>) -> Report {
    let trusted = &subject.loaded.trusted;
    let settings = settings(trusted);
    let mut found = Vec::new();
    let causes = brake::causes(subject);
    brake::check(subject, &causes, &mut found);
    files(subject, &mut found);
    let scripts = scripts::check(subject, &mut found);
    items::check(subject, &mut found);
    let loaded = Extensions::find(subject, &mut found);
    host::check(subject, &loaded, &settings, &mut found);
    storage::check(subject, &loaded, &mut found);
    failures::check(subject, &mut found);
    found.sort_by_key(|finding| finding.severity);
    let extensions = extensions::NAMES.map(|name| Extension {
        name,
        enabled: loaded.loaded(name).is_some(),
        broken: loaded.broken(name).is_some(),
        source: listed(trusted, name),
    });
    Report {
        switched_off: causes.iter().map(ToString::to_string).collect(),
        hgs: loaded.hgs,
        extensions: extensions.into(),
        scripts,
        settings: items::facts(trusted),
        findings: found,
    }
}

/// What `[uilog]` says.
pub fn settings(config: &Config) -> Settings {
    Settings::read(values(config, b"uilog")).0
}

fn values<'a>(
    config: &'a Config,
    section: &[u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let items = config.items(section);
    items.map(|(name, entry)| (name, entry.value.as_slice()))
}

/// Where an extension is listed, be it to disable it.
fn listed(config: &Config, name: &str) -> Option<String> {
    let enabled = extensions::listed_on(config, name);
    let entry = enabled.or_else(|| {
        let mut all = config.items(b"extensions");
        let name = name.as_bytes();
        all.find(|(listed, _)| extensions::short_name(listed) == name)
            .map(|(_, entry)| entry)
    });
    entry.map(|entry| entry.source.to_string())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An entry's first line, as much of it as one wants to read in a message.
fn shown(value: &[u8]) -> String {
    const MAX_CHARS: usize = 60;
    let value = lossy(value);
    let line = value.lines().next().unwrap_or_default();
    let mut text: String = line.chars().take(MAX_CHARS).collect();
    if text.len() < value.len() {
        text.push_str("...");
    }
    text
}

/// Whether two entries are the same line of the same file.
fn is_same(a: Option<&Entry>, b: &Entry) -> bool {
    a.is_some_and(|a| a.source == b.source)
}

/// The home directory instead of the tilde.
fn expanded(path: &[u8], environment: &Environment) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let own = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    match (path.strip_prefix(b"~/"), environment.var(b"HOME")) {
        (Some(rest), Some(home)) => own(home).join(own(rest)),
        _ => own(path),
    }
}

/// What there is to say of the files themselves.
fn files(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for file in &subject.loaded.files {
        let place = file.path.display();
        match &file.state {
            FileState::Read | FileState::Missing => {}
            FileState::Unreadable(reason) => found.push(
                Finding::warning(
                    "file-unreadable",
                    format!("hg passes over this file: {reason}"),
                )
                .at(place)
                .advise("make it readable, or remove it"),
            ),
            FileState::Untrusted { user, group } => found.push(
                Finding::warning(
                    "file-untrusted",
                    format!(
                        "belongs to user {user}, group {group}, whom you do \
                         not trust: nothing in it counts"
                    ),
                )
                .at(place)
                .advise(format!(
                    "if you do, say so in your own hgrc: [trusted] users = \
                     {user}"
                )),
            ),
            FileState::Broken(error) => found.push(
                Finding::warning("file-broken", error.to_string())
                    .at(place)
                    .advise(
                        "hg goes on, because the file is not trusted; \
                         its owner has to mend it",
                    ),
            ),
        }
    }
    for warning in &subject.loaded.warnings {
        let is_told = [&b"not trusting file "[..], b"ignored "]
            .iter()
            .any(|begin| warning.starts_with(begin));
        if !is_told {
            let text = format!("hg warns: {}", lossy(warning));
            found.push(Finding::warning("hg-warning", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right() {
        let events = || crate::events::KNOWN.iter().map(|it| it.name);
        assert_eq!(meant(b"comandfinish", events()), Some("commandfinish"));
        assert_eq!(meant(b"commnad", events()), Some("command"));
        assert_eq!(meant(b"command", ["command"].into_iter()), None);
        assert_eq!(meant(b"mine", events()), None);
        assert_eq!(meant(b"\xff", events()), None);
    }

    #[test]
    fn the_worst_comes_first() {
        let mut report = Report::default();
        for (code, severity) in [
            ("a", Severity::Note),
            ("b", Severity::Error),
            ("c", Severity::Note),
            ("d", Severity::Error),
        ] {
            report.push(Finding::new(severity, code, String::new()));
        }
        let codes: Vec<_> = report.findings.iter().map(|it| it.code).collect();
        assert_eq!(codes, ["b", "d", "a", "c"]);
        assert_eq!(report.count(Severity::Error), 2);
    }
}
