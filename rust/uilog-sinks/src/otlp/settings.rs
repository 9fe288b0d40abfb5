//! What is configured of a collector: in the hgrc, and where that says
//! nothing, in the variables that OpenTelemetry knows.
//!
//! Raw values become typed ones here. Reads no file.
// OpenTelemetry: "OpenTelemetry Protocol Exporter", configuration options

use std::path::PathBuf;
use std::time::Duration;

use uilog_config::items;
use uilog_config::items::Value;
use uilog_core::sinks::Definition;
use ureq::http::HeaderName;
use ureq::http::HeaderValue;
use ureq::http::Uri;

use crate::otlp::request::Kind;

/// What a sink's URL begins with.
const SCHEME: &[u8] = b"otlp:";
/// Where a collector is unless somebody says otherwise.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// Nobody waits for longer, whatever is configured.
const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// The option of statuses for which we wait.
const WAIT_STATUSES: &str = "wait-statuses";
/// What the variables begin with.
const PREFIX: &str = "OTEL_EXPORTER_OTLP";

/// Where variables are looked up, and paths begin.
pub trait Surroundings {
    /// The value of a variable of hg's environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// The path that a configured one means.
    ///
    /// # Errors
    ///
    /// It is relative.
    fn path(&self, text: &[u8]) -> Result<PathBuf, String>;
}

/// Everything about a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where spans go.
    pub traces: Endpoint,
    /// Where log records go.
    pub logs: Endpoint,
    /// The file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// The proxy of each, and for which hosts there is none.
    pub proxies: Proxies,
    /// The statuses of errors for which we wait although the protocol forbids
    /// to ask again.
    pub wait_statuses: Statuses,
}

/// Some of HTTP's statuses of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<u16>);

impl Statuses {
    /// None of them.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Those that are listed.
    ///
    /// # Errors
    ///
    /// One is none from 400 to 599.
    pub fn parse(words: &[Vec<u8>]) -> Result<Self, String> {
        let all = words.iter().map(|word| {
            let text = String::from_utf8_lossy(word);
            let number = text.parse().ok();
            number
                .filter(|it| (400..=599).contains(it))
                .ok_or_else(|| format!("'{text}' is no status from 400 to 599"))
        });
        all.collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.contains(&status)
    }
}

impl Default for Statuses {
    /// Where what is wrong is a configuration, on this side or the other, or a
    /// proxy on the way: it will be mended.
    fn default() -> Self {
        let item = items::find_sink_option(WAIT_STATUSES.as_bytes());
        let value =
            item.and_then(|it| it.item.parse(it.item.default.as_bytes()));
        match value {
            Some(Value::List(words)) => {
                Self::parse(&words).unwrap_or_else(|_| Self::none())
            }
            _ => Self::none(),
        }
    }
}

/// Where requests of one kind go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The whole URL.
    pub url: String,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For how long it may not answer.
    pub timeout: Duration,
    /// Whether requests are packed.
    pub is_gzip: bool,
    /// Files of TLS.
    pub tls: TlsFiles,
}

/// Files of TLS, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may vouch for the receiver, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Who we are.
    pub cert: Option<PathBuf>,
    /// The key of that.
    pub key: Option<PathBuf>,
}

/// What the environment says of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:`.
    pub http: Option<String>,
    /// For `https:`.
    pub https: Option<String>,
    /// The hosts that there is none for.
    pub except: Option<String>,
}

