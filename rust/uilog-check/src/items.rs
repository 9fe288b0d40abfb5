//! Findings about settings: invalid values, unknown names, and settings that
//! are overridden, unset or not trusted.

use uilog_channel::settings::Fault;
use uilog_channel::sink_config;
use uilog_channel::sink_url::has_scheme;
use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::Source;
use uilog_config::extension_name;
use uilog_config::items;
use uilog_config::items::ITEMS;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;

use super::entries::is_same;
use super::extensions;
use super::history;
use super::history::Setting;
use super::report::SettingFacts;
use super::text::first_line;
use super::text::lossy;

/// The section whose items are scripts.
const SCRIPTS: &[u8] = b"logtoprocess";

/// The sections that are checked.
const SECTIONS: [&str; 3] = ["uilog", "blackbox", "logtoprocess"];

/// The settings that count, with their defaults.
pub(super) fn facts(config: &Config) -> Vec<SettingFacts> {
    ITEMS
        .iter()
        .map(|item| {
            let (section, name) = (item.section, item.name);
            let entry = config.get(section.as_bytes(), name.as_bytes());
            SettingFacts {
                section,
                name,
                value: entry.map_or_else(
                    || item.default.to_owned(),
                    |entry| lossy(&entry.value),
                ),
                source: entry.map(|entry| entry.source.to_string()),
            }
        })
        .collect()
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    sections(subject, found);
    values(subject, found);
    untrusted(subject, found);
    shadowed(subject, found);
}

/// Whether an item is checked.
fn is_ours(section: &[u8], name: &[u8]) -> bool {
    match section {
        b"uilog" | b"blackbox" | SCRIPTS => true,
        b"extensions" => extensions::NAMES
            .iter()
            .any(|it| it.as_bytes() == extension_name(name)),
        _ => false,
    }
}

/// Whether an item is a sink, or one of its options. Its value may be secret.
fn is_of_sink(section: &[u8], name: &[u8]) -> bool {
    section == sink_config::SECTION.as_bytes()
        && name.starts_with(sink_config::PREFIX.as_bytes())
}

/// An item and its value, as far as it may be shown.
fn assignment(section: &[u8], name: &[u8], value: &[u8]) -> String {
    let item = format!("{}.{}", lossy(section), lossy(name));
    if is_of_sink(section, name) {
        item
    } else {
        format!("{item} = {}", first_line(value))
    }
}

/// Sections whose names are similar to these.
fn sections(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = &subject.loaded.trusted;
    for section in config.sections() {
        let items = config.items(section).next();
        let meant = meant(section, SECTIONS.into_iter());
        if let (Some((_, first)), Some(meant)) = (items, meant) {
            let section = lossy(section);
            let text = format!("nothing reads the section [{section}]");
            found.push(
                Finding::warning("section-unknown", text)
                    .at(&first.source)
                    .advise(did_you_mean(meant)),
            );
        }
    }
}

/// What an unknown item was probably meant to be.
fn meant_item(section: &str, name: &[u8], value: &[u8]) -> Option<String> {
    let known = ITEMS.iter().filter(|it| it.section == section);
    if let Some(meant) = meant(name, known.map(|item| item.name)) {
        return Some(meant.to_owned());
    }
    // A sink or an option of one, without the prefix.
    let option = name.splitn(2, |it| *it == b':').nth(1);
    let is_of_sink = match option {
        Some(option) => items::find_sink_option(option).is_some(),
        None => has_scheme(value),
    };
    let is_ours = section == sink_config::SECTION;
    (is_ours && is_of_sink)
        .then(|| format!("{}{}", sink_config::PREFIX, lossy(name)))
}

/// Unknown names and invalid values.
fn values(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = &subject.loaded.trusted;
    for section in ["uilog", "blackbox"] {
        for (name, entry) in config.items(section.as_bytes()) {
            if is_of_sink(section.as_bytes(), name) {
                // Checked by the crate that knows them.
                continue;
            }
            let Some(item) = items::find(section.as_bytes(), name) else {
                let text =
                    format!("there is no item {section}.{}", lossy(name));
                let advice = meant_item(section, name, &entry.value)
                    .map_or_else(
                        || "uilog check lists the items".to_owned(),
                        |meant| did_you_mean(&meant),
                    );
                found.push(
                    Finding::warning("item-unknown", text)
                        .at(&entry.source)
                        .advise(advice),
                );
                continue;
            };
            if item.parse(&entry.value).is_none() {
                let fault = Fault::new(item, &entry.value).to_string();
                found.push(
                    Finding::warning("value-nonsense", fault)
                        .at(&entry.source)
                        .advise(format!(
                            "it must be {}: {}",
                            item.kind, item.help
                        )),
                );
            }
        }
    }
}

