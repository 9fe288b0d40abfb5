//! The sinks that `[uilog]` defines: their names, URLs and tracked events.
//!
//! Responsible for what hg's process has to know of a sink. Must not know what
//! a URL means or how to connect to it: only the binary does.

use uilog_config::Config;
use uilog_config::items;
use uilog_config::items::Item;
use uilog_config::items::SinkOption;
use uilog_config::items::Value;
use uilog_event::tracked::Tracked;

use crate::settings::Fault;
use crate::sink_url::shown_url;
use crate::sink_url::with_lower_scheme;

/// The section.
pub const SECTION: &str = "uilog";
/// Prefix of items that define a sink.
pub const PREFIX: &str = "sink.";

/// The item that switches the history on, which is a sink of that name.
pub const HISTORY: &[u8] = b"history";

/// A sink, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Its URL.
    pub url: Vec<u8>,
    /// Its options, as pairs of the name after the colon and the value.
    pub options: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Whether an item concerns sinks, and so is passed on to the process that runs
/// them.
pub fn is_item(name: &[u8]) -> bool {
    let is_for_binary = |item: &Item| !item.is_for_hg;
    name.starts_with(PREFIX.as_bytes())
        || items::find(SECTION.as_bytes(), name).is_some_and(is_for_binary)
}

/// What a configuration says of sinks.
pub fn items_of(config: &Config) -> Vec<(Vec<u8>, Vec<u8>)> {
    let items = config.items(SECTION.as_bytes());
    let items = items.filter(|(name, _)| is_item(name));
    items
        .map(|(name, entry)| (name.to_vec(), entry.value.clone()))
        .collect()
}

/// The sinks that the section's items define, sorted by name, and faults that
/// apply to every kind of sink.
pub fn read<'a>(
    items: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> (Vec<SinkConfig>, Vec<Fault>) {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    let mut options = Vec::new();
    let mut faults = Vec::new();
    let mut is_history_on = false;
    for (item, value) in items {
        if item == HISTORY {
            let parsed = items::find(SECTION.as_bytes(), HISTORY)
                .and_then(|item| item.parse(value));
            is_history_on = parsed == Some(Value::Boolean(true));
        }
        let Some(rest) = item.strip_prefix(PREFIX.as_bytes()) else {
            continue;
        };
        if let Some(at) = rest.iter().position(|byte| *byte == b':') {
            options.push((&rest[..at], &rest[at + 1..], value));
            continue;
        }
        match readable_name(rest) {
            // As with scripts: an empty value switches it off.
            _ if value.trim_ascii().is_empty() => {}
            Some(name) => sinks.push(SinkConfig {
                name: name.to_owned(),
                url: with_lower_scheme(value.trim_ascii()),
                options: Vec::new(),
            }),
            None => faults.push(fault(
                rest,
                "a sink's name has letters, digits, '-' and '_' only".into(),
            )),
        }
    }
    if is_history_on {
        // Two sinks of that name could not be distinguished.
        let before = sinks.len();
        sinks.retain(|it| it.name.as_bytes() != HISTORY);
        if sinks.len() < before {
            let why = "that name is reserved for the history: choose another \
                one";
            faults.push(fault(HISTORY, why.to_owned()));
        }
        sinks.push(SinkConfig::of_history());
    }
    for (name, option, value) in options {
        // Faults of a disabled sink are not reported.
        let mut named = sinks.iter_mut();
        if let Some(sink) = named.find(|it| it.name.as_bytes() == name) {
            sink.options.push((option.to_vec(), value.to_vec()));
        }
    }
    for sink in &sinks {
        for (option, value) in &sink.options {
            if let Some(problem) = sink.problem_of(option, value) {
                let full = [sink.name.as_bytes(), b":", option].concat();
                faults.push(fault(&full, problem));
            }
        }
    }
    sinks.sort_by(|a, b| a.name.cmp(&b.name));
    (sinks, faults)
}

fn readable_name(name: &[u8]) -> Option<&str> {
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let is_readable = !name.is_empty() && name.iter().all(is_allowed);
    std::str::from_utf8(name).ok().filter(|_| is_readable)
}

