//! Findings about the structured sinks of a configuration, for `uilog check`.
//!
//! Read-only: opens no connection and creates no directory. Must not know how
//! findings are shown.

mod delivery;
pub(crate) mod files;

use serde::Serialize;
use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_config::items;
use uilog_config::items::Value;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;
use uilog_finding::finding::Finding;
use uilog_finding::finding::Severity;
use uilog_finding::subject::Subject;
use uilog_finding::unemitted;
use uilog_redact::Policy;
use uilog_redact::Redactor;

use crate::compose::Composer;
use crate::globals::Globals;
use crate::numbering::Numbering;
use crate::otlp::request::SignalType;
use crate::otlp::settings::Endpoint;
use crate::otlp::settings::Settings;
use crate::target::Target;
use crate::template::Template;

/// A sink that is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkFacts {
    /// Its name.
    pub name: String,
    /// Where it leads, without secrets.
    pub url: String,
    /// What kind of sink it is; none if its URL is invalid.
    pub kind: Option<&'static str>,
    /// The events that it receives.
    pub track: Vec<String>,
    /// Those that `*` leaves out.
    pub ignore: Vec<String>,
    /// Where it is written.
    pub source: String,
    /// Whether it can be opened.
    pub usable: bool,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The sinks, by their names.
    pub sinks: Vec<SinkFacts>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// The structured sinks of a configuration, and what they have in common.
pub fn configured(subject: &Subject<'_>) -> (Vec<SinkConfig>, Globals) {
    let items = subject
        .loaded
        .trusted
        .items(sink_config::SECTION.as_bytes());
    let items: Vec<_> = items
        .map(|(name, entry)| (name.to_vec(), entry.value.clone()))
        .collect();
    let named = items.iter().map(|(name, value)| (&**name, &**value));
    let (definitions, _) = sink_config::read(named);
    (definitions, Globals::new(&items, subject.block))
}

/// Checks all sinks.
pub fn check(subject: &Subject<'_>) -> Checked {
    let (definitions, globals) = configured(subject);
    let mut found = Found {
        subject,
        redactor: Redactor::new(&Policy::default()),
        findings: Vec::new(),
    };
    found.faults();
    let sinks = definitions.iter().map(|it| {
        let before = found.errors();
        let target = found.sink(it, &globals);
        let text =
            |words: Vec<Vec<u8>>| words.iter().map(|it| lossy(it)).collect();
        SinkFacts {
            name: it.name.clone(),
            url: found.shown(&it.shown_url()),
            kind: target.as_ref().map(Target::kind),
            track: text(it.list("track")),
            ignore: text(it.list("ignore")),
            source: found.place(&it.item()).unwrap_or_default(),
            usable: target.is_some() && found.errors() == before,
        }
    });
    let sinks = sinks.collect();
    let is_numbered_here = |it: &&SinkConfig| Numbering::is_for(it, &globals);
    // One place for all of them.
    if let Some(first) = definitions.iter().find(is_numbered_here) {
        found.numbers(first, &globals);
    }
    found.deliveries(&definitions, &globals);
    Checked {
        sinks,
        findings: found.findings,
    }
}

