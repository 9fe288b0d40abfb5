//! What settings are made of what is configured.

use std::path::PathBuf;
use std::time::Duration;

use uilog_channel::sink_config::SinkConfig;

use super::model::Endpoint;
use super::model::MAX_TIMEOUT;
use super::model::Settings;
use super::model::TlsFiles;
use super::reading::VariableLookup;

struct Around<'a>(&'a [(&'a str, &'a str)]);

impl VariableLookup for Around<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|it| it.0 == name);
        found.map(|it| it.1.to_owned())
    }

    fn path(&self, text: &[u8]) -> Result<PathBuf, String> {
        let text = String::from_utf8_lossy(text);
        match text.starts_with('/') {
            true => Ok(PathBuf::from(&*text)),
            false => Err(format!("'{text}' is not an absolute path")),
        }
    }
}

fn settings(
    url: &str,
    options: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> Result<Settings, String> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let definition = SinkConfig {
        name: "fleet".to_owned(),
        url: bytes(url),
        options: options
            .iter()
            .map(|(key, value)| (bytes(key), bytes(value)))
            .collect(),
    };
    Settings::new(&definition, &Around(variables))
}

fn urls(url: &str, variables: &[(&str, &str)]) -> [String; 2] {
    let settings = settings(url, &[], variables).unwrap();
    [settings.traces.url, settings.logs.url]
}

#[test]
fn requests_go_where_the_hgrc_says_else_where_the_variables_do() {
    let base = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let both =
        |base: &str| [format!("{base}/v1/traces"), format!("{base}/v1/logs")];
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
    let set = settings("otlp:", &options, variables).unwrap();
    for endpoint in [&set.traces, &set.logs] {
        assert_eq!(shown(endpoint), ["x-own=Sensitive"]);
        assert_eq!(endpoint.timeout, Duration::from_secs(3));
        assert!(endpoint.is_gzip);
        assert_eq!(endpoint.tls, files("h"));
    }
    assert!(set.resource.contains(&pair("service.name", "h")));
    assert_eq!(set.warnings, [""; 0]);

    let long = settings("otlp:", &[("timeout", "1e15")], &[]).unwrap();
    assert_eq!(long.logs.timeout, MAX_TIMEOUT);

    let plain = settings("otlp:", &[], &[]).unwrap();
    assert_eq!(plain.traces.timeout, Duration::from_secs(10));
    assert!(plain.traces.is_gzip);
    assert_eq!(plain.traces.tls, TlsFiles::default());
    assert!(plain.resource.is_empty() && plain.token_file.is_none());

    // None is as long as it may be.
    let none = settings("otlp:", &[("timeout", "0")], &[]).unwrap();
    assert_eq!(none.logs.timeout, MAX_TIMEOUT);
}

/// Every variable that says something of a request, for all kinds and for
/// each.
const FOREIGN: &[(&str, &str)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://foreign"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://foreign/t"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://foreign/l"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-vendor-key=s3cret"),
    ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-vendor-key=s3cret"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "30000ms"),
    ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "1"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
    ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/v/ca"),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/v/ca"),
    ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/v/ca"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/v/cert"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/v/key"),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/v/cert"),
    ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/v/key"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
    ("OTEL_SERVICE_NAME", "foreign"),
    ("OTEL_RESOURCE_ATTRIBUTES", "team"),
    ("OTEL_SDK_DISABLED", "true"),
    ("OTEL_TRACES_EXPORTER", "none"),
    ("OTEL_LOGS_EXPORTER", "none"),
    ("OTEL_TRACES_SAMPLER", "always_off"),
    ("OTEL_CONFIG_FILE", "/v/config"),
];

#[test]
fn foreign_variables_count_only_where_they_are_asked_for() {
    for (url, options) in [
        ("otlp:http://a", &[][..]),
        ("otlp:http://a", &[("environment", "no")]),
        ("otlp:http://a", &[("environment", "perhaps")]),
        ("otlp:", &[("environment", "no")]),
        ("otlp: ", &[("environment", "off")]),
    ] {
        let with = settings(url, options, FOREIGN);
        assert_eq!(with, settings(url, options, &[]), "{url} {options:?}");
    }
    let asked = [("environment", "yes")];
    let with = settings("otlp:http://a", &asked, FOREIGN).unwrap();
    assert_eq!(with.traces.url, "http://a/v1/traces");
    assert_eq!(with.traces.timeout, Duration::from_millis(1));
    assert_eq!(with.logs.headers.len(), 1);
    let service = ("service.name".to_owned(), "foreign".to_owned());
    assert!(with.resource.contains(&service));
}

