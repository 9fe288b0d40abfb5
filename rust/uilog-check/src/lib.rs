//! Finds what is wrong with a configuration: everything that would prevent
//! events from reaching their scripts and sinks.
//!
//! Takes a configuration that was read, checks what it names, and returns
//! [`Finding`](uilog_finding::finding::Finding)s.
//! Read-only; it only starts a dispatcher, to see whether that
//! works, and the shell, to parse scripts.
//!
//! Must not know: how findings are shown, structured sinks, Python.

#![deny(missing_docs)]

mod brake;
mod entries;
mod extensions;
mod failures;
mod files;
mod first_word;
mod history;
mod host;
mod items;
mod report;
mod scripts;
mod storage;
#[cfg(test)]
mod testing;
mod text;
pub mod trial;

pub use extensions::Hg;
pub use report::Extension;
pub use report::Program;
pub use report::Report;
pub use report::ScriptFacts;
pub use report::SettingFacts;
use uilog_finding::subject::Subject;
use uilog_finding::subject::settings;

use self::extensions::Extensions;

/// Checks everything.
pub fn check(subject: &Subject<'_>) -> Report {
    let trusted = &subject.loaded.trusted;
    let settings = settings(trusted);
    let mut found = Vec::new();
    let causes = brake::causes(subject);
    brake::check(subject, &causes, &mut found);
    files::files(subject, &mut found);
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
        source: extensions::listed(trusted, name),
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

#[cfg(test)]
mod tests {
    use uilog_event::suggest::meant;
    use uilog_finding::finding::Finding;
    use uilog_finding::finding::Severity;

    use super::*;

    #[test]
    fn names_that_are_nearly_right() {
        let events = || uilog_event::events::KNOWN.iter().map(|it| it.name);
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