fn fault(name: &[u8], problem: String) -> Fault {
    Fault {
        section: SECTION,
        name: format!("sink.{}", String::from_utf8_lossy(name)),
        problem,
    }
}

impl SinkConfig {
    /// Whether it is a collector, which acknowledges records.
    pub fn is_collector(&self) -> bool {
        self.url.starts_with(b"otlp:")
    }

    /// The history, as a sink.
    fn of_history() -> Self {
        Self {
            name: String::from_utf8_lossy(HISTORY).into_owned(),
            url: [HISTORY, b":"].concat(),
            options: Vec::new(),
        }
    }

    /// Whether it is the history.
    pub fn is_history(&self) -> bool {
        self.url.strip_suffix(b":") == Some(HISTORY)
    }

    /// The item that names it: `sink.NAME`, or `history`.
    pub fn item(&self) -> String {
        if self.is_history() {
            return self.name.clone();
        }
        format!("{PREFIX}{}", self.name)
    }

    /// Whether its records stay on this machine. Unknown kinds do not.
    pub fn is_local(&self) -> bool {
        const LOCAL: [&[u8]; 5] =
            [b"file", b"unix", b"unix-dgram", b"syslog", HISTORY];
        let colon = self.url.iter().position(|byte| *byte == b':');
        colon.is_some_and(|at| LOCAL.contains(&&self.url[..at]))
    }