struct Found<'a> {
    subject: &'a Subject<'a>,
    redactor: Redactor,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn errors(&self) -> usize {
        let is_error = |it: &&Finding| it.severity == Severity::Error;
        self.findings.iter().filter(is_error).count()
    }

    /// The text without its secrets.
    fn shown(&self, text: &str) -> String {
        lossy(&self.redactor.redact_text(text.as_bytes()).text)
    }

    /// The file and line of an item of the section.
    fn place(&self, item: &str) -> Option<String> {
        let config = &self.subject.loaded.trusted;
        let entry =
            config.get(sink_config::SECTION.as_bytes(), item.as_bytes())?;
        Some(entry.source.to_string())
    }

    /// Adds a finding about an item, or about one of its options.
    fn add(&mut self, item: &str, finding: Finding) {
        let sink = item.split(':').next().unwrap_or(item);
        let place = self.place(item).or_else(|| self.place(sink));
        let finding = Finding {
            text: self.shown(&finding.text),
            ..finding
        };
        self.findings.push(match place {
            Some(place) => finding.at(place),
            None => finding,
        });
    }

    /// Names and values that are invalid for any sink, and unknown options.
    fn faults(&mut self) {
        let config = &self.subject.loaded.trusted;
        let items = config.items(sink_config::SECTION.as_bytes());
        let items: Vec<_> = items
            .map(|(name, entry)| (name, entry.value.as_slice()))
            .collect();
        let (definitions, faults) = sink_config::read(items.iter().copied());
        for fault in faults {
            let option = fault.name.split_once(':').map(|it| it.1);
            let known = items::SINK_OPTIONS.iter();
            let names = known.map(|it| it.item.name);
            let item =
                option.and_then(|it| items::find_sink_option(it.as_bytes()));
            let advice = match (item, option) {
                (Some(it), _) => {
                    format!("it must be {}: {}", it.item.kind, it.item.help)
                }
                (None, Some(option)) => meant(option.as_bytes(), names)
                    .map_or_else(
                        || "docs/configuration.md lists them".into(),
                        did_you_mean,
                    ),
                (None, None) => "such as sink.fleet".into(),
            };
            let text = fault.to_string();
            let finding = Finding::warning("sink-option", text);
            self.add(&fault.name, finding.advise(advice));
        }
        for (name, value) in items {
            let name = lossy(name);
            let Some(rest) = name.strip_prefix(sink_config::PREFIX) else {
                continue;
            };
            let Some((sink, _)) = rest.split_once(':') else {
                continue;
            };
            let is_off = self.place(&format!("{}{sink}", sink_config::PREFIX));
            let is_known = definitions.iter().any(|it| it.name == sink);
            if !is_known && is_off.is_none() && !value.is_empty() {
                let text = format!(
                    "{}.{name}: there is no sink named '{sink}'",
                    sink_config::SECTION
                );
                let finding = Finding::warning("sink-option", text)
                    .advise(format!("set its URL: sink.{sink} = URL"));
                self.add(&name, finding);
            }
        }
    }

    /// Checks a sink; returns its destination.
    fn sink(
        &mut self,
        definition: &SinkConfig,
        globals: &Globals,
    ) -> Option<Target> {
        let item = definition.item();
        self.events(definition);
        self.sample(definition);
        self.rollup(definition);
        let composer = Composer::new(definition, globals);
        if let Err(problem) = composer {
            let finding = Finding::error("sink-unusable", problem);
            let advice = "until then every event for it is lost, and counted";
            self.add(&item, finding.advise(advice));
        }
        let target = Target::parse(&definition.url, globals.environment());
        let target = match target {
            Ok(target) => target,
            Err(problem) => {
                let text =
                    format!("{}.{item}: {problem}", sink_config::SECTION);
                let finding = Finding::error("sink-url", text);
                self.add(
                    &item,
                    finding.advise(
                        "until then every event for it is lost, and counted",
                    ),
                );
                return None;
            }
        };
        self.options(definition, &target);
        let before = self.errors();
        self.files(definition, globals);
        if self.errors() == before {
            self.contents(definition, globals, &target);
        }
        match &target {
            Target::File(template) => self.log_file(definition, template),
            Target::History(dir) => {
                self.log_file(definition, &Template::of_days(dir));
            }
            Target::UnixStream(path)
            | Target::UnixDatagram(path)
            | Target::SyslogLocal(path) => self.socket(definition, path),
            Target::Otlp(_) => self.otlp(definition, globals),
            Target::SyslogTcp(_) | Target::SyslogTls(_) => {
                self.no_owner(definition);
            }
        }
        Some(target)
    }

    /// Whether its events ever come.
    fn events(&mut self, definition: &SinkConfig) {
        let item = definition.item();
        let option = format!("{item}:track");
        let track = definition.list("track");
        if track.is_empty() {
            let text = format!(
                "{}.{option}: the sink tracks no event",
                sink_config::SECTION
            );
            let finding = Finding::warning("sink-tracks-nothing", text);
            self.add(&option, finding.advise("'*' means all of them"));
        }
        for event in track.iter().filter(|it| *it != b"*") {
            let config = &self.subject.loaded.trusted;
            if let Some(finding) = unemitted::check(config, event) {
                self.add(&option, finding);
            }
        }
    }

    fn sample(&mut self, definition: &SinkConfig) {
        if definition.option("sample") != Value::Fraction(0.0) {
            return;
        }
        let option = format!("{}:sample", definition.item());
        let section = sink_config::SECTION;
        let keeps_failures =
            definition.option("sample-failures") == Value::Choice("always");
        let finding = if keeps_failures {
            let text = format!("{section}.{option}: only failures are logged");
            Finding::note("sink-sample-0", text)
        } else {
            let text = format!("{section}.{option}: nothing is logged");
            Finding::warning("sink-sample-0", text)
                .advise("to switch the sink off, leave its URL empty")
        };
        self.add(&option, finding);
    }

    /// Whether ends of commands are added up, if that is asked for.
    fn rollup(&mut self, definition: &SinkConfig) {
        if definition.list("rollup").is_empty() {
            return;
        }
        let option = format!("{}:rollup", definition.item());
        let section = sink_config::SECTION;
        let tracked = definition.tracked();
        if !tracked.contains(b"commandfinish") {
            let text = format!(
                "{section}.{option}: the sink does not track 'commandfinish', \
                 which rollups count"
            );
            let finding = Finding::warning("sink-rollup-unused", text);
            let advice = format!("add it to sink.{}:track", definition.name);
            self.add(&option, finding.advise(advice));
        }
        let config = &self.subject.loaded.trusted;
        let agent = config.get(section.as_bytes(), b"agent");
        let item = items::find(section.as_bytes(), b"agent");
        let is_on = item.is_some_and(|item| {
            let set = agent.and_then(|it| item.parse(&it.value));
            let value = set.or_else(|| item.parse(item.default.as_bytes()));
            value == Some(Value::Boolean(true))
        });
        if !is_on {
            let text = format!(
                "{section}.{option}: without an agent there are no rollups, \
                 and each command has its record"
            );
            let finding = Finding::warning("sink-rollup-unused", text);
            self.add(&option, finding.advise("set uilog.agent = yes"));
        }
        if tracked.contains(b"command") {
            let text = format!(
                "{section}.{option}: the beginning of each command is logged \
                 nevertheless, since the sink tracks 'command'"
            );
            let finding = Finding::note("sink-rollup-beginnings", text);
            let advice = "track only commandfinish and commandexception";
            self.add(&option, finding.advise(advice));
        }
    }

    /// Options that this kind of sink does not have.
    fn options(&mut self, definition: &SinkConfig, target: &Target) {
        let kind = target.kind();
        for (name, _) in &definition.options {
            let Some(known) = items::find_sink_option(name) else {
                continue;
            };
            if known.sinks.is_empty() || known.sinks.contains(&kind) {
                continue;
            }
            let option = format!("{}:{}", definition.item(), lossy(name));
            let text = format!(
                "{}.{option}: a sink '{kind}:' has no such option",
                sink_config::SECTION
            );
            let advice = format!("it is for {}", known.sinks.join(", "));
            let finding = Finding::warning("sink-option-unused", text);
            self.add(&option, finding.advise(advice));
        }
    }

    /// A daemon on the network has no socket here.
    fn no_owner(&mut self, definition: &SinkConfig) {
        if definition.text("owner").is_none() {
            return;
        }
        let option = format!("{}:owner", definition.item());
        let text = format!(
            "{}.{option}: a sink on the network has no such option",
            sink_config::SECTION
        );
        let finding = Finding::warning("sink-option-unused", text);
        let advice = "it is for local sockets: unix:, unix-dgram:, syslog:";
        self.add(&option, finding.advise(advice));
    }

    fn otlp(&mut self, definition: &SinkConfig, globals: &Globals) {
        let item = definition.item();
        self.spool(definition, globals);
        let settings = match Settings::new(definition, globals) {
            Ok(settings) => settings,
            Err(problem) => {
                let text =
                    format!("{}.{item}: {problem}", sink_config::SECTION);
                let finding = Finding::error("sink-unusable", text);
                let advice = "until this is corrected, events wait in the \
                    spool";
                self.add(&item, finding.advise(advice));
                return;
            }
        };
        if let Some(problem) = settings.proxy_problem() {
            let text = format!("{}.{item}: {problem}", sink_config::SECTION);
            let finding = Finding::error("sink-proxy", text);
            let advice = "until this is corrected, events wait in the spool";
            self.add(&item, finding.advise(advice));
        }
        for warning in &settings.warnings {
            let text = format!("{}.{item}: {warning}", sink_config::SECTION);
            self.add(&item, Finding::warning("sink-setting", text));
        }
        for note in &settings.notes {
            let text = format!("{}.{item}: {note}", sink_config::SECTION);
            let finding = Finding::note("sink-variable", text);
            let advice = "to switch the sink off, leave its URL empty";
            self.add(&item, finding.advise(advice));
        }
        let in_clear = SignalType::ALL
            .map(|kind| settings.endpoint(kind))
            .into_iter()
            .filter_map(|endpoint| {
                let tells =
                    settings.token_file.is_some() || may_be_secret(endpoint);
                remote_in_clear(&endpoint.url).filter(|_| tells)
            })
            .next();
        if let Some(host) = in_clear {
            let text = format!(
                "{}.{item}: a token is sent to {host} unencrypted",
                sink_config::SECTION
            );
            let finding = Finding::warning("sink-token-in-clear", text);
            self.add(&item, finding.advise("use https://"));
        }
    }
}