/// What untrusted files say.
fn untrusted(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let loaded = subject.loaded;
    for section in loaded.untrusted.sections() {
        for (name, entry) in loaded.untrusted.items(section) {
            let trusted = loaded.trusted.get(section, name);
            let is_script = section == SCRIPTS && !name.contains(&b':');
            if !is_ours(section, name)
                || is_same(trusted, entry)
                || (is_script && entry.value.is_empty())
            {
                continue;
            }
            let (code, what) = if is_script {
                ("script-untrusted", "the script will not run")
            } else if is_of_sink(section, name) {
                ("sink-untrusted", "the sink receives nothing")
            } else {
                ("item-untrusted", "it is ignored")
            };
            let said = assignment(section, name, &entry.value);
            let text = format!("{said} is in an untrusted file: {what}");
            found.push(
                Finding::warning(code, text)
                    .at(&entry.source)
                    .advise("see the finding about that file"),
            );
        }
    }
}

/// Settings without effect, because another value is used.
fn shadowed(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let loaded = subject.loaded;
    let settings = history::read(&loaded.files, subject.cwd);
    for (index, setting) in settings.iter().enumerate() {
        let Setting { section, name, .. } = setting;
        let Some(value) = &setting.value else {
            continue;
        };
        let counts = loaded.trusted.get(section, name);
        let is_source =
            counts.is_some_and(|entry| setting.is_source(&entry.source));
        if is_source || !is_ours(section, name) {
            continue;
        }
        let said = assignment(section, name, value);
        let found_here = match counts {
            Some(entry) => overridden(setting, value, entry, &said),
            None => {
                let is_it = |it: &&Setting| {
                    it.value.is_none()
                        && it.section == *section
                        && it.name == *name
                };
                let Some(unset) = settings[index..].iter().rev().find(is_it)
                else {
                    // HGPLAIN, or a file that has changed meanwhile.
                    continue;
                };
                let text = format!("{said} is removed by %unset");
                Finding::note("item-unset", text)
                    .at(setting.place())
                    .advise(format!("%unset is in {}", unset.place()))
            }
        };
        found.push(found_here);
    }
}

