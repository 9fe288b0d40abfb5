//! Asking a collector: one POST, one answer, within a bound.
//!
//! Knows TLS, proxies and headers; not what is sent, and no spool. There is
//! nothing that it answers with but a verdict: whatever goes wrong on the way
//! is a reason to try again later.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use sha2::Digest;
use sha2::Sha256;
use uilog_sys::foreign_file;
use ureq::Agent;
use ureq::Proxy;
use ureq::ProxyProtocol;
use ureq::http::HeaderValue;
use ureq::http::header;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::ConnectProxyConnector;
use ureq::unversioned::transport::Connector;
use ureq::unversioned::transport::TcpConnector;

use crate::otlp::connector::TlsConnector;
use crate::otlp::request::Kind;
use crate::otlp::settings::Endpoint;
use crate::otlp::settings::Settings;
use crate::otlp::settings::TlsFiles;
use crate::otlp::verdict::Answer;
use crate::otlp::verdict::Refusal;
use crate::otlp::verdict::Verdict;
use crate::otlp::verdict::printable;
use crate::tls;

/// Bytes of an answer that are read.
// OTLP's answers are short; what is longer is from somebody else
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// Bytes of an answer's head: less than a buffer, in which it must be whole.
const MAX_HEAD_BYTES: usize = 15 * 1024;
/// Bytes of each connection's buffers.
const BUFFER_BYTES: usize = 16 * 1024;
/// Bytes of a token.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;
/// What is said of an answer that is longer.
const TOO_LARGE: &str = "its answer is too large";
/// Who we are.
const USER_AGENT: &str = concat!("uilog/", env!("CARGO_PKG_VERSION"));

/// Whoever takes requests.
pub trait Post: Send {
    /// Sends a body, packed if it likes that, and waits for the answer.
    fn post(&mut self, kind: Kind, body: Vec<u8>) -> Verdict;

    /// What it is configured to be, as a number: another one if anything of
    /// that is different.
    fn settings(&self, kind: Kind) -> u64;
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
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Where a collector is, is configured; and a POST that is
            // redirected would become a GET.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(self.proxy(endpoint)?)
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
                .chain(TlsConnector::new(tls));
        let resolver = DefaultResolver::default();
        Ok(Agent::with_parts(config, connector, resolver))
    }

    fn proxy(&self, endpoint: &Endpoint) -> Result<Option<Proxy>, String> {
        let proxies = &self.settings.proxies;
        let url = if is_https(endpoint) {
            &proxies.https
        } else {
            &proxies.http
        };
        let Some(url) = url else {
            return Ok(None);
        };
        // No URL in what is said: there may be a password in it.
        let parsed = Proxy::new(url)
            .map_err(|error| format!("the proxy's URL: {error}"))?;
        let is_http = matches!(
            parsed.protocol(),
            ProxyProtocol::Http | ProxyProtocol::Https
        );
        if !is_http {
            return Err("a SOCKS proxy is not spoken with".to_owned());
        }
        let mut proxy = Proxy::builder(parsed.protocol())
            .host(parsed.host())
            .port(parsed.port());
        if let Some(name) = parsed.username() {
            proxy = proxy.username(name);
        }
        if let Some(password) = parsed.password() {
            proxy = proxy.password(password);
        }
        for host in proxies.except.iter().flat_map(|it| it.split(',')) {
            proxy = proxy.no_proxy(host.trim());
        }
        let proxy = proxy.build();
        proxy
            .map(Some)
            .map_err(|error| format!("the proxy's URL: {error}"))
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
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(ureq::Error::LargeResponseHeader(..)) => {
                return Ok(Verdict::Refused(Refusal {
                    status: 0,
                    text: TOO_LARGE.to_owned(),
                }));
            }
            Err(error) => return Err(format!("{}: {error}", host())),
        };
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
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                return Ok(Verdict::Refused(Refusal {
                    status,
                    text: TOO_LARGE.to_owned(),
                }));
            }
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
        let waiting = &self.settings.wait_statuses;
        Ok(answer.verdict(kind, waiting, SystemTime::now()))
    }
}

impl Post for Collector {
    fn settings(&self, kind: Kind) -> u64 {
        let endpoint = self.settings.endpoint(kind);
        let mut hash = Sha256::new();
        // Each with its length, so that nothing runs into what follows.
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        add(endpoint.url.as_bytes());
        for (name, value) in &endpoint.headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        add(&[u8::from(endpoint.is_gzip)]);
        add(format!("{:?}", endpoint.tls).as_bytes());
        add(format!("{:?}", self.settings.token_file).as_bytes());
        add(format!("{:?}", self.settings.proxies).as_bytes());
        let hash = hash.finalize();
        let first = hash.first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(first)
    }

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

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |it| it.1);
    rest.split('/').next().unwrap_or(rest)
}

/// The header with the token in a file.
fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let failed = |why: &dyn std::fmt::Display| {
        format!("cannot read token-file {}: {why}", path.display())
    };
    let text = foreign_file::read_text(path, MAX_TOKEN_BYTES)
        .map_err(|error| failed(&error))?;
    let token = format!("Bearer {text}");
    let mut header = HeaderValue::from_str(token.trim())
        .map_err(|_| failed(&"there is no token in it"))?;
    if token.trim() == "Bearer" {
        return Err(failed(&"it is empty"));
    }
    header.set_sensitive(true);
    Ok(header)
}
