//! The sinks that `[uilog]` defines: their names, URLs and tracked events.
//!
//! Responsible for what hg's process has to know of a sink. Must not know what
//! a URL means or how to connect to it: only the binary does.

use uilog_config::items;
use uilog_config::items::Item;
use uilog_config::items::SinkOption;
use uilog_config::items::Value;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;
use uilog_event::tracked::Tracked;

use crate::settings::Fault;

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

/// A URL whose scheme is in lower case: capitals in it mean nothing.
// RFC 3986, section 3.1
fn with_lower_scheme(url: &[u8]) -> Vec<u8> {
    let mut url = url.to_vec();
    let is_of_scheme =
        |it: &u8| it.is_ascii_alphanumeric() || b"+-.".contains(it);
    let end = url.iter().position(|it| !is_of_scheme(it));
    if let Some(end) = end.filter(|end| url[*end] == b':') {
        url[..end].make_ascii_lowercase();
    }
    url
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

/// Replaces the hidden parts.
const HIDDEN: &str = "...";

/// A sink's URL without parts that may be secret: the user before the host, and
/// everything after a question mark or a number sign. Of an invalid URL, more
/// is hidden than needed.
pub fn shown_url(url: &[u8]) -> String {
    let url = String::from_utf8_lossy(url);
    if is_local(&url) {
        return url.into_owned();
    }
    let (scheme, rest) = split_scheme(&url);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    let tail = match tail.chars().next() {
        Some(sign) => format!("{sign}{HIDDEN}"),
        None => String::new(),
    };
    // A password may have any of these signs in it.
    let (user, host) = match head.rsplit_once('@') {
        Some((_, host)) => ("...@", host),
        None => ("", head),
    };
    let at = host.find('/').unwrap_or(host.len());
    let (authority, path) = host.split_at(at);
    let is_cut_in_password = user.is_empty()
        && rest[end..].split_once('@').is_some_and(|(begin, _)| {
            path.is_empty() || !begin.contains('=') || !is_host(authority)
        });
    if is_cut_in_password {
        return format!("{scheme}{HIDDEN}{tail}");
    }
    format!("{scheme}{user}{host}{tail}")
}

/// Whether a URL is a path on this machine, in which any sign is a sign.
fn is_local(url: &str) -> bool {
    let path = url.split_once(':').filter(|(scheme, _)| {
        ["file", "unix", "unix-dgram", "syslog"].contains(scheme)
    });
    path.is_some_and(|(_, path)| {
        let path = match path.strip_prefix("//") {
            Some(rest) if !rest.starts_with('/') => return false,
            Some(rest) => rest,
            None => path,
        };
        path.is_empty() || path.starts_with(['/', '~', '$'])
    })
}

/// What says how to get there, and where that is.
fn split_scheme(url: &str) -> (&str, &str) {
    let is_scheme = |text: &str| {
        let is_sign =
            |it: char| it.is_ascii_alphanumeric() || "+.-:".contains(it);
        text.chars().all(is_sign)
    };
    if let Some(at) = url.find("//")
        && is_scheme(&url[..at])
    {
        return url.split_at(at + 2);
    }
    let known = ["otlp:", "syslog+tcp:", "syslog+tls:", "syslog:", "file:"];
    let known = known.into_iter().chain(["unix:", "unix-dgram:"]);
    let scheme = known
        .filter(|it| url.starts_with(it))
        .max_by_key(|it| it.len());
    url.split_at(scheme.map_or(0, str::len))
}

/// Whether it is a host with or without a port: what else has a colon may be a
/// user's name and password.
fn is_host(authority: &str) -> bool {
    let after = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|it| it.1),
        None => Some(authority.trim_start_matches(|it| it != ':')),
    };
    let Some(after) = after else { return false };
    match after.strip_prefix(':') {
        None => after.is_empty(),
        Some(port) => port.bytes().all(|it| it.is_ascii_digit()),
    }
}

/// What kinds of sinks there are.
pub const KINDS: &str = "file:, syslog:, unix:, otlp:";

/// That a URL is of none of these kinds.
pub fn no_kind(url: &[u8]) -> String {
    let problem =
        format!("'{}' is not a kind of sink: {KINDS}", shown_url(url));
    match meant_url(url) {
        Some(meant) => format!("{problem}; {}", did_you_mean(&meant)),
        None => problem,
    }
}

