//! Sends requests to a collector: one POST, one answer, within a time limit.
//!
//! Knows TLS, proxies and headers. Must not know what is sent, or spools. The
//! result is always a verdict: any error is a reason to retry later.

mod answer;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use sha2::Digest;
use sha2::Sha256;
use uilog_channel::sink_url;
use ureq::Agent;
use ureq::ProxyProtocol;
use ureq::http::HeaderValue;
use ureq::http::Uri;
use ureq::http::header;
use ureq::unversioned::transport::ConnectProxyConnector;
use ureq::unversioned::transport::Connector;
use ureq::unversioned::transport::TcpConnector;

use self::answer::MAX_ANSWER_BYTES;
pub(crate) use self::answer::Received;
use self::answer::RequestError;
use self::answer::TOO_LARGE;
use self::answer::blot;
use self::token::bearer;
use crate::otlp::connector::TlsConnector;
use crate::otlp::endpoint::GRPC_PORT;
use crate::otlp::endpoint::HTTP_PORT;
use crate::otlp::explain;
use crate::otlp::request::Packer;
use crate::otlp::request::SignalType;
use crate::otlp::resolver::CachingResolver;
use crate::otlp::settings::Endpoint;
use crate::otlp::settings::Settings;
use crate::otlp::settings::TlsFiles;
use crate::otlp::verdict::Refusal;
use crate::otlp::verdict::Verdict;
use crate::target::Address;
use crate::tls;

/// Bytes of an answer's head: less than a buffer, in which it must be whole.
const MAX_HEAD_BYTES: usize = 15 * 1024;

/// Bytes of each connection's buffers.
const BUFFER_BYTES: usize = 16 * 1024;

/// Who we are.
const USER_AGENT: &str = concat!("uilog/", env!("CARGO_PKG_VERSION"));

/// A receiver of requests.
pub trait RequestSender: Send {
    /// Sends a body, packed if it likes that, and waits for the answer.
    fn post(&mut self, kind: SignalType, body: Vec<u8>) -> Verdict;

    /// A number for its settings, which changes if any of them changes.
    fn settings(&self, kind: SignalType) -> u64;

    /// Nothing is sent for a while.
    fn rest(&mut self) {}
}

/// A collector.
#[derive(Debug)]
pub struct Collector {
    settings: Settings,
    traces: Option<Agent>,
    logs: Option<Agent>,
    /// What the last one was made of, since that takes its time.
    tls: Option<(TlsFiles, Arc<ClientConfig>)>,
    packer: Packer,
}

