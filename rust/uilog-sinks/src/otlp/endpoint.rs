//! The URLs of collectors and proxies: whether one is valid, and suggestions if
//! it is not.
//!
//! Errors do not quote the URL, which may contain a password. Must not know
//! where a URL is configured, or how to connect to it.

use std::net::Ipv6Addr;

use ureq::http::Uri;

use crate::otlp::request::SignalType;

/// The port where collectors expect gRPC.
pub(crate) const GRPC_PORT: u16 = 4317;
/// The port where collectors expect OTLP over HTTP.
pub(crate) const HTTP_PORT: u16 = 4318;
/// The paths of the protocol's requests.
const REQUEST_PATHS: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];

/// A URL that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// In lower case.
    pub(crate) scheme: String,
    /// An IPv6 address has its brackets.
    pub(crate) host: String,
    /// From 1; nothing if it is the scheme's own.
    pub(crate) port: Option<u16>,
    /// The path, and the query if there is one.
    pub(crate) path: String,
}

impl Url {
    /// A collector's URL: `http` or `https`, a host, and no user.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn of_collector(text: &str) -> Result<Self, String> {
        let parts = text.split_once("://");
        let scheme = parts.map(|it| it.0.to_ascii_lowercase());
        let (Some((_, rest)), Some(scheme)) = (parts, scheme) else {
            return Err("it must begin with http:// or https://".to_owned());
        };
        if !matches!(&*scheme, "http" | "https") {
            return Err("it must begin with http:// or https://".to_owned());
        }
        if rest.contains('#') {
            return Err("a collector's URL has no '#'".to_owned());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest[..end].contains('@') {
            return Err("a password does not belong there: \
                        use 'headers' or 'token-file'"
                .to_owned());
        }
        let (host, port) = host_and_port(&rest[..end])?;
        let uri = text.parse::<Uri>().map_err(|error| error.to_string())?;
        let path = uri.path_and_query();
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
            path: path.map_or("/", |it| it.as_str()).to_owned(),
        })
    }

    /// The whole URL.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.base(), self.path)
    }

    /// The URL as far as the port.
    fn base(&self) -> String {
        let port = self.port.map(|it| format!(":{it}"));
        let Self { scheme, host, .. } = self;
        format!("{scheme}://{host}{}", port.unwrap_or_default())
    }
}

/// A collector's URL, to which the path of each kind of request is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// Without a slash at its end.
    url: String,
    /// Probable mistakes.
    pub(crate) advice: Vec<String>,
}

impl Base {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// As [`Url::of_collector`], or it has a query.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::of_collector(text)?;
        if url.path.contains('?') {
            return Err("a collector's URL has no '?'".to_owned());
        }
        let mut path = url.path.trim_end_matches('/');
        let mut advice = Vec::new();
        let mut suffixes = REQUEST_PATHS.iter();
        if let Some(suffix) = suffixes.find(|it| path.ends_with(*it)) {
            path = path.strip_suffix(suffix).unwrap_or(path);
            path = path.trim_end_matches('/');
            let base = url.base();
            advice.push(format!(
                "'{suffix}' is removed, since uilog appends the path of each \
                 signal itself: write {base}{path}"
            ));
        }
        advice.extend(advice_on_port(&url));
        let url = format!("{}{path}", url.base());
        Ok(Self { url, advice })
    }

    /// Where requests of this kind go.
    pub(crate) fn endpoint(&self, kind: SignalType) -> String {
        format!("{}{}", self.url, request_path(kind))
    }
}

/// Probable mistakes in the complete URL for one kind of requests.
pub(crate) fn advice_on_endpoint(url: &Url, kind: SignalType) -> Vec<String> {
    let mut advice = Vec::new();
    if url.path == "/" {
        let path = request_path(kind);
        advice.push(format!(
            "it has no path, and is used unchanged: did you mean {}{path}?",
            url.base()
        ));
    }
    advice.extend(advice_on_port(url));
    advice
}

/// The path of requests of this kind.
fn request_path(kind: SignalType) -> &'static str {
    match kind {
        SignalType::Traces => "/v1/traces",
        SignalType::Logs => "/v1/logs",
    }
}

fn advice_on_port(url: &Url) -> Option<String> {
    (url.port == Some(GRPC_PORT)).then(|| {
        format!(
            "port {GRPC_PORT} is usually gRPC's, and uilog speaks OTLP over \
             HTTP: did you mean port {HTTP_PORT}?"
        )
    })
}