/// Whether a header may be a secret.
fn may_be_secret(endpoint: &Endpoint) -> bool {
    const PARTS: [&str; 6] =
        ["auth", "token", "key", "secret", "cookie", "password"];
    let mut headers = endpoint.headers.iter();
    headers.any(|(name, _)| PARTS.iter().any(|it| name.as_str().contains(it)))
}

/// The host of a URL without TLS, unless it is this one.
fn remote_in_clear(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let authority = rest.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let address: Option<std::net::IpAddr> = host.parse().ok();
    let is_local = host.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|it| it.is_loopback());
    (!is_local).then(|| host.to_owned())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_which_urls_leave_the_machine_in_clear() {
        for url in [
            "https://a.b/v1/traces",
            "http://localhost:4318/v1/logs",
            "http://LOCALHOST",
            "http://127.0.0.9:1/",
            "http://[::1]:4318/",
        ] {
            assert_eq!(remote_in_clear(url), None, "{url}");
        }
        for (url, host) in [
            ("http://a.b:4318/v1/traces", "a.b"),
            ("HTTP://a.b:4318/v1/traces", "a.b"),
            ("http://10.0.0.1", "10.0.0.1"),
            ("http://[2001:db8::1]:4318/", "2001:db8::1"),
            ("http://localhost.evil/", "localhost.evil"),
        ] {
            assert_eq!(remote_in_clear(url).as_deref(), Some(host));
        }
    }
}
