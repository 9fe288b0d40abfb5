//! Asking a collector: one POST, one answer, within a bound.
//!
//! Knows TLS, proxies and headers; not what is sent, and no spool. There is
//! nothing that it answers with but a verdict: whatever goes wrong on the way
//! is a reason to try again later.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use uilog_sys::foreign_file;
use ureq::Agent;
use ureq::ProxyProtocol;
use ureq::http::HeaderValue;
use ureq::http::Uri;
use ureq::http::header;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::ConnectProxyConnector;
use ureq::unversioned::transport::Connector;
use ureq::unversioned::transport::TcpConnector;

use crate::otlp::connector::TlsConnector;
use crate::otlp::endpoint::GRPC_PORT;
use crate::otlp::endpoint::HTTP_PORT;
use crate::otlp::request::Kind;
use crate::otlp::settings::Endpoint;
use crate::otlp::settings::Settings;
use crate::otlp::settings::TlsFiles;
use crate::otlp::verdict::Answer;
use crate::otlp::verdict::Verdict;
use crate::otlp::verdict::printable;
use crate::tls;

/// Bytes of an answer that are read.
// OTLP's answers are short; what is longer is from somebody else
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// Bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Bytes of each connection's buffers.
const BUFFER_BYTES: usize = 16 * 1024;
/// Bytes of a token.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;
/// Who we are.
const USER_AGENT: &str = concat!("uilog/", env!("CARGO_PKG_VERSION"));

/// Whoever takes requests.
pub trait Post: Send {
    /// Sends a body, packed if it likes that, and waits for the answer.
    fn post(&mut self, kind: Kind, body: Vec<u8>) -> Verdict;
}

/// A collector.
#[derive(Debug)]
pub struct Collector {
    settings: Settings,
    traces: Option<Agent>,
    logs: Option<Agent>,
    /// What the last one was made of, since that takes its time.
    tls: Option<(TlsFiles, Arc<ClientConfig>)>,
}

impl Collector {
    /// The one that is configured. Nothing is asked yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            traces: None,
            logs: None,
            tls: None,
        }
    }

    /// Looks whether what is needed to ask is there: files, and the proxy's
    /// URL. Asks nobody.
    ///
    /// # Errors
    ///
    /// What is missing or makes no sense.
    pub fn check(&mut self) -> Result<(), String> {
        for kind in [Kind::Traces, Kind::Logs] {
            self.agent(kind)?;
        }
        match &self.settings.token_file {
            Some(path) => bearer(path).map(drop),
            None => Ok(()),
        }
    }

    fn agent(&mut self, kind: Kind) -> Result<Agent, String> {
        let kept = match kind {
            Kind::Traces => &self.traces,
            Kind::Logs => &self.logs,
        };
        if let Some(agent) = kept {
            return Ok(agent.clone());
        }
        let endpoint = self.settings.endpoint(kind).clone();
        let tls = self.tls_config(&endpoint)?;
        let agent = self.new_agent(&endpoint, tls)?;
        *match kind {
            Kind::Traces => &mut self.traces,
            Kind::Logs => &mut self.logs,
        } = Some(agent.clone());
        Ok(agent)
    }

    fn tls_config(
        &mut self,
        endpoint: &Endpoint,
    ) -> Result<Option<Arc<ClientConfig>>, String> {
        if !is_https(endpoint) {
            return Ok(None);
        }
        if let Some((files, config)) = &self.tls {
            if *files == endpoint.tls {
                return Ok(Some(Arc::clone(config)));
            }
        }
        let TlsFiles { ca, cert, key } = &endpoint.tls;
        let config =
            tls::client_config(ca.as_deref(), cert.as_deref(), key.as_deref())?;
        self.tls = Some((endpoint.tls.clone(), Arc::clone(&config)));
        Ok(Some(config))
    }

    fn new_agent(
        &self,
        endpoint: &Endpoint,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Agent, String> {
        let uri: Uri = endpoint
            .url
            .parse()
            .map_err(|error| format!("the collector's URL: {error}"))?;
        let proxy = self.settings.proxies.of(&uri)?;
        let is_https_proxy = proxy
            .as_ref()
            .is_some_and(|it| it.protocol() == ProxyProtocol::Https);
        // A proxy is no collector: the system vouches for it, and it is not
        // told who we are.
        let tls_to_proxy = is_https_proxy
            .then(|| tls::client_config(None, None, None))
            .transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Where a collector is, is configured; and a POST that is
            // redirected would become a GET.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(USER_AGENT)
            .accept_encoding("")
            .timeout_global(Some(endpoint.timeout))
            .max_response_header_size(MAX_HEAD_BYTES)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .max_idle_connections(1)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(TlsConnector::new(tls, tls_to_proxy));
        let resolver = DefaultResolver::default();
        Ok(Agent::with_parts(config, connector, resolver))
    }

    fn ask(&mut self, kind: Kind, body: &[u8]) -> Result<Verdict, String> {
        let agent = self.agent(kind)?;
        let endpoint = self.settings.endpoint(kind);
        let mut request = agent
            .post(&endpoint.url)
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        if endpoint.is_gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &endpoint.headers {
            request = request.header(name, value);
        }
        if let Some(path) = &self.settings.token_file {
            request = request.header(header::AUTHORIZATION, bearer(path)?);
        }
        let host = || host_of(&endpoint.url);
        let mut response = request
            .send(body)
            .map_err(|error| format!("{}: {error}", host()))?;
        let text = |name| {
            let value = response.headers().get(name);
            value.and_then(|it: &HeaderValue| it.to_str().ok())
        };
        let retry_after = text(header::RETRY_AFTER).map(str::to_owned);
        let content_type = text(header::CONTENT_TYPE).map(str::to_owned);
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_vec();
        let body = match body {
            Ok(body) => body,
            // What it is about stands in the head.
            Err(_) if status >= 400 => Vec::new(),
            Err(error) => {
                let host = host();
                return Err(format!("{host}: its answer's body: {error}"));
            }
        };
        let answer = Answer {
            status,
            retry_after: retry_after.as_deref(),
            content_type: content_type.as_deref(),
            body: &body,
        };
        Ok(answer.verdict(kind, SystemTime::now()))
    }
}