impl Settings {
    /// What is configured of a sink.
    ///
    /// # Errors
    ///
    /// What makes no sense, and why.
    pub fn new(
        definition: &Definition,
        around: &dyn Surroundings,
    ) -> Result<Self, String> {
        let variable = |name: &str| filled(around.variable(name));
        let is_told = |kind| variable(&specific(kind, "ENDPOINT")).is_some();
        let address = definition.url.strip_prefix(SCHEME);
        let address = address.ok_or("it is no 'otlp:' URL")?;
        let address = std::str::from_utf8(address.trim_ascii())
            .map_err(|_| "its URL is not UTF-8")?;
        let reader = Reader { definition, around };
        if address.is_empty() {
            reader.check_protocol()?;
        }
        let endpoint = |kind| {
            let url = if !address.is_empty() {
                complete(address, kind).map_err(|why| in_url(address, why))?
            } else if is_told(kind) {
                // That one is taken as it is.
                let name = specific(kind, "ENDPOINT");
                let url = variable(&name).unwrap_or_default();
                parse(&url).map_err(|why| format!("{name}: {why}"))?;
                url
            } else {
                let name = format!("{PREFIX}_ENDPOINT");
                let base = variable(&name);
                let base = base.as_deref().unwrap_or(DEFAULT_ENDPOINT);
                complete(base, kind).map_err(|why| format!("{name}: {why}"))?
            };
            reader.endpoint(kind, url)
        };
        Ok(Self {
            traces: endpoint(Kind::Traces)?,
            logs: endpoint(Kind::Logs)?,
            token_file: definition
                .text("token-file")
                .map(|text| around.path(&text))
                .transpose()
                .map_err(|why| format!("'token-file': {why}"))?,
            resource: reader.resource()?,
            proxies: Proxies {
                // CGI scripts are given HTTP_PROXY by whoever asks.
                http: variable("http_proxy")
                    .or_else(|| variable("all_proxy"))
                    .or_else(|| variable("ALL_PROXY")),
                https: variable("https_proxy")
                    .or_else(|| variable("HTTPS_PROXY"))
                    .or_else(|| variable("all_proxy"))
                    .or_else(|| variable("ALL_PROXY")),
                except: variable("no_proxy").or_else(|| variable("NO_PROXY")),
            },
            wait_statuses: wait_statuses(definition)?,
        })
    }

    /// Where requests of a kind go.
    pub fn endpoint(&self, kind: Kind) -> &Endpoint {
        match kind {
            Kind::Traces => &self.traces,
            Kind::Logs => &self.logs,
        }
    }
}

fn wait_statuses(definition: &Definition) -> Result<Statuses, String> {
    match definition.option(WAIT_STATUSES) {
        Value::List(words) => Statuses::parse(&words)
            .map_err(|why| format!("'{WAIT_STATUSES}': {why}")),
        _ => Ok(Statuses::default()),
    }
}

struct Reader<'a> {
    definition: &'a Definition,
    around: &'a dyn Surroundings,
}

