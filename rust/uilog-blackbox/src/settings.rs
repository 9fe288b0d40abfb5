//! What `[blackbox]` says: the same for whoever writes a line.
//!
//! A value that makes no sense is told, and the default counts.

use uilog_config::items;
use uilog_config::items::Value;
use uilog_event::event::Timestamp;
use uilog_event::tracked::Tracked;

use crate::style::Style;

/// The section, and what hg calls its extension.
pub const SECTION: &str = "blackbox";

/// What the section says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The events that get a line.
    pub tracked: Tracked,
    /// The size at which the log is rotated; 0 for never.
    pub max_bytes: u64,
    /// How many files there are at most.
    pub maxfiles: i64,
    /// How lines look.
    pub style: Style,
    /// Each line is also written to standard error.
    pub is_shown: bool,
    /// A line says whether the working directory has changes.
    pub tells_dirty: bool,
    /// Replaces the clock.
    pub date: Option<Timestamp>,
    /// What makes no sense: names, and why.
    pub problems: Vec<(&'static str, String)>,
}

impl Settings {
    /// Reads the section, of which `value_of` returns the values that are set,
    /// and `devel.default-date`.
    pub fn read<'a>(
        value_of: impl Fn(&str) -> Option<&'a [u8]>,
        default_date: Option<&[u8]>,
    ) -> Self {
        let mut problems = Vec::new();
        let mut value = |name: &'static str| -> Option<Value> {
            let item = items::find(SECTION.as_bytes(), name.as_bytes())?;
            let set = value_of(name);
            let parsed = set.map(|text| (text, item.parse(text)));
            match parsed {
                Some((_, Some(value))) => return Some(value),
                Some((text, None)) => {
                    let text = String::from_utf8_lossy(text);
                    let problem =
                        format!("'{text}' is invalid, using the default");
                    problems.push((name, problem));
                }
                None => {}
            }
            item.parse(item.default.as_bytes())
        };
        let list = |value| match value {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        };
        let number = |value| match value {
            Some(Value::Number(number)) => number,
            _ => 0,
        };
        let is_on = |value| value == Some(Value::Boolean(true));
        let format = match value("date-format") {
            Some(Value::Text(text)) => text,
            _ => Vec::new(),
        };
        Self {
            tracked: Tracked::new(list(value("track")), list(value("ignore"))),
            max_bytes: u64::try_from(number(value("maxsize"))).unwrap_or(0),
            maxfiles: i64::try_from(number(value("maxfiles")))
                .unwrap_or(i64::MAX),
            style: Style::new(&format, is_on(value("logsource"))),
            is_shown: is_on(value("debug.to-stderr")),
            tells_dirty: is_on(value("dirty")),
            date: default_date.and_then(fixed_date),
            problems,
        }
    }
}

/// `devel.default-date`, if it is a time: seconds, and seconds behind UTC.
fn fixed_date(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, behind) = text.split_once(' ')?;
    let seconds: i64 = seconds.parse().ok()?;
    let behind: i32 = behind.parse().ok()?;
    Some(Timestamp {
        micros: seconds.saturating_mul(1_000_000),
        offset: behind.saturating_neg(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &[(&str, &'static str)], date: Option<&str>) -> Settings {
        let value_of = |name: &str| {
            let found = items.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_bytes())
        };
        Settings::read(value_of, date.map(str::as_bytes))
    }

    #[test]
    fn what_makes_no_sense_is_told_and_the_default_counts() {
        let settings = read(&[("maxsize", "many"), ("maxfiles", "3")], None);
        assert_eq!((settings.max_bytes, settings.maxfiles), (1 << 20, 3));
        assert_eq!(settings.problems.len(), 1);
        assert_eq!(settings.problems[0].0, "maxsize");
        assert!(settings.problems[0].1.contains("'many'"));
    }

    #[test]
    fn the_section_decides_about_events_and_lines() {
        let items = [
            ("track", "*, command"),
            ("ignore", "command, exthook"),
            ("logsource", "yes"),
            ("dirty", "on"),
            ("debug.to-stderr", "1"),
        ];
        let settings = read(&items, Some("86400 -3600"));
        assert!(settings.tracked.contains(b"command"));
        assert!(!settings.tracked.contains(b"exthook"));
        assert!(settings.style.has_source);
        assert!(settings.tells_dirty && settings.is_shown);
        let date = settings.date.unwrap();
        assert_eq!((date.micros, date.offset), (86_400_000_000, 3600));
        assert!(read(&[], Some("now")).date.is_none());
    }
}