#[test]
fn an_invalid_variable_is_ignored_with_a_warning() {
    let plain = settings("otlp:", &[], &[]).unwrap();
    // What stands for what is set, and what is said of it.
    let cases: &[(&str, &str, &str)] = &[
        (
            "_TIMEOUT",
            "30000ms",
            "'30000ms' is not a number of milliseconds",
        ),
        ("_TIMEOUT", "10s", "'10s' is not a number of milliseconds"),
        ("_TIMEOUT", "-1", "'-1' is not a number of milliseconds"),
        ("_TIMEOUT", "+1", "'+1' is not a number of milliseconds"),
        ("_TIMEOUT", "1.5", "'1.5' is not a number of milliseconds"),
        ("_TIMEOUT", "99999999999999999999", "is not a number of"),
        (
            "_COMPRESSION",
            "zstd",
            "'zstd' is neither 'gzip' nor 'none'",
        ),
        ("_COMPRESSION", "deflate", "is neither 'gzip' nor 'none'"),
        ("_PROTOCOL", "grpc", "'grpc' is not supported"),
        ("_PROTOCOL", "http/json", "'http/json' is not supported"),
        ("_HEADERS", "s3cret", "it must be KEY=VALUE,KEY=VALUE"),
        ("_HEADERS", "a=1,s3cret", "it must be KEY=VALUE,KEY=VALUE"),
        ("_HEADERS", "Authorization: s3cret==", "entry 1 has no"),
        (
            "_HEADERS",
            "a=s3cret%0D%0Ab: c",
            "entry 1 has no header value",
        ),
        ("_HEADERS", "a=1,=s3cret", "entry 2 has no key"),
        ("_HEADERS", "a=%ff", "entry 1 is not UTF-8"),
        ("_CERTIFICATE", "ca.pem", "'ca.pem' is not an absolute path"),
        ("_CLIENT_CERTIFICATE", "x.pem", "is not an absolute path"),
        ("_CLIENT_CERTIFICATE", "/x", "each needs the other"),
        ("_CLIENT_KEY", "/x", "each needs the other"),
        ("_ENDPOINT", "localhost:4318", "must begin with http://"),
        ("_ENDPOINT", "http://h:70000", "port 70000 is not"),
        ("_ENDPOINT", "https://me:s3cret@h", "a password does not"),
    ];
    for (key, value, why) in cases {
        for kind in ["", "_TRACES", "_LOGS"] {
            let name = format!("OTEL_EXPORTER_OTLP{kind}{key}");
            let variables = [(&*name, *value)];
            let with = settings("otlp:", &[], &variables).unwrap();
            let warnings = with.warnings.join("; ");
            assert!(warnings.contains(why), "{name}: {warnings}");
            assert!(!warnings.contains("s3cret"), "{warnings}");
            assert_eq!(with.warnings.len(), 1, "{name}: {warnings}");
            if *why != "each needs the other" {
                assert!(warnings.starts_with(&name), "{warnings}");
            }
            let mut without = with;
            without.warnings.clear();
            assert_eq!(without, plain, "{name}={value}");
        }
    }
    for value in ["team", "a=1,team", "=x", "a=%ff"] {
        let variables = [("OTEL_RESOURCE_ATTRIBUTES", value)];
        let with = settings("otlp:", &[], &variables).unwrap();
        assert_eq!(with.resource, [], "{value}");
        let warnings = with.warnings.join("; ");
        assert!(warnings.starts_with("OTEL_RESOURCE_ATTRIBUTES is ignored"));
    }
    // The one of both kinds stands for one that is invalid.
    let variables = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "30s"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "h:4318/v1/logs"),
    ];
    let with = settings("otlp:", &[], &variables).unwrap();
    assert_eq!(with.logs.timeout, Duration::from_millis(1500));
    assert_eq!(with.logs.url, "http://h/v1/logs");
    // As the specification says, capitals do not matter, and 0 is none.
    let variables = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "None"),
    ];
    let with = settings("otlp:", &[], &variables).unwrap();
    assert_eq!(with.logs.timeout, MAX_TIMEOUT);
    assert!(!with.logs.is_gzip && with.warnings.is_empty());
}