    /// What an option is if it is not set.
    fn default_of(&self, option: &SinkOption) -> &'static str {
        if self.is_local() {
            option.item.default
        } else {
            option.remote_default
        }
    }

    /// What is wrong with an option's name or value.
    fn problem_of(&self, option: &[u8], value: &[u8]) -> Option<String> {
        let Some(known) = items::find_sink_option(option) else {
            return Some("there is no such option".to_owned());
        };
        let item = &known.item;
        item.parse(value).is_none().then(|| {
            let value = String::from_utf8_lossy(value);
            let (kind, default) = (item.kind, self.default_of(known));
            format!("'{value}' is not {kind}, using {default}")
        })
    }

    /// Its URL without what may be a secret in it.
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }

    /// An option's value: the configured one if it is valid, else the default.
    ///
    /// # Panics
    ///
    /// If `items.toml` has no such option.
    #[expect(clippy::panic, reason = "a test looks for each by its name")]
    pub fn option(&self, name: &str) -> Value {
        let Some(known) = items::find_sink_option(name.as_bytes()) else {
            panic!("items.toml has no sink option '{name}'");
        };
        let set = self.options.iter().rfind(|it| it.0 == name.as_bytes());
        let parsed = set.and_then(|(_, value)| known.item.parse(value));
        let default = || self.default_of(known).as_bytes();
        match parsed.or_else(|| known.item.parse(default())) {
            Some(value) => value,
            None => panic!("items.toml: the default of '{name}' is none"),
        }
    }

    /// The option's value, of one that is a list.
    pub fn list(&self, name: &str) -> Vec<Vec<u8>> {
        match self.option(name) {
            Value::List(words) => words,
            _ => Vec::new(),
        }
    }

    /// The option's value, of one that is a text, without blanks around it;
    /// none if that is empty.
    pub fn text(&self, name: &str) -> Option<Vec<u8>> {
        match self.option(name) {
            Value::Text(text) => Some(text.trim_ascii().to_vec()),
            _ => None,
        }
        .filter(|text| !text.is_empty())
    }

    /// The events that it wants.
    pub fn tracked(&self) -> Tracked {
        Tracked::new(self.list("track"), self.list("ignore"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &[(&str, &str)]) -> (Vec<SinkConfig>, Vec<String>) {
        let bytes = items.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        let (sinks, faults) = super::read(bytes);
        (sinks, faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn sinks_have_names_urls_and_options() {
        let (sinks, faults) = read(&[
            ("sink.b:track", "command, exthook"),
            ("sink.b", " syslog: "),
            ("sink.a", "file:/x"),
            ("sink.a:owner", " the team "),
            ("sink.c", "OTLP:HTTP://H/Path"),
            ("sink.d", "/X:y"),
            ("sink.off", ""),
            ("sink.off:nonsense", "x"),
            ("max-scripts", "3"),
        ]);
        assert_eq!(faults, [""; 0]);
        let names: Vec<_> = sinks.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(sinks[1].url, b"syslog:");
        assert_eq!(sinks[2].url, b"otlp:HTTP://H/Path");
        assert_eq!(sinks[3].url, b"/X:y");
        assert!(sinks[1].tracked().contains(b"exthook"));
        assert!(!sinks[1].tracked().contains(b"commandfinish"));
        assert!(sinks[0].tracked().contains(b"commandfinish"));
        assert!(!sinks[0].tracked().contains(b"cmdserver"));
        assert_eq!(sinks[0].text("owner"), Some(b"the team".to_vec()));
        assert_eq!(sinks[1].text("owner"), None);
    }

    #[test]
    fn nonsense_is_told_and_leaves_the_default() {
        let (sinks, faults) = read(&[
            ("sink.a/b", "file:/x"),
            ("sink.a", "file:/x"),
            ("sink.a:sample", "2"),
            ("sink.a:argv", "some"),
            ("sink.a:trak", "*"),
        ]);
        assert_eq!(
            faults,
            [
                "uilog.sink.a/b: a sink's name has letters, digits, '-' and \
                 '_' only",
                "uilog.sink.a:sample: '2' is not a number from 0 to 1, \
                 using 1",
                "uilog.sink.a:argv: 'some' is not one of 'none', \
                 'canonical', 'structure', 'redacted', 'full', using \
                 redacted",
                "uilog.sink.a:trak: there is no such option",
            ]
        );
        assert_eq!(sinks[0].option("sample"), Value::Fraction(1.0));
        assert_eq!(sinks[0].option("argv"), Value::Choice("redacted"));
    }

    #[test]
    fn what_leaves_the_machine_is_told_less() {
        for (url, argv) in [
            ("file:/x", "redacted"),
            ("unix:/x", "redacted"),
            ("unix-dgram:/x", "redacted"),
            ("syslog:", "redacted"),
            ("syslog:/x", "redacted"),
            ("syslog+tcp://a", "structure"),
            ("syslog+tls://a", "structure"),
            ("otlp:", "structure"),
            ("otlp:http://127.0.0.1:4318", "structure"),
            ("later:x", "structure"),
        ] {
            let (sinks, _) = read(&[("sink.a", url)]);
            assert_eq!(sinks[0].option("argv"), Value::Choice(argv), "{url}");
            let (sinks, _) = read(&[("sink.a", url), ("sink.a:argv", "full")]);
            assert_eq!(sinks[0].option("argv"), Value::Choice("full"));
        }
    }

    #[test]
    fn what_is_for_the_binary_is_handed_on() {
        assert!(is_item(b"sink.a:track"));
        assert!(is_item(b"spool-max-age"));
        assert!(!is_item(b"max-scripts"));
        assert!(!is_item(b"unknown"));
    }

    #[test]
    fn the_history_is_a_sink_of_its_own() {
        let read = |items: &[(&str, &str)]| {
            let items = items.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
            let (sinks, faults) = super::read(items);
            let sinks: Vec<_> = sinks
                .iter()
                .map(|it| (it.item(), it.shown_url(), it.is_local()))
                .collect();
            (sinks, faults.len())
        };
        let own = || ("history".to_owned(), "history:".to_owned(), true);
        assert_eq!(read(&[("history", "yes")]), (vec![own()], 0));
        for off in ["no", "maybe", ""] {
            assert_eq!(read(&[("history", off)]), (vec![], 0), "{off}");
        }
        let both = [("sink.history", "file:/x"), ("history", "1")];
        assert_eq!(read(&both), (vec![own()], 1));
        let other = ("sink.history".to_owned(), "file:/x".to_owned(), true);
        assert_eq!(read(&both[..1]), (vec![other], 0));
    }
}