/// What an invalid URL was probably meant to be, as far as it may be shown.
pub fn meant_url(url: &[u8]) -> Option<String> {
    const SCHEMES: [&str; 7] = [
        "file",
        "unix",
        "unix-dgram",
        "syslog",
        "syslog+tcp",
        "syslog+tls",
        "otlp",
    ];
    let shown = shown_url(url);
    if shown.starts_with(['/', '~', '$']) {
        return Some(format!("file:{shown}"));
    }
    let (scheme, rest) = shown.split_once(':')?;
    match &*scheme.to_ascii_lowercase() {
        "http" | "https" => Some(format!("otlp:{shown}")),
        "otlp+http" | "otlphttp" => Some(format!("otlp:http:{rest}")),
        "otlp+https" => Some(format!("otlp:https:{rest}")),
        "otlp" => meant_collector(rest),
        "tcp" | "syslog-tcp" => Some(format!("syslog+tcp:{rest}")),
        "tls" | "syslog-tls" => Some(format!("syslog+tls:{rest}")),
        scheme => meant(scheme.as_bytes(), SCHEMES.into_iter())
            .map(|meant| format!("{meant}:{rest}")),
    }
}

/// What the URL of a collector was probably meant to be, which has no scheme of
/// its own.
fn meant_collector(rest: &str) -> Option<String> {
    let host = rest.strip_prefix("//").unwrap_or(rest);
    if host.contains("://") || host.is_empty() || host.starts_with('/') {
        return None;
    }
    let locals = ["localhost", "127.", "[::1]"];
    let is_local = locals.iter().any(|it| host.starts_with(it));
    let scheme = if is_local { "http" } else { "https" };
    Some(format!("otlp:{scheme}://{host}"))
}

