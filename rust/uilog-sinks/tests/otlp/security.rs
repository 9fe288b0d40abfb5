//! TLS, headers, tokens.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use uilog_sinks::otlp;
use uilog_sinks::otlp::sender::SendResult;

use crate::support::*;

/// Certificates of the tests' own, as files.
pub(crate) struct Certificates {
    dir: tempfile::TempDir,
    pub(crate) config: Arc<ServerConfig>,
}

/// A name that only a proxy finds.
pub(crate) const AWAY: &str = "collector.example";

impl Certificates {
    /// A collector that needs a client's certificate, or not.
    pub(crate) fn new(is_client_asked: bool) -> Self {
        Self::with(is_client_asked, true)
    }

    /// Whoever asks for a client's certificate, and does without.
    pub(crate) fn curious() -> Self {
        Self::with(true, false)
    }

    fn with(is_client_asked: bool, is_needed: bool) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let signed = |names: Vec<String>| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(names).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, server_key) =
            signed(vec!["localhost".to_owned(), AWAY.to_owned()]);
        let (client, client_key) = signed(vec!["client".to_owned()]);
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: String| {
            fs::write(dir.path().join(name), text).unwrap();
        };
        put("ca", ca_cert.pem());
        put("client", client.pem());
        put("client-key", client_key.serialize_pem());
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if is_client_asked {
            let mut roots = RootCertStore::empty();
            roots.add(ca_cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            let verifier = if is_needed {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        let config = builder
            .with_single_cert(vec![server.der().clone()], key)
            .unwrap();
        Self {
            dir,
            config: Arc::new(config),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn server(&self) -> Server {
        let config = Some(Arc::clone(&self.config));
        Server::start_at("127.0.0.1:0", config, |_| accepted())
    }
}

pub(crate) fn https(server: &Server) -> String {
    format!("otlp:https://localhost:{}", server.address.port())
}

pub(crate) fn reason(end: SendResult) -> String {
    match end {
        SendResult::Later { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_with_certificates_of_ones_own() {
    let certificates = Certificates::new(true);
    let server = certificates.server();
    let text = |name| certificates.path(name).display().to_string();
    let (ca, cert, key) = (text("ca"), text("client"), text("client-key"));
    let options = [
        ("ca-file", &*ca),
        ("cert-file", &*cert),
        ("key-file", &*key),
    ];
    let sink = TestSink::new(&https(&server), &options);
    sink.append(&[numbered(0, 1), numbered(0, 2)]);
    assert_eq!(sink.flush().end, SendResult::Drained);
    assert_eq!(server.requests().len(), 2);
    // The variables do the same.
    let environment = format!(
        "OTEL_EXPORTER_OTLP_ENDPOINT=https://localhost:{}\0\
         OTEL_EXPORTER_OTLP_CERTIFICATE={ca}\0\
         OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE={cert}\0\
         OTEL_EXPORTER_OTLP_CLIENT_KEY={key}\0",
        server.address.port(),
    );
    let sink = TestSink::with_environment("otlp:", &[], &environment);
    sink.append(&[numbered(0, 1)]);
    assert_eq!(sink.flush().end, SendResult::Drained);
    // Without its certificate, or with another CA, nothing is sent.
    let sink = TestSink::new(&https(&server), &options[..1]);
    sink.append(&[numbered(0, 1)]);
    reason(sink.flush().end);
    let other = Certificates::new(false);
    let ca = other.path("ca").display().to_string();
    let sink = TestSink::new(&https(&server), &[("ca-file", &*ca)]);
    sink.append(&[numbered(0, 1)]);
    assert!(reason(sink.flush().end).contains("certificate"));
    assert_eq!(sink.stats().pending, 1);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_certificate_that_is_mended_is_used() {
    let certificates = Certificates::new(false);
    let server = certificates.server();
    let late = certificates.path("late");
    let option = late.display().to_string();
    let sink = TestSink::new(&https(&server), &[("ca-file", &*option)]);
    sink.append(&[numbered(0, 1)]);
    let check = || otlp::check(&sink.definition, &sink.globals);
    assert!(check().unwrap_err().contains("ca-file"));
    assert!(reason(sink.flush().end).contains("ca-file"));
    fs::copy(certificates.path("ca"), &late).unwrap();
    assert_eq!(check(), Ok(()));
    assert_eq!(sink.flush().end, SendResult::Drained);
}

#[test]
fn headers_and_a_token_go_with_each_request() {
    let server = Server::start(|_| accepted());
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let path = token.display().to_string();
    let options = [
        ("headers", "x-team=a%20b, X-Other = c"),
        ("token-file", &*path),
        ("compression", "none"),
    ];
    let sink = TestSink::new(&server.url(), &options);
    sink.append(&[numbered(0, 1)]);
    let why = reason(sink.flush().end);
    let url = format!("http://{}/v1/logs", server.address);
    let told = format!("{url}: cannot read token-file");
    assert!(why.starts_with(&told), "{why}");
    let check = || otlp::check(&sink.definition, &sink.globals);
    assert!(check().unwrap_err().starts_with(&told));
    for (seq, secret) in [(1, "s3cret"), (2, "other")] {
        fs::write(&token, format!("  {secret}\r\n")).unwrap();
        sink.append(&[numbered(1, seq)]);
        assert_eq!(sink.flush().end, SendResult::Drained);
        let request = server.requests().pop().unwrap();
        let header = |name| request.header(name);
        assert_eq!(header("x-team"), Some("a b"));
        assert_eq!(header("x-other"), Some("c"));
        let bearer = format!("Bearer {secret}");
        assert_eq!(header("authorization"), Some(&*bearer));
        assert_eq!(header("content-encoding"), None);
    }
    fs::write(&token, "\n").unwrap();
    sink.append(&[numbered(0, 3)]);
    assert!(reason(sink.flush().end).contains("it is empty"));
}