/// Parses `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
///
/// # Errors
///
/// The port or the host is invalid. The crate `http` accepts any digits as a
/// port, and ureq connects to the scheme's port if there are too many.
pub(crate) fn host_and_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.find(']') {
        Some(at) => text.split_at(at + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.strip_suffix(']').unwrap_or(rest);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("the part in brackets is not an IPv6 \
                address"
                .to_owned());
        }
    } else if port.matches(':').count() > 1 {
        return Err("an IPv6 address must be in brackets".to_owned());
    } else if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_number =
        !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    match digits.parse().ok().filter(|it| is_number && *it > 0) {
        Some(port) => Ok((host, Some(port))),
        // Text that is not a number may be a password.
        None if is_number => {
            Err(format!("its port {digits} is not from 1 to 65535"))
        }
        None => Err("its port is not a number from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(url: &str) -> Result<String, String> {
        Base::parse(url).map(|it| it.endpoint(SignalType::Traces))
    }

    #[test]
    fn a_path_is_appended_whatever_the_url_ends_with() {
        for (url, expected) in [
            ("http://h", "http://h/v1/traces"),
            ("http://h/", "http://h/v1/traces"),
            ("http://h:4318//", "http://h:4318/v1/traces"),
            ("HTTPS://H:1/A/", "https://H:1/A/v1/traces"),
            ("http://[::1]:65535/a", "http://[::1]:65535/a/v1/traces"),
            ("http://[2001:db8::1]", "http://[2001:db8::1]/v1/traces"),
            ("http://h.:80", "http://h.:80/v1/traces"),
        ] {
            assert_eq!(traces(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn a_port_is_never_replaced_by_another() {
        for (url, why) in [
            (
                "http://127.0.0.1:70000",
                "port 70000 is not from 1 to 65535",
            ),
            ("https://h:65536/a", "port 65536 is not"),
            ("http://h:0", "port 0 is not"),
            ("http://h:00000", "port 00000 is not"),
            ("http://h:99999999999999999999", "is not from 1"),
            ("http://h:", "is not a number"),
            ("http://h:/a", "is not a number"),
            ("http://[::1]:", "is not a number"),
            ("http://[::1]:70000", "port 70000 is not"),
        ] {
            let error = traces(url).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
        }
        for url in ["http://h:+1", "http://h:-1", "http://h:8x", "http://::1"] {
            assert!(traces(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_no_collectors_url_is_refused_without_its_secrets() {
        for url in [
            "",
            "h",
            "h:4318",
            "//h:4318",
            "http:/h",
            "http:h",
            "grpc://h",
            "unix:///x",
            "http://",
            "http:///a",
            "http://h/?t=s3cret",
            "http://h?s3cret",
            "http://h/#s3cret",
            "http://s3cret@h",
            "https://me:s3cret@h:1/",
            "http://h:s3cret",
            "http://[s3cret]",
            "http://a b",
            "http://[::1",
            "http://h]/",
        ] {
            let error = traces(url).unwrap_err();
            assert!(!error.contains("s3cret"), "{url}: {error}");
        }
    }

    #[test]
    fn what_was_meant_is_said() {
        let base = |url: &str| Base::parse(url).unwrap();
        assert_eq!(base("http://h:4318/a").advice, [""; 0]);
        for suffix in REQUEST_PATHS {
            for end in ["", "/", "//"] {
                let base = base(&format!("http://h:4318/a{suffix}{end}"));
                let url = base.endpoint(SignalType::Logs);
                assert_eq!(url, "http://h:4318/a/v1/logs");
                let advice = base.advice.join(" ");
                assert!(advice.ends_with("write http://h:4318/a"), "{advice}");
            }
        }
        let grpc = base("http://h:4317").advice.join(" ");
        assert!(grpc.ends_with("did you mean port 4318?"), "{grpc}");
        let url = Url::of_collector("http://h:4318").unwrap();
        let bare = advice_on_endpoint(&url, SignalType::Logs).join(" ");
        assert!(bare.ends_with("mean http://h:4318/v1/logs?"), "{bare}");
        let url = Url::of_collector("http://h:4318/x?y=z").unwrap();
        assert_eq!(advice_on_endpoint(&url, SignalType::Logs), [""; 0]);
        assert_eq!(url.text(), "http://h:4318/x?y=z");
    }
}