#[test]
fn variables_switch_nothing_off() {
    let variables = [
        ("OTEL_SDK_DISABLED", "True"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_CONFIG_FILE", "/x.yaml"),
        ("OTEL_EXPERIMENTAL_CONFIG_FILE", "/x.yaml"),
    ];
    let mut with = settings("otlp:", &[], &variables).unwrap();
    assert_eq!(with.notes.len(), 6, "{:?}", with.notes);
    assert!(with.notes[0].starts_with("OTEL_SDK_DISABLED has no effect"));
    with.notes.clear();
    assert_eq!(with, settings("otlp:", &[], &[]).unwrap());
    // What switches nothing off in OpenTelemetry's programs either.
    let variables = [
        ("OTEL_SDK_DISABLED", "false"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
    ];
    let with = settings("otlp:", &[], &variables).unwrap();
    assert_eq!(with.notes, [""; 0]);
}

#[test]
fn no_header_goes_out_twice() {
    let names = |options: &[(&str, &str)], variables| {
        let set = settings("otlp:", options, variables).unwrap();
        let names = set.logs.headers.iter();
        let names: Vec<_> = names.map(|it| it.0.to_string()).collect();
        (names.join(" "), set.warnings.join("; "))
    };
    let foreign: &[_] =
        &[("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic x,x-a=1")];
    let (sent, warnings) = names(&[("token-file", "/t")], foreign);
    assert_eq!(sent, "x-a");
    assert!(warnings.contains("'token-file' replaces it"));
    let own = [("headers", "authorization=x"), ("token-file", "/t")];
    assert_eq!(names(&own, &[]).0, "");
    let twice = [("headers", "X-A=1,x-a=2,Content-Type=x,TE=trailers")];
    let (sent, warnings) = names(&twice, &[]);
    assert_eq!(sent, "x-a");
    assert!(warnings.contains("'content-type' is ignored"), "{warnings}");
    assert!(warnings.contains("'te' is ignored"), "{warnings}");
}

#[test]
fn what_was_probably_not_meant_is_said() {
    let warnings = |url: &str, variables| {
        settings(url, &[], variables).unwrap().warnings.join("; ")
    };
    let with_path = "otlp:http://h:4318/v1/traces";
    assert!(warnings(with_path, &[]).ends_with("write http://h:4318"));
    assert_eq!(urls(with_path, &[]), urls("otlp:http://h:4318", &[]));
    let grpc = warnings("otlp:http://h:4317", &[]);
    assert!(grpc.starts_with("'otlp:http://h:4317': port 4317 is"));
    let bare: &[_] = &[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://h:4318")];
    let bare = warnings("otlp:", bare);
    assert!(bare.starts_with("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: it has"));
    let both: &[_] =
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317/v1/logs/")];
    let both = settings("otlp:", &[], both).unwrap();
    assert_eq!(both.traces.url, "http://h:4317/v1/traces");
    assert_eq!(both.warnings.len(), 2);
}

#[test]
fn what_makes_no_sense_is_said() {
    let error = |url: &str, options: &[(&str, &str)]| {
        settings(url, options, &[]).unwrap_err()
    };
    let url = |url| error(url, &[]);
    assert_eq!(
        url("otlp:host:4318"),
        "'otlp:host:4318': it must begin with http:// or https://; did you \
         mean 'otlp:https://host:4318'?"
    );
    assert!(url("otlp:grpc://a").contains("must begin with http://"));
    assert!(url("otlp:http://a b").starts_with("'otlp:http://a b': "));
    assert!(url("otlp:http://").starts_with("'otlp:http://': "));
    assert!(url("otlp:http://a/?b").ends_with("has no '?'"));
    let query = url("otlp:http://a/?token=s3cret");
    assert!(!query.contains("s3cret"), "{query}");
    let port = url("otlp:http://127.0.0.1:70000");
    assert_eq!(
        port,
        "'otlp:http://127.0.0.1:70000': its port 70000 is not from 1 to \
         65535"
    );
    let secret = url("otlp:https://me:s3cret@host/");
    assert!(secret.contains("token-file"), "{secret}");
    assert!(!secret.contains("s3cret"), "{secret}");
    let option = |name, value| error("otlp:", &[(name, value)]);
    assert_eq!(
        option("headers", "s3cret"),
        "'headers': it must be KEY=VALUE,KEY=VALUE"
    );
    // What looks like a name may be the beginning of a secret.
    assert_eq!(
        option("headers", "Authorization: s3cret=="),
        "'headers': entry 1 has no header name"
    );
    assert_eq!(
        option("headers", "a=1,b=s3cret%0A"),
        "'headers': entry 2 has no header value"
    );
    assert_eq!(option("resource", "=x"), "'resource': entry 1 has no key");
    assert_eq!(
        option("ca-file", "x"),
        "'ca-file': 'x' is not an absolute \
        path"
    );
    assert!(option("cert-file", "/x").contains("needs both"));
    assert_eq!(
        option("wait-statuses", "401 4o4"),
        "'wait-statuses': '4o4' is not a status from 400 to 599"
    );
    assert!(option("wait-statuses", "200").contains("'200'"));
    let sink = SinkConfig {
        name: "a".to_owned(),
        url: b"otlp:http://\xff".to_vec(),
        options: Vec::new(),
    };
    let binary = Settings::new(&sink, &Around(&[])).unwrap_err();
    assert_eq!(binary, "its URL is not UTF-8");
}

#[test]
fn a_proxy_that_is_none_is_told_before_anything_is_sent() {
    let socks: &[_] = &[("ALL_PROXY", "socks5h://x")];
    let problem = |url: &str, variables: &[(&str, &str)]| {
        settings(url, &[], variables).unwrap().proxy_problem()
    };
    let told = problem("otlp:http://a", socks).unwrap();
    assert!(told.starts_with("ALL_PROXY: SOCKS proxies"), "{told}");
    assert_eq!(problem("otlp:http://localhost", socks), None);
    assert_eq!(problem("otlp:http://a", &[]), None);
    let except: &[_] = &[socks[0], ("NO_PROXY", "*")];
    assert_eq!(problem("otlp:http://a", except), None);
}