/// What is wrong with a URL, as far as known without the environment and
/// without opening anything.
pub fn url_problem(url: &[u8]) -> Option<String> {
    let url = &with_lower_scheme(url)[..];
    let Some(colon) = url.iter().position(|byte| *byte == b':') else {
        return Some(no_kind(url));
    };
    let (scheme, rest) = (&url[..colon], &url[colon + 1..]);
    let shown = || shown_url(url);
    match scheme {
        b"syslog" if rest.is_empty() => None,
        b"file" | b"unix" | b"unix-dgram" | b"syslog" => {
            let begins = rest.first().is_some_and(|it| b"/~$".contains(it));
            let is_of_host =
                rest.starts_with(b"//") && !rest.starts_with(b"///");
            (!begins || is_of_host)
                .then(|| format!("'{}' has no absolute path", shown()))
        }
        b"syslog+tcp" | b"syslog+tls" => {
            let host = rest.strip_prefix(b"//").unwrap_or_default();
            let is_host = host.first().is_some_and(|it| !b":/".contains(it));
            (!is_host).then(|| format!("'{}' names no host", shown()))
        }
        b"otlp" if rest.trim_ascii().is_empty() => None,
        b"otlp" => {
            let host = |scheme: &[u8]| {
                let (begin, host) = rest.split_at_checked(scheme.len())?;
                begin.eq_ignore_ascii_case(scheme).then_some(host)
            };
            match host(b"https://").or_else(|| host(b"http://")) {
                None => {
                    let problem = format!(
                        "'{}': it must begin with http:// or https://",
                        shown()
                    );
                    Some(match meant_url(url) {
                        Some(meant) => {
                            format!("{problem}; {}", did_you_mean(&meant))
                        }
                        None => problem,
                    })
                }
                Some(host) => {
                    let is_host =
                        host.first().is_some_and(|it| !b":/".contains(it));
                    (!is_host).then(|| format!("'{}' names no host", shown()))
                }
            }
        }
        _ => Some(no_kind(url)),
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
    fn no_password_is_shown() {
        let cases = [
            ("otlp:https://a.b:4318/x", "otlp:https://a.b:4318/x"),
            ("otlp:https://u:p@a.b/x?k=v", "otlp:https://...@a.b/x?..."),
            ("otlp:https://u:p@q@a.b", "otlp:https://...@a.b"),
            ("otlp:https://u:p/w@a.b/x", "otlp:https://...@a.b/x"),
            ("otlp:https://u:p?w@a.b/x", "otlp:https://...?..."),
            ("otlp:https://u:p#w@a.b/x", "otlp:https://...#..."),
            ("otlp:https://u:12/w@a.b", "otlp:https://...@a.b"),
            ("otlp:https://u:p/w?z@a.b", "otlp:https://...?..."),
            ("otlp:https://u:12/w?z@a.b", "otlp:https://...?..."),
            ("otlp:https://a.b/x?k=v@w", "otlp:https://a.b/x?..."),
            ("otlp:https://a.b#k", "otlp:https://a.b#..."),
            ("otlp:https:u:p@a.b", "otlp:...@a.b"),
            ("otlp:https:/u:p@a.b", "otlp:...@a.b"),
            ("otlp:u:p@a.b", "otlp:...@a.b"),
            ("otlp:https://u:p/w?k=z@a.b", "otlp:https://...?..."),
            ("otlp:u:p", "otlp:u:p"),
            ("nonsense:y", "nonsense:y"),
            ("u:p@a.b", "...@a.b"),
            ("https://u:p@a.b", "https://...@a.b"),
            ("//bob:hunter2@a.b:1", "//...@a.b:1"),
            ("syslog+tcp:bob:p@a.b", "syslog+tcp:...@a.b"),
            ("syslog+tcp://bob:p@a.b", "syslog+tcp://...@a.b"),
            ("syslog+tls://bob:p@[::1]:1", "syslog+tls://...@[::1]:1"),
            ("syslog+tls://[::1]:1/", "syslog+tls://[::1]:1/"),
            ("syslog://bob:p@a.b", "syslog://...@a.b"),
            ("unix://bob:p@a.b/x", "unix://...@a.b/x"),
            ("unix:bob:p@a.b", "unix:...@a.b"),
            ("unix:~/a@b?c", "unix:~/a@b?c"),
            ("otlp:", "otlp:"),
            ("", ""),
            ("file:/a@b/%Y", "file:/a@b/%Y"),
            ("file:///a@b", "file:///a@b"),
            ("syslog:", "syslog:"),
        ];
        for (url, shown) in cases {
            assert_eq!(shown_url(url.as_bytes()), shown);
        }
    }

    #[test]
    fn urls_that_lead_nowhere_are_named() {
        for url in [
            "file:/x",
            "file:~/x",
            "file:$X/y",
            "file:///x",
            "unix:/x",
            "unix-dgram:/x",
            "syslog:",
            "syslog:/x",
            "syslog+tcp://a",
            "syslog+tls://[::1]:1",
            "otlp:",
            "otlp:http://a:1/x",
            "otlp:HTTPS://a",
            "OTLP:http://a",
            "Syslog+TCP://a",
        ] {
            assert_eq!(url_problem(url.as_bytes()), None, "{url}");
        }
        for (url, problem) in [
            ("", "'' is not a kind of sink: file:, syslog:, unix:, otlp:"),
            (
                "x",
                "'x' is not a kind of sink: file:, syslog:, unix:, otlp:",
            ),
            ("file:x", "'file:x' has no absolute path"),
            ("file://host/x", "'file://host/x' has no absolute path"),
            ("unix:", "'unix:' has no absolute path"),
            ("syslog+tcp:a", "'syslog+tcp:a' names no host"),
            ("syslog+tls://:1", "'syslog+tls://:1' names no host"),
            (
                "otlp:a",
                "'otlp:a': it must begin with http:// or https://; did you \
                 mean 'otlp:https://a'?",
            ),
            (
                "otpl:https://a",
                "'otpl:https://a' is not a kind of sink: file:, syslog:, \
                 unix:, otlp:; did you mean 'otlp:https://a'?",
            ),
            ("otlp:http://", "'otlp:http://' names no host"),
        ] {
            assert_eq!(url_problem(url.as_bytes()).as_deref(), Some(problem));
        }
    }

    #[test]
    fn it_is_guessed_what_an_invalid_url_means() {
        for (url, meant) in [
            ("otpl:http://a:4318", Some("otlp:http://a:4318")),
            ("http://localhost:4318", Some("otlp:http://localhost:4318")),
            ("HTTPS://u:pw@a/x", Some("otlp:HTTPS://...@a/x")),
            ("otlp:localhost:4318", Some("otlp:http://localhost:4318")),
            (
                "otlp://collector.example",
                Some("otlp:https://collector.example"),
            ),
            ("otlp+http://a", Some("otlp:http://a")),
            ("tcp://a:514", Some("syslog+tcp://a:514")),
            ("sylog:/dev/log", Some("syslog:/dev/log")),
            ("fiel:/var/log/hg", Some("file:/var/log/hg")),
            ("~/log/hg.jsonl", Some("file:~/log/hg.jsonl")),
            ("/var/log/hg", Some("file:/var/log/hg")),
            ("otlp:grpc://a", None),
            ("kafka://a", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(meant_url(url.as_bytes()).as_deref(), meant, "{url}");
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