/// The setting that this entry overrides.
fn overridden(
    setting: &Setting,
    value: &[u8],
    entry: &Entry,
    said: &str,
) -> Finding {
    let other = &entry.source;
    let is_same_file = other.path().is_some_and(|path| *path == *setting.path);
    let is_script = setting.section == SCRIPTS;
    let text = format!("{said} is overridden");
    let is_deliberate = entry.value == value
        || entry.value.is_empty()
        || matches!(other, Source::Named(_));
    let finding = if is_deliberate {
        Finding::note("item-shadowed", text)
    } else if is_script || is_same_file {
        // An event has one script, so one of the two does not run.
        Finding::warning("item-shadowed", text)
    } else {
        Finding::note("item-shadowed", text)
    };
    let advice = if is_same_file {
        format!("the value in {other} is used; remove one of them")
    } else {
        format!("the value in {other} is used")
    };
    finding.at(setting.place()).advise(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Checked;

    fn found(hgrc: &str) -> Vec<String> {
        Checked::new(hgrc).found(check)
    }

    #[test]
    fn a_section_that_nothing_reads_may_be_a_mistake() {
        assert_eq!(
            found("[uilgo]\nx = 1\n[blackbx]\n[ui]\nx = 1\n"),
            [
                "warning section-unknown: nothing reads the section [uilgo] \
              [/hgrc:2] (did you mean 'uilog'?)"
            ]
        );
    }

    #[test]
    fn an_item_that_there_is_not_may_be_a_mistake() {
        assert_eq!(
            found(
                "[uilog]\nmax-script = 3\nsink.x = nonsense\n\
                 sink.x:nonsense = 1\n[blackbox]\nodd = 1\n\
                 [logtoprocess]\nodd = x\n"
            ),
            [
                "warning item-unknown: there is no item uilog.max-script \
                 [/hgrc:2] (did you mean 'max-scripts'?)",
                "warning item-unknown: there is no item blackbox.odd \
                 [/hgrc:6] (uilog check lists the items)",
            ]
        );
    }

    #[test]
    fn a_value_that_makes_no_sense_is_named_with_what_would() {
        let item = items::find(b"uilog", b"max-scripts").unwrap();
        assert_eq!(
            found("[uilog]\nmax-scripts = many\nqueue-size = 2 MB\n"),
            [format!(
                "warning value-nonsense: uilog.max-scripts: 'many' is not {0}, \
                 using {1} [/hgrc:2] (it must be {0}: {2})",
                item.kind, item.default, item.help
            )]
        );
    }

    #[test]
    fn settings_are_those_that_count_or_the_defaults() {
        let checked = Checked::new("[uilog]\nmax-scripts = 3\n");
        for it in facts(&checked.loaded.trusted) {
            let item =
                items::find(it.section.as_bytes(), it.name.as_bytes()).unwrap();
            if item.name == "max-scripts" {
                assert_eq!(it.value, "3");
                assert!(it.source.unwrap().ends_with("/hgrc:2"));
            } else {
                assert_eq!((&*it.value, it.source), (item.default, None));
            }
        }
    }

    #[test]
    fn what_untrusted_files_say_is_listed_without_secrets() {
        let mut checked = Checked::new("[logtoprocess]\ncommand = mine\n");
        assert_eq!(checked.found(untrusted), [""; 0]);
        let other = Checked::new(
            "\n\n[logtoprocess]\ncommand = theirs\ncommand:stdin = json\n\
             update =\n[uilog]\nsink.s = https://u:secret@host\n\
             max-scripts = 2\n[extensions]\nhgext.blackbox =\nchurn =\n\
             [ui]\na = b\n",
        );
        checked.loaded.untrusted = other.loaded.untrusted.clone();
        let mut found = Vec::new();
        untrusted(&checked.subject(), &mut found);
        let told: Vec<_> = found.iter().map(|it| other.shown(it)).collect();
        let advice = "(see the finding about that file)";
        assert_eq!(
            told,
            [
                format!(
                    "warning item-untrusted: extensions.hgext.blackbox =  is in \
                     an untrusted file: it is ignored [/hgrc:11] {advice}"
                ),
                format!(
                    "warning script-untrusted: logtoprocess.command = theirs is \
                     in an untrusted file: the script will not run [/hgrc:4] \
                     {advice}"
                ),
                format!(
                    "warning item-untrusted: logtoprocess.command:stdin = json \
                     is in an untrusted file: it is ignored [/hgrc:5] {advice}"
                ),
                format!(
                    "warning sink-untrusted: uilog.sink.s is in an untrusted \
                     file: the sink receives nothing [/hgrc:8] {advice}"
                ),
                format!(
                    "warning item-untrusted: uilog.max-scripts = 2 is in an \
                     untrusted file: it is ignored [/hgrc:9] {advice}"
                ),
            ]
        );
    }

    /// What is found about overridden settings in two files.
    fn overridden_in(
        first: &str,
        second: &str,
        option: &[&str],
    ) -> Vec<String> {
        let files = [("a", first), ("b", second)];
        Checked::with_files(&files, option).found(shadowed)
    }

    #[test]
    fn a_setting_that_another_overrides_in_the_same_file() {
        assert_eq!(
            overridden_in("[uilog]\nmax-scripts=1\nmax-scripts=2", "", &[]),
            [
                "warning item-shadowed: uilog.max-scripts = 1 is overridden [/a:2] \
              (the value in /a:3 is used; remove one of them)"
            ]
        );
        // The same, or nothing: that is meant.
        for second in ["1", ""] {
            let text = format!("[uilog]\nmax-scripts=1\nmax-scripts={second}");
            let found = overridden_in(&text, "", &[]);
            assert_eq!(found.len(), 1);
            assert!(found[0].starts_with("note item-shadowed"), "{found:?}");
        }
        // Of others only they themselves know.
        assert_eq!(overridden_in("[ui]\na=1\na=2", "", &[]), [""; 0]);
    }

    #[test]
    fn another_file_may_override_a_setting_but_hardly_a_script() {
        let both = |text: &str| {
            let second = text.replace('1', "2");
            overridden_in(text, &second, &[])
        };
        assert_eq!(
            both("[uilog]\nmax-scripts=1"),
            [
                "note item-shadowed: uilog.max-scripts = 1 is overridden [/a:2] \
              (the value in /b:2 is used)"
            ]
        );
        assert_eq!(
            both("[logtoprocess]\nupdate=1"),
            [
                "warning item-shadowed: logtoprocess.update = 1 is overridden \
              [/a:2] (the value in /b:2 is used)"
            ]
        );
        assert_eq!(
            overridden_in(
                "[logtoprocess]\nupdate=1",
                "",
                &["logtoprocess.update=3"]
            ),
            [
                "note item-shadowed: logtoprocess.update = 1 is overridden [/a:2] \
              (the value in --config is used)"
            ]
        );
    }

    #[test]
    fn a_setting_that_is_unset_is_found_with_what_unsets_it() {
        assert_eq!(
            overridden_in(
                "[uilog]\nmax-scripts=1\nqueue-size=2m",
                "[uilog]\n%unset queue-size\n%unset max-scripts\n\
                 [blackbox]\n%unset max-scripts",
                &[]
            ),
            [
                "note item-unset: uilog.max-scripts = 1 is removed by %unset \
                 [/a:2] (%unset is in /b:3)",
                "note item-unset: uilog.queue-size = 2m is removed by %unset \
                 [/a:3] (%unset is in /b:2)",
            ]
        );
    }
}
