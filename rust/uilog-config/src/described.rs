//! What is told of each setting, to people: by `uilog help`, the manual pages,
//! `hg help uilog` and docs/configuration.md.
//!
//! `items.toml` is the only source. Apart from [`crate::items`], so that what hg
//! loads does not contain it.

use crate::items::ValueType;

/// A setting, or a kind of settings whose names users make up, as it is
/// described.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its section.
    pub section: &'static str,
    /// Its name, with placeholders in capitals: `sink.NAME:track`.
    pub name: &'static str,
    /// The type of its values.
    pub kind: ValueType,
    /// The kinds of sinks that have it; all if there are none.
    pub sinks: &'static [&'static str],
    /// A short description.
    pub help: &'static str,
    /// A full description, as Markdown.
    pub text: &'static str,
    /// Its default, as Markdown.
    pub default: &'static str,
    /// What a number counts, if its type does not say.
    pub unit: Option<&'static str>,
    /// A line that sets it.
    pub example: &'static str,
    /// The topic of the help that it belongs to.
    pub topic: &'static str,
    /// The version of uilog that has it first.
    pub since: &'static str,
}

/// All of them: patterns, items, options of sinks.
pub const DESCRIBED: &[Described] =
    include!(concat!(env!("OUT_DIR"), "/described.rs"));

impl Described {
    /// The section and the name.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The option's name, if it is an option of sinks.
    pub fn sink_option(&self) -> Option<&'static str> {
        self.name.strip_prefix("sink.NAME:")
    }

    /// What a number counts.
    pub fn unit(&self) -> Option<&'static str> {
        self.unit.or(match self.kind {
            ValueType::Seconds | ValueType::Wait => Some("seconds"),
            ValueType::Size { .. } => Some("bytes, or with kB, MB or GB"),
            ValueType::Age => Some("with s, m, h or d, or in words"),
            ValueType::Integer { .. }
            | ValueType::Fraction
            | ValueType::Boolean
            | ValueType::Choice(_)
            | ValueType::List
            | ValueType::Text => None,
        })
    }

    /// Whether people may mean this by `name`: with or without the section,
    /// with the name of a sink or an event in the place of `NAME` or `EVENT`,
    /// and the option of a sink alone, with or without its colon.
    pub fn is_meant_by(&self, name: &str) -> bool {
        let inner = name
            .strip_prefix(self.section)
            .and_then(|rest| rest.strip_prefix('.'));
        let is_option = self.sink_option().is_some_and(|option| {
            name == option || name.strip_prefix(':') == Some(option)
        });
        is_option
            || inner.is_some_and(|inner| self.matches(inner))
            || (self.section != "logtoprocess" && self.matches(name))
            || name == self.name
    }

    /// Whether the setting's name is this.
    fn matches(&self, name: &str) -> bool {
        let (own, own_option) = split(self.name);
        let (name, option) = split(name);
        let is_name = match own.strip_suffix("NAME") {
            Some(prefix) => {
                name.len() > prefix.len() && name.starts_with(prefix)
            }
            None if own == "EVENT" => !name.is_empty(),
            None => name == own,
        };
        is_name && option == own_option
    }
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once(':') {
        Some((name, option)) => (name, Some(option)),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items;

    fn meant_by(name: &str) -> Vec<String> {
        let all = DESCRIBED.iter().filter(|it| it.is_meant_by(name));
        all.map(Described::full_name).collect()
    }

    #[test]
    fn every_example_makes_sense() {
        assert_eq!(
            DESCRIBED.len(),
            items::ITEMS.len() + items::SINK_OPTIONS.len() + 3
        );
        for it in DESCRIBED {
            let (name, value) = it.example.split_once(" = ").unwrap();
            assert!(it.is_meant_by(&format!("{}.{name}", it.section)));
            let item = items::Item {
                section: it.section,
                name: it.name,
                default: "",
                kind: it.kind,
                is_own: true,
                is_for_hg: false,
                help: it.help,
            };
            assert!(item.parse(value.as_bytes()).is_some(), "{}", it.example);
        }
    }

    #[test]
    fn numbers_have_units() {
        for it in DESCRIBED {
            let is_number = matches!(
                it.kind,
                ValueType::Integer { .. }
                    | ValueType::Size { .. }
                    | ValueType::Seconds
                    | ValueType::Age
                    | ValueType::Wait
            );
            assert_eq!(it.unit().is_some(), is_number, "{}", it.name);
        }
    }

    #[test]
    fn a_setting_is_found_by_each_of_its_names() {
        let track = ["blackbox.track", "uilog.sink.NAME:track"];
        assert_eq!(meant_by("track"), track);
        for name in [":track", "sink.NAME:track", "sink.a.b:track"] {
            assert_eq!(meant_by(name), track[1..], "{name}");
        }
        assert_eq!(meant_by("uilog.sink.x:track"), track[1..]);
        assert_eq!(meant_by("sink.fleet"), ["uilog.sink.NAME"]);
        assert_eq!(meant_by("agent-idle"), ["uilog.agent-idle"]);
        assert_eq!(meant_by("uilog.agent-idle"), ["uilog.agent-idle"]);
        assert_eq!(meant_by("EVENT:stdin"), ["logtoprocess.EVENT:stdin"]);
        assert_eq!(meant_by("logtoprocess.update"), ["logtoprocess.EVENT"]);
        let nothing: [&str; 0] = [];
        for name in ["", "sink.", "sink.x:trak", "uilog.track", "update"] {
            assert_eq!(meant_by(name), nothing, "{name}");
        }
    }
}
