//! TLS for `ureq`, with uilog's own configuration.
//!
//! `ureq` builds its own from certificates, and panics if a certificate and its
//! key do not match. This configuration is shared with other sinks.

use std::fmt;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::StreamOwned;
use rustls::pki_types::ServerName;
use ureq::Error;
use ureq::unversioned::transport::Buffers;
use ureq::unversioned::transport::ConnectionDetails;
use ureq::unversioned::transport::Connector;
use ureq::unversioned::transport::Either;
use ureq::unversioned::transport::LazyBuffers;
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::Transport;
use ureq::unversioned::transport::TransportAdapter;

use crate::tls;
use crate::tls::explain;

/// What a URL without TLS begins with.
pub(crate) const WITHOUT_TLS: &str = "http://";

/// Wraps connections of `https:` in TLS.
pub(crate) struct TlsConnector {
    collector: Option<Arc<ClientConfig>>,
    proxy: Option<Arc<ClientConfig>>,
}

impl TlsConnector {
    /// Without a TLS configuration, neither the collector nor the proxy can be
    /// reached by `https:`. If there is no proxy, the configuration for it must
    /// be `None`.
    pub(crate) fn new(
        collector: Option<Arc<ClientConfig>>,
        proxy: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self { collector, proxy }
    }

    /// Whether it is the proxy that is being connected to.
    fn is_to_proxy(&self, details: &ConnectionDetails<'_>) -> bool {
        // ureq: the connection to a proxy is made without a proxy
        self.proxy.is_some() && details.config.proxy().is_none()
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<Plain<In>, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(Plain {
                transport,
                has_answered: false,
            })));
        }
        let is_to_proxy = self.is_to_proxy(details);
        let config = if is_to_proxy {
            &self.proxy
        } else {
            &self.collector
        };
        let config = config.as_ref().ok_or(Error::Tls("no TLS"))?;
        let host = details.uri.host().unwrap_or("");
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Tls("the host is not a name for TLS"))?;
        let mut connection = ClientConnection::new(Arc::clone(config), name)
            .map_err(std::io::Error::other)?;
        let mut socket = TransportAdapter::new(
            transport.boxed(),
            details.current_time.clone(),
        );
        socket.set_timeout(details.timeout);
        if let Err(error) = connection.complete_io(&mut socket) {
            let error = explain::of_handshake(error, WITHOUT_TLS);
            return Err(match is_to_proxy {
                true => Error::ConnectProxyFailed(error.to_string()),
                false => error.into(),
            });
        }
        let stream = StreamOwned::new(connection, socket);
        let config = details.config;
        let buffers = LazyBuffers::new(
            config.input_buffer_size(),
            config.output_buffer_size(),
        );
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

/// A connection without TLS, or one that has it already.
#[derive(Debug)]
pub(crate) struct Plain<In> {
    transport: In,
    has_answered: bool,
}

impl<In: Transport> Transport for Plain<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(
        &mut self,
        amount: usize,
        timeout: NextTimeout,
    ) -> Result<(), Error> {
        self.transport.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let has_more = self.transport.await_input(timeout)?;
        let is_first = !std::mem::replace(&mut self.has_answered, true);
        if is_first && tls::is_record(self.transport.buffers().input()) {
            return Err(explain::error(
                "the answer is TLS, and the URL says http://: use https://",
            )
            .into());
        }
        Ok(has_more)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// A connection in TLS.
pub(crate) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(
        &mut self,
        amount: usize,
        timeout: NextTimeout,
    ) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        self.stream
            .write_all(output)
            .map_err(|error| explain::explained(error, WITHOUT_TLS))?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self
            .stream
            .read(input)
            .map_err(|error| explain::explained(error, WITHOUT_TLS))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