impl Reader<'_> {
    /// The variable of one kind of requests, else that of both.
    fn variable(&self, kind: Kind, key: &str) -> Option<(String, String)> {
        [specific(kind, key), format!("{PREFIX}_{key}")]
            .into_iter()
            .find_map(|name| {
                let value = filled(self.around.variable(&name))?;
                Some((name, value))
            })
    }

    /// Whether the hgrc says something; if that makes no sense, which is said
    /// elsewhere, the default counts and no variable.
    fn is_set(&self, option: &str) -> bool {
        let options = &self.definition.options;
        options.iter().any(|it| it.0 == option.as_bytes())
    }

    fn check_protocol(&self) -> Result<(), String> {
        for kind in [Kind::Traces, Kind::Logs] {
            if let Some((name, value)) = self.variable(kind, "PROTOCOL") {
                if value != "http/protobuf" {
                    return Err(format!(
                        "{name} is '{value}', and only http/protobuf is \
                         spoken here: name the collector, otlp:URL"
                    ));
                }
            }
        }
        Ok(())
    }

    fn endpoint(&self, kind: Kind, url: String) -> Result<Endpoint, String> {
        let file = |option: &str, key: &str| {
            let told = match self.definition.text(option) {
                Some(text) => Some((format!("'{option}'"), text)),
                None => self
                    .variable(kind, key)
                    .map(|(name, value)| (name, value.into_bytes())),
            };
            let path = told.map(|(name, text)| {
                let path = self.around.path(&text);
                path.map_err(|why| format!("{name}: {why}"))
            });
            path.transpose()
        };
        let tls = TlsFiles {
            ca: file("ca-file", "CERTIFICATE")?,
            cert: file("cert-file", "CLIENT_CERTIFICATE")?,
            key: file("key-file", "CLIENT_KEY")?,
        };
        if tls.cert.is_some() != tls.key.is_some() {
            return Err("a client certificate needs both, 'cert-file' and \
                        'key-file'"
                .to_owned());
        }
        Ok(Endpoint {
            url,
            headers: self.headers(kind)?,
            timeout: match self.timeout(kind)? {
                // OpenTelemetry: "A value of zero indicates no limit"
                Duration::ZERO => MAX_TIMEOUT,
                timeout => timeout.min(MAX_TIMEOUT),
            },
            is_gzip: self.is_gzip(kind)?,
            tls,
        })
    }

    fn headers(
        &self,
        kind: Kind,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let (name, text) = match self.definition.text("headers") {
            Some(text) => {
                let text = String::from_utf8(text)
                    .map_err(|_| "'headers' is not UTF-8")?;
                ("headers".to_owned(), text)
            }
            None => match self.variable(kind, "HEADERS") {
                Some(told) => told,
                None => return Ok(Vec::new()),
            },
        };
        // No values in what is said: they are secrets.
        let pairs = pairs(&text).map_err(|why| format!("{name}: {why}"))?;
        let header = |(key, value): (String, String)| {
            let Ok(header) = HeaderName::from_bytes(key.as_bytes()) else {
                return Err(format!("{name}: '{key}' is no header's name"));
            };
            let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes())
            else {
                return Err(format!("{name}: {key} has a value of no header"));
            };
            value.set_sensitive(true);
            Ok((header, value))
        };
        pairs.into_iter().map(header).collect()
    }

    fn timeout(&self, kind: Kind) -> Result<Duration, String> {
        if !self.is_set("timeout") {
            if let Some((name, value)) = self.variable(kind, "TIMEOUT") {
                let millis = value.parse().map_err(|_| {
                    format!("{name}: '{value}' is no number of milliseconds")
                })?;
                return Ok(Duration::from_millis(millis));
            }
        }
        match self.definition.option("timeout") {
            Value::Seconds(timeout) => Ok(timeout),
            _ => Err("'timeout' is no number of seconds".to_owned()),
        }
    }

    fn is_gzip(&self, kind: Kind) -> Result<bool, String> {
        if !self.is_set("compression") {
            if let Some((name, value)) = self.variable(kind, "COMPRESSION") {
                return match value.as_str() {
                    "gzip" => Ok(true),
                    "none" => Ok(false),
                    _ => Err(format!("{name}: '{value}' is not 'gzip'")),
                };
            }
        }
        Ok(self.definition.option("compression") == Value::Choice("gzip"))
    }

    /// What the hgrc says goes before `OTEL_SERVICE_NAME`, and that before
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    fn resource(&self) -> Result<Vec<(String, String)>, String> {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut add = |pair: (String, String)| {
            all.retain(|it| it.0 != pair.0);
            all.push(pair);
        };
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        if let Some(text) = filled(self.around.variable(name)) {
            let pairs = pairs(&text).map_err(|why| format!("{name}: {why}"))?;
            pairs.into_iter().for_each(&mut add);
        }
        let service = filled(self.around.variable("OTEL_SERVICE_NAME"));
        if let Some(service) = service {
            add(("service.name".to_owned(), service));
        }
        if let Some(text) = self.definition.text("resource") {
            let text = String::from_utf8(text)
                .map_err(|_| "'resource' is not UTF-8")?;
            let pairs =
                pairs(&text).map_err(|why| format!("'resource': {why}"))?;
            pairs.into_iter().for_each(&mut add);
        }
        Ok(all)
    }
}

/// An empty variable is none.
fn filled(value: Option<String>) -> Option<String> {
    let value = value?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

fn specific(kind: Kind, key: &str) -> String {
    match kind {
        Kind::Traces => format!("{PREFIX}_TRACES_{key}"),
        Kind::Logs => format!("{PREFIX}_LOGS_{key}"),
    }
}

fn in_url(address: &str, why: String) -> String {
    // Without what may be a password.
    let shown = address.rsplit('@').next().unwrap_or(address);
    format!("'otlp:{shown}': {why}")
}

/// The URL of one kind of requests below that of the collector.
fn complete(base: &str, kind: Kind) -> Result<String, String> {
    let uri = parse(base)?;
    if uri.query().is_some() {
        return Err("a collector's URL has no '?'".to_owned());
    }
    let path = match kind {
        Kind::Traces => "v1/traces",
        Kind::Logs => "v1/logs",
    };
    let base = base.trim_end_matches('/');
    Ok(format!("{base}/{path}"))
}

fn parse(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it must begin with http:// or https://".to_owned());
    }
    let Some(authority) = uri.authority().filter(|it| !it.host().is_empty())
    else {
        return Err("it names no host".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err("a password does not belong there: \
                    use 'headers' or 'token-file'"
            .to_owned());
    }
    Ok(uri)
}

/// Reads `KEY=VALUE,KEY=VALUE`, values in percent encoding.
// W3C Baggage, without its properties
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .ok_or("it must be KEY=VALUE,KEY=VALUE")?;
            let key = key.trim();
            if key.is_empty() {
                return Err("a key is empty".to_owned());
            }
            let value = decoded(value.trim())
                .ok_or_else(|| format!("the value of {key} is no UTF-8"))?;
            Ok((key.to_owned(), value))
        })
        .collect()
}