impl Post for Collector {
    fn post(&mut self, kind: Kind, body: Vec<u8>) -> Verdict {
        let body = if self.settings.endpoint(kind).is_gzip {
            crate::otlp::request::gzip(&body)
        } else {
            body
        };
        self.ask(kind, &body).unwrap_or_else(|reason| {
            // Certificates may have been replaced, names lead elsewhere.
            self.traces = None;
            self.logs = None;
            self.tls = None;
            Verdict::Later {
                after: None,
                reason: printable(&reason),
            }
        })
    }
}

fn is_https(endpoint: &Endpoint) -> bool {
    let scheme = endpoint.url.get(..6);
    scheme.is_some_and(|it| it.eq_ignore_ascii_case("https:"))
}

/// The host and port of a URL; with what was perhaps meant, of a port where
/// collectors do not speak HTTP.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |it| it.1);
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    if host.ends_with(&format!(":{GRPC_PORT}")) {
        return format!(
            "{host} (port {GRPC_PORT} is usually gRPC's, OTLP over HTTP has \
             {HTTP_PORT})"
        );
    }
    host.to_owned()
}

/// The header with the token in a file.
fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let failed = |why: &dyn std::fmt::Display| {
        format!("cannot read token-file {}: {why}", path.display())
    };
    let text = foreign_file::read_text(path, MAX_TOKEN_BYTES)
        .map_err(|error| failed(&error))?;
    let token = token(&text);
    if token.is_empty() {
        return Err(failed(&"it is empty"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| failed(&"there is no token in it"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The token in a file's text: editors add a byte order mark and ends of lines,
/// people the scheme.
fn token(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim();
    let (scheme, rest) = text.split_at_checked(6).unwrap_or((text, ""));
    let is_scheme = scheme.eq_ignore_ascii_case("bearer")
        && (rest.is_empty() || rest.starts_with(char::is_whitespace));
    if is_scheme { rest.trim_start() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_and_people_add_is_no_part_of_a_token() {
        for text in [
            "tok",
            "tok\n",
            "  tok",
            "\t tok \r\n",
            "\n\ntok\n\n",
            "\u{feff}tok",
            "\u{feff}  tok",
            "Bearer tok",
            " bearer   tok\n",
            "BEARER\ttok",
        ] {
            assert_eq!(token(text), "tok", "{text:?}");
        }
        for text in ["", " \n", "\u{feff}", "Bearer", "bearer \n"] {
            assert_eq!(token(text), "", "{text:?}");
        }
        for text in ["bearertok", "éééééé", "a b"] {
            assert_eq!(token(text), text);
        }
    }

    #[test]
    fn a_host_is_told_without_what_may_be_a_secret() {
        assert_eq!(host_of("http://h:4318/v1/logs"), "h:4318");
        assert_eq!(host_of("http://h?key=s3cret"), "h");
        let grpc = host_of("http://[::1]:4317/v1/logs");
        assert!(grpc.starts_with("[::1]:4317 (port 4317 is"), "{grpc}");
    }
}
