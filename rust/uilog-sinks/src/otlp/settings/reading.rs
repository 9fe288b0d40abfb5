//! Reading the hgrc's options, and the variables that OpenTelemetry knows.
//!
//! Must not know what is done with them.

// OpenTelemetry: "OpenTelemetry Protocol Exporter", configuration options, and
// "Environment Variable Specification"

use std::path::PathBuf;
use std::time::Duration;

use uilog_channel::sink_config::SinkConfig;
use uilog_channel::sink_url;
use uilog_config::items::Value;
use ureq::http::HeaderName;
use ureq::http::HeaderValue;
use ureq::http::header;

use super::model::Endpoint;
use super::model::MAX_TIMEOUT;
use super::model::Settings;
use super::model::Statuses;
use super::model::TlsFiles;
use super::model::WAIT_STATUSES;
use super::pairs::OWN_HEADERS;
use super::pairs::headers;
use super::pairs::pairs;
use crate::otlp::endpoint::Base;
use crate::otlp::endpoint::Url;
use crate::otlp::endpoint::advice_on_endpoint;
use crate::otlp::printable::printable;
use crate::otlp::proxy::Proxies;
use crate::otlp::request::SignalType;

/// What a sink's URL begins with.
const SCHEME: &[u8] = b"otlp:";
/// The default URL of a collector.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// What the variables begin with.
const PREFIX: &str = "OTEL_EXPORTER_OTLP";

/// Variables by which OpenTelemetry's own programs can be switched off, sampled
/// or configured, and the value that changes nothing there. None has an effect
/// here: see docs/otlp.md.
const WITHOUT_EFFECT: [(&str, &str); 6] = [
    ("OTEL_SDK_DISABLED", "false"),
    ("OTEL_TRACES_EXPORTER", "otlp"),
    ("OTEL_LOGS_EXPORTER", "otlp"),
    ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
    ("OTEL_CONFIG_FILE", ""),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", ""),
];

/// Looks up variables and resolves paths.
pub trait VariableLookup {
    /// The value of a variable of hg's environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// The path that a configured one means.
    ///
    /// # Errors
    ///
    /// It is relative.
    fn path(&self, text: &[u8]) -> Result<PathBuf, String>;
}

impl Settings {
    /// The settings of a sink.
    ///
    /// # Errors
    ///
    /// A setting in the hgrc is invalid; the text has the reason.
    pub fn new(
        definition: &SinkConfig,
        around: &dyn VariableLookup,
    ) -> Result<Self, String> {
        let mut reader = Reader::new(definition, around);
        let urls = reader.urls()?;
        let token_file = definition
            .text("token-file")
            .map(|text| around.path(&text))
            .transpose()
            .map_err(|why| format!("'token-file': {why}"))?;
        let [traces, logs] = urls;
        let mut endpoint =
            |kind, url| reader.endpoint(kind, url, token_file.is_some());
        Ok(Self {
            traces: endpoint(SignalType::Traces, traces)?,
            logs: endpoint(SignalType::Logs, logs)?,
            token_file,
            resource: reader.resource()?,
            // These are not OpenTelemetry's: they are meant for all programs.
            proxies: Proxies::new(|name| filled(around.variable(name))),
            wait_statuses: wait_statuses(definition)?,
            notes: reader.notes(),
            warnings: reader.warnings,
        })
    }

    /// Why a collector cannot be reached although the settings are valid: the
    /// environment has an invalid proxy.
    pub fn proxy_problem(&self) -> Option<String> {
        SignalType::ALL.into_iter().find_map(|kind| {
            let url = self.endpoint(kind).url.parse().ok()?;
            self.proxies.of(&url).err()
        })
    }

    /// Where requests of a kind go.
    pub fn endpoint(&self, kind: SignalType) -> &Endpoint {
        match kind {
            SignalType::Traces => &self.traces,
            SignalType::Logs => &self.logs,
        }
    }
}

/// The additional attributes of the resource, as far as they are valid: for
/// records that are not sent.
pub fn resource(
    definition: &SinkConfig,
    around: &dyn VariableLookup,
) -> Vec<(String, String)> {
    let resource = Reader::new(definition, around).resource();
    resource.unwrap_or_default()
}

fn wait_statuses(definition: &SinkConfig) -> Result<Statuses, String> {
    match definition.option(WAIT_STATUSES) {
        Value::List(words) => Statuses::parse(&words)
            .map_err(|why| format!("'{WAIT_STATUSES}': {why}")),
        _ => Ok(Statuses::default()),
    }
}