impl Collector {
    /// The one that is configured. Nothing is asked yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            traces: None,
            logs: None,
            tls: None,
            packer: Packer::default(),
        }
    }

    /// Checks the files and the proxy's URL that a request needs. Opens no
    /// connection.
    ///
    /// # Errors
    ///
    /// What is missing or invalid.
    pub fn check(&mut self) -> Result<(), String> {
        for kind in SignalType::ALL {
            self.agent(kind).map_err(|why| self.at(kind, &why))?;
        }
        match &self.settings.token_file {
            Some(path) => bearer(path)
                .map(drop)
                .map_err(|why| self.at(SignalType::Logs, &why)),
            None => Ok(()),
        }
    }

    /// The proxy for requests of this kind.
    ///
    /// # Errors
    ///
    /// The configuration is invalid.
    pub(crate) fn proxy_of(
        &mut self,
        kind: SignalType,
    ) -> Result<Option<Address>, String> {
        let agent = self.agent(kind)?;
        Ok(agent.config().proxy().map(|it| Address {
            host: it.host().to_owned(),
            port: it.port(),
        }))
    }

    /// The settings of TLS for requests of this kind, if they go by TLS.
    ///
    /// # Errors
    ///
    /// A file cannot be used.
    pub(crate) fn tls_of(
        &mut self,
        kind: SignalType,
    ) -> Result<Option<Arc<ClientConfig>>, String> {
        let endpoint = self.settings.endpoint(kind).clone();
        self.tls_config(&endpoint)
    }

    fn agent(&mut self, kind: SignalType) -> Result<Agent, String> {
        if let Some(agent) = self.connection(kind) {
            return Ok(agent.clone());
        }
        let endpoint = self.settings.endpoint(kind).clone();
        let tls = self.tls_config(&endpoint)?;
        let agent = self.new_agent(&endpoint, tls)?;
        *self.connection(kind) = Some(agent.clone());
        Ok(agent)
    }

    fn connection(&mut self, kind: SignalType) -> &mut Option<Agent> {
        match kind {
            SignalType::Traces => &mut self.traces,
            SignalType::Logs => &mut self.logs,
        }
    }

    fn tls_config(
        &mut self,
        endpoint: &Endpoint,
    ) -> Result<Option<Arc<ClientConfig>>, String> {
        if !explain::is_https(endpoint) {
            return Ok(None);
        }
        if let Some((files, config)) = &self.tls
            && *files == endpoint.tls
        {
            return Ok(Some(Arc::clone(config)));
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
        // A proxy is not a collector: it needs a certificate that the system
        // trusts, and does not get the client certificate.
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
        Ok(Agent::with_parts(
            config,
            connector,
            CachingResolver::default(),
        ))
    }

    fn ask(
        &mut self,
        kind: SignalType,
        body: &[u8],
    ) -> Result<Verdict, String> {
        let received = match self.exchange(kind, body) {
            Ok(received) => received,
            Err(RequestError::TooLarge { status }) => {
                let text = TOO_LARGE.to_owned();
                return Ok(Verdict::Refused(Refusal { status, text }));
            }
            Err(RequestError::Unasked(why)) => {
                // It may be elsewhere by now.
                *self.connection(kind) = None;
                return Err(why);
            }
        };
        let waiting = &self.settings.wait_statuses;
        Ok(received.answer().verdict(kind, waiting, SystemTime::now()))
    }

    /// Asks it to take nothing, to see whether it would.
    ///
    /// # Errors
    ///
    /// It could not be asked, and why.
    pub(crate) fn export_nothing(
        &mut self,
        kind: SignalType,
    ) -> Result<Received, String> {
        let body = self.packed(kind, Vec::new());
        let received = self.exchange(kind, &body);
        received.map_err(|failed| match failed {
            RequestError::TooLarge { .. } => self.at(kind, TOO_LARGE),
            RequestError::Unasked(why) => self.at(kind, &why),
        })
    }

    fn exchange(
        &mut self,
        kind: SignalType,
        body: &[u8],
    ) -> Result<Received, RequestError> {
        let agent = self.agent(kind)?;
        let endpoint = self.settings.endpoint(kind);
        let mut request = agent
            .post(&endpoint.url)
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        if endpoint.is_gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        let mut secrets: Vec<HeaderValue> = Vec::new();
        for (name, value) in &endpoint.headers {
            request = request.header(name, value);
            secrets.push(value.clone());
        }
        if let Some(path) = &self.settings.token_file {
            let value = bearer(path)?;
            request = request.header(header::AUTHORIZATION, value.clone());
            secrets.push(value);
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(ureq::Error::LargeResponseHeader(..)) => {
                return Err(RequestError::TooLarge { status: 0 });
            }
            Err(error) => {
                return Err(explain::sentence(&error, endpoint).into());
            }
        };
        let text = |name| {
            let value = response.headers().get(name);
            value.and_then(|it: &HeaderValue| it.to_str().ok())
        };
        let retry_after = text(header::RETRY_AFTER).map(str::to_owned);
        let content_type = text(header::CONTENT_TYPE).map(str::to_owned);
        let (status, version) = (response.status(), response.version());
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_vec();
        let mut body = match body {
            Ok(body) => body,
            // The head names the subject.
            Err(_) if status.as_u16() >= 400 => Vec::new(),
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                let status = status.as_u16();
                return Err(RequestError::TooLarge { status });
            }
            Err(error) => {
                let why = explain::sentence(&error, endpoint);
                return Err(format!("the body of the answer: {why}").into());
            }
        };
        for secret in &secrets {
            blot(&mut body, secret.as_bytes());
        }
        let wrong =
            explain::protocol_mismatch(status.as_u16(), &body, endpoint);
        if let Some(wrong) = wrong {
            return Err(wrong.to_owned().into());
        }
        Ok(Received {
            status,
            version,
            retry_after,
            content_type,
            body,
        })
    }

    /// An error message with the URL.
    fn at(&self, kind: SignalType, why: &str) -> String {
        let url = &self.settings.endpoint(kind).url;
        let shown = sink_url::shown_url(url.as_bytes());
        let hint = hint_of(url);
        format!("{shown}{hint}: {why}").replace(char::is_control, " ")
    }

    fn packed(&mut self, kind: SignalType, body: Vec<u8>) -> Vec<u8> {
        if self.settings.endpoint(kind).is_gzip {
            self.packer.gzip(&body)
        } else {
            body
        }
    }
}

impl RequestSender for Collector {
    fn rest(&mut self) {
        self.packer.rest();
    }

    fn settings(&self, kind: SignalType) -> u64 {
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

    fn post(&mut self, kind: SignalType, body: Vec<u8>) -> Verdict {
        let body = self.packed(kind, body);
        self.ask(kind, &body).unwrap_or_else(|reason| {
            // Certificates may have been replaced, names lead elsewhere.
            self.traces = None;
            self.logs = None;
            self.tls = None;
            Verdict::Later {
                after: None,
                reason: self.at(kind, &reason),
            }
        })
    }
}

/// A hint for a port where collectors do not speak HTTP.
fn hint_of(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    match uri.and_then(|it| it.port_u16()) {
        Some(GRPC_PORT) => format!(
            " (port {GRPC_PORT} is usually gRPC's, OTLP over HTTP has \
             {HTTP_PORT})"
        ),
        _ => String::new(),
    }
}