/// Without percent encoding; a percent sign that is none stays.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| {
            bytes[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit)
        });
        let byte = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Around(&'static [(&'static str, &'static str)]);

    impl Surroundings for Around {
        fn variable(&self, name: &str) -> Option<String> {
            let found = self.0.iter().find(|it| it.0 == name);
            found.map(|it| it.1.to_owned())
        }

        fn path(&self, text: &[u8]) -> Result<PathBuf, String> {
            let text = String::from_utf8_lossy(text);
            match text.starts_with('/') {
                true => Ok(PathBuf::from(&*text)),
                false => Err(format!("'{text}' is no absolute path")),
            }
        }
    }

    fn settings(
        url: &str,
        options: &[(&str, &str)],
        variables: &'static [(&'static str, &'static str)],
    ) -> Result<Settings, String> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let definition = Definition {
            name: "fleet".to_owned(),
            url: bytes(url),
            options: options
                .iter()
                .map(|(key, value)| (bytes(key), bytes(value)))
                .collect(),
        };
        Settings::new(&definition, &Around(variables))
    }

    fn urls(
        url: &str,
        variables: &'static [(&'static str, &'static str)],
    ) -> [String; 2] {
        let settings = settings(url, &[], variables).unwrap();
        [settings.traces.url, settings.logs.url]
    }

    #[test]
    fn requests_go_where_the_hgrc_says_else_where_the_variables_do() {
        let base = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let both = |base: &str| {
            [format!("{base}/v1/traces"), format!("{base}/v1/logs")]
        };
        assert_eq!(urls("otlp:", &[]), both("http://localhost:4318"));
        assert_eq!(urls("otlp:https://a:1", &[]), both("https://a:1"));
        assert_eq!(urls("otlp:https://a/", &[]), both("https://a"));
        assert_eq!(urls("otlp:http://a/b/", &[]), both("http://a/b"));
        assert_eq!(urls("otlp:http://[::1]:5", &[]), both("http://[::1]:5"));
        let set: &[_] = &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://v:2/x")];
        assert_eq!(set[0].0, base);
        assert_eq!(urls("otlp:", set), both("http://v:2/x"));
        assert_eq!(urls("otlp:http://a", set), both("http://a"));
        let one: &[_] = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://v:2"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:3/as/it/is"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", " "),
        ];
        let expected = ["http://t:3/as/it/is", "http://v:2/v1/logs"];
        assert_eq!(urls("otlp:", one), expected);
    }

    #[test]
    fn the_hgrc_goes_before_the_variables() {
        let variables = &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1,x-b=2%2C3"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-logs=yes"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/v/ca"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/v/cert"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/v/key"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "team=vcs,service.name=r,a=%C3%A9",
            ),
            ("OTEL_SERVICE_NAME", "s"),
        ];
        let shown = |endpoint: &Endpoint| {
            let headers = endpoint.headers.iter();
            headers
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect::<Vec<_>>()
        };
        let told = settings("otlp:", &[], variables).unwrap();
        // Values are secrets, and are not shown.
        let hidden = ["x-a=Sensitive", "x-b=Sensitive"];
        assert_eq!(shown(&told.traces), hidden);
        assert_eq!(told.traces.headers[1].1.as_bytes(), b"2,3");
        assert_eq!(shown(&told.logs), ["x-logs=Sensitive"]);
        assert_eq!(told.traces.timeout, Duration::from_millis(1500));
        assert_eq!(told.logs.timeout, Duration::from_millis(2500));
        assert!(!told.traces.is_gzip);
        let files = |dir: &str| TlsFiles {
            ca: Some(format!("/{dir}/ca").into()),
            cert: Some(format!("/{dir}/cert").into()),
            key: Some(format!("/{dir}/key").into()),
        };
        assert_eq!(told.logs.tls, files("v"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let resource = [
            pair("team", "vcs"),
            pair("a", "é"),
            pair("service.name", "s"),
        ];
        assert_eq!(told.resource, resource);

        let options = [
            ("headers", "x-own=1"),
            ("timeout", "3"),
            ("compression", "gzip"),
            ("ca-file", "/h/ca"),
            ("cert-file", "/h/cert"),
            ("key-file", "/h/key"),
            ("resource", "service.name=h"),
        ];
        let set = settings("otlp:http://a", &options, variables).unwrap();
        for endpoint in [&set.traces, &set.logs] {
            assert_eq!(shown(endpoint), ["x-own=Sensitive"]);
            assert_eq!(endpoint.timeout, Duration::from_secs(3));
            assert!(endpoint.is_gzip);
            assert_eq!(endpoint.tls, files("h"));
        }
        assert!(set.resource.contains(&pair("service.name", "h")));

        let long = settings("otlp:", &[("timeout", "1e15")], &[]).unwrap();
        assert_eq!(long.logs.timeout, MAX_TIMEOUT);
        // None, that is, but ours.
        let never = &[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")];
        for set in [
            settings("otlp:", &[], never).unwrap(),
            settings("otlp:", &[("timeout", "0")], &[]).unwrap(),
        ] {
            assert_eq!(set.traces.timeout, MAX_TIMEOUT);
        }

        let plain = settings("otlp:", &[], &[]).unwrap();
        assert_eq!(plain.traces.timeout, Duration::from_secs(10));
        assert!(plain.traces.is_gzip);
        assert_eq!(plain.traces.tls, TlsFiles::default());
        assert!(plain.resource.is_empty() && plain.token_file.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let error = |url: &str, options: &[(&str, &str)]| {
            settings(url, options, &[]).unwrap_err()
        };
        let url = |url| error(url, &[]);
        assert_eq!(
            url("otlp:host:4318"),
            "'otlp:host:4318': it must begin with http:// or https://"
        );
        assert!(url("otlp:grpc://a").contains("must begin with http://"));
        assert!(url("otlp:http://a b").starts_with("'otlp:http://a b': "));
        assert!(url("otlp:http://").starts_with("'otlp:http://': "));
        assert!(url("otlp:http://a/?b").ends_with("has no '?'"));
        let secret = url("otlp:https://me:s3cret@host/");
        assert!(secret.contains("token-file"), "{secret}");
        assert!(!secret.contains("s3cret"), "{secret}");
        let option = |name, value| error("otlp:", &[(name, value)]);
        assert_eq!(
            option("headers", "s3cret"),
            "headers: it must be KEY=VALUE,KEY=VALUE"
        );
        assert_eq!(
            option("headers", "a b=s3cret"),
            "headers: 'a b' is no header's name"
        );
        assert_eq!(
            option("headers", "a=s3cret%0A"),
            "headers: a has a value of no header"
        );
        assert_eq!(option("resource", "=x"), "'resource': a key is empty");
        assert_eq!(
            option("ca-file", "x"),
            "'ca-file': 'x' is no absolute path"
        );
        assert!(option("cert-file", "/x").contains("needs both"));
        let variable =
            |variables| settings("otlp:", &[], variables).unwrap_err();
        let grpc = variable(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(grpc.starts_with("OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"));
        let late = variable(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")]);
        assert!(late.ends_with("'10s' is no number of milliseconds"));
        assert_eq!(
            option("wait-statuses", "401 4o4"),
            "'wait-statuses': '4o4' is no status from 400 to 599"
        );
        assert!(option("wait-statuses", "200").contains("'200'"));
        let packed = variable(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "br")]);
        assert!(packed.ends_with("'br' is not 'gzip'"));
    }

    #[test]
    fn proxies_are_those_of_curl() {
        let proxies = settings(
            "otlp:",
            &[],
            &[
                ("HTTP_PROXY", "http://cgi"),
                ("HTTPS_PROXY", "http://https"),
                ("ALL_PROXY", "http://all"),
                ("no_proxy", "a,b"),
            ],
        )
        .unwrap()
        .proxies;
        assert_eq!(proxies.http.as_deref(), Some("http://all"));
        assert_eq!(proxies.https.as_deref(), Some("http://https"));
        assert_eq!(proxies.except.as_deref(), Some("a,b"));
    }
}