struct Reader<'a> {
    definition: &'a SinkConfig,
    around: &'a dyn VariableLookup,
    /// Whether OpenTelemetry's variables count.
    has_variables: bool,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(definition: &'a SinkConfig, around: &'a dyn VariableLookup) -> Self {
        let is_bare = definition
            .url
            .strip_prefix(SCHEME)
            .is_some_and(|url| url.trim_ascii().is_empty());
        let mut reader = Self {
            definition,
            around,
            has_variables: is_bare,
            warnings: Vec::new(),
        };
        if reader.is_set("environment") {
            let asked = definition.option("environment");
            reader.has_variables = asked == Value::Boolean(true);
        }
        reader
    }

    /// One of OpenTelemetry's variables, if they count and it is not empty.
    fn variable(&self, name: &str) -> Option<String> {
        filled(self.around.variable(name)).filter(|_| self.has_variables)
    }

    /// Once, however many kinds of requests it concerns.
    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }

    /// What `read` makes of a variable. One that is invalid is as if it
    /// were not set.
    fn read<T>(
        &mut self,
        name: &str,
        read: &dyn Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.variable(name)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(why) => {
                self.warn(format!("{name} is ignored: {why}"));
                None
            }
        }
    }

    /// Like `read`, for the variable of one signal, otherwise for that of both.
    fn read_kind<T>(
        &mut self,
        kind: SignalType,
        key: &str,
        read: &dyn Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(&specific(kind, key), read)
            .or_else(|| self.read(&format!("{PREFIX}_{key}"), read))
    }

    /// Whether the hgrc sets the option. If that is invalid, which is reported
    /// elsewhere, the default is used and no variable.
    fn is_set(&self, option: &str) -> bool {
        let options = &self.definition.options;
        options.iter().any(|it| it.0 == option.as_bytes())
    }

    /// Where spans and log records go.
    fn urls(&mut self) -> Result<[String; 2], String> {
        let definition = self.definition;
        let address = definition.url.strip_prefix(SCHEME);
        let address = address.ok_or("it is not an 'otlp:' URL")?;
        let address = std::str::from_utf8(address.trim_ascii())
            .map_err(|_| "its URL is not UTF-8")?;
        if !address.is_empty() {
            let shown = sink_url::shown_url(&definition.url);
            let base = Base::parse(address)
                .map_err(|why| format!("'{shown}': {why}"))
                .map_err(|why| sink_url::with_guess(why, &definition.url))?;
            for advice in &base.advice {
                self.warn(format!("'{shown}': {advice}"));
            }
            return Ok(SignalType::ALL.map(|kind| base.endpoint(kind)));
        }
        Ok(SignalType::ALL.map(|kind| self.endpoint_of_variables(kind)))
    }

    /// Where requests of a kind go, of a sink without a URL.
    fn endpoint_of_variables(&mut self, kind: SignalType) -> String {
        let protocol = |value: &str| match value {
            "http/protobuf" => Ok(()),
            _ => Err(format!(
                "'{}' is not supported, only http/protobuf",
                printable(value)
            )),
        };
        self.read_kind(kind, "PROTOCOL", &protocol);
        let name = specific(kind, "ENDPOINT");
        // That URL is used without changes.
        if let Some(url) = self.read(&name, &Url::of_collector) {
            for advice in advice_on_endpoint(&url, kind) {
                self.warn(format!("{name}: {advice}"));
            }
            return url.text();
        }
        let name = format!("{PREFIX}_ENDPOINT");
        let Some(base) = self.read(&name, &Base::parse) else {
            return match Base::parse(DEFAULT_ENDPOINT) {
                Ok(base) => base.endpoint(kind),
                Err(_) => DEFAULT_ENDPOINT.to_owned(),
            };
        };
        for advice in &base.advice {
            self.warn(format!("{name}: {advice}"));
        }
        base.endpoint(kind)
    }

    fn endpoint(
        &mut self,
        kind: SignalType,
        url: String,
        has_token: bool,
    ) -> Result<Endpoint, String> {
        Ok(Endpoint {
            url,
            headers: self.headers(kind, has_token)?,
            timeout: match self.timeout(kind) {
                Duration::ZERO => MAX_TIMEOUT,
                timeout => timeout.min(MAX_TIMEOUT),
            },
            is_gzip: self.is_gzip(kind),
            tls: self.tls(kind)?,
        })
    }

    fn tls(&mut self, kind: SignalType) -> Result<TlsFiles, String> {
        let around = self.around;
        let option = |reader: &Self, name: &str| {
            let text = reader.definition.text(name);
            let path = text.map(|text| around.path(&text));
            path.transpose().map_err(|why| format!("'{name}': {why}"))
        };
        let path = |text: &str| around.path(text.as_bytes());
        let mut files = TlsFiles {
            ca: option(self, "ca-file")?,
            cert: option(self, "cert-file")?,
            key: option(self, "key-file")?,
        };
        if files.ca.is_none() {
            files.ca = self.read_kind(kind, "CERTIFICATE", &path);
        }
        if files.cert.is_some() != files.key.is_some() {
            return Err("a client certificate needs both, 'cert-file' and \
                        'key-file'"
                .to_owned());
        }
        if files.cert.is_none() {
            files.cert = self.read_kind(kind, "CLIENT_CERTIFICATE", &path);
            files.key = self.read_kind(kind, "CLIENT_KEY", &path);
        }
        if files.cert.is_some() != files.key.is_some() {
            self.warn(format!(
                "{PREFIX}_CLIENT_CERTIFICATE and {PREFIX}_CLIENT_KEY are \
                 ignored: each needs the other"
            ));
            (files.cert, files.key) = (None, None);
        }
        Ok(files)
    }

    fn headers(
        &mut self,
        kind: SignalType,
        has_token: bool,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let headers = match self.definition.text("headers") {
            Some(text) => {
                let text = std::str::from_utf8(&text)
                    .map_err(|_| "'headers' is not UTF-8")?;
                headers(text).map_err(|why| format!("'headers': {why}"))?
            }
            None => self
                .read_kind(kind, "HEADERS", &headers)
                .unwrap_or_default(),
        };
        let mut chosen: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, value) in headers {
            if OWN_HEADERS.contains(&name) {
                self.warn(format!(
                    "the configured header '{name}' is ignored: uilog sends \
                     its own"
                ));
            } else if has_token && name == header::AUTHORIZATION {
                self.warn(format!(
                    "the configured header '{name}' is ignored: 'token-file' \
                     replaces it"
                ));
            } else {
                chosen.retain(|it| it.0 != name);
                chosen.push((name, value));
            }
        }
        Ok(chosen)
    }

    fn timeout(&mut self, kind: SignalType) -> Duration {
        let millis = |value: &str| {
            let is_number = value.bytes().all(|it| it.is_ascii_digit());
            let millis = value.parse().ok().filter(|_| is_number);
            millis.map(Duration::from_millis).ok_or_else(|| {
                let value = printable(value);
                format!("'{value}' is not a number of milliseconds")
            })
        };
        let of_variable = if self.is_set("timeout") {
            None
        } else {
            self.read_kind(kind, "TIMEOUT", &millis)
        };
        match (of_variable, self.definition.option("timeout")) {
            (Some(timeout), _) | (None, Value::Seconds(timeout)) => timeout,
            (None, _) => MAX_TIMEOUT,
        }
    }

    fn is_gzip(&mut self, kind: SignalType) -> bool {
        let known = |value: &str| match &*value.to_ascii_lowercase() {
            "gzip" => Ok(true),
            "none" => Ok(false),
            _ => {
                let value = printable(value);
                Err(format!("'{value}' is neither 'gzip' nor 'none'"))
            }
        };
        let of_variable = if self.is_set("compression") {
            None
        } else {
            self.read_kind(kind, "COMPRESSION", &known)
        };
        of_variable.unwrap_or_else(|| {
            self.definition.option("compression") == Value::Choice("gzip")
        })
    }

    /// The hgrc overrides `OTEL_SERVICE_NAME`, and that overrides
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    fn resource(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut add = |pair: (String, String)| {
            all.retain(|it| it.0 != pair.0);
            all.push(pair);
        };
        let variable = self.read("OTEL_RESOURCE_ATTRIBUTES", &pairs);
        variable.into_iter().flatten().for_each(&mut add);
        if let Some(service) = self.variable("OTEL_SERVICE_NAME") {
            add(("service.name".to_owned(), service));
        }
        if let Some(text) = self.definition.text("resource") {
            let text = std::str::from_utf8(&text)
                .map_err(|_| "'resource' is not UTF-8")?;
            let pairs =
                pairs(text).map_err(|why| format!("'resource': {why}"))?;
            pairs.into_iter().for_each(&mut add);
        }
        Ok(all)
    }

    /// Settings without effect.
    fn notes(&self) -> Vec<String> {
        let is_set = |(name, usual): &&(&str, &str)| {
            let value = self.variable(name);
            value.is_some_and(|value| !value.eq_ignore_ascii_case(usual))
        };
        let set = WITHOUT_EFFECT.iter().filter(is_set);
        set.map(|(name, _)| {
            format!(
                "{name} has no effect on uilog: the hgrc decides what is \
                 logged"
            )
        })
        .collect()
    }
}

/// An empty variable counts as unset.
fn filled(value: Option<String>) -> Option<String> {
    let value = value?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

fn specific(kind: SignalType, key: &str) -> String {
    match kind {
        SignalType::Traces => format!("{PREFIX}_TRACES_{key}"),
        SignalType::Logs => format!("{PREFIX}_LOGS_{key}"),
    }
}
